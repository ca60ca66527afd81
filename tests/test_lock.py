"""`wtenv lock`, `wtenv verify` and `wtenv sync --locked`, on a real conda environment that changes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rattler
import uv
from overlay_projects import install, make_project
from realbase import Base, cache_folder, copy_base
from scenes import CONFIG, Scene, call, git, make_git, make_home, make_scene, one_line, snapshot
from shells import Shell
from workspace import Home

from wtenv import decision
from wtenv.conda import records
from wtenv.lock import MAX_LOCK, gather

# `url_pat` of conda/misc.py (26.7): what a line of an explicit file has to be.
CONDA_LINE = re.compile(
    r"(?:(?P<url_p>.+)(?:[/\\]))?(?P<fn>[^/\\#]+(?:\.conda|\.tar\.bz2))"
    r"(?:#((?P<md5>[0-9a-f]{32})|((sha256:)?(?P<sha256>[0-9a-f]{64}))))?$"
)
CHANNEL = "https://conda.anaconda.org/conda-forge"


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A repository in both worktrees, on a base of its own, locked in the main one."""
    folder = tmp_path_factory.mktemp("lock")
    made = make_scene(folder, copy_base(base, folder / "miniforge3", "own"))
    made("lock", check=True)
    return made


@pytest.fixture
def locked(scene: Scene) -> Iterator[Path]:
    """The lock; it, the base's records and site folder, and the project are put back afterwards."""
    lock, meta, site = scene.root / "wtenv.lock", scene.base.prefix / "conda-meta", scene.base.site_packages
    data, project = lock.read_bytes(), (scene.root / "pyproject.toml").read_bytes()
    kept = {path: path.read_bytes() for path in meta.iterdir()}
    before = set(site.iterdir())
    yield lock
    for path in meta.iterdir():
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
    for path in set(site.iterdir()) - before:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    lock.unlink(missing_ok=True)
    lock.write_bytes(data)
    (scene.root / "pyproject.toml").write_bytes(project)
    assert verify(scene) == []


def verify(scene: Scene, cwd: Path | None = None, env: dict[str, str] | None = None) -> list[str]:
    """What differs, in words; both forms agree, and nothing is written."""
    folders = [scene.home.path, scene.root.parent, scene.base.prefix / "conda-meta"]
    before = snapshot(*folders)
    told, facts = scene("verify", cwd=cwd, env=env), scene("verify", "--json", cwd=cwd, env=env)
    assert snapshot(*folders) == before
    found = json.loads(facts.stdout)
    texts = [item["text"] for item in found["findings"]]
    assert told.stdout.splitlines() == texts
    assert told.stderr.count("\n") == 1
    assert found["clean"] == (not texts)
    assert [told.returncode, facts.returncode] == [bool(texts)] * 2, told.stderr
    return texts


def read(path: Path) -> dict[str, Any]:
    """The lock by JSON's own rules: what it says of the base, and beside it of the overlay."""
    data = json.loads(path.read_bytes())
    return {**data["base"], **data["environments"]["default"]}


def record(scene: Scene, name: str) -> Path:
    """The package's record in the base."""
    (path,) = (scene.base.prefix / "conda-meta").glob(f"{name}-[0-9]*.json")
    return path


def edit(scene: Scene, name: str, **changes: str | None) -> None:
    """Change the record, and its name where that has to follow."""
    path = record(scene, name)
    data = json.loads(path.read_text()) | changes
    path.unlink()
    path.with_name(f"{data['name']}-{data['version']}-{data['build']}.json").write_text(json.dumps(data))


