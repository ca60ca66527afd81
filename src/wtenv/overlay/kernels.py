"""Kernel wrappers: the base's Jupyter kernels that run on its Python, changed to run on the overlay's.

A kernel spec names its program by an absolute path (Jupyter client's documentation, Kernel specs); so do those of
conda's packages and of `ipykernel install`. A notebook in the worktree would run on the base. So each such spec gets
one of the same name in the overlay, with the overlay's Python. How Jupyter finds that one: see `bootstrap/wrapper.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from .. import faults, files
from .manifest import Manifest
from .wrappers import find_names, is_python

FOLDER = "share/jupyter/kernels"
_MARK = "wtenv"  # in the metadata of a spec that wtenv wrote, and may change and remove


def refresh(venv: Path, manifest: Manifest) -> bool:
    """Give the overlay one wrapper for each such kernel, and remove all others. True if something changed.

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
    """The overlay's specs that have to change: path -> the spec as it shall be, empty for one that shall go."""
    wanted, base_prefix = {}, manifest.base
    names = find_names(manifest)
    for name in files.list_names(Path(base_prefix, FOLDER)):
        spec = files.read_object(Path(base_prefix, FOLDER, name, "kernel.json")) or {}
        words = spec.get("argv")
        if not isinstance(words, list) or not words or not isinstance(words[0], str) or "/" not in words[0]:
            continue  # a bare name: Jupyter takes the Python that it runs on itself
        if is_python(words[0], manifest, names):
            metadata = spec.get("metadata")
            metadata = {**(metadata if isinstance(metadata, dict) else {}), _MARK: True}
            # The files beside the spec (logos) stay in the base.
            beside = os.path.join(base_prefix, FOLDER, name)
            rest = [str(word).replace("{resource_dir}", beside) for word in words[1:]]
            wanted[name] = {**spec, "argv": [f"{venv}/bin/python", *rest], "metadata": metadata}
    changes = {}
    for name in {*files.list_names(venv / FOLDER), *wanted}:
        place = venv / FOLDER / name / "kernel.json"
        present = files.read_object(place) or {}
        if present != wanted.get(name, {}) and (not present or _is_ours(present)):
            changes[place] = wanted.get(name, {})
    return changes


def list_own(venv: Path) -> list[Path]:
    """The specs in the overlay that are wrappers."""
    places = (venv / FOLDER / name / "kernel.json" for name in files.list_names(venv / FOLDER))
    return [place for place in places if _is_ours(files.read_object(place) or {})]


def _is_ours(spec: dict[str, Any]) -> bool:
    metadata = spec.get("metadata")
    return isinstance(metadata, dict) and metadata.get(_MARK) is True
