"""`wtenv.lock` as data: what is read, what is refused, what differs and in which words."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtenv.errors import WtenvError
from wtenv.lock import MAX_LOCK
from wtenv.lock import format as lockfile
from wtenv.lock.compare import compare, keep_known
from wtenv.lock.explicit import render_explicit, sort_packages
from wtenv.lock.format import Lock, Row
from wtenv.lock.gather import strip_credentials

PATH = Path("/w/wtenv.lock")
URL = "https://conda.anaconda.org/conda-forge/linux-64/torch-2.4.1-h_0.conda"
A, B = "a" * 64, "b" * 64

TORCH = {
    "version": "2.4.1",
    "build": "h_0",
    "url": URL,
    "sha256": A,
    "md5": "1" * 32,
    "depends": ["numpy", "python"],
}
NUMPY = {"version": "1.26.4", "build": "py_0", "subdir": "noarch", "file": "numpy-1.26.4-py_0.conda", "sha256": A}
PYTHON = {"version": "3.11.7", "build": "h_0", "url": URL.replace("torch-2.4.1", "python-3.11.7"), "sha256": B}
IDNA = {"version": "3.10", "hash": f"sha256:{A}"}
LOCAL = {"version": "1.0", "editable": True}
EXTRA = {"version": "0.1", "hash": f"sha256:{B}", "source": "git+https://example.org/extra@c0ffee"}
PKG = {"name": "pkg", "backend": "flit_core.buildapi", "built_with": ["flit-core==3.9"]}
CONDA: Mapping[str, Row] = {"numpy": NUMPY, "python": PYTHON, "torch": TORCH}
PIP: Mapping[str, Row] = {"idna": IDNA, "local": LOCAL}
LOCK = Lock("conda", "linux-64", "3.11.7", CONDA, PIP, {"extra": EXTRA}, {".": PKG})

TEXT = f"""\
{{
  "about": "{lockfile.ABOUT}",
  "base": {{
    "conda": {{
      "numpy": {{
        "build": "py_0",
        "file": "numpy-1.26.4-py_0.conda",
        "sha256": "{A}",
        "subdir": "noarch",
        "version": "1.26.4"
      }},
      "python": {{
        "build": "h_0",
        "sha256": "{B}",
        "url": "https://conda.anaconda.org/conda-forge/linux-64/python-3.11.7-h_0.conda",
        "version": "3.11.7"
      }},
      "torch": {{
        "build": "h_0",
        "depends": ["numpy", "python"],
        "md5": "{"1" * 32}",
        "sha256": "{A}",
        "url": "{URL}",
        "version": "2.4.1"
      }}
    }},
    "kind": "conda",
    "pip": {{
      "idna": {{
        "hash": "sha256:{A}",
        "version": "3.10"
      }},
      "local": {{
        "editable": true,
        "version": "1.0"
      }}
    }},
    "platform": "linux-64",
    "python": "3.11.7"
  }},
  "environments": {{
    "default": {{
      "editables": {{
        ".": {{
          "backend": "flit_core.buildapi",
          "built_with": ["flit-core==3.9"],
          "name": "pkg"
        }}
      }},
      "packages": {{
        "extra": {{
          "hash": "sha256:{B}",
          "source": "git+https://example.org/extra@c0ffee",
          "version": "0.1"
        }}
      }}
    }}
  }},
  "version": 1
}}
"""


# --- reading and rendering ------------------------------------------------------------------------------


def test_text() -> None:
    assert lockfile.render(LOCK).decode() == TEXT
    assert lockfile.parse(PATH, TEXT.encode()) == LOCK
    assert lockfile.render(Lock("python")).decode().count("\n") == 10, "what is empty is left out"
    assert lockfile.parse(PATH, lockfile.render(Lock("python"))) == Lock("python")


def test_text_is_independent_of_the_order() -> None:
    shuffled = LOCK._replace(conda=dict(reversed(CONDA.items())), pip=dict(reversed(PIP.items())))
    assert lockfile.render(shuffled) == lockfile.render(LOCK)


def test_spelling_that_editors_and_git_may_change() -> None:
    other = "\ufeff" + TEXT.replace("\n", "\r\n").replace(": ", ":").replace("  ", "\t")
    assert lockfile.parse(PATH, other.encode()) == LOCK


words = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=' "\\/'), max_size=20)
names = words.filter(bool)
texts = st.lists(words, min_size=1, max_size=3)
packages = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(["version", "build", "url", "sha256"], names), "depends": texts, "provides": texts}
)
rows = st.fixed_dictionaries({}, optional={"version": names, "hash": names, "source": names, "editable": st.just(True)})


@given(st.dictionaries(names, packages, max_size=4), st.dictionaries(names, rows, max_size=4), words)
def test_round_trip(conda: dict[str, Row], pip: dict[str, Row], python: str) -> None:
    """Whatever can be printed comes back, through our own reader and through anybody's."""
    lock = Lock("conda", "linux-64", python, conda, pip)
    text = lockfile.render(lock)
    assert lockfile.parse(PATH, text) == lock
    assert json.loads(text)["base"].get("conda", {}) == conda


