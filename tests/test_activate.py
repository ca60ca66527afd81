"""`.venv/bin/activate` and `activate.fish`: what editors and their terminals source. The same as the hook's activation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from realbase import Base
from scenes import CONFIG, Scene, make_scene
from shells import HOOK_LINES, Shell, require_shell, run_script

VALUES = '[env]\nDATA_DIR = "{root}/it\'s $HOME"\nGONE = false\n'


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Scene:
    return make_scene(tmp_path_factory.mktemp("activate"), base, CONFIG + VALUES)


@pytest.fixture(params=["bash", "zsh", "fish"])
def name(request: pytest.FixtureRequest) -> str:
    return require_shell(request.param)


def source(name: str, root: Path, folder: str = "") -> str:
    file = "activate.fish" if name == "fish" else "activate"
    return f"{'source' if name == 'fish' else '.'} '{folder or root}/.venv/bin/{file}'"


def call(name: str, scene: Scene, *lines: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = run_script(name, "\n".join(lines), {**scene.home.environ, "GONE": "there"}, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


WHERE = (
    'python -c \'import os, sys, pkg; print(sys.prefix, pkg.__file__, os.environ["DATA_DIR"], "GONE" in os.environ)\''
)


@pytest.mark.parametrize("before", ["", "strict", "outside"])
def test_it_gives_what_the_hook_gives(name: str, before: str, scene: Scene) -> None:
    first = {"strict": {"zsh": "setopt err_exit no_unset pipe_fail"}.get(name, "set -euo pipefail")}.get(before, "")
    first = "" if name == "fish" else first
    cwd = Path("/") if before == "outside" else scene.root
    by_file = call(name, scene, first, source(name, scene.root), WHERE, "env | sort", cwd=cwd)
    by_export = call(
        name, scene, *_evaluate(name, f"wtenv export {name} --directory '{scene.root}'"), WHERE, "env | sort", cwd=cwd
    )
    assert by_file.stderr == ""
    lines = by_file.stdout.splitlines()
    data = f"{scene.root}/it's $HOME"
    assert lines[0] == f"{scene.root}/.venv {scene.root}/pkg/__init__.py {data} False"
    dropped = ("_=", "SHLVL=", "PWD=", "OLDPWD=")
    assert [x for x in lines if not x.startswith(dropped)] == [
        x for x in by_export.stdout.splitlines() if not x.startswith(dropped)
    ]


def _evaluate(name: str, command: str) -> list[str]:
    return [f"{command} | source"] if name == "fish" else [f'eval "$({command})"']


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("hook", [False, True], ids=["alone", "hook"])
def test_deactivate_leaves_nothing(name: str, times: int, hook: bool, scene: Scene) -> None:
    names = {"bash": "compgen -A function; compgen -v", "zsh": "print -l ${(ok)functions} ${(ok)parameters}",
             "fish": "functions -n -a; set -n"}[name]  # fmt: skip
    before = HOOK_LINES[name] if hook else "true"
    done = call(
        name, scene, before, "env | sort > before", *([source(name, scene.root)] * times), "python --version",
        "deactivate", "env | sort > after", "cmp before after && echo same", "command -v deactivate || echo gone", names,
        cwd=scene.home.path,
    )  # fmt: skip
    assert done.stdout.splitlines()[1:3] == ["same", "gone"], done
    assert "__wtenv_former" not in done.stdout


OWN = {
    "bash": "deactivate() { echo 'my own'; }",
    "zsh": "deactivate() { echo 'my own'; }",
    "fish": "function deactivate; echo 'my own'; end",
}


@pytest.mark.parametrize("times", [1, 2])
def test_the_users_own_deactivate_comes_back(name: str, times: int, scene: Scene) -> None:
    """As of a virtual environment that was active before."""
    sourced = [source(name, scene.root)] * times
    done = call(name, scene, OWN[name], *sourced, "deactivate", "deactivate", cwd=Path("/"))
    assert (done.stdout, done.stderr) == ("my own\n", "")


@pytest.mark.parametrize("words", [("bash", "--posix"), ("zsh", "--emulate", "sh")], ids=" ".join)
def test_it_comes_back_in_a_shell_that_is_called_sh(words: tuple[str, ...], scene: Scene) -> None:
    require_shell(words[0])
    lines = (OWN["bash"], source("bash", scene.root), "deactivate", "deactivate")
    done = run_script(words[0], "\n".join(lines), scene.home.environ, arguments=words[1:])
    assert (done.returncode, done.stdout, done.stderr) == (0, "my own\n", "")


def test_from_one_worktree_into_another(name: str, scene: Scene) -> None:
    look = "echo $VIRTUAL_ENV"
    done = call(
        name, scene, *(source(name, root) for root in scene.repo.worktrees), look, "deactivate", "env", cwd=Path("/")
    )
    assert done.stdout.splitlines()[0] == f"{scene.feature}/.venv"
    assert "VIRTUAL_ENV" not in done.stdout.split("\n", 1)[1]


def test_by_a_relative_path(name: str, scene: Scene) -> None:
    done = call(name, scene, "cd .venv/bin", source(name, scene.root, "../.."), "echo $VIRTUAL_ENV", cwd=scene.root)
    assert done.stdout == f"{scene.root}/.venv\n"


def test_it_says_why_nothing_is_activated(name: str, tmp_path: Path, base: Base) -> None:
    scene = make_scene(tmp_path, base)
    scene("deny", check=True)
    quiet = "" if name == "fish" else "|| true"
    done = call(
        name, scene, f"{source(name, scene.root)} {quiet}", "echo $VIRTUAL_ENV", "command -v deactivate || echo none"
    )
    assert done.stdout == "\nnone\n"
    assert done.stderr.startswith("wtenv: ")
    assert "is denied" in done.stderr
    assert done.stderr.count("\n") == 1


def test_typed_at_a_prompt_that_has_the_hook(name: str, scene: Scene) -> None:
    """A terminal of an editor: opened inside, the hook loaded, and `activate` sourced by the editor."""
    with Shell(name, scene.home.environ, scene.root) as shell:
        assert shell.run("echo $VIRTUAL_ENV").out == f"{scene.root}/.venv\n"
        shell.run(source(name, scene.root))
        assert shell.run("echo $VIRTUAL_ENV").out == f"{scene.root}/.venv\n"
        path = shell.environ()[b"PATH"]
        assert path.count(f"{scene.root}/.venv/bin".encode()) == 1
        shell.run("cd /")
        assert b"VIRTUAL_ENV" not in shell.environ()


# --- shells that have no hook --------------------------------------------------------------------------

POSIX = {"dash": ("dash",), "busybox": ("busybox", "sh"), "mksh": ("mksh",), "bash as sh": ("bash", "--posix")}


@pytest.fixture(params=POSIX)
def posix(request: pytest.FixtureRequest) -> tuple[str, ...]:
    words = POSIX[request.param]
    require_shell(words[0])
    return words


def run_posix(posix: tuple[str, ...], scene: Scene, *lines: str) -> subprocess.CompletedProcess[str]:
    env = {**scene.home.environ, "GONE": "there", "ODD": "a\nb 'c' $d\\ "}
    return run_script(posix[0], "\n".join(lines), env, cwd=Path("/"), arguments=posix[1:])


@pytest.mark.parametrize("before", ["", "set -eu"])
def test_any_posix_shell(posix: tuple[str, ...], before: str, scene: Scene) -> None:
    """The same environment as in bash, and exactly what was there after `deactivate`."""
    at = scene.root / ".venv/bin/activate"
    file = scene.home.path / "env"
    dump = f"env -0 | sort -z >{file}"
    done = run_posix(posix, scene, before, f"{dump}.0", f". {at} && {WHERE}", f"{dump}.1", f". {at}", "deactivate",
                     f"{dump}.2", "command -v deactivate __wtenv_text || echo gone")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    data = f"{scene.root}/it's $HOME"
    assert done.stdout == f"{scene.root}/.venv {scene.root}/pkg/__init__.py {data} False\ngone\n"
    call("bash", scene, before, f". {at}", f"{dump}.3", cwd=Path("/"))
    start, inside, left, as_bash = (read(Path(f"{file}.{number}")) for number in range(4))
    assert left == start
    assert {**inside, b"ODD": b""} == {**as_bash, b"ODD": b""}


def read(file: Path) -> dict[bytes, bytes]:
    pairs = (entry.partition(b"=")[::2] for entry in file.read_bytes().split(b"\0")[:-1])
    return {name: value for name, value in pairs if name not in (b"_", b"SHLVL", b"PWD", b"OLDPWD")}


def test_a_read_only_variable_costs_itself(posix: tuple[str, ...], scene: Scene) -> None:
    at = scene.root / ".venv/bin/activate"
    done = run_posix(
        posix,
        scene,
        "readonly DATA_DIR=mine",
        f". {at} 2>/dev/null && echo $VIRTUAL_ENV $DATA_DIR; deactivate; echo $?",
    )
    assert done.stdout == f"{scene.root}/.venv mine\n0\n"


def spell_failing(name: str, file: Path) -> list[str]:
    """Lines that say what a failing activation does to `&&`, to the status and to the shell."""
    status = "$status" if name == "fish" else "$?"
    return [f". '{file}' && echo went on", f"echo {status}", "command -v deactivate || echo none", "echo $VIRTUAL_ENV"]


@pytest.fixture(params=["bash", "zsh", "fish", *POSIX])
def each(request: pytest.FixtureRequest) -> tuple[str, ...]:
    words = POSIX.get(request.param, (request.param,))
    require_shell(words[0])
    return words


@pytest.fixture(scope="module")
def denied(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Scene:
    made = make_scene(tmp_path_factory.mktemp("denied"), base)
    made("deny", check=True)
    return made


def test_it_fails_where_it_is_refused(each: tuple[str, ...], denied: Scene) -> None:
    file = denied.root / ".venv/bin" / ("activate.fish" if each[0] == "fish" else "activate")
    done = run_posix(each, denied, *spell_failing(each[0], file))
    assert done.stdout == "1\nnone\n\n"
    assert done.stderr.startswith("wtenv: ") and "is denied" in done.stderr and done.stderr.count("\n") == 1


def test_it_fails_where_wtenv_is_gone(each: tuple[str, ...], scene: Scene, tmp_path: Path) -> None:
    name = "activate.fish" if each[0] == "fish" else "activate"
    text = (scene.root / ".venv/bin" / name).read_text()
    (tmp_path / name).write_text(text.replace(sys.executable, "/gone/bin/python"))
    done = run_posix(each, scene, *spell_failing(each[0], tmp_path / name))
    assert done.stdout == "1\nnone\n\n"
    assert done.stderr.startswith("wtenv: nothing is active: /gone/bin/python")  # or python3: as wtenv was installed
    assert done.stderr.endswith("is gone; install wtenv again, then run: wtenv sync\n")
