"""Parts of the hook in another shell: what coding agents, `export -f` and `set -a` carry along does no harm there.

An agent keeps a snapshot of the user's shell (functions, aliases, `export PATH`, seldom variables), by some rule of
its own which functions, and reads it before each command that it runs.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hookworld import World, active, name, shared_world, without, world  # noqa: F401
from shells import HOOK_LINES, SHELLS, require_shell, run_script

# Prints the functions whose name matches, as a file to be sourced. fish prints its own with what they react to.
FUNCTIONS = {
    "bash": 'for f in $(compgen -A function); do [[ {test} ]] && declare -f "$f"; done; true',
    "zsh": 'for f in ${{(k)functions}}; do [[ {test} ]] && functions "$f"; done; true',
    # Not the hundreds that fish could load, its prompt among them.
    "fish": "for f in (functions -an | string match -r '^(?:__wtenv_.*|cd|pushd|popd|alias)$'); {test}; and functions $f; end; true",
}
SELECTIONS = {
    "all": {"bash": "1", "zsh": "1", "fish": "true"},
    "only ours": {
        "bash": "$f == __wtenv_*",
        "zsh": "$f == __wtenv_*",
        "fish": "string match -q '__wtenv_*' -- $f",
    },
    "none with two underscores": {
        "bash": "$f != __*",
        "zsh": "$f != __*",
        "fish": "not string match -q '__*' -- $f",
    },
}
REST = {
    "bash": 'alias; printf "export PATH=%q\\n" "$PATH"',
    "zsh": "alias -L; print -r -- export PATH=${(q)PATH}",
    "fish": "alias; echo set -gx PATH (string escape -- $PATH)",
}


def snapshot(world: World, name: str, selection: str, folder: Path, cwd: Path) -> Path:
    """What an agent keeps of a shell that has the hook, and is active in `cwd`."""
    text = FUNCTIONS[name].format(test=SELECTIONS[selection][name])
    done = run_script(name, f"{HOOK_LINES[name]}\n{text}\n{REST[name]}", world.home.environ, cwd=cwd)
    assert done.returncode == 0, done
    assert f"{cwd}/.venv/bin" in done.stdout
    place = folder / "snapshot"
    place.write_text(done.stdout)
    return place


# One text for all three shells; what it prints has to be the same with the snapshot's functions as without.
SHOW = "env | grep -aE '^(WTENV_|VIRTUAL_ENV|CONDA_|PATH=|ALPHA|CDPATH)' | sort"
PROBES = """\
cd {feature} && pwd
cd - >/dev/null && pwd
cd {main}/nowhere 2>/dev/null || echo refused
cd {main} && cd src && pwd
cd ..
pwd
cd
pwd
pushd {feature} >/dev/null; pwd
popd >/dev/null; pwd
cd {main} {feature} 2>/dev/null || echo too many
{SHOW}
"""


def probe(world: World, name: str) -> str:
    text = PROBES.format(main=world.main, feature=world.feature, SHOW=SHOW)
    if name != "fish":  # through CDPATH cd prints the folder
        text += (
            f'cd {world.main}; echo "$OLDPWD"; CDPATH={world.outside}; cd feature; echo $?; cd -P ../main; echo $PWD\n'
        )
    return text


@pytest.mark.parametrize("selection", SELECTIONS)
def test_functions_in_another_shell(world: World, name: str, selection: str, tmp_path: Path) -> None:
    """In a shell without the hook they do nothing, whether it is active in its parent's worktree or not."""
    copied = snapshot(world, name, selection, tmp_path, world.main)
    text, plain = probe(world, name), copied.read_text().splitlines()[-1]
    show = f"{HOOK_LINES[name]}\nenv -0"
    raw = run_script(name, show, world.home.environ, cwd=world.main).stdout
    inside = dict(entry.split("=", 1) for entry in raw.split("\0")[:-1])
    for env in (world.home.environ, inside):
        without_it = run_script(name, f"{plain}\n{text}", env, cwd=world.outside)
        with_it = run_script(name, f"source {copied}\n{text}", env, cwd=world.outside)
        assert with_it.stdout == without_it.stdout
        assert (with_it.returncode, with_it.stderr) == (without_it.returncode, ""), with_it
        assert with_it.stdout.splitlines()[0] == str(world.feature)
        assert ("WTENV_ROOT=" in with_it.stdout) == (env is inside)


