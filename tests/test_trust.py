"""Trust: the pair of clone and content, what wins over what, and records that can't be relied on."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenes import git, make_git, make_home, snapshot
from workspace import Home

from wtenv import access, trust
from wtenv.config import read as configs
from wtenv.config.settings import Settings
from wtenv.errors import WtenvError
from wtenv.trust import Verdict
from wtenv.worktree import find_worktree

CONFIG = '[python]\nbase_conda_env = "x"\n'
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@dataclass
class Clone:
    """A repository with a linked worktree, and its user's trust."""

    home: Home
    root: Path
    feature: Path
    trusted: tuple[Path, ...] = ()

    def sources(self, root: Path) -> tuple[configs.Source, ...]:
        place = find_worktree(root)
        assert place
        return configs.find_sources(place, self.home.path)

    def judge(self, root: Path | None = None) -> Verdict:
        root = root or self.root
        place = find_worktree(root)
        assert place
        chosen = Settings(self.home.path / "config.toml", trusted=self.trusted)
        record = trust.read_record(place, self.home.environ)
        return trust.judge(place, self.sources(root), chosen, record, self.home.environ)

    def kind(self, root: Path | None = None) -> str:
        found = self.judge(root)
        assert found.ok == (found.kind in ("allowed", "trusted"))
        assert found.ok or (found.reason and found.fix)
        return found.kind

    def allow(self, root: Path | None = None) -> None:
        place = find_worktree(root or self.root)
        assert place
        trust.allow(place, self.sources(place.root), self.home.environ)

    def deny(self, root: Path | None = None) -> None:
        place = find_worktree(root or self.root)
        assert place
        trust.deny(place, self.home.environ)

    def record(self, root: Path | None = None) -> Path:
        place = find_worktree(root or self.root)
        assert place
        return trust.locate_records(place, self.home.environ)[0]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    home = make_home(tmp_path)
    root = make_git(tmp_path / "work", home)
    git(home, root, "worktree", "add", "--quiet", "-b", "feature", tmp_path / "work/feature")
    made = Clone(home, root, tmp_path / "work/feature")
    for folder in (made.root, made.feature):
        (folder / "wtenv.toml").write_text(CONFIG)
    return made


def test_nothing_before_allow(clone: Clone) -> None:
    assert clone.kind() == "unknown"
    assert "wtenv allow" in clone.judge().fix
    assert not clone.record().exists()


def test_same_content_in_any_worktree(clone: Clone) -> None:
    clone.allow()
    assert (clone.kind(), clone.kind(clone.feature)) == ("allowed", "allowed")
    third = clone.root.parent / "third"
    git(clone.home, clone.root, "worktree", "add", "--quiet", "-b", "third", third)
    (third / "wtenv.toml").write_text(CONFIG)
    assert clone.kind(third) == "allowed"


def test_other_content_in_any_worktree(clone: Clone) -> None:
    clone.allow(clone.feature)
    for folder in (clone.root, clone.feature):
        (folder / "wtenv.toml").write_text(CONFIG + "\n")
        assert clone.kind(folder) == "changed"
        (folder / "wtenv.toml").write_text(CONFIG)
        assert clone.kind(folder) == "allowed"


def test_two_contents_can_be_allowed(clone: Clone) -> None:
    (clone.feature / "wtenv.toml").write_text(CONFIG + "# branch\n")
    clone.allow()
    clone.allow(clone.feature)
    assert (clone.kind(), clone.kind(clone.feature)) == ("allowed", "allowed")


def test_another_clone_with_the_same_content(clone: Clone) -> None:
    clone.allow()
    other = clone.root.parent / "other"
    git(clone.home, clone.root.parent, "clone", "--quiet", clone.root, other)
    (other / "wtenv.toml").write_text(CONFIG)
    assert clone.kind(other) == "unknown"


