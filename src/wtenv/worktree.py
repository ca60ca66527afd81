"""Worktrees: which one a folder is in, and which clone that belongs to. From files alone, no git process.

The layout is gitrepository-layout(5): `.git` is a folder (main worktree) or a file `gitdir: PATH`
(linked worktree, submodule). A linked worktree's git folder names the shared one in `commondir` and
the worktree's `.git` in `gitdir`; a submodule's names its worktree in `core.worktree` of its `config`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from . import files
from .errors import WtenvError


@dataclass(frozen=True)
class Worktree:
    """A worktree and the clone it is part of.

    root: the folder that holds `.git`, symlinks resolved.
    common_dir: the git common dir, resolved, or None where the link to it could not be proved; then
        `doubt` says why, and the worktree counts as a clone of its own.
    linked: whether this is a linked worktree.
    watch: the files that decided it.
    """

    root: Path
    common_dir: Path | None
    linked: bool
    doubt: str
    watch: tuple[Path, ...]

    @property
    def clone(self) -> Path:
        """What identifies the clone in trust records."""
        return self.common_dir or self.root / ".git"

    @property
    def name(self) -> str:
        return self.root.name or "/"


def find_root(directory: Path) -> Path | None:
    """The nearest folder from `directory` upwards that has a `.git` (a folder or a file)."""
    for place in (directory, *directory.parents):
        if (place / ".git").exists():
            return place
    return None


def find_worktree(directory: Path) -> Worktree | None:
    """The worktree that `directory` is in, or None. Raises WtenvError for a `.git` file that is broken."""
    root = find_root(Path(os.path.realpath(directory)))
    return open_worktree(root) if root else None


def open_worktree(root: Path) -> Worktree:
    """The worktree whose root is `root` (resolved, has a `.git`)."""
    dot_git = root / ".git"
    if dot_git.is_dir():
        return Worktree(root, Path(os.path.realpath(dot_git)), False, "", ())
    git_dir = _read_link(dot_git)
    entry = git_dir / "gitdir"
    watch = (dot_git, entry)
    if not git_dir.is_dir():
        return Worktree(root, None, False, f"{dot_git} names {git_dir}, which does not exist", watch)
    if (git_dir / "commondir").is_file():
        common = Path(os.path.realpath(git_dir / _read_line(git_dir / "commondir")))
        if git_dir.parent != common / "worktrees":
            return Worktree(root, None, True, f"{git_dir} is no worktree entry of {common}", watch)
        back = Path(os.path.realpath(git_dir / _read_line(entry)))
        if back != Path(os.path.realpath(dot_git)):
            doubt = f"{entry} names {back}, not this worktree (moved? run: git worktree repair)"
            return Worktree(root, None, True, doubt, watch)
        return Worktree(root, common, True, "", watch)
    # A submodule (or another repository with its git folder elsewhere): it has to name us back.
    named = _read_core_worktree(git_dir)
    if named is not None and Path(os.path.realpath(git_dir / named)) == root:
        return Worktree(root, git_dir, False, "", (dot_git,))
    return Worktree(root, None, False, f"{git_dir} does not name this worktree back", (dot_git,))


def list_worktrees(common_dir: Path) -> tuple[Path, ...]:
    """The roots of a clone's worktrees that still exist and name the clone back, the main one first."""
    roots = [common_dir.parent] if common_dir.name == ".git" else []
    entries = common_dir / "worktrees"
    for entry in sorted(entries.iterdir()) if entries.is_dir() else ():
        try:
            dot_git = Path(os.path.realpath(entry / _read_line(entry / "gitdir")))
        except (OSError, WtenvError):
            continue
        root = dot_git.parent
        if dot_git.is_file() and open_worktree(root).common_dir == common_dir:
            roots.append(root)
    return tuple(roots)


def _read_line(path: Path) -> str:
    try:
        return files.read_bytes(path).decode("utf-8", "surrogateescape").rstrip("\n")
    except OSError as error:
        raise WtenvError(f"can't read {path} ({error.strerror})", "run: git worktree repair") from None


def _read_link(dot_git: Path) -> Path:
    """Where a `.git` file points: `gitdir: PATH`, relative to the file's folder."""
    text = _read_line(dot_git)
    if not text.startswith("gitdir: "):
        raise WtenvError(f"{dot_git} is neither a git folder nor a link to one", "run: git worktree repair")
    return Path(os.path.realpath(dot_git.parent / text.removeprefix("gitdir: ").rstrip("\r\n")))


def _read_core_worktree(git_dir: Path) -> str | None:
    """`core.worktree` of a git folder's own config, or None. Only the plain and the quoted form that
    git itself writes for submodules are understood (git-config(1), Syntax)."""
    section = ""
    try:
        text = _read_line(git_dir / "config")
    except WtenvError:
        return None
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.partition("]")[0].strip("[ ").lower()
        key, _, value = line.partition("=")
        if section == "core" and key.strip().lower() == "worktree":
            value = value.strip()
            if value[:1] == value[-1:] == '"' and len(value) > 1:
                value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
            return value
    return None
