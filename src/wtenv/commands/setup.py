"""`wtenv setup [SHELL]`: the hook as a file, and one guarded line in the shell's rc file.

A new shell then starts no process for wtenv: the hook is read from `DATA/hook.SHELL`. The file follows
upgrades by itself: the first export of a newer wtenv rewrites it (see `follow`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .. import files
from ..errors import WtenvError, say
from ..shells import Shell
from ..startup import MARK, locate_hook, locate_rc, render_hook, render_line
from .hook import prepare_cache


def run(shell: Shell, env: Mapping[str, str], *, only_print: bool, undo: bool) -> int:
    """Write the hook's file and the rc line, saying what is changed; `undo` takes both back."""
    rc, hook, line = locate_rc(shell.name, env), locate_hook(shell.name, env), render_line(shell, env)
    if only_print:
        print(line)
        return 0
    old = _read(rc)
    kept = [each for each in old.splitlines(keepends=True) if MARK.encode() not in each]
    if undo:
        if len(kept) < len(old.splitlines()):
            _write(rc, b"".join(kept))
            say(f"removed from {rc}: {line}")
        else:
            say(f"{rc} has no line of wtenv's")
        hook.unlink(missing_ok=True)
        return 0
    write_hook(shell, env)
    text = b"".join(kept)
    text += (b"\n" if text and not text.endswith(b"\n") else b"") + os.fsencode(line) + b"\n"
    if line.encode("utf-8", "surrogateescape") in old.splitlines():
        say(f"{rc} has it already: {line}")
        return 0
    say(f"adding to {rc}: {line}")
    _write(rc, text)
    say("done; open a new shell (to take it back: wtenv setup --undo)")
    return 0


def write_hook(shell: Shell, env: Mapping[str, str]) -> None:
    """Write the hook's file, readable by the user alone."""
    place = locate_hook(shell.name, env)
    prepare_cache(env)
    try:
        files.make_private_dir(place.parent)
        files.write_atomic(place, render_hook(shell, env))
    except OSError as error:
        raise WtenvError(f"can't write {place} ({error.strerror})", "make it writable") from None


def follow(shell: Shell, env: Mapping[str, str]) -> None:
    """After an upgrade: bring the hook's file, if there is one, in step."""
    try:
        if locate_hook(shell.name, env).is_file():
            write_hook(shell, env)
    except (OSError, WtenvError):
        pass  # the file can wait: a shell that reads it is given the present hook all the same


def _read(rc: Path) -> bytes:
    try:
        return rc.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise WtenvError(f"{rc}: can't be read ({error.strerror})", "run: wtenv setup --print") from None


def _write(rc: Path, data: bytes) -> None:
    try:
        files.replace(rc, data)
    except OSError as error:
        raise WtenvError(f"can't write {rc} ({error.strerror})", "add the line of: wtenv setup --print") from None
