"""Trust: which content of which clone its user has allowed.

A record per clone, in the user's data folder, holds the digests that were allowed, or that the clone
is denied. The digest covers every file that decides the activation, by role and content and not by
place, so that a new worktree with the same content needs no second `allow`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from . import access, dirs, files
from .config.read import Source
from .config.settings import Settings
from .digest import sha256
from .errors import WtenvError
from .worktree import Worktree

MAX_DIGESTS = 200  # of one clone; the oldest go first


class Verdict(NamedTuple):
    """Whether the content of a config may take effect."""

    kind: Literal["allowed", "trusted", "unknown", "changed", "denied", "unsafe"]
    reason: str  # one clause for people
    fix: str  # the command that changes it
    watch: tuple[Path, ...] = ()  # the files beside the config that it depends on

    @property
    def ok(self) -> bool:
        return self.kind in ("allowed", "trusted")


DENIED = Verdict("denied", "is denied", "to lift that run: wtenv allow")


class AllowRecord(NamedTuple):
    """What the user has said of one clone."""

    clone: str  # its path
    allowed: tuple[str, ...] = ()  # digests, oldest first
    denied: bool = False  # all is refused
    damaged: Path | None = None  # the file, if it can't be relied on (it may have been a deny)
    contents: object = None  # see `contents`


def compute_digest(sources: tuple[Source, ...]) -> str:
    """SHA-256 over role and content of every source, unambiguous: each part is preceded by its length.

    A dotenv file that is not there, or says what the one before it says, decides nothing: so a worktree that takes the
    main worktree's file has the same digest as that one, where the two are one file.
    """
    digest, former = sha256(b"wtenv trust 1\0"), None
    for source in sources:
        if source.role == "dotenv":
            if source.data in (None, former):
                continue
            former = source.data
        data = b"-" if source.data is None else b"+" + source.data
        for part in (source.role.encode(), data):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def locate_records(worktree: Worktree, env: Mapping[str, str]) -> list[Path]:
    """The clone's record files, whether they exist or not: that which is written, and where HOME can't be written also
    the one in there."""
    return [Path(folder, "trust", f"{_name(worktree.clone)}.json") for folder in dirs.list_data(env)]


def _name(clone: Path) -> str:
    return sha256(os.fsencode(clone)).hexdigest()[:32]


def read_record(worktree: Worktree, env: Mapping[str, str]) -> AllowRecord:
    """The clone's record; an empty one if there is none, or if it is damaged or not the user's own. Of two, both count:
    what either allows is allowed, what either denies is denied."""
    first, *others = [_read_one(path, str(worktree.clone)) for path in locate_records(worktree, env)]
    for each in others:
        first = AllowRecord(
            first.clone,
            tuple(dict.fromkeys((*each.allowed, *first.allowed))),
            first.denied or each.denied,
            first.damaged or each.damaged,
            first.contents or each.contents,
        )
    return first


def _read_one(path: Path, clone: str) -> AllowRecord:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return AllowRecord(clone)
    except OSError:
        return AllowRecord(clone, damaged=path)
    record = _read(path)
    return record if record and record.clone == clone else AllowRecord(clone, damaged=path)


def list_records(env: Mapping[str, str]) -> tuple[tuple[Path, AllowRecord], ...]:
    """Every record that can be relied on, with its file, sorted by clone."""
    found = [(file, record) for file in (Path(dirs.find_data(env)) / "trust").glob("*.json") if (record := _read(file))]
    named = [(file, record) for file, record in found if file.stem == _name(Path(record.clone))]
    return tuple(sorted(named, key=lambda pair: os.fsencode(pair[1].clone)))


def _read(path: Path) -> AllowRecord | None:
    """The record in `path`; None if it is damaged or not the user's own."""
    import json

    try:
        if path.stat().st_uid == os.getuid() and not access.find_exposure(path):
            raw: Any = json.loads(files.read_bytes(path))
            clone, allowed, denied = raw["clone"], raw["allowed"], raw["denied"]
            if isinstance(clone, str) and isinstance(denied, bool) and isinstance(allowed, list):
                digests = tuple(item for item in allowed if isinstance(item, str))
                return AllowRecord(clone, digests, denied, contents=raw.get("contents"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, WtenvError):
        pass
    return None


def judge(
    worktree: Worktree, sources: tuple[Source, ...], settings: Settings, record: AllowRecord, env: Mapping[str, str]
) -> Verdict:
    """Whether this content may take effect in this worktree, by its clone's record. A deny wins over all."""
    if record.denied:
        return DENIED
    unsafe, watch = find_unsafe(worktree, sources, env)
    if unsafe:
        return unsafe
    if compute_digest(sources) in record.allowed:
        return Verdict("allowed", "is allowed", "", watch)
    if record.damaged:
        reason = f"is not allowed ({record.damaged} is damaged)"
        return Verdict("unknown", reason, "look at it, then run: wtenv allow", watch)
    if any(_is_below(worktree.root, prefix) for prefix in settings.trusted):
        return Verdict("trusted", f"is trusted by {settings.path}", "", watch)
    if record.allowed:
        return Verdict("changed", "has changed since it was allowed", "look at it, then run: wtenv allow", watch)
    return Verdict("unknown", "is not allowed", "look at it, then run: wtenv allow", watch)


def find_unsafe(
    worktree: Worktree, sources: tuple[Source, ...], env: Mapping[str, str]
) -> tuple[Verdict | None, tuple[Path, ...]]:
    """What is said if another user could change the worktree, its git folders, the links between them or one of
    `sources`, else None; and the files beside these that decided it.

    `safe.directory` of git-config(1) excuses owners, as it does for git: those of the worktree, of its git folders
    and of the folders above them, who could put another worktree there. It never excuses a mode.
    """
    git = [worktree.root, worktree.root / ".git"]
    git += [worktree.common_dir, *worktree.watch] if worktree.common_dir else []
    places = [*git, *(source.path for source in sources if source.data is not None)]
    found = access.find_exposure(*places)
    if found is None:
        return None, ()
    watch: tuple[Path, ...] = ()
    fix = ""
    if found.owner is not None:
        from . import gitfiles

        watch = gitfiles.list_protected(env)
        owners = {info.st_uid for place in git for _, info in access.trace(place)[0]}
        rest = access.find_exposure(*places, owners=owners)
        if gitfiles.is_safe(worktree.root, env):
            found = rest
        elif found.owner in owners:
            fix = _advise(worktree, rest, env)
    if found is None:
        return None, watch
    return Verdict("unsafe", f"is refused: {found.reason}", fix or found.fix, watch), watch


def _advise(worktree: Worktree, rest: access.Exposure | None, env: Mapping[str, str]) -> str:
    """The fix where others own the worktree; rest: what would still be refused if that were excused."""
    import shlex

    if rest:
        return "make a worktree in a folder of your own"
    fix = f"if you trust them run: git config --global --add safe.directory {shlex.quote(str(worktree.root))}"
    # git would write into the home, and nothing in another user's counts (`su`, `sudo -s`).
    return f"set HOME to a folder of your own; then, {fix}" if access.find_exposure(Path(dirs.find_home(env))) else fix


def allow(worktree: Worktree, sources: tuple[Source, ...], env: Mapping[str, str]) -> tuple[str, ...]:
    """AllowRecord this content as allowed for this clone, and lift a deny. Returns the lines of what changed since the
    content that was allowed before, none if this one was already."""
    from . import contents

    digest, content = compute_digest(sources), contents.make(worktree, sources)
    with _lock(env):
        fixed = locate_records(worktree, env)[1:]
        if denied := next((path for path in fixed if _read_one(path, str(worktree.clone)).denied), None):
            raise WtenvError(
                f"{worktree.clone} is denied by {denied}, which can't be written", "lift that where it can"
            )
        record = read_record(worktree, env)
        others = contents.read(record.contents)
        digests = (*(item for item in record.allowed if item != digest), digest)
        kept = contents.add(content, others)
        _write(worktree, AllowRecord(record.clone, digests[-MAX_DIGESTS:], contents=kept), env)
    before = None if digest in record.allowed else contents.choose(content, others)
    return tuple(contents.compare(before, content)) if before else ()


def deny(worktree: Worktree, env: Mapping[str, str]) -> None:
    """Refuse this clone, whatever its content, and forget what was allowed."""
    with _lock(env):
        _write(worktree, AllowRecord(str(worktree.clone), denied=True), env)


@contextlib.contextmanager
def _lock(env: Mapping[str, str]) -> Iterator[None]:
    """Make the folder of the records and hold its lock: two commands at once would forget what one of them allowed,
    or an `allow` lift the `deny` that came in between."""
    import fcntl

    folder = Path(dirs.find_data(env)) / "trust"
    files.make_private_dir(folder.parent)
    files.make_private_dir(folder)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _write(worktree: Worktree, record: AllowRecord, env: Mapping[str, str]) -> None:
    import json

    path = locate_records(worktree, env)[0]
    data = {"clone": record.clone, "allowed": list(record.allowed), "denied": record.denied}
    if record.contents:
        data["contents"] = record.contents
    try:
        files.write_atomic(path, json.dumps(data, indent=1).encode() + b"\n", durable=True)
    except OSError as error:
        raise WtenvError(f"can't write {path} ({error.strerror})", "make it writable") from None


def _is_below(path: Path, prefix: Path) -> bool:
    return path == prefix or prefix in path.parents
