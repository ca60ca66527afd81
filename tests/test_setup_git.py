"""`wtenv setup --git`: with real git, a new worktree is as if it had been entered, and git itself never fails of it."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

import pytest
from realbase import Base
from scenes import call, git, make_git, make_home, make_scene, one_line
from workspace import Home

HOOK = ".git/hooks/post-checkout"
BEFORE = f"{HOOK}.before-wtenv"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path)


@pytest.fixture
def root(tmp_path: Path, home: Home) -> Path:
    return make_git(tmp_path, home)


def install(home: Home, root: Path, *words: str) -> str:
    return call(home, "setup", "--git", *words, cwd=root, check=True).stderr


def write_hook(path: Path, text: str, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)


def add(home: Home, root: Path, name: str) -> tuple[int, str]:
    """`git worktree add`, and what was said."""
    done = home.run(["git", "worktree", "add", "--quiet", "--detach", f"../{name}"], root)
    return done.returncode, done.stderr


# --- what it does --------------------------------------------------------------------------------


def test_a_new_worktree(tmp_path: Path, base: Base) -> None:
    """It is told what is missing; with `sync.auto` it is built; other checkouts start nothing."""
    scene = make_scene(tmp_path, base, sync=False)
    assert "added" in install(scene.home, scene.root)
    code, said = add(scene.home, scene.root, "one")
    assert (code, said.count("wtenv: ")) == (0, 1)
    assert said.endswith("run: wtenv sync\n")
    settings = scene.home.path / ".config/wtenv/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[sync]\nauto = true\n")
    code, said = add(scene.home, scene.root, "two")
    assert code == 0
    where = scene("run", "python", "-c", "import pkg; print(pkg.__file__)", cwd=scene.root.parent / "two", check=True)
    assert where.stdout == f"{scene.repo.init_file(scene.root.parent / 'two')}\n"
    for words in (["checkout", "--quiet", "-b", "other"], ["checkout", "--quiet", "main"], ["checkout", "--", "."]):
        done = scene.home.run(["git", *words], scene.root, env={"PATH": f"{tmp_path / 'nowhere'}:/usr/bin:/bin"})
        assert (done.returncode, done.stderr) == (0, "")


def test_a_new_worktree_of_kept_builds(tmp_path: Path, base: Base) -> None:
    """One was built before: the new one has its overlay when git is done."""
    scene = make_scene(tmp_path, base, sync=False)
    scene("sync", check=True)
    install(scene.home, scene.root)
    code, said = add(scene.home, scene.root, "one")
    assert code == 0, said
    one = scene.root.parent / "one"
    assert (one / ".venv/bin/pytest").exists(), said
    where = scene("run", "--no-sync", "python", "-c", "import pkg; print(pkg.__file__)", cwd=one, check=True)
    assert where.stdout == f"{scene.repo.init_file(one)}\n"


@pytest.mark.parametrize("state", ["unconfigured", "not allowed", "denied", "wrong"])
def test_it_says_one_line_at_most(state: str, root: Path, home: Home) -> None:
    if state != "unconfigured":
        (root / ".git/wtenv.toml").write_text("[" if state == "wrong" else '[python]\nbase_prefix = "/usr"\n')
    if state == "denied":
        call(home, "deny", cwd=root, check=True)
    install(home, root)
    code, said = add(home, root, "feature")
    assert code == 0
    assert said.count("\n") == (state != "unconfigured"), said


def test_it_is_turned_off_as_the_hook_is(root: Path, home: Home) -> None:
    (root / ".git/wtenv.toml").write_text('[python]\nbase_prefix = "/usr"\n')
    install(home, root)
    done = home.run(["git", "worktree", "add", "-q", "--detach", "../f"], root, env={"WTENV_DISABLE": "1"})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("trouble", ["no home", "no python", "no data"])
def test_git_never_fails(trouble: str, root: Path, home: Home) -> None:
    (root / ".git/wtenv.toml").write_text('[python]\nbase_prefix = "/usr"\n')
    install(home, root)
    env = {"no home": {"HOME": "/nonexistent"}, "no data": {"XDG_DATA_HOME": "/proc", "XDG_CACHE_HOME": "/proc"}}
    if trouble == "no python":
        hook = root / HOOK
        hook.write_text(hook.read_text().replace("/bin/python", "/bin/gone"))
    done = home.run(["git", "worktree", "add", "--quiet", "--detach", "../f"], root, env=env.get(trouble))
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 1, done.stderr


def test_in_a_linked_worktree_and_by_a_variable(root: Path, home: Home) -> None:
    """git names the repository in the environment of its hooks; it is the new worktree's that counts."""
    git(home, root, "worktree", "add", "--quiet", "--detach", "../linked")
    (root / ".git/wtenv.toml").write_text('[python]\nbase_prefix = "/usr"\n')
    install(home, root.parent / "linked")
    assert (root / HOOK).exists()
    done = home.run(
        ["git", "worktree", "add", "--quiet", "--detach", root.parent / "new"], root.parent, env={"GIT_DIR": f"{root}/.git"}
    )  # fmt: skip
    assert done.returncode == 0
    assert f"{root}/.git/wtenv.toml is not allowed" in done.stderr


