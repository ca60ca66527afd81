"""`wtenv init`: what it writes is valid and says what was asked for; what is there is never overwritten."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import call, git, make_fake_base, make_git, make_home, one_line, snapshot
from workspace import Home

from wtenv import adoption, draft, files, toml
from wtenv.config import read as configs
from wtenv.config.read import Config
from wtenv.draft import Draft, render
from wtenv.errors import WtenvError
from wtenv.insight.checks import Context
from wtenv.worktree import find_worktree


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = make_home(tmp_path)
    for name in ("shared", "other"):
        make_fake_base(tmp_path, made, name)
    return made


@pytest.fixture
def root(tmp_path: Path, home: Home) -> Path:
    made = make_git(tmp_path, home)
    (made / "pyproject.toml").write_text('[project]\nname = "x"\n')
    return made


def init(
    home: Home, *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, check: bool = False
) -> subprocess.CompletedProcess[str]:
    """These bases hold nothing to build with."""
    return call(home, "init", "--no-sync", *words, cwd=cwd, env=env, check=check)


def read(root: Path, home: Home) -> Config:
    place = find_worktree(root)
    assert place
    return configs.read_config(place, configs.find_sources(place, home.path), home.path)


def test_from_a_name(root: Path, home: Home) -> None:
    done = init(home, "shared", cwd=root, check=True)
    assert done.stdout == ""
    assert done.stderr.startswith(f"wtenv: wrote {root}/wtenv.toml, and allowed it\nwtenv: nothing is active yet: ")
    assert "; run: wtenv sync\n" in done.stderr
    found = read(root, home)
    assert (found.base_kind, found.base, found.packages, found.venv) == (
        "base_conda_env",
        "shared",
        (root,),
        root / ".venv",
    )
    assert (root / "wtenv.toml").stat().st_mode & 0o777 == 0o644
    comments = [line for line in (root / "wtenv.toml").read_text().splitlines() if "#" in line]
    assert len(comments) > 5
    assert "wtenv help config" in comments[0]
    assert (root / ".git/info/exclude").read_text().splitlines()[-1] == "/.venv/"
    assert "trust       allowed" in call(home, "status", cwd=root).stdout


def test_from_below_the_root(root: Path, home: Home) -> None:
    (root / "src/deep").mkdir(parents=True)
    init(home, "shared", cwd=root / "src/deep", check=True)
    assert (root / "wtenv.toml").exists()


def test_nothing_to_install(root: Path, home: Home) -> None:
    (root / "pyproject.toml").unlink()
    init(home, "shared", cwd=root, check=True)
    assert read(root, home).packages == ()


def test_an_unknown_name_lists_what_there_is(root: Path, home: Home) -> None:
    before = snapshot(root, home.path)
    message = one_line(init(home, "sharde", cwd=root))
    assert "'sharde'" in message
    assert "there is shared, other;" in message  # the near name first
    assert "there is other, shared;" in one_line(init(home, "zzz", cwd=root))
    assert snapshot(root, home.path) == before


def test_no_name_lists_what_there_is(root: Path, home: Home) -> None:
    message = one_line(init(home, cwd=root))
    assert "wtenv init NAME" in message
    assert "other, shared" in message


def test_no_conda_at_all(tmp_path: Path) -> None:
    home = make_home(tmp_path / "bare")
    root = make_git(tmp_path, home)
    assert "no conda installation was found" in one_line(init(home, "shared", cwd=root))
    assert "none found" in one_line(init(home, cwd=root))


@pytest.mark.parametrize("written", ["{prefix}", "../envs/shared", "{prefix}/", "{prefix}/../shared"])
def test_from_a_path(written: str, root: Path, home: Home, tmp_path: Path) -> None:
    init(home, written.format(prefix=tmp_path / "envs/shared"), cwd=root, check=True)
    found = read(root, home)
    assert (found.base_kind, found.base) == ("base_conda_env", str(tmp_path / "envs/shared"))


def test_from_a_relative_path_below_the_root(root: Path, home: Home, tmp_path: Path) -> None:
    (root / "src").mkdir()
    init(home, "../../envs/shared", cwd=root / "src", check=True)
    assert read(root, home).base == str(tmp_path / "envs/shared")


def test_from_home(root: Path, home: Home, tmp_path: Path) -> None:
    (home.path / "envs").symlink_to(tmp_path / "envs")
    init(home, "~/envs/shared", cwd=root, check=True)
    assert read(root, home).base == "~/envs/shared"


def test_from_another_python(root: Path, home: Home, tmp_path: Path) -> None:
    (tmp_path / "py/bin").mkdir(parents=True)
    (tmp_path / "py/bin/python3").symlink_to("/usr/bin/python3")
    init(home, tmp_path / "py", cwd=root, check=True)
    found = read(root, home)
    assert (found.base_kind, found.base) == ("base_prefix", str(tmp_path / "py"))


@pytest.mark.parametrize("path", ["/nonexistent", "./gone", "../repo", "."])
def test_from_a_path_that_is_no_base(path: str, root: Path, home: Home) -> None:
    one_line(init(home, path, cwd=root))
    assert not (root / "wtenv.toml").exists()


# --- from other files ---------------------------------------------------------------------------

ENVIRONMENTS = {
    "name: shared\n": "shared",
    "# comment\nchannels:\n  - x\nname:   'shared'   # why\ndependencies:\n  - pip:\n    - name: no\n": "shared",
    'name: "shared"\n': "shared",
    "name : shared\n": "shared",
    "'name': shared\n": "shared",
    "\ufeffname: shared\r\n": "shared",
}


@pytest.mark.parametrize("text", ENVIRONMENTS)
def test_environment_yml(text: str, root: Path, home: Home) -> None:
    (root / "environment.yml").write_bytes(text.encode())
    init(home, "environment.yml", cwd=root, check=True)
    assert read(root, home).base == ENVIRONMENTS[text]
    assert '# From "environment.yml".\n' in (root / "wtenv.toml").read_text()


@pytest.mark.parametrize("text", ["", "channels: []\n", "dependencies:\n  name: x\n", "name:\n", "\xff"])
def test_environment_yml_without_a_name(text: str, root: Path, home: Home) -> None:
    (root / "environment.yml").write_bytes(text.encode("latin-1"))
    assert f"{root}/environment.yml: has no name" in one_line(init(home, "environment.yml", cwd=root))


def test_environment_yml_of_an_unknown_environment(root: Path, home: Home) -> None:
    (root / "environment.yml").write_text("name: gone\n")
    message = one_line(init(home, root / "environment.yml", cwd=root))
    assert "environment.yml: no conda environment is called 'gone'" in message
    assert f"run: conda env create -f {root}/environment.yml" in message
    assert "(environments: other, shared)" in message
    assert "conda env create -f environment.yml," in one_line(init(home, "environment.yml", cwd=root))


@pytest.mark.parametrize("name", ["", "name: null\n", "name: ~\n", "name:\n"])
def test_environment_yml_with_a_prefix(name: str, root: Path, home: Home, tmp_path: Path) -> None:
    (root / "env.yaml").write_text(f"{name}channels: []\nprefix: {tmp_path}/envs/shared\n")
    init(home, "env.yaml", cwd=root, check=True)
    assert read(root, home).base == f"{tmp_path}/envs/shared"


def test_environment_yml_with_name_and_prefix(root: Path, home: Home) -> None:
    """As `conda env export` writes it: the prefix is that of another machine."""
    (root / "environment.yml").write_text("name: shared\nprefix: /home/other/envs/shared\n")
    init(home, "environment.yml", cwd=root, check=True)
    assert read(root, home).base == "shared"


def test_environment_yml_with_a_prefix_that_is_gone(root: Path, home: Home, tmp_path: Path) -> None:
    (root / "environment.yml").write_text(f"prefix: {tmp_path}/envs/no such\n")
    message = one_line(init(home, "environment.yml", cwd=root))
    assert f"run: conda env create -f environment.yml -p '{tmp_path}/envs/no such'" in message
    (root / "environment.yml").write_text("prefix: relative\n")
    assert "has no name" in one_line(init(home, "environment.yml", cwd=root))


OTHER = """[python]
base_conda_env = " shared "
venv = "{venv}"

