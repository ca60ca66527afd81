"""`wtenv clean`: remove the overlay that wtenv made, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..errors import WtenvError
from . import manifest as manifests
from . import state
from .lock import lock, remove_leftovers


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
                venv.rename(aside)
                shutil.rmtree(aside)
            manifests.record_path(venv, env).unlink(missing_ok=True)
            return verdict.kind != "absent"
    except BlockingIOError:
        raise WtenvError(f"a sync of {venv} is running", "wait for it, or end it") from None
    except OSError as error:
        raise WtenvError(f"can't remove {venv} ({error.strerror or error})", "mend that") from None
