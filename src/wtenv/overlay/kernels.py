"""Kernel wrappers: the base's Jupyter kernels that run on its Python, on the overlay's.

A kernel spec names its program by an absolute path, conda's as those that `ipykernel install` writes, so a
notebook of the worktree would run on the base. Each such spec gets one in the overlay with another program
(Jupyter client, "Kernel specs"); where Jupyter finds it, see `bootstrap/wrapper.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from .. import faults, files
from ..errors import WtenvError
from .manifest import Manifest
from .wrappers import find_names, is_python

FOLDER = "share/jupyter/kernels"
_MARK = "wtenv"  # in the spec's metadata: it is ours to change and to remove


def refresh(venv: Path, manifest: Manifest) -> bool:
    """Make the overlay have exactly one wrapper for each such kernel; True if something changed.

    A spec that the overlay has itself (a package's) is left alone.
    """
    changes = find_changes(venv, manifest)
    if faults.has_met():
        return False
    for place, spec in changes.items():
        if spec:
            place.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomic(place, json.dumps(spec, indent=1).encode() + b"\n", 0o644)
        else:
            place.unlink()
            for folder in (place.parent, *place.parent.parents[:3]):  # share/jupyter/kernels, if empty
                with contextlib.suppress(OSError):
                    folder.rmdir()
    return bool(changes)


def find_changes(venv: Path, manifest: Manifest) -> dict[Path, dict[str, Any]]:
    """The overlay's specs that are not as they shall be, and what they shall be; empty for one that shall go."""
    wanted, base_prefix = {}, manifest.base
    names = find_names(manifest)
    for name in _list(Path(base_prefix, FOLDER)):
        spec = _read(Path(base_prefix, FOLDER, name, "kernel.json"))
        words = spec.get("argv")
        if not isinstance(words, list) or not words or not isinstance(words[0], str) or "/" not in words[0]:
            continue  # by name alone: Jupyter itself takes the Python that it runs on
        if is_python(words[0], manifest, names):
            metadata = spec.get("metadata")
            metadata = {**(metadata if isinstance(metadata, dict) else {}), _MARK: True}
            # What lies beside the spec stays there.
            beside = os.path.join(base_prefix, FOLDER, name)
            rest = [str(word).replace("{resource_dir}", beside) for word in words[1:]]
            wanted[name] = {**spec, "argv": [f"{venv}/bin/python", *rest], "metadata": metadata}
    changes = {}
    for name in {*_list(venv / FOLDER), *wanted}:
        place = venv / FOLDER / name / "kernel.json"
        present = _read(place)
        if present != wanted.get(name, {}) and (not present or _is_ours(present)):
            changes[place] = wanted.get(name, {})
    return changes


def list_own(venv: Path) -> list[Path]:
    """The specs in the overlay that are wrappers."""
    places = (venv / FOLDER / name / "kernel.json" for name in _list(venv / FOLDER))
    return [place for place in places if _is_ours(_read(place))]


def _is_ours(spec: dict[str, Any]) -> bool:
    metadata = spec.get("metadata")
    return isinstance(metadata, dict) and metadata.get(_MARK) is True


def _list(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _read(path: Path) -> dict[str, Any]:
    """The spec at `path`; empty if it is missing, or none."""
    try:
        data = json.loads(files.read_bytes(path))
    except (OSError, ValueError, RecursionError, WtenvError):
        return {}
    return data if isinstance(data, dict) else {}
