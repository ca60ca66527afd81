"""`wtenv sync`: build or mend the overlay."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .. import decision, environ
from ..conda import find_python
from ..console import Progress, say
from ..errors import WtenvError
from ..overlay.activate import render_activate
from ..overlay.sync import Outcome, Plan, preview, sync
from ..process import locate_folder


class Options(NamedTuple):
    """How a sync goes about it, see `Plan`. only: names, or paths from the current folder."""

    replace: bool = False
    inexact: bool = False
    reinstall: bool = False
    only: tuple[str, ...] = ()


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
    directory = Path(locate_folder(env))
    if args.locked:
        require_locked(directory, env, overlay=False)
    options = Options(args.replace, args.inexact, args.reinstall, tuple(args.package))
    plan, plain = make_plan(directory, env, options)
    if args.dry_run or args.check:
        outcome = preview(plan, plain)
        if outcome.changed and outcome.reason:
            say(outcome.reason)
        say_outcome(outcome, "would install", "would remove")
        return 1 if args.check and outcome.changed else 0
    with Progress() as report:
        outcome = sync(plan, plain, report)
    say_outcome(outcome, "installed", "removed")
    if args.locked:
        require_locked(directory, env, overlay=True)
    return 0


def require_locked(directory: Path, env: Mapping[str, str], *, overlay: bool) -> None:
    """WtenvError if the base (and the overlay) are not as `wtenv.lock` says, or if there is none."""
    from ..lock import gather

    plain = environ.undo(env)
    place, config = decision.load(directory, plain)
    found = gather.find_drift(config, decision.locate_base(place, config, plain), plain, overlay=overlay)
    if found:
        fix = "see: wtenv verify; if that is as it should be, run: wtenv lock"
        raise WtenvError(f"{config.lock} is not met: {gather.summarise(found)}", fix)


def say_outcome(outcome: Outcome, installed: str, removed: str) -> None:
    """What a sync has come to, in these words."""
    if not outcome.installed and not outcome.removed:
        say("the overlay is in order now" if outcome.changed else "nothing to do")
    for verb, names in ((installed, outcome.installed), (removed, outcome.removed)):
        if names:
            say(f"{verb} {', '.join(names)}")


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
        activate=render_activate(config.venv),
        build_env=lambda: decision.make_build_env(config, base, plain),
    )
    return plan, plain
