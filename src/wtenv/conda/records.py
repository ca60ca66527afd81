"""What conda installed into an environment: `conda-meta/*.json`, a record for each package.

The keys are those of `PrefixRecord` in conda/models/records.py; conda, mamba and rattler write the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .. import files
from ..console import make_printable
from ..errors import WtenvError

MAX_NEW = 30  # records that are read where the others are known
MAX_RECORD = 1 << 26  # a record lists every file of its package
# Where Python's own records of what is installed lie, in the paths of a package's files.
_METADATA = re.compile(r"(?:.*/)?(?:site|dist)-packages/[^/]+\.(?:dist-info|egg-info|egg-link)(?=/|$)")


class CondaRecord(NamedTuple):
    """One installed package. file: its archive's name; url: where that came from, as conda used it;
    depends: the names of what it requires; metadata: the `.dist-info` and such that it brought, relative to
    the prefix. What is not known is empty."""

    name: str
    version: str
    build: str
    subdir: str = ""
    file: str = ""
    url: str = ""
    sha256: str = ""
    md5: str = ""
    depends: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()


def read_records(prefix: Path, known: Collection[str] | None = None) -> dict[str, CondaRecord]:
    """The packages by name, sorted. A record that can't be read is taken from its file's name alone; so is one
    whose file is called as one of `known` (NAME-VERSION-BUILD), and where these are many others, every one but
    Python's, which tells the platform."""
    listed = list(_list(prefix))
    new = {path for path, _ in listed if known is None or path.name.removesuffix(".json") not in known}
    if known is not None and len(new) > MAX_NEW:
        new = {path for path, named in listed if named.name == "python"} & new
    return {record.name: record for record in (_read(path, named) if path in new else named for path, named in listed)}


def _list(prefix: Path) -> Iterator[tuple[Path, CondaRecord]]:
    """Each file, and what its name says: NAME-VERSION-BUILD.json: of the three, only the name can have a hyphen."""
    folder = prefix / "conda-meta"
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return
    found = []
    for name in names:
        stem, _, kind = name.rpartition(".")
        parts = make_printable(stem).rsplit("-", 2)
        if kind == "json" and len(parts) == 3 and all(parts):
            found.append((folder / name, CondaRecord(parts[0], parts[1], parts[2])))
    yield from sorted(found, key=lambda item: item[1].name)


def _read(path: Path, named: CondaRecord) -> CondaRecord:
    import json

    try:
        data = json.loads(files.read_bytes(path, MAX_RECORD))
    except (OSError, ValueError, RecursionError, WtenvError):
        return named
    if not isinstance(data, dict):
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
