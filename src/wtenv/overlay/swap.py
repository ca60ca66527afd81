"""Placement: the overlay's folder comes to its place by one rename, and its record says whether it is finished."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import files
from . import inventory, layout, pth
from . import manifest as manifests
from .exclusive import Report
from .layout import Facts
from .manifest import Manifest, OverlayRecord


def create(venv: Path, root: Path, base_prefix: Path, facts: Facts, env: Mapping[str, str]) -> Manifest:
    """Build a bare overlay beside the place, and put it there, marked as unfinished. What is there must be
    ours; it goes aside, for `lock.remove_leftovers`. Raises OSError."""
    pth.check_base_sites(facts.sites)
    token = os.urandom(16).hex()
    fresh, aside = (venv.with_name(f"{venv.name}.{word}-{token[:8]}") for word in ("new", "old"))
    record_file = manifests.record_path(venv, env)
    leftovers = (fresh.name, aside.name)
    if os.path.lexists(venv):
        # Ours, but unfinished, moved, copied or for another base. Adopted first: killed here,
        # it is still known as ours.
        seen = manifests.read_manifest(venv)
        known = manifests.read_record(record_file)
        old = seen.token if seen else known.token if known else token
        inode = venv.lstat().st_ino
        manifests.write_record(OverlayRecord(old, str(venv), inode, True, leftovers), record_file)
        files.move(venv, aside)
    manifests.write_record(OverlayRecord(token, str(venv), 0, True, leftovers), record_file)
    fresh.parent.mkdir(parents=True, exist_ok=True)  # venv = "build/env"
    fresh.mkdir(mode=0o700)  # whoever may write to the folder above could else write to `bin`
    layout.create(fresh, facts, root.name, token)
    libs = dict.fromkeys((facts.platlib, facts.purelib))
    manifest = Manifest(
        token=token,
        root=os.fspath(root),
        venv=os.fspath(venv),
        base=os.fspath(base_prefix),
        interpreter=facts.interpreter,
        interpreter_id=manifests.identify(facts.interpreter),
        python_version=facts.version,
        site=tuple(os.fspath(venv / lib) for lib in libs),
        base_bin=os.fspath(base_prefix / "bin"),
        base_site=facts.sites,
    )
    manifests.write_manifest(manifest, fresh)
    inode = fresh.lstat().st_ino
    manifests.write_record(OverlayRecord(token, str(venv), inode, True, leftovers), record_file)
    fresh.rename(venv)
    return manifest


def mark(venv: Path, env: Mapping[str, str], *, building: bool) -> None:
    """Say in the record whether the overlay is being changed."""
    record_file = manifests.record_path(venv, env)
    record = manifests.read_record(record_file)
    assert record is not None
    manifests.write_record(record._replace(building=building), record_file)
    with contextlib.suppress(OSError):
        # The mark is outside of what open shells watch; the manifest's time tells them.
        manifests.touch(venv)


def move_foreign_aside(venv: Path, report: Report) -> None:
    """Make room at `venv` without losing what is there."""
    if venv.is_symlink():
        venv.unlink()  # the link alone; where it leads is not ours
        return
    aside = name_aside(venv)
    files.move(venv, aside)
    report(f"the old {venv.name} is now {aside}")


def set_wrong_aside(venv: Path, wrong: Sequence[str], report: Report) -> None:
    """Take out of an overlay what neither wtenv nor a package has put there, without losing it. Raises OSError."""
    aside = name_aside(venv)
    if moved := inventory.set_aside(venv, wrong, aside):
        report(f"{', '.join(moved)} of {venv.name} is now in {aside}")


def name_aside(venv: Path) -> Path:
    """A free name beside the overlay, for what is not wtenv's to delete."""
    number = 1
    while os.path.lexists(aside := venv.with_name(f"{venv.name}.replaced-{number}")):
        number += 1
    return aside
