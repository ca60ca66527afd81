"""Checks of the base: it is found, its Python runs, its scripts pass; and what the lock says of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ...conda import find_python
from ...decision import read_base
from ...lock.gather import find_drift
from ...overlay import building, layout
from .context import Context, Finding, ok, problem


def check_base(context: Context) -> Iterator[Finding]:
    """The base that the config names is found."""
    found = context.decision
    if found.base:
        named = f"{found.base.name}: " if found.base.name != found.base.prefix else ""
        yield ok(f"{named}{found.base.prefix}")
    elif found.config:
        yield problem(found.reason, found.fix)


def check_python(context: Context) -> Iterator[Finding]:
    """Its Python runs."""
    if context.decision.base is None:
        return
    prefix = Path(context.decision.base.prefix)
    facts = layout.probe(find_python(prefix), prefix, building.make_env(context.plain))
    yield ok(f"Python {facts.version}, {facts.interpreter}")


def check_scripts(context: Context) -> Iterator[Finding]:
    """Its variables can be read, and its activate.d scripts pass."""
    found, base = context.decision, context.decision.base
    if base is None:
        return
    if base.kind != "conda":
        yield ok("it has none: it is no conda environment")
        return
    if found.activation:
        warnings = found.base_warnings
    else:
        variables, captured, _ = read_base(base, context.plain)
        warnings = (*variables.warnings, *captured.warnings)
    for warning in warnings:
        yield problem(warning, "correct it in the base, or reinstall the package that it belongs to")
    if not warnings:
        yield ok("the base's variables and activate.d scripts take effect")


def check_lock(context: Context) -> Iterator[Finding]:
    """Base and overlay are what `wtenv.lock` says, by the names of what is installed."""
    config, base = context.decision.config, context.decision.base
    if config is None or base is None:
        return
    if not os.path.lexists(config.lock):
        yield ok("there is none; nothing has to be as it says")
        return
    found = find_drift(config, base, context.plain, overlay=context.manifest is not None, quick=True)
    if found:
        fix = "see: wtenv verify; if that is as it should be, run: wtenv lock"
        yield problem(
            f"{len(found)} difference{'s' * (len(found) > 1)} from {config.lock}",
            fix,
            *(item.text for item in found[:5]),
        )
    else:
        yield ok(f"base and overlay are as {config.lock} says")
