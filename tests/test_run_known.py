"""`wtenv run` where the activation is known: the same as computed, from data that is looked at as strictly as the
hook's entries, in one process that imports next to nothing."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from realbase import Base
from scenes import CONFIG, Scene, make_scene
from workspace import wtenv_program

from wtenv import environ
from wtenv.cli import parse_run
from wtenv.hook import cached, cached_run
from wtenv.hook.shells import ABI, build_wtenv, locate_cached

DUMP = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(sorted(k + b'=' + v for k, v in os.environb.items())))"


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    text = CONFIG + '\n[env]\nODD = "a\\nb\\u00e9"\nGONE = false\n\n[activation]\npath = ["bin"]\ndotenv = [".env"]\n'
    made = make_scene(tmp_path_factory.mktemp("known"), base, text, sync=False)
    for worktree in made.repo.worktrees:
        (worktree / ".env").write_text("DOTENV=1\n")
        made("allow", cwd=worktree, check=True)
        made("sync", cwd=worktree, check=True)
    return made


def kept_file(scene: Scene, worktree: Path | None = None) -> Path:
    return Path(f"{locate_cached(scene.home.environ)}{worktree or scene.root}/{cached_run.NAME}")


def start(
    scene: Scene, *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> tuple[bool, subprocess.CompletedProcess[bytes]]:
    """Whether it was known, and the command's end."""
    python, *flags = build_wtenv()
    command = [python, "-X", "importtime", *flags, *(words if words[0] == "__follow" else ("run", "--no-sync", *words))]
    variables = {**scene.home.environ, **(env or {})}
    done = subprocess.run(command, cwd=cwd or scene.root, env=variables, capture_output=True, timeout=60)
    return b"wtenv.decision" not in done.stderr, done


