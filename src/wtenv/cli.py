"""The command line: arguments, dispatch, and the one place that catches errors.

`hook` and `export --hook` run at a shell's start and at its prompt; they are answered before argparse
is imported.
"""

from __future__ import annotations

import os
import sys

from .errors import WtenvError

TYPE_CHECKING = False
if TYPE_CHECKING:  # this module is imported at every start of a shell
    import argparse
    from collections.abc import Mapping, Sequence
    from types import ModuleType
    from typing import NoReturn


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. 2: the user's mistake, 130: Ctrl-C, 3: a bug."""
    words = list(sys.argv[1:] if argv is None else argv)
    named = "PYTHONPATH" in os.environ or "PYTHONHOME" in os.environ
    foreign = named and not sys.flags.isolated and words[:1] != ["hook"]
    if argv is None and (foreign or sys.getfilesystemencoding() != "utf-8"):
        # PYTHONPATH: an empty entry in it means "here", and a checkout's argparse.py must not run as ours.
        # PYTHONHOME: of another Python, it hides what ours has.
        # Values and paths are bytes to us; only UTF-8 with surrogates carries them all (PEP 383, 540).
        main_file = os.path.join(os.path.dirname(os.path.realpath(__file__)), "__main__.py")  # -m: from any folder
        os.execv(sys.executable, [sys.executable, "-I", "-X", "utf8", main_file, *words])
    open_missing_streams()
    try:
        code = dispatch(words, os.environ)
        sys.stdout.flush()  # a full disk is found out here, not at exit
        return code
    except WtenvError as error:
        return fail(str(error), error.exit_code, has_lines=error.has_lines)
    except KeyboardInterrupt:
        return fail("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads: no second error at exit
        return 141
    except Exception as error:
        return fail(report_bug(error, words, os.environ), 3)


def open_missing_streams() -> None:
    """Put /dev/null where the caller closed a stream, so that no file of ours gets its number. A command
    that we become finds it closed again."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(null, "w" if number else "r", closefd=False))


def fail(message: str, code: int, *, has_lines: bool = False) -> int:
    """Say `message`; `code`. Without `has_lines` it is one line, whatever names of files are in it."""
    from .console import make_printable, say

    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a full disk: no second error at exit
    try:
        say(message if has_lines else make_printable(message))
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return code


def report_bug(error: Exception, words: Sequence[str], env: Mapping[str, str]) -> str:
    """Write the traceback to a log; returns the line that says so."""
    import platform
    import traceback
    from pathlib import Path

    from . import __version__, dirs, files

    log = Path(dirs.find_state(env)) / "bug.log"
    head = f"wtenv {__version__}, Python {platform.python_version()}, {platform.platform()}\nwtenv {words}\n\n"
    text = head + "".join(traceback.format_exception(error))
    try:
        files.make_private_dir(log.parent)
        files.write_atomic(log, text.encode("utf-8", "surrogateescape"))
    except (OSError, WtenvError):
        return f"this is a bug ({type(error).__name__}: {error}), and no log could be written to {log}"
    return f"this is a bug ({type(error).__name__}); please report it with {log}"


def dispatch(words: list[str], env: Mapping[str, str]) -> int:
    """Answer what the shells ask; leave the rest to argparse."""
    if words[:1] == ["hook"] and len(words) == 2 and not words[1].startswith("-"):
        from .commands import hook

        return hook.print_hook(words[1], env)
    if words[:2] == ["export", "--hook"] and len(words) == 6:
        from . import answer

        return answer.answer_hook(words[2], words[3], words[4], bool(words[5]), env)
    if words[:1] == ["run"] and (asked := parse_run(words[1:])):
        from . import process
        from .hook import cached_run

        folder, command, sync = asked
        if folder is not None:
            env = process.enter_folder(folder, env)
        cached_run.start(command, env)
        from .commands import run

        run.start(command, env, sync=sync)
    if words in (["sync"], ["update-editables"]):
        from .hook import cached_run

        if cached_run.is_synced(env):
            from .console import say

            say("nothing to do")
            return 0
    if words[:1] == ["__follow"] and len(words) > 3:
        try:
            follow(words[1], words[2], words[3:], env)
        except WtenvError:
            if words[3] != "wtenv":
                raise
            # A wtenv that came with an overlay: where none can be used, this one has to do what fixes it.
            load_site()
            return dispatch(words[4:], env)
    if words == ["__checkout"]:
        from . import answer

        return answer.answer_checkout(env)
    if words[:1] == ["__complete"] and len(words) > 1:
        from . import completion

        return completion.answer(build_parser, words[1], words[2:], env)
    parser = build_parser(words)
    if not words:  # as git does it; our code for a mistake
        parser.print_help()
        return 2
    arguments = parser.parse_args(words)
    code: int = load_verb(arguments.verb).run(arguments, env)
    return code


def follow(origin: str, root: str, command: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """See `commands.run.follow`; at once where what it needs is known."""
    from .hook import cached_run

    cached_run.start(command, env, origin)
    load_site()
    from .commands import run

    run.follow(origin, root, command, env)


def load_site() -> None:
    """What is known goes without packages, and starts with `-S`."""
    if sys.flags.no_site:
        import site

        site.main()


def parse_run(words: Sequence[str]) -> tuple[str | None, Sequence[str], bool] | None:
    """The folder and the command that `run` is asked for, and whether it may build the overlay; None if argparse has to
    say what is wrong, or to help."""
    folder, at, sync = None, 0, True
    while at < len(words) and words[at].startswith("-"):
        option, given, value = words[at].partition("=")
        at += 1
        if option == "--" and not given:
            break
        if option == "--directory":
            if not given:
                value, at = "".join(words[at : at + 1]), at + 1
            folder = value
        elif words[at - 1] == "--no-sync":
            sync = False
        else:
            return None
    return (folder, words[at:], sync) if words[at:] and folder != "" else None


def load_verb(name: str) -> ModuleType:
    """The module of a verb, see `commands`."""
    import importlib

    return importlib.import_module(f".commands.{name}", __package__)


def build_parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The parser for everything that people type. words: a line; the verbs that it does not name are known by their
    names alone."""
    import argparse

    from . import __version__
    from .commands import ALIASES, VERBS

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise WtenvError(message, f"see: {self.prog.split(' [')[0]} --help")

        def _check_value(self, action: argparse.Action, value: object) -> None:
            if action.choices is None or value in action.choices:
                return
            from difflib import get_close_matches

            close = get_close_matches(str(value), list(map(str, action.choices)), 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            self.error(f"there is no {str(action.metavar).lower()} {value!r}{hint}")

    class Overview(Parser):
        def format_help(self) -> str:
            from .commands.help import render_overview

            return render_overview()

    parser = Overview(prog="wtenv")
    parser.set_defaults(parser=parser)
    parser.add_argument("--version", action="version", version=f"wtenv {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for verb, summary in [item for verbs in VERBS.values() for item in verbs.items()]:
        names = [verb, *filter(None, [ALIASES.get(verb)])]
        own = commands.add_parser(verb, help=summary, description=summary, aliases=names[1:])
        own.set_defaults(verb=verb)
        if words is None or {*names} & {*words}:
            load_verb(verb).configure(own)
    return parser
