"""Kept builds: a second worktree reuses what the first one built, where that is provably the same."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from overlay_projects import BACKENDS, clean_env, make_overlay, make_project, run
from realbase import Base
from workspace import Home

from wtenv.errors import WtenvError
from wtenv.overlay import building, reuse
from wtenv.overlay import manifest as manifests
from wtenv.overlay.project import read_project
from wtenv.overlay.state import inspect

KEPT = ("setuptools-src", "setuptools-flat", "hatchling", "flit", "uv_build")


def kept(home: Home) -> list[Path]:
    return sorted((home.path / ".cache/wtenv/builds").glob("*.json"))


def listing(root: Path) -> dict[str, str]:
    """The overlay's own files by name, with this worktree's place taken out."""
    found = {}
    for path in sorted((root / ".venv").rglob("*")):
        inside = str(path.relative_to(root))
        if path.is_file() and not path.is_symlink() and "__pycache__" not in inside:
            found[inside] = f"{path.stat().st_mode:o} " + path.read_text().replace(str(root), "ROOT")
    for name in [name for name in found if name.endswith(("wtenv.json", "pyvenv.cfg", "uv_cache.json", ".lock"))]:
        del found[name]
    for name, text in found.items():
        if name.endswith("RECORD"):  # rows in another order, hashes of other texts
            rows = [row.split(",")[0] for row in text.splitlines() if "uv_cache.json" not in row]
            found[name] = "\n".join(sorted(rows))
    return found


@pytest.mark.parametrize("backend", KEPT)
def test_the_second_worktree_builds_nothing(backend: str, tmp_path: Path, base: Base, home: Home) -> None:
    first = make_project(tmp_path / "first", backend, "worktree")
    make_overlay(first, base, home.environ, first)
    assert len(kept(home)) == 1
    second = make_project(tmp_path / "a-longer-name/first", backend, "worktree")
    said: list[str] = []
    assert make_overlay(second, base, {**home.environ, "PATH": "/nonexistent"}, second, said=said).installed == ("pkg",)
    assert said == []
    env = clean_env(home.environ, second, base)
    look = "import pkg, pkg.sub, importlib.metadata as m; print(pkg.__file__, m.version('pkg'), len(m.files('pkg')))"
    where, version, files = run(second / ".venv/bin/python", "-c", look, env=env).split()
    assert (where.startswith(str(second)), version, int(files) > 4) == (True, "1.0", True)
    assert run(second / ".venv/bin/pkg-cli", env=env).startswith(str(second))
    # The same as a build would have given.
    third = make_project(tmp_path / "third/first", backend, "worktree")
    make_overlay(third, base, home.environ, third, reinstall=True)
    assert listing(second) == listing(third)
    # uv knows it as its own: it goes as it came.
    make_overlay(second, base, home.environ)
    assert not (second / ".venv/bin/pkg-cli").exists()
    assert not [path for path in (second / ".venv").rglob("*pkg*") if path.suffix != ".pyc"]


CHANGES: dict[str, Callable[[Path], object]] = {
    "settings": lambda root: append(root / "pyproject.toml", "# one more line\n"),
    "a new module": lambda root: (root / "src/pkg/new.py").write_text(""),
    "a new package": lambda root: make_project(root / "src/more", "setup.py", "x", name="more"),
    "a top-level module": lambda root: (root / "conftest.py").write_text(""),
    "what git ignores": lambda root: (root / ".gitignore").write_text("build\n"),
    "uv's settings": lambda root: be_strict(root.parent / "home"),
    "a linked package": lambda root: (root / "src/linked").symlink_to("pkg"),
    "a licence": lambda root: (root / "LICENSE").write_text("free"),
    "setup.py": lambda root: (root / "setup.py").write_text("from setuptools import setup\nsetup()\n"),
    "setup.cfg": lambda root: (root / "setup.cfg").write_text("[egg_info]\ntag_build = dev\n"),
}


def be_strict(home: Path) -> None:
    """In the user's settings of uv."""
    (home / ".config/uv").mkdir(parents=True)
    (home / ".config/uv/uv.toml").write_text('config-settings = {editable_mode = "strict"}\n')


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_build_reads_is_in_the_key(change: str, tmp_path: Path, base: Base, home: Home) -> None:
    first = make_project(tmp_path / "first", "setuptools-src", "worktree")
    make_overlay(first, base, home.environ, first)
    second = make_project(tmp_path / "second", "setuptools-src", "worktree")
    CHANGES[change](second)
    said: list[str] = []
    make_overlay(second, base, home.environ, second, said=said)
    assert any("Building" in line for line in said), said


