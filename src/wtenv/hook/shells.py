"""Shell text: one quoting function per shell, and what a hook and a cached activation look like in it.

The hooks themselves are files in their own language (`shell/apply.*` and `shell/hook.*`); here they are only put
together, and given their settings. What a hook evaluates for one root is written here, and in `fast`:
tests/golden/cached.*.txt has it whole, and docs/design.md explains each part of it.
"""

from __future__ import annotations

import os
import sys

from .. import names
from ..dirs import ABI as ABI
from ..dirs import locate_cached as locate_cached
from ..errors import WtenvError
from ..watch import EXACT, LATER_OR_ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:  # this module is imported at every start of a shell
    from collections.abc import Sequence

    from ..environ import Activation, Shortcut
    from .cached import Cached, Watched


SWITCHED_BEFORE = "__wtenv_settled"  # $__wtenv_switched in hooks up to ABI 4


def build_wtenv() -> list[str]:
    """How wtenv is started by other programs, whatever PATH and PYTHON* are by then."""
    main = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "__main__.py")
    return [sys.executable, "-I", "-X", "utf8", main]


def build_command(shell: str) -> list[str]:
    """How the hook starts wtenv."""
    return [*build_wtenv(), "export", "--hook", ABI, shell]


class Shell:
    """What one shell's language looks like. Text is `str`, bytes that are not UTF-8 as surrogates."""

    name: str
    array: str  # how a list of quoted words is assigned: NAME, WORDS
    assign: str
    function: str  # NAME, BODY

    def quote(self, value: str) -> str:
        """`value` as one word that this shell reads back byte for byte, whatever its options."""
        raise NotImplementedError

    def render_watch(self, cached: Cached) -> tuple[str, str]:
        """Two texts, to be run once and at each loading. They let `__wtenv_check` do nothing as long as what `cached`
        depends on is as it was; never, if it can't be kept. Its witnesses are in $__wtenv_witnesses.

        The hook has set $__wtenv_below and $__wtenv_real_root: what the place of the shell adds, empty as a rule."""
        raise NotImplementedError

    def compare_variables(self, depends_on: Sequence[tuple[str, str | None]]) -> str:
        """A command that succeeds if the variables have these values; None: is unset."""
        raise NotImplementedError

    def render_fast(self, shortcut: Shortcut, prompt: tuple[str, str, str], *, low_resolution: bool) -> tuple[str, str]:
        """See `fast`: functions, and the commands that enter by them where `shortcut` holds."""
        raise NotImplementedError

    def wrap_hook(self, text: str) -> str:
        """The hook's text as it is given to `eval` or `source`."""
        return text

    def words(self, values: Sequence[str]) -> str:
        return " ".join(map(self.quote, values))

    def render_hook(self, command: Sequence[str], cache: str) -> str:
        """The whole hook, with `command` as the way to start wtenv."""
        settings = [
            self.assign.format("__wtenv_cache", self.quote(cache)),
            self.array.format("__wtenv_command", self.words(command)),
        ]
        text = f"{_read_apply(self.name)}\n{read_text(f'hook.{self.name}')}"
        return self.wrap_hook(text.replace("\n@SETTINGS@\n", "\n" + "\n".join(settings) + "\n"))

    def render_update(self, command: Sequence[str], cache: str, text: str) -> str:
        """`text`, a cached activation, for a shell that runs another version's hook: with this one, whose functions it
        needs. What evaluates it is still a function of the other one, which then looks at a variable of its own."""
        switched = self.assign.format(SWITCHED_BEFORE, "$__wtenv_switched")
        return f"{self.render_hook(command, cache)}\n{text}{switched}\n# end\n"

    def render_cached(self, cached: Cached, *, low_resolution: bool = False) -> str:
        """The text that a hook evaluates for one root. Its last line shows that it arrived whole. low_resolution: for
        a shell that compares whole seconds, so an old one."""
        enter = ""
        if cached.activation:
            enter = self.render_enter(cached.activation, cached.shortcut, cached.prompt, low_resolution=low_resolution)
        once, load = self.render_watch(cached)
        told = (cached.kind, cached.id, cached.message, cached.level, cached.leave_message, cached.witnesses)
        switch = "__wtenv_switch " + self.words(told)
        lines = [
            f"# wtenv {ABI} {self.name}",
            self.assign.format("__wtenv_witnesses", self.quote(cached.witnesses)),
            once,
            self.function.format("__wtenv_depends", self.compare_variables(cached.depends_on)),
            enter,
            self.function.format("__wtenv_load", f"{load}{switch}"),
            "__wtenv_load",
            "# end",
        ]
        return "\n".join(lines) + "\n"

    def render_enter(
        self, activation: Activation, shortcut: Shortcut | None, prompt: str = "", *, low_resolution: bool = False
    ) -> str:
        """The function that enters: by the fast path where the shortcut holds, else in general."""
        functions = fast = ""
        if shortcut:
            modifiers = ("", "")
            if activation.conda:
                modifiers = (shortcut.before.get("CONDA_PROMPT_MODIFIER") or "", activation.conda.modifier)
            functions, fast = self.render_fast(shortcut, (*modifiers, prompt), low_resolution=low_resolution)
        return functions + self.function.format("__wtenv_enter", fast + self.render_apply(activation, prompt))

    def render_apply(self, activation: Activation, prompt: str = "") -> str:
        """The call that enters `activation`."""
        from ..environ import get_user, is_list
        from .fast import NEXT

        conda = activation.conda
        words = [activation.root, activation.id, get_user()]
        words += [conda.prefix, conda.name, conda.modifier] if conda else ["", "", ""]
        # Put together here: a shell that appends to a string or a list copies the whole each time.
        lists = {change.name: change.kind != "unset" and is_list(change.name) for change in activation.changes}
        lists |= {change.name: True for change in activation.changes if change.kind in ("front", "back")}
        words += [prompt, " ".join(name + ":" * as_list for name, as_list in lists.items())]
        lines = [self.words(words)]
        for change in activation.changes:
            letter = "S" if change.kind == "set" and is_list(change.name) else change.kind[0]
            lines.append(self.words([letter, change.name, change.value]))
        return "__wtenv_apply " + NEXT.join(lines)

    def render_script(self, activation: Activation) -> str:
        """Text that enters `activation` in a shell without the hook (and leaves what was active)."""
        return f"{self.render_leave()}{self.render_apply(activation)}\n"

    def render_leave(self) -> str:
        """Text that leaves whatever is active in a shell without the hook."""
        return self.wrap_hook(_read_apply(self.name)) + "\n__wtenv_leave\n"


