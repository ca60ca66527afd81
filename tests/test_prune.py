"""`wtenv prune`: forgets what is gone, and nothing else, also while others are at work."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hookworld import World, make_world
from realbase import Base
from scenes import Scene, call, make_fake_base, make_git, make_home, make_scene, snapshot
from shells import HOOK_LINES, require_shell, run_script
from workspace import Home

from wtenv.insight import garbage
from wtenv.overlay.registry import hold, lock

CONFIG = '[python]\nbase_conda_env = "fake"\n'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = make_home(tmp_path)
    make_fake_base(tmp_path / "bases", made)
    return made


def make_clone(home: Home, folder: Path, name: str = "repo") -> Path:
    """A repository that is allowed and synced."""
    root = make_git(folder, home, name)
    (root / "wtenv.toml").write_text(CONFIG)
    call(home, "allow", cwd=root, check=True)
    call(home, "sync", cwd=root, check=True)
    return root


def prune(home: Home, *words: str) -> tuple[list[str], str]:
    """The lines about each leftover, and what is said at the end."""
    done = call(home, "prune", *words, cwd=home.path)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def data(home: Home, *patterns: str) -> list[str]:
    """wtenv's own files, by their folder and ending."""
    top = home.path / ".local/share/wtenv"
    return sorted(f"{path.parent.name}{path.suffix}" for path in top.rglob("*.*") if path.is_file())


BOTH = ["overlays.json", "overlays.lock", "trust.json"]


def test_nothing_to_do(home: Home, tmp_path: Path) -> None:
    assert prune(home) == ([], "wtenv: nothing to remove\n")
    make_clone(home, tmp_path)
    before = snapshot(home.path)
    assert prune(home, "--all") == ([], "wtenv: nothing to remove\n")
    assert snapshot(home.path) == before


def test_a_clone_that_is_gone(home: Home, tmp_path: Path) -> None:
    root, other = make_clone(home, tmp_path), make_clone(home, tmp_path, "other")
    shutil.rmtree(root)
    before = snapshot(home.path)
    told, end = prune(home, "--dry-run")
    assert told == [f"would remove trust of {root}/.git", f"would remove overlay of {root}/.venv"]
    assert end.startswith("wtenv: would remove 3 files, ")
    assert snapshot(home.path) == before
    told, end = prune(home)
    assert told == [f"removed trust of {root}/.git", f"removed overlay of {root}/.venv"]
    assert end == end.replace("would remove", "removed") and "3 files, 8.0 KB" in end
    assert data(home) == BOTH
    assert call(home, "run", "true", cwd=other).returncode == 0
    assert prune(home) == ([], "wtenv: nothing to remove\n")


def test_a_worktree_that_is_gone(base: Base, tmp_path: Path) -> None:
    scene: Scene = make_scene(tmp_path, base)
    for name in ("bash", "zsh"):
        require_shell(name)
        script = f"{HOOK_LINES[name]}; sleep 0.1; cd {scene.root}; cd {scene.feature}"
        assert run_script(name, script, scene.home.environ).returncode == 0
    cache = scene.home.path / ".cache/wtenv"
    entries, stamps = list(cache.rglob("%wtenv.*")), list((cache / "witnesses").iterdir())
    assert len(entries) == 6  # each worktree's for the two shells, and the one for `run`
    scene.repo.git("worktree", "remove", "--force", scene.feature)
    told, _ = prune(scene.home)
    assert told == [f"removed overlay of {scene.feature}/.venv", f"removed cache of {scene.feature}"]
    left = list(cache.rglob("%wtenv.*"))
    assert {path.parent.name for path in left} == {"main"}
    assert len(left) == 3
    assert 0 < len(list((cache / "witnesses").iterdir())) < len(stamps)
    assert not list(cache.rglob("feature"))
    assert data(scene.home) == BOTH


def test_an_overlay_that_is_gone(home: Home, tmp_path: Path) -> None:
    root = make_clone(home, tmp_path)
    shutil.rmtree(root / ".venv")
    assert prune(home)[0] == [f"removed overlay of {root}/.venv"]
    assert data(home) == ["trust.json"]
    call(home, "sync", cwd=root, check=True)
    call(home, "clean", cwd=root, check=True)
    assert data(home) == ["overlays.lock", "trust.json"]
    assert prune(home)[0][0].startswith("removed lock of ")
    assert data(home) == ["trust.json"]


