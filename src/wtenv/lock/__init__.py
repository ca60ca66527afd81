"""`wtenv.lock`: what base and overlay consist of, written down, compared, and gathered."""

MAX_LOCK = 1 << 22  # some 8000 packages; the hook reads it
