"""Sync, state and removal: exactness, failures, kills, moves, foreign folders, size and speed."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from overlay_projects import clean_env, install, make_overlay, make_project, run
from realbase import Base, copy_base
from workspace import Home

from wtenv import files
from wtenv.distributions import list_versions
from wtenv.errors import WtenvError
from wtenv.overlay import building, registry, swap
from wtenv.overlay import manifest as manifests
from wtenv.overlay.refresh import refresh
from wtenv.overlay.state import State, inspect


def judge(root: Path, base: Base, home: Home, *editables: Path) -> State:
    return inspect(root / ".venv", base_prefix=base.prefix, editables=editables, env=home.environ)


def names_in(root: Path) -> set[str]:
    return set(list_versions(map(str, (root / ".venv/lib").glob("python*/site-packages"))))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A worktree with one editable, quick to build."""
    return make_project(tmp_path / "wt", "flit", "worktree")


def test_states_of_a_life(root: Path, base: Base, home: Home) -> None:
    assert judge(root, base, home, root).kind == "absent"
    outcome = make_overlay(root, base, home.environ, root)
    assert (outcome.changed, outcome.installed) == (True, ("pkg",))
    assert judge(root, base, home, root).kind == "current"
    assert judge(root, base, home).kind == "stale"
    (root / "pyproject.toml").write_text((root / "pyproject.toml").read_text() + "\n# touched\n")
    stale = judge(root, base, home, root)
    assert (stale.kind, stale.usable, stale.fix) == ("stale", True, "run: wtenv sync")
    assert make_overlay(root, base, home.environ, root).changed
    assert swap.remove(root / ".venv", home.environ)
    assert not swap.remove(root / ".venv", home.environ)
    assert judge(root, base, home, root).kind == "absent"
    assert sorted(path.name for path in root.iterdir() if path.name.startswith(".")) == []


def test_no_editables_is_an_overlay_too(tmp_path: Path, base: Base, home: Home) -> None:
    make_overlay(tmp_path, base, home.environ)
    env = clean_env(home.environ, tmp_path, base)
    assert run(tmp_path / ".venv/bin/python", "-c", "import numpy, sys; print(sys.prefix)", env=env) == str(
        tmp_path / ".venv"
    )


