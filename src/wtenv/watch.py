"""Watched paths: what an answer depends on, and which change of each counts. One table, `Watch`: whoever names a path
says how it is watched, and all that compares times later (the hook, `status`) goes by that."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    Mode = Literal["exact", "later", "later or absent"]
    Watch = dict[Path, Mode]
else:
    Mode, Watch = str, dict  # the hook's path does not import typing

EXACT: Mode = "exact"
"""Any other time is a change. For what people and their tools write: a copy may bring an older time with it."""

LATER: Mode = "later"
"""Only a later time is a change: a package manager or git writes it with the present time, and its folder or
`conda-meta/history` shows that it is gone. Cheaper at each prompt than the others."""

LATER_OR_ABSENT: Mode = "later or absent"
"""As LATER, for what may be deleted alone."""
