"""`wtenv sync`: build or fix the overlay."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from ..console import say
from ..errors import WtenvError
from ..process import locate_folder


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--replace", action="store_true", help="replace a .venv that wtenv did not make")
    parser.add_argument("--inexact", action="store_true", help="keep what is no longer declared")
    parser.add_argument("-p", "--package", action="append", default=[], metavar="PACKAGE", help="only this package")
    parser.add_argument("--reinstall", action="store_true", help="build also what did not change")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--check", action="store_true", help="the same; exit 1 if that is anything")
    parser.add_argument("--locked", action="store_true", help="refuse if base or config differ from wtenv.lock")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Sync the overlay of the current folder, saying what happens on stderr. With --locked, WtenvError before anything
    is changed if base or declared editables are not as the lock says, and afterwards if the overlay isn't."""
    from ..overlay.sync import preview
    from ..plan import Options, carry_out, make_plan, say_outcome

    directory = Path(locate_folder(env))
    if args.locked:
        require_locked(directory, env, overlay=False)
    plan, plain = make_plan(directory, env, Options(args.replace, args.inexact, args.reinstall, tuple(args.package)))
    if args.dry_run or args.check:
        outcome = preview(plan, plain)
        if outcome.changed and outcome.reason:
            say(outcome.reason)
        say_outcome(outcome, "would install", "would remove")
        return 1 if args.check and outcome.changed else 0
    started = time.time_ns()
    outcome = carry_out(plan, plain)
    say_outcome(outcome)
    if not outcome.changed and not (args.replace or args.inexact or args.package):
        from ..answer import remember_synced

        remember_synced(directory, started, plain)
    if args.locked:
        require_locked(directory, env, overlay=True)
    return 0


def require_locked(directory: Path, env: Mapping[str, str], *, overlay: bool) -> None:
    """WtenvError if the base (and the overlay) are not as `wtenv.lock` says, or if there is none."""
    from .. import decision, environ
    from ..lock import gather
    from ..lock.compare import summarise

    plain = environ.undo(env)
    place, config = decision.load(directory, plain)
    found = gather.find_drift(config, decision.locate_base(place, config, plain), plain, overlay=overlay)
    if found:
        fix = "see: wtenv verify; if that is as it should be, run: wtenv lock"
        raise WtenvError(f"{config.lock} is not met: {summarise(found)}", fix)
