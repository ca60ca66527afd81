"""`wtenv allow` and `wtenv deny`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from .. import config, environ, files, trust
from ..errors import WtenvError
from ..worktree import Worktree, find_worktree


def allow(directory: Path, env: Mapping[str, str]) -> int:
    """Allow the current content for this clone; the config has to be valid."""
    place, env = _find(directory), environ.undo(env)
    home = files.home_dir(env)
    sources = config.find_sources(place, home)
    if not sources:
        raise WtenvError(f"{place.root} has no {config.NAME}", "run: wtenv init NAME (a conda environment)")
    for source in sources:
        if source.data is not None and (other := trust.find_unsafe(source.path)):
            raise WtenvError(
                f"{source.path} is refused: {other} can be written by other users", f"run: chmod go-w {other}"
            )
    config.read_config(place, sources, home)
    trust.allow(place, sources, env)
    names = ", ".join(str(source.path) for source in sources if source.data is not None)
    print(f"wtenv: allowed {names}", file=sys.stderr)
    return 0


def deny(directory: Path, env: Mapping[str, str]) -> int:
    """Refuse this clone, whatever its content."""
    place, env = _find(directory), environ.undo(env)
    trust.deny(place, env)
    print(f"wtenv: denied {place.clone}", file=sys.stderr)
    return 0


def _find(directory: Path) -> Worktree:
    place = find_worktree(directory)
    if place is None:
        raise WtenvError(f"{directory} is not in a git worktree", "cd into one")
    return place
