"""The hooks as text: no construct newer than the oldest shell they are for, short, and lint-clean."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hookworld import World, name, shared_world, world  # noqa: F401

from wtenv.hook.shells import SHELLS

FOLDER = Path(__file__).resolve().parents[1] / "shell"
HOOK = ("apply", "hook")

# What bash 3.2 (macOS) does not know, by the version that brought it (the CHANGES and NEWS files of bash).
NEWER_BASH = {
    "4.0 associative arrays": r"(declare|local|typeset) -\w*A",
    "4.0 ${x^^} ${x,,}": r"\$\{!?\w+(\[[^]]*\])?(\^|,)",
    "4.0 mapfile, readarray": r"\b(mapfile|readarray)\b",
    "4.0 coproc": r"\bcoproc\b",
    "4.0 |& and &>>": r"\|&|&>>",
    "4.0 ;& and ;;&": r";;?&",
    "4.0 {01..10..2}": r"\{\w+\.\.\w+\.\.\w+\}",
    "4.0 $BASHPID": r"\bBASHPID\b",
    "4.0 globstar, autocd, checkjobs, dirspell": r"\b(globstar|checkjobs|dirspell)\b",
    "4.1 {fd}>file": r"\{\w+\}[<>]",
    "4.1 $BASH_XTRACEFD": r"BASH_XTRACEFD",
    "4.2 declare -g": r"(declare|typeset) -\w*g",
    "4.2 [[ -v": r"(\[\[?|test)( !)? -v\b",
    "4.2 negative indices": r"\$\{\w+\[-|\$\{\w+:(\d+|\s+-\d+):\s*-\d",
    "4.2 printf %(…)T": r"%\([^)]*\)T",
    "4.2 $'\\u…'": r"\$'[^']*\\[uU]",
    "4.2 lastpipe": r"\blastpipe\b",
    "4.3 declare -n": r"(declare|local|typeset) -\w*n|\[\[?( !)? -R\b",
    "4.4 ${x@Q}": r"\$\{!?\w+(\[[^]]*\])?@[A-Za-z]",
    "4.4 local -": r"\blocal -(\s|$)",
    "4.4 mapfile -d, wait -n, inherit_errexit": r"\bwait -n\b|inherit_errexit",
    "5.0 $EPOCHREALTIME, $EPOCHSECONDS": r"\bEPOCH(REALTIME|SECONDS)\b",
    "5.1 $SRANDOM, wait -p": r"\bSRANDOM\b|\bwait -p\b",
    "5.3 ${ command; }": r"\$\{[ |]",
    "&> is no POSIX, >& neither": r"(?<!\d)&>|>&(?![0-9-])",
}

# zsh 5.3: what 5.4 to 5.9 brought.
NEWER_ZSH = {
    "5.4 ${(P)…:h2} digits in modifiers": r":[ht]\d",
    "5.5 ${(*)…}": r"\$\{\(\*",
    "5.8 zparseopts -F": r"zparseopts -F",
    "5.9 %.": r"\bSRANDOM\b|typeset -n",
}

# fish 3.2: what 3.3 and later brought.
NEWER_FISH = {
    "3.5 path": r"(^|[;(|]|\band |\bor |\bnot )\s*path (?!-)",
    "3.3 set -q on functions' --function scope (3.4 set -f)": r"\bset (-\w*f|--function)\b",
    "3.4 $(…)": r"\$\(",
    "3.4 string collect -a": r"collect (-a|--allow-empty)",
    "3.6 test -nt, -ot, -ef": r"\btest (?!/ -nt '')[^;]* -[no]t |\btest [^;]* -ef ",
    "3.6 abbr --function, string match --groups-only": r"--groups-only|match -\w*g",
    "3.8 string match --max-matches": r"--max-matches",
}


def code(name: str, kind: str = "") -> list[str]:
    """The lines of a hook, or of the file `kind`, without comments and without what only newer shells get to see."""
    text = "\n".join((FOLDER / f"{each}.{name}").read_text() for each in ([kind] if kind else HOOK))
    # Guarded by BASH_VERSINFO; kept from the parser of older ones by eval.
    text = re.sub(r"^\s*\\builtin eval '__wtenv_attributes\(\).*$", "", text, flags=re.M)
    return [line for line in re.sub(r"(^|\s)#(?!\?|\}).*$", r"\1", text, flags=re.M).splitlines() if line.strip()]


@pytest.mark.parametrize("kind", [*HOOK, "completion"])
@pytest.mark.parametrize(("shell", "table"), [("bash", NEWER_BASH), ("zsh", NEWER_ZSH), ("fish", NEWER_FISH)])
def test_nothing_newer(shell: str, table: dict[str, str], kind: str) -> None:
    lines = code(shell, kind)
    found = {line.strip(): what for what, pattern in table.items() for line in lines if re.search(pattern, line)}
    assert found == {}


# A line for each row, that it has to find.
SAMPLES = {
    "bash": [
        "declare -A x", "echo ${x^^}", "mapfile -t x", "coproc x", "a |& b", "case a in a) b ;& esac", "echo {01..10..2}",
        "echo $BASHPID", "shopt -s globstar", "exec {fd}>x", "BASH_XTRACEFD=2", "declare -g x=1", "[[ -v x ]]",
        "echo ${x[-1]}", "printf '%(%s)T'", "echo $'\\u20ac'", "shopt -s lastpipe", "local -n y=x", "echo ${!x@a}",
        "local -", "wait -n", "echo $EPOCHREALTIME", "wait -p x", "echo ${ ls; }", "ls &>x",
    ],
    "zsh": ["echo ${x:h2}", "echo ${(*)x}", "zparseopts -F a=b", "typeset -n x=y"],
    "fish": [
        "echo a | path basename", "set -f x 1", "echo $(ls)", "string collect --allow-empty", "if test a -nt b",
        "string match -rg '(a)' b", "string match --max-matches 1 a",
    ],
}  # fmt: skip
MORE = [
    "echo ${x,}",
    "a &>> b",
    "echo ${x: -1:-1}",
    "echo ${x@Q}",
    "readarray x",
    "[[ -R x ]]",
    "shopt -s inherit_errexit",
]


@pytest.mark.parametrize(("shell", "table"), [("bash", NEWER_BASH), ("zsh", NEWER_ZSH), ("fish", NEWER_FISH)])
def test_the_scan_sees(shell: str, table: dict[str, str]) -> None:
    for (row, pattern), line in zip(table.items(), SAMPLES[shell], strict=True):
        assert re.search(pattern, line), row


@pytest.mark.parametrize("line", MORE)
def test_the_scan_sees_other_forms(line: str) -> None:
    assert any(re.search(pattern, line) for pattern in NEWER_BASH.values())


def test_every_builtin_is_called_as_one() -> None:
    """In bash and zsh an alias or a function of the user's could stand in for any plain name."""
    words = "local export unset printf print test source eval return continue shift set typeset declare cd pwd read true false"
    plain = re.compile(rf"(^|[;&|{{(]|\b(?:if|then|else|elif|while|do|not|!)\s)\s*({words.replace(' ', '|')})\s")
    for shell in ("bash", "zsh"):
        lines = [re.sub(r"'[^']*'|\"[^\"]*\"", "''", line) for line in code(shell)]
        assert [line for line in lines if plain.search(line)] == []


