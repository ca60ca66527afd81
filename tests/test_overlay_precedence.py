"""What is declared never comes from the base: namespace packages, layered bases, builds at import, other layouts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from overlay_projects import (
    add_distribution,
    clean_env,
    make_nspkg,
    make_overlay,
    make_project,
    run,
)
from realbase import Base, cache_folder, copy_base
from workspace import Home

from wtenv.errors import WtenvError
from wtenv.overlay import manifest, state

# --- namespace packages -------------------------------------------------------------------------------

# What the base has of a namespace package in which the worktree has the package `mine`.
EXTENDS = '__path__ = __import__("pkgutil").extend_path(__path__, __name__)\nWHO = "base"\n'
KINDS = {
    "pep420": None,
    "nspkg": None,  # made by a .pth file when Python starts
    "pkgutil": EXTENDS,
    "regular": 'WHO = "base"\n',  # a package of another distribution, with places for plugins
    "own": 'WHO = "base"\n',  # the declared distribution's own copy, which was a package then
}
# How the worktree's copy gets onto the path.
BUILDS = {
    "path": ("setuptools", "setuptools.build_meta", '[tool.setuptools.packages.find]\nwhere = ["src"]\n', "src"),
    "finder": ("setuptools", "setuptools.build_meta", "[tool.setuptools]\npackages = [{dotted}]\n", ""),
    "root": ("hatchling", "hatchling.build", "[tool.hatch.build.targets.wheel]\npackages = [{folders}]\n", ""),
}
LOOK = """
import importlib, json, sys
seen = {}
for name in sys.argv[1].split():
    try:
        module = importlib.import_module(name)
        seen[name] = getattr(module, '__file__', None) or list(module.__path__)
    except ModuleNotFoundError as error:
        seen[name] = None
