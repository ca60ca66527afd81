"""activate.d scripts: run once, in a shell of their own, to see what they change in the environment.

All scripts share one shell, as under conda, so that one may use what another one set. At the end the shell replaces
itself with a program that prints its environment. If it doesn't get there, the script at which it stopped is left out,
and the others run again in a new shell. So a script that exits, hangs or kills costs only itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import files
from ..environ import compare, explain_refusal
from ..errors import WtenvError
from ..watch import EXACT, LATER, Watch
from .condarc import read_folder

if TYPE_CHECKING:
    from .readings import Reading

_SHELLS = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/run/current-system/sw/bin/bash", "/bin/sh")
_SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")
TRACE = "\x1e"  # stands before and behind the name of the file in each line of the trace
MAX_TRACE = 1 << 23
_MAX_OUTPUT = 1 << 26  # a script that prints more is ended
# A shell that inherits these runs other code first, starts with options, or ends at any failing `.`.
_STARTUP = frozenset({"BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "POSIXLY_CORRECT"})
_NOISE = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})
_ROOM = 1 << 20  # free bytes that a file system must have for the scripts' output
# Faults of the machine that may pass. A script that met one prints its text (strerror).
_FAULTS = (errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.EDQUOT)
_LATE, _AGAIN = 3600, 10  # for an hour after a script was too slow, it gets a tenth of the time
_DUMP = "import os;f=open(1,'wb');f.write(b''.join(k+b'='+v+b'\\0'for k,v in os.environb.items()));f.close()"


class Capture(NamedTuple):
    """What the scripts of an environment change, and what that depends on."""

    changes: dict[str, str | None]
    """Name -> value after the scripts, None for unset. Sorted by name; PATH is among them."""
    reads: frozenset[str]
    """The variables that the scripts mention. Other values of these may give other changes."""
    watch: Watch
    """The folder, its scripts, and the files that these sourced, tested or read."""
    warnings: tuple[str, ...]
    """One line for each script that failed, and for each script or name that was left out."""
    tested: frozenset[str] = frozenset()
    """Those of `reads` that do more than get another entry, as a list such as PATH does."""
    cacheable: bool = True
    """False if a fault that may pass decided (no room, no time, a signal): the answer is used once."""
    complete: bool = True
    """False if the scripts may have read more than is known: the answer holds only in the shell that asked."""


class _Run(NamedTuple):
    """One shell's run."""

    environ: dict[str, str] | None  # at its end; None if it didn't get there
    end: str  # how it ended, or what went wrong meanwhile
    late: bool  # its time was up
    faulty: bool  # its time was up, a signal ended it, or what a script printed tells of a fault that may pass
    output: list[tuple[str, str]]  # of each script that it began: exit status ("" if it did not end), first lines
    trace: bytes  # see `readings`


def capture_scripts(prefix: Path, env: Mapping[str, str], timeout: float = 20, mark: Path | None = None) -> Capture:
    """What `prefix`/etc/conda/activate.d/*.sh change in `env`, run in sorted order (`_get_activate_scripts` in
    conda/activate.py). env: the environment as conda would have set it before it runs them.

    A shell gets `timeout` seconds. A script that takes longer is left out; after a second such script, so are all that
    follow it. A machine may be slow for a while only, so the answer is not kept, and the scripts run again at each
    prompt. So that this costs less, the file `mark` notes that they were late: for an hour they get a tenth of the
    time.
    """
    folder = Path(prefix, "etc/conda/activate.d")
    paths = [path for path in read_folder(folder) if path.name.endswith(".sh")]
    watch: Watch = dict.fromkeys([folder, *paths], LATER)
    warnings: list[str] = []
    scripts = _read_scripts(paths, warnings)
    if not scripts:
        return Capture({}, frozenset(), watch, tuple(warnings))
    from . import readings

    traced = not all(readings.is_plain(text) for text in scripts.values())
    before = {name: value for name, value in env.items() if name not in _STARTUP}
    was_late = mark is not None and _is_recent(mark)
    cacheable = True
    trace = b""
    try:
        after, trace, late, cacheable = _run_all(
            list(scripts), before, timeout / _AGAIN if was_late else timeout, warnings, traced=traced
        )
        if mark and late != was_late:
            _remember(mark, late=late)
    except (OSError, NotImplementedError) as error:
        warnings.append(f"the scripts in {folder} can't be run: {error}")
        after, cacheable = before, False
    reading: Reading = readings.read_texts(scripts.values())
    if traced:
        reading = readings.read_trace(trace, list(scripts.items()))
    changes: dict[str, str | None] = {}
    for name, value in compare(before, after).items():
        reason = None if name == "PATH" else explain_refusal(name)
        is_stripped = sys.platform == "darwin" and name.startswith("DYLD_")  # macOS hides them from /bin and /usr/bin
        if name in _NOISE or (value is None and (reason or is_stripped)):
            continue  # the shell itself has dropped it: PS1, or a name that it can't hold
        if reason:
            warnings.append(f"a script in {folder} sets {name!a}, which is left out: it {reason}")
        else:
            changes[name] = value
    watch = {**dict.fromkeys(reading.files, EXACT), **watch}
    return Capture(changes, reading.names, watch, tuple(warnings), reading.tested, cacheable, reading.complete)