def add_dist(site: Path, name: str, version: str, **texts: str) -> Path:
    """What pip leaves of a pure package."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    files_ = {"INSTALLER": "pip\n", "RECORD": f"{name}.py,sha256=abc,5\n{name}-{version}.dist-info/RECORD,,\n", **texts}
    for file, text in files_.items():
        (folder / file.replace("_json", ".json")).write_text(text)
    return folder


# --- the file -------------------------------------------------------------------------------------------


def test_content(scene: Scene) -> None:
    table = read(scene.root / "wtenv.lock")
    records = {path.name: json.loads(path.read_text()) for path in (scene.base.prefix / "conda-meta").glob("*.json")}
    assert len(table["conda"]) == len(records)
    for name, row in table["conda"].items():
        found = records[f"{name}-{row['version']}-{row['build']}.json"]
        assert (row["file"], row["subdir"], row["sha256"]) == (found["fn"], found["subdir"], found["sha256"])
        assert "url" not in row, "a channel on this machine"
    python = json.loads(record(scene, "python").read_text())
    assert (table["kind"], table["platform"], table["python"]) == ("conda", python["subdir"], python["version"])
    flit = json.loads(record(scene, "flit-core").read_text())["version"]
    pkg = {"name": "pkg", "backend": "flit_core.buildapi", "built_with": [f"flit-core=={flit}"]}
    assert table["editables"] == {".": pkg}
    assert "pip" not in table and "packages" not in table


def test_nothing_of_this_machine(scene: Scene) -> None:
    text = (scene.root / "wtenv.lock").read_text()
    for word in (
        scene.home.path,
        scene.base.prefix,
        scene.root,
        scene.base.root,
        cache_folder(),
        "file:",
        os.sep + "tmp",
    ):
        assert str(word) not in text


def test_again(scene: Scene) -> None:
    lock = scene.root / "wtenv.lock"
    before, data = lock.stat(), lock.read_bytes()
    done = scene("lock")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"wtenv: {lock} is as it should be\n")
    assert lock.stat().st_mtime_ns == before.st_mtime_ns
    number = len(read(lock)["conda"])
    lock.unlink()
    assert scene("lock", check=True).stderr == f"wtenv: wrote {lock}: {number} conda packages, 1 editable\n"
    assert lock.read_bytes() == data
    assert lock.stat().st_mode & 0o777 == 0o644


def test_another_worktree(scene: Scene, locked: Path) -> None:
    """What one worktree locked holds in another, and there it is the same file."""
    other = scene.feature / "wtenv.lock"
    shutil.copy(locked, other)
    assert verify(scene, scene.feature) == []
    other.unlink()
    scene("lock", cwd=scene.feature, check=True)
    assert other.read_bytes() == locked.read_bytes()
    other.unlink()


def test_from_a_folder_inside_and_while_active(scene: Scene, locked: Path) -> None:
    changes = json.loads(scene("export", "json", check=True).stdout)
    env = {name: value for name, value in changes.items() if value is not None}
    assert verify(scene, scene.root / "tests", env) == []
    assert scene("lock", env=env, check=True).stderr == f"wtenv: {locked} is as it should be\n"


def test_changes_are_told(scene: Scene, locked: Path) -> None:
    edit(scene, "numpy", version="9.9")
    old = read(locked)["conda"]["numpy"]["version"]
    done = scene("lock", check=True)
    assert done.stdout == f"numpy {old} → 9.9 in the base\n"
    assert done.stderr.startswith(f"wtenv: wrote {locked}: ")
    assert verify(scene) == []


# --- what can't be read, and what is not ours -------------------------------------------------------------


def test_no_lock(scene: Scene, locked: Path) -> None:
    locked.unlink()
    for words in (["verify"], ["verify", "--json"], ["lock", "--explicit"], ["sync", "--locked"]):
        assert one_line(scene(*words)) == f"there is no {locked}; run: wtenv lock"


def test_nothing_before_allow(base: Base, tmp_path: Path) -> None:
    scene = make_scene(tmp_path, base, sync=False)
    scene("deny", check=True)
    for words in (["lock"], ["verify"], ["lock", "--explicit"], ["sync", "--locked"]):
        assert "is denied" in one_line(scene(*words))
    scene("allow", check=True)
    assert "there is no overlay at" in (said := one_line(scene("lock")))
    assert "run: wtenv sync" in said


def test_newer(scene: Scene, locked: Path) -> None:
    locked.write_text('{"version": 2}\n')
    for words in (["lock"], ["verify"], ["lock", "--explicit"], ["sync", "--locked"]):
        assert one_line(scene(*words)).endswith("(version 2, this one knows 1); upgrade wtenv")
    assert locked.read_text() == '{"version": 2}\n'


def test_a_damaged_lock_is_replaced(scene: Scene, locked: Path) -> None:
    good = locked.read_bytes()
    locked.write_bytes(good.replace(b'  "base"', b'<<<<<<< HEAD\n  "base"', 1))
    assert "line 3 is no JSON that wtenv writes (" in one_line(scene("verify"))
    assert "); replacing it\n" in scene("lock", check=True).stderr
    assert locked.read_bytes() == good


@pytest.mark.parametrize("kind", ["other file", "link", "folder", "fifo", "huge"])
def test_what_is_not_ours_stays(kind: str, scene: Scene, locked: Path, tmp_path: Path) -> None:
    locked.unlink()
    target = tmp_path / "precious"
    target.write_text("precious\n")
    if kind == "other file":
        locked.write_text("precious\n")
    elif kind == "link":
        locked.symlink_to(target)
    elif kind == "folder":
        locked.mkdir()
    elif kind == "fifo":
        os.mkfifo(locked)
    else:
        locked.write_bytes(b"#" * (MAX_LOCK + 1))
    before = snapshot(locked.parent, tmp_path)
    assert str(locked) in one_line(scene("lock"))
    assert str(locked) in one_line(scene("verify"))
    assert snapshot(locked.parent, tmp_path) == before
    if kind == "folder":
        locked.rmdir()


def test_no_place_to_write(scene: Scene, locked: Path) -> None:
    edit(scene, "numpy", version="9.9")
    data = locked.read_bytes()
    locked.unlink()
    home = scene.home
    if os.getuid() == 0:  # root may write anywhere but into a folder that is a mount without room
        pytest.importorskip("resource")
        done = home.run(["/bin/sh", "-c", "ulimit -f 0; exec wtenv lock"], scene.root)
    else:
        scene.root.chmod(0o555)
        done = scene("lock")
        scene.root.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert f"can't write {locked}" in done.stderr
    assert not locked.exists()
    locked.write_bytes(data)


# --- drift, of each kind --------------------------------------------------------------------------------


def version(scene: Scene, name: str) -> str:
    found: str = json.loads(record(scene, name).read_text())["version"]
    return found


def find_quickly(scene: Scene) -> list[str]:
    """What the hook sees."""
    env = dict(scene.home.environ)
    place, config = decision.load(scene.root, env)
    base = decision.locate_base(place, config, env)
    return [finding.text for finding in gather.find_drift(config, base, env, quick=True)]


BY_CONTENT = {"content", "platform", "backend"}  # what names don't tell

Change = Callable[[Scene], object]
DRIFTS: dict[str, tuple[Change, str]] = {
    "version": (lambda s: edit(s, "numpy", version="9.9"), "numpy {numpy} → 9.9 in the base"),
    "build": (
        lambda s: edit(s, "numpy", build="h_1", sha256="f" * 64),
        "numpy {numpy} in the base is another build (h_0 → h_1)",
    ),
    "content": (
        lambda s: edit(s, "numpy", sha256="f" * 64),
        "numpy {numpy} in the base has other content, though version and build are the same",
    ),
    "removed": (lambda s: record(s, "envtools").unlink(), "envtools 1.0 is gone from the base"),
    "added": (
        lambda s: (s.base.prefix / "conda-meta/zlib-1.3-h_1.json").write_text('{"name": "zlib"}'),
        "zlib 1.3 was added to the base",
    ),
    "Python": (lambda s: edit(s, "python", version="3.99.1"), "python {python} → 3.99.1 in the base"),
    "platform": (
        lambda s: edit(s, "python", subdir="osx-arm64"),
        "the base is for osx-arm64, the locked one for {platform}",
    ),
    "by pip": (lambda s: add_dist(s.base.site_packages, "idna", "3.10"), "idna 3.10 was added to the base by pip"),
    "by pip, over conda's": (
        lambda s: add_dist(s.base.site_packages, "numpy", "9.9"),
        "numpy 9.9 was added to the base by pip",
    ),
    "an editable in the base": (
        lambda s: add_dist(
            s.base.site_packages, "x", "1", direct_url_json='{"url": "file:///x", "dir_info": {"editable": true}}'
        ),
        "x 1 was added to the base by pip",
    ),
    "an egg-link": (
        lambda s: (s.base.site_packages / "old-thing.egg-link").write_text("/somewhere\n."),
        "old-thing was added to the base by pip",
    ),
    "an egg": (
        lambda s: (s.base.site_packages / "old.thing-1.0-py3.11.egg-info").write_text("Name: x\n"),
        "old-thing 1.0 was added to the base by pip",
    ),
    "backend": (
        lambda s: (s.root / "pyproject.toml").write_text(
            (s.root / "pyproject.toml").read_text().replace("flit_core.buildapi", "hatchling.build")
        ),
        "the editable . is built by hatchling.build, the lock says flit_core.buildapi",
    ),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_drift(name: str, scene: Scene, locked: Path) -> None:
    change, text = DRIFTS[name]
    platform = read(locked)["platform"]
    text = text.format(numpy=version(scene, "numpy"), python=version(scene, "python"), platform=platform)
    change(scene)
    assert verify(scene) == [text]
    assert find_quickly(scene) == ([] if name in BY_CONTENT else [text])
    done = scene("verify")
    assert done.stderr == f"wtenv: 1 difference from {locked}; if that is as it should be, run: wtenv lock\n"
    refused = one_line(scene("sync", "--locked"))
    assert refused == f"{locked} is not met: {text}; see: wtenv verify; if that is as it should be, run: wtenv lock"


def test_names_that_tell_little(scene: Scene, locked: Path) -> None:
    """Where names differ, the quick comparison is not misled."""
    site, meta = scene.base.site_packages, scene.base.prefix / "conda-meta"

    def add_package(name: str, dist: str, installer: str, **record: object) -> None:
        entry = f"lib/{site.parent.name}/site-packages/{dist}-1.0.dist-info"
        add_dist(site, dist, "1.0", INSTALLER=installer)
        data = {"name": name, "version": "1.0", "build": "h_0", "files": [f"{entry}/INSTALLER"], **record}
        (meta / f"{record.get('fn', f'{name}-1.0-h_0')}.json").write_text(json.dumps(data))

    add_package("pytorch", "torch", "pip\n")  # another name, and nothing says conda
    add_package("odd-file", "odd_file", "conda\n", fn="odd-file-1.0-hotfix_7")
    (site / "pytorch_extra-1.0.dist-info").mkdir()
    assert verify(scene) == find_quickly(scene)
    scene("lock", check=True)
    rows = read(locked)["conda"]
    assert (rows["pytorch"]["provides"], rows["odd-file"]["build"]) == (["torch"], "h_0")
    assert [*read(locked)["pip"]] == ["pytorch-extra"]
    assert verify(scene) == find_quickly(scene) == []
    add_package("pytorch2", "torch2", "pip\n")
    assert verify(scene) == find_quickly(scene) == ["pytorch2 1.0 was added to the base"]
    (meta / "pytorch-1.0-h_0.json").unlink()
    assert "pytorch 1.0 is gone from the base" in verify(scene)
    assert "pytorch 1.0 is gone from the base" in find_quickly(scene)


def test_another_environment_altogether(scene: Scene, locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Very many differences: by names alone, and still no more of them than there are."""
    meta = scene.base.prefix / "conda-meta"
    for number in range(50):
        (meta / f"more-{number}-1.0-h_0.json").write_text("{}")
    assert verify(scene) == find_quickly(scene)
    assert len(find_quickly(scene)) == 50
    data = json.loads(locked.read_bytes())
    locked.write_text(json.dumps({**data, "base": {**data["base"], "conda": {}}}))  # as a hostile one may be
    opened = []
    monkeypatch.setattr(records, "_read", lambda path, named: opened.append(path) or named)
    assert len(find_quickly(scene)) > 50
    assert [path.name.partition("-")[0] for path in opened] == ["python"]


