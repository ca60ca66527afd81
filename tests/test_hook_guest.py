"""A good guest: what the user's shell had before, it has with the hook, whatever the user's options."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hookworld import World, active, name, said, shared_world, without, world  # noqa: F401
from shells import HOOK_LINES, Shell, require_shell, run_script, status_word

POSIX = ("bash", "zsh")


@pytest.fixture(params=POSIX)
def posix(request: pytest.FixtureRequest) -> str:
    """bash and zsh in turn."""
    return require_shell(request.param)


def walk(shell: Shell, world: World) -> None:
    """In, across and out, with the right thing active everywhere and no complaint."""
    for folder, expected in (
        (world.main, "main"),
        (world.main / "src", "main"),
        (world.feature, "feature"),
        (world.outside, ""),
    ):
        result = shell.run(f"cd {folder}")
        assert not re.search(r"wtenv: (?!\w+ \(base )|rror|unbound|not set|no match|read-?only", result.out), result.out
        assert active(shell) == expected, shell.transcript


# --- the status, $_ and the arguments of a line -------------------------------------------------------


def test_keeps_the_status(world: World, name: str) -> None:
    shell = world.open(name)
    for line, status in [
        ("false", 1),
        (f"cd {world.main}", 0),
        ("false", 1),
        ("cd /nowhere 2>/dev/null", 1),
        ("sh -c 'exit 42'", 42),
        (f"cd {world.feature}; false", 1),
    ]:
        assert shell.run(line).status == status, line
    assert shell.run(f"cd /nowhere 2>/dev/null; echo {status_word(name)}").out == "1\n"
    shell.run("sh -c 'exit 42'")
    assert shell.run(f"echo {status_word(name)}").out == "42\n"


def test_keeps_the_last_argument(world: World, posix: str) -> None:
    shell = world.open(posix)
    for line, last in [("echo one two >/dev/null", "two"), (f"cd {world.main}", str(world.main)), ("true a b", "b")]:
        shell.run(line)
        assert shell.run('echo "$_"').out == f"{last}\n", line


def test_cd_passes_on_its_arguments_and_output(world: World, posix: str) -> None:
    shell = world.open(posix, after=f"CDPATH={world.outside}")
    assert shell.run("cd -P src").status != 0
    shell.run("cd /")
    assert str(world.main) in shell.run("cd main").out.splitlines()  # through CDPATH cd prints the folder
    shell.run(f"cd {world.outside}")
    shell.run("cd main")
    assert str(world.outside) in shell.run("cd -").out.splitlines() or posix == "zsh"
    assert shell.run("pushd main >/dev/null").status == 0
    assert shell.run("popd -q 2>/dev/null || popd >/dev/null").status == 0
    folder = world.outside / "a b'c"
    folder.mkdir(exist_ok=True)
    assert shell.run("""cd "a b'c" && pwd""").out.splitlines()[-1] == str(folder)


# --- traps and prompts --------------------------------------------------------------------------------


def test_keeps_traps(world: World, posix: str) -> None:
    shell = world.open(posix, before="trap 'echo INT' INT; trap 'echo DONE' EXIT")
    before = shell.run("trap").out
    shell.run(f"cd {world.main}")
    assert shell.run("trap").out == before
    assert shell.run("kill -INT $$").out.startswith("INT")
    assert active(shell) == "main"


BASH_PROMPT_COMMANDS = [
    ("PROMPT_COMMAND='mine=$?'", "mine=$?"),
    ("PROMPT_COMMAND='mine=$?;'", "mine=$?;"),
    ("PROMPT_COMMAND='mine=$? ; '", "mine=$? ; "),
    ("PROMPT_COMMAND='mine=$? # a comment'", "mine=$? # a comment"),
    ("export PROMPT_COMMAND='mine=$?'", "mine=$?"),
    ("PROMPT_COMMAND=$'mine=$?\\n'", "mine=$?\n"),
    ("PROMPT_COMMAND=(mine='$?' other=2)", "mine=$?"),
    ("PROMPT_COMMAND=", ""),
]


@pytest.mark.parametrize(("setting", "text"), BASH_PROMPT_COMMANDS)
def test_keeps_prompt_command(world: World, setting: str, text: str) -> None:
    shell = world.open(require_shell("bash"), before=setting, after="declare -p PROMPT_COMMAND >~/declared")
    declared = (world.home.path / "declared").read_text()
    assert text in declared.replace("$'", "").replace("\\n", "\n").replace("\\$", "$")
    shell.run("(exit 7)")
    if "mine" in setting:
        assert shell.run("echo $mine").out == "7\n"
    walk(shell, world)
    # A child that gets the variable but not the function is not disturbed.
    assert shell.run("HOME=/nowhere bash --norc -ic true").out == ""


def test_read_only_prompt_command(world: World) -> None:
    shell = world.open(require_shell("bash"), before="readonly PROMPT_COMMAND='mine=1'")
    assert shell.startup.out == "wtenv: PROMPT_COMMAND is read-only; only cd, pushd and popd are followed\n"
    walk(shell, world)


def test_keeps_zsh_hooks(world: World) -> None:
    before = "precmd() { p=$?; }; chpwd() { c=$PWD; }; f() { (( n++ )); }; precmd_functions=(f); chpwd_functions=(f)"
    shell = world.open(require_shell("zsh"), before=before)
    shell.run("(exit 7)")
    assert shell.run("echo $p").out == "7\n"
    walk(shell, world)
    assert shell.run("echo $c").out == f"{world.outside}\n"
    assert shell.run("echo $precmd_functions / $chpwd_functions").out == "__wtenv_check f / __wtenv_decide f\n"


def test_keeps_fish_hooks(world: World) -> None:
    before = "function mine --on-variable PWD; set -g moved $PWD; end; function other --on-event fish_prompt; set -g seen $status; end"
    shell = world.open(require_shell("fish"), before=before)
    shell.run("sh -c 'exit 7'")
    assert shell.run("echo $seen").out == "7\n"
    walk(shell, world)
    assert shell.run("echo $moved").out == f"{world.outside}\n"


# --- functions and aliases of the user's --------------------------------------------------------------

ZOXIDE = '__zoxide_cd() { \\builtin cd -- "$@"; }; z() { __zoxide_cd "$1"; }'
AUTOJUMP = 'j() { cd "$1"; }'
OWN_CD = 'cd() { builtin cd "$@" && echo "now in $PWD"; }'


@pytest.mark.parametrize("when", ["before", "after"])
def test_jumping_functions(world: World, posix: str, when: str) -> None:
    shell = world.open(posix, **{when: f"{ZOXIDE}; {AUTOJUMP}"})
    for line, expected in [
        (f"z {world.main}", "main"),
        (f"j {world.feature}", "feature"),
        (f"z {world.outside}", ""),
        (f"j {world.main}", "main"),
    ]:
        shell.run(line)
        assert active(shell) == expected, line


@pytest.mark.parametrize("when", ["before", "after"])
def test_own_cd_function(world: World, posix: str, when: str) -> None:
    shell = world.open(posix, **{when: OWN_CD})
    assert f"now in {world.main}" in shell.run(f"cd {world.main}").out
    assert active(shell) == "main"
    assert shell.run(f"cd {world.outside}").out == f"now in {world.outside}\n"
    assert active(shell) == ""


def test_own_cd_function_in_fish(world: World) -> None:
    shell = world.open(require_shell("fish"), after="function cd; builtin cd $argv; and echo now in $PWD; end")
    assert f"now in {world.main}" in shell.run(f"cd {world.main}").out
    assert active(shell) == "main"


ALIASED = (
    "cd test export printf local eval source unset builtin return continue shift set declare typeset echo pwd "
    "true false . : [ let print emulate read shopt alias command if case while for function do done esac "
    "[[ { } then else elif fi in time ! select until coproc"
).split()


@pytest.mark.parametrize("when", ["before", "after"])
def test_aliases(world: World, posix: str, when: str) -> None:
    lines = [f"alias -- '{word}=echo HIJACKED {word};'" for word in ALIASED if word != "alias"]
    if when == "before":
        lines = [line for line in lines if "eval" not in line]  # else the documented line itself is another
    shell = world.open(posix, **{when: "\n".join(lines)})
    result = shell.run(f"\\cd {world.main}")
    assert "HIJACKED" not in result.out, result.out
    assert shell.run('\\printf "%s\\n" "<$VIRTUAL_ENV>"').out == f"<{world.main}/.venv>\n"
    assert shell.run(f"\\cd {world.outside}").out == ""
    assert shell.run('\\printf "%s\\n" "<$VIRTUAL_ENV>"').out == "<>\n"


FUNCTIONS = 'cd() { builtin cd "$@"; }; {words}'.replace(
    "{words}",
    "; ".join(
        f'{word}() {{ echo HIJACKED {word} >&2; builtin {word} "$@"; }}'
        for word in ("test", "export", "printf", "local", "unset", "source", "eval", "pwd")
    ),
)


def test_functions_of_builtins_names(world: World, posix: str) -> None:
    shell = world.open(posix, after=FUNCTIONS)
    result = shell.run(f"cd {world.main}")
    assert result.out == world.entering(world.main)
    assert active(shell) == "main"
    assert shell.run(f"cd {world.outside}").out == ""


# What can be redefined at all, less what fish's own functions and the tests' prompt can't do without.
FISH_BUILTINS = "contains disown echo false isatty math pwd random realpath source true".split()


@pytest.mark.parametrize("when", ["before", "after"])
def test_fish_functions_of_builtins_names(world: World, when: str) -> None:
    lines = "; ".join(f"function {word}; /bin/echo HIJACKED {word} >&2; return 1; end" for word in FISH_BUILTINS)
    if when == "before":
        lines = lines.replace("function source;", "function source_;")  # which is in the documented line
    shell = world.open(require_shell("fish"), **{when: lines})
    for before in ("", "set -gx CONDA_SHLVL 1; set -gx CONDA_PREFIX /c; set -gx PATH /c/bin $PATH; set -gx ALPHA mine"):
        start = without(shell.environ(), "ALPHA", "CONDA_SHLVL", "CONDA_PREFIX", "PATH")
        shell.run(before)
        for line in (f"builtin cd {world.main}", "set -p PATH /mine", f"builtin cd {world.outside}"):
            assert "HIJACKED" not in shell.run(line).out, line
        assert without(shell.environ(), "ALPHA", "CONDA_SHLVL", "CONDA_PREFIX", "PATH") == start
    assert shell.environ()[b"ALPHA"] == b"mine"


def test_cd_alias(world: World, posix: str) -> None:
    shell = world.open(posix, before="alias cd='pushd >/dev/null'")
    for folder, expected in ((world.main, "main"), (world.feature, "feature"), (world.outside, "")):
        shell.run(f"cd {folder}")
        assert active(shell) == expected


# --- sourced twice, names -----------------------------------------------------------------------------

SHOW = {
    "bash": "declare -f; declare -p PROMPT_COMMAND; trap; alias",
    "zsh": "functions; typeset -p precmd_functions chpwd_functions; trap; alias",
    "fish": "functions __wtenv_check __wtenv_decide __wtenv_apply cd; functions -an | string match '*'",
}


def test_sourced_twice_is_sourced_once(world: World, name: str) -> None:
    shell = world.open(name)
    once = shell.run(SHOW[name]).out
    shell.run(f"cd {world.main}")
    shell.run(f"cd {world.outside}")
    shell.run(HOOK_LINES[name])
    shell.run(HOOK_LINES[name])
    again = shell.run(SHOW[name]).out
    own = "check|depends|enter|enter_fast|leave_fast|load"  # a cached activation's; fish's check is one for all
    entry = re.compile(rf"^__wtenv_({own}) ?\(\).*?^\}}\n|^__wtenv_({own})\n", re.M | re.S)
    assert entry.sub("", again) == entry.sub("", once)
    walk(shell, world)


NAMES = {
    "bash": "compgen -v; compgen -A function; compgen -a; shopt; set -o; trap; bind -p",
    "zsh": "typeset +; functions | grep -E '^[^ \t].* \\(\\)'; setopt; zmodload; alias; trap",
    "fish": "set -n; functions -n -a | string split ', '; abbr; bind",
}
COMES_AND_GOES = {
    *"_ BASH_LINENO BASH_ARGC BASH_ARGV FUNCNAME OLDPWD PIPESTATUS RANDOM SECONDS LINENO EPOCHREALTIME".split(),
    *"cd pushd popd PROMPT_COMMAND precmd_functions chpwd_functions preexec_functions status pipestatus __transcript".split(),
    *"CMD_DURATION CMD_DURATION_STATUS __fish_prompt dirprev dirnext history status_generation __fish_cd_direction".split(),
}


def list_names(shell: Shell) -> set[str]:
    printed = shell.run(NAMES[shell.name]).out
    return {
        line.strip() for line in printed.splitlines() if line.split()[-1:] and line.split()[-1] not in COMES_AND_GOES
    }


def test_leaks_no_names(world: World, name: str) -> None:
    bare = world.open(name, hook=False)
    bare.run(f"cd {world.main}"), bare.run(f"cd {world.outside}")
    before = list_names(bare)
    shell = world.open(name)
    walk(shell, world)
    new = list_names(shell) - before
    assert {found for found in new if not re.search(r"^(\w+ )?_?_wtenv_|WTENV_", found)} == set()
    assert not {found for found in new if "WTENV_" in found}


# --- options of bash ----------------------------------------------------------------------------------

BASH_OPTIONS = [
    "set -u",
    "set -eu -o pipefail",
    "set -u -o pipefail; shopt -s nullglob",
    "set -E; trap 'echo error in $LINENO' ERR",
    "shopt -s nocasematch",
    "set -E; shopt -s nocasematch",
    "set -eE; trap 'echo error in $LINENO' ERR; shopt -s nocasematch",
    "shopt -s nocasematch nocaseglob nullglob dotglob globstar extglob 2>/dev/null",
    "shopt -s failglob",
    "set -f",
    "set -o posix",
    "set -k",
    "set -C",
    "set -T; trap ': $BASH_COMMAND' DEBUG",
    "shopt -s extdebug; trap true DEBUG",
    "shopt -s localvar_inherit localvar_unset 2>/dev/null",
    "shopt -s compat31 2>/dev/null",
    "shopt -s assoc_expand_once patsub_replacement 2>/dev/null",
    "shopt -s expand_aliases xpg_echo lastpipe cdable_vars cdspell 2>/dev/null",
    "set -b -h -P",
    "IFS=",
    "IFS=/",
    "IFS=:",
    "IFS=$'x_-. :'",
    "unset IFS",
    "readonly IFS",
    "LC_ALL=C",
    "LC_ALL=POSIX; LANG=xx_YY.ISO-8859-1",
    "POSIXLY_CORRECT=1",
    "GLOBIGNORE='*'",
    "BASH_COMPAT=3.2",
    "set -a",
    "set -H -m",
]


@pytest.mark.parametrize("when", ["before", "after"])
def test_bash_options(world: World, when: str) -> None:
    """All in one shell after another: each option, before or after the hook's line."""
    for options in BASH_OPTIONS:
        shell = world.open(require_shell("bash"), **{when: options})
        assert shell.startup.out == "", (options, shell.startup)
        before = without(shell.environ())
        walk(shell, world)
        after = without(shell.environ())
        if options == "set -a":  # exports everything that is assigned, functions too
            before, after = (
                {name: value for name, value in each.items() if not name.startswith((b"__wtenv_", b"BASH_FUNC_"))}
                for each in (before, after)
            )
        assert after == before, options
        assert "error in" not in shell.transcript.replace("echo error in", ""), options
        world.close()


