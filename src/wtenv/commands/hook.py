"""`wtenv hook SHELL`: the text for the rc file."""

from __future__ import annotations

import os

from ..console import write
from ..hook import shells

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or fish")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    return print_hook(args.shell, env)


def print_hook(shell: str, env: Mapping[str, str]) -> int:
    """Print the hook. One Python at a shell's start: nothing is imported that it doesn't need."""
    language = shells.find_shell(shell)
    if env.get("WTENV_ROOT"):  # a shell within another one, where a config may have set XDG_CACHE_HOME
        from .. import environ

        env = environ.undo(env)
    cache = shells.locate_cached(env)
    if not os.path.exists(os.path.join(cache, "fine.2")):
        from ..hook.install import prepare_cache

        prepare_cache(env)
    write(language.render_hook(shells.build_command(language.name), cache))
    return 0
