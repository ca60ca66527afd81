"""The user's own settings, `$XDG_CONFIG_HOME/wtenv/config.toml`. Never a repository's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .. import access, dirs, files, toml
from ..errors import WtenvError
from . import keys
from .keys import Elsewhere, Level
from .mistakes import fail, show


class Settings(NamedTuple):
    """What each means is in `keys.SETTINGS`."""

    path: Path
    trusted: tuple[Path, ...] = ()  # resolved
    sync_auto: bool = False
    level: Level = "normal"
    prompt: bool = False
    elsewhere: Elsewhere = "follow"  # `_wtenv_elsewhere.py` reads that by itself


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
    keys.check(path, table, keys.SETTINGS)
    home = Path(dirs.find_home(env))
    prefixes = ["~/" if prefix == "~" else prefix for prefix in table.get("trust", {}).get("prefixes", ())]
    written = [home / p[2:].lstrip("/") if p.startswith("~/") else Path(p) for p in prefixes]
    if relative := next((p for p in written if not p.is_absolute()), None):
        what = f"names {show(str(relative))}, which is not absolute"
        fail(path, "trust", "prefixes", what, "write the whole path, or ~/…")
    if written and (found := access.find_exposure(path)):
        raise WtenvError(f"{path}: can't give trust: {found.reason}", found.fix, [path])
    return Settings(
        path=path,
        trusted=tuple(Path(os.path.realpath(prefix)) for prefix in written),
        sync_auto=table.get("sync", {}).get("auto", False),
        level=table.get("messages", {}).get("level", "normal"),
        prompt=table.get("prompt", {}).get("show", False),
        elsewhere=table.get("elsewhere", {}).get("python", "follow"),
    )