[editables]
packages = [
  ".",
  "../sibling",
  "",
]
install_deps = true
"""
TOOLS = ("notuv", "devpy", "veneer")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    ("venv", "expected"),
    [
        (".venv", ".venv"),
        ("env/x", "env/x"),
        (".", ".venv"),
        ("{root}/in", "in"),
        ("~/x", ".venv"),
        ("../x", ".venv"),
        (".git/x", ".venv"),
    ],
)
def test_other_tools(tool: str, venv: str, expected: str, root: Path, home: Home) -> None:
    (root.parent / "sibling").mkdir()
    (root / f"{tool}.toml").write_text(OTHER.format(venv=venv.format(root=root)))
    init(home, f"{tool}.toml", cwd=root, check=True)
    found = read(root, home)
    assert (found.base, found.venv) == ("shared", root / expected)
    assert (found.packages, found.install_deps) == ((root, root.parent / "sibling"), True)


@pytest.mark.parametrize("tool", TOOLS)
def test_other_tools_smallest(tool: str, root: Path, home: Home) -> None:
    (root / f"{tool}.toml").write_text('[python]\nbase_conda_env = "shared"\n')
    init(home, f"{tool}.toml", cwd=root, check=True)
    found = read(root, home)
    assert (found.packages, found.install_deps) == ((), False)  # as those tools read it


@pytest.mark.parametrize("tool", TOOLS)
def test_pointer_of_another_tool(tool: str, root: Path, home: Home) -> None:
    (root / f"{tool}.toml").write_text(f'[{tool}]\nextends = "../{tool}.backend.toml"\n')
    message = one_line(init(home, f"{tool}.toml", cwd=root))
    assert f"extends the stack config ../{tool}.backend.toml" in message
    assert '[wtenv] kind = "stack"' in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "names no base_conda_env"),
        ("[python]\nbase_conda_env = 1\n", "names no base_conda_env"),
        ('[python]\nbase_conda_env = " "\n', "names no base_conda_env"),
        ('python = "x"\n', "names no base_conda_env"),
        ('[python]\nbase_conda_env = "shared"\n[editables]\npackages = "."\n', "packages must be a list"),
        ("[python\n", "not valid TOML"),
        ('[python]\nbase_conda_env = "gone"\n', "'gone'"),
    ],
)
def test_broken_files_of_other_tools(text: str, part: str, root: Path, home: Home) -> None:
    (root / "notuv.toml").write_text(text)
    message = one_line(init(home, "notuv.toml", cwd=root))
    assert "notuv.toml" in message
    assert part in message
    assert not (root / "wtenv.toml").exists()


# --- where it goes, and what is there -----------------------------------------------------------


def test_clone(root: Path, home: Home) -> None:
    git(home, root, "worktree", "add", "--quiet", "-b", "f", root.parent / "feature")
    init(home, "--clone", "shared", cwd=root.parent / "feature", check=True)
    assert not (root / "wtenv.toml").exists()
    assert (root / ".git/wtenv.toml").exists()
    for folder in (root, root.parent / "feature"):
        assert read(folder, home).base == "shared"
    assert git(home, root, "status", "--porcelain") == "?? pyproject.toml"


def test_clone_of_a_link_that_is_not_proved(root: Path, home: Home) -> None:
    git(home, root, "worktree", "add", "--quiet", "-b", "f", root.parent / "feature")
    moved = (root.parent / "feature").rename(root.parent / "moved")
    assert "git worktree repair" in one_line(init(home, "--clone", "shared", cwd=moved))


@pytest.mark.parametrize("kind", ["file", "empty", "dangling", "link", "folder"])
@pytest.mark.parametrize("clone", [True, False])
def test_never_overwrites(clone: bool, kind: str, root: Path, home: Home) -> None:
    target = root / (".git/wtenv.toml" if clone else "wtenv.toml")
    if kind == "file":
        target.write_text("mine")
    elif kind == "empty":
        target.touch()
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to(root / "real")
        if kind == "link":
            (root / "real").write_text("mine")
    before = snapshot(root)
    message = one_line(init(home, *(["--clone"] if clone else []), "shared", cwd=root))
    assert f"{target} exists already" in message
    assert snapshot(root) == before


@pytest.mark.parametrize("links", [True, False])
def test_what_came_meanwhile_is_not_overwritten(
    links: bool, root: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another init at the same time, say; also on a file system without hard links."""
    target = root / "wtenv.toml"

    def render(made: Draft) -> str:
        target.write_text("mine")
        return draft.render(made)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("wtenv.adoption.draft", SimpleNamespace(read_draft=draft.read_draft, render=render))
    if not links:
        monkeypatch.setattr("os.link", refuse)
    with pytest.raises(WtenvError, match="exists already"):
        adoption.write_config("shared", Context(root, home.environ, None, interactive=False), sync=False)
    assert sorted(path.name for path in root.iterdir()) == [".git", "pyproject.toml", "wtenv.toml"]
    assert target.read_text() == "mine"
    target.unlink()
    files.write_atomic(target, b"new", new=True)
    assert sorted(path.name for path in root.iterdir()) == [".git", "pyproject.toml", "wtenv.toml"]


