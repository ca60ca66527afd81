"""The content of a worktree: what each of its files is, and what git could tell a build about it.

gitformat-index(5) has for each tracked file the object that was checked out, and the file's times. A file that still
has these times has that content, and need not be read. So two worktrees are compared by a stat for each file.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .. import files
from ..digest import sha256
from ..errors import WtenvError
from ..worktree import locate_git_dir, open_worktree
from .tracking import MAX_INDEX, list_files

MAX_QUIET = 20_000  # files that are looked at where nobody has typed a command
MAX_READ = 1 << 28  # bytes of a file that differs from what was checked out
_STAT = struct.Struct(">10I")
_DESCRIBING = ("refs/tags/", "refs/replace/")


class Tree(NamedTuple):
    """A worktree's content. tracked: path -> mode and object, as git would name what lies there now, the size of a
    file, and what the index has in place of it, see `_describe`; loose: the other files, less those that git ignores;
    ignored: these, or folders of such, with a slash at their end; head: the commit, the tags and the clone, by which a
    version is told; branch: its name."""

    tracked: Mapping[str, str]
    loose: tuple[str, ...]
    ignored: tuple[str, ...]
    head: str
    branch: str


def read(root: Path, env: Mapping[str, str], *, ask_git: bool) -> Tree:
    """The content of the worktree `root`. Without `ask_git` no process is started, and what git ignores is `loose`.
    ValueError or OSError, or WtenvError, where it can't be told."""
    git_dir = locate_git_dir(root)
    common = open_worktree(root).common_dir
    if common is None:
        raise ValueError(f"{root} is of no clone")
    try:
        tracked = dict(_list_tracked(root, git_dir, common, MAX_INDEX if ask_git else MAX_QUIET))
    except (struct.error, IndexError):
        raise ValueError("an index that is cut off") from None
    if ask_git:
        others = ("--others", "--exclude-standard")
        loose = list_files(root, env, *others, timeout=60)
        ignored = list_files(root, env, *others, "--ignored", "--directory", timeout=60)
    else:
        loose, ignored = tuple(_list_untracked(root, tracked)), ()
    head, branch = _read_head(git_dir, common)
    # A repository below, which git does not look into either, has a slash at its end.
    return Tree(tracked, tuple(path for path in loose if path[-1:] != "/"), ignored, head, branch)


def _list_tracked(root: Path, git_dir: Path, common: Path, limit: int) -> Iterator[tuple[str, str]]:
    """Path -> mode and object. ValueError for an index that is odd: merges, sparse ones, other hashes than SHA-1."""
    if b"sha256" in files.read_bytes(common / "config").lower():  # extensions.objectFormat
        raise ValueError("another kind of objects")
    place = git_dir / "index"
    written = os.stat(place).st_mtime_ns
    data = files.read_bytes(place, MAX_INDEX)
    if data[:4] != b"DIRC" or data[7:8] not in (b"\2", b"\3", b"\4"):
        raise ValueError("not an index")
    count, at, path = int.from_bytes(data[8:12], "big"), 12, b""
    if count > limit:
        raise ValueError("too many files")
    for _ in range(count):
        ctime, cns, mtime, mns, _dev, inode, mode, _uid, _gid, size = _STAT.unpack_from(data, at)
        name, flags = data[at + 40 : at + 60], int.from_bytes(data[at + 60 : at + 62], "big")
        start = at + 62
        if flags & 0xF000 or mode == stat.S_IFDIR:  # taken for unchanged, extended, in a merge; a sparse folder
            raise ValueError("an entry that is not as checked out")
        if data[7] == 4:  # less the end of the path before, whose length stands in front
            back, start = _read_number(data, start)
            end = data.index(b"\0", start)
            path = path[: len(path) - back] + data[start:end]
            at = end + 1
        else:
            end = data.index(b"\0", start)
            path = data[start:end]
            at += (end - at + 8) // 8 * 8
        seen = (mode, size, inode, mtime, mns, ctime, cns)
        is_sure = mtime * 10**9 + mns < written
        found = _identify(os.fspath(root) + "/" + os.fsdecode(path), seen, name if is_sure else b"")
        yield os.fsdecode(path), _describe(found, f"{mode:o} {name.hex()}")
    while at < len(data) - 20:  # extensions, then a checksum
        if data[at : at + 4] == b"link":
            raise ValueError("a split index")
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    """An offset as in pack files (gitformat-pack(5), "offset encoding"), and where it ends."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1) << 7 | data[at] & 0x7F
    return value, at + 1


def _describe(found: str, wanted: str) -> str:
    """`found`, and what the index has if that is something else: to git this worktree is changed (git-describe(1),
    --dirty), also where the file is as in the commit."""
    return found if f"{found} ".startswith(f"{wanted} ") else f"{found} {wanted}"


def _identify(place: str, seen: tuple[int, ...], name: bytes) -> str:
    """Mode and object of the file at `place`, for which the index has `seen` and `name`; "-" if there is none. Its
    size, too: what a filter has written (Git LFS, line ends; gitattributes(5)) is not the object, and may be another
    in each worktree."""
    try:
        info = os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return "-"
    kind = stat.S_IFMT(info.st_mode)
    if seen[0] == 0o160000:  # a submodule
        if kind != stat.S_IFDIR or os.listdir(place):
            raise ValueError(f"{place} is a submodule")
        return "-"
    mode = kind | (0o755 if info.st_mode & 0o100 else 0o644) if kind == stat.S_IFREG else kind
    times = (*divmod(info.st_mtime_ns, 10**9), *divmod(info.st_ctime_ns, 10**9))
    if name and seen == (mode, info.st_size & 0xFFFFFFFF, info.st_ino & 0xFFFFFFFF, *times):
        return f"{mode:o} {name.hex()} {info.st_size}" if kind == stat.S_IFREG else f"{mode:o} {name.hex()}"
    if kind == stat.S_IFLNK:
        return f"{mode:o} {name_blob(os.fsencode(os.readlink(place)))}"
    if kind != stat.S_IFREG:
        raise ValueError(f"{place} is neither a file nor a link")
    data = files.read_bytes(place, MAX_READ)
    return f"{mode:o} {name_blob(data)} {len(data)}"


def name_blob(data: bytes) -> str:
    """The name that git gives to a file's content."""
    import hashlib  # few files are read, mostly none

    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def read_loose(root: Path, path: str) -> str:
    """What the file at `path`, which git does not track, is: as in `Tree.tracked`."""
    return _identify(f"{root}/{path}", (0,), b"")