def test_moved_or_forged_worktree_is_not_the_clone(clone: Clone) -> None:
    clone.allow()
    evil = clone.root.parent / "evil"
    evil.mkdir()
    (evil / "wtenv.toml").write_text(CONFIG)
    for text in (f"gitdir: {clone.root}/.git\n", (clone.feature / ".git").read_text()):
        (evil / ".git").write_text(text)
        assert clone.kind(evil) == "unknown"
    (evil / ".git").unlink()
    (evil / ".git").symlink_to(clone.root / ".git")
    assert clone.kind(evil) == "unknown"
    moved = clone.feature.rename(clone.root.parent / "moved")
    assert clone.kind(moved) == "unknown"


# --- the digest ---------------------------------------------------------------------------------


def use_pointer(clone: Clone) -> None:
    (clone.root.parent / "stack.toml").write_text(
        f'[wtenv]\nkind = "stack"\n{CONFIG}[activation]\ndotenv = ["s.env"]\n'
    )
    (clone.root.parent / "s.env").write_text("A=1\n")
    (clone.root / "wtenv.toml").write_text('[wtenv]\nextends = "../stack.toml"\n')


def use_dotenv(clone: Clone) -> None:
    (clone.root / "wtenv.toml").write_text(CONFIG + '[activation]\ndotenv = ["one.env", "two.env"]\n')
    (clone.root / "one.env").write_text("A=1\n")


def append(path: str) -> Callable[[Clone], None]:
    def change(clone: Clone) -> None:
        with (clone.root / path).open("a") as file:
            file.write("# x\n")

    return change


def write(path: str, text: str) -> Callable[[Clone], None]:
    return lambda clone: (clone.root / path).write_text(text) and None


def remove(path: str) -> Callable[[Clone], None]:
    return lambda clone: (clone.root / path).unlink()


