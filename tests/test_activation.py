"""Activations as data: what `conda activate BASE` and then the overlay would give, in that order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from wtenv import activation, environ
from wtenv.conda import Base
from wtenv.config.read import Config
from wtenv.environ import Change
from wtenv.errors import WtenvError

PREFIX = "/conda/envs/shared"
CONDA = Base(PREFIX, "shared", "(shared) ", "conda", {})
PLAIN = Base("/usr", "/usr", "", "python", {})
Values = Mapping[str, str | None]


def make_config(**changes: object) -> Config:
    values: dict[str, object] = {
        "root": Path("/w/root"),
        "base": "shared",
        "base_kind": "base_conda_env",
        "base_file": Path("/w/root/wtenv.toml"),
        "base_folder": Path("/w/root"),
        "venv": Path("/w/root/.venv"),
        "packages": (),
        "install_deps": False,
        "build_isolation": "auto",
        "env": (),
        "path": (),
        "dotenv": (),
        "sources": (),
    }
    return Config(**{**values, **changes})  # type: ignore[arg-type]


def enter(
    env: Mapping[str, str], config: Config | None = None, base: Base = CONDA, variables: Values | None = None,
    scripts: Values | None = None,
) -> dict[str, str]:  # fmt: skip
    """`env` after entering, without wtenv's state. `scripts`: what activate.d changed from there."""
    variables = variables or {}
    before = {
        name: value
        for name, value in environ.apply(env, activation.build_base(base, variables)).items()
        if not environ.is_state(name)
    }
    made = activation.build(config or make_config(), base, variables, scripts or {}, before, "/w/root")
    entered = environ.apply(env, made)
    assert environ.undo(entered) == env
    return {name: value for name, value in entered.items() if not environ.is_state(name)}


def changed(env: Mapping[str, str], *args: object, **kwargs: object) -> dict[str, str | None]:
    found = environ.compare(env, enter(env, *args, **kwargs))  # type: ignore[arg-type]
    for name in ("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_PROMPT_MODIFIER", "CONDA_SHLVL", "VIRTUAL_ENV",
                 "VIRTUAL_ENV_PROMPT", "PYTHONNOUSERSITE", "UV_NO_SYNC", "PATH"):  # fmt: skip
        found.pop(name, None)
    return found


def test_the_plain_case() -> None:
    assert enter({"PATH": "/usr/bin", "HOME": "/h"}) == {
        "HOME": "/h",
        "PATH": f"/w/root/.venv/bin:{PREFIX}/bin:/usr/bin",
        "CONDA_PREFIX": PREFIX,
        "CONDA_DEFAULT_ENV": "shared",
        "CONDA_PROMPT_MODIFIER": "(shared) ",
        "CONDA_SHLVL": "1",
        "VIRTUAL_ENV": "/w/root/.venv",
        "VIRTUAL_ENV_PROMPT": "root",
        "PYTHONNOUSERSITE": "1",
        "UV_NO_SYNC": "1",
    }


def test_a_base_that_is_not_conda() -> None:
    found = enter({"PATH": "/usr/bin", "CONDA_SHLVL": "0"}, base=PLAIN)
    assert found["PATH"] == "/w/root/.venv/bin:/usr/bin:/usr/bin"
    assert not [name for name in found if name.startswith("CONDA") and name != "CONDA_SHLVL"]


