"""What the checks look at, and what they find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from ... import decision, environ
from ...decision import Decision
from ...errors import WtenvError
from ...hook.shells import Shell
from ...overlay import manifest
from ...overlay.imports import Import, prove
from ...overlay.manifest import Editable, Manifest

State = Literal["ok", "note", "problem"]
Mend = Literal["", "files", "hook", "sync", "rebuild", "refresh"]


@dataclass(frozen=True)
class Finding:
    """What a check found. state: ok; note (nothing is wrong, but it may explain a surprise); problem.
    evidence: lines that show it; fix: what to do; mend: what `wtenv doctor --fix` does about it, "" for nothing."""

    state: State
    what: str
    evidence: tuple[str, ...] = ()
    fix: str = ""
    mend: Mend = ""
    check: str = ""


def ok(what: str) -> Finding:
    return Finding("ok", what)


def note(what: str, fix: str = "", *evidence: str) -> Finding:
    return Finding("note", what, evidence, fix)


def problem(what: str, fix: str, *evidence: str, mend: Mend = "") -> Finding:
    return Finding("problem", what, evidence, fix, mend)


@dataclass(frozen=True)
class Case:
    """A folder, and the environment of the shell that asks. shell: None if it is none that wtenv knows;
    interactive: someone types in it; mended: wtenv has just changed something, which its hook has not seen yet."""

    directory: Path
    env: Mapping[str, str]
    shell: Shell | None
    interactive: bool
    mended: bool = False

    @cached_property
    def plain(self) -> Mapping[str, str]:
        """The environment without what is active in it."""
        return environ.undo(self.env)

    @cached_property
    def decision(self) -> Decision:
        return decision.decide(self.directory, self.plain)

    @property
    def in_effect(self) -> bool:
        """Whether exactly what should be active here is active in the shell."""
        return decision.is_in_effect(self.decision, self.env)

    @property
    def entered(self) -> bool:
        """Whether the shell has entered this worktree, be it that something has changed since."""
        wanted = self.decision.activation
        return bool(wanted and self.env.get(environ.VARS) and self.env.get(environ.ROOT) == wanted.root)

    @cached_property
    def effective(self) -> Mapping[str, str]:
        """The environment that counts here: the shell's own, or what it will be once the activation is in effect."""
        wanted = self.decision.activation
        return self.env if self.entered else environ.apply(self.plain, wanted) if wanted else self.plain

    @cached_property
    def manifest(self) -> Manifest | None:
        """That of the overlay, if it may be used: only then is its Python started."""
        found = self.decision
        return manifest.read_manifest(found.config.venv) if found.config and found.activation else None

    @cached_property
    def proof(self) -> tuple[tuple[Import, ...], tuple[Editable, ...]] | WtenvError:
        """Where the overlay's Python finds the editables' modules, see `prove`; or that it does not start."""
        assert self.manifest and self.decision.config
        try:
            return prove(self.decision.config.venv, self.manifest, self.manifest.editables, self.plain)
        except WtenvError as error:
            return error
