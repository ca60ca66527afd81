"""The overlay's folder as a whole: one rename puts it at its place, one takes it away. What is not wtenv's is moved
aside, never deleted."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import files
from ..console import make_printable
from ..errors import WtenvError
from . import inventory, layout, pth, registry, state
from . import manifest as manifests
from .layout import Facts
from .manifest import Manifest
from .registry import OverlayRecord, Report


def create(venv: Path, root: Path, base_prefix: Path, facts: Facts, env: Mapping[str, str]) -> Manifest:
    """Build a bare overlay beside its place, and put it there, marked as unfinished. What is there must be wtenv's; it
    goes aside, for `registry.remove_leftovers`. Raises OSError."""
    pth.check_base_sites(facts.sites)
    token = os.urandom(16).hex()
    fresh, aside = (venv.with_name(f"{venv.name}.{word}-{token[:8]}") for word in ("new", "old"))
    record_file = registry.record_path(venv, env)
    leftovers = (fresh.name, aside.name)
    if os.path.lexists(venv):
        # wtenv's, but unfinished, moved, copied or for another base. It is recorded first: if wtenv is killed here, it
        # is still known as wtenv's.
        seen = manifests.read_manifest(venv)
        known = registry.read_record(record_file)
        old = seen.token if seen else known.token if known else token
        inode = venv.lstat().st_ino
        registry.write_record(OverlayRecord(old, str(venv), inode, True, leftovers), record_file)
        files.move(venv, aside)
    registry.write_record(OverlayRecord(token, str(venv), 0, True, leftovers), record_file)
    fresh.parent.mkdir(parents=True, exist_ok=True)  # for a venv such as "build/env"
    fresh.mkdir(mode=0o700)  # else whoever may write to the folder above could write to `bin`
    layout.create(fresh, facts, root.name, token)
    manifest = draft(venv, root, base_prefix, facts)._replace(token=token)
    manifests.write_manifest(manifest, fresh)
    inode = fresh.lstat().st_ino
    registry.write_record(OverlayRecord(token, str(venv), inode, True, leftovers), record_file)
    fresh.rename(venv)
    return manifest


def draft(venv: Path, root: Path, base_prefix: Path, facts: Facts) -> Manifest:
    """The manifest that a bare overlay at `venv` would have, less its token."""
    libs = dict.fromkeys((facts.platlib, facts.purelib))
    return Manifest(
        token="",
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


def withdraw(venv: Path, env: Mapping[str, str]) -> None:
    """Take back an overlay that `create` has put there and that came to nothing, under the lock. Raises OSError."""
    import shutil

    aside = _announce_aside(venv, env)
    files.move(venv, aside)
    shutil.rmtree(aside)
    registry.record_path(venv, env).unlink(missing_ok=True)


def _announce_aside(venv: Path, env: Mapping[str, str]) -> Path:
    """A new name beside the overlay for what is about to be deleted, which the record has first: if wtenv is killed
    meanwhile, the next sync deletes the rest."""
    aside = venv.with_name(f"{venv.name}.old-{os.urandom(4).hex()}")
    record_file = registry.record_path(venv, env)
    if record := registry.read_record(record_file):
        with contextlib.suppress(OSError, WtenvError):  # a full disk is no reason to delete nothing
            registry.write_record(record._replace(leftovers=(*record.leftovers, aside.name)), record_file)
    return aside


def move_foreign_aside(venv: Path, report: Report) -> None:
    """Make room at `venv` without losing what is there."""
    if venv.is_symlink():
        venv.unlink()  # the link alone; the folder that it leads to is not wtenv's
        return
    aside = _name_aside(venv)
    files.move(venv, aside)
    report(f"the old {venv.name} is now {aside}")


def set_altered_aside(venv: Path, altered: Sequence[str], report: Report) -> None:
    """Take out of an overlay what neither wtenv nor a package has put there, without losing it. Raises OSError."""
    aside = _name_aside(venv)
    if moved := inventory.set_aside(venv, altered, aside):
        report(make_printable(f"{', '.join(moved)} of {venv.name} is now in {aside}"))


def _name_aside(venv: Path) -> Path:
    """A free name beside the overlay, for what is not wtenv's to delete."""
    number = 1
    while os.path.lexists(aside := venv.with_name(f"{venv.name}.replaced-{number}")):
        number += 1
    return aside


def remove(venv: Path, env: Mapping[str, str]) -> bool:
    """Remove the overlay at `venv`; False if there is none. WtenvError if it is not wtenv's.

    Renamed first, so that no shell sees half of it. No link is followed: neither a symlinked `.venv`
    nor a link inside it.
    """
    import shutil

    venv = manifests.real_place(venv)
    try:
        with registry.lock(venv, env, None):
            verdict = state.inspect(venv, base_prefix=Path("/"), editables=(), env=env)
            if verdict.kind == "foreign":
                raise WtenvError(verdict.reason, f"remove it yourself: rm -r {venv}")
            if not registry.remove_leftovers(venv, env):
                raise WtenvError(f"can't remove what a sync left beside {venv}", f"see: ls -d {venv}.*")
            if verdict.kind != "absent":
                aside = _announce_aside(venv, env)
                try:
                    venv.rename(aside)
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
                    _remove_in_place(venv, env)
                else:
                    shutil.rmtree(aside)
            registry.record_path(venv, env).unlink(missing_ok=True)
            return verdict.kind != "absent"
    except BlockingIOError:
        raise WtenvError(f"a sync of {venv} is running", "wait for it, or end it") from None
    except OSError as error:
        raise WtenvError(f"can't remove {venv} ({error.strerror or error})", "fix that") from None


def _remove_in_place(venv: Path, env: Mapping[str, str]) -> None:
    """For a folder that can't be renamed, as it is part of a lower layer of an overlay file system (`files.move`). It
    is marked as unfinished first; pyvenv.cfg, which has the token, goes last."""
    import shutil

    if registry.read_record(registry.record_path(venv, env)):
        registry.set_building(venv, env, building=True)
    for entry in sorted(os.scandir(venv), key=lambda entry: entry.name == "pyvenv.cfg"):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    venv.rmdir()
