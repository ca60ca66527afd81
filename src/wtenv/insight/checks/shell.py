"""Checks of the shell that asks: is the hook there, and does what it gives come first?"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ... import dirs, environ, files
from ...errors import WtenvError
from ...hook.install import explain_name, locate_hook, locate_rc, render_hook
from ...hook.shells import ABI
from ..origins import Layers, is_program
from .context import Context, Finding, note, ok, problem

_OUR_LINE = re.compile(rb"^(?![ \t]*#)[^\n]*wtenv( hook |/hook\.)", re.M)
_SOURCE_LINE = re.compile(rb"^[^#\n]{0,500}(?:\bsource|(?<![\w/])\.|\bin)[ \t]+[^\n]{1,500}", re.M)
_SOURCED = re.compile(r"(?:\$\{?(HOME|ZDOTDIR)\}?|(~)|(?<![^\s\"'=]))\"?(/[\w./*+-]+)")
_REPLACES = re.compile(rb"^[^#\n]*\bPROMPT_COMMAND\b", re.M)
MAX_SOURCED = 100  # files that an rc file reads
_LATER = re.compile(rb"^[^#\n]*?(conda\.sh|conda shell\.|micromamba shell|mamba shell|pyenv init|mise activate)", re.M)
_COMMAND = re.compile(r"__wtenv_command[= (]+['\\]*(/[^'\\]+)")


def check_hook(context: Context) -> Iterator[Finding]:
    """Has the shell that runs us loaded the hook? A child sees it by what is in effect, and by nothing else."""
    wanted, active = context.decision.activation, context.env.get(environ.ROOT, "")
    if context.in_effect:
        yield ok("what should be active here is active in this shell")
        return
    if context.shell is None:
        yield note("no shell that wtenv knows has started this; nothing is known of its hook")
        return
    name = context.shell.name
    again = f"press Enter; if it stays so, run: exec {name}"
    if context.env.get("WTENV_DISABLE"):
        unset = "set -e" if name == "fish" else "unset"
        yield note("WTENV_DISABLE turns the hook off in this shell", f"run: {unset} WTENV_DISABLE")
    elif context.fixed:
        yield note(f"{name} will see what was fixed at its next prompt")
    elif context.entered:
        yield note(f"what is active in this {name} has changed since", again)
    elif active and context.interactive:
        yield problem(f"{active} is still active in this {name}: its hook does not follow", again)
    elif active:
        yield note(f"{active} is active in this {name}")
    elif wanted and context.interactive:
        line = find_line(context)
        if line and name == "bash" and _REPLACES.search(line[1], line[2]):
            fix = f"run: cd .; and for new shells move wtenv's line to the end of {line[0]}"
            yield problem(f"nothing is active: {line[0]} sets PROMPT_COMMAND after wtenv's line", fix)
        elif line:  # or it has, and there was no prompt since what has just been allowed or synced
            yield problem(f"nothing is active: this {name} has not loaded the hook, or not had a prompt since", again)
        else:
            fix = f"run: wtenv setup {name} && exec {name}"
            yield problem(f"nothing is active: this {name} has not loaded the hook", fix)
    elif wanted:
        yield note(f"nothing is active here: this {name}, which is not interactive, has not loaded the hook")
    else:
        yield note(f"whether this {name} has loaded the hook shows only where something should be active")


def check_rc(context: Context) -> Iterator[Finding]:
    """Is the hook in one of the files that new shells read, and after what else changes PATH there?"""
    if context.shell is None:
        return
    name, rc = context.shell.name, locate_rc(context.shell.name, context.plain)
    if missing := explain_name(context.shell, context.plain):
        yield problem(*missing)
    line = find_line(context)
    if line is None:
        if context.in_effect:
            what = f"the activation is in effect, but a new {name} will not have the hook: {rc} has it not"
            yield note(what, f"run: wtenv setup {name}")
        elif not context.interactive and context.env.get("CI", "") not in ("", "0", "false"):  # a CI service sets it
            yield note("the hook is not in a rc file; wtenv run and wtenv export need none")
        else:
            yield problem(f"the hook is not in {rc}", f"run: wtenv setup {name} && exec {name}")
        return
    place, text, at = line
    if later := _LATER.search(text, at):
        word = later[1].decode("ascii", "replace").strip()
        yield note(f"in {place} something comes after wtenv's line ({word})", "move wtenv's line to the end")
    else:
        yield ok(f"{place} loads the hook")


def find_line(context: Context) -> tuple[Path, bytes, int] | None:
    """The file that has wtenv's line, its content, and where in it that line ends."""
    assert context.shell
    found: list[tuple[Path, bytes]] = []
    for place in _list_rc(context.shell.name, context):
        with contextlib.suppress(OSError, WtenvError):
            found.append((place, files.read_bytes(place)))
    own = {place for place, _ in found}
    for place in islice(dict.fromkeys(each for _, text in found for each in _list_sourced(text, context)), MAX_SOURCED):
        with contextlib.suppress(OSError, WtenvError):
            if place not in own:
                found.append((place, files.read_bytes(place)))
    hits = ((place, text, hit.end()) for place, text in found if (hit := _OUR_LINE.search(text)))
    return next(hits, None)


