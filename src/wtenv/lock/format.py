"""The lock: what base and overlay consist of, as `wtenv.lock` says it. Reading, comparing, rendering; pure.

The file is TOML. Of TOML it takes only what `render` writes: a table's head or `key = value` on each line, values
as JSON has them. It comes with a checkout, and the hook reads it: this takes a time proportional to its size, where
Python's TOML parser needs hours for a hostile megabyte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from .. import files
from ..config.read import LOCK
from ..errors import WtenvError

NAME = LOCK
VERSION = 1
HEAD = "# Written by `wtenv lock`, to be committed; `wtenv verify` says what differs from it."
Texts = tuple[str, ...]


class Package(NamedTuple):
    """A conda package of the base. url: without credentials, empty for a channel on this machine; file: the
    archive's name, where there is no url; provides: the Python distributions it brings under other names."""

    name: str
    version: str = ""
    build: str = ""
    url: str = ""
    subdir: str = ""
    file: str = ""
    sha256: str = ""
    md5: str = ""
    depends: Texts = ()
    provides: Texts = ()


class Dist(NamedTuple):
    """A Python distribution that pip or uv installed. hash: of its content, as its RECORD has it, the same in
    every place; source: where it came from, if not from an index."""

    name: str
    version: str = ""
    hash: str = ""
    source: str = ""
    editable: bool = False


class Editable(NamedTuple):
    """A declared editable. path: as the config names it, empty if that is absolute; backend: what builds it;
    built_with: the base's packages that took part, or "isolated"."""

    name: str
    path: str = ""
    backend: str = ""
    built_with: Texts = ()

    @property
    def key(self) -> str:
        """What makes it the same one in the lock and here."""
        return self.path or self.name


class Lock(NamedTuple):
    """A base and an overlay. What is empty is not known, and not compared; overlay None: all of it."""

    kind: str  # of the base: "conda" or "python"
    platform: str = ""
    python: str = ""
    packages: tuple[Package, ...] = ()
    pip: tuple[Dist, ...] = ()
    overlay: tuple[Dist, ...] | None = ()
    editables: tuple[Editable, ...] = ()


class Finding(NamedTuple):
    """One difference. text: for people, with the layer in it."""

    layer: Literal["base", "overlay"]
    kind: Literal["added", "removed", "changed"]
    name: str
    text: str


class NoLock(WtenvError):
    """There is no lock."""


class NewerLock(WtenvError):
    """The lock is a newer wtenv's."""


# --- reading and rendering --------------------------------------------------------------------------

_ENTRIES = {"conda": Package, "pip": Dist, "overlay": Dist, "editable": Editable}
_LINE = re.compile(r"\[\[(\w+)\]\]|\[(\w+)\]|(\w+)\s*=\s*(?:\"([^\"\\]*)\"|(.+))")
_KEPT = {"url", "sha256", "md5", "hash", "source"}
T = TypeVar("T", Package, Dist, Editable)


def read(path: Path) -> Lock:
    """The lock at `path`. NoLock if there is none, WtenvError if it is none that this version can read."""
    try:
        data = files.read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        raise NoLock(f"there is no {path}", "run: wtenv lock") from None
    except OSError as error:
        raise WtenvError(f"{path}: can't be read ({error.strerror})", "make it readable, or run: wtenv lock") from None
    return parse(path, data)


