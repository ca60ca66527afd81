"""Discovery: which worktree a folder is in, which clone that belongs to, and who can't pretend."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scenes import git, make_git, make_home
from workspace import Home

from wtenv import worktree
from wtenv.errors import WtenvError
from wtenv.worktree import Worktree, find_root, find_worktree, list_checkouts, list_worktrees


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path)


def open_(directory: Path) -> Worktree:
    found = find_worktree(directory)
    assert found is not None
    return found


def add(home: Home, root: Path, path: Path, branch: str = "feature") -> Path:
    git(home, root, "worktree", "add", "--quiet", "-b", branch, path)
    return path


def common_dir(home: Home, directory: Path) -> Path:
    """What git itself says."""
    return Path(os.path.realpath(directory / git(home, directory, "rev-parse", "--git-common-dir")))


# --- what git makes -----------------------------------------------------------------------------


def make_main(home: Home, folder: Path) -> Path:
    return make_git(folder, home)


def make_linked(home: Home, folder: Path) -> Path:
    return add(home, make_git(folder, home), folder / "feature")


def make_linked_with_spaces(home: Home, folder: Path) -> Path:
    return add(home, make_git(folder, home), folder / "a  feature 'with' \"quotes\" $HOME")


def make_linked_with_newline(home: Home, folder: Path) -> Path:
    return add(home, make_git(folder, home), folder / "two\nlines")


def make_linked_unicode(home: Home, folder: Path) -> Path:
    return add(home, make_git(folder, home), folder / "zweig-ü-日本")


def make_linked_not_utf8(home: Home, folder: Path) -> Path:
    return add(home, make_git(folder, home), folder / os.fsdecode(b"caf\xe9"))


def make_linked_below_main(home: Home, folder: Path) -> Path:
    root = make_git(folder, home)
    return add(home, root, root / ".worktrees/feature")


def make_linked_of_same_name(home: Home, folder: Path) -> Path:
    root = make_git(folder, home)
    add(home, root, folder / "one/feature", "one")
    return add(home, root, folder / "two/feature", "two")  # its entry is called feature1


def make_linked_moved_by_git(home: Home, folder: Path) -> Path:
    linked = make_linked(home, folder)
    git(home, folder / "repo", "worktree", "move", linked, folder / "elsewhere")
    return folder / "elsewhere"


def make_linked_repaired(home: Home, folder: Path) -> Path:
    linked = make_linked(home, folder)
    moved = linked.rename(folder / "by hand")
    git(home, moved, "worktree", "repair")
    return moved


def make_linked_of_moved_main(home: Home, folder: Path) -> Path:
    linked = make_linked(home, folder)
    (folder / "repo").rename(folder / "renamed")
    git(home, folder / "renamed", "worktree", "repair", linked)
    return linked


def make_submodule(home: Home, folder: Path) -> Path:
    library, root = make_git(folder, home, "library"), make_git(folder, home)
    git(home, root, "submodule", "--quiet", "add", library, "libs/sub")
    git(home, root, "commit", "--quiet", "--message", "submodule")
    return root / "libs/sub"


def make_submodule_in_linked(home: Home, folder: Path) -> Path:
    root = make_submodule(home, folder).parents[1]
    linked = add(home, root, folder / "feature")
    git(home, linked, "submodule", "--quiet", "update", "--init")
    return linked / "libs/sub"


def make_submodule_with_quoted_path(home: Home, folder: Path) -> Path:
    library, root = make_git(folder, home, "library"), make_git(folder / 'odd "name" # \\ ;', home)
    git(home, root, "submodule", "--quiet", "add", library, 'sub # "q" \\ ü')
    return root / 'sub # "q" \\ ü'


def make_submodule_with_worktree_config(home: Home, folder: Path) -> Path:
    sub = make_submodule(home, folder)
    git(home, sub, "sparse-checkout", "init")  # moves core.worktree into config.worktree
    return sub


def make_linked_of_submodule(home: Home, folder: Path) -> Path:
    return add(home, make_submodule(home, folder), folder / "of-sub")


def make_bare(home: Home, folder: Path) -> Path:
    source = make_git(folder, home, "source")
    git(home, folder, "clone", "--quiet", "--bare", source, folder / "repo.git")
    return add(home, folder / "repo.git", folder / "feature")


def make_dot_bare(home: Home, folder: Path) -> Path:
    source = make_git(folder, home, "source")
    (folder / "project").mkdir()
    git(home, folder, "clone", "--quiet", "--bare", source, folder / "project/.bare")
    (folder / "project/.git").write_text("gitdir: ./.bare\n")
    return add(home, folder / "project", folder / "project/feature")


def make_bare_called_dot_git(home: Home, folder: Path) -> Path:
    source = make_git(folder, home, "source")
    git(home, folder, "clone", "--quiet", "--bare", source, folder / "project/.git")
    return add(home, folder / "project/.git", folder / "project/feature")


def make_linked_of_separate(home: Home, folder: Path) -> Path:
    make_separate(home, folder)
    return add(home, folder / "repo", folder / "feature")


def make_separate(home: Home, folder: Path) -> Path:
    git(home, folder, "init", "--quiet", "--separate-git-dir", folder / "elsewhere", folder / "repo")
    git(home, folder / "repo", "commit", "--quiet", "--allow-empty", "--message", "start")
    return folder / "repo"


def make_separate_vouched(home: Home, folder: Path) -> Path:
    root = make_separate(home, folder)
    git(home, root, "config", "core.worktree", root)
    return root


def make_relative(home: Home, folder: Path) -> Path:
    """As git writes links since 2.48 with worktree.useRelativePaths."""
    linked = make_linked(home, folder)
    (linked / ".git").write_text("gitdir: ../repo/.git/worktrees/feature\n")
    (folder / "repo/.git/worktrees/feature/gitdir").write_text("../../../../feature/.git\n")
    return linked


def make_crlf(home: Home, folder: Path) -> Path:
    linked = make_linked(home, folder)
    for file in (linked / ".git", *(folder / "repo/.git/worktrees/feature" / n for n in ("gitdir", "commondir"))):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    return linked


# name -> how it is made, where its common dir is (None: as git says), whether it is linked
REAL: dict[str, tuple[Callable[[Home, Path], Path], bool]] = {
    "main": (make_main, False),
    "linked": (make_linked, True),
    "spaces": (make_linked_with_spaces, True),
    "newline": (make_linked_with_newline, True),
    "unicode": (make_linked_unicode, True),
    "not UTF-8": (make_linked_not_utf8, True),
    "below main": (make_linked_below_main, True),
    "same name": (make_linked_of_same_name, True),
    "moved by git": (make_linked_moved_by_git, True),
    "repaired": (make_linked_repaired, True),
    "main moved, repaired": (make_linked_of_moved_main, True),
    "submodule": (make_submodule, False),
    "submodule in linked": (make_submodule_in_linked, False),
    "submodule, quoted": (make_submodule_with_quoted_path, False),
    "submodule, worktreeConfig": (make_submodule_with_worktree_config, False),
    "linked of submodule": (make_linked_of_submodule, True),
    "bare": (make_bare, True),
    ".bare": (make_dot_bare, True),
    "bare .git": (make_bare_called_dot_git, True),
    "linked of separate": (make_linked_of_separate, True),
    "separate, vouched for": (make_separate_vouched, False),
    "relative": (make_relative, True),
    "CRLF": (make_crlf, True),
}


@pytest.mark.parametrize("name", REAL)
def test_real_worktrees(name: str, tmp_path: Path, home: Home) -> None:
    make, linked = REAL[name]
    (tmp_path / "place").mkdir()
    root = make(home, tmp_path / "place")
    deep = root / "deep/er"
    deep.mkdir(parents=True)
    for directory in (root, deep):
        found = open_(directory)
        assert (found.root, found.linked, found.problem) == (root, linked, "")
        if name not in ("relative", "CRLF"):  # newer than the machine's git, perhaps
            assert found.common_dir == common_dir(home, root)
        assert found.clone == found.common_dir
        assert all(path.exists() for path in found.watch if path.name != "config.worktree")


@pytest.mark.parametrize(
    "name", ["linked", "bare", ".bare", "bare .git", "relative", "newline", "not UTF-8", "same name"]
)
def test_list_names_the_linked_worktree(name: str, tmp_path: Path, home: Home) -> None:
    (tmp_path / "place").mkdir()
    root = REAL[name][0](home, tmp_path / "place")
    common = open_(root).common_dir
    assert common is not None
    listed = list_worktrees(common)
    assert root in listed
    (root / "file").write_text("")
    shutil.rmtree(root)
    assert root not in list_worktrees(common)
    for place in listed:
        assert place == root or open_(place).common_dir == common


def parse_porcelain(text: str) -> list[dict[str, str]]:
    """`git worktree list --porcelain -z`: one dictionary for each worktree."""
    entries = [entry.split("\0") for entry in text.split("\0\0") if entry.strip("\0")]
    return [dict(line.partition(" ")[::2] for line in entry if line) for entry in entries]


@pytest.mark.parametrize("name", [name for name in REAL if name != "relative"])  # newer than the machine's git, perhaps
def test_list_is_gits(name: str, tmp_path: Path, home: Home) -> None:
    """Linked worktrees, their branches and commits, a bare repository, as `git worktree list` names them."""
    (tmp_path / "place").mkdir()
    root = REAL[name][0](home, tmp_path / "place")
    third = add(home, root, tmp_path / "place/third", "team/third")
    git(home, third, "checkout", "--quiet", "--detach")
    gone = add(home, root, tmp_path / "place/gone", "gone")
    shutil.rmtree(gone)
    common = open_(root).common_dir
    assert common is not None
    told = parse_porcelain(home.run(["git", "worktree", "list", "--porcelain", "-z"], root, check=True).stdout)
    found = list_checkouts(common)

    def describe(entry: dict[str, str]) -> tuple[str, str, str, bool]:
        branch = entry.get("branch", "").removeprefix("refs/heads/")
        return entry["worktree"], branch, entry["HEAD"] if "detached" in entry else "", "prunable" in entry

    ours = {(str(item.root), item.branch, item.commit, bool(item.problem)) for item in found if item.linked}
    assert ours == {describe(entry) for entry in told[1:]}
    assert (str(gone), "gone", "", True) in ours
    main = [item for item in found if not item.linked]
    assert [item.bare for item in main] == (["bare" in told[0]] if main else [])
    if "bare" in told[0]:
        assert found[0].root == common
    elif name != "linked of separate":  # git itself names the git folder there
        assert (main[0].branch, main[0].commit, main[0].problem) == (*describe(told[0])[1:3], "")
        assert common_dir(home, main[0].root) == common


def test_list_of_damaged_entries(tmp_path: Path, home: Home) -> None:
    common = make_linked(home, tmp_path).parent / "repo/.git"
    entries = common / "worktrees"
    for name in ("odd", "loop", "empty"):
        (entries / name).mkdir()
    (entries / "odd/gitdir").write_bytes(b"\0\n")
    (entries / "odd/HEAD").write_bytes(b"\x1b[2J\n")
    (entries / "loop/gitdir").symlink_to("gitdir")
    (entries / "second").mkdir()
    (entries / "second/gitdir").write_text(f"{tmp_path}/feature/.git\n")  # names a worktree of another entry
    (entries / "main").mkdir()
    (entries / "main/gitdir").write_text(f"{tmp_path}/repo/.git\n")
    os.mkfifo(entries / "feature/HEAD.new")
    (entries / "feature/HEAD.new").rename(entries / "feature/HEAD")
    found = {item.root.name: item for item in list_checkouts(common) if item.root != tmp_path / "feature"}
    assert all(found[name].problem for name in ("odd", "loop", "empty"))
    assert found["odd"].commit == ""
    both = [item for item in list_checkouts(common) if item.root == tmp_path / "feature"]
    assert sorted((item.problem, item.branch) for item in both) == [
        ("", ""),
        (f"{both[0].root} is another worktree by now", ""),
    ]
    assert [item.problem for item in list_checkouts(common) if item.root == tmp_path / "repo"] == [
        "",
        f"{tmp_path}/repo is another worktree by now",
    ]
    assert list_checkouts(tmp_path / "nowhere") == ()
    assert list_worktrees(common) == (tmp_path / "repo", tmp_path / "feature")


def test_list_leaves_out_what_does_not_name_the_clone_back(tmp_path: Path, home: Home) -> None:
    one = make_linked(home, tmp_path)
    other = make_git(tmp_path, home, "other")
    victim = add(home, other, tmp_path / "victim", "victim")
    (tmp_path / "repo/.git/worktrees/feature/gitdir").write_text(f"{victim}/.git\n")
    (tmp_path / "repo/.git/worktrees/odd").mkdir()
    (tmp_path / "repo/.git/worktrees/odd/gitdir").write_bytes(b"\0\n")
    (tmp_path / "repo/.git/worktrees/file").write_text("no folder")
    assert list_worktrees(tmp_path / "repo/.git") == (tmp_path / "repo",)
    assert one not in list_worktrees(other / ".git")


def test_outside(tmp_path: Path) -> None:
    assert find_root(tmp_path) is None
    assert find_worktree(tmp_path) is None
    assert find_worktree(tmp_path / "missing/folder") is None
    (tmp_path / ".git").symlink_to("nowhere")  # git looks further up, too
    assert find_worktree(tmp_path) is None


def test_nearest_wins(tmp_path: Path, home: Home) -> None:
    outer = make_git(tmp_path, home)
    inner = make_git(outer, home, "vendor/inner")
    assert open_(inner).root == inner
    assert open_(inner.parent).root == outer


def test_symlinked_folder_is_resolved(tmp_path: Path, home: Home) -> None:
    linked = make_linked(home, tmp_path)
    (linked / "src").mkdir()
    (tmp_path / "link").symlink_to(linked)
    (tmp_path / "inside").symlink_to(linked / "src")
    for directory in (tmp_path / "link", tmp_path / "link/src", tmp_path / "inside"):
        found = open_(directory)
        assert (found.root, found.common_dir) == (linked, tmp_path / "repo/.git")


def test_worktree_made_through_a_symlink(tmp_path: Path, home: Home) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "short").symlink_to("real")
    root = make_git(tmp_path / "short", home)
    linked = add(home, root, tmp_path / "short/feature")
    found = open_(linked)
    assert (found.root, found.common_dir) == (tmp_path / "real/feature", tmp_path / "real/repo/.git")


# --- what pretends ------------------------------------------------------------------------------


def test_moved_by_hand_is_no_part_of_the_clone(tmp_path: Path, home: Home) -> None:
    moved = make_linked(home, tmp_path).rename(tmp_path / "moved")
    found = open_(moved)
    assert (found.common_dir, found.linked, found.clone) == (None, True, moved / ".git")
    assert "git worktree repair" in found.problem
    assert tmp_path / "repo/.git/worktrees/feature/gitdir" in found.watch


def test_copied_worktree_is_no_part_of_the_clone(tmp_path: Path, home: Home) -> None:
    linked = make_linked(home, tmp_path)
    shutil.copytree(linked, tmp_path / "copy")
    assert open_(tmp_path / "copy").common_dir is None
    assert open_(linked).common_dir == tmp_path / "repo/.git"


def test_forged_links(tmp_path: Path, home: Home) -> None:
    """An unpacked archive can contain any `.git` file, and git folders of its own, but not change the victim's."""
    victim = make_linked(home, tmp_path)
    entry = tmp_path / "repo/.git/worktrees/feature"
    evil = tmp_path / "evil"
    own = evil / "store/worktrees/x"
    own.mkdir(parents=True)
    (own / "gitdir").write_text(f"{evil}/.git\n")
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    cases = {
        "the victim's entry": f"gitdir: {entry}\n",
        "the victim's git folder": f"gitdir: {tmp_path}/repo/.git\n",
        "relative": "gitdir: ../repo/.git/worktrees/feature\n",
        "an entry of its own": f"gitdir: {own}\n",
        "the victim's worktree": f"gitdir: {victim}/.git\n",
        "itself": "gitdir: .git\n",
        "its own folder": "gitdir: .\n",
        "empty": "gitdir: \n",
    }
    for commondir in (f"{tmp_path}/repo/.git\n", "../..\n", "../../../../repo/.git\n"):
        (own / "commondir").write_text(commondir)
        for name, text in cases.items():
            (evil / ".git").write_text(text)
            found = open_(evil)
            if found.common_dir is not None:  # a store of its own is its own clone, and only that
                assert (name, commondir) == ("an entry of its own", "../..\n")
                assert found.common_dir == evil / "store"
            else:
                assert (found.clone, bool(found.problem)) == (evil / ".git", True), name
    assert open_(victim).common_dir == tmp_path / "repo/.git"


