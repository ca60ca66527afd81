"""Places to test in: a folder's exact state, a quick fake base, and a repository that is allowed and synced."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realbase import Base, cache_folder
from workspace import Home, Repo, make_repo, wtenv_program

CONFIG = '[python]\nbase_conda_env = "{base}"\n\n[editables]\npackages = ["."]\n'

State = dict[str, tuple[int, int, str]]


def snapshot(*folders: Path) -> State:
    """Mode, mtime and content (or link target) of everything below `folders`; atime is not looked at."""
    found: State = {}
    for folder in folders:
        for place in [folder, *sorted(folder.rglob("*"))]:
            info = place.lstat()
            if place.is_symlink():
                detail = os.readlink(place)
            elif stat.S_ISREG(info.st_mode):
                detail = place.read_bytes().hex() if info.st_size < 1 << 16 else str(info.st_size)
            else:
                detail = ""
            found[str(place)] = (info.st_mode, info.st_mtime_ns, detail)
    return found


def make_home(folder: Path) -> Home:
    """An isolated home without any conda."""
    return Home.make(folder / "home", cache_folder())


def make_fake_base(folder: Path, home: Home, name: str = "fake") -> Path:
    """What passes for a conda environment as long as nothing runs in it."""
    prefix = folder / "envs" / name
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "conda-meta/history").write_text("==> 2026-01-01 00:00:00 <==\n")
    (prefix / "bin").mkdir()
    (prefix / "bin/python").symlink_to("/usr/bin/python3")
    (prefix / "bin/python3").symlink_to("python")
    if not (home.path / ".condarc").exists() or str(prefix.parent) not in (home.path / ".condarc").read_text():
        home.add_envs_dir(prefix.parent)
    return prefix


def make_git(folder: Path, home: Home, name: str = "repo") -> Path:
    """A repository with one empty commit."""
    root = folder / name
    root.mkdir(parents=True)
    git(home, root, "init", "--quiet")
    git(home, root, "commit", "--quiet", "--allow-empty", "--message", "start")
    return root


def git(home: Home, cwd: Path, *words: str | Path) -> str:
    return home.run(["git", *words], cwd, check=True).stdout.strip()


def call(
    home: Home, *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, check: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the installed command."""
    return home.run([wtenv_program(), *words], cwd, env=env, check=check)


def can_mount() -> bool:
    command = ["unshare", "--mount", "sh", "-c", "mount --bind / /mnt && umount /mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def one_line(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one line that a failing command says, without its `wtenv: `; nothing else may be printed."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("wtenv: "), done.stderr
    assert done.stderr.endswith("\n"), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr[len("wtenv: ") : -1]


@dataclass(frozen=True)
class Scene:
    """A home, and a repository whose two worktrees are allowed and synced."""

    home: Home
    repo: Repo
    base: Base

    @property
    def root(self) -> Path:
        return self.repo.root

    @property
    def feature(self) -> Path:
        return self.repo.feature

    def __call__(
        self, *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        return call(self.home, *words, cwd=cwd or self.root, env=env, check=check)


def make_scene(folder: Path, base: Base, config: str = CONFIG, *, sync: bool = True) -> Scene:
    """Build it; flit is the quickest of the build backends."""
    home = make_home(folder)
    home.add_envs_dir(base.prefix.parent)
    scene = Scene(home, make_repo(folder / "work", home, "flit"), base)
    scene.repo.configure(config.replace("{base}", base.name, 1))
    scene("allow", check=True)
    if sync:
        for worktree in scene.repo.worktrees:
            scene("sync", cwd=worktree, check=True)
    return scene