def test_bash_xtrace(world: World) -> None:
    shell = world.open(require_shell("bash"))
    shell.run("set -x")
    shell.run(f"cd {world.main}")
    shell.run("set +x")
    assert active(shell) == "main"


# --- options of zsh -----------------------------------------------------------------------------------

ZSH_OPTIONS = [
    "KSH_ARRAYS", "SH_WORD_SPLIT", "NO_UNSET", "WARN_CREATE_GLOBAL", "WARN_NESTED_VAR", "EXTENDED_GLOB", "KSH_GLOB", "RC_QUOTES",
    "GLOB_SUBST", "NO_NOMATCH", "IGNORE_BRACES", "IGNORE_CLOSE_BRACES", "NO_BARE_GLOB_QUAL", "NULL_GLOB", "CSH_NULL_GLOB",
    "NO_EQUALS", "MAGIC_EQUAL_SUBST", "NO_SHORT_LOOPS", "SH_GLOB", "CSH_JUNKIE_QUOTES", "CSH_JUNKIE_LOOPS",
    "NO_CASE_MATCH", "NO_CASE_GLOB", "NO_FUNCTION_ARGZERO", "LOCAL_OPTIONS", "LOCAL_TRAPS", "C_BASES", "OCTAL_ZEROES",
    "GLOBAL_EXPORT", "ALL_EXPORT", "RC_EXPAND_PARAM", "TYPESET_SILENT", "POSIX_BUILTINS", "POSIX_IDENTIFIERS",
    "POSIX_ARGZERO", "POSIX_ALIASES", "ALIAS_FUNC_DEF", "CHASE_LINKS", "CHASE_DOTS", "PUSHD_TO_HOME", "PUSHD_SILENT", "NO_GLOB",
    "PRINT_EXIT_VALUE", "INTERACTIVE_COMMENTS", "PIPE_FAIL", "ERR_RETURN", "KSH_TYPESET", "NO_MULTI_FUNC_DEF", "TRAPS_ASYNC",
    "SH_FILE_EXPANSION", "SH_NULLCMD", "NO_EVAL_LINENO", "BSD_ECHO", "NO_CLOBBER", "PATH_DIRS", "NO_MULTIBYTE",
]  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
def test_zsh_options(world: World, when: str) -> None:
    for option in ZSH_OPTIONS:
        if when == "before" and option in (
            "IGNORE_BRACES",
            "IGNORE_CLOSE_BRACES",
            "ERR_RETURN",
            "PRINT_EXIT_VALUE",
        ):
            continue  # in these the test's own rc file is another
        shell = world.open(require_shell("zsh"), **{when: f"setopt {option} 2>/dev/null"})
        assert shell.startup.out == "", (option, shell.startup)
        before = without(shell.environ())
        walk(shell, world)
        assert without(shell.environ()) == before, option
        world.close()


