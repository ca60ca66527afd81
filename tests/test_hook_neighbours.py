"""Beside other tools: what comes after the hook's line, wraps the prompt, or keeps a copy of what was, and traps."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hookworld import World, active, name, own_world, said, shared_world, without, world  # noqa: F401
from shells import Shell, require_shell

POSIX = ("bash", "zsh")


@pytest.fixture(params=POSIX)
def posix(request: pytest.FixtureRequest) -> str:
    """bash and zsh in turn."""
    return require_shell(request.param)


def is_new_bash(shell: Shell) -> bool:
    """May PROMPT_COMMAND be an array (from 5.1 on)?"""
    return "new" in shell.run("[[ $BASH_VERSION == 5.[1-9]* || $BASH_VERSION == [6-9]* ]] && echo new").out.splitlines()


# --- defined after the hook's line -----------------------------------------------------------------------

# As people have them, and as mise, zoxide (--cmd cd) and autojump define them.
WRAPPERS = {
    "plain": 'cd() { builtin cd "$@"; }',
    "mise": '__like_cd() { builtin "$@"; }; cd() { __like_cd cd "$@"; }; pushd() { __like_cd pushd "$@"; }',
    "zoxide": '__zoxide_cd() { \\builtin cd -- "$@"; }; __zoxide_z() { __zoxide_cd "$1"; }; function cd { __zoxide_z "$@"; }',
    "the one before": 'eval "former_$(declare -f cd)"; cd() { former_cd "$@" && mine=1; }',
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_cd_defined_afterwards(world: World, wrapper: str, posix: str) -> None:
    """Followed on the same line from the first prompt on; typed later in bash, after one that the prompt followed."""
    text = WRAPPERS[wrapper]
    if posix == "zsh" and wrapper == "the one before":
        text = 'former_cd() { builtin cd "$@"; }; cd() { former_cd "$@" && mine=1; }'
    shell = world.open(posix, after=text)
    for folder in (world.main, world.feature, world.outside, world.main):
        assert shell.run(f'cd {folder} && echo "<$WTENV_ROOT>"').out.splitlines()[-1] == (
            "<>" if folder == world.outside else f"<{folder}>"
        )
    typed = world.open(posix)
    typed.run(text)
    typed.run(f"cd {world.main}")
    for folder in (world.feature, world.outside, world.main):
        assert typed.run(f'cd {folder} && echo "<$WTENV_ROOT>"').out.splitlines()[-1] == (
            "<>" if folder == world.outside else f"<{folder}>"
        )


def test_cd_defined_anew_again_and_again(world: World) -> None:
    """Each calls the one before: none calls itself, and a hook that is sourced again changes nothing."""
    shell = world.open(require_shell("bash"), after=WRAPPERS["the one before"])
    for turn in range(3):
        shell.run(f'eval "former{turn}_$(declare -f cd)"; cd() {{ former{turn}_cd "$@"; }}; eval "$(wtenv hook bash)"')
        for folder in (world.main, world.outside):
            assert shell.run(f"cd {folder} && pwd").out.splitlines()[-1] == str(folder)


EMPTIED = {
    "bash": [
        "PROMPT_COMMAND='mine=1'", "PROMPT_COMMAND=", 'PROMPT_COMMAND="mine=1; $PROMPT_COMMAND"',
        'PROMPT_COMMAND="${PROMPT_COMMAND:+$PROMPT_COMMAND; }mine=1"', "PROMPT_COMMAND+=' ; mine=1'",
    ],
    "zsh": ["precmd_functions=()", "precmd_functions=() chpwd_functions=()", "unset precmd_functions chpwd_functions"],
}  # fmt: skip


def test_hooks_emptied_afterwards(world: World, posix: str) -> None:
    """Where the arrays or PROMPT_COMMAND were set anew in the rc file, or are at a prompt: active all the same."""
    config = world.main / "wtenv.toml"
    text = config.read_text()
    for line in EMPTIED[posix]:
        shell = world.open(posix, world.main, after=line)
        if posix == "bash" and not is_new_bash(shell):
            shell.run("cd .")
        assert active(shell) == "main", line
        shell.run(line)
        assert shell.run(f"cd {world.feature} && echo $WTENV_ROOT").out.splitlines()[-1] == str(world.feature), line
        shell.run(f"cd {world.main}")
        config.write_text(text + "# other\n")  # the prompt sees it
        shell.run("true")
        seen = active(shell)
        config.write_text(text)
        assert seen == "", line
        world.close()


def test_prompt_command_gone_for_good(world: World) -> None:
    """What no shell lets anyone see: the next cd puts it back, and brings back what was lost."""
    for line in (
        "unset PROMPT_COMMAND",
        "PROMPT_COMMAND=(mine=1)",
        "unset PROMPT_COMMAND; export PROMPT_COMMAND=mine=1",
    ):
        shell = world.open(require_shell("bash"), world.main, after=line)
        shell.run("cd .")
        shell.run("true")
        assert active(shell) == "main"
        assert shell.run("echo ${PROMPT_COMMAND[*]}").out.startswith('"${__wtenv_at_prompt')


# --- traps, statuses --------------------------------------------------------------------------------------


def count(shell: Shell, lines: list[str]) -> list[int]:
    """How often the trap has printed for each line, up to the next prompt."""
    return [len(re.findall("^TRAP", shell.run(line).out, re.M)) for line in lines]


ERRORS = [
    "false",
    "true",
    "(exit 3)",
    "false || true",
    "cd /nowhere",
    "cd {main}",
    "cd src",
    "false | true",
    "cd {outside}",
]


@pytest.mark.parametrize("options", ["", "set -E", "set -o pipefail"])
@pytest.mark.parametrize("prompt", ["", "PROMPT_COMMAND='mine=$?'", "export PROMPT_COMMAND='mine=$?'"])
def test_bash_err_trap(world: World, options: str, prompt: str) -> None:
    """As often as without the hook, and for what has failed."""
    lines = [line.format(main=world.main, outside=world.outside) for line in ERRORS]
    setting = f"{prompt}\n{options}\ntrap 'echo TRAP \"$BASH_COMMAND\"' ERR"
    bare, shell = (world.open(require_shell("bash"), hook=hook, after=setting) for hook in (False, True))
    assert count(shell, lines) == count(bare, lines)
    assert shell.run("false").out == "TRAP false\n"
    if prompt:
        shell.run("(exit 7)")
        assert shell.run("echo $mine").out == "7\n"


def test_zsh_err_trap(world: World) -> None:
    lines = [line.format(main=world.main, outside=world.outside) for line in ERRORS]
    bare, shell = (world.open(require_shell("zsh"), hook=hook, after="trap 'echo TRAP' ZERR") for hook in (False, True))
    assert shell.startup.out == bare.startup.out
    assert count(shell, lines) == count(bare, lines)


def test_bash_debug_and_return_traps(world: World) -> None:
    """DEBUG runs once more at each prompt, for wtenv's own call: no bash has a command without it. RETURN does not."""
    lines = ["true", "false", f"cd {world.main}", "true | true", f"cd {world.outside}", "for i in 1 2; do :; done"]
    for trap, more in (("DEBUG", 1), ("RETURN", 0)):
        setting = f"trap 'echo TRAP \"$BASH_COMMAND\"' {trap}"
        bare, shell = (
            world.open(require_shell("bash"), hook=hook, before="PROMPT_COMMAND='mine=1'", after=setting)
            for hook in (False, True)
        )
        most = more if is_new_bash(shell) else 2 * more  # before 5.1 the status is passed on by one more
        added = [ours - theirs for ours, theirs in zip(count(shell, lines), count(bare, lines), strict=True)]
        assert all(more <= each <= most for each in added), added
    shell = world.open("bash", after="trap 'echo TRAP \"$BASH_COMMAND\"' DEBUG")
    assert shell.run("true").out.splitlines()[0] == "TRAP true"


