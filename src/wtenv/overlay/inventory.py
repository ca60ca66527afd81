"""What lies in an overlay, as marks: what wtenv made is as wtenv made it, or the overlay is not used.

Noted is what is there when a sync or a refresh ends, in all places that wtenv writes to: no list of names could be
forgotten. A later difference is right if a distribution explains it. pip, uv and `maturin develop` write in its RECORD
what they installed, with hashes (Recording installed projects, RECORD). Any other difference is wrong until a sync.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import files
from ..errors import WtenvError

if TYPE_CHECKING:  # imported where something differs
    from ..distributions import Distribution
    from .manifest import Manifest

MAX_SIZE = 1 << 30  # of a script: some are whole programs
_CUSTOMIZE = ("sitecustomize", "usercustomize")  # what `site` imports by itself, beside the .pth files
_CACHED = ("_wtenv", "__editable__")  # modules that each start of Python may import


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
    """What is there now: path below the overlay -> mark; and those paths that belong to a distribution.

    `editables` are the names of the declared ones, whose pointers are noted, too.
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
    """How the overlay differs from what its manifest has noted. Reads only; cheap where nothing differs."""
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
        if (before or now or "").endswith("/") or made(path, before, now):  # a distribution's folder: see below
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
    """A function that says of a path, and its marks before and now, whether it is as a refresh would make it: one may
    be at it, or was killed before it could note that."""
    from .. import distributions
    from . import pth, wrappers

    targets, programs = wrappers.plan(venv, manifest)
    site = os.path.relpath(manifest.site[-1], venv)
    bootstrap = pth.render(manifest, {*distributions.list_versions(manifest.site)})

    def judge(path: str, before: str | None, now: str | None) -> bool:
        folder, name = os.path.split(path)
        if venv / path in programs:
            return wrappers.is_program(venv / path, programs[venv / path])
        if folder == "bin" and now is None:
            return name not in targets and before is not None and before.startswith(f"-> {wrappers.PROGRAM}")
        if folder == "bin":
            return name in targets and now == f"-> {targets[name]}"
        return folder == site and name in bootstrap and not pth.find_differences(venv / folder, {name: bootstrap[name]})

    return judge


def set_aside(venv: Path, paths: Iterable[str], target: Path) -> list[str]:
    """Move what is wrong out of the overlay, to the same places below `target`; the paths that were there. Of a
    distribution's own folder all of it goes: a RECORD that is wrong must not say what to remove. Raises OSError."""
    moved = []
    for path in dict.fromkeys(_find_whole(path) for path in paths):
        if os.path.lexists(venv / path):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            files.move(venv / path, target / path)
            moved.append(path)
    return moved


def _find_whole(path: str) -> str:
    folder = os.path.dirname(path)
    return folder if folder.endswith(".dist-info") else path


def _scan(venv: Path, sites: Sequence[str]) -> dict[str, str]:
    """What is in `bin` and directly in the site folders; of folders only a distribution's."""
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
            elif mark := _mark(entry.path):
                present[f"{inside}/{entry.name}"] = mark
    return present


def _add(present: dict[str, str], venv: Path, paths: Iterable[str]) -> None:
    present.update((path, mark) for path in list(paths) if (mark := _mark(f"{venv}/{path}")))


def _mark(path: str) -> str:
    """A text that changes when the file at `path` is replaced; empty if there is none."""
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
    """Whether something at that place is run without being asked for by its path: by its name, or by `site`."""
    folder, name = os.path.split(path)
    return folder == "bin" or name.endswith(".pth") or name.partition(".")[0] in _CUSTOMIZE


def _find_unchecked(venv: Path, sites: Sequence[str]) -> Iterator[str]:
    """Compiled forms of start-up modules that Python would take whatever the module says (PEP 552, flags)."""
    for site in dict.fromkeys(sites):
        try:
            names = os.listdir(f"{site}/__pycache__")
        except OSError:
            continue
        for name in names:
            if name.startswith(_CACHED):
                try:
                    data = files.read_bytes(Path(site, "__pycache__", name))
                except (OSError, WtenvError):
                    continue
                if data[4:5] == b"\x01":
                    yield os.path.relpath(f"{site}/__pycache__/{name}", venv)


def _read_claims(venv: Path, installed: Iterable[Distribution], wanted: Iterable[str]) -> dict[str, str]:
    """Of the paths `wanted` those that a RECORD lists, with the hash that it gives."""
    names, claims = {*wanted}, {}
    for item in installed:
        site = os.path.relpath(item.site, venv)
        for file, hash_ in item.read_record():
            if (path := os.path.normpath(os.path.join(site, file))) in names:
                claims[path] = hash_
    return claims


def _is_recorded(place: Path, recorded: str) -> bool:
    """Whether the file is the one that a RECORD means. For itself it has no hash, and need not for what is compiled."""
    import base64

    from ..digest import sha256

    algorithm, _, value = recorded.partition("=")
    if not recorded:
        return place.name == "RECORD" or place.suffix == ".pyc"
    if algorithm != "sha256" or place.is_symlink():
        return False
    try:
        found = sha256(files.read_bytes(place, MAX_SIZE)).digest()
    except (OSError, WtenvError):
        return False
    return base64.urlsafe_b64encode(found).decode().rstrip("=") == value


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
