"""What those who enter a worktree are told: the hook, as the text that it keeps; `wtenv run`, as data."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import decision, environ
from .console import make_printable, say, write
from .decision import Decision
from .digest import sha256
from .errors import WtenvError
from .hook import cached, cached_run, shells
from .hook.cached import Cached, Watched
from .overlay.manifest import BUILD_FILES


def answer_hook(abi: str, shell: str, root: str, low_resolution: bool, env: Mapping[str, str]) -> int:
    """Answer a hook: print the cached activation of `root`, and keep it where the hook looks next time."""
    started = time.time_ns()
    language = shells.find_shell(shell)
    plain = environ.undo(env)
    found = enter(Path(root), plain)
    kept = None
    if found.cacheable:
        kept = cached.witness(found.watch, root, started, plain, low_resolution=low_resolution)
    witnesses, watched = kept or ("", None)
    real = os.path.realpath(root)
    answer = build_cached(found, witnesses, watched, plain)._replace(real="" if real == root else real)
    text = language.render_cached(answer, low_resolution=low_resolution)
    cached.store(answer, text, root, language.name, plain, low_resolution=low_resolution)
    remember(found, started, plain)
    if abi == shells.ABI:
        write(text)
    else:
        # The shell runs another version's hook: give it this one, whose functions the answer needs.
        from .hook.install import update_hook

        say("another version was installed; restart this shell")
        write(language.render_update(shells.build_command(language.name), shells.locate_cached(plain), text))
        update_hook(language, plain)
    silent = found.settings is None or found.settings.level == "silent"
    for line in () if silent else found.news:
        say(line)
    if found.activation and found.config and found.base and not silent and os.path.lexists(found.config.lock):
        from .lock import notice

        notice.mention(found.config, found.base, plain)
    return 0


def answer_checkout(env: Mapping[str, str]) -> int:
    """For git's hook, in a worktree that is new: what entering it would do. One line says what is missing, if anything
    is; always 0."""
    from .hook.githook import strip_environment
    from .worktree import find_root

    started, env = time.time_ns(), strip_environment(env)
    root, plain = find_root(Path(os.getcwd())), environ.undo(env)
    if root is None:
        return 0
    try:
        found = enter(root, plain)
        remember(found, started, plain)
    except WtenvError as error:
        say(str(error))
        return 0
    for line in () if found.settings and found.settings.level == "silent" else found.news:
        say(line)
    if message := "" if found.kind in ("active", "unconfigured") else decision.describe(found):
        say(message)
    return 0


def enter(root: Path, plain: Mapping[str, str]) -> Decision:
    """What entering `root` comes to, with the overlay made where that may be."""
    found = place(decision.decide(root, plain), root, plain)
    if found.kind == "unbuilt" and found.settings and found.settings.sync_auto and found.overlay:
        from . import ready

        found = ready.build_alone(found, root, plain)
    return found


def decide(directory: Path, plain: Mapping[str, str], *, sync: bool = False) -> Decision:
    """What should be active in `directory`, kept for the next `wtenv run`; with the overlay made of kept builds, with
    `sync` as declared."""
    started = time.time_ns()
    found = place(decision.decide(directory, plain), directory, plain)
    if sync and found.overlay and found.overlay.kind != "current":
        from . import ready

        found = ready.build(found, directory, plain)
    remember(found, started, plain)
    return found


def place(found: Decision, directory: Path, plain: Mapping[str, str]) -> Decision:
    """As `ready.place`."""
    if found.kind != "unbuilt":
        return found
    from . import ready

    return ready.place(found, directory, plain)


def build_cached(
    found: Decision, witnesses: str, watched: tuple[Watched, ...] | None, plain: Mapping[str, str]
) -> Cached:
    """What a hook is told about a decision. plain: the shell's environment without what is active in it."""
    message = decision.describe(found)
    identity = found.activation.id if found.activation else ""
    if not identity:
        identity = sha256(f"{found.kind}\0{message}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    prompt = leave_message = ""
    if found.activation and found.worktree and found.settings and found.settings.level == "verbose":
        leave_message = make_printable(f"left {found.worktree.name}")
    if found.settings and found.settings.prompt and found.base and found.worktree:
        prompt = found.base.modifier or f"({found.worktree.name}) "
    return Cached(
        kind=found.kind,
        id=identity,
        message=message,
        level="enter" if found.kind == "active" and not (found.warnings or found.faults) else "problem",
        watched=watched,
        witnesses=witnesses,
        depends_on=tuple(sorted(found.depends_on.items())),
        activation=found.activation,
        shortcut=environ.specialise(plain, found.activation) if found.activation else None,
        prompt=prompt,
        leave_message=leave_message,
        own=find_own(found),
        links=tuple(sorted(found.links.items())),
    )


def find_own(found: Decision) -> str:
    """The folder whose owner the hook looks at: the worktree, of which another user may have made another with the
    same times, where it was in a folder such as /tmp. "" if it is not the user's by itself."""
    if found.activation is None or found.config is None:
        return ""
    try:
        is_own = os.stat(found.config.root).st_uid == os.getuid()
    except OSError:
        return ""
    return str(found.config.root) if is_own else ""


def remember_synced(directory: Path, started: int, plain: Mapping[str, str]) -> None:
    """Keep that a sync had nothing to do, with what it looks at beside what an activation depends on: which files each
    distribution has, and git's index."""
    from . import distributions
    from .changes import Activation
    from .overlay import manifest as manifests
    from .overlay.tracking import find_git
    from .worktree import find_root

    found = decision.decide(directory, plain, activate=False)  # a sync with nothing to do starts no process
    manifest = manifests.read_manifest(found.config.venv) if found.config else None
    if manifest is None or found.config is None or found.overlay is None or found.overlay.kind != "current":
        return
    more = manifests.list_sources(manifest, found.config.venv)
    for item in distributions.list_installed(manifest.site).values():
        more += [os.path.join(item.site, name) for name in item.list_files() if not name.endswith(".pyc")]
    more += [place for item in manifest.editables for place in item.places]
    if git := find_git(found.config.venv):
        more.append(str(git[1] / "index"))
    root = find_root(directory) or found.config.root
    nothing = Activation(str(root), "", None, ())
    remember(found._replace(activation=nothing), started, plain, more, cached_run.SYNCED)


def remember(
    found: Decision,
    started: int,
    plain: Mapping[str, str],
    more: Iterable[str] = (),
    name: str = cached_run.NAME,
) -> None:
    """Keep what was decided, if it is an activation without a warning, which has to be said each time. started: when
    that began (ns since the epoch); more: further paths; name: in which file."""
    if found.activation and found.worktree and found.config and found.cacheable and not found.warnings:
        # The hook does not watch these, which cost at each prompt; here one stat each does not count.
        build = (f"{folder}/{name}" for folder in found.config.packages for name in BUILD_FILES)
        parts = found.overlay.compared if found.overlay else ()
        paths = dict.fromkeys([*map(str, found.watch), *build, *parts, *more])
        depends_on = sorted({**found.asked, **found.depends_on}.items())
        venv, real = str(found.config.venv), str(found.worktree.root)
        links = found.links.items()
        cached.store_run(found.activation, real, venv, paths, depends_on, links, started, plain, name)
