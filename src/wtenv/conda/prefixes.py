"""Base environments: from the name or path in a config to the prefix, found as conda would find it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Literal, NamedTuple

from .. import dirs
from ..errors import WtenvError
from ..watch import EXACT, LATER_OR_ABSENT, Watch
from . import condarc
from .condarc import read_folder, read_mode

# Where installers put a root prefix by default: below HOME, and elsewhere.
_HOME_ROOTS = """miniforge3 mambaforge miniconda3 anaconda3 micromamba .local/share/mamba miniconda anaconda
    opt/miniconda3 opt/anaconda3"""
_ROOTS = """/opt/conda /opt/miniforge3 /opt/mambaforge /opt/miniconda3 /opt/anaconda3 /opt/micromamba
    /opt/homebrew/Caskroom/miniforge/base /opt/homebrew/Caskroom/miniconda/base /opt/homebrew/anaconda3
    /usr/local/Caskroom/miniforge/base /usr/local/Caskroom/miniconda/base /usr/local/miniconda3"""


class Base(NamedTuple):
    """A Python installation that worktrees share."""

    prefix: str
    """Absolute, without a slash at its end."""
    name: str
    """What conda puts into CONDA_DEFAULT_ENV: "base", a name, or the prefix of an environment without a name."""
    modifier: str
    """What conda puts into CONDA_PROMPT_MODIFIER (with its default `env_prompt`); "" for the kind "python"."""
    kind: Literal["conda", "python"]
    """"python": any installation that is not conda's."""
    watch: Watch
    """The paths whose change or appearance can change this answer."""


class BaseNotFound(WtenvError):
    """The config's base doesn't exist."""


def find_base(reference: str, env: Mapping[str, str], directory: Path) -> Base:
    """The conda environment that `reference` (a name, or a path, relative to `directory`) stands for.

    It is a path if it contains "/" (`_resolve_prefix` in conda/activate.py) or begins with "~". "base" and "root" are
    the root prefix. Any other name is the first folder of that name in the envs_dirs (`locate_prefix_by_name` in
    conda/base/context.py). conda knows only its own files, and the root that it runs from; this goes on with the
    folders where mamba looks, and with the machine's other roots. BaseNotFound if there is none.
    """
    if not reference or "\0" in reference:
        raise WtenvError("base_conda_env is no name", "give a conda environment's name or path")
    if "/" in reference or reference.startswith("~") or reference in (".", ".."):
        prefix = _resolve(reference, env, directory)
        # Without PATH: what is asked for becomes a condition of the answer, and PATH rarely names the root.
        roots = _find_roots(env, search_path=False) if _has(prefix, "condabin", "pkgs", "envs") else iter(())
        return _open(prefix, next(roots, None))
    roots = _find_roots(env)
    root = next(roots, None)
    watch: list[Path] = []
    if reference not in ("base", "root"):
        folders, watch = _find_envs_dirs(env, root, directory)
        for folder in chain(folders, _find_mamba_dirs(env, root, directory, watch), (r / "envs" for r in roots)):
            if _has(folder, reference):
                return _open(folder / reference, root, watch)
            watch.append(folder / reference)
    elif root:
        return _open(root, root)
    raise BaseNotFound(f"no conda environment is called {reference!r}", _advise(reference, env), watch)


def open_prefix(path: str, env: Mapping[str, str], directory: Path) -> Base:
    """The Python installation at `path` (relative to `directory`); BaseNotFound if there is none."""
    prefix = _resolve(path, env, directory)
    _refuse_path(prefix)
    return Base(str(prefix), str(prefix), "", "python", {find_python(prefix): LATER_OR_ABSENT})