def test_a_key_a_line() -> None:
    """So a change is a line in git's diff, and two that don't touch the same package can be merged."""
    lines = lockfile.render(LOCK).decode().splitlines()
    changed = lockfile.render(LOCK._replace(conda={**CONDA, "torch": {**TORCH, "version": "2.5.0"}})).decode()
    assert sum(one != other for one, other in zip(lines, changed.splitlines(), strict=True)) == 1


def test_the_sample_in_the_design() -> None:
    """It is a lock as wtenv would write it."""
    page = (Path(__file__).resolve().parents[1] / "docs/design.md").read_text("utf-8")
    sample = page.partition("## The lock\n")[2].partition("```json\n")[2].partition("```")[0]
    assert lockfile.render(lockfile.parse(PATH, sample.encode())).decode() == sample


def put(place: str, value: Any) -> str:
    """The lock with another value at that place, `/` between the keys."""
    data = json.loads(TEXT)
    *above, last = place.split("/")
    at = data
    for key in above:
        at = at[key]
    at[last] = value
    return json.dumps(data)


IDNA_LINE = '      "idna": {'
BAD = {
    "empty": ("", "line 1 is no JSON"),
    "no object": ("[]", "is no JSON object"),
    "no version": (TEXT.replace(',\n  "version": 1', ""), "no lock of wtenv's"),
    "version is text": (put("version", "1"), "no lock of wtenv's"),
    "version is a long number": (TEXT.replace('"version": 1\n', f'"version": {"9" * 5000}\n'), "no lock of wtenv's"),
    "version is true": (put("version", True), "version is of another type"),
    "version is 0": (put("version", 0), "no lock of wtenv's"),
    "not JSON": (TEXT + "what\n", f"line {len(TEXT.splitlines()) + 1} is no JSON"),
    "conflict": (TEXT.replace(IDNA_LINE, f"<<<<<<< HEAD\n{IDNA_LINE}"), "line 29 is no JSON"),
    "unfinished": (TEXT[:-20], "is no JSON"),
    "no UTF-8": ("\udce9", "is not UTF-8 (byte 0)"),
    "no base": (put("base", {}), "base.kind is neither"),
    "other kind": (put("base/kind", "mamba"), "base.kind is neither"),
    "unknown key": (put("later", "x"), "the key later is none"),
    "unknown key of a package": (put("base/pip/idna/later", "x"), "the key base.pip.idna.later is none"),
    "unknown environment": (put("environments/legacy", {}), "the key environments.legacy is none"),
    "base is a list": (put("base", []), "base is of another type"),
    "packages are a list": (put("base/pip", []), "base.pip is of another type"),
    "a package is text": (put("base/pip/idna", "3.10"), "base.pip.idna is of another type"),
    "number": (put("base/pip/idna/version", 1), "base.pip.idna.version is of another type"),
    "float": (put("base/pip/idna/version", 1.5), "base.pip.idna.version is of another type"),
    "null": (put("base/pip/idna/version", None), "base.pip.idna.version is of another type"),
    "NaN": (put("base/pip/idna/version", float("nan")), "base.pip.idna.version is of another type"),
    "list of numbers": (put("base/conda/torch/depends", [1, 2]), "base.conda.torch.depends is of another type"),
    "list of lists": (put("base/conda/torch/depends", [["a"]]), "base.conda.torch.depends is of another type"),
    "object": (put("base/conda/torch/depends", {}), "base.conda.torch.depends is of another type"),
    "truth": (put("base/pip/local/editable", "yes"), "base.pip.local.editable is of another type"),
    "no name": (put("base/pip/", {}), "the key base.pip. is none"),
    "twice": (TEXT.replace(IDNA_LINE, f"{IDNA_LINE[:-1]} {{}},\n{IDNA_LINE}"), "the key idna is there twice"),
    "escape": (put("base/pip/i\x1b[2J", {}), "the key base.pip.i\\x1b[2J can't be printed"),
    "raw escape": (TEXT.replace('"idna"', '"i\x1b[2J"'), "line 29 is no JSON"),
    "newline": (put("base/conda/torch/url", f"{URL}\nhttps://evil.example/x.conda"), "torch.url can't be printed"),
    "newline in a list": (put("base/conda/torch/provides", ["a\nb"]), "torch.provides can't be printed"),
    "surrogate": (put("base/pip/idna/version", "\ud800"), "base.pip.idna.version can't be printed"),
    "surrogate in a key that is there twice": ('{"\\ud800": 1, "\\ud800": 2}', "is there twice"),
    "NUL": ("\0" * 100, "line 1 is no JSON"),
    "deep": ("[" * 100_000, "is nested too deeply"),
    "deep in a value": (TEXT.replace("true", '{"a":' * 100_000), "is nested too deeply"),
    "big number": (TEXT.replace("true", "9" * 5000), "base.pip.local.editable is of another type"),
    "an older form": ("# Written by `wtenv lock`\nversion = 1\n", "line 1 is no JSON"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_refused(text: str, message: str) -> None:
    with pytest.raises(WtenvError) as caught:
        lockfile.parse(PATH, text.encode("utf-8", "surrogateescape"))
    assert message in caught.value.what
    assert str(PATH) in caught.value.what
    assert str(caught.value).isprintable()
    assert "wtenv lock" in caught.value.fix


NEWER = {
    "another form": b'{"version": 2, "base": 1.5, "new": [null]}',
    "a merge conflict in it": TEXT.replace('"version": 1\n', '"version": 2\n').replace("{", "<<<<<<<", 1).encode(),
}


@pytest.mark.parametrize("data", NEWER.values(), ids=NEWER.keys())
def test_newer(data: bytes) -> None:
    """Also where the rest is in a form that this version can't read: it is not called damaged, and not replaced."""
    with pytest.raises(lockfile.NewerLock, match=r"newer wtenv \(version 2, this one knows 1\); upgrade wtenv"):
        lockfile.parse(PATH, data)


@given(st.binary(max_size=300), st.integers(0, len(TEXT)))
def test_fuzz_bytes(data: bytes, place: int) -> None:
    text = TEXT.encode()
    for content in (data, text[:place] + data + text[place:], text[:place] + data):
        try:
            assert isinstance(lockfile.parse(PATH, content), Lock)
        except WtenvError as error:
            assert str(error).isprintable()


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["base", "pip", "conda", "kind", "default", "version", ""]), inner, max_size=3
        )
    ),
)


