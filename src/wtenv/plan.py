"""The plan of a sync, by a worktree's config and base; and the sync that a person asks for, with what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from . import decision, environ
from .conda import Base, find_python
from .config.read import Config
from .console import Progress, say
from .decision import Captures
from .overlay.difference import Plan
from .overlay.sync import Outcome, sync


class Options(NamedTuple):
    """How a sync goes about it, see `Plan`."""

    replace: bool = False
    inexact: bool = False
    reinstall: bool = False
    only: tuple[str, ...] = ()  # names, or paths from the current folder


def make_plan(
    directory: Path, env: Mapping[str, str], options: Options | None = None
) -> tuple[Plan, Mapping[str, str]]:
    """What the overlay of `directory` shall be, and the user's environment without what is active in it, which
    must not reach records and builds. Raises WtenvError if it isn't allowed, or with what is wrong."""
    options = options or Options()
    plain = environ.undo(env)
    place, config = decision.load(directory, plain)
    base = decision.locate_base(place, config, plain)
    only = tuple(str(directory / word) if "/" in word or word.startswith(".") else word for word in options.only)
    plan = plan_overlay(config, base, plain)
    return replace(plan, **options._replace(only=only)._asdict()), plain


def plan_overlay(config: Config, base: Base, plain: Mapping[str, str], captures: Captures | None = None) -> Plan:
    """What the overlay of a config that is allowed shall be on `base`. captures: see `decision.read_base`. WtenvError
    if the base has no Python."""
    return Plan(
        root=config.root,
        venv=config.venv,
        base_prefix=Path(base.prefix),
        base_python=find_python(Path(base.prefix)),
        editables=config.packages,
        install_deps=config.install_deps,
        build_isolation=config.build_isolation,
        build_env=lambda: decision.make_build_env(config, base, plain, captures),
    )


def carry_out(plan: Plan, plain: Mapping[str, str]) -> Outcome:
    """Sync by `plan`, saying on stderr what takes time."""
    with Progress() as report:
        return sync(plan, plain, report)


def say_outcome(outcome: Outcome, installed: str = "installed", removed: str = "removed") -> None:
    """Say what a sync did, or would do. installed and removed: the verbs for it."""
    if not outcome.installed and not outcome.removed:
        say("the overlay is in order now" if outcome.changed else "nothing to do")
    for verb, names in ((installed, outcome.installed), (removed, outcome.removed)):
        if names:
            say(f"{verb} {', '.join(names)}")