def test_nothing_changed_starts_nothing(root: Path, base: Base, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    make_overlay(root, base, home.environ, root)
    before = {path: path.lstat().st_mtime_ns for path in (root / ".venv").rglob("*")}

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process is started")

    for module, name in ((subprocess, "Popen"), (os, "posix_spawn"), (os, "fork"), (os, "execve"), (os, "system")):
        monkeypatch.setattr(module, name, refuse)
    outcome = make_overlay(root, base, home.environ, root)
    assert not outcome.changed
    assert {path: path.lstat().st_mtime_ns for path in (root / ".venv").rglob("*")} == before


def test_exact_inexact_and_only(tmp_path: Path, base: Base, home: Home) -> None:
    one = make_project(tmp_path / "wt", "flit", "worktree", name="one")
    two = make_project(tmp_path / "wt/two", "flit", "worktree", name="two")
    make_overlay(one, base, home.environ, one, two)
    assert names_in(one) == {"one", "two"}
    make_overlay(one, base, home.environ, one, inexact=True)
    assert names_in(one) == {"one", "two"}
    assert judge(one, base, home, one).kind == "current"
    outcome = make_overlay(one, base, home.environ, one)
    assert outcome.removed == ("two",)
    assert names_in(one) == {"one"}
    assert not (one / ".venv/bin/two-cli").exists()
    make_overlay(one, base, home.environ, one, two, only=("two",))
    assert names_in(one) == {"one", "two"}
    assert judge(one, base, home, one, two).kind == "current"
    with pytest.raises(WtenvError, match="no declared editable"):
        make_overlay(one, base, home.environ, one, two, only=("three",))


def test_what_pip_installed_is_removed_by_an_exact_sync(root: Path, base: Base, home: Home, tmp_path: Path) -> None:
    make_overlay(root, base, home.environ, root)
    extra = make_project(tmp_path / "extra", "setuptools-flat", "extra", name="extra")
    env = clean_env(home.environ, root, base)
    before = base.snapshot()
    run(root / ".venv/bin/pip", "install", "-q", "--no-build-isolation", "--no-deps", extra, env=env)
    assert names_in(root) == {"pkg", "extra"}
    assert run(root / ".venv/bin/extra-cli", env=env).startswith(str(root / ".venv"))
    run(root / ".venv/bin/pip", "uninstall", "-q", "-y", "numpy", env=env)
    assert base.snapshot() == before
    assert make_overlay(root, base, home.environ, root, inexact=True).removed == ()
    assert make_overlay(root, base, home.environ, root).removed == ("extra",)


def test_a_package_from_the_index_replaces_a_wrapper_and_gives_it_back(
    root: Path, base: Base, home: Home, tmp_path: Path
) -> None:
    make_overlay(root, base, home.environ, root)
    fake = make_project(tmp_path / "fake", "flit", "fake", name="fake")
    text = (fake / "pyproject.toml").read_text().replace("fake-cli", "pytest")
    (fake / "pyproject.toml").write_text(text)
    make_overlay(root, base, home.environ, root, fake)
    wrapper = root / ".venv/bin/pytest"
    assert not wrapper.is_symlink()
    make_overlay(root, base, home.environ, root)
    assert wrapper.is_symlink()
    assert "pytest" in run(wrapper, "--version", env=clean_env(home.environ, root, base))


@pytest.mark.parametrize("folder", ["a b", "ünï", "it's", "a$HOME", "50%", "[x]", "x#y;z", "p" * 110])
def test_odd_names(folder: str, tmp_path: Path, base: Base, home: Home) -> None:
    root = make_project(tmp_path / folder / "wt", "setuptools-src", "worktree")
    env = clean_env(home.environ, root, base)
    make_overlay(root, base, home.environ, root)
    assert not make_overlay(root, base, home.environ, root).changed
    inside = str(root)
    assert run(root / ".venv/bin/pkg-cli", env=env).startswith(inside)
    (tmp_path / "test_it.py").write_text("import pkg\n\ndef test_it():\n    print(pkg.__file__)\n")
    command = ("-q", "-s", "-p", "no:cacheprovider", tmp_path / "test_it.py")
    assert inside in run(root / ".venv/bin/pytest", *command, env=env)
    assert inside in run(root / ".venv/bin/python", root / ".venv/bin/pytest", *command, env=env)


def test_refused_places(tmp_path: Path, base: Base, home: Home) -> None:
    for name in ("a\nb", "a:b", os.fsdecode(b"\xff")):
        root = make_project(tmp_path / name, "flit", "worktree")
        with pytest.raises(WtenvError, match="rename"):
            make_overlay(root, base, home.environ, root)
        assert not (root / ".venv").exists()


def test_mistakes_change_nothing(tmp_path: Path, base: Base, home: Home) -> None:
    root = tmp_path / "wt"
    (root / "empty").mkdir(parents=True)
    for path, words in ((root / "nothing", "no folder"), (root / "empty", "neither pyproject.toml nor setup.py")):
        with pytest.raises(WtenvError, match=words):
            make_overlay(root, base, home.environ, path)
    (root / "empty/pyproject.toml").write_text("[tool.black]\n")
    with pytest.raises(WtenvError, match="no package"):
        make_overlay(root, base, home.environ, root / "empty")
    (root / "empty/pyproject.toml").write_text("[[[")
    with pytest.raises(WtenvError, match=r"pyproject\.toml"):
        make_overlay(root, base, home.environ, root / "empty")
    one, two = (make_project(root / name, "flit", "worktree") for name in ("one", "two"))
    with pytest.raises(WtenvError, match="same package"):
        make_overlay(root, base, home.environ, one, two)
    assert not (root / ".venv").exists()


def test_a_failing_build_says_why_and_keeps_what_works(root: Path, base: Base, home: Home, tmp_path: Path) -> None:
    make_overlay(root, base, home.environ, root)
    bad = make_project(tmp_path / "bad", "setup.py", "worktree", name="bad")
    (bad / "setup.py").write_text("raise RuntimeError('no such compiler')\n")
    with pytest.raises(WtenvError, match="no such compiler") as caught:
        make_overlay(root, base, home.environ, root, bad)
    assert "bad" in str(caught.value)
    assert judge(root, base, home, root).kind == "current"
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    with pytest.raises(WtenvError, match="no such compiler"):
        make_overlay(fresh, base, home.environ, bad)
    assert judge(fresh, base, home, bad).kind == "incomplete"


def test_a_failure_after_something_was_removed_leaves_no_usable_overlay(
    tmp_path: Path, fresh_base: Base, home: Home
) -> None:
    """Else the base's copy would be imported instead, and nobody would know."""
    install(fresh_base, home.environ, make_project(tmp_path / "theirs", "setuptools-flat", "base"))
    root = make_project(tmp_path / "wt", "setuptools-flat", "worktree")
    make_overlay(root, fresh_base, home.environ, root)
    text = (root / "pyproject.toml").read_text()
    broken = text.replace('name = "pkg"', 'name = "pkg-two"').replace("setuptools.build_meta", "nothing.of_that_name")
    (root / "pyproject.toml").write_text(broken)
    with pytest.raises(WtenvError, match="building"):
        make_overlay(root, fresh_base, home.environ, root)
    assert judge(root, fresh_base, home, root).kind == "incomplete"
    (root / "pyproject.toml").write_text(text.replace('version = "1.0"', 'version = "1.1"'))
    assert make_overlay(root, fresh_base, home.environ, root).installed == ("pkg",)
    # uv that can't even be started has removed nothing.
    (root / "pyproject.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "find_uv", lambda env: "/nonexistent/uv")
        with pytest.raises(WtenvError):
            make_overlay(root, fresh_base, home.environ, root)
    assert judge(root, fresh_base, home, root).kind == "stale"


@pytest.mark.parametrize("layout", ["a linked package", "a package beside", "a linked namespace"])
def test_what_lies_beside_the_project_is_its_own(layout: str, tmp_path: Path, base: Base, home: Home) -> None:
    root = tmp_path / "wt"
    inner = make_project(root / "inner", "setuptools-flat", "worktree")
    (root / "shared/one").mkdir(parents=True)
    (root / "shared/one/__init__.py").write_text("")
    text = (inner / "pyproject.toml").read_text()
    if layout == "a package beside":
        more = '[tool.setuptools.package-dir]\none = "../shared/one"\n'
        text = text.replace('packages = ["pkg"]', 'packages = ["pkg", "one"]') + more
    elif layout == "a linked package":
        (inner / "one").symlink_to("../shared/one")
        text = text.replace('packages = ["pkg"]', 'packages = ["pkg", "one"]')
    else:
        (root / "shared/one/__init__.py").unlink()
        (root / "shared/one/part.py").write_text("")
        (inner / "one").symlink_to("../shared/one")
        text = text.replace('packages = ["pkg"]', 'packages = ["pkg", "one"]')
    (inner / "pyproject.toml").write_text(text)
    make_overlay(root, base, home.environ, inner)
    look = "import one, pkg; print(list(one.__path__)[0])"
    said = run(root / ".venv/bin/python", "-c", look, env=clean_env(home.environ, root, base))
    assert os.path.realpath(said) == f"{root}/shared/one"
    assert judge(root, base, home, inner).kind == "current"


def test_a_package_of_another_name_is_proved(tmp_path: Path, fresh_base: Base, home: Home) -> None:
    install(fresh_base, home.environ, make_project(tmp_path / "theirs", "setuptools-flat", "base", name="other"))
    root = make_project(tmp_path / "wt", "hatchling", "worktree", name="other")
    text = (root / "pyproject.toml").read_text().replace('name = "other"', 'name = "dist-x"')
    (root / "pyproject.toml").write_text(text + '[tool.hatch.build.targets.wheel]\npackages = ["other"]\n')
    make_overlay(root, fresh_base, home.environ, root)
    manifest = manifests.read_manifest(root / ".venv")
    assert manifest is not None
    assert manifest.editables[0].modules == ("other",)


def test_scripts_of_one_name(tmp_path: Path, base: Base, home: Home) -> None:
    """Removing one of two packages takes the script with it; the other's comes back in the same sync."""
    one = make_project(tmp_path / "wt", "flit", "worktree", name="one")
    two = make_project(tmp_path / "wt/two", "flit", "worktree", name="two")
    for root in (one, two):
        text = (root / "pyproject.toml").read_text()
        (root / "pyproject.toml").write_text(text.replace(f"{root.name if root is two else 'one'}-cli", "shared-cli"))
    make_overlay(one, base, home.environ, one, two)
    make_overlay(one, base, home.environ, one)
    assert run(one / ".venv/bin/shared-cli", env=home.environ).endswith("one/__init__.py")
    (one / ".venv/bin/shared-cli").unlink()
    assert make_overlay(one, base, home.environ, one).installed == ("one",)
    assert run(one / ".venv/bin/shared-cli", env=home.environ).endswith("one/__init__.py")


def test_a_worktree_that_is_entered_by_two_names(root: Path, base: Base, home: Home, tmp_path: Path) -> None:
    make_overlay(root, base, home.environ, root)
    (tmp_path / "link").symlink_to(root)
    assert judge(root, base, home, tmp_path / "link").kind == "current"
    assert not make_overlay(root, base, home.environ, tmp_path / "link").changed
    assert make_overlay(root, base, home.environ, root, only=(str(tmp_path / "link"), "pkg")).installed == ()


def test_another_file_that_wins_is_named(root: Path, fresh_base: Base, home: Home) -> None:
    thief = (
        "import sys, importlib.util as u\nclass F:\n  @staticmethod\n  def find_spec(name, path=None, target=None):\n"
    )
    thief += "    return u.spec_from_file_location(name, __file__) if name == 'pkg' else None\n"
    (fresh_base.site_packages / "thief.py").write_text(thief + "sys.meta_path.insert(0, F)\n")
    custom = fresh_base.site_packages.parent / "sitecustomize.py"  # where Debian's Python has one
    before = custom.read_text() if custom.exists() else ""
    custom.unlink(missing_ok=True)  # it may be a hard link
    custom.write_text(f"{before}\nimport thief\n")
    with pytest.raises(WtenvError, match=r"import pkg would give .*thief\.py, not the worktree's copy"):
        make_overlay(root, fresh_base, home.environ, root)
    assert judge(root, fresh_base, home, root).kind == "incomplete"
    custom.write_text(before)
    make_overlay(root, fresh_base, home.environ, root)
    assert judge(root, fresh_base, home, root).kind == "current"


def test_foreign_folders_are_left_alone(root: Path, base: Base, home: Home) -> None:
    venv = root / ".venv"
    venv.mkdir()
    (venv / "precious").write_text("")
    assert judge(root, base, home, root).kind == "foreign"
    for attempt in (lambda: make_overlay(root, base, home.environ, root), lambda: swap.remove(venv, home.environ)):
        with pytest.raises(WtenvError, match="not made by wtenv"):
            attempt()
    assert os.listdir(venv) == ["precious"]
    make_overlay(root, base, home.environ, root, replace=True)
    assert (root / ".venv.replaced-1/precious").exists()
    assert judge(root, base, home, root).kind == "current"


def test_an_overlay_of_another_user_or_checkout_is_foreign(root: Path, base: Base, home: Home, tmp_path: Path) -> None:
    make_overlay(root, base, home.environ, root)
    other = Home.make(tmp_path / "other", Path(home.environ["UV_CACHE_DIR"]).parent)
    state = judge(root, base, other, root)
    assert state.kind == "foreign"
    assert "checkout" in state.reason


def test_a_folder_of_the_users_with_our_inode_is_foreign(root: Path, base: Base, home: Home) -> None:
    """`rm -r .venv && python -m venv .venv`: a file system may give the new folder the number of the old one."""
    make_overlay(root, base, home.environ, root)
    venv = root / ".venv"
    for path in venv.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (venv / "precious").write_text("")
    assert judge(root, base, home, root).kind == "foreign"
    with pytest.raises(WtenvError, match="not made by wtenv"):
        make_overlay(root, base, home.environ, root)
    assert (venv / "precious").exists()


@pytest.mark.parametrize("damage", ["missing", "home", "system", "empty"])
def test_without_its_pyvenv_the_overlay_would_be_the_base(damage: str, root: Path, base: Base, home: Home) -> None:
    """Its Python is then the base's own: neither pip nor a sync may install there."""
    make_overlay(root, base, home.environ, root)
    place, before = root / ".venv/pyvenv.cfg", base.snapshot()
    good = place.read_text()
    texts = {"home": good.replace(f"home = {base.bin}", "home = /usr/bin"), "empty": "",
             "system": good.replace("system-site-packages = false", "system-site-packages = true")}  # fmt: skip
    place.unlink()
    if damage == "missing":
        done = subprocess.run(
            [root / ".venv/bin/pip", "install", "idna"], env=home.environ, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (1, f"wtenv: {root}/.venv is damaged, run: wtenv sync\n")
    else:
        place.write_text(texts[damage])
    state = judge(root, base, home, root)
    assert (state.kind, "pyvenv.cfg" in state.reason) == ("unusable", True)
    (root / "pyproject.toml").write_text((root / "pyproject.toml").read_text() + "# touched\n")
    make_overlay(root, base, home.environ, root)
    assert run(root / ".venv/bin/pkg-cli", env=home.environ).startswith(str(root))
    assert {name for name, fact in base.snapshot().items() if before.get(name) != fact} <= {
        name for name in before if "__pycache__" in name
    }


def test_a_base_whose_path_is_not_utf_8_is_refused(root: Path, base: Base, home: Home, tmp_path: Path) -> None:
    odd = copy_base(base, tmp_path / os.fsdecode(b"odd\xff") / "miniforge3", "odd")
    with pytest.raises(WtenvError, match=r"odd.*udcff.* is not UTF-8; rename the folder"):
        make_overlay(root, odd, home.environ, root)
    assert not (root / ".venv").exists()


def test_symlinked_venv(root: Path, base: Base, home: Home, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "precious").write_text("")
    (root / ".venv").symlink_to(target)
    assert judge(root, base, home, root).kind == "foreign"
    for attempt in (
        lambda: make_overlay(root, base, home.environ, root),
        lambda: swap.remove(root / ".venv", home.environ),
    ):
        with pytest.raises(WtenvError, match="symbolic link"):
            attempt()
    make_overlay(root, base, home.environ, root, replace=True)
    assert os.listdir(target) == ["precious"]
    assert not (root / ".venv").is_symlink()
    (root / ".venv/lib/link").symlink_to(target)
    assert swap.remove(root / ".venv", home.environ)
    assert os.listdir(target) == ["precious"]


def test_moved_and_copied_worktrees(root: Path, base: Base, home: Home, tmp_path: Path) -> None:
    make_overlay(root, base, home.environ, root)
    copy, moved = tmp_path / "copy", tmp_path / "moved"
    shutil.copytree(root, copy, symlinks=True)
    state = judge(copy, base, home, copy)
    assert (state.kind, "was copied from" in state.reason) == ("unusable", True)
    make_overlay(copy, base, home.environ, copy)
    assert run(copy / ".venv/bin/pkg-cli", env=home.environ).startswith(str(copy))
    assert judge(root, base, home, root).kind == "current"
    root.rename(moved)
    state = judge(moved, base, home, moved)
    assert (state.kind, "was moved from" in state.reason) == ("unusable", True)
    make_overlay(moved, base, home.environ, moved)
    assert run(moved / ".venv/bin/pkg-cli", env=home.environ).startswith(str(moved))
    assert sorted(path.name for path in moved.iterdir() if path.name.startswith(".")) == [".venv"]


def test_a_changed_base(root: Path, base: Base, fresh_base: Base, home: Home) -> None:
    make_overlay(root, fresh_base, home.environ, root)
    other = judge(root, base, home, root)
    assert (other.kind, str(base.prefix) in other.reason) == ("unusable", True)
    python = fresh_base.bin / "python3.11"
    data = python.read_bytes()
    python.unlink()
    assert judge(root, fresh_base, home, root).kind == "unusable"
    python.write_bytes(data)
    python.chmod(0o755)
    replaced = judge(root, fresh_base, home, root)
    assert (replaced.kind, "replaced" in replaced.reason) == ("stale", True)
    make_overlay(root, fresh_base, home.environ, root)
    assert judge(root, fresh_base, home, root).kind == "current"
    for name in ("python", "python3"):
        (fresh_base.bin / name).unlink()
    (fresh_base.bin / "python3.12").write_bytes(b"")
    (fresh_base.bin / "python").symlink_to("python3.12")
    assert "3.12" in judge(root, fresh_base, home, root).reason
    shutil.rmtree(fresh_base.prefix)
    gone = judge(root, fresh_base, home, root)
    assert (gone.kind, "is gone" in gone.reason) == ("unusable", True)
    with pytest.raises(WtenvError, match="does not work"):
        make_overlay(root, fresh_base, home.environ, root)


def test_refresh_follows_the_base(root: Path, fresh_base: Base, home: Home, tmp_path: Path) -> None:
    make_overlay(root, fresh_base, home.environ, root)
    venv = root / ".venv"
    assert not refresh(venv, home.environ)
    (fresh_base.bin / "new-tool").write_text(f"#!{fresh_base.prefix}/bin/python\nprint('new')\n")
    (fresh_base.bin / "new-tool").chmod(0o755)
    (fresh_base.bin / "wheel").unlink()
    assert refresh(venv, home.environ)
    assert not refresh(venv, home.environ)
    assert run(venv / "bin/new-tool", env=home.environ) == "new"
    assert not (venv / "bin/wheel").is_symlink()
    # An editable of our package that someone adds to the base later.
    install(fresh_base, home.environ, "-e", make_project(tmp_path / "late", "setuptools-flat", "base"))
    assert refresh(venv, home.environ)
    assert "__editable__" in next((venv / "lib").glob("*/site-packages/~wtenv.pth")).read_text()
    assert judge(root, fresh_base, home, root).kind == "current"
    assert not make_overlay(root, fresh_base, home.environ, root).changed


def test_a_refresh_leaves_times_that_may_be_relied_on(root: Path, fresh_base: Base, home: Home) -> None:
    """What follows the base is written at a prompt. With the present time the answer could not be kept at it, and
    would be computed at the next one again; with the former one other shells would not see the change."""
    make_overlay(root, fresh_base, home.environ, root)
    venv = root / ".venv"
    folders = [venv, venv / "bin", *(venv / "lib").glob("*/site-packages")]
    past = time.time_ns() - 3600 * 10**9
    for folder in folders:
        os.utime(folder, ns=(past, past))
    refresh(venv, home.environ, always=True)
    before = [folder.stat().st_mtime_ns for folder in folders]
    (fresh_base.bin / "new-tool").write_text(f"#!{fresh_base.prefix}/bin/python\n")
    (fresh_base.bin / "new-tool").chmod(0o755)
    assert refresh(venv, home.environ)
    after = [folder.stat().st_mtime_ns for folder in folders]
    assert after[:2] == [time + 1000 for time in before[:2]]
    assert after[2:] == before[2:]


def test_a_build_requirement_that_changes_in_the_base_rebuilds(root: Path, fresh_base: Base, home: Home) -> None:
    make_overlay(root, fresh_base, home.environ, root)
    old = next(fresh_base.site_packages.glob("flit_core-*.dist-info"))
    old.rename(old.with_name("flit_core-3.11.99.dist-info"))
    refresh(root / ".venv", home.environ)
    assert make_overlay(root, fresh_base, home.environ, root).installed == ("pkg",)


def test_isolation_is_chosen_by_what_the_base_has(tmp_path: Path, base: Base, home: Home) -> None:
    root = make_project(tmp_path / "wt", "flit", "worktree")
    for mode, want in (("auto", "flit-core=="), (True, "isolated"), (False, "flit-core==")):
        make_overlay(root, base, home.environ, root, build_isolation=mode)
        manifest = manifests.read_manifest(root / ".venv")
        assert manifest is not None
        assert manifest.editables[0].built_with[0].startswith(want), mode


def test_install_deps_takes_from_the_base_what_it_has(tmp_path: Path, base: Base, home: Home) -> None:
    root = make_project(tmp_path / "wt", "flit", "worktree")
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(
        text.replace("[project.scripts]", 'dependencies = ["numpy", "python-dateutil"]\n[project.scripts]')
    )
    make_overlay(root, base, home.environ, root, install_deps=True)
    assert names_in(root) > {"pkg", "python-dateutil"}
    assert "numpy" not in names_in(root)
    assert not make_overlay(root, base, home.environ, root, install_deps=True).changed
    (root / "pyproject.toml").write_text(
        text.replace("[project.scripts]", 'dependencies = ["numpy"]\n[project.scripts]')
    )
    changed = make_overlay(root, base, home.environ, root, install_deps=True)
    assert changed.installed == ("pkg",)
    assert "python-dateutil" in changed.removed
    assert names_in(root) == {"pkg"}
    assert not make_overlay(root, base, home.environ, root, install_deps=True).changed
    (root / "pyproject.toml").write_text(
        text.replace("[project.scripts]", 'dependencies = ["python-dateutil"]\n[project.scripts]')
    )
    changed = make_overlay(root, base, home.environ, root, install_deps=True)
    assert changed.installed[:2] == ("pkg", "python-dateutil")
    assert "python-dateutil" in make_overlay(root, base, home.environ, root).removed
    assert names_in(root) == {"pkg"}


def test_the_callers_environment_does_not_lead_astray(root: Path, base: Base, home: Home, tmp_path: Path) -> None:
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil/pkg.py").write_text("")
    env = {
        **home.environ,
        "PYTHONPATH": str(tmp_path / "evil"),
        "PYTHONHOME": "/nonexistent",
        "VIRTUAL_ENV": "/nonexistent",
        "CONDA_PREFIX": "/nonexistent",
        "UV_PYTHON": "/nonexistent",
        "UV_TARGET": str(tmp_path / "target"),
        "UV_SYSTEM_PYTHON": "1",
        "UV_PROJECT_ENVIRONMENT": "/nonexistent",
        "UV_CONSTRAINT": "/nonexistent",
        "PIP_REQUIRE_VIRTUALENV": "1",
    }
    make_overlay(root, base, env, root)
    assert run(root / ".venv/bin/pkg-cli", env=home.environ).startswith(str(root))
    assert not (tmp_path / "target").exists()


def test_size(root: Path, fresh_base: Base, home: Home) -> None:
    for number in range(50 - len([path for path in fresh_base.bin.iterdir() if path.is_file()])):
        (fresh_base.bin / f"tool{number}").write_text(f"#!{fresh_base.prefix}/bin/python\n")
    for number in range(30):
        path = fresh_base.bin / f"tool-{number}"
        path.write_text(f"#!{fresh_base.prefix}/bin/python\n")
        path.chmod(0o755)
    make_overlay(root, fresh_base, home.environ, root)
    paths = [root / ".venv", *(root / ".venv").rglob("*")]
    assert sum(path.lstat().st_blocks * 512 for path in paths) <= 150_000
    assert len([path for path in paths if not path.is_dir() or path.is_symlink()]) <= 80


@pytest.mark.parametrize("existing", [False, True], ids=["new", "again"])
def test_a_full_disk_at_any_moment(
    existing: bool, root: Path, base: Base, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = files.write_atomic, 0

    def fill(*arguments: Any, **options: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments, **options)

    monkeypatch.setattr(files, "write_atomic", fill)
    for room in range(40):
        if existing:
            left = 1000
            make_overlay(root, base, home.environ, root)
        left = room
        try:
            make_overlay(root, base, home.environ)
        except WtenvError as error:
            assert "No space left" in str(error)
        else:
            break
        left = 1000
        assert judge(root, base, home).kind in ("absent", "incomplete", "current", "stale"), room
    assert (1 if existing else 5) < room < 39
    assert judge(root, base, home).kind == "current"
    assert sorted(path.name for path in root.iterdir() if path.name.startswith(".")) == [".venv"]


SYNC = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from overlay_projects import make_overlay
from realbase import Base
root, prefix, environ = sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
base = Base('shared', Path(prefix), Path(prefix).parent.parent)
make_overlay(Path(root), base, environ, Path(root), reinstall=sys.argv[5] == '1')
"""


def start_sync(root: Path, base: Base, home: Home, *, reinstall: bool = False) -> subprocess.Popen[bytes]:
    words = [json.dumps(sys.path), str(root), str(base.prefix), json.dumps(home.environ), str(int(reinstall))]
    return subprocess.Popen([sys.executable, "-c", SYNC, *words], stderr=subprocess.PIPE)


@pytest.mark.parametrize("reinstall", [False, True], ids=["new", "again"])
def test_eight_syncs_at_once(reinstall: bool, root: Path, base: Base, home: Home) -> None:
    """And whenever the overlay may be put on PATH, it works."""
    if reinstall:
        make_overlay(root, base, home.environ, root)
    running = [start_sync(root, base, home, reinstall=reinstall) for _ in range(8)]
    manifest, seen = root / ".venv/wtenv.json", 0
    while any(process.poll() is None for process in running):
        if judge(root, base, home, root).usable:
            before = manifest.stat().st_mtime_ns
            done = subprocess.run([root / ".venv/bin/pkg-cli"], env=home.environ, capture_output=True, text=True)
            # A sync that began in the meantime has marked the overlay: shells have left it.
            if judge(root, base, home, root).usable and manifest.stat().st_mtime_ns == before:
                assert done.stdout.startswith(str(root)), done.stderr
                seen += 1
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    assert seen or reinstall
    assert judge(root, base, home, root).kind == "current"
    assert run(root / ".venv/bin/pkg-cli", env=home.environ).startswith(str(root))


@pytest.mark.parametrize(("kind", "share"), [("new", 0.4), ("reused", 0.2), ("again", 0.4)])
def test_killed_at_any_moment(kind: str, share: float, root: Path, base: Base, home: Home) -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    kills = round(share * int(os.environ.get("WTENV_TEST_KILLS", "50")))
    started = time.monotonic()
    start_sync(root, base, home).communicate(timeout=60)
    takes = time.monotonic() - started
    if kind == "new":
        swap.remove(root / ".venv", home.environ)
    reached = set()
    for _ in range(kills):
        if kind == "new":
            shutil.rmtree(home.path / ".cache/wtenv/builds", ignore_errors=True)
        process = start_sync(root, base, home, reinstall=kind == "again")
        time.sleep(chance.uniform(0.1 * takes, 1.1 * takes))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        state = judge(root, base, home, root)
        reached.add(state.kind)
        assert state.kind in ("absent", "incomplete", "current"), (seed, state)
        if state.usable:
            assert run(root / ".venv/bin/pkg-cli", env=home.environ).startswith(str(root)), seed
            if kind != "again":
                swap.remove(root / ".venv", home.environ)
    assert kind != "new" or kills < 10 or "incomplete" in reached, (seed, reached)
    make_overlay(root, base, home.environ, root)
    assert judge(root, base, home, root).kind == "current", seed
    assert sorted(path.name for path in root.iterdir() if path.name.startswith(".")) == [".venv"], seed


@pytest.mark.parametrize(
    "damage",
    ["{}", "[]", "null", '{"token": 1}', "\xff", "", "x" * 2_000_000],
    ids=["object", "list", "null", "partial", "bytes", "empty", "huge"],
)
def test_odd_manifests_and_records_are_no_traceback(damage: str, root: Path, base: Base, home: Home) -> None:
    make_overlay(root, base, home.environ, root)
    manifest, record = root / ".venv/wtenv.json", registry.record_path(root / ".venv", home.environ)
    good = manifest.read_bytes()
    manifest.write_bytes(damage.encode("latin-1"))
    assert judge(root, base, home, root).kind == "incomplete"
    assert not refresh(root / ".venv", home.environ)
    manifest.write_bytes(good)
    record.write_bytes(damage.encode("latin-1"))
    assert judge(root, base, home, root).kind == "foreign"
    manifest.unlink()
    os.mkfifo(manifest)
    assert judge(root, base, home, root).kind == "foreign"
