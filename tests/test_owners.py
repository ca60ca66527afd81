"""Worktrees that another user owns or can write to, with a real second user. See also test_other_users.py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hookworld import World, name  # noqa: F401
from realbase import Base, cache_folder
from test_other_users import NOTHING, THEM, US, active, give, load_hook, pytestmark, run, visit  # noqa: F401
from workspace import Home, make_repo

CONFIG = '[python]\nbase_conda_env = "{base}"\n[editables]\npackages = ["."]\n'
COMMANDS = ("allow", "sync", "run true", "export bash", "export json", "verify", "lock")


@pytest.fixture(scope="module")
def shared(base: Base) -> Iterator[World]:
    """A world of ours: the config is in the git folder alone, and `main` is its linked worktree in a sticky folder."""
    top = Path(tempfile.mkdtemp(prefix="wtenv-owners-"))
    top.chmod(0o755)
    try:
        home = Home.make(top / "us/home", cache_folder())
        home.add_envs_dir(base.prefix.parent)
        repo = make_repo(top / "us/work", home, "flit")
        worktree = top / "open/w"
        worktree.parent.mkdir()
        worktree.parent.chmod(0o1777)
        repo.git("worktree", "add", "--quiet", "-b", "w", worktree)
        (repo.root / ".git/wtenv.toml").write_text(CONFIG.format(base=base.name))
        made = World(home, base, replace(repo, root=worktree, feature=repo.root))
        made.wtenv("allow")
        made.wtenv("sync")
        give(US, top / "us", worktree)
        time.sleep(0.1)
        yield made
    finally:
        shutil.rmtree(top)


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """It is put back afterwards."""
    yield shared
    aside = shared.outside / "aside"
    if aside.exists():
        shutil.rmtree(shared.main, ignore_errors=True)
        aside.rename(shared.main)


def make_again(world: World, mode: int) -> None:
    """As if the worktree had been removed, and never pruned: another user makes it again, with the same times, and
    whatever is started in it leaves a trace."""
    trap = f'#!/bin/sh\necho "$0" >> {world.home.path}/pwned\n'
    new = world.outside / "new"
    shutil.copytree(world.main, new, symlinks=True)
    for path in (new / ".venv/bin").iterdir():
        path.unlink()
        path.write_text(trap)
        path.chmod(0o755)
    (new / "setup.py").write_text(f"open({str(world.home.path / 'pwned')!r}, 'w')\n")
    (new / "pyproject.toml").unlink()
    (new / ".venv").chmod(0o755)
    give(THEM, new)
    for path in [new, *new.rglob("*")]:
        old = world.main / path.relative_to(new)
        if os.path.lexists(old):
            os.utime(path, ns=(old.lstat().st_atime_ns, old.lstat().st_mtime_ns), follow_symlinks=False)
    new.chmod(mode)
    world.main.rename(world.outside / "aside")
    new.rename(world.main)


@pytest.mark.parametrize(("mode", "commands"), [(0o777, COMMANDS), (0o755, ("sync", "run true"))])
def test_commands_in_a_worktree_that_another_user_made_again(
    world: World, mode: int, commands: tuple[str, ...]
) -> None:
    make_again(world, mode)
    for command in commands:
        done = run(US, world, "sh", "-c", f"cd {world.main} && wtenv {command}")
        assert (done.returncode, done.stdout) == (2, ""), command
        assert f"is refused: {world.main} belongs to the user {THEM}; " in done.stderr, command
        assert len(done.stderr.splitlines()) == 1
    assert not (world.home.path / "pwned").exists()


@pytest.mark.parametrize(("known", "mode"), [(False, 0o755), (True, 0o777)], ids=["new", "known"])
def test_hook_in_a_worktree_that_another_user_made_again(world: World, name: str, known: bool, mode: int) -> None:
    """Also where the hook knows the worktree, and all that it looks at has the same times."""
    shutil.rmtree(world.home.path / ".cache", ignore_errors=True)
    if known:
        for _ in range(2):
            assert visit(US, world, name) == (active(world), "")
    elif name == "fish":
        (world.home.path / ".config/fish").mkdir(parents=True, exist_ok=True)
        give(US, world.home.path / ".config")
    make_again(world, mode)
    found, said = visit(US, world, name)
    assert found == NOTHING
    assert f"is refused: {world.main} belongs to the user {THEM}; " in said
    assert not (world.home.path / "pwned").exists()


def test_made_again_under_a_shell(world: World, name: str) -> None:
    """The shell is in it, and active."""
    visit(US, world, name)
    ready, go = world.home.path / "ready", world.home.path / "go"

    def swap() -> None:
        deadline = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        make_again(world, 0o777)
        go.touch()

    for path in (ready, go):
        path.unlink(missing_ok=True)
    look = "/bin/sh -c 'echo \"<$VIRTUAL_ENV>\"'"
    wait = f"/bin/sh -c 'touch {ready}; while [ ! -e {go} ]; do sleep 0.02; done'"
    lines = [*load_hook(name), f"cd {world.main}", look, wait, f"cd {world.main}", look]
    thread = threading.Thread(target=swap)
    thread.start()
    done = run(US, world, name, "-c", "\n".join(lines))
    thread.join()
    assert done.stdout.splitlines() == [f"<{world.main}/.venv>", "<>"], done.stderr
    assert f"{world.main} belongs to the user {THEM}" in done.stderr
    assert not (world.home.path / "pwned").exists()


def read_fix(done: subprocess.CompletedProcess[str]) -> str:
    """What a message says to run, as typed."""
    assert done.returncode == 2, done.stderr
    found = re.search(r"; (?:if you trust them )?(?:look at it, and make it yours: |run: )(.*)\n", done.stderr)
    assert found, done.stderr
    return found[1]


def test_root_in_a_users_worktree(world: World) -> None:
    """As in a container: it says whose it is; the command that it names ends that, for git, too; a mode stays refused."""
    home = world.outside.parent / "root"
    home.mkdir(exist_ok=True)
    env = {"HOME": str(home), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}
    shutil.copy(world.home.path / ".condarc", home / ".condarc")

    def call(command: str) -> subprocess.CompletedProcess[str]:
        return run(0, world, "sh", "-c", f"cd {world.main} && {command}", **env)

    done = call("wtenv allow")
    assert (
        f"wtenv: {world.main} is refused: {world.main} belongs to the user {US}; if you trust them run: " in done.stderr
    )
    assert "dubious ownership" in call("git status").stderr
    assert call(read_fix(done)).returncode == 0
    assert call("git status").returncode == 0
    assert call("wtenv allow").returncode == 0
    assert "is not allowed" not in call("wtenv run true").stderr  # the overlay is another matter
    world.main.chmod(0o777)
    try:
        done = call("wtenv run true")
        assert f"{world.main} can be written by other users" in done.stderr
        assert call(read_fix(done)).returncode == 0
        assert "can be written" not in call("wtenv run true").stderr
    finally:
        world.main.chmod(0o755)
    config = home / ".gitconfig"
    config.write_text(config.read_text() + "\tdirectory =\n")
    assert "belongs to" in call("wtenv run true").stderr


def test_with_the_home_of_another_user(world: World) -> None:
    """`su` and `sudo -s` leave HOME as it is: what is in there is not ours, and git would write into it."""
    (world.home.path / ".gitconfig").write_text("[safe]\ndirectory = *\n")
    give(US, world.home.path / ".gitconfig")
    done = run(0, world, "sh", "-c", f"cd {world.main} && wtenv allow")
    assert done.returncode == 2
    assert (
        f"belongs to the user {US}; set HOME to a folder of your own; then, if you trust them run: git" in done.stderr
    )


def test_a_file_of_theirs_in_our_folder(world: World) -> None:
    config = world.feature / ".git/wtenv.toml"
    os.chown(config, THEM, THEM)
    done = run(US, world, "sh", "-c", f"cd {world.main} && wtenv run true")
    assert f"{config} belongs to the user {THEM}" in done.stderr
    run(US, world, "sh", "-c", read_fix(done))
    assert config.stat().st_uid == US
    done = run(US, world, "sh", "-c", f"cd {world.main} && wtenv run true")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_excuse_that_is_taken_back(world: World, name: str) -> None:
    """What the hook keeps depends on git's config, too."""
    home = world.outside.parent / f"{name}-root"
    for folder in (home, home / ".config/fish"):
        folder.mkdir(parents=True, exist_ok=True)
    config = home / ".gitconfig"
    env = {"HOME": str(home), "GIT_CONFIG_GLOBAL": str(config)}
    shutil.copy(world.home.path / ".condarc", home / ".condarc")
    config.write_text(f"[safe]\n\tdirectory = {world.feature}\n")
    text = (world.feature / ".git/wtenv.toml").read_text()
    (world.feature / ".git/wtenv.toml").write_text(text.replace('"."', ""))
    theirs = World(world.home, world.base, replace(world.repo, root=world.feature))
    try:
        for command in ("allow", "sync"):
            done = run(0, theirs, "sh", "-c", f"cd {theirs.main} && wtenv {command}", **env)
            assert done.returncode == 0, done.stderr
        time.sleep(0.1)
        for _ in range(2):
            assert visit(0, theirs, name, **env) == (active(theirs), "")
        config.write_text("")
        found, said = visit(0, theirs, name, **env)
        assert found == NOTHING
        assert f"{theirs.main} belongs to the user {US}" in said
    finally:
        shutil.rmtree(theirs.main / ".venv")
        (world.feature / ".git/wtenv.toml").write_text(text)
