"""Entering and leaving spelled out, for environments like the one that an entry was computed in.

The general way (`__wtenv_apply`, `__wtenv_leave`) looks at each variable in turn: some 400 commands for one
visit. For a `Shortcut` the same is a comparison and a few exports. Where the comparison fails, on the way in
or out, nothing has happened yet, and the general way is taken (`tests/test_environ_shells.py` holds both to
the same model).

Values are compared joined by a character that none of those expected has: then the whole is equal if and
only if each of them is. A variable that should be set, and isn't, reads as that character.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..environ import ID, ROOT, UID, VARS, Shortcut, get_user, new_name, old_name

Quote = Callable[[str], str]

# Of no meaning to any of the shells within double quotes, nor after `${x-`.
_SEPARATORS = ",;|%@^+=\x1f\x1e\x1d\x1c"


class _Plan(NamedTuple):
    """A shortcut, sorted by what a shell has to do. PATH is in `path` and `around` alone.

    unset, kept: what is unset before, and what is set, with its value; sets: what is set then; dropped: what is
    unset then, though it was set; held, absent: what has to be so still for leaving straight; gone: what is unset
    on leaving; path: the PATH that it takes, or "" for any; around: what is put before and behind it, or the
    whole new one and None.
    """

    separator: str
    unset: list[str]
    kept: dict[str, str]
    sets: dict[str, str]
    dropped: list[str]
    held: dict[str, str]
    absent: list[str]
    gone: list[str]
    path: str
    around: tuple[str, str | None]

    def render_path(self, quote: Quote) -> str:
        front, back = self.around
        return quote(front) if back is None else f'{quote(front)}"$PATH"{quote(back)}'


def _make_plan(shortcut: Shortcut) -> _Plan | None:
    before, after = dict(shortcut.before), dict(shortcut.after)
    values = [value for value in (*before.values(), *after.values()) if value]
    separator = next((char for char in _SEPARATORS if not any(char in value for value in values)), "")
    path, new_path = before.pop("PATH", ""), after.pop("PATH", "")
    if not separator or path is None or bool(path) != bool(new_path):
        return None
    state = {VARS: shortcut.names, ID: shortcut.id, ROOT: shortcut.root, UID: get_user()}
    unset = [name for name, value in before.items() if value is None]
    kept = {name: value for name, value in before.items() if value is not None}
    news = {new_name(name): value for name, value in after.items()}
    return _Plan(
        separator=separator,
        unset=unset,
        kept=kept,
        sets={**after, **news, **state},
        dropped=[name for name in kept if name not in after],
        held={VARS: shortcut.names, ID: shortcut.id, **after},
        absent=[name for name in before if name not in after],
        gone=[*unset, *news, *state, new_name("PATH"), old_name("PATH"), *map(old_name, kept)],
        path=path,
        around=(new_path, None) if path else (shortcut.front, shortcut.back),
    )


def render_posix(
    shortcut: Shortcut, prompt: tuple[str, str, str], quote: Quote, *, zsh: bool, old: bool
) -> tuple[str, str]:
    """For bash or zsh: functions, and the commands of `__wtenv_enter` that enter straight and return; they do
    nothing where the shortcut doesn't hold. prompt: conda's part of it before and after, and the prefix for all;
    old: for a bash before 5.1."""
    plan = _make_plan(shortcut)
    if plan is None:
        return "", ""
    sep, saved = plan.separator, ["PATH", *plan.kept]
    if zsh:
        # A number, an array, a read-only or unexported variable needs the general way; so does a tied one.
        look = "[[ ${(t)PATH} == scalar*export* && ${(t)PATH} != *readonly* ]] && "
        kinds, expected = "".join(f"${{(t){name}}}" for name in plan.kept), "scalar-export" * len(plan.kept)
        unset = "".join(f"${{(t){name}}}" for name in plan.unset)  # with TYPESET_TO_UNSET also of what has no value
    else:
        look = '\\builtin local "__wtenv_look=" "__wtenv_flags="\n'
        look += "".join(f"__wtenv_attributes {name}; __wtenv_look=$__wtenv_look$__wtenv_flags\n" for name in saved)
        kinds, expected = "$__wtenv_look", "x" * len(saved)
        # An array may lack [0]. An integer evaluates what it is given, also one that has no value yet; only newer
        # ones say so, for others see `clean`.
        form = "${{{0}[@]+x}}" if old else "${{{0}+x}}${{{0}[@]@a}}"
        unset = "".join(map(form.format, plan.unset))
    found = sep.join([kinds, unset, *_read(plan.kept, sep), "${PATH-}" if plan.path else "${PATH:+x}"])
    wanted = quote(sep.join([expected, "", *plan.kept.values(), plan.path or "x"]))
    look += f'\\builtin test "{found}" = {wanted}'
    olds = " ".join(f'"{old_name(name)}=${name}"' for name in saved)
    sets = " ".join(quote(f"{name}={value}") for name, value in plan.sets.items())
    drop = f"\\builtin unset -v {' '.join(plan.dropped)}\n" if plan.dropped else ""
    show = f"__wtenv_show {' '.join(map(quote, prompt))}\n" if prompt[0] or prompt[2] else ""
    undo = "\\builtin export " + " ".join(f'"{name}=${{{old_name(name)}-}}"' for name in saved)
    # What the user has declared an integer since would evaluate its old value.
    declared, expected_now = _probe(plan.absent), ""
    if zsh:  # made read-only since: zsh would end all functions at once, and not only say so
        kinds_now = "".join(f"${{(t){name}}}" for name in dict.fromkeys([*saved, *plan.held]))
        undo = f'[[ "{kinds_now}" != *(readonly|integer|float|left|right|lower|upper)* ]] || \\builtin return 1\n{undo}'
    elif old:  # can't tell
        undo = f"\\builtin unset -v {' '.join(saved)}\n{undo}"
    else:
        declared = sep.join([declared, *(f"${{{name}[@]@a}}" for name in saved)])
        expected_now = sep.join(["", *("" if name in plan.dropped else "x" for name in saved)])
    held = sep.join([declared, *_read(plan.held, sep)])
    still = quote(sep.join([expected_now, *plan.held.values()]))
    # No reserved words: they may be aliases by now. bash may find a variable read-only that is unset.
    clean = f"\\builtin unset -v {' '.join(plan.unset)} && " if plan.unset and old and not zsh else ""
    functions = f"""\
