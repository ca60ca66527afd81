"""`wtenv run`: it becomes the command, here, with the activation in effect, and nothing stays between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from realbase import Base
from scenes import CONFIG, Scene, make_scene, one_line
from workspace import wtenv_program

SHOW = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    made = make_scene(tmp_path_factory.mktemp("run"), base, CONFIG + '[activation]\npath = ["scripts"]\n')
    for folder in made.repo.worktrees:
        (folder / "scripts").mkdir()
    return made


def start(scene: Scene, *words: str | bytes | Path, **options: object) -> subprocess.Popen[bytes]:
    settings: dict[str, object] = {
        "cwd": scene.root, "env": scene.home.environ, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE, **options,
    }  # fmt: skip
    return subprocess.Popen([wtenv_program(), "run", *words], **settings)  # type: ignore[call-overload, no-any-return]


def run(scene: Scene, *words: str | bytes | Path, **options: object) -> tuple[int, bytes, bytes]:
    with start(scene, *words, **options) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture
def script(scene: Scene, request: pytest.FixtureRequest) -> Iterator[Path]:
    path = scene.root / "scripts" / request.param[0]
    path.write_bytes(request.param[1])
    path.chmod(request.param[2])
    yield path
    path.unlink()


# --- the process --------------------------------------------------------------------------------


def test_it_is_the_same_process(scene: Scene) -> None:
    with start(scene, "python", "-c", "import os; print(os.getpid(), os.getppid())") as process:
        out, err = process.communicate(timeout=60)
    assert (out.split(), err) == ([str(process.pid).encode(), str(os.getpid()).encode()], b"")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_nothing_is_left(scene: Scene) -> None:
    with start(scene, "sleep", "60") as process:
        proc = Path(f"/proc/{process.pid}")
        deadline = time.monotonic() + 30
        while b"sleep" not in (proc / "cmdline").read_bytes().split(b"\0")[0]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert (proc / "task" / str(process.pid) / "children").read_text() == ""
        assert sorted(path.name for path in (proc / "fd").iterdir()) == ["0", "1", "2"]
        state = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
        assert int(state["SigIgn"], 16) == 0  # Python ignores SIGPIPE for itself
        assert int(state["SigBlk"], 16) == 0
        process.kill()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL, signal.SIGUSR1])
def test_signals_reach_the_command(sent: signal.Signals, scene: Scene) -> None:
    with start(scene, "sh", "-c", "echo ready; exec sleep 60") as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(sent)
        assert process.wait(timeout=30) == -sent


def test_a_command_that_handles_ctrl_c(scene: Scene) -> None:
    text = (
        "import time\ntry:\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    raise SystemExit(130)"
    )
    with start(scene, "python", "-c", text) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


@pytest.mark.parametrize("code", [0, 1, 2, 7, 126, 127, 130, 255])
def test_exit_codes_of_the_command(code: int, scene: Scene) -> None:
    assert run(scene, "sh", "-c", f"exit {code}") == (code, b"", b"")


def test_killed_by_a_signal(scene: Scene) -> None:
    assert run(scene, "sh", "-c", "kill -SEGV $$")[0] == -signal.SIGSEGV
    done = scene.home.run(["bash", "-c", "wtenv run sh -c 'kill -INT $$'; echo $?"], scene.root)
    assert done.stdout == "130\n"


def test_a_closed_pipe_ends_the_command(scene: Scene) -> None:
    done = scene.home.run(["bash", "-c", "wtenv run yes | head -1; echo ${PIPESTATUS[0]}"], scene.root)
    assert (done.stdout, done.stderr) == ("y\n141\n", "")


def test_stdin_is_passed(scene: Scene) -> None:
    with start(scene, "cat", stdin=subprocess.PIPE) as process:
        assert process.communicate(b"a\0\xff\nb", timeout=60) == (b"a\0\xff\nb", b"")
    done = scene.home.run(["bash", "-c", "printf '1\\n2\\n' | (wtenv run head -c 2; cat)"], scene.root)
    assert done.stdout == "1\n2\n"  # nothing was read ahead


# --- words --------------------------------------------------------------------------------------

WORDS: list[list[bytes]] = [
    [b"a b", b"c\nd", b"", b"$HOME", b"`x`", b"'\"\\", b"*", b"-", b"--"],
    [b"\xff\xfe", "日本 ü".encode(), b"caf\xe9", b"\x01\x1b[2J"],
    [b"--help"], [b"-h", b"--version", b"--json"], [b"--", b"--"], [b"-x=1", b"--", b"-y"],
    [b"x" * 100_000],
]  # fmt: skip


@pytest.mark.parametrize("words", WORDS, ids=range(len(WORDS)))
@pytest.mark.parametrize("dashes", [(), ("--",)])
def test_words_arrive_byte_for_byte(dashes: tuple[str, ...], words: list[bytes], scene: Scene) -> None:
    code, out, err = run(scene, *dashes, "python", "-c", SHOW, *words)
    assert (code, out, err) == (0, b"\0".join(words), b"")


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_words_in_the_c_locale(locale: dict[str, str], scene: Scene) -> None:
    code, out, err = run(scene, "printf", "%s", b"caf\xe9 \xff \xc3\xbc", env={**scene.home.environ, **locale})
    assert (code, out, err) == (0, b"caf\xe9 \xff \xc3\xbc", b"")


def test_python_adds_no_variable(scene: Scene) -> None:
    env = {name: value for name, value in scene.home.environ.items() if name != "LANG"}
    code, out, _ = run(scene, "/usr/bin/env", "-0", env=env)
    assert code == 0
    assert not [item for item in out.split(b"\0") if item.startswith((b"LC_", b"PYTHONUTF8"))]


def test_a_command_that_begins_with_a_dash(scene: Scene) -> None:
    path = scene.root / "scripts/-odd"
    path.write_text("#!/bin/sh\necho odd\n")
    path.chmod(0o755)
    assert run(scene, "--", "-odd") == (0, b"odd\n", b"")
    path.unlink()


# --- where, and what ----------------------------------------------------------------------------


@pytest.mark.parametrize("below", [".", "src/deep", "with space"])
def test_it_runs_in_the_current_folder(below: str, scene: Scene) -> None:
    folder = scene.root / below
    folder.mkdir(parents=True, exist_ok=True)
    assert run(scene, "python", "-c", "import os; print(os.getcwd())", cwd=folder)[1].decode().strip() == str(folder)
    assert run(scene, "sh", "-c", "echo $PWD", cwd=folder)[1].decode().strip() == str(folder)


def test_the_name_that_the_shell_has_for_the_folder(scene: Scene) -> None:
    link = scene.root.parent / "link"
    link.symlink_to(scene.root)
    done = scene.home.run(["bash", "-c", f"cd {link} && wtenv run sh -c 'echo $PWD $WTENV_ROOT'"], scene.root)
    assert done.stdout == f"{link} {link}\n"
    link.unlink()


@pytest.mark.parametrize("which", [0, 1])
def test_python_and_pytest_are_the_worktrees(which: int, scene: Scene) -> None:
    worktree = scene.repo.worktrees[which]
    expected = str(scene.repo.init_file(worktree))
    text = "import sys, pkg; print(pkg.__file__, sys.prefix)"
    assert run(scene, "python", "-c", text, cwd=worktree)[1].decode().split() == [expected, f"{worktree}/.venv"]
    assert run(scene, "pkg-cli", cwd=worktree / "tests")[1].decode().strip() == expected
    code, out, _ = run(scene, "pytest", "-q", "-s", "-p", "no:cacheprovider", cwd=worktree)
    assert code == 0
    assert expected in out.decode()


def test_the_environment(scene: Scene) -> None:
    code, out, _ = run(scene, "python", "-c", "import json, os; print(json.dumps(dict(os.environ)))")
    found, prefix = json.loads(out), str(scene.base.prefix)
    assert code == 0
    path = found["PATH"].split(":")
    assert path[:3] == [f"{scene.root}/scripts", f"{scene.root}/.venv/bin", f"{prefix}/bin"]
    assert ":".join(path[3:]) == scene.home.environ["PATH"]
    assert (found["CONDA_PREFIX"], found["CONDA_SHLVL"], found["VIRTUAL_ENV"]) == (prefix, "1", f"{scene.root}/.venv")
    assert (found["ENVTOOLS_MODE"], found["ENVTOOLS_HOME"]) == ("shared", f"{prefix}/share/envtools")
    assert found["PYTHONNOUSERSITE"] == "1"


def test_inside_another_worktrees_activation(scene: Scene) -> None:
    changes = json.loads(scene("export", "json", check=True).stdout)
    inside = {name: value for name, value in {**scene.home.environ, **changes}.items() if value is not None}
    _, out, _ = run(scene, "/usr/bin/env", "-0", cwd=scene.feature, env=inside)
    _, plain, _ = run(scene, "/usr/bin/env", "-0", cwd=scene.feature)
    assert set(out.split(b"\0")) == set(plain.split(b"\0"))
    assert os.fsencode(f"{scene.root}/") not in out.replace(os.fsencode(f"{scene.root}/scripts"), b"")
    assert f"{scene.root}/.venv" not in out.decode()


# --- what can't be run --------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["no-such-command", "./no-such-file", "/nonexistent/x", "", "wtenv.toml/x"])
def test_not_found(word: str, scene: Scene) -> None:
    message = one_line(scene("run", word), 127)
    assert message.startswith(f"{word}: command not found; ")


@pytest.mark.parametrize("word", ["./wtenv.toml", "/", "./tests", "/dev/null"])
def test_can_not_be_executed(word: str, scene: Scene) -> None:
    assert one_line(scene("run", word), 126).startswith(f"{word}: can't be executed (")


@pytest.mark.parametrize("script", [("plain", b'echo "plain $1"\n', 0o755)], indirect=True)
def test_a_script_without_a_first_line(script: Path, scene: Scene) -> None:
    assert run(scene, "plain", "a b") == (0, b"plain a b\n", b"")
    assert run(scene, script, "x")[1] == b"plain x\n"


@pytest.mark.parametrize("script", [("bad", b"#!/nonexistent/interpreter\n", 0o755)], indirect=True)
def test_a_script_whose_interpreter_is_missing(script: Path, scene: Scene) -> None:
    assert one_line(scene("run", script), 127)


@pytest.mark.parametrize("script", [("ls", b"#!/bin/sh\necho no\n", 0o644)], indirect=True)
@pytest.mark.usefixtures("script")
def test_a_file_that_is_not_executable_is_passed_over(scene: Scene) -> None:
    assert run(scene, "ls", "-d", ".") == (0, b".\n", b"")


@pytest.mark.parametrize("script", [("only", b"#!/bin/sh\n", 0o644)], indirect=True)
@pytest.mark.usefixtures("script")
def test_only_a_file_that_is_not_executable(scene: Scene) -> None:
    one_line(scene("run", "only"), 126)


def test_too_many_arguments(scene: Scene) -> None:
    text = "import os, sys; os.execv(sys.argv[1], [sys.argv[1], 'run', 'true', *['x' * 100000] * 15])"
    done = scene.home.run([sys.executable, "-c", text, wtenv_program()], scene.root)
    assert done.returncode in (0, 126), done.stderr
    assert "Traceback" not in done.stderr


def test_no_overlay(base: Base, tmp_path: Path) -> None:
    scene = make_scene(tmp_path, base, sync=False)
    assert "run: wtenv sync" in one_line(scene("run", "--no-sync", "true"))


def test_path_of_the_caller_is_empty(scene: Scene) -> None:
    for path in ("", "/nonexistent"):
        env = {**scene.home.environ, "PATH": path}
        code, out, err = run(scene, "python", "-c", "import pkg; print(pkg.__file__)", env=env)
        assert (code, out.decode().strip(), err) == (0, str(scene.repo.init_file(scene.root)), b"")
