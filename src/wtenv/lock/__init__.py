"""`wtenv.lock`: what base and overlay consist of, written down, compared, and gathered."""