@given(
    values, st.sampled_from(["base", "base/pip", "base/conda/torch", "environments", "environments/default", "version"])
)
def test_fuzz_values(value: Any, place: str) -> None:
    try:
        assert isinstance(lockfile.parse(PATH, put(place, value).encode()), Lock)
    except WtenvError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"version": ' + "9" * 1_000_000 + "}",
        '{"version": -' + "9" * 1_000_000 + "}",
        '{"version": 1' + "".join(f', "k{i}": 1' for i in range(80_000)) + ', "k79999": 2}',
        '{"version": 1, "base": {"pip": {' + ",".join(f'"p{i}": {{}}' for i in range(80_000)) + "}}}",
        '"' + "\\ud800" * 150_000,
        "\n" * 1_000_000,
    ],
)
def test_a_hostile_megabyte_takes_no_time(text: str) -> None:
    """No more than what an honest one takes."""

    def measure(data: str, *, good: bool) -> float:
        started = time.process_time()
        try:
            lockfile.parse(PATH, data.encode())
            assert good
        except WtenvError:
            assert not good
        return time.process_time() - started

    lines = (f'"p{i}": {{"version": "1.0", "build": "py_0", "sha256": "{A}"}}' for i in range(9_000))
    honest = put("base/conda", {}).replace('"conda": {}', f'"conda": {{{",".join(lines)}}}')
    assert measure(text, good=False) < 10 * measure(honest, good=True)


