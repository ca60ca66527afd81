"""The verdict on an overlay: what is at its place, and whether it may be used. Read-only and quick, for the hook."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from .. import files
from ..watch import EXACT, LATER, LATER_OR_ABSENT, Watch
from . import inventory, registry, tracking
from . import manifest as manifests
from .manifest import Manifest
from .registry import OverlayRecord

Kind = Literal["absent", "foreign", "incomplete", "unusable", "stale", "current"]
SYNC = "run: wtenv sync"


class State(NamedTuple):
    """The verdict on an overlay."""

    kind: Kind
    """absent: nothing is there. foreign: not made by wtenv for this user; never used, and never changed without
    `--replace`. incomplete: a sync was interrupted, or is running. unusable: wtenv's, but for another place, base or
    Python, or not as wtenv made it; the next sync puts that right. stale: it works, yet the config or a package's build
    files changed since. current: all is as declared."""
    reason: str
    """Why it is not current, for people; empty if it is."""
    fix: str
    """What ends that."""
    watch: Watch
    """The paths that this verdict depends on."""
    needs_refresh: bool = False
    """Bootstrap, wrappers and notes have to follow what changed (`refresh.refresh`)."""
    altered: tuple[str, ...] = ()
    """The paths below the overlay that were replaced, added or removed, and that no distribution explains."""
    repairable: bool = False
    """The overlay need not be made anew because of `altered`."""
    new_packages: tuple[str, ...] = ()
    """The distributions that another tool has installed since, as "name version"."""
    compared: tuple[str, ...] = ()
    """All files that were compared. If one is changed in place, no folder's time shows it."""
    sync_fixes: bool = True
    """Whether a sync ends what `reason` says."""
    cacheable: bool = True
    """Whether it may be kept: another verdict needs a change in `watch`."""

    @property
    def usable(self) -> bool:
        """May this overlay's `bin` be put on PATH?"""
        return self.kind in ("stale", "current")


def inspect(
    venv: Path, *, base_prefix: Path, editables: Sequence[Path], env: Mapping[str, str], managed: bool = False
) -> State:
    """The verdict on the overlay at `venv`, for the declared base and editables. Writes nothing and starts nothing but
    git where only git can tell (`tracking`). managed: a package manager looks after the base, so that each change of it
    gives a later time."""
    record_file = registry.record_path(venv, env)
    watch: Watch = dict.fromkeys([venv / manifests.MANIFEST, record_file, venv / "bin" / "python"], EXACT)
    try:
        info = os.lstat(venv)
    except OSError:
        return State("absent", f"there is no overlay at {venv}", SYNC, {venv: EXACT, **watch})
    replace = "move it away, or run: wtenv sync --replace"
    if stat.S_ISLNK(info.st_mode):
        return State("foreign", f"{venv} is a symbolic link", replace, watch)
    if not stat.S_ISDIR(info.st_mode):
        return State("foreign", f"{venv} is no folder", replace, watch)
    manifest = manifests.read_manifest(venv)
    record = registry.read_record(record_file)
    verdict = _judge_origin(venv, info.st_ino, manifest, record, env)
    if verdict is not None:
        kind, reason = verdict
        return State(kind, reason, replace if kind == "foreign" else SYNC, watch)
    assert manifest is not None
    kept: Watch = dict.fromkeys(map(Path, (*manifest.bins, *manifest.base_site)), LATER if managed else EXACT)
    kept |= dict.fromkeys(map(Path, manifest.site), LATER_OR_ABSENT)  # that one is gone shows in no other time
    kept |= {venv: LATER, venv / "bin": LATER}
    # git writes the reflog of HEAD at each checkout, merge and reset, with the present time (gitrepository-layout(5)).
    # Where there is no reflog, HEAD's own time shows checkouts alone.
    if git := tracking.find_git(venv):
        log = git[1] / "logs/HEAD"
        kept[log if log.exists() else git[1] / "HEAD"] = LATER
    watch |= dict.fromkeys(kept, EXACT)
    if hindrance := find_hindrance(venv, env):
        index: Watch = {git[1] / "index": EXACT} if git else {}
        return State("unusable", *hindrance[:2], watch | index, sync_fixes=False, cacheable=hindrance[2])
    problem = _find_base_problem(venv, manifest, base_prefix)
    if problem:
        return State("unusable", problem, SYNC, watch)
    found = inventory.compare(venv, manifest)
    lost = [*found.lost, *_find_turned(manifest)]
    if found.altered or lost:
        sentences = [f"{venv}/{path} {words}" for path, words in found.altered.items()] + lost
        reason = sentences[0] + (f" (and {len(sentences) - 1} more)" if sentences[1:] else "")
        # Another tool may be installing just now. It writes RECORD, which explains the files, last.
        watch |= {place: EXACT for site in manifest.site for place in sorted(Path(site).glob("*.dist-info"))}
        altered = tuple(found.altered)
        keeps = "pyvenv.cfg" not in altered  # without that file its Python is the base's, and uv would install there
        return State("unusable", reason, SYNC, watch, needs_refresh=True, altered=altered, repairable=keeps)
    change = _find_change(manifest, editables)
    # Every path here costs at every prompt. The manifest is not among them: when it is written, the time of the
    # overlay's folder changes; and a sync changes that time, too (`registry.set_building`).
    works: Kind = "stale" if change else "current"
    outdated = found.any or manifests.is_outdated(manifest, venv)
    fix = SYNC if change else ""
    compared = tuple(f"{venv}/{path}" for path in (manifests.MANIFEST, *manifest.contents))
    return State(works, change, fix, kept, outdated, new_packages=found.new_packages, compared=compared)


