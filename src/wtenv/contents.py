"""Contents that were allowed, kept in the record of trust to show later what changed. They decide nothing.

A content is JSON, `{"root": WORKTREE, "files": {NAME: TEXT}, "large": {NAME: DIGEST}}`: the files by their path from
the worktree's root, so that names are the same in each worktree, or by the whole path where they lie elsewhere. Bytes
are kept as the characters of Latin-1. Of files for which there is no room the digest stands there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .config.read import Source
from .console import make_printable
from .digest import sha256
from .worktree import Worktree

Content = dict[str, Any]

MAX_CONTENTS = 10  # of one clone; the oldest go first
MAX_SIZE = 1 << 17  # of all of them as JSON: they are read at a cd; one alone takes about half
MAX_LINES = 2000  # of a file that is compared line by line: the time that takes grows with their square


def make(worktree: Worktree, sources: tuple[Source, ...]) -> Content:
    """`sources` as they are kept: the smallest files whole, as many as there is room for."""
    content: Content = {"root": str(worktree.root), "files": {}, "large": {}}
    room = MAX_SIZE // 2
    for source in sorted(sources, key=lambda source: len(source.data or b"")):
        if source.data is None:
            continue
        path, text = str(source.path), source.data.decode("latin-1")
        name = path if source.role == "clone" else path.removeprefix(f"{worktree.root}/")
        room -= len(json.dumps(text))
        if room >= 0:
            content["files"][name] = text
        else:
            content["large"][name] = sha256(source.data).hexdigest()
    return content


def read(raw: object) -> list[Content]:
    """The contents in a record, oldest first; what is odd is left out."""
    return [item for item in raw if _is_content(item)] if isinstance(raw, list) else []


def _is_content(item: object) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("root"), str):
        return False
    texts: list[object] = []
    for table in (item.get("files"), item.get("large")):
        if not isinstance(table, dict):
            return False
        texts += table.values()
    return all(isinstance(text, str) and max(text, default="") <= "\xff" for text in texts)  # as Latin-1 has it


def add(content: Content, others: list[Content]) -> list[Content]:
    """`content` as the newest one, and of `others` as many as there is room for."""
    kept: list[Content] = []
    size = 0
    for item in (content, *reversed([each for each in others if not _is_equal(each, content)])):
        size += len(json.dumps(item))
        if size > MAX_SIZE or len(kept) == MAX_CONTENTS:
            break
        kept.insert(0, item)
    return kept


def choose(content: Content, others: list[Content]) -> Content | None:
    """Which of `others` to compare with: the last one that was allowed in the same worktree, else in the clone."""
    found = others[::-1]
    return next((item for item in found if item["root"] == content["root"]), next(iter(found), None))


def compare(before: Content, after: Content) -> Iterator[str]:
    """The lines of a unified diff from one content to another (git-diff(1)), with all that a terminal would obey
    escaped. Files that are large or no text are named alone."""
    from difflib import unified_diff

    for name in sorted({name for each in (before, after) for table in ("files", "large") for name in each[table]}):
        digests = _get_digest(before, name), _get_digest(after, name)
        if digests[0] == digests[1]:
            continue
        label = name.lstrip("/")
        source, target = f"a/{label}" if digests[0] else "/dev/null", f"b/{label}" if digests[1] else "/dev/null"
        old, new = _split(before, name), _split(after, name)
        if old is None or new is None:
            yield make_printable(f"{source} and {target} differ, and are too large or no text: look for yourself", "")
            continue
        for line in unified_diff(old, new, make_printable(source, ""), make_printable(target, ""), lineterm=""):
            yield make_printable(line, "\t\n")


def _get_digest(content: Content, name: str) -> str | None:
    """Of one of the files; None if it was not there."""
    text = content["files"].get(name)
    found: str | None = content["large"].get(name) if text is None else sha256(text.encode("latin-1")).hexdigest()
    return found


def _split(content: Content, name: str) -> list[str] | None:
    """The lines of a file, none if it is not there, as git shows them; None if they can't be shown."""
    data: bytes = content["files"].get(name, "").encode("latin-1")
    if name in content["large"] or b"\0" in data or data.count(b"\n") > MAX_LINES:
        return None
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if not lines[-1]:
        return lines[:-1]
    lines[-1] += "\n\\ No newline at end of file"
    return lines


def _is_equal(one: Content, other: Content) -> bool:
    return all(one[table] == other[table] for table in ("files", "large"))
