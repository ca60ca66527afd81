"""Variables that packages and `conda env config vars set` give to an environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from .. import files
from ..environ import MAX_VALUE, explain_refusal
from ..errors import WtenvError
from ..watch import EXACT, LATER, Watch

UNSET = "***unset***"  # CONDA_ENV_VARS_UNSET_VAR in conda/base/constants.py


class Variables(NamedTuple):
    """What an environment sets."""

    values: dict[str, str | None]  # None: unset
    watch: Watch  # the folder and the files that were read
    warnings: tuple[str, ...]  # what was skipped, one line each, with the file's path


def read_variables(prefix: Path) -> Variables:
    """The variables of the environment at `prefix`. Whatever the files contain, it never raises.

    As `_get_environment_env_vars` in conda/activate.py: every file in etc/conda/env_vars.d, sorted; then `env_vars` of
    conda-meta/state, which win. conda stops at a malformed file; this goes on without it.
    """
    folder, state = Path(prefix, "etc/conda/env_vars.d"), Path(prefix, "conda-meta/state")
    values: dict[str, str | None] = {}
    warnings: list[str] = []
    try:
        paths = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=os.fspath)
    except (FileNotFoundError, NotADirectoryError):
        paths = []
    except OSError as error:
        paths = []
        warnings.append(f"{folder} is skipped: {error.strerror}")
    for path in paths:
        _add(values, path, _load(path, warnings), warnings)
    if os.path.lexists(state):
        content = _load(state, warnings)
        _add(values, state, content.get("env_vars", {}) if isinstance(content, dict) else content, warnings)
    # `state` is watched without its folder: that it is gone shows in no other time.
    return Variables(values, {**dict.fromkeys([folder, *paths], LATER), state: EXACT}, tuple(warnings))


def _load(path: Path, warnings: list[str]) -> object:
    """The JSON in `path`; an empty dict and a warning if there is none."""
    import json

    try:
        content: object = json.loads(files.read_bytes(path))
    except OSError as error:
        warnings.append(f"{path} is skipped: {error.strerror}")
    except WtenvError as error:
        warnings.append(f"{path} is skipped: {error.what}")
    except (ValueError, RecursionError) as error:
        warnings.append(f"{path} is skipped: not JSON ({error})")
    else:
        return content
    return {}


def _add(values: dict[str, str | None], path: Path, content: object, warnings: list[str]) -> None:
    """Put the variables in `content`, which is the JSON of `path`, into `values`; `warnings` gets those that are
    refused."""
    if not isinstance(content, dict):
        warnings.append(f"{path} is skipped: not a table of names and values")
        return
    for name, value in content.items():
        if reason := explain_refusal(name):
            warnings.append(f"{path}: {name!a} is skipped: it {reason}")
        elif value is None or value == UNSET:
            values[name] = None
        elif not isinstance(value, (str, int, float)):  # numbers: as conda prints them
            warnings.append(f"{path}: {name} is skipped: its value is not a string")
        elif not _can_be_held(text := str(value)):
            warnings.append(f"{path}: {name} is skipped: no environment can hold its value")
        else:
            values[name] = text


def _can_be_held(text: str) -> bool:
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a lone surrogate in JSON stands for no bytes
        return False
    return b"\0" not in data and len(data) <= MAX_VALUE
