"""pre-commit, tox and nox beside wtenv, as docs/agents.md says it: what they run in an environment of their own is not
followed into an overlay, what they take from PATH is the worktree's that they stand in."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from realbase import VERSION, Base
from scenes import CONFIG, Scene, make_scene
from test_docs import CHECKOUT, table_rows
from workspace import make_repo

PAGE = (CHECKOUT / "docs/agents.md").read_text("utf-8")
_, *ROWS = table_rows(PAGE.partition("## Hooks and test runners")[2].partition("\n## ")[0])
# Each line of the table, by the name under which the files below have it.
NAMES = {
    "pre-commit, `language: system`, `entry: pytest`": "hook-pytest",
    "pre-commit, `language: system`, `entry: env python -m pytest`": "hook-env",
    "pre-commit, `language: system`, `entry: python -m pytest`": "hook-python",
    'nox, `venv_backend="none"`, `session.run("pytest")`': "nox-pytest",
    'nox, `venv_backend="none"`, `session.run("env", "python", …)`': "nox-env",
    'nox, `venv_backend="none"`, `session.run("python", …)`': "nox-python",
    "nox, an environment of its own": "nox-own",
    "nox, an environment of its own, with a version of Python": "nox-version",
    "tox": "tox-own",
    "tox, with a version of Python": "tox-version",
}
PYTEST = "pytest -qs -p no:cacheprovider show.py"
SHOW = """\
import importlib.util
import os
import sys

found = importlib.util.find_spec("pkg")
print("seen", os.environ.get("LINE"), sys.prefix, found and found.origin)


def test_nothing():
    pass
"""
FILES = {
    "show.py": SHOW,
    ".pre-commit-config.yaml": "repos:\n  - repo: local\n    hooks:\n"
    + "".join(
        f"      - {{id: {name}, name: x, entry: {entry}, language: system, verbose: true, pass_filenames: false}}\n"
        for name, entry in {
            "hook-pytest": PYTEST,
            "hook-env": f"env python -m {PYTEST}",
            "hook-python": f"python -m {PYTEST}",
        }.items()
    ),
    "tox.ini": f"""\
[tox]
envlist = own, version
skipsdist = true
[testenv]
skip_install = true
setenv =
    LINE = tox-{{envname}}
commands = python show.py
[testenv:version]
base_python = python{VERSION}
""",
    "noxfile.py": f"""\
import nox

@nox.session
def own(session):
    session.run("python", "show.py", env={{"LINE": "nox-own"}})

@nox.session(python="{VERSION}")
def version(session):
    session.run("python", "show.py", env={{"LINE": "nox-version"}})

@nox.session(venv_backend="none")
def none(session):
    session.run(*"{PYTEST}".split(), env={{"LINE": "nox-pytest"}})
    session.run("env", "python", "show.py", env={{"LINE": "nox-env"}})
    session.run("python", "show.py", env={{"LINE": "nox-python"}})
""",
    ".gitignore": ".venv/\n__pycache__/\n*.egg-info/\n.tox/\n.nox/\n",
}
RUN = "pre-commit run --all-files; tox -q; nox -s own version none"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Scene:
    made = make_scene(tmp_path_factory.mktemp("runners"), base, sync=False)
    repo = make_repo(made.root.parent / "src", made.home)  # the package is not in the root, from where all of it starts
    made = Scene(made.home, repo, base)
    tools = made.home.path / "tools"
    tools.mkdir()
    for name in ("pre-commit", "tox", "nox"):
        (tools / name).symlink_to(Path(sys.executable).with_name(name))
    made.home.environ["PATH"] += f":{tools}"
    repo.commit(FILES)
    repo.configure(CONFIG.replace("{base}", base.name, 1))
    made("allow", check=True)
    for root in repo.worktrees:
        made("sync", cwd=root, check=True)
    return made


def test_the_table_is_whole() -> None:
    assert [row[0] for row in ROWS] == list(NAMES)


@pytest.mark.parametrize("column", [1, 2], ids=["active", "another is active"])
def test_each_line(column: int, scene: Scene) -> None:
    active, there = scene.root, scene.root if column == 1 else scene.feature
    script = f'cd {active} && eval "$(wtenv export bash)" && cd {there} && {RUN}'
    done = scene.home.run(["bash", "-c", script], scene.home.path)
    name, seen = "", {}
    for line in done.stdout.splitlines():
        if found := re.match(r"- hook id: (\S+)", line):
            name = found[1]
        elif found := re.match(r"seen (\S+) (\S+) (\S+)", line):
            seen[name if found[1] == "None" else found[1]] = found.groups()[1:]
    copies = {
        "this worktree's": (str(there / ".venv"), str(scene.repo.init_file(there))),
        "the active one's": (str(active / ".venv"), str(scene.repo.init_file(active))),
    }
    for row in ROWS:
        name = NAMES[row[0]]
        tool, _, kind = name.partition("-")
        expected = copies.get(row[column]) or (str(there / f".{tool}/{kind}"), "None")
        assert seen.get(name) == expected, (row, done.stdout, done.stderr)
