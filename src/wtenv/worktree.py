"""Worktrees: which one a folder is in, and which clone that belongs to. From files alone, no git process.

The layout is gitrepository-layout(5): `.git` is a folder (main worktree) or a file `gitdir: PATH`
(linked worktree, submodule). A linked worktree's git folder names the shared one in `commondir` and
the worktree's `.git` in `gitdir`; a submodule's names its worktree in `core.worktree` of its `config`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from . import files
from .errors import WtenvError

_MAX_CONFIG = 1 << 18  # bytes of a git folder's config: it is parsed at a cd, before anybody has allowed it


class Worktree(NamedTuple):
    """A worktree and the clone it is part of.

    root: the folder that holds `.git`, symlinks resolved.
    common_dir: the git common dir, resolved, or None where the link to it could not be proved; then
        `problem` says why, and the worktree counts as a clone of its own.
    linked: whether this is a linked worktree.
    watch: the files that decided it.
    """

    root: Path
    common_dir: Path | None
    linked: bool
    problem: str
    watch: tuple[Path, ...]

    @property
    def clone(self) -> Path:
        """What identifies the clone in trust records."""
        return self.common_dir or self.root / ".git"

    @property
    def name(self) -> str:
        return self.root.name or "/"


class Checkout(NamedTuple):
    """One worktree as its clone's files have it.

    root: its folder, resolved; the git folder itself of a bare repository, the entry of a damaged one.
    branch, commit: what HEAD names, the commit where it is detached; empty if not known.
    problem: why it can't be used as a worktree of this clone (gone, moved, damaged); else empty.
    """

    root: Path
    branch: str
    commit: str
    linked: bool = False
    bare: bool = False
    problem: str = ""


def find_root(directory: Path) -> Path | None:
    """The nearest folder from `directory` upwards that has a `.git` (a folder or a file)."""
    for place in (directory, *directory.parents):
        if os.path.exists(place / ".git"):
            return place
    return None


def find_worktree(directory: Path) -> Worktree | None:
    """The worktree that `directory` is in, or None. Raises WtenvError for a `.git` file that is broken."""
    root = find_root(Path(os.path.realpath(directory)))
    return open_worktree(root) if root else None


def locate_git_dir(root: Path) -> Path:
    """The git folder of the worktree `root`, with its own HEAD and index. WtenvError if its `.git` is broken."""
    dot_git = root / ".git"
    return dot_git if os.path.isdir(dot_git) else _read_link(dot_git)


def require_worktree(directory: Path, fix: str = "cd into one") -> Worktree:
    """The worktree that `directory` is in, for commands that need one. WtenvError if there is none."""
    place = find_worktree(directory)
    if place is None:
        raise WtenvError(f"{directory} is not in a git worktree", fix)
    return place


def open_worktree(root: Path) -> Worktree:
    """The worktree whose root is `root` (resolved, has a `.git`)."""
    dot_git = root / ".git"
    if os.path.isdir(dot_git):
        git_dir = Path(os.path.realpath(dot_git))
        if git_dir.parent == root:
            return Worktree(root, git_dir, False, "", ())
        return _open_distant(root, dot_git, git_dir)  # a symlink
    git_dir = _read_link(dot_git)
    entry, pointer = git_dir / "gitdir", git_dir / "commondir"
    watch = (dot_git, entry, pointer)
    if not os.path.isdir(git_dir):
        return Worktree(root, None, False, f"{dot_git} names {git_dir}, which does not exist", watch)
    if not os.path.lexists(pointer):
        return _open_distant(root, dot_git, git_dir)
    common = _follow(git_dir, _read_line(pointer, watch), watch)
    if git_dir.parent != common / "worktrees":
        return Worktree(root, None, True, f"{git_dir} is no worktree entry of {common}", watch)
    back = _follow(git_dir, _read_line(entry, watch), watch)
    if back != Path(os.path.realpath(dot_git)):
        problem = f"{entry} names {back}, not this worktree (moved? run: git worktree repair)"
        return Worktree(root, None, True, problem, watch)
    return Worktree(root, common, True, "", watch)


def _open_distant(root: Path, dot_git: Path, git_dir: Path) -> Worktree:
    """A submodule, or another repository whose git folder is elsewhere: it has to name us back."""
    settings = (git_dir / "config", git_dir / "config.worktree")
    watch = (dot_git, *settings)
    if is_bare(git_dir):
        return Worktree(root, None, False, f"{git_dir} is a bare repository, whose worktrees are elsewhere", watch)
    for file in settings:
        named = _read_setting(file, "worktree")
        if named is None or "\0" in named or len(named) > files.MAX_PATH:
            continue
        if Path(os.path.realpath(git_dir / named)) == root:
            return Worktree(root, git_dir, False, "", watch)
    problem = f"{git_dir} does not name this worktree back (if it is yours, run: git config core.worktree {root})"
    return Worktree(root, None, False, problem, watch)


def list_worktrees(common_dir: Path) -> tuple[Path, ...]:
    """The roots of a clone's worktrees that still exist and name the clone back, the main one first."""
    return tuple(item.root for item in list_checkouts(common_dir) if not item.problem and not item.bare)


