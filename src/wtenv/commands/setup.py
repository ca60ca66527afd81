"""`wtenv setup [SHELL]`: the hook as a file, and one guarded line in the shell's rc file.

A new shell then starts no process for wtenv: the hook is read from `DATA/hook.SHELL`. The file follows
upgrades by itself: the first export of a newer wtenv rewrites it (see `hook.install.update_hook`).
"""

from __future__ import annotations

import os
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from .. import access, environ
from ..console import say, write
from ..errors import WtenvError
from ..hook import install
from ..hook.detect import find_shell_name
from ..hook.shells import SHELLS, find_shell
from ..process import locate_folder
from ..worktree import Worktree, find_clone, find_root, require_worktree


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("shell", nargs="?", metavar="SHELL", help="bash, zsh or fish (default: the one that runs this)")
    parser.add_argument("--print", action="store_true", dest="only_print", help="only print the line")
    parser.add_argument("--all-shells", action="store_true", help="every shell, and those that are not interactive")
    parser.add_argument(
        "--git", action="store_true", help="only git's hook of this clone: new worktrees are made ready"
    )
    parser.add_argument("--undo", action="store_true", help="take the lines back")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Write the hook's file and the rc line for each shell, saying what is changed; --undo takes all back."""
    env = environ.undo(env)  # a config may set XDG_DATA_HOME: new shells shall read nothing from a checkout
    if args.git:
        return _setup_git(args, env)
    changed = False
    every = args.all_shells
    if every and not args.shell:
        import shutil

        chosen = [shell for name, shell in SHELLS.items() if shutil.which(name, path=env.get("PATH"))]
    else:
        chosen = [find_shell(args.shell or find_shell_name(env))]
    for shell in chosen:
        lines = [(install.locate_rc(shell.name, env), install.MARK, install.render_line(shell, env))]
        if every or args.undo:
            lines += [(file, install.MARK_ALL, line) for file, line in install.list_lines(shell, env)]
        if args.only_print:
            for _, _, line in lines:
                print(line)
        elif args.undo:
            for file, mark, line in lines:
                install.remove_line(file, mark, line)
            install.remove_hook(shell, env)
        else:
            install.write_hook(shell, env)
            for file, mark, line in lines:
                changed = install.add_line(file, mark, line) or changed
    if not args.undo and not args.only_print:
        for what, fix in filter(None, (install.explain_name(shell, env) for shell in chosen)):
            say(f"{what}; {fix}")
    if changed:
        say(f"done; open a new shell (to take it back: wtenv setup --undo{' --all-shells' if every else ''})")
    return 0


def _setup_git(args: Namespace, env: Mapping[str, str]) -> int:
    """Add git's hook to the clone of the current folder, or take it back."""
    from ..hook import githook

    if args.only_print:
        write(os.fsdecode(githook.render()))
        return 0
    hook, is_own = _locate_git_hook(require_worktree(Path(locate_folder(env))), env)
    try:
        if args.undo:
            ours, restored = githook.remove(hook)
            put_back = "; the one that was there before is back" if restored else ""
            say(f"removed {hook}{put_back}" if ours else f"there is no hook of wtenv's at {hook}")
            return 0
        added, before = githook.install(hook)
    except OSError as error:
        raise WtenvError(f"can't write {hook} ({error.strerror})", "make the folder writable") from None
    if not added:
        say(f"{hook} is there already")
        return 0
    first = f", which first runs the one that was there, now {before}" if before else ""
    say(f"added {hook}{first}; to take it back run: wtenv setup --git --undo")
    if not is_own:
        say(f"core.hooksPath is {hook.parent}: that is for every repository that has it so")
    return 0


def _locate_git_hook(place: Worktree, env: Mapping[str, str]) -> tuple[Path, bool]:
    """The file that git runs for this clone, and whether it lies in the clone's own folder, not in `core.hooksPath`.
    WtenvError if it is in a worktree, where a checkout decides what it is, or where other users could write."""
    from ..hook import githook

    common = find_clone(place)
    if common is None:
        raise WtenvError(f"this worktree's clone is not known: {place.problem}", "see: wtenv doctor")
    folder = githook.find_folder(place.root, env)
    real = Path(os.path.realpath(folder))
    is_own = real.is_relative_to(os.path.realpath(common))
    root = None if is_own else find_root(real)
    if root is not None:
        fix = f"let that tool's {githook.NAME} run: wtenv export json >/dev/null || :"
        raise WtenvError(f"core.hooksPath ({folder}) is in the worktree {root}, so a checkout decides what runs", fix)
    if os.path.lexists(folder) and not os.path.isdir(folder):
        fix = f"see: git -C {shlex.quote(str(place.root))} config --show-origin core.hooksPath"
        raise WtenvError(f"core.hooksPath ({folder}) is no folder: git runs no hooks here", fix)
    if found := access.find_exposure(folder):
        raise WtenvError(found.reason, found.fix)
    return folder / githook.NAME, is_own
