"""A home that can't be written, as in a sandbox: everything works, and what is kept meanwhile is as private, counts
there alone, and never lies below the worktree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hookworld import World
from realbase import Base
from scenes import Scene, call, can_mount, make_home, make_scene, one_line, snapshot
from shells import HOOK_LINES, require_shell
from test_other_users import THEM, US, give, pytestmark, run  # noqa: F401
from workspace import make_repo, wtenv_program

from wtenv import dirs

mounts = pytest.mark.skipif(not can_mount(), reason="no mounts of one's own here")
LOOK = "python -c 'import pkg; print(pkg.__file__)'"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Scene:
    """main is synced, feature is not; both are allowed."""
    made = make_scene(tmp_path_factory.mktemp("readonly"), base, sync=False)
    made("sync", check=True)
    return made


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """As /tmp, so that nothing is left in the real one."""
    made = tmp_path / "tmp"
    made.mkdir()
    made.chmod(0o1777)
    return made


def sandbox(scene: Scene, temporary: Path, script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `script` where the home is a read-only mount; uv's cache is that of the home as well."""
    home = scene.home.path
    text = f'mount --bind "{home}" "{home}" && mount -o remount,ro,bind "{home}" && exec sh -c "$0"'
    env = {name: value for name, value in scene.home.environ.items() if name != "UV_CACHE_DIR"}
    env |= {"TMPDIR": str(temporary), "PATH": f"{wtenv_program().parent}:{env['PATH']}"}
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", text, script], cwd=cwd, env=env,
        capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@mounts
def test_everything_works(scene: Scene, temporary: Path) -> None:
    before = snapshot(scene.home.path)
    script = f"""set -e
        ! touch ~/x 2>/dev/null
        wtenv status >/dev/null; wtenv sync; wtenv sync
        wtenv run {LOOK}; wtenv run {LOOK}
        wtenv export json >/dev/null; . .venv/bin/activate; {LOOK}; deactivate
        wtenv doctor --json || :"""
    done = sandbox(scene, temporary, script, scene.feature)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == [str(scene.repo.init_file(scene.feature))] * 3
    assert "nothing to do" in done.stderr
    [found] = [item for item in json.loads("\n".join(lines[3:]))["findings"] if "elsewhere" in item["finding"]]
    assert any(f"{temporary}/wtenv-{os.getuid()}/data takes its place" in line for line in found["evidence"])
    assert snapshot(scene.home.path) == before
    made = [path for path in scene.feature.rglob("*") if ".venv" not in path.parts and "trust" in path.parts]
    assert not made
    own = temporary / f"wtenv-{os.getuid()}"
    assert all(path.lstat().st_mode & 0o077 == 0 for path in [own, *own.rglob("data/**")])
    shutil.rmtree(scene.feature / ".venv")


@mounts
@pytest.mark.parametrize("shell", HOOK_LINES)
def test_the_hook(shell: str, scene: Scene, temporary: Path) -> None:
    """What was allowed and built before is used; the second shell reads what the first has kept."""
    require_shell(shell)
    line = f'{HOOK_LINES[shell]}\ncd {scene.root}\n{LOOK}\ncd {scene.feature}\necho "<$VIRTUAL_ENV>"'
    for _ in range(2):
        done = sandbox(
            scene, temporary, f"{shell} -c '{line.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'", Path("/")
        )
        assert done.stdout.splitlines() == [str(scene.repo.init_file(scene.root)), "<>"], done.stderr
        assert "run: wtenv sync" in done.stderr
    assert list((temporary / f"wtenv-{os.getuid()}/cache").rglob(f"%wtenv.{shell}"))


@mounts
def test_an_allow_counts_in_there_alone(scene: Scene, temporary: Path) -> None:
    """Else what runs in a sandbox could let itself out."""
    config = scene.root / "wtenv.toml"
    text = config.read_text()
    try:
        config.write_text(f"{text}\n[env]\nA = 'evil'\n")
        done = sandbox(scene, temporary, "wtenv run true; wtenv allow && wtenv run printenv A", scene.root)
        assert done.stdout.endswith("evil\n"), done.stderr
        assert "has changed since it was allowed" in done.stderr
        outside = scene("run", "true", env={"TMPDIR": str(temporary)})
        assert "has changed since it was allowed" in outside.stderr
    finally:
        config.write_text(text)
    assert scene("run", "true", env={"TMPDIR": str(temporary)}).returncode == 0


@mounts
def test_a_deny_from_before_stays(scene: Scene, temporary: Path) -> None:
    scene("deny", check=True)
    try:
        done = sandbox(scene, temporary, "wtenv run true; wtenv allow; wtenv run true", scene.root)
        assert done.returncode == 2
        assert "is denied by" in done.stderr
        assert done.stderr.count("\n") == 3, done.stderr
    finally:
        scene("allow", check=True)


@mounts
def test_a_deny_in_there(scene: Scene, temporary: Path) -> None:
    done = sandbox(scene, temporary, "wtenv deny; wtenv run true; wtenv allow; wtenv run true && echo on", scene.root)
    assert done.stdout == "on\n"
    assert "is denied" in done.stderr


