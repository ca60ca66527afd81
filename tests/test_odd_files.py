"""Files of a checkout that are no files: nothing is opened that is none, and no command waits for one or reads it.

To open is to act: a fifo's writer goes on and loses what it writes, a device does what its driver wants. So it is not
asked whether a command comes back, but whether anything odd was opened at all.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from realbase import Base
from scenes import CONFIG, Scene, make_scene
from test_fuzz import in_time

from wtenv import cli, files
from wtenv.errors import WtenvError
from wtenv.hook.shells import ABI
from wtenv.overlay import manifest as manifests
from wtenv.overlay.project import read_project

HUGE = 20 << 30  # as a sparse file; whoever reads it has no memory left


def make_huge(path: Path) -> None:
    path.touch()
    os.truncate(path, HUGE)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)  # the whole path may be too long for an address
        try:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


KINDS: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "huge": make_huge,
    "socket": make_socket,
    "folder": Path.mkdir,
    "dangling": lambda path: path.symlink_to("nowhere/at/all"),
}
REFUSED = ("fifo", "endless", "terminal", "huge", "socket")
BUILD = ("pyproject.toml", "setup.cfg", "Cargo.toml", "README.md", "LICENSE")
FILES = (*BUILD, "wtenv.toml", ".env", "wtenv.lock", "notuv.toml", "environment.yml", "../stack.toml",
         "../main/.git/wtenv.toml", "../main/.git/info/exclude", "../main/.git/worktrees/feature/gitdir",
         ".venv/wtenv.json", ".venv/bin/activate", ".venv/pyvenv.cfg")  # fmt: skip
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("export", "--hook", ABI, "bash", "{root}", ""),
    ("status",),
    ("list",),
    ("verify",),
    ("run", "true"),
    ("sync", "--dry-run"),
    ("init", "--clone"),
)


def is_odd(path: str) -> bool:
    try:
        info = os.stat(path)
    except OSError:
        return False
    return not stat.S_ISREG(info.st_mode) or info.st_size >= HUGE


class Opened(list[str]):
    """What was opened of the paths in `odd`, by whatever call of Python's; such a call fails."""

    odd: str = ""

    def look(self, event: str, arguments: tuple[object, ...]) -> None:
        if event != "open" or not self.odd or not isinstance(arguments[0], (str, bytes)):
            return
        if os.path.abspath(os.fsdecode(arguments[0])) == self.odd and is_odd(self.odd):
            self.append(self.odd)
            raise RuntimeError(f"{self.odd} is no file, and was opened")


@dataclass(frozen=True)
class Place:
    """A worktree that is allowed and synced, and the ways to try something in it."""

    scene: Scene
    opened: Opened

    def __call__(self, *words: str) -> int:
        """Run a command in this process."""
        filled = [word.format(root=self.scene.feature) for word in words]
        try:
            return cli.main(filled)
        except SystemExit as error:
            return int(error.code or 0)


@pytest.fixture(scope="module")
def watched() -> Iterator[Opened]:
    opened = Opened()
    sys.addaudithook(opened.look)  # there is no way to take it back: without a path it does nothing
    yield opened
    opened.odd = ""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, base: Base, watched: Opened) -> Place:
    scene = make_scene(tmp_path_factory.mktemp("odd"), base, CONFIG + '[activation]\ndotenv = [".env"]\n', sync=False)
    project = (scene.feature / "pyproject.toml").read_text()
    (scene.feature / "pyproject.toml").write_text(project.replace("[project]\n", '[project]\nreadme = "README.md"\n'))
    for name in ("README.md", "LICENSE"):
        (scene.feature / name).write_text("text\n")
    scene("sync", cwd=scene.feature, check=True)
    return Place(scene, watched)