def _is_recent(mark: Path) -> bool:
    try:
        return abs(time.time() - mark.stat().st_mtime) < _LATE
    except OSError:
        return False


def _remember(mark: Path, *, late: bool) -> None:
    with contextlib.suppress(OSError):  # without that folder nothing is noted, and the scripts get all their time again
        if late:
            mark.touch(mode=0o600)
        else:
            mark.unlink()


def _read_scripts(paths: list[Path], warnings: list[str]) -> dict[Path, bytes]:
    """The texts of those `paths` that can be read."""
    scripts: dict[Path, bytes] = {}
    for path in paths:
        try:
            scripts[path] = files.read_bytes(path)
        except OSError as error:
            warnings.append(f"{path} is skipped: {error.strerror}")
        except WtenvError as error:
            warnings.append(f"{path} is skipped: {error.what}")
    return scripts


def _run_all(
    scripts: list[Path], env: dict[str, str], timeout: float, warnings: list[str], *, traced: bool
) -> tuple[dict[str, str], bytes, bool, bool]:
    """The environment after all of `scripts` that let the shell go on (`env` if none does); the trace of their run;
    whether a script was too slow; whether no fault that may pass was met."""
    todo, late, cacheable = list(scripts), False, True
    while todo:
        run = _run(todo, env, timeout, traced=traced)
        cacheable = cacheable and not run.faulty
        if run.environ is not None:
            # A script may return 1 just because its last test is false. Only one that also prints has failed.
            for path, (status, text) in zip(todo, run.output, strict=True):
                if text and (status != "0" or run.faulty):
                    warnings.append(f"{path} failed with status {status or 'unknown'}: {text}")
            if run.faulty and not warnings:
                warnings.append(f"the scripts in {todo[0].parent} met a fault: {run.end}")
            # If a script was left out, the trace does not show what it read.
            return run.environ, run.trace if len(todo) == len(scripts) else b"", late, cacheable
        if not run.output:
            raise OSError(run.end)
        last = len(run.output) - 1
        warnings.append(f"{todo[last]} {run.end} and is left out: {run.output[last][1]}".removesuffix(": "))
        if run.late and late:
            warnings += [f"{path} is left out: no time is left for it" for path in todo[last + 1 :]]
            del todo[last + 1 :]
        del todo[last]
        late = late or run.late
    return env, b"", late, cacheable


