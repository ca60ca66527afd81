"""The cached activation as data, for `wtenv run`: what a computing run has kept of a root.

    CACHE/v1/ROOT…/%wtenv.run           beside what the hooks read
    CACHE/v1/ROOT…/%wtenv.sync          the same, with all that a sync looks at: while it holds there is nothing to do

Fields that end in a NUL byte, which neither a path nor a variable can hold; the last shows that all are there. It holds
while each path is as stat(2) told then, and each variable has the value, that it was computed with. That is what the
hook asks, and more (size, mode, owner, which file it is, when that changed), since the stat that tells a time tells
those, too. And each folder above them has to be the same one, with the same owner and mode. No module of the standard
library is imported here but `os` and what comes with it: Python's start is most of what `wtenv run` costs.
"""

from __future__ import annotations

import os
import stat
import sys

from .. import environ, process
from ..dirs import ABI, locate_cached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ..changes import Activation

NAME, SYNCED = "%wtenv.run", "%wtenv.sync"
_HEAD, _END = f"wtenv {ABI} run 2", "end"
_Values: Any = type(sys.implementation)  # types.SimpleNamespace: for `environ`, as good as the named tuples


def start(command: Sequence[str], env: Mapping[str, str], origin: str = "") -> None:
    """Become `command` if what it needs is known; return if not, having changed nothing. origin: see `take_off`."""
    plain = environ.undo(process.drop_coerced(env))
    if origin:
        take_off(origin, plain)
    found = find(process.locate_folder(env), plain)
    if found and (not origin or os.path.realpath(found[0]) != os.path.realpath(origin)):
        process.become(command, environ.apply(plain, found[1]))


def take_off(origin: str, plain: dict[str, str]) -> None:
    """Take the overlay `origin`, which is another worktree's, off PATH: what is not in this one's must not come back
    to it."""
    own = os.path.realpath(f"{origin}/bin")
    entries = plain.get("PATH", "").split(":")
    plain["PATH"] = ":".join(entry for entry in entries if not entry or os.path.realpath(entry) != own)


def is_synced(env: Mapping[str, str]) -> bool:
    """Whether all is as it was when a sync of the current folder had nothing to do."""
    plain = environ.undo(process.drop_coerced(env))
    return find(process.locate_folder(env), plain, SYNCED) is not None


def find(folder: str, plain: Mapping[str, str], name: str = NAME) -> tuple[str, Activation] | None:
    """The overlay and the activation for the current folder, which its shell calls `folder`; None if they are not
    known, or do not hold. plain: the environment, without what is active in it; name: which of the files."""
    try:
        root, real = _find_root(folder), _find_root(os.getcwd())
        top = locate_cached(plain)
        if root is None or real is None or not _is_own(os.stat(top)):
            return None
        data = _read(f"{top}{root}/{name}")
    except OSError:
        return None
    take = iter(data.decode("utf-8", "surrogateescape").split("\0")).__next__
    try:
        if (take(), take(), take()) != (_HEAD, real, _ask_stat(real, whole=False)):
            return None
        venv = take()
        for _ in range(int(take())):
            path, known = take(), take()
            if _ask_stat(path) != known:
                return None
        for _ in range(int(take())):
            path, known = take(), take()
            if _ask_stat(path, whole=False) != known:
                return None
        for _ in range(int(take())):
            variable, value = take(), take()
            if plain.get(variable) != (value[1:] if value else None):
                return None
        root, identity = take(), take()
        level = [_Values(prefix=take(), name=take(), modifier=take()) for _ in range(int(take()))]
        changes = [_Values(name=take(), kind=take(), value=take()) for _ in range(int(take()))]
        if take() != _END:
            return None
    except (StopIteration, ValueError, OSError):  # it did not arrive whole, or can't be compared
        return None
    conda = level[0] if level else None
    return venv, _Values(root=root, id=identity, conda=conda, changes=changes)


def render(
    activation: Activation,
    real: str,
    venv: str,
    paths: Iterable[str],
    depends_on: Iterable[tuple[str, str | None]],
    links: Iterable[tuple[str, str]],
) -> bytes:
    """What `find` reads, with what stat(2) tells of `paths` now. real: the root, resolved; links: names, and where
    they lead. Raises OSError where one can't be asked for."""
    watched, variables = list(paths), list(depends_on)
    fields = [_HEAD, real, _ask_stat(real, whole=False), venv, str(len(watched))]
    for path in watched:
        fields += path, _ask_stat(path)
    above = _list_above([*watched, *(led for _, led in links)])
    fields.append(str(len(above)))
    for path in above:
        fields += path, _ask_stat(path, whole=False)
    fields.append(str(len(variables)))
    for name, value in variables:
        fields += name, "" if value is None else f"={value}"
    fields += activation.root, activation.id, "1" if activation.conda else "0", *(activation.conda or ())
    fields.append(str(len(activation.changes)))
    for change in activation.changes:
        fields += change
    return "\0".join([*fields, _END, ""]).encode("utf-8", "surrogateescape")


def _list_above(paths: Iterable[str]) -> list[str]:
    """The folders that lead to `paths`. Who could write to one of them could replace what is in it."""
    found: dict[str, None] = {}
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in found:
            found[path] = None
    return list(found)


def _ask_stat(path: str, *, whole: bool = True) -> str:
    """A text that changes with the file at `path`; without `whole`, only if it becomes another one."""
    try:
        info = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):  # or a dangling link; anything else may pass
        return ""
    what = f"{info.st_dev} {info.st_ino} {info.st_mode} {info.st_uid}"
    # The kernel's own time of the last change (inode(7)): it can't be set, and number, size and time may come again.
    return f"{what} {info.st_size} {info.st_mtime_ns} {info.st_ctime_ns}" if whole else what


def _find_root(folder: str) -> str | None:
    """As `worktree.find_root`; empty for the file system's root."""
    place = folder.rstrip("/")
    while not os.path.exists(f"{place}/.git"):
        if not place:
            return None
        place = place.rpartition("/")[0]
    return place


def _is_own(info: os.stat_result) -> bool:
    return info.st_uid == os.geteuid() and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(path: str) -> bytes:
    """The content of a file that nobody else could have written; else nothing. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info, data = os.fstat(fd), b""
        if stat.S_ISREG(info.st_mode) and _is_own(info):
            while part := os.read(fd, 1 << 20):
                data += part
        return data
    finally:
        os.close(fd)
