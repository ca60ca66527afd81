"""Projects: what a declared package is, as its own files say it. Nothing of it runs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .. import files, toml
from ..errors import WtenvError
from ..names import normalise
from ..toml import get_table
from .manifest import BUILD_FILES, MAX_BUILD_FILE

# Files that backends copy into the metadata without being told (PEP 639).
_COPIED = ("pyproject.toml", "licen[cs]e*", "copying*", "notice*", "authors*")


@dataclass(frozen=True)
class Project:
    """A declared editable, as its own files describe it."""

    path: Path
    name: str  # normalised; empty if only running setup.py would tell
    backend: str
    requires: tuple[str, ...]
    data: Mapping[str, Any] = field(default_factory=dict, compare=False)  # the content of its pyproject.toml


def read_project(path: Path) -> Project:
    """What the package at `path` says about its build. WtenvError if there is no package."""
    if not path.is_dir():
        raise WtenvError(f"the editable {path} is no folder", "correct [editables] packages")
    data: dict[str, Any] = {}
    try:
        data = toml.parse(path / "pyproject.toml", files.read_bytes(path / "pyproject.toml"))
    except FileNotFoundError:
        if not (path / "setup.py").is_file():
            raise WtenvError(
                f"the editable {path} has neither pyproject.toml nor setup.py", "correct [editables] packages"
            ) from None
    except OSError as error:
        raise WtenvError(f"can't read {path / 'pyproject.toml'} ({error.strerror})", "correct it") from None
    build, project = get_table(data, "build-system"), get_table(data, "project")
    _check_files(path, data)
    if not build and not project and not (path / "setup.py").is_file() and not (path / "setup.cfg").is_file():
        raise WtenvError(f"the editable {path} is no package", "add [project] to its pyproject.toml")
    name = project.get("name") or get_table(get_table(data, "tool"), "poetry").get("name") or _read_setup_cfg(path)
    requires = build.get("requires", ["setuptools>=40.8"])
    return Project(
        path,
        normalise(name) if isinstance(name, str) else "",
        str(build.get("build-backend", "setuptools.build_meta")),
        tuple(item for item in requires if isinstance(item, str)) if isinstance(requires, list) else (),
        data,
    )


def _check_files(path: Path, data: Mapping[str, Any]) -> None:
    """WtenvError if a build would read a fifo, a device, or a file that fills the memory. Looked at are the settings,
    the files that these name below the project, and those that backends look for by themselves."""
    for place in (
        *(path / name for name in (*BUILD_FILES, "MANIFEST.in")),
        *list_copied(path, get_table(data, "project")),
    ):
        files.check_readable(place, MAX_BUILD_FILE)
    for value in list_values(data):
        if (
            isinstance(value, str)
            and "\0" not in value
            and not os.path.isabs(value)
            and not os.path.isdir(path / value)
        ):
            files.check_readable(path / value, sys.maxsize)


def _read_setup_cfg(path: Path) -> str:
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(files.read_bytes(path / "setup.cfg", MAX_BUILD_FILE).decode())
        return parser.get("metadata", "name", fallback="")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return ""


def list_copied(folder: Path, table: Mapping[str, Any]) -> list[Path]:
    """The files beside a project's settings whose content a build copies. table: its [project]."""
    patterns = [*_COPIED, *(text.lower() for text in list_texts(table.get("license-files")))]
    named = {*list_texts(table.get("readme")), *list_texts(table.get("license"))}
    names = (name for name in os.listdir(folder) if name in named or any(fnmatch(name.lower(), p) for p in patterns))
    return [folder / name for name in sorted(names) if not os.path.isdir(folder / name)]  # not LICENSES/ (REUSE)


def list_texts(value: object) -> list[str]:
    """The files, or patterns of files, that a value in [project] names."""
    values = value if isinstance(value, list) else [value]
    texts = [item.get("file") if isinstance(item, dict) else item for item in values]
    return [text for text in texts if isinstance(text, str)]


def list_values(value: object) -> Iterator[object]:
    """`value` and all that is in it."""
    values = [value]
    while values:  # not by recursion: it may be nested as deep as Python's stack
        item = values.pop()
        yield item
        if isinstance(item, (dict, list)):
            values.extend(item.values() if isinstance(item, dict) else item)


def name_requires(project: Project) -> set[str]:
    """The normalised names of what its build requires."""
    return {normalise(re.split(r"[^\w.-]", text.strip(), maxsplit=1)[0]) for text in project.requires}


def check_names(projects: Iterable[Project]) -> None:
    """Refuse two declared packages of one name: the second would replace the first."""
    seen: dict[str, Path] = {}
    for item in projects:
        if item.name and item.name in seen:
            raise WtenvError(
                f"{seen[item.name]} and {item.path} are the same package, {item.name}",
                "declare one of them in [editables]",
            )
        seen[item.name] = item.path
