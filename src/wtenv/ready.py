"""Ready at once: the overlay that a worktree lacks is made where it is asked for, of kept builds, or by a sync."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from . import decision, faults
from .console import say
from .decision import Decision
from .errors import WtenvError
from .overlay.difference import Plan
from .plan import carry_out, plan_overlay


def place(found: Decision, directory: Path, plain: Mapping[str, str]) -> Decision:
    """Where the overlay of `found` is missing: make it of kept builds, if they are enough, and decide again; else
    `found` as it is. Nothing is started but the overlay's Python, for the import check, and no code of the checkout
    runs."""
    # Nothing that is there is replaced, be it unfinished: somebody may have changed it.
    if found.kind != "unbuilt" or found.overlay is None or found.overlay.kind != "absent":
        return found
    from .overlay import sync

    captures: decision.Captures = {}  # the base's scripts run once, for the builds' environment and what follows
    with faults.collect() as met:
        try:
            plan = _plan(found, plain, captures)
            outcome = sync.place(replace(plan, sources=False), plain)
        except WtenvError:
            outcome = None  # a sync says why
    if outcome is None:
        return found
    again = decision.decide(directory, plain, captures=None if met else captures)
    if outcome.changed:
        names = f" from kept builds of {', '.join(outcome.installed)}" if outcome.installed else ""
        again = again._replace(news=(f"made {plan.venv}{names}", *again.news))
    return again


def build(found: Decision, directory: Path, plain: Mapping[str, str]) -> Decision:
    """Where the overlay of `found` is missing or not as declared: sync it, saying on stderr what takes time, and decide
    again. WtenvError if that fails."""
    # Not one that can't be used: somebody may have changed it, which the one line has to say before a sync ends it.
    if found.overlay is None or found.overlay.kind not in ("absent", "incomplete", "stale"):
        return found
    plan = _plan(found, plain)
    outcome = carry_out(plan, plain)
    if outcome.installed or outcome.removed:
        changes = [*outcome.installed, *(f"-{name}" for name in outcome.removed)]
        say(f"synced {plan.venv}: {', '.join(changes)}")
    return decision.decide(directory, plain)


def build_alone(found: Decision, directory: Path, plain: Mapping[str, str]) -> Decision:
    """As the user's setting `sync.auto` wants it, where nobody has typed a command: build what is missing, following no
    [tool.uv.sources], and decide again. A failure becomes the reason of `found`."""
    from .overlay.sync import sync

    try:
        sync(replace(_plan(found, plain), sources=False), plain, say)
    except WtenvError as error:
        return found._replace(reason=error.what, fix=error.fix)
    return decision.decide(directory, plain)


def _plan(found: Decision, plain: Mapping[str, str], captures: decision.Captures | None = None) -> Plan:
    """The plan by what was decided, which has looked at the overlay and so knows config and base."""
    assert found.config and found.base
    return plan_overlay(found.config, found.base, plain, captures)
