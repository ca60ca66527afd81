"""What activate.d scripts read: variables, and files that they source, test or have read by a program.

A script that only assigns is read as a text: its words tell what it depends on. Of any other, bash's own trace of the
run tells which files it sourced and tested and which programs it started; those texts are then read too. Where that
can't tell all (a program that may look at any variable, a name that is only made at run time, a pattern of file names,
no trace), or where the answer is another one each time (the clock, a random number), it is said: such an answer holds
where it was asked for, and is asked for again.
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

# What a shell computes itself: never the same twice, or never taken from the environment.
_COMPUTED = """_ SHLVL PWD OLDPWD PPID RANDOM SRANDOM SECONDS LINENO FUNCNAME PIPESTATUS EPOCHSECONDS
    EPOCHREALTIME HISTCMD DIRSTACK GROUPS OPTIND OPTARG REPLY COLUMNS LINES IFS PS1 PS2 PS4"""
_MENTION = re.compile(rb"\$\{?[#!]?([A-Za-z_]\w*)|(?:-v|printenv|declare -p|typeset -p)\s+[\"']?([A-Za-z_]\w*)")
_NAME = re.compile(rb"(?<![\w$])[A-Za-z_]\w*")
# In arithmetic a variable has no `$`.
_ARITHMETIC = re.compile(
    rb"(?s)\(\((.*?)(?:\)\)|\Z)|\blet\s([^\n]*)|\$\[([^\]]*)|\$\{\w+:\s*(\w[^}]*)|\w\[(\w+)\]"
    rb"|(?:(?<!\w)([A-Za-z_]\w*)[ \t]*)?[ \t]-(?:eq|ne|lt|le|gt|ge)[ \t]+([^\s\"';]*)"
)
# The folder that the shell stands in, but for the usual `$(cd "$folder" && pwd)`.
_HERE, _MOVES = re.compile(rb"\bpwd\b|\bPWD\b"), re.compile(rb"\b(?:cd|pushd)\s")
# What no two runs have in common.
_FLEETING = re.compile(rb"(?<!\\)\$\$|\b(?:S?RANDOM|SECONDS|EPOCHSECONDS|EPOCHREALTIME|PPID|BASHPID)\b")
# A line that gives a list one more entry mentions the list, and does not depend on it.
_EXTENSION = re.compile(rb"\s*(?:export\s+)?([A-Za-z_]\w*)=([\"']?)[^\s;&|()`]*\2\s*(?:#.*|;?\s*export\s+\1\s*)?$")

# A plain script: behind the words of the shell's grammar nothing but assignments, and builtins that read what the
# text says. No substitution, file (nor a test of one) or list of variables.
_LEAD = re.compile(rb"(?:(?:if|then|else|elif|while|until|do|!|\{)\s+)*")
_PLAIN = re.compile(
    rb"(?:(?:export|readonly|unset|\[|\[\[|test|echo|printf|return|cd)\s.*|"
    rb"""[A-Za-z_]\w*\+?=(?:"[^"]*"|'[^']*'|[^\s"'])*|"""
    rb"(?::|true|false|return|then|else|fi|do|done|\{|\})(?:\s*#.*)?|#.*|)$"
)
_SUBSTITUTES = re.compile(rb"[(`]|\$\{!|<|\s-p\b|\\\n|\s(?:-[a-gkrsuwxGLNOS]|-h|-nt|-ot|-ef)\s")
_PARTS = re.compile(rb";;?|&&?|\|\|?")
_REDIRECTIONS = re.compile(rb"\s\d?>>?\s?(?:/dev/null|&\d)|\s?&>\s?/dev/null")

# File names by a pattern: of a path, of a list, or of what `for` goes through.
_PATTERN = re.compile(rb"/[^\s\"'=;|&()/]*[*?]|=\([^()\n]*[*?]|\b(?:for\s+\w+\s+in|set\s+--?)\s[^;\n]{0,200}[*?]")

_END = b": wtenv end\n+\x1e\x1e set +x"  # the last that `scripts` has in it