@mounts
def test_two_syncs_from_both_sides(scene: Scene, temporary: Path) -> None:
    """They wait for each other, though each has a lock of its own."""
    [lock] = (scene.home.path / ".local/share/wtenv/overlays").glob("*.lock")
    holder = subprocess.Popen(
        ["python3", "-c", "import fcntl,sys,time; f=open(sys.argv[1],'r+'); fcntl.flock(f,2); print(1,flush=True); input()", lock],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout and holder.stdout.readline()
        done = sandbox(scene, temporary, "timeout 3 wtenv sync", scene.root)
        assert "waiting for another sync" in done.stderr
        assert done.returncode == 124
    finally:
        holder.communicate(b"\n")
    assert sandbox(scene, temporary, "wtenv sync", scene.root).returncode == 0


# --- another user, and no home ---------------------------------------------------------------------


@pytest.fixture
def theirs() -> Iterator[World]:
    """A repository of another uid, which can't reach pytest's own folder, on the system's Python."""
    top = Path(tempfile.mkdtemp(prefix="wtenv-users-"))
    top.chmod(0o755)
    home = make_home(top)
    repo = make_repo(top / "work", home, "flit")
    (repo.root / "wtenv.toml").write_text('[python]\nbase_prefix = "/usr"\n')
    (top / "tmp").mkdir()
    give(US, top / "work", home.path)
    (top / "tmp").chmod(0o1777)
    yield World(home, Base("usr", Path("/usr"), Path("/usr")), repo)
    shutil.rmtree(top)


@pytest.mark.parametrize("kind", ["not writable", "/nonexistent", "unset"])
def test_no_home_to_write_to(kind: str, theirs: World) -> None:
    home, temporary = theirs.home.path, theirs.outside.parent / "tmp"
    if kind == "not writable":
        os.chown(home, 0, 0)
    env = {"not writable": str(home), "/nonexistent": "/nonexistent", "unset": ""}[kind]
    script = f"cd {theirs.main}; wtenv allow && wtenv sync && wtenv run sh -c 'echo $VIRTUAL_ENV'"
    done = run(US, theirs, "sh", "-c", script, HOME=env, TMPDIR=str(temporary))
    assert (done.returncode, done.stdout) == (0, f"{theirs.main}/.venv\n"), done.stderr
    own = temporary / f"wtenv-{US}"
    assert (own.stat().st_mode & 0o777, own.stat().st_uid) == (0o700, US)
    assert not Path("/nonexistent").exists()


# --- which folder --------------------------------------------------------------------------------


def spoil(kind: str, folder: Path) -> None:
    """What somebody else may have put in the place of our folder, or done to the one above it."""
    other = folder.parent.parent / "other"
    other.mkdir()
    if kind == "theirs":
        folder.mkdir(mode=0o700)
        os.chown(folder, THEM, THEM)
    elif kind == "open":
        folder.mkdir()
        folder.chmod(0o755)
    elif kind == "a link to ours":
        other.chmod(0o700)
        folder.symlink_to(other)
    elif kind == "a link to nowhere":
        folder.symlink_to(other / "none")
    elif kind == "a file":
        folder.touch(0o600)
    elif kind == "not sticky":
        folder.parent.chmod(0o777)
    elif kind == "above is theirs":
        os.chown(folder.parent, THEM, THEM)
    elif kind == "in a worktree":
        (folder.parent.parent / ".git").mkdir()
    elif kind == "a clone":
        (folder / ".git").mkdir(parents=True)
        folder.chmod(0o700)
    elif kind == "gone":
        folder.parent.rmdir()


@pytest.mark.parametrize(
    "kind",
    [
        "theirs",
        "open",
        "a link to ours",
        "a link to nowhere",
        "a file",
        "not sticky",
        "above is theirs",
        "in a worktree",
        "a clone",
        "gone",
    ],
)
def test_a_folder_that_is_not_ours_alone(kind: str, temporary: Path) -> None:
    env = {"HOME": "/nonexistent", "TMPDIR": str(temporary)}
    folder = temporary / f"wtenv-{os.getuid()}"
    assert dirs.find_data(env) == f"{folder}/data"
    spoil(kind, folder)
    for find in (dirs.find_data, dirs.find_cache, dirs.find_state, dirs.find_uv_cache):
        assert not find(env).startswith(str(temporary)), kind


def test_what_can_be_written_is_used(tmp_path: Path, temporary: Path) -> None:
    """A home without any of these folders; and one of another user is a mistake that is said, not passed over."""
    env = {"HOME": str(tmp_path), "TMPDIR": str(temporary)}
    assert dirs.find_data(env) == f"{tmp_path}/.local/share/wtenv"
    assert dirs.list_data(env) == [dirs.find_data(env)]
    assert dirs.list_moved(env) == []
    assert dirs.find_uv_cache(env) == ""
    assert dirs.find_data({**env, "XDG_DATA_HOME": "/proc/version"}) == f"{temporary}/wtenv-{os.getuid()}/data"
    assert dirs.list_data({**env, "XDG_DATA_HOME": "/proc/version"})[1:] == ["/proc/version/wtenv"]


@pytest.mark.parametrize("shell", HOOK_LINES)
@pytest.mark.parametrize("words", [[], ["--all-shells"]])
def test_no_file_that_lasts_names_the_temporary_directory(
    words: list[str], shell: str, tmp_path: Path, temporary: Path
) -> None:
    """A folder there is gone some day, and then anybody's who makes it; a new shell would source what they put there."""
    home = make_home(tmp_path)
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        env = {name: "/proc/version", "TMPDIR": str(temporary)}
        done = call(home, "setup", shell, *words, cwd=tmp_path, env=env)
        if name == "XDG_DATA_HOME":
            assert "/proc/version/wtenv can't be written" in one_line(done)
            call(home, "setup", shell, "--undo", cwd=tmp_path, env=env, check=True)
        lasting = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
        assert not [path for path in lasting if str(temporary) in path.read_text(errors="replace")]
        line = call(home, "setup", shell, *words, "--print", cwd=tmp_path, env=env, check=True).stdout
        assert str(temporary) not in line
    assert (home.path / f".local/share/wtenv/hook.{shell}").exists()
