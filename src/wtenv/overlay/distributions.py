"""What is installed in an overlay: distributions, where they come from, what they offer and require."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..errors import WtenvError
from .manifest import Manifest
from .sealing import MAX_METADATA, list_distributions, normalise

REDIRECTOR = "editables"  # the package that hatchling's exact editables import when Python starts


@dataclass(frozen=True)
class Installed:
    """A distribution in the overlay's own site folders."""

    name: str
    version: str
    folder: Path  # its dist-info
    source: str  # the real path that an editable was built from, else empty


def list_folders(site: str) -> dict[str, Path]:
    """The dist-info folders in a site folder, by normalised name."""
    folders = sorted(Path(site).glob("*.dist-info"))
    return {normalise(folder.name.partition("-")[0]): folder for folder in folders}


def list_installed(sites: Sequence[str]) -> dict[str, Installed]:
    """What is in the overlay's own site folders, by normalised name."""
    found = {}
    for site in sites:
        for name, folder in list_folders(site).items():
            version = folder.name.removesuffix(".dist-info").partition("-")[2]
            found[name] = Installed(name, version, folder, read_source(folder))
    return found


def read_source(folder: Path) -> str:
    """The real path that the editable with this dist-info was built from; empty if it is no editable."""
    import json
    from urllib.parse import unquote, urlsplit  # pathlib has loaded it

    try:
        data = json.loads(files.read_bytes(folder / "direct_url.json"))
        url = str(data["url"])
        if data["dir_info"]["editable"] is True:
            return os.path.realpath(unquote(urlsplit(url).path))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, WtenvError):
        pass
    return ""


def list_record(folder: Path) -> list[str]:
    """The files of the distribution with this dist-info, relative to its site folder (Recording installed projects,
    RECORD); empty if they can't be read."""
    return [row[0] for row in csv.reader(read_text(folder / "RECORD").splitlines()) if row]


def is_whole(installed: Installed) -> bool:
    """Whether all of its files are there: another distribution with a script of the same name may have taken it."""
    names = (name for name in list_record(installed.folder) if not name.endswith(".pyc"))
    return all((installed.folder.parent / name).exists() for name in names)


def find_modules(installed: Installed) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The top-level modules that an editable offers, and the folders that it takes them from.

    There is no one place that says so: setuptools writes top_level.txt; else it is what the folders
    on its path hold, and in a project's own folder (which holds tests, too) what its name or its
    entry points say.
    """
    site, project = installed.folder.parent, Path(installed.source)
    names = set(read_text(installed.folder / "top_level.txt").split())
    places: list[Path] = []
    mapped: list[Path] = []
    for name in list_record(installed.folder):
        if name.endswith(".pth") and "/" not in name:
            for line in read_text(site / name).splitlines():
                if line.startswith("/") and Path(line).is_dir():
                    places.append(Path(line))
        elif name.startswith("__editable__") and name.endswith(".py"):
            # Setuptools' finder has a table: module -> place.
            mapped += [Path(place) for place in re.findall(r"'(/[^'\n]*)'", read_text(site / name))]
    if not names:
        guesses = {installed.name.replace("-", "_")}
        guesses |= set(re.findall(r"=\s*(\w+)", read_text(installed.folder / "entry_points.txt")))
        # As a backend's settings name them, in whatever words: "packages", "only-include", "module-name".
        words = set(re.findall(r"\w+", read_text(project / "pyproject.toml")))
        for place in {*places, project, project / "src", project / "python"}:
            own = place in places and os.path.realpath(place) != installed.source
            likely = guesses | words if place in places else guesses
            for child in place.iterdir() if place.is_dir() else ():
                package = (child / "__init__.py").is_file()
                stem = child.name if package else child.name.removesuffix(".py")
                if stem.isidentifier() and (package or child.suffix == ".py") and (own or stem in likely):
                    names.add(stem)
    return tuple(sorted(name for name in names if name.isidentifier())), tuple(map(os.fspath, [*places, *mapped]))


def read_requires(installed: Installed) -> list[str]:
    """The Requires-Dist lines of a distribution."""
    import email.parser

    headers = email.parser.HeaderParser().parsestr(read_text(installed.folder / "METADATA"))
    return [str(value) for value in headers.get_all("Requires-Dist", [])]


def walk_requires(roots: Iterable[str], folders: Sequence[str], python_version: str) -> tuple[set[str], list[str]]:
    """The names that `roots` require, directly or not, and those requirements that no distribution in
    `folders` satisfies."""
    from importlib import metadata

    from packaging.requirements import InvalidRequirement, Requirement

    have: dict[str, metadata.Distribution] = {}
    for found in metadata.distributions(path=list(folders)):
        have.setdefault(normalise(found.metadata["Name"] or ""), found)
    environment = {
        "python_version": ".".join(python_version.split(".")[:2]),
        "python_full_version": python_version,
    }
    missing: list[str] = []
    queue = [(normalise(name), "") for name in roots]
    seen = set(queue)
    reached: set[str] = set()
    while queue:
        name, extra = queue.pop()
        for text in have[name].requires or () if name in have else ():
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            if requirement.marker and not requirement.marker.evaluate({**environment, "extra": extra}):
                continue
            needed = normalise(requirement.name)
            reached.add(needed)
            there = have[needed].version if needed in have else ""
            if not there or not requirement.specifier.contains(there, prereleases=True):
                requirement.marker = None
                missing.append(str(requirement))
            for wanted in {"", *requirement.extras}:
                if (needed, wanted) not in seen:
                    seen.add((needed, wanted))
                    queue.append((needed, wanted))
    return reached, sorted(set(missing))


def read_text(path: Path) -> str:
    """The content of a distribution's file; empty if it can't be read."""
    try:
        return files.read_bytes(path, MAX_METADATA).decode("utf-8", "surrogateescape")
    except (OSError, WtenvError):
        return ""


def take_stock(manifest: Manifest) -> dict[str, tuple[str, int, int]]:
    """What is installed in the overlay: name -> version, and what changes when it is installed again."""
    stock = {}
    for name, item in list_installed(manifest.site).items():
        info = item.folder.stat()
        stock[name] = (item.version, info.st_ino, info.st_mtime_ns)
    return stock


def find_surplus(manifest: Manifest, wanted: Collection[str], *, deps: bool) -> set[str]:
    """The distributions in the overlay beyond `wanted` and what these need there: with `deps` all that they
    require, else what an editable imports to work."""
    surplus = {name for site in manifest.site for name in list_distributions(site)} - {*wanted}
    if surplus:
        folders = [*manifest.site, *manifest.base_site]
        needed, _ = walk_requires(wanted, folders, manifest.python_version)
        surplus -= needed if deps else needed & {REDIRECTOR}
    return surplus
