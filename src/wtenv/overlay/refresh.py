"""Refresh: twins and seal follow a base that changed, without a sync. Runs on the hook's way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .. import faults
from ..errors import WtenvError
from . import kernels, sealing, state, twins
from . import manifest as manifests
from .lock import lock
from .manifest import Manifest


def refresh(venv: Path, env: Mapping[str, str], *, always: bool = False) -> bool:
    """Let twins and seal follow a base that changed since (or `always`); True if something was written.

    Cheap where nothing changed (a few stats). Never waits, starts nothing, and leaves an overlay that is
    being synced, unfinished or not wtenv's alone.
    """
    venv = manifests.real_place(venv)
    manifest = manifests.read_manifest(venv)
    if manifest is None or not (always or manifests.is_behind(manifest, venv)):
        return False
    try:
        with lock(venv, env, None):
            manifest = manifests.read_manifest(venv)
            if manifest is None:
                return False
            verdict = state.inspect(venv, base_prefix=Path(manifest.base), editables=(), env=env)
            if not verdict.usable:
                return False
            stamps = manifests.stamp(manifests.list_sources(manifest, venv))
            changed = follow_base(venv, manifest)
            if faults.has_met():
                return changed  # what could not be looked at is not in it: to be done again
            stamps.update(manifests.stamp(manifests.list_sources(manifest, venv)[: 1 + len(manifest.site)]))
            before = (venv / manifests.MANIFEST).stat().st_mtime_ns
            manifests.write_manifest(manifest._replace(stamps=stamps), venv)
            # Not the present time: the caller is about to keep an answer that depends on the manifest,
            # and distrusts what changed just now.
            manifests.touch(venv, before)
            return changed
    except (OSError, WtenvError):
        return False


def follow_base(venv: Path, manifest: Manifest) -> bool:
    """Write seal, twins and kernels as the base is now, under the lock; True if something changed."""
    owned = {name for site in manifest.site for name in sealing.list_distributions(site)}
    steps = (
        sealing.write(manifest, owned),
        twins.refresh(venv, manifest),
        kernels.refresh(venv, manifest),
    )
    return any(steps)
