"""What wtenv made in an overlay is as wtenv made it, or the overlay is not used until a sync."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import py_compile
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uv
from overlay_projects import make_overlay, make_project
from realbase import Base
from scenes import make_home

from wtenv.overlay import manifest as manifests
from wtenv.overlay.refresh import refresh
from wtenv.overlay.state import State, inspect

Change = Callable[["Overlay"], object]
SCRIPT = "#!/bin/sh\necho from elsewhere\n"


class Overlay:
    """A worktree with one editable, its overlay, and ways to do harm to it."""

    def __init__(self, folder: Path, base: Base) -> None:
        self.base, self.home = base, make_home(folder)
        self.root = folder / "work"
        self.project = make_project(self.root, "flit", "worktree")
        self.venv = self.root / ".venv"
        self.bin, self.site = self.venv / "bin", self.venv / base.site_packages.relative_to(base.prefix)
        self.info = self.site / "pkg-1.0.dist-info"
        self.sync()

    def sync(self) -> list[str]:
        said: list[str] = []
        make_overlay(self.root, self.base, self.home.environ, self.project, said=said)
        return said

    def inspect(self) -> State:
        return inspect(self.venv, base_prefix=self.base.prefix, editables=(self.project,), env=self.home.environ)

    def list_aside(self) -> list[str]:
        """What syncs have set aside: nothing is lost that wtenv did not make."""
        folders = self.root.glob(".venv.replaced-*")
        return sorted(str(place.relative_to(folder)) for folder in folders for place in folder.rglob("*"))

    def pip(self, *words: str | Path, program: str = "uv") -> None:
        command = [uv.find_uv_bin(), "pip", words[0], "-q", "--python", self.bin / "python", *words[1:]]
        if program == "pip":
            command = [self.bin / "pip", words[0], "-q", *words[1:]]
        subprocess.run(command, env=self.home.environ, check=True, cwd=self.root)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Overlay:
    return Overlay(tmp_path_factory.mktemp("contents"), base)


@pytest.fixture
def overlay(shared: Overlay) -> Iterator[Overlay]:
    """The module's, in order before and after."""
    assert shared.inspect().kind == "current"
    yield shared
    for place in shared.root.glob(".venv.replaced-*"):
        shutil.rmtree(place)
    shared.sync()


def _write(place: Path, text: str = SCRIPT, mode: int = 0o755) -> None:
    """As git does: a new file in place of what was there."""
    place.unlink(missing_ok=True)
    place.write_text(text)
    place.chmod(mode)


def _plant_cached(overlay: Overlay) -> None:
    """Compiled code that Python takes unchecked (PEP 552)."""
    source = overlay.site / "_wtenv_bootstrap.py"
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    program = f"import py_compile; py_compile.compile({str(source)!r}, invalidation_mode=py_compile.{unchecked})"
    subprocess.run([overlay.base.python, "-c", program], check=True)


