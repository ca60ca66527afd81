"""An overlay's `bin/activate` and `bin/activate.fish`: they give the hook's activation to editors and scripts, and to
whoever sources them by hand."""

from __future__ import annotations

from pathlib import Path

from .. import files
from ..hook.shells import SHELLS, build_command
from .pth import find_differences

# bash and zsh know the path of the file that they source. Any other shell does not: there the path at which the overlay
# was made is written into the file. Such a shell gets plain exports, and its `deactivate` starts wtenv once more, since
# undoing by value needs it. Two quirks: `eval` of an empty text succeeds, and `return` gives a sourced file its status
# (POSIX, 2.14).
_POSIX = """\
# Source this in a POSIX shell (bash, zsh, dash, busybox, …): the same activation as wtenv's hook gives.
# It fails, and changes nothing, where nothing can be activated.
if [ -n "${{BASH_VERSION-}}" ]; then
    __wtenv_language=bash
    __wtenv_folder=${{BASH_SOURCE[0]}}
elif [ -n "${{ZSH_VERSION-}}" ]; then
    __wtenv_language=zsh
    eval '__wtenv_folder=${{(%):-%x}}' # zsh's name for this file
else
    __wtenv_language=sh
    __wtenv_folder={here}/activate
fi
case $__wtenv_folder in
*/*) __wtenv_folder=${{__wtenv_folder%/*}} ;;
*) __wtenv_folder=. ;;
esac
if ! [ -x {python} ] || ! [ -r {main} ]; then
    echo {gone} >&2
    unset -v __wtenv_language __wtenv_folder
    return 1
fi
if __wtenv_text=$({start} --directory "$__wtenv_folder" "$__wtenv_language"); then
    :
else
    unset -v __wtenv_language __wtenv_folder __wtenv_text
    return 1
fi
eval "$__wtenv_text"
case $__wtenv_language in
sh)
    deactivate() {{
        if __wtenv_text=$({start} --leave sh); then
            eval "$__wtenv_text"
            unset -f deactivate
            unset -v __wtenv_text
        else
            unset -v __wtenv_text
            return 1
        fi
    }}
    ;;
*)
    case $(typeset -f deactivate 2>/dev/null) in
    *__wtenv_leave*) ;; # sourced twice
    *) __wtenv_former=$(typeset -f deactivate 2>/dev/null) || : ;; # of the user's own environment
    esac
    deactivate() {{
        __wtenv_leave
        case ${{__wtenv_former-}} in # zsh as sh ends if a function that has unset itself defines itself
        '') unset -f deactivate ;;
        *) eval "$__wtenv_former" ;;
        esac
        unset -v __wtenv_former
    }}
    ;;
esac
unset -v __wtenv_language __wtenv_folder __wtenv_text
"""

_FISH = """\
# Source this in fish: the same activation as wtenv's hook gives. It fails where nothing can be activated.
if not test -x {python} -a -r {main}
    echo {gone} >&2
    return 1
end
{start} --directory (status dirname) fish | source
test $pipestatus[1] -eq 0; or return 1
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
"""


def render_activate(venv: Path) -> dict[str, bytes]:
    """The files of the overlay at `venv`: name in `bin` -> content."""
    command = build_command("bash")[:-3]  # without --hook ABI SHELL
    gone = f"wtenv: nothing is active: {command[0]} or {command[-2]} is gone; install wtenv again, then run: wtenv sync"
    contents = {}
    for name, text, shell in (("activate", _POSIX, SHELLS["bash"]), ("activate.fish", _FISH, SHELLS["fish"])):
        filled = text.format(
            here=shell.quote(f"{venv}/bin"),
            python=shell.quote(command[0]),
            main=shell.quote(command[-2]),
            gone=shell.quote(gone),
            start=shell.words(command),
        )
        contents[name] = filled.encode("utf-8", "surrogateescape")
    return contents


def write_activate(venv: Path) -> bool:
    """Write these files; True if one changed."""
    contents = render_activate(venv)
    different = find_differences(venv / "bin", contents)
    for name in different:
        files.write_atomic(venv / "bin" / name, contents[name], 0o644)
    return bool(different)