def find_hindrance(venv: Path, env: Mapping[str, str]) -> tuple[str, str, bool] | None:
    """Why no overlay at that place may be used, whatever a sync does: the reason, its fix, and whether a file's time
    shows when it is gone. None if nothing is in the way."""
    if mount := files.find_noexec(venv):
        # A shell skips what it can't start: plain `pytest` would be the base's.
        import shlex

        return (
            f"{mount} is mounted noexec: no script of {venv} can be started",
            f"keep the worktree elsewhere, or run: sudo mount -o remount,bind,exec {shlex.quote(mount)}",
            False,
        )
    if tracked := tracking.find_tracked(venv, env):
        fix = f"run: {tracking.explain_untracking(venv)} && wtenv sync"
        return f"git tracks {tracked}, so a checkout can change what runs", fix, True
    return None


def _judge_origin(
    venv: Path, inode: int, manifest: Manifest | None, record: OverlayRecord | None, env: Mapping[str, str]
) -> tuple[Kind, str] | None:
    """None if wtenv made this folder, at this place, and finished it; else what it is, and why."""
    if manifest is None:
        # The inode alone does not tell: it may be given to a new folder.
        if record and record.inode == inode and f"wtenv = {record.token}" in manifests.read_config(venv):
            return "incomplete", f"the manifest of {venv} is missing or damaged"
        return "foreign", f"{venv} was not made by wtenv"
    if record is None or record.token != manifest.token:
        origin = registry.read_record(registry.record_path(Path(manifest.venv), env))
        if origin is not None and origin.token == manifest.token:
            how = "copied" if os.path.lexists(origin.venv) else "moved"
            return "unusable", f"{venv} was {how} from {origin.venv}"
        return "foreign", f"{venv} was not made by wtenv here: it came with a checkout, an archive or a copy"
    if record.inode != inode:
        return "unusable", f"{venv} is a copy of the folder that wtenv made"
    if record.building:
        return "incomplete", f"a sync of {venv} was interrupted or is still running"
    return None


def _find_base_problem(venv: Path, manifest: Manifest, base_prefix: Path) -> str:
    if os.path.realpath(manifest.base) != os.path.realpath(base_prefix):
        return f"{venv} was made for the base {manifest.base}, the config says {base_prefix}"
    if not base_prefix.is_dir():
        return f"the base {base_prefix} is gone"
    if not Path(manifest.interpreter).exists():
        return f"the base's Python {manifest.python_version} ({manifest.interpreter}) is gone"
    if not manifest.contents:
        return f"{venv} was made by an older wtenv, which has not noted what it made"
    if damage := _find_damage(venv, manifest):
        return f"{venv} is damaged: {damage}"
    names = (os.path.join(manifest.base_bin, name) for name in ("python", "python3"))
    default = next(filter(os.path.exists, names), "")
    if default and not files.is_same(default, manifest.interpreter):
        from .layout import name_kind

        # A base that now starts another minor version, ABI or implementation has another site-packages folder, too.
        now, then = name_kind(default), name_kind(manifest.interpreter) or manifest.minor
        if now not in ("", then):
            return f"the base's Python is now {now}, {venv} was made for {then}"
    return ""


def _find_damage(venv: Path, manifest: Manifest) -> str:
    """What is not as wtenv made it, of the parts by which the overlay's Python knows that it is the overlay's (PEP
    405). Without them pip and uv would install into the base."""
    real = os.path.realpath(manifest.interpreter)
    for name in ("python", "python3", f"python{manifest.minor}"):
        if os.path.realpath(venv / "bin" / name) != real:
            return f"bin/{name} is missing, or another Python"
    if not all(map(os.path.isdir, manifest.site)):
        return "its site-packages is missing"
    home = os.path.dirname(manifest.interpreter)
    wanted = (f"home = {home}", "include-system-site-packages = false", f"wtenv = {manifest.token}")
    return "" if {*wanted} <= {*manifests.read_config(venv)} else "pyvenv.cfg is missing, or not as wtenv wrote it"


def _find_turned(manifest: Manifest) -> list[str]:
    """The declared packages whose path now leads to another folder than when they were built, in words. Python would
    still import the former one."""
    turned = [item for item in manifest.editables if item.real and os.path.realpath(item.path) != item.real]
    return [f"{item.path} leads to another folder than when {manifest.venv} was built" for item in turned]


def _find_change(manifest: Manifest, editables: Sequence[Path]) -> str:
    if manifests.identify(manifest.interpreter) != manifest.interpreter_id:
        return "the base's Python was replaced by another build"
    # Compared by their real paths: a worktree may be entered by several names.
    have = {item.source: item for item in manifest.editables}
    want = {os.path.realpath(path): path for path in editables}
    for real, path in want.items():
        if real not in have:
            return f"the editable {path} is not installed yet"
        if have[real].fingerprint != manifests.fingerprint(path):
            return f"the build files of {path} changed"
        if lost := manifests.find_lost(have[real]):
            return f"{lost} is gone, which {path} had"
    gone = [item.path for real, item in have.items() if real not in want]
    return f"{gone[0]} is installed but no longer declared" if gone else ""