def follow_link(root: Path, path: str) -> str:
    """Where the link at `path` leads, and what file that is; empty if it stays in the worktree, whose files count
    anyway. A relative one leads elsewhere from each worktree."""
    real = os.path.realpath(f"{root}/{path}")
    if Path(real).is_relative_to(os.path.realpath(root)):
        return ""
    data = files.try_read(real)
    return f"{real} {name_blob(data)}" if data is not None else real


def is_made(name: str) -> bool:
    """Whether a build, a run or a tool has put a folder of this name there: no backend takes it for a package."""
    return name.startswith(".") or name in ("__pycache__", "node_modules") or name.endswith((".egg-info", ".dist-info"))


def _list_untracked(root: Path, tracked: Mapping[str, str]) -> Iterator[str]:
    """Each file that is not tracked, less those in made folders and in repositories of their own."""
    folders, count = [""], 0
    while folders:
        inside = folders.pop()
        names = os.listdir(f"{root}/{inside}")
        if inside and ".git" in names:
            continue
        for name in names:
            count += 1
            if count > 2 * MAX_QUIET:
                raise ValueError("too many files")
            path = inside + name
            if path in tracked or is_made(name):
                continue
            if stat.S_ISDIR(os.lstat(f"{root}/{path}").st_mode):
                folders.append(path + "/")
            else:
                yield path


def walk_ignored(root: Path, ignored: tuple[str, ...], limit: int) -> Iterator[str]:
    """Each file that git ignores, less those in made folders. ValueError if there are more than `limit`."""
    count = 0
    for path in ignored:
        if any(is_made(part) for part in path.split("/") if part):
            continue
        below = [path] if path[-1:] != "/" else []
        for folder, folders, names in os.walk(f"{root}/{path}") if not below else ():
            folders[:] = [name for name in folders if not is_made(name)]
            below += [os.path.relpath(f"{folder}/{name}", root) for name in names]
            count += len(names)
            if count > limit:
                raise ValueError("too many files are ignored")
        yield from below


def _read_head(git_dir: Path, common: Path) -> tuple[str, str]:
    """What `git describe` goes by, as one text, and the branch (gitrepository-layout(5)). ValueError if the commit is
    not known."""
    # How far the history goes back, and what stands in for a commit (gitrepository-layout(5)).
    history = [files.try_read(common / name, MAX_READ) for name in ("shallow", "info/grafts")]
    refs: dict[str, str] = {}
    packed = common / "packed-refs"
    if packed.exists():
        for line in files.read_bytes(packed, MAX_READ).decode("utf-8", "surrogateescape").splitlines():
            name = line[41:]
            if line[:1] not in ("#", "^"):
                refs[name] = line[:40]
    for kind in _DESCRIBING:
        for folder, _, names in os.walk(common / kind):
            for name in names:
                place = f"{folder}/{name}"
                refs[os.path.relpath(place, common)] = _read_line(place)
    text = _read_line(git_dir / "HEAD")
    branch = text.removeprefix("ref: ").strip() if text.startswith("ref: ") else ""
    if branch:
        loose = common / branch
        text = _read_line(loose) if loose.exists() else refs.get(branch, "")
    if len(text) != 40:
        raise ValueError("the commit is not known")
    tags = sorted(item for item in refs.items() if item[0].startswith(_DESCRIBING))
    digest = sha256(repr((os.fspath(common), text, tags, history)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest(), branch


def _read_line(place: str | Path) -> str:
    try:
        return files.read_bytes(place).decode("utf-8", "surrogateescape").rstrip()
    except WtenvError as error:
        raise ValueError(str(error)) from None