SETTINGS = {
    "a computed version": ('version = "1.0"', 'dynamic = ["version"]'),
    "computed dependencies": ("[project.scripts]", 'dynamic = ["dependencies"]\n[project.scripts]'),
    "another backend": ('build-backend = "hatchling.build"', 'build-backend = "other.build"'),
    "a plugin": ('requires = ["hatchling"]', 'requires = ["hatchling", "hatch-vcs"]'),
    "a backend of its own": ("[project]", 'backend-path = ["."]\n\n[project]'),
    "a build hook": ("[project.scripts]", "[tool.hatch.build.hooks.custom]\n[project.scripts]"),
    "files from elsewhere": ("[project.scripts]", '[tool.hatch.build.force-include]\n"x" = "y"\n[project.scripts]'),
    "metadata from elsewhere": (
        "[project.scripts]",
        "[tool.hatch.build.targets.wheel.extra-metadata]\n[project.scripts]",
    ),
    "scripts from elsewhere": (
        "[project.scripts]",
        "[tool.hatch.build.targets.wheel.shared-scripts]\n[project.scripts]",
    ),
    "data from elsewhere": ("[project.scripts]", "[tool.hatch.build.targets.wheel.shared-data]\n[project.scripts]"),
    "scripts of setuptools": ("[project.scripts]", '[tool.setuptools]\nscript-files = ["x"]\n[project.scripts]'),
    "a folder filled in": ("[project.scripts]", 'dependencies = ["x @ {root:uri}/x"]\n[project.scripts]'),
    "a variable filled in": (
        "[project.scripts]",
        '[project.optional-dependencies]\nx = ["x @ {env:X}"]\n[project.scripts]',
    ),
    "a readme below": ("[project.scripts]", 'readme = "docs/readme.md"\n[project.scripts]'),
    "a plugin of the base's": ("[project.scripts]", "[tool.setuptools_scm]\n[project.scripts]"),
    "a table of licences": ("[project.scripts]", 'license-files = {paths = ["TERMS"]}\n[project.scripts]'),
    "licences below": ("[project.scripts]", 'license-files = ["licenses/*"]\n[project.scripts]'),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_what_can_not_be_told_has_no_key(what: str, tmp_path: Path) -> None:
    root = make_project(tmp_path / "wt", "hatchling", "worktree")
    manifest = manifests.Manifest("", "", "", "/base", "/base/bin/python", "", "3.11.7", (), "", ())
    assert reuse.identify(read_project(root), manifest, (), {}) is not None
    old, new = SETTINGS[what]
    text = (root / "pyproject.toml").read_text()
    assert old in text
    (root / "pyproject.toml").write_text(text.replace(old, new))
    assert reuse.identify(read_project(root), manifest, (), {}) is None


def test_settings_above(tmp_path: Path) -> None:
    """Of those in another worktree, in which this one lies, what uv and backends read; hatch.toml without an end."""
    root = make_project(tmp_path / "main/nested/wt", "hatchling", "worktree")
    manifest = manifests.Manifest("", "", "", "/base", "/base/bin/python", "", "3.11.7", (), "", ())

    def identify() -> tuple[str | None, str]:
        project = read_project(root)
        return reuse.identify(project, manifest, (), {}), reuse.digest_settings(project, {})

    (root / ".git").write_text("gitdir: elsewhere\n")
    before = identify()
    for name in ("pyproject.toml", ".gitignore"):
        (tmp_path / "main" / name).write_text("# of the other\n")
    assert identify() == before
    for text in ("[tool.uv.workspace]\n", '[tool.uv."work\\u0073pace"]\n'):
        (tmp_path / "main/pyproject.toml").write_text(text)
        assert identify()[0] not in (None, before[0]) and identify()[1] != before[1]
    (tmp_path / "main/pyproject.toml").unlink()
    (root / ".git").unlink()
    assert identify()[0] not in (None, before[0]), "up to the folder with .git"
    (root / ".git").write_text("gitdir: elsewhere\n")
    (tmp_path / "hatch.toml").write_text("[build.hooks.custom]\n")
    assert identify()[0] is None and identify()[1] != before[1]


def test_what_else_is_in_the_key(tmp_path: Path) -> None:
    project = read_project(make_project(tmp_path / "wt", "flit", "worktree"))
    manifest = manifests.Manifest("", "", "", "/base", "/base/bin/python", "1", "3.11.7", (), "", ())
    (tmp_path / ".config/uv").mkdir(parents=True)
    (tmp_path / ".config/uv/uv.toml").write_text("no-index = true\n")
    keys = {
        reuse.identify(project, *facts)
        for facts in (
            (manifest, (), {}),
            (manifest, ("flit-core==3.11",), {}),
            (manifest._replace(base="/other"), (), {}),
            (manifest._replace(python_version="3.11.8"), (), {}),
            (manifest._replace(interpreter_id="2"), (), {}),
            (manifest, (), {"SETUPTOOLS_ENABLE_FEATURES": "legacy-editable"}),
            (manifest, (), {"HOME": str(tmp_path)}),
        )
    }
    assert len(keys) == 7
    assert reuse.identify(project, manifest, (), {"DIST_EXTRA_CONFIG": "/x"}) is None
    assert reuse.identify(project, manifest, (), {"HOME": "/x"}) in keys


@pytest.mark.parametrize("backend", sorted(set(BACKENDS) - set(KEPT)))
def test_other_backends_build_each_time(backend: str, tmp_path: Path, base: Base, home: Home) -> None:
    root = make_project(tmp_path / "wt", backend, "worktree")
    make_overlay(root, base, home.environ, root)
    assert kept(home) == []


@pytest.mark.parametrize("folder", ["a b", "it's", "ünï", "p" * 120])
def test_places_that_have_to_be_quoted(folder: str, tmp_path: Path, base: Base, home: Home) -> None:
    odd = make_project(tmp_path / folder / "wt", "setuptools-flat", "worktree")
    make_overlay(odd, base, home.environ, odd)
    if len(folder) < 100:
        assert kept(home) == []
    plain = make_project(tmp_path / "plain", "setuptools-flat", "worktree")
    make_overlay(plain, base, home.environ, plain)
    assert len(kept(home)) == 1
    again = make_project(tmp_path / folder / "again", "setuptools-flat", "worktree")
    make_overlay(again, base, home.environ, again)
    assert run(again / ".venv/bin/pkg-cli", env=clean_env(home.environ, again, base)).startswith(str(again))


def test_a_project_of_several_places(tmp_path: Path, base: Base, home: Home) -> None:
    """One that takes modules from beside it, in a repository that sets options for uv above it."""
    for name in ("first", "second"):
        root = tmp_path / name
        inner = make_project(root / "inner", "setuptools-src", "worktree")
        settings = (inner / "pyproject.toml").read_text()
        settings = settings.replace('where = ["src"]', 'where = ["../shared"]')
        (inner / "pyproject.toml").write_text(settings + '[tool.setuptools.package-dir]\n"" = "../shared"\n')
        (root / "shared/pkg").mkdir(parents=True)
        (root / "shared/pkg/__init__.py").write_text("")
        (root / "shared/pkg/cli.py").write_text("import pkg\n\n\ndef main():\n    print(pkg.__file__)\n")
        make_overlay(root, base, home.environ, inner)
        said = run(root / ".venv/bin/pkg-cli", env=clean_env(home.environ, root, base))
        assert said == f"{root}/shared/pkg/__init__.py"


def test_a_linked_folder(tmp_path: Path, base: Base, home: Home) -> None:
    """Its files name the place by two names: built, not reused."""
    make_project(tmp_path / "real/first", "hatchling", "worktree")
    make_project(tmp_path / "real/second", "hatchling", "worktree")
    (tmp_path / "link").symlink_to("real")
    for name in ("first", "second"):
        root = tmp_path / "link" / name
        make_overlay(root, base, home.environ, root)
        said = run(root / ".venv/bin/pkg-cli", env=clean_env(home.environ, root, base))
        assert os.path.realpath(said) == f"{tmp_path}/real/{name}/pkg/__init__.py"
    assert kept(home) == []


DAMAGES = ["", "{}", "[]", "null", "\xff", '{"built_with": [], "files": {}}', '{"built_with": [], "files": []}']
DAMAGES += ['{"built_with": [], "files": {"../../evil": "x", "a.dist-info/RECORD": ""}}', "[" * 100_000]
DAMAGES += ['{"built_with": 1, "files": {"a.dist-info/RECORD": 3}}', '{"files": {"/tmp/evil": "", "RECORD": ""}}']


def test_a_damaged_one_is_built_anew(tmp_path: Path, base: Base, home: Home) -> None:
    first = make_project(tmp_path / "first", "flit", "worktree")
    make_overlay(first, base, home.environ, first)
    (place,) = kept(home)
    good = place.read_bytes()
    second = make_project(tmp_path / "second", "flit", "worktree")
    for damage in [*DAMAGES, good[:-1].decode(), good.replace(b"pkg", b"gkp").decode()]:
        data = damage.encode("latin-1")
        place.write_bytes(reuse._sign(data) if damage in DAMAGES else data)
        make_overlay(second, base, home.environ, second)
        assert run(second / ".venv/bin/pkg-cli", env=clean_env(home.environ, second, base)).startswith(str(second))
        assert place.read_bytes() == good
        shutil.rmtree(second / ".venv")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("other", ["{first}", "{project}/nowhere"])
def test_a_kept_build_that_does_not_stand_the_proof_is_replaced(
    other: str, tmp_path: Path, base: Base, home: Home
) -> None:
    first = make_project(tmp_path / "first", "hatchling", "worktree")
    make_overlay(first, base, home.environ, first)
    (place,) = kept(home)
    token = json.dumps(reuse._PROJECT)[1:-1]
    good = place.read_text()
    text = good.partition("\n")[2].replace(token, other.format(first=first, project=token))
    place.write_bytes(reuse._sign(text.encode()))
    second = make_project(tmp_path / "second", "hatchling", "worktree")
    said: list[str] = []
    make_overlay(second, base, home.environ, second, said=said)
    assert any("Building" in line for line in said)
    assert run(second / ".venv/bin/pkg-cli", env=clean_env(home.environ, second, base)).startswith(str(second))
    assert place.read_text() == good


def test_reinstall_renews_what_is_kept(tmp_path: Path, base: Base, home: Home) -> None:
    root = make_project(tmp_path / "wt", "flit", "worktree")
    make_overlay(root, base, home.environ, root)
    (place,) = kept(home)
    good = place.read_text()
    place.write_text("{}")
    make_overlay(root, base, home.environ, root, reinstall=True)
    assert place.read_text() == good


UNKEPT = {
    "a script that is no entry point": '[tool.setuptools]\nscript-files = ["scripts/tool.py"]\n',
    "a strict editable": '[tool.distutils.editable_wheel]\nmode = "strict"\n',
}


@pytest.mark.parametrize("what", UNKEPT)
def test_more_than_pointers_is_not_kept(what: str, tmp_path: Path, base: Base, home: Home) -> None:
    root = make_project(tmp_path / "wt", "setuptools-src", "worktree")
    (root / "scripts").mkdir()
    (root / "scripts/tool.py").write_text("#!/usr/bin/env python\nprint(1)\n")
    append(root / "pyproject.toml", UNKEPT[what])
    make_overlay(root, base, home.environ, root)
    assert kept(home) == []


def test_a_strict_editable_by_uvs_settings_is_not_kept(tmp_path: Path, base: Base, home: Home) -> None:
    root = make_project(tmp_path / "wt", "setuptools-src", "worktree")
    be_strict(home.path)
    make_overlay(root, base, home.environ, root)
    assert run(root / ".venv/bin/pkg-cli", env=clean_env(home.environ, root, base)).startswith(str(root))
    assert kept(home) == []


def test_texts_are_left_as_the_build_wrote_them(tmp_path: Path, base: Base, home: Home) -> None:
    """A README that names the project's own place, or one like it."""
    first = make_project(tmp_path / "first", "setuptools-src", "worktree")
    readme = f"in {first}, in {first}-feature and at https://example.org{first}/docs\n"
    for name in ("first", "second"):
        root = first if name == "first" else make_project(tmp_path / name, "setuptools-src", "worktree")
        (root / "README.md").write_text(readme)
        text = (root / "pyproject.toml").read_text()
        (root / "pyproject.toml").write_text(text.replace("[project]\n", '[project]\nreadme = "README.md"\n', 1))
        said: list[str] = []
        make_overlay(root, base, home.environ, root, said=said)
        assert readme in next((root / ".venv").rglob("METADATA")).read_text()
    assert said == []


def test_a_project_edited_while_it_is_built_is_not_kept(
    tmp_path: Path, base: Base, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_project(tmp_path / "wt", "flit", "worktree")
    original = building.Uv.build

    def edit(*words: Any, **options: Any) -> Any:
        append(root / "pyproject.toml", "# edited\n")
        return original(*words, **options)

    monkeypatch.setattr(building.Uv, "build", edit)
    make_overlay(root, base, home.environ, root)
    assert kept(home) == []


def test_a_failing_build_leaves_the_kept_ones_out(tmp_path: Path, base: Base, home: Home) -> None:
    first = make_project(tmp_path / "first", "flit", "worktree")
    make_overlay(first, base, home.environ, first)
    root = tmp_path / "wt"
    root.mkdir()
    make_overlay(root, base, home.environ)
    one = make_project(root / "one", "flit", "worktree")
    bad = make_project(root / "bad", "setup.py", "worktree", name="bad")
    (bad / "setup.py").write_text("raise RuntimeError('no such compiler')\n")
    with pytest.raises(WtenvError, match="no such compiler"):
        make_overlay(root, base, home.environ, one, bad)
    assert inspect(root / ".venv", base_prefix=base.prefix, editables=(), env=home.environ).kind == "current"
    assert not list((root / ".venv").rglob("pkg*"))


def test_only_so_many_are_kept(tmp_path: Path, base: Base, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "MAX_KEPT", 2)
    for number in range(4):
        root = make_project(tmp_path / str(number), "flit", "worktree", version=f"{number}.0")
        make_overlay(root, base, home.environ, root)
    assert len(kept(home)) == 2
    assert {path.stat().st_mode & 0o777 for path in kept(home)} == {0o600}
    assert os.stat(kept(home)[0].parent).st_mode & 0o777 == 0o700
