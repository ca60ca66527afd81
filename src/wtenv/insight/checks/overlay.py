"""Checks of the overlay: it is wtenv's and current, runs, and puts this worktree's copies first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ... import distributions
from ...console import make_printable
from ...errors import WtenvError
from ...overlay import building, kernels, pth, requirements, wrappers
from ...overlay.activate import render_activate
from ...overlay.manifest import Manifest
from ..origins import Overlay, find_interpreter, is_program
from .context import Context, Finding, note, ok, problem

_REFRESH, _REBUILD, _ANEW = (
    "run: wtenv doctor --fix",
    "run: wtenv sync --reinstall",
    "run: wtenv clean && wtenv sync",
)


def check_overlay(context: Context) -> Iterator[Finding]:
    """Present, built by wtenv for this place, and as the config declares it."""
    state, config = context.decision.overlay, context.decision.config
    if state is None or config is None:
        return
    if state.kind == "current":
        yield ok(f"{config.venv} is current")
    elif state.kind == "foreign":
        yield problem(state.reason, state.fix)
    else:
        yield problem(state.reason, state.fix, repair="sync" if state.sync_fixes else "")


def check_python(context: Context) -> Iterator[Finding]:
    """Its Python runs, and is the base's."""
    manifest, config = context.manifest, context.decision.config
    if manifest is None or config is None:
        return
    python = config.venv / "bin" / "python"
    if isinstance(context.imports, WtenvError):
        first, *rest = context.imports.what.strip().splitlines()
        yield problem(first.rstrip(":"), context.imports.fix, *rest)
    else:
        yield ok(f"{python} is the base's Python {manifest.python_version}")


def check_editables(context: Context) -> Iterator[Finding]:
    """Every declared package is imported from where it is declared: asked of the overlay's Python."""
    config = context.decision.config
    if context.manifest is None or config is None or isinstance(context.imports, WtenvError):
        return
    imports, lost = context.imports
    for item in lost:
        what = f"{item.name} is not installed from {item.path} any more"
        yield problem(what, "run: wtenv sync", "pip has replaced or removed it", repair="sync")
    for each in imports:
        if not each.origin:
            what = f"import {each.module} fails: {each.editable.path} declares it, but it can't be found"
            yield problem(what, _REBUILD, repair="rebuild")
        elif not each.right:
            what, declared = f"import {each.module} gives {each.origin}", f"declared is {each.editable.path}"
            if Path(each.origin).is_relative_to(config.venv):  # put there by hand
                yield problem(what, _ANEW, declared)
            else:
                yield problem(what, _REBUILD, declared, repair="rebuild")
    good = [each.module for each in imports if each.right]
    if len(good) == len(imports) and not lost:
        yield ok(f"import gives the declared copies of {', '.join(good)}" if good else "none is declared")


def check_wrappers(context: Context) -> Iterator[Finding]:
    """Every script of the overlay's bin runs on its Python: by what links and first lines say, nothing is run."""
    manifest, config = context.manifest, context.decision.config
    if manifest is None or config is None:
        return
    faults = wrappers.find_faults(config.venv, manifest)
    changes = kernels.find_changes(config.venv, manifest)
    faults += [f"{place} is no wrapper of the base's kernel" for place in sorted(changes)]
    if faults:
        what = f"{len(faults)} of the base's scripts and kernels don't run on the overlay's Python"
        yield problem(what, _REFRESH, *faults[:5], repair="refresh")
    folder = config.venv / "bin"
    strange: list[str] = []
    for name in sorted(os.listdir(folder)):
        place = str(folder / name)
        if wrappers.read_wrapper(place) or not os.access(place, os.X_OK):
            continue
        python = find_interpreter(place, str(folder))
        if python and os.path.realpath(os.path.dirname(python)) != os.path.realpath(folder):
            strange.append(f"{place} runs on {python}")
    if strange:
        yield problem("scripts of the overlay run on another Python", _REBUILD, *strange[:5], repair="rebuild")
    if lost := [place for place in _list_scripts(manifest, str(folder)) if not is_program(place)]:
        what = "scripts of the declared packages are missing, or can't be executed"
        yield problem(what, _REBUILD, *lost[:5], repair="rebuild")
    places = [place for place in context.effective.get("PATH", "").split(":") if place and place != str(folder)]
    if others := wrappers.find_others(manifest, places, os.listdir(folder)):
        listed = [make_printable(f"{path}: {why}") for path, why in sorted(others.items())]
        yield note("these run on the base's own Python, and don't see this worktree's packages", "", *listed)
    if not faults and not strange and not lost and not others:
        yield ok("every Python script and kernel of base and overlay runs on the overlay's Python")


def _list_scripts(manifest: Manifest, folder: str) -> Iterator[str]:
    """What the editables' installs have put into the overlay's `bin`."""
    own = {item.name for item in manifest.editables}
    for site in manifest.site:
        for name, item in distributions.list_installed([site]).items():
            files = item.list_files() if name in own else ()
            paths = (os.path.normpath(os.path.join(site, file)) for file in files)
            yield from sorted(path for path in paths if os.path.dirname(path) == folder)


def check_bootstrap(context: Context) -> Iterator[Finding]:
    """What puts the base behind the overlay is whole; which copies of declared packages the base has, too."""
    manifest, config = context.manifest, context.decision.config
    if manifest is None or config is None:
        return
    wrong = pth.find_outdated(manifest)
    if wrong:
        what = "what puts the base behind the overlay is damaged"
        yield problem(what, _REFRESH, *(f"{manifest.site[-1]}/{name}" for name in wrong), repair="refresh")
    asked = Overlay(config.venv, manifest, context.directory, (), context.plain)
    copies = [
        f"{copy.name} {copy.version}".strip() + f" in {copy.place}"
        for item in manifest.editables
        for copy in asked.find_distributions(item.name)
        if copy.layer == "base"
    ]
    if copies and not wrong:
        yield note("the base has copies of declared packages; the overlay's win", "", *copies)
    elif not wrong:
        yield ok("the overlay comes before the base, which has no copy of what is declared")


def check_activate(context: Context) -> Iterator[Finding]:
    """The scripts that editors source are this version's."""
    config = context.decision.config
    if context.manifest is None or config is None:
        return
    if wrong := pth.find_differences(config.venv / "bin", render_activate(config.venv)):
        places = [f"{config.venv}/bin/{name}" for name in wrong]
        yield problem(
            "the scripts that editors source are another version's, or another installation's",
            "run: wtenv sync",
            *places,
            repair="sync",
        )
    else:
        yield ok("bin/activate gives the hook's activation")


def check_undeclared(context: Context) -> Iterator[Finding]:
    """Packages that were installed into the overlay by hand."""
    manifest, config = context.manifest, context.decision.config
    if manifest is None or config is None:
        return
    names, tools = {item.name for item in manifest.editables}, building.list_tools(manifest.editables)
    surplus = requirements.find_surplus(manifest, names, tools, deps=config.install_deps)
    if not surplus:
        yield ok("the overlay has nothing that no config declares")
        return
    versions = {name: item.version for name, item in distributions.list_installed(manifest.site).items()}
    listed = [f"{name} {versions.get(name, '')}".strip() for name in sorted(surplus)]
    what = "the overlay has packages that no config declares"
    yield note(what, "to remove them, run: wtenv sync; to keep them at a sync: wtenv sync --inexact", *listed)
