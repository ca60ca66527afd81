"""The three shells and the Python model agree: applying, the user's own changes inside, undoing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, example, given, settings
from shells import require_shell, set_variable, unset_variable
from test_fuzz import damaged_states

from wtenv import environ
from wtenv.environ import Activation, Change, CondaLevel
from wtenv.hook.shells import SHELLS

# What a shell adds for itself.
OWN = {"_", "SHLVL", "PWD", "OLDPWD", "LS_COLORS"}
SCALARS = ("ALPHA", "BETA", "level", "name", "FOO_OLD", "WTENVX", "old", "x")
LISTS = ("PATH", "LD_LIBRARY_PATH", "XDG_DATA_DIRS")

bytes_values = st.binary(min_size=0, max_size=12).map(lambda raw: raw.replace(b"\0", b"0"))
hard = st.sampled_from(
    [
        "",
        "'",
        '"',
        "\\",
        "$(touch /tmp/pwned)",
        "`id`",
        "a\nb",
        "\n",
        "-n",
        "--",
        "é",
        "\x01",
        "\x7f",
        "~",
        "*",
        "{a,b}",
        "! !",
    ]
)
values = st.one_of(
    bytes_values.map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
    hard,
)
entries = st.lists(st.sampled_from(["/a", "/b", "/c d", "/e*", "/usr/bin", "/bin", "/conda/bin", "/é"]), max_size=4)
lists = entries.map(":".join)
full_lists = st.lists(st.sampled_from(["/o", "/p q", "/a", "/usr/bin"]), min_size=1, max_size=3).map(":".join)


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    env = {name: draw(values) for name in draw(st.sets(st.sampled_from(SCALARS)))}
    env |= {name: draw(lists) for name in draw(st.sets(st.sampled_from(LISTS)))}
    env["PATH"] = draw(lists)
    if draw(st.booleans()):
        env |= {"CONDA_SHLVL": draw(st.sampled_from(["0", "1", "2", "x", "", "08"])), "CONDA_PREFIX": "/conda"}
        env["CONDA_PREFIX_1"] = "/root/conda"
    return env


@st.composite
def activations(draw: st.DrawFn) -> Activation:
    changes = [Change("PATH", "front", draw(full_lists))]
    for name in draw(st.lists(st.sampled_from(SCALARS), unique=True)):
        changes.append(Change(name, "unset") if draw(st.booleans()) else Change(name, "set", draw(values)))
    for name in draw(st.sets(st.sampled_from(LISTS[1:]))):
        kinds = draw(st.sampled_from([["set"], ["unset"], ["front"], ["back"], ["front", "back"]]))
        for kind in kinds:
            changes.append(Change(name, kind, "" if kind == "unset" else draw(full_lists)))  # type: ignore[arg-type]
    conda = draw(st.sampled_from([None, CondaLevel("/conda", "base", "(base) "), CondaLevel("/env", "e", "(e) ")]))
    return Activation("/root dir", "id", conda, tuple(changes))


@st.composite
def edits(draw: st.DrawFn) -> dict[str, str | None]:
    """What the user changes inside; None for unset."""
    changed: dict[str, str | None] = {}
    for name in draw(st.sets(st.sampled_from(SCALARS), max_size=3)):
        changed[name] = draw(st.one_of(st.none(), values))
    return changed


@st.composite
def list_edits(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """(list, end, entry): entries that the user adds inside."""
    one = st.tuples(st.sampled_from(LISTS), st.sampled_from(["front", "back"]), st.sampled_from(["/mine", "/b", "/o"]))
    return draw(st.lists(one, max_size=3))


OPTIONS = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}


def run(shell: str, env: dict[str, str], script: str, folder: Path) -> None:
    path = folder / f"script.{shell}"
    path.write_bytes(script.encode("utf-8", "surrogateescape"))
    options = OPTIONS[shell]
    program = require_shell(shell)
    done = subprocess.run(
        [
            "/usr/bin/env",
            "-i",
            *(os.fsencode(f"{k}={v}") for k, v in env.items()),
            _locate(program),
            *options,
            str(path),
        ],
        capture_output=True,
        cwd=folder,
        check=False,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stderr == b"", done.stderr.decode(errors="replace")


def _locate(program: str) -> str:
    import shutil

    return shutil.which(program) or program


def read_dump(path: Path) -> dict[str, str]:
    pairs = (item.partition(b"=") for item in path.read_bytes().split(b"\0") if item)
    found = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    if environ.VARS in found:  # the order of names has no meaning
        found[environ.VARS] = " ".join(sorted(found[environ.VARS].split(" ")))
    return {name: value for name, value in found.items() if name not in OWN}


def dump(path: Path) -> str:
    return f"/usr/bin/env -0 >{path}\n"


@pytest.mark.parametrize("way", ["general", "fast", "computed elsewhere"])
@pytest.mark.parametrize("shell", SHELLS)
@settings(
    max_examples=int(os.environ.get("WTENV_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(env=environments(), other=environments(), activation=activations(), edit=edits(), list_edit=list_edits())
def test_shell_equals_model(
    shell: str,
    way: str,
    env: dict[str, str],
    other: dict[str, str],
    activation: Activation,
    edit: dict[str, str | None],
    list_edit: list[tuple[str, str, str]],
    tmp_path: Path,
) -> None:
    language = SHELLS[shell]
    start, entered, left = tmp_path / "start", tmp_path / "entered", tmp_path / "left"
    model_edits: dict[str, str | None] = dict(edit)
    shortcut = {"general": None, "fast": environ.specialise(env, activation)}.get(
        way, environ.specialise(other, activation)
    )
    enter = f"{language.render_enter(activation, shortcut)}\n__wtenv_enter\n"
    script = dump(start) + language.render_leave() + enter + dump(entered)
    # fish and zsh add what they need to their own environment: the model starts from what they export.
    for name, value in edit.items():
        script += (
            unset_variable(shell, name) if value is None else set_variable(shell, name, os.fsencode(value))
        ) + "\n"
    for name, end, entry in list_edit:
        script += _extend(shell, name, end, entry) + "\n"
    script += dump(tmp_path / "edited") + "__wtenv_leave\n" + dump(left)
    run(shell, env, script, tmp_path)

    before = read_dump(start)
    applied = environ.apply(before, activation)
    applied[environ.VARS] = " ".join(sorted(applied[environ.VARS].split(" ")))
    assert read_dump(entered) == applied
    edited = read_dump(tmp_path / "edited")
    for name, value in model_edits.items():
        assert edited.get(name) == value
    assert read_dump(left) == environ.undo(edited)
    if not model_edits and not list_edit:
        assert read_dump(left) == before


def nest(shell: str, script: str, folder: Path, level: int) -> str:
    """The command that runs `script` in a child `shell`, in any shell."""
    path = folder / f"nested{level}.{shell}"
    path.write_bytes(script.encode("utf-8", "surrogateescape"))
    return f"{_locate(shell)} {' '.join(OPTIONS[shell])} {path}\n"


@pytest.mark.parametrize("third", SHELLS)
@pytest.mark.parametrize("second", SHELLS)
@pytest.mark.parametrize("first", SHELLS)
@settings(
    max_examples=int(os.environ.get("WTENV_EXAMPLES", "50")) // 10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(env=environments(), activation=activations(), other=activations())
def test_nested_shells(
    first: str,
    second: str,
    third: str,
    env: dict[str, str],
    activation: Activation,
    other: Activation,
    tmp_path: Path,
) -> None:
    """The first enters; the second leaves that and enters another; the third leaves this. Back in the second, and
    in the first, each leaves what it has."""

    def enter(shell: str, entered: Activation) -> str:
        return f"{SHELLS[shell].render_enter(entered, environ.specialise(env, entered))}\n__wtenv_enter\n"

    for shell in (first, second, third):
        require_shell(shell)
    places = {name: tmp_path / name for name in ("start", "second", "third", "back", "end")}
    start = {shell: SHELLS[shell].render_leave() for shell in SHELLS}
    inner = dump(places["third"]) + start[third] + dump(tmp_path / "left")
    middle = start[second] + dump(places["second"]) + enter(second, other) + nest(third, inner, tmp_path, 3)
    middle += "__wtenv_leave\n" + dump(places["back"])
    outer = start[first] + dump(places["start"]) + enter(first, activation) + nest(second, middle, tmp_path, 2)
    # In the C locale fish itself takes bytes for characters, in all that it hands on.
    run(first, {**env, "LANG": "C.UTF-8"}, outer + "__wtenv_leave\n" + dump(places["end"]), tmp_path)

    before, plain = read_dump(places["start"]), read_dump(places["second"])
    added = {name: value for name, value in plain.items() if name not in before}  # by the second shell itself
    assert {**plain, **before} == plain
    assert not [name for name in added if environ.is_state(name) or name in SCALARS + LISTS]
    assert {name: read_dump(places["third"])[name] for name in (environ.ROOT, environ.ID)}
    left = read_dump(tmp_path / "left")
    assert {name: left.get(name) for name in plain} == plain
    assert read_dump(places["back"]) == plain
    assert read_dump(places["end"]) == before


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "before",
    [
        pytest.param({}, id="nothing set"),
        pytest.param({"ALPHA": "it's", "LD_LIBRARY_PATH": "/a:/b c"}, id="variables set"),
        pytest.param({"CONDA_SHLVL": "0"}, id="conda without an environment"),
        pytest.param(
            {
                "CONDA_SHLVL": "1",
                "CONDA_PREFIX": "/conda",
                "CONDA_PROMPT_MODIFIER": "(base) ",
                "PATH": "/conda/bin:/bin",
            },
            id="conda's base active",
        ),
    ],
)
def test_fast_path_is_taken(shell: str, before: dict[str, str], tmp_path: Path) -> None:
    """Where the environment is the one that the entry was computed in, in and out; and not where it isn't."""
    env = {"PATH": "/usr/bin:/bin", **before}
    conda = CondaLevel("/env", "e", "(e) ")
    changes = (Change("PATH", "front", "/x:/env/bin"), Change("ALPHA", "set", "a,b;c|d"), Change("BETA", "unset"))
    activation = Activation("/root", "id", conda, (*changes, Change("LD_LIBRARY_PATH", "back", "/z")))
    language = SHELLS[shell]
    way = "set -q __wtenv_fast; and" if shell == "fish" else '[ -n "${__wtenv_fast-}" ] &&'
    enter = language.render_enter(activation, environ.specialise(env, activation))
    general = "function __wtenv_apply; end" if shell == "fish" else "__wtenv_apply() { :; }"
    for name, value, fast in [("BETA", None, True), ("BETA", "mine", False)]:
        setup = set_variable(shell, name, os.fsencode(value)) if value else ""
        script = f"{setup}\n{dump(tmp_path / 'start')}{language.render_leave()}\n{enter}\n{general}\n__wtenv_enter\n"
        script += f"{way} /usr/bin/touch {tmp_path}/fast\n__wtenv_leave\n{dump(tmp_path / 'left')}"
        run(shell, env, script, tmp_path)
        assert (tmp_path / "fast").exists() is fast
        assert read_dump(tmp_path / "left") == read_dump(tmp_path / "start")
        (tmp_path / "fast").unlink(missing_ok=True)