def parse(path: Path, data: bytes) -> Lock:
    """`data`, the content of `path`. WtenvError names the line that is wrong."""
    tables: dict[str, list[dict[str, Any]]] = {"": [{}], "base": [{}], **{name: [] for name in _ENTRIES}}
    at = tables[""][0]
    for number, line in enumerate(data.decode("utf-8", "replace").removeprefix("\ufeff").split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        try:
            if found is None:
                raise ValueError
            entry, table, key, text, value = found.groups()
            if key:
                at[key] = json.loads(value) if text is None else text
            else:
                if entry:
                    tables[entry].append({})
                at = tables[entry or table][-1]
        except (ValueError, KeyError, IndexError, RecursionError):
            what = f"{path}: line {number} is none that wtenv writes"
            raise WtenvError(what, "run: wtenv lock") from None
        if at is tables[""][0] and type(version := at.get("version")) is int and version > VERSION:
            what = f"{path} was written by a newer wtenv (version {version}, this one knows {VERSION})"
            raise NewerLock(what, "upgrade wtenv")
    if tables[""][0].get("version") != VERSION:
        raise WtenvError(f"{path} is no lock of wtenv's", "run: wtenv lock")
    try:
        base = tables["base"][0]
        if base.get("kind") not in ("conda", "python"):
            raise TypeError("[base] kind is neither conda nor python")
        head = {key: _check("[base]", key, base.get(key, ""), "") for key in ("kind", "platform", "python")}
        entries = {name: _build(name, tables[name]) for name in _ENTRIES}
    except TypeError as error:
        raise WtenvError(f"{path}: {error}", "run: wtenv lock") from None
    return Lock(
        **head,
        packages=entries["conda"],
        pip=entries["pip"],
        overlay=entries["overlay"],
        editables=entries["editable"],
    )


def _build(table: str, rows: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    kind: Any = _ENTRIES[table]
    defaults = {"name": "", **kind._field_defaults}
    made: dict[str, Any] = {}
    for row in rows:
        values = {key: _check(f"[[{table}]]", key, row.get(key, like), like) for key, like in defaults.items()}
        key = values.get("path") or values["name"]
        if not values["name"]:
            raise TypeError(f"a [[{table}]] has no name")
        if key in made:  # git can merge two changes into two blocks
            raise TypeError(f"[[{table}]] {key} is there twice")
        made[key] = kind(**values)
    return tuple(made.values())


def _check(table: str, key: str, value: Any, like: object) -> Any:
    """`value`, of the type of `like`. TypeError names it: it is printed, and conda may be given it."""
    if type(value) is str is type(like) and value.isprintable():
        return value
    if isinstance(like, tuple) and isinstance(value, (list, tuple)):
        value = tuple(value)
    texts = value if isinstance(value, tuple) else (value,)
    if type(value) is not type(like) or not all(isinstance(text, (str, bool)) for text in texts):
        raise TypeError(f"{table} {key} is of another type than wtenv writes")
    if not all(text.isprintable() for text in texts if isinstance(text, str)):
        raise TypeError(f"{table} {key} can't be printed")
    return value


def render(lock: Lock) -> bytes:
    """The file's content: the same for the same lock, a block for each package, in the order of their names."""
    lines = [HEAD, f"version = {VERSION}", "", "[base]"]
    lines += [f"{key} = {_show(getattr(lock, key))}" for key in ("kind", "platform", "python") if getattr(lock, key)]
    tables: dict[str, Sequence[Package | Dist | Editable]] = {
        "conda": lock.packages,
        "pip": lock.pip,
        "overlay": lock.overlay or (),
        "editable": lock.editables,
    }
    for table, items in tables.items():
        for item in sorted(items):
            lines += ["", f"[[{table}]]"]
            lines += [f"{key} = {_show(value)}" for key, value in item._asdict().items() if value]
    return "".join(f"{line}\n" for line in lines).encode()


def _show(value: object) -> str:
    """Of what can be printed, TOML's strings, arrays and booleans are JSON's."""
    return json.dumps(value, ensure_ascii=False)


def keep_known(old: Lock, new: Lock) -> Lock:
    """`new`, with what only `old` knows of packages that did not change: so the file stays as it is where one
    machine's records say more than another's, or name another mirror."""

    def keep(before: Sequence[T], after: Sequence[T], changed: set[str]) -> tuple[T, ...]:
        known = {item.name: item for item in before if item.name not in changed}
        return tuple(_fill(known[item.name], item) if item.name in known else item for item in after)

    packages = {finding.name for finding in _compare_packages(old.packages, new.packages)}
    pip = {finding.name for finding in _compare_dists("base", "", old.pip, new.pip)}
    if _compare_bases(old, new):
        return new
    return new._replace(packages=keep(old.packages, new.packages, packages), pip=keep(old.pip, new.pip, pip))


def _fill(old: T, new: T) -> T:
    known = {key: value for key, value in old._asdict().items() if value and key in _KEPT}
    filled = new._replace(**known)
    return filled._replace(subdir="", file="") if isinstance(filled, Package) and filled.url else filled


# --- comparing --------------------------------------------------------------------------------------


def compare(locked: Lock, present: Lock) -> tuple[Finding, ...]:
    """What `present` has that `locked` has not, and the other way round, in words."""
    found = [*_compare_bases(locked, present)]
    if not found:
        found += _compare_packages(locked.packages, present.packages)
        python = any(finding.name == "python" for finding in found)
        if not python and _differ(locked.python, present.python):
            text = f"Python {locked.python} → {present.python} in the base"
            found.append(Finding("base", "changed", "python", text))
        found += _compare_dists("base", " by pip", locked.pip, present.pip)
    if locked.overlay is not None and present.overlay is not None:
        found += _compare_dists("overlay", "", locked.overlay, present.overlay)
    return (*found, *_compare_editables(locked.editables, present.editables))


def _compare_bases(locked: Lock, present: Lock) -> list[Finding]:
    """Where these differ, so does every package, which need not be said."""
    words = {"conda": "a conda environment", "python": "no conda environment"}
    if locked.kind != present.kind:
        text = f"the base is {words[present.kind]}, the locked one is {words[locked.kind]}"
        return [Finding("base", "changed", "kind", text)]
    if _differ(locked.platform, present.platform):
        text = f"the base is for {present.platform}, the locked one for {locked.platform}"
        return [Finding("base", "changed", "platform", text)]
    return []


def _compare_packages(locked: Sequence[Package], present: Sequence[Package]) -> list[Finding]:
    found = []
    for name, (old, new) in _pair({item.name: item for item in locked}, {item.name: item for item in present}):
        if old is None or new is None or old.version != new.version:
            found.append(_find_change("base", "", name, old, new))
            continue
        text = ""
        if _differ(old.build, new.build):
            text = f"{name} {new.version} in the base is another build ({old.build} → {new.build})"
        elif _differ(old.sha256, new.sha256) or (not (old.sha256 and new.sha256) and _differ(old.md5, new.md5)):
            text = f"{name} {new.version} in the base has other content, though version and build are the same"
        if text:
            found.append(Finding("base", "changed", name, text))
    return found


def _compare_dists(
    layer: Literal["base", "overlay"], by: str, locked: Sequence[Dist], present: Sequence[Dist]
) -> list[Finding]:
    found = []
    for name, (old, new) in _pair({item.name: item for item in locked}, {item.name: item for item in present}):
        if old is None or new is None or old.version != new.version:
            found.append(_find_change(layer, by, name, old, new))
            continue
        text = ""
        if old.editable != new.editable:
            now = "an editable install now" if new.editable else "no editable install any more"
            text = f"{name} {new.version} in the {layer} is {now}"
        elif _differ(old.hash, new.hash):
            text = f"{name} {new.version} in the {layer} has other content, though the version is the same"
        if text:
            found.append(Finding(layer, "changed", name, text))
    return found


def _find_change(
    layer: Literal["base", "overlay"], by: str, name: str, old: Package | Dist | None, new: Package | Dist | None
) -> Finding:
    if old is None:
        text = f"{name} {new.version if new else ''}".rstrip()
        return Finding(layer, "added", name, f"{text} was added to the {layer}{by}")
    if new is None:
        return Finding(layer, "removed", name, f"{f'{name} {old.version}'.rstrip()} is gone from the {layer}")
    return Finding(layer, "changed", name, f"{name} {old.version} → {new.version} in the {layer}")


def _compare_editables(locked: Sequence[Editable], present: Sequence[Editable]) -> list[Finding]:
    found = []
    for key, (old, new) in _pair({item.key: item for item in locked}, {item.key: item for item in present}):
        if old is None or new is None:
            text = f"the editable {key} {'is declared, but not locked' if old is None else 'is not declared'}"
            found.append(Finding("overlay", "added" if old is None else "removed", key, text))
            continue
        for what, before, after in (
            ("is called", (old.name,), (new.name,)),
            ("is built by", (old.backend,), (new.backend,)),
            ("was built with", old.built_with, new.built_with),
        ):
            if all(before) and all(after) and before and after and before != after:
                text = f"the editable {key} {what} {', '.join(after)}, the lock says {', '.join(before)}"
                found.append(Finding("overlay", "changed", new.name, text))
    return found


def _pair(locked: Mapping[str, T], present: Mapping[str, T]) -> list[tuple[str, tuple[T | None, T | None]]]:
    return [(name, (locked.get(name), present.get(name))) for name in sorted({*locked, *present})]


def _differ(old: str, new: str) -> bool:
    return bool(old and new and old != new)


# --- what conda takes -------------------------------------------------------------------------------


def strip_credentials(url: str) -> str:
    """`url` as it may be committed: without user, password, token, query. Empty if it is of this machine.

    `/t/TOKEN/` is anaconda.org's (`split_anaconda_token` in conda/common/url.py).
    """
    from urllib.parse import urlsplit, urlunsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if not parts.netloc or parts.scheme not in ("http", "https", "s3", "gs", "oci", "ftp", "ssh", "git"):
        return ""
    path = re.sub(r"^(.*?)/t/[^/]+/", r"\1/", parts.path)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


def sort_packages(packages: Sequence[Package]) -> list[Package]:
    """Each after what it depends on: conda links an explicit list in its order."""
    known, done = {item.name: item for item in packages}, dict[str, Package]()
    for item in sorted(packages):
        todo = [(item, iter(item.depends))]
        seen = {item.name}
        while todo:  # not recursive: a lock comes with a checkout
            at, rest = todo[-1]
            name = next((name for name in rest if name in known and name not in done and name not in seen), None)
            if name is None:
                done.setdefault(at.name, todo.pop()[0])
            else:
                seen.add(name)
                todo.append((known[name], iter(known[name].depends)))
    return list(done.values())


def render_explicit(lock: Lock, urls: Mapping[str, str], path: Path) -> str:
    """What `conda create --file` takes (`_match_specs_from_explicit` in conda/misc.py).

    urls: package name -> where it is, for those that the lock has no URL of.
    """
    lines = [f"# {NAME}; use it by: conda create --name NAME --file THIS", f"# platform: {lock.platform}"]
    for dist in lock.pip:
        where = f" @ {dist.source}" if dist.source else f"=={dist.version}"
        lines.append(f"# not here, since pip installed it: {dist.name}{where}{' (editable)' if dist.editable else ''}")
    lines.append("@EXPLICIT")
    for item in sort_packages(lock.packages):
        # conda before 24.9 knows MD5 alone; mamba wants to be told that it is SHA-256.
        hash_ = f"#sha256:{item.sha256}" if item.sha256 else f"#{item.md5}" if item.md5 else ""
        line = f"{item.url or urls[item.name]}{hash_}"
        if not re.fullmatch(r"[a-z0-9]+://[!-~]+", line):
            raise WtenvError(f"{path}: the URL of {item.name} is none", "run: wtenv lock")
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)