class Bash(Shell):
    name = "bash"
    assign = "{}={}"
    array = "{}=({})"
    function = "{}() {{ {}; }}"

    def quote(self, value: str) -> str:
        # bash(1), QUOTING: single quotes keep everything but a single quote.
        return "'" + value.replace("'", "'\\''") + "'"

    def wrap_hook(self, text: str) -> str:
        # Each command is parsed after the one before has run: an alias for `if` or `{` makes no difference.
        look = "\\builtin shopt -q expand_aliases && __wtenv_aliases=-s || __wtenv_aliases=-u"
        return f'{look}\n\\builtin shopt -u expand_aliases\n{text}\\builtin shopt "$__wtenv_aliases" expand_aliases'

    def render_watch(self, cached: Cached) -> tuple[str, str]:
        if cached.watched is None:
            return "", '__wtenv_check() { "${1:-__wtenv_decide}"; }\n'
        from .fast import NEXT

        # Each path in a variable of its own: bash expands a bare $x three times faster than a quoted word.
        # ${PWD#…} and not ==, which obeys nocasematch. One command for all of it: this is what a prompt costs.
        assigned, terms = [], ['-z ${WTENV_DISABLE-}${PWD#"$__wtenv_pwd"}']
        terms += ["(-z $__wtenv_below || ! -e .git)"]
        terms += ["(-z $__wtenv_real_root || $__wtenv_relative_root -ef $__wtenv_real_root)"]
        for index, item in enumerate(cached.watched):
            path, witness = f"__wtenv_p{index}", f"__wtenv_w{index}"
            line = f"{path}={self.quote(item.path)}"
            if item.witness is None:
                terms.append(f"! -e ${path}")
            else:
                line += f" {witness}=$__wtenv_witnesses/{item.witness}"
                terms.append(" && ".join(self.compare_times(f"${path}", f"${witness}", item)))
            assigned.append(line)
        for index, (name, real) in enumerate(cached.links):
            assigned.append(f"__wtenv_l{index}={self.quote(name)} __wtenv_r{index}={self.quote(real)}")
            terms.append(f"$__wtenv_l{index} -ef $__wtenv_r{index}")
        if cached.own:
            assigned.append(f"__wtenv_own={self.quote(cached.own)}")
            terms.append("-O $__wtenv_own")
        real_root = f"__wtenv_real_root=${{__wtenv_real_root:-{self.quote(cached.real)}}}\n" if cached.real else ""
        tests = " &&\n\t".join(terms)
        check = f'__wtenv_check() {{ [[ {tests} ]] || "${{1:-__wtenv_decide}}"; }}\n'
        return NEXT.join(assigned), real_root + check

    def compare_times(self, path: str, witness: str, item: Watched) -> list[str]:
        """Tests that are all true as long as the path has not changed, in the way that its mode means."""
        # In bash -nt and -ot are true as well if only one of the two files exists.
        there = [f"-e {path}"] if item.mode == LATER_OR_ABSENT else []
        return [*there, f"! {path} -nt {witness}", *([f"! {path} -ot {witness}"] if item.mode == EXACT else [])]

    def render_fast(self, shortcut: Shortcut, prompt: tuple[str, str, str], *, low_resolution: bool) -> tuple[str, str]:
        from .fast import Bash, OldBash

        return (OldBash if low_resolution else Bash)(self.quote).render(shortcut, prompt)

    def compare_variables(self, depends_on: Sequence[tuple[str, str | None]]) -> str:
        # Not [[ == ]], which obeys nocasematch.
        unset = "".join(f"${{{name}+x}}" for name, value in depends_on if value is None)
        terms = [f"[[ -z {unset} ]]"] if unset else []
        for name, value in depends_on:
            if value is not None:
                terms.append(f'\\builtin test "${{{name}+x}}${{{name}-}}" = {self.quote("x" + value)}')
        return " && ".join(terms) or "\\builtin return 0"


