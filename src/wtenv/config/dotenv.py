"""Dotenv files: lines KEY=value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .. import environ
from ..errors import WtenvError
from .mistakes import show

if TYPE_CHECKING:
    from dotenv.parser import Original

MAX_BLANKS = 500  # in a row


def read_dotenv(paths: list[Path], data: Mapping[Path, bytes | None]) -> tuple[tuple[str, str], ...]:
    """KEY=value lines, later files winning, from the bytes that trust was given to. Nothing is expanded."""
    values: dict[str, str] = {}
    for path in paths:
        content = data.get(path)
        if not content:
            continue
        import re
        from io import StringIO

        from dotenv.parser import parse_stream

        text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        # The parser looks for a comment behind each blank anew: its time grows with the square of their number.
        if blanks := re.search(rf"[^\S\r\n]{{{MAX_BLANKS}}}", text):
            line = text.count("\n", 0, blanks.start()) + 1
            raise WtenvError(f"{path}: line {line} has {MAX_BLANKS} blanks in a row", "remove them")
        for binding in parse_stream(StringIO(text)):
            line = _count_lines(binding.original)
            if binding.error or (binding.key is not None and binding.value is None):
                raise WtenvError(f"{path}: line {line} is not KEY=value", "correct or remove the line")
            if binding.key is None or binding.value is None:
                continue
            if refusal := environ.explain_refusal(binding.key):
                raise WtenvError(f"{path}: line {line}: {show(binding.key)} {refusal}", "choose another name")
            if "\0" in binding.value:
                raise WtenvError(f"{path}: line {line}: a value can't hold a NUL byte", "remove it")
            values[binding.key] = binding.value
    return tuple(values.items())


def _count_lines(original: Original) -> int:
    """The line that a binding begins at: the parser counts the empty lines before it as its own."""
    text = original.string
    return original.line + text[: len(text) - len(text.lstrip())].count("\n")
