"""`wtenv sync` as people type it: what it says, --dry-run, --check, progress on a terminal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest
from overlay_projects import add_distribution
from realbase import Base
from scenes import CONFIG, Scene, call, make_git, make_home, make_scene, one_line, snapshot
from workspace import wtenv_program

from wtenv.console import DELAY
from wtenv.hook.shells import build_wtenv

DEPS = CONFIG + "install_deps = true\n"


@pytest.fixture
def scene(tmp_path: Path, base: Base) -> Scene:
    """Allowed, and not synced yet."""
    return make_scene(tmp_path, base, sync=False)


def look(scene: Scene, *words: str) -> tuple[int, list[str]]:
    """Exit code and lines of a sync that must change nothing."""
    before = snapshot(scene.root, scene.home.path)
    done = scene("sync", *words)
    assert snapshot(scene.root, scene.home.path) == before
    assert done.stdout == ""
    return done.returncode, [line.removeprefix("wtenv: ") for line in done.stderr.splitlines()]


def test_dry_run_and_check_say_what_a_sync_would_do(scene: Scene) -> None:
    missing = [f"there is no overlay at {scene.root}/.venv", "would install pkg"]
    assert look(scene, "--dry-run") == (0, missing)
    assert look(scene, "--check") == (1, missing)
    assert look(scene, "--check", "--dry-run") == (1, missing)
    scene("sync", check=True)
    assert look(scene, "--dry-run") == (0, ["nothing to do"])
    assert look(scene, "--check") == (0, ["nothing to do"])
    settings = scene.root / "pyproject.toml"
    settings.write_text(settings.read_text() + "# more\n")
    changed = [f"the build files of {scene.root} changed", "would install pkg"]
    assert look(scene, "--check") == (1, changed)
    assert look(scene, "--check", "--package", "pkg") == (1, changed)
    scene("sync", check=True)
    scene.repo.configure(CONFIG.replace("{base}", scene.base.name).replace('"."', ""))
    scene("allow", check=True)
    assert look(scene, "--check") == (
        1,
        [f"{scene.root} is installed but no longer declared", "would remove pkg"],
    )
    assert look(scene, "--check", "--inexact")[0] == 0
    assert scene("sync", check=True).stderr == "wtenv: removed pkg\n"


STARTS = """
import sys
started = []
events = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system", "pty.spawn"}
sys.addaudithook(lambda event, _: event in events and started.append(event))
from wtenv.cli import main
sys.argv = ["wtenv", "sync"]
print(main(), *started)
"""


def test_nothing_to_do_starts_no_process(scene: Scene) -> None:
    assert scene.home.run([sys.executable, "-c", STARTS], scene.root).stdout.startswith("0 subprocess.Popen")
    assert scene.home.run([sys.executable, "-c", STARTS], scene.root).stdout == "0\n"


def test_a_killed_sync_leaves_no_uv_behind(scene: Scene) -> None:
    """It would go on installing, while the next sync builds."""
    (scene.root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "slow"\nbackend-path = ["."]\n'
        '[project]\nname = "slow"\nversion = "1"\n'
    )
    told = scene.root / "told"
    (scene.root / "slow.py").write_text(
        "import os, time\n\n\ndef build_editable(*_):\n"
        f"    os.rename(write(), {str(told)!r})\n    time.sleep(120)\n\n\ndef write():\n"
        f"    with open({str(told) + '.tmp'!r}, 'w') as file:\n        file.write(f'{{os.getppid()}} {{os.getpid()}}')\n"
        "    return file.name\n"
    )
    command = [wtenv_program(), "sync"]
    with subprocess.Popen(command, cwd=scene.root, env=scene.home.environ, stderr=subprocess.DEVNULL) as sync:
        wait_until(told.exists)
        uv, backend = map(int, told.read_text().split())
        try:
            assert "uv" in Path(f"/proc/{uv}/cmdline").read_text()
            sync.kill()
            sync.wait()
            wait_until(lambda: is_gone(uv))
        finally:
            os.kill(backend, signal.SIGKILL)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    """Ended; in a container nobody may wait for it, and it stays as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def test_they_refuse_what_a_sync_refuses(scene: Scene) -> None:
    (scene.root / ".venv").mkdir()
    for flag in ("--dry-run", "--check"):
        code, lines = look(scene, flag)
        assert (code, "not made by wtenv" in lines[0], len(lines)) == (2, True, 1)
    assert look(scene, "--dry-run", "--replace")[0] == 0
    assert look(scene, "--check", "--package", "other")[0] == 2
    assert look(scene, "--dry-run", "--replace", "--package", ".", "--package", "pkg") == (
        0,
        [f"{scene.root}/.venv was not made by wtenv", "would install pkg"],
    )
    scene("deny", check=True)
    assert "is denied" in one_line(scene("sync", "--check"))


