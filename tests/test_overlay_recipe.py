"""What a build that runs code may depend on: each thing is in its key, and only what a build has made is kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from scenes import git, make_home
from workspace import Home

from wtenv.overlay import building, recipe, reuse, tree
from wtenv.overlay.manifest import Manifest
from wtenv.overlay.project import read_project

FILES = {
    "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    '[project]\nname = "pkg"\nversion = "1"\n[tool.coverage.run]\nbranch = true\n',
    "setup.py": "import os, versions\nfrom setuptools import setup\nsetup(version=os.environ.get('PKG_VERSION'))\n",
    "versions.py": "FILE, OWN, ABOVE = 'src/pkg/_version.py', '.version', '../VERSION'\n",
    "src/pkg/__init__.py": "",
    "docs/notes.md": "text\n",
    "link": "->src",
    ".gitignore": ".venv/\n__pycache__/\n_version.py\n*.so\n*.log\n*.bin\nlocal.cfg\nbuild/\n",
}


class Clone:
    """A clone with two worktrees at the same commit."""

    def __init__(self, folder: Path) -> None:
        self.home = make_home(folder)
        self.first, self.second = folder / "first", folder / "second"
        self.first.mkdir()
        git(self.home, self.first, "init", "--quiet")
        write(self.first, FILES)
        git(self.home, self.first, "add", "--all")
        git(self.home, self.first, "commit", "--quiet", "--message", "start")
        git(self.home, self.first, "worktree", "add", "--quiet", "-b", "second", self.second)

    def identify(self, root: Path, *, ask_git: bool = True, env: dict[str, str] | None = None, **facts: object) -> str:
        manifest = make_manifest(root)._replace(**facts)  # type: ignore[arg-type]
        content = tree.read(root, self.home.environ, ask_git=ask_git)
        variables = {"PATH": "/usr/bin:/bin", **(env or {})}
        return recipe.identify(read_project(root), root, content, manifest, ("isolated",), variables)

    def list_products(self, root: Path, since: int) -> dict[str, bytes]:
        content = tree.read(root, self.home.environ, ask_git=True)
        project = read_project(root)
        found = recipe.list_products(project, root, content, make_manifest(root), since)
        return {path: recipe.read_product(root / path, root)[1] for path in found}


def make_manifest(root: Path) -> Manifest:
    return Manifest("", "", f"{root}/.venv", "/base", "/base/bin/python", "1", "3.11.7", (), "/base/bin", ())


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            (root / name).symlink_to(text[2:])
        else:
            (root / name).write_text(text)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def commit(clone: Clone, root: Path) -> None:
    git(clone.home, root, "commit", "--quiet", "--allow-empty", "--message", "more")


def swap_unseen(clone: Clone, root: Path) -> None:
    """Another content under the same size and time."""
    place = root / "src/pkg/__init__.py"
    place.write_text("a = 1\n")
    git(clone.home, root, "commit", "--quiet", "--all", "--message", "a")
    git(clone.home, root, "reset", "--quiet", "--soft", "HEAD~1")
    info = place.stat()
    place.write_text("a = 2\n")
    os.utime(place, ns=(info.st_atime_ns, info.st_mtime_ns))


def put_back(clone: Clone, root: Path) -> None:
    """To git the worktree is changed, though each file is as in the commit."""
    place = root / "docs/notes.md"
    text = place.read_text()
    place.write_text("other\n")
    git(clone.home, root, "add", place)
    place.write_text(text)


def replace_commit(clone: Clone, root: Path) -> None:
    other = git(clone.home, root, "commit-tree", "HEAD^{tree}", "-m", "other")
    git(clone.home, root, "replace", "HEAD", other)


CHANGES: dict[str, Callable[[Clone, Path], object]] = {
    "a tracked file": lambda _, root: (root / "docs/notes.md").write_text("other\n"),
    "one of the same size and time": swap_unseen,
    "a mode": lambda _, root: (root / "versions.py").chmod(0o755),
    "a file that is gone": lambda _, root: (root / "docs/notes.md").unlink(),
    "a link": lambda _, root: ((root / "link").unlink(), (root / "link").symlink_to("docs")),
    "a file that is a link now": lambda _, root: (
        (root / "versions.py").unlink(),
        (root / "versions.py").symlink_to("setup.py"),
    ),
    "a new file": lambda _, root: (root / "new.c").write_text(""),
    "a new one that the build names": lambda _, root: write(root, {"_version.pyx": "", "setup.py": FILES["setup.py"]}),
    "what git knows of it": lambda clone, root: (
        (root / "src/pkg/more.py").write_text(""),
        git(clone.home, root, "add", "src/pkg/more.py"),
    ),
    "an ignored source": lambda _, root: (root / "local.cfg").write_text("[x]\n"),
    "a hidden file that the build names": lambda _, root: (root / ".version").write_text("7"),
    "a file above that the build names": lambda _, root: (root.parent / "VERSION").write_text("7"),
    "staged, and put back": put_back,
    "a longer history": lambda clone, _: (clone.first / ".git/shallow").write_text("0" * 40 + "\n"),
    "a replaced commit": replace_commit,
    "a commit": commit,
    "a tag": lambda clone, root: git(clone.home, root, "tag", "v2"),
    "packed tags": lambda clone, root: (
        git(clone.home, root, "tag", "v2"),
        git(clone.home, root, "pack-refs", "--all"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_in_the_key(change: str, clone: Clone) -> None:
    before = {clone.identify(root, ask_git=ask) for root in (clone.first, clone.second) for ask in (True, False)}
    assert len(before) == 1, "the same in both worktrees, and without git"
    CHANGES[change](clone, clone.second)
    assert clone.identify(clone.second) not in before
    assert clone.identify(clone.second, ask_git=False) not in before


def test_where_a_link_leads_is_in_the_key(clone: Clone, tmp_path: Path) -> None:
    """Out of the worktree it is another place from each."""
    write(clone.first, {"out": "->../shared"})
    git(clone.home, clone.first, "add", "out")
    git(clone.home, clone.first, "commit", "--quiet", "--message", "link")
    for name in ("beside", "deep/below"):
        git(clone.home, clone.first, "worktree", "add", "--quiet", "--detach", tmp_path / name)
    before = clone.identify(tmp_path / "beside")
    assert before == clone.identify(clone.first, ask_git=False)
    assert before != clone.identify(tmp_path / "deep/below")
    (tmp_path / "shared").write_text("7")
    assert before != clone.identify(tmp_path / "beside")


def test_what_a_filter_wrote_is_in_the_key(clone: Clone, tmp_path: Path) -> None:
    """As Git LFS does: to git these files are the same."""
    git(clone.home, clone.first, "config", "filter.large.clean", "sed s/content/pointer-to-it/")
    git(clone.home, clone.first, "config", "filter.large.smudge", "sed s/pointer-to-it/content/")
    write(clone.first, {".gitattributes": "*.dat filter=large\n", "big.dat": "content\n"})
    git(clone.home, clone.first, "add", "--all")
    git(clone.home, clone.first, "commit", "--quiet", "--message", "large")
    keys = []
    for number, smudge in enumerate(("cat", "sed s/pointer-to-it/content/")):
        root = tmp_path / f"wt{number}"
        with_filter = ("-c", f"filter.large.smudge={smudge}")
        git(clone.home, clone.first, *with_filter, "worktree", "add", "--quiet", "--detach", root)
        time.sleep(0.05)  # the index is younger than the files
        (root / "docs/notes.md").touch()
        git(clone.home, root, "update-index", "--refresh")
        keys.append(clone.identify(root, ask_git=False))
        assert tree.read(root, {}, ask_git=False).tracked["big.dat"].startswith("100644 ")
        assert git(clone.home, root, "status", "--short") == ""
    assert keys[0] != keys[1]


def test_what_else_is_in_the_key(clone: Clone, tmp_path: Path) -> None:
    root, tools = clone.second, tmp_path / "tools"
    tools.mkdir()
    (tools / "gcc").write_text("#!/bin/sh\n")
    (tools / "gcc").chmod(0o755)
    keys = {
        clone.identify(root),
        clone.identify(root, base="/other"),
        clone.identify(root, python_version="3.11.8"),
        clone.identify(root, interpreter_id="2"),
        clone.identify(root, env={"CFLAGS": "-O0"}),
        clone.identify(root, env={"PKG_VERSION": "7"}),
        clone.identify(root, env={"GIT_DIR": "/x"}),
        clone.identify(root, env={"VCS_VERSIONING_PRETEND_VERSION": "7"}),
        clone.identify(root, env={"PATH": f"{tools}:/usr/bin:/bin"}),
    }
    assert len(keys) == 9
    assert clone.identify(root, env={"TERM": "x", "PWD": "/x", "SSH_TTY": "/dev/pts/1"}) in keys
    git(clone.home, tmp_path, "clone", "--quiet", clone.first, tmp_path / "other")
    assert clone.identify(tmp_path / "other") not in keys, "another clone has other settings, and maybe less history"


def test_what_is_not(clone: Clone) -> None:
    """What runs and tools leave behind, and what the build itself writes."""
    before = clone.identify(clone.first)
    write(clone.first, {"src/pkg/_version.py": "", "src/pkg/__pycache__/x.pyc": "", ".cache/x": "", "run.log": "",
                        "src/pkg.egg-info/PKG-INFO": "", "build/x.py": "", "wtenv.toml": "", "x.so": ""})  # fmt: skip
    assert clone.identify(clone.first) == before
    os.utime(clone.first / "setup.py")
    assert clone.identify(clone.first) == before, "only its time is another"


@pytest.mark.parametrize(("text", "asks"), [("branch = get('--abbrev-ref')", True), ("x = 1", False)])
def test_the_branch_counts_where_a_build_asks_for_it(text: str, asks: bool, clone: Clone) -> None:
    for root in (clone.first, clone.second):
        write(root, {"versions.py": text + "\n"})
    assert (clone.identify(clone.first) != clone.identify(clone.second)) == asks


@pytest.mark.parametrize("version", ["2", "4"])
def test_it_is_what_git_says(version: str, clone: Clone) -> None:
    root = clone.first
    write(root, {"src/a b/ü.py": "x\n", "src/a b/x" + "y" * 200: "", "src/empty": "", "run.sh": "#!/bin/sh\n"})
    (root / "run.sh").chmod(0o755)
    git(clone.home, root, "add", "--all")
    git(clone.home, root, "update-index", "--index-version", version)
    said = clone.home.run(["git", "ls-files", "--stage", "-z"], root, check=True).stdout.split("\0")[:-1]
    wanted = {line.partition("\t")[2]: line.split()[:2] for line in said}
    found = tree.read(root, clone.home.environ, ask_git=False)
    assert {path: described.split()[:2] for path, described in found.tracked.items()} == wanted
    assert {len(described.split()) for described in found.tracked.values()} == {2, 3}, "a file has its size, too"
    assert found.loose == ()


def merge(clone: Clone, root: Path) -> None:
    for name in ("one", "two"):
        git(clone.home, root, "checkout", "--quiet", "-B", name, "second")
        (root / "docs/notes.md").write_text(name)
        git(clone.home, root, "commit", "--quiet", "--all", "--message", name)
    assert clone.home.run(["git", "merge", "one"], root).returncode


ODD: dict[str, Callable[[Clone, Path], object]] = {
    "a merge": merge,
    "a split index": lambda clone, root: git(clone.home, root, "update-index", "--split-index"),
    "taken for unchanged": lambda clone, root: git(clone.home, root, "update-index", "--assume-unchanged", "setup.py"),
    "sparse": lambda clone, root: git(clone.home, root, "sparse-checkout", "set", "docs"),
    "an index that is cut off": lambda clone, root: cut(
        Path(git(clone.home, root, "rev-parse", "--git-path", "index"))
    ),
    "no commit": lambda clone, root: git(clone.home, root, "checkout", "--quiet", "--orphan", "new"),
}


def cut(place: Path) -> None:
    place.write_bytes(place.read_bytes()[:100])


@pytest.mark.parametrize("what", ODD)
def test_what_can_not_be_told_has_no_key(what: str, clone: Clone) -> None:
    ODD[what](clone, clone.second)
    for ask in (True, False):
        with pytest.raises((ValueError, OSError)):
            clone.identify(clone.second, ask_git=ask)


def test_a_submodule(clone: Clone, tmp_path: Path) -> None:
    """Its content is its own repository's: none there is an answer, any other is not."""
    git(clone.home, clone.first, "clone", "--quiet", clone.first, tmp_path / "other")
    git(clone.home, clone.first, "submodule", "--quiet", "add", tmp_path / "other", "sub")
    git(clone.home, clone.first, "commit", "--quiet", "--message", "sub")
    git(clone.home, clone.second, "merge", "--quiet", git(clone.home, clone.first, "rev-parse", "HEAD"))
    assert clone.identify(clone.second)
    with pytest.raises(ValueError, match="submodule"):
        clone.identify(clone.first)


