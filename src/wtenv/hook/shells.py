"""Shell text: one quoting function per shell, and the rendering of hooks and entries.

The hooks themselves are files in their own language (`shell/wtenv.*`); here they are only given their
settings. An *entry* is the text that a hook evaluates, and keeps in the cache: conditions under which
it holds, the activation as arguments of `__wtenv_apply`, and a call of `__wtenv_settle`.
"""

from __future__ import annotations

import os
import sys

from .. import names
from ..dirs import ABI as ABI
from ..dirs import locate_entries as locate_entries
from ..errors import WtenvError
from ..watch import EXACT, LATER_OR_ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:  # this module is imported at every start of a shell
    from collections.abc import Sequence

    from ..environ import Activation, Shortcut
    from .entry import Entry, Watched

_MARK = "# --- the hook ---"


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

    def render_watch(self, entry: Entry) -> tuple[str, str]:
        """Two texts, to be run once and at each arrival. They let `__wtenv_check` do nothing as long as what `entry`
        depends on is as it was; never, if it can't be kept. Stamps are in $__wtenv_stamps.

        The hook has set $__wtenv_new and $__wtenv_way (fish: $__wtenv_here, $__wtenv_way): what the place of the shell
        adds, empty as a rule."""
        raise NotImplementedError

    def test_guards(self, guards: Sequence[tuple[str, str | None]]) -> str:
        """A command that succeeds if the variables have these values."""
        raise NotImplementedError

    def render_straight(self, shortcut: Shortcut, prompt: tuple[str, str, str], *, coarse: bool) -> tuple[str, str]:
        """See `straight`."""
        raise NotImplementedError

    def wrap_hook(self, text: str) -> str:
        """The hook's text as it is given to `eval` or `source`."""
        return text

    def words(self, values: Sequence[str]) -> str:
        return " ".join(map(self.quote, values))

    def render_hook(self, command: Sequence[str], cache: str) -> str:
        """The whole hook, with `command` as the way to start wtenv."""
        settings = [
            self.assign.format("__wtenv_abi", self.quote(ABI)),
            self.assign.format("__wtenv_cache", self.quote(cache)),
            self.array.format("__wtenv_command", self.words(command)),
        ]
        return self.wrap_hook(_read_hook(self.name).replace("@SETTINGS@", "\n".join(settings)))

    def render_entry(self, entry: Entry, *, coarse: bool = False) -> str:
        """The text that a hook evaluates for one root. Its last line shows that it arrived whole. coarse: for a
        shell that compares whole seconds, so an old one."""
        enter = ""
        if entry.activation:
            enter = self.render_enter(entry.activation, entry.shortcut, entry.prompt, coarse=coarse)
        once, arrive = self.render_watch(entry)
        told = (entry.kind, entry.id, entry.message, entry.level, entry.farewell, entry.stamps)
        settle = "__wtenv_settle " + self.words(told)
        lines = [
            f"# wtenv {ABI} {self.name}",
            self.assign.format("__wtenv_stamps", self.quote(entry.stamps)),
            once,
            self.function.format("__wtenv_guard", self.test_guards(entry.guards)),
            enter,
            self.function.format("__wtenv_arrive", f"{arrive}{settle}"),
            "__wtenv_arrive",
            "# end",
        ]
        return "\n".join(lines) + "\n"

    def render_enter(
        self, activation: Activation, shortcut: Shortcut | None, prompt: str = "", *, coarse: bool = False
    ) -> str:
        """The function that enters: straight where the shortcut holds, else the general way."""
        functions = straight = ""
        if shortcut:
            modifiers = ("", "")
            if activation.conda:
                modifiers = (shortcut.before.get("CONDA_PROMPT_MODIFIER") or "", activation.conda.modifier)
            functions, straight = self.render_straight(shortcut, (*modifiers, prompt), coarse=coarse)
        return functions + self.function.format("__wtenv_enter", straight + self.render_apply(activation, prompt))

    def render_apply(self, activation: Activation, prompt: str = "") -> str:
        """The call that enters `activation`."""
        from ..environ import get_user, is_list

        conda = activation.conda
        words = [activation.root, activation.id, get_user()]
        words += [conda.prefix, conda.name, conda.modifier] if conda else ["", "", ""]
        # Put together here: a shell that appends to a string or a list copies the whole each time.
        lists = {change.name: change.kind != "unset" and is_list(change.name) for change in activation.changes}
        lists |= {change.name: True for change in activation.changes if change.kind in ("front", "back")}
        words += [prompt, " ".join(name + ":" * as_list for name, as_list in lists.items())]
        for change in activation.changes:
            letter = "S" if change.kind == "set" and is_list(change.name) else change.kind[0]
            words += [letter, change.name, change.value]
        return "__wtenv_apply " + self.words(words)

    def render_script(self, activation: Activation) -> str:
        """Text that enters `activation` in a shell without the hook (and leaves what was active)."""
        return f"{self.render_leave()}{self.render_apply(activation)}\n"

    def render_leave(self) -> str:
        """Text that leaves whatever is active in a shell without the hook."""
        return self.wrap_hook(_read_hook(self.name).partition(_MARK)[0]) + "\n__wtenv_leave\n"


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

    def render_watch(self, entry: Entry) -> tuple[str, str]:
        if entry.watched is None:
            return "", '__wtenv_check() { "${1:-__wtenv_decide}"; }\n'
        # Each path in a variable of its own: bash expands a bare $x three times faster than a quoted word.
        # ${PWD#…} and not ==, which obeys nocasematch. One command for all of it: this is what a prompt costs.
        assigned, terms = [], ['-z ${WTENV_DISABLE-}${PWD#"$__wtenv_pwd"}']
        terms += ["(-z $__wtenv_new || ! -e .git)", "(-z $__wtenv_way || $__wtenv_top -ef $__wtenv_way)"]
        for index, item in enumerate(entry.watched):
            path, stamp = f"__wtenv_p{index}", f"__wtenv_s{index}"
            assigned.append(f"{path}={self.quote(item.path)}")
            if item.stamp is None:
                terms.append(f"! -e ${path}")
            else:
                assigned.append(f"{stamp}=$__wtenv_stamps/{item.stamp}")
                terms += self.compare_times(f"${path}", f"${stamp}", item)
        for index, (name, real) in enumerate(entry.links):
            assigned += [f"__wtenv_l{index}={self.quote(name)}", f"__wtenv_r{index}={self.quote(real)}"]
            terms.append(f"$__wtenv_l{index} -ef $__wtenv_r{index}")
        if entry.own:
            assigned.append(f"__wtenv_own={self.quote(entry.own)}")
            terms.append("-O $__wtenv_own")
        way = f"__wtenv_way=${{__wtenv_way:-{self.quote(entry.real)}}}\n" if entry.real else ""
        check = f'__wtenv_check() {{ [[ {" && ".join(terms)} ]] || "${{1:-__wtenv_decide}}"; }}\n'
        return " ".join(assigned), way + check

    def compare_times(self, path: str, stamp: str, item: Watched) -> list[str]:
        # In bash -nt and -ot are true as well if only one of the two files exists.
        there = [f"-e {path}"] if item.mode == LATER_OR_ABSENT else []
        return [*there, f"! {path} -nt {stamp}", *([f"! {path} -ot {stamp}"] if item.mode == EXACT else [])]

    def render_straight(self, shortcut: Shortcut, prompt: tuple[str, str, str], *, coarse: bool) -> tuple[str, str]:
        from .fast import render_posix

        return render_posix(shortcut, prompt, self.quote, zsh=self.name == "zsh", old=coarse)

    def test_guards(self, guards: Sequence[tuple[str, str | None]]) -> str:
        # Not [[ == ]], which obeys nocasematch.
        unset = "".join(f"${{{name}+x}}" for name, value in guards if value is None)
        terms = [f"[[ -z {unset} ]]"] if unset else []
        for name, value in guards:
            if value is not None:
                terms.append(f'\\builtin test "${{{name}+x}}${{{name}-}}" = {self.quote("x" + value)}')
        return " && ".join(terms) or "\\builtin return 0"


