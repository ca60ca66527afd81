"""The examples, each run as its comments say: on a real conda environment called myproject-shared."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Wtenv
from realbase import Base, cache_folder
from shells import Shell, run_script
from workspace import Home, Repo

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
WHERE = "import pkg; print(pkg.__file__)"


@pytest.fixture
def named(home: Home, base: Base, tmp_path: Path) -> Path:
    """The base, also by the name that the examples give it; its prefix."""
    prefix = tmp_path / "envs" / "myproject-shared"
    prefix.parent.mkdir()
    prefix.symlink_to(base.prefix)
    home.add_envs_dir(prefix.parent)
    return prefix


@pytest.fixture
def configured(repo: Repo, named: Path, wtenv: Wtenv) -> Repo:
    """A repository with the example `repo`, allowed, and synced in both worktrees."""
    assert named.name in (EXAMPLES / "repo/wtenv.toml").read_text()
    repo.configure((EXAMPLES / "repo/wtenv.toml").read_text())
    wtenv("allow", cwd=repo.root, check=True)
    for worktree in repo.worktrees:
        wtenv("sync", cwd=worktree, check=True)
    return repo


def test_repo(configured: Repo, wtenv: Wtenv, named: Path) -> None:
    for worktree in configured.worktrees:
        found = wtenv("run", "python", "-c", WHERE, cwd=worktree, check=True).stdout
        assert found.strip() == str(configured.init_file(worktree))
        assert wtenv("run", "pytest", "-q", cwd=worktree).returncode == 0
    prefix = wtenv("run", "printenv", "CONDA_PREFIX", cwd=configured.root, check=True).stdout
    assert prefix.strip() == str(named)


@pytest.mark.usefixtures("named")
def test_clone(repo: Repo, wtenv: Wtenv) -> None:
    shutil.copy(EXAMPLES / "clone/wtenv.toml", repo.root / ".git")
    wtenv("allow", cwd=repo.root, check=True)
    later = repo.add_worktree("later")
    wtenv("sync", cwd=later, check=True)
    found = wtenv("run", "python", "-c", WHERE, cwd=later, check=True).stdout
    assert found.strip() == str(repo.init_file(later))
    assert repo.git("status", "--porcelain", cwd=later) == ""


@pytest.mark.usefixtures("named")
def test_stack(home: Home, wtenv: Wtenv, tmp_path: Path) -> None:
    folder = tmp_path / "backend"
    shutil.copytree(EXAMPLES / "stack", folder)
    roots = [folder / name for name in ("api", "worker")]
    for root in roots:
        (root / "pyproject.toml").write_text(
            '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
            f'[project]\nname = "{root.name}"\nversion = "1.0"\n'
        )
        (root / root.name).mkdir()
        (root / root.name / "__init__.py").write_text("")
        home.run(["git", "init", "--quiet"], root, check=True)
        wtenv("allow", cwd=root, check=True)
    wtenv("sync", cwd=roots[0], check=True)
    for root in roots:
        done = wtenv("run", "python", "-c", "import os, api, worker; print(api.__file__, os.getcwd())", cwd=root)
        assert done.stdout.split() == [str(folder / "api/api/__init__.py"), str(root)], done.stderr
    assert (folder / ".venv").is_dir()
    assert wtenv("clean", cwd=roots[1]).returncode == 2
    wtenv("clean", "--shared", cwd=roots[1], check=True)
    assert not (folder / ".venv").exists()


@pytest.mark.usefixtures("named")
def test_variables(repo: Repo, wtenv: Wtenv, open_shell: Callable[..., Shell]) -> None:
    shutil.copytree(EXAMPLES / "variables", repo.root, dirs_exist_ok=True)
    wtenv("allow", cwd=repo.root, check=True)
    wtenv("sync", cwd=repo.root, check=True)
    shell = open_shell(repo.root.parent, env={"OLD_FLAG": "1", "MODE": "mine"})
    shell.run(f"cd {repo.root}")
    inside = shell.environ()
    assert inside[b"DATA_DIR"] == os.fsencode(repo.root / "data")
    assert inside[b"MODE"] == b"from [env]"
    assert inside[b"GREETING"] == b"costs $5, `really`"
    assert b"OLD_FLAG" not in inside
    assert shell.run("where-data").out == f"data is in {repo.root}/data\n"
    shell.run("cd ..")
    outside = shell.environ()
    assert (outside[b"OLD_FLAG"], outside[b"MODE"]) == (b"1", b"mine")
    assert not {b"DATA_DIR", b"GREETING"} & outside.keys()


def test_script(configured: Repo, home: Home, wtenv: Wtenv) -> None:
    script = EXAMPLES / "script/test-worktrees.sh"
    done = home.run([script, "-s"], configured.root)
    assert done.returncode == 0, done.stdout + done.stderr
    for worktree in configured.worktrees:
        assert f"== {worktree}\n" in done.stdout
        assert str(configured.init_file(worktree)) in done.stdout
    wtenv("clean", cwd=configured.feature, check=True)
    shutil.rmtree(home.path / ".cache/wtenv/builds")  # else it would be made anew, of these
    failed = home.run([script], configured.root)
    assert failed.returncode != 0
    assert "wtenv sync" in failed.stderr


def test_ci(configured: Repo, home: Home) -> None:
    """The workflow's own lines, each as a step: a new bash, with what GITHUB_ENV has gathered so far."""
    text = (EXAMPLES / "ci/github.yml").read_text()
    steps = [step for step in re.findall(r"^ +- run: (.+)$", text, re.M) if not step.startswith("pipx ")]
    assert steps[-3:] == ['wtenv export gha >> "$GITHUB_ENV"', "pytest -q", "pkg-cli"]
    gathered = home.path / "github-env"
    gathered.touch()
    env = {**home.environ, "GITHUB_ENV": str(gathered)}
    for step in steps:
        done = run_script("bash", step, env, cwd=configured.root, arguments=("-e", "-o", "pipefail"))
        assert done.returncode == 0, done.stdout + done.stderr
        for name, mark, value in re.findall(r"^(\w+)<<(\S+)\n(.*?)\n\2$", gathered.read_text(), re.M | re.S):
            assert mark not in value
            env[name] = value
    assert done.stdout.strip() == str(configured.init_file(configured.root))


