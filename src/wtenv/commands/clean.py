"""`wtenv clean`: remove the overlay that wtenv made, and nothing else."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from ..console import say
from ..errors import WtenvError
from ..process import locate_folder


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--shared", action="store_true", help="also where a stack's repositories share it")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Remove the overlay of the current folder's worktree; a stack's only with --shared. Needs no trust: it runs
    nothing of the worktree's."""
    from .. import dirs, environ
    from ..config import read as configs
    from ..overlay.swap import remove
    from ..worktree import require_worktree

    place, env = require_worktree(Path(locate_folder(env))), environ.undo(env)
    venv, is_stack = configs.locate_venv(place, configs.require_sources(place, Path(dirs.find_home(env))))
    if is_stack and not args.shared:
        raise WtenvError(f"{venv} is shared by every repository of the stack", "run: wtenv clean --shared")
    say(f"removed {venv}" if remove(venv, env) else "already clean")
    return 0