class Zsh(Bash):
    name = "zsh"

    def compare_times(self, path: str, stamp: str, item: Watched) -> list[str]:
        # In zsh -nt and -ot are false if one of the two files is missing. An entry with stamps has exact ones.
        if item.mode == LATER_OR_ABSENT:
            return [f"{path} -ot {stamp}+"]
        return [*([f"{path} -nt {stamp}-"] if item.mode == EXACT else []), f"! {path} -nt {stamp}"]

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
        parts, plain = [], ""
        for char in value:
            if char.isascii():
                plain += "\\" + char if char in "\\'" else char
            else:
                raw = "".join(f"\\X{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
                parts += [f"'{plain}'" if plain else "", raw]
                plain = ""
        parts.append(f"'{plain}'" if plain or not parts else "")
        return "".join(parts)

    def render_watch(self, entry: Entry) -> tuple[str, str]:
        # Further arguments of the `test` in __wtenv_check. As in bash, a missing file is older than any other.
        words = ["-o", "-n", "x"] if entry.watched is None else []
        for item in entry.watched or ():
            path, stamp = self.quote(item.path), f"$__wtenv_stamps/{item.stamp}"
            if item.stamp is None:
                words += ["-o", "-e", path]
            else:
                words += ["-o", "!", "-e", path] if item.mode == LATER_OR_ABSENT else []
                words += ["-o", path, "-nt", stamp]
                words += ["-o", path, "-ot", stamp] if item.mode == EXACT else []
        for name, real in entry.links:
            # Two that are missing are the same to fish: a name that leads to itself has to be there.
            same = ["-e", self.quote(name)] if name == real else [self.quote(name), "-ef", self.quote(real)]
            words += ["-o", "!", *same]
        words += ["-o", "!", "-O", self.quote(entry.own)] if entry.own else []
        way = ""
        if entry.real:
            real = self.quote(entry.real)
            way = f'test -n "$__wtenv_way"; or set -g __wtenv_way -o ! $__wtenv_top -ef {real}\n    '
        return f"set -g __wtenv_stale {' '.join(words)}", way

    def render_straight(self, shortcut: Shortcut, prompt: tuple[str, str, str], *, coarse: bool) -> tuple[str, str]:
        del prompt, coarse  # fish's prompt is a function of the user's
        from .fast import render_fish

        return render_fish(shortcut, self.quote)

    def test_guards(self, guards: Sequence[tuple[str, str | None]]) -> str:
        unset = " ".join(name for name, value in guards if value is None)
        terms = []
        if unset:  # `set -q` with several names gives the number of those that are not set
            terms.append(f"set -q {unset}; test $status = {len(unset.split())}")
        for name, value in guards:
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


def _read_hook(name: str) -> str:
    text = read_text(f"wtenv.{name}").replace("@RESERVED@", names.RESERVED)
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