def test_ccache_is_told_the_worktree(tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path)}
    assert "CCACHE_BASEDIR" not in building.name_worktree(env, tmp_path)
    (tmp_path / "ccache").touch(0o755)
    assert building.name_worktree(env, tmp_path)["CCACHE_BASEDIR"] == str(tmp_path)
    assert building.name_worktree({**env, "CCACHE_BASEDIR": "/mine"}, tmp_path)["CCACHE_BASEDIR"] == "/mine"


# --- what a build leaves beside the sources ---------------------------------------------------------------


def test_products(clone: Clone) -> None:
    """What is new and git ignores; what the build files name, also where it has not changed."""
    root = clone.first
    write(root, {"src/pkg/_version.py": "old", "src/pkg/old.cpython-39-x.so": "", "run.log": ""})
    since = recipe.read_clock(root)
    assert clone.list_products(root, since) == {"src/pkg/_version.py": b"old"}
    write(root, {"src/pkg/_speed.so": "new", "src/pkg/__pycache__/x.so": "", "src/pkg/more.log": "", "build/x.so": ""})
    assert clone.list_products(root, since) == {"src/pkg/_version.py": b"old", "src/pkg/_speed.so": b"new"}
    for name in ("src/pkg/table.bin", "src/pkg/_old.so"):
        write(root, {name: "x"})
        with pytest.raises(ValueError, match="may belong to the build"):
            clone.list_products(root, since if name.endswith("bin") else recipe.read_clock(root))
        (root / name).unlink()


