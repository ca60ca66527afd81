"""Cached activations on disk, in real shells: whatever becomes of them, a worktree is entered right, at worst slower."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hookworld import World, active, name, own_world, said, shared_world, without, world  # noqa: F401
from shells import HOOK_LINES

from wtenv.hook.shells import ABI


def find_kept(world: World, shell: str) -> Path:
    [found] = (world.home.path / ".cache/wtenv").glob(f"v*{world.main}/%wtenv.{shell}")
    return found


def learn(world: World, name: str) -> Path:
    """Let a shell visit the main worktree until it is kept; where it is."""
    shutil.rmtree(world.home.path / ".cache/wtenv", ignore_errors=True)
    time.sleep(0.1)  # what was written this instant is not kept
    shell = world.open(name)
    shell.run(f"cd {world.main}")
    assert active(shell) == "main"
    return find_kept(world, name)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00\xff garbage '\"`", id="garbage"),
        *(pytest.param(part, id=f"cut after {part:.0%}") for part in (0.05, 0.3, 0.6, 0.9)),
    ],
)
def test_damaged_file(content: bytes | float, world: World, name: str) -> None:
    file = learn(world, name)
    whole = file.read_bytes()
    file.write_bytes(content if isinstance(content, bytes) else whole[: int(content * len(whole))])
    shell = world.open(name)
    before = without(shell.environ())
    shell.run(f"cd {world.main}")
    assert active(shell) == "main"
    assert shell.environ()[b"ALPHA"] == b"one two"
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == before
    assert file.read_bytes() == whole


EXAMPLES = int(os.environ.get("WTENV_EXAMPLES", "60")) // 4
PIECES = [
    b"'", b'"', b"`", b"$(", b"(", b")", b"{", b"}", b";", b"\n", b"\0", b"\xff", b"\\", b"[[", b"]]", b"&&", b"fi", b"end",
    b"#", b"if ", b"while ", b"<", b"return ", b"&", b"|",
]  # fmt: skip


def damage(whole: bytes, rnd: random.Random) -> bytes:
    lines, (first, last) = whole.split(b"\n"), sorted(rnd.sample(range(len(whole)), 2))
    return rnd.choice(
        [
            whole[first:],
            whole[:first] + rnd.choice(PIECES) + whole[first + rnd.randrange(3) :],
            whole[:first] + whole[last:],
            whole[:last] + whole[first:],
            whole[:first] + bytes([whole[first] ^ 1 << rnd.randrange(8)]) + whole[first + 1 :],
            b"\n".join(rnd.sample(lines, len(lines))),
        ]
    )


def test_fuzz_kept_files(world: World, name: str) -> None:
    """What did not arrive whole is computed again, wherever it ends. Of other damage in the user's own folder not
    all can be noticed; but the shell goes on."""
    file = learn(world, name)
    whole, rnd = file.read_bytes(), random.Random(EXAMPLES)
    look = "/bin/sh -c 'echo \"<$VIRTUAL_ENV>$ALPHA\"'"
    lines = [HOOK_LINES[name], f"cd {world.main}", look, f"cd {world.outside}", look, "echo alive", ""]
    options = {"bash": ["--norc", "-i"], "zsh": ["-f", "-i", "-s"], "fish": []}  # where an error ends a line alone
    for index in range(EXAMPLES * 2):
        is_cut = index < EXAMPLES
        file.write_bytes(whole[: rnd.randrange(len(whole))] if is_cut else damage(whole, rnd))
        kept = file.read_bytes()
        done = subprocess.run(
            [name, *options[name]], input="\n".join(lines), env=world.home.environ, cwd=world.outside,
            capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=False,
        )  # fmt: skip
        printed = [line for line in done.stdout.splitlines() if line.startswith("<") or "alive" in line]
        assert printed[-1] == "alive", (kept, done)
        assert not is_cut or printed == [f"<{world.main}/.venv>one two", "<>", "alive"], (kept, done)
    file.unlink()


def test_folder_in_its_place(world: World, name: str) -> None:
    file = learn(world, name)
    file.unlink()
    file.mkdir()
    shell = world.open(name)
    shell.run(f"cd {world.main}")
    assert active(shell) == "main"
    file.rmdir()


def test_file_of_another_version_is_not_read(world: World, name: str) -> None:
    file = learn(world, name)
    old = Path(str(file).replace(f"/v{ABI}/", "/v1-0.0.1/"))
    old.parent.mkdir(parents=True)
    old.write_text("echo READ; # end\n")
    file.write_bytes(file.read_bytes().replace(ABI.encode(), b"1-0.0.1", 1))
    shell = world.open(name)
    assert shell.run(f"cd {world.main}").out == world.entering(world.main)
    assert active(shell) == "main"


def test_many_shells_at_once(world: World, name: str) -> None:
    learn(world, name)
    expected = find_kept(world, name).read_bytes()
    shutil.rmtree(world.home.path / ".cache/wtenv")
    text = f"{HOOK_LINES[name]}\ncd {world.main}; cd /; cd {world.main}\n/usr/bin/env"
    command = [shutil.which(name, path=world.home.environ["PATH"]) or name, "-c", text]
    started = [
        subprocess.Popen(
            command, env=world.home.environ, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(6)
    ]  # fmt: skip
    for each in started:
        out, error = each.communicate(timeout=60)
        assert error == ""
        assert f"VIRTUAL_ENV={world.main}/.venv\n" in out
        assert "ALPHA=one two\n" in out
    assert find_kept(world, name).read_bytes() == expected
    assert not list((world.home.path / ".cache").rglob("*.tmp"))


def test_full_disk(world: World, name: str) -> None:
    """There is no room to keep it (6 blocks are enough for all else): each visit asks, and works."""
    assert learn(world, name).stat().st_size > 6 * 1024
    shutil.rmtree(world.home.path / ".cache/wtenv")
    shell = world.open(name)
    shell.run("ulimit -f 6")
    for _ in range(2):
        assert shell.run(f"cd {world.main}").out == world.entering(world.main)
        assert active(shell) == "main"
        assert shell.run("true").out == ""
        assert shell.run(f"cd {world.outside}").out == ""
        assert active(shell) == ""
    assert not list((world.home.path / ".cache/wtenv").glob(f"v*/**/%wtenv.{name}*"))
    assert not list((world.home.path / ".cache").rglob("*.tmp"))


def test_vanishing_stamps(own_world: Callable[..., World], name: str) -> None:
    """Somebody clears ~/.cache: what is in memory can't be relied on any more, and is asked for again."""
    world = own_world()
    learn(world, name)
    shell = world.open(name)
    shell.run(f"cd {world.main}")
    shutil.rmtree(world.home.path / ".cache/wtenv")
    config = world.main / "wtenv.toml"
    config.write_text(config.read_text() + "# other\n")
    os.utime(config, ns=(10**18, 10**18))
    assert len(said(shell.run("true"))) == 1
    assert active(shell) == ""
