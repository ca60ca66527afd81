"""What builds and editables require and neither base nor overlay has: installed into the overlay, never over what is
declared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ..names import normalise
from . import building, pth
from . import installed as distributions
from .building import Isolation, Project, Uv
from .manifest import Manifest


def prepare_builds(
    manifest: Manifest,
    projects: Sequence[Project],
    declared: Collection[str],
    isolation: Isolation,
    open_uv: Callable[[], Uv],
) -> dict[Path, tuple[str, ...] | None]:
    """What each project would be built against, None where only an isolated build is possible. What an editable builds
    itself with at each import is put into the overlay if the base lacks it: with the environment of an isolated build
    it would be gone. `declared`: the names of all declared packages."""
    base, python_version = pth.list_base(manifest.base_site), manifest.python_version
    native = {item.path: building.match_base(item, base, python_version, declared) for item in projects}
    for item in projects if isolation is not True else ():
        if tools := building.find_tools(item, open_uv):
            if unmet := _find_unmet(tools, pth.list_base([*manifest.site, *manifest.base_site]), python_version):
                install_missing(open_uv, manifest, unmet, declared, unmet.values())
            have = pth.list_base([*manifest.site, *manifest.base_site])
            pins = building.match_base(item, have, python_version, declared)
            programs = (f"{name}=={have[name]}" for name in building.PROGRAMS if name in have)
            native[item.path] = pins and tuple(dict.fromkeys((*pins, *programs)))
    return native


def _find_unmet(requires: Iterable[str], have: Mapping[str, str], python_version: str) -> dict[str, str]:
    """Those of the requirements that `have`, normalised name -> version, does not satisfy, by name."""
    from packaging.requirements import InvalidRequirement, Requirement

    environment = {"python_version": ".".join(python_version.split(".")[:2]), "python_full_version": python_version}
    unmet = {}
    for text in requires:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.marker is None or wanted.marker.evaluate(environment):
            there = have.get(name := normalise(wanted.name), "")
            if not there or not wanted.specifier.contains(there, prereleases=True):
                unmet[name] = text
    return unmet


def install_missing(
    open_uv: Callable[[], Uv],
    manifest: Manifest,
    roots: Collection[str],
    declared: Collection[str],
    also: Collection[str] = (),
) -> None:
    """Install what neither the overlay nor the base has of what `roots` require, and `also`. What the base has stays
    the base's, and what is declared is never the index's."""
    import tempfile

    from packaging.requirements import Requirement

    base = pth.list_base(manifest.base_site)
    wanted: set[str] = set()
    folders = [*manifest.site, *manifest.base_site]
    while True:
        missing = {*also, *distributions.walk_requires(roots, folders, manifest.python_version)[1]} - wanted
        missing = {text for text in missing if normalise(Requirement(text).name) not in declared}
        if not missing:
            return
        wanted |= missing
        needed = {normalise(Requirement(text).name) for text in wanted}
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as excludes:
            excludes.write("\n".join(name for name in {*base, *roots, *declared} if name not in needed))
            excludes.flush()
            open_uv().pip("install", "--excludes", excludes.name, *sorted(wanted))
