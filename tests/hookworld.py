"""One configured, allowed and synced repository for a whole module of hook tests, and shells to visit it.

The repository has no editables, so that it is there in a second; what the hooks do does not depend on them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from realbase import Base, cache_folder, copy_base
from scenes import Templates
from shells import SHELLS, Result, Shell, require_shell
from workspace import Home, Repo, make_repo, wtenv_program

CONFIG = '[python]\nbase_conda_env = "{base}"\n\n[env]\nALPHA = "one two"\n'


@dataclass
class World:
    """A home, a repository that is ready in both worktrees, and a folder outside of it."""

    home: Home
    base: Base
    repo: Repo
    opened: list[Shell] = field(default_factory=list)

    @property
    def main(self) -> Path:
        return self.repo.root

    @property
    def feature(self) -> Path:
        return self.repo.feature

    @property
    def outside(self) -> Path:
        return self.repo.root.parent

    def wtenv(self, *words: str | Path, cwd: Path | None = None) -> str:
        """Run the command in the main worktree; what it printed."""
        done = self.home.run([wtenv_program(), *words], cwd or self.main, check=True)
        return done.stdout + done.stderr

    def entering(self, worktree: Path) -> str:
        """What the hook says when a shell enters."""
        return f"wtenv: {worktree.name} (base {self.base.name})\n"

    def open(
        self, name: str, cwd: Path | None = None, *, env: dict[str, str] | None = None, **options: object
    ) -> Shell:
        """Start an interactive shell, outside if not told otherwise."""
        shell = Shell(name, {**self.home.environ, **(env or {})}, cwd or self.outside, **options)  # type: ignore[arg-type]
        self.opened.append(shell)
        return shell

    def close(self) -> None:
        for shell in self.opened:
            shell.close()
        self.opened.clear()


def make_world(folder: Path, base: Base, config: str = CONFIG, *, own_base: bool = False) -> World:
    """A new one below `folder`; with `own_base` on a copy of the base that may be changed."""
    home = Home.make(folder / "home", cache_folder())
    if own_base:
        base = copy_base(base, folder / "miniforge3", "own")
    home.add_envs_dir(base.prefix.parent)
    world = World(home, base, make_repo(folder / "work", home))
    world.repo.configure(config.format(base=base.name))
    world.wtenv("allow")
    for worktree in world.repo.worktrees:
        world.wtenv("sync", cwd=worktree)
    return world


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory, base: Base) -> World:
    """One for the module: tests that use it leave its files as they are."""
    return make_world(tmp_path_factory.mktemp("world"), base)


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The module's world; the shells that were opened end with the test."""
    yield shared_world
    shared_world.close()


@pytest.fixture
def own_world(templates: Templates, base: Base) -> Iterator[Callable[..., World]]:
    """Makes a world for this test alone: `own_world(config, own_base=True)`."""
    made: list[World] = []

    def make(config: str = CONFIG, *, own_base: bool = False) -> World:
        key = ("world", config, own_base, len(made))
        made.append(templates.get(key, lambda place: make_world(place, base, config, own_base=own_base)))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture(params=SHELLS)
def name(request: pytest.FixtureRequest) -> str:
    """Each shell in turn."""
    return require_shell(request.param)


def active(shell: Shell) -> str:
    """Which worktree's overlay plain `python` would be of; "" for none."""
    venv = shell.run("""/bin/sh -c 'echo "$VIRTUAL_ENV"'""").out.strip()  # the same in every shell and option
    return Path(venv).parent.name if venv else ""


def said(result: Result) -> list[str]:
    """The lines of wtenv's that a typed line brought."""
    return [line for line in result.out.splitlines() if line.startswith("wtenv:")]


def without(environ: dict[bytes, bytes], *names: str) -> dict[bytes, bytes]:
    """An environment less what every shell keeps for itself."""
    dropped = {*map(os.fsencode, names), b"_", b"OLDPWD", b"PWD", b"SHLVL"}
    return {name: value for name, value in environ.items() if name not in dropped}
