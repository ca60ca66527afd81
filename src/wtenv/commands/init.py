"""`wtenv init`: write a config, allow it and build the overlay, so that one command is enough."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from ..hook.detect import find_parent
from ..process import locate_folder


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="a conda environment, or a file to start from")
    parser.add_argument("--clone", action="store_true", help="for all worktrees of this clone, not committed")
    parser.add_argument("--no-sync", action="store_true", help="build nothing")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """See `write_config`, for the current folder."""
    from .. import adoption
    from ..insight.checks import Context

    context = Context(Path(locate_folder(env)), env, find_parent(env), interactive=sys.stdin.isatty())
    return adoption.write_config(args.source, context, clone=args.clone, sync=not args.no_sync)