@pytest.mark.parametrize("section", [".debug_line", ".rodata"])
@pytest.mark.skipif(not shutil.which("cc") or not shutil.which("objcopy"), reason="there is no compiler")
def test_a_product_that_names_its_worktree(section: str, tmp_path: Path) -> None:
    """In what is loaded, or only for a debugger."""
    (tmp_path / "x.c").write_text("int x;\n")
    (tmp_path / "text").write_text(f"{tmp_path}/x.c")
    subprocess.run(["cc", "-shared", "-o", "x.so", "x.c"], cwd=tmp_path, check=True)
    subprocess.run(["objcopy", "--add-section", f"{section}_more=text", "x.so"], cwd=tmp_path, check=True)
    if section == ".rodata":
        with pytest.raises(ValueError, match="names the worktree"):
            recipe.read_product(tmp_path / "x.so", tmp_path)
    else:
        assert recipe.read_product(tmp_path / "x.so", tmp_path)[1] == (tmp_path / "x.so").read_bytes()


@pytest.mark.parametrize("there", ["other content", "a link", "a linked folder", "outside", "hidden", "the same"])
def test_products_are_never_put_over_anything(there: str, tmp_path: Path, home: Home) -> None:
    root = tmp_path / "wt"
    (root / "src").mkdir(parents=True)
    name = {"outside": "../evil.py", "hidden": ".git/hooks/x"}.get(there, "src/_version.py")
    if there in ("other content", "the same"):
        (root / name).write_text("mine" if there == "other content" else "x")
    elif there == "a link":
        (root / name).symlink_to(tmp_path / "target")
    elif there == "a linked folder":
        (root / "src").rmdir()
        (root / "src").symlink_to(tmp_path)
    assert reuse._find_clash(root, name, b"x") == (there != "the same")
