"""The overlays that wtenv made: a record for each in the user's private folder, and its lock.

The record (`DATA/overlays/<hash>.json`) proves that it was wtenv who made that folder at that place: record and
manifest have the same random token, so a `.venv` that came with a checkout, an archive or a copy can't pass for
wtenv's. It also tells whether a sync is at work. The hook's first `cd` reads it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .. import dirs, files
from ..digest import sha256
from .manifest import advance_time, real_place

PATIENCE = 1.0  # seconds: by then another shell's refresh is done; a sync takes longer, and says so itself

Report = Callable[[str], None]
"""Takes one line for people, about a step that takes time."""


class OverlayRecord(NamedTuple):
    """One overlay that wtenv made."""

    token: str
    """The random text that its manifest and its pyvenv.cfg have, too."""
    venv: str
    """Its path."""
    inode: int
    """Its folder's inode. Alone it proves nothing: it may be given to a new folder."""
    building: bool
    """A sync is changing it, or was interrupted."""
    leftovers: tuple[str, ...] = ()
    """The names of folders beside it that an interrupted sync may have left."""


def record_path(venv: Path, env: Mapping[str, str]) -> Path:
    """Where the record of the overlay at `venv` is (whether or not there is one): the newest, where one was made before
    that can't be written."""
    digest = sha256(os.fsencode(real_place(venv))).hexdigest()
    places = [Path(folder, "overlays", f"{digest[:32]}.json") for folder in dirs.list_data(env)]
    return places[0] if len(places) == 1 else max(places, key=_read_time)


def _read_time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _adopt_record(venv: Path, env: Mapping[str, str]) -> Path:
    """Make the folder of the overlays' records, with the record of `venv` in it, if one lies where it can't be written;
    returns where it is written. Raises OSError."""
    old = record_path(venv, env)
    place = Path(dirs.find_data(env), "overlays", old.name)
    files.make_private_dir(place.parent.parent)
    files.make_private_dir(place.parent)
    if old != place:
        files.write_atomic(place, files.read_bytes(old))
    return place


def read_record(path: Path) -> OverlayRecord | None:
    """The record at `path`, or None if it is missing or damaged."""
    data = files.read_object(path)
    if data is None:
        return None
    try:
        record = OverlayRecord(**{**data, "leftovers": tuple(data["leftovers"])})
    except (TypeError, KeyError):
        return None
    return record if isinstance(record.token, str) and isinstance(record.venv, str) else None


def list_records(env: Mapping[str, str]) -> tuple[tuple[Path, OverlayRecord], ...]:
    """Every record, with its file, sorted by the overlay's place."""
    found = [(file, read_record(file)) for file in (Path(dirs.find_data(env)) / "overlays").glob("*.json")]
    named = [(file, item) for file, item in found if item and record_path(Path(item.venv), env) == file]
    return tuple(sorted(named, key=lambda pair: os.fsencode(pair[1].venv)))


def write_record(record: OverlayRecord, path: Path) -> None:
    """Write the record, whole or not at all, readable by the user alone."""
    files.make_private_dir(path.parent.parent)
    files.make_private_dir(path.parent)
    files.write_atomic(path, json.dumps(record._asdict(), indent=1).encode() + b"\n")


def set_building(venv: Path, env: Mapping[str, str], *, building: bool) -> None:
    """Say in the record whether the overlay is being changed."""
    record_file = record_path(venv, env)
    record = read_record(record_file)
    assert record is not None
    write_record(record._replace(building=building), record_file)
    with contextlib.suppress(OSError):
        # The record is outside of what open shells watch; the time of the overlay's folder tells them.
        advance_time(venv)


@contextlib.contextmanager
def lock(venv: Path, env: Mapping[str, str], report: Report | None) -> Iterator[None]:
    """Hold the overlay's lock; without `report` don't wait for it (BlockingIOError).

    flock: the lock of a process that died is free. Only who holds it may unlink the file (`prune`), and who gets
    it looks whether the file is still there: else two could be in.
    """
    from functools import partial  # a prompt only reads records

    place = _adopt_record(venv, env).with_suffix(".lock")
    wait = partial(report, f"waiting for another sync of {venv}") if report else None
    with contextlib.ExitStack() as stack:
        for other in dirs.list_data(env)[1:]:  # of those who can write there; to lock it, it need only be read
            with contextlib.suppress(FileNotFoundError, PermissionError):
                stack.enter_context(hold(Path(other, "overlays", place.name), os.O_RDONLY, wait))
        while True:
            with hold(place, os.O_RDWR | os.O_CREAT, wait) as is_there:
                if is_there:
                    yield
                    return


@contextlib.contextmanager
def lock_soon(venv: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Hold the overlay's lock; BlockingIOError if another process has it for long."""
    import time  # a prompt only reads records

    end = time.monotonic() + PATIENCE
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(lock(venv, env, None))
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield


@contextlib.contextmanager
def hold(place: Path, flags: int = os.O_RDWR, wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock of the file `place`; whether that is still the file of this name. Without `wait`, which is
    called before waiting, BlockingIOError if another process has it."""
    import fcntl  # a prompt only reads records

    fd = os.open(place, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wait is None:
                raise
            wait()
            fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            is_there = os.path.samestat(os.fstat(fd), os.lstat(place))
        except FileNotFoundError:
            is_there = False
        yield is_there
    finally:
        os.close(fd)


def remove_leftovers(venv: Path, env: Mapping[str, str]) -> bool:
    """Delete what a sync had put beside the overlay, only names that the record has; False if some is left."""
    record_file = record_path(venv, env)
    record = read_record(record_file)
    if record is None or not record.leftovers:
        return True
    import shutil

    for name in record.leftovers:
        place = venv.with_name(name)
        if name.startswith(f"{venv.name}.") and not place.is_symlink() and place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
    gone = not any(os.path.lexists(venv.with_name(name)) for name in record.leftovers)
    if gone:
        write_record(record._replace(leftovers=()), record_file)
    return gone
