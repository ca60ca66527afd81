"""What shells read at their start: the hook's file, and the rc line that names it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .. import dirs, files
from ..console import say
from ..errors import WtenvError
from . import cached
from .shells import Shell, build_command

MARK = "# added by wtenv setup"
MARK_ALL = f"{MARK} --all-shells"
# What a login shell of bash reads: the first of these that is there (bash(1), INVOCATION).
_LOGIN = (".bash_profile", ".bash_login", ".profile")


def locate_hook(shell: str, env: Mapping[str, str]) -> Path:
    """The hook's file for this shell."""
    return Path(dirs.name_own(env)[0]) / f"hook.{shell}"


def locate_rc(shell: str, env: Mapping[str, str]) -> Path:
    """The file that the shell's interactive instances read: bash(1) and zsh(1), "FILES"; fish(1)."""
    home = Path(dirs.find_home(env))
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


def list_lines(shell: Shell, env: Mapping[str, str]) -> list[tuple[Path, str]]:
    """The lines for shells of this kind that are not interactive, each with its file; none where the rc line does.

    bash has no file for them but the one that BASH_ENV names, which a parent has to export: interactive shells, and
    the login shell that a desktop or ssh starts. A BASH_ENV of the user's own stays.
    """
    home, hook = Path(dirs.find_home(env)), shell.quote(str(locate_hook(shell.name, env)))
    if shell.name == "zsh":
        line = f"if [[ ! -o interactive && -r {hook} ]]; then . {hook}; fi {MARK_ALL}"
        return [(locate_rc("zsh", env).with_name(".zshenv"), line)]
    if shell.name == "bash":
        login = next((name for name in _LOGIN if (home / name).exists()), _LOGIN[-1])
        line = f'if [ -z "${{BASH_ENV-}}" ] && [ -r {hook} ]; then export BASH_ENV={hook}; fi {MARK_ALL}'
        return [(file, line) for file in dict.fromkeys((locate_rc("bash", env), home / login))]
    return []


def add_line(file: Path, mark: str, line: str) -> bool:
    """Put `line` at the end of `file` in place of another version's, and say so; False if it is there. mark: what
    it ends in."""
    old, kept = _split(file, mark)
    if os.fsencode(line) in old.splitlines():
        say(f"{file} has it already: {line}")
        return False
    say(f"adding to {file}: {line}")
    text = b"".join(kept)
    _write(file, text + (b"\n" if text and not text.endswith(b"\n") else b"") + os.fsencode(line) + b"\n")
    return True


def remove_line(file: Path, mark: str, line: str) -> None:
    """Take the line that ends in `mark` out of `file`, and say so. line: as it is shown."""
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


def render_hook(shell: Shell, env: Mapping[str, str]) -> bytes:
    """The content of the hook's file."""
    return shell.render_hook(build_command(shell.name), dirs.name_own(env)[1]).encode("utf-8", "surrogateescape")


def remove_hook(shell: Shell, env: Mapping[str, str]) -> None:
    """Remove the hook's file, if there is one."""
    place = locate_hook(shell.name, env)
    try:
        place.unlink()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise WtenvError(f"can't remove {place} ({error.strerror})", "make its folder writable") from None


def write_hook(shell: Shell, env: Mapping[str, str]) -> None:
    """Write the hook's file, readable by the user alone. WtenvError if it can't be where it lasts."""
    place = locate_hook(shell.name, env)
    if dirs.find_data(env) != str(place.parent):
        line = "wtenv hook fish | source" if shell.name == "fish" else f'eval "$(wtenv hook {shell.name})"'
        fix = f"make it writable, or add to {locate_rc(shell.name, env)}: {line}"
        raise WtenvError(f"{place.parent} can't be written, or is in another user's home", fix)
    prepare_cache(env)
    try:
        files.make_private_dir(place.parent)
        files.write_atomic(place, render_hook(shell, env))
    except OSError as error:
        raise WtenvError(f"can't write {place} ({error.strerror})", "make it writable") from None


def update_hook(shell: Shell, env: Mapping[str, str]) -> None:
    """After an upgrade: bring the hook's file, if there is one, in step."""
    try:
        if locate_hook(shell.name, env).is_file():
            write_hook(shell, env)
    except (OSError, WtenvError):
        pass  # the file can wait: a shell that reads it is given the present hook all the same


def explain_name(shell: Shell, env: Mapping[str, str]) -> tuple[str, str] | None:
    """What is wrong where a new shell would not find `wtenv` by its name, and what mends it: installers put programs
    into `~/.local/bin`, say, which is not everywhere on PATH. None if it is found."""
    import shutil

    if shutil.which("wtenv", path=env.get("PATH", os.defpath)):
        return None
    own = os.path.join(dirs.find_home(env), ".local/bin")
    places = (own, os.path.dirname(os.path.abspath(sys.argv[0])), os.path.dirname(sys.executable))
    folder = next((place for place in places if os.access(f"{place}/wtenv", os.X_OK)), "")
    if not folder:
        return "wtenv is not on PATH", "install it again: uv tool install wtenv"
    if shell.name == "fish":
        fix = f"fish_add_path {shell.quote(folder)}"
    else:
        line = f'export PATH={shell.quote(folder)}:"$PATH"'
        fix = f"echo {shell.quote(line)} >>{shell.quote(str(locate_rc(shell.name, env)))}"
    return f"{folder}, which has wtenv, is not on PATH", f"run: {fix}"


def offer_command(env: Mapping[str, str]) -> None:
    """See that what an activation puts on PATH for `wtenv` itself is there."""
    folder = dirs.locate_command(env)
    if folder and not os.path.exists(f"{folder}/wtenv"):
        prepare_cache(env)


def prepare_cache(env: Mapping[str, str]) -> None:
    """Create the folder of cached activations, once. Without a cache the hook works, only slower."""
    try:
        cached.prepare(env)
    except (OSError, WtenvError):
        pass
