"""The lock under which an overlay is changed, and what an interrupted change left beside it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from .. import files
from . import manifest as manifests

Report = Callable[[str], None]


@contextlib.contextmanager
def lock(venv: Path, env: Mapping[str, str], report: Report | None) -> Iterator[None]:
    """Hold the overlay's lock; without `report` don't wait for it (BlockingIOError).

    flock: the lock of a process that died is free. Only who holds it may unlink the file (`prune`), and who gets
    it looks whether the file is still there: else two could be in.
    """
    place = manifests.record_path(venv, env).with_suffix(".lock")
    files.make_private_dir(place.parent.parent)
    files.make_private_dir(place.parent)
    while True:
        with hold(place, os.O_CREAT, report and (lambda: report(f"waiting for another sync of {venv}"))) as is_there:
            if is_there:
                yield
                return


@contextlib.contextmanager
def hold(place: Path, flags: int = 0, wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock of the file `place`; whether that is still the file of this name. Without `wait`, which is
    called before waiting, BlockingIOError if another process has it."""
    fd = os.open(place, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
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
    record_file = manifests.record_path(venv, env)
    record = manifests.read_record(record_file)
    if record is None or not record.leftovers:
        return True
    import shutil

    for name in record.leftovers:
        place = venv.with_name(name)
        if name.startswith(f"{venv.name}.") and not place.is_symlink() and place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
    gone = not any(os.path.lexists(venv.with_name(name)) for name in record.leftovers)
    if gone:
        manifests.write_record(record._replace(leftovers=()), record_file)
    return gone
