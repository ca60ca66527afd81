"""`wtenv completions SHELL`: the script that a shell reads once; and `wtenv __complete`, which it asks at each Tab."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .. import completion, environ
from ..completion import Answer
from ..console import write
from ..hook import shells
from ..process import locate_folder


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", help="bash, zsh or fish")


def run(args: Namespace, _: Mapping[str, str]) -> int:
    """Print the script."""
    write(shells.read_text(f"completion.{shells.find_shell(args.shell).name}"))
    return 0


def answer(
    build: Callable[[Sequence[str]], ArgumentParser], shell: str, words: Sequence[str], env: Mapping[str, str]
) -> int:
    """Print what may be the last of `words`, by the parser that `build` makes for them. The first line says what the
    shell adds of its own; then a value and its description per line, but for bash the value alone, as it has to stand
    on the line."""
    directory, env = Path(locate_folder(env)), environ.undo(env)

    def ask(plain: Sequence[str]) -> Answer:
        return completion.complete(build(plain), plain, directory, env)

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
