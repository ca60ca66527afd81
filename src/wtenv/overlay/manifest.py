"""The manifest: what wtenv notes about an overlay, inside of it (`.venv/wtenv.json`).

Standard library only, and little of it: the hook's first `cd` reads it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from .. import files
from ..digest import sha256

MANIFEST = "wtenv.json"
PTH = "~wtenv.pth"  # site runs .pth files in sorted order, and names of packages are ASCII letters
# The files that decide how an editable is built. Sources are not among them: an editable serves them as they are.
BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg", "hatch.toml", "hatch_build.py", "meson.build",
               "meson.options", "meson_options.txt", "CMakeLists.txt", "Cargo.toml")  # fmt: skip

MAX_BUILD_FILE = 1 << 24


class Editable(NamedTuple):
    """One installed editable."""

    path: str  # absolute, as declared (symlinks kept)
    name: str  # normalised distribution name
    version: str
    fingerprint: str  # of BUILD_FILES' content
    modules: tuple[str, ...]  # names that the import check found in `path`; of a namespace package, those in it
    built_with: tuple[str, ...]  # the packages it was built against, or ("isolated",)
    places: tuple[str, ...] = ()  # the file of each module; empty for one that can't be found
    real: str = ""  # `path` with its links followed, when it was built

    @property
    def source(self) -> str:
        """The real folder that it was built from."""
        return self.real or os.path.realpath(self.path)


class Manifest(NamedTuple):
    """Everything that a later run needs to judge, refresh or change an overlay."""

    token: str
    root: str
    venv: str
    base: str
    interpreter: str  # what bin/python points to
    interpreter_id: str  # changes when that program is replaced
    python_version: str
    site: tuple[str, ...]  # the overlay's own site folders; the last one holds the bootstrap
    base_bin: str
    base_site: tuple[str, ...]
    editables: tuple[Editable, ...] = ()
    deps: str = ""  # with install_deps: a digest of the base's packages when what it lacks was installed
    times: Mapping[str, int] = MappingProxyType({})  # path -> mtime_ns at the last sync or refresh, see list_sources
    contents: Mapping[str, str] = MappingProxyType({})  # path below the overlay -> mark, see inventory.py
    owned: tuple[str, ...] = ()  # those of them that belong to a distribution

    @property
    def minor(self) -> str:
        """The version as in `python3.11`."""
        return ".".join(self.python_version.split(".")[:2])

    @property
    def bins(self) -> tuple[str, ...]:
        """Where the base's scripts are: its `bin`, and those that go with its site folders below its prefix, as
        `/usr/local/bin` with `/usr/local/lib/python3.11/dist-packages` of Debian's Python."""
        homes = [os.path.dirname(os.path.dirname(site)) for site in self.base_site if site.startswith(self.base + "/")]
        beside = [os.path.join(os.path.dirname(home), "bin") for home in homes if os.path.basename(home) == "lib"]
        return tuple(dict.fromkeys([self.base_bin, *beside]))


def real_place(venv: Path) -> Path:
    """`venv` with the links above it resolved, but not itself: that a `.venv` is a link must be seen."""
    return Path(os.path.realpath(venv.parent), venv.name)


