"""Real interactive shells on a pseudo-terminal, one typed line at a time.

Where a line's output ends is told by the shell's own prompt, never by something added to the line: what
the tests look at is what happens between a line and the next prompt. In fish, whose line editor draws on
the terminal, an event handler marks where the output starts.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pexpect  # type: ignore[import-untyped,unused-ignore]
import pytest

SHELLS = ("bash", "zsh", "fish")

TIMEOUT = 30.0
"""Seconds after which a line that still runs has failed."""

HOOK_LINES = {
    "bash": 'eval "$(wtenv hook bash)"',
    "zsh": 'eval "$(wtenv hook zsh)"',
    "fish": "wtenv hook fish | source",
}
"""The documented line for each shell's rc file."""

RC_FILES = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
"""Where each shell looks for it, below HOME."""

_BEGIN = b"[[begin]]"
_PROMPT = re.compile(rb"\[\[prompt:(\d+):([\d.]*)\]\]")  # the status; in fish also which prompt this is

# What fish draws around a line's output even on a dumb terminal: bracketed paste, the mark of a missing
# newline with the blanks that hide it where none is missing, and the return to the first column.
_DRAWN = re.compile("\x1b\\[\\?2004[hl]|⏎ *\r⏎? *\r|\r+(?=$|\\[\\[prompt:)".encode())

# Line editing off: the terminal then shows what was printed and nothing else. fish has no such setting and
# draws its prompt again at every key, so its prompts are numbered.
_PREAMBLE = {
    "bash": "PS1='[[prompt:$?:]]' PS2=''\nset +o emacs +o vi\nunset HISTFILE\nstty -echo\n",
    "zsh": "PROMPT='[[prompt:%?:]]' PS2='' RPROMPT=''\nunsetopt zle prompt_sp prompt_cr\nunset HISTFILE\nstty -echo\n",
    "fish": (
        "set -g fish_greeting\nset -g fish_autosuggestion_enabled 0\nset -g fish_history ''\n"
        "function fish_title; end\nfunction fish_right_prompt; end\n"
        "function fish_prompt; printf '[[prompt:%s:%s]]' $status $fish_pid.(count $__transcript); end\n"
        "function __transcript_begin --on-event fish_preexec\n"
        f"    set -ga __transcript line; printf '%s\\n' '{_BEGIN.decode()}'\nend\n"
        "function __transcript_prompt --on-event fish_prompt; set -ga __transcript prompt; end\n"
    ),
}


@dataclass(frozen=True)
class Result:
    """What one line printed (stdout and stderr together), and `$?` at the prompt after it."""

    out: str
    status: int


class Shell:
    """One interactive shell. `startup` holds what it printed before its first prompt."""

    def __init__(
        self,
        name: str,
        environ: Mapping[str, str],
        cwd: Path,
        *,
        hook: bool = True,
        before: str = "",
        after: str = "",
        arguments: tuple[str, ...] = (),
    ) -> None:
        """Start shell `name` in `cwd`, with `before`, the hook's line and `after` in its rc file.

        The other shells' rc files in the same HOME get the hook's line too, so that a nested `bash`,
        `zsh` or `fish` is one that `run` can talk to.
        """
        self.name = name
        self._dump_file = Path(environ["HOME"], ".dumped-environment")
        for other in SHELLS:
            own = other == name
            write_rc(environ, other, hook=hook, before=before if own else "", after=after if own else "")
        program = shutil.which(name, path=environ["PATH"])
        assert program, f"no {name} on {environ['PATH']}"
        self._transcript = bytearray()
        self._last_prompt = b""
        self._child: pexpect.spawn[bytes] = pexpect.spawn(
            program,
            ["-i", *arguments],
            env=dict(environ),
            cwd=str(cwd),
            echo=False,
            timeout=TIMEOUT,
            dimensions=(24, 400),
        )
        self._child.delaybeforesend = None
        self.startup = self.finish()

    def run(self, line: str) -> Result:
        """Type one line and return what it did. (fish keeps a line that it can't parse in its editor.)"""
        self.type(line)
        return self.finish()

    def type(self, line: str) -> None:
        """Type one line without waiting for its end."""
        assert "\n" not in line, "one line at a time"
        assert len(line) < 4000, "a terminal's line is not longer than 4095 bytes"
        self.press(line + "\r")

    def press(self, keys: str) -> None:
        """Send keys as they are: `press("\\x03")` is Ctrl-C.

        While something runs (`type`, `expect`, then `press`), the prompt that follows ends the line for
        `finish`; fish's terminal prints `^C`. An idle prompt is another matter: only bash prints a new one.
        """
        self._transcript += f"\n<<< {keys!r}\n".encode()
        self._child.send(os.fsencode(keys))

    def expect(self, text: str) -> None:
        """Wait until the line that was typed has printed `text`; `finish` returns what comes after it."""
        if self.name == "fish":
            self._read_until(re.compile(re.escape(_BEGIN)))
        self._read_until(re.compile(re.escape(os.fsencode(text))))

    def finish(self) -> Result:
        """Wait for the prompt; return what was printed since the last call."""
        printed, prompt = self._read_until(_PROMPT)
        while prompt[2] and prompt[2] == self._last_prompt:  # the prompt that the line was typed at
            printed, prompt = self._read_until(_PROMPT)
        self._last_prompt = prompt[2]
        if prompt[2] or _BEGIN in printed:  # fish draws the line itself before this
            printed = printed.rpartition(_BEGIN)[2].removeprefix(b"\r\n")
        return Result(self._clean(printed), int(prompt[1]))

    def environ(self) -> dict[bytes, bytes]:
        """The exact environment of a child process of this shell."""
        dump = Path(__file__).with_name("dump.py")
        result = self.run(f"{sys.executable} -I -S {dump} {self._dump_file}")
        assert result.status == 0, self.transcript
        entries = self._dump_file.read_bytes().split(b"\0")[:-1]
        self._dump_file.unlink()
        return dict(entry.partition(b"=")[::2] for entry in entries)

    def wait(self) -> int:
        """Wait until the shell has ended; return its exit code."""
        try:
            self._child.expect(pexpect.EOF)
        except pexpect.TIMEOUT:
            self._fail("did not exit")
        self._child.wait()
        code = self._child.exitstatus
        return code if code is not None else 128 + (self._child.signalstatus or 0)

    def close(self) -> None:
        """End the shell, whatever it does."""
        if not self._child.closed:
            self._child.ptyproc.delayafterclose = 0
            if self._child.isalive():
                self._child.kill(signal.SIGKILL)
                self._child.wait()
            self._child.close()

    @property
    def pid(self) -> int:
        """The shell's process."""
        return int(self._child.pid)

    @property
    def transcript(self) -> str:
        """Everything that was typed and printed so far."""
        return _DRAWN.sub(b"", self._transcript).decode("utf-8", "backslashreplace")

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_until(self, pattern: re.Pattern[bytes]) -> tuple[bytes, re.Match[bytes]]:
        try:
            self._child.expect(pattern)
        except pexpect.TIMEOUT:
            self._fail(f"printed no {pattern.pattern!r} within {TIMEOUT:.0f} s")
        except pexpect.EOF:
            self._fail(f"ended without {pattern.pattern!r}")
        found = self._child.match
        assert isinstance(found, re.Match)
        printed: bytes = self._child.before or b""
        self._transcript += printed + found.group()
        return printed, found

    def _fail(self, what: str) -> None:
        self._transcript += bytes(self._child.before or b"")
        raise AssertionError(f"{self.name} {what}; transcript:\n{self.transcript}")

    @staticmethod
    def _clean(printed: bytes) -> str:
        return _DRAWN.sub(b"", printed).replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")


