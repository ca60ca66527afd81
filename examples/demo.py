#!/usr/bin/env python3
"""A session with wtenv, typed into a real shell and printed as it happens.

    python3 examples/demo.py                     bash, on a conda environment made on the spot
    python3 examples/demo.py --shell fish        the same in fish (or zsh)
    python3 examples/demo.py --base NAME         on a conda environment of yours, which needs pytest

Needs Python 3.10, git and bash. Everything that it makes is in .cache of this checkout, and in a temporary
folder with a home of its own: your shell, your config and your conda environments stay as they are. It
exits with 1 if anything that it shows is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from shells import Result, Shell
    from workspace import Home, Repo

CHECKOUT = Path(__file__).resolve().parents[1]
SHELLS = ("bash", "zsh", "fish")
WHERE = "python -c 'import pkg; print(pkg.__file__)'"


def main() -> int:
    """Run the demo, in an environment that has wtenv and what the demo needs."""
    if sys.version_info < (3, 10):  # noqa: UP036
        stop("this needs Python 3.10 or newer; run it with that one")
    options = parse_arguments()
    for program in ("git", "bash", options.shell):
        if shutil.which(program) is None:
            stop(f"{program} is not installed")
    if not is_prepared():
        if os.environ.get("WTENV_DEMO_PYTHON"):
            stop(f"{sys.executable} lacks what was just installed into it; remove {find_cache()} and try again")
        python = prepare(find_cache())
        os.environ["WTENV_DEMO_PYTHON"] = str(python)
        os.execv(python, [str(python), __file__, *sys.argv[1:]])
    folder = Path(tempfile.mkdtemp(prefix="wtenv-demo-")).resolve()
    try:
        return show(options, folder)
    finally:
        if options.keep:
            say(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A session with wtenv in a real shell.")
    parser.add_argument("--shell", choices=SHELLS, default="bash")
    parser.add_argument("--base", metavar="NAME", help="a conda environment with pytest; default: one made on the spot")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")
    return parser.parse_args()


def say(line: str) -> None:
    print(f"demo: {line}", file=sys.stderr, flush=True)


def stop(line: str) -> NoReturn:
    say(line)
    raise SystemExit(2)


# --- a Python that has wtenv ------------------------------------------------------------------------


def find_cache() -> Path:
    """Where a second run finds what the first one made."""
    writable = os.access(CHECKOUT, os.W_OK)
    return CHECKOUT / ".cache" if writable else Path(tempfile.gettempdir(), f"wtenv-demo-cache-{os.getuid()}")


def is_prepared() -> bool:
    """Whether this Python has the checkout's wtenv and the tests' tools."""
    from importlib.util import find_spec

    wtenv = find_spec("wtenv")
    if wtenv is None or wtenv.origin is None or not Path(wtenv.origin).resolve().is_relative_to(CHECKOUT):
        return False
    return all(find_spec(name) for name in ("rattler", "pexpect", "pytest", "uv", "filelock"))


def prepare(cache: Path) -> Path:
    """A virtual environment with the checkout in it; the Python of it."""
    venv = cache / "demo-venv"
    python, stamp = venv / "bin/python", venv / "installed"
    sources = (CHECKOUT / "pyproject.toml", CHECKOUT / "src/wtenv/__init__.py")
    if stamp.exists() and python.exists() and all(stamp.stat().st_mtime > path.stat().st_mtime for path in sources):
        return python
    say(f"installing wtenv into {venv} (only the first time)")
    cache.mkdir(parents=True, exist_ok=True)
    make_venv(venv)
    if not try_run(str(python), "-m", "pip", "install", "--quiet", "--editable", f"{CHECKOUT}[test]", explain=True):
        stop("pip could not install what the demo needs; is there a package index?")
    stamp.touch()
    return python


def make_venv(venv: Path) -> None:
    """By whatever this machine has; as tests/run does it."""
    python, uv = sys.executable, shutil.which("uv")
    ways: list[list[list[str]]] = [
        [[python, "-m", "venv", str(venv)]],
        [[python, "-m", "virtualenv", "--quiet", str(venv)]],
        [[uv, "venv", "--quiet", "--seed", "--python", python, str(venv)]] if uv else [],
        [  # without ensurepip: the machine's pip fills an environment that has none
            [python, "-m", "venv", "--without-pip", str(venv)],
            [python, "-m", "pip", "--python", str(venv / "bin/python"), "install", "--quiet", "pip"],
        ],
    ]
    if os.getuid() == 0 and shutil.which("apt-get"):  # Debian and Ubuntu keep venv in a package of its own
        ways.append([["apt-get", "update"], ["apt-get", "install", "--yes", "python3-venv"], *ways[0]])
    for way in ways:
        shutil.rmtree(venv, ignore_errors=True)
        if way and way[0][0] == "apt-get":
            say("installing python3-venv")
        if way and all(try_run(*command) for command in way):
            return
    shutil.rmtree(venv, ignore_errors=True)
    stop(f"{python} can't make a virtual environment; install its venv package (Debian: apt-get install python3-venv)")


def try_run(*command: str, explain: bool = False) -> bool:
    """Whether the command succeeded; with `explain` a failure's output is shown."""
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=env, errors="replace")
    if done.returncode and explain:
        print(done.stdout + done.stderr, file=sys.stderr)
    return done.returncode == 0