def test_what_a_killed_sync_left_is_still_known(home: Home, tmp_path: Path) -> None:
    root = make_clone(home, tmp_path)
    (record,) = (home.path / ".local/share/wtenv/overlays").glob("*.json")
    record.write_text(record.read_text().replace('"leftovers": []', '"leftovers": [".venv.old-1"]'))
    (root / ".venv").rename(root / ".venv.old-1")
    assert prune(home)[0] == []
    call(home, "sync", cwd=root, check=True)
    assert not (root / ".venv.old-1").exists()


def test_denials_are_kept(home: Home, tmp_path: Path) -> None:
    root = make_git(tmp_path, home)
    call(home, "deny", cwd=root, check=True)
    shutil.rmtree(root)
    told, end = prune(home)
    assert told == [f"kept denial of {root}/.git: a denial stays in force should it come back"]
    assert "nothing to remove" in end and "wtenv prune --all" in end
    assert data(home) == ["trust.json"]
    assert prune(home, "--all")[0] == [f"removed denial of {root}/.git"]
    assert data(home) == []


# --- what may come back -----------------------------------------------------------------------------


def test_a_disk_that_is_not_mounted(home: Home, tmp_path: Path) -> None:
    """An unmounted mount point is an empty folder."""
    (tmp_path / "disk").mkdir()
    root = make_clone(home, tmp_path / "disk/projects")
    (tmp_path / "disk/projects").rename(tmp_path / "elsewhere")
    why = "it may be on a disk that is not mounted"
    told, end = prune(home)
    assert told == [f"kept trust of {root}/.git: {why}", f"kept overlay of {root}/.venv: {why}"]
    assert "wtenv prune --all" in end
    assert data(home) == BOTH
    (tmp_path / "elsewhere").rename(tmp_path / "disk/projects")
    assert call(home, "run", "true", cwd=root).returncode == 0
    (tmp_path / "disk/projects").rename(tmp_path / "elsewhere")
    told, _ = prune(home, "--all")
    assert [line.split()[1] for line in told] == ["trust", "overlay", "cache"]  # `run` has kept what it computed
    assert data(home) == []


def make_missing(folder: Path) -> Path:
    (folder / "other").mkdir()
    return folder / "repo/.git"


def make_alone(folder: Path) -> Path:
    return folder / "repo/.git"


def make_roots(_: Path) -> Path:
    return Path("/no such folder/repo/.git")


def make_mount(_: Path) -> Path:
    return Path("/proc/nonexistent/.git")


def make_loop(folder: Path) -> Path:
    (folder / "loop").symlink_to("loop")
    return folder / "loop/.git"


def make_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file/repo"


def make_there(folder: Path) -> Path:
    (folder / "link").symlink_to("nowhere")
    return folder / "link"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (make_missing, "gone"),
        (make_alone, "unreachable"),
        (make_roots, "unreachable"),
        (make_mount, "unreachable"),
        (make_loop, "unreachable"),
        (make_file, "unreachable"),
        (make_there, "there"),
    ],
)
def test_search(make: Callable[[Path], Path], expected: str, tmp_path: Path) -> None:
    assert garbage.search(make(tmp_path)) == expected


def test_a_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where removable disks appear: /media, /mnt, /Volumes are root's."""
    (tmp_path / "another disk").mkdir()
    assert garbage.search(tmp_path / "disk/repo/.git") == "gone"
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert garbage.search(tmp_path / "disk/repo/.git") == "unreachable"


# --- caches -----------------------------------------------------------------------------------------


