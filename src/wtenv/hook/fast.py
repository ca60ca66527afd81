"""The fast path: entering and leaving spelled out, for environments like the one that an activation was computed in.

The general way (`__wtenv_apply`, `__wtenv_leave`) looks at each variable in turn: some 400 commands for one
visit. For a `Shortcut` the same is a comparison and a few exports. Where the comparison fails, on the way in
or out, nothing has happened yet, and the general way is taken (`tests/test_environ_shells.py` holds both to
the same model; tests/golden/ shows the text).

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
# Between the arguments of a long command: a shell reads on, and people can, too.
NEXT = " \\\n\t"


class _Plan(NamedTuple):
    """A shortcut, sorted by what a shell has to do. PATH is in `path` and `around` alone."""

    separator: str
    unset: list[str]
    """What has to be unset before."""
    kept: dict[str, str]
    """What has to be set before, with its value."""
    sets: dict[str, str]
    """What is set on entering, the state included."""
    dropped: list[str]
    """What is unset on entering, though it was set."""
    held: dict[str, str]
    """What has to have these values still, for leaving by the fast path."""
    absent: list[str]
    """What has to be unset still, for that."""
    gone: list[str]
    """What is unset on leaving."""
    path: str
    """The PATH that it takes, or "" for any."""
    around: tuple[str, str | None]
    """What is put before PATH and behind it, or the whole new one and None."""

    @property
    def saved(self) -> list[str]:
        """What has an old value to come back."""
        return ["PATH", *self.kept]

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


class Bash:
    """For a bash that compares times to the nanosecond, so a newer one (5.0 does)."""

    def __init__(self, quote: Quote) -> None:
        self.quote = quote

    def render(self, shortcut: Shortcut, prompt: tuple[str, str, str]) -> tuple[str, str]:
        """Functions, and the commands of `__wtenv_enter` that enter by them and return; they do nothing where the
        shortcut doesn't hold. prompt: conda's part of it before and after, and the prefix for all."""
        plan = _make_plan(shortcut)
        if plan is None:
            return "", ""
        look, kinds, expected, unset = self.look_before(plan)
        sep, quote = plan.separator, self.quote
        found = sep.join([kinds, unset, *_read(plan.kept, sep), "${PATH-}" if plan.path else "${PATH:+x}"])
        wanted = quote(sep.join([expected, "", *plan.kept.values(), plan.path or "x"]))
        olds = [f'"{old_name(name)}=${name}"' for name in plan.saved]
        export = NEXT.join([*olds, *(quote(f"{name}={value}") for name, value in plan.sets.items())])
        drop = f"\\builtin unset -v {' '.join(plan.dropped)}\n" if plan.dropped else ""
        show = f"__wtenv_show {' '.join(map(quote, prompt))}\n" if prompt[0] or prompt[2] else ""
        kinds, expected = self.look_again(plan)
        held = sep.join([kinds, *_read(plan.held, sep)])
        still = quote(sep.join([expected, *plan.held.values()]))
        # No reserved words: they may be aliases by now.
        functions = f"""\
