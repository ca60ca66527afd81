"""The locked base as `conda create --file` takes it; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import WtenvError
from .format import NAME, Lock, Table


def render_explicit(lock: Lock, urls: Mapping[str, str], path: Path) -> str:
    """What `conda create --file` takes (`_match_specs_from_explicit` in conda/misc.py).

    urls: package name -> where it is, for those that the lock has no URL of.
    """
    lines = [f"# {NAME}; use it by: conda create --name NAME --file THIS", f"# platform: {lock.platform}"]
    for name in sorted(lock.pip):
        row = lock.pip[name]
        where = f" @ {row['source']}" if "source" in row else f"=={row.get('version', '')}"
        lines.append(f"# not here, since pip installed it: {name}{where}{' (editable)' if 'editable' in row else ''}")
    lines.append("@EXPLICIT")
    for name in sort_packages(lock.conda):
        row = lock.conda[name]
        # conda before 24.9 knows MD5 alone; mamba wants to be told that it is SHA-256.
        hash_ = f"#sha256:{row['sha256']}" if "sha256" in row else f"#{row['md5']}" if "md5" in row else ""
        line = f"{row.get('url') or urls[name]}{hash_}"
        if not re.fullmatch(r"[a-z0-9]+://[!-~]+", line):
            raise WtenvError(f"{path}: the URL of {name} is none", "run: wtenv lock")
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def sort_packages(packages: Table) -> list[str]:
    """Their names, each after what it depends on: conda links an explicit list in its order."""
    done: dict[str, None] = {}
    for name in sorted(packages):
        todo = [(name, iter(packages[name].get("depends", ())))]
        seen = {name}
        while todo:  # not recursive: a lock comes with a checkout
            at, rest = todo[-1]
            needed = next((each for each in rest if each in packages and each not in done and each not in seen), None)
            if needed is None:
                done[at] = None
                todo.pop()
            else:
                seen.add(needed)
                todo.append((needed, iter(packages[needed].get("depends", ()))))
    return list(done)
