"""`wtenv setup [SHELL]`: the hook as a file, and one guarded line in the shell's rc file.

A new shell then starts no process for wtenv: the hook is read from `DATA/hook.SHELL`. The file follows
upgrades by itself: the first export of a newer wtenv rewrites it (see `follow`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import files
from ..errors import WtenvError, say
from ..hook.install import MARK, MARK_ALL, list_lines, locate_hook, locate_rc, render_hook, render_line
from ..hook.shells import Shell
from .hook import prepare_cache


def run(
    shells: Iterable[Shell],
    env: Mapping[str, str],
    *,
    only_print: bool = False,
    undo: bool = False,
    every: bool = False,
) -> int:
    """Write the hook's file and the rc line for each of `shells`, saying what is changed; `undo` takes all back.
    every: also the lines for shells that are not interactive."""
    changed = False
    for shell in shells:
        lines = [(locate_rc(shell.name, env), MARK, render_line(shell, env))]
        if every or undo:
            lines += [(file, MARK_ALL, line) for file, line in list_lines(shell, env)]
        if only_print:
            for _, _, line in lines:
                print(line)
        elif undo:
            for file, mark, line in lines:
                _remove(file, mark, line)
            locate_hook(shell.name, env).unlink(missing_ok=True)
        else:
            write_hook(shell, env)
            for file, mark, line in lines:
                changed = _add(file, mark, line) or changed
    if changed:
        say(f"done; open a new shell (to take it back: wtenv setup --undo{' --all-shells' if every else ''})")
    return 0


def _add(file: Path, mark: str, line: str) -> bool:
    """Put `line` at the end of `file` in place of another version's; False if it is there."""
    old, kept = _split(file, mark)
    if os.fsencode(line) in old.splitlines():
        say(f"{file} has it already: {line}")
        return False
    say(f"adding to {file}: {line}")
    text = b"".join(kept)
    _write(file, text + (b"\n" if text and not text.endswith(b"\n") else b"") + os.fsencode(line) + b"\n")
    return True


def _remove(file: Path, mark: str, line: str) -> None:
    old, kept = _split(file, mark)
    if len(kept) < len(old.splitlines()):
        _write(file, b"".join(kept))
        say(f"removed from {file}: {line}")
    elif mark == MARK:
        say(f"{file} has no line of wtenv's")


def _split(file: Path, mark: str) -> tuple[bytes, list[bytes]]:
    """The content of `file`, and its lines without those that end in `mark`."""
    old = _read(file)
    return old, [each for each in old.splitlines(keepends=True) if not each.rstrip().endswith(mark.encode())]


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
