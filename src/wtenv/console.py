"""What people and programs see: messages on stderr, output on stdout, text made printable, sizes, progress.

Imports little: a shell's start waits for `write`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from types import TracebackType


def say(text: str) -> None:
    """One message for people, on stderr. `text` may have several lines."""
    print("wtenv: " + make_printable(text, keep="\n"), file=sys.stderr, flush=True)


def write(text: str) -> None:
    """Write `text` to stdout, bytes that are not UTF-8 as they are. WtenvError if that is not possible."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        from .errors import WtenvError

        raise WtenvError(f"can't write the output ({error.strerror})", "make room for it") from None


def write_json(facts: object) -> None:
    """Write what `--json` asks for; docs/json.md has the keys."""
    import json

    write(json.dumps(facts, indent=2) + "\n")


def make_printable(text: str, keep: str = "") -> str:
    """`text` as a terminal may see it: no name in it can act as a control sequence. `keep` stays."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text)


def format_size(size: int) -> str:
    """`size` bytes for people: 1024 and its powers, as `du -h` has them."""
    number, units = float(size), ["B", "KB", "MB", "GB", "TB"]
    while number >= 1023.5 and len(units) > 1:
        number /= 1024
        units.pop(0)
    return f"{number:.1f} {units[0]}" if number < 9.95 and units[0] != "B" else f"{number:.0f} {units[0]}"


DELAY = 1.0  # seconds; rich is not even imported by what is done before


class Progress:
    """What a long command is at, on stderr: a line for each step; on a terminal that has waited for longer than a
    second, a clock below them. `with Progress() as report:` gives a function that takes one line for each step."""

    def __init__(self) -> None:
        import threading

        self._line = ""
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            import threading

            self._thread = threading.Thread(target=self._try_to_show, daemon=True)
            self._thread.start()
        return self

    def __call__(self, line: str) -> None:
        """Say that `line` is being done now."""
        self._line = line
        try:
            say(line)  # while the clock is shown, rich puts above it what goes to stderr
        except OSError:
            pass  # nobody reads it: no reason to stop

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _try_to_show(self) -> None:
        try:
            self._show()
        except Exception:
            pass  # a terminal that is gone, say: the lines are there without it

    def _show(self) -> None:
        if self._done.wait(DELAY):
            return
        from rich.console import Console
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        if console.is_dumb_terminal:
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Bar(*columns, console=console, transient=True) as bar:
            task = bar.add_task("wtenv: syncing", total=None)
            bar.tasks[0].start_time = bar.get_time() - DELAY
            while not self._done.wait(0.1):
                if self._line:
                    bar.update(task, description=make_printable(f"wtenv: {self._line}"))
