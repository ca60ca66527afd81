"""The user's own settings, `$XDG_CONFIG_HOME/wtenv/config.toml`. Never a repository's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from . import files
from .errors import WtenvError

Level = Literal["silent", "error", "normal", "verbose"]


@dataclass(frozen=True)
class Settings:
    """trusted: folders whose configs need no `wtenv allow`; sync_auto: build a missing overlay on
    entering; level: what the hook says; prompt: show the environment in the shell's prompt."""

    path: Path
    trusted: tuple[Path, ...] = ()
    sync_auto: bool = False
    level: Level = "normal"
    prompt: bool = False


_KNOWN: dict[str, dict[str, str]] = {
    "trust": {"prefixes": "a list of folders"},
    "sync": {"auto": "true or false"},
    "messages": {"level": "one of " + ", ".join(f'"{level}"' for level in get_args(Level))},
    "prompt": {"show": "true or false"},
}


def read_settings(env: Mapping[str, str]) -> Settings:
    """The settings, defaults where the file is absent. WtenvError names file and key of a mistake."""
    path = files.config_dir(env) / "config.toml"
    try:
        data = files.read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        return Settings(path)
    except OSError as error:
        raise WtenvError(f"{path}: can't be read ({error.strerror})", f"run: chmod u+r {path}") from None
    table = files.parse_toml(path, data)
    for name, content in table.items():
        if name not in _KNOWN or not isinstance(content, dict):
            raise WtenvError(f"{path}: [{name}] unknown table", f"known: {', '.join(_KNOWN)}")
        for key, value in content.items():
            if key not in _KNOWN[name]:
                raise WtenvError(f"{path}: [{name}] {key} unknown key", f"known: {', '.join(_KNOWN[name])}")
            if not _fits(name, value):
                raise WtenvError(f"{path}: [{name}] {key} must be {_KNOWN[name][key]}", "correct the value")
    home = files.home_dir(env)
    written = [Path(p) if not p.startswith("~/") else home / p[2:] for p in table.get("trust", {}).get("prefixes", ())]
    if relative := next((p for p in written if not p.is_absolute()), None):
        raise WtenvError(f"{path}: [trust] prefixes: {relative} is not absolute", "write the whole path, or ~/…")
    return Settings(
        path=path,
        trusted=tuple(Path(os.path.realpath(prefix)) for prefix in written),
        sync_auto=table.get("sync", {}).get("auto", False),
        level=table.get("messages", {}).get("level", "normal"),
        prompt=table.get("prompt", {}).get("show", False),
    )


def _fits(table: str, value: object) -> bool:
    if table == "trust":
        return isinstance(value, list) and all(isinstance(item, str) and item for item in value)
    if table == "messages":
        return value in get_args(Level)
    return isinstance(value, bool)
