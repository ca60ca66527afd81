"""A clone takes to wtenv: a config is written, allowed, and the overlay built."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from . import decision, dirs, draft, environ, files, gitfiles, trust
from .conda import find_python
from .config import read as configs
from .config.read import Source
from .config.settings import read_settings
from .console import say
from .errors import WtenvError
from .insight.checks import Context
from .insight.checks.shell import find_line
from .overlay.layout import check_path
from .overlay.tracking import is_tracked
from .plan import carry_out, make_plan, say_outcome
from .worktree import Worktree, find_clone, is_bare, require_worktree

_LEAVE_BARE = "cd into one of its worktrees, or make one: git worktree add NAME"


class _NewConfig(NamedTuple):
    """A config that is about to be written."""

    data: bytes
    venv: str
    """Its overlay's folder, for git to exclude; empty if that is in none of the worktrees."""
    typed: bool
    """All that it says was typed, or the user's own: a file's say has to be looked at."""
    said: str
    """What is done by writing it."""
    moved: Path | None = None
    """The file that it comes from, and that goes."""


def write_config(
    source: str | None,
    context: Context,
    *,
    clone: bool = False,
    sync: bool = True,
) -> int:
    """Write `wtenv.toml` at the worktree's root, or in the git common dir, allow it and build the overlay.

    source: a conda environment's name or path, an `environment.yml`, or a notuv / devpy / veneer file; None proposes
    some, or with `clone` takes the config that the worktree has and has not committed. What is allowed is what was
    allowed before and what was typed: a file's say is to be looked at first, and a deny stays. WtenvError if a
    config is there already; also if the build fails, when the config stays.
    """
    directory, plain = context.directory, context.plain
    bare = is_bare(directory)
    place = require_worktree(directory, _LEAVE_BARE if bare else "run: git init")
    target = _choose_folder(place, clone) / configs.NAME
    taken = WtenvError(
        f"{target} exists already", "edit it, or remove it first; if it is as it should be, run: wtenv allow"
    )
    if os.path.lexists(target):
        raise taken
    before = configs.find_sources(place, Path(dirs.find_home(plain)))
    known = not before or _judge(place, before, plain).ok
    if source is None and clone and os.path.lexists(place.root / configs.NAME):
        new = _take_uncommitted(place, before, target, plain)
    elif source is None:
        raise _propose(place, directory, plain, clone)
    else:
        new = _draw_up(source, place, before, target, context)
    try:
        files.write_atomic(target, new.data, mode=0o644, new=True)
        if new.moved:
            new.moved.unlink()
    except FileExistsError:  # since it was looked at
        raise taken from None
    except OSError as error:
        raise WtenvError(f"can't write {target} ({error.strerror})", "make the folder writable") from None
    if place.common_dir and new.venv:  # a stack's overlay is in none of the worktrees
        gitfiles.exclude(place.common_dir, new.venv)
    after = configs.find_sources(place, Path(dirs.find_home(plain)))
    if known and new.typed and after == _replace(place, before, target, new.data, gone=new.moved):
        denied = trust.read_record(place, plain).denied
        if not denied and trust.find_unsafe(place, after, plain)[0] is None:
            trust.allow(place, after, plain)
    verdict = _judge(place, after, plain)
    if not verdict.ok:
        # What has not been looked at is the file that was there before, and not what was typed.
        strange = next((each.path for each in before if each.data is not None and not known), target)
        what = f"{place.clone if verdict.kind == 'denied' else strange} {verdict.reason}"
        then = "; then run: wtenv allow && wtenv sync" if verdict.kind == "unsafe" else " && wtenv sync"
        say(f"{new.said}, which takes no effect yet: {what}; {verdict.fix}{then}")
        return 0
    say(f"{new.said}, and allowed it")
    if sync:
        try:
            say_outcome(carry_out(*make_plan(directory, context.env)))
        except WtenvError as error:
            fix = (
                error.fix if "wtenv sync" in error.fix else "; then ".join(filter(None, [error.fix, "run: wtenv sync"]))
            )
            raise WtenvError(error.what, fix) from None
    for line in _describe(place, target, context):
        say(line)
    return 0


def _choose_folder(place: Worktree, clone: bool) -> Path:
    if place.common_dir is None and find_clone(place):
        raise WtenvError(f"{place.root} is no worktree, but the folder of a bare repository", _LEAVE_BARE)
    if not clone:
        return place.root
    if place.common_dir is None:
        raise WtenvError(f"this worktree's clone is not known: {place.problem}", "or leave out --clone")
    return place.common_dir


def _judge(place: Worktree, sources: tuple[Source, ...], env: Mapping[str, str]) -> trust.Verdict:
    return trust.judge(place, sources, read_settings(env), trust.read_record(place, env), env)


