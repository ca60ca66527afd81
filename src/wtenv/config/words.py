"""Placeholders that the worktree fills in: `{name}`, `{slug}`, `{main}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .mistakes import fail

if TYPE_CHECKING:
    from ..worktree import Worktree


def fill_main(written: str, path: Path, is_stack: bool, worktree: Worktree) -> str:
    """A dotenv file's path with `{main}` filled in. WtenvError where that stands for nothing."""
    if "{main}" not in written:
        return written
    return written.replace("{main}", _find_word("main", path, is_stack, "activation", "dotenv", worktree))


def fill_words(
    env: Mapping[str, object], locate: Callable[[str], Path], is_stack: bool, worktree: Worktree
) -> tuple[tuple[str, str], ...]:
    """`{name}`, `{slug}` and `{main}`, those that a value has. locate: the file that a variable is from. WtenvError
    where one stands for nothing."""
    found = {}
    for key, value in env.items():
        for word in ("name", "slug", "main"):
            if isinstance(value, str) and f"{{{word}}}" in value:
                found[word] = _find_word(word, locate(key), is_stack, "env", key, worktree)
    return tuple(found.items())


def _find_word(word: str, path: Path, is_stack: bool, table: str, key: str, worktree: Worktree) -> str:
    """What `{word}` stands for. A stack is of several worktrees, and not of one clone."""
    from .. import worktree as worktrees

    if is_stack:
        fail(path, table, key, f"has {{{word}}}, but a stack is no worktree", "use {root}, or write what is meant")
    if word != "main":
        return worktree.name if word == "name" else worktrees.make_slug(worktree)
    main = worktrees.find_main(worktree)
    if main is None:
        why = worktree.problem or "its clone is bare, or does not name its main worktree"
        fail(path, table, key, f"has {{main}}, but {why}", "write the whole path", worktree.watch)
    return str(main)
