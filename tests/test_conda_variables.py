"""env_vars.d and conda-meta/state: what is taken over, what is skipped, and that nothing in them raises."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wtenv.conda import read_variables
from wtenv.watch import EXACT, LATER


def write(prefix: Path, name: str, content: object) -> Path:
    path = prefix / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_nothing(tmp_path: Path) -> None:
    result = read_variables(tmp_path)
    assert (result.values, result.warnings) == ({}, ())
    assert result.watch == {tmp_path / "etc/conda/env_vars.d": LATER, tmp_path / "conda-meta/state": EXACT}


def test_order(tmp_path: Path) -> None:
    b = write(tmp_path, "etc/conda/env_vars.d/b.json", {"B": "b", "X": "b", "GONE": "b", "N": 1})
    a = write(tmp_path, "etc/conda/env_vars.d/a.json", {"A": "", "X": "a"})
    write(tmp_path, "etc/conda/env_vars.d/.hidden", b"?")
    state = write(tmp_path, "conda-meta/state", {"env_vars": {"GONE": "***unset***", "Q": "a'\n$x`\\ü"}, "v": 1})
    result = read_variables(tmp_path)
    assert result.values == {"A": "", "X": "b", "B": "b", "GONE": None, "N": "1", "Q": "a'\n$x`\\ü"}
    assert list(result.watch) == [tmp_path / "etc/conda/env_vars.d", a, b, state]
    assert result.warnings == ()


REFUSED = ["PATH", "Path", "path", "", "1A", "A-B", "A B", "A=B", "A\nB", "Ä", "A\0", "$(id)", "WTENV_ROOT", "IFS"]
REFUSED += ["__wtenv_x", "BASH_ENV", "ENV", "SHELLOPTS", "PROMPT_COMMAND", "PS1", "CONDA_PREFIX", "CONDA_SHLVL"]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_names(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, "etc/conda/env_vars.d/a.json", {name: "x", "FINE": "y", "LD_PRELOAD": ""})
    result = read_variables(tmp_path)
    assert result.values == {"FINE": "y", "LD_PRELOAD": ""}
    assert len(result.warnings) == 1
    assert str(path) in result.warnings[0]
    assert result.warnings[0].isprintable()


@pytest.mark.parametrize("value", [["x"], {"a": 1}, "a\0b", "\ud800", "\udcff", "x" * 100_001])
def test_refused_values(value: object, tmp_path: Path) -> None:
    write(tmp_path, "conda-meta/state", {"env_vars": {"A": value, "B": "b"}})
    result = read_variables(tmp_path)
    assert result.values == {"B": "b"}
    assert len(result.warnings) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"1", b"null", b'"x"', b"\xff\xfe{", b"[" * 100_000, b"9" * 10_000, b"{}" + b" " * (1 << 20)],
)
def test_malformed_files_cost_themselves(content: bytes, tmp_path: Path) -> None:
    write(tmp_path, "etc/conda/env_vars.d/a.json", content)
    write(tmp_path, "etc/conda/env_vars.d/b.json", {"B": "b"})
    result = read_variables(tmp_path)
    assert result.values == {"B": "b"}
    assert len(result.warnings) == 1
    assert "a.json" in result.warnings[0]
    write(tmp_path, "conda-meta/state", content)
    assert read_variables(tmp_path).values == {"B": "b"}
    assert len(read_variables(tmp_path).warnings) == 2


@pytest.mark.parametrize("content", [{"env_vars": None}, {"env_vars": []}, {"env_vars": "x"}])
def test_state_without_a_table(content: object, tmp_path: Path) -> None:
    write(tmp_path, "conda-meta/state", content)
    result = read_variables(tmp_path)
    assert (result.values, len(result.warnings)) == ({}, 1)


def test_files_that_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "etc/conda/env_vars.d"
    (folder / "folder.json").mkdir(parents=True)
    (folder / "dangling.json").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.json")
    (tmp_path / "conda-meta/state").mkdir(parents=True)
    result = read_variables(tmp_path)
    assert (result.values, len(result.warnings)) == ({}, 4)


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    write(tmp_path, "etc/conda/env_vars.d", b"x")
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta/state").symlink_to("state")
    result = read_variables(tmp_path)
    assert (result.values, len(result.warnings)) == ({}, 1)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(scalars, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=8)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.text() | st.from_regex(r"[A-Za-z_]{1,4}", fullmatch=True), values),
    st.binary(),
    st.integers(0, 40),
)
def test_fuzz(tmp_path: Path, table: dict[str, object], junk: bytes, cut: int) -> None:
    text = json.dumps(table).encode()
    write(tmp_path, "etc/conda/env_vars.d/a.json", table)
    write(tmp_path, "etc/conda/env_vars.d/b.json", junk)
    write(tmp_path, "etc/conda/env_vars.d/c.json", text[:cut] + junk + text[cut:])
    write(tmp_path, "conda-meta/state", {"env_vars": table})
    result = read_variables(tmp_path)
    for name, value in result.values.items():
        assert name.isidentifier() and name.isascii()
        assert value is None or b"\0" not in os.fsencode(value)
