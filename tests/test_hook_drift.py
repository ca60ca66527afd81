"""The hook's one line about drift: once for each state, in no second shell, and whatever the lock is."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hookworld import World, active, name, own_world, said  # noqa: F401
from shells import Shell
from test_hook_cost import Watch

from wtenv.lock import MAX_LOCK


def settle(shell: Shell) -> None:
    """Let what was just written grow old enough to be kept, and be kept."""
    time.sleep(0.1)
    shell.run("true")


def add_package(world: World, package: str = "idna-3.10") -> Path:
    """pip installs something into the base."""
    folder = world.base.site_packages / f"{package}.dist-info"
    folder.mkdir()
    return folder


def line(text: str) -> list[str]:
    return [f"wtenv: {text}, unlike wtenv.lock; see: wtenv verify"]


ADDED = line("idna 3.10 was added to the base by pip")


def test_once(own_world: Callable[..., World], name: str) -> None:
    world = own_world(own_base=True)
    world.wtenv("lock")
    shutil.copy(world.main / "wtenv.lock", world.feature)
    shell = world.open(name)
    assert said(shell.run(f"cd {world.main}")) == [world.entering(world.main).rstrip()]
    settle(shell)
    folder = add_package(world)
    assert said(shell.run("true")) == ADDED
    settle(shell)
    for typed in ("true", f"cd {world.outside}", f"cd {world.main}", f"cd {world.feature}", f"cd {world.main}"):
        assert not set(said(shell.run(typed))) & set(ADDED), typed
    other = world.open(name)
    assert said(other.run(f"cd {world.main}")) == [world.entering(world.main).rstrip()]
    config = world.main / "wtenv.toml"
    config.write_text(config.read_text() + "# recomputed\n")
    world.wtenv("allow")
    assert not set(said(shell.run("true"))) & set(ADDED), "the drift is the same"
    settle(shell)
    (world.base.site_packages / "__pycache__").mkdir(exist_ok=True)
    (world.base.site_packages / "other.py").write_text("")
    assert said(shell.run("true")) == [], "the base has changed, but not what is installed"
    settle(shell)
    add_package(world, "zlib_ng-1.0")
    assert said(shell.run("true")) == line("idna 3.10 was added to the base by pip, and 1 more")
    settle(shell)
    folder.rmdir()
    (world.base.site_packages / "zlib_ng-1.0.dist-info").rmdir()
    assert said(shell.run("true")) == []
    assert active(shell) == "main"


def test_a_lock_that_is_pulled(own_world: Callable[..., World], name: str) -> None:
    """The lock changes under an open shell, the base doesn't."""
    world = own_world(own_base=True)
    folder = add_package(world)
    world.wtenv("lock")
    theirs = (world.main / "wtenv.lock").read_bytes()
    folder.rmdir()
    world.wtenv("lock")
    world.repo.git("add", "wtenv.lock")
    world.repo.git("commit", "--quiet", "--message", "lock")
    shell = world.open(name)
    shell.run(f"cd {world.main}")
    settle(shell)
    (world.main / "wtenv.lock").write_bytes(theirs)
    assert said(shell.run("true")) == line("idna 3.10 is gone from the base")
    settle(shell)
    assert said(shell.run("git checkout --quiet wtenv.lock")) == []
    settle(shell)
    (world.main / "wtenv.lock").unlink()
    assert said(shell.run("true")) == []
    assert active(shell) == "main"


@pytest.mark.parametrize(("level", "expected"), [("silent", []), ("error", ADDED), ("verbose", ADDED)])
def test_levels(level: str, expected: list[str], own_world: Callable[..., World]) -> None:
    world = own_world(own_base=True)
    settings = world.home.path / ".config/wtenv/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[messages]\nlevel = "{level}"\n')
    world.wtenv("lock")
    add_package(world)
    shell = world.open("bash")
    assert [text for text in said(shell.run(f"cd {world.main}")) if "(base" not in text] == expected
    assert active(shell) == "main"


def test_where_nothing_can_be_kept(own_world: Callable[..., World]) -> None:
    """Then nothing is said, since it would be at every prompt."""
    world = own_world(own_base=True)
    world.wtenv("lock")
    add_package(world)
    shutil.rmtree(world.home.path / ".cache/wtenv", ignore_errors=True)
    (world.home.path / ".cache").mkdir(exist_ok=True)
    (world.home.path / ".cache/wtenv").write_text("")
    shell = world.open("bash")
    assert not set(said(shell.run(f"cd {world.main}"))) & set(ADDED)
    assert active(shell) == "main"


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"what",
    "binary": bytes(range(256)) * 100,
    "newer": b'{"version": 2}',
    "types": b'{"version": 1, "base": {"kind": "conda", "conda": {"x": 1}}}',
    "names": b'{"version": 1, "base": {"kind": "conda", "pip": {"x\\u001b[2J": {}}}}',
    "many": b'{"version": 1, "base": {"kind": "conda", "pip": {' + b'"x": {}, ' * 100_000 + b'"y": {}}}}',
    "deep": b'{"version": 1, "base": ' + b"[" * 1_000_000,
    "digits": b'{"version": ' + b"9" * 1_000_000 + b"}",
    "huge": b"#" * (MAX_LOCK + 1),
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, base: object) -> World:
    from hookworld import make_world

    return make_world(tmp_path_factory.mktemp("hostile"), base)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [*HOSTILE, "fifo", "folder", "dangling", "device", "unreadable"])
def test_whatever_the_lock_is(kind: str, hostile: World, name: str) -> None:
    """At most one line, once; the worktree is active all the same."""
    lock = hostile.main / "wtenv.lock"
    if kind == "fifo":
        os.mkfifo(lock)
    elif kind == "folder":
        lock.mkdir()
    elif kind in ("dangling", "device"):
        lock.symlink_to("nowhere" if kind == "dangling" else "/dev/zero")
    elif kind == "unreadable":
        lock.symlink_to(lock)
    else:
        lock.write_bytes(HOSTILE[kind])
    (hostile.home.path / ".cache/wtenv/drift").unlink(missing_ok=True)
    try:
        shell = hostile.open(name)
        lines = said(shell.run(f"cd {hostile.main}"))
        assert lines[-1] == hostile.entering(hostile.main).rstrip()
        assert len(lines) <= 2
        assert all(text.isprintable() for text in lines)
        assert active(shell) == "main"
        settle(shell)
        assert shell.run("true").out == ""
        assert said(hostile.open(name).run(f"cd {hostile.main}")) == [hostile.entering(hostile.main).rstrip()]
    finally:
        hostile.close()
        lock.rmdir() if kind == "folder" else lock.unlink()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_prompts_start_nothing(own_world: Callable[..., World], name: str, tmp_path: Path) -> None:
    """With a lock, met or not, a prompt and a known `cd` start no process."""
    world = own_world(own_base=True)
    world.wtenv("lock")
    shell = world.open(name)
    shell.run(f"cd {world.main}")
    settle(shell)
    add_package(world)
    settle(shell)
    settle(shell)
    watch = Watch(shell, tmp_path / "trace")
    for typed in ("true", f"builtin cd {world.outside}", f"builtin cd {world.main}", "true"):
        assert watch.run(typed) == 0, (typed, watch.programs)
