"""Entries: what a hook is told about one root, as data."""

from __future__ import annotations

from typing import NamedTuple

from ..environ import Activation, Shortcut
from ..watch import EXACT, Mode


class Watched(NamedTuple):
    """A path that an entry depends on. stamp: the name of a file, in the entry's folder of stamps, that has
    the path's modification time; None if the path has to be absent."""

    path: str
    stamp: str | None
    mode: Mode = EXACT


class Entry(NamedTuple):
    """What a hook is told about one root.

    kind: active, or why not (blocked, unconfigured, failed, unbuilt); id: names this very answer;
    message and level: what to say once (level "enter": only where someone is looking); farewell:
    what to say on leaving;
    watched: None if the answer can't be kept; stamps: the folder with their stamps;
    guards: variables and the values they had, None for unset;
    own: a folder that has to be the user's still, else empty;
    real: the root's real folder, where the shell reaches it by a link, else empty; links: names on the way to what was
    read that are links, and where they led;
    shortcut: the activation spelled out, for an environment like the one it was computed in.
    """

    kind: str
    id: str
    message: str
    level: str
    watched: tuple[Watched, ...] | None
    stamps: str
    guards: tuple[tuple[str, str | None], ...]
    activation: Activation | None
    shortcut: Shortcut | None = None
    prompt: str = ""
    farewell: str = ""
    own: str = ""
    real: str = ""
    links: tuple[tuple[str, str], ...] = ()
