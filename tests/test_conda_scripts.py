"""activate.d in a real shell: what scripts change is captured; whatever they do costs at most themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wtenv.conda import Capture, capture_scripts, scripts
from wtenv.watch import LATER

ENV = {"PATH": "/usr/bin:/bin", "HOME": "/home/x", "OLD": "old", "CONDA_PREFIX": "/base"}
Run = Callable[..., Capture]

SHELLS = [
    pytest.param(shell, marks=pytest.mark.skipif(not os.access(shell, os.X_OK), reason=f"no {shell}"))
    for shell in ("/bin/bash", "/bin/sh")
]


@pytest.fixture(params=SHELLS)
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Writes a.sh, b.sh, ... and captures them, under each shell; nothing may stay behind."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(scripts, "_SHELLS", (request.param,))
    monkeypatch.setattr(scripts, "_SCRATCH", ("/nowhere", str(place)))

    def run(*texts: str | bytes, env: dict[str, str] = ENV, timeout: float = 20) -> Capture:
        folder = tmp_path / "etc/conda/activate.d"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in zip("abcdefgh", texts, strict=False):
            (folder / f"{name}.sh").write_bytes(text if isinstance(text, bytes) else text.encode())
        capture = capture_scripts(tmp_path, env, timeout)
        assert list(place.iterdir()) == []
        assert all(warning.isprintable() for warning in capture.warnings), capture.warnings
        return capture

    run.shell = request.param  # type: ignore[attr-defined]
    return run


def test_nothing_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "posix_spawn", None)
    folder = tmp_path / "etc/conda/activate.d"
    assert capture_scripts(tmp_path, ENV) == Capture({}, frozenset(), {folder: LATER}, ())
    folder.mkdir(parents=True)
    (folder / "x.fish").write_text("set -gx A 1")
    assert capture_scripts(tmp_path, ENV) == Capture({}, frozenset(), {folder: LATER}, ())
    folder.rename(tmp_path / "moved")
    folder.write_text("")
    assert capture_scripts(tmp_path, ENV).changes == {}


def test_changes(run: Run) -> None:
    capture = run(
        "export A=1 OLD=new; LOCAL=2; PATH=/x:$PATH", 'export B="$A$LOCAL"; unset GONE', env={**ENV, "GONE": "1"}
    )
    assert capture.changes == {"A": "1", "B": "12", "GONE": None, "OLD": "new", "PATH": "/x:/usr/bin:/bin"}
    assert list(capture.changes) == sorted(capture.changes)
    assert capture.warnings == ()
    assert [path.name for path in capture.watch] == ["activate.d", "a.sh", "b.sh"]


def test_unset(run: Run) -> None:
    assert run("unset OLD").changes == {"OLD": None}


def test_reads(run: Run) -> None:
    text = (
        'export A="$ONE${TWO:-x}${#THREE}" B=\'$FOUR\'; [ -n "$PWD$RANDOM$BASH_VERSION" ]; printenv FIVE; : $((6)) $1'
    )
    assert run(text, "x=${HOME%/}").reads == {"ONE", "TWO", "THREE", "FOUR", "FIVE", "HOME"}


VALUES = [b"\xff\xfe", b"a\nb\n", b" ' \" $x `id` \\ ! * ", "ü".encode(), b"", b"-n", b"=", b"\x01\x1b[31m\x7f"]


@pytest.mark.parametrize("value", VALUES)
def test_values(value: bytes, run: Run) -> None:
    capture = run(
        b"export NEW='" + value.replace(b"'", b"'\\''") + b'\'; export COPY="$OLD"',
        env={**ENV, "OLD": os.fsdecode(value)},
    )
    assert capture.changes == {"NEW": os.fsdecode(value), "COPY": os.fsdecode(value)}


DEADLY = {
    "exit": "export BAD=1; exit 3",
    "exit 0": "exit",
    "exec": "exec /bin/true",
    "exec fails": "exec /nowhere",
    "kill": "kill -9 $$",
    "kill group": "kill -9 0",
    "nounset": "set -u; : $NOPE",
    "noexec": "set -n",
    "trap": "trap 'exit 5' EXIT; exit 1",
    "hang": "while :; do :; done",
    "sleep": "sleep 100",
    "stop": "kill -STOP $$",
}


SLOW = ("hang", "sleep", "stop")


@pytest.mark.parametrize("name", DEADLY)
def test_deadly_script_costs_only_itself(name: str, run: Run) -> None:
    capture = run(
        "export A=1",
        f"echo wrong '\033[31m' >&2; export BAD=1; {DEADLY[name]}",
        "export C=$A",
        timeout=2 if name in SLOW else 20,
    )
    assert capture.changes == {"A": "1", "C": "1"}
    assert len(capture.warnings) == 1
    assert "b.sh" in capture.warnings[0]
    assert "left out: wrong [31m" in capture.warnings[0]


HARMLESS = {
    "return": ("export B=2; return 7; export C=3", ""),
    "false at the end": ("export B=2; false", ""),
    "return after output": ("export B=2; echo oh >&2; return 7", "b.sh failed with status 7: oh"),
    "output": ("export B=2; seq 100000; seq 100000 >&2", ""),
    "stdin": ("read -r x; cat; export B=2", ""),
    "terminal": ("(read -r x </dev/tty) 2>/dev/null; export B=2", ""),
    "errexit": ("set -e; export B=2", ""),
    "errexit and no globbing": ("set -euf; export B=2", ""),
    "xtrace": ("set -xv; export B=2", ""),
    "noclobber": ("set -C; export B=2", ""),
    "cd": ("cd /; export B=2", ""),
    "arguments": ("set -- x y; shift; export B=2", ""),
    "redirect": ("exec >/dev/null 2>&1 </dev/null; export B=2", ""),
    "closed": ("exec >&- 2>&- <&-; export B=2", ""),
    "background": ("sleep 30 & export B=2", ""),
    "background in a session": ("(trap '' HUP TERM; sleep 30) & export B=2", ""),
    "readonly": ("readonly B=2; export B", ""),
    "IFS": ("IFS=/.0123456789; export B=2", ""),
    "trap": ("trap 'echo bye; exit 9' EXIT; export B=2", ""),
    "signal ignored": ("trap '' INT TERM; export B=2", ""),
    "umask": ("umask 077; export B=2", ""),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_script(name: str, run: Run) -> None:
    text, warning = HARMLESS[name]
    capture = run("export A=1", text, 'export C="$A$B"')
    assert capture.changes == {"A": "1", "B": "2", "C": "12"}
    assert (len(capture.warnings) == 1 and warning in capture.warnings[0]) if warning else not capture.warnings


def test_syntax_error(run: Run) -> None:
    capture = run("export A=1", "if then", "export C=$A")
    assert capture.changes == {"A": "1", "C": "1"}
    assert "b.sh" in capture.warnings[0]


def test_read_only(run: Run) -> None:
    capture = run("readonly R=1; export A=1", "export B=1; R=2; export C=1", "R=3", "export D=$A")
    bash = run.shell.endswith("bash")  # type: ignore[attr-defined]  # any other sh exits, and B with it
    assert capture.changes == {"A": "1", "D": "1"} | ({"B": "1"} if bash else {})
    assert len(capture.warnings) == 2


def test_errexit_has_no_effect_in_bash(run: Run) -> None:
    if run.shell.endswith("bash"):  # type: ignore[attr-defined]
        assert run("set -e; false; export A=1", "export B=$A").changes == {"A": "1", "B": "1"}


def test_pipefail_in_bash(run: Run) -> None:
    if run.shell.endswith("bash"):  # type: ignore[attr-defined]
        assert run("set -euo pipefail; false | true; export A=1", "export B=$A").changes == {"A": "1", "B": "1"}


@pytest.mark.parametrize("text", ["PATH=", "unset PATH", "export PATH=/nowhere"])
def test_path_emptied(text: str, run: Run) -> None:
    capture = run(text, "export A=1")
    assert capture.changes["A"] == "1"
    assert capture.changes["PATH"] in ("", None, "/nowhere")


def test_reserved_names(run: Run) -> None:
    capture = run(
        "export A=1 IFS=x PS1=p CONDA_PREFIX=/other WTENV_ROOT=/ BASH_ENV=/x; unset VIRTUAL_ENV",
        env={**ENV, "VIRTUAL_ENV": "/v"},
    )
    assert capture.changes == {"A": "1"}
    assert len(capture.warnings) == 5
    assert all("is left out" in warning for warning in capture.warnings)


def test_exported_functions(run: Run) -> None:
    if not run.shell.endswith("bash"):  # type: ignore[attr-defined]
        return
    env = {**ENV, "BASH_FUNC_theirs%%": "() {  export FROM=theirs\n}"}
    capture = run("theirs; mine() { :; }; export -f mine", env=env)
    assert capture.changes == {"FROM": "theirs"}
    assert ["BASH_FUNC_mine%%" in warning for warning in capture.warnings] == [True]


def test_environment_that_changes_the_shell_is_kept_out(run: Run, tmp_path: Path) -> None:
    startup = tmp_path / "startup"
    startup.write_text("export STARTED=1; exit 4")
    env = {
        **ENV,
        "BASH_ENV": str(startup),
        "ENV": str(startup),
        "SHELLOPTS": "errexit:nounset:posix",
        "POSIXLY_CORRECT": "1",
    }
    env |= {"A.B": "1", "PS1": "$ ", "SHLVL": "3", "PWD": "/gone", "OLDPWD": "/x", "_": "/y", "BASHOPTS": "extglob"}
    assert run(". /nowhere; false; export A=$NOPE", env=env).changes in ({"A": ""}, {})
    assert run("export A=1", env=env).changes == {"A": "1"}


def test_two_that_hang(run: Run) -> None:
    capture = run("export A=1", "sleep 60", "export C=3", "sleep 60", "export E=5", "sleep 60", timeout=1.5)
    assert capture.changes == {"A": "1", "C": "3"}
    assert [warning.split("/")[-1][:4] for warning in capture.warnings] == ["b.sh", "d.sh", "e.sh", "f.sh"]


@pytest.mark.parametrize("text", ["yes", "yes >&2 & sleep 60", "trap '' TERM PIPE XFSZ; while :; do seq 9999; done"])
def test_output_without_end(text: str, run: Run) -> None:
    capture = run("export A=1", f"echo mine; {text}", "export C=3", timeout=60)
    assert capture.changes == {"A": "1", "C": "3"}
    [warning] = capture.warnings
    assert "b.sh printed without end and is left out: mine" in warning


def test_all_that_fail(run: Run) -> None:
    capture = run(*["exit 1"] * 5)
    assert (capture.changes, len(capture.warnings)) == ({}, 5)


def test_hanging_processes_are_killed(run: Run, tmp_path: Path) -> None:
    run(f"sleep 60 & echo $! >{tmp_path}/pid; sleep 60", timeout=1.5)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(50):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().split(")")[-1].split()[0] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the script's background process lives on")


def test_files_that_are_none(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "etc/conda/activate.d"
    (folder / "folder.sh").mkdir(parents=True)
    (folder / "dangling.sh").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.sh")
    capture = run("export A=1")
    assert capture.changes == {"A": "1"}
    assert len(capture.warnings) == 3
    assert len(capture.watch) == 5


def test_names_of_scripts(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "etc/conda/activate.d"
    folder.mkdir(parents=True)
    for number, name in enumerate(["it's", "a b", "$(id)", "new\nline", "-n", "\udcff"]):
        (folder / f"{name}.sh").write_text(f"export V{number}=1")
    assert len(run().changes) == 6


def test_no_shell(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "_SHELLS", ("/nowhere/sh",))
    capture = run("export A=1")
    assert capture.changes == {}
    assert "can't be run" in capture.warnings[0]
    monkeypatch.setattr(scripts, "_SHELLS", ("/bin/false",))
    assert "can't be run" in run("export A=1").warnings[0]


def test_no_scratch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "_SCRATCH", ("/nowhere",))
    assert "can't be run" in run("export A=1").warnings[0]


def test_environment_too_large(run: Run) -> None:
    capture = run("export A=1", "B=x; i=0; while [ $i -lt 18 ]; do B=$B$B; i=$((i+1)); done; export B")
    assert capture.changes == {"A": "1"}
    assert "b.sh" in capture.warnings[0]


def test_dump_by_python(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    for env in (ENV, {**ENV, "LC_ALL": "C"}, {**ENV, "DYLD_X": "1", "LC_CTYPE": "C"}):
        assert run("export A='x\ny'; PATH=; unset DYLD_X", env=env).changes == {"A": "x\ny", "PATH": ""}


def test_one_process_in_the_usual_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc/conda/activate.d"
    folder.mkdir(parents=True)
    (folder / "a.sh").write_text("export A=$$")
    started: list[int] = []
    spawn = os.posix_spawn
    monkeypatch.setattr(os, "posix_spawn", lambda *args, **kw: started.append(spawn(*args, **kw)) or started[-1])
    assert capture_scripts(tmp_path, ENV).changes == {"A": str(started[0])}
    assert len(started) == 1


def test_interrupt_kills_the_scripts(tmp_path: Path) -> None:
    folder = tmp_path / "etc/conda/activate.d"
    folder.mkdir(parents=True)
    (folder / "a.sh").write_text(f"echo $$ >{tmp_path}/pid; sleep 60")
    code = f"from wtenv.conda import *; from pathlib import Path; capture_scripts(Path({str(tmp_path)!r}), {ENV!r})"
    path = str(Path(scripts.__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE
    )
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in child.communicate(timeout=10)[1]
    with pytest.raises(ProcessLookupError):
        for _ in range(400):  # whoever inherits it has to take notice of its end
            os.kill(int((tmp_path / "pid").read_text()), 0)
            time.sleep(0.05)