def test_an_active_conda_environment_is_replaced() -> None:
    env = {
        "PATH": "/mine:/conda/bin:/conda/condabin:/usr/bin", "CONDA_SHLVL": "1", "CONDA_PREFIX": "/conda",
        "CONDA_DEFAULT_ENV": "base", "CONDA_PROMPT_MODIFIER": "(base) ", "CONDA_EXE": "/conda/bin/conda",
    }  # fmt: skip
    found = enter(env)
    assert found["PATH"] == f"/w/root/.venv/bin:{PREFIX}/bin:/mine:/conda/condabin:/usr/bin"
    assert (found["CONDA_SHLVL"], found["CONDA_PREFIX_1"], found["CONDA_PREFIX"]) == ("2", "/conda", PREFIX)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), f"/w/root/.venv/bin:{PREFIX}/bin:/u"),
        (("/w/root/scripts", "/x"), f"/w/root/scripts:/x:/w/root/.venv/bin:{PREFIX}/bin:/u"),
    ],
)
def test_path_order(path: tuple[str, ...], expected: str) -> None:
    assert enter({"PATH": "/u"}, make_config(path=path))["PATH"] == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("/s:{old}", "/w/root/.venv/bin:/s:{old}"),
        ("{old}:/s", "/w/root/.venv/bin:{old}:/s"),
        ("/a:/b:{old}:/c:/d", "/w/root/.venv/bin:/a:/b:{old}:/c:/d"),
        ("{prefix}/bin:/s:/u:/v", "/w/root/.venv/bin:/s:{old}"),  # in the middle: in front
        ("{prefix}/bin:/u", "/w/root/.venv/bin:{old}"),  # what scripts take away stays
        ("/s", "/w/root/.venv/bin:/s:{old}"),
        ("", "/w/root/.venv/bin:{old}"),
        (None, "/w/root/.venv/bin:{old}"),
        (":{old}:", "/w/root/.venv/bin:{old}"),  # an empty entry means "here"
        ("/s:/s:{old}:/t:/t", "/w/root/.venv/bin:/s:{old}:/t"),
    ],
)
def test_path_of_scripts(after: str | None, expected: str) -> None:
    old = f"{PREFIX}/bin:/u:/v"
    value = after if after is None else after.format(old=old, prefix=PREFIX)
    assert enter({"PATH": "/u:/v"}, scripts={"PATH": value})["PATH"] == expected.format(old=old)


def test_path_of_scripts_is_independent_of_where_it_was_found_out() -> None:
    before = {"PATH": f"{PREFIX}/bin:/one"}
    made = activation.build(make_config(), CONDA, {}, {"PATH": f"/s:{PREFIX}/bin:/one:/t"}, before, "/w/root")
    assert environ.apply({"PATH": "/two"}, made)["PATH"] == f"/w/root/.venv/bin:/s:{PREFIX}/bin:/two:/t"


LISTS = [  # before, after, what it becomes where the value before is "/o"
    (None, "/s", "/s"),
    ("", "/s", "/s"),
    ("/b", "/s:/b", "/s:/o"),
    ("/b", "/b:/s", "/o:/s"),
    ("/b", "/s:/b:/t", "/s:/o:/t"),
    ("/b", "/s:/t:/b", "/s:/t:/o"),
    ("/b", "/s", "/s"),
    ("/b", "/s:/bb", "/s:/bb"),
    ("/b:/c", "/s:/b:/c", "/s:/o"),
    ("/b:/c", "/b:/s:/c", "/b:/s:/c"),
    ("/b", ":/b", ":/b"),
    ("/b", "/b:", "/b:"),
    ("/b", "/b:/b", "/o:/b"),
    ("/b", "", ""),
]


@pytest.mark.parametrize(("before", "after", "elsewhere"), LISTS)
def test_lists_that_scripts_extend(before: str | None, after: str, elsewhere: str) -> None:
    env = {"PATH": "/u"} if before is None else {"PATH": "/u", "LD_LIBRARY_PATH": before}
    assert enter(env, scripts={"LD_LIBRARY_PATH": after})["LD_LIBRARY_PATH"] == after
    base_env = {**env, "PATH": f"{PREFIX}/bin:/u"}
    made = activation.build(make_config(), CONDA, {}, {"LD_LIBRARY_PATH": after}, base_env, "/w/root")
    assert environ.apply({"PATH": "/u", "LD_LIBRARY_PATH": "/o"}, made)["LD_LIBRARY_PATH"] == elsewhere


def test_a_list_that_was_empty_elsewhere() -> None:
    made = activation.build(
        make_config(), CONDA, {}, {"MANPATH": "/s:/b"}, {"PATH": f"{PREFIX}/bin", "MANPATH": "/b"}, "/w/root"
    )
    assert environ.apply({"PATH": "/u"}, made)["MANPATH"] == "/s"


