"""git's `post-checkout` hook of a clone: a new worktree is ready when `git worktree add` is done."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .. import files
from ..errors import WtenvError
from .shells import SHELLS, build_wtenv, read_text

NAME = "post-checkout"
BEFORE = f"{NAME}.before-wtenv"
# Such a hook may go by its own name ($0, as dispatchers and `$0.d` do) or look for others beside itself: so it is
# started by its old name, in a folder of links to all that is beside it.
_VIEW = f"{BEFORE}.d"
_MARK = b"# Made by: wtenv setup --git"
# What git sets for its hooks, and what would name another repository (`git rev-parse --local-env-vars`).
_LOCAL = frozenset(
    "GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_DIR GIT_GRAFT_FILE GIT_IMPLICIT_WORK_TREE GIT_INDEX_FILE "
    "GIT_INTERNAL_SUPER_PREFIX GIT_NAMESPACE GIT_NO_REPLACE_OBJECTS GIT_OBJECT_DIRECTORY GIT_PREFIX GIT_REFLOG_ACTION "
    "GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE GIT_WORK_TREE".split()
)


def render() -> bytes:
    """The hook's text."""
    command, quote = build_wtenv(), SHELLS["bash"].quote
    text = read_text(f"{NAME}.sh").replace("@PYTHON@", quote(command[0])).replace("@MAIN@", quote(command[-1]))
    return text.replace("@COMMAND@", " ".join(map(quote, command))).encode("utf-8", "surrogateescape")


def strip_environment(env: Mapping[str, str]) -> dict[str, str]:
    """`env` without what git says of the repository that it runs a hook for."""
    return {name: value for name, value in env.items() if name not in _LOCAL}


def find_folder(root: Path, env: Mapping[str, str]) -> Path:
    """Where git looks for the hooks of the worktree `root`: it is asked. WtenvError if it does not say."""
    command = ["git", "-C", os.fspath(root), "rev-parse", "--git-path", "hooks"]
    try:
        done = subprocess.run(
            command, env=strip_environment(env), capture_output=True, timeout=30, stdin=subprocess.DEVNULL
        )
        said = os.fsdecode(done.stderr).strip().rpartition("\n")[2] if done.returncode else ""
    except (OSError, subprocess.SubprocessError) as error:
        said = (error.strerror if isinstance(error, OSError) else "") or "it gave no answer"
    if said:
        raise WtenvError(f"git does not say where its hooks are ({said})", f"see: {shlex.join(command)}")
    return root / os.fsdecode(done.stdout).rstrip("\n")


def install(hook: Path) -> tuple[bool, Path | None]:
    """Put ours at `hook`. Whether anything was changed; and the new name of a hook that was there, which ours runs
    first. WtenvError if that name is taken. Raises OSError."""
    text, before = render(), hook.with_name(BEFORE)
    moved = None
    if os.path.lexists(hook) and not is_ours(hook):
        if os.path.lexists(before):
            raise WtenvError(f"{before} exists already", f"move it away, or back to {hook}")
        hook.rename(before)
        moved = before
        _make_view(hook)
    elif is_ours(hook) and files.read_bytes(hook) == text and os.access(hook, os.X_OK):
        return False, None
    hook.parent.mkdir(parents=True, exist_ok=True)
    try:
        files.write_atomic(hook, text, mode=0o755)
    except OSError:
        if moved:
            _remove_view(hook)
            moved.rename(hook)
        raise
    return True, moved


def _make_view(hook: Path) -> None:
    """Make the folder of links, as far as the file system has such."""
    view = hook.with_name(_VIEW)
    with contextlib.suppress(OSError):
        view.mkdir()
        (view / NAME).symlink_to(f"../{BEFORE}")
        for name in set(files.list_names(hook.parent)) - {NAME, BEFORE, _VIEW}:
            if not name.endswith(".sample"):
                (view / name).symlink_to(f"../{name}")


def _remove_view(hook: Path) -> None:
    """Remove the folder of links; what else is in it stays."""
    view = hook.with_name(_VIEW)
    for link in map(view.joinpath, files.list_names(view)):
        if link.is_symlink():
            link.unlink()
    with contextlib.suppress(OSError):
        view.rmdir()


def remove(hook: Path) -> tuple[bool, bool]:
    """Take ours away from `hook`, and put back what was there. Whether ours was there; whether another came back.
    WtenvError if something else is in the file by now. Raises OSError."""
    if not is_ours(hook):
        return False, False
    if not files.read_bytes(hook).rstrip().endswith(b'exit "$__wtenv_status"'):
        raise WtenvError(f"{hook} has more in it than wtenv wrote", "take wtenv's lines out by hand")
    before = hook.with_name(BEFORE)
    is_there = os.path.lexists(before)
    if is_there and (before.is_symlink() or not before.is_dir()):
        before.replace(hook)
    else:
        hook.unlink()
        if is_there:
            before.rename(hook)
    _remove_view(hook)
    return True, is_there


def is_ours(hook: Path) -> bool:
    """Whether wtenv wrote it."""
    try:
        return not hook.is_symlink() and _MARK in files.read_bytes(hook).split(b"\n", 2)[1:2][0]
    except (OSError, IndexError, WtenvError):
        return False