def _run(scripts: list[Path], env: dict[str, str], timeout: float, *, traced: bool) -> _Run:
    """Run `scripts` in one new shell with the environment `env`. OSError if there is no shell, or no room for
    output."""
    shell = next((path for path in _SHELLS if os.access(path, os.X_OK)), _SHELLS[-1])
    has_zero = sys.platform == "linux" and os.access("/usr/bin/env", os.X_OK)  # macOS's has no -0 before 13
    dump = "/usr/bin/env -0" if has_zero else f"{_quote(sys.executable)} -I -S -c {_quote(_DUMP)}"
    scratch = _make_scratch()
    try:
        begin, restore, end = [], "set +euf", []
        if traced and shell.endswith("bash"):
            # To a file of its own (bash from 4.1 on), so the scripts' output is as ever.
            open_trace = f"exec {{BASH_XTRACEFD}}>>{scratch}/trace && PS4='+{TRACE}${{BASH_SOURCE-}}{TRACE} ' && set -x"
            begin = [f"case $BASH_VERSION in [123].* | 4.0*) ;; *) {open_trace} || echo >|{scratch}/untraced ;; esac"]
            restore = "case ${BASH_XTRACEFD-} in ?*) set +euf -x ;; *) set +euf ;; esac"
            end = [": wtenv end", "{ set +x; } 2>/dev/null", "unset PS4 BASH_XTRACEFD"]
        lines = []
        for index, path in enumerate(scripts):
            # Output goes to files: a background job that holds a pipe open would make wtenv wait for it. In a `||` list
            # `set -e` has no effect inside the script; `restore` undoes the options that it left behind.
            run = f". {_quote(str(path))} </dev/null >|{scratch}/{index} 2>&1"
            save = f'printf %s "$?" >|{scratch}/{index}.status'
            lines.append(f"{run} && {save} || {save}\n{restore}")
        text = "\n".join(["set +euf", *begin, *lines, *end, f"exec {dump} >|{scratch}/environ"])
        options = ("--noprofile", "--norc") if shell.endswith("bash") else ()
        code = _wait_for([shell, *options, "-c", text], env, timeout, scratch)
        late = code is None and _measure(scratch) <= _MAX_OUTPUT
        data = _read(f"{scratch}/environ", 1 << 24) if code == 0 else b""
        pairs = [os.fsdecode(item).partition("=") for item in data.split(b"\0") if item]
        environ = {name: value for name, _, value in pairs}
        if not has_zero and env.get("LC_CTYPE", "C") == "C":
            environ.pop("LC_CTYPE", None)  # Python's own doing in the C locale (PEP 538)
            environ.update({"LC_CTYPE": "C"} if "LC_CTYPE" in env else {})
        begun = [f"{scratch}/{i}" for i in range(len(scripts)) if os.path.lexists(f"{scratch}/{i}")]
        output = [(_read(f"{path}.status", 9).decode(), _excerpt(path)) for path in begun]
        whole = len(output) == len(scripts) and all(status for status, _ in output)
        told = code == 0 and data.endswith(b"\0")
        # 126: the environment that the scripts left is larger than what the kernel starts a program with.
        if told != whole and (told or code not in (None, 126, 127)):
            raise OSError(errno.ENOSPC, f"{scratch} does not take what they print")
        if told:
            end_text = _excerpt(f"{scratch}/shell") or os.strerror(errno.ENOSPC)
        elif code is None:
            end_text = f"took longer than {timeout:g} s" if late else "printed without end"
        else:
            end_text = f"ended the shell with status {code}" if code >= 0 else f"died of signal {-code}"
        faulty = late or (code or 0) < 0 or os.path.lexists(f"{scratch}/untraced") or not _has_room(scratch)
        return _Run(
            environ if told else None,
            end_text,
            late,
            faulty or any(map(_tells_fault, [f"{scratch}/shell", *begun])),
            output,
            _read(f"{scratch}/trace", MAX_TRACE + 1),
        )
    finally:
        for path in Path(scratch).iterdir():
            path.unlink()
        Path(scratch).rmdir()


def _tells_fault(path: str) -> bool:
    text = _read(path, 1 << 16)
    return any(os.strerror(number).encode() in text for number in _FAULTS)


def _wait_for(command: list[str], env: dict[str, str], timeout: float, scratch: str) -> int | None:
    """The exit code of `command` (negative: a signal). None if it was killed: after `timeout` seconds, or as there was
    more than _MAX_OUTPUT in the folder `scratch`.

    Without `subprocess`, whose import costs more than the usual script takes. In a session of its own the command can't
    reach the terminal, and can be killed together with all that it started.
    """
    import signal

    quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1)]
    quiet += [(os.POSIX_SPAWN_OPEN, 2, f"{scratch}/shell", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)]
    reset = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores these two, and a child would inherit that
    # Ctrl-C between the start and the `try` that ends the command would leave it running. So it is held back until
    # then.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pid = done = status = 0
    try:
        pid = os.posix_spawn(
            command[0], command, env, file_actions=quiet, setsid=True, setsigmask=mask, setsigdef=reset
        )
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        start = time.monotonic()
        while not done and (waited := time.monotonic() - start) < timeout:
            time.sleep(min(0.0005 if waited < 0.2 else 0.01, timeout))
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done and waited > 0.05 and _measure(scratch) > _MAX_OUTPUT:
                break
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if pid and not done:  # too late, or Ctrl-C
            try:
                os.killpg(pid, signal.SIGKILL)
            except OSError:
                pass  # it has just ended by itself
            os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) if done else None


def _measure(scratch: str) -> int:
    return sum(item.stat().st_size for item in os.scandir(scratch))


def _make_scratch() -> str:
    """A new folder on a file system with room. OSError if there is none."""
    error = OSError()
    for place in _SCRATCH:
        path = f"{place}/wtenv-{os.urandom(12).hex()}"
        try:
            if not _has_room(place):
                error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)
                continue
            Path(path).mkdir(0o700)
        except OSError as caught:
            error = caught
        else:
            return path
    raise error


def _has_room(place: str) -> bool:
    room = os.statvfs(place)
    return room.f_bavail * room.f_frsize >= _ROOM


def _read(path: str, limit: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError:
        return b""


def _excerpt(path: str) -> str:
    """The first lines of a script's output as one line, without control characters."""
    lines = [line.strip() for line in _read(path, 2000).decode(errors="replace").splitlines()]
    text = " / ".join([line for line in lines if line][:3])[:300]
    return "".join(char for char in text if char.isprintable())


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
