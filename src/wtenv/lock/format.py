"""`wtenv.lock` as data: what base and overlay consist of. Reading and rendering; pure.

The file is JSON. What is empty or not known is left out; everything is sorted by its name.

    base                    kind ("conda" or "python"), platform, python
        conda: NAME         version, build, sha256, md5, depends, provides; url, or subdir and file
        pip: NAME           version, hash, source, editable
    environments: default
        packages: NAME      as in pip: what is in the overlay beside the editables
        editables: PATH     name, backend, built_with
    version                 of this form; another reading of what is there needs another one

It comes with a checkout, and the hook reads it: so it has a limit, and is read in a time proportional to its size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from .. import files
from ..config.read import LOCK
from ..console import make_printable
from ..errors import WtenvError
from . import MAX_LOCK

NAME = LOCK
VERSION = 1
ABOUT = "Written by `wtenv lock`, to be committed; `wtenv verify` says what differs from it."

Row = Mapping[str, Any]
"""What is known of a distribution or an editable: key -> text, list of texts, or true."""
Table = Mapping[str, Row]
"""Rows by their names, of editables by their paths."""
_EMPTY: Table = MappingProxyType({})


class Lock(NamedTuple):
    """A base and an overlay."""

    kind: str
    """Of the base: "conda", or "python" for any other."""
    platform: str = ""
    """As conda calls it."""
    python: str = ""
    """The version of the base's Python."""
    conda: Table = _EMPTY
    """The base's conda packages.

    url: without credentials; where the channel is on this machine, subdir and file (the archive's name) instead.
    depends: names of others. provides: the Python distributions that it brings under other names.
    """
    pip: Table = _EMPTY
    """What pip or uv installed into the base.

    hash: of its content, as its RECORD has it, the same in every place. source: where it came from, if not from an
    index.
    """
    packages: Table | None = _EMPTY
    """What is in the overlay beside the editables, as in `pip`; None: not known."""
    editables: Table = _EMPTY
    """The declared editables, by their paths as the config has them, by name where that is absolute.

    backend: what builds it. built_with: the base's packages that took part, or "isolated".
    """


class NoLock(WtenvError):
    """There is no lock."""


class NewerLock(WtenvError):
    """The lock is a newer wtenv's."""


_PIP = {"version": str, "hash": str, "source": str, "editable": bool}
_TEXTS = ("version", "build", "url", "subdir", "file", "sha256", "md5")
_CONDA = {**dict.fromkeys(_TEXTS, str), "depends": list, "provides": list}
# The keys that there may be, and the types of their values; "*" stands for any name.
_SHAPE = {
    "about": str,
    "version": int,
    "base": {"kind": str, "platform": str, "python": str, "conda": {"*": _CONDA}, "pip": {"*": _PIP}},
    "environments": {
        "default": {"packages": {"*": _PIP}, "editables": {"*": {"name": str, "backend": str, "built_with": list}}}
    },
}


def read(path: Path) -> Lock:
    """The lock at `path`. NoLock if there is none, NewerLock if it is a newer wtenv's, WtenvError if it can't be
    read."""
    try:
        data = files.read_bytes(path, MAX_LOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise NoLock(f"there is no {path}", "run: wtenv lock") from None
    except OSError as error:
        raise WtenvError(f"{path}: can't be read ({error.strerror})", "make it readable, or run: wtenv lock") from None
    return parse(path, data)


def parse(path: Path, data: bytes) -> Lock:
    """`data`, the content of `path`, as `read` does it."""
    found, problem = _load(data)
    version = found.get("version")
    if isinstance(version, int) and version > VERSION:
        what = f"{path} was written by a newer wtenv (version {version}, this one knows {VERSION})"
        raise NewerLock(what, "upgrade wtenv")
    if not problem and version != VERSION:
        raise WtenvError(f"{path} is no lock of wtenv's", "run: wtenv lock")
    if problem := problem or _check(found, _SHAPE, ""):
        raise WtenvError(make_printable(f"{path}: {problem}"), "run: wtenv lock")
    base, default = found.get("base", {}), found.get("environments", {}).get("default", {})
    if base.get("kind") not in ("conda", "python"):
        raise WtenvError(f"{path}: base.kind is neither conda nor python", "run: wtenv lock")
    return Lock(**base, **default)


def _load(data: bytes) -> tuple[dict[str, Any], str]:
    """What is in the file, and why it can't be read. Of such a file only the version, where that can be seen."""
    problem = "is no JSON object"
    try:
        found = json.loads(
            data.decode("utf-8").removeprefix("\ufeff"),
            object_pairs_hook=_pair,
            parse_int=_count,
            parse_float=_count,
            parse_constant=_count,
        )
        if isinstance(found, dict):
            return found, ""
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start})"
    except json.JSONDecodeError as error:
        problem = f"line {error.lineno} is no JSON that wtenv writes ({error.msg})"
    except RecursionError:
        problem = "is nested too deeply"
    except _DuplicateKey as error:
        problem = f"the key {error} is there twice"
    import re

    seen = re.search(rb'^  "version": (\d{1,9})$', data, re.M)
    return {"version": int(seen[1])} if seen else {}, problem


class _DuplicateKey(Exception):
    """git can merge two changes into two keys of one name."""


def _count(text: str) -> int | None:
    """A number of the file's; none but the version is ours. A long one takes more than its share of time."""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _pair(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise _DuplicateKey(key)
        made[key] = value
    return made


def _check(value: Any, shape: Any, where: str) -> str:
    """Why `value` does not have that shape; empty if it does. All that is in it is printed, and conda may be given
    it."""
    if not isinstance(shape, dict):
        texts = value if type(value) is shape is list else [value]
        if type(value) is not shape or (shape is list and not all(isinstance(text, str) for text in texts)):
            return f"{where} is of another type than wtenv writes"
        if not all(text.isprintable() for text in texts if isinstance(text, str)):
            return f"{where} can't be printed"
        return ""
    if not isinstance(value, dict):
        return f"{where} is of another type than wtenv writes"
    for key, inner in value.items():
        place = f"{where}.{key}".lstrip(".")
        below = shape.get(key) if "*" not in shape else shape["*"] if key else None
        if below is None:
            return f"the key {place} is none that wtenv writes"
        if not key.isprintable():
            return f"the key {place} can't be printed"
        if problem := _check(inner, below, place):
            return problem
    return ""


def make_row(**values: str | bool | list[str]) -> Row:
    """A row without what is empty."""
    return {key: value for key, value in values.items() if value}


def render(lock: Lock) -> bytes:
    """The file's content: the same for the same lock, a key a line."""
    values = {key: value for key, value in lock._asdict().items() if value}
    default = {key: values.pop(key) for key in ("packages", "editables") if key in values}
    data = {"about": ABOUT, "base": values, "environments": {"default": default}, "version": VERSION}
    return f"{_dump(data)}\n".encode()


def _dump(value: object, indent: str = "") -> str:
    """As `json.dumps` with an indent, but a list is on one line."""
    if not (isinstance(value, dict) and value):
        return json.dumps(value, ensure_ascii=False)
    lines = [f"{indent}  {_dump(key)}: {_dump(value[key], f'{indent}  ')}" for key in sorted(value)]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
