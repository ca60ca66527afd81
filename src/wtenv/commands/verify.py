"""`wtenv verify`: how base and overlay differ from `wtenv.lock`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from ..console import say, write, write_json
from ..process import locate_folder
from . import add_json


def configure(parser: ArgumentParser) -> None:
    add_json(parser)


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Print what differs; 1 if something does. WtenvError if there is no lock to compare with."""
    from .. import decision, environ
    from ..lock import gather
    from ..lock.compare import render

    env = environ.undo(env)
    place, config = decision.load(Path(locate_folder(env)), env)
    base = decision.locate_base(place, config, env)
    path = config.lock
    found = gather.find_drift(config, base, env)
    if args.json:
        facts = {"lock": str(path), "clean": not found, "findings": [item._asdict() for item in found]}
        write_json(facts)
    else:
        write(render(found))
        count = f"{len(found)} difference{'s' * (len(found) != 1)} from"
        say(f"{count} {path}; if that is as it should be, run: wtenv lock" if found else f"all is as {path} says")
    return 1 if found else 0
