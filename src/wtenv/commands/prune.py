"""`wtenv prune`: forget what no longer exists."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping

from .. import environ, files
from ..errors import WtenvError, make_printable, say
from ..insight import garbage
from .hook import write


def run(env: Mapping[str, str], *, every: bool, dry_run: bool) -> int:
    """Remove records, locks and caches of clones, worktrees and overlays that are gone, naming each on stdout.

    every: also denials, and what may be on a disk that is not mounted. WtenvError, after all else is done, if
    something can't be removed.
    """
    env = environ.undo(env)
    failed: list[OSError] = []
    count, size = 0, 0
    lines: Counter[str] = Counter()
    for item in list(garbage.find(env)):
        about = make_printable(f"{item.kind} of {item.about}", keep="")
        if item.doubt and not every:
            lines[f"kept {about}: {item.doubt}"] += 1
            continue
        found = [file.lstat().st_blocks * 512 for file in item.files if os.path.lexists(file)]
        try:
            if not dry_run and not garbage.remove(item, env):
                lines[f"kept {about}: it is in use"] += 1
                continue
        except OSError as error:
            failed.append(error)
            continue
        lines[f"{'would remove' if dry_run else 'removed'} {about}"] += 1
        count, size = count + len(found), size + sum(found)
    write("".join(f"{line}{f' ({number})' if number > 1 else ''}\n" for line, number in lines.items()))
    verb = "would remove" if dry_run else "removed"
    say(f"{verb} {count} file{'s' if count != 1 else ''}, {files.format_size(size)}" if count else "nothing to remove")
    if any(line.startswith("kept") for line in lines) and not every:
        say("to remove what is kept, too: wtenv prune --all")
    if failed:
        raise WtenvError(f"can't remove {failed[0].filename} ({failed[0].strerror})", "make its folder writable")
    return 0
