"""Access: whose a place is, and who else could write to it. The one judgement of that."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

_USERS = "/etc/passwd"  # passwd(5); users that a directory service has are not listed one by one


class Exposure(NamedTuple):
    """A place that another user could write to. owner: who that is, if it is theirs; None if its mode lets others."""

    place: Path
    owner: int | None

    @property
    def reason(self) -> str:
        """What is wrong, for a message."""
        if self.owner is None:
            return f"{self.place} can be written by other users"
        return f"{self.place} belongs to {name_user(self.owner)}"

    @property
    def fix(self) -> str:
        """The command that ends it, if there is one."""
        import shlex

        place = shlex.quote(str(self.place))
        info = os.lstat(self.place)
        if self.owner is not None:
            if stat.S_ISDIR(info.st_mode):
                return "keep it in a folder of your own"
            return f"look at it, and make it yours: cp {place} {place}.mine && mv -f {place}.mine {place}"
        if info.st_mode & stat.S_ISVTX:  # a place such as /tmp is meant to be like that
            return "keep it in a folder of your own"
        # An access control list obeys as well: the group's bits are its mask (acl(5)).
        return f"run: {'' if os.getuid() in (0, info.st_uid) else 'sudo '}chmod go-w {place}"


def name_user(uid: int) -> str:
    """A user for a message: by name where there is one."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def trace(path: Path) -> tuple[list[tuple[str, os.stat_result]], bool]:
    """Each folder, link and file on the way to `path`, from / downwards, with what lstat(2) says of it, and whether
    the way has an end. Symlinks are followed, and count themselves: whoever may replace one decides where it leads."""
    found = [("/", os.lstat("/"))]
    at, links, rest = "", 0, str(path.absolute()).split("/")[::-1]
    while rest:
        part = rest.pop()
        if part in ("", "."):
            continue
        if part == "..":
            at = at.rpartition("/")[0]
            continue
        place = f"{at}/{part}"
        try:
            found.append((place, os.lstat(place)))
            if not stat.S_ISLNK(found[-1][1].st_mode):
                at = place
                continue
            target = os.readlink(place)
        except OSError:
            return found, False
        links += 1
        if links > 40:  # as the kernel has it (path_resolution(7))
            return found, False
        at = "" if target.startswith("/") else at
        rest += target.split("/")[::-1]
    return found, True


def find_exposure(*paths: Path, owners: Collection[int] = ()) -> Exposure | None:
    """The first place on the way to one of `paths` that another user could write to, or None.

    Every folder, link and file on the way is judged. Allowed are as owners root, the user and `owners`; group write
    only where the group is the private one of the user or of `owners` (as Debian and Fedora make them), and nobody
    else has it by an access control list; a sticky folder such as /tmp on the way (others can't rename what is not
    theirs), but not at its end.
    """
    accepted = {0, os.getuid(), *owners}
    judged = set()
    for path in paths:
        places, whole = trace(path)
        for index in range(len(places) - 1, -1, -1):
            place, info = places[index]
            is_end = whole and index == len(places) - 1
            if (place, is_end) in judged:
                continue
            judged.add((place, is_end))
            if info.st_uid not in accepted and (is_end or not _is_unmapped(info.st_uid)):
                return Exposure(Path(place), info.st_uid)
            mode = info.st_mode
            if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX and not is_end):
                continue
            if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and _is_shared(place, info.st_gid, accepted)):
                return Exposure(Path(place), None)
    return None


def _is_unmapped(uid: int) -> bool:
    """Whether `uid` stands for all owners that this user namespace has no name for (user_namespaces(7)). In a sandbox
    the folders above are root's, and shown as such; what lies at the end of a way has to be the user's all the same."""
    try:
        with open("/proc/sys/fs/overflowuid") as file, open("/proc/self/uid_map") as table:
            ranges = [[int(word) for word in line.split()] for line in table]
            return uid == int(file.read()) and not any(start <= uid < start + count for start, _, count in ranges)
    except (OSError, ValueError):
        return False


def _is_shared(place: str, gid: int, accepted: Collection[int]) -> bool:
    """Whether anybody but `accepted` may write to `place`, whose group's bits say that somebody may."""
    users, groups = _list_writers(place, gid)
    return not users <= {*accepted} or not all(_is_private_group(group, accepted) for group in groups)


def _list_writers(place: str, gid: int) -> tuple[set[int], set[int]]:
    """The users and groups that the group's bits stand for: with an access control list they are its mask (acl(5)),
    and it says who has more. The bytes are linux/posix_acl_xattr.h's: a version, then tag, permissions and id."""
    try:
        data = os.getxattr(place, "system.posix_acl_access")
    except (OSError, AttributeError):  # none here, none on this file system, or none on this system
        return set(), {gid}
    users, groups = set(), set()
    for at in range(4, len(data) - 7, 8):
        tag, permissions, who = (int.from_bytes(data[at + a : at + b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
        if permissions & 2:
            if tag == 0x02:
                users.add(who)
            elif tag in (0x04, 0x08):
                groups.add(gid if tag == 0x04 else who)
    return users, groups


def _is_private_group(gid: int, accepted: Collection[int]) -> bool:
    import grp
    import pwd

    if gid == 0:
        return False  # containers start programs of any user with it
    for uid in accepted:
        try:
            user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
        except KeyError:
            continue
        if gid == user.pw_gid and group.gr_name == user.pw_name and not {*group.gr_mem} - {user.pw_name}:
            return not _list_others(gid, uid)
    return False


def _list_others(gid: int, uid: int) -> list[str]:
    """The users of this machine whose first group `gid` is, but `uid`: the group's own list has none of them."""
    try:
        with open(_USERS, encoding="utf-8", errors="replace") as file:
            users = [line.split(":") for line in file]
    except OSError:
        return []
    return [user[0] for user in users if len(user) > 3 and user[3] == str(gid) and user[2] != str(uid)]