print(json.dumps(seen))
"""
WAYS = ("plain", "-I", "-E", "-s", "-P", "child", "-m", "wrapper")


class Scene(NamedTuple):
    root: Path
    base: Base
    home: Home
    env: dict[str, str]

    @property
    def python(self) -> Path:
        return self.root / ".venv/bin/python"


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory, base: Base) -> tuple[Base, Home]:
    """A copy of the base that these tests add packages to, each under names of its own."""
    folder = tmp_path_factory.mktemp("changing")
    return copy_base(base, folder / "miniforge3", "fresh"), Home.make(folder / "home", cache_folder())


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory, changing: tuple[Base, Home]) -> Scene:
    """An overlay with one editable for each way to build one, each with a part of every kind of namespace package."""
    base, home = changing
    root = tmp_path_factory.mktemp("spaces")
    for build, (requires, backend, settings, source) in BUILDS.items():
        names = [f"{build}_{kind}" for kind in KINDS]
        project = root / build
        for name, init in zip(names, KINDS.values(), strict=True):
            (project / source / name / "mine").mkdir(parents=True)
            (project / source / name / "mine/__init__.py").write_text("")
            (project / source / name / "mine/sub.py").write_text("")
            own = {f"{name}/mine/__init__.py": "", f"{name}/mine/only_base.py": ""}
            top = {} if init is None else {f"{name}/__init__.py": init}
            if name.endswith("own"):
                add_distribution(base.site_packages, f"{build}-it", {**own, **top, f"{name}/other/__init__.py": ""})
                continue
            add_distribution(base.site_packages, f"{name}-old", own)
            add_distribution(base.site_packages, f"{name}-core", {**top, f"{name}/other/__init__.py": ""})
        (base.site_packages / f"{build}-nspkg.pth").write_text(make_nspkg(f"{build}_nspkg"))
        dotted = ", ".join(f'"{name}.mine"' for name in names)
        folders = ", ".join(f'"{name}"' for name in names)
        (project / "pyproject.toml").write_text(
            f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n\n[project]\nname = "{build}-it"\n'
            f'version = "1"\n\n{settings.format(dotted=dotted, folders=folders)}'
        )
    make_overlay(root, base, home.environ, *(root / build for build in BUILDS))
    (base.bin / "look").write_text(f"#!{base.python}\n{LOOK}")
    (base.bin / "look").chmod(0o755)
    make_overlay(root, base, home.environ, *(root / build for build in BUILDS))
    (root / "look_module.py").write_text(LOOK)
    return Scene(root, base, home, clean_env(home.environ, root, base))


def look(scene: Scene, way: str, names: str) -> dict[str, str | list[str] | None]:
    """What importing these names gives, in a Python that is started in this way."""
    child = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {LOOK!r}, *sys.argv[1:]]))"
    words: dict[str, list[str | Path]] = {
        "plain": [scene.python, "-c", LOOK],
        "child": [scene.python, "-c", child],
        "-m": [scene.python, "-m", "look_module"],
        "wrapper": [scene.root / ".venv/bin/look"],
    }
    program, *rest = words.get(way, [scene.python, way, "-c", LOOK])
    seen: dict[str, str | list[str] | None] = json.loads(
        run(Path(program), *rest, names, env=scene.env, cwd=scene.root if way == "-m" else Path("/"))
    )
    return seen


@pytest.mark.parametrize("way", WAYS)
def test_the_worktrees_part_of_a_namespace_package_wins(way: str, spaces: Scene) -> None:
    tops = [f"{build}_{kind}" for build in BUILDS for kind in KINDS]
    names = [f"{top}.{part}" for top in tops for part in ("mine", "mine.sub", "mine.only_base", "other")]
    seen = look(spaces, way, " ".join([*names, *tops]))
    for top in tops:
        inside = f"{spaces.root}/{top.partition('_')[0]}/"
        assert str(seen[f"{top}.mine"]).startswith(inside), (top, seen)
        assert str(seen[f"{top}.mine.sub"]).startswith(inside), (top, seen)
        assert seen[f"{top}.mine.only_base"] is None, (top, seen)
        if top.endswith("own"):
            assert seen[f"{top}.other"] is None, (top, seen)
            assert not any(str(place).startswith(str(spaces.base.prefix)) for place in seen[top] or ()), (top, seen)
        else:
            assert str(seen[f"{top}.other"]).startswith(str(spaces.base.prefix)), (top, seen)


def test_the_modules_of_a_namespace_package_are_proved(spaces: Scene) -> None:
    made = manifest.read_manifest(spaces.root / ".venv")
    assert made is not None
    for item in made.editables:
        build = Path(item.path).name
        assert set(item.modules) == {f"{build}_{kind}.mine" for kind in KINDS}
        assert len(item.places) == len(item.modules)


def test_a_namespace_package_that_the_overlay_makes_at_start(spaces: Scene) -> None:
    """Setuptools of old wrote the same file for an editable. Base's other parts are found behind it."""
    place = Path(run(spaces.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", env=spaces.env))
    file = place / "path-nspkg.pth"
    try:
        for kind in ("nspkg", "pep420", "pkgutil"):
            text = make_nspkg(f"path_{kind}").replace(
                "sys._getframe(1).f_locals['sitedir']", f"'{spaces.root}/path/src'"
            )
            file.write_text(text)
            for way in ("plain", "-I"):
                seen = look(spaces, way, f"path_{kind}.mine path_{kind}.other")
                assert str(seen[f"path_{kind}.mine"]).startswith(f"{spaces.root}/path/"), (kind, way, seen)
                assert str(seen[f"path_{kind}.other"]).startswith(str(spaces.base.prefix)), (kind, way, seen)
    finally:
        file.unlink()


# --- other ways in ------------------------------------------------------------------------------------


def test_a_zip_archive_of_the_base(changing: tuple[Base, Home], tmp_path: Path) -> None:
    base, home = changing
    project = make_project(tmp_path / "wt", "setuptools-src", "worktree", name="zipped")
    archive = base.prefix / "zipped.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("zipped/__init__.py", "zipped/old.py", "beside.py"):
            file.writestr(name, "")
    (base.site_packages / "zipped.pth").write_text(f"{archive}\n")
    make_overlay(project, base, home.environ, project)
    env = clean_env(home.environ, project, base)
    python = project / ".venv/bin/python"
    assert run(python, "-c", "import beside; print(beside.__file__)", env=env) == f"{archive}/beside.py"

    (project / "src/zipped").rename(project / "src/renamed")  # another branch

    for words in (["-c", "import zipped"], ["-c", "from zipped import old"], ["-m", "zipped.old"]):
        done = subprocess.run([python, *words], env=env, cwd="/", capture_output=True, text=True)
        assert done.returncode == 1
        assert "No module named 'zipped'" in done.stderr
    look = "from importlib.machinery import PathFinder as P; print(P.find_spec('zipped'))"
    assert run(python, "-c", look, env=env) == "None"


def test_plugins_that_the_bases_copy_has(changing: tuple[Base, Home], tmp_path: Path) -> None:
    """Of what the overlay has itself, the base's metadata don't count, neither for plugins nor for versions."""
    base, home = changing
    project = make_project(tmp_path / "wt", "setuptools-src", "worktree", name="with_plugin")
    plugins = "[pytest11]\nleft = with_plugin_left\n"
    files = {"with_plugin_left.py": "", "with_plugin-0.5.dist-info/entry_points.txt": plugins}
    add_distribution(base.site_packages, "with_plugin", files)
    others = {"an_other.py": "", "an_other-0.5.dist-info/entry_points.txt": "[pytest11]\nother = an_other\n"}
    add_distribution(base.site_packages, "an-other", others)
    make_overlay(project, base, home.environ, project)
    env = clean_env(home.environ, project, base)
    text = f"""
from importlib import metadata
found = list(metadata.distributions())
print([each.version for each in found if each.metadata["Name"].replace("_", "-") == "with-plugin"])
print([point.name for each in found for point in each.entry_points if point.name in ("left", "other")])
print(len(list(metadata.distributions(name="with-plugin"))), metadata.version("with-plugin"))
print(len(list(metadata.distributions(name="with-plugin", path=[{str(base.site_packages)!r}]))))
"""
    for flags in ((), ("-I",)):
        said = run(project / ".venv/bin/python", *flags, "-c", text, env=env)
        assert said.splitlines() == ["['1.0']", "['other']", "1 1.0", "1"]
    (project / "test_it.py").write_text("def test():\n    pass\n")
    run(project / ".venv/bin/pytest", "-q", "test_it.py", env=env, cwd=project)


# --- bases of several layers --------------------------------------------------------------------------

PATH = "import json, sys; print(json.dumps(sys.path))"


def test_a_base_of_several_layers_keeps_its_own_order(tmp_path: Path, base: Base, home: Home) -> None:
    lower = copy_base(base, tmp_path / "miniforge3", "lower")
    upper = tmp_path / "upper"
    run(lower.python, "-m", "venv", "--without-pip", "--system-site-packages", upper, env=home.environ)
    (site,) = (upper / "lib").glob("python*/site-packages")
    places = {name: tmp_path / name for name in ("checkout", "egg", "develop", "below", "egg_below")}
    for name, place in places.items():
        place.mkdir()
        (place / "thing.py").write_text(f"WHERE = '{name}'\n")
    (lower.site_packages / "thing.py").write_text("WHERE = 'lower'\n")
    (site / "checkout.pth").write_text(f"{places['checkout']}\n")  # comes before the lower layer
    shared = (
        "import sys; sys.__plen = len(sys.path)\n{place}\n"
        "import sys; new=sys.path[sys.__plen:]; del sys.path[sys.__plen:]; p=getattr(sys,'__egginsert',0); "
        "sys.path[p:p]=new; sys.__egginsert = p+len(new)\n"
    )
    (site / "easy-install.pth").write_text(shared.format(place=places["egg"]))
    (site / "thing.egg-link").write_text(f"{places['egg']}\n.")
    (lower.site_packages / "conda.pth").write_text(f"{places['below']}\n")
    (lower.site_packages / "easy-install.pth").write_text(shared.format(place=places["egg_below"]))
    (tmp_path / "wt").mkdir()
    whole = Base("upper", upper, upper)

    make_overlay(tmp_path / "wt", whole, home.environ)

    env = clean_env(home.environ, tmp_path / "wt", whole)
    for flags in ((), ("-I",), ("-P",)):
        own = json.loads(run(upper / "bin/python", *flags, "-c", PATH, env=env))
        ours = json.loads(run(tmp_path / "wt/.venv/bin/python", *flags, "-c", PATH, env=env))
        assert [entry for entry in ours if entry not in own] == [str(tmp_path / "wt/.venv" / site.relative_to(upper))]
        added = [entry for entry in own if entry.startswith(str(tmp_path)) and "/lib/python3" not in entry]
        added += [str(site), str(lower.site_packages)]
        assert [entry for entry in ours if entry in added] == [entry for entry in own if entry in added], flags
        assert run(tmp_path / "wt/.venv/bin/python", *flags, "-c", "import thing; print(thing.WHERE)", env=env) == "egg"


def test_an_overlay_as_base(tmp_path: Path, spaces: Scene) -> None:
    """its own `.pth` file calls its own bootstrap, in ours."""
    first = make_project(tmp_path / "first", "setuptools-flat", "first", name="first")
    make_overlay(first, spaces.base, spaces.home.environ, first)
    as_base = Base("first", first / ".venv", first / ".venv")
    second = make_project(tmp_path / "second", "setuptools-flat", "second", name="second")
    make_overlay(second, as_base, spaces.home.environ, second)
    env = clean_env(spaces.home.environ, second, as_base)
    text = "import first, second, numpy, sys; print(first.WHERE, second.WHERE, len(sys.path) == len(set(sys.path)))"
    assert run(second / ".venv/bin/python", "-I", "-c", text, env=env) == "first second True"


# --- editables that build themselves when they are imported -------------------------------------------


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The system's programs, less those that builds are run by."""
    folder = tmp_path_factory.mktemp("few")
    for place in ("/usr/bin", "/bin"):
        for name in os.listdir(place):
            if name not in ("cmake", "ninja", "ninja-build", "samu", "meson") and not os.path.lexists(folder / name):
                (folder / name).symlink_to(f"{place}/{name}")
    return folder


def make_rebuilding(project: Path, backend: str) -> Path:
    make_project(project, backend, "worktree")
    if backend == "scikit-build-core":
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.15)\nproject(pkg LANGUAGES NONE)\n"
            'file(WRITE ${CMAKE_BINARY_DIR}/made.py "")\ninstall(FILES ${CMAKE_BINARY_DIR}/made.py DESTINATION pkg)\n'
        )
        settings = '[tool.scikit-build]\nbuild-dir = "build"\neditable.mode = "redirect"\neditable.rebuild = true\n'
        text = (project / "pyproject.toml").read_text()
        (project / "pyproject.toml").write_text(text.replace("[tool.scikit-build]\n", settings))
    return project


