"""Files: how they are read within limits, and written whole or not at all.

Everything that touches the disk for wtenv's own records goes through here: one atomic write, one
way to make a private folder.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from . import access
from .errors import WtenvError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_TEXT = 1 << 20  # a config or record larger than 1 MiB is a mistake, not a config
MAX_PATH = 1 << 14  # no system takes one so long; to resolve it takes time by the square of its length


def read_bytes(path: str | os.PathLike[str], limit: int = MAX_TEXT) -> bytes:
    """The content of a small regular file. OSError as `open` raises it; WtenvError if it is no
    regular file or larger than `limit`.

    Every file that a checkout brings is read here. It is looked at before it is opened, since to open is to act:
    a fifo's writer goes on and loses what it writes, a device does what its driver wants (open(2), fifo(7)).
    """
    _check_regular(path, os.stat(path), limit)
    # Meanwhile it may have become another one: nothing is waited for, and no terminal becomes ours.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    data = b""
    try:
        _check_regular(path, os.fstat(fd), limit)
        while len(data) <= limit and (part := os.read(fd, limit + 1 - len(data))):
            data += part
    finally:
        os.close(fd)
    _check_size(path, len(data), limit)  # it may grow, and /proc tells no sizes
    return data


def read_own(path: Path, limit: int = MAX_TEXT) -> bytes:
    """As `read_bytes`, for what decides which code runs. WtenvError, too, if another user could have written it."""
    if found := access.find_exposure(path):
        raise WtenvError(found.reason, found.fix)
    return read_bytes(path, limit)


def try_read(path: str | os.PathLike[str], limit: int = MAX_TEXT) -> bytes | None:
    """As `read_bytes`, but None where that raises an error, and for a path that no file can have."""
    try:
        return read_bytes(path, limit)
    except (OSError, ValueError, WtenvError):
        return None


def read_object(path: Path, limit: int = MAX_TEXT) -> dict[str, Any] | None:
    """The JSON object in the file; None if it can't be read, or is none."""
    import json

    try:
        data = json.loads(try_read(path, limit) or b"")
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def list_names(folder: str | os.PathLike[str]) -> list[str]:
    """The names in a folder, sorted; none if it can't be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def check_readable(path: Path, limit: int) -> None:
    """WtenvError if something is at `path` that `read_bytes` would refuse: for what others will read."""
    try:
        info = os.stat(path)
    except OSError:
        return
    _check_regular(path, info, limit)


def _check_regular(path: str | os.PathLike[str], info: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(info.st_mode):
        kind = "a directory" if stat.S_ISDIR(info.st_mode) else "not a regular file"
        raise WtenvError(f"{os.fspath(path)} is {kind}", "replace it by a file")
    _check_size(path, info.st_size, limit)


def _check_size(path: str | os.PathLike[str], size: int, limit: int) -> None:
    if size > limit:
        raise WtenvError(f"{os.fspath(path)} is larger than {limit} bytes", "is it the right file?")


def is_same(path: str, other: str) -> bool:
    """Whether two paths are the same file, through links of either sort; False if one of them can't be asked."""
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False


def write_atomic(path: Path, data: bytes, mode: int = 0o600, *, durable: bool = False, new: bool = False) -> None:
    """Write `data` to `path` whole or not at all (temp file beside it, then rename).

    `durable` also forces it to the disk first, for records whose loss a user would notice; with `new` a file that is
    there by now is a FileExistsError. Raises OSError and leaves no temp file behind.
    """
    temp = path.parent / f".{path.name[:100]}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(fd)
        os.chmod(temp, mode)
        if new and _link(temp, path):
            os.unlink(temp)
        elif new and os.path.lexists(path):
            raise FileExistsError(f"{path} exists already")
        else:
            os.replace(temp, path)
    except BaseException:
        try:
            os.unlink(temp)
        except OSError:
            pass
        raise


def _link(temp: Path, path: Path) -> bool:
    """Whether `path` is a name of the file `temp` now: link(2) replaces nothing, but not every file system has it."""
    try:
        os.link(temp, path)
    except OSError:
        return False
    return True


def replace(path: Path, data: bytes) -> None:
    """Write `data` in place of a file of the user's: through a link (dotfiles are often linked), with the
    permissions that it has. Raises OSError."""
    real = Path(os.path.realpath(path))
    real.parent.mkdir(parents=True, exist_ok=True)
    mode = real.stat().st_mode & 0o7777 if real.exists() else 0o644
    write_atomic(real, data, mode)


def move(source: Path, target: Path) -> None:
    """Give `source` another name, also a folder that lies in a lower layer of an overlay file system, which can't be
    renamed there (EXDEV; Linux, overlayfs, "Renaming directories"): that is copied first. Raises OSError."""
    import errno

    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        import shutil

        try:
            shutil.copytree(source, target, symlinks=True)
        except shutil.Error as failed:  # several, each with its reason
            raise OSError(errno.EIO, str(failed.args[0][0][2]), os.fspath(source)) from None
        shutil.rmtree(source)


def find_noexec(path: Path) -> str:
    """Where the file system is mounted that holds `path` (or will), if no program in it can be started; else ""."""
    place = Path(os.path.realpath(path))
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    try:
        if not os.statvfs(place).f_flag & getattr(os, "ST_NOEXEC", 0):
            return ""
        # A bind mount is known by this list alone (proc(5), mountinfo: the fifth word, blanks as \040).
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return ""
    mounts = [line.split()[4].decode("unicode-escape").encode("latin-1") for line in lines]
    return max((os.fsdecode(mount) for mount in mounts if place.is_relative_to(os.fsdecode(mount))), key=len)


def make_private_dir(path: Path) -> None:
    """Create `path` (and missing parents) as 0700, and refuse one that is not the user's alone.

    A link of the user's own may lead to another folder of theirs; that one was not made by wtenv, so its mode is
    not changed. Raises WtenvError if `path` belongs to someone else, leads to what others can use, is no folder or
    can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.mkdir(mode=0o700, exist_ok=True)
        link, info = path.lstat(), path.stat()
    except OSError as error:
        raise WtenvError(f"can't use the folder {path} ({error.strerror})", "make it writable") from None
    is_own, is_open = info.st_uid == os.getuid(), stat.S_IMODE(info.st_mode) & 0o077
    if is_own and stat.S_ISDIR(link.st_mode):
        if is_open:
            path.chmod(0o700)
        return
    import shlex

    words, real = shlex.quote(str(path)), os.path.realpath(path)
    if stat.S_ISLNK(link.st_mode) and (found := access.find_exposure(path)):
        raise WtenvError(f"{path} is a link, but {found.reason}", f"run: rm {words}")
    if not is_own:
        fix = f"run: mv {words} {words}.old (or set another folder)"
        raise WtenvError(f"{path} belongs to {access.name_user(info.st_uid)}", fix)
    if is_open:
        raise WtenvError(f"{path} leads to {real}, which others can use", f"run: chmod go-rwx {shlex.quote(real)}")


def measure(folder: Path) -> int:
    """The bytes that the disk gives to everything below `folder`, as du(1) counts: blocks, a hard link once,
    no link followed. What can't be read counts as nothing."""
    sizes: dict[tuple[int, int], int] = {}
    for above, folders, names in os.walk(folder):
        for name in (".", *names, *(name for name in folders if os.path.islink(f"{above}/{name}"))):
            with contextlib.suppress(OSError):
                info = os.lstat(f"{above}/{name}")
                sizes[info.st_dev, info.st_ino] = info.st_blocks * 512
    return sum(sizes.values())
