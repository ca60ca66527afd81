"""Bases whose Python is not called python3.N: PyPy, the free-threaded build, several Pythons in one prefix."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import Wtenv
from overlay_projects import make_overlay, make_project
from realbase import Base
from workspace import Home

from wtenv.conda import find_python
from wtenv.overlay import layout, registry
from wtenv.overlay import manifest as manifests
from wtenv.overlay.refresh import with_inventory
from wtenv.overlay.state import State, inspect

KINDS = {
    "python3.11": "3.11",
    "python3.13t": "3.13t",
    "python3.14t": "3.14t",
    "python3.14td": "3.14td",
    "python3.13d": "3.13d",
    "pypy3.9": "pypy3.9",
    "pypy3.10": "pypy3.10",
    "graalpy3.11": "graalpy3.11",
    # It says no version:
    "graalpy": "",
    "pypy3": "",
    "python3": "",
    "python": "",
    "python3.11-config": "",
    "python3.11-intel64": "",
    "notpython3.11": "",
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_kinds_by_name(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(name)
    assert layout.name_kind(str(tmp_path / "link")) == kind


def inspect_made_for(prefix: Path, venv: Path, interpreter: str, home: Home) -> State:
    """The verdict on an overlay that is as wtenv made it for that interpreter."""
    shutil.rmtree(venv, ignore_errors=True)
    facts = layout.Facts("3.13.1", f"{prefix}/bin/{interpreter}", f"{prefix}/bin", (), "lib/site", "lib/site")
    venv.mkdir(parents=True)
    layout.create(venv, facts, "x", "token")
    manifest = manifests.Manifest(
        token="token", root=str(venv.parent), venv=str(venv), base=str(prefix), interpreter=facts.interpreter,
        interpreter_id=manifests.identify(facts.interpreter), python_version=facts.version,
        site=(f"{venv}/lib/site",), base_bin=f"{prefix}/bin", base_site=(),
    )  # fmt: skip
    manifests.write_manifest(with_inventory(venv, manifest), venv)
    record = registry.OverlayRecord("token", str(venv), venv.stat().st_ino, building=False)
    registry.write_record(record, registry.record_path(venv, home.environ))
    return inspect(venv, base_prefix=prefix, editables=(), env=home.environ)


MOVES = [
    # made for, then `python` starts; what is said
    ("python3.13", "python3.13", ""),
    ("python3.13", "python3.14", "the base's Python is now 3.14, {venv} was made for 3.13"),
    ("python3.13", "python3.13t", "the base's Python is now 3.13t, {venv} was made for 3.13"),
    ("python3.13t", "python3.13", "the base's Python is now 3.13, {venv} was made for 3.13t"),
    ("python3.13t", "python3.13t", ""),
    ("python3.13t", "python3.14t", "the base's Python is now 3.14t, {venv} was made for 3.13t"),
    ("python3.13", "pypy3.13", "the base's Python is now pypy3.13, {venv} was made for 3.13"),
    ("pypy3.13", "pypy3.13", ""),
    ("pypy3.13", "python3.13", "the base's Python is now 3.13, {venv} was made for pypy3.13"),
    ("graalpy", "graalpy", ""),
    ("graalpy", "python3.14", "the base's Python is now 3.14, {venv} was made for 3.13"),
    ("python3.13", "wrapper", ""),  # it may well start that one
]


@pytest.mark.parametrize(("made", "now", "said"), MOVES)
def test_another_python_in_the_prefix(made: str, now: str, said: str, tmp_path: Path, home: Home) -> None:
    prefix, venv = tmp_path / "base", tmp_path / "wt/.venv"
    (prefix / "bin").mkdir(parents=True)
    for name in {made, now}:
        (prefix / "bin" / name).write_text(name)
    (prefix / "bin/python").symlink_to(now)
    state = inspect_made_for(prefix, venv, made, home)
    assert (state.kind, state.reason) == ("unusable" if said else "current", said.format(venv=venv))


def test_hard_links_are_one_program(tmp_path: Path, home: Home) -> None:
    """`make install` of a free-threaded build makes python3.13 a hard link of python3.13t."""
    prefix = tmp_path / "base"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python3.13t").touch()
    (prefix / "bin/python3.13").hardlink_to(prefix / "bin/python3.13t")
    (prefix / "bin/python").symlink_to("python3.13")
    assert inspect_made_for(prefix, tmp_path / "wt/.venv", "python3.13t", home).kind == "current"


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["python3.13t"], "python3.13t"),
        (["python3.13t", "python3.13"], "python3.13"),
        (["python3.13t", "python3.12"], "python3.13t"),
        (["pypy3.9", "pypy3.10"], "pypy3.10"),
        (["pypy3"], "pypy3"),
        (["graalpy"], "graalpy"),
        (["pypy3.10", "python3.9"], "python3.9"),
    ],
)
def test_a_base_without_the_usual_names(names: list[str], chosen: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in names:
        (tmp_path / "bin" / name).touch(mode=0o755)
    assert find_python(tmp_path).name == chosen


@pytest.fixture(scope="module")
def pypy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The system's PyPy in a prefix of its own, laid out as its authors' archives are."""
    if not os.path.exists("/usr/bin/pypy3"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Debian's pypy3 is missing: apt-get install pypy3")
    program = Path(os.path.realpath("/usr/bin/pypy3"))
    kind = program.name
    prefix = tmp_path_factory.mktemp("pypy")
    (prefix / "bin").mkdir()
    shutil.copy2(program, prefix / "bin")
    for name in ("pypy", "pypy3", "python", "python3", kind.replace("pypy", "python")):
        (prefix / "bin" / name).symlink_to(kind)
    stdlib = prefix / "lib" / kind
    (stdlib / "site-packages").mkdir(parents=True)
    for path in Path("/usr/lib", kind).iterdir():
        if path.name in ("site.py", "sysconfig.py"):
            text = path.read_text().replace('"dist-packages"', '"site-packages"').replace('"local", "lib"', '"lib"')
            (stdlib / path.name).write_text(text.replace("return 'posix_local'", "return 'posix_prefix'"))
        elif path.name != "__pycache__":
            (stdlib / path.name).symlink_to(path)
    (stdlib / "site-packages/inbase.py").write_text("")
    tool = prefix / "bin/tool"
    tool.write_text(f"#!{prefix}/bin/{kind}\nimport sys, pkg, inbase; print(sys.implementation.name, pkg.__file__)\n")
    tool.chmod(0o755)
    return prefix


def test_pypy(pypy: Path, tmp_path: Path, home: Home, wtenv: Wtenv) -> None:
    root, kind = make_project(tmp_path / "wt", "flit", "worktree"), next(pypy.glob("lib/*")).name
    home.run(["git", "init", "-q"], root, check=True)
    (root / "wtenv.toml").write_text(f'[python]\nbase_prefix = "{pypy}"\n[editables]\npackages = ["."]\n')
    wtenv("allow", cwd=root, check=True)
    wtenv("sync", cwd=root, check=True)
    assert "nothing to do" in wtenv("sync", cwd=root, check=True).stderr
    assert (root / f".venv/lib/{kind}/site-packages").is_dir()
    here = str(root / "pkg/__init__.py")
    assert wtenv("run", "pkg-cli", cwd=root, check=True).stdout.strip() == here
    assert wtenv("run", "tool", cwd=root, check=True).stdout.strip() == f"pypy {here}"
    names = {"python", "python3", kind.replace("pypy", "python"), "pypy", "pypy3", kind}
    assert {path.name for path in (root / ".venv/bin").iterdir() if path.resolve() == pypy / "bin" / kind} == names
    command = ("run", "pypy3", "-c", "import pkg, inbase; print(pkg.__file__)")
    assert wtenv(*command, cwd=root, check=True).stdout.strip() == here
    # A zip archive on the base's path, by the finders that Python had before 3.10.
    with zipfile.ZipFile(pypy / "base.zip", "w") as file:
        file.writestr("beside.py", "")
        file.writestr("pkg.py", "")
    (site,) = pypy.glob("lib/*/site-packages")
    (site / "base.pth").write_text(f"{pypy}/base.zip\n")
    look = "import beside; from importlib.machinery import PathFinder as P; print(P.find_spec('pkg').origin)"
    assert wtenv("run", "pypy3", "-c", look, cwd=root, check=True).stdout.strip() == here
    (root / "pkg").rename(root / "kgp")
    look = "import beside; from importlib.machinery import PathFinder as P; print(P.find_spec('pkg'))"
    assert wtenv("run", "--no-sync", "pypy3", "-c", look, cwd=root, check=True).stdout.strip() == "None"
    (root / "kgp").rename(root / "pkg")
    # By PyPy's own name, too, an overlay's Python is nothing in another worktree.
    home.run(["git", "commit", "-q", "--allow-empty", "-m", "x"], root, check=True)
    home.run(["git", "worktree", "add", "-q", "../other"], root, check=True)
    found = {"PATH": f"{root}/.venv/bin:{home.environ['PATH']}"}
    for name in ("pypy3", "tool"):
        done = home.run(["sh", "-c", f"{name} -c 'import pkg'"], tmp_path / "other", env=found)
        assert (done.returncode, "is not the worktree that" in done.stderr) == (126, True), done
    said = wtenv("doctor", cwd=root).stdout
    assert "ok       overlay" in said, said
    assert not [line for line in said.splitlines() if line.startswith("problem") and " rc " not in line], said


FREE_THREADED = """\
#!{python} -IS
# Answers what wtenv asks, as a free-threaded CPython 3.13 does (PEP 703: `abiflags` "t", `lib/python3.13t`).
import os, sys, sysconfig
sys.argv = sys.argv[sys.argv.index("-c") + 1 :]
code = sys.argv[0]
sys.version_info, sys.abiflags = (3, 13, 1, "final", 0), "t"
sys.executable = sys._base_executable = "{prefix}/bin/python"
sys.prefix = sys.base_prefix = sys.exec_prefix = "{prefix}"
def get_path(kind, scheme="posix_prefix", vars={{"base": "{prefix}"}}):
    return vars["base"] + "/lib/python3.13t/site-packages"
sysconfig.get_path = get_path
import site
site.getsitepackages = lambda prefixes=None: [get_path("purelib")]
exec(code)
"""


def make_free_threaded(prefix: Path) -> Path:
    """Not the real one: a stand-in with its layout, that answers as it does."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib/python3.13t/site-packages").mkdir(parents=True)
    program = prefix / "bin/python3.13t"
    program.write_text(FREE_THREADED.format(python=sys.executable, prefix=prefix))
    program.chmod(0o755)
    (prefix / "bin/python3.13").hardlink_to(program)
    (prefix / "bin/python3").symlink_to("python3.13")
    (prefix / "bin/python").symlink_to("python3.13")
    return prefix


def judge(root: Path, prefix: Path, environ: Mapping[str, str]) -> State:
    return inspect(root / ".venv", base_prefix=prefix, editables=(), env=environ)


def test_free_threaded(tmp_path: Path, home: Home) -> None:
    prefix, root = make_free_threaded(tmp_path / "base"), tmp_path / "wt"
    root.mkdir()
    base = Base("free", prefix, tmp_path)
    make_overlay(root, base, home.environ)
    assert judge(root, prefix, home.environ).kind == "current"
    assert (root / ".venv/lib/python3.13t/site-packages/~wtenv.pth").exists()
    manifest = manifests.read_manifest(root / ".venv")
    assert manifest is not None
    assert (manifest.interpreter, manifest.minor) == (f"{prefix}/bin/python3.13t", "3.13")
    for name in ("python", "python3", "python3.13", "python3.13t"):
        assert os.path.realpath(root / ".venv/bin" / name) == f"{prefix}/bin/python3.13t", name
    # Beside it the one with the lock, which becomes the default.
    (prefix / "bin/python3.13").unlink()
    shutil.copy2(prefix / "bin/python3.13t", prefix / "bin/python3.13")
    state = judge(root, prefix, home.environ)
    assert (state.kind, state.reason.partition(",")[0]) == ("unusable", "the base's Python is now 3.13")


def test_another_implementation_of_that_version(tmp_path: Path, home: Home) -> None:
    """Debian has PyPy as /usr/bin/pypy3.9, beside CPython's python3.9: the overlay is the program's that was asked."""
    prefix = make_free_threaded(tmp_path / "base")
    for name in ("python3.13", "python3.13t"):
        (prefix / "bin" / name).rename(prefix / "bin" / name.replace("python", "other"))
        (prefix / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
    (prefix / "bin/python").unlink()
    (prefix / "bin/python").symlink_to("other3.13t")
    facts = layout.probe(prefix / "bin/python", prefix, home.environ)
    assert facts.interpreter == f"{prefix}/bin/python"
