"""Which shell runs us."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import WtenvError
from .shells import SHELLS, Shell, find_shell


def find_shell_name(env: Mapping[str, str]) -> str:
    """The shell that runs us: asked of the process tree, else the login shell. WtenvError if it is none of ours."""
    try:
        import shellingham

        name: str = shellingham.detect_shell()[0]
    except Exception:  # shellingham's own error, or it isn't there, or no /proc
        name = env.get("SHELL", "")
    return find_shell(name).name


def find_parent(env: Mapping[str, str]) -> Shell | None:
    """The same as a `Shell`; None if there is none that wtenv knows: an editor, say."""
    try:
        return SHELLS[find_shell_name(env)]
    except WtenvError:
        return None