def find_python(prefix: Path) -> Path:
    """The interpreter in `prefix`/bin: `python3`, else `python`, else the newest `python3.N` (before a free-threaded
    `python3.Nt`), else PyPy's, else GraalPy's. Links are followed as long as they stay in that folder. BaseNotFound if
    none can be run."""
    names = [prefix / "bin/python3", prefix / "bin/python"]
    if not any(map(os.path.lexists, names)):
        for stem in ("python3", "pypy3"):
            versions = [
                p for p in read_folder(prefix / "bin") if p.stem == stem and p.suffix[1:].rstrip("t").isdecimal()
            ]
            names += sorted(versions, key=lambda path: (-int(path.suffix[1:].rstrip("t")), path.suffix))
        names += [prefix / "bin/pypy3", prefix / "bin/graalpy"]
    for name in names:
        path = _follow(name)
        if S_ISREG(read_mode(path)) and os.access(path, os.X_OK) and not path.name.startswith("python2"):
            return path
    broken = [name for name in names if os.path.lexists(name)]
    what = f"{broken[0]} is no Python 3 that can be run" if broken else f"there is no Python 3 in {prefix}/bin"
    raise BaseNotFound(what, "give the folder above its bin, or install it there", names[:1])


def list_environments(env: Mapping[str, str]) -> tuple[tuple[str, Path], ...]:
    """Every environment that `find_base` finds by name: (name, prefix), "base" first."""
    roots = _find_roots(env)
    root = next(roots, None)
    found = {"base": root} if root and _has(root, "conda-meta") else {}
    folders, _ = _find_envs_dirs(env, root, Path("/"))
    for folder in chain(folders, _find_mamba_dirs(env, root, Path("/"), []), (r / "envs" for r in roots)):
        for prefix in read_folder(folder):
            if _has(prefix, "conda-meta"):
                found.setdefault(prefix.name, prefix)
    return tuple(found.items())


def _open(prefix: Path, root: Path | None, watch: Iterable[Path] = ()) -> Base:
    _refuse_path(prefix)
    if not _has(prefix, "conda-meta"):
        # conda would activate such a folder if it finds it by name: the rest of a removed environment, which hides
        # others.
        what = f"{prefix} is no conda environment (it has no folder conda-meta)"
        raise BaseNotFound(what, "create it, remove that folder, or name another base", [*watch, prefix / "conda-meta"])
    # `_default_env` in conda/activate.py: the name of the folder above decides, not the envs_dirs.
    found = {**dict.fromkeys(watch, LATER_OR_ABSENT), prefix / "conda-meta/history": EXACT}
    name = "base" if prefix == root else prefix.name if prefix.parent.name == "envs" else str(prefix)
    return Base(str(prefix), name, f"({name}) ", "conda", found)


def _find_roots(env: Mapping[str, str], *, search_path: bool = True) -> Iterator[Path]:
    """Root prefixes, first the one that `conda` would run from. Lazy: each variable that is asked for becomes a
    condition of the answer. PATH, which changes most often, comes last."""
    seen = set()
    for place, marks in _guess_roots(env, search_path):
        root = Path(os.path.normpath(place))
        if root.is_absolute() and root not in seen and _has(root, *marks.split()):
            seen.add(root)
            yield root


def _guess_roots(env: Mapping[str, str], search_path: bool) -> Iterator[tuple[Path, str]]:
    """Places that may be root prefixes; each with the names of folders, any of which shows that it is one."""
    any_mark = "conda-meta pkgs envs"  # micromamba's root need not hold an environment itself
    if exe := env.get("CONDA_EXE"):  # ROOT/bin/conda, `conda_exe_vars_dict` in conda/base/context.py
        yield Path(exe).parent.parent, "conda-meta"
    if root := env.get("_CONDA_ROOT"):
        yield Path(root), "conda-meta"
    if root := env.get("MAMBA_ROOT_PREFIX"):
        yield Path(root), any_mark
    if prefix := env.get("CONDA_PREFIX"):
        active = Path(prefix)
        yield active.parent.parent if active.parent.name == "envs" else active, "condabin pkgs"
    yield from ((Path(dirs.find_home(env)) / place, any_mark) for place in _HOME_ROOTS.split())
    yield from ((Path(place), any_mark) for place in _ROOTS.split())
    for folder in env.get("PATH", "").split(":") if search_path else ():
        for exe in ("conda", "mamba", "micromamba"):
            if os.access(path := Path(folder, exe), os.X_OK):
                yield Path(os.path.realpath(path)).parent.parent, "conda-meta"


