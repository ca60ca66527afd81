"""Whether git tracks something in an overlay. Then a checkout could change what runs, and nobody has allowed that.

In git's index of version 2 or 3 each path stands as it is, after its length. In version 4, and in a split index, it
does not; there git itself is asked (gitformat-index(5)).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .. import files
from ..errors import WtenvError
from ..worktree import find_root, locate_git_dir
from .manifest import real_place

MAX_INDEX = 1 << 31


def find_git(venv: Path) -> tuple[Path, Path] | None:
    """The worktree that holds the overlay, and its own git folder; None if it is in none."""
    root = find_root(Path(os.path.realpath(venv.parent)))
    try:
        return (root, locate_git_dir(root)) if root else None
    except WtenvError:
        return None


def find_tracked(venv: Path, env: Mapping[str, str]) -> str:
    """The first path in the overlay that git's index has, relative to the worktree's root; empty if there is none.
    WtenvError if only git can tell, and does not."""
    found = find_git(venv)
    if found is None:
        return ""
    root, git_dir = found
    inside = os.path.relpath(real_place(venv), root)
    data = files.try_read(git_dir / "index", MAX_INDEX)
    if data is None:
        return ""
    split = any(name.startswith("sharedindex.") for name in files.list_names(git_dir))
    if data[:8] in (b"DIRC\0\0\0\2", b"DIRC\0\0\0\3") and not split:
        return _search(data, os.fsencode(inside) + b"/")
    return _ask(root, f"{inside}/", env)


def is_tracked(file: Path, env: Mapping[str, str]) -> bool:
    """Whether git's index has `file`; for what somebody typed, since git is asked. WtenvError if it does not say."""
    return bool(_ask(file.parent, file.name, env))


def explain_untracking(venv: Path) -> str:
    """The command that ends git's tracking of what is in the overlay. The files stay."""
    import shlex

    found = find_git(venv)
    root = found[0] if found else venv.parent
    place = os.path.relpath(real_place(venv), root)
    return f"git -C {shlex.quote(str(root))} rm -rqf --cached -- {shlex.quote(place)}"


def _search(data: bytes, start: bytes) -> str:
    """The first path in the index `data` that begins with `start`. The path's length must stand before it, in 12 bits;
    in version 3 further flags may stand in between. So the same bytes inside another path or an object's name don't
    count."""
    at = data.find(start)
    while at >= 0:
        path = data[at : data.find(b"\0", at)]
        length = min(len(path), 0xFFF)
        plain, extended = (int.from_bytes(data[at - back : at - back + 2], "big") for back in (2, 4))
        if plain & 0xFFF == length or (extended & 0x4000 and extended & 0xFFF == length):
            return os.fsdecode(path)
        at = data.find(start, at + 1)
    return ""


def _ask(root: Path, inside: str, env: Mapping[str, str]) -> str:
    """The same, asked of git. WtenvError if git does not say: only an overlay that is known to be untracked is used."""
    import shlex

    try:
        return next(iter(list_files(root, env, "--", f":(literal){inside}")), "")
    except ValueError as error:
        what = f"git can't say whether it tracks anything in {root / inside} ({error})"
        raise WtenvError(what, f"see: git -C {shlex.quote(str(root))} ls-files", cacheable=False) from None


def list_files(root: Path, env: Mapping[str, str], *options: str, timeout: float = 30) -> tuple[str, ...]:
    """What `git ls-files` lists in `root`. ValueError, with the reason, if it gives no answer."""
    import subprocess

    # fsmonitor may be a program. What a git hook or a user has set for another repository must not count here.
    command = ["git", "-c", "core.fsmonitor=false", "-C", os.fspath(root), "ls-files", "-z", *options]
    kept = {name: value for name, value in env.items() if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")}
    try:
        done = subprocess.run(command, env=kept, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError((error.strerror if isinstance(error, OSError) else "") or "it gave no answer") from None
    if done.returncode:
        raise ValueError(os.fsdecode(done.stderr).strip().rpartition("\n")[2] or f"status {done.returncode}")
    return tuple(map(os.fsdecode, filter(None, done.stdout.split(b"\0"))))
