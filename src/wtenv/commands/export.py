"""`wtenv export`: the activation of the current folder, for shells and for programs."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from .. import environ
from ..console import say, write, write_json
from ..errors import WtenvError
from ..hook import shells
from ..hook.detect import find_shell_name
from ..hook.install import offer_command
from ..process import locate_folder


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("form", nargs="?", choices=shells.FORMATS, metavar="FORMAT", help=", ".join(shells.FORMATS))
    parser.add_argument("--directory", metavar="WORKTREE", help="instead of the current folder")
    parser.add_argument("--leave", action="store_true", help="print what leaves whatever is active, for a shell")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Print the activation. Raises WtenvError where there is none: a script should not go on without.
    With --leave, print instead what leaves the one that is active, for a shell."""
    form, plain = args.form or find_shell_name(env), environ.undo(env)
    directory = Path(locate_folder(env) if args.directory is None else os.path.abspath(args.directory))
    if args.leave:
        return run_leave(form, env, plain)
    from .. import answer, decision

    found = answer.place(decision.decide(directory, plain), directory, plain)
    activation = found.require()
    offer_command(plain)
    for line in (*found.news, *found.warnings, *found.faults):
        say(line)
    if form in shells.SHELLS:
        write(shells.SHELLS[form].render_script(activation))
        return 0
    # Everything that entering changes, also where it is in effect already; and what another worktree,
    # active in this environment, leaves behind.
    applied = environ.apply(plain, activation)
    changes = {**environ.compare(env, applied), **environ.compare(plain, applied)}
    changes = dict(sorted(changes.items()))
    if form == "sh":
        write(render_posix(changes))
    elif form == "json":
        write_json(changes)
    elif form == "dotenv":
        write(render_dotenv(changes))
    elif form == "gha":
        write(render_github(changes))
    return 0


def run_leave(form: str, env: Mapping[str, str], plain: Mapping[str, str]) -> int:
    """Print what leaves whatever is active. plain: the environment then."""
    if form in shells.SHELLS:
        write(shells.SHELLS[form].render_leave())
    elif form == "sh":
        write(render_posix(environ.compare(env, plain)))
    else:
        raise WtenvError(f"--leave is for shells, not for {form}", f"use one of: {', '.join(shells.SHELLS)}, sh")
    return 0


def render_posix(changes: Mapping[str, str | None]) -> str:
    """One command a variable, for any POSIX shell. `command` lets a read-only one cost itself, where `export` and
    `unset` alone would end the shell (POSIX, 2.8.1 and 2.14)."""
    quote = shells.SHELLS["bash"].quote
    lines = []
    for name, value in changes.items():
        action = f"unset -v {name}" if value is None else f"export {name}={quote(value)}"
        lines.append(f"\\command {action} || :\n")
    return "".join(lines)


def render_dotenv(changes: Mapping[str, str | None]) -> str:
    """KEY=value lines without wtenv's state; values in single quotes, as dotenv parsers read them back.

    What would be unset is left out: the format has no word for it.
    """
    lines = []
    for name, value in changes.items():
        if value is None or environ.is_state(name):
            continue
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"{name}='{escaped}'\n")
    return "".join(lines)


def render_github(changes: Mapping[str, str | None]) -> str:
    """For `>> "$GITHUB_ENV"`: NAME<<DELIMITER blocks, the delimiter in no value; unset becomes empty
    (GitHub's workflow commands, "Multiline strings")."""
    blocks = []
    for name, value in changes.items():
        delimiter = f"wtenv_{os.urandom(12).hex()}"
        blocks.append(f"{name}<<{delimiter}\n{value or ''}\n{delimiter}\n")
    return "".join(blocks)
