"""What activate.d scripts read: an answer is used again only where it would be given again."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from wtenv.activation import find_deciding
from wtenv.conda import Capture, capture_scripts, readings, scripts
from wtenv.watch import EXACT

ENV = {"PATH": "/usr/bin:/bin", "HOME": "/home/x", "CONDA_PREFIX": "/base"}
needs_bash = pytest.mark.skipif(not os.access("/bin/bash", os.X_OK), reason="no bash to trace with")


def write(prefix: Path, **texts: str) -> None:
    folder = prefix / "etc/conda/activate.d"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.sh").write_text(text.replace("{prefix}", str(prefix)) + "\n")


def guards(capture: Capture, env: Mapping[str, str]) -> frozenset[str]:
    return find_deciding(capture.reads, capture.changes, env, capture.tested)


def list_read(capture: Capture) -> set[Path]:
    """What the scripts sourced, tested or read. Packages write the scripts themselves, which get later times."""
    return {path for path, mode in capture.watch.items() if mode == EXACT}


PLAIN = [
    "export A=1",
    "# a comment (with $(anything) < in > it)\nexport A='x y' B=\"$C\"; unset D",
    'if [ -n "${A-}" ]; then\n  export B=1\nelif [ "$A" = x ]; then export B=2\nelse\n  B=3; export B\nfi',
    '[ "$CONDA_PREFIX" = x ] && export A=1 || true',
    "echo hello >&2; printf '%s' x >/dev/null 2>&1; return 0",
    "while [ -z x ]; do true; done",
]
NOT_PLAIN = [
    ". /x",
    "source /x",
    "A=$(x)",
    "A=`x`",
    "python x",
    "A=1 python x",
    "true; python x",
    "true && python x",
    "echo x | python x",
    "echo x & python x",
    "if python x; then true; fi",
    "if true; then python x; fi",
    "{ python x; }",
    "! python x",
    "x() { true; }",
    "(true)",
    'echo "${!A}"',
    "read x <y",
    "export -p",
    "eval x",
    "set -x",
    "env",
    "printenv A",
    "export A=1 &&\\\npython x",
    "A='\npython x\n'",
    "trap x EXIT",
    "exec x",
    "[[ -n x ]] && source /x",
    "[ -d /x ] && export A=1",
    "if [[ -e /x ]]; then export A=1; fi",
    "test ! -r /x || export A=1",
    "[ /x -nt /y ] && export A=1",
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain(text: str) -> None:
    assert readings.is_plain(text.encode())


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_not_plain(text: str) -> None:
    assert not readings.is_plain(text.encode())


def test_plain_scripts_are_not_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a="export OPTIONS=$-; export SEEN=${BASH_XTRACEFD-none}")
    assert capture_scripts(tmp_path, ENV).changes["SEEN"] == "none"
    assert "x" not in str(capture_scripts(tmp_path, ENV).changes["OPTIONS"])


# What a script says, which variables are guarded (at least), and whether that is known to be all.
CASES = {
    "tested": ('[ -n "${AMENT_PREFIX_PATH-}" ] && export ROS=1', {"AMENT_PREFIX_PATH"}, True),
    "tested and extended": (
        '[ -n "${LD_PATH-}" ] && export ROS=1\nexport LD_PATH="/x:${LD_PATH-}"',
        {"LD_PATH"},
        True,
    ),
    "sourced": ('. "$CONDA_PREFIX/setup.sh"', {"IN_SETUP"}, True),
    "chained": ('source "$CONDA_PREFIX/chain.sh"', {"IN_CHAIN", "IN_SETUP"}, True),
    "in a function": ('f() { . "$1"; }; f "$CONDA_PREFIX/setup.sh"', {"IN_SETUP"}, True),
    "in a subshell": ('export A="$(. "$CONDA_PREFIX/setup.sh"; echo "$B")"', {"IN_SETUP", "B"}, True),
    "evaluated": ('n=AMENT_X; eval "export COPY=\\"\\${$n-}\\""', {"AMENT_X"}, True),
    "by the builtin": ('builtin . "$CONDA_PREFIX/setup.sh"; command -v ls >/dev/null', {"IN_SETUP"}, True),
    "harmless programs": ('export A="$(dirname "$CONDA_PREFIX")" B="$(uname -s | tr A-Z a-z)"', set(), True),
    "printenv of a name": ("n=AMENT_X; export A=$(printenv $n)", {"AMENT_X"}, True),
    "declare of a name": ("n=AMENT_X; export A=$(declare -p $n 2>/dev/null)", {"AMENT_X"}, True),
    "by indirection": ("n=AMENT_X; export A=${!n-}", set(), False),
    "printenv": ("export A=$(printenv | grep -c ^AMENT_)", set(), False),
    "env": ("export A=$(env | grep -c ^AMENT_)", set(), False),
    "compgen": ("export A=$(compgen -v AMENT_ | wc -l)", set(), False),
    "export alone": ("export A=$(export | grep -c AMENT_)", set(), False),
    "set alone": ("export A=$(set | grep -c AMENT_)", set(), False),
    "a program": ('export A=$(sh -c "echo x")', set(), False),
    "another program": ("python3 -c 'import os' || true", set(), False),
    "a file by redirection": ('read -r A <"$CONDA_PREFIX/setup.sh"; export A', set(), False),
    "sourced by a relative path": ("cd /; . etc/profile || true", set(), False),
    "no trace": ('set +x; . "$CONDA_PREFIX/setup.sh"; set -x', set(), False),
    "no trace any more": ('{ set +x; } 2>/dev/null; . "$CONDA_PREFIX/setup.sh"', set(), False),
    "another trace": ("PS4=; . $CONDA_PREFIX/setup.sh", set(), False),
    "trace closed": ('exec {BASH_XTRACEFD}>&-; . "$CONDA_PREFIX/setup.sh"', set(), False),
    "in arithmetic": ("export A=$((AMENT_X + 1))", {"AMENT_X"}, True),
    "in arithmetic over lines": ("export A=$((1 +\n  AMENT_X))", {"AMENT_X"}, True),
    "an arithmetic command": ("((AMENT_X > 2)) && export A=1", {"AMENT_X"}, True),
    "let": ("let A=AMENT_X+1; export A", {"AMENT_X"}, True),
    "compared as a number": ("[[ AMENT_X -gt 2 ]] && export A=1", {"AMENT_X"}, True),
    "the number it is compared with": ("[[ 2 -lt AMENT_X ]] && export A=1", {"AMENT_X"}, True),
    "an offset": ("A=abc; export A=${A:AMENT_X}", {"AMENT_X"}, True),
    "an index": ("A=(a b); export B=${A[AMENT_X]}", {"AMENT_X"}, True),
    "a name for another": ("n=AMENT_X; declare -n r=$n; export A=${r-}", set(), False),
    "an integer": ("declare -i A; A=AMENT_X; export A", set(), False),
    "a random number": ("export A=$RANDOM", set(), False),
    "a process id": ("export A=/run/x.$$", set(), False),
    "the time": ("export A=$(date +%s)", set(), False),
    "a new file": ("export A=$(mktemp)", set(), False),
    "where it stands": ("export A=$PWD", set(), False),
    "where it stands, asked for": ("export A=$(pwd)", set(), False),
    "the folder of a file": ('export A="$(cd "$CONDA_PREFIX/.." && pwd)"', set(), True),
    "file names by a pattern": ('for f in "$CONDA_PREFIX"/x.d/*.sh; do [ -r "$f" ] && . "$f"; done', set(), False),
    "a list by a pattern": ('f=("$CONDA_PREFIX"/*.x); export A=${#f[@]}', set(), False),
    "an argument by a pattern": ("export A=$(echo /opt/*)", set(), False),
    "a part of a path": ('export A=${CONDA_PREFIX%/*} B="${CONDA_PREFIX##*/}"', set(), True),
    "a program that not all have": ("command -v no-such >/dev/null && export A=1", set(), False),
    "a program that PATH has": ("type -P no-such >/dev/null && export A=1", set(), False),
    "a test of a relative path": ('cd "$CONDA_PREFIX"; [ -f setup.sh ] && export A=1', set(), False),
    "a relative path": ('cd "$CONDA_PREFIX"; export A=$(head -n 1 setup.sh)', set(), False),
    "left out": ('. "$CONDA_PREFIX/setup.sh"; exit 3', set(), False),
}


@needs_bash
@pytest.mark.parametrize("name", CASES)
def test_what_is_guarded(name: str, tmp_path: Path) -> None:
    text, wanted, complete = CASES[name]
    (tmp_path / "setup.sh").write_text('export SETUP="${IN_SETUP-}"\n')
    (tmp_path / "chain.sh").write_text('export CHAIN="${IN_CHAIN-}"\n. "${BASH_SOURCE[0]%/*}/setup.sh"\n')
    write(tmp_path, a="export FIRST=1", b=text)
    env = {**ENV, "CONDA_PREFIX": str(tmp_path)}
    capture = capture_scripts(tmp_path, env)
    assert capture.complete is complete
    assert wanted <= guards(capture, env)
    assert capture.cacheable
    if complete:
        assert not capture.warnings
        sourced = {path.name for path in list_read(capture) if path.suffix == ".sh"}
        assert sourced == {f"{item[3:].lower()}.sh" for item in wanted if item.startswith("IN_")}
    # What is known to be all is all: whichever of these is set, the answer is the same unless a guard tells.
    for other in ("IN_SETUP", "IN_CHAIN", "AMENT_PREFIX_PATH", "AMENT_X", "LD_PATH", "B"):
        again = capture_scripts(tmp_path, {**env, other: "/other"})
        assert again.changes == capture.changes or not complete or other in guards(capture, env), other


@needs_bash
def test_a_trace_changes_nothing(tmp_path: Path) -> None:
    """What scripts print, set and get is what they print, set and get without."""
    texts = {
        "a": "f() { echo from f >&2; export A=$1; }; f 1",
        "b": 'export FDS=$(ls /proc/self/fd | tr "\\n" " ") B=${PS4-} ZERO=$0 ARGS=$# SOURCE=${BASH_SOURCE[0]##*/}',
        "c": 'set -u; export C="$(echo x 2>&1)"; echo printed; false',
    }
    write(tmp_path, **texts)
    env = ENV
    traced = capture_scripts(tmp_path, env)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readings, "is_plain", lambda text: True)
        plain = capture_scripts(tmp_path, env)
    assert {**traced.changes, "FDS": "", "B": ""} == {**plain.changes, "FDS": "", "B": ""}
    assert traced.warnings == plain.warnings
    assert [warning.split(": ")[-1] for warning in traced.warnings] == ["printed"]


@needs_bash
def test_files_that_were_looked_for(tmp_path: Path) -> None:
    write(
        tmp_path,
        a='[ -f "{prefix}/later.sh" ] && . "{prefix}/later.sh"; f() { cat "{prefix}/version"; }; export V=$(f)',
    )
    (tmp_path / "version").write_text("1\n")
    capture = capture_scripts(tmp_path, ENV)
    assert (capture.changes, capture.complete) == ({"V": "1"}, True)
    assert list_read(capture) == {tmp_path / "later.sh", tmp_path / "version"}


TESTS = [
    "[ -f {prefix}/later ] && export A=1",
    "if [[ -e {prefix}/later ]]; then export A=1; fi",
    "if [[ -n x && -d {prefix}/later ]]; then export A=1; fi",
    "test ! -r {prefix}/later || export A=1",
    "[ -n x -a -s {prefix}/later ] && export A=1",
    "[[ {prefix}/later -nt /etc/passwd ]] && export A=1",
]


@needs_bash
@pytest.mark.parametrize("text", TESTS)
def test_each_test_of_a_file(text: str, tmp_path: Path) -> None:
    write(tmp_path, a=text)
    capture = capture_scripts(tmp_path, ENV)
    assert tmp_path / "later" in list_read(capture)
    assert capture.complete


@pytest.mark.parametrize(
    "part", ["/", "=(", "\n", "((", "${", "${x:", "x", " ", "a[", "for a in b ", "set - ", "let ", "$["]
)
def test_a_text_takes_time_by_its_size(part: str) -> None:
    text = (part * (1 << 18))[: 1 << 18].encode()
    start = time.process_time()
    readings.is_plain(text)
    trace = b"+\x1e/x.sh\x1e true\n+\x1e\x1e : wtenv end\n+\x1e\x1e set +x"
    assert readings.read_trace(trace, [(Path("/x.sh"), text)]).files == ()
    assert time.process_time() - start < 5


@needs_bash
def test_folders_that_always_change_are_not_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each prompt would compute anew."""
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, a='[ -w /tmp ] && [ -d / ] && [ -d "{prefix}" ] && [ -d {prefix}/etc ] && export A=1')
    capture = capture_scripts(tmp_path, ENV)
    assert (capture.changes, capture.complete) == ({"A": "1"}, True)
    assert list_read(capture) == {tmp_path / "etc"}


@pytest.mark.skipif(not os.access("/bin/dash", os.X_OK), reason="no dash")
def test_without_bash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be traced is not known; what only assigns is."""
    monkeypatch.setattr(scripts, "_SHELLS", ("/bin/dash",))
    write(tmp_path, a="export A=$B")
    assert capture_scripts(tmp_path, ENV).complete
    write(tmp_path, b=". {prefix}/setup.sh")
    (tmp_path / "setup.sh").write_text("export S=1\n")
    capture = capture_scripts(tmp_path, ENV)
    assert (capture.changes, capture.complete, capture.cacheable) == ({"A": "", "S": "1"}, False, True)


@needs_bash
def test_a_huge_trace_is_read_in_time(tmp_path: Path) -> None:
    """Forty times as much takes not much more than forty times as long: by our own time, whatever else runs."""
    took = []
    for count in (500, 20000):
        folder = tmp_path / str(count)
        write(folder, a=f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); done; export A=$i")
        start = time.process_time()
        capture = capture_scripts(folder, ENV)
        took.append(time.process_time() - start)
        assert (capture.changes, capture.complete) == ({"A": str(count)}, True)
    assert took[1] < 200 * max(took[0], 0.002), took
