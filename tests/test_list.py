"""`wtenv list`: each worktree with its state, from files alone, whatever the worktrees are like."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from realbase import Base
from scenes import CONFIG, Scene, call, git, make_fake_base, make_git, make_home, make_scene, one_line, snapshot
from test_status import inside
from workspace import Home

from wtenv import files
from wtenv.console import format_size
from wtenv.insight import listing


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("list"), base)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = make_home(tmp_path)
    make_fake_base(tmp_path, made)
    return made


def look(home: Home, cwd: Path, *words: str, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The clones that `--json` names."""
    done = call(home, "list", "--json", *words, cwd=cwd, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)["clones"]
    return found


def find(clones: list[dict[str, Any]], path: Path) -> dict[str, Any]:
    (found,) = [item for clone in clones for item in clone["worktrees"] if item["path"] == str(path)]
    return found


def show(home: Home, cwd: Path, *words: str) -> list[str]:
    done = call(home, "list", *words, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_worktrees_of_a_clone(scene: Scene) -> None:
    (clone,) = look(scene.home, scene.feature / "tests", env=inside(scene, scene.root))
    assert (clone["clone"], clone["present"]) == (f"{scene.root}/.git", True)
    assert [item["path"] for item in clone["worktrees"]] == [str(scene.root), str(scene.feature)]
    main, feature = clone["worktrees"]
    assert (main["branch"], main["commit"], main["linked"]) == ("main", None, False)
    assert (feature["branch"], feature["linked"]) == ("feature", True)
    for item in (main, feature):
        assert (item["state"], item["reason"], item["fix"], item["trust"]) == ("active", "", "", "allowed")
        overlay = item["overlay"]
        assert (overlay["path"], overlay["state"], overlay["shared"]) == (f"{item['path']}/.venv", "current", False)
        assert overlay["python"].startswith("3.")
        du = subprocess.run(["du", "-s", "--block-size=1", overlay["path"]], capture_output=True, text=True, check=True)
        assert overlay["size"] == int(du.stdout.split()[0])
        assert time.strptime(overlay["synced"], "%Y-%m-%dT%H:%M:%SZ")
    assert [(item["here"], item["active"]) for item in (main, feature)] == [(False, True), (True, False)]


def test_table(scene: Scene) -> None:
    lines = show(scene.home, scene.root)
    assert lines[0].split() == ["BRANCH", "STATE", "SIZE", "PYTHON", "SYNCED", "WORKTREE"]
    assert [(line[0], line.split()[-1]) for line in lines[1:]] == [(".", str(scene.root)), (" ", str(scene.feature))]
    column = lines[0].index("WORKTREE")
    assert all(line[column:] == path for line, path in zip(lines[1:], map(str, scene.repo.worktrees), strict=True))
    done = call(scene.home, "list", cwd=scene.root, env=inside(scene, scene.root))
    assert done.stdout.splitlines()[1].startswith("* main ")


def test_states(scene: Scene) -> None:
    repo = scene.repo
    made = {
        name: repo.add_worktree(name) for name in ("blocked", "broken", "foreign", "gone", "bare-base", "stale", "none")
    }
    (made["blocked"] / "wtenv.toml").write_text(CONFIG + "# other\n")
    (made["broken"] / "wtenv.toml").write_text("[x\n")
    (made["foreign"] / ".venv").mkdir()
    (made["none"] / "wtenv.toml").unlink()
    shutil.rmtree(made["gone"])
    for name in ("stale", "bare-base"):
        scene("sync", cwd=made[name], check=True)
    (made["stale"] / "pyproject.toml").open("a").write("\n")
    (made["bare-base"] / "wtenv.toml").write_text('[python]\nbase_conda_env = "nowhere"\n')
    scene("allow", cwd=made["bare-base"], check=True)
    detached = repo.add_worktree("detached")
    repo.git("checkout", "--quiet", "--detach", cwd=detached)
    places = [path for name, path in made.items() if name != "gone"]
    before = snapshot(*places, scene.root / ".git", scene.home.path)
    clones = look(scene.home, scene.root)
    assert snapshot(*places, scene.root / ".git", scene.home.path) == before
    states = {name: find(clones, path) for name, path in made.items()}
    assert {name: item["state"] for name, item in states.items()} == {
        "blocked": "blocked", "broken": "failed", "foreign": "unbuilt", "gone": "missing", "bare-base": "failed",
        "stale": "active", "none": "unconfigured",
    }  # fmt: skip
    assert states["stale"]["overlay"]["state"] == "stale"
    assert states["foreign"]["overlay"] == {
        "path": f"{made['foreign']}/.venv", "state": "foreign", "shared": False, "size": None, "python": None,
        "synced": None, "reason": f"{made['foreign']}/.venv was not made by wtenv",
    }  # fmt: skip
    assert states["bare-base"]["overlay"]["state"] == "current"  # of what it was made for
    assert states["bare-base"]["overlay"]["size"] > 0
    assert "nowhere" in states["bare-base"]["reason"]
    assert "git worktree prune" in states["gone"]["fix"]
    assert states["broken"]["overlay"] is None
    assert all(item["reason"] and item["fix"] for name, item in states.items() if name != "stale")
    commit = repo.git("rev-parse", "HEAD", cwd=detached)
    assert (find(clones, detached)["branch"], find(clones, detached)["commit"]) == (None, commit)
    told = {line.split()[-1]: line for line in show(scene.home, scene.root)}
    for name, word in {"blocked": "not allowed", "broken": "failed", "foreign": "foreign", "gone": "missing",
                       "bare-base": "failed", "stale": "stale", "none": "no config"}.items():  # fmt: skip
        assert f" {word} " in told[str(made[name])], name
    assert f"({commit[:7]})" in told[str(detached)]


def test_denied_and_untrusted_are_not_read(home: Home, tmp_path: Path) -> None:
    root = make_git(tmp_path, home)
    (root / "wtenv.toml").write_text('[python]\nbase_conda_env = "fake"\n')
    assert (find(look(home, root), root)["trust"], look(home, root)[0]["worktrees"][0]["state"]) == (
        "unknown",
        "blocked",
    )
    call(home, "deny", cwd=root, check=True)
    (root / "wtenv.toml").unlink()
    os.mkfifo(root / "wtenv.toml")
    assert find(look(home, root), root)["trust"] == "denied"
    assert " denied " in show(home, root)[1]


@pytest.mark.parametrize("dot_git", [True, False])
def test_bare(dot_git: bool, home: Home, tmp_path: Path) -> None:
    source = make_git(tmp_path, home, "source")
    project = tmp_path / "project"
    bare = project / (".bare" if dot_git else "repo.git")
    git(home, tmp_path, "clone", "--quiet", "--bare", source, bare)
    if dot_git:
        (project / ".git").write_text("gitdir: ./.bare\n")
    git(home, bare, "worktree", "add", "--quiet", "-b", "feature", project / "feature")
    for cwd in [project / "feature", *([project] if dot_git else [])]:
        (clone,) = look(home, cwd)
        assert clone["clone"] == str(bare)
        assert [(item["path"], item["state"]) for item in clone["worktrees"]] == [
            (str(bare), "bare"), (str(project / "feature"), "unconfigured")]  # fmt: skip
    if dot_git:
        problem = json.loads(call(home, "status", "--json", cwd=project).stdout)["problem"]
        assert problem == f"{bare} is a bare repository, whose worktrees are elsewhere"


def test_unproved(home: Home, tmp_path: Path) -> None:
    root = make_git(tmp_path, home)
    git(home, root, "worktree", "add", "--quiet", "-b", "f", tmp_path / "feature")
    moved = (tmp_path / "feature").rename(tmp_path / "moved")
    (clone,) = look(home, moved)
    assert (clone["clone"], [item["path"] for item in clone["worktrees"]]) == (f"{moved}/.git", [str(moved)])
    assert find(look(home, root), tmp_path / "feature")["state"] == "missing"


def test_stack_is_shared(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    (folder / "wtenv.s.toml").write_text('[wtenv]\nkind = "stack"\n[python]\nbase_conda_env = "fake"\n')
    roots = [make_git(folder, home, name) for name in ("api", "worker")]
    for root in roots:
        (root / "wtenv.toml").write_text('[wtenv]\nextends = "../wtenv.s.toml"\n')
        call(home, "allow", cwd=root, check=True)
    call(home, "sync", cwd=roots[0], check=True)
    clones = look(home, tmp_path, "--all")
    overlays = [find(clones, root)["overlay"] for root in roots]
    assert overlays[0] == overlays[1]
    assert (overlays[0]["path"], overlays[0]["shared"], overlays[0]["state"]) == (f"{folder}/.venv", True, "current")
    assert all(
        " current, shared " in line for line in show(home, tmp_path, "--all") if line.endswith(tuple(map(str, roots)))
    )


def test_every_clone(home: Home, tmp_path: Path) -> None:
    done = call(home, "list", "--all", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no clone is known yet" in done.stderr
    assert look(home, tmp_path, "--all") == []
    allowed, denied, gone, unknown = (
        make_git(tmp_path, home, name) for name in ("allowed", "denied", "gone", "unknown")
    )
    (allowed / "wtenv.toml").write_text('[python]\nbase_conda_env = "fake"\n')
    call(home, "allow", cwd=allowed, check=True)
    for root in (denied, gone):
        call(home, "deny", cwd=root, check=True)
    trusted = make_git(tmp_path, home, "by prefix")  # without a record of its own: known by its overlay
    (home.path / ".config/wtenv").mkdir(parents=True)
    (home.path / ".config/wtenv/config.toml").write_text(f'[trust]\nprefixes = ["{trusted}"]\n')
    (trusted / "wtenv.toml").write_text('[python]\nbase_conda_env = "fake"\n')
    call(home, "sync", cwd=trusted, check=True)
    shutil.rmtree(gone)
    clones = look(home, unknown, "--all")
    assert [(clone["clone"], clone["present"]) for clone in clones] == [
        (f"{root}/.git", root != gone) for root in (allowed, trusted, denied, gone)]  # fmt: skip
    assert find(clones, trusted)["trust"] == "trusted"
    lines = show(home, unknown, "--all")
    assert f"{gone}/.git  gone (to forget it run: wtenv prune)" in lines
    assert f"{allowed}/.git" in lines


def test_damaged_records(home: Home, tmp_path: Path) -> None:
    root = make_git(tmp_path, home)
    call(home, "deny", cwd=root, check=True)
    data = home.path / ".local/share/wtenv"
    (record,) = (data / "trust").iterdir()
    shutil.copy(record, data / "trust/0123.json")  # its name is not that of its clone
    (data / "trust/x.json").write_bytes(b"\xff{")
    (data / "trust/dir.json").mkdir()
    (data / "overlays").mkdir()
    os.mkfifo(data / "overlays/x.json")
    (data / "overlays/y.json").write_text('{"token": "", "venv": "/x", "inode": 0, "building": false, "leftovers": []}')
    assert [clone["clone"] for clone in look(home, tmp_path, "--all")] == [f"{root}/.git"]


def test_outside(home: Home, tmp_path: Path) -> None:
    assert "run: wtenv list --all" in one_line(call(home, "list", cwd=tmp_path))


def test_names_that_are_odd(home: Home, tmp_path: Path) -> None:
    root = make_git(tmp_path, home, "caf\udce9 \x1b[2J\nx")
    git(home, root, "worktree", "add", "--quiet", "-b", "zweig-ü", tmp_path / "a\tb")
    lines = show(home, root)
    assert len(lines) == 3
    assert "\x1b" not in "".join(lines)
    assert find(look(home, root), root)["path"] == str(root)


def test_no_process_is_started(scene: Scene, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    command = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=execve",
        "-o",
        trace,
        scene.home.environ["PATH"].split(":")[0] + "/wtenv",
    ]
    scene.home.run([*command, "list", "--all"], scene.root, check=True)
    assert {line.split()[0] for line in trace.read_text().splitlines() if "execve" in line and "= 0" in line} == {
        trace.read_text().split()[0]
    }


# --- the table --------------------------------------------------------------------------------------


def make(path: str, branch: str, **more: Any) -> dict[str, Any]:
    overlay = {
        "state": "current",
        "size": 126976,
        "python": "3.11.7",
        "synced": "2026-01-01T00:00:00Z",
        "shared": False,
    }
    plain = {"commit": None, "state": "active", "trust": "allowed", "here": False, "active": False}
    return {**plain, "path": path, "branch": branch, "overlay": overlay, **more}


NOW = 1767225600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(("width", "longest"), [(None, 24), (200, 24), (80, 24), (68, 16), (40, 8)])
def test_branches_are_cut_to_the_terminal(width: int | None, longest: int) -> None:
    rows = [make("/home/u/src/main", "main"), make("/home/u/src/feature", "feature/a-very-long-name-indeed")]
    clone = {"clone": "/home/u/src/main/.git", "present": True, "worktrees": rows}
    lines = listing.render([clone], "/home/u", NOW, width, headings=False).splitlines()
    branch = lines[2][2:].split()[0]
    assert (len(branch), branch[-1]) == (longest, "…")
    assert lines[2].endswith(" ~/src/feature")
    assert width is None or width < 80 or max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (512, "512 B"), (1023, "1023 B"), (1024, "1.0 KB"), (126976, "124 KB"), (10189, "10 KB"),
     (1024**2 - 1, "1.0 MB"), (5 * 1024**3, "5.0 GB"), (3 * 1024**5, "3072 TB")],
)  # fmt: skip
def test_sizes(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [(-100, "just now"), (59, "just now"), (60, "1 min ago"), (7199, "1 h ago"), (86400 * 400, "400 d ago")],
)
def test_ages(ago: int, text: str) -> None:
    assert listing._format_age("2026-01-01T00:00:00Z", NOW + ago) == text


def test_measure_counts_blocks_and_hard_links_once(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below/file").write_bytes(b"x" * 10000)
    os.link(tmp_path / "below/file", tmp_path / "again")
    (tmp_path / "out").symlink_to("/usr")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    du = subprocess.run(["du", "-s", "--block-size=1", tmp_path], capture_output=True, text=True, check=True)
    assert files.measure(tmp_path) == int(du.stdout.split()[0])
