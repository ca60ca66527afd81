"""A checkout can't change what runs: real git, real shells, and what a branch has brought runs nowhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hookworld import World, active, make_world, name, said  # noqa: F401
from realbase import VERSION, Base
from scenes import call, make_git, one_line
from workspace import wtenv_program

from wtenv.overlay import manifest as manifests
from wtenv.overlay.state import State, inspect

SITE = f"lib/python{VERSION}/site-packages"


@dataclass
class Attack:
    """A world, in which the branches `evil` and `deep` have files below `.venv`; what of them runs leaves a mark."""

    world: World
    mark: Path

    @property
    def venv(self) -> Path:
        return self.world.main / ".venv"

    def git(self, *words: str | Path) -> str:
        return self.world.repo.git(*words)

    def inspect(self) -> State:
        return inspect(self.venv, base_prefix=self.world.base.prefix, editables=(), env=self.world.home.environ)

    def repair(self) -> None:
        """Back on main, with a current overlay."""
        self.git("update-index", "--no-split-index", "--index-version", "2")
        self.git("reset", "--quiet", "--hard")
        self.git("checkout", "--quiet", "--force", "main")
        self.git("reset", "--quiet", "--hard", "start")
        self.git("update-ref", "-d", "ORIG_HEAD")
        for place in (self.world.main / ".git").glob("sharedindex.*"):
            place.unlink()
        self.world.wtenv("sync")
        for place in self.world.main.glob(".venv.replaced-*"):
            shutil.rmtree(place)
        assert self.inspect().kind == "current"


FORGED = "x\nwtenv: all is well; run: evil\x1b[2J"


def test_a_name_makes_no_line_of_its_own(attack: Attack, tmp_path: Path) -> None:
    """What says "run: …" on the terminal is wtenv's, whatever files and folders are called."""
    world, file = attack.world, attack.venv / "bin" / FORGED
    file.write_text("#!/bin/sh\n")
    run = ("run", "--no-sync", "true")
    assert "x\\nwtenv: all" in one_line(call(world.home, *run, cwd=world.main))
    attack.git("add", "--force", file)
    for words in (run, ("sync",)):
        assert "git tracks" in one_line(call(world.home, *words, cwd=world.main))
    attack.git("rm", "--quiet", "--force", "--cached", file)
    said = call(world.home, "sync", cwd=world.main, check=True).stderr.splitlines()
    assert [line for line in said if "all is well" in line] == [line for line in said if "is now in" in line] != []
    root = make_git(tmp_path, world.home, FORGED)
    shutil.copy(world.main / "wtenv.toml", root)
    assert "is not allowed" in one_line(call(world.home, *run, cwd=root))


