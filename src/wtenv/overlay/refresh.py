"""Refresh: bootstrap, wrappers, links and kernels follow a changed base, without a sync. A first `cd` does it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .. import faults
from ..errors import WtenvError
from . import inventory, kernels, links, pth, state, wrappers
from . import manifest as manifests
from .manifest import Manifest
from .registry import lock_soon


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
        with lock_soon(venv, env):
            # Again: another process may just have been writing it.
            manifest = manifests.read_manifest(venv)
            verdict = state.inspect(venv, base_prefix=Path(manifest.base if manifest else "/"), editables=(), env=env)
            return bool(manifest and verdict.usable and _follow(venv, manifest))
    except BlockingIOError:
        raise WtenvError(f"another process is changing {venv}", "wait for it", cacheable=False) from None
    except (OSError, WtenvError) as error:
        if manifest and is_up_to_date(venv, manifest):
            return False  # all is up to date; only the manifest could not be written
        cause = error.what if isinstance(error, WtenvError) else error.strerror or str(error)
        what = f"{venv} can't follow its base, which has changed ({cause})"
        raise WtenvError(what, "make it writable, then run: wtenv sync", cacheable=False) from None


def _follow(venv: Path, manifest: Manifest) -> bool:
    own = [venv, venv / "bin", *map(Path, manifest.site)]
    times = {folder: folder.stat().st_mtime_ns for folder in own}
    sources = manifests.read_times(manifests.list_sources(manifest, venv))
    make_private(venv)
    changed = follow_base(venv, manifest)
    if faults.has_met():
        return changed  # something could not be looked at: nothing is noted, so that it is done again
    # A time just after the former one, not the present: the caller is about to keep an answer that depends on these
    # folders, and keeps none if one changed just now.
    for folder in own[1:]:
        if folder.stat().st_mtime_ns != times[folder]:
            manifests.advance_time(folder, times[folder])
    new = with_inventory(venv, manifest._replace(times=sources))
    if not faults.has_met():
        manifests.write_manifest(new, venv)
        manifests.advance_time(venv, times[venv])
    return changed


def follow_base(venv: Path, manifest: Manifest) -> bool:
    """Write links, bootstrap, wrappers and kernels as they have to be now; True if something changed. The caller holds
    the lock."""
    changed = links.refresh(manifest)
    return any([changed, pth.write(manifest), wrappers.refresh(venv, manifest), kernels.refresh(venv, manifest)])


def is_up_to_date(venv: Path, manifest: Manifest) -> bool:
    """Whether `follow_base` has nothing to do, and the overlay's folder is private."""
    return not (
        pth.find_outdated(manifest)
        or wrappers.find_faults(venv, manifest)
        or kernels.find_changes(venv, manifest)
        or links.scan(links.locate(manifest)) != links.plan(manifest)
        or not manifests.is_private(venv)
    )


def make_private(venv: Path) -> None:
    """Make the overlay's folder 0700, so that others can't write to what is in it, whatever its mode."""
    if not manifests.is_private(venv):
        venv.chmod(0o700)


def with_inventory(venv: Path, manifest: Manifest) -> Manifest:
    """`manifest` with the inventory of what lies in the overlay now, and the present times of the overlay's folders."""
    present, owned = inventory.take(venv, manifest.site, (item.name for item in manifest.editables))
    own = manifests.read_times([os.fspath(venv / "bin"), *manifest.site])
    return manifest._replace(contents=present, owned=owned, times={**manifest.times, **own})
