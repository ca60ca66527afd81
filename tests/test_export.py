"""`wtenv export` in scripts: each form read back by what it is meant for."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import dotenv
import pytest
from realbase import Base
from scenes import CONFIG, Scene, make_scene, one_line
from shells import require_shell, run_script

from wtenv import environ
from wtenv.commands.export import render_dotenv, render_github

EXTRA = r"""
[env]
DATA_DIR = "{root}/data"
OLD_FLAG = false
EMPTY = ""
TEXT = "one\ntwo\n\n three"
QUOTES = "a'b\"c\\d $HOME $(touch oops) `touch oops` {x} %s"
DASH = "-n"
[activation]
path = ["scripts"]
dotenv = ["local.env"]
"""
LOCAL = b"BYTES='caf\xe9 \xff'\nUNICODE='\xe6\x97\xa5 \xc3\xbc'\n"
WHERE = "python -c 'import pkg; print(pkg.__file__)'"


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    made = make_scene(tmp_path_factory.mktemp("export"), base, CONFIG + EXTRA)
    for worktree in made.repo.worktrees:
        (worktree / "local.env").write_bytes(LOCAL)
    made("allow", check=True)
    return made


def expected(scene: Scene, worktree: Path) -> dict[str, str]:
    return {
        "DATA_DIR": f"{worktree}/data",
        "EMPTY": "",
        "TEXT": "one\ntwo\n\n three",
        "QUOTES": "a'b\"c\\d $HOME $(touch oops) `touch oops` {x} %s",
        "DASH": "-n",
        "BYTES": os.fsdecode(b"caf\xe9 \xff"),
        "UNICODE": "日 ü",
        "VIRTUAL_ENV": f"{worktree}/.venv",
        "CONDA_PREFIX": str(scene.base.prefix),
        "ENVTOOLS_MODE": "shared",
        "ENVTOOLS_NOTE": "its own $HOME, `kept`",
        "PATH": f"{worktree}/scripts:{worktree}/.venv/bin:{scene.base.prefix}/bin:{scene.home.environ['PATH']}",
    }


def check(found: dict[str, str], scene: Scene, worktree: Path) -> None:
    wanted = expected(scene, worktree)
    assert {name: found.get(name) for name in wanted} == wanted
    assert not (worktree / "oops").exists()


def inside(scene: Scene, worktree: Path) -> dict[str, str]:
    """The environment of a program in a shell where `worktree` is active."""
    changes = json.loads(scene("export", "json", cwd=worktree, check=True).stdout)
    return {name: value for name, value in {**scene.home.environ, **changes}.items() if value is not None}


@pytest.mark.parametrize("where", ["outside", "here", "there"])
def test_json(where: str, scene: Scene) -> None:
    env = {**scene.home.environ, "OLD_FLAG": "1", "KEPT": "1"}
    if where != "outside":
        env |= inside(scene, scene.root if where == "here" else scene.feature)
    done = scene("export", "json", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    changes = json.loads(done.stdout)
    assert done.stdout.isascii()  # bytes that are not UTF-8 are escaped as lone surrogates
    found = {name: value for name, value in {**env, **changes}.items() if value is not None}
    check(found, scene, scene.root)
    assert "OLD_FLAG" not in found
    assert "KEPT" not in changes
    assert changes["OLD_FLAG"] is None
    assert environ.undo(found) == {**scene.home.environ, "OLD_FLAG": "1", "KEPT": "1"}


def test_json_where_it_is_active_already(scene: Scene) -> None:
    """Everything that entering changes, so that a program need not know what its own shell has active."""
    outside = json.loads(scene("export", "json", check=True).stdout)
    assert json.loads(scene("export", "json", env=inside(scene, scene.root), check=True).stdout) == outside


@pytest.mark.parametrize("where", ["outside", "there"])
def test_dotenv(where: str, scene: Scene) -> None:
    env = {**scene.home.environ, **(inside(scene, scene.feature) if where == "there" else {})}
    text = scene("export", "dotenv", env=env, check=True).stdout
    found = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)
    assert None not in found.values()
    check({**env, **{name: value or "" for name, value in found.items()}}, scene, scene.root)
    assert not [name for name in found if name.startswith("WTENV_")]


def read_github(text: str) -> dict[str, str]:
    """GITHUB_ENV as the runner reads it: NAME=VALUE, or NAME<<DELIMITER, lines, DELIMITER."""
    lines = iter(text.removesuffix("\n").split("\n"))
    found = {}
    for line in lines:
        name, mark, delimiter = line.partition("<<")
        if not mark or "=" in name:
            name, mark, value = line.partition("=")
            assert mark, line
            found[name] = value
            continue
        assert name
        assert delimiter
        content = []
        for inner in lines:
            if inner == delimiter:
                break
            content.append(inner)
        else:
            raise AssertionError(f"no {delimiter}")
        found[name] = "\n".join(content)
    return found


def test_github(scene: Scene) -> None:
    env = {**scene.home.environ, "OLD_FLAG": "1"}
    found = read_github(scene("export", "gha", env=env, check=True).stdout)
    check(found, scene, scene.root)
    assert found["OLD_FLAG"] == ""  # the format knows no "unset"
    assert found["WTENV_ROOT"] == str(scene.root)


VALUES = [
    "",
    "a",
    "a\nb",
    "\n",
    "a\n",
    "\n\na",
    "X<<Y\nZ\nY",
    "a=b",
    "'",
    "''\\'",
    "\\",
    "\\n",
    '"',
    "$HOME ${HOME}",
    "# no",
    " a ",
    "\t",
    "é日\udcff",
    "a\r\nb",
    "\r",
    "-",
    "=",
    "export X=1",
    "%0A",
    "::set-env::",
    "#{x}",
]


@pytest.mark.parametrize("value", VALUES)
def test_values_read_back(value: str) -> None:
    changes = {"A": value, "B": None, "WTENV_ROOT": "/x", "C": "end"}
    read = dotenv.dotenv_values(stream=io.StringIO(render_dotenv(changes)), interpolate=False)
    assert read == {"A": value, "C": "end"}
    assert read_github(render_github(changes)) == {"A": value, "B": "", "WTENV_ROOT": "/x", "C": "end"}


# --- shells -------------------------------------------------------------------------------------

LOAD = {
    "bash": 'eval "$(wtenv export bash)"',
    "zsh": 'eval "$(wtenv export zsh)"',
    "fish": "wtenv export fish | source",
}
DUMP = "/usr/bin/env -0"


def split(text: str) -> dict[str, str]:
    return dict(item.partition("=")[::2] for item in text.split("\0") if "=" in item)


@pytest.fixture(params=LOAD)
def name(request: pytest.FixtureRequest) -> str:
    return require_shell(request.param)


@pytest.mark.parametrize("where", ["outside", "here", "there"])
def test_a_script_without_the_hook(where: str, name: str, scene: Scene) -> None:
    env = {**scene.home.environ, "OLD_FLAG": "1"}
    if where != "outside":
        env = {**env, **inside(scene, scene.root if where == "here" else scene.feature)}
    done = run_script(name, f"{LOAD[name]}\n{WHERE} >&2\n{DUMP}", env, cwd=scene.root)
    assert (done.returncode, done.stderr) == (0, f"{scene.repo.init_file(scene.root)}\n")
    found = split(done.stdout)
    check(found, scene, scene.root)
    assert f"{scene.feature}/.venv" not in done.stdout


@pytest.mark.parametrize("options", ["set -eu", "set -euo pipefail", "set -e; set -u; set -f"])
@pytest.mark.parametrize("name", ["bash", "zsh"], indirect=True)
def test_strict_scripts(options: str, name: str, scene: Scene) -> None:
    done = run_script(name, f"{options}\n{LOAD[name]}\n{WHERE}", scene.home.environ, cwd=scene.root)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{scene.repo.init_file(scene.root)}\n")


def test_a_script_stops_where_there_is_nothing(name: str, scene: Scene) -> None:
    text = "wtenv export fish" if name == "fish" else f"set -e; x=$(wtenv export {name}); echo unreached"
    done = run_script(name, text, scene.home.environ, cwd=scene.root.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not in a git worktree" in done.stderr


def test_leaving_in_a_script(name: str, scene: Scene) -> None:
    done = run_script(name, f"{DUMP}; {LOAD[name]}; __wtenv_leave; {DUMP}; true", scene.home.environ, cwd=scene.root)
    assert (done.returncode, done.stderr) == (0, "")
    items = [item for item in done.stdout.split("\0") if item]
    half = len(items) // 2
    assert sorted(items[:half]) == sorted(items[half:])


def test_each_worktree_in_turn(name: str, scene: Scene) -> None:
    text = "; ".join(f"cd {folder}; {LOAD[name]}; {WHERE}" for folder in (*scene.repo.worktrees, scene.root))
    done = run_script(name, text, scene.home.environ, cwd=scene.root)
    files = [scene.repo.init_file(folder) for folder in (*scene.repo.worktrees, scene.root)]
    assert (done.stdout.split(), done.stderr) == ([str(file) for file in files], "")


def test_the_shell_is_found_out(name: str, scene: Scene) -> None:
    done = run_script(name, "wtenv export; true", scene.home.environ, cwd=scene.root)
    other = run_script(name, f"wtenv export {name}; true", scene.home.environ, cwd=scene.root)
    assert (done.returncode, done.stdout) == (0, other.stdout)


def test_another_folder(scene: Scene) -> None:
    done = scene("export", "--directory", scene.feature / "tests", "json", cwd=scene.root.parent, check=True)
    assert json.loads(done.stdout)["VIRTUAL_ENV"] == f"{scene.feature}/.venv"


@pytest.mark.parametrize("form", ["json", "dotenv", "gha", "bash"])
def test_nothing_is_written(form: str, scene: Scene) -> None:
    cache = scene.home.path / ".cache"
    scene("export", form, check=True)
    assert not list(cache.rglob("%wtenv*"))


def test_nothing_to_export(scene: Scene, tmp_path: Path) -> None:
    for form in ("json", "dotenv", "gha", "bash", "fish"):
        assert "is not in a git worktree" in one_line(scene("export", form, cwd=tmp_path))