def test_forged_folder_with_commondir(tmp_path: Path, home: Home) -> None:
    """git itself follows `commondir` in a real `.git` folder; such a worktree counts for itself alone."""
    make_linked(home, tmp_path)
    evil = make_git(tmp_path, home, "evil")
    (evil / ".git/commondir").write_text(f"{tmp_path}/repo/.git\n")
    assert open_(evil).common_dir == evil / ".git"


@pytest.mark.parametrize("target", ["../repo/.git", "../repo/.git/worktrees/feature"])
def test_forged_symlink(target: str, tmp_path: Path, home: Home) -> None:
    make_linked(home, tmp_path)
    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / ".git").symlink_to(target)
    found = open_(evil)
    assert (found.root, found.common_dir, found.clone) == (evil, None, evil / ".git")
    assert found.problem


def test_symlink_that_names_us_back(tmp_path: Path, home: Home) -> None:
    root = make_git(tmp_path, home)
    (root / ".git").rename(tmp_path / "kept")
    (root / ".git").symlink_to("../kept")
    assert open_(root).common_dir is None
    git(home, root, "config", "core.worktree", root)
    assert open_(root).common_dir == tmp_path / "kept"


def test_separate_git_dir_says_how_to_vouch_for_it(tmp_path: Path, home: Home) -> None:
    root = make_separate(home, tmp_path)
    found = open_(root)
    assert (found.common_dir, found.linked, found.clone) == (None, False, root / ".git")
    assert f"git config core.worktree {root}" in found.problem


