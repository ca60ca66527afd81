"""What a prompt and a `cd` start: nothing, except where something is seen for the first time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hookworld import CONFIG, World, active, name, own_world, shared_world, world  # noqa: F401
from shells import Shell

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

_STARTS = re.compile(r"\b(?:v?fork\(|clone3?\((?!.*CLONE_THREAD))")
_BECOMES = re.compile(r'\bexecve\("([^"]*)"')


class Watch:
    """Lists what a shell and its children start, from `strace` attached to the shell."""

    def __init__(self, shell: Shell, log: Path) -> None:
        self._shell, self._log = shell, log
        command = [
            "strace",
            "-f",
            "-qq",
            "-s",
            "4096",
            "-e",
            "trace=process",
            "-o",
            str(log),
            "-p",
            str(shell._child.pid),
        ]
        self._tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 10
        while self.run("/bin/true") == 0 and time.monotonic() < deadline:
            time.sleep(0.05)  # until strace is attached

    def run(self, line: str) -> int:
        """Type a line; how many processes it started. What they became is in `programs`."""
        self._seen = self._log.stat().st_size if self._log.exists() else 0
        self._shell.run(line)
        text = self._read()
        self.programs = [os.path.basename(path) for path in _BECOMES.findall(text)]
        return len(_STARTS.findall(text))

    def _read(self) -> str:
        if not self._log.exists():
            return ""
        with self._log.open(errors="replace") as file:
            file.seek(self._seen)
            return file.read()

    def close(self) -> None:
        self._tracer.terminate()
        self._tracer.wait()


@pytest.fixture
def watch(tmp_path: Path):  # type: ignore[no-untyped-def]
    watches: list[Watch] = []

    def start(shell: Shell) -> Watch:
        watches.append(Watch(shell, tmp_path / f"strace{len(watches)}"))
        return watches[-1]

    yield start
    for each in watches:
        each.close()


def test_processes(own_world: Callable[..., World], name: str, watch: Callable[[Shell], Watch]) -> None:
    world = own_world()
    bare = world.outside / "unconfigured"
    subprocess.run(["git", "init", "-q", str(bare)], env=world.home.environ, check=True)
    time.sleep(2.6)  # what was written this instant is asked for twice: its time can't show a second change yet
    shell = world.open(name)
    seen = watch(shell)

    # The first time: one Python, and one shell for the base's activate.d scripts.
    for worktree in (world.main, world.feature):
        assert seen.run(f"cd {worktree}") == 2
        assert seen.programs[0].startswith("python")
        assert seen.programs[1:] == ["bash", "env"]  # env in bash's place
        assert active(shell) == worktree.name
    assert seen.run(f"cd {bare}") == 1

    known = [
        *("cd /", ":", ":", f"cd {world.outside}", ":"),
        *(f"cd {world.main}", ":", ":", "cd src", ":", "cd pkg", ":", "cd ../..", ":"),
        *(f"cd {world.feature}", ":", f"cd {world.main}", ":", f"cd {world.feature}/src", ":", "cd /", ":"),
        *(f"cd {bare}", ":", ":", f"cd {world.main} && cd /", ":"),
    ]
    assert {line: count for line in known if (count := seen.run(line))} == {}

    # A change: once, and then nothing again.
    shell.run(f"cd {world.main}")
    (world.main / "wtenv.toml").write_text(CONFIG.format(base=world.base.name) + 'BETA = "2"\n')
    time.sleep(2.6)
    assert seen.run(":") == 1  # blocked: no scripts run
    assert {line: count for line in (":", ":", "cd src", ":", "cd ..", ":") if (count := seen.run(line))} == {}
    world.wtenv("allow")
    time.sleep(2.6)
    assert seen.run(":") == 2
    assert {line: count for line in (":", ":", "cd src", ":", "cd ..", ":") if (count := seen.run(line))} == {}

    # A second shell knows what the first has seen (feature: since the trust record changed).
    shell.run(f"cd {world.feature}")
    second = world.open(name)
    also = watch(second)
    lines = (f"cd {world.feature}", ":", f"cd {world.main}", ":", f"cd {bare}", ":", "cd /", ":")
    assert {line: count for line in lines if (count := also.run(line))} == {}
