"""The inventory: what lies in an overlay. What wtenv made must be as wtenv made it, or the overlay is not used.

When a sync or a refresh ends, each file in the places that wtenv writes to is noted with its mark: its size, time and
mode, or a link's target. There is no list of names, so none can be forgotten. A later difference is right if an
installed distribution explains it: pip, uv and `maturin develop` write into its RECORD which files they installed, with
hashes (PEP 376; PyPA, Recording installed projects). Any other difference is wrong until a sync.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import files

if TYPE_CHECKING:  # imported where something differs
    from ..distributions import Distribution
    from .manifest import Manifest

MAX_SIZE = 1 << 30  # of a script: some are whole programs
_LINKS = ".links"  # see links.py
_CUSTOMIZE = ("sitecustomize", "usercustomize")  # what `site` imports by itself, beside the .pth files
_CACHED = ("_wtenv", "__editable__")  # modules that every start of the overlay's Python may import


class Changes(NamedTuple):
    """How an overlay differs from what was noted."""

    altered: Mapping[str, str]
    """Path below the overlay -> in words, what happened to it that no distribution explains."""
    lost: tuple[str, ...]
    """Which declared editables another tool has removed or replaced, in words."""
    new_packages: tuple[str, ...]
    """The distributions that another tool has installed, or built again: "name version"."""
    any: bool
    """Whether there is a difference at all."""


def take(venv: Path, sites: Sequence[str], editables: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """What is there now: path below the overlay -> mark; and which of these paths belong to a distribution.

    `editables`: the names of the declared ones. The files in their dist-info folders are noted, too.
    """
    from .. import distributions
    from . import kernels

    present = _scan(venv, sites)
    names = {*editables}
    installed = distributions.list_installed(sites)
    more = [venv / "pyvenv.cfg", *kernels.list_own(venv)]
    for name in names & installed.keys():
        more += [place for place in installed[name].folder.iterdir() if not place.is_dir()]
    _add(present, venv, (os.path.relpath(place, venv) for place in more))
    claims = _read_claims(venv, installed.values(), present)
    owned = (path for path in sorted(claims) if not os.path.dirname(path).endswith(".dist-info"))
    return dict(sorted(present.items())), tuple(owned)


def compare(venv: Path, manifest: Manifest) -> Changes:
    """How the overlay differs from what its manifest has noted. Reads only. Cheap where nothing differs."""
    noted = manifest.contents
    present = _scan(venv, manifest.site)
    _add(present, venv, (path for path in noted if path not in present))
    altered = dict.fromkeys(_find_unchecked(venv, manifest.site), "would run unchecked")
    if present == noted and not altered:
        return Changes({}, (), (), False)

    from .. import distributions

    installed = distributions.list_installed(manifest.site)
    differing = {path for path in {**noted, **present} if noted.get(path) != present.get(path)}
    claims = _read_claims(venv, installed.values(), differing)
    owned, made = {*manifest.owned}, _make_judge(venv, manifest)
    egg_links = any(name.endswith((".egg-link", ".egg")) for site in manifest.site for name in os.listdir(site))
    for path in sorted(differing):
        before, now = noted.get(path), present.get(path)
        both = (before or "/")[-1] + (now or "/")[-1]
        if both == "//" or made(path, before, now):  # folders: what is in them tells
            continue
        if path in claims:
            if now is None:
                altered[path] = "is missing"
            elif not _is_recorded(venv / path, claims[path]):
                altered[path] = "was replaced" if before else "was added"
        elif now is None:
            folder = os.path.dirname(path)
            if path not in owned and (not folder.endswith(".dist-info") or os.path.isdir(venv / folder)):
                altered[path] = "is missing"
        elif before:
            altered[path] = "was replaced"
        elif _is_started(path) and not (path.endswith("/easy-install.pth") and egg_links):
            altered[path] = "was added, and belongs to no package"
    new = tuple(_find_new_packages(venv, installed, noted, present))
    return Changes(altered, tuple(_find_lost(manifest, installed)), new, True)


def _make_judge(venv: Path, manifest: Manifest) -> Callable[[str, str | None, str | None], bool]:
    """A function that takes a path and its marks before and now, and says whether a refresh would make it so. If yes, a
    refresh is at work, or was killed before it could note what it did."""
    from . import links, pth, wrappers
    from .manifest import PTH

    within = os.path.relpath(links.locate(manifest), venv)
    wanted = {f"{within}/{name}": target for name, target in links.plan(manifest).items()}
    targets, programs = wrappers.plan(venv, manifest)
    site = os.path.relpath(manifest.site[-1], venv)
    bootstrap = {PTH, *pth.MODULES}.difference(pth.find_outdated(manifest))

    def judge(path: str, before: str | None, now: str | None) -> bool:
        folder, name = os.path.split(path)
        if f"/{_LINKS}/" in path:
            return now == (f"-> {wanted[path]}" if path in wanted else None)
        if venv / path in programs:
            return wrappers.is_program(venv / path, programs[venv / path])
        if folder == "bin" and now is None:
            return name not in targets and before is not None and before.startswith(f"-> {wrappers.PROGRAM}")
        if folder == "bin":
            return name in targets and now == f"-> {targets[name]}"
        return folder == site and name in bootstrap

    return judge


def set_aside(venv: Path, paths: Iterable[str], target: Path) -> list[str]:
    """Move `paths` out of the overlay, to the same paths below `target`; those that there were. A dist-info folder goes
    as a whole: a RECORD that is wrong must not tell a later uninstall what to remove. Raises OSError."""
    moved = []
    folders = {path: os.path.dirname(path) for path in paths}
    for path in dict.fromkeys(above if above.endswith(".dist-info") else path for path, above in folders.items()):
        if os.path.lexists(venv / path):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            files.move(venv / path, target / path)
            moved.append(path)
    return moved


def _scan(venv: Path, sites: Sequence[str]) -> dict[str, str]:
    """The marks of what is in `bin` and directly in the site folders. Of folders only those of distributions count."""
    present = {}
    for folder in (f"{venv}/bin", *sites):
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        inside = os.path.relpath(folder, venv)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name.endswith((".dist-info", ".egg-info")):
                    present[f"{inside}/{entry.name}"] = f"{entry.stat(follow_symlinks=False).st_mtime_ns}/"
                elif entry.name == _LINKS:
                    from . import links

                    folders = (os.path.relpath(above, venv) for above, _, _ in os.walk(entry.path))
                    _add(present, venv, (*folders, *(f"{inside}/{_LINKS}/{name}" for name in links.scan(entry.path))))
            elif mark := _mark(entry.path):
                present[f"{inside}/{entry.name}"] = mark
    return present


def _add(present: dict[str, str], venv: Path, paths: Iterable[str]) -> None:
    present.update((path, mark) for path in list(paths) if (mark := _mark(f"{venv}/{path}")))


def _mark(path: str) -> str:
    """The mark of the file at `path`: a text that changes when the file is replaced; empty if there is none."""
    try:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            return f"-> {os.readlink(path)}"
    except OSError:
        return ""
    if stat.S_ISDIR(info.st_mode):
        return f"{info.st_mtime_ns}/"
    return f"{info.st_size} {info.st_mtime_ns}{' x' if info.st_mode & 0o100 else ''}"


def _is_started(path: str) -> bool:
    """Whether a file at that path is run, or read, without its path being named: by its name alone, or by `site`."""
    if _LINKS in path.split("/"):
        return True
    folder, name = os.path.split(path)
    return folder == "bin" or name.endswith(".pth") or name.partition(".")[0] in _CUSTOMIZE


def _find_unchecked(venv: Path, sites: Sequence[str]) -> Iterator[str]:
    """Compiled modules that run when Python starts, and that Python would take without a look at their source: those
    with an unchecked hash (PEP 552)."""
    for site in dict.fromkeys(sites):
        for name in files.list_names(f"{site}/__pycache__"):
            path = f"{site}/__pycache__/{name}"
            if name.startswith(_CACHED) and (files.try_read(path) or b"")[4:5] == b"\x01":
                yield os.path.relpath(path, venv)


def _read_claims(venv: Path, installed: Iterable[Distribution], wanted: Iterable[str]) -> dict[str, str]:
    """Those of the paths `wanted` that the RECORD of a distribution lists, with the hash that it gives."""
    names, claims = {*wanted}, {}
    for item in installed:
        site = os.path.relpath(item.site, venv)
        for file, hash_ in item.read_record():
            if (path := os.path.normpath(os.path.join(site, file))) in names:
                claims[path] = hash_
    return claims


def _is_recorded(place: Path, recorded: str) -> bool:
    """Whether the file has the hash `recorded` of a RECORD, which has none for itself, and may have none for compiled
    files (PEP 376)."""
    import base64

    from ..digest import sha256

    algorithm, _, value = recorded.partition("=")
    if not recorded:
        return place.name == "RECORD" or place.suffix == ".pyc"
    if algorithm != "sha256" or place.is_symlink():
        return False
    data = files.try_read(place, MAX_SIZE)
    return data is not None and base64.urlsafe_b64encode(sha256(data).digest()).decode().rstrip("=") == value


def _find_lost(manifest: Manifest, installed: Mapping[str, Distribution]) -> Iterator[str]:
    for item in manifest.editables:
        found = installed.get(item.name)
        if found is None:
            yield f"another tool has removed {item.name} from {manifest.venv}"
        elif found.source != item.source:
            yield f"another tool has replaced {item.name} in {manifest.venv}: it is not {item.path} any more"


def _find_new_packages(
    venv: Path, installed: Mapping[str, Distribution], noted: Mapping[str, str], present: Mapping[str, str]
) -> Iterator[str]:
    for item in installed.values():
        path = os.path.relpath(item.folder, venv)
        if noted.get(path) != present.get(path):
            yield f"{item.name} {item.version}"
