"""The one reader of what is installed: every form of metadata, whatever is in it."""

from __future__ import annotations

import csv
import io
import os
import re
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtenv import distributions
from wtenv.distributions import Distribution, find_all, list_installed, list_site, list_versions, parse_record
from wtenv.names import normalise

# The name of the metadata -> name, version and kind; None: nothing of a distribution's.
ENTRIES = {
    "plain-1.0.dist-info": ("plain", "1.0", "dist-info"),
    "A.b_C-1.0.post1+local.1.dist-info": ("a-b-c", "1.0.post1+local.1", "dist-info"),
    "noversion.dist-info": ("noversion", "", "dist-info"),
    "old_thing-2.0-py3.11.egg-info": ("old-thing", "2.0", "egg-info"),
    "old_thing-2.0-py3.11-linux-x86_64.egg-info": ("old-thing", "2.0", "egg-info"),
    "Debian.Way-2.0.egg-info": ("debian-way", "2.0", "egg-info"),
    "noversion.egg-info": ("noversion", "", "egg-info"),
    "With-Hyphen.Dot.egg-link": ("with-hyphen-dot", "", "egg-link"),
    "zipped-3.1-py3.11.egg": ("zipped", "3.1", "egg"),
    "~umpy-1.0.dist-info": ("~umpy", "1.0", "dist-info"),  # what pip leaves when it is interrupted
    "plain": None,
    "plain.py": None,
    "dist-info": None,
    ".dist-info": None,
    "-1.0.dist-info": None,
    "plain-1.0.dist-info.orig": None,
}


def make(site: Path, entry: str = "it-1.0.dist-info", **texts: str) -> Distribution:
    """A distribution with these files; `_` stands for a dot."""
    folder = site / entry
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name.replace("_json", ".json").replace("_txt", ".txt")).write_text(text)
    (found,) = (item for item in list_site(str(site)) if item.entry == entry)
    return found


@pytest.mark.parametrize(("entry", "expected"), ENTRIES.items())
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_names(entry: str, expected: tuple[str, str, str] | None, kind: str, tmp_path: Path) -> None:
    (tmp_path / entry).mkdir() if kind == "folder" else (tmp_path / entry).write_text("")
    found = list_site(str(tmp_path))
    assert [(item.name, item.version, item.kind) for item in found] == ([expected] if expected else [])
    assert all(item.folder == tmp_path / entry for item in found)


def test_which_counts(tmp_path: Path) -> None:
    """That of the first folder, there the last; and what Python itself would find."""
    first, second = tmp_path / "first", tmp_path / "second"
    for place in (
        *(first / "a-1.0.dist-info", first / "a-2.0.dist-info", second / "a-3.0.dist-info"),
        *(first / "b.egg-link", first / "c-1-py3.11.egg", second / "b-1.egg-info", second / "d.dist-info"),
    ):
        place.mkdir(parents=True)
    sites = [str(first), str(second), "/nonexistent", str(first)]
    assert list_versions(sites) == {"a": "2.0", "b": "1"}
    assert set(find_all(sites)) == {"a", "b", "d"}
    assert set(list_installed(sites)) == {"a", "d"}
    assert find_all(sites, ("egg-link",))["b"].site == str(first)
    found = {normalise(re.split("[-.]", Path(str(item._path)).name)[0]) for item in metadata.distributions(path=sites)}  # type: ignore[attr-defined]
    assert found == set(find_all(sites))


RECORDS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "plain": ("a.py,sha256=x,1\nb/c.py,sha256=y,2\n", [("a.py", "sha256=x"), ("b/c.py", "sha256=y")]),
    "no hash": ("a-1.dist-info/RECORD,,\n", [("a-1.dist-info/RECORD", "")]),
    "the path alone": ("a.py\nb.py,\n", [("a.py", ""), ("b.py", "")]),
    "CR LF": ("a.py,sha256=x,1\r\nb.py,,\r\n", [("a.py", "sha256=x"), ("b.py", "")]),
    "no newline at the end": ("a.py,sha256=x,1", [("a.py", "sha256=x")]),
    "empty lines": ("\n\na.py,,\n\n", [("a.py", "")]),
    "a comma": ('"a,b.py",sha256=x,1\n', [("a,b.py", "sha256=x")]),
    "a quote": ('"a""b.py",sha256=x,1\nc.py,,\n', [('a"b.py', "sha256=x"), ("c.py", "")]),
    "a newline": ('"a\nb.py",sha256=x,1\n', [("a\nb.py", "sha256=x")]),
    "separators that are none": ("a\u2028b\x1c.py,,\n", [("a\u2028b\x1c.py", "")]),
    "NUL": ("a\0.py,,\nb.py,,\n", [("b.py", "")]),
    "a field without end": ('"' + "x" * 200_000, []),
    "nothing": ("", []),
    "commas": (",,\n,,,\n", []),
}