@pytest.mark.parametrize(("backend", "module"), [("meson-python", "pkg.sub"), ("scikit-build-core", "pkg.made")])
def test_what_builds_itself_at_import_has_its_tools(
    backend: str, module: str, few: Path, base: Base, home: Home, tmp_path: Path
) -> None:
    root = make_rebuilding(tmp_path / "wt", backend)
    environ = {**home.environ, "PATH": str(few)}

    with pytest.raises(WtenvError, match=r"import pkg.* would fail: .*(ninja|cmake)") as refused:
        make_overlay(root, base, environ, root, build_isolation=True)
    assert refused.value.fix == 'set build_isolation = "auto" and run: wtenv sync'
    assert "ninja" in make_overlay(root, base, environ, root).installed

    env = clean_env(environ, root, base)
    for flags in ((), ("-I",)):
        text = f"import {module}; print({module}.__file__)"
        assert str(tmp_path) in run(root / ".venv/bin/python", *flags, "-c", text, env=env)
    if backend == "meson-python":  # what the build is told by has changed: meson itself runs again
        (root / "pkg/new.py").write_text("")
        (root / "meson.build").write_text((root / "meson.build").read_text().replace("'pkg/sub.py'", "'pkg/new.py'"))
        run(root / ".venv/bin/python", "-c", "import pkg.new", env=env)
        (root / "meson.build").write_text((root / "meson.build").read_text().replace("'pkg/new.py'", "'pkg/sub.py'"))
    assert not make_overlay(root, base, environ, root).changed


