"""Faults that pass: whatever was met on the way to an answer, it is the answer of a sound machine, or it is not kept."""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import io
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hookworld import World, make_world
from realbase import Base
from shells import Shell
from workspace import wtenv_program

from wtenv import decision, environ, faults
from wtenv.conda import capture_scripts, scripts
from wtenv.decision import Decision
from wtenv.hook.shells import ABI, SHELLS
from wtenv.overlay import manifest as manifests
from wtenv.overlay import registry

QUESTIONS = [(os, name) for name in ("stat", "lstat", "fstat", "open", "read", "scandir", "listdir", "readlink")]
QUESTIONS += [(io, "open"), (builtins, "open")]
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/home/x"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, base: Base) -> World:
    """One with something of everything: dotenv, variables of the base's, scripts, a linked worktree."""
    config = '[python]\nbase_conda_env = "{base}"\n[activation]\ndotenv = [".env"]\n[env]\nALPHA = "1"\n'
    made = make_world(tmp_path_factory.mktemp("faults"), base, config, own_base=True)
    for root in made.repo.worktrees:
        (root / ".env").write_text("BETA=2\n")
        made.wtenv("allow", cwd=root)
    write(made.base.prefix, "etc/conda/env_vars.d/x.json", '{"GAMMA": "3"}')
    write(made.base.prefix, "conda-meta/state", '{"env_vars": {"DELTA": "4"}}')
    write(made.base.prefix, "etc/conda/activate.d/x.sh", '. "$CONDA_PREFIX/setup.sh"')
    write(made.base.prefix, "setup.sh", "export EPSILON=5")
    time.sleep(0.1)
    return made


def write(prefix: Path, name: str, text: str) -> Path:
    path = prefix / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")
    return path


@contextlib.contextmanager
def failing(number: int, error: int) -> Iterator[list[str]]:
    """The question of that number fails. Gives a list of all that were asked."""
    asked: list[str] = []

    def ask(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def answer(*args: Any, **options: Any) -> Any:
            asked.append(f"{name} {args[0] if args else ''}")
            if len(asked) == number:
                raise OSError(error, os.strerror(error), args[0] if args and isinstance(args[0], (str, Path)) else None)
            return function(*args, **options)

        return answer

    with pytest.MonkeyPatch.context() as patch:
        for place, name in QUESTIONS:
            patch.setattr(place, name, ask(getattr(place, name), name))
        yield asked


def answer(found: Decision) -> object:
    """What a shell gets to know."""
    return (found.kind, found.reason, found.fix, found.activation, found.warnings, found.depends_on, found.watch)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EIO], ids=errno.errorcode.get)