def test_dangling_link(tmp_path: Path, home: Home) -> None:
    linked = make_linked(home, tmp_path)
    shutil.rmtree(tmp_path / "repo")
    found = open_(linked)
    assert (found.common_dir, "does not exist" in found.problem) == (None, True)


# --- what is broken -----------------------------------------------------------------------------

BROKEN: dict[str, bytes] = {
    "empty": b"",
    "blank": b"\n\n",
    "garbage": bytes(range(1, 256)),
    "no space": b"gitdir:/x\n",
    "other word": b"gitfile: /x\n",
    "NUL": b"gitdir: /x\0y\n",
    "NUL only": b"\0",
    "huge": b"gitdir: /" + b"x" * (2 << 20),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_link_file(name: str, tmp_path: Path) -> None:
    (tmp_path / ".git").write_bytes(BROKEN[name])
    with pytest.raises(WtenvError) as caught:
        find_worktree(tmp_path)
    assert str(tmp_path) in caught.value.what
    assert caught.value.fix
    assert caught.value.watch  # so that fixing it is noticed


@pytest.mark.parametrize("text", ["gitdir: " + "x" * 5000, "gitdir: " + "/x" * 3000, "gitdir: a\nb", "gitdir: \udcff"])
def test_link_to_what_can_not_be(text: str, tmp_path: Path) -> None:
    (tmp_path / ".git").write_bytes(os.fsencode(text))
    assert open_(tmp_path).common_dir is None


def test_link_file_that_is_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".git")
    with pytest.raises(WtenvError, match="not a regular file"):
        find_worktree(tmp_path)