def test_a_dependency_that_the_base_has_lost_is_installed(tmp_path: Path, fresh_base: Base) -> None:
    scene = make_scene(tmp_path / "scene", fresh_base, DEPS, sync=False)
    settings = scene.root / "pyproject.toml"
    text = settings.read_text()
    settings.write_text(text.replace("[project]\n", '[project]\ndependencies = ["iniconfig"]\n', 1))
    scene("sync", check=True)
    assert look(scene, "--check") == (0, ["nothing to do"])
    own = [path.name for path in (scene.root / ".venv/lib").glob("*/site-packages/iniconfig*")]
    assert own == []
    for path in fresh_base.site_packages.glob("iniconfig*"):
        shutil.rmtree(path)
    # The hook follows the base in between, and must not hide it.
    scene("status", check=True)
    assert look(scene, "--check")[0] == 1
    scene("sync", check=True)
    assert list((scene.root / ".venv/lib").glob("*/site-packages/iniconfig*"))
    assert look(scene, "--check") == (0, ["nothing to do"])


def test_progress_on_a_terminal_that_waits(tmp_path: Path, base: Base) -> None:
    """A line per step; a clock once it takes longer; nothing of it stays. Elsewhere lines alone."""
    home = make_home(tmp_path)
    home.add_envs_dir(base.prefix.parent)
    root = make_git(tmp_path, home)
    (root / "slow.py").write_text("")
    (root / "setup.py").write_text(
        f"import time\ntime.sleep({DELAY + 1})\n"
        "from setuptools import setup\nsetup(name='slow', version='1', py_modules=['slow'])\n"
    )
    (root / "wtenv.toml").write_text(CONFIG.replace("{base}", base.name))
    call(home, "allow", cwd=root, check=True)
    terminal = pexpect.spawn(
        str(wtenv_program()), ["sync"], cwd=root, env={**home.environ, "TERM": "xterm"}, dimensions=(24, 80), timeout=60
    )
    terminal.expect(r"wtenv: Building slow")
    terminal.expect(r"0:00:0[1-9]")
    terminal.expect(r"wtenv: installed slow")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    (root / "setup.py").write_text((root / "setup.py").read_text() + "# again\n")
    done = call(home, "sync", cwd=root, check=True)
    assert "0:00:0" not in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stderr.startswith("wtenv: Building slow")


@pytest.mark.parametrize("where", ["2>&1 | true", "2>/dev/full", "2>&-"])
def test_nobody_reads_what_it_says(where: str, scene: Scene) -> None:
    scene("sync", check=True)
    script = f"sync() {{ '{wtenv_program()}' sync --reinstall; }}; sync {where}; exit 0"
    scene.home.run(["bash", "-c", script], scene.root, check=True)
    assert look(scene, "--check") == (0, ["nothing to do"])


def test_a_quick_sync_does_not_load_what_shows_progress(scene: Scene) -> None:
    done = scene.home.run([sys.executable, "-X", "importtime", "-m", "wtenv", "sync"], scene.root, check=True)
    assert "wtenv.overlay.sync" in done.stderr
    assert "rich" not in [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]


CHANGES: dict[str, Callable[[Scene], object]] = {
    "the config": lambda scene: append(scene.root / "wtenv.toml", "# more\n"),
    "a build file": lambda scene: append(scene.root / "pyproject.toml", "# more\n"),
    "a module that is gone": lambda scene: scene.repo.init_file(scene.root).unlink(),
    "a file of the editable's": lambda scene: next((scene.root / ".venv").rglob("METADATA")).unlink(),
    "a package of another tool": lambda scene: add_distribution(
        next((scene.root / ".venv/lib").glob("*/site-packages")), "more", {"more.py": ""}
    ),
    "a script": lambda scene: (scene.root / ".venv/bin/pytest").unlink(),
    "the overlay": lambda scene: shutil.rmtree(scene.root / ".venv"),
    "what git tracks": lambda scene: scene.repo.git("add", "--force", ".venv/bin/activate"),
    "a denial": lambda scene: scene("deny", check=True),
}


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def knows(scene: Scene) -> bool:
    """Whether a sync with nothing to do was known to be one."""
    python, *flags = build_wtenv()
    command = [python, "-X", "importtime", *flags, "sync"]
    said = scene.home.run(command, scene.root).stderr
    return "wtenv: nothing to do\n" in said and "wtenv.decision" not in said


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Scene:
    return make_scene(tmp_path_factory.mktemp("synced"), base)


@pytest.mark.parametrize("change", CHANGES)
def test_a_sync_that_is_known_to_have_nothing_to_do(change: str, synced: Scene) -> None:
    """It goes by what the last one looked at; whatever that was, a change of it is seen."""
    scene = synced
    scene("allow", check=True)
    scene("sync", check=True)
    deadline = time.monotonic() + 60
    while not knows(scene):  # what is younger than the clock's grain is not kept
        assert time.monotonic() < deadline, "it is never known"
    CHANGES[change](scene)
    done = scene("sync")
    assert (done.returncode, done.stderr) != (0, "wtenv: nothing to do\n")
    scene.repo.git("reset", "--quiet", "--hard")
