"""Drafts: what a new config says, taken from a conda environment's name or from another tool's file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import conda, dirs, files, toml
from .config.read import NAME
from .errors import WtenvError
from .worktree import Worktree

OTHER_TOOLS = ("notuv.toml", "devpy.toml", "veneer.toml")
ENVIRONMENTS = ("environment.yml", "environment.yaml")
# Folders that hold packages for tests, for show, or of others.
_PASSED_OVER = frozenset(
    (
        "build dist doc docs example examples fixtures node_modules site-packages test testdata tests third_party "
        "vendor"
    ).split()
)
MAX_FOLDERS = 2000  # that are looked into for packages


class Draft(NamedTuple):
    """What a new config says. base: the line's key and value; others: packages that are there and not declared;
    origin: the file it was taken from, whose say it then is; the rest as in the config."""

    base: tuple[str, str]
    packages: tuple[str, ...] = ()
    install_deps: bool = False
    venv: str = ".venv"
    origin: str = ""
    others: tuple[str, ...] = ()


def read_draft(source: str, place: Worktree, directory: Path, env: Mapping[str, str]) -> Draft:
    """The draft that `source` gives, its conda environment found. WtenvError lists those that exist."""
    path = directory / source
    is_file_name = source.endswith((".toml", ".yml", ".yaml"))
    if is_file_name and not os.path.lexists(path) and source not in (name for name, _ in conda.list_environments(env)):
        raise WtenvError(f"there is no file {path}", f"name another, or: wtenv init NAME ({list_names(env)})")
    if source.endswith(".toml") and path.is_file():
        return _check_base(_read_other_tool(path, place.root, env), env, place.root)
    own = is_package(place.root)
    below = tuple(find_packages(place.root))
    packages, others = ((".",), below) if own else (below, ())
    if source.endswith((".yml", ".yaml")) and path.is_file():
        draft = Draft(("base_conda_env", _read_environment(path)), packages, origin=path.name, others=others)
        option = f" -p {shlex.quote(draft.base[1])}" if "/" in draft.base[1] else ""
        return _check_base(draft, env, place.root, f"conda env create -f {shlex.quote(source)}{option}")
    if "/" not in source and source not in (".", ".."):
        return _check_base(Draft(("base_conda_env", source), packages, others=others), env, place.root)
    home = Path(dirs.find_home(env))
    prefix = Path(os.path.normpath(f"{home}/{source[2:]}" if source.startswith("~/") else path))
    is_conda = os.path.isdir(prefix / "conda-meta") or not os.path.lexists(prefix / "bin/python3")
    written = source if source.startswith("~/") else str(prefix)
    key = "base_conda_env" if is_conda else "base_prefix"
    return _check_base(Draft((key, written), packages, others=others), env, place.root)


def propose(place: Worktree, directory: Path, env: Mapping[str, str]) -> list[tuple[str, str]]:
    """The sources that a person may have in mind here, as `read_draft` takes them, each with the reason: the active
    conda environment, another tool's config, an `environment.yml`; the likelier first."""
    found = []
    active = env.get("CONDA_PREFIX", "")
    roots = {str(prefix) for name, prefix in conda.list_environments(env) if name == "base"}
    if os.path.isabs(active) and os.path.isdir(f"{active}/conda-meta"):
        names = [name for name, prefix in conda.list_environments(env) if str(prefix) == active]
        found.append((names[0] if names else active, "the active conda environment"))
    for name in (*OTHER_TOOLS, *ENVIRONMENTS):
        if (file := place.root / name).is_file():
            written = os.path.relpath(file, directory)
            reason = "it names the environment" if name in ENVIRONMENTS else "that tool's config"
            found.insert(len(found) if active not in roots else 0, (written, reason))
    return found


def list_names(env: Mapping[str, str]) -> str:
    """The environments that there are, for a message."""
    return f"environments: {', '.join(sorted({name for name, _ in conda.list_environments(env)})) or 'none found'}"


def _check_base(draft: Draft, env: Mapping[str, str], root: Path, create: str = "") -> Draft:
    """`draft`, its base found as the config will find it. create: the command that would make it."""
    key, base = draft.base
    find = conda.find_base if key == "base_conda_env" else conda.open_prefix
    try:
        find(base, env, root)
    except WtenvError as error:
        origin = f"{draft.origin}: " if draft.origin else ""
        if create and isinstance(error, conda.BaseNotFound):
            what, fix = f"{origin}{error.what}", f"run: {create}, or name another: wtenv init NAME ({list_names(env)})"
            raise WtenvError(what, fix) from None
        if "/" in base and isinstance(error, conda.BaseNotFound):
            raise WtenvError(f"{origin}{error.what}", f"name another: wtenv init NAME ({list_names(env)})") from None
        raise error.seen_from(origin) from None
    return draft


def is_package(folder: Path) -> bool:
    """Whether there is something to install in `folder`: a `setup.py`, or a `pyproject.toml` that says how it is built
    or what it is called (PEP 517, 621; [tool.*] alone says neither), unless uv is told that it is none. WtenvError if
    that file can't be read."""
    if (folder / "setup.py").is_file():
        return True
    try:
        table = toml.parse(folder / "pyproject.toml", files.read_bytes(folder / "pyproject.toml"))
    except OSError:
        return False
    if toml.get_table(toml.get_table(table, "tool"), "uv").get("package") is False:
        return False
    return bool(table.get("project") or table.get("build-system"))


