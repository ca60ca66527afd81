"""Identity is the real folder: names that lead elsewhere by now, in each shell, at the next prompt or `cd`."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hookworld import CONFIG, World, active, make_world, name, said  # noqa: F401
from overlay_projects import make_project
from realbase import Base
from shells import Shell


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, base: Base) -> World:
    return make_world(tmp_path_factory.mktemp("identity"), base, own_base=True)


@pytest.fixture
def world(ready: World) -> Iterator[World]:
    yield ready
    ready.close()


@pytest.fixture
def turn(tmp_path: Path) -> Callable[[Path], Path]:
    """Lets the link `cur` lead to a folder, and returns the link."""

    def turn(target: Path) -> Path:
        fresh = tmp_path / "fresh"
        fresh.symlink_to(target)
        return fresh.rename(tmp_path / "cur")

    return turn


def agrees(shell: Shell, world: World) -> str:
    """What is active, which the commands see as well."""
    found = active(shell)
    told = shell.run("wtenv run sh -c 'echo $VIRTUAL_ENV' 2>/dev/null; true").out.strip()
    assert (Path(told).parent.name if told else "") == found, shell.transcript
    return found


def test_a_link_that_turns(world: World, name: str, turn: Callable[[Path], Path]) -> None:
    cur = turn(world.main)
    shell = world.open(name)
    shell.run(f"cd {cur}")
    assert agrees(shell, world) == "main"
    turn(world.feature)
    assert active(shell) == "main", "the shell still stands there"
    shell.run(f"cd {cur}")
    assert agrees(shell, world) == "feature"
    turn(world.main)
    assert "main/.venv" in shell.run(f"cd {cur} && /bin/sh -c 'echo $VIRTUAL_ENV'").out, "on one line"
    shell.run(f"cd {world.outside}")
    assert active(shell) == ""


def test_a_link_above_that_turns(world: World, name: str, turn: Callable[[Path], Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "main").mkdir(parents=True)
    cur = turn(world.outside)
    shell = world.open(name)
    for _ in range(2):
        shell.run(f"cd {cur}/main/src")
        assert agrees(shell, world) == "main"
        turn(other)
        (other / "main/src").mkdir(exist_ok=True)
        shell.run(f"cd {cur}/main/src")
        assert active(shell) == ""
        turn(world.outside)


def test_a_link_below_a_root_into_another_repository(world: World, name: str) -> None:
    link = world.main / "lnk"
    link.symlink_to(world.feature / "src")
    try:
        shell = world.open(name)
        for _ in range(2):
            shell.run(f"cd {link}")
            assert agrees(shell, world) == "feature"
            assert shell.environ()[b"WTENV_ROOT"] == os.fsencode(world.feature)
            shell.run(f"cd {world.main}")
            assert agrees(shell, world) == "main"
        shell.run(f"cd {link}")
        link.unlink()
        link.symlink_to(world.outside)
        shell.run(f"cd {link}")
        assert active(shell) == ""
    finally:
        link.unlink()


def test_a_deep_place_by_a_short_name(world: World, name: str, turn: Callable[[Path], Path]) -> None:
    """The real folder lies deeper than its name: walking up the name alone ends too early."""
    deep = world.main / "a/b/c/d/e/f/g"
    deep.mkdir(parents=True, exist_ok=True)
    cur = turn(deep)
    shell = world.open(name)
    shell.run(f"cd {cur}")
    assert agrees(shell, world) == "main"
    shell.run("cd ..")
    shell.run(f"cd {world.outside}")
    turn(world.outside)
    shell.run(f"cd {cur}")
    assert active(shell) == ""
    turn(deep)
    shell.run(f"cd {cur}")
    assert active(shell) == "main"


def test_git_init_where_the_shell_stands(world: World, name: str) -> None:
    folder = world.main / f"inner-{name}"
    folder.mkdir()
    shell = world.open(name)
    shell.run(f"cd {folder}")
    assert active(shell) == "main"
    shell.run("git init --quiet")
    assert active(shell) == ""
    shutil.rmtree(folder / ".git")
    shell.run("true")
    assert agrees(shell, world) == "main"


def test_a_worktree_that_is_deleted_and_made_anew(world: World, name: str) -> None:
    root = world.repo.add_worktree(f"again-{name}")
    world.wtenv("sync", cwd=root)
    shell = world.open(name)
    shell.run(f"cd {root}/src")
    assert active(shell) == root.name
    world.repo.git("worktree", "remove", "--force", root)
    world.repo.git("worktree", "add", "--quiet", root, root.name)
    shell.run("true")
    assert active(shell) == "", "the shell stands in a folder that is gone"
    assert f"wtenv: made {root}/.venv" in said(shell.run(f"cd {root}/src"))
    assert agrees(shell, world) == root.name


def test_a_config_that_is_a_link(world: World, name: str, tmp_path: Path) -> None:
    """Turned to another file whose time is the same."""
    config = world.main / "wtenv.toml"
    text = config.read_text()
    for number in "12":
        (tmp_path / number).write_text(text.replace("one two", number))
        os.utime(tmp_path / number, ns=(10**18, 10**18))
        config.unlink()
        config.symlink_to(tmp_path / number)
        world.wtenv("allow")
    try:
        shell = world.open(name)
        shell.run(f"cd {world.main}")
        for number in "1212":
            config.unlink()
            config.symlink_to(tmp_path / number)
            shell.run("true")
            assert shell.environ()[b"ALPHA"] == number.encode()
    finally:
        config.unlink()
        config.write_text(text)
        world.wtenv("allow")


def test_a_base_that_is_a_link_turned_to_an_older_one(
    world: World, name: str, turn: Callable[[Path], Path], tmp_path: Path
) -> None:
    """As `current -> 2026-11` of a team; the older copy's times are all earlier."""
    cur = turn(world.base.prefix)
    older = tmp_path / "older"
    (older / "conda-meta").mkdir(parents=True)
    (older / "conda-meta/history").write_text("")
    config = world.main / "wtenv.toml"
    text = config.read_text()
    config.write_text(text.replace(f'"{world.base.name}"', f'"{cur}"'))
    world.wtenv("allow")
    world.wtenv("sync")
    for place in older.rglob("*"):
        os.utime(place, ns=(10**18, 10**18))
    try:
        shell = world.open(name)
        shell.run(f"cd {world.main}")
        assert active(shell) == "main"
        turn(older)
        shell.run("true")
        assert active(shell) == ""
        turn(world.base.prefix)
        shell.run("true")
        assert active(shell) == "main"
    finally:
        config.write_text(text)
        world.wtenv("allow")
        world.wtenv("sync")