class Zsh(Bash):
    name = "zsh"

    def compare_times(self, path: str, witness: str, item: Watched) -> list[str]:
        # In zsh -nt and -ot are false if one of the two files is missing.
        if item.mode == LATER_OR_ABSENT:
            return [f"{path} -ot {witness}+"]
        return [*([f"{path} -nt {witness}-"] if item.mode == EXACT else []), f"! {path} -nt {witness}"]

    def render_fast(self, shortcut: Shortcut, prompt: tuple[str, str, str], *, low_resolution: bool) -> tuple[str, str]:
        del low_resolution  # makes no difference to it
        from .fast import Zsh

        return Zsh(self.quote).render(shortcut, prompt)

    def wrap_hook(self, text: str) -> str:
        # `emulate -c` parses and later runs the text under zsh's own defaults (zshbuiltins(1), emulate).
        # One line, as with CSH_JUNKIE_QUOTES a newline ends what is in quotes.
        line = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        return f"'builtin' 'emulate' '-R' 'zsh' '-o' 'no_aliases' '-c' $'{line}'"


class Fish(Shell):
    name = "fish"
    assign = "set -g {} {}"
    array = "set -g {} {}"
    function = "function {}\n    {}\nend"

    def quote(self, value: str) -> str:
        # In single quotes fish knows \\ and \' alone. What is not ASCII is written byte by byte, so that
        # neither the locale nor fish's private use of U+F600 to U+F6FF matters ("Quotes", "\X").
        parts, ascii_part = [], ""
        for char in value:
            if char.isascii():
                ascii_part += "\\" + char if char in "\\'" else char
            else:
                raw = "".join(f"\\X{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
                parts += [f"'{ascii_part}'" if ascii_part else "", raw]
                ascii_part = ""
        parts.append(f"'{ascii_part}'" if ascii_part or not parts else "")
        return "".join(parts)

    def render_watch(self, cached: Cached) -> tuple[str, str]:
        # Further arguments of the `test` in __wtenv_check. As in bash, a missing file is older than any other.
        words = ["-o", "-n", "x"] if cached.watched is None else []
        for item in cached.watched or ():
            path, witness = self.quote(item.path), f"$__wtenv_witnesses/{item.witness}"
            if item.witness is None:
                words += ["-o", "-e", path]
            else:
                words += ["-o", "!", "-e", path] if item.mode == LATER_OR_ABSENT else []
                words += ["-o", path, "-nt", witness]
                words += ["-o", path, "-ot", witness] if item.mode == EXACT else []
        for name, real in cached.links:
            # Two that are missing are the same to fish: a name that leads to itself has to be there.
            same = ["-e", self.quote(name)] if name == real else [self.quote(name), "-ef", self.quote(real)]
            words += ["-o", "!", *same]
        words += ["-o", "!", "-O", self.quote(cached.own)] if cached.own else []
        real_root = ""
        if cached.real:
            words_of_root = f"-o ! $__wtenv_relative_root -ef {self.quote(cached.real)}"
            real_root = f'test -n "$__wtenv_real_root"; or set -g __wtenv_real_root {words_of_root}\n    '
        return f"set -g __wtenv_stale {' '.join(words)}", real_root

    def render_fast(self, shortcut: Shortcut, prompt: tuple[str, str, str], *, low_resolution: bool) -> tuple[str, str]:
        del prompt, low_resolution  # fish's prompt is a function of the user's
        from .fast import render_fish

        return render_fish(shortcut, self.quote)

    def compare_variables(self, depends_on: Sequence[tuple[str, str | None]]) -> str:
        unset = " ".join(name for name, value in depends_on if value is None)
        terms = []
        if unset:  # `set -q` with several names gives the number of those that are not set
            terms.append(f"set -q {unset}; test $status = {len(unset.split())}")
        for name, value in depends_on:
            if value is not None:
                terms.append(f'set -q {name}; and test "${name}" = {self.quote(value)}')
        return "; and ".join(terms) or "return 0"


SHELLS: dict[str, Shell] = {shell.name: shell for shell in (Bash(), Zsh(), Fish())}
FORMATS = (*SHELLS, "sh", "json", "dotenv", "gha")  # of `wtenv export`


def find_shell(name: str) -> Shell:
    """The shell called `name`, also as a path or a login shell's name (`-zsh`, `/bin/bash`)."""
    short = os.path.basename(name).lstrip("-")
    if short not in SHELLS:
        raise WtenvError(f"{name} is not a shell that wtenv knows", f"use one of: {', '.join(SHELLS)}")
    return SHELLS[short]


def _read_apply(name: str) -> str:
    """The text that enters and leaves in general, with the names that it never touches."""
    text = read_text(f"apply.{name}").replace("@RESERVED@", names.RESERVED)
    pattern = f"{names.RESERVED}|(?:{names.RESERVED_PARTS})_.*".replace(" ", "|")
    return text.replace("@RESERVED_PARTS@", names.RESERVED_PARTS).replace("@RESERVED_PATTERN@", pattern)


def read_text(name: str) -> str:
    """The file `name` of the folder shell/."""
    here = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    for folder in (here, os.path.dirname(os.path.dirname(here))):  # in a wheel; in a checkout
        path = os.path.join(folder, "shell", name)
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
    raise WtenvError(f"the file {name} is missing from this installation", "install wtenv again")