__wtenv_spell() {{
__wtenv_plain=' ' __wtenv_entered=$$:{quote(shortcut.id)}
{clean}\\builtin export {olds} {sets} && \\builtin export "PATH="{plan.render_path(quote)} ||
{{ __wtenv_leave; \\builtin return 1; }}
\\builtin export "{new_name("PATH")}=$PATH"
{drop}{show}__wtenv_exit() {{
\\builtin test "${{PATH-}}" = "${{{new_name("PATH")}-}}" && \\builtin test "{held}" = {still} || \\builtin return 1
{undo}
\\builtin unset -v {" ".join(plan.gone)}
\\builtin return 0
}}
__wtenv_straight=1
}}
"""
    return functions, f"{look} && __wtenv_spell 2>/dev/null && \\builtin return 0\n"


def render_fish(shortcut: Shortcut, quote: Quote) -> tuple[str, str]:
    """As `render_posix`, for fish."""
    plan = _make_plan(shortcut)
    if plan is None:
        return "", ""
    sep, saved = plan.separator, ["PATH", *plan.kept]
    look = sep.join([*(f"${name}" for name in plan.kept), "$PATH" if plan.path else ""])
    wanted = quote(sep.join([*plan.kept.values(), plan.path]))
    # Kept as the string that others see: *PATH variables are lists in fish. Another list needs the general way.
    olds = [f'set -gx {old_name(name)} "${name}"' for name in saved]
    lists = ["__wtenv_none", *(f"{name}[2]" for name in plan.kept if not name.endswith("PATH"))]
    sets = [f"set -gx {name} {quote(value)}" for name, value in plan.sets.items()]
    drop = [f"set -eg {' '.join(plan.dropped)}"] if plan.dropped else []
    absent = "".join(f"; and not set -q {name}" for name in plan.absent)
    held, still = sep.join(f"${name}" for name in plan.held), quote(sep.join(plan.held.values()))
    undo = [f"__wtenv_restore {name} ${old_name(name)}" for name in plan.kept]
    enter, leave = "\n".join([*olds, *sets, *drop]), "\n".join(undo)
    functions = f"""\
function __wtenv_spell
set -g __wtenv_plain
set -g __wtenv_universal
set -g __wtenv_entered $fish_pid:{quote(shortcut.id)}
{enter}
set -gx PATH {plan.render_path(quote)}
set -gx {new_name("PATH")} "$PATH"
function __wtenv_exit
set -q {" ".join(plan.held)}{absent}; and test "$PATH" = "${new_name("PATH")}"; and test "{held}" = {still}; or return 1
set -gx PATH ${old_name("PATH")}
{leave}
set -eg {" ".join(plan.gone)}
return 0
end
set -g __wtenv_straight 1
end
"""
    return (
        functions,
        f"""\
set -q {" ".join([*plan.unset, "__wtenv_none"])}
if test $status = {len(plan.unset) + 1} -a -n "$PATH" -a "{look}" = {wanted}; and set -qgx {" ".join(saved)}
set -qU {" ".join(saved)}
if test $status = {len(saved)}
set -q {" ".join(lists)}
if test $status = {len(lists)}
__wtenv_spell
return 0
end
end
end
""",
    )


def _probe(names: Iterable[str]) -> str:
    return "".join(f"${{{name}+x}}" for name in names)


def _read(names: Iterable[str], separator: str) -> list[str]:
    return [f"${{{name}-{separator}}}" for name in names]
