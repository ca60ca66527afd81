"""`wtenv status` in each state: what it says to people, and to programs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from realbase import Base
from scenes import CONFIG, Scene, make_git, make_scene, snapshot

from wtenv.console import make_printable

KEYS = {
    "state", "reason", "fix", "worktree", "clone", "linked", "problem", "config", "trust", "base", "overlay", "editables",
    "active_root", "active", "current", "warnings", "hook", "roles", "settings",
}  # fmt: skip


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("status"), base)


@pytest.fixture
def config(scene: Scene) -> Iterator[Path]:
    """The repo config, put back afterwards."""
    path = scene.root / "wtenv.toml"
    text = path.read_text()
    yield path
    path.unlink(missing_ok=True)
    path.write_text(text)
    scene("allow", check=True)


def look(scene: Scene, cwd: Path | None = None, env: dict[str, str] | None = None) -> tuple[dict[str, Any], str]:
    """What the two forms say; they change nothing and always succeed."""
    before = {name: state for name, state in snapshot(scene.home.path).items() if "overlays" not in name}
    told = scene("status", cwd=cwd, env=env)
    facts = scene("status", "--json", cwd=cwd, env=env)
    assert [done.returncode for done in (told, facts)] == [0, 0]
    assert [done.stderr for done in (told, facts)] == ["", ""]
    after = snapshot(scene.home.path)
    assert {name: state for name, state in after.items() if "overlays" not in name} == before
    found = json.loads(facts.stdout)
    assert set(found) >= KEYS
    assert max(len(line.split()[0]) for line in told.stdout.splitlines()) <= 11
    if found["fix"]:
        assert f"next        {found['fix']}\n" in told.stdout
        assert make_printable(found["reason"]) in told.stdout
    return found, told.stdout


def inside(scene: Scene, worktree: Path) -> dict[str, str]:
    changes = json.loads(scene("export", "json", cwd=worktree, check=True).stdout)
    return {name: value for name, value in {**scene.home.environ, **changes}.items() if value is not None}


def test_outside(scene: Scene, tmp_path: Path) -> None:
    found, text = look(scene, cwd=tmp_path)
    assert (found["state"], found["worktree"], found["trust"], found["overlay"]) == ("outside", None, None, None)
    assert (found["active"], found["current"], found["editables"], found["config"]) == (False, False, [], [])
    assert "this shell  not active\n" in text


def test_unconfigured(scene: Scene, tmp_path: Path) -> None:
    root = make_git(tmp_path, scene.home)
    found, text = look(scene, cwd=root)
    assert (found["state"], found["worktree"], found["clone"]) == ("unconfigured", str(root), f"{root}/.git")
    assert "wtenv init" in found["fix"]
    assert f"worktree    {root}\n" in text


def test_not_allowed(scene: Scene, config: Path) -> None:
    config.write_text(CONFIG + "# other\n")
    found, text = look(scene)
    assert (found["state"], found["trust"], found["active"]) == ("blocked", "changed", False)
    assert "wtenv allow" in found["fix"]
    assert "trust       changed\n" in text


@pytest.mark.usefixtures("config")
def test_denied(scene: Scene) -> None:
    scene("deny", check=True)
    for worktree in scene.repo.worktrees:
        found, text = look(scene, cwd=worktree)
        assert (found["state"], found["trust"]) == ("blocked", "denied")
        assert "trust       denied\n" in text


def test_unsafe(scene: Scene, config: Path) -> None:
    config.chmod(0o666)
    found, _ = look(scene)
    assert (found["state"], found["trust"]) == ("blocked", "unsafe")
    assert f"chmod go-w {config}" in found["fix"]
    config.chmod(0o644)


def test_broken(scene: Scene, config: Path) -> None:
    config.write_text("[pyton]\n")
    found, _ = look(scene)
    assert found["state"] == "failed"
    assert found["reason"] == f"{config}: [pyton] unknown table"


def test_missing_base(scene: Scene, config: Path) -> None:
    config.write_text('[python]\nbase_conda_env = "gone"\n')
    scene("allow", check=True)
    found, _ = look(scene)
    assert (found["state"], found["base"], found["trust"]) == ("failed", None, "allowed")
    assert f"{config}: [python] base_conda_env" in found["reason"]


def test_no_overlay(scene: Scene) -> None:
    third = scene.repo.add_worktree("third")
    found, text = look(scene, cwd=third)
    assert (found["state"], found["overlay"]["state"], found["linked"]) == ("unbuilt", "absent", True)
    assert (found["fix"], found["overlay"]["path"]) == ("run: wtenv sync", f"{third}/.venv")
    assert f"worktree    {third} (linked)\n" in text
    assert f"overlay     {third}/.venv (absent)\n" in text


def test_foreign_overlay(scene: Scene) -> None:
    fourth = scene.repo.add_worktree("fourth")
    shutil.copytree(scene.root / ".venv", fourth / ".venv", symlinks=True)
    found, _ = look(scene, cwd=fourth)
    assert found["state"] == "unbuilt"
    assert found["overlay"]["state"] in ("foreign", "unusable")
    assert f"{fourth}/.venv" in found["reason"]


@pytest.mark.parametrize("which", [0, 1])
def test_not_active_in_this_shell(which: int, scene: Scene) -> None:
    worktree = scene.repo.worktrees[which]
    found, text = look(scene, cwd=worktree / "tests")
    assert (found["state"], found["active"], found["current"], found["active_root"]) == ("active", False, False, None)
    assert found["base"] == {"prefix": str(scene.base.prefix), "name": "shared", "kind": "conda"}
    assert found["overlay"] == {
        "path": f"{worktree}/.venv", "state": "current", "reason": "", "shared": False}  # fmt: skip
    assert (found["editables"], found["config"]) == ([str(worktree)], [f"{worktree}/wtenv.toml"])
    assert (found["clone"], found["linked"], found["trust"]) == (f"{scene.root}/.git", which == 1, "allowed")
    assert "not active; is the hook in your rc?" in text
    assert re.fullmatch(
        r"next +press Enter; if it stays so, run: wtenv setup( \w+)?, and open a new shell", text.splitlines()[-1]
    )
    assert f"base        shared ({scene.base.prefix})\n" in text


def test_active(scene: Scene) -> None:
    found, text = look(scene, env=inside(scene, scene.root))
    assert (found["active"], found["current"], found["active_root"]) == (True, True, str(scene.root))
    assert "this shell  active\n" in text


def test_another_worktree_is_active(scene: Scene, tmp_path: Path) -> None:
    env = inside(scene, scene.feature)
    for cwd in (scene.root, tmp_path):
        found, text = look(scene, cwd=cwd, env=env)
        assert (found["active"], found["current"], found["active_root"]) == (False, False, str(scene.feature))
        assert f"this shell  active for {scene.feature}\n" in text
        assert "next        press Enter; if that is all the same: exec $SHELL\n" in text or cwd == tmp_path


def test_changed_while_active(scene: Scene, config: Path) -> None:
    env = inside(scene, scene.root)
    config.write_text(CONFIG.replace("{base}", "shared") + '[env]\nA = "1"\n')
    found, _ = look(scene, env=env)
    assert (found["state"], found["active"], found["active_root"]) == ("blocked", False, str(scene.root))
    scene("allow", check=True)
    found, text = look(scene, env=env)
    assert (found["state"], found["active"], found["current"]) == ("active", True, False)
    assert "active, but changed since" in text


def test_stale(scene: Scene) -> None:
    project = scene.feature / "pyproject.toml"
    text = project.read_text()
    project.write_text(text + "\n# touched\n")
    found, told = look(scene, cwd=scene.feature)
    assert (found["state"], found["overlay"]["state"]) == ("active", "stale")
    assert found["warnings"]
    assert told.endswith("\nnext        run: wtenv sync\n")
    project.write_text(text)
    assert look(scene, cwd=scene.feature)[0]["overlay"]["state"] == "current"


def test_moved_worktree(scene: Scene) -> None:
    moved = scene.repo.add_worktree("fifth").rename(scene.root.parent / "moved")
    found, text = look(scene, cwd=moved)
    assert (found["state"], found["trust"], found["clone"]) == ("blocked", "unknown", f"{moved}/.git")
    assert "git worktree repair" in found["problem"]
    assert "note " in text


def test_not_utf8(scene: Scene, tmp_path: Path) -> None:
    root = make_git(tmp_path, scene.home, "caf\udce9 \x1b[2J")
    found, text = look(scene, cwd=root)
    assert ascii(found["worktree"]) == ascii(str(root))
    assert "\x1b" not in text


def test_roles_and_settings(base: Base, tmp_path: Path) -> None:
    scene = make_scene(tmp_path, base, CONFIG + '[activation]\ndotenv = [".env"]\n', sync=False)
    (scene.root / ".env").write_text("A=1\n")
    (scene.root / ".git/wtenv.toml").write_text('[env]\nB = "1"\n')
    place = scene.home.path / ".config/wtenv/config.toml"
    place.parent.mkdir(parents=True)
    place.write_text("[sync]\nauto = false\n")
    found, text = look(scene)
    assert found["roles"] == ["repo", "clone", "dotenv"]
    assert found["settings"] == str(place)
    assert f"config      {scene.root}/wtenv.toml\n" in text
    assert f"config      {scene.root}/.git/wtenv.toml (clone)\n" in text
    assert f"config      {scene.root}/.env (dotenv)\n" in text
    assert f"settings    {place}\n" in text


def test_stack(base: Base, tmp_path: Path) -> None:
    scene = make_scene(tmp_path, base, sync=False)
    folder = scene.root.parent
    names = [f"p{number:02}" for number in range(12)]
    for name in names:
        (folder / name).mkdir()
    (folder / "wtenv.s.toml").write_text(
        f'[wtenv]\nkind = "stack"\n[python]\nbase_conda_env = "{base.name}"\n[editables]\npackages = {json.dumps(names)}\n'
    )
    (scene.root / "wtenv.toml").write_text('[wtenv]\nextends = "../wtenv.s.toml"\n')
    scene("allow", check=True)
    found, text = look(scene)
    assert found["overlay"]["shared"]
    assert len(found["editables"]) == 12
    assert f"config      {folder}/wtenv.s.toml (stack)\n" in text
    assert f"overlay     {folder}/.venv (absent, shared)\n" in text
    assert text.count("\neditable ") == 8
    assert "            and 4 more (see: wtenv status --json)\n" in text
    assert len(text.splitlines()) <= 24


def test_newlines_in_a_name_are_shown_as_such(scene: Scene, tmp_path: Path) -> None:
    root = make_git(tmp_path, scene.home, "two\ntrust       allowed")
    _, text = look(scene, cwd=root)
    assert "\ntrust " not in text
