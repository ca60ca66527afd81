"""`wtenv run CMD…`: become the command, in the current folder, with the activation in effect."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .. import environ
from ..console import say
from ..errors import WtenvError
from ..hook.cached_run import take_off
from ..hook.install import offer_command
from ..process import become, drop_coerced, locate_folder

if TYPE_CHECKING:  # what a shell waits for has no parser
    from argparse import ArgumentParser, Namespace

    from ..decision import Decision


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--directory", metavar="FOLDER", help="go there first, as cd does")
    parser.add_argument("--no-sync", action="store_true", help="take the overlay as it is: build nothing")
    parser.add_argument("words", nargs="...", metavar="CMD", help="the command and its arguments")


def run(_: Namespace, __: Mapping[str, str]) -> NoReturn:
    """A line with a command in it goes to `start` before there is a parser."""
    raise WtenvError("run needs a command", "run: wtenv run CMD…")


def start(command: Sequence[str], env: Mapping[str, str], *, sync: bool = True) -> NoReturn:
    """Replace this process by `command`, once the overlay is as declared; without `sync` as it is, or of kept builds.
    WtenvError if that fails or nothing can be activated, and as `process.become`."""
    from .. import answer

    plain = environ.undo(drop_coerced(env))
    _become(command, answer.decide(Path(locate_folder(env)), plain, sync=sync), plain)


def follow(origin: str, root: str, command: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """As `run`, for what the overlay `origin` of the worktree `root` was started for in another worktree. WtenvError
    with exit code 126 if that has no overlay that can be used."""
    from .. import answer

    plain = environ.undo(drop_coerced(env))
    directory = Path(locate_folder(env))
    take_off(origin, plain)
    found = answer.decide(directory, plain)
    what, fix = "", ""
    if found.activation is None:
        what, fix = found.reason, found.fix
        if found.kind == "unconfigured" and found.worktree:
            what = found.worktree.problem or what
            fix = _share_config(root, found) or fix
    elif found.config and os.path.realpath(found.config.venv) == os.path.realpath(origin):
        what = f"{found.config.sources[0].path} says otherwise, but not on a line of its own"
        fix = "write: extends = …, or venv = …"
    if what:
        place = found.worktree.root if found.worktree else directory
        raise WtenvError(f"{place} is not the worktree that {origin} is for, and {what}", fix, exit_code=126)
    _become(command, found, plain)


def _share_config(root: str, found: Decision) -> str:
    """The command that gives a worktree the config that the one at `root`, of the same clone, has not committed."""
    import shlex

    from .. import worktree
    from ..config.read import NAME

    here, file = found.worktree, f"{root}/{NAME}"
    there = worktree.find_worktree(Path(root))
    if not (here and there and here.clone == there.clone and os.path.isfile(file)):
        return ""
    return f"run: cp {shlex.quote(file)} {shlex.quote(str(here.root))}/ && wtenv sync"


def _become(command: Sequence[str], found: Decision, plain: Mapping[str, str]) -> NoReturn:
    activation = found.require()
    offer_command(plain)
    for line in (*found.news, *found.warnings, *found.faults):
        say(line)
    become(command, environ.apply(plain, activation))
