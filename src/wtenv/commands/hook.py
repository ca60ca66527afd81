"""`wtenv hook SHELL`: the text for the rc file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from .. import cache, shells
from ..errors import WtenvError


def run(shell: str, env: Mapping[str, str]) -> int:
    """Print the hook. One Python at a shell's start: nothing is imported that it doesn't need."""
    language = shells.find_shell(shell)
    try:
        cache.prepare(env)
    except (OSError, WtenvError):
        pass  # without a cache the hook works, only slower
    write(language.render_hook(build_command(language), cache.locate(env)))
    return 0


def build_command(shell: shells.Shell) -> list[str]:
    """How the hook starts wtenv, whatever PATH and PYTHON* are by then."""
    main = Path(__file__).resolve().parents[1] / "__main__.py"
    words = [sys.executable, "-I", "-X", "utf8", str(main)]
    return [*words, "export", "--hook", str(shells.ABI), shell.name]


def write(text: str) -> None:
    """Write shell text to stdout, bytes as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()
