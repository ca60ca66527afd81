"""Refresh: wrappers, bootstrap and notes follow what has changed, without a sync. Runs on the hook's way."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from .. import faults
from ..distributions import list_versions
from ..errors import WtenvError
from . import inventory, kernels, pth, state, wrappers
from . import manifest as manifests
from .exclusive import lock
from .manifest import Manifest

PATIENCE = 1.0  # seconds: another shell's refresh is done by then, a sync says itself that it is at it


def refresh(venv: Path, env: Mapping[str, str], *, always: bool = False) -> bool:
    """Let bootstrap, wrappers and kernels follow what changed since (or `always`), and note what another tool has
    installed. True if something was written.

    Cheap where nothing changed (a few stats). Starts nothing. Leaves alone an overlay that is being synced, that is
    unfinished, or that is not as wtenv made it. WtenvError if something had to be written and could not be.
    """
    venv = manifests.real_place(venv)
    manifest = manifests.read_manifest(venv)
    if manifest is None:
        return False
    verdict = state.inspect(venv, base_prefix=Path(manifest.base), editables=(), env=env)
    if not (always or verdict.needs_refresh):
        return False
    try:
        with _lock_soon(venv, env):
            # Again: another process may just have been writing it.
            manifest = manifests.read_manifest(venv)
            verdict = state.inspect(venv, base_prefix=Path(manifest.base if manifest else "/"), editables=(), env=env)
            return bool(manifest and verdict.usable and _follow(venv, manifest))
    except BlockingIOError:
        raise WtenvError(f"another process is changing {venv}", "wait for it", cacheable=False) from None
    except (OSError, WtenvError) as error:
        if manifest and is_in_step(venv, manifest):
            return False  # only the note that it is could not be written
        cause = error.what if isinstance(error, WtenvError) else error.strerror or str(error)
        what = f"{venv} can't follow its base, which has changed ({cause})"
        raise WtenvError(what, "make it writable, then run: wtenv sync", cacheable=False) from None


def _follow(venv: Path, manifest: Manifest) -> bool:
    own = [venv, venv / "bin", *map(Path, manifest.site)]
    times = {folder: folder.stat().st_mtime_ns for folder in own}
    stamps = manifests.stamp(manifests.list_sources(manifest, venv))
    tighten(venv)
    changed = follow_base(venv, manifest)
    if faults.has_met():
        return changed  # what could not be looked at is not in it: to be done again
    # Not the present time: the caller is about to keep an answer that depends on these folders, and distrusts what
    # changed just now.
    for folder in own[1:]:
        if folder.stat().st_mtime_ns != times[folder]:
            manifests.touch(folder, times[folder])
    noted = note(venv, manifest._replace(stamps=stamps))
    if not faults.has_met():
        manifests.write_manifest(noted, venv)
        manifests.touch(venv, times[venv])
    return changed


@contextlib.contextmanager
def _lock_soon(venv: Path, env: Mapping[str, str]) -> Iterator[None]:
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


def follow_base(venv: Path, manifest: Manifest) -> bool:
    """Write bootstrap, wrappers and kernels as the base is now, under the lock; True if something changed."""
    steps = (
        pth.write(manifest, _list_owned(manifest)),
        wrappers.refresh(venv, manifest),
        kernels.refresh(venv, manifest),
    )
    return any(steps)


def is_in_step(venv: Path, manifest: Manifest) -> bool:
    """Whether `follow_base` has nothing to do, and the user alone can reach the overlay."""
    bootstrap = pth.render(manifest, _list_owned(manifest))
    return not (
        pth.find_differences(Path(manifest.site[-1]), bootstrap)
        or wrappers.find_faults(venv, manifest)
        or kernels.find_changes(venv, manifest)
        or not manifests.is_private(venv)
    )


def _list_owned(manifest: Manifest) -> set[str]:
    return {*list_versions(manifest.site)}


def tighten(venv: Path) -> None:
    """Make the overlay's folder 0700: others may write to the folder that holds it, and to what is in it."""
    if not manifests.is_private(venv):
        venv.chmod(0o700)


def note(venv: Path, manifest: Manifest) -> Manifest:
    """The manifest with what lies in the overlay now, and the present times of the overlay's own folders."""
    present, owned = inventory.take(venv, manifest.site, (item.name for item in manifest.editables))
    own = manifests.stamp([os.fspath(venv / "bin"), *manifest.site])
    return manifest._replace(contents=present, owned=owned, stamps={**manifest.stamps, **own})
