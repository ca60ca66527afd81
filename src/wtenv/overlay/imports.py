"""The proof: where the overlay's Python finds each declared module, and whether that is the declared copy."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import distributions
from ..errors import WtenvError
from ..worktree import find_root, open_worktree
from . import building, layout
from .exclusive import Report
from .manifest import Editable, Manifest
from .modules import find_modules, list_inner


@dataclass(frozen=True)
class Import:
    """What an import gives. origin: the file (or folder) that the overlay's Python finds, empty if none;
    right: whether it belongs to the declared package; error: why looking for it failed."""

    editable: Editable
    module: str
    origin: str
    right: bool
    error: str = ""


def prove(
    venv: Path, manifest: Manifest, editables: Sequence[Editable], env: Mapping[str, str]
) -> tuple[tuple[Import, ...], tuple[Editable, ...]]:
    """Ask the overlay's Python, in one start, where the modules of `editables` come from. Second: those that are
    not installed as editables any more. WtenvError if that Python does not start."""
    installed = distributions.list_installed(manifest.site)
    wanted: dict[str, tuple[Editable, list[str]]] = {}
    lost = []
    for item in editables:
        found = installed.get(item.name)
        if found is None or found.source != item.source:
            lost.append(item)
            continue
        names = dict.fromkeys([*item.modules, *list_inner(found)])
        wanted.update(dict.fromkeys(names, (item, _list_places(found, manifest.root))))
    env = building.make_env(env, os.fspath(venv / "bin"), manifest.base_bin)
    origins, errors = layout.locate(venv, sorted(wanted), env)
    imports = []
    for module, (item, own) in wanted.items():
        origin = origins.get(module, "")
        real = os.path.realpath(origin)
        inside = Path(real).is_relative_to(os.path.realpath(venv))  # an overlay may be inside of what "." declares
        # A package may be a link in its project's folder, to wherever.
        linked = Path(os.path.realpath(os.path.dirname(os.path.dirname(origin))), *Path(origin).parts[-2:])
        right = real in own if inside else any(is_part(file, place) for file in (real, str(linked)) for place in own)
        if module in item.modules or module in errors or (origin and not right):
            imports.append(Import(item, module, origin, bool(origin) and right, errors.get(module, "")))
    return tuple(imports), tuple(lost)


def judge(imports: Sequence[Import], whole: Collection[str], *, isolated: bool, report: Report) -> None:
    """WtenvError if a module comes from elsewhere, or if nothing of a package is found, or not all of those at the
    paths `whole`. isolated: whether they were built so by the user's will."""
    found = {each.editable.path for each in imports if each.origin}
    for each in imports:
        item = each.editable
        if each.error:
            fix = "fix its build" if not isolated else 'set build_isolation = "auto"'
            what = f"import {each.module} of {item.path} would fail: {each.error}"
            raise WtenvError(what, f"{fix} and run: wtenv sync")
        if not each.origin and (item.path not in found or item.path in whole):
            raise WtenvError(f"import {each.module} would fail: {item.path} was installed without it", "fix its build")
        if not each.origin:
            report(f"{item.name}: its module {each.module} can't be found; is it built?")
        elif not each.right:
            raise WtenvError(
                f"import {each.module} would give {each.origin}, not the worktree's copy in {item.path}",
                "remove that one from the base, or tell wtenv's authors",
            )


def is_part(file: str, folder: str) -> bool:
    """Whether `file` is in `folder`, and not in another worktree of the same clone that lies inside of it (as many
    have them in `.worktrees`). Both are real paths."""
    return Path(file).is_relative_to(folder) and not _is_elsewhere(file, folder)


def _is_elsewhere(file: str, folder: str) -> bool:
    """Whether the two are in different worktrees of one clone."""
    one, other = find_root(Path(file)), find_root(Path(folder))
    try:
        return bool(one and other and one != other and open_worktree(one).clone == open_worktree(other).clone)
    except WtenvError:
        return False


def _list_places(installed: distributions.Distribution, root: str) -> list[str]:
    """Where an editable's modules may be: in its folder; where its build put them into the overlay; and in the
    folders that it put on the path, in so far as they are in its worktree, or in the overlay's `root`."""
    source = installed.source
    recorded = [os.path.realpath(f"{installed.site}/{name}") for name in installed.list_files()]
    homes = (os.path.realpath(root), find_root(Path(source)) or source)
    _, places = find_modules(installed)
    real = [os.path.realpath(place) for place in places]
    inside = [place for place in real if any(map(Path(place).is_relative_to, homes))]
    return [source, *recorded, *(place for place in inside if not _is_elsewhere(place, source))]
