"""Mistakes in a config: where each is, what is wrong, and what helps, in one line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from ..errors import WtenvError


def show(text: str) -> str:
    """`text` for a message of one line: in quotes, what can't be printed escaped."""
    return f'"{text}"' if text.isprintable() else ascii(text)


def fail(path: Path, table: str, key: str, what: str, fix: str, watch: Iterable[Path] = ()) -> NoReturn:
    """WtenvError about one key of the config at `path`."""
    raise WtenvError(f"{name_key(path, table, key)} {what}", fix, watch)


def name_key(path: Path, table: str, key: str) -> str:
    """Where a mistake is, for a message: file, table and key."""
    names = [name if name.isprintable() else ascii(name) for name in (table, key)]
    return f"{path}: " + (f"[{names[0]}] {names[1]}".strip() if table else names[1])