def _take_uncommitted(place: Worktree, before: tuple[Source, ...], target: Path, env: Mapping[str, str]) -> _NewConfig:
    """The worktree's own config. WtenvError if it is git's: then it comes with each branch that has it."""
    own = place.root / configs.NAME
    if is_tracked(own, env):
        fix = "merge it into the branches that lack it, or name a base for all: wtenv init --clone NAME"
        raise WtenvError(f"{own} is committed, or about to be", fix)
    data = files.read_bytes(own)
    folder, is_stack = configs.locate_venv(place, before)
    venv = "" if is_stack else folder.relative_to(place.root).as_posix()
    return _NewConfig(data, venv, True, f"moved {own} to {target}", own)


def _draw_up(source: str, place: Worktree, before: tuple[Source, ...], target: Path, context: Context) -> _NewConfig:
    """The config that `source` gives. WtenvError if `wtenv sync` would refuse it."""
    made = draft.read_draft(source, place, context.directory, context.plain)
    data = draft.render(made).encode()
    said = f"wrote {target}"
    if made.packages not in ((), (".",)):
        said += f" with the packages {', '.join(made.packages)}"
    _check(place, before, target, data, source, context.plain)
    return _NewConfig(data, made.venv, not made.origin, said)


def _propose(place: Worktree, directory: Path, env: Mapping[str, str], clone: bool) -> WtenvError:
    """What to type, by what is here."""
    option = "--clone " if clone else ""
    words = [f"wtenv init {option}{shlex.quote(word)} ({why})" for word, why in draft.propose(place, directory, env)]
    if not words:
        return WtenvError("no conda environment is given", f"run: wtenv init {option}NAME ({draft.list_names(env)})")
    return WtenvError("no conda environment is given", "run: " + ", or: ".join(words))


def _replace(
    place: Worktree, sources: tuple[Source, ...], target: Path, data: bytes, gone: Path | None = None
) -> tuple[Source, ...]:
    """`sources` as they are with `data` in `target`, and without `gone`."""
    blank: tuple[Source, ...] = (Source("repo", place.root / configs.NAME, None),)
    if place.common_dir:
        blank += (Source("clone", place.common_dir / configs.NAME, None),)
    changed = {target: data, gone: None}
    return tuple(each._replace(data=changed.get(each.path, each.data)) for each in sources or blank)


def _check(
    place: Worktree, before: tuple[Source, ...], target: Path, data: bytes, source: str, env: Mapping[str, str]
) -> None:
    """WtenvError if `wtenv sync` would refuse what is about to be written."""
    found = configs.read_config(place, _replace(place, before, target, data), Path(dirs.find_home(env)))
    check_path(found.venv)
    try:
        find_python(Path(decision.locate_base(place, found, env).prefix))
    except WtenvError as error:
        what = error.what.removeprefix(f"{target}: [python] {found.base_kind}: ")
        fix = f"name another: wtenv init NAME ({draft.list_names(env)})"
        raise WtenvError(f"{source} can't be the base: {what}", fix) from None


def _describe(place: Worktree, target: Path, context: Context) -> list[str]:
    """What is active now, or what is missing; and whom the config serves."""
    found, lines = decision.inspect(context.directory, context.plain), []
    if found.kind != "active" or found.config is None or found.base is None:
        lines.append(f"nothing is active yet: {found.reason}; {found.fix}")
    else:
        name = f"{place.name} (base {os.path.basename(found.base.name)})"
        if context.env.get(environ.ROOT) or (context.interactive and context.shell and find_line(context)):
            lines.append(f"{name} is active from the next prompt on; if it is not, open a new shell")
        else:
            venv = os.path.relpath(found.config.venv, os.path.realpath(context.directory))
            shell = context.shell.name if context.shell else ""
            activate = shlex.quote(f"{venv}/bin/activate{'.fish' if shell == 'fish' else ''}")
            if shell:
                how = f"run: wtenv setup {shell}, and open a new shell; or in this one: source {activate}"
            else:  # what every POSIX shell has
                how = f"run: wtenv run COMMAND; or in a POSIX shell: . {activate}"
            lines.append(f"{name} is ready, but this shell has no hook; {how}")
    if target.parent == place.root and place.common_dir and os.path.lexists(over := place.common_dir / configs.NAME):
        lines.append(f"{over} is there, too: what it says counts instead")
    elif target.parent == place.root and place.common_dir:
        what = f"{configs.NAME} serves this worktree alone until it is committed"
        lines.append(f"{what}; to give it to all worktrees of this clone run: wtenv init --clone")
    return lines
