"""`wtenv run CMD…`: become the command, in the current folder, with the activation in effect."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from .. import decision, environ
from ..decision import Decision
from ..errors import WtenvError, say


def run(command: Sequence[str], directory: Path, env: Mapping[str, str]) -> NoReturn:
    """Replace this process by `command`. WtenvError with exit code 127 if there is no such command, 126
    if it can't be executed, as shells have it (POSIX, XCU 2.8.2)."""
    plain = environ.undo(drop_coerced(env))
    found = decision.decide(directory, plain)
    activation = found.require()
    for warning in found.warnings:
        say(warning)
    _become(command, environ.apply(plain, activation))


def follow(origin: str, root: str, command: Sequence[str], directory: Path, env: Mapping[str, str]) -> NoReturn:
    """As `run`, for what the overlay `origin` of the worktree `root` was started for in another worktree. WtenvError
    with exit code 126 if that has no overlay that can be used."""
    plain = environ.undo(drop_coerced(env))
    own = os.path.realpath(f"{origin}/bin")
    # What that worktree lacks is not taken from here: it would only come back to us.
    entries = (entry for entry in plain.get("PATH", "").split(":") if not entry or os.path.realpath(entry) != own)
    plain["PATH"] = ":".join(entries)
    found = decision.decide(directory, plain)
    what, fix = "", ""
    if found.activation is None:
        what, fix = found.reason, found.fix
        if found.kind == "unconfigured" and found.worktree:
            what = found.worktree.doubt or what
            fix = _share_config(root, found) or fix
    elif found.config and os.path.realpath(found.config.venv) == os.path.realpath(origin):
        what = f"{found.config.sources[0].path} says otherwise, but not on a line of its own"
        fix = "write: extends = …, or venv = …"
    if what:
        place = found.worktree.root if found.worktree else directory
        raise WtenvError(f"{place} is not the worktree that {origin} is for, and {what}", fix, exit_code=126)
    for warning in found.warnings:
        say(warning)
    _become(command, environ.apply(plain, found.require()))


def _share_config(root: str, found: Decision) -> str:
    """The command that gives a worktree the config that the one at `root`, of the same clone, has not committed."""
    import shlex

    from .. import worktree
    from ..config import NAME

    here, file = found.worktree, f"{root}/{NAME}"
    there = worktree.find_worktree(Path(root))
    if not (here and there and here.clone == there.clone and os.path.isfile(file)):
        return ""
    return f"run: cp {shlex.quote(file)} {shlex.quote(str(here.root))}/ && wtenv sync"


def _become(command: Sequence[str], applied: dict[str, str]) -> NoReturn:
    program = command[0]
    restore_signals()
    places = [program] if "/" in program else [f"{entry or '.'}/{program}" for entry in applied["PATH"].split(":")]
    refused: OSError | None = None
    sys.stdout.flush()
    sys.stderr.flush()
    for place in places if program else ():
        try:
            os.execve(place, list(command), applied)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if error.errno == errno.ENOEXEC:  # a script without a first line: as execvp(3) and shells do
                os.execve("/bin/sh", ["/bin/sh", place, *command[1:]], applied)
            refused = refused or error
    if refused is not None:
        what = f"{program}: can't be executed ({refused.strerror})"
        raise WtenvError(what, "check its permissions and its first line", exit_code=126)
    fix = "is it installed in the base? run: wtenv status" if "/" not in program else "check the path"
    raise WtenvError(f"{program}: command not found", fix, exit_code=127)


def restore_signals() -> None:
    """The signals that Python ignores for itself: an ignored one stays ignored after exec (signal(7))."""
    import signal

    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


def drop_coerced(env: Mapping[str, str]) -> Mapping[str, str]:
    """`env` without the LC_CTYPE that Python gives itself in the C locale (PEP 538), if the kernel can tell."""
    if "LC_CTYPE" not in env:
        return env
    try:
        started_with = b"\0" + Path("/proc/self/environ").read_bytes()
    except OSError:
        return env
    return env if b"\0LC_CTYPE=" in started_with else {name: env[name] for name in env if name != "LC_CTYPE"}
