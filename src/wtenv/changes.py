"""An activation as data: what entering a worktree changes, and the short form of it for one environment."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["set", "unset", "front", "back"]


class Change(NamedTuple):
    """One change to one variable.

    kind: `set` to `value`; `unset` (value is empty); `front`/`back`: put the ":"-separated entries in
    `value` at that end of a list variable.
    """

    name: str
    kind: Kind
    value: str = ""


class CondaLevel(NamedTuple):
    """What `conda activate` does to its own variables: one more level on the stack (conda/activate.py)."""

    prefix: str
    name: str
    modifier: str


class Activation(NamedTuple):
    """All that entering a worktree changes, independent of the environment it is applied to."""

    root: str
    id: str
    conda: CondaLevel | None
    changes: tuple[Change, ...]


class Shortcut(NamedTuple):
    """What `apply` does to environments like one that it was tried on, spelled out.

    It holds where the variables `before` have these values (None: unset). `after` has those that it
    sets; any other of `before` is unset by it. PATH gets `front` and `back` added; where more happens to it,
    it is in `before` and `after` like the others. names: the value of WTENV_VARS.
    """

    id: str
    root: str
    before: dict[str, str | None]
    after: dict[str, str]
    front: str
    back: str
    names: str
