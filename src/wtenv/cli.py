"""The command line: arguments, dispatch, and the one place that catches errors.

`hook` and `export --hook` run at a shell's start and at its prompt; they are answered before argparse
is imported.
"""

from __future__ import annotations

import os
import sys

from .errors import WtenvError, say

TYPE_CHECKING = False
if TYPE_CHECKING:  # this module is imported at every start of a shell
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path
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
        return fail(str(error), error.exit_code)
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


def fail(message: str, code: int) -> int:
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a full disk: no second error at exit
    try:
        say(message)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return code


def report_bug(error: Exception, words: Sequence[str], env: Mapping[str, str]) -> str:
    """Write the traceback to a log; returns the line that says so."""
    import platform
    import traceback

    from . import __version__, files

    log = files.state_dir(env) / "bug.log"
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

        return hook.run(words[1], env)
    if words[:2] == ["export", "--hook"] and len(words) == 6:
        from .commands import export

        return export.run_hook(words[2], words[3], words[4], bool(words[5]), env)
    if words[:1] == ["run"] and (asked := parse_run(words[1:])):
        from . import process
        from .hook import known

        folder, command = asked
        if folder is not None:
            env = process.enter_folder(folder, env)
        known.start(command, env)
        from .commands import run

        run.run(command, find_directory(None, env), env)
    if words[:1] == ["__follow"] and len(words) > 3:
        try:
            follow(words[1], words[2], words[3:], env)
        except WtenvError:
            if words[3] != "wtenv":
                raise
            # A wtenv that came with an overlay: where none can be used, this one has to do what mends it.
            load_site()
            return dispatch(words[4:], env)
    if words[:1] == ["__complete"] and len(words) > 1:
        from .commands import completions

        return completions.answer(build_parser(), words[1], words[2:], find_directory(None, env), env)
    parser = build_parser()
    if not words:  # as git does it; our code for a mistake
        parser.print_help()
        return 2
    arguments = parser.parse_args(words)
    if arguments.command == "help":
        from .commands import help as helping

        return helping.run(arguments.topic, parser)
    return _run(arguments, env)


