"""`wtenv prune`: forget what no longer exists."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from ..console import format_size, make_printable, say, write
from ..errors import WtenvError


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument("--all", action="store_true", help="also denials, and what may be on a disk not mounted")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Remove records, locks and caches of clones, worktrees and overlays that are gone, naming each on stdout.
    WtenvError, after all else is done, if something can't be removed."""
    from collections import Counter

    from .. import environ
    from ..insight import garbage

    env = environ.undo(env)
    failed: list[OSError] = []
    count, size = 0, 0
    lines: Counter[str] = Counter()
    for item in list(garbage.find(env)):
        about = make_printable(f"{item.kind} of {item.about}")
        if item.keep and not args.all:
            lines[f"kept {about}: {item.keep}"] += 1
            continue
        found = [file.lstat().st_blocks * 512 for file in item.files if os.path.lexists(file)]
        try:
            if not args.dry_run and not garbage.remove(item, env):
                lines[f"kept {about}: it is in use"] += 1
                continue
        except OSError as error:
            failed.append(error)
            continue
        lines[f"{'would remove' if args.dry_run else 'removed'} {about}"] += 1
        count, size = count + len(found), size + sum(found)
    write("".join(f"{line}{f' ({number})' if number > 1 else ''}\n" for line, number in lines.items()))
    verb = "would remove" if args.dry_run else "removed"
    say(f"{verb} {count} file{'s' if count != 1 else ''}, {format_size(size)}" if count else "nothing to remove")
    if any(line.startswith("kept") for line in lines) and not args.all:
        say("to remove what is kept, too: wtenv prune --all")
    if failed:
        raise WtenvError(f"can't remove {failed[0].filename} ({failed[0].strerror})", "make its folder writable")
    return 0
