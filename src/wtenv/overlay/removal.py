"""`wtenv clean`: remove the overlay that wtenv made, and nothing else."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..errors import WtenvError
from . import manifest as manifests
from . import state, swap
from .exclusive import lock, remove_leftovers


def remove(venv: Path, env: Mapping[str, str]) -> bool:
    """Remove the overlay at `venv`; False if there is none. WtenvError if it is not wtenv's.

    Renamed first, so that no shell sees half of it. No link is followed: neither a symlinked `.venv`
    nor a link inside it.
    """
    venv = manifests.real_place(venv)
    try:
        with lock(venv, env, None):
            verdict = state.inspect(venv, base_prefix=Path("/"), editables=(), env=env)
            if verdict.kind == "foreign":
                raise WtenvError(verdict.reason, f"remove it yourself: rm -r {venv}")
            if not remove_leftovers(venv, env):
                raise WtenvError(f"can't remove what a sync left beside {venv}", f"see: ls -d {venv}.*")
            if verdict.kind != "absent":
                aside = venv.with_name(f"{venv.name}.old-{os.urandom(4).hex()}")
                try:
                    venv.rename(aside)
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
                    _remove_in_place(venv, env)
                else:
                    shutil.rmtree(aside)
            manifests.record_path(venv, env).unlink(missing_ok=True)
            return verdict.kind != "absent"
    except BlockingIOError:
        raise WtenvError(f"a sync of {venv} is running", "wait for it, or end it") from None
    except OSError as error:
        raise WtenvError(f"can't remove {venv} ({error.strerror or error})", "fix that") from None


def _remove_in_place(venv: Path, env: Mapping[str, str]) -> None:
    """A folder of a lower layer can't be renamed (`files.move`). Marked as unfinished first, and what proves that it
    is wtenv's goes last."""
    if manifests.read_record(manifests.record_path(venv, env)):
        swap.mark(venv, env, building=True)
    for entry in sorted(os.scandir(venv), key=lambda entry: entry.name == "pyvenv.cfg"):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    venv.rmdir()
