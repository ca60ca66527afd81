"""`wtenv init`: write a config, from a conda environment's name or from another tool's file."""

from __future__ import annotations

import os
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import conda, dirs, environ, files, toml
from ..config import read as configs
from ..console import say
from ..errors import WtenvError
from ..process import locate_folder
from ..worktree import Worktree, require_worktree

OTHER_TOOLS = ("notuv.toml", "devpy.toml", "veneer.toml")
PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True)
class Draft:
    """What a new config says. base: the line's key and value; origin: the file it was taken from; the
    rest as in the config."""

    base: tuple[str, str]
    packages: tuple[str, ...] = ()
    install_deps: bool = False
    venv: str = ".venv"
    origin: str = ""


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="a conda environment, or a file to start from")
    parser.add_argument("--clone", action="store_true", help="for this clone alone, not committed")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    return write_config(args.source, Path(locate_folder(env)), env, clone=args.clone)


def write_config(source: str | None, directory: Path, env: Mapping[str, str], *, clone: bool) -> int:
    """Write `wtenv.toml` at the worktree's root, or in the git common dir; refuses to overwrite one.

    source: a conda environment's name or path, an `environment.yml`, or a notuv / devpy / veneer file;
    None takes such a file from the root.
    """
    place, env = require_worktree(directory, "run: git init"), environ.undo(env)
    folder = _choose_folder(place, clone)
    target = folder / configs.NAME
    if target.exists() or target.is_symlink():
        raise WtenvError(f"{target} exists already", "edit it, or remove it first")
    draft = read_draft(source, place, directory, env)
    try:
        files.write_atomic(target, render(draft).encode(), mode=0o644)
    except OSError as error:
        raise WtenvError(f"can't write {target} ({error.strerror})", "make the folder writable") from None
    if place.common_dir:
        exclude(place.common_dir, draft.venv)
    say(f"wrote {target}; next: wtenv allow && wtenv sync")
    return 0


def _choose_folder(place: Worktree, clone: bool) -> Path:
    if not clone:
        return place.root
    if place.common_dir is None:
        raise WtenvError(f"this worktree's clone is not known: {place.doubt}", "or leave out --clone")
    return place.common_dir


def read_draft(source: str | None, place: Worktree, directory: Path, env: Mapping[str, str]) -> Draft:
    """The draft that `source` gives, its conda environment found. WtenvError lists those that exist."""
    if source is None:
        names = (*OTHER_TOOLS, "environment.yml", "environment.yaml")
        found = next((place.root / name for name in names if (place.root / name).is_file()), None)
        if found is None:
            raise WtenvError("no conda environment is given", f"run: wtenv init NAME ({_list(env)})")
        source = str(found)
    path = directory / source
    if source.endswith(".toml") and path.is_file():
        return _check_base(_read_other_tool(path, place.root), env, place.root)
    packages = (".",) if any((place.root / name).is_file() for name in PROJECT_FILES) else ()
    if source.endswith((".yml", ".yaml")) and path.is_file():
        draft = Draft(("base_conda_env", _read_environment(path)), packages, origin=path.name)
        option = f" -p {shlex.quote(draft.base[1])}" if "/" in draft.base[1] else ""
        return _check_base(draft, env, place.root, f"conda env create -f {shlex.quote(source)}{option}")
    if "/" not in source and source not in (".", ".."):
        return _check_base(Draft(("base_conda_env", source), packages), env, place.root)
    home = Path(dirs.find_home(env))
    prefix = Path(os.path.normpath(f"{home}/{source[2:]}" if source.startswith("~/") else path))
    is_conda = os.path.isdir(prefix / "conda-meta") or not os.path.lexists(prefix / "bin/python3")
    written = source if source.startswith("~/") else str(prefix)
    return _check_base(Draft(("base_conda_env" if is_conda else "base_prefix", written), packages), env, place.root)


def _list(env: Mapping[str, str]) -> str:
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
            what, fix = f"{origin}{error.what}", f"run: {create}, or name another: wtenv init NAME ({_list(env)})"
            raise WtenvError(what, fix) from None
        raise error.seen_from(origin) from None
    return draft


def _read_other_tool(path: Path, root: Path) -> Draft:
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
            f'[editables], and {root / configs.NAME} with [wtenv] extends = "…" alone'
        )
        raise WtenvError(what, fix)
    base, packages = get("python", "base_conda_env", None), get("editables", "packages", [])
    if not isinstance(base, str) or not base.strip():
        raise WtenvError(f"{path}: names no base_conda_env", "run: wtenv init NAME")
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
    venv = "# venv = " if draft.venv == ".venv" else "venv = "
    return f"""# wtenv: every worktree gets this base plus an overlay of its own. All keys: wtenv help config.
{origin}[python]
{key} = {_quote(base)}  # owns the heavy dependencies; never written to
{venv}{_quote(draft.venv)}

[editables]
packages = [{packages}]  # installed editable into the overlay, from this worktree
{"" if draft.install_deps else "# "}install_deps = {"true" if draft.install_deps else "false"}

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


def exclude(common_dir: Path, venv: str) -> None:
    """Add the overlay to the clone's own exclude file, once (gitignore(5), $GIT_COMMON_DIR/info/exclude)."""
    import re

    path = common_dir / "info" / "exclude"
    line = "/" + re.sub(r"([\\*?\[ ])", r"\\\1", venv) + "/"
    try:
        old = files.read_bytes(path) if path.exists() else b""
        if line.encode() in old.splitlines():
            return
        gap = b"\n" if old and not old.endswith(b"\n") else b""
        files.replace(path, old + gap + line.encode() + b"\n")
    except OSError as error:
        say(f"can't add {venv} to {path} ({error.strerror}); ignore it yourself")
    except WtenvError as error:
        say(f"can't add {venv} to {path} ({error.what}); ignore it yourself")
