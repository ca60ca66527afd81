"""`{name}`, `{slug}`, `{main}`: what the worktree fills in, where that is a mistake, and what of it has to be allowed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from scenes import call, git, make_fake_base, make_git, make_home, one_line
from workspace import Home

from wtenv import worktree as worktrees
from wtenv.config import read as configs
from wtenv.errors import WtenvError

CONFIG = '[python]\nbase_prefix = "/usr"\n'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path)


@pytest.fixture
def root(tmp_path: Path, home: Home) -> Path:
    return make_git(tmp_path, home)


def add(root: Path, home: Home, path: str) -> Path:
    git(home, root, "worktree", "add", "--quiet", "--detach", root.parent / path)
    return root.parent / path


def read(root: Path, home: Home) -> configs.Config:
    place = worktrees.find_worktree(root)
    assert place
    return configs.read_config(place, configs.find_sources(place, home.path), home.path)


def slug(root: Path) -> str:
    place = worktrees.find_worktree(root)
    assert place
    return worktrees.make_slug(place)


NAMES = ["feature", "Feature", "FEATURE", "feature_a", "feature-a", "feature a", "-feature-a-", "日本", "日本語", "repo",
         "other/repo", "other/Repo", "x" * 41, "x" * 42, "1"]  # fmt: skip


def test_slugs_are_unique_and_stay(root: Path, home: Home) -> None:
    """The main worktree's folder is called `repo`, and so is another one's entry."""
    found = {path: slug(path) for path in [root, *(add(root, home, name) for name in NAMES if name != "repo")]}
    assert all(re.fullmatch("[a-z0-9-]{1,49}", each) for each in found.values()), found
    # One may be called what another one's slug is.
    others = [each for each in found.values() if not (root.parent / each).exists()]
    assert len(others) > 5
    found |= {path: slug(path) for path in [add(root, home, each) for each in others]}
    assert len(set(found.values())) == len(found), found
    assert (found[root], found[root.parent / "feature"], found[root.parent / "1"]) == ("repo", "feature", "1")
    assert found[root.parent / "other/repo"].startswith("repo-")
    git(home, root.parent / "feature", "checkout", "--quiet", "-b", "another/branch")
    moved = root.parent / "moved away"
    git(home, root, "worktree", "move", root.parent / "feature", moved)
    assert slug(moved) == "feature"
    assert {path: slug(path) for path in found if path.exists()} == {
        path: each for path, each in found.items() if path.exists()
    }


def test_env(root: Path, home: Home) -> None:
    """In a real activation, in the main worktree and in another."""
    feature = add(root, home, "Feature One")
    (root / ".git/wtenv.toml").write_text(CONFIG + '[env]\nA = "{name}:{slug}:{main}:{other}"\nB = "{root}"\n')
    call(home, "allow", cwd=root, check=True)
    for place in (root, feature):
        call(home, "sync", cwd=place, check=True)
        found = json.loads(call(home, "export", "json", cwd=place, check=True).stdout)
        assert found["A"] == f"{place.name}:{slug(place)}:{root}:{{other}}"
        assert found["B"] == str(place)


DOTENV = '[activation]\ndotenv = ["{main}/.env", ".env"]\n'


def test_the_main_worktrees_dotenv_file_is_part_of_what_is_allowed(root: Path, home: Home) -> None:
    """It needs no copy, and no second `allow`; another content of it does, in every worktree."""
    feature = add(root, home, "feature")
    (root / ".git/wtenv.toml").write_text(CONFIG + DOTENV)
    (root / ".env").write_text("A=main\n")
    call(home, "allow", cwd=root, check=True)
    assert json.loads(call(home, "status", "--json", cwd=feature).stdout)["trust"] == "allowed"
    assert dict(read(feature, home).dotenv) == {"A": "main"}
    assert root / ".env" in [source.path for source in read(feature, home).sources]
    (feature / ".env").write_text("A=mine\n")
    assert dict(read(feature, home).dotenv) == {"A": "mine"}
    assert json.loads(call(home, "status", "--json", cwd=feature).stdout)["trust"] == "changed"
    assert json.loads(call(home, "status", "--json", cwd=root).stdout)["trust"] == "allowed"
    (feature / ".env").unlink()
    (root / ".env").write_text("A=changed\n")
    for place in (root, feature):
        assert json.loads(call(home, "status", "--json", cwd=place).stdout)["trust"] == "changed"


def test_a_known_run_sees_the_main_worktrees_file_change(root: Path, home: Home) -> None:
    feature = add(root, home, "feature")
    (root / ".git/wtenv.toml").write_text(CONFIG + DOTENV)
    (root / ".env").write_text("A=main\n")
    call(home, "allow", cwd=root, check=True)
    call(home, "sync", cwd=feature, check=True)
    for _ in range(2):
        assert call(home, "run", "printenv", "A", cwd=feature).stdout == "main\n"
    (root / ".env").write_text("A=evil\n")
    assert "has changed since it was allowed" in one_line(call(home, "run", "printenv", "A", cwd=feature))


@pytest.mark.parametrize("text", ['[env]\nA = "{main}"\n', DOTENV])
def test_a_bare_clone_has_no_main_worktree(text: str, root: Path, home: Home) -> None:
    bare = root.parent / "bare.git"
    git(home, root.parent, "clone", "--quiet", "--bare", root, bare)
    git(home, bare, "worktree", "add", "--quiet", "../linked")
    (root.parent / "linked/wtenv.toml").write_text(CONFIG + text)
    with pytest.raises(WtenvError, match=r"(\[env\] A|\[activation\] dotenv).*main.*bare"):
        read(root.parent / "linked", home)
    (root.parent / "linked/wtenv.toml").write_text(CONFIG + '[env]\nA = "{slug}"\n')
    assert read(root.parent / "linked", home).words == (("slug", "linked"),)


@pytest.mark.parametrize(("word", "table"), [("name", "env"), ("slug", "env"), ("main", "env"), ("main", "activation")])
def test_a_stack_is_no_worktree(word: str, table: str, root: Path, home: Home, tmp_path: Path) -> None:
    make_fake_base(tmp_path, home)
    text = f'[env]\nA = "{{{word}}}"\n' if table == "env" else DOTENV
    (root.parent / "stack.toml").write_text(f'[wtenv]\nkind = "stack"\n{CONFIG}{text}')
    (root / "wtenv.toml").write_text('[wtenv]\nextends = "../stack.toml"\n')
    with pytest.raises(WtenvError, match=f"{{{word}}}, but a stack is no worktree"):
        read(root, home)


def test_submodules_and_moved_git_folders(root: Path, home: Home) -> None:
    """A submodule is its own main worktree; one whose git folder lies elsewhere is so, too."""
    git(home, root, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", root, "sub")
    place = worktrees.find_worktree(root / "sub")
    assert place
    assert (worktrees.find_main(place), worktrees.make_slug(place)) == (root / "sub", "sub")
    git(home, root / "sub", "worktree", "add", "--quiet", "--detach", root.parent / "sub-linked")
    linked = worktrees.find_worktree(root.parent / "sub-linked")
    assert linked
    assert worktrees.find_main(linked) == root / "sub"
