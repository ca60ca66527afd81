"""What activate.d scripts read: variables, and files that they source, test, or give to a program to read.

For a plain script, which only assigns, tests and prints, its text tells all. Of any other script, bash's trace of the
run tells which files it sourced and tested, and which programs it started; the text of these files is searched, too.
Two things make a reading incomplete: the trace does not show all (a program that may look at any variable, a name that
is made at run time, a pattern of file names), or each run gives another answer (the clock, a random number). What the
scripts changed then holds only in the shell that asked, and each entering asks again.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from .. import files
from ..errors import WtenvError

# Variables that a shell sets itself: their value in the environment does not count.
_COMPUTED = """_ SHLVL PWD OLDPWD PPID RANDOM SRANDOM SECONDS LINENO FUNCNAME PIPESTATUS EPOCHSECONDS
    EPOCHREALTIME HISTCMD DIRSTACK GROUPS OPTIND OPTARG REPLY COLUMNS LINES IFS PS1 PS2 PS4"""
_MENTION = re.compile(rb"\$\{?[#!]?([A-Za-z_]\w*)|(?:-v|printenv|declare -p|typeset -p)\s+[\"']?([A-Za-z_]\w*)")
_NAME = re.compile(rb"(?<![\w$])[A-Za-z_]\w*")
# In arithmetic a variable is named without `$`.
_ARITHMETIC = re.compile(
    rb"(?s)\(\((.*?)(?:\)\)|\Z)|\blet\s([^\n]*)|\$\[([^\]]*)|\$\{\w+:\s*(\w[^}]*)|\w\[(\w+)\]"
    rb"|(?:(?<!\w)([A-Za-z_]\w*)[ \t]*)?[ \t]-(?:eq|ne|lt|le|gt|ge)[ \t]+([^\s\"';]*)"
)
# The current folder decides, unless `pwd` belongs to the usual `$(cd "$folder" && pwd)`.
_HERE, _MOVES = re.compile(rb"\bpwd\b|\bPWD\b"), re.compile(rb"\b(?:cd|pushd)\s")
# Values that are others in each run.
_FLEETING = re.compile(rb"(?<!\\)\$\$|\b(?:S?RANDOM|SECONDS|EPOCHSECONDS|EPOCHREALTIME|PPID|BASHPID)\b")
# A line that adds an entry to a list mentions the list, but its effect does not depend on the list's value.
_EXTENSION = re.compile(rb"\s*(?:export\s+)?([A-Za-z_]\w*)=([\"']?)[^\s;&|()`]*\2\s*(?:#.*|;?\s*export\s+\1\s*)?$")

# A plain script: apart from the words of the shell's grammar it has nothing but assignments, and builtins that read
# only what the text names. It has no substitution, no file, no test of a file, and no list of variables.
_LEAD = re.compile(rb"(?:(?:if|then|else|elif|while|until|do|!|\{)\s+)*")
_PLAIN = re.compile(
    rb"(?:(?:export|readonly|unset|\[|\[\[|test|echo|printf|return|cd)\s.*|"
    rb"""[A-Za-z_]\w*\+?=(?:"[^"]*"|'[^']*'|[^\s"'])*|"""
    rb"(?::|true|false|return|then|else|fi|do|done|\{|\})(?:\s*#.*)?|#.*|)$"
)
_SUBSTITUTES = re.compile(rb"[(`]|\$\{!|<|\s-p\b|\\\n|\s(?:-[a-gkrsuwxGLNOS]|-h|-nt|-ot|-ef)\s")
_PARTS = re.compile(rb";;?|&&?|\|\|?")
_REDIRECTIONS = re.compile(rb"\s\d?>>?\s?(?:/dev/null|&\d)|\s?&>\s?/dev/null")

# Patterns of file names: in a path, in a list, or in what `for` goes through.
_PATTERN = re.compile(rb"/[^\s\"'=;|&()/]*[*?]|=\([^()\n]*[*?]|\b(?:for\s+\w+\s+in|set\s+--?)\s[^;\n]{0,200}[*?]")

_END = b": wtenv end\n+\x1e\x1e set +x"  # the last lines of a whole trace; `scripts` writes them

