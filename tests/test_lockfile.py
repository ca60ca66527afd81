"""`wtenv.lock` as data: what is read, what is refused, what differs and in which words."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtenv import files, toml
from wtenv.errors import WtenvError
from wtenv.lock import format as lockfile
from wtenv.lock.format import Dist, Editable, Lock, Package

PATH = Path("/w/wtenv.lock")
URL = "https://conda.anaconda.org/conda-forge/linux-64/torch-2.4.1-h_0.conda"
A, B = "a" * 64, "b" * 64

TORCH = Package("torch", "2.4.1", "h_0", url=URL, sha256=A, md5="1" * 32, depends=("numpy", "python"))
NUMPY = Package("numpy", "1.26.4", "py_0", subdir="noarch", file="numpy-1.26.4-py_0.conda", sha256=A)
PYTHON = Package("python", "3.11.7", "h_0", url=URL.replace("torch-2.4.1", "python-3.11.7"), sha256=B)
IDNA = Dist("idna", "3.10", f"sha256:{A}")
LOCAL = Dist("local", "1.0", editable=True)
EXTRA = Dist("extra", "0.1", f"sha256:{B}", "git+https://example.org/extra@c0ffee")
PKG = Editable("pkg", ".", "flit_core.buildapi", ("flit-core==3.9",))
LOCK = Lock("conda", "linux-64", "3.11.7", (NUMPY, PYTHON, TORCH), (IDNA, LOCAL), (EXTRA,), (PKG,))

TEXT = f"""\
{lockfile.HEAD}
version = 1

[base]
kind = "conda"
platform = "linux-64"
python = "3.11.7"

[[conda]]
name = "numpy"
version = "1.26.4"
build = "py_0"
subdir = "noarch"
file = "numpy-1.26.4-py_0.conda"
sha256 = "{A}"

[[conda]]
name = "python"
version = "3.11.7"
build = "h_0"
url = "https://conda.anaconda.org/conda-forge/linux-64/python-3.11.7-h_0.conda"
sha256 = "{B}"

[[conda]]
name = "torch"
version = "2.4.1"
build = "h_0"
url = "{URL}"
sha256 = "{A}"
md5 = "{"1" * 32}"
depends = ["numpy", "python"]

[[pip]]
name = "idna"
version = "3.10"
hash = "sha256:{A}"

[[pip]]
name = "local"
version = "1.0"
editable = true

[[overlay]]
name = "extra"
version = "0.1"
hash = "sha256:{B}"
source = "git+https://example.org/extra@c0ffee"

[[editable]]
name = "pkg"
path = "."
backend = "flit_core.buildapi"
built_with = ["flit-core==3.9"]
"""


# --- reading and rendering ------------------------------------------------------------------------------


def test_text() -> None:
    assert lockfile.render(LOCK).decode() == TEXT
    assert lockfile.parse(PATH, TEXT.encode()) == LOCK


def test_text_is_independent_of_the_order() -> None:
    shuffled = LOCK._replace(packages=(TORCH, NUMPY, PYTHON), pip=(LOCAL, IDNA))
    assert lockfile.render(shuffled) == lockfile.render(LOCK)


def test_spelling_that_editors_and_git_may_change() -> None:
    other = "\ufeff" + TEXT.replace("\n", "\r\n").replace(" = ", "=").replace("[[pip]]", "# from us\n[[pip]]  ")
    assert lockfile.parse(PATH, other.encode()) == LOCK


words = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=' "\\/'), max_size=20)
names = words.filter(bool)
packages = st.builds(
    Package, names, words, words, words, words, words, words, words, st.tuples(words, words), st.tuples(names)
)
dists = st.builds(Dist, names, words, words, words, st.booleans())
unique = {"unique_by": lambda item: item.name, "max_size": 4}


@given(st.lists(packages, **unique), st.lists(dists, **unique), words)
def test_round_trip(conda: list[Package], pip: list[Dist], python: str) -> None:
    """Whatever can be printed comes back, through our own reader and through TOML's."""
    lock = Lock("conda", "linux-64", python, tuple(sorted(conda)), tuple(sorted(pip)))
    text = lockfile.render(lock)
    assert lockfile.parse(PATH, text) == lock
    table = toml.parse(PATH, text)
    assert [row["name"] for row in table.get("conda", ())] == [item.name for item in lock.packages]
    assert [row.get("source", "") for row in table.get("pip", ())] == [item.source for item in lock.pip]


