"""A new worktree is ready by itself: what kept builds make, who makes it, and what is never run for that."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hookworld import World, active, make_world, name, said  # noqa: F401
from realbase import Base
from scenes import CONFIG, call, one_line

from wtenv.hook.shells import ABI
from wtenv.overlay import sync
from wtenv.plan import make_plan


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, base: Base) -> World:
    """A clone whose two worktrees were synced. What a test adds is its own."""
    return make_world(tmp_path_factory.mktemp("ready"), base, CONFIG)


@pytest.fixture
def world(shared: World) -> World:
    return shared


def kept(world: World) -> list[Path]:
    return sorted((world.home.path / ".cache/wtenv/builds").glob("*.json"))


def is_right(world: World, root: Path) -> bool:
    """Whether plain `python` imports the copy of that worktree."""
    look = ("python", "-c", "import pkg; print(pkg.__file__)")
    return call(world.home, "run", "--no-sync", *look, cwd=root).stdout == f"{root}/src/pkg/__init__.py\n"


def say_made(root: Path) -> str:
    return f"wtenv: made {root}/.venv from kept builds of pkg"


# --- who makes it -----------------------------------------------------------------------------------------


def test_cd(world: World, name: str) -> None:
    root = world.repo.add_worktree(f"cd-{name}")
    shell = world.open(name)
    try:
        lines = said(shell.run(f"cd {root}"))
        assert sorted(lines) == sorted([say_made(root), world.entering(root).strip()])
        assert active(shell) == root.name
        result = shell.run("python -c 'import pkg; print(pkg.__file__)'")
        assert result.out.strip() == f"{root}/src/pkg/__init__.py"
        assert said(shell.run(f"cd /; cd {root}")) in ([], [world.entering(root).strip()])
    finally:
        world.close()
    assert call(world.home, "sync", cwd=root).stderr == "wtenv: nothing to do\n"


@pytest.mark.parametrize("way", ["export", "run", "run --no-sync", "__follow", "python elsewhere"])
def test_each_way(world: World, way: str) -> None:
    root = world.repo.add_worktree(f"way-{way.replace(' ', '')}")
    venv = world.main / ".venv"
    if way == "export":
        done = call(world.home, "export", "json", cwd=root, check=True)
        assert json.loads(done.stdout)["VIRTUAL_ENV"] == str(root / ".venv")
    elif way == "python elsewhere":
        path = f"{venv}/bin:{world.home.environ['PATH']}"
        done = world.home.run(["sh", "-c", "python -c 'import pkg; print(pkg.__file__)'"], root, env={"PATH": path})
        assert done.stdout == f"{root}/src/pkg/__init__.py\n"
    else:
        words = ["__follow", venv, world.main] if way == "__follow" else way.split()
        done = call(world.home, *words, "sh", "-c", "echo $VIRTUAL_ENV", cwd=root)
        assert done.stdout == f"{root}/.venv\n"
    assert done.stderr == say_made(root) + "\n"
    assert is_right(world, root)


def test_what_is_not_allowed_gets_nothing(world: World) -> None:
    root = world.repo.add_worktree("other-content")
    file = root / "wtenv.toml"
    file.write_text(file.read_text() + "# other\n")
    for words in (("export", "json"), ("run", "true"), ("run", "--no-sync", "true")):
        assert "run: wtenv allow" in one_line(call(world.home, *words, cwd=root))
    assert not (root / ".venv").exists()


def test_below_another_worktree(world: World) -> None:
    """As agents have theirs: the settings of the one around it are none of its own."""
    root = world.main / ".worktrees/inner"
    world.repo.git("worktree", "add", "--quiet", "--detach", root)
    done = call(world.home, "export", "json", cwd=root, check=True)
    assert done.stderr == say_made(root) + "\n"
    assert is_right(world, root)
    world.repo.git("worktree", "remove", "--force", root)


def test_several_at_once(world: World) -> None:
    """One makes it, the others wait and have it."""
    root = world.repo.add_worktree("several")
    command = ["sh", "-c", "for n in 1 2 3 4; do wtenv run sh -c 'echo $VIRTUAL_ENV' & done; wait"]
    done = world.home.run(command, root, check=True)
    assert done.stdout == f"{root}/.venv\n" * 4
    assert is_right(world, root)
    assert call(world.home, "sync", cwd=root).stderr == "wtenv: nothing to do\n"


# --- where kept builds do not suffice ---------------------------------------------------------------------


def change_layout(root: Path) -> None:
    (root / "src/pkg2").mkdir()
    (root / "src/pkg2/__init__.py").write_text("")


def test_the_hook_says_the_command_and_run_builds(world: World) -> None:
    root = world.repo.add_worktree("to-build")
    change_layout(root)
    for words in (("export", "json"), ("run", "--no-sync", "true")):
        assert one_line(call(world.home, *words, cwd=root)) == f"there is no overlay at {root}/.venv; run: wtenv sync"
    assert not (root / ".venv").exists()
    done = call(world.home, "run", "sh", "-c", "echo $VIRTUAL_ENV", cwd=root)
    assert done.stdout == f"{root}/.venv\n"
    assert done.stderr.endswith(f"wtenv: synced {root}/.venv: pkg\n")
    assert is_right(world, root)
    assert call(world.home, "run", "true", cwd=root).stderr == ""
    # What no longer fits the config is synced, too.
    file = root / "pyproject.toml"
    file.write_text(file.read_text().replace('"1.0"', '"2.0"'))
    look = ("python", "-c", "import importlib.metadata as m; print(m.version('pkg'))")
    assert call(world.home, "run", "--no-sync", *look, cwd=root).stdout == "1.0\n"
    assert call(world.home, "run", *look, cwd=root).stdout == "2.0\n"
    # And what fails is said, and nothing is run.
    file.write_text(file.read_text().replace("setuptools.build_meta", "setuptools.no_backend"))
    done = call(world.home, "run", "touch", "ran", cwd=root)
    assert (done.returncode, (root / "ran").exists()) == (2, False)
    assert "building" in done.stderr and "no_backend" in done.stderr
    assert call(world.home, "run", "--no-sync", "true", cwd=root).returncode == 0


def test_an_unfinished_one(world: World) -> None:
    """As a sync leaves it that was killed."""
    for number, words in enumerate((("export", "json"), ("run", "true"))):
        root = world.repo.add_worktree(f"unfinished{number}")
        call(world.home, "sync", cwd=root, check=True)
        (root / ".venv/wtenv.json").unlink()
        if words[0] == "export":
            assert "run: wtenv sync" in one_line(call(world.home, *words, cwd=root))
            continue
        assert call(world.home, *words, cwd=root).returncode == 0
        assert is_right(world, root)
        assert [path.name for path in root.glob(".venv*")] == [".venv"]


def test_what_is_not_ours_stays(world: World) -> None:
    root = world.repo.add_worktree("foreign")
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/mine").write_text("")
    for words in (("export", "json"), ("run", "true"), ("run", "--no-sync", "true")):
        assert "--replace" in one_line(call(world.home, *words, cwd=root))
    assert [str(path.relative_to(root)) for path in (root / ".venv").rglob("*")] == [".venv/bin", ".venv/bin/mine"]
    # Nor is one made anew that somebody has changed.
    root = world.repo.add_worktree("changed")
    call(world.home, "run", "true", cwd=root, check=True)
    (root / ".venv/bin/evil").write_text("#!/bin/sh\n")
    assert "evil was added" in one_line(call(world.home, "run", "true", cwd=root))
    (root / ".venv/bin/evil").unlink()
    (root / ".venv/bin/python").unlink()
    (root / ".venv/bin/python").symlink_to("/bin/true")
    assert "bin/python is missing, or another Python" in one_line(call(world.home, "run", "true", cwd=root))


def test_a_damaged_kept_build(world: World) -> None:
    root = world.repo.add_worktree("damaged")
    good = {place: place.read_bytes() for place in kept(world)}
    for place in good:
        place.write_bytes(good[place].replace(b"pkg", b"gkp"))
    assert "run: wtenv sync" in one_line(call(world.home, "export", "json", cwd=root))
    assert call(world.home, "run", "true", cwd=root).returncode == 0
    assert is_right(world, root)
    assert any(place.read_bytes() == good[place] for place in good)


def test_a_kept_build_that_does_not_pass_the_import_check(world: World) -> None:
    """What was begun is taken back, and the build is forgotten."""
    from wtenv.overlay import reuse

    root = world.repo.add_worktree("proof")
    places = {place: place.read_bytes() for place in kept(world)}
    token = json.dumps(reuse._PROJECT)[1:-1].encode()
    for place, data in places.items():
        place.write_bytes(reuse._sign(data.partition(b"\n")[2].replace(token, str(world.feature).encode())))
    assert "there is no overlay" in one_line(call(world.home, "export", "json", cwd=root))
    assert not list(root.glob(".venv*"))
    assert len(kept(world)) < len(places)
    for place, data in places.items():
        place.write_bytes(data)
    call(world.home, "export", "json", cwd=root, check=True)
    assert is_right(world, root)


@pytest.mark.parametrize("fault", ["a full disk", "no more processes"])
def test_a_fault_that_passes(fault: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing about what is kept: the next worktree has that."""
    from wtenv.overlay import reuse

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC if fault == "a full disk" else errno.EAGAIN, "not now")

    root = world.repo.add_worktree(f"fault{len(fault)}")
    before = kept(world)
    plan, plain = make_plan(root, world.home.environ)
    with monkeypatch.context() as patch:
        patch.setattr(*((reuse, "place", fail) if fault == "a full disk" else (subprocess, "run", fail)))
        assert sync.place(plan, plain) is None
    assert kept(world) == before
    assert not list(root.glob(".venv*"))
    assert sync.place(plan, plain) is not None
    assert is_right(world, root)


