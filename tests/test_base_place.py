"""Where a base may be: never at or below a worktree of the clone or of the stack, by whatever way."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from scenes import call, can_mount, git, make_git, make_home
from workspace import Home

from wtenv import decision
from wtenv.config import read as configs
from wtenv.errors import WtenvError
from wtenv.worktree import require_worktree


@dataclass
class Place:
    """What is in `top`: a home that is a repository itself, with a clone `work/main`, its linked worktrees, a
    repository inside it; a stack with two repositories; a bare repository with worktrees; bases everywhere."""

    top: Path
    home: Home

    def locate(self, root: str, key: str, value: str) -> Path:
        """The base that a config in `root`, or in the stack that it extends, would give; it is not looked into."""
        place = require_worktree(self.top / root)
        text = f'[python]\n{key} = "{value.replace("{top}", str(self.top))}"\n'
        if root in ("work/app", "work/app2"):
            (self.top / "work/stack/wtenv.s.toml").write_text(
                f'[wtenv]\nkind = "stack"\n{text}[editables]\npackages = ["../lib"]\n'
            )
        else:
            (place.root / "wtenv.toml").write_text(text)
        sources = configs.require_sources(place, self.home.path)
        config = configs.read_config(place, sources, self.home.path)
        return Path(decision.locate_base(place, config, self.home.environ).prefix)


def make_base(prefix: Path) -> None:
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "bin").mkdir(exist_ok=True)
    (prefix / "bin/python3").symlink_to("/usr/bin/python3")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    top = tmp_path_factory.mktemp("bases")
    home = make_home(top)
    made = Place(top, home)
    work = top / "work"
    git(home, top, "init", "--quiet")  # as people keep their dotfiles
    for name in ("main", "other", "lib", "app", "app2", "main/vendor/inner"):
        make_git(work, home, name)
    (work / "stack").mkdir()
    for name in ("app", "app2"):
        (work / name / "wtenv.toml").write_text('[wtenv]\nextends = "../stack/wtenv.s.toml"\n')
    git(home, work / "main", "worktree", "add", "--quiet", "../feature")
    git(home, work / "main", "worktree", "add", "--quiet", ".worktrees/nested")
    git(home, work / "lib", "worktree", "add", "--quiet", "../lib-feature")
    git(home, work, "clone", "--quiet", "--bare", "main", "bare/.bare")
    (work / "bare/.git").write_text("gitdir: ./.bare\n")
    for name in ("one", "two"):
        git(home, work / "bare", "worktree", "add", "--quiet", name)
    moved = work / "moved"
    git(home, work / "main", "worktree", "add", "--quiet", "../before")
    (work / "before").rename(moved)
    folders = (
        "main feature main/.worktrees/nested main/vendor/inner main/.git other lib lib-feature app app2 stack bare"
    )
    for name in (*folders.split(), "bare/one", "bare/two", "moved", "main/envs"):
        make_base(work / name / "env")
    for name in ("main", "feature", "stack"):
        make_base(work / name)
    make_base(top / "miniforge3/envs/shared")
    home.add_envs_dir(work / "main/envs")
    (work / "main/out").symlink_to(top / "miniforge3/envs/shared")
    (work / "main/up").symlink_to(top / "miniforge3")
    (top / "in").symlink_to("work/feature/env")
    (top / "deep").symlink_to("work/main/vendor")
    (top / "twice").symlink_to("work/main/up/envs/shared")
    return made


REFUSED = [
    ("work/main", "."), ("work/main", "./env"), ("work/main", "{top}/work/main/env"), ("work/main", "./"),
    ("work/main", "../feature/env"), ("work/main", "../feature"), ("work/main", "./.worktrees/nested/env"),
    ("work/main", "./.git/env"), ("work/main", "../moved/env"), ("work/main", "./vendor/inner/env"),
    ("work/main", "./out"), ("work/main", "./up/envs/shared"), ("work/main", "{top}/in"), ("work/main", "{top}/twice"),
    ("work/main", "{top}/deep/inner/env"), ("work/main", "~/../work/main/env"), ("work/main", "../main/../feature/env"),
    ("work/feature", "../main/env"), ("work/feature", "../main"), ("work/feature", "."), ("work/feature", "{top}/in"),
    ("work/feature", "../main/.worktrees/nested/env"), ("work/main/.worktrees/nested", "../../env"),
    ("work/app", "."), ("work/app", "./env"), ("work/app", "../app/env"), ("work/app", "../app2/env"),
    ("work/app", "../lib/env"), ("work/app", "../lib-feature/env"), ("work/bare/one", "../two/env"),
    ("work/bare/one", "./env"),
]  # fmt: skip

ACCEPTED = [
    ("work/main", "{top}/miniforge3/envs/shared"),
    ("work/main", "../../miniforge3/envs/shared"),
    ("work/main", "../other/env"),  # as pyenv and Homebrew are clones themselves
    ("work/main/vendor/inner", "{top}/miniforge3/envs/shared"),
    ("work/bare/one", "../env"),  # nothing is checked out there
    ("work/app", "../other/env"),
    ("work/app", "../bare/one/env"),
]


@pytest.mark.parametrize("key", ["base_conda_env", "base_prefix"])
@pytest.mark.parametrize(("root", "value"), REFUSED)
def test_refused(root: str, value: str, key: str, place: Place) -> None:
    with pytest.raises(WtenvError, match=r"(is inside|is a worktree itself).*keep the base outside of the worktrees"):
        place.locate(root, key, value)


@pytest.mark.parametrize("key", ["base_conda_env", "base_prefix"])
@pytest.mark.parametrize(("root", "value"), ACCEPTED)
def test_accepted(root: str, value: str, key: str, place: Place) -> None:
    assert place.locate(root, key, value).is_dir()


def test_where_pixi_keeps_its_environments(place: Place, tmp_path: Path) -> None:
    """Below the worktree by default; with `detached-environments` in its cache, where `.pixi/envs` then leads to."""
    inside = place.top / "work/main/.pixi/envs"
    make_base(inside / "default")
    with pytest.raises(WtenvError) as caught:
        place.locate("work/main", "base_conda_env", ".pixi/envs/default")
    assert str(caught.value).endswith(
        ".pixi/envs/default is inside " + str(place.top / "work/main") + "; keep the base outside of the worktrees: "
        "pixi config set --global detached-environments true && pixi install"
    )
    detached = place.top / "home/.cache/rattler/cache/envs/main-8250306441230137438/envs"
    detached.parent.mkdir(parents=True)
    inside.rename(detached)
    inside.symlink_to(detached)
    with pytest.raises(WtenvError) as caught:
        place.locate("work/main", "base_conda_env", ".pixi/envs/default")
    named = str(caught.value).rpartition("name it by its own path: ")[2]
    assert named == f"{detached}/default"
    assert place.locate("work/main", "base_conda_env", named) == detached / "default"


def test_by_name(place: Place) -> None:
    """Also where a condarc has a folder of the worktree among its envs_dirs."""
    with pytest.raises(WtenvError, match="is inside"):
        place.locate("work/main", "base_conda_env", "env")


def test_commands_refuse_it(place: Place) -> None:
    """What a checkout brings into it would run at the next cd, without having been allowed."""
    root = place.top / "work/feature"
    trap = root / "env/etc/conda/activate.d/x.sh"
    trap.parent.mkdir(parents=True, exist_ok=True)
    trap.write_text(f"touch {place.top}/pwned\n")
    for value in ("./env", "../main/env", "."):
        (root / "wtenv.toml").write_text(f'[python]\nbase_conda_env = "{value}"\n')
        call(place.home, "allow", cwd=root, check=True)
        for command in (["sync"], ["run", "true"], ["export", "bash"]):
            done = call(place.home, *command, cwd=root)
            assert (done.returncode, "keep the base outside of the worktrees" in done.stderr) == (2, True)
    assert not (place.top / "pwned").exists()
    assert not (root / ".venv").exists()


@pytest.mark.skipif(not can_mount(), reason="mounts need root, and a system that has them")
def test_a_worktree_under_another_name(place: Place) -> None:
    """A bind mount: the same folders, on a way that does not go through the worktree's name."""
    script = """
import subprocess, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from test_base_place import Place
from workspace import Home
from wtenv.errors import WtenvError
top = Path(sys.argv[2])
place = Place(top, Home(top / "home", {"HOME": str(top / "home"), "PATH": "/usr/bin:/bin"}))
for name in ("main", "feature"):
    subprocess.run(["mount", "--bind", top / "work" / name, top / "mount"], check=True)
    try:
        print(place.locate("work/main", "base_prefix", "{top}/mount/env"))
    except WtenvError as error:
        print("refused" if "keep the base outside" in str(error) else error)
    subprocess.run(["umount", top / "mount"], check=True)
"""
    (place.top / "mount").mkdir()
    command = ["unshare", "--mount", sys.executable, "-c", script, Path(__file__).parent, place.top]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "refused\nrefused\n"
