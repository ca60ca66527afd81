"""`wtenv which NAME`: which layer a command, module or distribution comes from, and what it stands before."""

from __future__ import annotations

import difflib
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import decision, environ
from ..console import make_printable, write, write_json
from ..distributions import list_versions
from ..errors import WtenvError
from ..insight.origins import Command, Copy, Layers, Module, Overlay, find_commands, find_unusable, list_names
from ..process import locate_folder
from . import add_json


@dataclass(frozen=True)
class Answer:
    """What is known of a name. active: whether the shell has what should be in effect; note: what to know about the
    answer; overlay: the one that was asked for modules, None if there is none to ask."""

    active: bool
    note: str
    search_path: str
    overlay: Overlay | None
    commands: Sequence[Command]
    modules: Sequence[Module]
    distributions: Sequence[Copy]


def configure(parser: ArgumentParser) -> None:
    what = "as you would type or import it; not an alias or a function of your shell"
    parser.add_argument("name", metavar="NAME", help=what)
    add_json(parser)


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Print every candidate for a name, the one that wins first. WtenvError with exit code 1 if there is none, as
    which(1) has it."""
    name, directory = args.name, Path(locate_folder(env))
    if not name or "\0" in name:
        raise WtenvError("NAME is empty", "see: wtenv which --help")
    answer = look_up(name, directory, env)
    if not (answer.commands or answer.modules or answer.distributions):
        what = f"{make_printable(name)} is no command" + (", module or distribution" if answer.overlay else "")
        note = f" ({answer.note})" if answer.note else ""
        raise WtenvError(what + note, _advise(name, answer, directory), exit_code=1)
    facts = gather(name, answer)
    if args.json:
        write_json(facts)
    else:
        write(render(facts))
    return 0


def look_up(name: str, directory: Path, env: Mapping[str, str]) -> Answer:
    """What `name` is in `directory`: in this shell, if the activation is in effect in it, else as it would be."""
    plain = environ.undo(env)
    found = decision.decide(directory, plain)
    active = decision.is_in_effect(found, env)
    effective, overlay = env, None
    note = "" if active else "not active in this shell; this is what the activation gives"
    if found.activation and found.config:
        effective = env if active else environ.apply(plain, found.activation)
        overlay = Overlay.open(found.config.venv, effective.get("PYTHONPATH", ""), plain, directory)
    else:
        note = f"nothing should be active here: {found.reason}"
    path = effective.get("PATH", "")
    commands = find_commands(name, path, Layers.of(found.config, found.base), str(directory))
    if overlay is None:
        return Answer(active, note, path, None, commands, (), ())
    distributions = overlay.find_distributions(name)
    others = overlay.list_modules(name)[:5] if distributions else []
    try:
        modules = overlay.find_modules([name, *others])
    except WtenvError as error:
        modules, note = [], str(error)
    if modules and modules[0].name == name:
        modules = modules[:1]  # the others belong to a distribution that only happens to have its name
    return Answer(active, note, path, overlay, commands, modules, distributions)


def _advise(name: str, answer: Answer, directory: Path) -> str:
    if place := find_unusable(name, answer.search_path, str(directory)):
        return f"if that is what you mean, run: chmod +x {shlex.quote(make_printable(place))}"
    known = list_names(answer.search_path) | {*list_versions(answer.overlay.sites if answer.overlay else ())}
    if close := difflib.get_close_matches(name, sorted(known), 3, 0.7):
        return f"did you mean {', '.join(close)}?"
    # A child sees nothing of these.
    return f"if it is an alias or a function of your shell, run: type {shlex.quote(make_printable(name))}"


def gather(name: str, answer: Answer) -> dict[str, Any]:
    """The facts behind the screen; the keys are documented in docs/json.md."""
    modules = [asdict(item) for item in answer.modules]
    for item in modules:
        item["shadows"] = [{"file": file, "layer": layer} for file, layer in item["shadows"]]
    return {
        "name": name,
        "active": answer.active,
        "note": answer.note,
        "commands": [asdict(item) for item in answer.commands],
        "modules": modules,
        "distributions": [asdict(item) for item in answer.distributions],
    }


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
