"""`wtenv clean`: remove the overlay that wtenv made, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from .. import config, environ, files
from ..errors import WtenvError
from ..overlay.removal import remove
from ..worktree import find_worktree


def run(directory: Path, env: Mapping[str, str], *, shared: bool) -> int:
    """Remove the overlay of `directory`'s worktree; a stack's only if `shared`. Needs no trust: it runs
    nothing of the worktree's."""
    place = find_worktree(directory)
    if place is None:
        raise WtenvError(f"{directory} is not in a git worktree", "cd into one")
    env = environ.undo(env)
    sources = config.find_sources(place, files.home_dir(env))
    if not sources:
        raise WtenvError(f"{place.root} has no {config.NAME}", "run: wtenv init NAME (a conda environment)")
    venv, is_stack = config.locate_venv(place, sources)
    if is_stack and not shared:
        raise WtenvError(f"{venv} is shared by every repository of the stack", "run: wtenv clean --shared")
    removed = remove(venv, env)
    print(f"wtenv: removed {venv}" if removed else "wtenv: already clean", file=sys.stderr)
    return 0