@pytest.mark.parametrize(
    "setting",
    [
        "IFS=", "IFS=/", "IFS=$'x_-. :'", "LC_ALL=C", "typeset -U path", "typeset -TU LD_LIBRARY_PATH ld_library_path",
        "setopt KSH_ARRAYS SH_WORD_SPLIT NO_UNSET WARN_CREATE_GLOBAL EXTENDED_GLOB", "emulate sh", "emulate ksh",
        "emulate -R ksh; setopt NO_UNSET PROMPT_PERCENT; unsetopt PROMPT_SP PROMPT_CR ZLE", "histchars='!#^'", "setopt ERR_EXIT", "setopt XTRACE; unsetopt XTRACE",
        "alias -g main=HIJACKED", "readonly PATH", "zmodload zsh/zutil", "disable -r export local typeset 2>/dev/null",
    ],
)  # fmt: skip
def test_zsh_settings(world: World, setting: str) -> None:
    shell = world.open(require_shell("zsh"), after=setting)
    if setting == "readonly PATH":
        result = shell.run(f"cd {world.main}")
        assert "PATH" in result.out
        assert active(shell) == "main"
        shell.run(f"cd {world.outside}")
        assert active(shell) == ""
        return
    before = without(shell.environ())
    walk(shell, world)
    assert without(shell.environ()) == before


