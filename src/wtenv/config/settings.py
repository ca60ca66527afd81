"""The user's own settings, `$XDG_CONFIG_HOME/wtenv/config.toml`. Never a repository's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, get_args

from .. import access, dirs, files, toml
from ..errors import WtenvError

Level = Literal["silent", "error", "normal", "verbose"]
Elsewhere = Literal["follow", "warn", "ignore"]


class Settings(NamedTuple):
    """trusted: folders whose configs need no `wtenv allow`; sync_auto: build a missing overlay on
    entering; level: what the hook says; prompt: show the environment in the shell's prompt; elsewhere: what an
    overlay's Python does in another worktree (`_wtenv_elsewhere.py` reads that by itself)."""

    path: Path
    trusted: tuple[Path, ...] = ()
    sync_auto: bool = False
    level: Level = "normal"
    prompt: bool = False
    elsewhere: Elsewhere = "follow"


_KNOWN: dict[str, dict[str, str]] = {
    "trust": {"prefixes": "a list of folders"},
    "sync": {"auto": "true or false"},
    "messages": {"level": "one of " + ", ".join(f'"{level}"' for level in get_args(Level))},
    "prompt": {"show": "true or false"},
    "elsewhere": {"python": "one of " + ", ".join(f'"{wish}"' for wish in get_args(Elsewhere))},
}


def list_keys() -> dict[str, dict[str, str]]:
    """Every table and key of the settings, and what each must be."""
    return _KNOWN


def locate_settings(env: Mapping[str, str]) -> Path:
    """The file, whether it exists or not."""
    return Path(dirs.find_config(env)) / "config.toml"


def read_settings(env: Mapping[str, str]) -> Settings:
    """The settings, defaults where the file is absent. WtenvError names file and key of a mistake."""
    path = locate_settings(env)
    try:
        data = files.read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        return Settings(path)
    except OSError as error:
        what, fix = f"{path}: can't be read ({error.strerror})", f"run: chmod u+r {path}"
        raise WtenvError(what, fix, cacheable=False) from None
    table = toml.parse(path, data)
    for name, content in table.items():
        if name not in _KNOWN:
            _fail(path, f"[{name}] is no table that wtenv knows", f"known: {', '.join(_KNOWN)}")
        if not isinstance(content, dict):
            _fail(path, f"{name} must be a table", f"write [{name}]")
        for key, value in content.items():
            if key not in _KNOWN[name]:
                _fail(path, f"[{name}] {key} is no key that wtenv knows", f"known: {', '.join(_KNOWN[name])}")
            if not _fits(name, value):
                _fail(path, f"[{name}] {key} must be {_KNOWN[name][key]}", "correct the value")
    home = Path(dirs.find_home(env))
    written = [home / p[2:].lstrip("/") if p.startswith("~/") else Path(p) for p in _list_prefixes(table)]
    if relative := next((p for p in written if not p.is_absolute()), None):
        _fail(path, f"[trust] prefixes: {relative} is not absolute", "write the whole path, or ~/…")
    if written and (found := access.find_exposure(path)):
        _fail(path, f"can't give trust: {found.reason}", found.fix)
    return Settings(
        path=path,
        trusted=tuple(Path(os.path.realpath(prefix)) for prefix in written),
        sync_auto=table.get("sync", {}).get("auto", False),
        level=table.get("messages", {}).get("level", "normal"),
        prompt=table.get("prompt", {}).get("show", False),
        elsewhere=table.get("elsewhere", {}).get("python", "follow"),
    )


def _list_prefixes(table: Mapping[str, Any]) -> list[str]:
    return ["~/" if prefix == "~" else prefix for prefix in table.get("trust", {}).get("prefixes", ())]


def _fail(path: Path, what: str, fix: str) -> NoReturn:
    raise WtenvError(f"{path}: {what if what.isprintable() else ascii(what)}", fix, [path])


def _fits(table: str, value: object) -> bool:
    if table == "trust":
        return isinstance(value, list) and all(isinstance(item, str) and item and "\0" not in item for item in value)
    if table == "messages":
        return value in get_args(Level)
    if table == "elsewhere":
        return value in get_args(Elsewhere)
    return isinstance(value, bool)