def test_vscode(configured: Repo, home: Home) -> None:
    """What VS Code does with the settings: start that Python, without any activation."""
    settings = json.loads((EXAMPLES / "vscode/settings.json").read_text())
    for worktree in configured.worktrees:
        python = settings["python.defaultInterpreterPath"].replace("${workspaceFolder}", str(worktree))
        command = [python, "-m", "pytest", "-q", "-s", *settings["python.testing.pytestArgs"]]
        done = home.run(command, worktree, check=True)
        assert str(configured.init_file(worktree)) in done.stdout


@pytest.mark.usefixtures("base")
def test_demo(shell_name: str, tmp_path: Path) -> None:
    env = {**os.environ, "WTENV_TEST_CACHE": str(cache_folder()), "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--shell", shell_name]
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "$ pytest -q\n" in done.stdout
    assert list(tmp_path.glob("wtenv-demo-*")) == []


def test_demo_with_a_base_of_the_users(base: Base, tmp_path: Path) -> None:
    env = {**os.environ, "WTENV_TEST_CACHE": str(cache_folder()), "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--base"]
    done = subprocess.run([*command, str(base.prefix)], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run([*command, str(tmp_path / "none")], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert list(tmp_path.glob("wtenv-demo-*")) == []


def test_every_example_is_listed() -> None:
    listed = set(re.findall(r"\]\((\w+)", (EXAMPLES / "README.md").read_text()))
    assert listed == {path.stem for path in EXAMPLES.iterdir() if path.name not in ("README.md", "__pycache__")}
