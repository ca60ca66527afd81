"""The hook follows the shell into a worktree and out of it, however it gets there."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hookworld import World, active, name, own_world, said, shared_world, without, world  # noqa: F401
from shells import HOOK_LINES, SHELLS, Shell, require_shell, run_script, write_rc

# (what is typed, which worktree is active at the prompt after it); {main}, {feature} and {outside} are folders.
JOURNEY = [
    ("cd {main}", "main"),
    ("cd src/pkg", "main"),
    ("cd ../..", "main"),
    ("cd {feature}", "feature"),
    ("cd -", "main"),
    ("cd", ""),
    ("pushd {main}", "main"),
    ("pushd {feature}", "feature"),
    ("popd", "main"),
    ("popd", ""),
    ("cd {main}/../feature", "feature"),
    ("cd {outside}", ""),
    ("cd {main} && cd {outside}", ""),
    ("cd {main}/nowhere 2>/dev/null", ""),
]


def test_follows_every_way_of_moving(world: World, name: str) -> None:
    shell = world.open(name)
    places = {"main": world.main, "feature": world.feature, "outside": world.outside}
    for line, expected in JOURNEY:
        shell.run(line.format(**places))
        assert active(shell) == expected, line


def test_takes_effect_on_the_same_line(world: World, name: str) -> None:
    shell = world.open(name)
    venv = 'echo "<$VIRTUAL_ENV>"'
    for worktree in (world.main, world.feature, world.main):
        result = shell.run(f"cd {worktree} && {venv}")
        assert result.out.endswith(f"<{worktree}/.venv>\n"), result.out
    assert shell.run(f"cd {world.outside} && {venv}").out == "<>\n"


def test_says_one_line_on_entering_and_none_otherwise(world: World, name: str) -> None:
    shell = world.open(name)
    assert shell.startup.out == ""
    assert shell.run(f"cd {world.main}").out == world.entering(world.main)
    assert shell.run("cd src").out == ""
    assert shell.run("true").out == ""
    assert shell.run(f"cd {world.feature}").out == world.entering(world.feature)
    assert shell.run(f"cd {world.outside}").out == ""
    if name != "fish":  # whose event handlers do not get the redirections of the line
        assert shell.run(f"cd {world.main} 2>/dev/null").out == ""


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_a_subshell_changes_nothing_outside(world: World, name: str) -> None:
    shell = world.open(name)
    before = without(shell.environ())
    assert shell.run(f'(cd {world.main} && echo "<$VIRTUAL_ENV>")').out == f"<{world.main}/.venv>\n"
    assert shell.run(f'x=$(cd {world.main}; pwd; echo "<$VIRTUAL_ENV>"); echo "$x"').out == (
        f"{world.main}\n<{world.main}/.venv>\n"
    )
    assert active(shell) == ""
    shell.run(f"cd {world.main}")
    inside = without(shell.environ())
    assert shell.run(f'x=$(cd {world.outside}; echo "<${{VIRTUAL_ENV-}}>"); echo "$x"').out == "<>\n"
    assert shell.run(f"(cd {world.feature}) | cat").out == ""
    assert without(shell.environ()) == inside
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == before


def test_fish_command_substitution_prints_nothing_of_ours(world: World) -> None:
    shell = world.open(require_shell("fish"))
    # A command substitution of fish is no child: what it does to the folder and the variables stays.
    assert shell.run(f"set x (cd {world.main}; pwd); cd {world.outside}; echo $x").out.splitlines()[-1] == str(
        world.main
    )
    assert active(shell) == ""


def test_zsh_auto_cd(world: World) -> None:
    shell = world.open(require_shell("zsh"), after="setopt AUTO_CD AUTO_PUSHD")
    for folder, expected in ((world.main, "main"), (world.feature, "feature"), (world.outside, "")):
        shell.run(str(folder))
        assert active(shell) == expected
    shell.run("cd +1")
    assert active(shell) == "feature"


def test_bash_autocd_and_cdpath(world: World) -> None:
    shell = world.open(require_shell("bash"), after=f"shopt -s autocd; CDPATH={world.outside}")
    shell.run(str(world.main))
    assert active(shell) == "main"
    shell.run("cd; cd feature")
    assert active(shell) == "feature"


def test_symlink_into_a_worktree(world: World, name: str, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    whole.symlink_to(world.main)
    part.symlink_to(world.main / "src")
    shell = world.open(name)
    for folder in (whole, whole / "src/pkg", part, part / "pkg"):
        shell.run(f"cd {folder}")
        assert active(shell) == "main", folder
        shell.run(f"cd {world.outside}")
        assert active(shell) == ""


def test_a_clone_inside_a_worktree_is_its_own_place(own_world: Callable[..., World], name: str) -> None:
    world = own_world()
    nested = world.main / "third/party"
    nested.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(nested)], env=world.home.environ, check=True)
    shell = world.open(name)
    for folder, expected in ((world.main, "main"), (nested, ""), (nested.parent, "main"), (world.outside, "")):
        shell.run(f"cd {folder}")
        assert active(shell) == expected, folder


def test_new_shell_inside(world: World, name: str) -> None:
    shell = world.open(name, world.main / "src")
    assert shell.startup.out == world.entering(world.main)
    assert active(shell) == "main"
    shell.run(f"cd {world.outside}")
    assert active(shell) == ""


@pytest.mark.parametrize("inner", SHELLS)
@pytest.mark.parametrize("outer", SHELLS)
def test_nested_shell_leaves_what_its_parent_entered(world: World, outer: str, inner: str) -> None:
    shell = world.open(require_shell(outer))
    shell.run(require_shell(inner))
    bare = without(shell.environ())  # the inner shell adds its own
    shell.run("exit")
    shell.run(f"cd {world.main}")
    inside = without(shell.environ())
    assert said(shell.run(inner)) == []  # it knows what is active
    assert without(shell.environ()) == {**bare, **inside}
    shell.run(f"cd {world.feature}")
    assert active(shell) == "feature"
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == bare
    shell.run("exit")
    assert without(shell.environ()) == inside


# --- shells that are not interactive -----------------------------------------------------------------


def write_start_file(world: World, name: str, folder: Path) -> dict[str, str]:
    """The hook where a shell that is not interactive reads it; the environment that makes it do so."""
    folder.mkdir(exist_ok=True)
    if name == "bash":
        place = folder / "bash_env"
        environ = {**world.home.environ, "BASH_ENV": str(place)}
    elif name == "zsh":
        place = folder / ".zshenv"
        environ = {**world.home.environ, "ZDOTDIR": str(folder)}
    else:
        place = folder / "fish/config.fish"
        place.parent.mkdir()
        environ = {**world.home.environ, "XDG_CONFIG_HOME": str(folder)}
        (folder / "wtenv").mkdir()
    place.write_text(HOOK_LINES[name] + "\n")
    return environ


def test_not_interactive(world: World, name: str, tmp_path: Path) -> None:
    environ = write_start_file(world, name, tmp_path / "start")
    show = 'echo "<$VIRTUAL_ENV>"'
    for cwd, line, printed in [
        (world.main, show, f"<{world.main}/.venv>\n"),
        (world.outside, show, "<>\n"),
        (world.outside, f"cd {world.feature}; {show}; cd {world.outside}; {show}", f"<{world.feature}/.venv>\n<>\n"),
        (world.main, f"{name} -c '{show}'", f"<{world.main}/.venv>\n"),
        (world.main, "command -v python", f"{world.main}/.venv/bin/python\n"),
    ]:
        done = run_script(name, line, environ, cwd=cwd)
        assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0), line


def test_interactive_with_a_command(world: World, name: str) -> None:
    if name == "fish" and not os.path.exists("/proc/self/cmdline"):
        return  # fish itself does not tell `fish -ic` from a shell with a prompt
    write_rc(world.home.environ, require_shell(name))
    done = run_script(name, 'echo "<$VIRTUAL_ENV>"', world.home.environ, cwd=world.main, arguments=("-i",))
    assert done.stdout.endswith(f"<{world.main}/.venv>\n"), done
    assert done.returncode == 0


# --- the decisions and their names ----------------------------------------------------------------------


def test_status_names_the_decision(own_world: Callable[..., World], name: str) -> None:
    world = own_world()
    config = world.main / "wtenv.toml"

    def look(shell: Shell) -> tuple[str, str]:
        hook = json.loads(shell.run("wtenv status --json").out)["hook"]
        assert hook["shell"] == name
        assert f"\nhook        {name}, at its next prompt: {hook['decision']}" in shell.run("wtenv status").out
        return hook["decision"], hook["reason"]

    time.sleep(0.1)  # what was written this instant is not kept
    shell, bare = world.open(name), world.open(name, hook=False)
    bare.run(f"cd {world.main}")
    assert look(bare) == ("computed", "nothing is kept for it yet")
    assert look(shell)[0] == "outside"
    shell.run(f"cd {world.main}")
    assert look(shell)[0] == "unchanged"
    assert look(bare) == ("cached", "what is kept still holds")
    config.write_text(config.read_text() + "# other\n")
    assert look(bare) == ("blocked", f"{config} has changed")
    world.wtenv("allow")
    assert look(bare) == ("computed", f"{config} has changed")


def test_debug_names_the_decision(own_world: Callable[..., World], name: str) -> None:
    world = own_world()
    time.sleep(0.1)
    shell = world.open(name, env={"WTENV_DEBUG": "1"})

    def decided(line: str) -> list[str]:
        lines = shell.run(line).out.splitlines()
        return [each.rpartition(": ")[2] for each in lines if each.startswith("wtenv: debug: ")]

    assert decided(f"cd {world.main}") == ["computed"]
    assert decided("true") == []  # unchanged
    assert decided("cd src") == ["same root"]
    assert decided(f"cd {world.outside}") == ["outside"]
    assert decided(f"cd {world.main}") == ["cached"]
    world.wtenv("deny")
    assert decided("true") == ["blocked"]
    (world.main / "wtenv.toml").unlink()
    assert decided("true") == ["unconfigured"]
