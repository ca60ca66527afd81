"""Whom uv believes: settings that are the user's own or the system's, and certificates that pip is given.

By itself uv takes settings from the nearest uv.toml or [tool.uv] in or above its folder, whoever wrote it: indexes,
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


class Settled(NamedTuple):
    """How uv is started so that it reads only the settings it should. options: for its command line; env: its
    environment."""

    options: tuple[str, ...]
    env: dict[str, str]


def settle(env: Mapping[str, str], own: Mapping[str, str], root: Path, report: Report) -> Settled:
    """`env`, an environment for uv in a worktree at `root`, with what it needs to read the settings of the user's own
    and the system's. own: the user's environment, before any config had a say; `report` gets a line for each file that
    does not count."""
    changed = dict(env)
    if given := changed.pop("UV_CONFIG_FILE", ""):
        if not (doubt := _doubt(given, root)):
            return Settled((), {**changed, "UV_CONFIG_FILE": given})
        report(f"UV_CONFIG_FILE is not read: {doubt}")
    wanted = []
    for file in list_settings(own):
        if doubt := _doubt(file, None):
            report(f"{file} is not read: {doubt}")
        else:
            wanted.append(file)
    if wanted == list_settings(env):  # what uv finds by itself, once it looks nowhere else
        return Settled(("--project", os.fspath(NOWHERE)), changed)
    if wanted:
        return Settled((), {**changed, "UV_CONFIG_FILE": wanted[0]})
    return Settled((), {**changed, "UV_NO_CONFIG": "1"})


def list_settings(env: Mapping[str, str]) -> list[str]:
    """The files with settings for uv that there are, the user's own and the system's, as uv looks for them."""
    system = [f"{folder}/uv/uv.toml" for folder in _list_system(env)]
    found = next((file for file in (*system, "/etc/uv/uv.toml") if os.path.isfile(file)), None)
    user = f"{os.path.dirname(dirs.find_config(env))}/uv/uv.toml"
    return [file for file in (user, found) if file and os.path.lexists(file)]


def _list_system(env: Mapping[str, str]) -> list[str]:
    """The folders of the system's settings (XDG Base Directory Specification)."""
    return [folder for folder in (env.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if folder]


def _doubt(file: str, root: Path | None) -> str:
    """Why the settings in `file` don't count; empty if they do. root: a worktree, in which nothing does."""
    if not os.path.isabs(file):
        return f"{file} is not an absolute path"
    if root and Path(os.path.realpath(file)).is_relative_to(os.path.realpath(root)):
        return f"{file} lies in the worktree"
    found = access.find_exposure(Path(file))
    return f"{found.reason}; {found.fix}" if found else ""


def find_foreign_workspace(projects: Iterable[Path]) -> Path | None:
    """The first pyproject.toml above one of `projects` that another user could write. As a workspace's it would decide
    from where the project's requirements come ([tool.uv.sources])."""
    above = dict.fromkeys(folder for project in projects for folder in Path(os.path.realpath(project)).parents)
    for folder in above:
        if os.path.lexists(folder / "pyproject.toml") and access.find_exposure(folder / "pyproject.toml"):
            return folder / "pyproject.toml"
    return None


# --- certificates ----------------------------------------------------------------------------------------


class Certificates(NamedTuple):
    """Certificates to trust. name: for a message; env: what makes uv trust them alone."""

    name: str
    env: Mapping[str, str]


def list_certificates(env: Mapping[str, str], prefix: str) -> Iterator[Certificates]:
    """What pip would trust in the environment `env` and the base at `prefix`, and then the system's store: for a uv
    that has met a certificate it does not know."""
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
    """The `cert` that pip's own files set, with the file's name: of what `pip config debug` lists the last that has
    one; [install] before [global]."""
    import configparser

    found: dict[str, tuple[str, str]] = {}
    for file in _list_pip(env, prefix):
        parser = configparser.RawConfigParser()
        try:
            if not os.path.exists(file) or _doubt(file, None):
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