@pytest.fixture(scope="module")
def shared_attack(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Attack:
    world = make_world(tmp_path_factory.mktemp("attack"), base)
    mark = world.outside / "mark"
    script, line = f"#!/bin/sh\ntouch {mark}\n", f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n"
    world.repo.git("tag", "start")
    planted = {
        "evil": {"bin/ls": script, "bin/pytest": script, "bin/python": script, f"{SITE}/zz.pth": line},
        "deep": {f"{SITE}/some/plugin.py": line, f"{SITE}/some-1.0.dist-info/entry_points.txt": "[pytest11]\nx = x\n"},
    }
    for branch, files in planted.items():
        tree = world.repo.add_worktree(branch)
        for path, text in files.items():
            place = tree / ".venv" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            place.chmod(0o755)
        world.repo.git("add", "--force", ".venv", cwd=tree)
        world.repo.git("commit", "--quiet", "--message", "hello", cwd=tree)
        world.repo.git("worktree", "remove", "--force", tree)
    return Attack(world, mark)


@pytest.fixture
def attack(shared_attack: Attack) -> Iterator[Attack]:
    yield shared_attack
    shared_attack.world.close()
    shared_attack.repair()
    assert not shared_attack.mark.exists()


WAYS = {
    "checkout": "git checkout -q {branch}",
    "merge": "git merge -q {branch}",
    "reset": "git reset -q --hard {branch}",
    "of its files": "git checkout -q {branch} -- .venv",
    "restore": "git restore -q -W -s {branch} .venv",
    "apply": "git diff main {branch} -- .venv/bin/ls .venv/lib | git apply",
    "read-tree": "git read-tree -m -u {branch}",
}
INDEXES = {"2": "--index-version 2", "4": "--index-version 4", "split": "--split-index"}


@pytest.mark.parametrize(("way", "index"), list(zip(WAYS, ["2", "4", "split", "4", "2", "split", "4"], strict=True)))
def test_whatever_git_brings(attack: Attack, way: str, index: str) -> None:
    """The next prompt sees a time, and the overlay is not used until a sync, in every form of the index."""
    attack.git("update-index", *INDEXES[index].split())
    before = attack.inspect()
    times = manifests.read_times(list(map(os.fspath, before.watch)))
    line = WAYS[way].format(branch="evil")
    attack.world.home.run(["/bin/sh", "-c", line], attack.world.main, check=True)
    state = attack.inspect()
    assert state.kind == "unusable"
    tracked = way not in ("restore", "apply")
    if tracked:
        assert "git tracks .venv/bin/ls" in state.reason
    assert manifests.read_times(list(map(os.fspath, before.watch))) != times
    for words in (("run", "pytest"), ("export", "bash"), *([("sync",)] if tracked else [])):
        told = one_line(call(attack.world.home, *words, cwd=attack.world.main))
        assert ".venv" in told and "wtenv sync" in told


@pytest.mark.parametrize("way", ["checkout", "merge", "reset"])
def test_deep_in_the_overlay(attack: Attack, way: str) -> None:
    """What a checkout brings where no watched folder changes: the reflog does, and git's index tells."""
    folder = attack.venv / SITE / "some"
    (attack.venv / SITE / "some-1.0.dist-info").mkdir()
    folder.mkdir()
    attack.world.wtenv("export", "bash")  # which takes notice of these two
    before = attack.inspect()
    times = manifests.read_times(list(map(os.fspath, before.watch)))
    attack.world.home.run(["/bin/sh", "-c", WAYS[way].format(branch="deep")], attack.world.main, check=True)
    assert f"git tracks .venv/{SITE}/some" in attack.inspect().reason
    assert manifests.read_times(list(map(os.fspath, before.watch))) != times


def test_a_branch_runs_nothing_in_a_shell(attack: Attack, name: str) -> None:
    """Neither at the next prompt, nor by a `cd` on the same line; and back on main it is not silently the base's."""
    world = attack.world
    shell = world.open(name, world.main)
    assert active(shell) == "main"
    told = said(shell.run("git checkout -q evil"))
    assert len(told) == 1 and "git tracks .venv/bin/" in told[0], told
    assert active(shell) == ""
    for line in ("ls", "pytest --version", "python --version", "true"):
        assert not said(shell.run(line)), line
    told = said(shell.run("git checkout -q main"))
    assert len(told) == 1 and "bin/" in told[0] and "run: wtenv sync" in told[0], told
    assert active(shell) == ""
    assert not said(shell.run("true"))
    shell.run("wtenv sync")
    assert active(shell) == "main"
    shell.run(f"cd {world.outside}")
    attack.git("checkout", "-q", "evil")
    shell.run(f"cd {world.main} && pytest --version; ls; python --version")
    assert active(shell) == ""
    assert not attack.mark.exists()


def test_the_command_that_ends_it_works(attack: Attack) -> None:
    """As printed, also where the index has something else than both HEAD and the worktree."""
    place = attack.venv / "bin/ls"
    place.write_text("#!/bin/sh\n")
    attack.git("add", "--force", place)
    place.write_text("#!/bin/sh\necho changed\n")
    before = attack.venv.with_name("mine.txt")
    before.write_text("left alone")
    state = attack.inspect()
    command = state.fix.removeprefix("run: ")
    told = one_line(call(attack.world.home, "sync", cwd=attack.world.main))
    assert told == f"{state.reason}; {state.fix}"
    attack.world.home.run(["/bin/sh", "-c", command], attack.world.outside / "feature", check=False)
    attack.world.home.run(["/bin/sh", "-c", command.partition(" && ")[2]], attack.world.main, check=True)
    assert attack.inspect().kind == "current"
    assert not place.exists()
    assert (attack.world.main / ".venv.replaced-1/bin/ls").read_text() == "#!/bin/sh\necho changed\n"
    assert before.read_text() == "left alone"
    before.unlink()


def test_paths_that_only_look_alike(attack: Attack) -> None:
    """A folder of that name elsewhere in the worktree is nobody's overlay."""
    for path in (".venv2/bin/ls", "examples/.venv/bin/ls", "x.venv/y", ".venv.md"):
        place = attack.world.main / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
        attack.git("add", "--force", place)
    for version in INDEXES.values():
        attack.git("update-index", *version.split())
        assert attack.inspect().kind == "current"


@pytest.mark.parametrize("fault", ["no git", "git fails"])
def test_what_git_can_not_say_is_not_used(attack: Attack, fault: str, tmp_path: Path) -> None:
    """An index that only git can read, and a git that does not: nothing is active, nothing is kept, and it is said."""
    attack.git("update-index", "--index-version", "4")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "wtenv").symlink_to(wtenv_program())
    if fault == "git fails":
        (tools / "git").write_text("#!/bin/sh\necho 'fatal: no' >&2\nexit 128\n")
        (tools / "git").chmod(0o755)
    for _ in range(2):
        told = one_line(call(attack.world.home, "run", "/bin/true", cwd=attack.world.main, env={"PATH": str(tools)}))
        assert told.startswith("git can't say whether it tracks anything in") and " ls-files" in told
    assert call(attack.world.home, "run", "true", cwd=attack.world.main).returncode == 0