def test_no_room(world: World) -> None:
    """No file may be longer than a block: what was begun goes."""
    root = world.repo.add_worktree("no-room")
    done = world.home.run(["sh", "-c", "ulimit -f 1; exec wtenv export json"], root)
    assert "there is no overlay" in one_line(done)
    assert not list(root.glob(".venv*"))
    assert say_made(root) in call(world.home, "export", "json", cwd=root, check=True).stderr


@pytest.mark.parametrize("where", ["making it", "taking it back"])
def test_killed(where: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has left beside the place goes the next time."""
    from wtenv.errors import WtenvError
    from wtenv.overlay import imports, layout

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def fail(*_: object, **__: object) -> None:
        raise WtenvError("not now", cacheable=False)

    root = world.repo.add_worktree(f"killed{len(where)}")
    plan, plain = make_plan(root, world.home.environ)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if where == "making it":
            patch.setattr(layout, "create", kill)
        else:
            patch.setattr(imports, "ask_python", fail)
            patch.setattr(shutil, "rmtree", kill)
        sync.place(plan, plain)
    assert not (root / ".venv").exists() and list(root.glob(".venv.*"))
    assert sync.place(plan, plain) is not None
    assert is_right(world, root)
    assert [path.name for path in root.glob(".venv*")] == [".venv"]


@pytest.mark.parametrize("what", ["builds", "bases"])
@pytest.mark.parametrize("how", ["another's file", "another's folder", "a folder that others can write to"])
def test_what_others_could_have_kept_is_not_used(how: str, what: str, world: World) -> None:
    if os.getuid():
        pytest.skip("only root can give files away")
    folder = world.home.path / ".cache/wtenv" / what
    root = world.repo.add_worktree(f"{what}{len(how)}")
    changed = [*folder.iterdir()] if how == "another's file" else [folder]
    try:
        for place in changed:
            os.chmod(place, 0o777) if "others" in how else os.chown(place, 65534, 65534)
        assert "there is no overlay" in one_line(call(world.home, "export", "json", cwd=root))
        assert not (root / ".venv").exists()
    finally:
        for place in changed:
            os.chown(place, 0, 0)
            os.chmod(place, 0o700 if place == folder else 0o600)
    call(world.home, "export", "json", cwd=root, check=True)


# --- what is never run ------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not there")
def test_the_hook_starts_the_overlays_python_alone(world: World, tmp_path: Path) -> None:
    root = world.repo.add_worktree("traced")
    log = tmp_path / "log"
    ask = ["wtenv", "export", "--hook", ABI, "bash", root, ""]
    world.home.run(["strace", "-f", "-qq", "-o", log, "-e", "trace=execve", *ask], root, check=True)
    lines = [line for line in log.read_text().splitlines() if line.endswith("= 0")]
    programs = [line.partition('execve("')[2].partition('"')[0] for line in lines]
    # One shell captures what the base's activate.d scripts do, and dumps that by env.
    assert [os.path.basename(program) for program in programs] == ["wtenv", "bash", "env", "python"], programs
    assert programs[-1] == f"{root}/.venv/bin/python"


EARLY = "import pathlib; pathlib.Path({tripwire!r}).write_text(__file__)\n"


def test_no_code_of_the_checkout_runs(tmp_path: Path, base: Base) -> None:
    """Modules of the worktree that Python or the base import when they start: not by the import check at a `cd`."""
    world = make_world(tmp_path / "own", base, CONFIG, own_base=True)
    (world.base.site_packages / "early.pth").write_text("import early\n")
    for module in ("early", "sitecustomize", "usercustomize"):
        world.repo.commit({f"src/{module}.py": ""})
    call(world.home, "sync", "--reinstall", cwd=world.main, check=True)
    root = world.repo.add_worktree("new")
    tripwire = tmp_path / "ran"
    for module in ("early", "sitecustomize", "usercustomize"):
        (root / f"src/{module}.py").write_text(EARLY.format(tripwire=str(tripwire)))
    done = call(world.home, "export", "--hook", ABI, "bash", root, "", cwd=root, check=True)
    assert say_made(root) in done.stderr
    assert not tripwire.exists()
    call(world.home, "run", "--no-sync", "python", "-c", "", cwd=root, check=True)
    assert tripwire.exists(), "it would have been seen"


STARTS = """\
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

class Hook(BuildHookInterface):
    def initialize(self, version, build_data):
        build_data["force_include_editable"]["early.pth"] = "early.pth"
"""


def test_a_project_that_python_imports_when_it_starts(tmp_path: Path, base: Base) -> None:
    """By a `.pth` file of its own, as tools for coverage and debugging have it: no `cd` makes such an overlay."""
    world = make_world(tmp_path / "own", base, CONFIG)
    use_hatch(world.main)
    replace(world.main / "pyproject.toml", DYNAMIC[1], DYNAMIC[0])
    replace(world.main / "pyproject.toml", "tool.hatch.metadata.hooks.custom", "tool.hatch.build.hooks.custom")
    tripwire = tmp_path / "ran"
    early = EARLY.format(tripwire=str(tripwire))
    world.repo.commit({"hatch_build.py": STARTS, "early.pth": "import early\n", "src/early.py": early})
    call(world.home, "sync", cwd=world.main, check=True)
    call(world.home, "run", "python", "-c", "", cwd=world.main, check=True)
    assert tripwire.exists(), "it would have been seen"
    tripwire.unlink()
    root = world.repo.add_worktree("new")
    assert "run: wtenv sync" in one_line(call(world.home, "export", "json", cwd=root))
    assert not tripwire.exists()
    assert call(world.home, "run", "true", cwd=root).returncode == 0


# --- builds that run code ---------------------------------------------------------------------------------

DESCRIBE = """\
import os, subprocess
from pathlib import Path

def compute(write):
    here = Path(__file__).parent
    Path(here.parent, "builds.log").open("a").write(f"{here}\\n")
    text = subprocess.run(["git", "describe", "--tags", "--long", "--dirty"], cwd=here, capture_output=True, text=True)
    tag, count, commit = text.stdout.strip().removesuffix("-dirty").split("-")
    version = f"{tag[1:]}.dev{count}+{commit}"
    if write:
        Path(here, write).write_text(f"version = {version!r}\\n")
    return version
"""
SETUP = """\
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from setuptools import setup, Extension
from describe import compute
setup(version=compute("src/pkg/_version.py"){more})
"""
BACKEND = """\
from setuptools import build_meta
from setuptools.build_meta import *
import describe

def build_editable(folder, settings=None, metadata=None):
    describe.compute("src/pkg/_version.py")
    return build_meta.build_editable(folder, settings, metadata)
"""
HATCH = """\
from hatchling.metadata.plugin.interface import MetadataHookInterface
import importlib.util
from pathlib import Path

class Hook(MetadataHookInterface):
    def update(self, metadata):
        spec = importlib.util.spec_from_file_location("describe", Path(self.root, "describe.py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        metadata["version"] = module.compute("src/pkg/_version.py")
"""
SPEED = """\
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_speed", NULL, -1, methods};
PyMODINIT_FUNC PyInit__speed(void) { return PyModule_Create(&module); }
"""
DYNAMIC = ('version = "1.0"', 'dynamic = ["version"]')


def use_setup(root: Path, more: str = "") -> None:
    (root / "setup.py").write_text(SETUP.replace("{more}", more))
    replace(root / "pyproject.toml", *DYNAMIC)


def use_extension(root: Path) -> None:
    use_setup(root, ', ext_modules=[Extension("pkg._speed", ["src/pkg/_speed.c"])]')
    (root / "src/pkg/_speed.c").write_text(SPEED)


def use_backend(root: Path) -> None:
    (root / "_build").mkdir()
    (root / "_build/backend.py").write_text(BACKEND)
    (root / "_build/describe.py").write_text(DESCRIBE.replace("parent\n", "parent.parent\n", 1))
    replace(root / "pyproject.toml", '"setuptools.build_meta"', '"backend"\nbackend-path = ["_build"]')


def use_hatch(root: Path) -> None:
    (root / "hatch_build.py").write_text(HATCH)
    replace(root / "pyproject.toml", *DYNAMIC)
    replace(root / "pyproject.toml", '["setuptools"]', '["hatchling"]')
    text = (root / "pyproject.toml").read_text().partition("[tool.setuptools")[0]
    text = text.replace("setuptools.build_meta", "hatchling.build")
    (root / "pyproject.toml").write_text(
        f'{text}[tool.hatch.metadata.hooks.custom]\n[tool.hatch.build]\npackages = ["src/pkg"]\n'
    )


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


KINDS: dict[str, Callable[[Path], None]] = {
    "setup.py": use_setup,
    "an extension": use_extension,
    "its own backend": use_backend,
    "a hook of hatchling's": use_hatch,
}
WHAT = (
    "import importlib.metadata as m, pkg; from pkg import _version; "
    "import importlib.util as u; speed = u.find_spec('pkg._speed'); "
    "print(m.version('pkg'), _version.version, pkg.__file__, speed and speed.origin)"
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_build_that_ran_code(kind: str, tmp_path: Path, base: Base) -> None:
    """The version that git tells, the file that has it, a compiled module: as the first worktree's build made them."""
    if kind == "an extension" and not shutil.which("cc"):
        pytest.skip("there is no compiler")
    world = make_world(tmp_path, base, CONFIG)
    KINDS[kind](world.main)
    world.repo.commit(
        {"describe.py": DESCRIBE, ".gitignore": ".venv/\n__pycache__/\n*.egg-info/\n_version.py\n*.so\nbuild/\n"}
    )
    world.repo.git("tag", "v3.1")
    call(world.home, "sync", cwd=world.main, check=True)
    log = world.main.parent / "builds.log"
    built = log.read_text()
    first = call(world.home, "run", "--no-sync", "python", "-c", WHAT, cwd=world.main).stdout
    root = world.repo.add_worktree("another")
    done = call(world.home, "export", "json", cwd=root, check=True)
    assert (done.stderr, log.read_text()) == (say_made(root) + "\n", built)
    second = call(world.home, "run", "--no-sync", "python", "-c", WHAT, cwd=root).stdout
    assert second == first.replace(str(world.main), str(root)) and str(root) in second
    if kind == "an extension":
        look = ("python", "-c", "from pkg._speed import answer; print(answer())")
        assert call(world.home, "run", "--no-sync", *look, cwd=root).stdout == "42\n"
    assert call(world.home, "sync", cwd=root).stderr == "wtenv: nothing to do\n"
    assert world.repo.git("status", "--short", cwd=root) == ""
    # Another commit has another version: built, by what somebody typed.
    later = world.repo.add_worktree("later")
    world.repo.commit({"src/pkg/more.py": ""}, cwd=later)
    assert "run: wtenv sync" in one_line(call(world.home, "export", "json", cwd=later))
    third = call(world.home, "run", "python", "-c", WHAT, cwd=later).stdout
    assert log.read_text() != built
    assert third.split()[1] != second.split()[1] and ".dev1+" in third.split()[1]


WRITES = """\
from pathlib import Path
from setuptools import setup
here = Path(__file__).parent
(here / "{one}/_version_of_{one}.py").write_text("version = 1")
(here.parent.parent / "builds.log").open("a").write("{one} ")
setup({name}packages=["{one}"])
"""
NAMED = '[project]\nname = "two"\nversion = "1"\n[build-system]\nrequires = ["setuptools"]\n'


def test_several_that_write_beside_their_sources(tmp_path: Path, base: Base) -> None:
    """Built at once: what lies in a project's folder is that project's. Of the first, only setup.py knows the name."""
    world = make_world(tmp_path, base, CONFIG)
    files = {".gitignore": ".venv/\n__pycache__/\n*.egg-info/\n_version_of_*.py\nbuild/\n", "two/pyproject.toml": NAMED}
    for one, words in (("one", 'name="one", version="1", '), ("two", "")):
        files |= {f"{one}/setup.py": WRITES.format(one=one, name=words), f"{one}/{one}/__init__.py": ""}
    files["wtenv.toml"] = (world.main / "wtenv.toml").read_text().replace('"."', '"one", "two"')
    world.repo.commit(files)
    for words in ("allow", "sync"):
        call(world.home, words, cwd=world.main, check=True)
    root, log = world.repo.add_worktree("another"), world.main.parent / "builds.log"
    built = log.read_text()
    done = call(world.home, "export", "json", cwd=root, check=True)
    assert done.stderr == f"wtenv: made {root}/.venv from kept builds of one, two\n"
    look = ("python", "-c", "from one import _version_of_one as a; from two import _version_of_two as b; print(a, b)")
    assert call(world.home, "run", "--no-sync", *look, cwd=root).stdout.count(str(root)) == 2
    assert call(world.home, "sync", cwd=root).stderr == "wtenv: nothing to do\n"
    assert log.read_text() == built
    assert world.repo.git("status", "--short", cwd=root) == ""
