"""activate.d scripts: run once, in a shell of their own, for what they change in the environment.

All scripts share one shell, as under conda, so that one may use what another set. The shell replaces
itself with a dump of its environment at the end. If it doesn't get there, the script that it was in is
left out and the others run again in a new shell; so a script that exits, hangs or kills costs itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .. import files
from ..environ import compare, explain_refusal
from ..errors import WtenvError
from .condarc import read_folder

_SHELLS = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/run/current-system/sw/bin/bash", "/bin/sh")
_SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")
_MAX_OUTPUT = 1 << 26  # more than this, and a script prints without end
# A shell that inherits these runs other code first, starts with options, or ends at any failing `.`.
_STARTUP = frozenset({"BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "POSIXLY_CORRECT"})
_NOISE = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})
# What a shell computes itself: never the same twice, or never taken from the environment.
_COMPUTED = """_ SHLVL PWD OLDPWD PPID RANDOM SRANDOM SECONDS LINENO FUNCNAME PIPESTATUS EPOCHSECONDS
    EPOCHREALTIME HISTCMD DIRSTACK GROUPS OPTIND OPTARG REPLY COLUMNS LINES IFS PS1 PS2 PS4"""
_DUMP = "import os;os.write(1,b''.join(k+b'='+v+b'\\0'for k,v in os.environb.items()))"


class Capture(NamedTuple):
    """changes: name -> value after the scripts, None for unset; sorted by name, PATH included.
    reads: the variables that the scripts mention; other values of these may give other changes.
    watch: the folder and its scripts. warnings: one line per script or name that was left out or failed.
    """

    changes: dict[str, str | None]
    reads: frozenset[str]
    watch: tuple[Path, ...]
    warnings: tuple[str, ...]


class _Run(NamedTuple):
    """One shell's run. environ: the environment at its end, None if it didn't get there, and then `end`
    says how it ended; late: the time was up; output: for each script that it began, its exit status
    ("" if the shell gave it up) and the first lines that it printed."""

    environ: dict[str, str] | None
    end: str
    late: bool
    output: list[tuple[str, str]]


def capture_scripts(prefix: Path, env: Mapping[str, str], timeout: float = 20) -> Capture:
    """What `prefix`/etc/conda/activate.d/*.sh, sorted (`_get_activate_scripts` in conda/activate.py),
    change in `env`, the environment as conda would have set it before it runs them.

    A shell gets `timeout` seconds; after the second that took longer only the scripts before are used.
    """
    folder = Path(prefix, "etc/conda/activate.d")
    paths = [path for path in read_folder(folder) if path.name.endswith(".sh")]
    warnings: list[str] = []
    scripts, reads = _read_scripts(paths, warnings)
    before = {name: value for name, value in env.items() if name not in _STARTUP} if scripts else {}
    try:
        after = _run_all(scripts, before, timeout, warnings)
    except (OSError, NotImplementedError) as error:
        warnings.append(f"the scripts in {folder} can't be run: {error}")
        after = before
    changes: dict[str, str | None] = {}
    for name, value in compare(before, after).items():
        reason = None if name == "PATH" else explain_refusal(name)
        if name in _NOISE or (value is None and (reason or _is_stripped(name))):
            continue  # dropped by the shell itself, such as PS1, or names it can't hold
        if reason:
            warnings.append(f"a script in {folder} sets {name!a}, which is left out: it {reason}")
        else:
            changes[name] = value
    return Capture(changes, reads, (folder, *paths), tuple(warnings))


def _is_stripped(name: str) -> bool:
    return sys.platform == "darwin" and name.startswith("DYLD_")  # macOS hides them from /bin and /usr/bin


def _read_scripts(paths: list[Path], warnings: list[str]) -> tuple[list[Path], frozenset[str]]:
    """Those of `paths` that can be read, and the variables they mention (too many rather than too few)."""
    if not paths:
        return [], frozenset()
    import re

    mention = re.compile(rb"\$\{?[#!]?([A-Za-z_]\w*)|(?:-v|printenv)\s+[\"']?([A-Za-z_]\w*)")
    scripts: list[Path] = []
    reads: set[str] = set()
    for path in paths:
        try:
            text = files.read_bytes(path)
        except OSError as error:
            warnings.append(f"{path} is skipped: {error.strerror}")
        except WtenvError as error:
            warnings.append(f"{path} is skipped: {error.what}")
        else:
            scripts.append(path)
            reads.update((m[1] or m[2]).decode() for m in mention.finditer(text))
    return scripts, frozenset(n for n in reads.difference(_COMPUTED.split()) if not n.startswith(("BASH", "ZSH")))


def _run_all(scripts: list[Path], env: dict[str, str], timeout: float, warnings: list[str]) -> dict[str, str]:
    """The environment after all of `scripts` that leave the shell alive; `env` if none does."""
    todo, late = list(scripts), False
    while todo:
        run = _run(todo, env, timeout)
        if run.environ is not None:
            # A script whose last test is false returns 1 and is fine; one that also prints has failed.
            for path, (status, text) in zip(todo, run.output, strict=False):
                if status != "0" and text:
                    warnings.append(f"{path} failed with status {status or 'unknown'}: {text}")
            return run.environ
        if not run.output:
            raise OSError(run.end)
        last = len(run.output) - 1
        warnings.append(f"{todo[last]} {run.end} and is left out: {run.output[last][1]}".removesuffix(": "))
        if run.late and late:
            warnings += [f"{path} is left out: no time is left for it" for path in todo[last + 1 :]]
            del todo[last + 1 :]
        del todo[last]
        late = late or run.late
    return env


def _run(scripts: list[Path], env: dict[str, str], timeout: float) -> _Run:
    """Run `scripts` in one new shell with the environment `env`. OSError if there is no shell or no room."""
    shell = next((path for path in _SHELLS if os.access(path, os.X_OK)), _SHELLS[-1])
    has_zero = sys.platform == "linux" and os.access("/usr/bin/env", os.X_OK)  # macOS's has no -0 before 13
    dump = "/usr/bin/env -0" if has_zero else f"{_quote(sys.executable)} -I -S -c {_quote(_DUMP)}"
    scratch = _make_scratch()
    try:
        lines = []
        for index, path in enumerate(scripts):
            # Output goes to a file: a job in the background that holds a pipe would make us wait for it.
            # In a `||` list, `set -e` has no effect inside the script; `set` undoes what it left behind.
            run = f". {_quote(str(path))} </dev/null >|{scratch}/{index} 2>&1"
            save = f'printf %s "$?" >|{scratch}/{index}.status'
            lines.append(f"{run} && {save} || {save}\nset +euf")
        text = "\n".join(["set +euf", *lines, f"exec {dump} >|{scratch}/environ"])
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
        if code is None:
            end = f"took longer than {timeout:g} s" if late else "printed without end"
        else:
            end = f"ended the shell with status {code}" if code >= 0 else f"died of signal {-code}"
        return _Run(
            environ if data.endswith(b"\0") else None,
            end,
            late,
            [(_read(f"{path}.status", 9).decode(), _excerpt(path)) for path in begun],
        )
    finally:
        for path in Path(scratch).iterdir():
            path.unlink()
        Path(scratch).rmdir()


def _wait_for(command: list[str], env: dict[str, str], timeout: float, scratch: str) -> int | None:
    """The exit code of `command` (negative: a signal), None if it was killed after `timeout` seconds, or with more
    than _MAX_OUTPUT in the folder `scratch`.

    Without `subprocess`, whose import costs more than the usual script. A session of its own keeps the
    command off the terminal, and lets all that it started be killed at once.
    """
    import signal
    import time

    quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    reset = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores these two, and a child would inherit that
    pid = os.posix_spawn(command[0], command, env, file_actions=quiet, setsid=True, setsigdef=reset)
    done = status = 0
    try:
        start = time.monotonic()
        while not done and (waited := time.monotonic() - start) < timeout:
            time.sleep(min(0.0005 if waited < 0.2 else 0.01, timeout))
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done and waited > 0.05 and _measure(scratch) > _MAX_OUTPUT:
                break
    finally:
        if not done:  # too late, or Ctrl-C
            try:
                os.killpg(pid, signal.SIGKILL)
            except OSError:
                pass  # it has just ended by itself
            os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) if done else None


def _measure(scratch: str) -> int:
    return sum(item.stat().st_size for item in os.scandir(scratch))


def _make_scratch() -> str:
    error = OSError()
    for place in _SCRATCH:
        path = f"{place}/wtenv-{os.urandom(12).hex()}"
        try:
            Path(path).mkdir(0o700)
        except OSError as caught:
            error = caught
        else:
            return path
    raise error


def _read(path: str, limit: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError:
        return b""


def _excerpt(path: str) -> str:
    """The first lines of a script's output in one, without anything that a terminal would act on."""
    lines = [line.strip() for line in _read(path, 2000).decode(errors="replace").splitlines()]
    text = " / ".join([line for line in lines if line][:3])[:300]
    return "".join(char for char in text if char.isprintable())


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
