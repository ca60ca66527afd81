"""Environments as data: the changes an activation makes, how they are applied, and how they are undone.

An environment is a `dict[str, str]`; bytes that are not UTF-8 are carried as lone surrogates (PEP 383).
The hooks in `shell/` do the same with builtins; this module is the model that they are tested against.

The state is kept in the environment itself, raw, so that every shell reads it without evaluating it:

    WTENV_ROOT        the worktree (or stack) that is active
    WTENV_ID          which activation it is (a digest)
    WTENV_UID         the user whose shell entered; nothing is put back from another's state
    WTENV_VARS        the names that were changed, separated by spaces; a list variable ends in ":"
    WTENV_OLD_NAME_   the value before; missing if it was unset
    WTENV_NEW_NAME_   the value that we gave; missing if we unset it

The underscore at the end keeps the names off fish's rule that a variable called *PATH is a list.
"""

from __future__ import annotations

import os

from .names import explain_refusal as explain_refusal
from .names import is_name as is_name
from .names import is_reserved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .changes import Activation as Activation
    from .changes import Change as Change
    from .changes import CondaLevel as CondaLevel
    from .changes import Shortcut as Shortcut
else:
    # `wtenv run` applies what is known by this module, and typing takes longer than all the rest of that.
    def __getattr__(name):
        from . import changes

        return getattr(changes, name)


Environment = dict[str, str]

ROOT, ID, UID, VARS = "WTENV_ROOT", "WTENV_ID", "WTENV_UID", "WTENV_VARS"
# Nothing sets it: an answer that depends on it holds where it is in effect, and is not entered by again.
NEVER = "WTENV_NEVER"

# In bytes. Linux starts no program with a longer variable (128 KiB, MAX_ARG_STRLEN), nor with more in all (a quarter
# of the stack's limit, as a rule 2 MiB; macOS: 1 MiB), and what is set stands in the environment twice.
MAX_VALUE, MAX_VALUES = 100_000, 300_000
# More than this, and one long command takes a shell longer to read than many short ones.
MAX_SHORTCUT = 300


def is_list(name: str) -> bool:
    """Whether a variable is a ":"-separated list whose entries are undone one by one."""
    return name.endswith(("PATH", "_DIRS"))


def is_state(name: str) -> bool:
    """Whether `name` is part of wtenv's state in the environment."""
    return name in (ROOT, ID, UID, VARS) or name.startswith(("WTENV_OLD_", "WTENV_NEW_"))


def old_name(name: str) -> str:
    return f"WTENV_OLD_{name}_"


def new_name(name: str) -> str:
    return f"WTENV_NEW_{name}_"


def apply(env: Mapping[str, str], activation: Activation) -> Environment:
    """`env` with `activation` in effect, its state included. Whatever was active before is left first."""
    result = undo(env)
    before = dict(result)
    touched: dict[str, bool] = {}  # name -> is a list

    def put(name: str, value: str | None, as_list: bool = False) -> None:
        touched[name] = touched.get(name, False) or as_list or (value is not None and is_list(name))
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value

    if activation.conda:
        for name, value in _stack(result, activation.conda).items():
            put(name, value)
    for change in activation.changes:
        if change.kind in ("front", "back"):
            put(change.name, _extend(result.get(change.name, ""), change), as_list=True)
        else:
            put(change.name, change.value if change.kind == "set" else None)
    for name in touched:
        if name in before:
            result[old_name(name)] = before[name]
        if name in result:
            result[new_name(name)] = result[name]
    result[ROOT], result[ID], result[UID] = activation.root, activation.id, get_user()
    result[VARS] = " ".join(name + ":" * is_list_ for name, is_list_ in touched.items())
    return result


def specialise(env: Mapping[str, str], activation: Activation) -> Shortcut | None:
    """The shortcut for environments like `env`, with nothing active in it; None where there can't be one."""
    applied = apply(env, activation)
    path = env.get("PATH", "")
    touched = [item.removesuffix(":") for item in applied[VARS].split(" ")]
    if not path or "PATH" not in touched or len(touched) > MAX_SHORTCUT:
        return None
    if activation.conda and "CONDA_SHLVL" not in touched:
        return None  # it decided (conda re-activates in place) without being changed
    ends = {change.kind: change.value for change in activation.changes if change.name == "PATH"}
    front, back = (f"{ends['front']}:" if "front" in ends else ""), (f":{ends['back']}" if "back" in ends else "")
    replaces = activation.conda and conda_level(env) and env.get("CONDA_PREFIX")  # see `_stack`
    if not replaces and applied.get("PATH") == front + path + back:
        touched.remove("PATH")
    else:
        front = back = ""
    from .changes import Shortcut

    return Shortcut(
        id=activation.id,
        root=activation.root,
        before={name: env.get(name) for name in touched},
        after={name: applied[name] for name in touched if name in applied},
        front=front,
        back=back,
        names=applied[VARS],
    )


