"""Checks of other tools that act on the same folder: activators, editors. Their files are read, nothing is run."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ... import distributions, environ, files
from ...console import make_printable
from ...errors import WtenvError
from ...overlay import links
from ...overlay.manifest import Editable, Manifest
from ...overlay.reuse import MAX_FOLDERS
from .context import Context, Finding, note, ok, problem

_ENVRC_PATH = re.compile(
    r"^[ \t]*(PATH_add|path_add|layout|use|load_prefix|source|\.|eval|conda|(export[ \t]+)?PATH=)", re.M
)
_MISE_FILES = (
    *("mise.toml", ".mise.toml", "mise.local.toml", ".mise.local.toml", ".tool-versions"),
    *(".config/mise.toml", ".config/mise/config.toml", ".mise/config.toml"),
)
_COMPILED = re.compile(r"\.(cpython-\w|abi3\b|pypy|graalpy).*\.so$")
_PYTHON = re.compile(r"^[^#\n]*\bpython\b", re.M)


def check_activators(context: Context) -> Iterator[Finding]:
    """Does direnv, mise, conda or another virtual environment act in the same place?"""
    found = [*_find_on_top(context), *_find_direnv(context), *_find_mise(context)]
    yield from found or [ok("nothing else activates something here")]


def _find_on_top(context: Context) -> Iterator[Finding]:
    """What was activated after wtenv."""
    config = context.decision.config
    if not context.entered or config is None:
        return
    prefix, ours = context.env.get("CONDA_PREFIX", ""), context.env.get(environ.new_name("CONDA_PREFIX"), "")
    if ours and prefix != ours:
        what = f"conda has activated {prefix or 'nothing'} after wtenv; the base is {ours}"
        yield problem(what, "run: conda deactivate; and in the rc file move conda's block before wtenv's line")
    venv = context.env.get("VIRTUAL_ENV", "")
    if venv != str(config.venv):
        # Its own deactivate unsets the variable; entering sets it again.
        if venv:
            yield problem(
                f"the virtual environment {venv} was activated after wtenv", "run: deactivate; and then: cd / && cd -"
            )
        else:
            yield problem("VIRTUAL_ENV was unset after wtenv", "run: cd / && cd -")


def _find_direnv(context: Context) -> Iterator[Finding]:
    envrc = _find_above(context.directory, (".envrc",))
    active = "DIRENV_DIR" in context.env
    if envrc is None or not (active or shutil.which("direnv", path=context.env.get("PATH"))):
        return
    if not _ENVRC_PATH.search(_read(envrc)):
        return  # plain variables get along
    fix = "put its folders into [activation] path, and its variables into [env]"
    if active:
        yield problem(f"direnv changes PATH here, by {envrc}", fix, "leaving restores the PATH that it saw on entering")
    else:
        yield note(f"{envrc} changes PATH, if direnv's hook is loaded", fix)


def _find_mise(context: Context) -> Iterator[Finding]:
    file = _find_above(context.directory, _MISE_FILES)
    active = "MISE_SHELL" in context.env or "__MISE_DIFF" in context.env
    if file is None or not (active or shutil.which("mise", path=context.env.get("PATH"))):
        return
    if not _PYTHON.search(_read(file)):
        return
    fix = f"remove python from {file}"
    if active:
        yield problem(f"mise gives a Python here, too, by {file}", fix)
    else:
        yield note(f"{file} names a Python, if mise is activated", fix)


def _find_above(directory: Path, names: tuple[str, ...]) -> Path | None:
    return next(
        (folder / name for folder in (directory, *directory.parents) for name in names if (folder / name).is_file()),
        None,
    )


def _read(path: Path) -> str:
    try:
        return files.read_bytes(path).decode("utf-8", "replace")
    except (OSError, WtenvError):
        return ""


# --- editors ------------------------------------------------------------------------------------------


def check_editors(context: Context) -> Iterator[Finding]:
    """Do the settings of VS Code or PyCharm in this worktree name another Python? What is declared that they, and type
    checkers, can't see?"""
    place, config = context.decision.worktree, context.decision.config
    if place is None or config is None:
        return
    found = [*_find_vscode(place.root, config.venv), *_find_pycharm(place.root), *_find_unseen(context)]
    yield from found or [ok("editors and type checkers find what Python imports")]


