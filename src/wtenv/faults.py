"""Faults that pass: too many open files, an I/O error, no memory. What was decided while one was met is not kept.

Much of what looks at files takes "can't be asked" for "is not there": wtenv's own code, and `os.path` and `pathlib` as
well. For an answer that is used once that is right; kept, it would outlive the fault, in this shell and in later ones.
So `collect` sees each question that a computation asks, and notes the errors that say nothing about the file.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import pathlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

# Of these, each is true until somebody changes something: nothing is there, it is of another kind, or it may not be
# looked at. Any other error (EMFILE, ENFILE, EIO, ENOMEM, ENOSPC, ESTALE, …) passes.
_FACTS = frozenset(
    {
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL),
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENXIO, errno.ENODEV),
    }
)
_QUESTIONS = ("stat", "lstat", "fstat", "open", "read", "scandir", "listdir", "readlink")
_met: list[OSError] | None = None


def is_passing(error: OSError) -> bool:
    """Whether `error` says nothing about the file: asked again, the answer may be another one."""
    return error.errno not in _FACTS


def has_met() -> bool:
    """Whether the present `collect` has seen a fault so far."""
    return bool(_met)


@contextlib.contextmanager
def collect() -> Iterator[list[OSError]]:
    """Inside of it, whatever is asked of files by `os`, `os.path`, `pathlib` or `open` is seen. Gives the list of the
    passing faults, which fills up."""
    global _met
    places = [(place, name) for place in (os, io, builtins, *_list_accessors()) for name in _QUESTIONS]
    asked = [(place, name, vars(place)[name]) for place, name in places if name in vars(place)]
    outer, found = _met, list[OSError]()
    _met = found
    try:
        for place, name, function in asked:
            setattr(place, name, staticmethod(_see(function)) if isinstance(place, type) else _see(function))
        yield found
    finally:
        for place, name, function in asked:
            setattr(place, name, function)
        _met = outer


def _see(function: Callable[..., Any]) -> Callable[..., Any]:
    def ask(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except OSError as error:
            if _met is not None and is_passing(error):
                _met.append(error)
            raise

    return ask


def _list_accessors() -> list[Any]:
    """Where pathlib of Python 3.10 keeps the functions that it calls."""
    kind = getattr(pathlib, "_NormalAccessor", None)
    return [kind] if kind else []
