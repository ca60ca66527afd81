"""Wrappers: every Python script of the base's `bin` is in the overlay's, too, and runs on the overlay's Python there.

A wrapper is a link to a small program (`.venv/bin/.wrapper*`, one for each set of shebang arguments), which runs the
base's script that has the link's name. Links, not rewritten copies: 50 copies would take 200 KB, and each would be
stale once the base's script changed. pip and uv replace a link by the file that they install (measured: neither writes
through it), so an overlay's own script always wins.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .. import faults, files
from ..console import make_printable
from .manifest import Manifest

# Programs that manage environments: they must run on their own Python.
_NEVER = {"conda", "conda-env", "mamba", "micromamba", "activate", "deactivate"}
_CONFIG = re.compile(r"python[\d.]*[a-z]*-config")  # tells about the base's own Python
_PYTHON = r"(?:python|pypy|graalpy)[\d.]*[a-z]{0,2}"
_PLACE = rf"/[^\s\"'`$;&|()<>]*/{_PYTHON}(?![\w./-])"
_SHELLS = ("sh", "bash", "dash", "ash", "ksh", "zsh")
_RELOCATABLE = re.compile(rf"""/'?"?({_PYTHON})'?"? (.*)"\$0" "\$@\"""")  # uv's --relocatable
_ITSELF = ("$0", "${0}", "$BASH_SOURCE", "${BASH_SOURCE}")
SHEBANG_LIMIT = 127
# It lies beside the links, in a folder that is watched anyway. No script of a base begins with a dot.
PROGRAM = ".wrapper"
_HEAD, _TEXT = 1 << 12, 1 << 16


class Start(NamedTuple):
    """What the first lines of a script start."""

    program: str
    """A path; a bare name, which env looks up on PATH; or "./NAME", which is beside the script (uv's relocatable
    ones)."""
    arguments: str
    """What the program gets before the script's path."""
    whole: bool = True
    """Nothing else happens: no variable is set, env has no options."""


def find_scripts(manifest: Manifest) -> dict[str, str]:
    """The base's Python scripts that get a wrapper: name -> the arguments that their first lines give to Python.

    They are regular, executable files whose interpreter is the base's own Python. What can't be read is no script.
    Nothing is executed.
    """
    names = find_names(manifest)
    listed = _list(manifest.bins, names)
    found = {name: parse(head, manifest, names) for _, name, head in listed if name.isprintable()}
    return {name: arguments for name, arguments in found.items() if arguments is not None}


def find_names(manifest: Manifest) -> set[str]:
    """The names that the base's Python has in the base's `bin`, and those that it has in every overlay."""
    names = {"python", "python3", f"python{manifest.minor}"}
    try:
        real = os.stat(manifest.interpreter)
        for entry in os.scandir(manifest.base_bin):
            info = entry.stat() if entry.is_file() else None
            if info and (info.st_dev, info.st_ino) == (real.st_dev, real.st_ino):
                names.add(entry.name)
    except OSError:
        pass
    return names