CHANGES: dict[str, tuple[Callable[[Clone], None] | None, Callable[[Clone], None]]] = {
    "repo config": (None, append("wtenv.toml")),
    "clone config appears": (None, write(".git/wtenv.toml", "\n")),
    "clone config appears, empty": (None, write(".git/wtenv.toml", "# \n")),
    "clone config changes": (write(".git/wtenv.toml", "# a\n"), append(".git/wtenv.toml")),
    "clone config goes": (write(".git/wtenv.toml", "# a\n"), remove(".git/wtenv.toml")),
    "pointer": (use_pointer, append("wtenv.toml")),
    "stack": (use_pointer, append("../stack.toml")),
    "stack's dotenv": (use_pointer, append("../s.env")),
    "stack's dotenv goes": (use_pointer, remove("../s.env")),
    "dotenv": (use_dotenv, append("one.env")),
    "dotenv goes": (use_dotenv, remove("one.env")),
    "second dotenv appears": (use_dotenv, write("two.env", "A=2\n")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_deciding_file_counts(name: str, clone: Clone) -> None:
    prepare, change = CHANGES[name]
    if prepare:
        prepare(clone)
    clone.allow()
    assert clone.kind() == "allowed"
    change(clone)
    assert clone.kind() == "changed"
    clone.allow()
    assert clone.kind() == "allowed"


def test_bytes_can_not_move_between_files() -> None:
    def digest(*sources: tuple[str, bytes | None]) -> str:
        made = tuple(configs.Source(role, Path("/x"), data) for role, data in sources)  # type: ignore[arg-type]
        return trust.compute_digest(made)

    digests = [
        digest(("repo", b"ab"), ("clone", None)),
        digest(("repo", b"a"), ("clone", b"b")),
        digest(("repo", b""), ("clone", b"ab")),
        digest(("repo", None), ("clone", b"ab")),
        digest(("repo", b"ab")),
        digest(("clone", b"ab")),
        digest(("repo", b"a"), ("dotenv", b"b")),
        digest(("repo", b"a"), ("dotenv", b"b"), ("dotenv", b"")),
        digest(("repo", b"a"), ("dotenv", b""), ("dotenv", b"b")),
        digest(("repo", b"a"), ("dotenv", b"b"), ("dotenv", b"c")),
        digest(("repo", b"a"), ("dotenv", b"b"), ("dotenv", b"c"), ("dotenv", b"b")),
        digest(("repo", b"a"), ("dotenv", b"c"), ("dotenv", b"b")),
        digest(("repo", b"ab"), ("clone", b"")),
        digest(("repo", b"ab"), ("clone", b"-")),
    ]
    assert len(set(digests)) == len(digests)


def test_dotenv_files_that_decide_nothing() -> None:
    """One that is missing, or says what the one before it says: the values are the same, so it is the same content."""

    def digest(*contents: bytes | None) -> str:
        return trust.compute_digest(tuple(configs.Source("dotenv", Path("/x"), data) for data in contents))

    assert digest(b"A=1") == digest(None, b"A=1") == digest(b"A=1", None, b"A=1") == digest(b"A=1", b"A=1")
    assert len({digest(), digest(b""), digest(b"A=1"), digest(b"A=1", b"A=2"), digest(b"A=2", b"A=1")}) == 5


def test_the_place_is_not_in_the_digest(clone: Clone) -> None:
    assert trust.compute_digest(clone.sources(clone.root)) == trust.compute_digest(clone.sources(clone.feature))


# --- deny, and trusted prefixes -----------------------------------------------------------------


def test_deny_wins_over_all(clone: Clone) -> None:
    clone.allow()
    clone.trusted = (Path("/"),)
    clone.deny(clone.feature)
    for root in (clone.root, clone.feature):
        assert clone.kind(root) == "denied"
        (root / "wtenv.toml").write_text(CONFIG + "# other\n")
        assert clone.kind(root) == "denied"
    assert "wtenv allow" in clone.judge().fix
    clone.trusted = ()
    clone.allow()
    assert clone.kind() == "allowed"
    (clone.root / "wtenv.toml").write_text(CONFIG)
    assert clone.kind() == "changed"  # deny has forgotten what was allowed before


def test_deny_wins_over_unsafe(clone: Clone) -> None:
    clone.deny()
    (clone.root / "wtenv.toml").chmod(0o666)
    assert clone.kind() == "denied"


def test_trusted_prefixes(clone: Clone) -> None:
    work = clone.root.parent
    for prefixes, expected in (
        ((work,), "trusted"),
        ((clone.root,), "trusted"),
        ((clone.feature,), "unknown"),
        ((work.parent / "wor",), "unknown"),
        ((work / "repo2", work / "rep"), "unknown"),
        ((clone.root / "inner",), "unknown"),
        ((), "unknown"),
    ):
        clone.trusted = prefixes
        assert clone.kind() == expected, prefixes
    clone.trusted = (work,)
    (clone.root / "wtenv.toml").chmod(0o666)
    assert clone.kind() == "unsafe"


# --- who else can write -------------------------------------------------------------------------


def loosen(path: Path, mode: int) -> Callable[[], None]:
    old = path.stat().st_mode & 0o7777
    path.chmod(mode)
    return lambda: path.chmod(old)


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602])
def test_config_that_others_can_write(mode: int, clone: Clone) -> None:
    clone.allow()
    (clone.root / "wtenv.toml").chmod(mode)
    found = clone.judge()
    assert (found.kind, f"chmod go-w {clone.root}/wtenv.toml" in found.fix) == ("unsafe", True)
    (clone.root / "wtenv.toml").chmod(0o644)
    assert clone.kind() == "allowed"


@pytest.mark.parametrize("place", [".", "..", ".git"])
def test_folder_that_others_can_write(place: str, clone: Clone) -> None:
    (clone.root / ".git/wtenv.toml").write_text("# x\n")
    clone.allow()
    folder = (clone.root / place).resolve()
    folder.chmod(0o777)
    found = clone.judge()
    assert (found.kind, str(folder) in found.reason) == ("unsafe", True)
    folder.chmod(0o1777)  # sticky, as /tmp: others can't replace what is ours, but add to it
    assert clone.kind() == ("allowed" if place == ".." else "unsafe")
    assert place == ".." or "chmod" not in clone.judge().fix  # nobody should try that with /tmp
    folder.chmod(0o755)