def list_checkouts(common_dir: Path) -> tuple[Checkout, ...]:
    """What a clone has checked out, as `git worktree list` has it: the main worktree (or the bare repository),
    then the linked ones by their paths. Damaged entries are listed with their `problem`; nothing is raised."""
    linked = []
    for entry in _list_entries(common_dir):
        root, problem = entry, ""
        try:
            dot_git = _follow(entry, _read_line(entry / "gitdir"), ())
            root = dot_git.parent
            if not os.path.lexists(dot_git):
                problem = f"{root if not os.path.lexists(root) else dot_git} is gone"
            elif os.path.isdir(dot_git) or _read_link(dot_git) != Path(os.path.realpath(entry)):
                problem = f"{root} is another worktree by now"
            else:
                problem = open_worktree(root).problem
        except WtenvError as error:
            problem = error.what
        linked.append(Checkout(root, *_read_head(entry), linked=True, problem=problem))
    return (*_list_main(common_dir), *sorted(linked, key=lambda item: os.fsencode(item.root)))


def _list_entries(common_dir: Path) -> list[Path]:
    try:
        return [entry for entry in (common_dir / "worktrees").iterdir() if entry.is_dir()]
    except OSError:
        return []


def _list_main(common_dir: Path) -> list[Checkout]:
    """The main worktree, or the bare repository; none where the git folder does not tell (as with
    `git init --separate-git-dir`)."""
    if not os.path.isdir(common_dir):
        return []
    head = _read_head(common_dir)
    if is_bare(common_dir):
        return [Checkout(common_dir, *head, bare=True)]
    root = common_dir.parent if common_dir.name == ".git" else None
    named = _read_core(common_dir, "worktree")
    if named and "\0" not in named:
        root = Path(os.path.realpath(common_dir / named))
    if root is None:
        return []
    problem = "" if os.path.exists(root / ".git") else f"{root} is gone"
    return [Checkout(root, *head, problem=problem)]


def find_main(place: Worktree) -> Path | None:
    """The main worktree of `place`'s clone; None in a bare clone, or where the clone is not known."""
    if not place.linked:
        return place.root
    found = _list_main(place.common_dir) if place.common_dir else []
    return next((item.root for item in found if not item.bare and not item.problem), None)


def make_slug(place: Worktree) -> str:
    """What tells a worktree from the others of its clone, as [a-z0-9-] alone, so that it can be part of a host's or a
    database's name: that of its entry in the clone's `worktrees`, of the main worktree its folder's. A name that is
    something else, is long, or looks as if it ended in such, ends in a digest of its own."""
    import re

    from .digest import sha256

    def shorten(name: str, origin: str = "") -> str:
        slug = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
        if slug == name and not origin and not re.search("(^|-)[0-9a-f]{8}$", slug):
            return slug
        return f"{slug}-{sha256(os.fsencode(origin + name)).hexdigest()[:8]}".strip("-")

    if not place.linked:
        return shorten(place.name)
    name, main = locate_git_dir(place.root).name, find_main(place)
    slug = shorten(name)
    return shorten(name, "worktrees/") if main and slug == shorten(main.name) else slug


