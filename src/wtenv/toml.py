"""TOML: what a checkout or the user has written, parsed with a limit on what takes Python's parser long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import WtenvError

# A key a.b.c…: the time that tomllib takes grows with the square of its parts, and this is read before anybody
# has allowed it.
MAX_PARTS = 16
_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\n]*')"""
# Strings of many lines and comments, in which nothing is a key; a string that does not end, behind which no parser
# reads on; and keys (numbers, too, which have two parts at most).
_TOML = rf"""(?x)
    \#[^\n]*
    | \"{{3}} [^"\\]* (?: (?: \\[\s\S] | "(?!"") ) [^"\\]* )* \"{{3,5}}
    | '{{3}} [\s\S]*? '{{3,5}}
    | (?P<open> \"{{3}} | '{{3}} )
    | {_PART} (?: [ \t]*\.[ \t]* {_PART} ){{0,{MAX_PARTS - 1}}} (?P<more> [ \t]*\.[ \t]* ["'A-Za-z0-9_-] )?
    | (?P<quote> ["'] )
"""


def parse(path: Path, data: bytes) -> dict[str, Any]:
    """`data`, the content of `path`, as TOML. WtenvError that says where it is wrong."""
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
        if line := find_deep_key(text):
            raise WtenvError(f"{path}: line {line} has a key of more than {MAX_PARTS} parts", "correct that line")
        table: dict[str, Any] = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise WtenvError(f"{path}: is not UTF-8 (byte {error.start})", "save it as UTF-8") from None
    except (ValueError, RecursionError) as error:  # ValueError: also what int() says of too many digits
        raise WtenvError(f"{path}: is not valid TOML: {error}", "correct that line") from None
    return table


def get_table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The table `key` of what was parsed; empty if there is none, or something else."""
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def find_deep_key(text: str) -> int:
    """The line of the first key in the TOML `text` that has more than MAX_PARTS parts; 0 if there is none.

    Takes time in proportion to the text, whatever is in it. Where a text is no TOML, what follows does not count:
    no parser gets there.
    """
    if text.count(".") < MAX_PARTS:
        return 0  # as in most: to compile the expression takes longer than to read them
    import re

    for found in re.compile(_TOML).finditer(text):
        if found["more"]:
            return text.count("\n", 0, found.end()) + 1
        if found["open"] or found["quote"]:
            break
    return 0
