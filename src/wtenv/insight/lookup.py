"""`wtenv which NAME`: which layer a command, module or distribution comes from, and what it stands before."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import decision, environ
from ..console import make_printable
from ..distributions import list_versions
from ..errors import WtenvError
from .origins import Command, Copy, Layers, Module, Overlay, find_commands, find_unusable, list_names


@dataclass(frozen=True)
class Answer:
    """What is known of a name."""

    active: bool  # the shell has what should be in effect
    note: str  # what to know about the answer
    search_path: str
    overlay: Overlay | None  # the one that was asked for modules, if there is one
    commands: Sequence[Command]
    modules: Sequence[Module]
    distributions: Sequence[Copy]


def look_up(name: str, directory: Path, env: Mapping[str, str]) -> Answer:
    """What `name` is in `directory`: in this shell, if the activation is in effect in it, else as it would be."""
    plain = environ.undo(env)
    found = decision.decide(directory, plain)
    active = found.is_in_effect(env)
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


def advise(name: str, answer: Answer, directory: Path) -> str:
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