# --- the session ------------------------------------------------------------------------------------


class Session:
    """A shell whose lines are printed, and whose answers are checked."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.wrong: list[str] = []

    def type(self, line: str, *checks: Callable[[Result], bool]) -> None:
        """Type one line, print it with what it printed, and note a result that fails a check."""
        result = self.shell.run(line)
        print(f"$ {line}\n{result.out}", end="", flush=True)
        if not all(check(result) for check in checks):
            self.wrong.append(line)
            print(f"^^^ wrong (status {result.status})", flush=True)


def show(options: argparse.Namespace, folder: Path) -> int:
    """Play the session; 1 if something that it showed was wrong."""
    sys.path.insert(0, str(CHECKOUT / "tests"))
    os.environ.setdefault("WTENV_TEST_CACHE", str(find_cache() / "demo"))
    os.environ.setdefault("UV_CACHE_DIR", str(find_cache() / "demo/uv"))
    from realbase import cache_folder
    from shells import Shell
    from workspace import Home, make_repo

    home = Home.make(folder / "home", cache_folder())
    add_programs(home, "git", options.shell)
    base = choose_base(options.base, home)
    repo = make_repo(folder, home)
    with Shell(options.shell, home.environ, folder) as shell:
        shell.run("stty cols 80")
        shell.run("cd .")  # so that the comparison below is not about OLDPWD
        before = shell.environ()
        session = Session(shell)
        play(session, repo, base)
        unchanged = {**shell.environ(), b"OLDPWD": b""} == {**before, b"OLDPWD": b""}
    print(
        f"\nThe environment after leaving is {'the same' if unchanged else 'NOT the same'}, byte for byte, as before."
    )
    for line in session.wrong:
        say(f"wrong: {line}")
    return 0 if unchanged and not session.wrong else 1


TEST_NEW = "from pkg.new import ANSWER\n\n\ndef test_answer():\n    assert ANSWER == 42\n"


def play(session: Session, repo: Repo, base: str) -> None:
    """The lines, with what each has to print."""
    main, feature = repo.worktrees

    def ok(result: Result) -> bool:
        return result.status == 0

    def says(*words: object) -> Callable[[Result], bool]:
        return lambda result: all(str(word) in result.out for word in words)

    def prints(line: object) -> Callable[[Result], bool]:
        return lambda result: result.out.strip() == str(line)

    comment("A repository with two worktrees, main and feature. Once: a config for the whole clone.")
    session.type("cd main")
    session.type(f"wtenv init --clone {base}", ok, says("wrote", "wtenv: main (base"))
    comment("From now on plain commands are this worktree's.")
    session.type(WHERE, ok, prints(repo.init_file(main)))
    session.type("pytest -q", ok, says("1 passed"))
    comment("The other worktree is ready by itself: same clone, same config, and what was built for main.")
    session.type("cd ../feature", ok, says("from kept builds", "wtenv: feature (base"))
    session.type(WHERE, ok, prints(repo.init_file(feature)))
    repo.commit({"src/pkg/new.py": "ANSWER = 42\n", "tests/test_new.py": TEST_NEW}, "a module of the branch", feature)
    comment("Its branch gets a module of its own, and a test.")
    session.type("pytest -q", ok, says("2 passed"))
    comment("Back and forth, and on one line.")
    session.type(f"cd ../main && {WHERE}", ok, says(repo.init_file(main)))
    session.type("cd ../feature && pytest -q", ok, says("wtenv: feature (base", "2 passed"))
    session.type("pkg-cli", ok, prints(repo.init_file(feature)))
    comment("Outside, nothing is left.")
    session.type("cd ..", ok, prints(""))
    session.type("env | grep -c -e WTENV_ -e VIRTUAL_ENV -e CONDA_", prints("0"))


def comment(text: str) -> None:
    print(f"\n# {text}", flush=True)


def add_programs(home: Home, *names: str) -> None:
    """Programs that are not where the home's PATH looks."""
    tools = Path(home.environ["PATH"].split(":")[0])
    for name in names:
        found = shutil.which(name)
        if shutil.which(name, path=home.environ["PATH"]) is None and found:
            (tools / name).symlink_to(found)


def choose_base(name: str | None, home: Home) -> str:
    """The environment to use, in the words of `wtenv init`."""
    from realbase import cache_folder, shared_base

    if name is None:
        if not list(cache_folder().glob("*/installed")):
            say("making a conda environment (only the first time)")
        base = shared_base(cache_folder())
        home.add_envs_dir(base.prefix.parent)
        return base.name
    from wtenv.conda import find_base
    from wtenv.errors import WtenvError

    try:
        prefix = Path(find_base(name, os.environ, Path.cwd()).prefix)
    except WtenvError as error:
        stop(str(error))
    if not (prefix / "bin/pytest").exists():
        stop(f"{prefix} has no pytest; name an environment that has one")
    return str(prefix)


if __name__ == "__main__":
    raise SystemExit(main())
