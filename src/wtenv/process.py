"""Processes: to become a command. Imported are `os` and `sys` alone, since `wtenv run` shall cost little more."""

from __future__ import annotations

import os
import sys

from .errors import WtenvError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def become(command: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Replace this process by `command`, looked up on the PATH of `env`. WtenvError with exit code 127 if there is no
    such command, 126 if it can't be executed, as shells have it (POSIX, XCU 2.8.2)."""
    import errno

    program, variables = command[0], dict(env)
    restore_signals()
    places = [program] if "/" in program else [f"{entry or '.'}/{program}" for entry in env["PATH"].split(":")]
    refused: OSError | None = None
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    for place in places if program else ():
        try:
            os.execve(place, list(command), variables)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if error.errno == errno.ENOEXEC:  # a script without a first line: as execvp(3) and shells do
                os.execve("/bin/sh", ["/bin/sh", place, *command[1:]], variables)
            refused = refused or error
    if refused is not None:
        what = f"{program}: can't be executed ({refused.strerror})"
        raise WtenvError(what, "check its permissions and its first line", exit_code=126)
    fix = "is it installed in the base? run: wtenv status" if "/" not in program else "check the path"
    raise WtenvError(f"{program}: command not found", fix, exit_code=127)


def restore_signals() -> None:
    """The signals that Python ignores for itself: an ignored one stays ignored after exec (signal(7))."""
    import _signal  # signal itself makes enumerations first

    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(_signal, name):
            _signal.signal(getattr(_signal, name), _signal.SIG_DFL)


def drop_coerced(env: Mapping[str, str]) -> Mapping[str, str]:
    """`env` without the LC_CTYPE that Python gives itself in the C locale (PEP 538), if the kernel can tell."""
    if "LC_CTYPE" not in env:
        return env
    try:
        with open("/proc/self/environ", "rb") as file:
            started_with = b"\0" + file.read()
    except OSError:
        return env
    return env if b"\0LC_CTYPE=" in started_with else {name: env[name] for name in env if name != "LC_CTYPE"}


def locate_folder(env: Mapping[str, str]) -> str:
    """The current folder, by the name that the shell has for it. WtenvError if it is gone."""
    logical = env.get("PWD", "")
    try:
        # No shell has "." or ".." in it (POSIX, XBD 8.3): one that does names its folders in another way than they lie.
        if os.path.isabs(logical) and not {".", ".."} & {*logical.split("/")} and os.path.samefile(logical, "."):
            return logical
        return os.getcwd()
    except OSError:
        raise WtenvError("the current folder does not exist any more", "run: cd") from None


def enter_folder(folder: str, env: Mapping[str, str]) -> dict[str, str]:
    """Go to `folder` as `cd` does; returns `env` with its PWD. WtenvError if that is not possible."""
    where = os.path.normpath(os.path.join(locate_folder(env), folder))
    try:
        os.chdir(folder)
    except OSError as error:
        raise WtenvError(f"can't go to {folder} ({error.strerror})", "correct --directory") from None
    return {**env, "PWD": locate_folder({"PWD": where})}