def test_exclude_once(root: Path, home: Home) -> None:
    exclude = root / ".git/info/exclude"
    exclude.write_text("# mine\n*.log")
    for _ in range(2):
        init(home, "shared", cwd=root, check=True)
        (root / "wtenv.toml").unlink()
    assert exclude.read_text() == "# mine\n*.log\n/.venv/\n"
    (root / ".venv").mkdir()
    (root / ".venv/x").touch()
    assert ".venv" not in git(home, root, "status", "--porcelain")


def test_exclude_of_a_linked_worktree_and_without_the_folder(root: Path, home: Home) -> None:
    git(home, root, "worktree", "add", "--quiet", "-b", "f", root.parent / "feature")
    (root / ".git/info/exclude").unlink()
    (root / ".git/info").rmdir()
    init(home, "shared", cwd=root.parent / "feature", check=True)
    assert (root / ".git/info/exclude").read_text() == "/.venv/\n"


def test_exclude_keeps_a_symlink(root: Path, home: Home) -> None:
    exclude = root / ".git/info/exclude"
    exclude.unlink()
    (home.path / "my-excludes").write_text("x\n")
    exclude.symlink_to(home.path / "my-excludes")
    init(home, "shared", cwd=root, check=True)
    assert exclude.is_symlink()
    assert (home.path / "my-excludes").read_text() == "x\n/.venv/\n"


