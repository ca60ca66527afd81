"""Fixtures: a real conda environment, a home of one's own, a git repository, the command, real shells."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from realbase import Base, cache_folder, copy_base
from realbase import shared_base as build_shared_base
from scenes import Templates
from shells import SHELLS, Shell, require_shell
from workspace import Home, Repo, make_repo, wtenv_program


class Wtenv(Protocol):
    """The `wtenv` fixture: runs the command in the test's home."""

    def __call__(
        self, *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, check: bool = False
    ) -> subprocess.CompletedProcess[str]: ...


# `nohup … &` and some CI start us with Ctrl-C and Ctrl-\ ignored, and every shell that we start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def base() -> Base:
    """The conda environment that all tests share. Nothing may be written into it."""
    return build_shared_base(cache_folder())


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Places that are built once for many tests; each test gets them as new."""
    return Templates(tmp_path_factory.mktemp("templates"))


@pytest.fixture
def home(tmp_path: Path, base: Base) -> Home:
    """An isolated home and environment, in which conda would find `base` by its name."""
    made = Home.make(tmp_path / "home", cache_folder())
    made.add_envs_dir(base.prefix.parent)
    return made


@pytest.fixture
def fresh_base(tmp_path: Path, base: Base, home: Home) -> Base:
    """A copy of `base` that the test may change; its name is `fresh`."""
    made = copy_base(base, tmp_path / "miniforge3", "fresh")
    home.add_envs_dir(made.prefix.parent)
    return made


@pytest.fixture
def repo(request: pytest.FixtureRequest, tmp_path: Path, home: Home) -> Repo:
    """A repository with a linked worktree. `parametrize("repo", BACKENDS, indirect=True)` for other backends."""
    return make_repo(tmp_path / "work", home, getattr(request, "param", "setuptools"))


@pytest.fixture
def wtenv(home: Home) -> Wtenv:
    """The installed command, run in the test's home."""
    program = wtenv_program()
    if not program.exists():
        pytest.fail(f"{program} is missing: pip install -e '.[test]'")

    def run(
        *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        return home.run([program, *words], cwd, env=env, check=check)

    return run


@pytest.fixture(params=SHELLS)
def shell_name(request: pytest.FixtureRequest) -> str:
    """Each shell in turn."""
    return require_shell(request.param)


@pytest.fixture
def open_shell(shell_name: str, home: Home) -> Iterator[Callable[..., Shell]]:
    """Starts interactive shells, `open_shell(cwd, **of_Shell)`, and ends them after the test."""
    opened: list[Shell] = []

    def start(cwd: Path, *, name: str = shell_name, env: Mapping[str, str] | None = None, **options: object) -> Shell:
        shell = Shell(name, {**home.environ, **(env or {})}, cwd, **options)  # type: ignore[arg-type]
        opened.append(shell)
        return shell

    yield start
    for shell in opened:
        shell.close()
