"""`wtenv clean` removes the overlay that wtenv made, and nothing else, whatever is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from realbase import Base
from scenes import CONFIG, Scene, make_scene, one_line, snapshot

from wtenv.overlay import swap


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Nothing is built yet; an overlay without editables takes a moment only."""
    return make_scene(tmp_path_factory.mktemp("clean"), base, CONFIG.replace('"."', ""), sync=False)


@pytest.fixture
def built(scene: Scene) -> Scene:
    for path in (scene.root / ".venv", scene.root / "wtenv.toml"):
        if path.is_symlink():
            path.unlink()
    if (scene.root / ".venv").is_dir() and not (scene.root / ".venv/wtenv.json").exists():
        shutil.rmtree(scene.root / ".venv")
    scene.repo.git("checkout", "--quiet", ".")
    scene("sync", check=True)
    return scene


def test_clean_and_again(built: Scene) -> None:
    built("sync", cwd=built.feature, check=True)
    before = snapshot(built.feature, built.base.prefix / "conda-meta")
    kept = {path for path in built.root.iterdir() if path.name != ".venv"}
    done = built("clean")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"wtenv: removed {built.root}/.venv\n")
    assert set(built.root.iterdir()) == kept
    for _ in range(2):
        done = built("clean")
        assert (done.returncode, done.stderr) == (0, "wtenv: already clean\n")
    assert snapshot(built.feature, built.base.prefix / "conda-meta") == before
    assert not [
        path
        for path in (built.home.path / ".local/share/wtenv/overlays").iterdir()
        if str(built.root) in path.read_text()
    ]
    built("sync", check=True)
    assert built("run", "python", "-c", "").returncode == 0


def test_killed(built: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was deleting is known as wtenv's: it goes with the next sync."""

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", kill)
        swap.remove(built.root / ".venv", built.home.environ)
    assert [path.name.partition("-")[0] for path in built.root.glob(".venv*")] == [".venv.old"]
    built("sync", check=True)
    assert [path.name for path in built.root.glob(".venv*")] == [".venv"]


def test_from_below(built: Scene) -> None:
    assert "removed" in built("clean", cwd=built.root / "tests", check=True).stderr


def test_links_inside_are_not_followed(built: Scene, tmp_path: Path) -> None:
    (tmp_path / "kept/inner").mkdir(parents=True)
    (tmp_path / "kept/file").write_text("x")
    (built.root / ".venv/lib/link").symlink_to(tmp_path / "kept")
    (built.root / ".venv/bin/file").symlink_to(tmp_path / "kept/file")
    before = snapshot(tmp_path)
    built("clean", check=True)
    assert snapshot(tmp_path) == before


def test_what_wtenv_did_not_make(built: Scene) -> None:
    venv = built.root / ".venv"
    built("clean", check=True)
    venv.mkdir()
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\n")
    before = snapshot(venv)
    assert "was not made by wtenv" in one_line(built("clean"))
    assert snapshot(venv) == before
    shutil.rmtree(venv)
    venv.write_text("a file")
    one_line(built("clean"))
    assert venv.read_text() == "a file"
    venv.unlink()


@pytest.mark.parametrize("target", ["another overlay", "a folder", "the root", "nowhere"])
def test_a_symlink_is_never_followed(target: str, built: Scene, tmp_path: Path) -> None:
    built("sync", cwd=built.feature, check=True)
    built("clean", check=True)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("x")
    places = {"another overlay": built.feature / ".venv", "a folder": tmp_path / "folder", "the root": built.root,
              "nowhere": tmp_path / "gone"}  # fmt: skip
    (built.root / ".venv").symlink_to(places[target])
    before = snapshot(built.root, built.feature, tmp_path)
    assert "symbolic link" in one_line(built("clean"))
    assert snapshot(built.root, built.feature, tmp_path) == before


def test_an_overlay_from_elsewhere(built: Scene) -> None:
    """A copy of an overlay, with its manifest: not ours to remove without being asked."""
    built("clean", check=True)
    built("sync", cwd=built.feature, check=True)
    shutil.copytree(built.feature / ".venv", built.root / ".venv", symlinks=True)
    before = snapshot(built.feature)
    built("clean")
    assert snapshot(built.feature) == before
    shutil.rmtree(built.root / ".venv", ignore_errors=True)


@pytest.mark.parametrize("venv", [".", "./", "..", "../feature/.venv", "/", ".git", "src/.."])
def test_a_config_can_not_aim_it_elsewhere(venv: str, built: Scene) -> None:
    (built.root / "wtenv.toml").write_text(f'[python]\nbase_conda_env = "{built.base.name}"\nvenv = "{venv}"\n')
    before = snapshot(built.root, built.feature)
    for words in (["clean"], ["clean", "--shared"], ["allow"]):
        assert "[python] venv" in one_line(built(*words))
    assert snapshot(built.root, built.feature) == before


def test_it_needs_no_trust_and_no_base(built: Scene) -> None:
    (built.root / "wtenv.toml").write_text('[python]\nbase_conda_env = "gone"\n[editables]\npackages = []\n')
    built("deny", check=True)
    assert "removed" in built("clean", check=True).stderr
    built.repo.git("checkout", "--quiet", ".")
    built("allow", check=True)


def test_a_stack_only_with_shared(built: Scene) -> None:
    stack = built.root.parent / "wtenv.team.toml"
    stack.write_text(f'[wtenv]\nkind = "stack"\n[python]\nbase_conda_env = "{built.base.name}"\nvenv = ".team"\n')
    for worktree in built.repo.worktrees:
        (worktree / "wtenv.toml").write_text('[wtenv]\nextends = "../wtenv.team.toml"\n')
    built("allow", check=True)
    built("sync", check=True)
    overlay = built.root.parent / ".team"
    for worktree in built.repo.worktrees:
        where = built("run", "python", "-c", "import sys; print(sys.prefix)", cwd=worktree, check=True)
        assert where.stdout == f"{overlay}\n"
        assert "wtenv clean --shared" in one_line(built("clean", cwd=worktree))
    assert overlay.is_dir()
    assert "removed" in built("clean", "--shared", cwd=built.feature, check=True).stderr
    assert not overlay.exists()
    assert (built.root / ".venv").is_dir()
    built.repo.git("checkout", "--quiet", ".")
    built.repo.git("checkout", "--quiet", ".", cwd=built.feature)


def test_a_stack_config_that_is_a_repositorys_own(built: Scene) -> None:
    (built.root / "wtenv.toml").write_text(f'[wtenv]\nkind = "stack"\n[python]\nbase_conda_env = "{built.base.name}"\n')
    assert "wtenv clean --shared" in one_line(built("clean"))
    assert (built.root / ".venv").is_dir()
    assert "removed" in built("clean", "--shared", check=True).stderr


def test_an_overlay_below_a_folder(built: Scene) -> None:
    (built.root / "wtenv.toml").write_text(f'[python]\nbase_conda_env = "{built.base.name}"\nvenv = "build/env"\n')
    built("allow", check=True)
    built("sync", check=True)
    assert "removed" in built("clean", check=True).stderr
    assert not (built.root / "build/env").exists()
