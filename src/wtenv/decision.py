"""Decisions: what should be active in a folder, and why. Reads files, runs activate.d scripts, and
keeps the overlay's wrappers in step with the base; changes nothing else and prints nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from . import access, dirs, environ, faults, trust, worktree
from .activation import build, build_base, find_deciding
from .conda import Base, Capture, Variables, capture_scripts, find_base, open_prefix, read_variables
from .config import read as configs
from .config.read import Config, Source
from .config.settings import Settings, locate_settings, read_settings
from .console import make_printable
from .digest import sha256
from .environ import Activation
from .errors import WtenvError
from .overlay import state
from .overlay.state import State
from .trust import Verdict
from .watch import EXACT, LATER, LATER_OR_ABSENT, Watch
from .worktree import Worktree

Captures = dict[tuple[str, frozenset[tuple[str, str]]], Capture]
"""A base's prefix, the environment that its scripts start in -> what they did."""
Kind = Literal["active", "outside", "unconfigured", "blocked", "failed", "unbuilt"]


class RecordingEnvironment(Mapping[str, str]):
    """An environment that notes which variables were asked for: they decide."""

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


class Decision(NamedTuple):
    """What should be active in a folder, and everything that led to it. The parts are None as far as it didn't get."""

    kind: Kind  # active, or why nothing is. On the way: active as long as nothing speaks against it
    watch: Watch  # the paths that the answer depends on
    reason: str = ""  # what a person reads where nothing is active
    fix: str = ""
    worktree: Worktree | None = None
    settings: Settings | None = None
    sources: tuple[Source, ...] = ()
    verdict: Verdict | None = None
    config: Config | None = None
    base: Base | None = None
    overlay: State | None = None
    activation: Activation | None = None
    base_warnings: tuple[str, ...] = ()  # what is wrong with the base's variables and scripts, a line each
    news: tuple[str, ...] = ()  # what has happened to the overlay: said once, so no part of an answer that is kept
    faults: tuple[str, ...] = ()  # what was met that may pass, a line each, for people
    links: Mapping[str, str] = {}  # symlinks on the way to those paths and to what the config names: where they led
    depends_on: Mapping[str, str | None] = {}  # the variables that the answer depends on, with their values
    asked: Mapping[str, str | None] = {}  # the variables that were asked for, also such as a shell can't compare
    cacheable: bool = True  # whether another answer shows in those paths and variables

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is said at each entering."""
        if self.overlay and self.overlay.reason and self.kind != "unbuilt":
            return (f"{self.overlay.reason}; {self.overlay.fix}", *self.base_warnings)
        return self.base_warnings

    def require(self) -> Activation:
        """The activation, or the WtenvError that says why there is none."""
        if self.activation is None:
            raise WtenvError(self.reason, self.fix)
        return self.activation

    def is_in_effect(self, env: Mapping[str, str]) -> bool:
        """Whether what should be active is active in `env`."""
        wanted = self.activation
        return bool(wanted and env.get(environ.ID) == wanted.id and env.get(environ.ROOT) == wanted.root)

    def _take(self, *steps: Callable[[Decision], Iterator[Decision]]) -> Decision:
        """What the steps make of it, as far as nothing speaks against an activation. A step yields as often as it knows
        more, so that this is not lost where it meets a mistake of the user."""
        found = self
        for step in steps:
            try:
                for each in step(found):
                    found = each
            except WtenvError as error:
                watch = {**found.watch, **dict.fromkeys(error.watch, EXACT)}
                return found._replace(
                    kind="failed", reason=error.what, fix=error.fix, watch=watch, cacheable=error.cacheable
                )
            if found.kind != "active":
                break
        return found


def decide(
    directory: Path, env: Mapping[str, str], *, activate: bool = True, captures: Captures | None = None
) -> Decision:
    """What should be active in `directory` for a shell with the environment `env` (nothing of wtenv's
    active in it, see `environ.undo`). Mistakes of the user come back as kind "failed", never raised. Without
    `activate` no script of the base runs, and there is no activation. captures: see `read_base`."""
    recording = RecordingEnvironment(env)
    with faults.collect() as met:
        found = Decision("active", {})._take(
            lambda found: _read(found, directory, recording),
            lambda found: _look(found, recording, refresh=True),
            *([lambda found: _activate(found, directory, env, captures)] if activate else []),
        )
    if met:
        first, others = met[0], f" (and {len(met) - 1} more)" if len(met) > 1 else ""
        fault = f"{first.filename or 'a file'}: {first.strerror}{others}; asked again at the next prompt"
        found = found._replace(cacheable=False, faults=(fault,))
    # What the shells own can't be compared in a running shell; HOME is the exception that matters.
    asked = {name: env.get(name) for name in sorted(recording.asked)}
    own = {name: value for name, value in asked.items() if name == "HOME" or environ.explain_refusal(name) is None}
    return found._replace(links=_find_links(found), depends_on={**found.depends_on, **own}, asked=asked)


def inspect(directory: Path, env: Mapping[str, str]) -> Decision:
    """As `decide`, without the activation: from files alone, nothing runs and nothing is changed. Kind "active"
    means that it could be."""
    return Decision("active", {})._take(
        lambda found: _read(found, directory, env), lambda found: _look(found, env, refresh=False)
    )


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


def load(directory: Path, env: Mapping[str, str]) -> tuple[Worktree, Config]:
    """The worktree of `directory` and its config, for commands that act on it. Raises WtenvError if it
    is not configured, not allowed or wrong."""
    found = Decision("active", {})._take(lambda found: _read(found, directory, env))
    if found.worktree is None or found.config is None:
        raise WtenvError(found.reason, found.fix)
    return found.worktree, found.config


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


def _read(found: Decision, directory: Path, env: Mapping[str, str]) -> Iterator[Decision]:
    """Worktree, settings, trust and config."""
    place = worktree.find_worktree(directory)
    if place is None:
        yield found._replace(kind="outside", reason=f"{directory} is not in a git worktree", fix="cd into one")
        return
    candidates = configs.list_absent(place)
    watch: Watch = dict.fromkeys([*place.watch, *candidates, locate_settings(env)], EXACT)
    found = found._replace(worktree=place, watch=watch)
    yield found
    settings = read_settings(env)
    found = found._replace(settings=settings)
    yield found
    files, record = trust.locate_records(place, env), trust.read_record(place, env)
    if record.denied and any(path.exists() for path in candidates):
        # Before anything of it is read: a deny wins over all.
        reason, fix = f"{place.clone} {trust.DENIED.reason}", trust.DENIED.fix
        watch = {**watch, **dict.fromkeys(files, LATER_OR_ABSENT)}
        yield found._replace(kind="blocked", verdict=trust.DENIED, reason=reason, fix=fix, watch=watch)
        return
    home = Path(dirs.find_home(env))
    sources = configs.find_sources(place, home)
    if not sources:
        what, fix = configs.explain_absence(place)
        yield found._replace(kind="unconfigured", reason=what, fix=fix)
        return
    watch = {**watch, **{source.path: EXACT for source in sources}, **dict.fromkeys(files, LATER_OR_ABSENT)}
    found = found._replace(sources=sources, watch=watch)
    yield found
    verdict = trust.judge(place, sources, settings, record, env)
    found = found._replace(verdict=verdict, watch={**watch, **dict.fromkeys(verdict.watch, EXACT)})
    yield found
    if not verdict.ok:
        present = [source.path for source in sources if source.data is not None]
        reason, cacheable = f"{present[0]} {verdict.reason}", verdict.kind != "unsafe"  # chmod changes no time
        yield found._replace(kind="blocked", reason=reason, fix=verdict.fix, cacheable=cacheable)
        return
    yield found._replace(config=configs.read_config(place, sources, home))


def _look(found: Decision, env: Mapping[str, str], *, refresh: bool) -> Iterator[Decision]:
    """Base and overlay; kind "unbuilt" if the overlay can't be used. refresh: bring it in step with the base."""
    config = found.config
    assert found.worktree and config
    base = locate_base(found.worktree, config, env)
    found = found._replace(base=base, watch={**found.watch, **base.watch})
    yield found

    def look() -> State:
        managed, prefix = base.kind == "conda", Path(base.prefix)
        return state.inspect(config.venv, base_prefix=prefix, editables=config.packages, env=env, managed=managed)

    overlay, failed, news = look(), None, found.news
    if overlay.needs_refresh and refresh:
        from .overlay.refresh import refresh as bring_in_step  # wrapper scripts and bootstrap follow the base

        try:
            bring_in_step(config.venv, env)
            if overlay.new_packages:
                what = f"another tool has put {', '.join(overlay.new_packages)} into {config.venv}"
                news += (f"{what}; to remove what no config declares, run: wtenv sync",)
        except WtenvError as error:
            failed = error
        overlay = look()
    cacheable = overlay.cacheable and failed is None
    found = found._replace(overlay=overlay, news=news, watch={**found.watch, **overlay.watch}, cacheable=cacheable)
    if failed and overlay.usable:
        # As it is, a new script of the base would run on the base's Python.
        found = found._replace(kind="unbuilt", reason=failed.what, fix=failed.fix)
    elif not overlay.usable:
        found = found._replace(kind="unbuilt", reason=overlay.reason, fix=overlay.fix)
    yield found


