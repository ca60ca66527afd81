"""wtenv installed into an environment of conda's, which is active: in a worktree, where conda's own rules take that off
PATH, `wtenv` is found all the same, by whoever asks, and hides no other."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from realbase import Base
from scenes import CONFIG
from shells import Shell
from workspace import Home, Repo

SOURCE = Path(__file__).resolve().parents[1] / "src"


@pytest.fixture
def program(fresh_base: Base, home: Home, repo: Repo) -> Path:
    """wtenv in `fresh`, as `pip install` puts it there; nowhere else."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (fresh_base.site_packages / "wtenv-for-tests.pth").write_text("\n".join([str(SOURCE), *packages]) + "\n")
    made = fresh_base.bin / "wtenv"
    made.write_text(f"#!{fresh_base.python}\nimport sys\nfrom wtenv.cli import main\nsys.exit(main())\n")
    made.chmod(0o755)
    (Path(home.environ["PATH"].split(":")[0]) / "wtenv").unlink()
    repo.configure(CONFIG.format(base="shared"))
    return made


@pytest.fixture
def active(fresh_base: Base, program: Path, home: Home) -> Mapping[str, str]:
    """The environment that `conda activate fresh` leaves."""
    return {
        "PATH": f"{fresh_base.bin}:{home.environ['PATH']}",
        "CONDA_PREFIX": str(fresh_base.prefix),
        "CONDA_DEFAULT_ENV": "fresh",
        "CONDA_SHLVL": "1",
    }


def test_in_a_shell(
    shell_name: str, program: Path, active: Mapping[str, str], repo: Repo, home: Home, open_shell: Callable[..., Shell]
) -> None:
    home.run([program, "allow"], repo.root, env=active, check=True)
    home.run([program, "sync"], repo.root, env=active, check=True)
    shell = open_shell(repo.root.parent, env=active)
    shell.run("cd / && cd -")
    before = shell.environ()
    shell.run("cd main")
    assert shell.run("wtenv status >/dev/null").status == 0
    assert str(program.parent) not in shell.run("echo $PATH").out.split(":"), "as conda has it"
    found = shell.run("command -v wtenv").out.strip()
    assert Path(found).resolve() == program
    assert (
        shell.run("sh -c 'wtenv run python -c \"import pkg; print(pkg.__file__)\"'").out
        == f"{repo.init_file(repo.root)}\n"
    )
    [first, *_] = json.loads(shell.run("wtenv which wtenv --json").out)["commands"]
    assert (first["path"], first["layer"]) == (found, "wtenv")
    shell.run("cd / && cd - && cd .. && cd / && cd -")
    assert shell.environ() == before
    assert shell_name


def test_without_the_hook(program: Path, active: Mapping[str, str], repo: Repo, home: Home) -> None:
    """Scripts and agents: `activate`, `export` and `run`; a further wtenv of the user's own comes first."""
    home.run([program, "allow"], repo.root, env=active, check=True)
    home.run([program, "sync"], repo.root, env=active, check=True)
    for text in (". .venv/bin/activate", 'eval "$(wtenv export sh)"', 'eval "$(wtenv export bash)"'):
        done = home.run(
            ["bash", "-c", f"{text}; command -v wtenv; wtenv status >/dev/null; echo $?"], repo.root, env=active
        )
        assert Path(done.stdout.splitlines()[0]).resolve() == program, done.stderr
        assert done.stdout.splitlines()[1] == "0"
    for _ in range(2):
        done = home.run([program, "run", "sh", "-c", "command -v wtenv"], repo.root, env=active)
        assert Path(done.stdout.strip()).resolve() == program
    own = Path(home.environ["PATH"].split(":")[0]) / "wtenv"
    own.write_text("#!/bin/sh\necho mine\n")
    own.chmod(0o755)
    assert home.run([program, "run", "wtenv"], repo.root, env=active).stdout == "mine\n"


def test_a_cache_that_was_removed(program: Path, active: Mapping[str, str], repo: Repo, home: Home) -> None:
    import shutil

    home.run([program, "allow"], repo.root, env=active, check=True)
    home.run([program, "sync"], repo.root, env=active, check=True)
    shutil.rmtree(home.path / ".cache/wtenv")
    done = home.run(["bash", "-c", ". .venv/bin/activate; wtenv status"], repo.root, env=active)
    assert done.returncode == 0, done.stderr
    assert os.path.lexists(home.path / ".cache/wtenv")
