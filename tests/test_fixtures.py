"""The fixtures are what they claim to be: everything else in this folder rests on them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from condapackage import PLACEHOLDER
from realbase import Base, Root, copy_base, open_store
from scenes import Scene, Templates, make_scene, snapshot
from shells import SHELLS, Result, Shell, and_then, quote, run_script, set_variable, status_word, unset_variable
from workspace import BACKENDS, Home, Repo, make_repo

from wtenv.overlay import registry

NASTY = b" two\nlines 'single' \"double\" $HOME `id` \\ -- \xff\xc3\xa9 \t* ~ # ! & ; | < > ( ) [ ] { } % ^ ="


# --- the conda environment ------------------------------------------------------------------------


def test_base_is_a_conda_environment(base: Base) -> None:
    assert (base.root / "conda-meta/history").is_file()
    assert base.prefix == base.root / "envs" / base.name
    assert "+local/" in base.history.read_text()
    records = [json.loads(path.read_text()) for path in (base.prefix / "conda-meta").glob("*.json")]
    names = {record["name"] for record in records}
    assert {"python", "pip", "pytest", "setuptools", "numpy", "hatchling", "flit-core", "envtools"} <= names
    for record in records:
        assert all((base.prefix / file).exists() for file in record["files"]), record["name"]


def test_base_python_runs_on_its_own_prefix(base: Base, home: Home) -> None:
    code = "import sys, os, numpy.testing, ssl, ctypes; print(sys.prefix, os.__file__, numpy.__file__)"
    printed = home.run([base.python, "-c", code], home.path, check=True).stdout.split()
    assert printed[0] == str(base.prefix)
    assert all(Path(line).is_relative_to(base.prefix) for line in printed)


@pytest.mark.parametrize("script", ["pytest", "pip", "f2py", "hatchling", "envtools-prefix"])
def test_base_scripts_run_on_the_prefix(base: Base, home: Home, script: str) -> None:
    first = (base.bin / script).read_text().splitlines()[0]
    assert first.startswith(f"#!{base.prefix}/bin/python"), first
    words = [] if script == "envtools-prefix" else [{"f2py": "-v", "hatchling": "-h"}.get(script, "--version")]
    home.run([base.bin / script, *words], home.path, check=True)


def test_base_prefix_was_replaced_everywhere(base: Base) -> None:
    assert (base.prefix / "share/envtools/prefix.txt").read_text() == f"{base.prefix}\n"
    assert not [path for path in base.bin.iterdir() if PLACEHOLDER.encode() in path.read_bytes()]


def test_base_snapshot_sees_a_write(fresh_base: Base) -> None:
    before = fresh_base.snapshot()
    assert fresh_base.snapshot() == before
    (fresh_base.site_packages / "new.py").touch()
    assert fresh_base.snapshot() != before


def test_fresh_base_is_independent(base: Base, fresh_base: Base, home: Home) -> None:
    before = base.snapshot()
    code = "import sys, pytest, numpy; print(sys.prefix, pytest.__file__, numpy.__file__)"
    printed = home.run([fresh_base.python, "-c", code], home.path, check=True).stdout.split()
    assert printed[0] == str(fresh_base.prefix)
    assert all(Path(line).is_relative_to(fresh_base.prefix) for line in printed)
    home.run([fresh_base.bin / "pytest", "--version"], home.path, check=True)
    for path in (fresh_base.bin / "pytest", fresh_base.history, fresh_base.prefix / "etc/conda/activate.d/envtools.sh"):
        path.write_text("changed")
    shutil.rmtree(fresh_base.site_packages / "numpy")
    assert base.snapshot() == before
    assert not [path for path in fresh_base.bin.iterdir() if str(base.prefix).encode() in path.read_bytes()]


def test_another_environment_of_chosen_packages(base: Base, tmp_path: Path, home: Home) -> None:
    root = Root(tmp_path / "root", open_store(base.root.parent.parent))
    made = root.install("small", ["python", "envtools"], compiled=False)
    assert home.run([made.bin / "envtools-isolated"], home.path, check=True).stdout == f"{made.prefix}\n"
    assert not (made.bin / "pytest").exists()


def test_a_long_prefix_gets_the_trampoline(base: Base, tmp_path: Path, home: Home) -> None:
    root = Root(tmp_path / ("long" * 40), open_store(base.root.parent.parent))
    made = root.install("long", ["python", "envtools", "pluggy", "iniconfig", "wheel", "packaging"], compiled=False)
    assert (made.bin / "wheel").read_text().startswith("#!/bin/sh\n'''exec'")
    home.run([made.bin / "wheel", "version"], home.path, check=True)


def test_activation_scripts_work(base: Base) -> None:
    environ = {"PATH": "/usr/bin:/bin", "CONDA_PREFIX": str(base.prefix), "ENVTOOLS_HOME": "mine", "HOME": "/"}
    scripts = [base.prefix / f"etc/conda/{kind}.d/envtools.sh" for kind in ("activate", "deactivate")]
    show = 'echo "$ENVTOOLS_HOME ${ENVTOOLS_PATH-unset}"'
    text = f". {scripts[0]}; {show}; . {scripts[1]}; {show}"
    entered, left = run_script("bash", text, environ).stdout.splitlines()
    assert entered == f"{base.prefix}/share/envtools {base.prefix}/lib/envtools"
    assert left == "mine unset"


# --- the repository -------------------------------------------------------------------------------


def test_repo_has_a_linked_worktree(repo: Repo) -> None:
    assert (repo.root / ".git").is_dir()
    assert (repo.feature / ".git").is_file()
    listed = repo.git("worktree", "list", "--porcelain")
    assert f"worktree {repo.root}\n" in listed and f"worktree {repo.feature}\n" in listed
    assert repo.git("status", "--porcelain") == ""
    assert repo.git("config", "user.email") == "test@example.org"
    assert all(repo.init_file(worktree).is_file() for worktree in repo.worktrees)


def test_repo_configure_reaches_both_worktrees(repo: Repo) -> None:
    repo.configure("[python]\n")
    third = repo.add_worktree("third")
    assert [(path / "wtenv.toml").read_text() for path in (*repo.worktrees, third)] == ["[python]\n"] * 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_repo_builds_with_what_the_base_has(fresh_base: Base, home: Home, tmp_path: Path, backend: str) -> None:
    repo = make_repo(tmp_path / "work", home, backend)
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(repo.feature)]
    home.run([fresh_base.python, *words], home.path, check=True)
    assert home.run([fresh_base.bin / "pkg-cli"], home.path, check=True).stdout == f"{repo.init_file(repo.feature)}\n"


def test_home_is_isolated(home: Home) -> None:
    real = str(Path.home())
    assert not [name for name, value in home.environ.items() if value.startswith(real) and name != "UV_CACHE_DIR"]
    assert not [name for name in home.environ if name.startswith(("XDG_", "CONDA", "VIRTUAL_ENV", "PYTHON"))]


def test_a_template_comes_back_as_it_was_built(templates: Templates, base: Base) -> None:
    def get() -> Scene:
        made = templates.get("fixtures", lambda place: make_scene(place, copy_base(base, place / "miniforge3", "own")))
        assert isinstance(made, Scene)
        return made

    scene = get()
    record = registry.record_path(scene.root / ".venv", scene.home.environ)
    before = snapshot(scene.home.path, scene.repo.root.parent, scene.base.prefix)
    assert scene("status", check=True).stdout
    shutil.rmtree(scene.feature / ".venv")
    (scene.root / "more").mkdir()
    scene.home.environ["MORE"] = "1"
    scene.base.history.write_text("")
    again = get()
    after = snapshot(again.home.path, again.repo.root.parent, again.base.prefix)
    differing = {place for place in {*before, *after} if before.get(place) != after.get(place)}
    records = {str(file) for file in record.parent.glob("*.json")}
    assert differing == {str(record.parent), *records}, "of each overlay, its folder's inode"
    assert "MORE" not in again.home.environ
    for worktree in again.repo.worktrees:
        assert again("sync", cwd=worktree, check=True).stderr == "wtenv: nothing to do\n"


# --- shells ---------------------------------------------------------------------------------------


SLOW = 'sh -c "echo loading; exec sleep 60"'  # says so once it is the terminal's foreground process
OpenShell = Callable[..., Shell]


def test_shell_output_and_status(open_shell: OpenShell, home: Home) -> None:
    shell = open_shell(home.path, hook=False)
    assert shell.startup == Result("", 0)
    assert shell.run("echo hi") == Result("hi\n", 0)
    assert shell.run("false") == Result("", 1)
    assert shell.run("printf 'no newline'; echo to stderr >&2") == Result("no newlineto stderr\n", 0)
    assert shell.run("") == Result("", 0)
    assert shell.run(and_then("cd /", "pwd", "false", "echo never")) == Result("/\n", 1)
    assert shell.run(f"echo {'x' * 1000}") == Result("x" * 1000 + "\n", 0)
    assert shell.run(f"false; echo {status_word(shell.name)}").out == "1\n"
    shell.type("exit 7")
    assert shell.wait() == 7


def test_shell_shows_what_happens_at_the_prompt(open_shell: OpenShell, shell_name: str, home: Home) -> None:
    at_prompt = {
        "bash": "PROMPT_COMMAND='echo at the prompt'",
        "zsh": "precmd() { echo at the prompt }",
        "fish": "function at_prompt --on-event fish_prompt; echo at the prompt; end",
    }[shell_name]
    shell = open_shell(home.path, hook=False, after=at_prompt)
    assert shell.startup.out == "at the prompt\n"
    assert shell.run("false") == Result("at the prompt\n", 1)
    assert shell.run("echo hi") == Result("hi\nat the prompt\n", 0)


def test_shell_survives_ctrl_c(open_shell: OpenShell, home: Home) -> None:
    shell = open_shell(home.path, hook=False)
    shell.type(SLOW)
    shell.expect("loading")
    shell.press("\x03")
    assert shell.finish().status == 130
    assert shell.run("echo hi") == Result("hi\n", 0)


def test_shell_survives_ctrl_c_before_the_prompt(open_shell: OpenShell, shell_name: str, home: Home) -> None:
    body = f"test -e slow && rm slow && {SLOW}"
    at_prompt = {
        "bash": f"PROMPT_COMMAND='{body}'",
        "zsh": f"precmd() {{ {body} }}",
        "fish": f"function at_prompt --on-event fish_prompt; {body}; end",
    }[shell_name]
    shell = open_shell(home.path, hook=False, before=at_prompt)
    shell.type("touch slow")
    shell.expect("loading")
    shell.press("\x03")
    shell.finish()
    assert shell.run("echo hi") == Result("hi\n", 0)
    assert shell.run("false") == Result("", 1)


@pytest.mark.parametrize("value", [NASTY, b"", b"-n", b"\xff", b"plain", b"a\n", b"'", b"1 2"])
def test_shell_environ_is_exact(open_shell: OpenShell, shell_name: str, home: Home, value: bytes) -> None:
    shell = open_shell(home.path, hook=False, env={"GIVEN": value.decode("utf-8", "surrogateescape")})
    before = shell.environ()
    assert before[b"GIVEN"] == value
    assert before[b"HOME"] == str(home.path).encode()
    assert shell.run(set_variable(shell_name, "TYPED", value)) == Result("", 0)
    assert shell.run(set_variable(shell_name, "UNSEEN", value, export=False)) == Result("", 0)
    assert shell.environ() == {**before, b"TYPED": value}
    assert shell.run(unset_variable(shell_name, "TYPED")) == Result("", 0)
    assert shell.environ() == before


@pytest.mark.parametrize("inner", SHELLS)
def test_shells_nest(open_shell: OpenShell, home: Home, inner: str) -> None:
    shell = open_shell(home.path, hook=False)
    if shutil.which(inner, path=home.environ["PATH"]) is None:
        pytest.skip(f"{inner} is not installed")
    assert shell.run(inner) == Result("", 0)
    assert shell.run("echo inside") == Result("inside\n", 0)
    assert shell.run("exit 3").status == 3
    assert shell.run("echo outside") == Result("outside\n", 0)


def test_shell_failure_shows_the_transcript(open_shell: OpenShell, home: Home) -> None:
    shell = open_shell(home.path, hook=False)
    shell.run("echo a clue")
    with pytest.raises(AssertionError, match="a clue"):
        shell.run("exit")


def test_scripts_run(shell_name: str, home: Home) -> None:
    done = run_script(shell_name, f"echo {quote(shell_name, NASTY)}; exit 5", home.environ)
    assert (done.returncode, done.stderr) == (5, "")
    assert done.stdout.encode("utf-8", "surrogateescape") == NASTY + b"\n"


# --- the command and the test runner --------------------------------------------------------------


def test_runner_is_executable_bash() -> None:
    for runner in (Path(__file__).with_name("run"), Path(__file__).parents[1] / ".ci/run"):
        assert runner.stat().st_mode & 0o111
        subprocess.run(["bash", "-n", runner], check=True)
