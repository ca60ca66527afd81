"""`wtenv completions SHELL`: the script that a shell reads once. At each Tab it asks `wtenv __complete`, see
`completion.answer`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from ..console import write
from ..hook import shells


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or fish")


def run(args: Namespace, _: Mapping[str, str]) -> int:
    """Print the script."""
    write(shells.read_text(f"completion.{shells.find_shell(args.shell).name}"))
    return 0