def test_a_base_whose_times_lie_in_the_future(world: World, name: str) -> None:
    """A clock that was wrong: what changes later has an earlier time."""
    state = world.base.prefix / "conda-meta/state"
    future = time.time_ns() + 10**15
    scripts = world.base.prefix / "etc/conda/activate.d"
    own = scripts / "zz-future.sh"
    own.write_text("export FUTURE=1\n")
    for place in (own, scripts):
        os.utime(place, ns=(future, future))
    try:
        shell = world.open(name)
        shell.run(f"cd {world.main}")
        assert shell.environ()[b"FUTURE"] == b"1"
        own.write_text("export FUTURE=2\n")
        shell.run("true")
        assert shell.environ()[b"FUTURE"] == b"2"
    finally:
        own.unlink()
        state.unlink(missing_ok=True)


def test_a_file_system_with_whole_seconds(world: World, name: str) -> None:
    """Two edits within one second, of which the file's time shows only one."""
    config = world.main / "wtenv.toml"
    text = config.read_text()
    contents = {number: text.replace("one two", number) for number in "12"}
    for content in contents.values():
        config.write_text(content)
        world.wtenv("allow")
    try:
        shell = world.open(name)
        for _ in range(5):
            second = int(time.time() + 1) * 10**9
            config.write_text(contents["1"])
            os.utime(config, ns=(second, second))
            shell.run(f"cd {world.main}")
            quick = time.time_ns() < second + 10**9  # as such a file system would have it
            assert shell.environ()[b"ALPHA"] == b"1"
            config.write_text(contents["2"])
            os.utime(config, ns=(second, second))
            shell.run("true")
            assert shell.environ()[b"ALPHA"] == b"2" or not quick
            shell.run(f"cd {world.outside}")
            if quick:
                break
        assert quick, "the machine was too slow to tell"
    finally:
        config.write_text(text)
        world.wtenv("allow")


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory, base: Base) -> World:
    folder = tmp_path_factory.mktemp("linked")
    for where in ("one", "two"):
        make_project(folder / "work" / where, "flit", where, name="lib")
    (folder / "work/lib").symlink_to("one")
    return make_world(folder, base, CONFIG + '\n[editables]\npackages = ["../lib"]\n')


def test_a_declared_package_that_is_a_link(linked: World, name: str) -> None:
    """Turned to another folder: never the former one's code, and `sync` follows."""
    shell = linked.open(name)
    look = "python -c 'import lib; print(lib.WHERE)'"
    link = linked.outside / "lib"
    shell.run(f"cd {linked.main}")
    for where in ("two", "one"):
        link.unlink()
        link.symlink_to(where)
        [line] = said(shell.run("true"))
        assert "lib leads to another folder" in line and line.endswith("run: wtenv sync")
        assert active(shell) == ""
        assert linked.wtenv("sync").endswith("wtenv: installed lib\n")
        shell.run("true")
        assert shell.run(look).out == f"{where}\n"
    linked.close()
