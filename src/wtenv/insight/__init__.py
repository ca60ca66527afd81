"""Insight: what doctor, which and prune find out. Nothing here changes what is active."""