@pytest.mark.parametrize("name", ["../stack.toml", "../s.env"])
def test_other_sources_that_others_can_write(name: str, clone: Clone) -> None:
    use_pointer(clone)
    clone.allow()
    (clone.root / name).chmod(0o666)
    assert clone.kind() == "unsafe"


@needs_root
def test_owner(clone: Clone) -> None:
    clone.allow()
    for place in (clone.root / "wtenv.toml", clone.root, clone.root.parent):
        os.chown(place, 1000, 0)
        found = clone.judge()
        assert (found.kind, str(place) in found.reason) == ("unsafe", True)
        os.chown(place, 0, 0)
    assert clone.kind() == "allowed"


@needs_root
def test_group(clone: Clone) -> None:
    clone.allow()
    os.chown(clone.root / "wtenv.toml", 0, 1000)
    assert clone.kind() == "allowed"
    (clone.root / "wtenv.toml").chmod(0o664)
    assert clone.kind() == "unsafe"


PLACES = {
    "worktree": "feature", "its .git": "feature/.git", "main": "repo", "common dir": "repo/.git",
    "entry": "repo/.git/worktrees/feature", "gitdir": "repo/.git/worktrees/feature/gitdir",
    "commondir": "repo/.git/worktrees/feature/commondir",
}  # fmt: skip


def grant(path: Path, uid: int | None = None, gid: int | None = None) -> None:
    """`chmod g+w`, in an access control list that has one more user or group (linux/posix_acl_xattr.h)."""
    mode = path.stat().st_mode
    rest = 0xFFFFFFFF
    entries = [(0x01, mode >> 6 & 7, rest), *([(0x02, 7, uid)] if uid is not None else [])]
    entries += [(0x04, mode >> 3 & 5, rest), *([(0x08, 7, gid)] if gid is not None else [])]
    entries += [(0x10, 7, rest), (0x20, mode & 7, rest)]
    data = b"".join(t.to_bytes(2, "little") + p.to_bytes(2, "little") + i.to_bytes(4, "little") for t, p, i in entries)
    os.setxattr(path, "system.posix_acl_access", b"\2\0\0\0" + data)


FAULTS: dict[str, Callable[[Path], None]] = {
    "owner": lambda path: os.chown(path, 1000, -1, follow_symlinks=False),
    "others": lambda path: path.chmod(path.stat().st_mode | 0o002),
    "group": lambda path: (os.chown(path, -1, 1000), path.chmod(path.stat().st_mode | 0o020))[1],
    "group 0": lambda path: path.chmod(path.stat().st_mode | 0o020),  # programs of any user start with it
    "user in a list": lambda path: grant(path, uid=1000),
    "group in a list": lambda path: grant(path, gid=1000),
}


@needs_root
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("config", ["repo", "clone"])
@pytest.mark.parametrize("safe", [False, True])
def test_each_place_that_decides(safe: bool, config: str, fault: str, clone: Clone) -> None:
    """Whichever config is there; and git's safe.directory excuses an owner, never a mode."""
    work = clone.root.parent
    if config == "clone":
        (clone.root / ".git/wtenv.toml").write_text(CONFIG)
        (clone.feature / "wtenv.toml").unlink()
    if safe:
        git(clone.home, work, "config", "--global", "safe.directory", clone.feature)
    clone.allow(clone.feature)
    assert clone.kind(clone.feature) == "allowed"
    for name, place in PLACES.items():
        path = work / place
        mode, group = path.stat().st_mode & 0o7777, path.stat().st_gid
        FAULTS[fault](path)
        found = clone.judge(clone.feature)
        if fault == "owner" and safe:
            assert found.ok, name
        else:
            assert (found.kind, f"{path} " in found.reason) == ("unsafe", True), (name, found)
            clone.home.run(["sh", "-c", found.fix.partition("run: ")[2]], work, check=True)
        if fault == "owner":
            os.chown(path, 0, group)
            if not safe:
                git(clone.home, work, "config", "--global", "--unset", "safe.directory")
        assert clone.kind(clone.feature) == "allowed", (name, found.fix)
        if os.path.lexists(path):
            path.chmod(mode)
            os.chown(path, 0, group)


