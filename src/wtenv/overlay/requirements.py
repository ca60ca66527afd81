"""Requirements: what builds and editables need, and neither base nor overlay has, is installed into the overlay. What
is declared never comes from an index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ..distributions import find_all, list_versions
from ..names import normalise
from . import building
from .building import Isolation, Uv
from .manifest import Manifest
from .project import Project

REDIRECTOR = "editables"  # the package that hatchling's exact editables import when Python starts


def prepare_builds(
    manifest: Manifest,
    projects: Sequence[Project],
    declared: Collection[str],
    isolation: Isolation,
    open_uv: Callable[[], Uv],
) -> dict[Path, tuple[str, ...] | None]:
    """The packages that each project would be built against, see `match_base`; None where only an isolated build is
    possible. declared: the names of all declared packages.

    Some editables build themselves again when they are imported. What they need for that, and the base lacks, is
    installed into the overlay: an isolated build's environment is gone by then.
    """
    base, python_version = list_versions(manifest.base_site), manifest.python_version
    native = {item.path: building.match_base(item, base, python_version, declared) for item in projects}
    for item in projects if isolation is not True else ():
        if tools := building.find_tools(item, open_uv):
            if unmet := _find_unmet(tools, list_versions([*manifest.site, *manifest.base_site]), python_version):
                install_missing(open_uv, manifest, unmet, declared, unmet.values())
            have = list_versions([*manifest.site, *manifest.base_site])
            pins = building.match_base(item, have, python_version, declared)
            programs = (f"{name}=={have[name]}" for name in building.PROGRAMS if name in have)
            native[item.path] = pins and tuple(dict.fromkeys((*pins, *programs)))
    return native


def _find_unmet(requires: Iterable[str], have: Mapping[str, str], python_version: str) -> dict[str, str]:
    """The requirements that `have` (normalised name -> version) does not satisfy: name -> requirement."""
    from packaging.requirements import InvalidRequirement, Requirement

    environment = _make_environment(python_version)
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
    """Install what `roots` (names in the overlay) require, directly or not, and neither overlay nor base has; and
    `also`. Nothing is installed over what the base has or what is declared."""
    import tempfile

    from packaging.requirements import Requirement

    base = list_versions(manifest.base_site)
    wanted: set[str] = set()
    folders = [*manifest.site, *manifest.base_site]
    while True:
        missing = {*also, *walk_requires(roots, folders, manifest.python_version)[1]} - wanted
        missing = {text for text in missing if normalise(Requirement(text).name) not in declared}
        if not missing:
            return
        wanted |= missing
        needed = {normalise(Requirement(text).name) for text in wanted}
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as excludes:
            excludes.write("\n".join(name for name in {*base, *roots, *declared} if name not in needed))
            excludes.flush()
            open_uv().pip("install", "--excludes", excludes.name, *sorted(wanted))


def walk_requires(roots: Iterable[str], folders: Sequence[str], python_version: str) -> tuple[set[str], list[str]]:
    """The names that `roots` require, directly or not; and the requirements that no distribution in the site folders
    `folders` satisfies."""
    from packaging.requirements import InvalidRequirement, Requirement

    have = find_all(folders)
    environment = _make_environment(python_version)
    missing: list[str] = []
    queue = [(normalise(name), "") for name in roots]
    seen = set(queue)
    reached: set[str] = set()
    while queue:
        name, extra = queue.pop()
        for text in have[name].list_requires() if name in have else ():
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            if requirement.marker and not requirement.marker.evaluate({**environment, "extra": extra}):
                continue
            needed = normalise(requirement.name)
            reached.add(needed)
            there = have[needed].find_version() if needed in have else ""
            if not there or not requirement.specifier.contains(there, prereleases=True):
                requirement.marker = None
                missing.append(str(requirement))
            for wanted in {"", *requirement.extras}:
                if (needed, wanted) not in seen:
                    seen.add((needed, wanted))
                    queue.append((needed, wanted))
    return reached, sorted(set(missing))


def find_surplus(manifest: Manifest, wanted: Collection[str], tools: Collection[str] = (), *, deps: bool) -> set[str]:
    """The names of the distributions in the overlay that are not needed there. Needed are `wanted`; with `deps` all
    that these require, else only what an editable imports when Python starts; and `tools`, with which editables build
    themselves at their import."""
    surplus = list_versions(manifest.site).keys() - {*wanted}
    if surplus:
        folders = [*manifest.site, *manifest.base_site]
        needed, _ = walk_requires(wanted, folders, manifest.python_version)
        surplus -= needed if deps else needed & {REDIRECTOR}
        if tools:
            surplus -= {*tools, *walk_requires(tools, folders, manifest.python_version)[0]}
    return surplus


def _make_environment(python_version: str) -> dict[str, str]:
    """The environment for markers (PEP 508), as far as the version of the base's Python decides it."""
    return {"python_version": ".".join(python_version.split(".")[:2]), "python_full_version": python_version}