@pytest.fixture
def place(made: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """`made`, to run commands in."""

    def end(*_: object) -> None:
        raise SystemExit(0)

    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in made.scene.home.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(made.scene.feature)
    monkeypatch.setattr("os.execve", end)
    monkeypatch.setattr("wtenv.process.restore_signals", lambda: None)
    yield made
    made.opened.odd = ""
    made.opened.clear()


def put(path: Path, kind: str) -> Callable[[], None]:
    """Put something odd there; what puts back what was there."""
    kept = path.with_name(f"{path.name}.kept")
    was_there = path.exists()
    if was_there:
        path.rename(kept)
    KINDS[kind](path)

    def undo() -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif is_odd(str(path)) or not path.exists():
            path.unlink(missing_ok=True)
        if kept.exists():  # else a sync has made the overlay anew
            kept.rename(path)

    return undo


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_nothing_odd_is_opened(
    place: Place, name: str, kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path(os.path.normpath(place.scene.feature / name))
    undo = [put(path, kind)]
    if name == "../stack.toml":
        undo.append(put(place.scene.feature / "wtenv.toml", "folder"))
        (place.scene.feature / "wtenv.toml").rmdir()
        (place.scene.feature / "wtenv.toml").write_text('[wtenv]\nextends = "../stack.toml"\n')
    if kind != "folder":  # to list a folder is no harm
        monkeypatch.setattr(place.opened, "odd", str(path))
    try:
        with in_time(60):
            codes = {words[0]: place(*words) for words in COMMANDS}
            if kind in REFUSED:
                codes["sync"] = place("sync")
            if kind == "fifo":
                codes |= {words[0]: place(*words) for words in (("doctor",), ("which", "pkg"))}
    finally:
        place.opened.odd = ""
        for each in undo:
            each()
        (place.scene.root / ".git/wtenv.toml").unlink(missing_ok=True)
        if name.startswith(".venv/"):
            place.scene("sync", "--replace", cwd=place.scene.feature, check=True)
    said = capfd.readouterr().err
    assert place.opened == []
    assert "bug" not in said, said
    assert set(codes.values()) <= {0, 1, 2}, codes
    if kind in REFUSED and name in BUILD:
        # A README or a licence does not make the overlay stale: only the next build reads it.
        assert (codes["sync"], codes["run"]) == (2, 2 if name in manifests.BUILD_FILES else 0)
        assert f"{path} is {'larger than' if kind == 'huge' else 'not a regular file'}" in said


def test_the_writer_of_a_fifo_keeps_what_it_writes(tmp_path: Path) -> None:
    """A reader that opens and closes it would let the writer go on, and end it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    got: list[int] = []
    writer = threading.Thread(target=lambda: got.append(os.open(path, os.O_WRONLY)), daemon=True)
    writer.start()
    writer.join(0.5)  # now it waits for a reader
    with pytest.raises(WtenvError, match="not a regular file"):
        files.read_bytes(path)
    writer.join(0.5)
    assert writer.is_alive()
    os.close(os.open(path, os.O_RDONLY))
    writer.join(10)
    os.close(got[0])


def test_what_becomes_odd_after_it_was_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.touch()
    plain = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr("os.stat", lambda *_, **__: plain)
    with in_time(20), pytest.raises(WtenvError, match="not a regular file"):
        files.read_bytes(path)


def test_files_that_tell_no_size(tmp_path: Path) -> None:
    assert files.read_bytes(Path("/proc/self/status")).startswith(b"Name:")
    with pytest.raises(WtenvError, match="larger than 100 bytes"):
        files.read_bytes(Path("/proc/self/status"), 100)
    (tmp_path / "exact").write_bytes(b"x" * 100)
    assert files.read_bytes(tmp_path / "exact", 100) == b"x" * 100


@pytest.mark.parametrize("kind", ["fifo", "endless", "socket"])
def test_what_a_build_would_read(tmp_path: Path, kind: str) -> None:
    """Also what the settings name, wherever they do."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "pkg"\ndynamic = ["version"]\n[tool.setuptools.dynamic]\nversion = { file = ["docs/VERSION"] }\n'
        '[tool.other]\nplaces = ["/dev/null", "docs", "gone", "a\\u0000b", "%s"]\n' % ("x" * 9000)
    )
    (tmp_path / "docs").mkdir()
    assert read_project(tmp_path).name == "pkg"
    for name in ("docs/VERSION", "MANIFEST.in", "setup.py"):
        KINDS[kind](tmp_path / name)
        with pytest.raises(WtenvError, match=f"{name} is not a regular file"):
            read_project(tmp_path)
        (tmp_path / name).unlink()


# module -> why it may open a file by itself
OPENED = {
    "access.py": "/proc, and the system's users",
    "cli.py": "/dev/null",
    "conda/scripts.py": "what a script printed, in a folder of ours",
    "files.py": "the one place",
    "hook/cached.py": "cached activations, in the user's own folder",
    "hook/cached_run.py": "what is known to run, in the user's own folder",
    "hook/install.py": "the user's rc file",
    "hook/shells.py": "what came with wtenv",
    "insight/origins.py": "programs, which were looked at before",
    "overlay/pth.py": "what came with wtenv",
    "overlay/registry.py": "locks, in the user's own folder",
    "overlay/wrappers.py": "what came with wtenv, and the base's scripts, which were looked at before",
    "process.py": "/proc",
    "trust.py": "a folder of the user's own",
}


def test_files_are_opened_in_one_place() -> None:
    source = Path(cli.__file__).parent
    found = set()
    for path in source.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and re.fullmatch(
                r"open|(os|io)\.open|(?!(files|distributions|shells)\.read_|Overlay\.)(.*\.)(read_text|read_bytes|open)",
                ast.unparse(call.func),
            ):
                found.add(path.relative_to(source).as_posix())
    # The bootstrap runs on the overlay's Python, without wtenv.
    assert {name for name in found if "/bootstrap/" not in name} == OPENED.keys()


@pytest.mark.parametrize("kind", REFUSED)
def test_a_fingerprint_tells_what_is_no_file(tmp_path: Path, kind: str) -> None:
    """So an overlay is not called current after a build file was replaced by something that can't be read."""
    (tmp_path / "pyproject.toml").write_text("")
    plain = manifests.fingerprint(tmp_path)
    KINDS[kind](tmp_path / "Cargo.toml")
    assert manifests.fingerprint(tmp_path) != plain