def _list_rc(name: str, context: Context) -> list[Path]:
    """What a new shell of that kind reads: bash(1), zsh(1), "FILES"; fish(1), "Configuration"; and what
    distributions have for all users."""
    rc, home = locate_rc(name, context.plain), Path(dirs.find_home(context.env))
    if name == "fish":
        folders = (rc.parent / "conf.d", Path("/etc/fish/conf.d"))
        return [rc, Path("/etc/fish/config.fish"), *(file for each in folders for file in sorted(each.glob("*.fish")))]
    if name == "zsh":
        shared = (Path("/etc", folder, file) for folder in ("", "zsh") for file in ("zshrc", "zshenv"))
        return [rc, *(rc.with_name(other) for other in (".zshenv", ".zprofile", ".zlogin")), *shared]
    extra = [Path(value)] if (value := context.env.get("BASH_ENV")) else []
    shared = (Path("/etc", file) for file in ("bash.bashrc", "bashrc", "profile"))
    own = (".bashrc", ".bash_profile", ".bash_login", ".profile")
    return [rc, *(home / other for other in own), *extra, *shared]


def _list_sourced(text: bytes, context: Context) -> Iterator[Path]:
    """The files that an rc file reads in its turn, as far as its lines name them: `. FILE`, `for file in FOLDER/*`."""
    home = os.fspath(Path(dirs.find_home(context.env)))
    for line in _SOURCE_LINE.findall(text):
        for found in _SOURCED.finditer(line.decode("utf-8", "surrogateescape")):
            start = (
                context.plain.get("ZDOTDIR") or home if found[1] == "ZDOTDIR" else home if found[1] or found[2] else ""
            )
            path = start + found[3]
            if "*" not in path:
                yield Path(path)
            elif "*" not in os.path.dirname(path):
                yield from map(Path, sorted(glob.iglob(path)))


def check_hook_file(context: Context) -> Iterator[Finding]:
    """The hook that `wtenv setup` wrote: is it this version's, and is what it starts still there?"""
    if context.shell is None:
        return
    name, place = context.shell.name, locate_hook(context.shell.name, context.plain)
    setup = f"run: wtenv setup {name}"
    if not os.path.lexists(place):
        line = find_line(context)
        if line and os.fsencode(place) in line[1]:
            yield problem(f"{line[0]} reads {place}, which is gone", setup, repair="hook")
        else:
            yield ok("there is none; only wtenv setup writes one")
        return
    text = files.read_bytes(place)
    program = _COMMAND.search(text.decode("utf-8", "surrogateescape"))
    if text == render_hook(context.shell, context.plain):
        yield ok(f"{place} is this version's")
    elif ABI.encode() not in text:
        yield problem(f"{place} is another version's", setup, repair="hook")
    elif program is None or not is_program(program[1]):
        started = program[1] if program else "nothing"
        yield problem(f"{place} starts {started}, which is not there", setup, repair="hook")
    elif program[1] != sys.executable:
        yield note(f"{place} is of another installation of wtenv", setup, f"it starts {program[1]}")
    else:
        yield problem(f"{place} is not as wtenv writes it", setup, repair="hook")