def _activate(
    found: Decision, directory: Path, plain: Mapping[str, str], captures: Captures | None
) -> Iterator[Decision]:
    """The activation: what the base's variables and scripts do in `plain`, and what the config adds."""
    place, config, base = found.worktree, found.config, found.base
    assert place and config and base
    variables, captured, before = read_base(base, plain, captures)
    depends_on = {
        name: plain.get(name) for name in find_deciding(captured.reads, captured.changes, before, captured.tested)
    }
    if not captured.complete:
        depends_on[environ.NEVER] = ""
    watch: Watch = {**found.watch, **captured.watch, **variables.watch}
    if os.path.lexists(config.lock):  # the hook says once that it is not met; git writes with the present time
        watch[config.lock] = LATER
    found = found._replace(
        base_warnings=(*variables.warnings, *captured.warnings),
        depends_on=depends_on,
        watch=watch,
        cacheable=found.cacheable and captured.cacheable,
    )
    yield found
    # By the name that the shell has for it, unless that one leads to another repository (a link below its root).
    root = worktree.find_root(directory) or place.root
    root = root if os.path.realpath(root) == str(place.root) else place.root
    command = dirs.locate_command(plain)
    activation = build(config, base, variables.values, captured.changes, before, str(root), command)
    yield found._replace(activation=activation)