# Builtins, and words with which the trace of a compound command begins, that read neither variables nor files that the
# texts don't show.
_HARMLESS = frozenset(
    """: true false echo printf cd pwd pushd popd dirs shift return break continue unset local readonly trap type hash
    alias unalias shopt getopts read mapfile readarray let wait ulimit umask times kill jobs complete bind compopt
    enable exit for case select (( eval exec disown fg bg caller""".split()
)
_TESTS = frozenset({"[", "test", "[["})
_FILE_TESTS = frozenset(f"-{letter}" for letter in "abcdefghkprsuwxGLNOS")  # also in `x -a -f y`: too many at worst
_FILE_ORDERS = frozenset({"-nt", "-ot", "-ef"})
# Programs whose answer follows from their arguments, and from the files among these.
_READERS = frozenset("cat head tail cut sort uniq wc sed grep egrep fgrep ls readlink realpath cmp diff".split())
_DEVICES = ("/dev/", "/proc/", "/sys/")
_OTHERS = frozenset(
    """dirname basename uname rm mkdir rmdir mv cp ln touch chmod tr expr sleep true false which tty stty id
    hostname arch nproc seq tee""".split()
)


class Reading(NamedTuple):
    """names: variables that are mentioned (too many rather than too few); tested: those of them that do more than get
    another entry; files: what was sourced, tested or read, besides the scripts; complete: whether that is all."""

    names: frozenset[str]
    tested: frozenset[str]
    files: tuple[Path, ...] = ()
    complete: bool = True


def is_plain(text: bytes) -> bool:
    """Whether a script only assigns, tests and prints: then its own words are all that it reads. In doubt it isn't."""
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
    """What scripts read whose run left `trace` ("+", and BASH_SOURCE between two \\x1e, before each command)."""
    texts = [text for _, text in scripts]
    if not trace.rstrip().endswith(_END):
        return read_texts(texts)._replace(complete=False)
    parts = re.split(rb"(?m)^\++\x1e([^\x1e\n]*)\x1e ?", trace)[1:]
    commands = dict.fromkeys(text.rstrip(b"\n") for source, text in zip(parts[::2], parts[1::2], strict=True) if source)
    found = dict.fromkeys((os.fsdecode(source) for source in parts[::2] if source), True)  # path -> was it sourced
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
            complete = complete and bool(arguments) and not any(_ends_trace(item) for item in arguments)
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
                pass  # it is watched: it may appear
            except (OSError, WtenvError, ValueError):
                complete = False
    texts = [_strip_comments(text) for text in texts]
    define = re.compile(rb"(?:^|[\s;{}])(?:function\s+([\w.:+-]+)|([\w.:+-]+)\s*\(\s*\))")
    # A name that is made at run time, lists of names, and files read by a redirection: the trace does not show them.
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
    """The files that a test with these words asks for."""
    paths = []
    for index, word in enumerate(words):
        before, after = words[index - 1] if index else "", words[index + 1] if index + 1 < len(words) else ""
        if word in _FILE_ORDERS:
            paths += [before, after]
        elif word in _FILE_TESTS and (word != "-a" or before in ("", "!", "(")) and after not in ("]", "]]", "=", "!="):
            paths.append(after)
    return [path for path in paths if path]


def _list_read(program: str, words: Sequence[str]) -> list[str]:
    """The files that one of the readers is given; too many rather than too few."""
    names = words[1:] if program in ("sed", "grep", "egrep", "fgrep") else words
    paths = [item for item in words if item.startswith("/") and ":" not in item]
    return paths + [item for item in names if re.fullmatch(r"(?!\d+$)[\w.~+-][\w./~+-]*", item)]


def _is_everywhere(name: str) -> bool:
    """Whether a program is found in whatever shell: the answer for another one depends on its PATH."""
    return any(os.access(f"{folder}/{name}", os.X_OK) for folder in ("/bin", "/usr/bin"))


def _is_busy(path: str) -> bool:
    """Whether `path` is a folder that is always there, whose time changes all the time."""
    try:
        info = os.stat(path)
    except OSError:
        return False
    is_shared = bool(info.st_mode & stat.S_ISVTX) or os.path.realpath(path) == "/"
    return stat.S_ISDIR(info.st_mode) and (is_shared or files.is_same(path, os.path.expanduser("~")))


def _ends_trace(option: str) -> bool:
    return option in ("-", "+o") or (option.startswith("+") and "x" in option)


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.partition("[")[0].removesuffix("+").isidentifier()


def _split(command: str) -> list[str]:
    """The words of a traced command, which bash has quoted where it had to."""
    words = re.findall(r"""(?:'[^']*'|\\.|[^\s'\\])+""", command)
    return [re.sub(r"'([^']*)'|\\(.)", lambda part: part[1] or part[2] or "", word) for word in words]


def _strip_comments(text: bytes) -> bytes:
    return re.sub(rb"(?m)^[ \t]*#.*$", b"", text)


def _clean(names: Iterable[bytes]) -> frozenset[str]:
    found = {name.decode() for name in names}.difference(_COMPUTED.split())
    return frozenset(name for name in found if not name.startswith(("BASH", "ZSH")))
