"""Decisions: what should be active in a folder, and why. Reads files, runs activate.d scripts, and
keeps the overlay's wrappers in step with the base; changes nothing else and prints nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from . import access, dirs, environ, faults, trust, worktree
from .activation import build, build_base, find_guards
from .conda import Base, Capture, Variables, capture_scripts, find_base, open_prefix, read_variables
from .config import read as configs
from .config.read import Config, Source
from .config.settings import Settings, locate_settings, read_settings
from .console import make_printable
from .digest import sha256
from .environ import Activation
from .errors import WtenvError
from .overlay.state import State, inspect
from .trust import Verdict
from .watch import EXACT, LATER, LATER_OR_ABSENT, Watch
from .worktree import Worktree

Kind = Literal["active", "outside", "unconfigured", "blocked", "failed", "unbuilt"]


class RecordingEnvironment(Mapping[str, str]):
    """An environment that notes which variables were asked for: they decide, so they are guarded."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._env[name]

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return name in self._env

    def __iter__(self) -> Iterator[str]:
        return iter(self._env)

    def __len__(self) -> int:
        return len(self._env)


class Decision:
    """What should be active in a folder, and everything that led to it.

    kind: active, or why nothing is; reason and fix: for people; watch: the paths it depends on;
    links: names on the way to those paths, and to what the config names, that are symlinks, and where they led;
    news: what has happened to the overlay and is to be said once, so not part of an answer that is kept;
    cacheable: whether a change of those paths is the only way to another answer; guards: the variables it
    depends on, with their values; asked: those that it asked for, also such as a shell can't compare; faults: what
    was met that may pass, one line each, for people. The parts are None as far as it didn't get.
    """

    def __init__(self) -> None:
        self.kind: Kind = "failed"
        self.reason = ""
        self.fix = ""
        self.activation: Activation | None = None
        self.worktree: Worktree | None = None
        self.verdict: Verdict | None = None
        self.sources: tuple[Source, ...] = ()
        self.config: Config | None = None
        self.base: Base | None = None
        self.overlay: State | None = None
        self.settings: Settings | None = None
        self.warnings: list[str] = []
        self.faults: list[str] = []
        self.news: list[str] = []
        self.watch: Watch = {}
        self.links: dict[str, str] = {}
        self.cacheable = True
        self.guards: dict[str, str | None] = {}
        self.asked: dict[str, str | None] = {}

    def require(self) -> Activation:
        """The activation, or the WtenvError that says why there is none."""
        if self.activation is None:
            raise WtenvError(self.reason, self.fix)
        return self.activation


def decide(directory: Path, env: Mapping[str, str]) -> Decision:
    """What should be active in `directory` for a shell with the environment `env` (nothing of wtenv's
    active in it, see `environ.undo`). Mistakes of the user come back as kind "failed", never raised."""
    decision = Decision()
    recording = RecordingEnvironment(env)
    with faults.witness() as met:
        try:
            _decide(decision, directory, recording, env)
        except WtenvError as error:
            _fail(decision, error)
    if met:
        first, others = met[0], f" (and {len(met) - 1} more)" if len(met) > 1 else ""
        decision.cacheable = False
        decision.faults.append(
            f"{first.filename or 'a file'}: {first.strerror}{others}; asked again at the next prompt"
        )
    decision.links = _find_links(decision)
    decision.asked = {name: env.get(name) for name in recording.asked}
    for name in sorted(recording.asked):
        # What the shells own can't be compared in a running shell; HOME is the exception that matters.
        if name == "HOME" or environ.explain_refusal(name) is None:
            decision.guards[name] = env.get(name)
    return decision


def _find_links(decision: Decision) -> dict[str, str]:
    """Each symlink on the way to what decided, with the real path that it leads to: a link that turns changes no time.
    The worktree's own root is resolved already; the hook looks itself how it came there."""
    paths = [*decision.watch, *(decision.config.packages if decision.config else ())]
    paths += [Path(decision.base.prefix)] if decision.base else []
    links: dict[str, str] = {}
    if decision.kind == "unconfigured" and decision.worktree:  # then nothing else shows that it is one no more
        links[f"{decision.worktree.root}/.git"] = os.path.realpath(decision.worktree.root / ".git")
    known: set[str] = set()
    for path in paths:
        for place, info in access.trace(path)[0] if str(path.parent) not in known or os.path.islink(path) else ():
            if stat.S_ISLNK(info.st_mode):
                links[place] = os.path.realpath(place)
        known.add(str(path.parent))
    return links


def survey(directory: Path, env: Mapping[str, str]) -> Decision:
    """As `decide`, without the activation: from files alone, nothing runs and nothing is changed. Kind "active"
    means that it could be."""
    decision = Decision()
    try:
        _read(decision, directory, env)
        if decision.config:
            _inspect(decision, env, follow=False)
    except WtenvError as error:
        _fail(decision, error)
    return decision


def _fail(decision: Decision, error: WtenvError) -> None:
    decision.kind, decision.reason, decision.fix = "failed", error.what, error.fix
    decision.watch |= dict.fromkeys(error.watch, EXACT)
    decision.cacheable = error.cacheable