def _extend(value: str, change: Change) -> str:
    # An empty or unset list has no entries; joining it would add an empty one, which means "here".
    parts = (change.value, value) if change.kind == "front" else (value, change.value)
    return ":".join(part for part in parts if part)


def _stack(env: Mapping[str, str], conda: CondaLevel) -> Environment:
    """conda's own variables one level up, and PATH without the entry of the environment that is replaced."""
    changed = {
        "CONDA_PREFIX": conda.prefix,
        "CONDA_DEFAULT_ENV": conda.name,
        "CONDA_PROMPT_MODIFIER": conda.modifier,
    }
    level, old = conda_level(env), env.get("CONDA_PREFIX", "")
    if not level or not old:
        return {"CONDA_SHLVL": "1", **changed}
    entries = env["PATH"].split(":") if env.get("PATH") else []
    if f"{old}/bin" in entries:
        entries.remove(f"{old}/bin")
        changed["PATH"] = ":".join(entries)
    if old == conda.prefix:  # conda re-activates in place: no new level
        return changed
    return {"CONDA_SHLVL": str(level + 1), f"CONDA_PREFIX_{level}": old, **changed}


def conda_level(env: Mapping[str, str]) -> int:
    """CONDA_SHLVL as a number; 0 for anything that is not a small plain number."""
    text = env.get("CONDA_SHLVL", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0


def get_user() -> str:
    """The user whose state this process may undo, as WTENV_UID has it."""
    return str(os.geteuid())


def undo(env: Mapping[str, str]) -> Environment:
    """`env` without wtenv's changes and state: ours are taken back, the user's since then are kept.

    A variable that still has our value gets its old one back. A list that the user changed loses our
    entries and regains those we had taken out. Any other changed variable stays as the user set it.

    The state may come from anywhere (su, sudo, ssh, a program). So a reserved name in it is never touched, and
    where another user's shell entered, what that added is taken out, and nothing of its values comes back.
    """
    result = {name: value for name, value in env.items() if not is_state(name)}
    foreign = env.get(UID) != get_user()
    keep = frozenset[str]() if foreign else _unstack(env, result)
    for item in env.get(VARS, "").split(" "):
        name = item.removesuffix(":")
        if not is_name(name) or name in keep or is_reserved(name):
            continue
        now, old, new = env.get(name), env.get(old_name(name)), env.get(new_name(name))
        if now != new or foreign:
            if now is None or (now != new and not item.endswith(":")):
                continue
            if item.endswith(":"):
                moved = env.get("CONDA_PREFIX") != env.get(new_name("CONDA_PREFIX"), env.get("CONDA_PREFIX"))
                restore = not foreign and not (name == "PATH" and moved)
                merged = merge_lists(now, new or "", old or "", restore=restore)
                old = merged if merged or old is not None else None
            else:
                old = None
        if old is None:
            result.pop(name, None)
        else:
            result[name] = old
    return result


def _unstack(env: Mapping[str, str], result: Environment) -> frozenset[str]:
    """Take our level out of conda's stack where the user has activated another environment on top.

    Changes `result`; returns the names that are settled by that.
    """
    ours = conda_level({"CONDA_SHLVL": env.get(new_name("CONDA_SHLVL"), "")})
    level, prefix = conda_level(env), env.get(new_name("CONDA_PREFIX"))
    if not ours or level <= ours or env.get(f"CONDA_PREFIX_{ours}") != prefix:
        return frozenset()
    for index in range(ours, level - 1):
        result[f"CONDA_PREFIX_{index}"] = result.get(f"CONDA_PREFIX_{index + 1}", "")
    result.pop(f"CONDA_PREFIX_{level - 1}", None)
    result["CONDA_SHLVL"] = str(level - 1)
    return frozenset({"CONDA_SHLVL", f"CONDA_PREFIX_{ours - 1}"})


def merge_lists(now: str, new: str, old: str, *, restore: bool = True) -> str:
    """The user's `now` with our changes from `old` to `new` taken back, entry by entry.

    Entries that we added are removed once each; those that we took out come back before the entry
    that followed them (at the end if there is none), unless `restore` is false.
    """
    before, entries = _split(old), _split(now)
    taken = list(before)
    for entry in _split(new):
        if entry in taken:
            taken.remove(entry)
        elif entry in entries:
            entries.remove(entry)
    for entry in taken if restore else ():
        if entry not in entries:
            after = before[before.index(entry) + 1 :]
            place = next((entries.index(e) for e in after if e in entries), len(entries))
            entries.insert(place, entry)
    return ":".join(entries)


def _split(value: str) -> list[str]:
    return value.split(":") if value else []


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    """What turns `before` into `after`: name -> new value, None for unset; sorted by name."""
    names: Iterable[str] = sorted(before.keys() | after.keys())
    return {name: after.get(name) for name in names if before.get(name) != after.get(name)}