@pytest.mark.parametrize("kind", ["absent", "folder", "fifo", "huge", "unreadable"])
def test_files_that_are_none(kind: str, tmp_path: Path) -> None:
    import os

    path = tmp_path / "wtenv.lock"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "huge":
        path.write_bytes(b"#" * (MAX_LOCK + 1))
    elif kind == "unreadable":
        path.symlink_to(path)
    with pytest.raises(WtenvError) as caught:
        lockfile.read(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, lockfile.NoLock) == (kind == "absent")


# --- differences ----------------------------------------------------------------------------------------


def having(**changes: object) -> Lock:
    return LOCK._replace(**changes)  # type: ignore[arg-type]


def without(row: Row, *keys: str) -> Row:
    return {key: value for key, value in row.items() if key not in keys}


def pip_with(**changed: Row) -> Lock:
    return having(pip={**PIP, **changed})


def conda_with(**changed: Row) -> Lock:
    return having(conda={**CONDA, **changed})


DIFFERENCES: dict[str, tuple[Lock, tuple[str, ...]]] = {
    "nothing": (LOCK, ()),
    "version": (conda_with(torch={**TORCH, "version": "2.5.0"}), ("torch 2.4.1 → 2.5.0 in the base",)),
    "added": (conda_with(zlib={"version": "1.3", "build": "h_1"}), ("zlib 1.3 was added to the base",)),
    "added, nothing known": (conda_with(zlib={}), ("zlib was added to the base",)),
    "removed": (having(conda={"python": PYTHON, "torch": TORCH}), ("numpy 1.26.4 is gone from the base",)),
    "build": (
        conda_with(numpy={**NUMPY, "build": "py_1", "sha256": B}),
        ("numpy 1.26.4 in the base is another build (py_0 → py_1)",),
    ),
    "content": (
        conda_with(numpy={**NUMPY, "sha256": B}),
        ("numpy 1.26.4 in the base has other content, though version and build are the same",),
    ),
    "content, by MD5 alone": (
        conda_with(torch={**without(TORCH, "sha256"), "md5": "2" * 32}),
        ("torch 2.4.1 in the base has other content, though version and build are the same",),
    ),
    "another MD5 of the same content": (conda_with(torch={**TORCH, "md5": "2" * 32}), ()),
    "another mirror": (conda_with(torch={**TORCH, "url": URL.replace("conda.anaconda.org", "mirror.example")}), ()),
    "hashes not known": (conda_with(torch=without(TORCH, "sha256", "md5", "url", "depends")), ()),
    "platform": (
        having(platform="osx-arm64", conda={}, python="3.12.1"),
        ("the base is for osx-arm64, the locked one for linux-64",),
    ),
    "kind": (
        having(kind="python", conda={}),
        ("the base is no conda environment, the locked one is a conda environment",),
    ),
    "Python, from conda": (
        conda_with(python={**PYTHON, "version": "3.12.1"})._replace(python="3.12.1"),
        ("python 3.11.7 → 3.12.1 in the base",),
    ),
    "Python, not from conda": (having(python="3.12.1"), ("Python 3.11.7 → 3.12.1 in the base",)),
    "pip: version": (pip_with(idna={**IDNA, "version": "3.11"}), ("idna 3.10 → 3.11 in the base",)),
    "pip: added": (pip_with(extra=EXTRA), ("extra 0.1 was added to the base by pip",)),
    "pip: removed": (having(pip={"local": LOCAL}), ("idna 3.10 is gone from the base",)),
    "pip: content": (
        pip_with(idna={**IDNA, "hash": f"sha256:{B}"}),
        ("idna 3.10 in the base has other content, though the version is the same",),
    ),
    "pip: editable": (pip_with(idna={**IDNA, "editable": True}), ("idna 3.10 in the base is an editable install now",)),
    "pip: no editable": (
        pip_with(local=without(LOCAL, "editable")),
        ("local 1.0 in the base is no editable install any more",),
    ),
    "overlay: version": (
        having(packages={"extra": {**EXTRA, "version": "0.2"}}),
        ("extra 0.1 → 0.2 in the overlay",),
    ),
    "overlay: added": (having(packages={"extra": EXTRA, "idna": IDNA}), ("idna 3.10 was added to the overlay",)),
    "overlay: removed": (having(packages={}), ("extra 0.1 is gone from the overlay",)),
    "overlay: content": (
        having(packages={"extra": {**EXTRA, "hash": f"sha256:{A}"}}),
        ("extra 0.1 in the overlay has other content, though the version is the same",),
    ),
    "overlay: not known": (having(packages=None), ()),
    "editable: added": (
        having(editables={".": PKG, "../sib": {"name": "sib"}}),
        ("the editable ../sib is declared, but not locked",),
    ),
    "editable: removed": (having(editables={}), ("the editable . is not declared",)),
    "editable: backend": (
        having(editables={".": {**PKG, "backend": "hatchling.build"}}),
        ("the editable . is built by hatchling.build, the lock says flit_core.buildapi",),
    ),
    "editable: built with": (
        having(editables={".": {**PKG, "built_with": ["isolated", "x"]}}),
        ("the editable . was built with isolated, x, the lock says flit-core==3.9",),
    ),
    "editable: renamed": (
        having(editables={".": {**PKG, "name": "gkp"}}),
        ("the editable . is called gkp, the lock says pkg",),
    ),
    "editable: not installed yet": (having(editables={".": {"name": "pkg"}}), ()),
    "from conda to pip": (
        having(conda={"python": PYTHON, "torch": TORCH}, pip={**PIP, "numpy": {"version": "2.0"}}),
        ("numpy 1.26.4 is gone from the base", "numpy 2.0 was added to the base by pip"),
    ),
}