# Builtins, and the first words of compound commands in a trace, that read no variable or file but those that the texts
# show.
_HARMLESS = frozenset(
    """: true false echo printf cd pwd pushd popd dirs shift return break continue unset local readonly trap type hash
    alias unalias shopt getopts read mapfile readarray let wait ulimit umask times kill jobs complete bind compopt
    enable exit for case select (( eval exec disown fg bg caller""".split()
)
_TESTS = frozenset({"[", "test", "[["})
_FILE_TESTS = frozenset(f"-{letter}" for letter in "abcdefghkprsuwxGLNOS")  # -a also means "and": one too many at worst
_FILE_ORDERS = frozenset({"-nt", "-ot", "-ef"})
# Programs whose output follows from their arguments, and from the files among these.
_READERS = frozenset("cat head tail cut sort uniq wc sed grep egrep fgrep ls readlink realpath cmp diff".split())
_DEVICES = ("/dev/", "/proc/", "/sys/")
_OTHERS = frozenset(
    """dirname basename uname rm mkdir rmdir mv cp ln touch chmod tr expr sleep true false which tty stty id
    hostname arch nproc seq tee""".split()
)


class Reading(NamedTuple):
    """What scripts read. In doubt it has a name too many, never one too few."""

    names: frozenset[str]  # the variables that are mentioned
    tested: frozenset[str]  # those of them that do more than get another entry
    files: tuple[Path, ...] = ()  # sourced, tested or read; without the scripts themselves
    complete: bool = True  # that is all that they read


def is_plain(text: bytes) -> bool:
    """Whether a script only assigns, tests and prints, so that its own text names all that it reads. In doubt, no."""
    text = _REDIRECTIONS.sub(b"", _strip_comments(text))
    if _SUBSTITUTES.search(text):
        return False
    parts = (part.strip() for line in text.split(b"\n") for part in _PARTS.split(line))
    return all(_PLAIN.match(_LEAD.sub(b"", part, count=1)) for part in parts)


def read_texts(texts: Iterable[bytes]) -> Reading:
    """What plain scripts read."""
    names: set[bytes] = set()
    tested: set[bytes] = set()
    complete = True
    for text in texts:
        for line in text.split(b"\n"):
            found = {mention[1] or mention[2] for mention in _MENTION.finditer(line)}
            names |= found
            extension = _EXTENSION.match(line)
            tested |= found - {extension[1]} if extension else found
        counted = {name for groups in _ARITHMETIC.findall(text) for name in _NAME.findall(b" ".join(groups))}
        names |= counted
        tested |= counted
        code = _strip_comments(text)
        complete = complete and not _FLEETING.search(code) and (not _HERE.search(code) or bool(_MOVES.search(code)))
    return Reading(_clean(names), _clean(tested), complete=complete)