# name -> what is done, what the reason names below the overlay, and what of it a sync sets aside
CHANGES: dict[str, tuple[Change, str, str]] = {
    "a wrapper is removed": (lambda o: (o.bin / "pytest").unlink(), "bin/pytest is missing", ""),
    "a wrapper is replaced": (lambda o: _write(o.bin / "pytest"), "bin/pytest was replaced", "bin/pytest"),
    "a wrapper leads elsewhere": (
        lambda o: ((o.bin / "pytest").unlink(), (o.bin / "pytest").symlink_to("/bin/false")),
        "bin/pytest was replaced",
        "bin/pytest",
    ),
    "the program behind wrappers": (lambda o: _write(o.venv / "bin/.wrapper"), "bin/.wrapper was replaced", "bin/.wrapper"),
    "its permissions": (lambda o: (o.venv / "bin/.wrapper").chmod(0o644), "bin/.wrapper was replaced", "bin/.wrapper"),
    "a program of wtenv's own folder": (lambda o: _write(o.venv / "bin/.wrapper-I2"), "was added", "bin/.wrapper-I2"),
    "a script is added": (lambda o: _write(o.bin / "ls"), "bin/ls was added", "bin/ls"),
    "a link is added": (lambda o: (o.bin / "ls").symlink_to("/bin/false"), "bin/ls was added", "bin/ls"),
    "a .pth": (lambda o: _write(o.site / "zz.pth", "import os\n"), "zz.pth was added", "zz.pth"),
    "sitecustomize": (lambda o: _write(o.site / "sitecustomize.py", ""), "sitecustomize.py was added", "sitecustomize.py"),
    "a compiled start-up module": (_plant_cached, "would run unchecked", ".pyc"),
    "the bootstrap": (lambda o: _write(o.site / "_wtenv_bootstrap.py", ""), "_wtenv_bootstrap.py was replaced", "_wtenv_bootstrap.py"),
    "the bootstrap's .pth": (lambda o: (o.site / "~wtenv.pth").unlink(), "~wtenv.pth is missing", ""),
    "activate": (lambda o: _write(o.bin / "activate"), "bin/activate was replaced", "bin/activate"),
    "an editable's script": (lambda o: _write(o.bin / "pkg-cli"), "bin/pkg-cli was replaced", "bin/pkg-cli"),
    "an editable's script is gone": (lambda o: (o.bin / "pkg-cli").unlink(), "bin/pkg-cli is missing", ""),
    "an editable's pointer": (lambda o: _write(o.site / "pkg.pth", "/nowhere\n"), "pkg.pth was replaced", "pkg.pth"),
    "an editable's origin": (
        lambda o: _write(o.info / "direct_url.json", '{"url": "file:///x", "dir_info": {"editable": true}}'),
        "direct_url.json was replaced",
        "pkg-1.0.dist-info",
    ),
    "an editable's entry points": (
        lambda o: _write(o.info / "entry_points.txt", "[pytest11]\nx = x\n"), "entry_points.txt was", "pkg-1.0.dist-info"
    ),
    "pip uninstall": (lambda o: o.pip("uninstall", "pkg"), "another tool has removed pkg", ""),
    "pip install": (lambda o: o.pip("install", "--no-deps", "--no-build-isolation", o.project), "has replaced pkg", ""),
    "the interpreter's links": (lambda o: [place.unlink() for place in o.bin.glob("python*")], "bin/python", ""),
    "bin": (lambda o: shutil.rmtree(o.bin), "bin/python", ""),
    "pyvenv.cfg, written": (lambda o: (o.venv / "pyvenv.cfg").touch(), "pyvenv.cfg was replaced", ""),
    "pyvenv.cfg": (lambda o: (o.venv / "pyvenv.cfg").unlink(), "pyvenv.cfg", ""),
    "site-packages": (lambda o: shutil.rmtree(o.site), "site-packages", ""),
    "notes of an older wtenv": (lambda o: _forget(o.venv), "older wtenv", ""),
}  # fmt: skip


def _forget(venv: Path) -> None:
    place = venv / manifests.MANIFEST
    data = json.loads(place.read_text())
    del data["contents"], data["owned"]
    place.write_text(json.dumps(data))


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_wtenv_made_it_is_not_used(overlay: Overlay, change: str) -> None:
    """It is named, no refresh takes it over, a sync puts it right, and what others have put there is not lost."""
    act, reason, aside = CHANGES[change]
    before = {place.name: os.readlink(place) for place in overlay.bin.iterdir() if place.is_symlink()}
    act(overlay)
    for _ in range(2):
        state = overlay.inspect()
        assert (state.kind, state.fix) == ("unusable", "run: wtenv sync")
        assert reason in state.reason
        assert str(overlay.venv) in state.reason
        assert not refresh(overlay.venv, overlay.home.environ)
    overlay.sync()
    assert overlay.inspect().kind == "current"
    assert {place.name: os.readlink(place) for place in overlay.bin.iterdir() if place.is_symlink()} == before
    moved = overlay.list_aside()
    assert any(path.endswith(aside) for path in moved) if aside else not moved


