"""Twin scripts: every Python script of the base's `bin`, under its name, on the overlay's Python.

A twin is a link to a small program (`.venv/wtenv/twin*`, one for each set of shebang arguments) that
runs the base's script of that name. Links rather than rewritten copies: 50 copies would take 200 KB
on disk, and each would be stale once the base's script changed. pip and uv replace a link by the file
they install (measured: neither writes through it), so an overlay's own script always wins.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from .. import files
from ..errors import WtenvError

# They manage environments and must run on their own Python.
_NEVER = {"conda", "conda-env", "mamba", "micromamba", "activate", "deactivate"}
_PYTHON = re.compile(r"python(\d+(?:\.\d+)?)?t?")
_RELOCATABLE = re.compile(r"""/'?"?(python[\d.]*t?)'?"? (.*)"\$0" "\$@\"""")  # uv's --relocatable
SHEBANG_LIMIT = 127


def find_scripts(base_bin: str, minor: str) -> dict[str, str]:
    """The base's Python scripts: name -> the arguments that their first line gives to Python.

    Only regular, executable files whose interpreter is the base's own Python; anything unreadable
    or odd is no script. Nothing is executed.
    """
    real_bin = os.path.realpath(base_bin)
    scripts = {}
    try:
        entries = list(os.scandir(base_bin))
    except OSError:
        return {}
    for entry in entries:
        name = entry.name
        if name in _NEVER or name.startswith(("python", ".")) or not name.isprintable():
            continue
        try:
            if not entry.is_file() or not entry.stat().st_mode & 0o111:
                continue
            with open(entry.path, "rb") as file:
                head = file.read(2)
                if head != b"#!":
                    continue
                head += file.read(4096)
        except OSError:
            continue
        arguments = parse_shebang(head.decode("utf-8", "surrogateescape"), real_bin, minor)
        if arguments is not None:
            scripts[name] = arguments
    return scripts


def parse_shebang(head: str, real_bin: str, minor: str) -> str | None:
    """The interpreter's arguments if `head` starts a script for the Python in `real_bin`, else None."""
    found = read_interpreter(head)
    if found is None:
        return None
    program, arguments = found
    return _accept(os.path.join(real_bin, program), arguments, real_bin, minor)


def read_interpreter(head: str) -> tuple[str, str] | None:
    """What the first lines of a script start, and the arguments that they give it; None if `head` is no script's.

    A bare name is one that env looks up on PATH; "./NAME" is beside the script (uv's relocatable ones).
    """
    if not head.startswith("#!"):
        return None
    lines = head[2:].split("\n")
    words = lines[0].strip().split(None, 1)
    if not words:
        return None
    program, rest = words[0], words[1].strip() if len(words) > 1 else ""
    kind = program.rpartition("/")[2]
    if kind == "env":
        parts = rest.removeprefix("-S").split(None, 1)
        if parts and "/" not in parts[0]:
            return parts[0], "".join(parts[1:])
    if kind == "sh" and len(lines) > 1 and "exec" in lines[1][:8]:
        # A prefix too long for a first line: `'''exec' "PREFIX/bin/python" -s "$0" "$@"`.
        relocatable = _RELOCATABLE.search(lines[1])
        if relocatable and "dirname" in lines[1]:
            return f"./{relocatable[1]}", relocatable[2]
        try:
            tokens = shlex.split(lines[1], comments=True)
        except ValueError:
            return program, rest
        if len(tokens) >= 4 and tokens[0] == "exec" and "$0" in tokens:
            return tokens[1], " ".join(tokens[2 : tokens.index("$0")])
    return (program, rest) if "/" in program else None  # the kernel would look for it in the current folder


def _accept(program: str, arguments: str, real_bin: str, minor: str) -> str | None:
    return arguments.strip() if is_python(program, real_bin, minor) else None


def is_python(program: str, real_bin: str, minor: str) -> bool:
    """Whether the path `program` is the Python in `real_bin`, by one of its names."""
    folder, _, name = program.rpartition("/")
    match = _PYTHON.fullmatch(name)
    if match is None or match[1] not in (None, minor.split(".")[0], minor):
        return False
    # Compared by folder, not by program: in a virtual environment the program is a link elsewhere.
    return os.path.realpath(folder) == real_bin


