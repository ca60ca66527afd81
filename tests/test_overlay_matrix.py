"""The worktree's copy wins: every build backend against every kind of copy that a base may hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from overlay_projects import BACKENDS, clean_env, easy_install, install, make_overlay, make_project, run
from realbase import Base, cache_folder, copy_base
from workspace import Home

CONTENTS = ("nothing", "normal", "path", "finder", "redirector", "easy-install", "skbuild", "meson")

LOOK = """
import importlib, importlib.metadata, importlib.util, json, sys
seen = {}
for name in sys.argv[1:]:
    try:
        if name in ('pytest', 'numpy'):
            seen[name] = importlib.util.find_spec(name).origin
        else:
            seen[name] = importlib.import_module(name).__file__
    except ModuleNotFoundError as error:
        seen[name] = None
seen['version'] = importlib.metadata.version('pkg')
seen['metadata'] = [d.version for d in importlib.metadata.distributions(name='pkg')][:1]
print(json.dumps(seen))
"""


def listing(base: Base) -> dict[str, tuple[int, int, str]]:
    """The base's files, less the bytecode that Python itself keeps beside modules."""
    return {name: state for name, state in base.snapshot().items() if "__pycache__" not in name}


ELSEWHERE = ("pytest", "numpy", "other_path.sub", "other_finder.sub")  # what the base has besides


@pytest.fixture(scope="module")
def base_with(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Callable[[str], tuple[Base, Home]]:
    """Bases that hold a copy of `pkg` in some way, and two editables of other packages."""
    made: dict[str, tuple[Base, Home]] = {}

    def get(content: str) -> tuple[Base, Home]:
        if content in made:
            return made[content]
        folder = tmp_path_factory.mktemp(content)
        home = Home.make(folder / "home", cache_folder())
        fresh = copy_base(base, folder / "miniforge3", "fresh")
        for name, backend in (("other_path", "setuptools-src"), ("other_finder", "setuptools-flat")):
            install(fresh, home.environ, "-e", make_project(folder / name, backend, "base", name=name, version="3"))
        project = folder / "checkout"
        match content:
            case "normal":
                install(fresh, home.environ, make_project(project, "setuptools-flat", "base", version="0.5"))
            case "path":
                install(fresh, home.environ, "-e", make_project(project, "hatchling", "base", version="0.5"))
            case "finder":
                install(fresh, home.environ, "-e", make_project(project, "setuptools-flat", "base", version="0.5"))
            case "redirector":
                install(fresh, home.environ, "-e", make_project(project, "hatchling-exact", "base", version="0.5"))
            case "easy-install":
                easy_install(fresh, make_project(project, "setup.py", "base", version="0.5"))
            case "skbuild" | "meson":
                backend = {"skbuild": "scikit-build-core", "meson": "meson-python"}[content]
                made_project = make_project(project, backend, "base", version="0.5")
                install(fresh, home.environ, "-e", made_project, isolated=True)
        made[content] = (fresh, home)
        return made[content]

    return get


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("content", CONTENTS)  # the slower one: a base takes longer to make than a package
def test_the_worktrees_copy_wins(
    backend: str, content: str, base_with: Callable[[str], tuple[Base, Home]], tmp_path: Path
) -> None:
    base, home = base_with(content)
    root = make_project(tmp_path / "wt", backend, "worktree")
    before = listing(base)

    make_overlay(root, base, home.environ, root)

    env = clean_env(home.environ, root, base)
    inside = str(root) + "/"
    names = ("pkg", "pkg.sub", "pkg.only_worktree", "pkg.only_base", *ELSEWHERE)
    for flags in ((), ("-I",)):
        seen = json.loads(run(root / ".venv/bin/python", *flags, "-c", LOOK, *names, env=env))
        for name in names[:3]:
            assert (seen[name] or "").startswith(inside), (flags, name, seen)
        assert seen["pkg.only_base"] is None, (flags, seen)
        assert (seen["version"], seen["metadata"]) == ("1.0", ["1.0"])
        assert all(seen[name] for name in ELSEWHERE), (flags, seen)
        if content == "easy-install":
            assert run(root / ".venv/bin/python", *flags, "-c", "import easy_other; print(1)", env=env) == "1"
    assert run(root / ".venv/bin/pkg-cli", env=env).startswith(inside)
    # A test of the base's pytest imports the worktree's copy, and leaves the base as it was.
    (tmp_path / "test_it.py").write_text("import pkg\n\ndef test_it():\n    assert pkg.WHERE == 'worktree'\n")
    if content in ("normal", "finder"):
        run(root / ".venv/bin/pytest", "-q", "-p", "no:cacheprovider", tmp_path / "test_it.py", env=env, cwd=tmp_path)
    assert listing(base) == before
