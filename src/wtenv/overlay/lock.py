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

    flock: the lock of a process that died is free. The file stays: unlinking it would let two in.
    """
    place = manifests.record_path(venv, env).with_suffix(".lock")
    files.make_private_dir(place.parent.parent)
    files.make_private_dir(place.parent)
    fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if report is None:
                raise
            report(f"waiting for another sync of {venv}")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
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