def refresh(venv: Path, base_bin: str, minor: str) -> bool:
    """Make `venv/bin` have exactly one twin for each script of the base; True if something changed.

    A name that the overlay has itself (an editable's or a package's script) is left alone.
    """
    changed = False
    targets, programs = _plan(venv, base_bin, minor)
    for program, data in programs.items():
        if not _is_program(program, data):
            program.parent.mkdir(exist_ok=True)
            files.write_atomic(program, data, 0o755)
            changed = True
    bin_dir = venv / "bin"
    present = {entry.name: target for entry in os.scandir(bin_dir) if (target := read_twin(entry.path))}
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


def find_faults(venv: Path, base_bin: str, minor: str) -> list[str]:
    """What keeps scripts of the base from running on the overlay's Python, in words; `refresh` mends it all."""
    targets, programs = _plan(venv, base_bin, minor)
    wrong = {program.name for program, data in programs.items() if not _is_program(program, data)}
    faults = []
    for name, target in sorted(targets.items()):
        place = venv / "bin" / name
        if not os.path.lexists(place):
            faults.append(f"{name} has no twin in {venv}/bin")
        elif (found := read_twin(os.fspath(place))) and found != target:
            faults.append(f"{place} leads to {found}")
        elif found and Path(target).name in wrong:
            faults.append(f"{place} leads to a program that is damaged")
    present = (entry.name for entry in os.scandir(venv / "bin") if read_twin(entry.path))
    return faults + [f"{venv}/bin/{name} is a twin of what the base has no more" for name in {*present} - {*targets}]


def _plan(venv: Path, base_bin: str, minor: str) -> tuple[dict[str, str], dict[Path, bytes]]:
    """What the twins' links shall lead to, and the programs behind them."""
    targets: dict[str, str] = {}
    programs: dict[Path, bytes] = {}
    for name, arguments in find_scripts(base_bin, minor).items():
        program = venv / "wtenv" / _program_name(arguments)
        targets[name] = f"../wtenv/{program.name}"
        if program not in programs:
            programs[program] = _render_program(venv, base_bin, arguments)
    if "pip" in targets:
        # conda's pip has no pip3.11, and the one behind the base on PATH would install somewhere else.
        aliases = (name for name in ("pip3", f"pip{minor}") if not os.path.lexists(os.path.join(base_bin, name)))
        targets.update(dict.fromkeys(aliases, "pip"))
    return targets, programs


def _is_program(place: Path, data: bytes) -> bool:
    try:
        return files.read_bytes(place) == data and os.access(place, os.X_OK)
    except (OSError, WtenvError):
        return False


def read_twin(path: str) -> str:
    """Where the link at `path` leads if it is a twin, or another name of pip's; else the empty string."""
    try:
        target = os.readlink(path)
    except OSError:
        return ""
    is_alias = target == "pip" and os.path.basename(path).startswith("pip")
    return target if is_alias or target.startswith("../wtenv/twin") else ""


def _program_name(arguments: str) -> str:
    if not arguments:
        return "twin"
    safe = (char if char.isalnum() or char == "-" else f"_{ord(char):x}" for char in arguments)
    return "twin" + "".join(safe)


def _render_program(venv: Path, base_bin: str, arguments: str) -> bytes:
    """The program behind the twins with these arguments."""
    body = (Path(__file__).parent / "seal" / "twin.py").read_text("utf-8")
    head = make_head(os.path.join(venv, "bin", "python"), arguments)
    return (head + body.replace("BASE_BIN", ascii(base_bin))).encode()


def make_head(python: str, arguments: str) -> str:
    """The first lines of a script for `python`, also where a shebang can't name it.

    The second form is one that sh and Python both understand: to sh `exec PYTHON "$0" "$@"`, to
    Python four adjacent strings.
    """
    line = f"#!{python} {arguments}".rstrip()
    if len(os.fsencode(line)) <= SHEBANG_LIMIT and " " not in python and "\t" not in python:
        return line + "\n"
    words = " ".join(f'"{word}"' for word in arguments.split())
    return f'#!/bin/sh\n"exec" {_quote(python)} {words} "$0" "$@"\n'.replace("  ", " ", 1)


def _quote(text: str) -> str:
    """`text` as a literal that means the same to sh and to Python."""
    special = {"'": '"\'"', "\\": '"\\\\"'}
    return "".join(special.get(part, f"'{part}'") for part in re.split(r"(['\\])", text) if part)
