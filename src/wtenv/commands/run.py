"""`wtenv run CMD…`: become the command, in the current folder, with the activation in effect."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from .. import decision, environ
from ..errors import WtenvError, say


def run(command: Sequence[str], directory: Path, env: Mapping[str, str]) -> NoReturn:
    """Replace this process by `command`. WtenvError with exit code 127 if there is no such command, 126
    if it can't be executed, as shells have it (POSIX, XCU 2.8.2)."""
    plain = environ.undo(drop_coerced(env))
    found = decision.decide(directory, plain)
    activation = found.require()
    for warning in found.warnings:
        say(warning)
    applied = environ.apply(plain, activation)
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
