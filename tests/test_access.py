"""Private folders: what is there already may be a link, or another's; and what a message says to run ends it."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scenes import snapshot
from test_other_users import THEM, US

from wtenv import access, files
from wtenv.errors import WtenvError
from wtenv.hook import cached
from wtenv.watch import EXACT

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be several users")


@pytest.fixture
def top() -> Iterator[Path]:
    """Not below pytest's own folder, through which another user can't go."""
    made = Path(tempfile.mkdtemp(prefix="wtenv-private-"))
    made.chmod(0o755)
    for name, uid, mode in (("home", US, 0o755), ("shared", 0, 0o1777), ("open", 0, 0o777)):
        (made / name).mkdir()
        os.chown(made / name, uid, uid)
        (made / name).chmod(mode)
    yield made
    shutil.rmtree(made)


def make(path: Path, uid: int, mode: int = 0o755) -> Path:
    path.mkdir()
    (path / "file").touch()
    for place in (path, path / "file"):
        os.chown(place, uid, uid)
    path.chmod(mode)
    return path


def link(path: Path, target: Path, uid: int) -> Path:
    path.symlink_to(target)
    os.chown(path, uid, uid, follow_symlinks=False)
    return path


REFUSED: dict[str, Callable[[Path], object]] = {
    "theirs": lambda top: make(top / "home/p", THEM),
    "theirs, for all": lambda top: make(top / "home/p", THEM, 0o777),
    "ours leads to theirs": lambda top: link(top / "home/p", make(top / "x", THEM), US),
    "ours leads to root's": lambda top: link(top / "home/p", make(top / "x", 0, 0o777), US),
    "theirs leads to ours": lambda top: link(top / "home/p", make(top / "home/x", US, 0o700), THEM),
    "ours leads to what others use": lambda top: link(top / "home/p", make(top / "home/x", US), US),
    "ours leads to what others can replace": lambda top: link(top / "home/p", make(top / "open/x", US, 0o700), US),
    "theirs is on the way": lambda top: link(
        top / "home/p", link(top / "shared/l", make(top / "home/x", US, 0o700), THEM), US
    ),
}

ACCEPTED: dict[str, Callable[[Path], object]] = {
    "nothing": lambda top: None,
    "ours": lambda top: make(top / "home/p", US, 0o700),
    "ours, for all": lambda top: make(top / "home/p", US, 0o755),
    "ours leads to ours": lambda top: link(top / "home/p", make(top / "home/x", US, 0o700), US),
    "ours leads to ours in a place such as /tmp": lambda top: link(
        top / "home/p", make(top / "shared/x", US, 0o700), US
    ),
    "root's leads to ours": lambda top: link(top / "home/p", make(top / "home/x", US, 0o700), 0),
}


def as_us(action: Callable[[], None]) -> str:
    """What `action` raises, or "", in a process of ours."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        said = b"?"
        try:
            os.setgroups([])
            os.setresgid(US, US, US)
            os.setresuid(US, US, US)
            action()
            said = b""
        except WtenvError as error:
            said = f"{error.what}; {error.fix}".encode()
        finally:
            os.write(write, said)
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        said = file.read().decode()
    os.waitpid(child, 0)
    return said


def look(top: Path) -> dict[str, tuple[int, int, int]]:
    return {str(path): (path.lstat().st_mode, path.lstat().st_uid, path.lstat().st_ino) for path in top.rglob("*")}


@pytest.mark.parametrize("name", REFUSED)
def test_folders_that_are_not_ours_alone(name: str, top: Path) -> None:
    """Nothing is written into them, no mode is changed; and the command that is named ends it."""
    REFUSED[name](top)
    before, path = look(top), top / "home/p"
    said = as_us(lambda: files.make_private_dir(path))
    assert str(path) in said
    assert look(top) == before
    command = said.partition("run: ")[2].removesuffix(" (or set another folder)")
    assert command
    done = subprocess.run(["setpriv", "--reuid", str(US), "--regid", str(US), "--clear-groups", "sh", "-c", command])
    assert done.returncode == 0
    assert as_us(lambda: files.make_private_dir(path)) == ""
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (US, 0o700)


@pytest.mark.parametrize("name", ACCEPTED)
def test_folders_that_are_ours(name: str, top: Path) -> None:
    ACCEPTED[name](top)
    assert as_us(lambda: files.make_private_dir(top / "home/p")) == ""
    assert ((top / "home/p").stat().st_uid, (top / "home/p").stat().st_mode & 0o777) == (US, 0o700)


