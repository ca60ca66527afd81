"""Places to test in: a folder's exact state, a quick fake base, and a repository that is allowed and synced."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realbase import Base, cache_folder, walk
from workspace import Home, Repo, make_repo, wtenv_program

from wtenv.overlay import registry

CONFIG = '[python]\nbase_conda_env = "{base}"\n\n[editables]\npackages = ["."]\n'

State = dict[str, tuple[int, int, str]]


def snapshot(*folders: Path) -> State:
    """Mode, mtime and content (or link target) of everything below `folders`; atime is not looked at."""
    found: State = {}
    for folder in folders:
        for path, info in sorted(walk(str(folder))):
            detail = ""
            if stat.S_ISLNK(info.st_mode):
                detail = os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                detail = str(info.st_size)
                if info.st_size < 1 << 16:
                    with open(path, "rb", buffering=0) as file:
                        detail = file.read().hex()
            found[path] = (info.st_mode, info.st_mtime_ns, detail)
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


class Templates:
    """Places that are built once and given to each test as new, see the fixture `templates`.

    An overlay knows its own path, and so do a linked worktree and the records in the home. So a place comes back
    at the path where it was built: what a test has left there is thrown away, and the copy that was kept is copied.
    Times are kept. The record of an overlay gets the new folder's inode, which is all that differs from a new build.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built: dict[Hashable, tuple[Path, Any, Mapping[str, str]]] = {}

    def get(self, key: Hashable, build: Callable[[Path], Any]) -> Any:
        """What `build` has made in the folder that it was given, as it made it; `home` is one part of it."""
        if key not in self._built:
            place = self._folder / f"place{len(self._built)}"
            place.mkdir()
            made = build(place)
            copy_place(place, _kept(place))
            self._built[key] = (place, made, dict(made.home.environ))
            return made
        place, made, environ = self._built[key]
        aside = Path(tempfile.mkdtemp(dir=self._folder, prefix="used"))
        place.rename(aside / "place")  # what still runs there can't reach the new one
        shutil.rmtree(aside, ignore_errors=True)
        copy_place(_kept(place), place)
        made.home.environ.clear()
        made.home.environ.update(environ)
        for file, record in registry.list_records(environ):
            time = file.stat().st_mtime_ns
            registry.write_record(record._replace(inode=os.lstat(record.venv).st_ino), file)
            os.utime(file, ns=(time, time))
        return made


def _kept(place: Path) -> Path:
    return place.with_name(f"{place.name}-kept")


def copy_place(source: Path, target: Path) -> None:
    """Copy a folder with its times; below a base's `lib/` with hard links, as `copy_base` does."""

    def place(file: str, copy: str) -> None:
        if "/miniforge3/" in file and "/lib/" in file and not file.endswith(".pth"):
            os.link(file, copy)
        else:
            shutil.copy2(file, copy)

    shutil.copytree(source, target, symlinks=True, copy_function=place)
