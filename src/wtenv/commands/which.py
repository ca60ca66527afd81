"""`wtenv which NAME`: which layer a command, module or distribution comes from, and what it stands before."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..console import make_printable, write, write_json
from ..errors import WtenvError
from ..process import locate_folder
from . import add_json


def configure(parser: ArgumentParser) -> None:
    what = "as you would type or import it; not an alias or a function of your shell"
    parser.add_argument("name", metavar="NAME", help=what)
    add_json(parser)


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Print every candidate for a name, the one that wins first. WtenvError with exit code 1 if there is none, as
    which(1) has it."""
    from ..insight import lookup

    name, directory = args.name, Path(locate_folder(env))
    if not name or "\0" in name:
        raise WtenvError("NAME is empty", "see: wtenv which --help")
    answer = lookup.look_up(name, directory, env)
    if not (answer.commands or answer.modules or answer.distributions):
        what = f"{make_printable(name)} is no command" + (", module or distribution" if answer.overlay else "")
        note = f" ({answer.note})" if answer.note else ""
        raise WtenvError(what + note, lookup.advise(name, answer, directory), exit_code=1)
    facts = lookup.gather(name, answer)
    if args.json:
        write_json(facts)
    else:
        write(render(facts))
    return 0


def render(facts: Mapping[str, Any]) -> str:
    """For people: `>` marks the winner of each kind."""
    lines = [f"({facts['note']})"] if facts["note"] else []
    if facts["commands"]:
        lines.append(f"command {facts['name']}")
    for item in facts["commands"]:
        lines.append(f"{'>' if item['wins'] else ' '} {item['path']} ({item['layer']})")
        if item["layer"] not in ("overlay", "base", "system"):
            lines.append(f"    {item['origin']}")
        if item["python"] not in ("", item["path"]) and item["layer"] != "wrapper":
            lines.append(f"    runs on {item['python']}")
    for item in facts["modules"]:
        owner = f" ({item['distribution']} {item['version']})" if item["distribution"] else ""
        lines += [f"module {item['name']}{owner}", f"> {item['file']} ({item['layer']})", f"    {item['why']}"]
        for other in item["shadows"]:
            lines.append(f"  {other['file']} ({other['layer']})")
        if item["here"]:
            lines.append(f"  but python -c and python -m, started in this folder, find {item['here']} first")
    if not facts["modules"] or len(facts["distributions"]) > 1:
        lines += [f"distribution {name}" for name in {item["name"] for item in facts["distributions"]}]
        for item in facts["distributions"]:
            lines.append(f"{'>' if item['wins'] else ' '} {item['version']} in {item['place']} ({item['layer']})")
    return "".join(f"{make_printable(line)}\n" for line in lines)