# --- what is there already -----------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 3])
def test_another_hook_runs_first_and_its_status_counts(code: int, root: Path, home: Home) -> None:
    write_hook(root / HOOK, f'echo "mine: $1 $3" >&2; exit {code}')
    text, mode = (root / HOOK).read_bytes(), stat.S_IMODE((root / HOOK).stat().st_mode)
    before = home.run(["git", "checkout", "-q", "--detach"], root)
    said = install(home, root)
    assert "post-checkout.before-wtenv" in said
    for _ in range(2):
        install(home, root)
    after = home.run(["git", "checkout", "-q", "--detach"], root)
    assert (after.returncode, after.stderr) == (before.returncode, before.stderr)
    assert bool(before.returncode) == bool(code)
    new = home.run(["git", "worktree", "add", "--quiet", "--detach", "../f"], root)
    assert "mine: 0000" in new.stderr
    install(home, root, "--undo")
    assert ((root / HOOK).read_bytes(), stat.S_IMODE((root / HOOK).stat().st_mode)) == (text, mode)
    assert not (root / BEFORE).exists()


@pytest.mark.parametrize(
    "text",
    [
        '[ "${0##*/}" = post-checkout ] && echo found >&2',
        '. "$(dirname "$0")/beside"; tell "$(basename "$0")"',
        '"$0.d/first"',
        '"$(dirname "$(readlink -f "$0")")/post-checkout.d/first"',
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_one_that_goes_by_its_name_or_its_place(linked: bool, text: str, root: Path, home: Home) -> None:
    """A dispatcher, say; as a link, too. What it says and how it ends is as before."""
    write_hook(root / HOOK, text)
    if linked:
        (root / HOOK).rename(root / f"{HOOK}-real")
        (root / HOOK).symlink_to("post-checkout-real")
    (root / ".git/hooks/beside").write_text('tell() { [ "$1" = post-checkout ] && echo found >&2; }\n')
    write_hook(root / ".git/hooks/post-checkout.d/first", "echo found >&2")
    before = sorted((root / ".git/hooks").rglob("*"))
    results = []
    for words in ([], ["--undo"], []):
        done = home.run(["git", "checkout", "-q", "--detach"], root)
        results.append((done.returncode, done.stderr))
        install(home, root, *words)
    assert results == [(0, "found\n")] * 3
    install(home, root, "--undo")
    assert sorted((root / ".git/hooks").rglob("*")) == before


def test_a_folder_in_its_place(root: Path, home: Home) -> None:
    (root / HOOK).mkdir()
    install(home, root)
    assert home.run(["git", "checkout", "-q", "--detach"], root).returncode == 0
    install(home, root, "--undo")
    assert (root / HOOK).is_dir()
    assert not (root / BEFORE).exists()


def test_one_that_git_ignores_stays_ignored(root: Path, home: Home) -> None:
    write_hook(root / HOOK, "exit 5", 0o644)
    install(home, root)
    assert home.run(["git", "checkout", "-q", "--detach"], root).returncode == 0


def test_undo(root: Path, home: Home) -> None:
    assert "no hook of wtenv's" in install(home, root, "--undo")
    install(home, root)
    install(home, root, "--undo")
    assert not (root / HOOK).exists()
    write_hook(root / HOOK, "exit 0")
    assert "no hook of wtenv's" in install(home, root, "--undo")
    assert (root / HOOK).exists()


def test_what_others_have_added_is_kept(root: Path, home: Home) -> None:
    install(home, root)
    with (root / HOOK).open("a") as file:
        file.write("git lfs post-checkout\n")
    assert "more in it than wtenv wrote" in one_line(call(home, "setup", "--git", "--undo", cwd=root))
    assert (root / HOOK).read_text().endswith("git lfs post-checkout\n")


def test_a_taken_name(root: Path, home: Home) -> None:
    write_hook(root / HOOK, "exit 0")
    write_hook(root / BEFORE, "exit 0")
    assert "before-wtenv exists already" in one_line(call(home, "setup", "--git", cwd=root))


# --- core.hooksPath ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [".husky/_", "hooks", "{root}/.husky", "{link}"])
def test_a_hooks_path_inside_a_worktree(path: str, root: Path, home: Home) -> None:
    """A checkout would decide what runs, and ours would be a change in it."""
    (root / ".husky").mkdir()
    link = root.parent / "link"
    link.symlink_to(root / ".husky")
    git(home, root, "config", "core.hooksPath", path.format(root=root, link=link))
    message = one_line(call(home, "setup", "--git", cwd=root))
    assert f"is in the worktree {root}, so a checkout decides what runs" in message
    assert not list(root.rglob("post-checkout"))
    line = message.rpartition("run: ")[2]
    home.run(["sh", "-c", line], root, check=True)


def test_a_hooks_path_outside(root: Path, home: Home) -> None:
    (root / ".git/wtenv.toml").write_text('[python]\nbase_prefix = "/usr"\n')
    git(home, root, "config", "--global", "core.hooksPath", "~/my hooks")
    said = install(home, root)
    assert (home.path / "my hooks/post-checkout").exists()
    assert not (root / HOOK).exists()
    assert "every repository" in said
    assert "is not allowed" in add(home, root, "f")[1]
    install(home, root, "--undo")
    assert not (home.path / "my hooks/post-checkout").exists()


@pytest.mark.parametrize("path", ["/dev/null", "{home}/open"])
def test_a_hooks_path_that_can_not_be_used(path: str, root: Path, home: Home) -> None:
    (home.path / "open").mkdir()
    (home.path / "open").chmod(0o777)
    git(home, root, "config", "core.hooksPath", path.format(home=home.path))
    message = one_line(call(home, "setup", "--git", cwd=root))
    assert "git runs no hooks here" in message or "can be written by other users" in message


def test_a_bare_clone(root: Path, home: Home) -> None:
    """From the folder above its worktrees, and from one of them."""
    top = root.parent / "top"
    top.mkdir()
    git(home, root.parent, "clone", "--quiet", "--bare", root, top / ".bare")
    (top / ".git").write_text("gitdir: ./.bare\n")
    install(home, top)
    assert os.access(top / ".bare/hooks/post-checkout", os.X_OK)
    (top / ".bare/wtenv.toml").write_text('[python]\nbase_prefix = "/usr"\n')
    done = home.run(["git", "worktree", "add", "--quiet", "--detach", "one"], top)
    assert (done.returncode, "is not allowed" in done.stderr) == (0, True), done.stderr
    install(home, top / "one", "--undo")
    assert not (top / ".bare/hooks/post-checkout").exists()


def test_print(root: Path, home: Home) -> None:
    done = call(home, "setup", "--git", "--print", cwd=root, check=True)
    assert done.stdout.startswith("#!/bin/sh\n")
    assert not (root / HOOK).exists()
    checked = home.run(["sh", "-n", "-c", done.stdout], root)
    assert checked.returncode == 0, shlex.quote(checked.stderr)


def test_a_worktree_with_hostile_names(root: Path, home: Home, tmp_path: Path) -> None:
    odd = tmp_path / "a'b $(touch pwned) `c`"
    git(home, tmp_path, "clone", "--quiet", root, odd)
    (odd / ".git/wtenv.toml").write_text('[python]\nbase_prefix = "/usr"\n')
    install(home, odd)
    code, said = add(home, odd, "x;y")
    assert code == 0
    assert "is not allowed" in said
    assert not list(tmp_path.rglob("pwned"))
