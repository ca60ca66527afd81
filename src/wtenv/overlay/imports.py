"""The import check: where the overlay's Python finds each declared module, and whether that is the declared copy."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import distributions
from ..errors import WtenvError
from ..worktree import find_root, open_worktree
from . import building
from .finders import ask_python
from .manifest import Editable, Manifest
from .modules import find_modules, list_inner
from .registry import Report


@dataclass(frozen=True)
class Import:
    """What an import of one declared module would give."""

    editable: Editable
    module: str
    origin: str  # the file or folder that the overlay's Python finds, empty if none
    right: bool  # it belongs to the declared package
    error: str = ""  # why looking for it failed


def check_imports(
    venv: Path, manifest: Manifest, editables: Sequence[Editable], env: Mapping[str, str], *, quiet: bool = False
) -> tuple[tuple[Import, ...], tuple[Editable, ...]]:
    """Where the overlay's Python finds the modules of `editables`, asked in one start; and those editables that are no
    longer installed as such. quiet: see `finders.ask_python`. WtenvError if that Python does not start."""
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
    answer = ask_python(venv, sorted(wanted), env, quiet=quiet)
    imports = []
    for module, (item, own) in wanted.items():
        origin = next(iter(answer.found.get(module, ())), "")
        real = os.path.realpath(origin)
        inside = Path(real).is_relative_to(os.path.realpath(venv))  # which may be inside of the declared package "."
        # In its project's folder a package may be a link that leads anywhere.
        linked = Path(os.path.realpath(os.path.dirname(os.path.dirname(origin))), *Path(origin).parts[-2:])
        right = real in own if inside else any(is_part(file, place) for file in (real, str(linked)) for place in own)
        if module in item.modules or module in answer.errors or (origin and not right):
            imports.append(Import(item, module, origin, bool(origin) and right, answer.errors.get(module, "")))
    return tuple(imports), tuple(lost)


def require_right(imports: Sequence[Import], whole: Collection[str], *, isolated: bool, report: Report) -> None:
    """WtenvError if a module comes from elsewhere, or if no module of a package is found. whole: the paths of packages
    of which every module must be found; isolated: the user has asked for isolated builds."""
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
    """Whether `file` is in `folder`, and not in another worktree of the same clone that lies inside of it (many have
    theirs in `.worktrees`). Both are real paths."""
    return Path(file).is_relative_to(folder) and not _is_elsewhere(file, folder)


def _is_elsewhere(file: str, folder: str) -> bool:
    """Whether the two are in different worktrees of one clone."""
    one, other = find_root(Path(file)), find_root(Path(folder))
    try:
        return bool(one and other and one != other and open_worktree(one).clone == open_worktree(other).clone)
    except WtenvError:
        return False


def _list_places(installed: distributions.Distribution, root: str) -> list[str]:
    """Where an editable's modules may be: in its folder; in the overlay, where its RECORD lists them; and in the
    folders that it puts on sys.path, if they are in its worktree or in the overlay's `root`."""
    source = installed.source
    recorded = [os.path.realpath(f"{installed.site}/{name}") for name in installed.list_files()]
    homes = (os.path.realpath(root), find_root(Path(source)) or source)
    _, places = find_modules(installed)
    real = [os.path.realpath(place) for place in places]
    inside = [place for place in real if any(map(Path(place).is_relative_to, homes))]
    return [source, *recorded, *(place for place in inside if not _is_elsewhere(place, source))]
