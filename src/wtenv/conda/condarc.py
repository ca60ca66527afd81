"""condarc files: where they are, and the one key that decides where a named environment is, `envs_dirs`.

A YAML library would cost more than the rest of an activation. This reads one top-level key, a block or
flow list of plain or quoted strings; whatever it can't read counts as not said.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import NamedTuple

from .. import files
from ..errors import WtenvError

_YAML = (".yml", ".yaml")
_QUOTED = r"""'(?:[^'\n]|'')*'|"(?:[^"\\\n]|\\[^\n])*\""""
_PLAIN = r"""(?:[^\s\-?:,\[\]{}#&*!|>'"%@`]|[-?:](?=[^\s,\[\]{}]))"""  # how a YAML plain scalar may begin


class EnvsDirs(NamedTuple):
    """What one source says. lines: (folder, flag "top", "bottom" or ""); final: nothing above it counts."""

    lines: tuple[tuple[str, str], ...]
    final: bool = False


def read_mode(path: Path) -> int:
    """The mode of what `path` is or links to; 0 if it can't be asked, for whatever reason."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def read_folder(path: Path) -> list[Path]:
    """What is in the folder `path`, sorted; nothing if it can't be asked."""
    try:
        return sorted(path.iterdir(), key=os.fspath)
    except (OSError, ValueError):
        return []


def find(env: Mapping[str, str], root: Path | None) -> tuple[list[Path], list[Path]]:
    """The condarc files that exist, lowest priority first; and the paths to watch for that answer.

    SEARCH_PATH in conda/base/constants.py, `_expand_search_path` in conda/common/configuration.py.
    Where CONDA_ROOT or CONDA_PREFIX is unset, it is the root prefix.
    """
    home, fallback = files.home_dir(env), str(root or "")
    folders = [Path("/etc/conda"), Path("/var/lib/conda"), Path(env.get("CONDA_ROOT", fallback))]
    folders += [Path(env.get("XDG_CONFIG_HOME", ""), "conda"), home / ".config/conda", home / ".conda"]
    folders += [Path(env.get("CONDA_PREFIX", fallback))]
    paths = [folder / name for folder in folders for name in (".condarc", "condarc", "condarc.d")]
    paths.insert(-3, home / ".condarc")
    found: dict[Path, None] = {}  # in order; its first place decides a file's rank (`_load_search_path`)
    watch = [home / ".condarc"]  # the one that a user is likely to add
    for path in (*paths, Path(env.get("CONDARC", ""))):
        mode = read_mode(path) if path.is_absolute() else 0
        if S_ISREG(mode) and (path.name in (".condarc", "condarc") or path.suffix in _YAML):
            found[path] = None
        elif S_ISDIR(mode):
            watch.append(path)
            found.update(dict.fromkeys(entry for entry in read_folder(path) if entry.suffix in _YAML))
    return list(found), list(dict.fromkeys([*watch, *found]))


def read(path: Path) -> EnvsDirs | None:
    """What the file says, or None if it doesn't, or not in a way that is understood."""
    try:
        return parse(files.read_bytes(path).decode("utf-8-sig"))
    except (OSError, WtenvError, UnicodeDecodeError):
        return None


def parse(text: str) -> EnvsDirs | None:
    """The value of the top-level key `envs_dirs`, or its old name `envs_path` (conda/base/context.py)."""
    import re

    key = re.compile(r"""(["']?)(envs_dirs|envs_path)\1[ \t]*:(?:[ \t]+(.*))?$""")
    lines = text.replace("\r\n", "\n").replace("\0", "").split("\n")
    found: dict[str, EnvsDirs | None] = {}
    for number, line in enumerate(lines, 1):
        if match := key.match(line):
            head = (match[3] or "").strip()
            if head.startswith("["):
                found[match[2]] = _read_flow("\n".join([head[1:], *lines[number:]]))
            elif not head or head.startswith("#"):  # else an alias, a single string: no list for conda either
                found[match[2]] = _read_block(head, lines[number:])
    return found.get("envs_dirs") or found.get("envs_path")


def merge(sources: Sequence[EnvsDirs]) -> tuple[str, ...]:
    """One list out of `sources` (lowest priority first): the higher source's lines first, those marked
    top or bottom above and below all (`SequenceLoadedParameter.merge`, conda/common/configuration.py)."""
    last = next((index for index, source in enumerate(sources) if source.final), len(sources))
    kept = sources[: last + 1]
    top = [value for source in kept for value, flag in source.lines if flag == "top"]
    every = [line for source in reversed(kept) for line in source.lines]
    bottom = [value for value, flag in every if flag == "bottom"]
    order = dict.fromkeys([*top, *(value for value, _ in every)])
    return tuple(reversed(dict.fromkeys([*reversed(bottom), *reversed(order)])))


def _read_block(comment: str, rest: list[str]) -> EnvsDirs | None:
    import re

    form = re.compile(rf"( *)-[ \t]+({_QUOTED}|{_PLAIN}.*?)[ \t]*(?:(?<=[ \t])(#.*))?$")
    lines: list[tuple[str, str]] = []
    indents = set()
    for line in rest:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = form.match(line)
        if not match and not line.startswith((" ", "\t", "- ")):
            break  # the next key, or the document's end
        value = _unquote(match[2]) if match else None
        if not match or value is None:
            return None
        indents.add(match[1])
        lines += [(value, _read_flag(match[3]))] if value else []
    return EnvsDirs(tuple(lines), _read_flag(comment) == "final") if len(indents) == 1 else None


def _read_flow(text: str) -> EnvsDirs | None:
    import re

    gap = r"(?:\s+(?:#[^\n]*)?)*"
    form = re.compile(rf"{gap}({_QUOTED}|{_PLAIN}[^,\[\]{{}}\n]*?){gap}(?:,|(?=\]))")
    lines: list[tuple[str, str]] = []
    at = 0
    while match := form.match(text, at):
        value = _unquote(match[1])
        if value is None:
            return None
        lines += [(value, "")] if value else []
        at = match.end()
    return EnvsDirs(tuple(lines)) if re.compile(rf"{gap}\]").match(text, at) else None


def _unquote(scalar: str) -> str | None:
    if scalar.startswith("'"):
        return scalar[1:-1].replace("''", "'")
    if scalar.startswith('"'):
        import json

        try:
            scalar = str(json.loads(scalar))  # YAML's escapes that JSON lacks (\x41, \e) are not for paths
            return None if b"\0" in scalar.encode() else scalar
        except ValueError:
            return None
    if ": " in scalar or scalar.endswith(":"):
        return None  # a mapping
    return "" if scalar.lower() in ("~", "null") else scalar


def _read_flag(comment: str | None) -> str:
    return (comment or "").strip().strip("!#")  # `ParameterFlag.from_string`