def read_trace(trace: bytes, scripts: Sequence[tuple[Path, bytes]]) -> Reading:
    """What scripts read whose run left `trace`. In it, before each command, stand "+" and BASH_SOURCE between two
    \\x1e."""
    texts = [text for _, text in scripts]
    if not trace.rstrip().endswith(_END):
        return read_texts(texts)._replace(complete=False)
    parts = re.split(rb"(?m)^\++\x1e([^\x1e\n]*)\x1e ?", trace)[1:]
    commands = dict.fromkeys(text.rstrip(b"\n") for source, text in zip(parts[::2], parts[1::2], strict=True) if source)
    found = dict.fromkeys((os.fsdecode(source) for source in parts[::2] if source), True)  # path -> it was sourced
    names: set[str] = set()
    called: set[str] = set()
    complete = True
    for command in commands:
        words = _split(os.fsdecode(command))
        while len(words) > 1 and words[0] in ("command", "builtin", "exec") and not words[1].startswith("-"):
            del words[0]
        word, arguments = (words[0], words[1:]) if words else ("", [])
        base = word.rpartition("/")[2] if word.startswith(("/bin/", "/usr/bin/")) else word
        listed = [item for item in arguments if not item.startswith("-")]
        if word in (".", "source"):
            found[arguments[0] if arguments else ""] = True
        elif word in _TESTS or base in _READERS:
            paths = _list_tested(arguments) if word in _TESTS else _list_read(base, listed)
            found.update((item, False) for item in paths if not item.startswith(_DEVICES) and item not in found)
        elif word in ("type", "hash") or base == "which":
            complete = complete and all(_is_everywhere(item) for item in listed)
        elif word in ("export", "declare", "typeset", "printenv"):
            complete = complete and bool(listed)
            names.update(listed if word == "printenv" or "-p" in arguments else ())
        elif word == "set":
            ends_trace = any(item in ("-", "+o") or (item.startswith("+") and "x" in item) for item in arguments)
            complete = complete and bool(arguments) and not ends_trace
        elif word in ("command", "builtin"):
            complete = complete and arguments[:1] in (["-v"], ["-V"]) and all(map(_is_everywhere, listed))
        elif word.startswith(("PS4=", "BASH_XTRACEFD=")):
            complete = False
        elif not (word in _HARMLESS or base in _OTHERS or _is_assignment(word)):
            called.add(word)
        if word == "eval":
            texts.append(command)
    for path, _ in scripts:
        found.pop(str(path), None)
    for name, sourced in found.items():
        complete = complete and name.startswith("/")
        if sourced:
            try:
                texts.append(files.read_bytes(Path(name)))
            except (FileNotFoundError, NotADirectoryError):
                pass  # it is watched, as it may appear
            except (OSError, WtenvError, ValueError):
                complete = False
    texts = [_strip_comments(text) for text in texts]
    define = re.compile(rb"(?:^|[\s;{}])(?:function\s+([\w.:+-]+)|([\w.:+-]+)\s*\(\s*\))")
    # What a trace does not show: a name that is made at run time, lists of names, and files that a redirection reads.
    hidden = re.compile(
        rb"\$\{!|\bcompgen\b|\b(?:declare|local|typeset)\s+-\w*[in]"
        rb"|(?<![<&])<(?![<(&=])(?!\s*/dev/null)\s*[\"']?[$/\w.~]"
    )
    functions = {os.fsdecode(name) for text in texts for pair in define.findall(text) for name in pair if name}
    complete = complete and called <= functions and not any(hidden.search(text) for text in texts)
    complete = complete and not any(_PATTERN.search(re.sub(rb"\$\{[^{}]*\}", b"$", text)) for text in texts)
    reading = read_texts(texts)
    return Reading(
        reading.names | names,
        reading.tested | names,
        tuple(sorted(Path(name) for name in found if name.startswith("/") and not _is_busy(name))),
        complete and reading.complete,
    )


def _list_tested(words: Sequence[str]) -> list[str]:
    """The files that a test with these words looks at."""
    paths = []
    for index, word in enumerate(words):
        before, after = words[index - 1] if index else "", words[index + 1] if index + 1 < len(words) else ""
        if word in _FILE_ORDERS:
            paths += [before, after]
        elif word in _FILE_TESTS and (word != "-a" or before in ("", "!", "(")) and after not in ("]", "]]", "=", "!="):
            paths.append(after)
    return [path for path in paths if path]


def _list_read(program: str, words: Sequence[str]) -> list[str]:
    """The files among the arguments of one of the _READERS; in doubt too many."""
    names = words[1:] if program in ("sed", "grep", "egrep", "fgrep") else words
    paths = [item for item in words if item.startswith("/") and ":" not in item]
    return paths + [item for item in names if re.fullmatch(r"(?!\d+$)[\w.~+-][\w./~+-]*", item)]


def _is_everywhere(name: str) -> bool:
    """Whether every shell finds a program of that name. For any other name the answer depends on PATH."""
    return any(os.access(f"{folder}/{name}", os.X_OK) for folder in ("/bin", "/usr/bin"))


def _is_busy(path: str) -> bool:
    """Whether `path` is a folder that is always there, and whose time changes often: /, /tmp, the home."""
    try:
        info = os.stat(path)
    except OSError:
        return False
    is_shared = bool(info.st_mode & stat.S_ISVTX) or os.path.realpath(path) == "/"
    return stat.S_ISDIR(info.st_mode) and (is_shared or files.is_same(path, os.path.expanduser("~")))


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.partition("[")[0].removesuffix("+").isidentifier()


def _split(command: str) -> list[str]:
    """The words of a traced command, without bash's quotes."""
    words = re.findall(r"""(?:'[^']*'|\\.|[^\s'\\])+""", command)
    return [re.sub(r"'([^']*)'|\\(.)", lambda part: part[1] or part[2] or "", word) for word in words]


def _strip_comments(text: bytes) -> bytes:
    return re.sub(rb"(?m)^[ \t]*#.*$", b"", text)


def _clean(names: Iterable[bytes]) -> frozenset[str]:
    found = {name.decode() for name in names}.difference(_COMPUTED.split())
    return frozenset(name for name in found if not name.startswith(("BASH", "ZSH")))
