"""Garbage: what wtenv keeps about clones, worktrees and overlays that no longer exist.

A path that is missing may be on a disk that is not mounted. So it counts as gone only if the nearest folder
above it that exists is the user's own, is no mount point and has something in it: mount points are empty
while nothing is mounted, and folders such as /media, /mnt and /Volumes are root's. A denial is never taken for
garbage: without it, what comes back might be trusted.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from .. import dirs, trust
from ..hook import cached
from ..overlay import registry
from ..overlay.registry import hold

_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp")  # see `files.write_atomic`
_IN_USE = 3600  # seconds for which a temporary file may be being written
_FRESH = 60  # seconds for which witnesses may be waiting for the activation that they are for


class Garbage(NamedTuple):
    """One thing that is no longer needed."""

    kind: Literal["trust", "denial", "overlay", "lock", "cache", "temporary file"]
    about: str  # whose it is
    files: tuple[Path, ...]  # what would be removed
    needed_by: Path | None = None  # A path whose existence makes it no garbage
    lock: Path | None = None  # held while it is removed
    keep: str = ""
    """Why it is better kept; else empty."""


def find(env: Mapping[str, str]) -> Iterator[Garbage]:
    """All of it, also what is better kept. Reads only."""
    yield from _find_trust(env)
    yield from _find_overlays(env)
    yield from _find_cache(env)
    folders = (Path(dirs.find_data(env)), Path(dirs.find_cache(env)))
    for place in (Path(above, name) for folder in folders for above, _, names in os.walk(folder) for name in names):
        if _TEMPORARY.fullmatch(place.name) and _get_age(place) > _IN_USE:
            yield Garbage("temporary file", str(place.parent), (place,))


def remove(item: Garbage, env: Mapping[str, str]) -> bool:
    """Remove it; False if it is in use by now. Raises OSError."""
    with contextlib.ExitStack() as stack:
        if item.lock:
            try:
                if not stack.enter_context(hold(item.lock)):
                    return False
            except BlockingIOError:
                return False
            except FileNotFoundError:
                pass
        if item.needed_by and os.path.lexists(item.needed_by):
            return False
        for file in item.files:
            file.unlink(missing_ok=True)
    if item.kind == "cache":
        for folder in {file.parent for file in item.files}:
            _remove_empty(folder, Path(dirs.find_cache(env)))
    return True


def search(path: Path) -> Literal["there", "gone", "unreachable"]:
    """Whether `path` exists; "unreachable" if it is missing but may come back (see above)."""
    try:
        os.lstat(path)
        return "there"
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        return "unreachable"
    above = next(folder for folder in path.parents if os.path.lexists(folder))
    try:
        is_own = above.stat().st_uid == os.getuid() and not os.path.ismount(above)
        return "gone" if is_own and next(above.iterdir(), None) else "unreachable"
    except OSError:
        return "unreachable"


def _find_trust(env: Mapping[str, str]) -> Iterator[Garbage]:
    for file, record in trust.list_records(env):
        clone = Path(record.clone)
        if (found := search(clone)) != "there":
            keep = "a denial stays in force should it come back" if record.denied else _explain(found)
            yield Garbage("denial" if record.denied else "trust", record.clone, (file,), clone, keep=keep)


def _find_overlays(env: Mapping[str, str]) -> Iterator[Garbage]:
    known = set()
    for file, record in registry.list_records(env):
        lock = file.with_suffix(".lock")
        known.add(lock)
        venv = Path(record.venv)
        found = search(venv)
        if found != "there" and not any(os.path.lexists(venv.with_name(name)) for name in record.leftovers):
            yield Garbage("overlay", record.venv, (file, lock), venv, lock, _explain(found))
    for lock in sorted((Path(dirs.find_data(env)) / "overlays").glob("*.lock")):
        if lock not in known and not os.path.lexists(record_file := lock.with_suffix(".json")):
            yield Garbage("lock", str(lock), (lock,), record_file, lock)


def _explain(found: str) -> str:
    return "it may be on a disk that is not mounted" if found == "unreachable" else ""


def _find_cache(env: Mapping[str, str]) -> Iterator[Garbage]:
    named: set[str] = set()
    witnesses = Path(dirs.find_cache(env)) / "witnesses"
    for folder, root in cached.list_folders(env):
        kept, names = tuple(folder.glob("%wtenv.*")), cached.list_witnesses(folder)
        named |= names
        if root is not None and os.path.lexists(f"{root}/.git"):
            continue
        kept += tuple(witness for name in names for witness in (witnesses / name).glob("[0-9]*"))
        if root is None:
            yield Garbage("cache", "another version", (*kept, *folder.glob("fine.[12]")))
        else:
            yield Garbage("cache", root, kept, Path(root, ".git"))
    for folder in sorted(witnesses.glob("[0-9a-f]*")):
        if folder.name not in named and _get_age(folder) > _FRESH and not folder.is_symlink():
            # An empty folder goes with a file that is not there.
            yield Garbage("cache", "earlier states", tuple(folder.glob("[0-9]*")) or (folder / "0",))


def _get_age(place: Path) -> float:
    try:
        return time.time() - place.lstat().st_mtime
    except OSError:
        return 0


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove it and the folders above it that are below `top`, as far as they are empty."""
    with contextlib.suppress(OSError):
        while folder != top:
            folder.rmdir()
            folder = folder.parent