def _find_vscode(root: Path, venv: Path) -> Iterator[Finding]:
    file = root / ".vscode" / "settings.json"
    settings = _parse_jsonc(_read(file))
    for key in ("python.defaultInterpreterPath", "python.pythonPath"):
        value = settings.get(key)
        if not isinstance(value, str) or not value:
            continue
        path = value.replace("${workspaceFolder}", str(root)).replace("${workspaceRoot}", str(root))
        path = os.path.normpath(os.path.join(root, os.path.expanduser(path)))
        # Not through links: the overlay's own Python is a link to the base's.
        if "${" in path or path == str(venv) or os.path.dirname(path) == str(venv / "bin"):
            continue
        yield problem(
            f"{file}: {key} is {value}", f'set it to "${{workspaceFolder}}/{os.path.relpath(venv, root)}/bin/python"'
        )


def _parse_jsonc(text: str) -> dict[str, object]:
    """JSON with comments and commas at the end, as VS Code has it; empty if it can't be read."""
    import json

    # An end that is missing is no reason to look again from the next sign on: a file may be full of these.
    text = re.sub(r'("(?:[^"\\\n]|\\.)*"?)|//[^\n]*|/\*(?:.*?\*/|.*)', lambda m: m[1] or "", text, flags=re.S)
    text = re.sub(r'("(?:[^"\\\n]|\\.)*"?)|,(?=\s*[}\]])', lambda m: m[1] or "", text)
    try:
        found = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _find_pycharm(root: Path) -> Iterator[Finding]:
    text = _read(root / ".idea" / "misc.xml")
    if found := re.search(r'project-jdk-name="([^"]*)"', text):
        what = f'PyCharm uses the interpreter that it calls "{found[1]}"'
        yield note(what, "see in its settings that this is .venv/bin/python", f"{root}/.idea/misc.xml")


def _find_unseen(context: Context) -> Iterator[Finding]:
    """What a reader of folders that runs no import hook can't see."""
    manifest = context.manifest
    if manifest is None:
        return
    if compiled := sorted({name for item in manifest.editables for name in _list_compiled(item, manifest)}):
        names = ", ".join(compiled[:5]) + (", …" if compiled[5:] else "")
        what = f"type checkers can't look into {make_printable(names)}: compiled, and no stub says what is in there"
        yield note(what, f"put stubs into the packages: {make_printable(compiled[0].partition('.')[0])}.pyi")
    around, below = links.find_unlinked(manifest)
    if around:
        what = f"type checkers don't find {', '.join(around)}: the overlay is in the package's own folder"
        yield note(what, "set venv in the config to a folder beside it, and run: wtenv sync")
    if below:
        what = f"type checkers don't find {', '.join(below)}: the package around it is another project's"
        yield note(what, "let both projects have that package without an __init__.py, and run: wtenv sync")


def _list_compiled(item: Editable, manifest: Manifest) -> set[str]:
    """The file names of its compiled modules, in the project or in the overlay, of which there is no stub in these."""
    names = set()
    for count, (_, below, found) in enumerate(os.walk(item.source)):
        below[:] = [name for name in below if not name.startswith(".") and name != os.path.basename(manifest.venv)]
        names.update(found)
        if count > MAX_FOLDERS:
            break
    if own := distributions.list_installed(manifest.site).get(item.name):
        names.update(map(os.path.basename, own.list_files()))
    return {name for name in names if _COMPILED.search(name) and f"{name.partition('.')[0]}.pyi" not in names}
