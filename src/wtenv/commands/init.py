"""`wtenv init`: write a config, from a conda environment's name or from another tool's file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import conda, config, files
from ..errors import WtenvError
from ..worktree import Worktree, find_worktree

OTHER_TOOLS = ("notuv.toml", "devpy.toml", "veneer.toml")


@dataclass(frozen=True)
class Draft:
    """What a new config says. base: the line's key and value; the rest as in the config."""

    base: tuple[str, str]
    packages: tuple[str, ...] = (".",)
    venv: str = ".venv"
    origin: str = ""


def run(source: str | None, directory: Path, env: Mapping[str, str], *, clone: bool) -> int:
    """Write `wtenv.toml` at the worktree's root, or in the git common dir; refuses to overwrite one.

    source: a conda environment's name or path, an `environment.yml`, or a notuv / devpy / veneer file;
    None takes such a file from the root.
    """
    place = find_worktree(directory)
    if place is None:
        raise WtenvError(f"{directory} is not in a git worktree", "run: git init")
    folder = _choose_folder(place, clone)
    target = folder / config.NAME
    if target.exists() or target.is_symlink():
        raise WtenvError(f"{target} exists already", "edit it, or remove it first")
    draft = read_draft(source, place, directory, env)
    try:
        files.write_atomic(target, render(draft).encode(), mode=0o644)
    except OSError as error:
        raise WtenvError(f"can't write {target} ({error.strerror})", "make the folder writable") from None
    if place.common_dir:
        exclude(place.common_dir, draft.venv)
    print(f"wtenv: wrote {target}; next: wtenv allow && wtenv sync", file=sys.stderr)
    return 0


def _choose_folder(place: Worktree, clone: bool) -> Path:
    if not clone:
        return place.root
    if place.common_dir is None:
        raise WtenvError(f"this worktree's clone is not known: {place.doubt}", "run: git worktree repair")
    return place.common_dir


def read_draft(source: str | None, place: Worktree, directory: Path, env: Mapping[str, str]) -> Draft:
    """The draft that `source` gives, its conda environment found. WtenvError lists those that exist."""
    if source is None:
        names = (*OTHER_TOOLS, "environment.yml", "environment.yaml")
        found = next((place.root / name for name in names if (place.root / name).is_file()), None)
        if found is None:
            known = ", ".join(sorted({name for name, _ in conda.list_environments(env)})) or "none found"
            raise WtenvError("no conda environment is given", f"run: wtenv init NAME (environments: {known})")
        source = str(found)
    path = directory / source
    if source.endswith(".toml") and path.is_file():
        draft = _read_other_tool(path)
    elif source.endswith((".yml", ".yaml")) and path.is_file():
        draft = Draft(("base_conda_env", _read_environment_name(path)), origin=path.name)
    else:
        draft = Draft(("base_conda_env", source))
    key, base = draft.base
    if key == "base_conda_env":
        conda.find_base(base, env, directory)
    else:
        conda.open_prefix(base, env, directory)
    return draft


def _read_other_tool(path: Path) -> Draft:
    """A notuv, devpy or veneer config: the same two facts under names of their own."""
    try:
        table = files.parse_toml(path, files.read_bytes(path))
    except OSError as error:
        raise WtenvError(f"{path}: can't be read ({error.strerror})", f"run: chmod u+r {path}") from None
    tables = [table, *(value for value in table.values() if isinstance(value, dict))]
    merged: dict[str, Any] = {}
    for each in tables:
        merged.update({key: value for key, value in each.items() if not isinstance(value, dict)})
    base = next((merged[key] for key in ("base_conda_env", "conda_env", "base_env", "base") if key in merged), None)
    packages = next((merged[key] for key in ("packages", "editables", "editable") if key in merged), ["."])
    if not isinstance(base, str) or not base:
        raise WtenvError(f"{path}: names no base_conda_env", "run: wtenv init NAME")
    if not isinstance(packages, list) or not all(isinstance(item, str) for item in packages):
        raise WtenvError(f"{path}: packages must be a list of paths", "correct it")
    venv = merged.get("venv", ".venv")
    if not isinstance(venv, str) or venv.strip("./") == "" or ".." in Path(venv).parts or Path(venv).is_absolute():
        venv = ".venv"
    return Draft(("base_conda_env", base), tuple(packages), venv, path.name)


def _read_environment_name(path: Path) -> str:
    """The `name:` of an environment.yml (conda's "Creating an environment file manually")."""
    for line in files.read_bytes(path).decode("utf-8", "replace").splitlines():
        key, colon, value = line.partition(":")
        if colon and key == "name":
            name = value.partition(" #")[0].strip().strip("\"'")
            if name:
                return name
    raise WtenvError(f"{path}: has no name", "run: wtenv init NAME")


def render(draft: Draft) -> str:
    """The config's text, commented."""
    key, base = draft.base
    origin = f"# From {draft.origin}.\n" if draft.origin else ""
    packages = ", ".join(_quote(package) for package in draft.packages)
    venv = "# venv = " if draft.venv == ".venv" else "venv = "
    return f"""# wtenv: every worktree gets this base plus an overlay of its own. All keys: wtenv's README.
{origin}[python]
{key} = {_quote(base)}  # owns the heavy dependencies; never written to
{venv}{_quote(draft.venv)}

[editables]
packages = [{packages}]  # installed editable into the overlay, from this worktree
# install_deps = false

# [env]
# DATA_DIR = "{{root}}/data"  # {{root}}, {{venv}} and {{base}} are filled in

# [activation]
# path = ["scripts"]
# dotenv = [".env"]
"""


def _quote(text: str) -> str:
    """A TOML basic string (TOML 1.0, String)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def exclude(common_dir: Path, venv: str) -> None:
    """Add the overlay to the clone's own exclude file, once (gitignore(5), $GIT_COMMON_DIR/info/exclude)."""
    path, line = common_dir / "info" / "exclude", f"/{venv}/"
    try:
        old = path.read_bytes() if path.exists() else b""
        if line.encode() in old.splitlines():
            return
        path.parent.mkdir(exist_ok=True)
        gap = b"\n" if old and not old.endswith(b"\n") else b""
        files.write_atomic(path, old + gap + line.encode() + b"\n", mode=0o644)
    except OSError as error:
        print(f"wtenv: can't add {venv} to {path} ({error.strerror}); ignore it yourself", file=sys.stderr)
