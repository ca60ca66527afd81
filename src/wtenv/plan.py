"""The plan of a sync, by a worktree's config and base; and the sync that a person asks for, with what it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from . import decision, environ
from .conda import find_python
from .console import Progress, say
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
    plan = Plan(
        root=config.root,
        venv=config.venv,
        base_prefix=Path(base.prefix),
        base_python=find_python(Path(base.prefix)),
        editables=config.packages,
        install_deps=config.install_deps,
        build_isolation=config.build_isolation,
        replace=options.replace,
        inexact=options.inexact,
        reinstall=options.reinstall,
        only=tuple(str(directory / word) if "/" in word or word.startswith(".") else word for word in options.only),
        build_env=lambda: decision.make_build_env(config, base, plain),
    )
    return plan, plain


def carry_out(plan: Plan, plain: Mapping[str, str]) -> Outcome:
    """Sync by `plan`, saying on stderr what happens."""
    with Progress() as report:
        outcome = sync(plan, plain, report)
    say_outcome(outcome, "installed", "removed")
    return outcome


def say_outcome(outcome: Outcome, installed: str, removed: str) -> None:
    """Say what a sync did, or would do. installed and removed: the verbs for it."""
    if not outcome.installed and not outcome.removed:
        say("the overlay is in order now" if outcome.changed else "nothing to do")
    for verb, names in ((installed, outcome.installed), (removed, outcome.removed)):
        if names:
            say(f"{verb} {', '.join(names)}")
