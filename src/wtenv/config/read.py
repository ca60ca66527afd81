"""The config: which files it consists of, what they may say, and the one effective config they give.

Reading is two steps. `find_sources` collects the bytes of every file that decides the activation (that
is what trust is given to); `read_config` turns them into a `Config` and checks every key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from .. import files, toml
from ..errors import WtenvError
from . import keys
from .dotenv import read_dotenv
from .keys import Table
from .mistakes import fail, name_key, show

if TYPE_CHECKING:
    from ..worktree import Worktree

NAME = "wtenv.toml"
LOCK = "wtenv.lock"


class Source(NamedTuple):
    """One file of the config."""

    role: Literal["repo", "clone", "stack", "dotenv"]
    path: Path
    data: bytes | None  # None if it is absent


class Config(NamedTuple):
    """The effective config of a worktree."""

    root: Path  # the folder that owns the overlay: the worktree's root, or the stack config's folder
    base: str  # the value of the key `base_kind`
    base_kind: Literal["base_conda_env", "base_prefix"]
    base_file: Path
    base_folder: Path  # the file that says so, and the folder where its relative paths start
    venv: Path
    packages: tuple[Path, ...]  # the declared editables' folders
    install_deps: bool
    build_isolation: Literal["auto"] | bool
    env: tuple[tuple[str, str | None], ...]  # name -> value, None for "unset"; placeholders are not yet filled in
    path: tuple[str, ...]
    dotenv: tuple[tuple[str, str], ...]
    sources: tuple[Source, ...]  # every file that decides this, for trust and for the watch list
    written: tuple[str, ...] = ()  # the packages as the config names them
    words: tuple[tuple[str, str], ...] = ()
    """The placeholders in `env` that the worktree fills in, as far as they are used."""

    @property
    def lock(self) -> Path:
        """The lock, beside the config that owns the overlay, whether it exists or not."""
        return self.root / LOCK


class _File(NamedTuple):
    """A parsed config file: relative paths in it start at `folder`."""

    path: Path
    folder: Path
    table: Table

    @property
    def is_stack(self) -> bool:
        """Whether it is a config for several repositories."""
        return bool(self.table.get("wtenv", {}).get("kind") == "stack")


def find_sources(worktree: Worktree, home: Path) -> tuple[Source, ...]:
    """Every file that decides the activation, in order of role, absent ones included.

    Empty if the worktree is not configured. Raises WtenvError if a file can't be read or parsed far
    enough to know what else belongs to it.
    """
    repo = _read_source("repo", worktree.root / NAME)
    clone = _read_source("clone", worktree.common_dir / NAME) if worktree.common_dir else None
    if repo.data is None and (clone is None or clone.data is None):
        return ()
    sources = [source for source in (repo, clone) if source]
    try:
        _follow_pointer(sources, worktree, home)
    except WtenvError as error:
        raise error.seen_from(watch=[source.path for source in sources]) from None
    return tuple(sources)


def require_sources(worktree: Worktree, home: Path) -> tuple[Source, ...]:
    """`find_sources`, for commands that need a config. WtenvError if the worktree is not configured."""
    sources = find_sources(worktree, home)
    if not sources:
        raise WtenvError(*explain_absence(worktree))
    return sources


def explain_absence(worktree: Worktree) -> tuple[str, str]:
    """What is said of a worktree without a config, and what helps: the main worktree may have one that is not
    committed, or not on this branch."""
    from ..worktree import find_clone, find_main

    if worktree.problem:
        what = f"{worktree.root} has no {NAME}, and its clone is not known: {worktree.problem}"
        if find_clone(worktree):
            return what, "cd into one of them"
        return what, "run in the main worktree: git worktree repair; or see: wtenv doctor"
    main = find_main(worktree) if worktree.linked else None
    if main is None or not os.path.isfile(main / NAME):
        return f"{worktree.root} has no {NAME}", "run: wtenv init NAME (a conda environment)"
    import shlex

    file, here, there = (shlex.quote(str(path)) for path in (main / NAME, worktree.root, main))
    what = f"{worktree.root} has no {NAME}; {main / NAME} serves that worktree alone, or the branches that have it"
    every = f"to give it to all worktrees of the clone: (cd {there} && wtenv init --clone)"
    return what, f"run: cp {file} {here}/ && wtenv sync; or, {every}"


def _follow_pointer(sources: list[Source], worktree: Worktree, home: Path) -> None:
    """Add the stack config that `sources` name, the last of them winning, and the dotenv files."""
    parsed = [_parse(source, worktree.root) for source in sources if source.data is not None]
    pointers = [file for file in parsed if "extends" in file.table.get("wtenv", {})]
    for pointer in pointers[-1:]:
        place = _join(pointer.folder, pointer.table["wtenv"]["extends"], home)
        try:
            stack = _read_source("stack", Path(os.path.realpath(place)))
        except WtenvError as error:
            key = name_key(pointer.path, "wtenv", "extends")
            raise error.seen_from(f"{key} can't be followed: ", [place]) from None
        if stack.data is None:
            what = f"names {show(str(stack.path))}, which is not there"
            fail(pointer.path, "wtenv", "extends", what, "correct the path", [place])
        sources.append(stack)
        parsed.append(_parse(stack, stack.path.parent))
    for file in parsed:
        for name in file.table.get("activation", {}).get("dotenv", ()):
            place = _locate_dotenv(name, file, parsed, worktree, home)
            try:
                sources.append(_read_source("dotenv", place))
            except WtenvError as error:
                key = name_key(file.path, "activation", "dotenv")
                raise error.seen_from(f"{key} can't be followed: ", [place]) from None


def list_absent(worktree: Worktree) -> tuple[Path, ...]:
    """The places where a config would be found, for a worktree that has none."""
    folders = (worktree.root, worktree.common_dir)
    return tuple(folder / NAME for folder in folders if folder)


def read_config(worktree: Worktree, sources: tuple[Source, ...], home: Path) -> Config:
    """The effective config. Raises WtenvError naming file, key and fix for whatever is wrong with it."""
    layers = _read_layers(worktree, sources)
    merged, origin = _merge(layers)
    root = layers[0].folder
    base_kind, base, base_file = _choose_base(merged, origin, layers)
    editables = merged.get("editables", {})

    def locate(table: str, key: str) -> list[Path]:
        values = merged.get(table, {}).get(key, ())
        return [_join(origin[table, key].folder, value, home) for value in values]

    file = origin.get(("activation", "dotenv"), layers[0])
    names = merged.get("activation", {}).get("dotenv", ())
    dotenv = [_locate_dotenv(name, file, layers, worktree, home) for name in names]
    packages = dict(zip(locate("editables", "packages"), editables.get("packages", ()), strict=True))
    for package, written in packages.items():
        if not os.path.isdir(package):
            what = f"names {show(written)}, but there is no folder {show(str(package))}"
            fix = "create it, or correct the path"
            fail(origin["editables", "packages"].path, "editables", "packages", what, fix, [package])
    path = [str(folder) for folder in locate("activation", "path")]
    if bad := next((folder for folder in path if ":" in folder), None):
        fix = "rename the folder"
        fail(origin["activation", "path"].path, "activation", "path", f"{show(bad)} holds a colon", fix)
    return Config(
        root=root,
        base=base,
        base_kind=base_kind,
        base_file=base_file.path,
        base_folder=base_file.folder,
        venv=_place_venv(merged, origin, layers),
        packages=tuple(packages),
        install_deps=editables.get("install_deps", False),
        build_isolation=editables.get("build_isolation", "auto"),
        env=tuple((name, None if value is False else value) for name, value in merged["env"].items()),
        path=tuple(path),
        dotenv=read_dotenv(dotenv, {each.path: each.data for each in sources if each.role == "dotenv"}),
        sources=sources,
        written=tuple(packages.values()),
        words=_fill_words(merged["env"], origin, layers, worktree),
    )


def locate_venv(worktree: Worktree, sources: tuple[Source, ...]) -> tuple[Path, bool]:
    """The overlay's folder, and whether it is a stack's; whatever else is wrong with the config."""
    layers = _read_layers(worktree, sources)
    merged, origin = _merge(layers)
    return _place_venv(merged, origin, layers), merged.get("wtenv", {}).get("kind") == "stack"


def _read_layers(worktree: Worktree, sources: tuple[Source, ...]) -> list[_File]:
    parsed: dict[str, _File] = {
        source.role: _parse(source, source.path.parent if source.role == "stack" else worktree.root)
        for source in sources
        if source.data is not None and source.role != "dotenv"
    }
    return _order_layers(parsed)


def _read_source(role: Literal["repo", "clone", "stack", "dotenv"], path: Path) -> Source:
    try:
        return Source(role, path, files.read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return Source(role, path, None)
    except OSError as error:
        fix = f"run: chmod u+r {path}" if isinstance(error, PermissionError) else "correct the path"
        raise WtenvError(f"{path}: can't be read ({error.strerror})", fix, cacheable=False) from None
    except ValueError:
        raise WtenvError(f"{path}: can't be read (its name holds a NUL byte)", "rename it") from None


def _parse(source: Source, folder: Path) -> _File:
    """TOML to a checked table: only known tables and keys, each of its type."""
    table = toml.parse(source.path, source.data or b"")
    keys.check(source.path, table, keys.CONFIG)
    wtenv = table.get("wtenv", {})
    if "extends" in wtenv and (len(table) > 1 or len(wtenv) > 1):
        fix = "remove the other tables and keys, or extends"
        fail(source.path, "wtenv", "extends", "a pointer says nothing else", fix)
    if source.role == "stack" and wtenv.get("kind") != "stack":
        fail(source.path, "wtenv", "kind", "is missing in a stack config", 'add: [wtenv] kind = "stack"')
    return _File(source.path, folder, table)


def _order_layers(parsed: Mapping[str, _File]) -> list[_File]:
    """The files in effect, lowest first; the first one owns the overlay."""
    layers = [parsed[role] for role in ("stack", "repo", "clone") if role in parsed]
    if "stack" in parsed:
        layers = [file for file in layers if "extends" not in file.table.get("wtenv", {})]
        if "repo" in parsed and parsed["repo"] in layers:
            clone = parsed["clone"].path
            what = f"extends a stack, but {parsed['repo'].path} is a config of its own"
            fail(clone, "wtenv", "extends", what, "remove one of the two")
    return layers


def _merge(layers: list[_File]) -> tuple[Table, dict[tuple[str, str], _File]]:
    """The layers' keys, later ones winning key by key; and which file each key came from."""
    merged: Table = {"python": {}, "env": {}}
    origin: dict[tuple[str, str], _File] = {}
    for file in layers:
        python = file.table.get("python", {})
        if "base_conda_env" in python and "base_prefix" in python:
            what = "and base_conda_env are both given"
            fail(file.path, "python", "base_prefix", what, "keep exactly one of the two")
        if "base_conda_env" in python or "base_prefix" in python:  # the two are one choice
            merged["python"].pop("base_conda_env", None)
            merged["python"].pop("base_prefix", None)
        for name, content in file.table.items():
            merged.setdefault(name, {}).update(content)
            origin.update({(name, key): file for key in content})
    return merged, origin