def test_link_loop(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.git").symlink_to(".git")
    assert find_worktree(tmp_path / "a") is None


@pytest.mark.parametrize("file", ["commondir", "gitdir"])
@pytest.mark.parametrize("content", [b"", b"\0\n", b"\xff\xfe\n", None, b"x" * (2 << 20)])
def test_broken_entry(file: str, content: bytes | None, tmp_path: Path, home: Home) -> None:
    linked = make_linked(home, tmp_path)
    place = tmp_path / "repo/.git/worktrees/feature" / file
    place.unlink()
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)
    try:
        found = open_(linked)
    except WtenvError as error:
        assert place in error.watch  # so that fixing it is noticed
    else:
        assert (found.common_dir, bool(found.problem)) == (None, True)
        assert place in found.watch


def test_no_permission(tmp_path: Path, home: Home) -> None:
    """As another user: root may read everything."""
    linked = make_linked(home, tmp_path)
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from wtenv.worktree import find_worktree\nfrom wtenv.errors import WtenvError\n"
        "if os.getuid() == 0:\n    os.setgroups([])\n    os.setgid(12345)\n    os.setuid(12345)\n"
        "for place in sys.argv[1:]:\n"
        "    try:\n        print(find_worktree(Path(place)))\n"
        "    except WtenvError as error:\n        print('refused', error)\n"
    )
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == os.getuid() and place != Path("/") and "pytest-of" in str(place):
            place.chmod(0o755)
    (linked / ".git").chmod(0)
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    unreadable = make_git(tmp_path, home, "unreadable")
    (unreadable / ".git").chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", script, linked, closed / "inner", unreadable], capture_output=True, text=True, timeout=60
    )
    closed.chmod(0o700)
    (unreadable / ".git").chmod(0o700)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("refused can't read")
    assert lines[1] == "None"
    assert lines[2].startswith("Worktree(")


def test_starts_no_process(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [REAL[name][0](home, tmp_path / str(index)) for index, name in enumerate(("linked", "bare"))]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setenv("PATH", "/nonexistent")
    for name in ("Popen", "run"):
        monkeypatch.setattr(subprocess, name, refuse)
    for name in ("fork", "posix_spawn", "system", "execve"):
        monkeypatch.setattr(os, name, refuse)
    for root in made:
        assert open_(root).common_dir
        assert list_worktrees(open_(root).clone)
    assert "subprocess" not in vars(worktree)