__wtenv_enter_fast() {{
__wtenv_unexported=' ' __wtenv_entered=$$:{quote(shortcut.id)}
{self.clean(plan)}\\builtin export {export} && \\builtin export "PATH="{plan.render_path(quote)} ||
{{ __wtenv_leave; \\builtin return 1; }}
\\builtin export "{new_name("PATH")}=$PATH"
{drop}{show}__wtenv_leave_fast() {{
\\builtin test "${{PATH-}}" = "${{{new_name("PATH")}-}}" &&
\\builtin test "{held}" = {still} || \\builtin return 1
{self.prepare_undo(plan)}\\builtin export {" ".join(f'"{name}=${{{old_name(name)}-}}"' for name in plan.saved)}
\\builtin unset -v {" ".join(plan.gone)}
\\builtin return 0
}}
__wtenv_fast=1
}}
"""
        return (
            functions,
            f'{look}\\builtin test "{found}" = {wanted} &&\n__wtenv_enter_fast 2>/dev/null && \\builtin return 0\n',
        )

    def look_before(self, plan: _Plan) -> tuple[str, str, str, str]:
        """Commands; what they tell of the attributes of what is saved, and what that has to be; and what tells, if it
        is not empty, that something is set, or declared, which has to be unset."""
        look = '\\builtin local "__wtenv_found=" "__wtenv_flags="\n'
        look += "".join(
            f"__wtenv_attributes {name}; __wtenv_found=$__wtenv_found$__wtenv_flags\n" for name in plan.saved
        )
        return look, "$__wtenv_found", "x" * len(plan.saved), "".join(map(self.ask_unset, plan.unset))

    def ask_unset(self, name: str) -> str:
        # An integer evaluates what it is given, also one that has no value yet.
        return f"${{{name}+x}}${{{name}[@]@a}}"

    def look_again(self, plan: _Plan) -> tuple[str, str]:
        """What tells, before leaving, what is set of that which should not be, and the attributes of what is saved; and
        what that has to be."""
        # What the user has declared an integer since would evaluate its old value.
        kinds = plan.separator.join([_probe(plan.absent), *(f"${{{name}[@]@a}}" for name in plan.saved)])
        return kinds, plan.separator.join(["", *("" if name in plan.dropped else "x" for name in plan.saved)])

    def clean(self, plan: _Plan) -> str:
        """Commands that come before the export, as far as they succeed."""
        del plan
        return ""

    def prepare_undo(self, plan: _Plan) -> str:
        """Commands that come before the old values."""
        del plan
        return ""


class OldBash(Bash):
    """For an older one, which does not tell the attributes of what has no value."""

    def ask_unset(self, name: str) -> str:
        return f"${{{name}[@]+x}}"  # an array may lack [0]

    def clean(self, plan: _Plan) -> str:
        # An integer that has no value yet; it may be found read-only.
        return f"\\builtin unset -v {' '.join(plan.unset)} && " if plan.unset else ""

    def look_again(self, plan: _Plan) -> tuple[str, str]:
        return _probe(plan.absent), ""

    def prepare_undo(self, plan: _Plan) -> str:
        return f"\\builtin unset -v {' '.join(plan.saved)}\n"


class Zsh(Bash):
    """For zsh."""

    def look_before(self, plan: _Plan) -> tuple[str, str, str, str]:
        # A number, an array, a read-only or unexported variable needs the general way; so does a tied one.
        look = "[[ ${(t)PATH} == scalar*export* && ${(t)PATH} != *readonly* ]] &&\n"
        kinds, expected = "".join(f"${{(t){name}}}" for name in plan.kept), "scalar-export" * len(plan.kept)
        # With TYPESET_TO_UNSET also of what has no value.
        return look, kinds, expected, "".join(f"${{(t){name}}}" for name in plan.unset)

    def look_again(self, plan: _Plan) -> tuple[str, str]:
        return _probe(plan.absent), ""

    def prepare_undo(self, plan: _Plan) -> str:
        # Made read-only since: zsh would end all functions at once, and not only say so.
        kinds = "".join(f"${{(t){name}}}" for name in dict.fromkeys([*plan.saved, *plan.held]))
        return f'[[ "{kinds}" != *(readonly|integer|float|left|right|lower|upper)* ]] || \\builtin return 1\n'


def render_fish(shortcut: Shortcut, quote: Quote) -> tuple[str, str]:
    """As `Bash.render`, for fish, whose prompt is a function of the user's."""
    plan = _make_plan(shortcut)
    if plan is None:
        return "", ""
    sep, saved = plan.separator, plan.saved
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
    enter, leave = "\n".join([*olds, *sets, *drop]), "".join(f"{line}\n" for line in undo)
    functions = f"""\
function __wtenv_enter_fast
set -g __wtenv_unexported
set -g __wtenv_universal
set -g __wtenv_entered $fish_pid:{quote(shortcut.id)}
{enter}
set -gx PATH {plan.render_path(quote)}
set -gx {new_name("PATH")} "$PATH"
function __wtenv_leave_fast
set -q {" ".join(plan.held)}{absent}; and test "$PATH" = "${new_name("PATH")}"
and test "{held}" = {still}; or return 1
set -gx PATH ${old_name("PATH")}
{leave}set -eg {" ".join(plan.gone)}
return 0
end
set -g __wtenv_fast 1
end
"""
    # `set -q` tells how many of the names are missing: nothing of the unset ones is there. __wtenv_none, which is
    # never set, makes it one name at least, as without any `set -q` would tell something else.
    return (
        functions,
        f"""\
set -q {" ".join([*plan.unset, "__wtenv_none"])}
if test $status = {len(plan.unset) + 1} -a -n "$PATH" -a "{look}" = {wanted}; and set -qgx {" ".join(saved)}
set -qU {" ".join(saved)}
if test $status = {len(saved)}
set -q {" ".join(lists)}
if test $status = {len(lists)}
__wtenv_enter_fast
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
