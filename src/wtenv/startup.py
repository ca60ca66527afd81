"""What shells and editors read at their start: the hook's file, the rc line, and an overlay's `bin/activate`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from . import places
from .shells import SHELLS, Shell, build_command, locate_entries

MARK = "# added by wtenv setup"


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


def render_hook(shell: Shell, env: Mapping[str, str]) -> bytes:
    """The content of the hook's file."""
    return shell.render_hook(build_command(shell.name), locate_entries(env)).encode("utf-8", "surrogateescape")


def render_activate() -> dict[str, str]:
    """`bin/activate` (bash, zsh) and `bin/activate.fish`: the hook's activation, for editors and by hand."""
    posix, fish = SHELLS["bash"], SHELLS["fish"]
    start = build_command("bash")[:-3]  # without --hook ABI SHELL
    text = f"""# Source this in bash or zsh: the same activation as wtenv's hook gives.
if [ -n "${{ZSH_VERSION-}}" ]; then
    __wtenv_shell=zsh
    eval '__wtenv_here=${{(%):-%x}}' # zsh's name for this file
else
    __wtenv_shell=bash
    __wtenv_here=${{BASH_SOURCE[0]}}
fi
case $__wtenv_here in
*/*) __wtenv_here=${{__wtenv_here%/*}} ;;
*) __wtenv_here=. ;;
esac
if __wtenv_text=$({posix.words(start)} --directory "$__wtenv_here" "$__wtenv_shell"); then
    eval "$__wtenv_text"
    case $(typeset -f deactivate 2>/dev/null) in
    *__wtenv_leave*) ;; # sourced twice
    *) __wtenv_former=$(typeset -f deactivate 2>/dev/null) || : ;; # of the user's own environment
    esac
    deactivate() {{
        __wtenv_leave
        unset -f deactivate
        eval "${{__wtenv_former-}}"
        unset -v __wtenv_former
    }}
fi
unset -v __wtenv_shell __wtenv_here __wtenv_text
"""
    fish_text = f"""# Source this in fish: the same activation as wtenv's hook gives.
{fish.words(start)} --directory (status dirname) fish | source
if functions -q __wtenv_leave
    if functions -q deactivate; and not functions deactivate | string match -q '*__wtenv_leave*'
        functions -e __wtenv_former # of the user's own environment
        functions -c deactivate __wtenv_former
    end
    function deactivate
        __wtenv_leave
        functions -e deactivate
        if functions -q __wtenv_former
            functions -c __wtenv_former deactivate
            functions -e __wtenv_former
        end
    end
end
"""
    return {"activate": text, "activate.fish": fish_text}