def test_lock_of_another_platform(scene: Scene, locked: Path) -> None:
    """One difference, also where every package is another: names alone don't tell the platform."""
    text = locked.read_text()
    here = re.search('"platform": "(.*)"', text)
    assert here
    said = [f"the base is for {here[1]}, the locked one for win-arm64"]
    text = text.replace(here[0], '"platform": "win-arm64"')
    for changed in (text, text.replace('"build": "', '"build": "other')):
        locked.write_text(changed)
        assert verify(scene) == find_quickly(scene) == said


def test_other_content_by_pip(scene: Scene, locked: Path) -> None:
    folder = add_dist(scene.base.site_packages, "idna", "3.10")
    scene("lock", check=True)
    (folder / "REQUESTED").write_text("")
    (folder / "RECORD").write_text(
        "idna-3.10.dist-info/RECORD,,\nidna.py,sha256=abc,5\nidna-3.10.dist-info/REQUESTED,sha256=47D,0\n"
        "__pycache__/idna.cpython-311.pyc,sha256=x,1\n../../../bin/idna,sha256=other,9\n"
    )
    assert verify(scene) == [], "order, scripts and how it was installed are not its content"
    (folder / "RECORD").write_text("idna.py,sha256=abd,5\n")
    assert verify(scene) == ["idna 3.10 in the base has other content, though the version is the same"]
    (folder / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    assert verify(scene) == ["idna 3.10 in the base is an editable install now"]
    folder.rename(folder.with_name("idna-3.11.dist-info"))
    assert verify(scene) == ["idna 3.10 → 3.11 in the base"]


def test_overlay(scene: Scene, locked: Path, tmp_path: Path) -> None:
    """A package in the overlay, installed really: the same in another worktree, other in another version."""
    for number, worktree in enumerate((scene.root, scene.feature)):
        project = make_project(tmp_path / f"project{number}", "flit", "x", name="extra")
        python = worktree / ".venv/bin/python"
        command = [uv.find_uv_bin(), "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--python", python]
        subprocess.run([*command, project], env=scene.home.environ, check=True)
    assert verify(scene) == ["extra 1.0 was added to the overlay"]
    scene("lock", check=True)
    row = read(locked)["packages"]["extra"]
    assert set(row) == {"version", "hash"}, "its source is a folder of this machine"
    shutil.copy(locked, scene.feature)
    assert verify(scene, scene.feature) == [], "though its script names the other interpreter"
    (scene.feature / "wtenv.lock").unlink()
    (place,) = (scene.root / ".venv").rglob("extra-1.0.dist-info")
    text = (place / "RECORD").read_text()
    (place / "RECORD").write_text(text.replace("extra/__init__.py,sha256=", "extra/__init__.py,sha256=x"))
    assert verify(scene) == ["extra 1.0 in the overlay has other content, though the version is the same"]
    (place / "RECORD").write_text(text)
    for worktree in scene.repo.worktrees:
        scene("sync", cwd=worktree, check=True)
    assert verify(scene) == ["extra 1.0 is gone from the overlay"]


def test_locked_sync_looks_at_the_overlay_afterwards(scene: Scene, locked: Path, tmp_path: Path) -> None:
    """What it fixes itself is no reason to refuse; what it can't, it names."""
    manifest = scene.root / ".venv/wtenv.json"
    text = manifest.read_text()
    flit = version(scene, "flit-core")
    manifest.write_text(text.replace(f"flit-core=={flit}", "flit-core==0.1"))
    assert verify(scene) == [f"the editable . was built with flit-core==0.1, the lock says flit-core=={flit}"]
    assert "installed pkg" in scene("sync", "--locked", check=True).stderr
    assert verify(scene) == []
    (site,) = (scene.root / ".venv").glob("lib/python*/site-packages")
    folder = add_dist(site, "extra", "1.0", METADATA="Name: extra\nVersion: 1.0\n")
    done = scene("sync", "--locked", "--inexact")
    assert done.returncode == 2
    assert "extra 1.0 was added to the overlay" in done.stderr
    shutil.rmtree(folder)


def test_overlay_that_is_gone(scene: Scene, locked: Path) -> None:
    third = scene.repo.add_worktree("third")
    shutil.copy(locked, third)
    (text,) = verify(scene, third)
    assert text == f"there is no overlay at {third}/.venv (run: wtenv sync)"
    assert scene("sync", "--locked", cwd=third).returncode == 0
    assert verify(scene, third) == []


def test_declared(base: Base, tmp_path: Path) -> None:
    """Declared editables: their paths as written, absolute ones by name alone."""
    scene = make_scene(tmp_path, base, sync=False)
    for name in ("sibling", "far"):
        make_project(scene.root.parent / name, "flit", "x", name=name)
    home = make_project(scene.home.path / "lib", "flit", "x", name="inhome")
    packages = ["./", "../sibling/", "~/lib", str(scene.root.parent / "far")]
    scene.repo.configure(CONFIG.replace("{base}", base.name, 1).replace('["."]', json.dumps(packages)))
    scene("allow", check=True)
    scene("sync", check=True)
    scene("lock", check=True)
    lock = scene.root / "wtenv.lock"
    found = {path: row["name"] for path, row in read(lock)["editables"].items()}
    assert found == {"far": "far", "~/lib": "inhome", ".": "pkg", "../sibling": "sibling"}
    assert str(home) not in lock.read_text()
    assert verify(scene) == []
    config = scene.root / "wtenv.toml"
    config.write_text(config.read_text().replace('"../sibling/", ', ""))
    scene("allow", check=True)
    assert verify(scene) == ["the editable ../sibling is not declared"]
    assert "the editable ../sibling is not declared" in one_line(scene("sync", "--locked"))
    assert (scene.root / ".venv").stat(), "and nothing was changed"
    assert "sibling" in [
        item["name"] for item in json.loads((scene.root / ".venv/wtenv.json").read_text())["editables"]
    ]


# --- places ---------------------------------------------------------------------------------------------


def test_stack(base: Base, tmp_path: Path) -> None:
    """Beside the stack's config, from each of its repositories."""
    scene = make_scene(tmp_path, base, sync=False)
    folder = scene.root.parent
    (folder / "wtenv.backend.toml").write_text(
        f'[wtenv]\nkind = "stack"\n[python]\nbase_conda_env = "{base.name}"\n[editables]\npackages = ["main", "other"]\n'
    )
    make_project(folder / "other", "flit", "x", name="other")
    git(scene.home, folder / "other", "init", "--quiet")
    for root in (scene.root, folder / "other"):
        (root / "wtenv.toml").write_text('[wtenv]\nextends = "../wtenv.backend.toml"\n')
        scene("allow", cwd=root, check=True)
    scene("sync", check=True)
    done = scene("lock", cwd=folder / "other", check=True)
    assert f"wrote {folder}/wtenv.lock: " in done.stderr
    assert {*read(folder / "wtenv.lock")["editables"]} == {"other", "main"}
    assert verify(scene) == verify(scene, folder / "other") == []
    assert scene("lock", check=True).stderr == f"wtenv: {folder}/wtenv.lock is as it should be\n"


def test_clone_config(base: Base, tmp_path: Path) -> None:
    """The lock is the worktree's own, the config in .git notwithstanding."""
    scene = make_scene(tmp_path, base, sync=False)
    scene.repo.git("rm", "--quiet", "wtenv.toml")
    (scene.root / ".git/wtenv.toml").write_text(CONFIG.replace("{base}", base.name, 1))
    scene("allow", check=True)
    locks = []
    for worktree in scene.repo.worktrees:
        (worktree / "wtenv.toml").unlink(missing_ok=True)
        scene("sync", cwd=worktree, check=True)
        scene("lock", cwd=worktree, check=True)
        locks.append((worktree / "wtenv.lock").read_bytes())
        assert verify(scene, worktree) == []
    assert locks[0] == locks[1]


def test_base_that_is_not_condas(tmp_path: Path, fresh_base: Base, home: Home) -> None:
    """All distributions; what conda knows of them is not asked."""
    prefix, site = fresh_base.prefix, fresh_base.site_packages
    add_dist(site, "idna", "3.10")
    add_dist(site, "vcs", "1", direct_url_json=json.dumps(
        {"url": "https://me:token@host.example/a.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}
    ))  # fmt: skip
    add_dist(site, "local", "1", direct_url_json='{"url": "file:///home/me/secret", "dir_info": {}}')
    add_dist(site, "odd", "1", direct_url_json="[" * 100_000)
    root = make_git(tmp_path, home)
    (root / "wtenv.toml").write_text(f'[python]\nbase_prefix = "{prefix}"\n')
    for word in ("allow", "sync", "lock", "verify"):
        call(home, word, cwd=root, check=True)
    table = read(root / "wtenv.lock")
    assert table["kind"] == "python"
    assert {"platform", "python"} <= set(table)
    rows = table["pip"]
    assert set(rows) >= {"idna", "local", "numpy", "odd", "pytest", "vcs"}
    assert rows["vcs"]["source"] == "git+https://host.example/a.git@c0ffee"
    assert "source" not in rows["local"] and "hash" in rows["odd"]
    assert "conda" not in table
    for word in ("token", "secret", str(prefix)):
        assert word not in (root / "wtenv.lock").read_text()
    assert "is no conda environment" in one_line(call(home, "lock", "--explicit", cwd=root))
    shutil.rmtree(site / "idna-3.10.dist-info")
    done = call(home, "verify", cwd=root)
    assert (done.returncode, done.stdout) == (1, "idna 3.10 is gone from the base\n")


# --- for conda, and back --------------------------------------------------------------------------------


def list_explicit(text: str) -> list[str]:
    lines = text.splitlines()
    assert lines[lines.index("@EXPLICIT") - 1].startswith("#")
    return lines[lines.index("@EXPLICIT") + 1 :]


def test_a_base_made_from_the_lock(scene: Scene, locked: Path) -> None:
    """lock, explicit, create, verify: really installed, in the order of the file."""
    lines = list_explicit(scene("lock", "--explicit", check=True).stdout)
    assert len(lines) == len(read(locked)["conda"])

    async def create(prefix: Path) -> None:
        records = []
        for line in lines:
            found = CONDA_LINE.fullmatch(line)
            assert found and found["sha256"], line
            path = Path(line.partition("#")[0].removeprefix("file://"))
            entry = await rattler.RepoDataRecord.from_package_archive(path)
            assert entry.sha256.hex() == found["sha256"]
            records.append(entry)
        await rattler.install(records, prefix, cache_dir=scene.base.root.parent / "pkgs", show_progress=False)

    made = scene.base.root / "envs/made"
    asyncio.run(create(made))
    worktree = scene.repo.add_worktree("made")
    shutil.copy(locked, worktree)
    config = worktree / "wtenv.toml"
    config.write_text(config.read_text().replace(f'"{scene.base.name}"', '"made"'))
    scene("allow", cwd=worktree, check=True)
    scene("sync", "--locked", cwd=worktree, check=True)
    assert verify(scene, worktree) == []
    assert scene("lock", cwd=worktree, check=True).stderr == f"wtenv: {worktree}/wtenv.lock is as it should be\n"
    (made / "conda-meta/envtools-1.0-h_0.json").unlink()
    assert verify(scene, worktree) == ["envtools 1.0 is gone from the base"]
    names = [line.rpartition("/")[2].rsplit("-", 2)[0] for line in lines]
    assert names.index("python") < names.index("pytest"), "each after what it depends on"


def test_explicit_with_urls(scene: Scene, locked: Path) -> None:
    """Where channels have URLs, the base need not exist; what it needs to log in stays at home."""
    for path in (scene.base.prefix / "conda-meta").glob("*.json"):
        data = json.loads(path.read_text())
        place = f"{data['subdir']}/{data['fn']}"
        data["url"] = f"https://me:pass@conda.anaconda.org/t/to-ken/conda-forge/{place}"
        path.write_text(json.dumps(data | {"md5": "0" * 32}))
    add_dist(scene.base.site_packages, "idna", "3.10")
    scene("lock", check=True)
    for word in ("pass", "to-ken", "me:"):
        assert word not in locked.read_text()
    away = scene.base.prefix.rename(scene.base.prefix.with_name("away"))
    done = scene("lock", "--explicit")
    away.rename(scene.base.prefix)
    assert done.returncode == 0, done.stderr
    assert "# not here, since pip installed it: idna==3.10\n" in done.stdout
    for line in list_explicit(done.stdout):
        assert line.startswith(f"{CHANNEL}/")
        assert CONDA_LINE.fullmatch(line)


def test_explicit_without_urls(scene: Scene, locked: Path) -> None:
    edit(scene, "numpy", sha256="f" * 64)
    assert "has no URL of numpy" in one_line(scene("lock", "--explicit"))
    record(scene, "numpy").unlink()
    assert "the base has none of the same content; run this where" in one_line(scene("lock", "--explicit"))
    away = scene.base.prefix.rename(scene.base.prefix.with_name("away"))
    done = scene("lock", "--explicit")
    away.rename(scene.base.prefix)
    assert "no conda environment is called" in one_line(done)


# --- odd bases ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "null", '{"name": 1, "files": {}, "depends": [1, ""]}', "[" * 100_000, "\0"]
)
def test_damaged_records(content: str, scene: Scene, locked: Path) -> None:
    """Such a package is known by the name of its record."""
    record(scene, "numpy").write_text(content)
    texts = verify(scene)
    assert texts in ([], [f"numpy {version_of(locked, 'numpy')} was added to the base by pip"])
    assert scene("lock").returncode == 0


def version_of(locked: Path, name: str) -> str:
    found: str = read(locked)["conda"][name]["version"]
    return found


def test_odd_names(scene: Scene, locked: Path) -> None:
    """Names with control characters, bytes that are no UTF-8, fifos, folders and dangling links."""
    meta, site = scene.base.prefix / "conda-meta", scene.base.site_packages
    (meta / "e\x1b[2J\nvil-1-0.json").write_text("{}")
    (meta / os.fsdecode(b"caf\xe9-1-0.json")).write_text("{}")
    (meta / "nothing.json").write_text("{}")
    os.mkfifo(meta / "fifo-1-0.json")
    (site / "x\x1b]0;y\x07-1.dist-info").mkdir()
    (site / "gone-1.dist-info").symlink_to("nowhere")
    (site / "fifo-1.dist-info").mkdir()
    os.mkfifo(site / "fifo-1.dist-info/RECORD")
    os.mkfifo(site / "fifo-1.dist-info/direct_url.json")
    done = scene("verify")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout and done.stdout.isascii()
    assert len(done.stdout.splitlines()) == 6
    scene("lock", check=True)
    assert read(locked)["pip"]
    assert verify(scene) == []
    (meta / "fifo-1-0.json").unlink()


def test_editable_in_the_base(base: Base, tmp_path: Path) -> None:
    """Named as such, without its place, which is another for each worktree."""
    own = copy_base(base, tmp_path / "miniforge3", "own")
    scene = make_scene(tmp_path, own)
    install(
        own, scene.home.environ, "-e", make_project(tmp_path / "src/elsewhere", "setuptools-src", "x", name="inbase")
    )
    scene("sync", check=True)
    scene("lock", check=True)
    assert read(scene.root / "wtenv.lock")["pip"] == {"inbase": {"version": "1.0", "editable": True}}
    assert "elsewhere" not in (scene.root / "wtenv.lock").read_text()
    assert "inbase==1.0 (editable)" in scene("lock", "--explicit", check=True).stdout


def test_home_without_anything(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    root = make_git(tmp_path, home)
    for words in (["lock"], ["verify"]):
        assert "has no wtenv.toml" in one_line(call(home, *words, cwd=root))
        assert "is not in a git worktree" in one_line(call(home, *words, cwd=tmp_path))


def test_lines_of_the_page(scene: Scene, locked: Path) -> None:
    """The session in docs/lock.md, typed into a real shell: what it says is what it shows."""
    text = (Path(__file__).resolve().parents[1] / "docs/lock.md").read_text("utf-8")
    shown = re.findall(r"```console\n(.*?)```", text, re.S)
    locked.unlink()
    shell = Shell(
        "bash",
        {**scene.home.environ, "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        scene.root.parent,
    )
    shell.run(f"cd {scene.root}")
    lines = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(shown), re.M)
    assert len(lines) == 5
    for typed, expected in lines:
        time.sleep(0.1)
        out = shell.run(typed.replace("~/miniforge3/envs/shared", str(scene.base.prefix))).out
        assert re.sub(r"\d+ conda", "17 conda", out.replace(str(scene.root), "/tmp/demo/main")) == expected, typed
    shell.close()
