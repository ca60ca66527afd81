"""condarc files: where they are, and the one key that counts here: `envs_dirs`, the folders of named environments.

To load a YAML library would cost more than the rest of an activation. So simple files are read here, in which each line
can be understood alone: plain keys, plain or quoted strings, lists. All others (anchors, tags, strings over several
lines) go to PyYAML. A file that conda would refuse is refused. A file without the key's name says nothing, whatever
else it has, and is not parsed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, NamedTuple

from .. import dirs, files
from ..console import make_printable
from ..errors import WtenvError

_YAML = (".yml", ".yaml")
_KEYS = ("envs_dirs", "envs_path")  # the second is the old name (conda/base/context.py)
_QUOTED = r"""'(?:[^'\n]|'')*'|"(?:[^"\\\n]|\\[^\n])*\""""
_PLAIN = r"""(?:[^\s\-?:,\[\]{}#&*!|>'"%@`]|[-?:](?=[^\s,\[\]{}]))"""  # how a YAML plain scalar may begin


class EnvsDirs(NamedTuple):
    """What one source says."""

    lines: tuple[tuple[str, str], ...]  # a folder, and its flag: "top", "bottom" or ""
    final: bool = False  # sources of a higher priority don't count


def read_mode(path: Path) -> int:
    """The mode of the file that `path` names, links followed; 0 if it can't be asked."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def read_folder(path: Path) -> list[Path]:
    """What is in the folder `path`, sorted; nothing if it can't be read."""
    try:
        return sorted(path.iterdir(), key=os.fspath)
    except (OSError, ValueError):
        return []


def find(env: Mapping[str, str], root: Path | None) -> tuple[list[Path], list[Path]]:
    """The condarc files that exist, lowest priority first; and the paths to watch for that answer.

    SEARCH_PATH in conda/base/constants.py, `_expand_search_path` in conda/common/configuration.py.
    Where CONDA_ROOT or CONDA_PREFIX is unset, it is the root prefix.
    """
    home, fallback = Path(dirs.find_home(env)), str(root or "")
    folders = [Path("/etc/conda"), Path("/var/lib/conda"), Path(env.get("CONDA_ROOT", fallback))]
    folders += [Path(env.get("XDG_CONFIG_HOME", ""), "conda"), home / ".config/conda", home / ".conda"]
    folders += [Path(env.get("CONDA_PREFIX", fallback))]
    paths = [folder / name for folder in folders for name in (".condarc", "condarc", "condarc.d")]
    paths.insert(-3, home / ".condarc")
    found, watch = _collect([*paths, Path(env.get("CONDARC", ""))], (".condarc", "condarc"))
    return found, list(dict.fromkeys([home / ".condarc", *watch]))  # first the file that a user is likely to add


def find_mamba(env: Mapping[str, str], root: Path | None) -> tuple[list[Path], list[Path]]:
    """The same for the files that mamba and micromamba read in addition to conda's (`compute_default_rc_sources` in
    libmamba/src/api/configuration.cpp, mamba 2.4)."""
    home = Path(dirs.find_home(env))
    folders = [Path("/etc/conda"), Path("/var/lib/conda"), root or Path()]
    paths = [folder / ".mambarc" for folder in folders]
    for folder in (Path(dirs.find_config(env)).parent / "mamba", home / ".mamba"):
        paths += [folder / name for name in (".mambarc", "mambarc", "mambarc.d")]
    found, watch = _collect([*paths, home / ".mambarc", Path(env.get("MAMBARC", ""))], (".mambarc", "mambarc"))
    return found, list(dict.fromkeys([home / ".mambarc", *watch]))


