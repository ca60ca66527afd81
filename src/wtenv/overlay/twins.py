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
    lines = head[2:].split("\n")
    words = lines[0].strip().split(None, 1)
    if not words:
        return None
    program, rest = words[0], words[1].strip() if len(words) > 1 else ""
    kind = program.rpartition("/")[2]
    if kind == "env":
        parts = rest.removeprefix("-S").split(None, 1)
        if not parts or "/" in parts[0]:
            return None
        return _accept(os.path.join(real_bin, parts[0]), "".join(parts[1:]), real_bin, minor)
    if kind == "sh" and len(lines) > 1 and "exec" in lines[1][:8]:
        # A prefix too long for a first line: `'''exec' "PREFIX/bin/python" -s "$0" "$@"`.
        relocatable = _RELOCATABLE.search(lines[1])
        if relocatable and "dirname" in lines[1]:
            return _accept(os.path.join(real_bin, relocatable[1]), relocatable[2], real_bin, minor)
        try:
            tokens = shlex.split(lines[1], comments=True)
        except ValueError:
            return None
        if len(tokens) < 4 or tokens[0] != "exec" or "$0" not in tokens:
            return None
        return _accept(tokens[1], " ".join(tokens[2 : tokens.index("$0")]), real_bin, minor)
    return _accept(program, rest, real_bin, minor)


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
    targets = {}
    for name, arguments in find_scripts(base_bin, minor).items():
        targets[name] = f"../wtenv/{_program_name(arguments)}"
        if _write_program(venv / "wtenv" / _program_name(arguments), venv, base_bin, arguments):
            changed = True
    if "pip" in targets:
        # conda's pip has no pip3.11, and the one behind the base on PATH would install somewhere else.
        aliases = (name for name in ("pip3", f"pip{minor}") if not os.path.lexists(os.path.join(base_bin, name)))
        targets.update(dict.fromkeys(aliases, "pip"))
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


def _write_program(place: Path, venv: Path, base_bin: str, arguments: str) -> bool:
    """Write the program behind the twins, if it is not there already as it should be."""
    body = (Path(__file__).parent / "seal" / "twin.py").read_text("utf-8")
    head = make_head(os.path.join(venv, "bin", "python"), arguments)
    text = head + body.replace("BASE_BIN", ascii(base_bin))
    try:
        if place.read_text("utf-8") == text:
            return False
    except (OSError, UnicodeDecodeError):
        pass
    place.parent.mkdir(exist_ok=True)
    files.write_atomic(place, text.encode(), 0o755)
    return True


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
