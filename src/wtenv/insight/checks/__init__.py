"""`wtenv doctor`'s checks: each a function from a context to findings. They read, and start the base's and the
overlay's Python where the config is allowed; they change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ...errors import WtenvError
from . import base, neighbours, overlay, shell, worktree
from .context import Context as Context
from .context import Finding as Finding
from .context import problem

Check = Callable[[Context], Iterator[Finding]]

CHECKS: Mapping[str, Check] = {
    "hook": shell.check_hook,
    "rc": shell.check_rc,
    "hook-file": shell.check_hook_file,
    "settings": worktree.check_settings,
    "files": worktree.check_files,
    "garbage": worktree.check_garbage,
    "worktree": worktree.check_worktree,
    "config": worktree.check_config,
    "trust": worktree.check_trust,
    "base": base.check_base,
    "base-python": base.check_python,
    "base-scripts": base.check_scripts,
    "overlay": overlay.check_overlay,
    "python": overlay.check_python,
    "editables": overlay.check_editables,
    "wrappers": overlay.check_wrappers,
    "bootstrap": overlay.check_bootstrap,
    "activate": overlay.check_activate,
    "undeclared": overlay.check_undeclared,
    "lock": base.check_lock,
    "path": shell.check_path,
    "pythonpath": shell.check_pythonpath,
    "user-site": shell.check_user_site,
    "activators": neighbours.check_activators,
    "editors": neighbours.check_editors,
}
"""By the names that the output has. A check that does not apply, since an earlier one failed, finds nothing."""


def examine(context: Context) -> list[Finding]:
    """What all checks find, in their order."""
    found = []
    for name, check in CHECKS.items():
        try:
            found += [replace(each, check=name) for each in check(context)]
        except WtenvError as error:
            found.append(replace(problem(error.what, error.fix), check=name))
        except OSError as error:
            found.append(replace(problem(f"this could not be checked ({error})", "make it readable"), check=name))
    return found