@pytest.mark.parametrize("venv", ["a*b", "a?", "[x]", "!x", "#x", "a b", "a\\\\b"])
def test_exclude_escapes_patterns(venv: str, root: Path, home: Home) -> None:
    (root / "notuv.toml").write_text(f'[python]\nbase_conda_env = "shared"\nvenv = "{venv}"\n')
    init(home, "notuv.toml", cwd=root, check=True)
    folder = read(root, home).venv
    folder.mkdir()
    (folder / "x").touch()
    (root / "axb").mkdir()
    (root / "axb/x").touch()
    untracked = git(home, root, "status", "--porcelain", "-uall").splitlines()
    assert sorted(line[3:] for line in untracked) == ["axb/x", "notuv.toml", "pyproject.toml", "wtenv.toml"]


@pytest.mark.parametrize("words", [[], ["--clone"]])
def test_where_no_worktree_is(words: list[str], root: Path, home: Home) -> None:
    """A bare repository, and the folder above its worktrees: what is named there leads to one."""
    top = root.parent / "top"
    top.mkdir()
    git(home, root.parent, "clone", "--quiet", "--bare", root, top / ".bare")
    (top / ".git").write_text("gitdir: ./.bare\n")
    for folder in (top, top / ".bare"):
        assert "cd into one of its worktrees, or make one: " in one_line(init(home, *words, "shared", cwd=folder))
        git(home, folder, "worktree", "add", "--quiet", "--detach", f"{folder.name}-one")
        init(home, "shared", cwd=folder / f"{folder.name}-one", check=True)
    assert not (top / "wtenv.toml").exists()
    assert "cd into one of them" in one_line(call(home, "sync", cwd=top))


def test_a_pointer_is_moved(root: Path, home: Home) -> None:
    """The overlay is in the stack's folder then, so nothing of it is excluded."""
    (root.parent / "wtenv.x.toml").write_text('[wtenv]\nkind = "stack"\n[python]\nbase_conda_env = "shared"\n')
    (root / "wtenv.toml").write_text('[wtenv]\nextends = "../wtenv.x.toml"\n')
    call(home, "allow", cwd=root, check=True)
    exclude = (root / ".git/info/exclude").read_text()
    assert (
        f"moved {root}/wtenv.toml to {root}/.git/wtenv.toml, and allowed it"
        in init(home, "--clone", cwd=root, check=True).stderr
    )
    assert (root / ".git/info/exclude").read_text() == exclude
    assert read(root, home).venv == root.parent / ".venv"


