"""`wtenv list`: the worktrees of a clone, or of every clone that wtenv knows, each with its overlay."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import decision, files, trust, worktree
from ..config import read as configs
from ..console import format_size, make_printable
from ..decision import Decision
from ..errors import WtenvError
from ..overlay import manifest as manifests
from ..overlay import registry
from ..overlay.state import inspect
from ..worktree import Checkout

# What is said instead of an overlay's state where the config has no effect.
STATES = {"unconfigured": "no config", "failed": "failed", "missing": "missing", "bare": "bare"}
TRUST = {"unknown": "not allowed", "changed": "not allowed", "denied": "denied", "unsafe": "unsafe"}
BRANCH, SHORTEST = 24, 8  # columns of a branch's name: at most, and where the terminal is narrow


def find_clones(env: Mapping[str, str]) -> list[Path]:
    """The clones that were allowed or denied, or that have an overlay."""
    found = {Path(record.clone) for _, record in trust.list_records(env)}
    for _, record in registry.list_records(env):
        try:
            place = worktree.find_worktree(Path(record.venv).parent)
        except WtenvError:
            continue
        if place:
            found.add(place.clone)
    return sorted(found, key=os.fsencode)


def gather(clone: Path, here: Path | None, env: Mapping[str, str], active: str | None) -> dict[str, Any]:
    """The facts about one clone; the keys are documented in docs/json.md."""
    checkouts: Iterable[Checkout] = worktree.list_checkouts(clone)
    if not checkouts and os.path.isfile(clone):  # a `.git` file whose clone could not be proved
        place = worktree.open_worktree(clone.parent)
        common = worktree.find_clone(place)
        checkouts = worktree.list_checkouts(common) if common else [Checkout(place.root, "", "", place.linked)]
        clone = common or clone
    found = [describe(checkout, env) for checkout in checkouts]
    for item in found:
        item["here"] = here is not None and item["path"] == str(here)
        item["active"] = bool(active) and item["path"] == os.path.realpath(active or "")
    return {"clone": str(clone), "present": os.path.lexists(clone), "worktrees": found}


def describe(checkout: Checkout, env: Mapping[str, str]) -> dict[str, Any]:
    """The facts about one worktree."""
    facts: dict[str, Any] = {
        "path": str(checkout.root),
        "branch": checkout.branch or None,
        "commit": checkout.commit or None,
        "linked": checkout.linked,
    }
    if checkout.bare or checkout.problem:
        state, fix = (
            ("bare", "") if checkout.bare else ("missing", "run: git worktree prune (moved? git worktree repair)")
        )
        return {**facts, "state": state, "reason": checkout.problem, "fix": fix, "trust": None, "overlay": None}
    found = decision.inspect(checkout.root, env)
    return {
        **facts,
        "state": found.kind,
        "reason": found.reason,
        "fix": found.fix,
        "trust": found.verdict.kind if found.verdict else None,
        "overlay": describe_overlay(found, env),
    }


def describe_overlay(found: Decision, env: Mapping[str, str]) -> dict[str, Any] | None:
    """The overlay of a worktree, also where its config is not allowed or its base is gone; None if no place
    is known for it. Size, Python and time are None unless wtenv made it."""
    if found.worktree is None or not found.sources:
        return None
    try:
        venv, shared = configs.locate_venv(found.worktree, found.sources)
    except WtenvError:
        return None
    manifest = manifests.read_manifest(venv)
    state = found.overlay
    if state is None:  # judged by what it was made for
        base = Path(manifest.base if manifest else "/")
        made = [Path(item.path) for item in manifest.editables] if manifest else []
        state = inspect(venv, base_prefix=base, editables=made, env=env)
    ours = state.kind not in ("absent", "foreign")
    return {
        "path": str(venv),
        "state": state.kind,
        "reason": state.reason,
        "shared": shared,
        "size": files.measure(venv) if ours else None,
        "python": manifest.python_version if ours and manifest else None,
        "synced": read_time(registry.record_path(venv, env)) if ours else None,
    }


def read_time(record: Path) -> str | None:
    """When a sync last changed the overlay: it writes the record at its end."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.stat().st_mtime))
    except OSError:
        return None


# --- for people -------------------------------------------------------------------------------------


def render(clones: list[dict[str, Any]], home: str, now: float, width: int | None, *, headings: bool) -> str:
    """The table. The path comes last, so that a long one moves nothing; branches are cut to fit `width`."""
    table: list[tuple[str, ...]] = [("", "BRANCH", "STATE", "SIZE", "PYTHON", "SYNCED", "WORKTREE")]
    table += [_make_row(item, home, now) for clone in clones for item in clone["worktrees"]]
    widths = [max(len(row[column]) for row in table) for column in range(7)]
    room = width - 12 - sum(widths[2:]) if width else BRANCH
    widths[1] = min(widths[1], max(SHORTEST, min(BRANCH, room)))

    def lay_out(row: tuple[str, ...]) -> str:
        mark, branch, state, size, *rest = row
        if len(branch) > widths[1]:
            branch = f"{branch[: widths[1] - 1]}…"
        cells = [branch.ljust(widths[1]), state.ljust(widths[2]), size.rjust(widths[3])]
        cells += [cell.ljust(widths[column]) for column, cell in enumerate(rest, 4)]
        return f"{mark or ' '} {'  '.join(cells)}".rstrip() + "\n"

    rows: Iterator[tuple[str, ...]] = iter(table)
    lines = [lay_out(next(rows))]
    for clone in clones:
        if headings:
            note = "" if clone["present"] else "  gone (to forget it run: wtenv prune)"
            lines.append(f"{_shorten(clone['clone'], home)}{note}\n")
        lines += [lay_out(next(rows)) for _ in clone["worktrees"]]
    return "".join(lines)


def _make_row(item: dict[str, Any], home: str, now: float) -> tuple[str, ...]:
    overlay = item["overlay"] or {}
    mark = "*" if item["active"] else "." if item["here"] else ""
    branch = item["branch"] or (f"({item['commit'][:7]})" if item["commit"] else "")
    state = STATES.get(item["state"]) or TRUST.get(item["trust"] or "") or overlay.get("state", "")
    if overlay.get("shared"):
        state += ", shared"
    size = format_size(overlay["size"]) if overlay.get("size") is not None else ""
    synced = _format_age(overlay["synced"], now) if overlay.get("synced") else ""
    cells = (mark, branch, state, size, overlay.get("python") or "", synced, _shorten(item["path"], home))
    return tuple(make_printable(cell) for cell in cells)


def _shorten(path: str, home: str) -> str:
    home = os.path.realpath(home)
    return f"~{path[len(home) :]}" if home != "/" and path.startswith(f"{home}/") else path


def _format_age(written: str, now: float) -> str:
    import calendar

    seconds = int(now - calendar.timegm(time.strptime(written, "%Y-%m-%dT%H:%M:%SZ")))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return "just now"
