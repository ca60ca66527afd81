"""The main job in real shells: cd into a worktree, and plain python and pytest are that worktree's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Wtenv
from realbase import Base
from shells import Shell
from workspace import Repo

CONFIG = '[python]\nbase_conda_env = "{base}"\n\n[editables]\npackages = ["."]\n'
WHERE = "python -c 'import pkg; print(pkg.__file__)'"


@pytest.fixture
def ready(repo: Repo, base: Base, wtenv: Wtenv) -> Repo:
    """A repository configured, allowed once, and synced in both worktrees."""
    repo.configure(CONFIG.format(base=base.name))
    wtenv("allow", cwd=repo.root, check=True)
    for worktree in repo.worktrees:
        wtenv("sync", cwd=worktree, check=True)
    return repo


@pytest.mark.parametrize("repo", ["setuptools", "setuptools-flat", "hatchling", "flit"], indirect=True)
def test_cd_switches_worktrees(ready: Repo, open_shell: Callable[..., Shell], base: Base) -> None:
    shell = open_shell(ready.root.parent)
    shell.run("cd .")  # what `cd` itself leaves behind (OLDPWD)
    before = shell.environ()
    for worktree in (*ready.worktrees, *ready.worktrees):
        entered = shell.run(f"cd {worktree}")
        assert entered.out == f"wtenv: {worktree.name} (base {base.name})\n"
        assert shell.run(WHERE).out.strip() == str(ready.init_file(worktree))
        assert shell.run("pkg-cli").out.strip() == str(ready.init_file(worktree))
        ran = shell.run("pytest -q -s -p no:cacheprovider")
        assert str(ready.init_file(worktree)) in ran.out, ran.out
        assert ran.status == 0
    assert shell.run(f"cd {ready.root.parent}").out == ""
    assert {**shell.environ(), b"OLDPWD": b""} == {**before, b"OLDPWD": b""}
