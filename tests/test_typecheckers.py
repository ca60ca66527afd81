"""Type checkers beside wtenv: they read folders and run no import hook, and find what Python imports. Whatever the build
backend, mypy and pyright find the worktree's copy of a package of which the base has another, and Python imports the same
files as without what wtenv does for that."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from overlay_projects import add_distribution, clean_env, make_project, run
from realbase import Base, copy_base
from scenes import Scene, call, make_git, make_home, one_line, snapshot
from workspace import Repo

from wtenv.overlay import links, manifest

# module -> the backend of its package (by import hook: all but the first two)
BACKENDS = {
    "by_src": "setuptools-src",
    "by_hatch": "hatchling",
    "by_flat": "setuptools-flat",
    "by_exact": "hatchling-exact",
    "by_skbuild": "scikit-build-core",
    "by_meson": "meson-python",
}
OTHERS = ("single", "space.mine", "legacy.mine")  # modules of one more project, by setuptools' hook
MODULES = (*BACKENDS, *OTHERS)
BY_PATH = ("by_src", "by_hatch")
HERE = '"""The worktree\'s."""\n\nWHO: str = "here"\nONLY_HERE: int = 1\n'
BASE = '"""The base\'s."""\n\nWHO: bytes = b"base"\n'
EXTENDS = '__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n'
USE = "".join(f"import {name}\nreveal_type({name}.WHO)\nreveal_type({name}.ONLY_HERE)\n" for name in MODULES)
USE += "import space.other\nreveal_type(space.other.WHO)\nimport legacy.other\nreveal_type(legacy.other.WHO)\n"
EXPECTED = ["str", "int"] * len(MODULES) + ["bytes", "bytes"]


# One compiled module, by meson-python.
COMPILED = """\
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "core", 0, -1, 0};
PyMODINIT_FUNC PyInit_core(void) { return PyModule_Create(&module); }
"""
MESON = "py.extension_module('core', 'core.c', subdir: 'by_meson', install: true)\n"