def write_rc(environ: Mapping[str, str], name: str, *, hook: bool = True, before: str = "", after: str = "") -> Path:
    """Write the shell's rc file into HOME and return it."""
    path = Path(environ["HOME"], RC_FILES[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "fish":  # else each new home has it read all manual pages, in the background
        Path(environ["HOME"], ".local/share/fish/generated_completions").mkdir(parents=True, exist_ok=True)
    line = HOOK_LINES[name] if hook else ""
    path.write_text(f"{_PREAMBLE[name]}{before}\n{line}\n{after}\n")
    return path


def run_script(
    name: str,
    text: str,
    environ: Mapping[str, str],
    *,
    cwd: Path | None = None,
    arguments: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Run `text` in a shell that is not interactive, as `bash -c text` does."""
    program = shutil.which(name, path=environ["PATH"])
    assert program, f"no {name} on {environ['PATH']}"
    return subprocess.run(
        [program, *arguments, "-c", text],
        env=environ,
        cwd=cwd or environ["HOME"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=TIMEOUT,
        check=False,
    )


def require_shell(name: str) -> str:
    """The shell's name if it is installed. Missing, it skips the test, and in CI it fails it."""
    if shutil.which(name, path="/usr/local/bin:/usr/bin:/bin") is None:
        if os.environ.get("CI") or os.environ.get("WTENV_REQUIRE_SHELLS") == "1":
            pytest.fail(f"{name} is not installed, and CI has to test it")
        pytest.skip(f"{name} is not installed")
    return name


# --- the same statement in each language ----------------------------------------------------------


def quote(name: str, value: str | bytes) -> str:
    """One printable ASCII word that the shell reads as exactly these bytes."""
    data = os.fsencode(value)
    if re.fullmatch(rb"[A-Za-z0-9_./:=,@%+ -]*", data):
        return shlex.quote(data.decode())
    if name == "fish":  # escapes are read outside of quotes only; \X is a byte, also in fish 3
        return "".join(chr(byte) if _plain(byte) else f"\\X{byte:02x}" for byte in data)
    return "$'" + "".join(chr(byte) if _plain(byte) else f"\\x{byte:02x}" for byte in data) + "'"


def _plain(byte: int) -> bool:
    return chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "_./,=")


def set_variable(name: str, variable: str, value: str | bytes, *, export: bool = True) -> str:
    """The statement that sets a variable."""
    word = quote(name, value)
    if name == "fish":
        return f"set -g{'x' if export else ''} {variable} {word}"
    return f"{'export ' if export else ''}{variable}={word}"


def unset_variable(name: str, variable: str) -> str:
    """The statement that unsets a variable."""
    return f"set -e {variable}" if name == "fish" else f"unset {variable}"


def source_file(name: str, path: Path) -> str:
    """The statement that runs a file in this shell."""
    return f"source {quote(name, str(path))}"


def and_then(*statements: str) -> str:
    """One line that runs each statement if the one before succeeded: fish knows `&&` since 3.0."""
    return " && ".join(statements)


def status_word(name: str) -> str:
    """The word that stands for the last exit status."""
    return "$status" if name == "fish" else "$?"
