"""wtenv: a shell hook that gives every git worktree its own overlay on a shared conda environment."""

__version__ = "0.1.0"