# --- not interactive, strict --------------------------------------------------------------------------

STRICT = {
    "bash": ["set -eu -o pipefail", "set -euE -o posix", "set -eu; shopt -s failglob inherit_errexit 2>/dev/null || :"],
    "zsh": ["setopt ERR_EXIT NO_UNSET PIPE_FAIL", "setopt ERR_RETURN WARN_CREATE_GLOBAL", "emulate ksh; set -eu"],
}


def test_strict_scripts(world: World, posix: str) -> None:
    for options in STRICT[posix]:
        lines = [options, 'eval "$(wtenv hook %s)"' % posix]
        for folder in (world.main, world.main / "src", world.feature, world.outside, world.outside, "/"):
            lines += [f"cd {folder}", 'echo "<${VIRTUAL_ENV-}>"']
        for extra in ("", 'eval "$(wtenv hook %s)"\n' % posix):
            done = run_script(posix, extra + "\n".join(lines), world.home.environ, cwd=world.outside)
            assert (done.returncode, done.stderr) == (0, ""), (options, done)
            active = [f"<{world.main}/.venv>"] * 2 + [f"<{world.feature}/.venv>", "<>", "<>", "<>"]
            assert done.stdout.splitlines() == active
    missing = world.outside / "missing"
    done = run_script(posix, f'eval "$(wtenv hook {posix})"; cd {missing} || echo refused', world.home.environ)
    assert done.stdout == "refused\n"


def test_a_failing_cd_ends_a_strict_script(world: World, posix: str) -> None:
    done = run_script(
        posix, f'set -e; eval "$(wtenv hook {posix})"; cd /nowhere 2>/dev/null; echo on', world.home.environ
    )
    assert (done.stdout, done.returncode) == ("", 1)


def test_home_is_not_written(world: World) -> None:
    """The hook's own files stay where they belong."""
    entries = {path.name for path in Path(world.home.path).iterdir()} - {"declared"}
    known = {".bashrc", ".zshrc", ".config", ".cache", ".local", ".condarc", ".gitconfig", ".dumped-environment"}
    assert {entry for entry in entries if not entry.startswith((".zcompdump", ".bash_history"))} <= known
    assert os.stat(world.home.path / ".cache/wtenv").st_mode & 0o077 == 0