def _develop(overlay: Overlay, name: str) -> None:
    """What `maturin develop` leaves: a compiled module and metadata, of an editable, and a RECORD of it all."""
    info = overlay.site / f"{name}-1.0.dist-info"
    before = {place.name: place.read_text() for place in info.iterdir()} if info.exists() else {}
    shutil.rmtree(info, ignore_errors=True)
    info.mkdir()
    url = json.dumps(
        {"dir_info": {"editable": True}, "url": overlay.project.as_uri() if name == "pkg" else "file:///x"}
    )
    texts = {**before, "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "direct_url.json": url}
    for file, text in texts.items():
        (info / file).write_text(text)
    compiled = overlay.site / f"{name}_native.abi3.so"
    compiled.write_bytes(b"ELF")
    lines = [f"{name}-1.0.dist-info/RECORD,,"]
    texts.pop("RECORD", None)
    for place in (
        compiled,
        *overlay.bin.glob(f"{name}-cli"),
        *overlay.site.glob(f"{name}.pth"),
        *(info / file for file in texts),
    ):
        data = place.read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines.append(f"{os.path.relpath(place, overlay.site)},sha256={digest},{len(data)}")
    (info / "RECORD").write_text("\n".join(lines) + "\n")


# name -> what another tool does, what is said about it, and whether the overlay's script of that name is a wrapper then
BY_RIGHT: dict[str, tuple[Change, str, bool]] = {
    "uv puts a script in a wrapper's place": (lambda o: o.pip("install", "--no-deps", "pytest"), "pytest", False),
    "and takes it away": (lambda o: o.pip("uninstall", "pytest"), "", True),
    "pip does so": (lambda o: o.pip("install", "--no-deps", "--ignore-installed", "pytest", program="pip"), "pytest", False),
    "and takes it away again": (lambda o: o.pip("uninstall", "-y", "pytest", program="pip"), "", True),
    "the declared editable is built again": (
        lambda o: o.pip("install", "--no-deps", "--no-build-isolation", "-e", o.project), "pkg 1.0", True
    ),
    "maturin develop builds a package": (lambda o: _develop(o, "native"), "native 1.0", True),
    "maturin develop builds the declared one": (lambda o: _develop(o, "pkg"), "pkg 1.0", True),
}  # fmt: skip


def test_what_other_tools_install_is_used(overlay: Overlay) -> None:
    """Said once, with what it is; and what they remove again is a wrapper as before."""
    for change, (act, news, wrapper) in BY_RIGHT.items():
        act(overlay)
        state = overlay.inspect()
        assert (state.kind, state.needs_refresh) == ("current", True), change
        assert any(item.startswith(news) for item in state.new_packages) if news else not state.new_packages, change
        refresh(overlay.venv, overlay.home.environ)
        again = overlay.inspect()
        assert (again.kind, again.needs_refresh, again.new_packages) == ("current", False, ()), change
        assert (overlay.bin / "pytest").is_symlink() == wrapper, change


def test_a_refresh_that_was_killed_before_it_could_note_what_it_did(overlay: Overlay) -> None:
    """What is as wtenv makes it is not wrong; the next refresh notes it."""
    place = overlay.venv / manifests.MANIFEST
    data = json.loads(place.read_text())
    del data["contents"]["bin"]["pytest"], data["contents"]["bin"][".wrapper"]
    data["contents"]["bin"]["gone-from-the-base"] = "-> .wrapper"
    data["contents"][str(overlay.site.relative_to(overlay.venv))]["_wtenv_bootstrap.py"] = "1 1"
    place.write_text(json.dumps(data))
    assert (overlay.inspect().kind, overlay.inspect().needs_refresh) == ("current", True)
    refresh(overlay.venv, overlay.home.environ)
    assert (overlay.inspect().kind, overlay.inspect().needs_refresh) == ("current", False)


def test_importing_changes_nothing(overlay: Overlay) -> None:
    """The times that open shells watch stay: the folder for compiled modules is there from the start."""
    watched = [place for place in overlay.inspect().watch if place.is_relative_to(overlay.venv)]
    assert {overlay.bin, overlay.site, overlay.venv} <= {*watched}
    assert not overlay.sync()
    before = manifests.read_times(list(map(str, watched)))
    subprocess.run([overlay.bin / "python", "-c", "import pkg.cli, _wtenv_pip"], check=True)
    subprocess.run([overlay.bin / "pytest", "--version"], check=True, capture_output=True)
    assert manifests.read_times(list(map(str, watched))) == before


def test_everything_in_the_places_of_wtenv_is_noted(overlay: Overlay) -> None:
    """By construction: what a later wtenv puts there is covered without a list of names."""
    manifest = manifests.read_manifest(overlay.venv)
    assert manifest
    files = {place for folder in (overlay.bin,) for place in folder.iterdir()}
    files |= {place for place in (*overlay.site.iterdir(), *overlay.info.iterdir()) if place.is_file()}
    assert {str(place.relative_to(overlay.venv)) for place in files} <= manifest.contents.keys()


def test_the_folder_is_the_users_alone(overlay: Overlay) -> None:
    """Also one that was made otherwise; a group may have a right to the folder above it."""
    assert overlay.venv.stat().st_mode & 0o777 == 0o700
    for repair in (lambda: refresh(overlay.venv, overlay.home.environ), overlay.sync):
        overlay.venv.chmod(0o775)
        assert overlay.inspect().needs_refresh
        repair()
        assert overlay.venv.stat().st_mode & 0o777 == 0o700
