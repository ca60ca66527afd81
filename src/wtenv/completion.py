"""Completion: what may stand at the end of a command line that begins with `wtenv`.

Everything is taken from argparse's parser, so that a new command or option needs nothing here. The values of an
argument are its `choices`, else what its metavar stands for (`VALUES`), else files.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Also = Literal["nothing", "files", "folders", "command"]
Values = Iterable[tuple[str, str]]


class Answer(NamedTuple):
    """values: each with a description, or ""; also: what the shell adds of its own; at: with "command", which of
    the words is the command's name."""

    values: tuple[tuple[str, str], ...]
    also: Also = "nothing"
    at: int = 0


def complete(parser: argparse.ArgumentParser, words: Sequence[str], directory: Path, env: Mapping[str, str]) -> Answer:
    """What may be the last of `words` (those after `wtenv`; the last one is as far as it is typed). Values are
    not compared with it: shells match in their own ways."""
    *before, word = words
    place, wanted, plain = 0, None, False  # of the positional arguments; the option that lacks its value
    positional = _list_positional(parser)
    for index, text in enumerate(before):
        if wanted is not None:
            wanted = None
        elif text == "--" and not plain:
            plain = True
        elif text.startswith("-") and not plain:
            option = parser._option_string_actions.get(text)
            wanted = option if option and option.nargs != 0 else None
            continue
        else:
            action = positional[min(place, len(positional) - 1)] if positional else None
            if isinstance(action, argparse._SubParsersAction):
                if text not in action.choices:
                    return Answer(())
                parser, place = action.choices[text], 0
                positional = _list_positional(parser)
                continue
            place += 1
            if action and action.nargs == argparse.REMAINDER:
                return Answer((), "command", index)
    if wanted is not None:
        return _list_values(wanted, directory, env)._replace(at=len(before))
    if word.startswith("-") and not plain:
        name, equals, _ = word.partition("=")
        option = parser._option_string_actions.get(name)
        if equals and option:
            answer = _list_values(option, directory, env)
            return answer._replace(values=tuple((f"{name}={value}", text) for value, text in answer.values))
        return Answer(tuple(_list_options(parser, before)))
    if place >= len(positional) and not (positional and positional[-1].nargs in ("*", "+")):
        return Answer(())
    action = positional[min(place, len(positional) - 1)]
    if action.nargs == argparse.REMAINDER:
        return Answer((), "command", len(before))
    return _list_values(action, directory, env)._replace(at=len(before))


def _list_positional(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _list_options(parser: argparse.ArgumentParser, used: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options that are not on the line yet, the long form of each."""
    for action in parser._actions:
        names, text = action.option_strings, action.help or ""
        repeated = isinstance(action, argparse._AppendAction)
        if names and text != argparse.SUPPRESS and (repeated or not {*names} & {*used}):
            yield names[-1], text


def _list_values(action: argparse.Action, directory: Path, env: Mapping[str, str]) -> Answer:
    if isinstance(action, argparse._SubParsersAction):
        helps = {item.dest: item.help or "" for item in action._choices_actions}
        texts = {id(action.choices[name]): text for name, text in helps.items()}
        return Answer(tuple((name, texts.get(id(parser), "")) for name, parser in action.choices.items()))
    if action.choices is not None:
        return Answer(tuple((str(choice), "") for choice in action.choices))
    values, also = VALUES.get(str(action.metavar or action.dest.upper()), (_list_nothing, "files"))
    return Answer(tuple(values(directory, env)), also)


# --- values that only the machine knows ----------------------------------------------------------------


def _list_nothing(_: Path, __: Mapping[str, str]) -> Values:
    return ()


def _list_shells(_: Path, __: Mapping[str, str]) -> Values:
    from .hook.shells import SHELLS

    return [(name, "") for name in SHELLS]


def _list_environments(_: Path, env: Mapping[str, str]) -> Values:
    from .conda import list_environments

    return [(name, str(prefix)) for name, prefix in list_environments(env)]


def _list_worktrees(directory: Path, _: Mapping[str, str]) -> Values:
    from .worktree import find_clone, find_worktree, list_checkouts

    place = find_worktree(directory)
    clone = find_clone(place) if place else None
    found = list_checkouts(clone) if clone else ()
    return [(str(item.root), item.branch) for item in found if not item.bare and not item.doubt]


def _list_packages(directory: Path, env: Mapping[str, str]) -> Values:
    """The declared editables' names, of a config that is allowed."""
    from . import decision
    from .errors import WtenvError
    from .overlay.building import read_project

    _, config = decision.load(directory, env)
    for path in config.packages:
        try:
            project = read_project(path)
        except WtenvError:
            continue
        yield project.name or str(path), str(path)


# metavar -> what it stands for, and what the shell adds
VALUES: dict[str, tuple[Callable[[Path, Mapping[str, str]], Values], Also]] = {
    "SHELL": (_list_shells, "nothing"),
    "SOURCE": (_list_environments, "files"),
    "PACKAGE": (_list_packages, "nothing"),
    "WORKTREE": (_list_worktrees, "folders"),
    "NAME": (_list_nothing, "command"),
}