def _find_envs_dirs(env: Mapping[str, str], root: Path | None, directory: Path) -> tuple[list[Path], list[Path]]:
    """The folders that hold named environments, in conda's order; and the condarc files to watch.

    `envs_dirs` and `mockable_context_envs_dirs` in conda/base/context.py. The variable outranks every file
    (`_set_env_vars` in conda/common/configuration.py).
    """
    paths, watch = condarc.find(env, root)
    sources = [source for path in paths if (source := condarc.read(path))]
    sources.append(_split(env.get("CONDA_ENVS_DIRS") or env.get("CONDA_ENVS_PATH") or ""))
    lines = [*(_expand(line, env) for line in condarc.merge(sources)), "~/.conda/envs"]
    if root:
        history = root / "conda-meta/history"  # the file that `root_writable` tries; micromamba may lack it
        is_writable = not os.path.lexists(history) or os.access(history, os.W_OK)
        lines.insert(len(lines) - is_writable, str(root / "envs"))
    return list(dict.fromkeys(_resolve(line, env, directory) for line in lines)), watch


def _find_mamba_dirs(env: Mapping[str, str], root: Path | None, directory: Path, watch: list[Path]) -> Iterator[Path]:
    """The folders where mamba looks and conda does not. Lazy: nothing is read where conda finds the name. `watch` gets
    the files on which this depends."""
    paths, more = condarc.find_mamba(env, root)
    watch += more
    sources = [source for path in paths if (source := condarc.read(path))]
    lines = condarc.merge([*sources, _split(env.get("MAMBA_ENVS_DIRS", ""))])
    yield from dict.fromkeys(_resolve(_expand(line, env), env, directory) for line in lines)


def _split(value: str) -> condarc.EnvsDirs:
    """The folders that a variable lists."""
    return condarc.EnvsDirs(tuple((line.strip(), "") for line in value.split(":") if line.strip()))


def _expand(text: str, env: Mapping[str, str]) -> str:
    """`text` with $NAME and ${NAME} filled in. Unset ones stay, as with os.path.expandvars, which conda uses."""
    if "$" not in text:
        return text
    import re

    return re.sub(r"\$(?:(\w+)|\{([^}]*)\})", lambda m: env.get(m[1] or m[2], m[0]), text, flags=re.ASCII)


def _resolve(path: str, env: Mapping[str, str], directory: Path) -> Path:
    """`path` from `directory`, without "~" and ".."; symlinks stay (`expand` in conda/common/path)."""
    if path == "~" or path.startswith("~/"):
        path = f"{Path(dirs.find_home(env))}{path[1:]}"
    elif path.startswith("~"):
        path = os.path.expanduser(path)  # another user's
    return Path("/" + os.path.normpath(directory / path).lstrip("/"))


def _has(folder: Path, *names: str) -> bool:
    return any(S_ISDIR(read_mode(folder / name)) for name in names)


def _refuse_path(prefix: Path) -> None:
    if ":" in str(prefix) or "\0" in str(prefix):
        raise WtenvError(f"PATH can't hold the base's path {str(prefix)!r}", "move the base to one without colons")


def _follow(path: Path) -> Path:
    for _ in range(8):
        try:
            target = Path(os.path.normpath(path.parent / os.readlink(path)))
        except OSError:
            break
        if target.parent != path.parent:
            break  # a name outside of the folder may go with the next update; the one in it stays
        path = target
    return path


def _advise(reference: str, env: Mapping[str, str]) -> str:
    import difflib
    import re

    names = [name for name, _ in list_environments(env)]
    if not names:
        return "no conda installation was found: give the environment's path, or set base_prefix"
    close = difflib.get_close_matches(reference, names, 3)
    known = list(dict.fromkeys([*close, *names]))[:8]
    # conda creates no environment of the root's name, and the command must not take the name for an option or two
    # words.
    can_be_made = reference != "base" and re.fullmatch(r"[\w.][\w.+-]*", reference)
    return f"there is {', '.join(known)}" + (f"; or run: conda create -n {reference} python" if can_be_made else "")