def read_manifest(venv: Path) -> Manifest | None:
    """The manifest in `venv`; None if it is missing, or does not have what a manifest has."""
    data = files.read_object(venv / MANIFEST)
    if data is None:
        return None
    try:
        editables = tuple(
            Editable(
                **{**item, **{key: tuple(item[key]) for key in ("modules", "built_with", "places") if key in item}}
            )
            for item in data.pop("editables")
        )
        contents = {
            os.path.join(folder, name): mark
            for folder, marks in data.pop("contents", {}).items()  # an older wtenv has not noted it
            for name, mark in marks.items()
        }
        data = {"owned": (), **data, "contents": contents}
        manifest = Manifest(
            **{**data, **{key: tuple(data[key]) for key in ("site", "base_site", "owned")}},
            editables=editables,
        )
        texts = (manifest.token, manifest.root, manifest.venv, manifest.base, manifest.interpreter,
                 manifest.interpreter_id, manifest.python_version, manifest.base_bin,
                 *manifest.site, *manifest.base_site, *manifest.owned, *manifest.contents.values(),
                 *(text for item in editables for text in (item.path, item.name, *item.modules)),
                 *(place for item in editables for place in item.places))  # fmt: skip
        ok = all(isinstance(text, str) for text in texts) and isinstance(manifest.times, dict)
    except (TypeError, KeyError, AttributeError):
        return None
    return manifest if ok else None


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write the manifest into `folder` (the overlay, or what becomes it), whole or not at all."""
    data = {**manifest._asdict(), "editables": [item._asdict() for item in manifest.editables]}
    contents: dict[str, dict[str, str]] = {}  # by folder, which takes less space
    for path, mark in manifest.contents.items():
        inside, name = os.path.split(path)
        contents.setdefault(inside, {})[name] = mark
    data["times"], data["contents"] = dict(manifest.times), contents
    files.write_atomic(folder / MANIFEST, json.dumps(data, separators=(",", ":")).encode() + b"\n", 0o644)


def read_config(venv: Path) -> list[str]:
    """The lines of `venv`'s pyvenv.cfg; empty if it can't be read."""
    return (files.try_read(venv / "pyvenv.cfg") or b"").decode("utf-8", "surrogateescape").splitlines()


def advance_time(place: Path, before: int | None = None) -> None:
    """Give a folder that open shells watch a time just after `before` (default: its present time), so that they notice
    a change."""
    later = (place.stat().st_mtime_ns if before is None else before) + 1000
    os.utime(place, ns=(later, later))


def fingerprint(package: Path) -> str:
    """A digest of the files that decide how the package at `package` is built."""
    from ..errors import WtenvError

    digest = sha256()
    for name in BUILD_FILES:
        try:
            content = files.read_bytes(package / name, MAX_BUILD_FILE)
        except OSError:
            continue
        except WtenvError:  # no file, or far too large: no sync builds with it
            content = b"\0"
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def find_lost(item: Editable) -> str:
    """The first file of the editable's modules that is gone, for example after the checkout of another layout; else
    the empty string."""
    return next((place for place in item.places if place and not os.path.exists(place)), "")


def identify(program: str) -> str:
    """A text that changes when the program at `program` is replaced; empty if it is missing."""
    try:
        info = Path(program).stat()
    except OSError:
        return ""
    return f"{os.path.realpath(program)}:{info.st_size}:{info.st_mtime_ns}"


def read_times(folders: Sequence[str]) -> dict[str, int]:
    """Path -> the time of its last change in ns, 0 if it is missing."""
    times = {}
    for folder in folders:
        try:
            times[folder] = Path(folder).stat().st_mtime_ns
        except OSError:
            times[folder] = 0
    return times


def list_sources(manifest: Manifest, venv: Path) -> list[str]:
    """The paths whose change calls for a refresh: the overlay's own folders, those of the base, its kernel specs, and
    the folder of wtenv that the bootstrap is copied from (another version or installation of wtenv has another one)."""
    kernels = Path(manifest.base, "share/jupyter/kernels")
    specs = [os.fspath(place) for place in sorted(kernels.glob("*/kernel.json"))]
    theirs = [*manifest.bins, *manifest.base_site, os.fspath(kernels), *specs]
    return [os.fspath(venv / "bin"), *manifest.site, *theirs, os.path.join(os.path.dirname(__file__), "bootstrap")]


def is_outdated(manifest: Manifest, venv: Path) -> bool:
    """Whether the base or the overlay changed since the last sync or refresh."""
    return read_times(list_sources(manifest, real_place(venv))) != manifest.times or not is_private(venv)


def is_private(venv: Path) -> bool:
    """Whether the overlay's folder is the user's alone (0700). The folders above it need not be."""
    return not os.lstat(venv).st_mode & 0o077
