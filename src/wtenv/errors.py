"""The one base error. Everything wtenv refuses is a `WtenvError`; `cli` catches it in one place."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class WtenvError(Exception):
    """What happened, and what the user can run or change to fix it.

    `str()` gives the one line that a user sees after `wtenv: `; with `has_lines` it has the output of a program in it.
    `exit_code` is 2 (the user's mistake) unless a command documents another one. `watch` are paths whose change may fix
    it; `cacheable` is false if what fixes it leaves no trace in a file's time (permissions).
    """

    has_lines = False

    def __init__(
        self, what: str, fix: str = "", watch: Iterable[Path] = (), *, exit_code: int = 2, cacheable: bool = True
    ) -> None:
        super().__init__(f"{what}; {fix}" if fix else what)
        self.what = what
        self.fix = fix
        self.watch = tuple(watch)
        self.exit_code = exit_code
        self.cacheable = cacheable

    def seen_from(self, place: str = "", watch: Iterable[Path] = ()) -> WtenvError:
        """The same mistake, met on the way from `place` (put before what happened) and from `watch`."""
        what, paths = f"{place}{self.what}", (*watch, *self.watch)
        return WtenvError(what, self.fix, paths, exit_code=self.exit_code, cacheable=self.cacheable)