def follow(origin: str, root: str, command: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """See `commands.run.follow`; straight where what it needs is known."""
    from .hook import known

    known.start(command, env, origin)
    load_site()
    from .commands import run

    run.follow(origin, root, command, find_directory(None, env), env)


def load_site() -> None:
    """What is known goes without packages, and starts with `-S`."""
    if sys.flags.no_site:
        import site

        site.main()


def parse_run(words: Sequence[str]) -> tuple[str | None, Sequence[str]] | None:
    """The folder and the command that `run` is asked for; None if argparse has to say what is wrong, or to help."""
    folder, at = None, 0
    while at < len(words) and words[at].startswith("-"):
        option, given, value = words[at].partition("=")
        at += 1
        if option == "--" and not given:
            break
        if option == "--directory":
            if not given:
                value, at = "".join(words[at : at + 1]), at + 1
            folder = value
        elif words[at - 1] != "--no-sync":
            return None
    return (folder, words[at:]) if words[at:] and folder != "" else None


def find_directory(given: str | None, env: Mapping[str, str]) -> Path:
    """The folder to act on: as given, else the current one by the name that the shell has for it."""
    from pathlib import Path

    from .process import locate_folder

    return Path(locate_folder(env) if given is None else os.path.abspath(given))


def build_parser() -> argparse.ArgumentParser:
    """The parser for everything that people type."""
    import argparse

    from . import __version__
    from .hook.shells import FORMATS

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

            return render_overview(self)

    parser = Overview(
        prog="wtenv",
        epilog="wtenv COMMAND --help tells more of a command, wtenv help config names every key of a config.\n"
        'Without wtenv setup, the hook in an rc file is: eval "$(wtenv hook bash)" (or zsh);\n'
        "in fish: wtenv hook fish | source",
    )
    parser.add_argument("--version", action="version", version=f"wtenv {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)

    def add(name: str, summary: str, *aliases: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=summary, description=summary, aliases=aliases)

    add("hook", "print the hook for a shell's rc file").add_argument("shell", metavar="SHELL", help="bash, zsh or fish")
    setup = add("setup", "add the hook to a shell's rc file, in the form that starts no process")
    setup.add_argument("shell", nargs="?", metavar="SHELL", help="bash, zsh or fish (default: the one that runs this)")
    setup.add_argument("--print", action="store_true", dest="only_print", help="only print the line")
    setup.add_argument("--all-shells", action="store_true", help="every shell, and those that are not interactive")
    setup.add_argument("--undo", action="store_true", help="take the lines back")
    export = add("export", "print the activation of the current folder")
    export.add_argument("form", nargs="?", choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    export.add_argument("--directory", metavar="WORKTREE", help="instead of the current folder")
    export.add_argument("--leave", action="store_true", help="print what leaves whatever is active, for a shell")
    init = add("init", "write a config, from a conda environment's name")
    init.add_argument("source", nargs="?", metavar="SOURCE", help="a conda environment, or a file to start from")
    init.add_argument("--clone", action="store_true", help="for this clone alone, not committed")
    add("allow", "let this config take effect in every worktree of this clone")
    add("deny", "never let a config of this clone take effect")
    sync = add("sync", "build or mend the overlay", "update-editables")
    sync.add_argument("--replace", action="store_true", help="replace a .venv that wtenv did not make")
    sync.add_argument("--inexact", action="store_true", help="keep what is no longer declared")
    sync.add_argument("-p", "--package", action="append", default=[], metavar="PACKAGE", help="only this package")
    sync.add_argument("--reinstall", action="store_true", help="build also what did not change")
    sync.add_argument("--dry-run", action="store_true", help="only say what would be done")
    sync.add_argument("--check", action="store_true", help="the same; exit 1 if that is anything")
    sync.add_argument("--locked", action="store_true", help="refuse if base or config differ from wtenv.lock")
    lock = add("lock", "write down in wtenv.lock what base and overlay consist of")
    lock.add_argument("--explicit", action="store_true", help="print the locked base for conda create --file")
    verify = add("verify", "say what differs from wtenv.lock; 1 if something does")
    verify.add_argument("--json", action="store_true", help="for programs (docs/json.md)")
    run = add("run", "become a command, with the activation in effect")
    run.add_argument("--directory", metavar="FOLDER", help="go there first, as cd does")
    run.add_argument("--no-sync", action="store_true", help="take the overlay as it is; that is so without this, too")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD", help="the command and its arguments")
    status = add("status", "show what is active here and why", "info")
    status.add_argument("--json", action="store_true", help="for programs (docs/json.md)")
    listing = add("list", "show every worktree of the clone and its overlay")
    listing.add_argument("--all", action="store_true", help="of every clone that wtenv knows")
    listing.add_argument("--json", action="store_true", help="for programs (docs/json.md)")
    which = add("which", "show which layer a command, module or distribution comes from, and why")
    which.add_argument(
        "name", metavar="NAME", help="as you would type or import it; not an alias or a function of your shell"
    )
    which.add_argument("--json", action="store_true", help="for programs (docs/json.md)")
    doctor = add("doctor", "check everything, and say what mends it; exit code 1 if something is wrong")
    doctor.add_argument("--json", action="store_true", help="for programs (docs/json.md)")
    doctor.add_argument("--fix", action="store_true", help="mend what is wtenv's own, then check again")
    clean = add("clean", "remove the overlay")
    clean.add_argument("--shared", action="store_true", help="also where a stack's repositories share it")
    prune = add("prune", "forget clones, worktrees and overlays that no longer exist")
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    prune.add_argument("--all", action="store_true", help="also denials, and what may be on a disk not mounted")
    completions = add("completions", "print the completions for a shell")
    completions.add_argument("shell", metavar="SHELL", help="bash, zsh or fish")
    topic = add(
        "help", "explain a command, or every key; or what a coding agent has to know"
    )  # last: it names all others
    topics = [*commands.choices, "config", "agents"]
    topic.add_argument("topic", nargs="?", choices=topics, metavar="TOPIC", help="a command, config or agents")
    return parser


def _run(arguments: argparse.Namespace, env: Mapping[str, str]) -> int:
    command = arguments.command
    if command == "hook":
        from .commands import hook

        return hook.run(arguments.shell, env)
    if command == "setup":
        from .commands import setup
        from .hook.shells import SHELLS, find_shell

        if arguments.all_shells and not arguments.shell:
            import shutil

            chosen = [shell for name, shell in SHELLS.items() if shutil.which(name, path=env.get("PATH"))]
        else:
            chosen = [find_shell(arguments.shell or find_shell_name(env))]
        return setup.run(chosen, env, only_print=arguments.only_print, undo=arguments.undo, every=arguments.all_shells)
    if command == "completions":
        from .commands import completions

        return completions.run(arguments.shell)
    if command == "prune":
        from .commands import prune

        return prune.run(env, every=arguments.all, dry_run=arguments.dry_run)
    directory = find_directory(getattr(arguments, "directory", None), env)
    if command == "export":
        from .commands import export

        return export.run(arguments.form or find_shell_name(env), directory, env, leave=arguments.leave)
    if command == "init":
        from .commands import init

        return init.run(arguments.source, directory, env, clone=arguments.clone)
    if command in ("allow", "deny"):
        from .commands import allow

        return (allow.allow if command == "allow" else allow.deny)(directory, env)
    if command in ("sync", "update-editables"):
        from .commands import sync

        options = sync.Options(arguments.replace, arguments.inexact, arguments.reinstall, tuple(arguments.package))
        return sync.run(
            directory, env, options, dry_run=arguments.dry_run, check=arguments.check, locked=arguments.locked
        )
    if command == "lock":
        from .commands import lock

        return (lock.explicit if arguments.explicit else lock.run)(directory, env)
    if command == "verify":
        from .commands import verify

        return verify.run(directory, env, as_json=arguments.json)
    if command in ("status", "info"):
        from .commands import status

        return status.run(directory, env, _find_parent(env), as_json=arguments.json)
    if command == "list":
        from .commands import list as listing

        return listing.run(directory, env, every=arguments.all, as_json=arguments.json)
    if command == "which":
        from .commands import which

        return which.run(arguments.name, directory, env, as_json=arguments.json)
    if command == "doctor":
        from .commands import doctor
        from .hook.shells import SHELLS

        return doctor.run(
            directory,
            env,
            SHELLS.get(_find_parent(env)),
            interactive=sys.stdin.isatty(),
            as_json=arguments.json,
            fix=arguments.fix,
        )
    if command == "clean":
        from .commands import clean

        return clean.run(directory, env, shared=arguments.shared)
    raise WtenvError("run needs a command", "run: wtenv run CMD…")


def _find_parent(env: Mapping[str, str]) -> str:
    """As `find_shell_name`; "" if there is none that wtenv knows: an editor, say."""
    try:
        return find_shell_name(env)
    except WtenvError:
        return ""


def find_shell_name(env: Mapping[str, str]) -> str:
    """The shell that runs us: asked of the process tree, else the login shell."""
    try:
        import shellingham

        name: str = shellingham.detect_shell()[0]
    except Exception:  # shellingham's own error, or it isn't there, or no /proc
        name = env.get("SHELL", "")
    from .hook.shells import find_shell

    return find_shell(name).name