def test_what_is_no_list_is_set() -> None:
    made = activation.build(make_config(), CONDA, {}, {"FLAGS": "-x:-y"}, {"PATH": "", "FLAGS": "-y"}, "/w/root")
    assert Change("FLAGS", "set", "-x:-y") in made.changes


@pytest.mark.parametrize(
    ("env", "variables", "scripts", "expected"),
    [
        ({}, {"A": "1"}, {}, {"A": "1"}),
        ({"A": "0"}, {"A": None}, {}, {"A": None}),
        ({}, {"A": None}, {}, {}),
        ({}, {"A": "1"}, {"A": "2"}, {"A": "2"}),  # scripts run after env_vars.d and state
        ({"A": "0"}, {"A": "1"}, {"A": None}, {"A": None}),
        ({}, {"MANPATH": "/v"}, {"MANPATH": "/s:/v"}, {"MANPATH": "/s:/v"}),
        ({"A": "0"}, {}, {"A": None}, {"A": None}),
        ({}, {"E": ""}, {"F": ""}, {"E": "", "F": ""}),
        ({}, {"A": "\udcff\n'\"$(x)\\"}, {}, {"A": "\udcff\n'\"$(x)\\"}),
    ],
)
def test_variables_and_scripts(env: Values, variables: Values, scripts: Values, expected: Values) -> None:
    assert changed({"PATH": "/u", **env}, variables=variables, scripts=scripts) == expected  # type: ignore[dict-item]


def test_config_comes_last() -> None:
    config = make_config(dotenv=(("A", "dotenv"), ("B", "dotenv")), env=(("A", "env"), ("C", None), ("D", "env")))
    variables = {"A": "base", "B": "base", "C": "base", "D": "base", "E": "base"}
    assert changed({"PATH": "/u", "C": "user"}, config, variables=variables, scripts={"D": "script"}) == {
        "A": "env", "B": "dotenv", "C": None, "D": "env", "E": "base"}  # fmt: skip
    assert changed(
        {"PATH": "/u"}, make_config(env=(("LD_LIBRARY_PATH", "/mine"),)), scripts={"LD_LIBRARY_PATH": "/s"}
    ) == {"LD_LIBRARY_PATH": "/mine"}


def test_the_overlays_own_variables_win_over_the_base() -> None:
    env = {"PATH": "/u", "PYTHONHOME": "/x", "PYTHONNOUSERSITE": ""}
    found = enter(env, variables={"PYTHONNOUSERSITE": "base"}, scripts={"PYTHONNOUSERSITE": None})
    assert (found["PYTHONNOUSERSITE"], "PYTHONHOME" in found) == ("1", False)
    chosen = enter(env, make_config(env=(("PYTHONNOUSERSITE", None),)))
    assert "PYTHONNOUSERSITE" not in chosen


PLACEHOLDERS = [
    ("{root}/data", "/w/root/data"),
    ("{venv}", "/w/root/.venv"),
    ("{base}", PREFIX),
    ("{root}{root}", "/w/root/w/root"),
    ("{{root}}", "{/w/root}"),
    ("{roo}t}", "{roo}t}"),
    ("{ root }", "{ root }"),
    ("{ROOT} {} {0} {root!r} %s $root", "{ROOT} {} {0} {root!r} %s $root"),
    ("", ""),
    ("\\g<0> \\1 \\", "\\g<0> \\1 \\"),
]


@pytest.mark.parametrize(("written", "expected"), PLACEHOLDERS)
def test_placeholders(written: str, expected: str) -> None:
    assert enter({"PATH": "/u"}, make_config(env=(("X", written),)))["X"] == expected


def test_placeholders_are_filled_in_once() -> None:
    config = make_config(root=Path("/w/{venv}\\1"), venv=Path("/w/{base}"), env=(("X", "{root} {venv}"),))
    assert enter({"PATH": "/u"}, config)["X"] == "/w/{venv}\\1 /w/{base}"


def test_dotenv_and_base_values_have_no_placeholders() -> None:
    config = make_config(dotenv=(("X", "{root}"),))
    assert changed({"PATH": "/u"}, config, variables={"Y": "{root}"}) == {"X": "{root}", "Y": "{root}"}