def find_clone(place: Worktree) -> Path | None:
    """The git common dir of `place`'s clone, for looking at alone: also the bare repository that the `.git` of
    the folder above its worktrees leads to (`gitdir: ./.bare`)."""
    dot_git = place.root / ".git"
    if place.common_dir or os.path.isdir(dot_git):
        return place.common_dir
    git_dir = _read_link(dot_git)
    return git_dir if is_bare(git_dir) else None


def find_claimed_clone(root: Path) -> Path | None:
    """The git common dir that the `.git` in `root` leads to, whether or not it names `root` back; None if it leads
    nowhere, or to a bare repository, of which `root` is no worktree."""
    dot_git = root / ".git"
    try:
        git_dir = Path(os.path.realpath(dot_git)) if os.path.isdir(dot_git) else _read_link(dot_git)
        pointer = git_dir / "commondir"
        if os.path.lexists(pointer):
            return _follow(git_dir, _read_line(pointer), ())
        return git_dir if os.path.isdir(git_dir) and not is_bare(git_dir) else None
    except WtenvError:
        return None


def is_bare(git_dir: Path) -> bool:
    """Whether a git folder says that it has no worktree of its own (git-config(1), core.bare)."""
    return (_read_core(git_dir, "bare") or "").lower() in ("true", "yes", "on", "1")


def _read_core(git_dir: Path, name: str) -> str | None:
    # With extensions.worktreeConfig these settings may lie in the first file (git-worktree(1)).
    values = (_read_setting(git_dir / file, name) for file in ("config.worktree", "config"))
    return next((value for value in values if value is not None), None)


def _read_head(git_dir: Path) -> tuple[str, str]:
    """Branch and commit that HEAD names (gitrepository-layout(5)); one of the two, or neither, is empty."""
    try:
        text = _read_line(git_dir / "HEAD")
    except WtenvError:
        return "", ""
    if text.startswith("ref: "):
        name = text.removeprefix("ref: ").strip().removeprefix("refs/heads/")
        return ("" if name == ".invalid" else name), ""  # .invalid: the branch is in a reftable
    return "", text if text.isalnum() and text.isascii() else ""


def _read_line(path: Path, watch: tuple[Path, ...] = ()) -> str:
    try:
        return files.read_bytes(path).decode("utf-8", "surrogateescape").rstrip("\r\n")
    except OSError as error:
        what, cacheable = f"can't read {path} ({error.strerror})", not isinstance(error, PermissionError)
        raise WtenvError(what, "run: git worktree repair", watch, cacheable=cacheable) from None
    except WtenvError as error:
        raise error.seen_from(watch=watch) from None


def _follow(folder: Path, written: str, watch: tuple[Path, ...]) -> Path:
    """The resolved path that one of git's files names, relative to `folder`."""
    if "\0" in written or len(written) > files.MAX_PATH:
        what = f"{folder} is damaged: it names a path with a NUL byte, or one that is too long"
        raise WtenvError(what, "run: git worktree repair", watch)
    return Path(os.path.realpath(folder / written))


def _read_link(dot_git: Path) -> Path:
    """Where a `.git` file points: `gitdir: PATH`, relative to the file's folder."""
    text = _read_line(dot_git, (dot_git,))
    if not text.startswith("gitdir: "):
        what = f"{dot_git} is neither a git folder nor a link to one"
        raise WtenvError(what, "run: git worktree repair", (dot_git,))
    return _follow(dot_git.parent, text.removeprefix("gitdir: "), (dot_git,))


def _read_setting(file: Path, name: str) -> str | None:
    """`core.NAME` of a git folder's own config file, or None; of several the last one, as git has it."""
    from . import gitfiles

    found = None
    try:
        text = files.read_bytes(file, _MAX_CONFIG).decode("utf-8", "surrogateescape")
        for key, value in gitfiles.parse(text):
            if key == f"core.{name}":
                found = "true" if value is None else value
    except (OSError, WtenvError, ValueError):  # as far as it can be read
        pass
    return found