def is_in_effect(found: Decision, env: Mapping[str, str]) -> bool:
    """Whether what `found` wants active is active in `env`."""
    wanted = found.activation
    return bool(wanted and env.get(environ.ID) == wanted.id and env.get(environ.ROOT) == wanted.root)


def load(directory: Path, env: Mapping[str, str]) -> tuple[Worktree, Config]:
    """The worktree of `directory` and its config, for commands that act on it. Raises WtenvError if it
    is not configured, not allowed or wrong."""
    decision = Decision()
    _read(decision, directory, env)
    if decision.worktree is None or decision.config is None:
        raise WtenvError(decision.reason, decision.fix)
    return decision.worktree, decision.config


def locate_base(place: Worktree, config: Config, env: Mapping[str, str]) -> Base:
    """The base that the config of `place` names. Raises WtenvError, with the file, key and fix, if it isn't
    there, or is at or below a worktree of the clone or of the stack."""
    find = find_base if config.base_kind == "base_conda_env" else open_prefix
    try:
        base = find(config.base, env, config.base_folder)
        if inside := _find_checkout(Path(base.prefix), place, config, env):
            # What is checked out there would run without having been allowed.
            where = "is a worktree itself" if inside == base.prefix else f"is inside {inside}"
            fix = "keep the base outside of the worktrees"
            real = os.path.realpath(base.prefix)
            if _find_checkout(Path(real), place, config, env) is None:
                fix += f", and name it by its own path: {real}"
            elif ".pixi" in Path(real).parts:  # its default place, and what moves it (pixi's docs, its configuration)
                fix += ": pixi config set --global detached-environments true && pixi install"
            raise WtenvError(f"{base.prefix} {where}", fix, base.watch)
        return base
    except WtenvError as error:
        raise error.seen_from(f"{config.base_file}: [python] {config.base_kind}: ") from None


def _find_checkout(prefix: Path, place: Worktree, config: Config, env: Mapping[str, str]) -> str | None:
    """The worktree of the clone or of the stack, or the stack's folder, that the way to `prefix` leads into.

    Every folder and link on that way counts, by its identity and not by its name (bind mounts, case). The way is
    short, so its cost does not grow with the worktrees: a folder on it with a `.git` is asked whose it is.
    """
    own = {(info.st_dev, info.st_ino) for root in (place.root, config.root) if (info := _stat(root))}
    for path, info in access.trace(prefix)[0]:
        if (info.st_dev, info.st_ino) in own:
            return path
        if os.path.lexists(f"{path}/.git") and _is_related(Path(path), place, config, env):
            return path
    return None


def _is_related(root: Path, place: Worktree, config: Config, env: Mapping[str, str]) -> bool:
    """Whether `root`, which has a `.git`, is a worktree of the clone, or of a repository of the stack: one that
    extends it, or that has one of its editables."""
    clone = worktree.find_claimed_clone(root)
    clones = [place.common_dir]
    if config.root != place.root:
        roots = [found for path in config.packages if (found := worktree.find_root(path))]
        clones += [worktree.find_claimed_clone(each) for each in roots]
    if clone and any(each and os.path.lexists(each) and os.path.samefile(clone, each) for each in clones):
        return True
    stacks = {source.path for source in config.sources if source.role == "stack"}
    try:
        sources = configs.find_sources(worktree.open_worktree(root), Path(dirs.find_home(env))) if stacks else ()
    except WtenvError:
        return False
    return any(source.path in stacks for source in sources)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _read(decision: Decision, directory: Path, env: Mapping[str, str]) -> None:
    """Worktree, settings, trust and config; decision.kind tells how far it got ("active": all the way)."""
    decision.kind = "failed"
    place = decision.worktree = worktree.find_worktree(directory)
    if place is None:
        decision.kind, decision.reason = "outside", f"{directory} is not in a git worktree"
        decision.fix = "cd into one"
        return
    candidates = configs.list_absent(place)
    decision.watch |= dict.fromkeys([*place.watch, *candidates, locate_settings(env)], EXACT)
    decision.settings = read_settings(env)
    file, record = trust.locate_record(place, env), trust.read_record(place, env)
    if record.denied and any(path.exists() for path in candidates):
        # Before anything of it is read: a deny wins over all.
        decision.kind, decision.verdict = "blocked", trust.DENIED
        decision.watch[file] = LATER_OR_ABSENT
        decision.reason, decision.fix = f"{place.clone} {trust.DENIED.reason}", trust.DENIED.fix
        return
    home = Path(dirs.find_home(env))
    sources = decision.sources = configs.find_sources(place, home)
    if not sources:
        decision.kind, (decision.reason, decision.fix) = "unconfigured", configs.explain_absence(place)
        return
    decision.watch |= {**{source.path: EXACT for source in sources}, file: LATER_OR_ABSENT}
    decision.verdict = trust.judge(place, sources, decision.settings, record, env)
    decision.watch |= dict.fromkeys(decision.verdict.watch, EXACT)
    if not decision.verdict.ok:
        present = [source.path for source in sources if source.data is not None]
        decision.kind, decision.fix = "blocked", decision.verdict.fix
        decision.reason = f"{present[0]} {decision.verdict.reason}"
        decision.cacheable = decision.verdict.kind != "unsafe"  # chmod changes no time
        return
    decision.config = configs.read_config(place, sources, home)
    decision.kind = "active"