@pytest.fixture
def learn(scene: Scene) -> Callable[..., None]:
    """Let what is asked next be known; nothing that it depends on is younger than the clock's grain."""

    def ask(cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        deadline = time.monotonic() + 30
        while not start(scene, "true", cwd=cwd, env=env)[0]:
            assert time.monotonic() < deadline, "it is never known"

    return ask


@pytest.mark.parametrize("case", ["plain", "inside", "in feature", "conda", "unset"])
def test_it_is_what_is_computed(case: str, scene: Scene, base: Base, learn: Callable[..., None]) -> None:
    env = dict(scene.home.environ)
    if case in ("inside", "in feature"):
        worktree = scene.root if case == "inside" else scene.feature
        raw = scene("run", sys.executable, "-c", DUMP, cwd=worktree, check=True).stdout
        env = dict(item.split("=", 1) for item in raw.split("\0"))
    elif case == "conda":
        env |= {"CONDA_SHLVL": "1", "CONDA_PREFIX": "/opt/x", "PATH": f"/opt/x/bin:{env['PATH']}"}
    elif case == "unset":
        env |= {"GONE": "there", "BYTES": os.fsdecode(b"\xff\n"), "LANG": "C", "LC_ALL": "C"}
    scene.home.environ, before = env, scene.home.environ
    try:
        kept_file(scene).unlink(missing_ok=True)
        first, computed = start(scene, sys.executable, "-I", "-c", DUMP)
        learn()
        second, told = start(scene, sys.executable, "-I", "-c", DUMP)
    finally:
        scene.home.environ = before
    assert (first, second) == (False, True)
    assert told.stdout == computed.stdout
    assert f"VIRTUAL_ENV={scene.root}/.venv".encode() in told.stdout.split(b"\0")


def test_what_it_imports(scene: Scene, learn: Callable[..., None]) -> None:
    learn()
    python, *flags = build_wtenv()
    command = [python, "-S", "-X", "importtime", *flags]
    bare = subprocess.run([python, "-I", "-S", "-X", "importtime", "-c", ""], capture_output=True, text=True)
    for words in (["run", "true"], ["__follow", str(scene.feature / ".venv"), str(scene.feature), "true"]):
        done = subprocess.run(
            [*command, *words], cwd=scene.root, env=scene.home.environ, capture_output=True, text=True
        )
        names = [{line.rpartition("|")[2].strip() for line in text.splitlines()} for text in (done.stderr, bare.stderr)]
        extra = {name for name in names[0] - names[1] if not name.startswith("wtenv")}
        allowed = {"__future__", "_abc", "_collections_abc", "_stat", "abc", "errno", "genericpath", "io", "os"}
        assert extra <= allowed | {"posixpath", "stat", "_signal"}, extra
        assert {name for name in names[0] if name.startswith("wtenv.")} <= {
            f"wtenv.{name}"
            for name in ("cli", "dirs", "environ", "errors", "hook", "hook.cached_run", "names", "process")
        }


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not there")
def test_it_starts_no_process(scene: Scene, learn: Callable[..., None], tmp_path: Path) -> None:
    learn()
    log = tmp_path / "log"
    command = ["strace", "-f", "-qq", "-o", log, "-e", "trace=process", wtenv_program(), "run", "true"]
    scene.home.run(command, scene.root, check=True)
    calls = [line.split(None, 1)[1] for line in log.read_text().splitlines()]
    assert not [line for line in calls if line.startswith(("clone", "fork", "vfork"))], calls
    assert sum(line.startswith("execve(") and line.endswith("= 0") for line in calls) == 2, calls


def _append(text: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        path.write_text(path.read_text() + text)

    return edit


def _replace_unseen(path: Path) -> None:
    """Other content under the same size and time."""
    info, text = path.stat(), path.read_text()
    path.unlink()
    path.write_text(text.replace("1", "2"))
    os.utime(path, ns=(info.st_mtime_ns, info.st_mtime_ns))


CHANGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "the config": ("wtenv.toml", _append("# x\n")),
    "the config's mode": ("wtenv.toml", lambda path: path.chmod(0o646)),
    "a dotenv file": (".env", _append("X=1\n")),
    "a dotenv file, unseen": (".env", _replace_unseen),
    "a dotenv file that goes": (".env", Path.unlink),
    "the overlay": (".venv/wtenv.json", lambda path: os.utime(path)),
    "an overlay that goes": (".venv", lambda path: path.rename(path.with_name("gone"))),
    "a script of the overlay's, in place": (".venv/bin/pkg-cli", _append("# x\n")),
    "the wrappers' program, in place": (".venv/bin/.wrapper", _append("# x\n")),
    "the overlay's settings, in place": (".venv/pyvenv.cfg", _append("# x\n")),
    "who may write to .git": (".git", lambda path: path.chmod(0o777)),
    "who may write to a folder above": ("..", lambda path: path.chmod(0o777)),
    "the worktree's .git": (".git", lambda path: path.rename(path.with_name("git"))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_notices(change: str, scene: Scene, learn: Callable[..., None]) -> None:
    name, do = CHANGES[change]
    path = scene.root / name
    learn()
    info, data = path.stat(), path.read_bytes() if path.is_file() else b""
    do(path)
    try:
        was_known, done = start(scene, "true")
        fresh = scene.home.run([wtenv_program(), "export", "json"], scene.root)
        assert not was_known, done
        assert (done.returncode == 0) == (fresh.returncode == 0)
    finally:
        for away in ("gone", "git"):
            if (scene.root / away).exists():
                (scene.root / away).rename(path)
        if path.is_dir():
            path.chmod(info.st_mode & 0o7777)
        if data:
            path.write_bytes(data)
            path.chmod(info.st_mode & 0o7777)
            os.utime(path, ns=(info.st_mtime_ns, info.st_mtime_ns))


def test_it_notices_variables_and_trust(scene: Scene, learn: Callable[..., None], tmp_path: Path) -> None:
    learn()
    assert not start(scene, "true", env={"XDG_CONFIG_HOME": str(tmp_path)})[0]
    learn()
    (tmp_path / "envs" / scene.base.name / "conda-meta").mkdir(parents=True)
    (tmp_path / ".condarc").write_text(f"envs_dirs: [{tmp_path}/envs]\n")  # before the home's
    was_known, done = start(scene, "true", env={"CONDA_PREFIX": str(tmp_path)})
    assert (was_known, done.returncode) == (False, 2)
    assert f"the config says {tmp_path}/envs/{scene.base.name}" in done.stderr.decode()
    learn()
    scene("deny", check=True)
    try:
        was_known, done = start(scene, "true")
        assert (was_known, done.returncode) == (False, 2)
    finally:
        for worktree in scene.repo.worktrees:
            scene("allow", cwd=worktree, check=True)


def test_another_folder_by_the_same_name(scene: Scene, learn: Callable[..., None], tmp_path: Path) -> None:
    link = tmp_path / "cur"
    show = ("sh", "-c", 'echo "$VIRTUAL_ENV"')
    for worktree in (scene.root, scene.feature):
        link.unlink(missing_ok=True)
        link.symlink_to(worktree)
        env = {"PWD": str(link)}
        assert start(scene, *show, cwd=link, env=env)[1].stdout.decode().strip() == f"{worktree}/.venv"
        learn(link, env)


def test_a_name_that_no_shell_has(scene: Scene) -> None:
    """The root is found by it, and so would be another worktree's name."""
    root = ("sh", "-c", 'echo "$WTENV_ROOT"')
    for name in (f"{scene.root}/../feature", f"{scene.feature}/.", f"{scene.root}/tests/../../feature/tests/.."):
        for _ in range(2):
            assert start(scene, *root, cwd=scene.feature, env={"PWD": name})[1].stdout.decode().strip() == str(
                scene.feature
            )


def test_what_others_could_have_written_is_not_believed(scene: Scene, learn: Callable[..., None]) -> None:
    learn()
    file, top = kept_file(scene), Path(locate_cached(scene.home.environ))
    data = file.read_bytes()
    evil = data.replace(b"DOTENV\0set\x001", b"DOTENV\0set\x002")
    assert evil != data
    ask = ("sh", "-c", "echo $DOTENV")
    for mode in (0o620, 0o602, 0o666):
        file.write_bytes(evil)
        file.chmod(mode)
        assert start(scene, *ask)[1].stdout == b"1\n", oct(mode)
        assert file.read_bytes() == data  # and written anew, by its own
        assert file.stat().st_mode & 0o777 == 0o600
    top.chmod(0o770)
    try:
        file.write_bytes(evil)
        assert start(scene, *ask)[1].stdout == b"1\n"
    finally:
        top.chmod(0o700)
    other = file.with_name("other")
    other.write_bytes(evil)
    for make in (file.mkdir, lambda: file.symlink_to(other), lambda: os.mkfifo(file)):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
        make()
        assert start(scene, *ask)[1].stdout == b"1\n"
    shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()


def test_damaged(scene: Scene, learn: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    learn()
    file, plain = kept_file(scene), dict(scene.home.environ)
    data, chance = file.read_bytes(), random.Random(11)
    monkeypatch.chdir(scene.root)
    assert cached_run.find(str(scene.root), plain)
    try:
        for end in range(len(data) - 60, len(data) - 1):
            file.write_bytes(data[:end])
            assert cached_run.find(str(scene.root), plain) is None, data[end:]
        for _ in range(400):
            damaged = bytearray(data)
            for _ in range(chance.choice((1, 1, 3))):
                damaged[chance.randrange(len(damaged))] = chance.choice((0, 0xFF, chance.randrange(256)))
            if chance.random() < 0.4:
                del damaged[chance.randrange(len(damaged)) :]
                file.write_bytes(damaged)
                assert cached_run.find(str(scene.root), plain) is None
                continue
            file.write_bytes(damaged)
            if found := cached_run.find(str(scene.root), plain):
                environ.apply(plain, found[1])
    finally:
        file.unlink()


def test_just_written_is_not_kept(scene: Scene, tmp_path: Path) -> None:
    """As with the hook: what changed within the clock's grain may change again unseen."""
    activation = environ.Activation(str(scene.root), "id", None, ())
    path, started = tmp_path / "file", time.time_ns()
    path.touch()
    for age, kept in ((0, False), (40_000_000, False), (-(10**6), False), (10**9, True)):
        os.utime(path, ns=(started - age, started - age))
        kept_file(scene).unlink(missing_ok=True)
        done = cached.store_run(activation, str(scene.root), "", [str(path)], [], [], started, scene.home.environ)
        assert (done, kept_file(scene).exists()) == (kept, kept), age
    kept_file(scene).unlink()


def test_the_hook_keeps_it_too(scene: Scene) -> None:
    kept_file(scene).unlink(missing_ok=True)
    scene("export", "--hook", str(ABI), "bash", scene.root, "", check=True)
    assert start(scene, "true")[0]


def test_a_warning_is_said_each_time(scene: Scene, learn: Callable[..., None]) -> None:
    path = scene.root / "pyproject.toml"
    text = path.read_text()
    learn()
    path.write_text(text + "# changed\n")  # the hook does not watch it: the overlay works
    try:
        for _ in range(2):
            assert (
                b"build files"
                in scene.home.run([wtenv_program(), "run", "--no-sync", "true"], scene.root).stderr.encode()
            )
    finally:
        path.write_text(text)


def test_follow(scene: Scene, learn: Callable[..., None]) -> None:
    learn()
    origin, root = str(scene.feature / ".venv"), str(scene.feature)
    ask = ["sh", "-c", "echo $VIRTUAL_ENV; echo $PATH"]
    env = {"PATH": f"{origin}/bin:{scene.home.environ['PATH']}"}
    was_known, done = start(scene, "__follow", origin, root, *ask, env=env)
    assert was_known
    assert done.stdout.decode().startswith(f"{scene.root}/.venv\n")
    assert f"{origin}/bin" not in done.stdout.decode()
    own = str(scene.root / ".venv")  # never back to where it came from
    was_known, done = start(scene, "__follow", own, str(scene.root), *ask)
    assert (was_known, done.returncode) == (False, 126)


# --- what is asked ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["x"], (None, ["x"], True)),
        (["x", "--directory", "y"], (None, ["x", "--directory", "y"], True)),
        (["--", "--no-sync"], (None, ["--no-sync"], True)),
        (["--no-sync", "x", "-v"], (None, ["x", "-v"], False)),
        (["--directory", "d", "x"], ("d", ["x"], True)),
        (["--directory=d", "--no-sync", "--", "-x", "--"], ("d", ["-x", "--"], False)),
        (["--directory=a", "--directory", "b=c", "x"], ("b=c", ["x"], True)),
        (["--directory", "", "x"], None),
        (["--directory"], None),
        (["--directory", "d"], None),
        (["--no-sync"], None),
        (["--no-sync=1", "x"], None),
        (["--no-syn", "x"], None),
        (["-h"], None),
        (["--"], None),
        ([], None),
    ],
)
def test_parse_run(words: list[str], asked: tuple[str | None, list[str], bool] | None) -> None:
    assert parse_run(words) == asked


@pytest.fixture
def deeper(scene: Scene) -> Iterator[Path]:
    folder = scene.feature / "deep"
    folder.mkdir()
    yield folder
    folder.rmdir()


def test_directory(scene: Scene, deeper: Path, tmp_path: Path) -> None:
    ask = ("sh", "-c", 'echo "$PWD $(pwd -P) $VIRTUAL_ENV"')
    right = f"{deeper} {deeper} {scene.feature}/.venv\n"
    for words in (["--directory", deeper], ["--directory", "../feature/deep"], ["--directory=../feature/deep", "--"]):
        assert scene("run", *words, *ask).stdout == right
    (tmp_path / "link").symlink_to(scene.feature)
    done = scene("run", "--directory", tmp_path / "link/deep", *ask)
    assert done.stdout == f"{tmp_path}/link/deep {deeper} {scene.feature}/.venv\n"
    (deeper / "tool").write_text("#!/bin/sh\necho here\n")
    (deeper / "tool").chmod(0o755)
    assert scene("run", "--directory", deeper, "./tool").stdout == "here\n"
    (deeper / "tool").unlink()
    done = scene("run", "--directory", "nowhere", "true")
    assert (done.returncode, done.stderr) == (
        2,
        "wtenv: can't go to nowhere (No such file or directory); correct --directory\n",
    )