def test_old_caches(home: Home, tmp_path: Path) -> None:
    root = make_clone(home, tmp_path)
    run_script("bash", f"{HOOK_LINES['bash']}; sleep 0.1; cd {root}", home.environ)
    cache = home.path / ".cache/wtenv"
    old, mine = cache / "v1-0.0.1/a/b", cache / "v1-0.0.1/mine"
    old.mkdir(parents=True)
    for name in ("%wtenv.bash", "%wtenv.fish1"):
        (old / name).write_text("# wtenv\n__wtenv_witnesses='/x/witnesses/../../mine'\n")
    for name in ("fine.1", "fine.2"):
        (cache / "v1-0.0.1" / name).touch()
    mine.write_text("not wtenv's")
    unused, fresh = (cache / "witnesses" / (letter * 20) for letter in "ab")
    for folder in (unused, fresh):
        folder.mkdir()
        (folder / "0").touch()
    (cache / "witnesses/mine").mkdir()
    link = cache / "witnesses" / ("c" * 20)
    link.symlink_to(tmp_path)
    temporary, other = cache / ".x.12.0123abcd.tmp", cache / ".x.13.0123abcd.tmp"
    for path in (temporary, other):
        path.touch()
    past = time.time() - 7200
    for path in (unused, temporary):
        os.utime(path, (past, past))
    told, _ = prune(home)
    assert told == ["removed cache of another version (2)", "removed cache of earlier states",
                    f"removed temporary file of {cache}"]  # fmt: skip
    assert sorted(path.name for path in (cache / "v1-0.0.1").rglob("*")) == ["mine"]
    assert [path.exists() for path in (unused, fresh, temporary, other, cache / "witnesses/mine")] == [
        False, True, False, True, True]  # fmt: skip
    assert link.is_symlink()
    assert list(cache.glob(f"v[0-9]*{root}/%wtenv.bash"))


def test_the_cache_of_a_root_called_wtenv(home: Home, tmp_path: Path) -> None:
    root = make_clone(home, tmp_path, "wtenv")
    run_script("bash", f"{HOOK_LINES['bash']}; sleep 0.1; cd {root}", home.environ)
    shutil.rmtree(root)
    assert f"removed cache of {root}" in prune(home)[0]
    assert not list((home.path / ".cache/wtenv").rglob("wtenv"))


# --- others at work ---------------------------------------------------------------------------------


def test_a_lock_that_is_held(home: Home, tmp_path: Path) -> None:
    root = make_clone(home, tmp_path)
    shutil.rmtree(root / ".venv")
    (file,) = (home.path / ".local/share/wtenv/overlays").glob("*.lock")
    with file.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert prune(home)[0] == [f"kept overlay of {root}/.venv: it is in use"]
    assert data(home) == BOTH
    assert prune(home)[0] == [f"removed overlay of {root}/.venv"]


def test_who_waits_for_a_lock_that_is_removed_gets_the_new_one(tmp_path: Path) -> None:
    env = {"XDG_DATA_HOME": str(tmp_path)}
    venv, waiting, entered = tmp_path / "venv", threading.Event(), threading.Event()

    def sync() -> None:
        with lock(venv, env, lambda _: waiting.set()):
            entered.set()

    with lock(venv, env, None):
        (file,) = tmp_path.rglob("*.lock")
        thread = threading.Thread(target=sync)
        thread.start()
        assert waiting.wait(30)
        file.unlink()
        with lock(venv, env, None):  # as a third process would, while the second still waits for the old file
            pass
    thread.join(30)
    assert entered.is_set()
    with hold(file) as is_there:
        assert is_there


@pytest.fixture
def world(tmp_path: Path, base: Base) -> Iterator[World]:
    made = make_world(tmp_path, base)
    yield made
    made.close()


def test_hooks_at_work(world: World) -> None:
    """Shells go in and out, worktrees come and go, prune runs over and over: every visit is right."""
    script = (
        f"{HOOK_LINES['bash']}\nsleep 0.1\nfor i in {{1..25}}; do cd {world.main}; [[ $ALPHA == 'one two' ]] || exit 9; "
        f'touch -d "-$((i + 60)) min" {world.main}/wtenv.toml; cd {world.feature}; [[ $VIRTUAL_ENV == $PWD/.venv ]] || exit 8; '
        "cd /; [[ -z ${WTENV_ID-} ]] || exit 7; done"
    )
    shell = subprocess.Popen(["bash", "-c", script], env=world.home.environ, stderr=subprocess.PIPE, text=True)
    try:
        while shell.poll() is None:
            told, _ = prune(world.home)
            assert not [line for line in told if "feature" in line or "main" in line], told
    finally:
        shell.kill()
        errors = shell.communicate()[1]
    assert shell.returncode == 0, errors
    assert "bug" not in errors


def test_a_folder_that_can_not_be_written(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wtenv.commands import prune as command
    from wtenv.errors import WtenvError

    root = make_clone(home, tmp_path)
    shutil.rmtree(root)

    def fail(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(WtenvError, match=r"can't remove .*/trust/.*json \(Permission denied\)"):
        command.run(Namespace(all=False, dry_run=False), home.environ)