def test_every_fish_builtin_is_called_as_one() -> None:
    """Those that a function of the user's can stand in for."""
    words = "cd contains count echo emit functions isatty math printf pwd random realpath source true false type"
    plain = re.compile(rf"(^|[;&|(]|\b(?:if|else|while|and|or|not)\s)\s*({words.replace(' ', '|')})\s")
    assert [line for line in code("fish") if plain.search(re.sub(r"'[^']*'", "''", line))] == []


OTHERS = {"_OLD_VIRTUAL_PATH", "_OLD_VIRTUAL_PS1"}  # a virtual environment's, in which our time is kept


def test_no_plain_names() -> None:
    """Every variable and function that a hook defines is __wtenv_… or WTENV_…, or the user's to be undone."""
    for shell in ("bash", "zsh"):
        text = "\n".join(code(shell))
        assigned = set(re.findall(r"(?:^|[\s;(\"])([A-Za-z_]\w*)\+?=", text, re.M)) - {"PS1", "PROMPT_COMMAND", "IFS"}
        defined = set(re.findall(r"^(\w+)\(\)", text, re.M))
        allowed = {"precmd_functions", "chpwd_functions", "preexec_functions", "CONDA_SHLVL", *OTHERS}
        assert {each for each in assigned | defined if not each.startswith(("__wtenv_", "WTENV_"))} <= allowed
    fish = set(re.findall(r"\bset (?:-\S+ |--path )*([A-Za-z_]\w*)", "\n".join(code("fish"))))
    assert {each for each in fish if not each.startswith(("__wtenv_", "WTENV_", "CONDA_"))} <= {"argv", *OTHERS}


LINTERS = {
    "shellcheck": ("bash", ["shellcheck", "-s", "bash"]),
    "shfmt": ("bash", ["shfmt", "-d"]),
    "bash": ("bash", ["bash", "-n"]),
    "zsh": ("zsh", ["zsh", "-n"]),
    "fish_indent": ("fish", ["fish_indent", "--check"]),
    "fish": ("fish", ["fish", "--no-execute"]),
}


@pytest.mark.parametrize("kind", HOOK)
@pytest.mark.parametrize("linter", LINTERS)
def test_lint(linter: str, kind: str) -> None:
    if shutil.which(linter) is None:
        pytest.skip(f"{linter} is not installed")
    shell, command = LINTERS[linter]
    done = subprocess.run([*command, FOLDER / f"{kind}.{shell}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


LIST = {
    "bash": "compgen -v __wtenv_",
    "zsh": "print -l ${(k)parameters[(I)__wtenv_*]}",
    "fish": "set -n | string match '__wtenv_*'",
}


def test_every_variable_that_stays_is_listed(world: World, name: str) -> None:
    """The heads of hook.* and apply.* name all that a shell has of ours after some visits, and nothing else."""
    head = "".join(re.findall(r"^#.*\n", "".join((FOLDER / f"{kind}.{name}").read_text() for kind in HOOK), re.M))
    listed = set(re.findall(r"^#   (__wtenv_\w+)", head, re.M))
    assert len(listed) > 15
    shell = world.open(name)
    for place in (world.main, world.feature, world.outside, world.main):
        shell.run(f"cd {place}")
    stays = set(shell.run(LIST[name]).out.split())
    named = set(re.findall(r"__wtenv_\w+", head))
    assert {each for each in stays if re.sub(r"(_[plrw])\d+$", r"\g<1>0", each) not in named} == set()
    text = "\n".join(code(name)) + SHELLS[name].wrap_hook("")
    assert {each for each in listed if not re.search(rf"{each}\b|\b{each.removeprefix('__wtenv_')}\b", text)} == set()