def test_timers_of_a_debug_trap(world: World) -> None:
    """The usual way to time a command: nothing of ours starts the clock again after it was stopped."""
    timer = (
        "start() { began=${began:-$SECONDS}; }; stop() { took=$((SECONDS - began)); unset began; }\n"
        "trap start DEBUG; PROMPT_COMMAND='stop'"
    )
    for where in ({"before": timer}, {"after": timer}):
        shell = world.open(require_shell("bash"), **where)
        shell.run("true")
        time.sleep(2.1)
        shell.run("true")
        assert shell.run("echo $took").out == "0\n"


def test_pipestatus_at_the_prompt(world: World) -> None:
    for where in ("before", "after"):
        shell = world.open(require_shell("bash"), **{where: "PROMPT_COMMAND='mine=\"$? ${PIPESTATUS[*]}\"'"})
        if not is_new_bash(shell):
            return
        for line, seen in [("false | true | sh -c 'exit 3'", "3 1 0 3"), (f"cd {world.main}", "0 0"), ("false", "1 1")]:
            shell.run(line)
            assert shell.run("echo $mine").out == f"{seen}\n", (where, line)
            shell.run(f"cd {world.outside}")


# --- the prompt -------------------------------------------------------------------------------------------

WRAP = {
    "bash": 'wrap() { [[ $c != "$PS1" ]] && c="[A]${PS1}[B]" PS1=$c; }; PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND;}wrap',
    "zsh": 'wrap() { [[ $c != "$PS1" ]] && c="[A]${PS1}[B]" PS1=$c; }; precmd_functions+=(wrap)',
}


