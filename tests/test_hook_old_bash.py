"""What the hook has for a bash before 4.4, and before 5.1: run by the bash that is here, which is told that it is one.

`BASH_VERSINFO` can't be set, so another name stands for it in the hook's text. What an old bash can't tell (a file's
nanoseconds, attributes in `${x@a}`) it does not ask then, as an old one wouldn't.
"""

from __future__ import annotations

import shlex
import shutil
import time

import pytest
from hookworld import World, active, said, shared_world, without, world  # noqa: F401
from shells import Shell, run_script

VERSIONS = ("32", "43", "44", "50")


def make_hook(world: World, version: str) -> str:
    """The line that loads the hook for a bash of that version."""
    text = world.wtenv("hook", "bash")
    assert "BASH_VERSINFO" in text
    place = world.home.path / f"hook-{version}.bash"
    old = text.replace("BASH_VERSINFO", "__older")
    place.write_text(f"__older=({version[0]} {version[1]})\n{old}\n__wtenv_low_resolution=1\n")
    return f". {place}"


ATTRIBUTES = {
    "plain=1": "", "export exported=1": "x", "declare -i number=1": "i", "declare -ix both=1": "ix",
    "declare -a array=(1 2)": "a", "declare -a sparse=([3]=1)": "a", "declare -A map=([k]=v)": "A",
    "declare -ax exported_array=(1)": "ax", "declare -l lower=a": "l", "declare -u upper=A": "u",
    "declare -r fixed=1": "r", "declare -rx fixed_exported=1": "rx", "export multi=$'a\\ndeclare -r x'": "x",
    "true PATH": "x",
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_attributes(version: str, world: World) -> None:
    lines = [make_hook(world, version), "declare -f __wtenv_attributes | grep -c 'declare -p'"]
    for line in ATTRIBUTES:
        variable = line.partition("=")[0].split(" ")[-1]
        lines += [line, f"__wtenv_attributes {variable}", 'echo "<$__wtenv_flags>"']
    done = run_script("bash", "\n".join(lines), world.home.environ, cwd=world.outside)
    first, *found = done.stdout.splitlines()
    assert first == ("1" if version < "44" else "0"), "the one that is meant"
    assert [set(text) - {*"<> -"} for text in found] == [set(letters) for letters in ATTRIBUTES.values()], done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_no_process_for_path(version: str, world: World) -> None:
    """It is asked whenever a worktree is entered."""
    text = f"{make_hook(world, version)}\nset -x; __wtenv_attributes PATH; set +x; echo $__wtenv_flags"
    done = run_script("bash", text, world.home.environ, cwd=world.outside)
    assert done.stdout == "x\n"
    assert "__wtenv_attributes PATH" in done.stderr and "declare -p" not in done.stderr


def open_old(world: World, version: str, env: dict[str, str] | None = None) -> Shell:
    """A shell that has to compute everything anew."""
    shutil.rmtree(world.home.path / ".cache/wtenv", ignore_errors=True)
    return world.open("bash", hook=False, after=make_hook(world, version), env=env)


def newest(world: World) -> float:
    """When the last file was written that decides."""
    return max(path.stat().st_mtime for path in (world.main / ".venv", world.main / "wtenv.toml"))


def visit(shell: Shell, world: World) -> None:
    """In and out until it goes the fast way: not before what was read is old enough for times in whole seconds."""
    time.sleep(max(0.0, 2.1 - (time.time() - newest(world))))
    for _ in range(2):
        shell.run(f"cd {world.main}")
        shell.run(f"cd {world.outside}")
    shell.run(f"cd {world.main}")
    assert active(shell) == "main"
    assert shell.run('echo "$__wtenv_fast"').out == "1\n", shell.transcript


@pytest.mark.parametrize("version", VERSIONS[1:4:2])
def test_in_and_out_the_fast_way(version: str, world: World) -> None:
    shell = open_old(world, version)
    before = without(shell.environ())
    visit(shell, world)
    assert shell.environ()[b"ALPHA"] == b"one two"
    assert not shell.run("declare -p PROMPT_COMMAND").out.startswith("declare -a"), "an older one knows no array there"
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == before


@pytest.mark.parametrize("version", VERSIONS[1:4:2])
def test_a_number_since(version: str, world: World) -> None:
    """What was declared a number inside would evaluate the value that comes back."""
    evil = f"x[$(touch {world.home.path}/pwned)]"
    shell = open_old(world, version, {"ALPHA": evil})
    before = without(shell.environ())
    visit(shell, world)
    shell.run("declare -i ALPHA")
    assert said(shell.run(f"cd {world.outside}")) == []
    assert without(shell.environ()) == before
    assert not (world.home.path / "pwned").exists()
    assert shell.run(f"echo {shlex.quote('+')}$__wtenv_fast").out == "+\n"


@pytest.mark.parametrize("version", VERSIONS[1:4:2])
def test_a_number_without_a_value(version: str, world: World) -> None:
    """Older ones do not tell that of a variable that is not set: it is unset, and no value is evaluated."""
    shell = open_old(world, version)
    visit(shell, world)
    shell.run(f"cd {world.outside}")
    shell.run("declare -i ALPHA")
    assert said(shell.run(f"cd {world.main}")) == [world.entering(world.main).strip()]
    assert shell.environ()[b"ALPHA"] == b"one two"
    shell.run(f"cd {world.outside}")
    assert b"ALPHA" not in shell.environ()