def find_packages(root: Path) -> Iterator[str]:
    """The packages below `root` as a config names them: three folders deep at most, in no other repository or
    environment, and none that is hidden or there for tests alone. No link is followed."""
    level, looked = [""], 0
    for _ in range(3):
        below = []
        for above in level:
            try:
                with os.scandir(root / above) as entries:
                    names = sorted(item.name for item in entries if item.is_dir(follow_symlinks=False))
            except OSError:
                continue
            below += [os.path.join(above, name) for name in names if not (name.startswith(".") or name in _PASSED_OVER)]
        level = []
        for inside in below:
            looked += 1
            folder = root / inside
            if looked > MAX_FOLDERS or any(
                os.path.lexists(folder / mark) for mark in (".git", "pyvenv.cfg", "conda-meta")
            ):
                continue
            try:
                if not (inside.isprintable() and is_package(folder)):
                    level.append(inside)
                    continue
            except WtenvError:
                continue
            yield inside


def _read_other_tool(path: Path, root: Path, env: Mapping[str, str]) -> Draft:
    """A notuv, devpy or veneer config; the three share one format."""
    try:
        table = toml.parse(path, files.read_bytes(path))
    except OSError as error:
        raise WtenvError(f"{path}: can't be read ({error.strerror})", f"run: chmod u+r {path}") from None

    def get(name: str, key: str, default: object) -> Any:
        content = table.get(name, {})
        return content.get(key, default) if isinstance(content, dict) else default

    if stack := next((found for tool in table if isinstance(found := get(tool, "extends", None), str)), None):
        what = f"{path}: extends the stack config {stack}"
        fix = (
            f'write {Path(stack).parent / "wtenv.NAME.toml"} with [wtenv] kind = "stack" and that file\'s [python] and '
            f'[editables], and {root / NAME} with [wtenv] extends = "…" alone'
        )
        raise WtenvError(what, fix)
    base, packages = get("python", "base_conda_env", None), get("editables", "packages", [])
    if not isinstance(base, str) or not base.strip():
        raise WtenvError(f"{path}: names no base_conda_env", f"name one: wtenv init NAME ({list_names(env)})")
    if not isinstance(packages, list) or not all(isinstance(item, str) for item in packages):
        raise WtenvError(f"{path}: packages must be a list of paths", "correct it")
    venv = get("python", "venv", ".venv")
    inside = os.path.relpath(root / venv, root) if isinstance(venv, str) and "~" not in venv else ".."
    return Draft(
        base=("base_conda_env", base.strip()),
        packages=tuple(item for item in packages if item.strip()),
        install_deps=get("editables", "install_deps", False) is True,
        venv=".venv" if inside.split("/")[0] in (".", "..", ".git") else inside,
        origin=path.name,
    )


def _read_environment(path: Path) -> str:
    """The `name:` of an environment.yml, else its `prefix:` (conda's "Creating an environment file manually";
    `conda env export` of an environment without a name says `name: null`)."""
    try:
        text = files.read_bytes(path).decode("utf-8-sig", "replace")
    except OSError as error:
        raise WtenvError(f"{path}: can't be read ({error.strerror})", f"run: chmod u+r {path}") from None
    found = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and (key := key.rstrip().strip("\"'")) in ("name", "prefix"):
            found[key] = value.partition(" #")[0].strip().strip("\"'")
    name, prefix = found.get("name", ""), found.get("prefix", "")
    if name not in ("", "null", "~"):
        return name
    if os.path.isabs(prefix):
        return prefix
    raise WtenvError(f"{path}: has no name", "give the environment's: wtenv init NAME")


def render(draft: Draft) -> str:
    """The config's text, commented."""
    key, base = draft.base
    origin = f"# From {_quote(draft.origin)}.\n" if draft.origin else ""
    packages = ", ".join(_quote(package) for package in draft.packages)
    others = f"# also here: {', '.join(map(_quote, draft.others))}\n" if draft.others else ""
    venv = "# venv = " if draft.venv == ".venv" else "venv = "
    return f"""# wtenv: every worktree gets this base plus an overlay of its own. All keys: wtenv help config.
{origin}[python]
{key} = {_quote(base)}  # owns the heavy dependencies; never written to
{venv}{_quote(draft.venv)}

[editables]
packages = [{packages}]  # installed editable into the overlay, from this worktree
{others}{"" if draft.install_deps else "# "}install_deps = {"true" if draft.install_deps else "false"}

# [env]
# DATA_DIR = "{{root}}/data"  # {{root}}, {{venv}} and {{base}} are filled in

# [activation]
# path = ["scripts"]
# dotenv = [".env"]
"""


def _quote(text: str) -> str:
    """A TOML basic string (TOML 1.0, String)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WtenvError(f"the name {text!a} is not UTF-8, which a config has to be", "rename it") from None
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