def check_path(context: Context) -> Iterator[Finding]:
    """Does anything on PATH stand before the overlay with a command that the overlay has?"""
    config = context.decision.config
    if context.manifest is None or config is None:
        return
    own, layers = os.path.realpath(config.venv / "bin"), Layers.of(config, context.decision.base)
    entries = context.effective.get("PATH", "").split(":")
    before: list[str] = []
    for entry in entries:
        if os.path.realpath(entry) == own:
            break
        before.append(entry)
    else:
        yield problem(f"{config.venv}/bin is not on PATH", f"start a new shell: exec {_name(context)}", *entries[:5])
        return
    names = sorted(set(os.listdir(own)) - {"activate", "activate.fish"} | {"python", "python3", "pip", "pytest"})
    clean = True
    for folder in dict.fromkeys(before):
        hits = [name for name in names if is_program(os.path.join(context.directory, folder, name))]
        if not hits:
            continue
        clean = False
        layer, whose = layers.name_folder(os.path.normpath(context.directory / folder))
        shown = ", ".join(hits[:6]) + (f" and {len(hits) - 6} more" if len(hits) > 6 else "")
        what = f"{folder or 'an empty entry (the current folder)'} comes before the overlay on PATH with {shown}"
        if layer == "activation.path":
            yield note(what, "", "it is in [activation] path")
        else:
            fix = f"put it on PATH before wtenv's line in the rc file, then run: exec {_name(context)}"
            if layer == "venv":
                fix = f"run: deactivate; if an rc file activates it: {fix}"
            yield problem(what, fix, whose)
    if clean:
        yield ok("the overlay comes first on PATH")


def check_pythonpath(context: Context) -> Iterator[Finding]:
    """PYTHONPATH wins over overlay and base, in every Python; with PYTHONHOME they are not found at all."""
    if context.manifest is None:
        return
    unset = "run: set -e" if _name(context) == "fish" else "run: unset"
    if home := context.effective.get("PYTHONHOME", ""):
        yield problem(
            "PYTHONHOME gives every Python another one's modules", f"{unset} PYTHONHOME", f"PYTHONHOME={home}"
        )
        return
    value, config = context.effective.get("PYTHONPATH", ""), context.decision.config
    wanted = context.decision.activation
    own = {change.value for change in (wanted.changes if wanted else ()) if change.name == "PYTHONPATH"}
    if not value:
        yield ok("PYTHONPATH is not set")
    elif value in own:
        yield note("PYTHONPATH is set by the config or the base", "", f"PYTHONPATH={value}")
    else:
        modules = [module for item in context.manifest.editables for module in item.modules]
        hits = [
            f"{folder or '.'} has {module}"
            for folder in value.split(":")
            for module in modules
            if _has_module(context.directory / folder, module)
        ]
        fix = f"{unset} PYTHONPATH"
        if config and config.sources:
            fix += f"; or write in {config.base_file}: [env] PYTHONPATH = false"
        yield problem("PYTHONPATH comes before overlay and base", fix, f"PYTHONPATH={value}", *hits)


def _has_module(folder: Path, module: str) -> bool:
    place = folder / module.replace(".", "/")
    return os.path.isfile(place / "__init__.py") or os.path.isfile(f"{place}.py")


def check_user_site(context: Context) -> Iterator[Finding]:
    """Packages that `pip install --user` has put into the home must not be seen by the base's programs."""
    if context.manifest is None:
        return
    if context.effective.get("PYTHONNOUSERSITE"):
        yield ok("the packages of your home (user site) are left out")
        return
    base = context.effective.get("PYTHONUSERBASE") or Path(dirs.find_home(context.env)) / ".local"
    site = Path(base, "lib", Path(context.manifest.site[-1]).parent.name, "site-packages")  # python3.13t, pypy3.10
    fix = "run: export PYTHONNOUSERSITE=1; and remove it from [env], if it is there"
    yield problem(f"PYTHONNOUSERSITE is not set: the base's Python sees {site}", fix)


def _name(context: Context) -> str:
    return context.shell.name if context.shell else "$SHELL"
