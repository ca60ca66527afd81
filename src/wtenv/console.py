"""Progress: what a long command is at, on stderr: a line for each step; on a terminal that has waited for
longer than a second, a clock below them."""

from __future__ import annotations

import contextlib
import sys
import threading
from types import TracebackType

from .errors import make_printable, say

DELAY = 1.0  # seconds; rich is not even imported by what is done before


class Progress:
    """`with Progress() as report:` gives a function that takes one line for each step."""

    def __init__(self) -> None:
        self._line = ""
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._try_to_show, daemon=True)
            self._thread.start()
        return self

    def __call__(self, line: str) -> None:
        """Say that `line` is being done now."""
        self._line = line
        with contextlib.suppress(OSError):  # nobody reads it: no reason to stop
            say(line)  # while the clock is shown, rich puts above it what goes to stderr

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _try_to_show(self) -> None:
        with contextlib.suppress(Exception):  # a terminal that is gone, say: the lines are there without it
            self._show()

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
                    bar.update(task, description=make_printable(f"wtenv: {self._line}", keep=""))