def find_others(manifest: Manifest, folders: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """The programs that have no wrapper and start the base's Python, or another Python of the base: path -> why.

    `folders`: those that PATH has behind the overlay; `taken`: the names that the overlay has. Only text tells: a
    binary program may start anything, and is not in the answer.
    """
    found = {}
    names = find_names(manifest)
    bins = {os.path.realpath(folder) for folder in manifest.bins}
    scripts = find_scripts(manifest)
    mentions = _compile_mentions(manifest, scripts)
    for folder, name, head in _list(folders, {*taken, *names}):
        path, inside = os.path.join(folder, name), os.path.realpath(folder) in bins
        if inside and name in scripts:
            continue
        start = read_interpreter(head)
        program = start.program if start else ""
        place = os.path.normpath(os.path.join(folder if "/" in program else manifest.base_bin, program))
        if re.fullmatch(_PYTHON, os.path.basename(program)):
            if "/" not in program and program in names:
                continue  # PATH has the overlay's
            if is_python(place, manifest, names):
                found[path] = f"its first lines start {place}"
            elif os.path.realpath(os.path.dirname(place)) in bins and os.access(place, os.X_OK):
                found[path] = f"it runs on {place}, another Python of the base"
        elif inside and re.fullmatch(_PYTHON, name):
            found[path] = "it is another Python of the base"
        elif not (script := head.startswith("#!")) or os.path.basename(program) in _SHELLS:
            text = _read(path, _TEXT) if script else head
            said = [match[0] for form in mentions[: 1 + inside] for match in form.finditer(text)]
            said += [match for match in re.findall(_PLACE, text) if is_python(match, manifest, names)]
            if said and "\0" not in text:
                found[path] = f"it mentions {said[0]}"
    return found


def describe_others(venv: Path, manifest: Manifest) -> str:
    """One line about those in the base itself (see `find_others`); empty if there are none."""
    others = find_others(manifest, manifest.bins, os.listdir(venv / "bin"))
    names = [make_printable(os.path.basename(path)) for path in others]
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"not every program of the base runs on the overlay's Python ({listed}); see: wtenv doctor" if names else ""


def _compile_mentions(manifest: Manifest, scripts: Collection[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Two patterns for how a shell script names the base's Python, or a script on it: by a path; and, in a script of
    the base, from its own folder."""
    bins = "|".join(re.escape(place) for path in manifest.bins for place in {path, os.path.realpath(path)})
    known = "".join(f"|{re.escape(name)}" for name in scripts)
    path = rf"(?:{bins}|\$\{{?CONDA_PREFIX\}}?/bin)/(?:{_PYTHON}{known})(?![\w.-])"
    here = r"""\$(?!\{?VIRTUAL_ENV)(?:\w+|\{\w+\}|\(dirname [^\n]*?\))["']?"""
    beside = rf"{here}(?:/\.\.)?(?:/bin)?/{_PYTHON}(?![\w./-])"
    return re.compile(path), re.compile(beside)


def _list(folders: Sequence[str], taken: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """The programs in `folders`, the first one of each name: (folder, name, first lines)."""
    seen = {*_NEVER, *taken}
    for folder in folders:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.name in seen or not entry.is_file() or not entry.stat().st_mode & 0o111:
                    continue
            except OSError:
                continue
            seen.add(entry.name)
            if not _CONFIG.fullmatch(entry.name):
                yield folder, entry.name, _read(entry.path, _HEAD)


def _read(path: str, size: int) -> str:
    """What a script begins with; "" for a binary program, which most of a system are, and to decode takes long."""
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read(size)
    except OSError:
        return ""
    return data.decode("utf-8", "surrogateescape") if data.startswith(b"#!") or b"\0" not in data else ""


def parse(head: str, manifest: Manifest, names: Collection[str]) -> str | None:
    """The arguments for the interpreter, if `head` are the first lines of a script that starts the base's Python and
    does nothing else; else None. names: what `find_names` gave."""
    start = read_interpreter(head)
    if start is None or not start.whole:
        return None
    if "/" not in start.program:
        return start.arguments if start.program in names else None
    return start.arguments if is_python(os.path.join(manifest.base_bin, start.program), manifest, names) else None


def read_interpreter(head: str) -> Start | None:
    """What the first lines of a script start; None if `head` is no script's."""
    if not head.startswith("#!"):
        return None
    first, *rest = head[2:].split("\n")
    words = first.strip().split(None, 1)
    if not words:
        return None
    start = _read_words(words[0], words[1].strip() if len(words) > 1 else "")
    if start and os.path.basename(start.program) in _SHELLS:
        return _read_shell(rest) or start
    # A bare name after `#!` is a file in the current folder to the kernel (execve(2)).
    return start if start and ("/" in words[0]) else None


def _read_words(program: str, rest: str) -> Start | None:
    """What a first line starts. The kernel passes `rest` as one argument (execve(2)); env splits it after -S."""
    if os.path.basename(program) != "env":
        return Start(program, rest)
    split = re.match(r"-[iv]*S\s*|--split-string[= ]", rest)
    try:
        words = shlex.split(rest[split.end() :]) if split else rest.split()
    except ValueError:
        return None
    return _read_env(words, whole=not split or "i" not in split[0].removeprefix("--split-string"))


def _read_env(words: list[str], *, whole: bool = True) -> Start | None:
    """What env(1) starts by these arguments."""
    while words and (words[0].startswith("-") or "=" in words[0]):
        taken = 2 if words[0] in ("-u", "-C", "--unset", "--chdir") else 1
        whole, words = whole and words[0] == "--", words[taken:]
    return Start(words[0], " ".join(words[1:]), whole) if words else None


def _read_shell(lines: list[str]) -> Start | None:
    """The Python that a script for both sh and Python starts: by an `exec` that is part of a string to Python.

    pip, distlib, conda and uv write such scripts if the prefix is too long for a first line: `'''exec'
    PREFIX/bin/python -s "$0" "$@"`. In those that people write, the string often begins a line earlier, with `:`.
    """
    if not any("exec" in line or "dirname" in line for line in lines[:40]):
        return None  # to split a line into words takes long
    whole = True
    for line in lines[:40]:
        if "dirname" in line and (match := _RELOCATABLE.search(line)):
            return Start(f"./{match[1]}", match[2].strip(), whole)
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:
            return None
        while words and words[0] in (":", "true", ""):  # these ignore their arguments
            words = words[words.index(";") + 1 :] if ";" in words else []
        if not words:
            continue
        if words[0] != "exec":
            whole = False
            continue
        words = words[3 if words[1:2] == ["-a"] else 1 :]
        ends = [words.index(name) for name in _ITSELF if name in words]
        if not ends or ends[0] == 0:
            return None
        words = words[: ends[0]]
        if os.path.basename(words[0]) == "env":
            return _read_env(words[1:], whole=whole)
        return Start(words[0], " ".join(words[1:]), whole)
    return None


def is_python(program: str, manifest: Manifest, names: Collection[str]) -> bool:
    """Whether the path `program` is the base's Python. names: what `find_names` gave."""
    folder, _, name = program.rpartition("/")
    if name in names and os.path.realpath(folder) == os.path.realpath(manifest.base_bin):
        return not os.path.exists(program) or files.is_same(program, manifest.interpreter)
    # If the base is a virtual environment, its program is a link to another one, which does not see that environment.
    is_venv = os.path.exists(os.path.join(manifest.base, "pyvenv.cfg"))
    return not is_venv and files.is_same(program, manifest.interpreter)


def refresh(venv: Path, manifest: Manifest) -> bool:
    """Give `venv/bin` one wrapper for each script of the base, and a link for each name of its Python, and remove all
    others. True if something changed.

    A name that the overlay has itself (an editable's or a package's script) is left alone.
    """
    changed = False
    targets, programs = plan(venv, manifest)
    if faults.has_met():
        return False  # a part of the base could not be read: its wrappers must stay
    for program, data in programs.items():
        if not is_program(program, data):
            files.write_atomic(program, data, 0o755)
            changed = True
    bin_dir = venv / "bin"
    present = {entry.name: target for entry in os.scandir(bin_dir) if (target := _read_link(entry.path))}
    for name in present.keys() - targets.keys():
        (bin_dir / name).unlink()
        changed = True
    for name, target in targets.items():
        if present.get(name) == target:
            continue
        if name in present:
            (bin_dir / name).unlink()
        try:
            (bin_dir / name).symlink_to(target)
            changed = True
        except FileExistsError:
            pass
    return changed


def find_faults(venv: Path, manifest: Manifest) -> list[str]:
    """What keeps scripts of the base from running on the overlay's Python, in words. `refresh` fixes all of it."""
    targets, programs = plan(venv, manifest)
    wrong = {program.name for program, data in programs.items() if not is_program(program, data)}
    faults = []
    for name, target in sorted(targets.items()):
        place = venv / "bin" / name
        if not os.path.lexists(place):
            faults.append(f"{name} has no wrapper in {venv}/bin")
        elif (found := _read_link(os.fspath(place))) and found != target:
            faults.append(f"{place} leads to {found}")
        elif found and Path(target).name in wrong:
            faults.append(f"{place} leads to a program that is damaged")
    present = (entry.name for entry in os.scandir(venv / "bin") if _read_link(entry.path))
    return faults + [f"{venv}/bin/{name} is a wrapper of what the base has no more" for name in {*present} - {*targets}]


def plan(venv: Path, manifest: Manifest) -> tuple[dict[str, str], dict[Path, bytes]]:
    """How the wrappers shall be: name in `bin` -> where its link leads; path of a program behind them -> its
    content."""
    targets = dict.fromkeys(find_names(manifest) - {"python"}, "python")
    programs: dict[Path, bytes] = {}
    for name, arguments in find_scripts(manifest).items():
        program = venv / "bin" / _program_name(arguments)
        targets[name] = program.name
        if program not in programs:
            programs[program] = _render_program(venv, manifest.bins, arguments)
    if "pip" in targets:
        # conda's pip has no pip3.11. One that PATH has behind the base would install somewhere else.
        aliases = {"pip3", f"pip{manifest.minor}"}
        places = [(name, os.path.join(folder, name)) for name in aliases for folder in manifest.bins]
        aliases -= {name for name, place in places if os.path.lexists(place)}
        targets.update(dict.fromkeys(aliases, "pip"))
    return targets, programs


def is_program(place: Path, data: bytes) -> bool:
    return files.try_read(place) == data and os.access(place, os.X_OK)


def read_wrapper(path: str) -> str:
    """Where the link at `path` leads if it is a wrapper, or an alias of pip; else the empty string."""
    target = _read_link(path)
    return "" if target == "python" else target


def _read_link(path: str) -> str:
    """The same, also for an alias of the overlay's Python."""
    try:
        target = os.readlink(path)
    except OSError:
        return ""
    is_alias = target == "python" or (target == "pip" and os.path.basename(path).startswith("pip"))
    return target if is_alias or target.startswith(PROGRAM) else ""


def _program_name(arguments: str) -> str:
    if not arguments:
        return PROGRAM
    safe = (char if char.isalnum() or char == "-" else f"_{ord(char):x}" for char in arguments)
    return PROGRAM + "".join(safe)


def _render_program(venv: Path, bins: Sequence[str], arguments: str) -> bytes:
    """The program behind the wrappers with these arguments."""
    body = (Path(__file__).parent / "bootstrap" / "wrapper.py").read_text("utf-8")
    head = make_head(os.path.join(venv, "bin", "python"), arguments)
    body = body.replace("ARGUMENTS", ascii(arguments.split())).replace("BASE_BINS", ascii(tuple(bins)))
    return (head + body).encode()


def make_head(python: str, arguments: str) -> str:
    """The first lines of a script for `python`, also where a shebang can't name it.

    The second form is one that sh and Python both understand: to sh `exec PYTHON "$0" "$@"`, to
    Python four adjacent strings.
    """
    line = f"#!{python} {arguments}".rstrip()
    if len(os.fsencode(line)) <= SHEBANG_LIMIT and not re.search(r"\s", python + arguments):  # Linux has one argument
        return line + "\n"
    words = " ".join(f'"{word}"' for word in arguments.split())
    return f'#!/bin/sh\n"exec" {_quote(python)} {words} "$0" "$@"\n'.replace("  ", " ", 1)


def _quote(text: str) -> str:
    """`text` as a literal that means the same to sh and to Python."""
    special = {"'": '"\'"', "\\": '"\\\\"'}
    return "".join(special.get(part, f"'{part}'") for part in re.split(r"(['\\])", text) if part)
