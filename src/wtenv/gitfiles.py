"""git's own files: its config, as git-config(1) has it (Syntax, Includes), and info/exclude. No git process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import access, dirs, files
from .console import say
from .errors import WtenvError

_SECTION = re.compile(r'\[[ \t]*([A-Za-z0-9.-]*)[ \t]*(?:"((?:[^"\\]|\\.)*)"[ \t]*)?\][ \t]*')
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*(?:(=)|$)")
_TOKEN = re.compile(r'[^\\"#;]+|\\.?|["#;]')
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}
_MAX_DEPTH = 10  # of includes, as git has it


def parse(text: str) -> Iterator[tuple[str, str | None]]:
    """Each setting, in order: `section.key` or `section.Subsection.key`, section and key in lower case, and its
    value, None for a key without one. ValueError at what git would not read."""
    section = ""
    lines = iter(text.removeprefix("\ufeff").split("\n"))
    for line in lines:
        rest, at = line.strip(" \t\r"), 0
        while found := _SECTION.match(rest, at):
            inner = re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else None
            section, at = found[1].lower() + ("" if inner is None else f".{inner}"), found.end()
        rest = rest[at:]
        if not rest or rest[0] in "#;":
            continue
        key = _KEY.match(rest)
        if key is None:
            raise ValueError(f"not a setting: {line}")
        yield f"{section}.{key[1].lower()}".lstrip("."), _read_value(rest[key.end() :], lines) if key[2] else None


def _read_value(rest: str, lines: Iterator[str]) -> str:
    """The value that begins with `rest`; after a backslash at the end of a line it goes on in the next one."""
    parts: list[str] = []
    blanks, is_quoted = "", False  # blanks: at the end they don't count
    tokens = _TOKEN.finditer(rest.lstrip(" \t"))
    while token := next(tokens, None):
        text = token[0]
        if text == "\\":
            parts.append(blanks)
            blanks = ""
            tokens = _TOKEN.finditer(next(lines, "").rstrip("\r"))
        elif text == '"':
            is_quoted = not is_quoted
            parts.append(blanks)
            blanks = ""
        elif text in "#;" and not is_quoted:
            break
        else:
            if text[0] == "\\":
                if text[1] not in _ESCAPES:
                    raise ValueError("not an escape")
                word, after = _ESCAPES[text[1]], ""
            else:
                word = text if is_quoted else text.rstrip(" \t")
                after = text[len(word) :]
            if word:
                parts += [blanks, word]
                blanks = after
            else:
                blanks += after
    if is_quoted:
        raise ValueError("a quote has no end")
    return "".join(parts)


def list_protected(env: Mapping[str, str]) -> tuple[Path, ...]:
    """The files of the system and of the user, in git's order, whether they exist or not (git-config(1), FILES)."""
    found = []
    if env.get("GIT_CONFIG_NOSYSTEM", "").lower() in ("", "0", "false", "no", "off"):
        found.append(env.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig")
    if "GIT_CONFIG_GLOBAL" in env:
        found.append(env["GIT_CONFIG_GLOBAL"])
    else:
        home = Path(dirs.find_home(env))
        found += [f"{env.get('XDG_CONFIG_HOME') or f'{home}/.config'}/git/config", f"{home}/.gitconfig"]
    return tuple(Path(path) for path in found if os.path.isabs(path))


def is_safe(root: Path, env: Mapping[str, str]) -> bool:
    """Whether the system's or the user's git config declares the worktree `root` (resolved) safe whoever owns it:
    `safe.directory` of git-config(1). What is in the repository's own config never counts, nor does a file that
    another user could write to."""
    safe = False
    home = Path(dirs.find_home(env))
    for file in list_protected(env):
        for value in _list_safe(file, home, _MAX_DEPTH):
            path = f"{home}/{value[2:]}" if value.startswith("~/") else value
            if not value:
                safe = False
            elif value == "*":
                safe = True
            elif os.path.isabs(path) and "\0" not in path:
                real = os.path.realpath(path)
                safe = safe or (str(root).startswith(real[:-1]) if real.endswith("/*") else str(root) == real)
    return safe


def _list_safe(file: Path, home: Path, depth: int) -> Iterator[str]:
    try:
        if access.find_exposure(file):
            return
        text = files.read_bytes(file).decode("utf-8", "surrogateescape")
        for name, value in parse(text):
            if name == "safe.directory":
                yield value or ""
            elif name == "include.path" and value and depth:
                path = home / value[2:] if value.startswith("~/") else file.parent / value
                yield from _list_safe(path, home, depth - 1)
    except (OSError, ValueError, WtenvError):  # git would stop; what came before in it counts
        return


def exclude(common_dir: Path, venv: str) -> None:
    """Add the overlay to the clone's own exclude file, once (gitignore(5), $GIT_COMMON_DIR/info/exclude)."""
    path = common_dir / "info" / "exclude"
    line = "/" + re.sub(r"([\\*?\[ ])", r"\\\1", venv) + "/"
    try:
        old = files.read_bytes(path) if path.exists() else b""
        if line.encode() in old.splitlines():
            return
        gap = b"\n" if old and not old.endswith(b"\n") else b""
        files.replace(path, old + gap + line.encode() + b"\n")
    except OSError as error:
        say(f"can't add {venv} to {path} ({error.strerror}); ignore it yourself")
    except WtenvError as error:
        say(f"can't add {venv} to {path} ({error.what}); ignore it yourself")