def test_any_question_fails(error: int, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever: the same answer, or one that is used once, and says so."""
    monkeypatch.setattr(decision, "capture_scripts", lambda *args, **options: captured)
    captured = capture_scripts(world.base.prefix, world.home.environ)
    env, root = world.home.environ, world.feature
    decision.decide(root, env)  # what is imported is imported
    with failing(0, 0) as asked:
        sound = answer(decision.decide(root, env))
    total = len(asked)
    assert sound[0] == "active"  # type: ignore[index]
    assert total > 100
    other = 0
    for number in range(1, total + 1):
        with failing(number, error) as asked:
            try:
                found = decision.decide(root, env)
            except OSError:
                continue  # the hook says that there was no answer
        if answer(found) == sound and found.cacheable:
            continue
        other += 1
        assert not found.cacheable, asked[number - 1]
        assert len(found.faults) == 1, asked[number - 1]
        assert os.strerror(error) in decision.describe(found)
    assert other > total / 2
    assert answer(decision.decide(root, env)) == sound


@pytest.mark.parametrize("error", [errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP], ids=errno.errorcode.get)
def test_what_is_a_fact_is_kept(error: int, tmp_path: Path) -> None:
    with failing(1, error), faults.collect() as met, contextlib.suppress(OSError):
        os.stat(tmp_path)
    assert met == []
    assert not faults.is_passing(OSError(error, ""))


def test_collect_leaves_nothing_behind(tmp_path: Path) -> None:
    before = [getattr(place, name) for place, name in QUESTIONS]
    with pytest.raises(KeyError), faults.collect() as outer:
        with failing(1, errno.EIO), faults.collect() as inner:
            assert not os.path.exists(tmp_path)
            assert faults.has_met()
        assert (len(inner), outer, faults.has_met()) == (1, [], False)
        raise KeyError
    assert [getattr(place, name) for place, name in QUESTIONS] == before
    assert not faults.has_met()


# --- real ones, through the hook's own call -------------------------------------------------------------


def ask(world: World, limit: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """What the hook gets, with resources limited by `limit`."""
    command = f'{limit}\nexec "$0" export --hook {ABI} bash "$1" ""'
    return subprocess.run(
        ["bash", "-c", command, wtenv_program(), world.main],
        env={**world.home.environ, **(env or {})}, cwd=world.main, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def find_entries(world: World) -> list[str]:
    return [path.read_text() for path in (world.home.path / ".cache/wtenv").glob(f"v*{world.main}/%wtenv.bash*")]


def forget(world: World) -> None:
    shutil.rmtree(world.home.path / ".cache/wtenv", ignore_errors=True)


LIMITS = [*(f"ulimit -n {number}" for number in range(3, 14)), "ulimit -f 0", "ulimit -f 1"]
LIMITS += [f"ulimit -v {size}" for size in (20_000, 40_000, 60_000, 80_000)]


def test_limits_of_a_shell(world: World) -> None:
    forget(world)
    sound = ask(world).stdout
    assert "EPSILON" in sound
    assert find_entries(world) == [sound]
    seen = set()
    for limit in LIMITS:
        forget(world)
        done = ask(world, limit)
        kept = find_entries(world)
        assert kept in ([], [sound]), limit
        if done.stdout != sound:
            assert not kept, limit
            # What arrives is not kept by the shell either; else the hook says that there was no answer.
            assert "# end" not in done.stdout or '"${1:-__wtenv_decide}"; }' in done.stdout, limit
            assert done.returncode != 0 or "' 'problem' '" in done.stdout, limit
        seen.add(bool(kept))
    assert seen == {True, False}
    forget(world)
    assert ask(world).stdout == sound
    assert find_entries(world) == [sound]


@pytest.fixture
def full() -> Iterator[Path]:
    """A small file system; "full" is made to be so."""
    if os.getuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a file system")
    place = Path(tempfile.mkdtemp(prefix="wtenv-full-"))
    try:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], check=False).returncode:
            pytest.skip("nothing can be mounted here")
        yield place
        subprocess.run(["umount", "-l", place], check=True)
    finally:
        place.rmdir()


def fill(place: Path) -> Path:
    ballast = place / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return ballast


def test_a_full_disk(tmp_path: Path, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "_SCRATCH", ("/nowhere", str(full)))
    write(tmp_path, "etc/conda/activate.d/a.sh", "export A=1")
    ballast = fill(full)
    capture = capture_scripts(tmp_path, ENV)
    assert (capture.changes, capture.cacheable) == ({}, False)
    assert "No space left on device" in capture.warnings[0]
    assert list(full.iterdir()) == [ballast]
    ballast.unlink()
    assert capture_scripts(tmp_path, ENV).changes == {"A": "1"}
    monkeypatch.setattr(scripts, "_SCRATCH", (str(full), str(tmp_path)))
    fill(full)
    assert capture_scripts(tmp_path, ENV)[:1] == ({"A": "1"},)


FULL = {
    "fills it": "cat /dev/zero >{full}/big 2>/dev/null; export B=1",
    "prints": "head -c 3900000 /dev/zero; export B=1",
    "fills it and exits": "cat /dev/zero >{full}/big; exit 3",
    "large environment": "cat /dev/zero 2>/dev/null >{full}/big; export B=$(seq 20000)",
}


@pytest.mark.parametrize("name", FULL)
def test_a_disk_that_fills_meanwhile(name: str, tmp_path: Path, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "_SCRATCH", (str(full),))
    write(tmp_path, "etc/conda/activate.d/a.sh", "export A=1")
    write(tmp_path, "etc/conda/activate.d/b.sh", FULL[name].format(full=full))
    write(tmp_path, "etc/conda/activate.d/c.sh", "export C=1")
    capture = capture_scripts(tmp_path, ENV)
    assert not capture.cacheable
    assert capture.warnings


def test_a_full_temporary_folder(tmp_path: Path, full: Path) -> None:
    """bash writes what stands in `<<` there (from a size on); the script says so, and goes on."""
    fill(full)
    text = "\n".join(["export A=1; cat >/dev/null <<END", *["x" * 100] * 1000, "END", "export B=$?"])
    write(tmp_path, "etc/conda/activate.d/a.sh", text)
    capture = capture_scripts(tmp_path, {**ENV, "TMPDIR": str(full)})
    if os.path.exists("/bin/bash") and capture.changes != {"A": "1", "B": "0"}:
        assert not capture.cacheable
        assert "No space left on device" in capture.warnings[0]


PASSING = {
    "slow": ("sleep 60", "took longer than 1 s"),
    "killed": ("kill -9 $$", "died of signal 9"),
    "no process": ("echo 'fork: retry: Resource temporarily unavailable' >&2", "Resource temporarily unavailable"),
    "no file": ("echo 'a: Too many open files' >&2; false", "Too many open files"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_script_that_fails_once(name: str, tmp_path: Path) -> None:
    text, said = PASSING[name]
    once = f"[ -e {tmp_path}/once ] || {{ : >{tmp_path}/once; {text}; }}"
    write(tmp_path, "etc/conda/activate.d/a.sh", f"{once}\nexport A=1")
    mark = tmp_path / "mark"
    first = capture_scripts(tmp_path, ENV, 1, mark)
    assert not first.cacheable
    assert said in first.warnings[0]
    assert mark.exists() == (name == "slow")
    again = capture_scripts(tmp_path, ENV, 20, mark)
    assert (again.changes, again.cacheable, again.warnings) == ({"A": "1"}, True, ())
    assert not mark.exists()


def test_less_time_after_a_script_was_slow(tmp_path: Path) -> None:
    """A shell stays usable where one hangs for ever, and each prompt asks again."""
    write(tmp_path, "etc/conda/activate.d/a.sh", "sleep 60")
    mark = tmp_path / "mark"
    assert "took longer than 2 s" in capture_scripts(tmp_path, ENV, 2, mark).warnings[0]
    assert "took longer than 0.2 s" in capture_scripts(tmp_path, ENV, 2, mark).warnings[0]
    os.utime(mark, (1, 1))
    assert "took longer than 1 s" in capture_scripts(tmp_path, ENV, 1, mark).warnings[0]


def test_a_script_that_exits_is_kept(tmp_path: Path) -> None:
    write(tmp_path, "etc/conda/activate.d/a.sh", "echo no; exit 3")
    assert capture_scripts(tmp_path, ENV).cacheable


def test_a_busy_lock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process changes the overlay while the base has something new: asked again, when it is done."""
    env, root = environ.undo(world.home.environ), world.main
    folder = world.base.prefix / "bin"
    place = registry.record_path(root / ".venv", env).with_suffix(".lock")
    with open(place, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.utime(folder)
        found = decision.decide(root, env)
        assert (found.kind, found.cacheable) == ("unbuilt", False), "without a step behind the base, or not at all"
        assert "another process is changing" in decision.describe(found)
        for words in (("run", "true"), ("export", "json")):
            done = world.home.run([wtenv_program(), *words], root)
            assert (done.returncode, "another process is changing" in done.stderr) == (2, True)
        assert "another process is changing" in world.wtenv("status")
    found = decision.decide(root, env)
    assert (found.kind, found.cacheable, found.faults) == ("active", True, ())


def test_a_fault_while_the_overlay_follows(world: World) -> None:
    """What could not be looked at is looked at again: bootstrap and wrappers are not taken for in step."""
    env, root = environ.undo(world.home.environ), world.main
    os.utime(world.base.prefix / "bin")
    with failing(0, 0) as asked:
        decision.decide(root, env)
    first = next(index for index, item in enumerate(asked) if item.startswith("scandir") or "site-packages" in item)
    for number in range(first + 1, len(asked), 29):
        os.utime(world.base.prefix / "bin")
        with failing(number, errno.EIO), contextlib.suppress(OSError):
            decision.decide(root, env)
        found = decision.decide(root, env)
        assert (found.kind, found.cacheable) == ("active", True), (asked[number - 1], found.reason)
        assert not manifests.is_outdated(manifests.read_manifest(root / ".venv"), root / ".venv")  # type: ignore[arg-type]


def test_in_a_shell(world: World) -> None:
    """Said once, asked again at each prompt, and right as soon as it is gone."""
    late = write(world.base.prefix, "etc/conda/activate.d/late.sh", "kill -9 $$")
    time.sleep(0.1)
    forget(world)
    try:
        for name in SHELLS:
            if shutil.which(name):
                shell = Shell(name, world.home.environ, world.home.path)
                assert "died of signal 9" in shell.run(f"cd {world.main}").out
                assert shell.run("true").out == ""
                shell.run("WTENV_DEBUG=1" if name != "fish" else "set -g WTENV_DEBUG 1")
                assert "computed" in shell.run("true").out
                assert not find_entries(world)
                shell.close()
    finally:
        late.unlink()
    shell = Shell("bash", world.home.environ, world.home.path)
    shell.run(f"cd {world.main}")
    assert shell.environ()[b"EPSILON"] == b"5"
    shell.close()
    time.sleep(0.1)
    ask(world)
    assert len(find_entries(world)) == 1