def test_a_link_in_tmp_that_another_user_put_there(top: Path) -> None:
    """Where stamps are kept if there is no home: the folder that it leads to stays as it is."""
    make(top / "home/public", US)
    link(top / f"shared/wtenv-{US}", top / "home/public", THEM)
    before = snapshot(top / "home")

    def stamp() -> None:
        env = {"HOME": "/nonexistent", "TMPDIR": str(top / "shared")}
        folders = [folder for folder in cached.list_places(env) if str(folder).startswith(str(top))]
        assert folders
        kept = cached.witness({top / "home/public/file": EXACT}, "/", 0, env)
        raise WtenvError(kept[0] if kept else "nowhere")

    assert not as_us(stamp).startswith(str(top))
    assert snapshot(top / "home") == before
    shutil.rmtree(f"/tmp/wtenv-{US}", ignore_errors=True)


def test_where_a_way_leads(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "l").symlink_to("a/../a/b")
    places, whole = access.trace(tmp_path / "l/../x")
    assert [place for place, _ in places][-4:] == [f"{tmp_path}/{name}" for name in ("l", "a", "a", "a/b")]
    assert not whole  # there is no x
    assert access.trace(tmp_path / "l/../b")[1]


def enter_namespace() -> None:
    """A user namespace in which this user alone has a name (user_namespaces(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(4, 1, 0, 0, 0) or libc.unshare(0x10000000):  # PR_SET_DUMPABLE, CLONE_NEWUSER
        raise WtenvError("no namespace")
    Path("/proc/self/uid_map").write_text(f"{US} {US} 1\n")


@pytest.mark.skipif(as_us(enter_namespace) != "", reason="this system has no user namespaces")
def test_in_a_sandbox(top: Path) -> None:
    """There nobody knows whose the folders above are: root's, most likely. What lies at the end has to be ours."""
    make(top / "home/p", US)
    make(top / "home/x", THEM)
    link(top / "home/l", top / "home/p", US)

    def look() -> None:
        enter_namespace()
        assert os.stat("/").st_uid == os.stat(top / "home/x").st_uid == 65534
        found = [access.find_exposure(top / place) for place in ("home/p", "home/p/file", "home/l", "home/x", ".")]
        raise WtenvError(str([each and (each.place.name, each.owner) for each in found]))

    assert as_us(look) == f"[None, None, None, ('x', 65534), ('{top.name}', 65534)]; "


def test_private_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Debian and Fedora make them, for the user and for whoever is excused; with somebody else in it, it is none."""
    user = next(
        (each for each in pwd.getpwall() if each.pw_uid and [each.pw_name, []] == list_group(each.pw_gid)), None
    )
    assert user, "no account of this machine has a group of its own"
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o664)
    os.chown(file, user.pw_uid, user.pw_gid)
    assert access.find_exposure(file) == (file, user.pw_uid)
    assert access.find_exposure(file, owners={user.pw_uid}) is None
    users = tmp_path / "passwd"  # in which another one has that group as the first one, so the group's list hasn't
    users.write_text(Path("/etc/passwd").read_text() + f"other:x:54321:{user.pw_gid}::/:/bin/sh\n")
    with monkeypatch.context() as patch:
        patch.setattr(access, "_USERS", str(users))
        assert access.find_exposure(file, owners={user.pw_uid}) == (file, None)
    os.chown(file, 0, user.pw_gid)
    assert access.find_exposure(file) == (file, None)
    os.chown(file, user.pw_uid, 0)
    assert access.find_exposure(file, owners={user.pw_uid}) == (file, None)


def test_a_sticky_folder_on_the_way_and_at_the_end(tmp_path: Path) -> None:
    """Others can't replace what is not theirs in it, but they can add to it."""
    folder = tmp_path / "shared"
    (folder / "own").mkdir(parents=True)
    folder.chmod(0o1777)
    assert access.find_exposure(folder / "own") is None
    assert access.find_exposure(folder) == (folder, None)
    folder.chmod(0o777)
    assert access.find_exposure(folder / "own") == (folder, None)


def list_group(gid: int) -> list[object]:
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return []
    return [group.gr_name, group.gr_mem]