@pytest.fixture
def shown_world(own_world: Callable[..., World]) -> World:
    """A world whose user wants to see the base in the prompt."""
    made = own_world()
    place = made.home.path / ".config/wtenv"
    place.mkdir(parents=True)
    (place / "config.toml").write_text("[prompt]\nshow = true\n")
    return made


def test_a_terminal_that_wraps_the_prompt(shown_world: World, posix: str) -> None:
    mark = f"({shown_world.base.name}) "
    for where in ("before", "after"):
        shell = shown_world.open(posix, **{where: WRAP[posix]})
        for _ in range(2):
            shell.run(f"cd {shown_world.main}")
            shell.run("true")
            assert shell.run('printf "%s\\n" "$PS1"').out.count(mark) >= 1
            shell.run(f"cd {shown_world.outside}")
            shell.run("true")
            printed = shell.run('printf "%s\\n" "$PS1"').out
            assert "[A]" in printed
            assert mark not in printed
    shell = shown_world.open(posix)
    shell.run(f"cd {shown_world.main}")
    shell.run('PS1="mine $PS1"')
    shell.run(f"cd {shown_world.outside}")
    printed = shell.run('printf "%s\\n" "$PS1"').out
    assert mark not in printed
    assert "mine" in printed


# --- another virtual environment --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment as `python -m venv` makes it."""
    place = tmp_path_factory.mktemp("other") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    return place


def test_a_virtual_environment_over_it(world: World, name: str, other: Path) -> None:
    """`activate` keeps PATH and prompt; what `deactivate` puts back is right wherever that is."""
    script = other / ("bin/activate.fish" if name == "fish" else "bin/activate")
    shell = world.open(name)
    before = without(shell.environ(), "PS1")  # which `activate` exports for good
    for inside, left in (
        ([world.main], [world.outside]), ([world.main], [world.feature, world.outside]), ([world.outside], [world.main, world.outside]),
    ):  # fmt: skip
        shell.run(f"cd {inside[0]}")
        shell.run(f"source {script}")
        for folder in left:
            shell.run(f"cd {folder}")
            path = shell.environ()[b"PATH"].decode().split(":")
            assert f"{other}/bin" in path
            assert [root for root in (world.main, world.feature) if f"{root}/.venv/bin" in path] == [folder] * (
                folder != world.outside
            ), (folder, path)
        shell.run("deactivate")
        shell.run("true")
        assert without(shell.environ(), "PS1") == before, (inside, left)
    # Deactivated in the worktree: what was put on PATH is still there, in its order.
    shell.run(f"source {script}; cd {world.main}")
    shell.run("deactivate")
    path = shell.environ()[b"PATH"].decode().split(":")
    assert path[:2] == [f"{world.main}/.venv/bin", f"{world.base.prefix}/bin"]
    shell.run(f"cd {world.outside}")
    assert without(shell.environ(), "PS1") == before


# --- commands that come and go ----------------------------------------------------------------------------


def test_commands_are_looked_up_anew(own_world: Callable[..., World], posix: str) -> None:
    """A script that the base gets or loses, and so the overlay, shows at the next prompt."""
    world = own_world(own_base=True)
    fallback, history = world.home.path / "fallback", world.base.prefix / "conda-meta/history"
    fallback.mkdir()
    (fallback / "tool").write_text("#!/bin/sh\necho fallback\n")
    (fallback / "tool").chmod(0o755)
    shell = world.open(posix, world.main, before=f"PATH=$PATH:{fallback}")
    script = world.base.prefix / "bin/tool"
    for _ in range(2):
        assert shell.run("tool").out == "fallback\n"  # and its place is kept
        script.write_text(f"#!{world.base.prefix}/bin/python\nimport sys\nprint(sys.prefix)\n")
        script.chmod(0o755)
        history.write_text(history.read_text() + "# a tool\n")
        shell.run("true")
        assert shell.run("tool").out == f"{world.main}/.venv\n"
        script.unlink()
        history.write_text(history.read_text() + "# no tool\n")
        shell.run("true")


