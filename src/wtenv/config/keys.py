"""Every key that a config and the user's settings may have: one table for the checks, for `wtenv help config` and for
the tests of the docs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from .. import environ
from ..files import MAX_PATH
from .mistakes import fail

Table = dict[str, Any]

NAME = "NAME"
"""In a table with this one key, the names are the user's own."""

Level = Literal["silent", "error", "normal", "verbose"]
Elsewhere = Literal["follow", "warn", "ignore"]


class Key(NamedTuple):
    check: Callable[[object], bool]  # whether a value is one
    wanted: str  # what it must be, in words
    default: str  # as it would be written; "none" if there is none
    example: str  # a value that is not the default
    meaning: str
    refuse: Callable[[str], str | None] = lambda _: None  # why a name is none, where it is the user's own


def _is_string(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_PATH and "\0" not in value


def _is_strings(value: object) -> bool:
    return isinstance(value, list) and all(_is_string(item) for item in value)


def _is_files(value: object) -> bool:
    # Each is watched, so looked at by every prompt, before anybody has allowed it.
    return isinstance(value, list) and len(value) <= 100 and _is_strings(value)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_variable(value: object) -> bool:
    return value is False or (isinstance(value, str) and "\0" not in value)


def _choose(*values: str) -> tuple[Callable[[object], bool], str]:
    words = ", ".join(f'"{value}"' for value in values)
    return lambda value: value in values, f"one of {words}" if len(values) > 1 else words


CONFIG: dict[str, dict[str, Key]] = {
    "python": {
        "base_conda_env": Key(
            *(_is_string, "a conda environment's name or path", "none", '"myproject-shared"'),
            "The base. Exactly one of this key and base_prefix.",
        ),
        "base_prefix": Key(
            *(_is_string, "the path of a Python installation", "none", '"/usr"'),
            "The base, if it is no conda environment: system, pyenv, uv.",
        ),
        "venv": Key(_is_string, "a folder inside the root", '".venv"', '".venv"', "The overlay's folder."),
    },
    "editables": {
        "packages": Key(
            *(_is_strings, "a list of paths", "[]", '[".", "../sibling"]'),
            "What `wtenv sync` installs editable. ~/ is your home.",
        ),
        "install_deps": Key(
            *(_is_bool, "true or false", "false", "true"),
            "Whether what base and overlay lack for them is installed into the overlay.",
        ),
        "build_isolation": Key(
            *(lambda value: value == "auto" or _is_bool(value), '"auto", true or false', '"auto"', "false"),
            '"auto": built with the base\'s packages where it has what the build requires.',
        ),
    },
    "activation": {
        "path": Key(
            *(_is_strings, "a list of folders", "[]", '["scripts"]'),
            "Put on PATH, before the overlay's programs.",
        ),
        "dotenv": Key(
            *(_is_files, "a list of files, 100 at most", "[]", '[".env"]'),
            "With lines KEY=value; one that is missing is no mistake. {main} is the main worktree.",
        ),
    },
    "env": {
        NAME: Key(
            *(_is_variable, "a string without NUL bytes, or false to unset it", "none", '"{root}/data"'),
            "A variable. {root}, {venv}, {base}, {name}, {slug} and {main} are filled in.",
            environ.explain_refusal,
        ),
    },
    "wtenv": {
        "extends": Key(
            *(_is_string, "a path to a stack config", "none", '"../wtenv.backend.toml"'),
            "The config is that one's; this file says nothing else.",
        ),
        "kind": Key(
            *_choose("stack"), "none", '"stack"', "This file is for several repositories, which name it in extends."
        ),
    },
}
"""Table -> name -> key, of a config."""

SETTINGS: dict[str, dict[str, Key]] = {
    "trust": {
        "prefixes": Key(
            *(_is_strings, "a list of folders", "[]", '["~/src/work"]'), "Worktrees below need no `wtenv allow`."
        )
    },
    "sync": {
        "auto": Key(
            *(_is_bool, "true or false", "false", "true"),
            "Whether entering an allowed worktree without an overlay builds it.",
        )
    },
    "messages": {
        "level": Key(*_choose(*get_args(Level)), '"normal"', '"error"', "What the hook says: error is problems only.")
    },
    "prompt": {
        "show": Key(
            *(_is_bool, "true or false", "false", "true"), 'Whether the prompt begins with "(NAME) ", as with conda.'
        )
    },
    "elsewhere": {
        "python": Key(
            *(*_choose(*get_args(Elsewhere)), '"follow"', '"warn"'),
            "What an overlay's Python does in another worktree: be that one's, or not.",
        )
    },
}


def check(path: Path, content: Table, known: Mapping[str, Mapping[str, Key]]) -> None:
    """WtenvError if `content` (of the file `path`) has a table or a key that is not `known`, or is of another type."""
    for table, values in content.items():
        home = next((name for name, keys in known.items() if table in keys), None)
        if not isinstance(values, dict) and home:
            fail(path, "", table, "is outside of its table", f"write it below [{home}]")
        if table not in known:
            fail(path, table, "", "unknown table", _suggest(table, known))
        if not isinstance(values, dict):
            fail(path, "", table, "must be a table", f"write [{table}]")
        for name, value in values.items():
            key = known[table].get(NAME) or known[table].get(name)
            if key is None:
                home = next((other for other, keys in known.items() if name in keys), None)
                fix = f"write it below [{home}]" if home else _suggest(name, known[table])
                fail(path, table, name, "unknown key", fix)
            if refusal := key.refuse(name):
                fail(path, table, name, refusal, "choose another name")
            if not key.check(value):
                is_bare = isinstance(value, (int, float)) and key.check(str(value))
                fix = "write it in quotes" if is_bare else "correct the value"
                fail(path, table, name, f"must be {key.wanted}", fix)


def _suggest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), 1)
    return f"did you mean {close[0]}?" if close else f"remove it (known: {', '.join(known)})"
