"""Entries: what a hook is told about one root, as data."""

from __future__ import annotations

from dataclasses import dataclass

from .environ import Activation


@dataclass(frozen=True)
class Watched:
    """A path that an entry depends on. stamp: a file with the path's modification time, or None if the
    path has to be absent."""

    path: str
    stamp: str | None


@dataclass(frozen=True)
class Entry:
    """What a hook is told about one root.

    kind: active, or why not (blocked, unconfigured, failed, unbuilt); id: names this very answer;
    message and level: what to say once (level "enter": only where someone is looking);
    watched: None if the answer can't be kept; guards: variables and the values they had, None for unset.
    """

    kind: str
    id: str
    message: str
    level: str
    watched: tuple[Watched, ...] | None
    guards: tuple[tuple[str, str | None], ...]
    activation: Activation | None
    prompt: str = ""