def test_at_the_prompts_of_another_shell(world: World, name: str, tmp_path: Path) -> None:
    """The same in a shell with prompts, and with the variables, too: nothing is said, run or changed."""
    copied = snapshot(world, name, "all", tmp_path, world.main)
    if name == "bash":
        dump = f'{HOOK_LINES[name]}\ndeclare -p | grep -av -- "^declare -[a-zA-Z]*r"'
    else:
        dump = f"{HOOK_LINES[name]}\ntypeset -p | grep -a 'wtenv\\|_functions'" if name == "zsh" else "true"
    variables = tmp_path / "variables"
    # Without their functions, as a script has them: those of a shell with prompts are its prompts' own.
    variables.write_text(run_script(name, dump, world.home.environ, cwd=world.main, arguments=("-i",)).stdout)
    if name != "fish":
        assert "__wtenv_pwd=" in variables.read_text()
    lines = {"bash": "^declare [^ ]* (__wtenv_|PROMPT_COMMAND)", "zsh": "", "fish": ""}[name]
    keep = f"grep -aE '{lines}' {variables} >{tmp_path}/kept" if name == "bash" else f"cp {variables} {tmp_path}/kept"
    world.home.run(["sh", "-c", keep], world.outside)
    for files in ([copied], [tmp_path / "kept"], [tmp_path / "kept", copied]):
        plain = copied.read_text().splitlines()[-1]
        shell = world.open(name, hook=False, after="\n".join(f"source {file}" for file in files) + f"\n{plain}")
        assert shell.startup.out == "", (files, shell.startup)
        before = without(shell.environ())
        for line in (f"cd {world.feature}", "true", f"cd {world.main}/src", "false", f"cd {world.outside}"):
            result = shell.run(line)
            assert (result.out, result.status) == ("", line == "false"), (files, line)
        assert without(shell.environ()) == before
        shell.close()


# --- where the hook is whole, it follows ----------------------------------------------------------------


START = {"bash": ("BASH_ENV", "start"), "zsh": ("ZDOTDIR", ".zshenv"), "fish": ("XDG_CONFIG_HOME", "fish/config.fish")}


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_snapshot_over_a_whole_hook(world: World, name: str, selection: str, tmp_path: Path) -> None:
    """The agent's shell has the hook by itself, and then gets functions and PATH of a shell that was elsewhere."""
    variable, file = START[name]
    place = tmp_path / "config" / file
    place.parent.mkdir(parents=True)
    place.write_text(HOOK_LINES[name] + "\n")
    env = {**world.home.environ, variable: str(place if name == "bash" else tmp_path / "config")}
    copied = snapshot(world, name, selection, tmp_path, world.main)
    show = 'echo "$WTENV_ROOT"; command -v python'
    for cwd in (world.feature, world.main, world.outside):
        text = f"source {copied}\ncd {world.feature}/src && {show}\ncd {world.main} && {show}\ncd {world.outside} && {show}"
        done = run_script(name, text, env, cwd=cwd)
        lines = done.stdout.splitlines()
        inside = [line for root in (world.feature, world.main) for line in (str(root), f"{root}/.venv/bin/python")]
        assert lines[:5] == [*inside, ""], (cwd, done)
        assert done.stderr == ""


# --- bash exports functions -----------------------------------------------------------------------------


def test_exported_functions(world: World) -> None:
    """`export -f cd`, and `set -a` around the hook's line: in a child cd is cd, and the child's own hook follows."""
    require_shell("bash")
    show = 'echo "$PWD<${WTENV_ROOT-}>"'
    child = f"cd {world.feature} && {show}; cd - >/dev/null; cd /nowhere 2>/dev/null || echo $?"
    for before, after in (("", "export -f cd pushd popd"), ("set -a", ""), ("set -a", 'cd() { builtin cd "$@"; }')):
        for how in ("bash -c", "exec bash -c", "sh -c"):
            text = f"{before}\n{HOOK_LINES['bash']}\n{after}\n{how} {shlex.quote(child)}"
            done = run_script("bash", text, world.home.environ, cwd=world.main)
            printed = [f"{world.feature}<{world.main}>", "1"]
            if how == "sh -c":  # dash says so with another number
                printed[1] = "2"
            assert (done.stdout.splitlines(), done.stderr) == (printed, ""), (before, after, how, done)
        own = f"{HOOK_LINES['bash']}\ncd {world.feature} && {show}"
        text = f"{before}\n{HOOK_LINES['bash']}\n{after}\nbash -c {shlex.quote(own)}; exec bash -c {shlex.quote(own)}"
        done = run_script("bash", text, world.home.environ, cwd=world.main)
        assert (done.stdout.splitlines(), done.stderr) == ([f"{world.feature}<{world.feature}>"] * 2, ""), done


def test_a_missing_part(world: World) -> None:
    """Whose functions are removed by hand still has a cd."""
    shell = world.open(require_shell("bash"), before='cd() { builtin cd "$@" && mine=1; }')
    shell.run("unset -f $(compgen -A function __wtenv_)")
    result = shell.run(f"unset PROMPT_COMMAND; cd {world.main} && pwd")
    assert (result.out, result.status) == (f"{world.main}\n", 0)
    assert active(shell) == ""


@pytest.mark.parametrize("outer", SHELLS)
def test_a_nested_shell_has_its_own(world: World, outer: str) -> None:
    """Everything exported that can be, the shell of the same kind below it still follows."""
    export = {"bash": "set -a", "zsh": "setopt ALL_EXPORT", "fish": ""}[outer]
    shell = world.open(require_shell(outer), before=export)
    shell.run(f"cd {world.main}")
    for line in (outer, f"exec {outer}"):
        shell.run(line)
        assert active(shell) == "main"
        shell.run(f"cd {world.feature}")
        assert active(shell) == "feature"
        shell.run(f"cd {world.main}")