@needs_root
def test_lists_that_give_nobody_else_anything(clone: Clone) -> None:
    """`setfacl -m u:me:rw` shows as group write, although the group has none."""
    clone.allow()
    grant(clone.root / "wtenv.toml", uid=os.getuid())
    assert (clone.root / "wtenv.toml").stat().st_mode & 0o020
    assert clone.kind() == "allowed"


def test_symlinked_config(clone: Clone, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles/wtenv.toml"
    real.parent.mkdir()
    (clone.root / "wtenv.toml").rename(real)
    (clone.root / "wtenv.toml").symlink_to(real)
    clone.allow()
    assert clone.kind() == "allowed"
    for place in (real, real.parent, clone.root):
        undo = loosen(place, 0o777)
        found = clone.judge()
        assert (found.kind, str(place) in found.reason) == ("unsafe", True), place
        undo()
    assert clone.kind() == "allowed"


def test_chain_of_links(clone: Clone, tmp_path: Path) -> None:
    """Whoever may replace a link in the middle decides where the way leads."""
    for name in ("open", "kept"):
        (tmp_path / name).mkdir()
    (clone.root / "wtenv.toml").rename(tmp_path / "kept/wtenv.toml")
    (tmp_path / "open/middle").symlink_to("../kept")
    (clone.root / "wtenv.toml").symlink_to("../../open/middle/wtenv.toml")
    clone.allow()
    assert clone.kind() == "allowed"
    (tmp_path / "open").chmod(0o777)
    found = clone.judge()
    assert (found.kind, str(tmp_path / "open") in found.reason) == ("unsafe", True)
    (tmp_path / "open").chmod(0o1777)
    assert clone.kind() == "allowed"
    if os.getuid() == 0:
        os.chown(tmp_path / "open/middle", 1000, 1000, follow_symlinks=False)
        assert clone.kind() == "unsafe"


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert access.find_exposure(tmp_path / "a/x") is None
    assert access.find_exposure(tmp_path / "missing/x/../y") is None


# --- records ------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_records_are_the_users_alone(umask: int, clone: Clone) -> None:
    old = os.umask(umask)
    try:
        clone.allow()
    finally:
        os.umask(old)
    record = clone.record()
    assert record.stat().st_mode & 0o7777 == 0o600
    for folder in (record.parent, record.parent.parent):
        assert folder.stat().st_mode & 0o7777 == 0o700
    assert [path.name for path in record.parent.iterdir()] == [record.name]


def test_loose_folders_are_tightened(clone: Clone) -> None:
    clone.allow()
    clone.record().parent.chmod(0o777)
    assert clone.kind() == "unknown"  # anyone could have written it
    clone.allow()
    assert clone.record().parent.stat().st_mode & 0o7777 == 0o700
    assert clone.kind() == "allowed"


def test_writing_fails_whole(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.allow()
    before = snapshot(clone.record())
    (clone.root / "wtenv.toml").write_text(CONFIG + "# other\n")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(WtenvError, match="No space left"):
                clone.allow()
        assert snapshot(clone.record()) == before
        assert [path.name for path in clone.record().parent.iterdir()] == [clone.record().name]
    assert clone.kind() == "changed"


def test_several_at_once(clone: Clone) -> None:
    """Each content that somebody allows stays allowed, and a `deny` that comes last holds."""
    contents = [CONFIG + f"# {index}\n" for index in range(8)]
    worktrees = [clone.root.parent / f"w{index}" for index in range(len(contents))]
    for worktree, content in zip(worktrees, contents, strict=True):
        git(clone.home, clone.root, "worktree", "add", "--quiet", "--detach", worktree)
        (worktree / "wtenv.toml").write_text(content)
    for _ in range(3):
        children = []
        for worktree in worktrees:
            if (child := os.fork()) == 0:
                with contextlib.suppress(BaseException):
                    clone.allow(worktree)
                    os._exit(0)
                os._exit(1)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
        assert [clone.kind(worktree) for worktree in worktrees] == ["allowed"] * len(worktrees)
        clone.deny()
        assert {clone.kind(worktree) for worktree in worktrees} == {"denied"}


def test_digests_are_bounded(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "MAX_DIGESTS", 3)
    for index in range(5):
        (clone.root / "wtenv.toml").write_text(f"{CONFIG}# {index}\n")
        clone.allow()
        clone.allow()
    assert len(json.loads(clone.record().read_bytes())["allowed"]) == 3
    assert clone.kind() == "allowed"
    (clone.root / "wtenv.toml").write_text(f"{CONFIG}# 0\n")
    assert clone.kind() == "changed"


def damage_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def damage_other_clone(path: Path) -> None:
    path.write_text(path.read_text().replace("/repo/", "/elsewhere/"))


def damage_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def damage_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def damage_mode(path: Path) -> None:
    path.chmod(0o666)


def damage_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: list[bytes | Callable[[Path], None]] = [
    b"", b"{}", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"{" * 100_000, b"[" * 100_000, b"9" * 10_000,
    b'{"clone": 1, "allowed": [], "denied": false}', b'{"allowed": [], "denied": false}', b"x" * (2 << 20),
    damage_truncated, damage_other_clone, damage_folder, damage_fifo, damage_mode, damage_loop,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=range(len(DAMAGES)))
@pytest.mark.parametrize("denied", [False, True])
def test_damaged_records(denied: bool, damage: bytes | Callable[[Path], None], clone: Clone) -> None:
    (clone.deny if denied else clone.allow)()
    record = clone.record()
    if callable(damage):
        damage(record)
    else:
        record.write_bytes(damage)
    assert clone.kind() == "unknown"
    clone.trusted = (Path("/"),)  # it may have been a deny: not lifted by accident
    assert clone.kind() == "unknown"
    assert str(record) in clone.judge().reason
    if not record.is_dir() or record.is_symlink():
        clone.allow()
        assert clone.kind() == "allowed"


@needs_root
def test_foreign_record(clone: Clone) -> None:
    clone.allow()
    os.chown(clone.record(), 1000, 1000)
    assert clone.kind() == "unknown"


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("fuzz")
    home = make_home(folder)
    root = make_git(folder, home)
    (root / "wtenv.toml").write_text(CONFIG)
    made = Clone(home, root, root)
    made.allow()
    return made


plain = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats()
anything = st.recursive(
    plain, lambda i: st.lists(i, max_size=3) | st.dictionaries(st.text(max_size=4), i), max_leaves=5
)
records = st.fixed_dictionaries({}, optional=dict.fromkeys(("clone", "allowed", "denied"), anything))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=60) | anything.map(json.dumps).map(str.encode) | records.map(json.dumps).map(str.encode))
def test_fuzz_records(fuzzed: Clone, data: bytes) -> None:
    fuzzed.record().write_bytes(data)
    assert fuzzed.kind() in ("unknown", "denied")


def test_clone_path_that_is_not_utf8() -> None:
    folder = Path(os.path.realpath(tempfile.mkdtemp()), os.fsdecode(b"caf\xe9 \n"))
    folder.mkdir()
    home = make_home(folder)
    root = make_git(folder, home)
    (root / "wtenv.toml").write_text(CONFIG)
    made = Clone(home, root, root)
    made.allow()
    assert made.kind() == "allowed"