LAST = f"line {len(TEXT.splitlines()) + 1} is none that wtenv writes"
BAD = {
    "empty": ("", "no lock of wtenv's"),
    "no version": (TEXT.replace("version = 1\n", "", 1), "no lock of wtenv's"),
    "version is text": (TEXT.replace("version = 1\n", 'version = "1"\n'), "no lock of wtenv's"),
    "not TOML": (TEXT + "what\n", LAST),
    "conflict": (TEXT.replace("[[pip]]", "<<<<<<< HEAD\n[[pip]]", 1), "line 33 is none"),
    "unknown table": (TEXT + "[[cargo]]\n", LAST),
    "inline table": (TEXT + "x = {a.b = 1}\n", LAST),
    "unfinished": (TEXT + "name = [\n", LAST),
    "no kind": (TEXT.replace('kind = "conda"\n', ""), "[base] kind"),
    "other type": (TEXT.replace('name = "idna"', "name = 1"), "[[pip]] name is of another type"),
    "list of numbers": (TEXT.replace('["numpy", "python"]', "[1, 2]"), "[[conda]] depends is of another type"),
    "list of lists": (TEXT.replace('["numpy", "python"]', '[["a"]]'), "[[conda]] depends is of another type"),
    "object": (TEXT.replace('["numpy", "python"]', "{}"), "[[conda]] depends is of another type"),
    "truth": (TEXT.replace("editable = true", 'editable = "yes"'), "[[pip]] editable is of another type"),
    "no name": (TEXT.replace('name = "idna"\n', ""), "a [[pip]] has no name"),
    "twice": (TEXT + '[[conda]]\nname = "numpy"\n', "[[conda]] numpy is there twice"),
    "escape": (TEXT.replace('"idna"', '"i\\u001b[2J"'), "[[pip]] name can't be printed"),
    "raw escape": (TEXT.replace('"idna"', '"i\x1b[2J"'), "[[pip]] name can't be printed"),
    "newline": (TEXT.replace(URL, f"{URL}\\nhttps://evil.example/x.conda"), "[[conda]] url can't be printed"),
    "surrogate": (TEXT.replace('"idna"', '"\\ud800"'), "[[pip]] name can't be printed"),
    "NUL": ("\0" * 100, "line 1 is none"),
    "deep": (TEXT + "x = " + "[" * 100_000 + "\n", LAST),
    "big number": (TEXT + "x = " + "9" * 5000 + "\n", LAST),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_refused(text: str, message: str) -> None:
    with pytest.raises(WtenvError) as caught:
        lockfile.parse(PATH, text.encode())
    assert message in caught.value.what
    assert str(PATH) in caught.value.what
    assert str(caught.value).isprintable()
    assert "wtenv lock" in caught.value.fix


def test_newer() -> None:
    """Also where the rest is in a form that this version can't read."""
    with pytest.raises(lockfile.NewerLock, match=r"newer wtenv \(version 2, this one knows 1\); upgrade wtenv"):
        lockfile.parse(PATH, b"version = 2\nnew syntax [[[\n")


def test_unknown_keys_are_left_alone() -> None:
    assert lockfile.parse(PATH, (TEXT + 'later = "x"\n').encode()) == LOCK


@given(st.binary(max_size=300))
def test_fuzz_bytes(data: bytes) -> None:
    for content in (data, TEXT.encode() + data, data + TEXT.encode()):
        try:
            assert isinstance(lockfile.parse(PATH, content), Lock)
        except WtenvError as error:
            assert str(error).isprintable()


@given(st.lists(st.sampled_from(TEXT.splitlines()), max_size=40))
def test_fuzz_lines(lines: list[str]) -> None:
    try:
        assert isinstance(lockfile.parse(PATH, "\n".join(lines).encode()), Lock)
    except WtenvError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize(
    "text",
    ["a." * 500_000 + "a = 1\n", "[" + "a." * 500_000 + "a]\n", "x = " + "[" * 1_000_000 + "\n", "[[pip]]\n" * 120_000],
)
def test_a_hostile_megabyte_takes_no_time(text: str) -> None:
    """Python's TOML parser needs more than an hour for the first; this, what an honest one takes."""

    def measure(data: str, *, good: bool) -> float:
        started = time.process_time()
        try:
            lockfile.parse(PATH, data.encode())
            assert good
        except WtenvError:
            assert not good
        return time.process_time() - started

    rows = "".join(f'[[conda]]\nname = "p{i}"\nversion = "1.0"\nbuild = "py_0"\n' for i in range(20_000))
    honest = measure(TEXT.partition("[[")[0] + rows, good=True)
    assert measure("version = 1\n" + text, good=False) < 10 * honest


@pytest.mark.parametrize("kind", ["absent", "folder", "fifo", "huge", "unreadable"])
def test_files_that_are_none(kind: str, tmp_path: Path) -> None:
    import os

    path = tmp_path / "wtenv.lock"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "huge":
        path.write_bytes(b"#" * (files.MAX_TEXT + 1))
    elif kind == "unreadable":
        path.symlink_to(path)
    with pytest.raises(WtenvError) as caught:
        lockfile.read(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, lockfile.NoLock) == (kind == "absent")


# --- differences ----------------------------------------------------------------------------------------


def having(**changes: object) -> Lock:
    return LOCK._replace(**changes)  # type: ignore[arg-type]


def packages_with(*changed: Package) -> Lock:
    return having(packages=tuple({**{p.name: p for p in LOCK.packages}, **{p.name: p for p in changed}}.values()))


DIFFERENCES = {
    "nothing": (LOCK, ()),
    "version": (packages_with(TORCH._replace(version="2.5.0")), ("torch 2.4.1 → 2.5.0 in the base",)),
    "added": (packages_with(Package("zlib", "1.3", "h_1")), ("zlib 1.3 was added to the base",)),
    "removed": (having(packages=(PYTHON, TORCH)), ("numpy 1.26.4 is gone from the base",)),
    "build": (
        packages_with(NUMPY._replace(build="py_1", sha256=B)),
        ("numpy 1.26.4 in the base is another build (py_0 → py_1)",),
    ),
    "content": (
        packages_with(NUMPY._replace(sha256=B)),
        ("numpy 1.26.4 in the base has other content, though version and build are the same",),
    ),
    "content, by MD5 alone": (
        packages_with(TORCH._replace(sha256="", md5="2" * 32)),
        ("torch 2.4.1 in the base has other content, though version and build are the same",),
    ),
    "another mirror": (packages_with(TORCH._replace(url=URL.replace("conda.anaconda.org", "mirror.example"))), ()),
    "hashes not known": (packages_with(TORCH._replace(sha256="", md5="", url="", depends=())), ()),
    "platform": (
        having(platform="osx-arm64", packages=(), python="3.12.1"),
        ("the base is for osx-arm64, the locked one for linux-64",),
    ),
    "kind": (
        having(kind="python", packages=()),
        ("the base is no conda environment, the locked one is a conda environment",),
    ),
    "Python, from conda": (
        packages_with(PYTHON._replace(version="3.12.1"))._replace(python="3.12.1"),
        ("python 3.11.7 → 3.12.1 in the base",),
    ),
    "Python, not from conda": (having(python="3.12.1"), ("Python 3.11.7 → 3.12.1 in the base",)),
    "pip: version": (having(pip=(IDNA._replace(version="3.11"), LOCAL)), ("idna 3.10 → 3.11 in the base",)),
    "pip: added": (having(pip=(IDNA, LOCAL, EXTRA)), ("extra 0.1 was added to the base by pip",)),
    "pip: removed": (having(pip=(LOCAL,)), ("idna 3.10 is gone from the base",)),
    "pip: content": (
        having(pip=(IDNA._replace(hash=f"sha256:{B}"), LOCAL)),
        ("idna 3.10 in the base has other content, though the version is the same",),
    ),
    "pip: editable": (
        having(pip=(IDNA._replace(editable=True), LOCAL)),
        ("idna 3.10 in the base is an editable install now",),
    ),
    "pip: no editable": (
        having(pip=(IDNA, LOCAL._replace(editable=False))),
        ("local 1.0 in the base is no editable install any more",),
    ),
    "overlay: version": (having(overlay=(EXTRA._replace(version="0.2"),)), ("extra 0.1 → 0.2 in the overlay",)),
    "overlay: added": (having(overlay=(EXTRA, IDNA)), ("idna 3.10 was added to the overlay",)),
    "overlay: removed": (having(overlay=()), ("extra 0.1 is gone from the overlay",)),
    "overlay: content": (
        having(overlay=(EXTRA._replace(hash=f"sha256:{A}"),)),
        ("extra 0.1 in the overlay has other content, though the version is the same",),
    ),
    "overlay: not known": (having(overlay=None), ()),
    "editable: added": (
        having(editables=(PKG, Editable("sib", "../sib"))),
        ("the editable ../sib is declared, but not locked",),
    ),
    "editable: removed": (having(editables=()), ("the editable . is not declared",)),
    "editable: backend": (
        having(editables=(PKG._replace(backend="hatchling.build"),)),
        ("the editable . is built by hatchling.build, the lock says flit_core.buildapi",),
    ),
    "editable: built with": (
        having(editables=(PKG._replace(built_with=("isolated",)),)),
        ("the editable . was built with isolated, the lock says flit-core==3.9",),
    ),
    "editable: renamed": (
        having(editables=(PKG._replace(name="gkp"),)),
        ("the editable . is called gkp, the lock says pkg",),
    ),
    "editable: not installed yet": (having(editables=(PKG._replace(backend="", built_with=()),)), ()),
    "from conda to pip": (
        having(packages=(PYTHON, TORCH), pip=(IDNA, LOCAL, Dist("numpy", "2.0"))),
        ("numpy 1.26.4 is gone from the base", "numpy 2.0 was added to the base by pip"),
    ),
}


@pytest.mark.parametrize(("present", "texts"), DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_differences(present: Lock, texts: tuple[str, ...]) -> None:
    found = lockfile.compare(LOCK, present)
    assert tuple(finding.text for finding in found) == texts
    for finding in found:
        assert finding.layer in finding.text or finding.layer == "overlay"
    assert lockfile.compare(LOCK, LOCK) == lockfile.compare(present, present) == ()
    assert bool(lockfile.compare(present, LOCK)) == bool(texts), "seen from the other side, too"


KEPT = {
    "nothing new": (LOCK, LOCK),
    "a mirror": (packages_with(TORCH._replace(url=URL.replace("conda.anaconda.org", "mirror.example"))), LOCK),
    "records that say less": (packages_with(TORCH._replace(md5="", url="", file="x.conda", subdir="y")), LOCK),
    "records that say more": (
        packages_with(PYTHON._replace(md5="3" * 32)),
        packages_with(PYTHON._replace(md5="3" * 32)),
    ),
    "another version": (
        packages_with(Package("torch", "2.5.0", "h_0", file="t.conda")),
        packages_with(Package("torch", "2.5.0", "h_0", file="t.conda")),
    ),
    "a URL at last": (
        packages_with(NUMPY._replace(subdir="", file="", url=URL)),
        packages_with(NUMPY._replace(subdir="", file="", url=URL)),
    ),
}


@pytest.mark.parametrize(("new", "kept"), KEPT.values(), ids=KEPT.keys())
def test_what_is_known_is_kept(new: Lock, kept: Lock) -> None:
    assert lockfile.render(lockfile.keep_known(LOCK, new)) == lockfile.render(kept)


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
    assert lockfile.strip_credentials(url) == stripped
    assert lockfile.strip_credentials(stripped) == stripped


def test_explicit() -> None:
    text = lockfile.render_explicit(LOCK, {"numpy": "file:///c/noarch/numpy-1.26.4-py_0.conda"}, PATH)
    assert text.splitlines() == [
        "# wtenv.lock; use it by: conda create --name NAME --file THIS",
        "# platform: linux-64",
        "# not here, since pip installed it: idna==3.10",
        "# not here, since pip installed it: local==1.0 (editable)",
        "@EXPLICIT",
        f"file:///c/noarch/numpy-1.26.4-py_0.conda#sha256:{A}",
        f"{PYTHON.url}#sha256:{B}",
        f"{URL}#sha256:{A}",
    ]
    weak = having(packages=(TORCH._replace(sha256=""), PYTHON._replace(sha256="")), pip=(EXTRA,))
    lines = lockfile.render_explicit(weak, {}, PATH).splitlines()
    assert lines[2] == "# not here, since pip installed it: extra @ git+https://example.org/extra@c0ffee"
    assert lines[4:] == [PYTHON.url, f"{URL}#{'1' * 32}"]


@pytest.mark.parametrize(
    "url", ["x", "-p /etc https://x/y.conda", "https://x/a b.conda", "/etc/passwd", "https://x/é.conda"]
)
def test_explicit_refuses_what_is_no_url(url: str) -> None:
    with pytest.raises(WtenvError, match="the URL of torch is none"):
        lockfile.render_explicit(packages_with(TORCH._replace(url=url)), {"numpy": URL}, PATH)


ORDERS = {
    "dependencies first": ({"a": "b", "b": "c", "c": ""}, "cba"),
    "names decide": ({"b": "", "c": "", "a": ""}, "abc"),
    "a circle": ({"a": "b", "b": "a", "c": "a"}, "bac"),
    "itself, and what is not there": ({"a": "a zlib", "b": "a"}, "ab"),
    "a diamond": ({"a": "b c", "b": "d", "c": "d", "d": ""}, "dbca"),
}


@pytest.mark.parametrize(("graph", "order"), ORDERS.values(), ids=ORDERS.keys())
def test_order(graph: dict[str, str], order: str) -> None:
    items = [Package(name, depends=tuple(needs.split())) for name, needs in graph.items()]
    assert "".join(item.name for item in lockfile.sort_packages(items)) == order


def test_order_of_a_long_chain() -> None:
    items = [Package(f"p{index:05}", depends=(f"p{index + 1:05}",)) for index in range(5000)]
    assert [item.name for item in lockfile.sort_packages(items)] == [item.name for item in reversed(items)]