def _inspect(decision: Decision, env: Mapping[str, str], *, follow: bool) -> None:
    """Base and overlay; kind "unbuilt" if the overlay can't be used. follow: bring it in step with the base."""
    config = decision.config
    assert decision.worktree and config
    decision.kind = "failed"
    base = decision.base = locate_base(decision.worktree, config, env)
    prefix = Path(base.prefix)
    decision.watch |= base.watch
    managed = base.kind == "conda"
    overlay = inspect(config.venv, base_prefix=prefix, editables=config.packages, env=env, managed=managed)
    failed = None
    if overlay.needs_refresh and follow:
        from .overlay.refresh import refresh  # wrapper scripts and bootstrap follow the base

        try:
            refresh(config.venv, env)
            if overlay.new_packages:
                what = f"another tool has put {', '.join(overlay.new_packages)} into {config.venv}"
                decision.news.append(f"{what}; to remove what no config declares, run: wtenv sync")
        except WtenvError as error:
            failed = error
        overlay = inspect(config.venv, base_prefix=prefix, editables=config.packages, env=env, managed=managed)
    decision.overlay = overlay
    decision.watch |= overlay.watch
    decision.cacheable = overlay.cacheable and failed is None
    if failed and overlay.usable:
        # As it is, a new script of the base would run on the base's Python.
        decision.kind, decision.reason, decision.fix = "unbuilt", failed.what, failed.fix
        return
    if not overlay.usable:
        decision.kind, decision.reason, decision.fix = "unbuilt", overlay.reason, overlay.fix
        return
    if overlay.reason:
        decision.warnings.append(f"{overlay.reason}; {overlay.fix}")
    decision.kind = "active"


def _decide(decision: Decision, directory: Path, env: Mapping[str, str], plain: Mapping[str, str]) -> None:
    _read(decision, directory, env)
    if decision.config is None:
        return
    _inspect(decision, env, follow=True)
    config, base, overlay = decision.config, decision.base, decision.overlay
    if decision.kind != "active" or base is None or overlay is None:
        return
    place = decision.worktree
    assert place
    decision.kind = "failed"
    found, captured, before = read_base(base, plain)
    if base.kind == "conda":
        decision.watch |= {**captured.watch, **found.watch}
        decision.warnings += [*found.warnings, *captured.warnings]
        decision.cacheable = decision.cacheable and captured.cacheable
        for name in find_guards(captured.reads, captured.changes, before, captured.tested):
            decision.guards[name] = plain.get(name)
        if not captured.complete:
            decision.guards[environ.NEVER] = ""
    if os.path.lexists(config.lock):  # the hook says once that it is not met; git writes with the present time
        decision.watch[config.lock] = LATER
    # By the name that the shell has for it, unless that one leads to another repository (a link below its root).
    root = worktree.find_root(directory) or place.root
    root = root if os.path.realpath(root) == str(place.root) else place.root
    decision.activation = build(config, base, found.values, captured.changes, before, str(root))
    decision.kind = "active"


def read_base(base: Base, plain: Mapping[str, str]) -> tuple[Variables, Capture, dict[str, str]]:
    """A conda environment's own variables, what its scripts change, and the environment that they start in;
    all of them empty for another Python."""
    if base.kind != "conda":
        return Variables({}, {}, ()), Capture({}, frozenset(), {}, ()), {}
    found = read_variables(Path(base.prefix))
    applied = environ.apply(plain, build_base(base, found.values))
    before = {name: value for name, value in applied.items() if not environ.is_state(name)}
    mark = Path(dirs.find_cache(plain)) / f"late-{sha256(os.fsencode(base.prefix)).hexdigest()[:20]}"
    return found, capture_scripts(Path(base.prefix), before, mark=mark), before


def make_build_env(config: Config, base: Base, plain: Mapping[str, str]) -> dict[str, str]:
    """The environment that the builds of a sync see: what being inside gives, before there is an overlay."""
    found, captured, before = read_base(base, plain)
    activation = build(config, base, found.values, captured.changes, before, str(config.root))
    return {name: value for name, value in environ.apply(plain, activation).items() if not environ.is_state(name)}


def describe(decision: Decision) -> str:
    """The one line that a person sees on entering, or about why nothing is active; "" for nothing."""
    place, settings = decision.worktree, decision.settings
    level = settings.level if settings else "normal"
    if level == "silent":
        return ""
    lines = []
    if decision.kind == "active":
        if place and decision.base and level in ("normal", "verbose"):
            lines.append(f"{place.name} (base {os.path.basename(decision.base.name)})")
        lines += decision.warnings
    elif decision.kind not in ("outside", "unconfigured"):
        lines.append(f"{decision.reason}; {decision.fix}" if decision.fix else decision.reason)
    return "\nwtenv: ".join(make_printable(line) for line in [*lines, *decision.faults])
