"""Another user of the machine: what is theirs decides nothing, and nothing of ours gets into their folders.

Only root can be several users. They may read everything, as this Python may be below somebody's home; whose a file is,
and who may write to it, is all that these tests are about.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hookworld import World, make_world, name  # noqa: F401
from realbase import Base
from scenes import snapshot
from shells import HOOK_LINES

US, THEM = 12345, 23456  # neither is in the password database

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can be several users (and needs setpriv)"
)


def give(uid: int, *places: Path) -> None:
    """Let `places`, with all that is below them, belong to `uid`."""
    for place in places:
        for path in (place, *place.rglob("*")):
            os.chown(path, uid, uid, follow_symlinks=False)


@pytest.fixture
def world(base: Base) -> Iterator[World]:
    """A world of ours. Not below pytest's own folder: access(2), which zsh and fish ask, knows no capabilities."""
    top = Path(tempfile.mkdtemp(prefix="wtenv-users-"))
    top.chmod(0o755)
    try:
        made = make_world(top / "us", base)
        give(US, top / "us")
        time.sleep(0.1)  # what was written this instant is not kept
        yield made
    finally:
        shutil.rmtree(top)


def run(uid: int, world: World, *command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A command of the user's, outside of the repository."""
    read = "+dac_read_search"
    words = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
    words += ["--inh-caps", f"-all,{read}", "--ambient-caps", f"-all,{read}", "--bounding-set", f"-all,{read}"]
    if uid == 0:
        words = []
    return subprocess.run(
        [*words, *command], env={**world.home.environ, "PYTHONDONTWRITEBYTECODE": "1", **env}, cwd=world.outside,
        capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def load_hook(name: str) -> list[str]:
    """The lines that load the hook. fish asks access(2) as well whether it may start wtenv and its Python, and so would
    start neither in a checkout in somebody's private folder."""
    if name != "fish":
        return [HOOK_LINES[name]]
    return [f"/usr/bin/env {HOOK_LINES[name]}", "set -g __wtenv_command /usr/bin/env $__wtenv_command"]


def visit(uid: int, world: World, name: str, **env: str) -> tuple[list[str], str]:
    """What is active in main, twice, and then outside, and how many variables of ours are left; what was said."""
    look = "/bin/sh -c 'echo \"<$VIRTUAL_ENV>\"'"
    lines = load_hook(name)
    for _ in range(2):
        lines += [f"cd {world.main}", look, f"cd {world.outside}", look]
    done = run(uid, world, name, "-c", "\n".join([*lines, "/usr/bin/env | /usr/bin/grep -c '^WTENV_'"]), **env)
    return done.stdout.splitlines(), done.stderr


def find_entry(world: World, name: str) -> Path:
    [entry] = (world.home.path / ".cache/wtenv").glob(f"v*{world.main}/%wtenv.{name}")
    return entry


def active(world: World) -> list[str]:
    return [f"<{world.main}/.venv>", "<>"] * 2 + ["0"]


NOTHING = ["<>"] * 4 + ["0"]


def test_ours(world: World, name: str) -> None:
    assert visit(US, world, name) == (active(world), "")
    assert find_entry(world, name).stat().st_uid == US
    assert visit(US, world, name) == (active(world), "")


@pytest.mark.parametrize("place", ["wtenv.toml", ".", ".."])
def test_their_config(world: World, name: str, place: str) -> None:
    """It was allowed while it was ours."""
    os.chown(world.main / place, THEM, THEM)
    os.utime(world.main / "wtenv.toml")
    found, said = visit(US, world, name)
    assert found == NOTHING
    path = (world.main / place).resolve()
    assert f"wtenv.toml is refused: {path} belongs to the user {THEM}; " in said.splitlines()[0]
    done = run(US, world, "sh", "-c", f"cd {world.main}; wtenv allow")
    assert done.returncode == 2
    assert "refused" in done.stderr


@pytest.mark.parametrize("place", ["entry", "version", "cache", "all"])
def test_their_entries(world: World, name: str, place: str) -> None:
    """An entry is code: one that another user wrote, or could have put there, is not read."""
    visit(US, world, name)
    entry = find_entry(world, name)
    entry.write_text(f"/bin/touch {world.home.path}/pwned\n{entry.read_text()}")
    cache = world.home.path / ".cache"
    [version] = (cache / "wtenv").glob("v*")
    give(THEM, {"entry": entry, "version": version, "cache": cache / "wtenv", "all": cache}[place])
    found, said = visit(US, world, name)
    assert (found, said) == (active(world), "")
    assert not (world.home.path / "pwned").exists()


@pytest.mark.parametrize("place", ["trust", "."])
def test_their_records(world: World, name: str, place: str) -> None:
    give(THEM, world.home.path / ".local/share/wtenv" / place)
    found, said = visit(US, world, name)
    assert found == NOTHING, said
    assert len(said.splitlines()) == 2, said
    assert all(line.startswith("wtenv: ") for line in said.splitlines())


@pytest.mark.parametrize("places", [(".cache",), (".cache", ".local", ".config", ".")])
def test_nothing_can_be_written(world: World, name: str, places: tuple[str, ...]) -> None:
    shutil.rmtree(world.home.path / ".cache", ignore_errors=True)
    (world.home.path / ".cache").mkdir()
    (world.home.path / ".config").mkdir(exist_ok=True)
    if name == "fish":
        (world.home.path / ".config/fish").mkdir()
    for place in places:
        give(0, world.home.path / place)
    found, said = visit(US, world, name, TMPDIR="/proc/nowhere", XDG_RUNTIME_DIR="/proc/nowhere")
    if places == (".cache",):
        assert found == active(world)
    else:  # the records are root's then
        assert found == NOTHING
        assert "is not allowed" in said
    assert list((world.home.path / ".cache").iterdir()) == []


@pytest.mark.parametrize("uid", [THEM, 0], ids=["other", "root"])
@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_home_of_another_user(world: World, name: str, uid: int, known: bool) -> None:
    """As `su` without `-` and `sudo -s` leave it: nothing of theirs counts for us, and we leave nothing in there, which
    they could not use or remove."""
    shutil.rmtree(world.home.path / ".cache", ignore_errors=True)
    if known:
        visit(US, world, name)
    elif name == "fish":
        (world.home.path / ".config/fish").mkdir(parents=True)
    before = {path: item for path, item in snapshot(world.home.path).items() if "/fish" not in path}
    found, said = visit(uid, world, name, TMPDIR="/proc/nowhere")
    assert found == NOTHING, said
    assert "wtenv" in said
    after = {path: item for path, item in snapshot(world.home.path).items() if "/fish" not in path}
    assert {path.name for path in map(Path, after.keys() - before.keys())} == set()
    assert visit(US, world, name) == (active(world), "")


def test_state_that_came_along(world: World, name: str) -> None:
    """As `su` and `sudo` may leave it: root's shell takes out what the user's has added, and puts nothing back."""
    show = "/usr/bin/env -0"
    enter = f"{HOOK_LINES['bash']}\ncd {world.main}\n{show}"
    text = run(US, world, "bash", "-c", enter, LD_LIBRARY_PATH="/mine", ALPHA="old").stdout
    env = dict(item.split("=", 1) for item in text.split("\0") if item)
    assert env["WTENV_UID"] == str(US)
    evil = {"PS1": "$(id)", "PROMPT_COMMAND": "id", "LD_PRELOAD": "/evil.so", "PYTHONPATH": "/evil"}
    env |= {f"WTENV_OLD_{key}_": value for key, value in evil.items()}
    env["WTENV_VARS"] += "".join(f" {key}" for key in evil)
    done = run(0, world, name, "-c", f"{HOOK_LINES[name]}\n{show}", **env)
    left = dict(item.split("=", 1) for item in done.stdout.split("\0") if item)
    assert not [key for key in left if key in evil or key.startswith("WTENV_")]
    assert "VIRTUAL_ENV" not in left
    assert str(world.main) not in left["PATH"]
    assert left["PATH"].endswith(world.home.environ["PATH"])
