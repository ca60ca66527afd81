"""git's `post-checkout` hook of a clone: a new worktree is ready when `git worktree add` is done."""

from __future__ import annotations

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
    elif is_ours(hook) and files.read_bytes(hook) == text and os.access(hook, os.X_OK):
        return False, None
    hook.parent.mkdir(parents=True, exist_ok=True)
    try:
        files.write_atomic(hook, text, mode=0o755)
    except OSError:
        if moved:
            moved.rename(hook)
        raise
    return True, moved


def remove(hook: Path) -> tuple[bool, bool]:
    """Take ours away from `hook`, and put back what was there. Whether ours was there; whether another came back.
    WtenvError if something else is in the file by now. Raises OSError."""
    if not is_ours(hook):
        return False, False
    if not files.read_bytes(hook).rstrip().endswith(b'exit "$__wtenv_status"'):
        raise WtenvError(f"{hook} has more in it than wtenv wrote", "take wtenv's lines out by hand")
    before = hook.with_name(BEFORE)
    if os.path.lexists(before):
        before.replace(hook)
        return True, True
    hook.unlink()
    return True, False


def is_ours(hook: Path) -> bool:
    """Whether wtenv wrote it."""
    try:
        return not hook.is_symlink() and _MARK in files.read_bytes(hook).split(b"\n", 2)[1:2][0]
    except (OSError, IndexError, WtenvError):
        return False
