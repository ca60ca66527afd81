"""What is installed: the distributions in site folders, and what their own files say of them. The one reader.

A distribution's metadata is a folder NAME-VERSION.dist-info (PyPA, "Recording installed projects"). Older forms are the
folder or file NAME-VERSION-pyX.Y.egg-info, the file NAME.egg-link that leads to a project's folder, and
NAME-VERSION-pyX.Y.egg, which holds all of it (setuptools, "The Internal Structure of Python Eggs"). To list them takes
their names alone; all else is read when asked for. The hook's Python comes here, so nothing heavy is imported above.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import files
from .names import normalise

if TYPE_CHECKING:
    from importlib import metadata

MAX_METADATA = 1 << 26  # the RECORD of the largest packages takes some MiB
_KINDS = ("dist-info", "egg-info", "egg-link", "egg")
KNOWN = ("dist-info", "egg-info")
"""The kinds that Python itself finds in a site folder (`importlib.metadata`)."""


class Distribution(NamedTuple):
    """A distribution in a site folder."""

    name: str
    """Normalised."""
    version: str
    """Empty where no name tells it."""
    kind: str
    """What its metadata is: "dist-info", "egg-info", "egg-link" or "egg"."""
    site: str
    """The site folder."""
    entry: str
    """The name of its metadata there."""

    @property
    def folder(self) -> Path:
        """Where its metadata is; with an egg-info it may be a file."""
        return Path(self.site, self.entry)

    def read(self, file: str = "") -> str:
        """The text of a file in its metadata, or of the metadata if that is a file; empty if it can't be read."""
        return read_text(self.folder / file if file else self.folder)

    def read_record(self) -> list[tuple[str, str]]:
        """Its files, relative to the site folder, each with its hash; empty if it does not say."""
        return parse_record(self.read("RECORD"))

    def list_files(self) -> list[str]:
        """Its files, relative to the site folder; empty if it does not say."""
        return [path for path, _ in self.read_record()]

    def is_whole(self) -> bool:
        """Whether all of its files are there: another one with a script of the same name may have taken it."""
        return all(Path(self.site, path).exists() for path in self.list_files() if not path.endswith(".pyc"))

    def read_origin(self) -> dict[str, Any]:
        """Where it came from (PEP 610, direct_url.json); empty if from an index, or if that can't be read."""
        import json

        try:
            origin = json.loads(self.read("direct_url.json") or "{}")
        except (ValueError, RecursionError):
            return {}
        return origin if isinstance(origin, dict) else {}

    @property
    def source(self) -> str:
        """The real path of the folder that an editable was built from; empty if it is none."""
        from urllib.parse import unquote, urlsplit

        origin = self.read_origin()
        folder, url = origin.get("dir_info"), origin.get("url")
        if isinstance(folder, dict) and folder.get("editable") is True and isinstance(url, str):
            try:
                return os.path.realpath(unquote(urlsplit(url).path))
            except ValueError:
                pass
        return ""

    def list_requires(self) -> list[str]:
        """What it requires (PEP 508)."""
        return self._open().requires or []

    def find_version(self) -> str:
        """Its version; where no name tells it, as its metadata says; empty if nothing does."""
        return self.version or self._open().metadata["Version"] or ""

    def _open(self) -> metadata.Distribution:
        from importlib import metadata

        read = self.read

        class Reader(metadata.Distribution):
            def read_text(self, filename: str) -> str:
                return read(filename)

            def locate_file(self, path: Any) -> Any:
                raise NotImplementedError

        return Reader()


def list_site(site: str) -> list[Distribution]:
    """The distributions in a site folder, sorted by the names of their metadata."""
    named = [entry for entry in files.list_names(site) if entry.rpartition(".")[2] in _KINDS]
    return [item for entry in named if (item := Distribution(*split_entry(entry), site, entry)).name]


def split_entry(entry: str) -> tuple[str, str, str]:
    """Normalised name, version and kind that the name of a distribution's metadata tells."""
    stem, _, kind = entry.rpartition(".")
    name, _, version = (stem, "", "") if kind == "egg-link" else stem.partition("-")
    return normalise(name), version if kind == "dist-info" else version.partition("-py")[0], kind


def find_all(sites: Iterable[str], kinds: Collection[str] = KNOWN) -> dict[str, Distribution]:
    """The distributions in `sites`, by name: of those of one name that in the first folder, as on sys.path, and there
    the last."""
    found: dict[str, Distribution] = {}
    for site in dict.fromkeys(sites):
        found = {item.name: item for item in list_site(site) if item.kind in kinds} | found
    return found


def list_installed(sites: Iterable[str]) -> dict[str, Distribution]:
    """What pip or uv has installed into `sites`, by name."""
    return find_all(sites, ("dist-info",))


def list_versions(sites: Iterable[str]) -> dict[str, str]:
    """Name -> version of what is in `sites`, by the names of the metadata alone."""
    return {name: item.version for name, item in find_all(sites).items() if item.version}


def snapshot(sites: Iterable[str]) -> dict[str, tuple[str, int, int]]:
    """What is installed in `sites`: name -> version, and what changes when it is installed again."""
    stock = {}
    for name, item in list_installed(sites).items():
        info = item.folder.stat()
        stock[name] = (item.version, info.st_ino, info.st_mtime_ns)
    return stock


def parse_record(text: str) -> list[tuple[str, str]]:
    """The rows of a RECORD as (path, hash), without the sizes. It is CSV as Python's module writes it; that module is
    needed only where something is quoted. What it refuses says nothing."""
    if '"' in text:
        import csv
        import io

        try:
            rows = [*csv.reader(io.StringIO(text, newline=""))]
        except csv.Error:
            return []
    else:
        rows = [line.split(",") for line in text.replace("\r", "\n").split("\n")]
    return [(row[0], "".join(row[1:2])) for row in rows if row and row[0] and "\0" not in row[0]]


def read_text(path: Path) -> str:
    """The content of a distribution's file; empty if it can't be read."""
    return (files.try_read(path, MAX_METADATA) or b"").decode("utf-8", "surrogateescape")