def _collect(paths: Sequence[Path], names: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Those of `paths`, files or folders of files, that exist, in their order; and the paths to watch for that
    answer."""
    found: dict[Path, None] = {}  # a file that is named twice has the rank of its first place (`_load_search_path`)
    watch = []
    for path in paths:
        mode = read_mode(path) if path.is_absolute() else 0
        if S_ISREG(mode) and (path.name in names or path.suffix in _YAML):
            found[path] = None
        elif S_ISDIR(mode):
            watch.append(path)
            found.update(dict.fromkeys(entry for entry in read_folder(path) if entry.suffix in _YAML))
    return list(found), [*watch, *found]


def read(path: Path) -> EnvsDirs | None:
    """What the file says; None if it says nothing. WtenvError if conda would refuse the file."""
    try:
        data = files.read_bytes(path)
    except (OSError, WtenvError):
        return None
    if not any(key.encode() in data for key in _KEYS):
        return None
    try:
        return parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        what, line = "is not UTF-8", data.count(b"\n", 0, error.start) + 1
    except Refused as error:
        what, line = error.args
    where = f"{make_printable(os.fspath(path))}: line {line}"
    raise WtenvError(f"{where} {what}, so where conda looks for environments is not known", "correct it", (path,))


class Refused(ValueError):
    """A file that conda would refuse: what is wrong, and in which line."""


def parse(text: str) -> EnvsDirs | None:
    """The value of the top-level key, None if there is none. Refused if conda would refuse the text."""
    text = text.replace("\r\n", "\n")
    found = _read_plain(text)
    return _read_yaml(text) if found is _OTHER else found


_OTHER = EnvsDirs((), True)  # compared by identity: the text is one for the YAML library


def _read_plain(text: str) -> EnvsDirs | None:
    import re

    if not text.replace("\n", "").isprintable():
        return _OTHER
    key = r"""(?P<quote>["']?)(?P<key>[A-Za-z_][\w.-]*)(?P=quote) *:(?= |$)"""
    plain = rf"{_PLAIN}(?:[^\s:#]|:(?=[^\s])|(?<=[^\s])#| +(?=[^\s:#]|:[^\s]))*"
    item = rf"(?:{_QUOTED}|{_PLAIN}[^,\[\]{{}}:#\n]*)"
    value = rf"(?:{_QUOTED}|{plain}|\[ *(?:{item} *, *)*(?:{item} *)?\])"
    form = re.compile(
        rf"(?P<indent> *)(?P<dashes>(?:-(?: +|$))*)(?:{key})? *(?P<value>{value})? *(?:(?<= )(?P<comment>#.*))?$"
    )
    lines = text.split("\n")
    found: dict[str, EnvsDirs] = {}
    is_begun = is_open = False  # is_open: the value of the last key may stand in the next lines
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.rstrip() == "---" and not is_begun:
            is_begun = True
            continue
        is_begun, match = True, form.match(line)
        if not match:
            return _OTHER
        if match["indent"] or match["dashes"]:
            if not is_open:
                return _OTHER
            continue
        if not match["key"]:
            return _OTHER
        is_open = not match["value"]
        if match["key"] in _KEYS:
            said = match["value"]
            read = _read_flow(said) if said else _read_block(match["comment"], lines[number:])
            if read is None or match["key"] in found:
                return _OTHER
            found[match["key"]] = read
    return next((found[name] for name in _KEYS if name in found), None)


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


def _read_block(comment: str | None, rest: list[str]) -> EnvsDirs | None:
    import re

    form = re.compile(rf"( *)- +({_QUOTED}|{_PLAIN}.*?) *(?:(?<= )(#.*))?$")
    lines: list[tuple[str, str]] = []
    indents = set()
    for line in rest:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = form.match(line)
        if not match and not line.startswith((" ", "- ")):
            break  # the next key
        value = _unquote(match[2]) if match else None
        if not match or value is None:
            return None
        indents.add(match[1])
        lines += [(value, _read_flag(match[3]))] if value else []
    return EnvsDirs(tuple(lines), _read_flag(comment) == "final") if len(indents) == 1 else None


def _read_flow(text: str) -> EnvsDirs | None:
    import re

    if not text.startswith("["):
        return None
    values = [_unquote(match[0].strip()) for match in re.finditer(rf"{_QUOTED}|{_PLAIN}[^,\]]*", text[1:-1])]
    kept = [value for value in values if value is not None]
    return EnvsDirs(tuple((value, "") for value in kept if value)) if len(kept) == len(values) else None


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


def _read_yaml(text: str) -> EnvsDirs | None:
    import yaml  # type: ignore[import-untyped,import-not-found,unused-ignore]

    try:
        root = yaml.compose(text, yaml.SafeLoader)  # libyaml's takes what conda's own, ruamel.yaml, refuses
        if root is None:
            return None
        if root.tag != "tag:yaml.org,2002:map":
            raise Refused("begins something that is no mapping", root.start_mark.line + 1)
        found = _list_pairs(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Refused(f"is no YAML that conda reads ({error.problem})", mark.line + 1 if mark else 1) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise (
            error if isinstance(error, Refused) else Refused("or a later one is no YAML that conda reads", 1)
        ) from None
    said = next((found[name] for name in _KEYS if name in found), None)
    return _read_node(*said, text) if said else None


def _list_pairs(node: Any) -> dict[str, tuple[Any, Any]]:
    """The keys of a mapping that count; its own come before those that it merges (`<<`)."""
    pairs: dict[str, tuple[Any, Any]] = {}
    for key, value in node.value:
        if key.value in _KEYS:
            if key.value in pairs:
                raise Refused(f"has {key.value} again", key.start_mark.line + 1)
            pairs[key.value] = (key, value)
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            for each in value.value if value.id == "sequence" else [value]:
                if each.id != "mapping":
                    raise Refused("merges something that is no mapping", each.start_mark.line + 1)
                for name, pair in _list_pairs(each).items():
                    pairs.setdefault(name, pair)
    return pairs


def _read_node(key: Any, node: Any, text: str) -> EnvsDirs:
    """The list in `node`, with conda's flags. These are comments: an item's stands behind the item, the list's in the
    line of the key."""
    if node.tag == "tag:yaml.org,2002:null":
        return EnvsDirs(())
    if node.tag != "tag:yaml.org,2002:seq":
        raise Refused(f"has {key.value}, which is no list", node.start_mark.line + 1)
    lines: list[tuple[str, str]] = []
    for item in node.value:
        kind = item.tag.removeprefix("tag:yaml.org,2002:")
        if (
            item.id != "scalar"
            or kind not in ("str", "null", "int", "float", "bool", "timestamp")
            or "\0" in item.value
        ):
            raise Refused(f"has something in {key.value} that is no text", item.start_mark.line + 1)
        is_line = not node.flow_style and item.style not in ("|", ">")
        flag = _read_flag(_find_comment(text, item.end_mark.index)) if is_line else ""
        lines += [(item.value, flag)] if item.value and kind != "null" else []
    is_final = not node.flow_style and _read_flag(_find_comment(text, key.end_mark.index)) == "final"
    return EnvsDirs(tuple(lines), is_final)


def _find_comment(text: str, at: int) -> str:
    """The comment in the line of `at`, if only blanks and a colon stand between them."""
    import re

    match = re.compile(r" *:?[ \t]*(?<=[ \t])(#[^\n]*)").match(text, at)
    return match[1] if match else ""
