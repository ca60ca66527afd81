"""`wtenv list`: every worktree of the clone, its branch, and the state of its overlay."""

from __future__ import annotations

import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from .. import dirs, environ
from ..console import say, write, write_json
from ..errors import WtenvError
from ..process import locate_folder
from . import add_json


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="of every clone that wtenv knows")
    add_json(parser)


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Print the worktrees of the current folder's clone, or with --all of all clones that have a record. Reads files
    alone: no git, nothing of a worktree; one that is broken or not allowed is a line with its state."""
    from .. import worktree
    from ..insight import listing

    directory, every = Path(locate_folder(env)), args.all
    place = worktree.find_worktree(directory) if not every or worktree.find_root(directory) else None
    if place is None and not every:
        raise WtenvError(f"{directory} is not in a git worktree", "for every clone run: wtenv list --all")
    here = place.root if place else None
    plain = environ.undo(env)
    clones = listing.find_clones(plain) if every else [place.clone] if place else []
    facts = {"clones": [listing.gather(clone, here, plain, env.get(environ.ROOT)) for clone in clones]}
    if args.json:
        write_json(facts)
    elif not clones:
        say("no clone is known yet; in one, run: wtenv init NAME (a conda environment)")
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        write(listing.render(facts["clones"], str(Path(dirs.find_home(env))), time.time(), width, headings=every))
    return 0