def require_compiler() -> bool:
    if os.environ.get("CI") and not shutil.which("cc"):
        pytest.fail("no C compiler")
    return bool(shutil.which("cc"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Scene:
    """One overlay with an editable of each backend, on a base that has other copies of all of them."""
    folder = tmp_path_factory.mktemp("typecheckers")
    home = make_home(folder)
    root = make_git(folder, home)
    fresh = copy_base(base, folder / "miniforge3", "fresh")
    for name, backend in BACKENDS.items():
        project = make_project(root / name, backend, "worktree", name=name)
        write_module(find(root, name))
        if name == "by_meson" and require_compiler():
            (project / "core.c").write_text(COMPILED)
            text = (project / "meson.build").read_text()
            text = text.replace("(pure: true)", "(pure: false)").replace("version: '1.0'", "'c', version: '1.0'", 1)
            (project / "meson.build").write_text(text + MESON)
        add_distribution(fresh.site_packages, name, {f"{name}/__init__.py": BASE, f"{name}/py.typed": ""})
    for module in OTHERS:
        write_module(find(root, module))
    (root / "others/legacy/__init__.py").write_text(EXTENDS)
    (root / "others/pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n\n'
        '[project]\nname = "others"\nversion = "1.0"\n\n'
        '[tool.setuptools]\npy-modules = ["single"]\npackages = ["space.mine", "legacy", "legacy.mine"]\n'
    )
    for part in ("mine", "other"):
        files = {f"{space}/{part}/__init__.py": BASE for space in ("space", "legacy")}
        files |= {f"{space}/{part}/py.typed": "" for space in ("space", "legacy")}
        distribution = "others" if part == "mine" else "far"
        add_distribution(fresh.site_packages, distribution, files | ({"single.py": BASE} if part == "mine" else {}))
    (fresh.site_packages / "legacy/__init__.py").write_text(EXTENDS)
    packages = json.dumps([*BACKENDS, "others"])
    (root / "wtenv.toml").write_text(
        f'[python]\nbase_conda_env = "{fresh.prefix}"\n[editables]\npackages = {packages}\n'
    )
    for words in ("allow", "sync"):
        call(home, words, cwd=root, check=True)
    return Scene(home, Repo(root, root, "", home), fresh)


def write_module(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HERE)
    if file.name == "__init__.py":
        file.with_name("py.typed").touch()


def find(root: Path, module: str) -> Path:
    """The worktree's file of it."""
    if module in OTHERS:
        name = module.replace(".", "/")
        return root / "others" / (f"{name}.py" if module == "single" else f"{name}/__init__.py")
    inside = "src" if BACKENDS[module] in ("setuptools-src", "hatchling-exact", "scikit-build-core") else ""
    return root / module / inside / module / "__init__.py"


def check(command: list[str | Path], cwd: Path, env: Mapping[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is none of the packages', as that of another repository of a stack."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "use.py").write_text(USE)
    return folder


def test_mypy(scene: Scene, elsewhere: Path) -> None:
    words = [sys.executable, "-m", "mypy", "--python-executable", scene.root / ".venv/bin/python", "use.py"]
    said = check(words, elsewhere, scene.home.environ)
    at = 2 * MODULES.index("single")
    expected = [*EXPECTED[:at], "Any", "Any", *EXPECTED[at + 2 :]]  # of modules alone mypy takes no types (PEP 561)
    assert re.findall(r'Revealed type is "(?:builtins\.)?(\w+)', said) == expected, said


@pytest.mark.parametrize("way", ["interpreter", "venv", "path"])
def test_pyright(way: str, scene: Scene, elsewhere: Path) -> None:
    """Told the interpreter, as by VS Code, or in a shell where it is active, it asks that for the path; told `venv`, it
    reads `.pth` files."""
    env = clean_env(scene.home.environ, scene.root, scene.base) if way == "path" else scene.home.environ
    words: list[str | Path] = [Path(sys.executable).with_name("pyright"), "--outputjson"]
    words += ["--pythonpath", scene.root / ".venv/bin/python"] if way == "interpreter" else []
    place = {"venvPath": str(scene.root), "venv": ".venv"} if way == "venv" else {}
    (elsewhere / "pyrightconfig.json").write_text(json.dumps(place))
    said = check(words, elsewhere, env)
    assert re.findall(r'is \\"(\w+)\\"', said) == EXPECTED, said


def test_no_link_is_below_another_link(tmp_path: Path) -> None:
    """A project has a package, another one has a module in it: its link would be made in the first one's sources."""
    site = tmp_path / ".venv/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    made = manifest.Manifest("", str(tmp_path), str(tmp_path / ".venv"), "", "", "", "3.11.7", (str(site),), "", ())
    items = []
    for name, modules in {"a": ("spam", "space.mine"), "b": ("spam.plugin", "spam.deep.er", "space.other")}.items():
        places = [tmp_path / name / module.replace(".", "/") / "__init__.py" for module in modules]
        for place in places:
            write_module(place)
        items.append(manifest.Editable(f"{tmp_path}/{name}", name, "1", "", modules, (), (*map(str, places),)))
    made = made._replace(editables=tuple(items))
    before = snapshot(tmp_path / "a", tmp_path / "b")
    assert links.refresh(made)
    assert not links.refresh(made)
    assert snapshot(tmp_path / "a", tmp_path / "b") == before
    assert sorted(links.scan(links.locate(made))) == ["space/mine", "space/other", "spam"]
    assert links.find_unlinked(made) == ([], ["spam.plugin", "spam.deep.er"])
    made = made._replace(editables=made.editables[1:])
    assert links.refresh(made)
    assert sorted(links.scan(links.locate(made))) == ["space/other", "spam/deep/er", "spam/plugin"]


# --- Python imports what it imports without them ------------------------------------------------------

LOOK = """
import importlib, importlib.machinery, importlib.util, inspect, json, pkgutil, sys
names = sys.argv[1].split()
modules = {name: importlib.import_module(name) for name in names}
print(json.dumps({
    "files": {name: module.__file__ for name, module in modules.items()},
    "sources": {name: inspect.getsourcefile(module) for name, module in modules.items()},
    "specs": {name: importlib.util.find_spec(name).origin for name in names},
    "paths": {name: list(getattr(module, "__path__", ())) for name, module in modules.items()},
    "finder": [spec and spec.origin for spec in map(importlib.machinery.PathFinder.find_spec, names)],
    "listed": [finder.path for finder, _, _ in pkgutil.iter_modules() if hasattr(finder, "path")],
    "importers": [str(importer) for importer in map(pkgutil.get_importer, sys.path) if importer],
}))
"""


@pytest.mark.parametrize("way", ["plain", "-I", "-E", "child", "pytest"])
def test_python_imports_the_real_files(way: str, scene: Scene, tmp_path: Path) -> None:
    env = clean_env(scene.home.environ, scene.root, scene.base)
    python, names = scene.root / ".venv/bin/python", " ".join(MODULES)
    if way == "child":
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LOOK!r}, {names!r}], check=True)"
        said = run(python, "-c", code, env=env)
    elif way == "pytest":  # its rewriting of assertions asks PathFinder alone
        (tmp_path / "test_it.py").write_text(
            f"import sys\n\npytest_plugins = {MODULES!r}\n\n\ndef test_it():\n    sys.argv[1:] = [{names!r}]\n"
            f"    exec({LOOK!r}, {{}})\n"
        )
        said = run(
            scene.root / ".venv/bin/pytest", "-qs", "-p", "no:cacheprovider", "test_it.py", env=env, cwd=tmp_path
        )
        said = said[said.index("{") : said.rindex("}") + 1]
    else:
        said = run(python, *([] if way == "plain" else [way]), "-c", LOOK, names, env=env)
    seen = json.loads(said)
    real = {name: str(find(scene.root, name)) for name in MODULES}
    assert seen["files"] == seen["sources"] == seen["specs"] == real
    assert links.FOLDER not in said.replace(f'{links.FOLDER}"', ""), said
    assert not [path for path in seen["finder"] if path and path not in real.values()], seen["finder"]


def test_a_base_that_is_an_overlay(scene: Scene, tmp_path: Path) -> None:
    """Nor is anything found in its links: its packages are imported from where they are."""
    root = make_git(tmp_path, scene.home)
    (root / "wtenv.toml").write_text(f'[python]\nbase_prefix = "{scene.root}/.venv"\n')
    for words in ("allow", "sync"):
        call(scene.home, words, cwd=root, check=True)
    code = "import by_flat, single; print(by_flat.__file__, single.__file__)"
    said = run(root / ".venv/bin/python", "-c", code, env=scene.home.environ)
    assert said.split() == [str(find(scene.root, name)) for name in ("by_flat", "single")]


# --- what wtenv made is as wtenv made it ---------------------------------------------------------------


def get_links(scene: Scene) -> dict[str, str]:
    found = manifest.read_manifest(scene.root / ".venv")
    assert found
    folder = Path(links.locate(found))
    return {str(path.relative_to(folder)): os.readlink(path) for path in folder.rglob("*") if path.is_symlink()}


def test_what_is_linked(scene: Scene) -> None:
    """What no folder of the path has, and nothing else."""
    others = scene.root / "others"
    assert get_links(scene) == {
        **{name: str(find(scene.root, name).parent) for name in ("by_flat", "by_exact", "by_meson")},
        "single.py": f"{others}/single.py",
        "space/mine": f"{others}/space/mine",
        "legacy/mine": f"{others}/legacy/mine",
        "legacy/__init__.py": f"{others}/legacy/__init__.py",
    }


def test_a_sync_with_nothing_to_do_does_nothing(scene: Scene) -> None:
    before = snapshot(scene.root / ".venv")
    scene("sync", check=True)
    assert snapshot(scene.root / ".venv") == before


@pytest.mark.parametrize("change", ["replaced", "folder", "removed", "added", "all", "elsewhere"])
def test_what_changed_in_it_is_noticed_and_put_right(change: str, scene: Scene, tmp_path: Path) -> None:
    wanted = get_links(scene)
    site = next((scene.root / ".venv/lib").glob("python*/site-packages"))
    link = site / links.FOLDER / "by_flat"
    if change in ("replaced", "folder", "removed"):
        link.unlink()
    match change:
        case "replaced":
            link.symlink_to(tmp_path)
        case "folder":
            shutil.copytree(find(scene.root, "by_flat").parent, link)
        case "added":
            (link.parent / "more.py").write_text("")
        case "all" | "elsewhere":
            shutil.rmtree(link.parent)
    if change == "elsewhere":
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/by_flat").symlink_to("/")
        link.parent.symlink_to(tmp_path / "mine")
    said = one_line(scene("run", "--no-sync", "true"))
    name = {"added": "more.py", "all": "", "elsewhere": ""}.get(change, "by_flat")
    assert f"{links.FOLDER}/{name}".rstrip("/") in said and said.endswith("run: wtenv sync"), said
    scene("sync", check=True)
    assert get_links(scene) == wanted
    assert change != "elsewhere" or os.readlink(tmp_path / "mine/by_flat") == "/"  # not wtenv's
    scene("run", "--no-sync", "true", check=True)


def test_what_python_compiles_in_it_is_no_change(scene: Scene) -> None:
    """`python -m compileall` goes through all folders of the path."""
    wanted = get_links(scene)
    folder = next((scene.root / ".venv/lib").glob("python*/site-packages")) / links.FOLDER
    scene("run", "python", "-m", "compileall", "-q", "-r", "2", folder, check=True)
    assert sorted(path.parent.name for path in folder.rglob("*.pyc")) == ["__pycache__"] * 2
    scene("run", "--no-sync", "true", check=True)
    (folder / "single.py").unlink()
    scene("sync", check=True)
    assert get_links(scene) == wanted
    assert not list(folder.rglob("*.pyc"))


def test_what_git_tracks_in_it_is_noticed(scene: Scene) -> None:
    place = next((scene.root / ".venv/lib").glob("python*/site-packages")) / links.FOLDER / "by_flat"
    scene.repo.git("add", "--force", place)
    try:
        assert "git tracks" in one_line(scene("sync"))
    finally:
        scene.repo.git("rm", "-qf", "--cached", place)
    scene("run", "--no-sync", "true", check=True)


def test_what_the_doctor_says(scene: Scene) -> None:
    if not require_compiler():
        pytest.skip("no C compiler")
    facts = json.loads(scene("doctor", "--json").stdout)
    (found,) = [item for item in facts["findings"] if item["check"] == "editors"]
    assert (found["state"], "core.cpython" in found["finding"]) == ("note", True), found
    stub = find(scene.root, "by_meson").with_name("core.pyi")
    assert found["fix"].endswith(": core.pyi")
    stub.touch()
    try:
        facts = json.loads(scene("doctor", "--json").stdout)
        assert [item["state"] for item in facts["findings"] if item["check"] == "editors"] == ["ok"]
    finally:
        stub.unlink()


def test_what_is_no_longer_declared_has_no_link(scene: Scene) -> None:
    """The last one here: it takes the packages away, and then the overlay."""
    text = (scene.root / "wtenv.toml").read_text()
    (scene.root / "wtenv.toml").write_text(text.replace('"by_flat", ', "").replace(', "others"', ""))
    scene("allow", check=True)
    scene("sync", check=True)
    assert sorted(get_links(scene)) == ["by_exact", "by_meson"]
    (scene.root / "wtenv.toml").write_text(re.sub("packages = .*", 'packages = ["by_src"]', text))
    scene("allow", check=True)
    scene("sync", check=True)
    assert get_links(scene) == {}
    assert not list((scene.root / ".venv").rglob(links.FOLDER))
    assert links.FOLDER not in run(scene.root / ".venv/bin/python", "-c", "import sys; print(sys.path)", env={})
    (scene.root / "wtenv.toml").write_text(re.sub("packages = .*", 'packages = ["by_exact"]', text))
    scene("allow", check=True)
    scene("sync", check=True)
    assert len(get_links(scene)) == 1
    scene("clean", check=True)
    assert not (scene.root / ".venv").exists()
    assert all(find(scene.root, name).exists() for name in MODULES)
