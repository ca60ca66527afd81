"""`wtenv setup [SHELL]`: the hook as a file, and one guarded line in the shell's rc file.

A new shell then starts no process for wtenv: the hook is read from `DATA/hook.SHELL`. The file follows
upgrades by itself: the first export of a newer wtenv rewrites it (see `follow`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .. import files, places
from ..errors import WtenvError, say
from ..shells import Shell, locate_entries
from .hook import build_command, prepare_cache

MARK = "# added by wtenv setup"


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


def locate_hook(shell: str, env: Mapping[str, str]) -> Path:
    """The hook's file for this shell."""
    return Path(places.find_data(env)) / f"hook.{shell}"


def locate_rc(shell: str, env: Mapping[str, str]) -> Path:
    """The file that the shell's interactive instances read: bash(1) and zsh(1), "FILES"; fish(1)."""
    home = Path(places.find_home(env))
    if shell == "zsh":
        return Path(env.get("ZDOTDIR") or home) / ".zshrc"
    if shell == "fish":
        config = env.get("XDG_CONFIG_HOME", "")
        return (Path(config) if os.path.isabs(config) else home / ".config") / "fish" / "config.fish"
    # On macOS terminals start login shells, and bash then reads .bash_profile alone.
    return home / (".bash_profile" if sys.platform == "darwin" else ".bashrc")


def render_line(shell: Shell, env: Mapping[str, str]) -> str:
    """The rc line: the file, else the command (dotfiles on a machine where `setup` never ran), else nothing."""
    hook = shell.quote(str(locate_hook(shell.name, env)))
    if shell.name == "fish":
        other = "else if command -q wtenv; wtenv hook fish | source; end"
        return f"if test -r {hook}; source {hook}; {other} {MARK}"
    other = f'elif command -v wtenv >/dev/null; then eval "$(wtenv hook {shell.name})"; fi'
    return f"if [ -r {hook} ]; then . {hook}; {other} {MARK}"


def write_hook(shell: Shell, env: Mapping[str, str]) -> None:
    """Write the hook's file, readable by the user alone."""
    place = locate_hook(shell.name, env)
    prepare_cache(env)
    text = shell.render_hook(build_command(shell.name), locate_entries(env))
    try:
        files.make_private_dir(place.parent)
        files.write_atomic(place, text.encode("utf-8", "surrogateescape"))
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
