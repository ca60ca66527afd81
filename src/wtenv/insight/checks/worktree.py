"""Checks of what is found from files alone: wtenv's own, the worktree, its config, trust."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from ... import dirs
from ...config.settings import read_settings
from ...errors import WtenvError
from ...overlay import registry
from ...worktree import find_clone
from .. import garbage
from .context import Context, Finding, note, ok, problem


def check_settings(context: Context) -> Iterator[Finding]:
    """The user's own settings; a mistake there keeps wtenv from activating anything."""
    settings = read_settings(context.plain)
    yield ok(f"{settings.path} is valid" if settings.path.exists() else "there are none; the defaults hold")


def check_files(context: Context) -> Iterator[Finding]:
    """wtenv's own folders and records are the user's alone (0700, 0600)."""
    if moved := dirs.list_moved(context.plain):
        listed = [f"{own} can't be written: {used} takes its place" for own, used in moved]
        yield note("wtenv keeps its own elsewhere; what is allowed or built now counts here alone", "", *listed)
    exposed = list(find_exposed(context))
    foreign = [place for place in list_own(context) if os.lstat(place).st_uid != os.getuid()]
    if foreign:
        place = shlex.quote(str(foreign[0]))  # who may not remove what is in it may still move it
        yield problem(f"{foreign[0]} belongs to another user", f"run: mv {place} {place}.old")
    if exposed:
        listed = [f"{place} ({stat.S_IMODE(place.stat().st_mode):04o})" for place in exposed]
        fix = f"run: chmod go-rwx {shlex.quote(str(exposed[0]))}" if len(exposed) == 1 else "run: wtenv doctor --fix"
        yield problem("other users can see or change wtenv's own files", fix, *listed, repair="files")
    if not exposed and not foreign:
        yield ok("wtenv's records and caches are yours alone")


def list_own(context: Context) -> Iterator[Path]:
    """The folders that wtenv has made for itself, and the records in them. What lies in a private cache is as private
    as that."""
    for folder in (
        Path(dirs.find_data(context.plain)),
        Path(dirs.find_cache(context.plain)),
        Path(dirs.find_state(context.plain)),
    ):
        if folder.is_dir() and not folder.is_symlink():
            yield folder
    for name in ("trust", "overlays"):
        folder = Path(dirs.find_data(context.plain)) / name
        if folder.is_dir() and not folder.is_symlink():
            yield folder
            yield from (place for place in sorted(folder.iterdir()) if place.is_file() and not place.is_symlink())
    yield from (place for place in sorted(Path(dirs.find_data(context.plain)).glob("hook.*")) if not place.is_symlink())


def find_exposed(context: Context) -> Iterator[Path]:
    """Those of them, of the user's own, that others may read or write."""
    for place in list_own(context):
        info = os.lstat(place)
        if info.st_uid == os.getuid() and stat.S_IMODE(info.st_mode) & 0o077:
            yield place


def check_garbage(context: Context) -> Iterator[Finding]:
    """Records of overlays and clones that are gone, and what an interrupted sync left here."""
    config, beside = context.decision.config, []
    if config and (record := registry.read_record(registry.record_path(config.venv, context.plain))):
        beside = [str(place) for name in record.leftovers if os.path.lexists(place := config.venv.with_name(name))]
    # What is only cached is no matter of its own, and an overlay that is missing here is another check's.
    here = str(config.venv) if config else ""
    found = [each for each in garbage.find(context.plain) if each.kind in ("trust", "overlay") and not each.keep]
    gone = [f"{each.kind}: {each.about}" for each in found if each.about != here]
    if beside:
        yield problem("an interrupted sync has left something behind", "run: wtenv sync", *beside, repair="sync")
    if gone:
        yield note(f"{len(gone)} record{'s' * (len(gone) > 1)} of what is gone", "run: wtenv prune", *gone[:5])
    if not beside and not gone:
        yield ok("nothing is left of what is gone")


def check_worktree(context: Context) -> Iterator[Finding]:
    """A git worktree, and the clone that it is part of."""
    place, found = context.decision.worktree, context.decision
    if found.kind == "outside":
        yield note(found.reason, "cd into one, to have it checked")
    elif place is None:
        yield problem(found.reason, found.fix)
    elif place.problem and find_clone(place):
        yield note(
            f"{place.root} has no worktree in it, it leads to a bare repository", "see: wtenv list", place.problem
        )
    elif place.problem:
        advice = re.fullmatch(r"(.*?) \(([^()]*run: .*)\)", place.problem, re.S)
        evidence, fix = (
            advice.groups() if advice else (place.problem, "move it away, and make it anew: git worktree add")
        )
        yield problem(f"{place.root} counts as a clone of its own", fix, evidence)
    else:
        yield ok(f"{place.root}, {'a linked worktree' if place.linked else 'the main worktree'} of {place.clone}")


def check_config(context: Context) -> Iterator[Finding]:
    """The config is found, and valid."""
    found = context.decision
    if found.worktree is None:
        return
    try:
        read_settings(context.plain)
    except WtenvError:
        return  # what stopped it is found already
    if found.kind == "unconfigured":
        yield note(found.reason, found.fix)
    elif found.kind == "failed" and not (found.verdict and not found.verdict.ok) and not _has_base_problem(context):
        yield problem(found.reason, found.fix)
    elif found.config:
        yield ok(", ".join(str(source.path) for source in found.sources if source.data is not None))


def _has_base_problem(context: Context) -> bool:
    return context.decision.config is not None and context.decision.base is None


def check_trust(context: Context) -> Iterator[Finding]:
    """Its user has allowed it."""
    verdict = context.decision.verdict
    if verdict is None:
        return
    if verdict.ok:
        yield ok(f"the config {verdict.reason}")
    elif verdict.kind == "denied":
        yield note(context.decision.reason, context.decision.fix)
    else:
        yield problem(context.decision.reason, context.decision.fix)
