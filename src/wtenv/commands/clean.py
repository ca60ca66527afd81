"""`wtenv clean`: remove the overlay that wtenv made, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .. import environ, files
from ..config import read as configs
from ..errors import WtenvError, say
from ..overlay.removal import remove
from ..worktree import require_worktree


def run(directory: Path, env: Mapping[str, str], *, shared: bool) -> int:
    """Remove the overlay of `directory`'s worktree; a stack's only if `shared`. Needs no trust: it runs
    nothing of the worktree's."""
    place, env = require_worktree(directory), environ.undo(env)
    venv, is_stack = configs.locate_venv(place, configs.require_sources(place, files.home_dir(env)))
    if is_stack and not shared:
        raise WtenvError(f"{venv} is shared by every repository of the stack", "run: wtenv clean --shared")
    say(f"removed {venv}" if remove(venv, env) else "already clean")
    return 0