@pytest.mark.parametrize(("present", "texts"), DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_differences(present: Lock, texts: tuple[str, ...]) -> None:
    found = compare(LOCK, present)
    assert tuple(finding.text for finding in found) == texts
    for finding in found:
        assert finding.layer in finding.text or finding.layer == "overlay"
        assert finding.name in finding.text or finding.name in ("kind", "platform", "python", "pkg")
    assert compare(LOCK, LOCK) == compare(present, present) == ()
    assert bool(compare(present, LOCK)) == bool(texts), "seen from the other side, too"


KEPT = {
    "nothing new": (LOCK, LOCK),
    "a mirror": (conda_with(torch={**TORCH, "url": URL.replace("conda.anaconda.org", "mirror.example")}), LOCK),
    "records that say less": (conda_with(torch={**without(TORCH, "url"), "file": "x.conda", "subdir": "y"}), LOCK),
    "records that say more": (
        conda_with(python={**PYTHON, "md5": "3" * 32}),
        conda_with(python={**PYTHON, "md5": "3" * 32}),
    ),
    "another version": (
        conda_with(torch={"version": "2.5.0", "build": "h_0", "file": "t.conda"}),
        conda_with(torch={"version": "2.5.0", "build": "h_0", "file": "t.conda"}),
    ),
    "a URL at last": (
        conda_with(numpy={**without(NUMPY, "subdir", "file"), "url": URL}),
        conda_with(numpy={**without(NUMPY, "subdir", "file"), "url": URL}),
    ),
    "pip: records that say less": (pip_with(idna={"version": "3.10"}), LOCK),
    "another base": (having(kind="python", conda={}), having(kind="python", conda={})),
}


@pytest.mark.parametrize(("new", "kept"), KEPT.values(), ids=KEPT.keys())
def test_what_is_known_is_kept(new: Lock, kept: Lock) -> None:
    assert lockfile.render(keep_known(LOCK, new)) == lockfile.render(kept)


# --- for conda ------------------------------------------------------------------------------------------

CREDENTIALS = {
    URL: URL,
    "https://user:secret@host.example/c/noarch/x.conda": "https://host.example/c/noarch/x.conda",
    "https://secret@host.example:8080/c/noarch/x.conda": "https://host.example:8080/c/noarch/x.conda",
    "https://conda.anaconda.org/t/se-cret-1/chan/noarch/x.conda": "https://conda.anaconda.org/chan/noarch/x.conda",
    "https://u:p@host.example/prefix/t/secret/chan/x.conda": "https://host.example/prefix/chan/x.conda",
    "https://host.example/x.conda?token=secret#secret": "https://host.example/x.conda",
    "ssh://git@github.com/a/b.git": "ssh://github.com/a/b.git",
    "oci://ghcr.io/channel-mirrors/conda-forge/x.conda": "oci://ghcr.io/channel-mirrors/conda-forge/x.conda",
    "file:///home/me/channel/noarch/x.conda": "",
    "file://host/x.conda": "",
    "/home/me/x.conda": "",
    "<unknown>/noarch/x.conda": "",
    "https://[broken/x.conda": "",
    "": "",
}


@pytest.mark.parametrize(("url", "stripped"), CREDENTIALS.items())
def test_credentials(url: str, stripped: str) -> None:
    assert strip_credentials(url) == stripped
    assert strip_credentials(stripped) == stripped


def test_explicit() -> None:
    text = render_explicit(LOCK, {"numpy": "file:///c/noarch/numpy-1.26.4-py_0.conda"}, PATH)
    assert text.splitlines() == [
        "# wtenv.lock; use it by: conda create --name NAME --file THIS",
        "# platform: linux-64",
        "# not here, since pip installed it: idna==3.10",
        "# not here, since pip installed it: local==1.0 (editable)",
        "@EXPLICIT",
        f"file:///c/noarch/numpy-1.26.4-py_0.conda#sha256:{A}",
        f"{PYTHON['url']}#sha256:{B}",
        f"{URL}#sha256:{A}",
    ]
    weak = having(conda={"torch": without(TORCH, "sha256"), "python": without(PYTHON, "sha256")}, pip={"extra": EXTRA})
    lines = render_explicit(weak, {}, PATH).splitlines()
    assert lines[2] == "# not here, since pip installed it: extra @ git+https://example.org/extra@c0ffee"
    assert lines[4:] == [PYTHON["url"], f"{URL}#{'1' * 32}"]


@pytest.mark.parametrize(
    "url", ["x", "-p /etc https://x/y.conda", "https://x/a b.conda", "/etc/passwd", "https://x/é.conda"]
)
def test_explicit_refuses_what_is_no_url(url: str) -> None:
    with pytest.raises(WtenvError, match="the URL of torch is none"):
        render_explicit(conda_with(torch={**TORCH, "url": url}), {"numpy": URL}, PATH)


ORDERS = {
    "dependencies first": ({"a": "b", "b": "c", "c": ""}, "cba"),
    "names decide": ({"b": "", "c": "", "a": ""}, "abc"),
    "a circle": ({"a": "b", "b": "a", "c": "a"}, "bac"),
    "itself, and what is not there": ({"a": "a zlib", "b": "a"}, "ab"),
    "a diamond": ({"a": "b c", "b": "d", "c": "d", "d": ""}, "dbca"),
}


@pytest.mark.parametrize(("graph", "order"), ORDERS.values(), ids=ORDERS.keys())
def test_order(graph: dict[str, str], order: str) -> None:
    assert "".join(sort_packages({name: {"depends": needs.split()} for name, needs in graph.items()})) == order


def test_order_of_a_long_chain() -> None:
    rows = {f"p{index:05}": {"depends": [f"p{index + 1:05}"]} for index in range(5000)}
    assert sort_packages(rows) == [*reversed(rows)]
