"""Activations: config + base + overlay -> data. The only module that knows all three; it is pure."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import relpath

from . import environ
from .conda import Base
from .config.read import Config
from .digest import sha256
from .environ import Activation, Change, CondaLevel
from .errors import WtenvError


def build_base(base: Base, variables: Mapping[str, str | None]) -> Activation:
    """What `conda activate BASE` does before it runs scripts: the stack, PATH, env_vars.d and state."""
    changes = [Change("PATH", "front", f"{base.prefix}/bin"), *_to_changes(variables)]
    return Activation("", "", _build_level(base), tuple(changes))


def build(
    config: Config,
    base: Base,
    variables: Mapping[str, str | None],
    scripts: Mapping[str, str | None],
    before: Mapping[str, str],
    root: str,
    command: str = "",
) -> Activation:
    """The whole activation.

    variables: the base's own (env_vars.d, state); scripts: what its activate.d scripts changed, starting
    from the environment `before`; root: the worktree's root as the shell sees it; command: see
    `dirs.locate_command`. Later sources win: base, scripts, the overlay's own, dotenv, [env].
    """
    changes = {change.name: [change] for change in _to_changes(variables)}
    front, back = [f"{base.prefix}/bin"], list[str]()
    for name, value in scripts.items():
        if name == "PATH":
            added, back = _find_added(before.get("PATH", ""), value or "")
            front = [*added, *front]
        elif name in changes:
            changes[name] = [_to_change(name, value)]
        else:
            changes[name] = _find_extension(name, before.get(name), value)
    own: dict[str, str | None] = {
        "VIRTUAL_ENV": str(config.venv),
        "VIRTUAL_ENV_PROMPT": config.root.name,
        "PYTHONNOUSERSITE": "1",
        "PYTHONHOME": None,
        # `uv run` would fill the overlay with all that the base has already.
        "UV_NO_SYNC": "1",
    }
    shared = any(source.role == "stack" for source in config.sources)
    if shared or config.venv != config.root / ".venv":
        # uv's own choice is .venv beside the project. Relative where it can be: uv then means the worktree that it is
        # started in.
        own["UV_PROJECT_ENVIRONMENT"] = str(config.venv) if shared else relpath(config.venv, config.root)
    placeholders = {"root": str(config.root), "venv": str(config.venv), "base": base.prefix, **dict(config.words)}
    for name, value in (*own.items(), *config.dotenv, *fill_placeholders(config.env, placeholders)):
        changes[name] = [_to_change(name, value)]
    front = [*config.path, f"{config.venv}/bin", *front]
    back += [command] if command else []
    level = _build_level(base)
    ordered = [
        Change("PATH", "front", ":".join(front)),
        *([Change("PATH", "back", ":".join(back))] if back else []),
        *(change for each in changes.values() for change in each),
    ]
    length = names = 0
    for change in ordered:
        if "\0" in change.value:
            raise WtenvError(f"{change.name} can't hold a NUL byte", "correct its value")
        size = len(change.value.encode("utf-8", "surrogateescape"))
        length += size
        if size > environ.MAX_VALUE or length > environ.MAX_VALUES:
            raise WtenvError(f"with {change.name} no program could be started: it is too long", "shorten its value")
        names += len(change.name) + 1  # WTENV_VARS has them all
        if names > environ.MAX_VALUE:
            raise WtenvError(f"with {change.name} no program could be started: too many variables", "set fewer of them")
    return Activation(root, _identify(root, level, ordered), level, tuple(ordered))


def fill_placeholders(
    variables: tuple[tuple[str, str | None], ...], placeholders: Mapping[str, str]
) -> list[tuple[str, str | None]]:
    """The placeholders replaced in one pass; any other text, braces too, stays as it is."""
    import re

    pattern = re.compile("{(" + "|".join(placeholders) + ")}")
    return [
        (name, value if value is None else pattern.sub(lambda match: placeholders[match[1]], value))
        for name, value in variables
    ]


def find_deciding(
    reads: frozenset[str],
    scripts: Mapping[str, str | None],
    before: Mapping[str, str],
    tested: frozenset[str] = frozenset(),
) -> frozenset[str]:
    """The variables whose other values would have given another activation.

    Those that the scripts mention, less those that they only extend (and do nothing else with: those are `tested`),
    those that the activation itself sets, and those that the shells own.
    """
    extended = {
        name
        for name, value in scripts.items()
        if name == "PATH"
        or any(change.kind in ("front", "back") for change in _find_extension(name, before.get(name), value))
    }
    return frozenset(name for name in (reads - extended) | tested if environ.explain_refusal(name) is None)


def _build_level(base: Base) -> CondaLevel | None:
    return CondaLevel(base.prefix, base.name, base.modifier) if base.kind == "conda" else None


def _to_change(name: str, value: str | None) -> Change:
    return Change(name, "unset") if value is None else Change(name, "set", value)


def _to_changes(variables: Mapping[str, str | None]) -> list[Change]:
    return [_to_change(name, value) for name, value in variables.items()]


def _find_added(old: str, new: str) -> tuple[list[str], list[str]]:
    """The entries that scripts added to PATH: those behind everything that was there, and all others.
    What they took away stays, and an empty entry, which means "here", is not taken over."""
    before, after = old.split(":"), new.split(":")
    last = max((index for index, entry in enumerate(after) if entry in before), default=len(after))
    front, back = (
        [entry for entry in dict.fromkeys(part) if entry and entry not in before]
        for part in (after[:last], after[last:])
    )
    return front, back


def _find_extension(name: str, old: str | None, new: str | None) -> list[Change]:
    """A list that kept its old value whole was extended; anything else was set."""
    if old and new and environ.is_list(name):
        front, middle, back = (":" + new + ":").partition(f":{old}:")
        if middle and ":" not in (front, back):  # an empty entry can't be put anywhere by itself
            changes = []
            if front:
                changes.append(Change(name, "front", front[1:]))
            if back:
                changes.append(Change(name, "back", back[:-1]))
            return changes
    return [_to_change(name, new)]


def _identify(root: str, level: CondaLevel | None, changes: list[Change]) -> str:
    digest = sha256()
    for part in (root, repr(level), repr(changes)):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:16]
