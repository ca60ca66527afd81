"""Cached activations: what a hook is told about one root. As data, and on disk as the text that a hook sources, with
witnesses of what it depends on.

    CACHE/v1/ROOT…/%wtenv.bash          the text, found by the hook without hashing or encoding anything
    CACHE/v1/ROOT…/%wtenv.run           the activation as data, see `cached_run`
    CACHE/witnesses/HASH/0, 1, …        for each watched path that exists an empty file with its exact time
    CACHE/witnesses/HASH/0-, 0+, …      and one with a time a little earlier or later

A hook compares a path with its witness by `-nt` and `-ot`; neither means the same time. The folder is the
user's alone; each file is written whole or not at all, and can always be computed again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .. import dirs, faults, files
from ..digest import sha256
from ..dirs import locate_cached
from ..environ import Activation, Shortcut
from ..errors import WtenvError
from ..watch import EXACT, LATER, LATER_OR_ABSENT, Mode, Watch
from . import cached_run

# A file changed this shortly before it was read may change again without its time showing it (the
# kernel's clock ticks; racy-git in git's documentation). In nanoseconds; the second for whole seconds.
RACY, RACY_SECONDS = 50_000_000, 2_000_000_000


class Watched(NamedTuple):
    """A path that a cached activation depends on."""

    path: str
    witness: str | None
    """The name of the file, in the folder of witnesses, that has the path's time; None if the path has to be absent."""
    mode: Mode = EXACT


class Cached(NamedTuple):
    """A cached activation: what a hook is told about one root, also where nothing is to be active there."""

    kind: str
    """active, or why not: blocked, unconfigured, failed, unbuilt."""
    id: str
    """Names this very answer: what was said for it is not said again."""
    message: str
    """What to say once."""
    level: str
    """enter: the message is for where someone is looking; problem: for everywhere."""
    watched: tuple[Watched, ...] | None
    """None if this is for one time, and not kept."""
    witnesses: str
    """The folder with the witnesses of `watched`."""
    depends_on: tuple[tuple[str, str | None], ...]
    """The variables that decided, with the values they had; None for unset."""
    activation: Activation | None
    """What entering changes; None if nothing is to be active."""
    shortcut: Shortcut | None = None
    """The same spelled out, for an environment like the one it was computed in."""
    prompt: str = ""
    """What is put before the prompt."""
    leave_message: str = ""
    """What to say on leaving."""
    own: str = ""
    """A folder that has to be the user's still."""
    real: str = ""
    """The root's real folder, where the shell reaches it by a link."""
    links: tuple[tuple[str, str], ...] = ()
    """Names on the way to what was read that are links, and where they led."""


def prepare(env: Mapping[str, str]) -> None:
    """Create the folder, with the two files by which a shell sees how finely it compares times."""
    folder = Path(locate_cached(env))
    files.make_private_dir(folder.parent)
    files.make_private_dir(folder)
    for name, nanoseconds in (("fine.1", 10**18), ("fine.2", 10**18 + 1000)):
        place = folder / name
        if not place.exists():
            files.write_atomic(place, b"")
            os.utime(place, ns=(nanoseconds, nanoseconds))
    if command := dirs.locate_command(env):
        _link(Path(command), f"{sys.prefix}/bin/wtenv")
    if not (folder / "functions").exists():  # where bash looks at functions without a process
        files.write_atomic(folder / "functions", b"")


def _link(folder: Path, program: str) -> None:
    """Let `wtenv` in `folder` be `program`."""
    files.make_private_dir(folder)
    link = folder / "wtenv"
    if not (link.is_symlink() and os.readlink(link) == program):
        temp = folder / f".{os.urandom(4).hex()}.tmp"
        temp.symlink_to(program)
        temp.replace(link)


def list_places(env: Mapping[str, str]) -> Iterable[Path]:
    """Where witnesses can be kept, best first: beside the cached activations; else where nothing outlives the
    session."""
    yield Path(dirs.find_cache(env))
    if os.path.isabs(place := env.get("XDG_RUNTIME_DIR", "")):
        yield Path(f"{place}/wtenv-{os.getuid()}")
    if place := dirs.find_temporary(env):
        yield Path(place)


def witness(
    watch: Watch, root: str, started: int, env: Mapping[str, str], *, low_resolution: bool = False
) -> tuple[str, tuple[Watched, ...]] | None:
    """A folder with witnesses for the paths of `watch` as they are now, or None if what was read can't be relied on.

    started: when reading began (ns since the epoch). A path that changed since, or just before, makes the answer
    racy: it holds for this prompt only. low_resolution: for a shell that compares whole seconds.
    """
    try:
        times = {str(path): _read_time(path) for path in watch}
    except OSError:
        return None
    if _is_racy(times.values(), started, RACY_SECONDS if low_resolution else RACY):
        return None
    content = repr((root, low_resolution, sorted(times.items())))
    name = sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:20]
    for place in list_places(env):
        try:
            files.make_private_dir(place)
            # A change that follows on a time in the future has an earlier one.
            modes = [EXACT if (times[str(path)] or 0) > started else mode for path, mode in watch.items()]
            folder = place / "witnesses" / name
            return str(folder), _write_witnesses(folder, times, modes, low_resolution=low_resolution)
        except (OSError, WtenvError):
            continue
    return None