def read_base(
    base: Base, plain: Mapping[str, str], captures: Captures | None = None
) -> tuple[Variables, Capture, dict[str, str]]:
    """A conda environment's own variables, what its scripts change, and the environment that they start in;
    all of them empty for another Python. captures: the scripts that have an answer there are not run again, and what
    others answer is put there."""
    if base.kind != "conda":
        return Variables({}, {}, ()), Capture({}, frozenset(), {}, ()), {}
    found = read_variables(Path(base.prefix))
    applied = environ.apply(plain, build_base(base, found.values))
    before = {name: value for name, value in applied.items() if not environ.is_state(name)}
    mark = Path(dirs.find_cache(plain)) / f"late-{sha256(os.fsencode(base.prefix)).hexdigest()[:20]}"
    asked = (base.prefix, frozenset(before.items()))
    captures = {} if captures is None else captures
    if asked not in captures:
        captures[asked] = capture_scripts(Path(base.prefix), before, mark=mark)
    return found, captures[asked], before


def make_build_env(
    config: Config, base: Base, plain: Mapping[str, str], captures: Captures | None = None
) -> dict[str, str]:
    """The environment that the builds of a sync see: what being inside gives, before there is an overlay. captures:
    see `read_base`."""
    found, captured, before = read_base(base, plain, captures)
    activation = build(config, base, found.values, captured.changes, before, str(config.root))
    return {name: value for name, value in environ.apply(plain, activation).items() if not environ.is_state(name)}


def describe(found: Decision) -> str:
    """The one line that a person sees on entering, or about why nothing is active; "" for nothing."""
    place, settings = found.worktree, found.settings
    level = settings.level if settings else "normal"
    if level == "silent":
        return ""
    lines = []
    if found.kind == "active":
        if place and found.base and level in ("normal", "verbose"):
            lines.append(f"{place.name} (base {os.path.basename(found.base.name)})")
        lines += found.warnings
    elif found.kind not in ("outside", "unconfigured"):
        lines.append(f"{found.reason}; {found.fix}" if found.fix else found.reason)
    return "\nwtenv: ".join(make_printable(line) for line in [*lines, *found.faults])