def test_a_stack_is_named_by_its_folder() -> None:
    config = make_config(root=Path("/w"), venv=Path("/w/.wt"), env=(("X", "{root}"),))
    found = enter({"PATH": "/u"}, config)
    assert (found["VIRTUAL_ENV"], found["VIRTUAL_ENV_PROMPT"], found["X"]) == ("/w/.wt", "w", "/w")


def test_nul_is_refused() -> None:
    with pytest.raises(WtenvError, match="X can't hold a NUL"):
        activation.build(make_config(env=(("X", "a\0"),)), CONDA, {}, {}, {}, "/w/root")


@pytest.mark.parametrize("values", [["x" * 100_001], ["x" * 90_000] * 4, ["é" * 50_001]])
def test_what_no_program_could_be_started_with(values: list[str]) -> None:
    env = tuple((f"X{index}", value) for index, value in enumerate(values))
    with pytest.raises(WtenvError, match=f"with X{len(values) - 1} no program"):
        activation.build(make_config(env=env), CONDA, {}, {}, {}, "/w/root")


def test_more_names_than_a_program_could_be_started_with() -> None:
    env = tuple((f"SOME_LONG_NAME_{index:05}", "x") for index in range(6000))
    with pytest.raises(WtenvError, match="too many variables; set fewer"):
        activation.build(make_config(env=env), CONDA, {}, {}, {}, "/w/root")
    assert activation.build(make_config(env=env[:4000]), CONDA, {}, {}, {}, "/w/root").changes


def test_the_identity_tells_activations_apart() -> None:
    def identify(root: str = "/w/root", base: Base = CONDA, **changes: object) -> str:
        return activation.build(make_config(**changes), base, {}, {}, {}, root).id

    made = [
        identify(),
        identify(root="/w/other"),
        identify(base=PLAIN),
        identify(env=(("A", "1"),)),
        identify(env=(("A", ""),)),
        identify(env=(("A", None),)),
        identify(env=(("A", "\udcff"),)),
        identify(path=("/x",)),
        identify(dotenv=(("A", "2"),)),
        identify(venv=Path("/w/root/v")),
    ]
    assert len(set(made)) == len(made)
    assert identify() == identify()


GUARDS: list[tuple[set[str], Values, Mapping[str, str], set[str]]] = [
    (set(), {}, {}, set()),
    ({"A"}, {}, {}, {"A"}),
    ({"A"}, {"A": "1"}, {}, {"A"}),
    ({"A", "HOME", "PWD", "PATH", "IFS"}, {}, {}, {"A"}),
    ({"CONDA_PREFIX", "CONDA_DEFAULT_ENV", "VIRTUAL_ENV"}, {}, {}, set()),
    ({"PATH"}, {"PATH": "/x"}, {"PATH": "/y"}, set()),
    ({"LD_LIBRARY_PATH"}, {"LD_LIBRARY_PATH": "/s:/b"}, {"LD_LIBRARY_PATH": "/b"}, set()),
    ({"LD_LIBRARY_PATH"}, {"LD_LIBRARY_PATH": "/b:/s"}, {"LD_LIBRARY_PATH": "/b"}, set()),
    ({"LD_LIBRARY_PATH"}, {"LD_LIBRARY_PATH": "/s"}, {"LD_LIBRARY_PATH": "/b"}, {"LD_LIBRARY_PATH"}),
    ({"LD_LIBRARY_PATH"}, {"LD_LIBRARY_PATH": "/s"}, {}, {"LD_LIBRARY_PATH"}),
    ({"LD_LIBRARY_PATH"}, {"LD_LIBRARY_PATH": ":/b"}, {"LD_LIBRARY_PATH": "/b"}, {"LD_LIBRARY_PATH"}),
    ({"FLAGS"}, {"FLAGS": "-x -y"}, {"FLAGS": "-y"}, {"FLAGS"}),
    ({"a-b", "1", "WTENV_ROOT"}, {}, {}, set()),
]


@pytest.mark.parametrize(("reads", "scripts", "before", "expected"), GUARDS)
def test_guards(reads: set[str], scripts: Values, before: Mapping[str, str], expected: set[str]) -> None:
    assert activation.find_deciding(frozenset(reads), scripts, before) == expected
