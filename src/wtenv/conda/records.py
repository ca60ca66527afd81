"""What conda installed into an environment: `conda-meta/NAME-VERSION-BUILD.json`, a record for each package.

The keys are those of `PrefixRecord` in conda/models/records.py. conda, mamba and rattler write the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .. import files
from ..console import make_printable

MAX_NEW = 30  # if the names of others are known, at most so many records are opened
MAX_RECORD = 1 << 26  # a record lists every file of its package
# The folders of Python's own metadata, in the paths of a package's files.
_METADATA = re.compile(r"(?:.*/)?(?:site|dist)-packages/[^/]+\.(?:dist-info|egg-info|egg-link)(?=/|$)")


class CondaRecord(NamedTuple):
    """One installed package. What is not known is empty."""

    name: str
    version: str
    build: str
    subdir: str = ""
    file: str = ""  # the name of its archive
    url: str = ""  # where conda got the archive
    sha256: str = ""
    md5: str = ""
    depends: tuple[str, ...] = ()  # the names of the packages that it requires
    metadata: tuple[str, ...] = ()  # its `.dist-info` folders and the like, relative to the prefix


def read_records(prefix: Path, known: Collection[str] | None = None) -> dict[str, CondaRecord]:
    """The packages by name, sorted by it.

    Not every record is opened; of the others only name, version and build are in the answer, as their file's name says
    them. With `known`, a list of NAME-VERSION-BUILD, the records of these are not opened. If more than MAX_NEW are
    left, only Python's is, which tells the platform. A record that can't be read counts as one that is not opened.
    """
    listed = list(_list(prefix))
    new = {path for path, _ in listed if known is None or path.name.removesuffix(".json") not in known}
    if known is not None and len(new) > MAX_NEW:
        new = {path for path, named in listed if named.name == "python"} & new
    return {record.name: record for record in (_read(path, named) if path in new else named for path, named in listed)}


def _list(prefix: Path) -> Iterator[tuple[Path, CondaRecord]]:
    """Each record's file, and what its name says. Of name, version and build, only the name can have a hyphen."""
    folder = prefix / "conda-meta"
    found = []
    for name in files.list_names(folder):
        stem, _, kind = name.rpartition(".")
        parts = make_printable(stem).rsplit("-", 2)
        if kind == "json" and len(parts) == 3 and all(parts):
            found.append((folder / name, CondaRecord(parts[0], parts[1], parts[2])))
    yield from sorted(found, key=lambda item: item[1].name)


def _read(path: Path, named: CondaRecord) -> CondaRecord:
    data = files.read_object(path, MAX_RECORD)
    if data is None:
        return named
    listed = _list_texts(data.get("files"))
    return CondaRecord(
        name=_get(data, "name") or named.name,
        version=_get(data, "version") or named.version,
        build=_get(data, "build") or named.build,
        subdir=_get(data, "subdir"),
        file=_get(data, "fn"),
        url=_get(data, "url"),
        sha256=_get(data, "sha256").lower(),
        md5=_get(data, "md5").lower(),
        depends=tuple(dict.fromkeys(text.split()[0] for text in _list_texts(data.get("depends")) if text.split())),
        metadata=tuple(sorted({found[0] for text in listed if (found := _METADATA.match(text))})),
    )


def _get(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return make_printable(value) if isinstance(value, str) else ""


def _list_texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
