"""Completion: what may stand at the end of a command line that begins with `wtenv`.

Everything is taken from argparse's parser, so that a new command or option needs nothing here. The values of an
argument are its `choices`, else what its metavar stands for (`VALUES`), else files.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from . import environ
from .console import write
from .process import locate_folder

Also = Literal["nothing", "files", "folders", "command"]
Values = Iterable[tuple[str, str]]


class Answer(NamedTuple):
    """What may stand there."""

    values: tuple[tuple[str, str], ...]  # each with a description, or ""
    also: Also = "nothing"
    """What the shell adds of its own."""

    at: int = 0  # with "command": which of the words is the command's name


def answer(
    build: Callable[[Sequence[str]], argparse.ArgumentParser], shell: str, words: Sequence[str], env: Mapping[str, str]
) -> int:
    """Print what may be the last of `words`, by the parser that `build` makes for them. The first line says what the
    shell adds of its own; then a value and its description per line, but for bash the value alone, as it has to stand
    on the line."""
    directory, env = Path(locate_folder(env)), environ.undo(env)

    def ask(plain: Sequence[str]) -> Answer:
        return complete(build(plain), plain, directory, env)

    if shell == "bash":
        lines = complete_bash(words, ask, directory, env)
    else:
        found = ask(words or [""])
        also = f"command {found.at}" if found.also == "command" else found.also
        lines = [also, *(f"{value}\t{_flatten(text)}" for value, text in found.values if value.isprintable())]
    write("".join(f"{line}\n" for line in lines))
    return 0


def _flatten(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


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


# --- bash, which leaves quoting and files to us ----------------------------------------------------------


def complete_bash(
    words: Sequence[str], ask: Callable[[list[str]], Answer], directory: Path, env: Mapping[str, str]
) -> list[str]:
    """The answer's lines. words: as in COMP_WORDS, quotes and backslashes included, `=` a word of its own."""
    joined: list[str] = []
    cut = 0  # as much of the last word does bash not count to it
    for word in words:
        before = joined[-1] if joined else ""
        if before.startswith("--") and (word == "=" if "=" not in before else before.endswith("=")):
            cut = len(before) + (word == "=")
            joined[-1] += word
        else:
            cut = 0
            joined.append(word)
    plain = [dequote(word) for word in joined or [""]]
    typed, opened = plain[-1]
    found = ask([text for text, _ in plain])
    values = [value for value, _ in found.values]
    if found.also != "nothing":
        names = _list_commands if found.also == "command" and found.at == len(plain) - 1 else _list_files
        head = typed[: typed.find("=") + 1] if typed.startswith("--") else ""
        values += [head + name for name in names(typed[len(head) :], directory, env, found.also == "folders")]
    lines = [f"command {found.at}" if found.also == "command" and len(joined) == len(words) else "none"]
    for value in dict.fromkeys(values):
        if value.startswith(typed) and value.isprintable():
            end = "" if opened or value.endswith("/") else " "
            lines.append(quote(value[cut:], opened) + end)
    return lines


def dequote(word: str) -> tuple[str, str]:
    """What a word, perhaps not finished, stands for, and the quote that is open at its end (bash(1), QUOTING)."""
    plain, opened, rest = "", "", iter(word)
    for char in rest:
        if char == "\\" and opened != "'":
            after = next(rest, "")
            plain += after if not opened or after in '$`"\\' else char + after
        elif char in "'\"" and opened in ("", char):
            opened = "" if opened else char
        else:
            plain += char
    return plain, opened


def quote(value: str, opened: str) -> str:
    """`value` as it continues a word: behind the open quote, or with backslashes, so that what is common to
    several values is put on the line (in quotes of its own, it would not begin as what was typed)."""
    if opened == "'":
        return value.replace("'", "'\\''")
    if opened:
        return re.sub(r'([\\$`"])', r"\\\1", value)
    return re.sub(r"([^\w./,@%+=-])", r"\\\1", value)


def _list_files(typed: str, directory: Path, env: Mapping[str, str], only_folders: bool) -> Iterator[str]:
    """Paths that begin as typed; a folder ends in a slash. Hidden ones only if asked for."""
    above, _, start = typed.rpartition("/")
    above += "/" if "/" in typed else ""
    home = env.get("HOME", "")
    folder = home + above[1:] if above.startswith("~/") else os.path.join(directory, above)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        if name.startswith(start) and (start or not name.startswith(".")):
            is_folder = os.path.isdir(os.path.join(folder, name))
            if is_folder or not only_folders:
                yield f"{above}{name}{'/' if is_folder else ''}"


def _list_commands(typed: str, directory: Path, env: Mapping[str, str], _: bool) -> Iterator[str]:
    """Programs on PATH; files, if a path is being typed."""
    if "/" in typed:
        yield from _list_files(typed, directory, env, False)
        return
    found = set()
    for folder in env.get("PATH", "").split(":"):
        try:
            names = os.listdir(folder or directory)
        except OSError:
            continue
        found |= {name for name in names if name.startswith(typed) and os.access(os.path.join(folder, name), os.X_OK)}
    yield from sorted(found)


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
    return [(str(item.root), item.branch) for item in found if not item.bare and not item.problem]


def _list_packages(directory: Path, env: Mapping[str, str]) -> Values:
    """The declared editables' names, of a config that is allowed."""
    from . import decision
    from .errors import WtenvError
    from .overlay.project import read_project

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