@pytest.mark.parametrize(("text", "rows"), RECORDS.values(), ids=RECORDS.keys())
def test_records(text: str, rows: list[tuple[str, str]]) -> None:
    assert parse_record(text) == rows


@given(st.lists(st.text(st.characters(exclude_characters="\0\r", exclude_categories=("Cs",)), min_size=1), max_size=5))
def test_what_is_written_as_csv_is_read(paths: list[str]) -> None:
    """Installers write RECORD by Python's csv module."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows((path, "sha256=x", 1) for path in paths)
    assert parse_record(text.getvalue()) == [(path, "sha256=x") for path in paths]


def test_whole(tmp_path: Path) -> None:
    item = make(tmp_path, RECORD="a.py,,\n__pycache__/a.pyc,,\n../../bin/it,,\n")
    assert not item.is_whole()
    (tmp_path / "a.py").write_text("")
    (tmp_path / "../../bin").mkdir(exist_ok=True)
    (tmp_path / "../../bin/it").write_text("")
    assert item.is_whole()
    assert make(tmp_path, "absent-1.dist-info").list_files() == []


ORIGINS = {
    "an editable": ('{"url": "file:///a%20b/c", "dir_info": {"editable": true}}', "/a b/c"),
    "a folder": ('{"url": "file:///a", "dir_info": {}}', ""),
    "text for true": ('{"url": "file:///a", "dir_info": {"editable": "yes"}}', ""),
    "an index": ("", ""),
    "no place": ('{"dir_info": {"editable": true}}', ""),
    "other types": ('{"url": 1, "dir_info": {"editable": true}}', ""),
    "a list": ("[]", ""),
    "damaged": ("{", ""),
    "deep": ("[" * 100_000, ""),
    "no URL": ('{"url": "http://[x/a", "dir_info": {"editable": true}}', ""),
    "NUL": ('{"url": "file:///a%00b", "dir_info": {"editable": true}}', ""),
}


@pytest.mark.parametrize(("text", "source"), ORIGINS.values(), ids=ORIGINS.keys())
def test_sources(text: str, source: str, tmp_path: Path) -> None:
    assert make(tmp_path, direct_url_json=text).source == source


METADATA = (
    "Metadata-Version: 2.1\nName: it\nVersion: 1.5\nRequires-Dist: a>=1; python_version > '3'\nRequires-Dist: b\n"
)
REQUIRES: dict[str, tuple[str, dict[str, str], list[str], str]] = {
    "dist-info": ("it-1.dist-info", {"METADATA": METADATA}, ["a>=1; python_version > '3'", "b"], "1"),
    "no version in its name": ("it.dist-info", {"METADATA": METADATA}, ["a>=1; python_version > '3'", "b"], "1.5"),
    "no METADATA": ("it-1.dist-info", {}, [], "1"),
    "no METADATA, no version": ("it.dist-info", {}, [], ""),
    "egg-info": (
        "it-1-py3.11.egg-info",
        {"PKG-INFO": "Name: it\n", "requires_txt": "a>=1\n\n[extra]\nc\n"},
        ["a>=1", 'c; extra == "extra"'],
        "1",
    ),
    "no UTF-8": ("it-1.dist-info", {"METADATA": "Requires-Dist: b\nAuthor: \udce9\n"}, ["b"], "1"),
}


@pytest.mark.parametrize(("entry", "texts", "requires", "version"), REQUIRES.values(), ids=REQUIRES.keys())
def test_requirements(entry: str, texts: dict[str, str], requires: list[str], version: str, tmp_path: Path) -> None:
    item = make(tmp_path, entry)
    for name, text in texts.items():
        (item.folder / name.replace("_txt", ".txt")).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert [text.replace("'extra'", '"extra"') for text in item.list_requires()] == requires
    assert item.find_version() == version


def test_metadata_that_is_a_file(tmp_path: Path) -> None:
    """As distutils and Debian have it."""
    (tmp_path / "it.egg-info").write_text(METADATA)
    (item,) = list_site(str(tmp_path))
    assert (item.find_version(), len(item.list_requires()), item.list_files()) == ("1.5", 2, [])
    assert item.read() == METADATA


def test_nothing_waits(tmp_path: Path) -> None:
    """Fifos, folders and links that lead nowhere say nothing."""
    item = make(tmp_path)
    for name in ("RECORD", "direct_url.json"):
        os.mkfifo(item.folder / name)
    (item.folder / "METADATA").mkdir()
    assert (item.list_files(), item.source, item.list_requires(), item.find_version()) == ([], "", [], "1.0")
    (tmp_path / "gone-1.dist-info").symlink_to("nowhere")
    assert distributions.list_installed([str(tmp_path)])["gone"].read_record() == []


@given(st.text())
def test_normalise(name: str) -> None:
    """As PEP 503 spells it."""
    assert normalise(name) == re.sub(r"[-_.]+", "-", name).lower()