def test_beside_a_clone_config(root: Path, home: Home) -> None:
    """Its keys win, so the new one is not in effect; to give it to all is no more possible."""
    init(home, "--clone", "shared", cwd=root, check=True)
    said = init(home, "other", cwd=root, check=True).stderr
    assert f"{root}/.git/wtenv.toml is there, too: what it says counts instead" in said
    assert "init --clone" not in said


def test_what_is_to_be_looked_at_is_what_came_along(root: Path, home: Home) -> None:
    (root / "wtenv.toml").write_text('[python]\nbase_conda_env = "other"\n')
    said = init(home, "--clone", "shared", cwd=root, check=True).stderr
    assert f"takes no effect yet: {root}/wtenv.toml is not allowed; look at it, " in said


@pytest.mark.parametrize("name", ["environment.yml", "../env.yaml", "notuv.toml"])
def test_a_file_that_is_not_there(name: str, root: Path, home: Home) -> None:
    message = one_line(init(home, name, cwd=root))
    assert "there is no file " in message
    assert "conda create" not in message


def test_an_environment_without_python(root: Path, home: Home, tmp_path: Path) -> None:
    prefix = make_fake_base(tmp_path, home, "empty")
    for name in ("python", "python3"):
        (prefix / "bin" / name).unlink()
    assert "empty can't be the base: there is no Python 3 in " in one_line(init(home, "empty", cwd=root))
    assert not (root / "wtenv.toml").exists()


@pytest.mark.parametrize("name", ["a:b", "a\nb"])
def test_a_folder_that_path_can_not_hold(name: str, root: Path, home: Home) -> None:
    folder = root.rename(root.parent / name)
    assert "which PATH can't hold; rename the folder" in one_line(init(home, "shared", cwd=folder))
    assert not (folder / "wtenv.toml").exists()


def test_a_main_worktree_that_was_moved(root: Path, home: Home) -> None:
    """Its clone config is not seen: that the link is broken is what helps."""
    init(home, "--clone", "shared", cwd=root, check=True)
    feature = root.parent / "feature"
    git(home, root, "worktree", "add", "--quiet", "-b", "f", feature)
    moved = root.rename(root.parent / "moved")
    message = one_line(call(home, "sync", cwd=feature))
    assert "which does not exist; run in the main worktree: git worktree repair" in message
    git(home, moved, "worktree", "repair")
    assert "is not allowed" in one_line(call(home, "sync", cwd=feature))


# --- names --------------------------------------------------------------------------------------

HOSTILE = [
    '"',
    "\\",
    "a b",
    "a'b",
    "#x",
    '"""',
    "ünï",
    "日本",
    "a\tb",
    "a\nb",
    "\x7f",
    "\U000e0001",
    "${x}",
    "{root}",
    "a=b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name: str, root: Path, home: Home, tmp_path: Path) -> None:
    make_fake_base(tmp_path, home, name)
    init(home, name, cwd=root, check=True)
    assert read(root, home).base == name


def test_a_name_that_is_not_utf8(root: Path, home: Home, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    make_fake_base(tmp_path, home, name)
    assert "is not UTF-8" in one_line(init(home, name, cwd=root))
    assert not (root / "wtenv.toml").exists()


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None)
@given(base=texts, packages=st.lists(texts, max_size=3), venv=texts, origin=texts, deps=st.booleans())
def test_what_is_written_reads_back(base: str, packages: list[str], venv: str, origin: str, deps: bool) -> None:
    text = render(Draft(("base_prefix", base), tuple(packages), deps, venv, origin))
    table = toml.parse(Path("x"), text.encode())
    assert table["python"]["base_prefix"] == base
    assert table["python"].get("venv", ".venv") == venv
    assert table["editables"]["packages"] == packages
    assert table["editables"].get("install_deps", False) == deps
    assert set(table) == {"python", "editables"}


def test_a_folder_that_can_not_be_written(root: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from wtenv import adoption

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "write_atomic", fail)
    with pytest.raises(WtenvError, match=r"can't write .*wtenv.toml \(Permission denied\)"):
        adoption.write_config("shared", Context(root, home.environ, None, False), sync=False)
