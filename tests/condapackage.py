"""Conda packages, written on the spot: a list of files becomes a `.conda` archive that rattler installs.

Only what an installer looks at is written: `info/index.json`, `paths.json`, `files`, `has_prefix` and,
for `noarch: python`, `link.json`. The archive's members are zstandard frames of stored blocks, so that
no compressor is needed and writing is as fast as copying.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

PLACEHOLDER = "/home/conda/feedstock_root/build_artifacts/wtenv_1700000000000/_h_env" + "_placehold" * 18
"""The prefix that packages are "built" in; the installer replaces it, as with conda-forge's packages."""

_BLOCK = 128 * 1024  # the largest block that zstandard allows
_TIMESTAMP = 1_700_000_000


@dataclass(frozen=True)
class Entry:
    """One file of a package: a copy of `source`, or the bytes `content`, or a link to `target`."""

    path: str
    source: Path | None = None
    content: bytes = b""
    target: str | None = None
    executable: bool = False
    placeholder: str | None = None  # the prefix inside the text that the installer has to replace

    def read(self) -> bytes:
        """The file's bytes (for a link: none)."""
        return self.source.read_bytes() if self.source else self.content


@dataclass(frozen=True)
class Package:
    """What goes into one archive. `entry_points` makes it `noarch: python`, as conda-forge builds those."""

    name: str
    version: str
    subdir: str
    entries: Sequence[Entry]
    depends: Sequence[str] = ()
    entry_points: Sequence[str] | None = None

    @property
    def noarch(self) -> bool:
        """Whether the files are for every platform, and below `site-packages/` instead of a prefix."""
        return self.entry_points is not None

    @property
    def file_name(self) -> str:
        """The archive's name in its channel."""
        return f"{self.name}-{self.version}-{self._build}.conda"

    @property
    def _build(self) -> str:
        return "pyhd_0" if self.noarch else "h_0"

    def write(self, channel: Path) -> Path:
        """Write the archive into its folder of `channel` and return where it is."""
        archive = channel / self.subdir / self.file_name
        archive.parent.mkdir(parents=True, exist_ok=True)
        stem = archive.name.removesuffix(".conda")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as bundle:
            bundle.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
            for kind, entries in (("info", self._info()), ("pkg", self.entries)):
                with (
                    bundle.open(f"{kind}-{stem}.tar.zst", "w", force_zip64=True) as member,
                    _Stored(member) as frame,
                    tarfile.open(fileobj=frame, mode="w|") as tar,
                ):
                    for entry in entries:
                        _add(tar, entry)
        return archive

    def _info(self) -> list[Entry]:
        index: dict[str, object] = {
            "arch": None if self.noarch else self.subdir.split("-")[-1],
            "build": self._build,
            "build_number": 0,
            "depends": list(self.depends),
            "license": "MIT",
            "name": self.name,
            "platform": None if self.noarch else self.subdir.split("-")[0],
            "subdir": self.subdir,
            "timestamp": _TIMESTAMP * 1000,
            "version": self.version,
        }
        if self.noarch:
            index["noarch"] = "python"
        with_prefix = [entry for entry in self.entries if entry.placeholder]
        documents: dict[str, object] = {
            "index.json": index,
            "paths.json": {"paths": [_path_record(entry) for entry in self.entries], "paths_version": 1},
            "about.json": {"license": "MIT", "summary": f"{self.name}, packed for wtenv's tests"},
        }
        if self.noarch:
            documents["link.json"] = {
                "noarch": {"entry_points": list(self.entry_points or ()), "type": "python"},
                "package_metadata_version": 1,
            }
        texts = {name: json.dumps(document, indent=1) for name, document in documents.items()}
        texts["files"] = "".join(f"{entry.path}\n" for entry in self.entries)
        if with_prefix:
            texts["has_prefix"] = "".join(f"{entry.placeholder} text {entry.path}\n" for entry in with_prefix)
        return [Entry(f"info/{name}", content=text.encode()) for name, text in texts.items()]


def _path_record(entry: Entry) -> dict[str, object]:
    data = entry.read()
    record: dict[str, object] = {
        "_path": entry.path,
        "path_type": "hardlink" if entry.target is None else "softlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
    }
    if entry.placeholder:
        record |= {"prefix_placeholder": entry.placeholder, "file_mode": "text"}
    return record


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    member = tarfile.TarInfo(entry.path)
    member.mtime = _TIMESTAMP
    if entry.target is not None:
        member.type, member.linkname = tarfile.SYMTYPE, entry.target
        tar.addfile(member)
        return
    data = entry.read()
    member.size = len(data)
    member.mode = 0o755 if entry.executable else 0o644
    tar.addfile(member, io.BytesIO(data))


class _Stored(io.RawIOBase):
    """A writable file that frames what it gets as zstandard's stored ("raw") blocks (RFC 8878)."""

    def __init__(self, out: IO[bytes]) -> None:
        super().__init__()
        self._out = out
        self._rest = bytearray()
        # Magic number; a frame without content size, checksum or dictionary; a window of 2 MiB.
        self._emit(b"\x28\xb5\x2f\xfd\x00\x58")

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        piece = bytes(data)
        self._rest += piece
        while len(self._rest) > _BLOCK:
            self._block(bytes(self._rest[:_BLOCK]), last=False)
            del self._rest[:_BLOCK]
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._block(bytes(self._rest), last=True)
        super().close()

    def _block(self, data: bytes, *, last: bool) -> None:
        self._emit((len(data) << 3 | last).to_bytes(3, "little") + data)

    def _emit(self, data: bytes) -> None:
        self._out.write(data)