# --- said once --------------------------------------------------------------------------------------------


def test_subshells_say_nothing(own_world: Callable[..., World], name: str) -> None:
    """What can't be kept in mind is not said each time: `$(cd x && pwd)` in a prompt, `(cd x && make)`."""
    world = own_world()
    (world.feature / "wtenv.toml").write_text((world.main / "wtenv.toml").read_text() + "# other\n")
    shell = world.open(name)
    if name == "fish":
        lines = [f"set x (cd {world.feature}; pwd; cd {world.outside})"] * 2
    else:
        lines = [f"x=$(cd {world.feature} && pwd)", f"(cd {world.feature} && true)", f"cd {world.feature} | cat"]
    for line in lines:
        assert said(shell.run(line)) == [], line
    if name == "bash":
        shell.run(f"PS1='$(cd {world.feature} && basename \"$PWD\") '$PS1")
        assert said(shell.run("true")) == []
    assert len(said(shell.run(f"cd {world.feature}"))) == 1
    assert said(shell.run("true")) == []


# --- powerlevel10k ----------------------------------------------------------------------------------------

# What its instant prompt does, as far as it matters here: output goes to a file until its precmd, the last one, and
# what is in there then is a mistake of the rc file.
INSTANT_PROMPT = """
typeset -g __p9k_output=~/p10k-output
exec {__p9k_fd_1}>&1 {__p9k_fd_2}>&2 1>$__p9k_output 2>&1
typeset -gi __p9k_instant_prompt_active=1
"""
THEME = """
_p9k_precmd() {
	(( ${+__p9k_instant_prompt_active} )) || return
	exec 1>&$__p9k_fd_1 2>&$__p9k_fd_2 {__p9k_fd_1}>&- {__p9k_fd_2}>&-
	unset __p9k_instant_prompt_active
	[[ ! -s $__p9k_output ]] || { print WARNING; cat $__p9k_output }
}
precmd_functions+=(_p9k_precmd)
"""


@pytest.mark.parametrize("where", ["above", "between", "below"])
def test_instant_prompt(world: World, where: str) -> None:
    """No output before the first prompt: what is to be said comes with the first command."""
    before = {"above": "", "between": INSTANT_PROMPT, "below": INSTANT_PROMPT + THEME}[where]
    after = {"above": INSTANT_PROMPT + THEME, "between": THEME, "below": ""}[where]
    shell = world.open(require_shell("zsh"), world.main, before=before, after=after)
    assert "WARNING" not in shell.startup.out
    assert "wtenv" not in shell.startup.out
    assert shell.run("echo $WTENV_ROOT").out == f"{world.entering(world.main)}{world.main}\n"
    assert shell.run("true").out == ""
    assert shell.run(f"cd {world.feature}").out == world.entering(world.feature)


# --- turned off -------------------------------------------------------------------------------------------


def test_disabled(world: World, name: str) -> None:
    """WTENV_DISABLE: nothing is active in that shell, until it is unset; from the next prompt or cd on."""
    on, off = (
        ("set -g WTENV_DISABLE 1", "set -e WTENV_DISABLE")
        if name == "fish"
        else ("WTENV_DISABLE=1", "unset WTENV_DISABLE")
    )
    shell = world.open(name)
    before = without(shell.environ())
    shell.run(f"cd {world.main}")
    assert shell.run(on).out == ""
    assert without(shell.environ()) == before
    for folder in (world.feature, world.outside, world.main):
        assert shell.run(f"cd {folder}").out == ""
        assert without(shell.environ()) == before
    assert said(shell.run(off)) == [world.entering(world.main).strip()]
    assert active(shell) == "main"
    assert shell.run(f'{on}; cd {world.feature} && echo "<$WTENV_ROOT>"').out == "<>\n"
    assert shell.run(f'{off}; cd {world.main} && echo "<$WTENV_ROOT>"').out.splitlines()[-1] == f"<{world.main}>"
    inherited = {**world.home.environ, **{key.decode(): value.decode() for key, value in shell.environ().items()}}
    nested = world.open(name, world.main, env={**inherited, "WTENV_DISABLE": "1"})
    assert (nested.startup.out, active(nested)) == ("", "")