def _choose_base(
    merged: Table, origin: Mapping[tuple[str, str], _File], layers: list[_File]
) -> tuple[Literal["base_conda_env", "base_prefix"], str, _File]:
    kinds: tuple[Literal["base_conda_env"], Literal["base_prefix"]] = ("base_conda_env", "base_prefix")
    for kind in kinds:
        if kind in merged["python"]:
            return kind, merged["python"][kind], origin["python", kind]
    what, fix = "is missing", 'add: [python] base_conda_env = "NAME" (or base_prefix = "/path")'
    fail(layers[-1].path, "python", "base_conda_env", what, fix)


def _place_venv(merged: Table, origin: Mapping[tuple[str, str], _File], layers: list[_File]) -> Path:
    """The overlay's folder: a relative path that stays below the folder that owns it, also after
    resolving symlinks."""
    written: str = merged["python"].get("venv", ".venv")
    root, path = layers[0].folder, origin.get(("python", "venv"), layers[0]).path
    relative = Path(written)
    fix = 'use a folder inside the root, such as ".venv"'
    if relative.is_absolute() or ".." in relative.parts or not relative.parts or written.startswith("~"):
        fail(path, "python", "venv", f"{show(written)} is not a folder inside the root", fix)
    if {".git", NAME} & {part.lower() for part in relative.parts} or ":" in written or not written.isprintable():
        fail(path, "python", "venv", f"{show(written)} can't be a virtual environment", fix)
    venv = root / relative
    if os.path.realpath(venv.parent) != str(venv.parent):
        fail(path, "python", "venv", f"{show(written)} leads through a symlink", fix)
    return venv


def _locate_dotenv(name: str, file: _File, layers: list[_File], worktree: Worktree, home: Path) -> Path:
    """The dotenv file that `file` calls `name`."""
    if "{main}" in name:
        from .words import fill_main

        name = fill_main(name, file.path, any(each.is_stack for each in layers), worktree)
    return _join(file.folder, name, home)


def _fill_words(
    env: Table, origin: Mapping[tuple[str, str], _File], layers: list[_File], worktree: Worktree
) -> tuple[tuple[str, str], ...]:
    """The placeholders of `env` that the worktree fills in."""
    if not any(isinstance(value, str) and "{" in value for value in env.values()):
        return ()
    from .words import fill_words

    return fill_words(env, lambda key: origin["env", key].path, layers[0].is_stack, worktree)


def _join(folder: Path, written: str, home: Path) -> Path:
    """A path as written in a config: `~` is the user's home, anything relative starts at `folder`."""
    if written == "~" or written.startswith("~/"):
        return Path(os.path.normpath(f"{home}/{written[2:]}"))
    return Path(os.path.normpath(folder / written))
