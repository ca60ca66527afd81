"""`wtenv allow`: this content of the config may take effect in every worktree of the clone."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from ..console import say, write
from ..errors import WtenvError
from ..process import locate_folder


def configure(_: ArgumentParser) -> None:
    """No arguments."""


def run(_: Namespace, env: Mapping[str, str]) -> int:
    """Allow the current content for this clone; the config has to be valid. What changed in it since the content that
    was allowed before goes to stdout, as git would show it."""
    from .. import dirs, environ, trust
    from ..config import read as configs
    from ..worktree import require_worktree

    place, env = require_worktree(Path(locate_folder(env))), environ.undo(env)
    home = Path(dirs.find_home(env))
    sources = configs.require_sources(place, home)
    unsafe, _reason = trust.find_unsafe(place, sources, env)
    if unsafe:
        raise WtenvError(f"{place.root} {unsafe.reason}", unsafe.fix)
    configs.read_config(place, sources, home)
    write("".join(f"{line}\n" for line in trust.allow(place, sources, env)))
    say("allowed " + ", ".join(str(source.path) for source in sources if source.data is not None))
    return 0
