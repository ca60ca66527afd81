"""The hook's one line about what differs from the lock: once for each lock and difference."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .. import dirs, files
from ..conda import Base
from ..config.read import Config
from ..console import make_printable, say
from ..digest import sha256
from ..errors import WtenvError
from ..hook import cached
from ..overlay import manifest as manifests
from . import MAX_LOCK

MAX_SEEN = 200  # states that the hook has looked at, and what it has said; the oldest go first


def mention(config: Config, base: Base, env: Mapping[str, str]) -> None:
    """Say that base or overlay differ from the lock: once for each lock and difference, and without comparing
    them again while nothing changed. Whatever a lock contains, this doesn't fail."""
    try:
        lock = files.read_bytes(config.lock, MAX_LOCK)
    except (OSError, WtenvError) as error:
        lock = str(error).encode("utf-8", "surrogateescape")
    seen, state = _read_seen(env), _digest(lock, *_list_names(config, base))
    if state in seen:
        return
    # Slow to load, and needed only for a state that was not seen yet.
    from . import gather
    from .compare import summarise

    try:
        found = gather.find_drift(config, base, env, quick=True)
        text = f"{summarise(found)}, unlike {config.lock.name}; see: wtenv verify" if found else ""
        told = _digest(lock, *(item.text.encode("utf-8", "surrogateescape") for item in found))
    except WtenvError as error:
        text = str(error)
        told = _digest(lock, text.encode("utf-8", "surrogateescape"))
    # Where it can't be remembered, it would be said again and again.
    if _write_seen((*seen, state, told)[-MAX_SEEN:], env) and text and told not in seen:
        say(make_printable(text))


def _list_names(config: Config, base: Base) -> Iterator[bytes]:
    """What the quick comparison goes by."""
    manifest = manifests.read_manifest(config.venv)
    folders = [os.path.join(base.prefix, "conda-meta")] if base.kind == "conda" else []
    built = list[object]()
    if manifest:
        folders += [*manifest.base_site, *manifest.site]
        built = [manifest.python_version, *sorted((item.name, item.built_with) for item in manifest.editables)]
    yield repr((config.written, built)).encode()
    for folder in folders:
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith((".json", "-info", ".egg-link")))
        except OSError:
            names = []
        yield "\0".join(names).encode("utf-8", "surrogateescape")


def _digest(*parts: bytes) -> str:
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:20]


def _locate_seen(env: Mapping[str, str]) -> Path:
    return Path(dirs.find_cache(env)) / "drift"


def _read_seen(env: Mapping[str, str]) -> tuple[str, ...]:
    try:
        return tuple(files.read_bytes(_locate_seen(env)).decode("ascii", "replace").split())
    except (OSError, WtenvError):
        return ()


def _write_seen(seen: Iterable[str], env: Mapping[str, str]) -> bool:
    try:
        cached.prepare(env)
        files.write_atomic(_locate_seen(env), "".join(f"{state}\n" for state in seen).encode())
    except (OSError, WtenvError):
        return False
    return True
