"""`wtenv export`: the activation of the current folder, for shells, for programs, and for the hook."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .. import decision, environ
from ..console import make_printable, say, write, write_json
from ..decision import Decision
from ..digest import sha256
from ..errors import WtenvError
from ..hook import cache, shells
from ..hook.detect import find_shell_name
from ..hook.entry import Entry, Watched
from ..process import locate_folder
from .run import remember

if TYPE_CHECKING:  # what a shell waits for has no parser
    from argparse import ArgumentParser, Namespace


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
    found = decision.decide(directory, plain)
    activation = found.require()
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


def run_hook(abi: str, shell: str, root: str, coarse: bool, env: Mapping[str, str]) -> int:
    """Answer a hook: print the entry for `root`, and keep it where the hook looks next time."""
    started = time.time_ns()
    language = shells.find_shell(shell)
    plain = environ.undo(env)
    found = _enter(Path(root), env, plain)
    kept = cache.stamp(found.watch, root, started, env, coarse=coarse) if found.cacheable else None
    stamps, watched = kept or ("", None)
    real = os.path.realpath(root)
    entry = build_entry(found, stamps, watched, plain)._replace(real="" if real == root else real)
    text = language.render_entry(entry, coarse=coarse)
    cache.store(entry, text, root, language, env, coarse=coarse)
    remember(found, started, plain)
    if abi == shells.ABI:
        write(text)
    else:
        # The shell runs another version's hook: give it this one, whose functions the entry needs.
        from .setup import follow

        say("another version was installed; restart this shell")
        write(f"{language.render_hook(shells.build_command(language.name), shells.locate_entries(env))}\n{text}")
        follow(language, env)
    silent = found.settings is None or found.settings.level == "silent"
    for line in () if silent else found.news:
        say(line)
    if found.activation and found.config and found.base and not silent and os.path.lexists(found.config.lock):
        from ..lock import notice

        notice.mention(found.config, found.base, plain)
    return 0


def _enter(root: Path, env: Mapping[str, str], plain: Mapping[str, str]) -> Decision:
    """What entering `root` comes to, with the overlay made where that may be."""
    found = decision.decide(root, plain)
    if found.kind == "unbuilt" and found.settings and found.settings.sync_auto and found.overlay:
        found = _build(found, root, env, plain)
    return found


def run_checkout(env: Mapping[str, str]) -> int:
    """For git's hook, in a worktree that is new: what entering it would do. One line says what is missing, if anything
    is; always 0."""
    from ..hook.githook import strip_environment
    from ..worktree import find_root

    started, env = time.time_ns(), strip_environment(env)
    root, plain = find_root(Path(os.getcwd())), environ.undo(env)
    if root is None:
        return 0
    try:
        found = _enter(root, env, plain)
        remember(found, started, plain)
    except WtenvError as error:
        say(str(error))
        return 0
    if message := "" if found.kind in ("active", "unconfigured") else decision.describe(found):
        say(message)
    return 0


def build_entry(found: Decision, stamps: str, watched: tuple[Watched, ...] | None, plain: Mapping[str, str]) -> Entry:
    """What a hook is told about a decision. plain: the shell's environment without what is active in it."""
    message = decision.describe(found)
    identity = found.activation.id if found.activation else ""
    if not identity:
        identity = sha256(f"{found.kind}\0{message}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    prompt = farewell = ""
    if found.activation and found.worktree and found.settings and found.settings.level == "verbose":
        farewell = make_printable(f"left {found.worktree.name}")
    if found.settings and found.settings.prompt and found.base and found.worktree:
        prompt = found.base.modifier or f"({found.worktree.name}) "
    return Entry(
        kind=found.kind,
        id=identity,
        message=message,
        level="enter" if found.kind == "active" and not (found.warnings or found.faults) else "problem",
        watched=watched,
        stamps=stamps,
        guards=tuple(sorted(found.guards.items())),
        activation=found.activation,
        shortcut=environ.specialise(plain, found.activation) if found.activation else None,
        prompt=prompt,
        farewell=farewell,
        own=find_own(found),
        links=tuple(sorted(found.links.items())),
    )


def render_posix(changes: Mapping[str, str | None]) -> str:
    """One command a variable, for any POSIX shell. `command` lets a read-only one cost itself, where `export` and
    `unset` alone would end the shell (POSIX, 2.8.1 and 2.14)."""
    quote = shells.SHELLS["bash"].quote
    lines = []
    for name, value in changes.items():
        action = f"unset -v {name}" if value is None else f"export {name}={quote(value)}"
        lines.append(f"\\command {action} || :\n")
    return "".join(lines)


def find_own(found: Decision) -> str:
    """The folder whose owner the hook looks at: the worktree, of which another user may have made another with the
    same times, where it was in a folder such as /tmp. "" if it is not the user's by itself."""
    if found.activation is None or found.config is None:
        return ""
    try:
        is_own = os.stat(found.config.root).st_uid == os.getuid()
    except OSError:
        return ""
    return str(found.config.root) if is_own else ""


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


def _build(found: Decision, root: Path, env: Mapping[str, str], plain: Mapping[str, str]) -> Decision:
    """sync.auto: build the missing overlay of an allowed worktree, then decide again."""
    from dataclasses import replace

    from ..overlay.sync import sync
    from .sync import make_plan

    try:
        plan, _ = make_plan(root, env)
        sync(replace(plan, sources=False), plain, say)
    except WtenvError as error:
        found.reason, found.fix = error.what, error.fix
        return found
    return decision.decide(root, plain)
