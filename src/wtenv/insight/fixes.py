"""What `wtenv doctor --fix` does about findings, of wtenv's own alone."""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterator, Mapping

from ..console import say
from ..errors import WtenvError
from ..hook.install import locate_hook, write_hook
from ..overlay.refresh import refresh
from ..plan import Options, carry_out, make_plan
from .checks.context import Context, Repair
from .checks.worktree import find_exposed


def apply(kinds: Collection[Repair], context: Context) -> list[str]:
    """Do them; what was done, in words. What can't be done is said, and found again by the next check."""
    done: list[str] = []
    for kind, act in _REPAIRS.items():
        if kind in kinds:
            try:
                done += act(context)
            except WtenvError as error:
                say(str(error))
            except OSError as error:
                say(f"can't change {error.filename} ({error.strerror})")
    return done


def _close_files(context: Context) -> Iterator[str]:
    for place in find_exposed(context):
        place.chmod(stat.S_IMODE(place.stat().st_mode) & ~0o077)
        yield f"made {place} yours alone"


def _write_hook(context: Context) -> Iterator[str]:
    if context.shell:
        write_hook(context.shell, context.plain)
        yield f"wrote {locate_hook(context.shell.name, context.plain)}"


def _sync(context: Context, *, reinstall: bool = False) -> Iterator[str]:
    # Inexact: what was installed by hand is not wtenv's to remove.
    outcome = carry_out(*make_plan(context.directory, context.env, Options(inexact=True, reinstall=reinstall)))
    yield "synced the overlay" + (f" ({', '.join(outcome.installed)})" if outcome.installed else "")


def _rebuild(context: Context) -> Iterator[str]:
    return _sync(context, reinstall=True)


def _refresh(context: Context) -> Iterator[str]:
    config = context.decision.config
    if config and refresh(config.venv, context.plain, always=True):
        yield f"renewed wrappers and bootstrap of {config.venv}"


_REPAIRS: Mapping[Repair, Callable[[Context], Iterator[str]]] = {
    "files": _close_files,
    "hook": _write_hook,
    "sync": _sync,
    "rebuild": _rebuild,
    "refresh": _refresh,
}
