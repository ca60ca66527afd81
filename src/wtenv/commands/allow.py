"""`wtenv allow` and `wtenv deny`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .. import environ, files, trust
from ..config import read as configs
from ..errors import WtenvError, say
from ..worktree import require_worktree
from .hook import write


def allow(directory: Path, env: Mapping[str, str]) -> int:
    """Allow the current content for this clone; the config has to be valid. What changed in it since the content that
    was allowed before goes to stdout, as git would show it."""
    place, env = require_worktree(directory), environ.undo(env)
    home = files.home_dir(env)
    sources = configs.require_sources(place, home)
    unsafe, _ = trust.find_unsafe(place, sources, env)
    if unsafe:
        raise WtenvError(f"{place.root} {unsafe.reason}", unsafe.fix)
    configs.read_config(place, sources, home)
    write("".join(f"{line}\n" for line in trust.allow(place, sources, env)))
    say("allowed " + ", ".join(str(source.path) for source in sources if source.data is not None))
    return 0


def deny(directory: Path, env: Mapping[str, str]) -> int:
    """Refuse this clone, whatever its content."""
    place, env = require_worktree(directory), environ.undo(env)
    trust.deny(place, env)
    say(f"denied {place.clone}")
    return 0
