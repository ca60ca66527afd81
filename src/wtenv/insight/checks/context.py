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
from ...overlay.imports import Import, check_imports
from ...overlay.manifest import Editable, Manifest

State = Literal["ok", "note", "problem"]
Repair = Literal["", "files", "hook", "sync", "rebuild", "refresh"]


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    state: State  # A note: nothing is wrong, but it may explain a surprise
    what: str
    evidence: tuple[str, ...] = ()  # lines that show it
    fix: str = ""
    """What a person does about it."""

    repair: Repair = ""
    """What `wtenv doctor --fix` does about it, "" for nothing."""

    check: str = ""


def ok(what: str) -> Finding:
    return Finding("ok", what)


def note(what: str, fix: str = "", *evidence: str) -> Finding:
    return Finding("note", what, evidence, fix)


def problem(what: str, fix: str, *evidence: str, repair: Repair = "") -> Finding:
    return Finding("problem", what, evidence, fix, repair)


@dataclass(frozen=True)
class Context:
    """What the checks go by: a folder, and the environment of the shell that asks."""

    directory: Path
    env: Mapping[str, str]
    shell: Shell | None  # None if it is none that wtenv knows
    interactive: bool  # someone types in it
    fixed: bool = False  # wtenv has just changed something, which the shell's hook has not seen yet

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
        return self.decision.is_in_effect(self.env)

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
    def imports(self) -> tuple[tuple[Import, ...], tuple[Editable, ...]] | WtenvError:
        """Where the overlay's Python finds the editables' modules, see `check_imports`; or that it does not start."""
        assert self.manifest and self.decision.config
        try:
            return check_imports(self.decision.config.venv, self.manifest, self.manifest.editables, self.plain)
        except WtenvError as error:
            return error