# --- editables that are built with one another --------------------------------------------------------

BACKEND = """
import os, zipfile

WHOSE = "declared"


def _write(folder, name, files):
    info = f"{name}-1.0.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n"
    if name == "helper":
        files[f"{info}/METADATA"] += "Requires-Dist: backend\\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(os.path.join(folder, f"{name}-1.0-py3-none-any.whl"), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return f"{name}-1.0-py3-none-any.whl"


def build_wheel(folder, settings=None, metadata=None):
    return _write(folder, "backend", {"backend.py": open("backend.py").read()})


def build_editable(folder, settings=None, metadata=None):
    name = os.path.basename(os.getcwd())
    return _write(folder, name, {f"{name}.pth": os.getcwd() + "\\n", f"{name}_built_by.txt": WHOSE})
"""


@pytest.mark.parametrize("isolation", ["auto", True])
def test_the_declared_package_is_also_what_another_is_built_with(
    isolation: bool, changing: tuple[Base, Home], tmp_path: Path
) -> None:
    base, home = changing
    index = tmp_path / "index"  # has packages of strangers
    index.mkdir()
    scope: dict[str, Callable[..., str]] = {}
    exec(BACKEND, scope)
    scope["_write"](index, "backend", {"backend.py": BACKEND.replace("declared", "stranger's")})
    scope["_write"](index, "helper", {"helper.py": "from backend import *\n"})
    projects = {
        "first": '["backend"]\nbuild-backend = "backend"',
        "backend": '[]\nbuild-backend = "backend"\nbackend-path = ["."]',
        "through": '["helper"]\nbuild-backend = "helper"',  # what the helper itself requires is declared
    }
    for name, build in projects.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text("")
        (tmp_path / name / "pyproject.toml").write_text(
            f'[build-system]\nrequires = {build}\n[project]\nname = "{name}"\nversion = "1.0"\n'
        )
    environ = {**home.environ, "UV_FIND_LINKS": str(index), "UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "cache")}
    for whose in ("declared", "declared, edited"):
        (tmp_path / "backend/backend.py").write_text(BACKEND.replace("declared", whose, 1))
        folders = [tmp_path / name for name in projects]
        make_overlay(tmp_path, base, environ, *folders, build_isolation=isolation, reinstall=True)
        for name in projects:
            (text,) = (tmp_path / ".venv").rglob(f"{name}_built_by.txt")
            assert text.read_text() == whose, name


# --- who looks for modules in other ways --------------------------------------------------------------

FRONT = """
import importlib.util, sys

class Front:
    @staticmethod
    def find_spec(name, path=None, target=None):
        place = {"asked": "asked/__init__.py", "asked.only_base": "asked/only_base.py"}.get(name)
        return place and importlib.util.spec_from_file_location(name, "FOLDER/" + place)

sys.meta_path.insert(0, Front)
"""
ASK = """
import importlib.machinery, importlib.util, json, pkgutil, runpy, sys
def name(find, *words):
    try:
        spec = find(*words)
    except ModuleNotFoundError:
        return None
    return getattr(spec, 'origin', spec)
base = BASE
print(json.dumps([
    name(importlib.machinery.PathFinder.find_spec, 'asked'),
    name(importlib.machinery.PathFinder.find_spec, 'asked', [base]),
    name(pkgutil.get_importer(base).find_spec, 'asked'),
    name(importlib.util.find_spec, 'asked.only_base'),
    name(importlib.util.find_spec, 'asked'),
]))
"""


def test_whoever_asks_and_whatever_finder_the_base_has(changing: tuple[Base, Home], tmp_path: Path) -> None:
    """Pytest asks PathFinder itself when it rewrites a plugin; other distributions' finders may know the name, too."""
    base, home = changing
    site = base.site_packages
    add_distribution(site, "asked", {"asked/__init__.py": "", "asked/only_base.py": ""})
    add_distribution(
        site, "front", {"front_finder.py": FRONT.replace("FOLDER", str(site)), "front.pth": "import front_finder"}
    )
    root = make_project(tmp_path / "wt", "setuptools-flat", "worktree", name="asked")
    try:
        make_overlay(root, base, home.environ, root)
        scene = Scene(root, base, home, clean_env(home.environ, root, base))
        text = ASK.replace("BASE", repr(str(site)))
        for flags in ((), ("-I",)):
            seen = json.loads(run(scene.python, *flags, "-c", text, env=scene.env))
            assert seen == [None, None, None, None, str(root / "asked/__init__.py")], flags
        plugin = ["-p", "asked.sub", "-p", "no:cacheprovider", "--co", "-q"]
        (tmp_path / "test_it.py").write_text(
            f"import asked\nassert asked.__file__.startswith({str(root)!r})\ndef test_it(): ..."
        )
        run(root / ".venv/bin/pytest", *plugin, tmp_path / "test_it.py", env=scene.env, cwd=tmp_path)

        (root / "asked").rename(root / "gone")
        for words in (["-c", "import asked"], ["-m", "asked"], ["-m", "asked.sub"], ["-c", "import asked.only_base"]):
            done = subprocess.run(
                [scene.python, *words], env=scene.env, cwd="/", capture_output=True, text=True, check=False
            )
            assert (done.returncode, "run: wtenv sync" in done.stderr) == (1, True), (words, done.stderr)
    finally:
        (site / "front.pth").unlink()


# --- other layouts ------------------------------------------------------------------------------------

SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
FLIT = '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
# name -> backend; what the worktree has, before and after a checkout; where the import comes from after a sync
LAYOUTS: dict[str, tuple[str, str, str, str]] = {
    "setuptools, src to flat": (SETUPTOOLS, "src/laid/__init__.py", "laid/__init__.py", "laid"),
    "setuptools, flat to src": (SETUPTOOLS, "laid/__init__.py", "src/laid/__init__.py", "laid"),
    "hatchling, src to flat": (HATCHLING, "src/laid/__init__.py", "laid/__init__.py", "laid"),
    "flit, flat to src": (FLIT, "laid/__init__.py", "src/laid/__init__.py", "laid"),
    "setuptools, another name": (SETUPTOOLS, "src/laid/__init__.py", "src/relaid/__init__.py", "relaid"),
    "setuptools, module to package": (SETUPTOOLS, "src/laid.py", "src/laid/__init__.py", "laid"),
    "hatchling, namespace to package": (HATCHLING, "src/laid/part/__init__.py", "src/laid/__init__.py", "laid"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_layout_is_right_or_an_error(layout: str, changing: tuple[Base, Home], tmp_path: Path) -> None:
    base, home = changing
    backend, before, after, module = LAYOUTS[layout]
    copy = {"laid/__init__.py": '"""Base\'s."""\n__version__ = "0"\n', "laid/part/__init__.py": "", "laid_too.py": ""}
    add_distribution(base.site_packages, "laid", copy)
    root = tmp_path / "wt"
    settings = ""
    if backend == HATCHLING:
        settings = '[tool.hatch.build.targets.wheel]\npackages = ["src/laid"]\n'
    (root / before).parent.mkdir(parents=True)
    (root / before).write_text('"""Worktree\'s."""\n__version__ = "1"\n')
    (root / "pyproject.toml").write_text(
        f'{backend}[project]\nname = "laid"\nversion = "1"\ndescription = "for tests"\n{settings}'
    )
    make_overlay(root, base, home.environ, root)
    scene = Scene(root, base, home, clean_env(home.environ, root, base))
    old = before.removeprefix("src/").removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
    assert look(scene, "-I", f"{old} laid_too") == {old: str(root / before), "laid_too": None}

    # As `git checkout` of a tag does.
    shutil.rmtree(root / before.partition("/")[0])
    (root / after).parent.mkdir(parents=True)
    (root / after).write_text('"""Worktree\'s."""\n__version__ = "1"\n')
    if "flat" in layout.partition(" to ")[2] and settings:
        text = (root / "pyproject.toml").read_text().replace('"src/laid"', '"laid"')
        (root / "pyproject.toml").write_text(text)

    still = "laid" in (module, old) and before.replace(".py", "/__init__.py") == after  # a path, which has it at once
    for way in ("plain", "-I", "-P", "child"):
        if still:
            assert look(scene, way, old)[old] == str(root / after)
        else:
            assert look(scene, way, f"{old} {old}.part laid_too") == dict.fromkeys((old, f"{old}.part", "laid_too"))
    if not still:
        done = subprocess.run(
            [scene.python, "-c", f"import {old}"], env=scene.env, cwd="/", capture_output=True, text=True, check=False
        )
        last = done.stderr.splitlines()[-1]
        assert (f"No module named '{old}'" in last, "run: wtenv sync" in last) == (True, True), done.stderr
    verdict = state.inspect(root / ".venv", base_prefix=base.prefix, editables=[root], env=home.environ)
    assert (verdict.kind, verdict.fix) == ("stale", "run: wtenv sync")

    make_overlay(root, base, home.environ, root)

    assert look(scene, "-I", f"{module} laid_too") == {module: str(root / after), "laid_too": None}
    if module != old and not module.startswith(old):
        assert look(scene, "-I", old) == {old: None}
    assert not make_overlay(root, base, home.environ, root).changed