def _is_racy(times: Iterable[int | None], started: int, margin: int) -> bool:
    """Whether a path of these times may have changed after it was read, without its time showing it."""
    now = time.time_ns()
    for value in times:
        # A file system that keeps whole seconds, or two (FAT), as far as one can tell.
        wide = RACY_SECONDS if value is not None and value % 10**9 == 0 else margin
        if value is not None and started - wide <= value <= now + wide:
            return True
    return False


def _read_time(path: str | Path) -> int | None:
    """In ns; None if it is absent. As the shells see it: a link is followed, a dangling one is absent. OSError for a
    fault that may pass."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError as error:
        if faults.is_passing(error):
            raise
        return None


def find_change(watch: Watch, root: str, shell: str, env: Mapping[str, str]) -> str | None:
    """Why the hook can't use what is kept for `root`, in words; None if it can."""
    folder = Path(f"{locate_cached(env)}{root}")
    names = list_witnesses(folder, f"%wtenv.{shell}*")
    if not names:
        return "nothing is kept for it yet"
    places = [place / "witnesses" / name for place in list_places(env) for name in names]
    witnesses = next((place for place in places if place.is_dir()), folder)
    for index, (path, mode) in enumerate(watch.items()):
        try:
            now, then = _read_time(path), _read_time(witnesses / str(index))
        except OSError:
            return f"{path} can't be looked at"
        is_same = now == then if mode == EXACT else (now is not None or mode == LATER) and (now or 0) <= (then or 0)
        if not is_same:
            return f"{path} has changed"
    return None


def _write_witnesses(
    folder: Path, times: Mapping[str, int | None], modes: Iterable[Mode], *, low_resolution: bool
) -> tuple[Watched, ...]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    watched = []
    for index, ((path, nanoseconds), mode) in enumerate(zip(times.items(), modes, strict=True)):
        if nanoseconds is not None:
            if not _write_witness(folder / str(index), nanoseconds):
                raise OSError("this file system keeps coarser times")
            # zsh asks for "newer than just before" and "older than just after", which says at once that the path is
            # there.
            if mode == LATER_OR_ABSENT and (
                low_resolution or not _write_witness(folder / f"{index}+", nanoseconds + 1)
            ):
                mode = EXACT
            if mode == EXACT and (low_resolution or not _write_witness(folder / f"{index}-", nanoseconds - 1)):
                _write_witness(folder / f"{index}-", nanoseconds - 10**9)
        watched.append(Watched(path, None if nanoseconds is None else str(index), mode))
    return tuple(watched)


def _write_witness(place: Path, nanoseconds: int) -> bool:
    """Whether the file system keeps that time."""
    if not place.exists() or place.stat().st_mtime_ns != nanoseconds:
        place.touch(mode=0o600)
        os.utime(place, ns=(nanoseconds, nanoseconds))
    return place.stat().st_mtime_ns == nanoseconds


def store(
    cached: Cached, text: str, root: str, shell: str, env: Mapping[str, str], *, low_resolution: bool = False
) -> bool:
    """Keep `text` for the next time that `shell` comes to `root`. False, not an error, if it can't be."""
    if cached.watched is None:
        return False
    folder = Path(f"{locate_cached(env)}{root}")
    try:
        prepare(env)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = folder / f"%wtenv.{shell}{'1' if low_resolution else ''}"
        old = list_witnesses(folder)
        files.write_atomic(place, text.encode("utf-8", "surrogateescape"))
        _drop_witnesses(old - list_witnesses(folder), Path(dirs.find_cache(env)) / "witnesses")
    except (OSError, WtenvError):
        return False
    return True


def store_run(
    activation: Activation,
    real: str,
    venv: str,
    paths: Iterable[str],
    depends_on: Iterable[tuple[str, str | None]],
    links: Iterable[tuple[str, str]],
    started: int,
    env: Mapping[str, str],
    name: str = cached_run.NAME,
) -> bool:
    """Keep an activation for `cached_run.find`: of the root whose real path is `real`, as it was computed since
    `started` from `paths`, `depends_on` and `links`; name: in which file. False, not an error, if it can't be kept, or
    if what was read can't be relied on."""
    watched = list(paths)
    folder = Path(f"{locate_cached(env)}{activation.root}")
    try:
        data = cached_run.render(activation, real, venv, watched, depends_on, links)
        if _is_racy(map(_read_time, watched), started, RACY):
            return False
        prepare(env)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write_atomic(folder / name, data)
    except (OSError, WtenvError):
        return False
    return True


def list_folders(env: Mapping[str, str]) -> Iterable[tuple[Path, str | None]]:
    """Each folder that cached activations are kept in, with the root that they are for; None for another version's."""
    current = locate_cached(env)
    for top in sorted(Path(dirs.find_cache(env)).glob("v[0-9]*")):
        for above, _, names in os.walk(top):
            if any(name.startswith("%wtenv.") or (name == "fine.1" and str(top) != current) for name in names):
                yield Path(above), (above[len(current) :] or "/") if str(top) == current else None


def list_witnesses(folder: Path, pattern: str = "%wtenv.*") -> set[str]:
    """The names of the folders of witnesses that the cached activations in `folder` use: each has it in its second
    line."""
    lines = [place.read_bytes().split(b"\n", 2)[1:2] for place in folder.glob(pattern)]
    names = {line[0].rstrip(b"'").rpartition(b"/")[2].decode("ascii", "replace") for line in lines if line}
    return {name for name in names if len(name) == 20 and name.isalnum()}


def _drop_witnesses(names: set[str], folder: Path) -> None:
    """A shell that still has such an activation in memory asks once again."""
    for name in names:
        for item in (folder / name).glob("*"):
            item.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (folder / name).rmdir()
