"""`wtenv deny`: no config of the clone takes effect, whatever its content."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from ..console import say
from ..process import locate_folder


def configure(_: ArgumentParser) -> None:
    """No arguments."""


def run(_: Namespace, env: Mapping[str, str]) -> int:
    """Refuse this clone."""
    from .. import environ, trust
    from ..worktree import require_worktree

    place, env = require_worktree(Path(locate_folder(env))), environ.undo(env)
    trust.deny(place, env)
    say(f"denied {place.clone}")
    return 0
