"""Where uv gets packages from: only the settings of the user and the system count; and which certificates it trusts.

Left to itself uv reads the nearest uv.toml or [tool.uv] in or above its folder, whoever wrote it: indexes,
`find-links`, even a `target` outside of the overlay (uv's documentation, Configuration files).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .. import access, dirs, files
from ..errors import WtenvError

Report = Callable[[str], None]
PIP_CONF = "/etc/pip.conf"
NOWHERE = Path(__file__).parent / "nowhere"


class UvStart(NamedTuple):
    """How uv is started so that it reads only the settings that count."""

    options: tuple[str, ...]  # for each of its commands
    env: dict[str, str]


def limit_settings(env: Mapping[str, str], own: Mapping[str, str], root: Path, report: Report) -> UvStart:
    """How to start uv in a worktree at `root` so that it reads the settings of the user and the system alone. env: the
    environment for uv; own: the user's environment, before any config changed it; report: gets a line for each file
    that is not read."""
    changed = dict(env)
    if given := changed.pop("UV_CONFIG_FILE", ""):
        if not (problem := _find_problem(given, root)):
            return UvStart((), {**changed, "UV_CONFIG_FILE": given})
        report(f"UV_CONFIG_FILE is not read: {problem}")
    wanted = []
    for file in list_settings(own):
        if problem := _find_problem(file, None):
            report(f"{file} is not read: {problem}")
        else:
            wanted.append(file)
    if wanted == list_settings(env):  # uv finds these by itself, once it looks in no project
        return UvStart(("--project", os.fspath(NOWHERE)), changed)
    if wanted:
        return UvStart((), {**changed, "UV_CONFIG_FILE": wanted[0]})
    return UvStart((), {**changed, "UV_NO_CONFIG": "1"})


def list_settings(env: Mapping[str, str]) -> list[str]:
    """The existing files with settings for uv: the user's, then the system's, where uv looks for them."""
    system = [f"{folder}/uv/uv.toml" for folder in _list_system(env)]
    found = next((file for file in (*system, "/etc/uv/uv.toml") if os.path.isfile(file)), None)
    user = f"{os.path.dirname(dirs.find_config(env))}/uv/uv.toml"
    return [file for file in (user, found) if file and os.path.lexists(file)]


def _list_system(env: Mapping[str, str]) -> list[str]:
    """The folders of the system's settings (XDG Base Directory Specification)."""
    return [folder for folder in (env.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if folder]


def _find_problem(file: str, root: Path | None) -> str:
    """Why the settings in `file` don't count; empty if they do. root: a worktree; no file in it counts."""
    if not os.path.isabs(file):
        return f"{file} is not an absolute path"
    if root and Path(os.path.realpath(file)).is_relative_to(os.path.realpath(root)):
        return f"{file} lies in the worktree"
    found = access.find_exposure(Path(file))
    return f"{found.reason}; {found.fix}" if found else ""


def find_foreign_workspace(projects: Iterable[Path]) -> Path | None:
    """The first pyproject.toml above one of `projects` that another user could write. If it declares a workspace, its
    [tool.uv.sources] decide where the project's requirements come from."""
    above = dict.fromkeys(folder for project in projects for folder in Path(os.path.realpath(project)).parents)
    for folder in above:
        if os.path.lexists(folder / "pyproject.toml") and access.find_exposure(folder / "pyproject.toml"):
            return folder / "pyproject.toml"
    return None


# --- certificates ----------------------------------------------------------------------------------------


class Certificates(NamedTuple):
    """Certificates to trust."""

    name: str  # for a message
    env: Mapping[str, str]  # the variables by which uv trusts these, and no others


def list_certificates(env: Mapping[str, str], prefix: str) -> Iterator[Certificates]:
    """The certificates that pip would trust in the environment `env` with the base at `prefix`, and at last the
    system's: to be tried in turn when uv has met a certificate that it does not know."""
    named = [
        ("PIP_CERT", env.get("PIP_CERT", "")),
        *_read_pip(env, prefix),
        ("REQUESTS_CA_BUNDLE", env.get("REQUESTS_CA_BUNDLE", "")),
        ("CURL_CA_BUNDLE", env.get("CURL_CA_BUNDLE", "")),
    ]
    tried = {env.get("SSL_CERT_FILE", ""), env.get("SSL_CERT_DIR", "")}
    for name, value in named:
        place = os.path.expanduser(value)
        if os.path.isabs(place) and place not in tried and os.path.exists(place):
            tried.add(place)
            variable = "SSL_CERT_DIR" if os.path.isdir(place) else "SSL_CERT_FILE"
            yield Certificates(f"{place} ({name})", {variable: place})
    if not env.get("SSL_CERT_FILE") and not env.get("SSL_CERT_DIR"):
        # The second is what uv called it before 0.11; either ignores the other's.
        yield Certificates("the system", {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"})


def _read_pip(env: Mapping[str, str], prefix: str) -> Iterator[tuple[str, str]]:
    """The `cert` that pip's own files set, with the file's name. Of the files that `pip config debug` lists, the last
    one that sets it counts; [install] before [global]."""
    import configparser

    found: dict[str, tuple[str, str]] = {}
    for file in _list_pip(env, prefix):
        parser = configparser.RawConfigParser()
        try:
            if not os.path.exists(file) or _find_problem(file, None):
                continue
            parser.read_string(files.read_bytes(file).decode())
        except (configparser.Error, UnicodeDecodeError, OSError, WtenvError):
            continue
        for section in ("install", "global"):
            if value := parser.get(section, "cert", fallback=""):
                found[section] = (file, value)
    yield from (found[section] for section in ("install", "global") if section in found)


def _list_pip(env: Mapping[str, str], prefix: str) -> list[str]:
    """pip's configuration files, later ones winning (pip's documentation, Configuration; on a Mac also Library)."""
    named, home = env.get("PIP_CONFIG_FILE", ""), dirs.find_home(env)
    if named == os.devnull:
        return []
    library = "Library/Application Support/pip/pip.conf"
    system = [f"/{library}", *(f"{folder}/pip/pip.conf" for folder in _list_system(env)), PIP_CONF]
    if os.path.exists(named):
        return [*system, f"{prefix}/pip.conf", named]
    config = os.path.dirname(dirs.find_config(env))
    return [*system, f"{home}/.pip/pip.conf", f"{config}/pip/pip.conf", f"{home}/{library}", f"{prefix}/pip.conf"]