@pytest.mark.parametrize("shell", SHELLS)
@settings(
    max_examples=int(os.environ.get("WTENV_EXAMPLES", "50")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(env=damaged_states())
def test_damaged_state_is_left_quietly(shell: str, env: dict[str, str], tmp_path: Path) -> None:
    """Whoever set WTENV_*: leaving says nothing, runs nothing, and touches at most what is named there."""
    script = dump(tmp_path / "start") + SHELLS[shell].render_leave() + dump(tmp_path / "left")
    run(shell, {"LANG": "C.UTF-8", **env, "HOME": str(tmp_path)}, script, tmp_path)  # where fish writes
    before, after = read_dump(tmp_path / "start"), read_dump(tmp_path / "left")
    named = {item.removesuffix(":") for item in before.get(environ.VARS, "").split(" ")}
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert not {name for name in changed - named if not environ.is_state(name) and not name.startswith("CONDA_")}
    if {environ.ROOT, environ.VARS} & before.keys():
        assert not {environ.ROOT, environ.ID, environ.VARS} & after.keys()
    assert not (tmp_path / "pwned").exists()


def _extend(shell: str, name: str, end: str, entry: str) -> str:
    if shell == "fish" and name.endswith("PATH"):
        return f"set -gx {'-p' if end == 'front' else '-a'} {name} {entry}"
    if shell == "fish":
        add = f'"{entry}:${name}"' if end == "front" else f'"${name}:{entry}"'
        return f'if test -n "${name}"; set -gx {name} {add}; else; set -gx {name} {entry}; end'
    add = f"{entry}${{{name}:+:${name}}}" if end == "front" else f"${{{name}:+${name}:}}{entry}"
    return f'export {name}="{add}"'


@given(env=environments(), activation=activations())
@example(env={}, activation=Activation("/", "i", None, (Change("PATH", "front", "/x"),)))
def test_enter_and_leave_is_nothing(env: dict[str, str], activation: Activation) -> None:
    applied = environ.apply(env, activation)
    assert environ.undo(applied) == env
    assert environ.apply(applied, activation) == applied
