"""Hooks: what a shell is given, and where it is kept and installed."""
