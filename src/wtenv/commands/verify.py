"""`wtenv verify`: what base and overlay have otherwise than `wtenv.lock`. And the hook's one line about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import decision, drift, environ, files, lockfile
from ..conda import Base
from ..config import Config
from ..errors import WtenvError, make_printable, say
from ..lockfile import Finding
from .hook import write

MAX_SEEN = 200  # states of lock, base and overlay that the hook has looked at; the oldest go first


def run(directory: Path, env: Mapping[str, str], *, as_json: bool) -> int:
    """Print what differs; 1 if something does. WtenvError if there is no lock to compare with."""
    env = environ.undo(env)
    place, config = decision.load(directory, env)
    base = decision.locate_base(place, config, env)
    path = config.lock
    found = drift.find_drift(config, base, env)
    if as_json:
        import json

        facts = {"lock": str(path), "clean": not found, "findings": [item._asdict() for item in found]}
        write(json.dumps(facts, indent=2) + "\n")
    else:
        write(render(found))
        count = f"{len(found)} difference{'s' * (len(found) != 1)} from"
        say(f"{count} {path}; if that is as it should be, run: wtenv lock" if found else f"all is as {path} says")
    return 1 if found else 0


def render(found: Iterable[Finding]) -> str:
    """One line for each."""
    return "".join(f"{make_printable(item.text, keep='')}\n" for item in found)


def mention(config: Config, base: Base, env: Mapping[str, str]) -> None:
    """Say that base or overlay differ from the lock, once for each state that lock and they are in. Whatever a
    lock contains, this doesn't fail."""
    seen, state = _read_seen(env), drift.identify(config, base)
    if state in seen:
        return
    try:
        found = drift.find_drift(config, base, env, quick=True)
        text = f"{drift.summarise(found)}, unlike {lockfile.NAME}; see: wtenv verify" if found else ""
    except WtenvError as error:
        text = str(error)
    # Where it can't be remembered, it would be said again and again.
    if _write_seen((*seen, state)[-MAX_SEEN:], env) and text:
        say(make_printable(text, keep=""))


def _locate_seen(env: Mapping[str, str]) -> Path:
    return files.cache_dir(env) / "drift"


def _read_seen(env: Mapping[str, str]) -> tuple[str, ...]:
    try:
        return tuple(files.read_bytes(_locate_seen(env)).decode("ascii", "replace").split())
    except (OSError, WtenvError):
        return ()


def _write_seen(seen: Iterable[str], env: Mapping[str, str]) -> bool:
    path = _locate_seen(env)
    try:
        files.make_private_dir(path.parent)
        files.write_atomic(path, "".join(f"{state}\n" for state in seen).encode())
    except (OSError, WtenvError):
        return False
    return True
