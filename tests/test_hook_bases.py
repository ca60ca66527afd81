"""Bases that are broken or hostile, in real shells: what they do costs themselves, and the shell stays the user's."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hookworld import CONFIG, World, active, name, own_world, said, without  # noqa: F401
from realbase import Base
from shells import SHELLS, Shell, require_shell, set_variable

import wtenv

Make = Callable[..., World]

# In this order; each of them does its worst, and then the last one is still run.
SCRIPTS = {
    "first": "export FIRST=1",
    "fails": "echo broken >&2; export FAILED=yes; return 3",
    "exits": "export EXITED=yes; exit 3",
    "execs": "exec /bin/true",
    "dies": "kill -9 $$",
    "group": "kill -9 0",
    "syntax": "if then (",
    "prints": "seq 300000; seq 300000 >&2",
    "reads": "read -r x; cat; (read -r y </dev/tty)",
    "background": "sleep 60 & (trap '' HUP INT TERM; exec setsid sleep 60) &",
    "terminal": "stty -echo raw; (stty -echo raw </dev/tty); printf '\\033[2J\\033]0;title\\007'; (printf '\\033c' >/dev/tty)",
    "traps": "trap 'echo TRAPPED' EXIT INT TERM DEBUG ERR CHLD; trap '' INT HUP",
    "names": "ls() { echo HIJACKED; }; export -f ls; alias ls=false; readonly READ_ONLY=1; export READ_ONLY; set -o posix",
    "moves": "cd /; umask 0; ulimit -c 0; ulimit -n 64; hash -r",
    "strict": "set -euo pipefail; set -f; IFS=x; shopt -s failglob nullglob",
    "shadows": "export IFS=x PS1=hijacked PROMPT_COMMAND='echo HIJACKED' LD_PRELOAD= BASH_ENV=/nowhere ENV=/nowhere HOME=/",
    "path": "PATH=/theirs:$PATH; unset PATH",
    "last": 'export LAST=1 SEEN="${FIRST-}${EXITED-}${READ_ONLY-}"',
}

# What a shell has of its own, and the terminal.
OWN = {
    "bash": "pwd; umask; ulimit -a; stty -a; trap; declare -f ls; type ls; alias; set -o; shopt; jobs; echo $IFS $HOME $PROMPT_COMMAND",
    "zsh": "pwd; umask; ulimit -a; stty -a; trap; functions ls; alias; setopt; jobs; echo $IFS $HOME $precmd_functions",
    "fish": "pwd; umask; ulimit -a; stty -a; functions -q ls; echo $status; jobs; echo $HOME",
}


def write_scripts(base: Base, scripts: dict[str, str]) -> None:
    folder = base.prefix / "etc/conda/activate.d"
    for index, (label, text) in enumerate(scripts.items()):
        (folder / f"x{index:02}-{label}.sh").write_text(text + "\n")


def visit(shell: Shell, world: World) -> dict[bytes, bytes]:
    """Enter the main worktree; what is said has no control characters. The environment inside."""
    result = shell.run(f"cd {world.main}")
    assert active(shell) == "main", result
    assert "\x1b" not in result.out
    return shell.environ()


def patch_wtenv(world: World, module: str, old: str, new: str) -> None:
    """Have the world's shells call a copy of wtenv, in which `module` says `new` instead of `old`."""
    source, program = Path(wtenv.__file__).parent, world.home.path.with_name("home-tools") / "wtenv"
    copy = world.outside / "copy"
    for folder in (source, source.parents[1] / "shell"):
        shutil.copytree(folder, copy / folder.relative_to(source.parents[1]))
    text = (copy / "src/wtenv" / module).read_text()
    assert text.count(old) == 1
    (copy / "src/wtenv" / module).write_text(text.replace(old, new))
    program.unlink()
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(copy / 'src')!r})\n"
        "from wtenv.cli import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)


@pytest.mark.parametrize("name", ["bash"])  # none of it is a matter of the shell
def test_scripts_without_end(own_world: Make, name: str) -> None:
    """The time limit, a script that prints for ever. Time may be short once, so it is tried again; with less of it.

    The limit is 20 s; the wtenv that the shell calls is a copy in which it is 5 s.
    """
    world = own_world(own_base=True)
    patch_wtenv(world, "conda/scripts.py", "timeout: float = 20", "timeout: float = 5")
    write_scripts(
        world.base, {"prints": "yes", "hangs": "trap '' TERM; while :; do sleep 60; done", "last": "export LAST=1"}
    )
    shell = world.open(name)
    shell.type(f"cd {world.main}")
    shell.expect("prints.sh printed without end")
    shell.expect("hangs.sh took longer than 5 s")
    shell.finish()
    assert active(shell) == "main"
    assert shell.environ()[b"LAST"] == b"1"
    assert not said(shell.run("true"))
    shell.run(f"cd {world.outside}")
    assert "hangs.sh took longer than 0.5 s" in shell.run(f"cd {world.main}").out
    write_scripts(world.base, {"prints": "true", "hangs": "export WAS=slow", "last": "export LAST=2"})
    shell.run("true")
    assert (shell.environ()[b"WAS"], shell.environ()[b"LAST"]) == (b"slow", b"2")
    assert not list((world.home.path / ".cache/wtenv").glob("late-*"))


def test_scripts_that_source(own_world: Make) -> None:
    """As ROS does. Each shell gets what its own variables give, and an edit of what is sourced is noticed."""
    world = own_world(own_base=True)
    ros = world.base.prefix / "ros"
    ros.mkdir()
    write_scripts(world.base, {"ros": '. "$CONDA_PREFIX/ros/setup.sh"'})
    (ros / "setup.sh").write_text(
        'export AMENT_PREFIX_PATH="/ros${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"\n'
        '[ -n "${COLCON_A-}" ] && export SAW="$COLCON_A"\n. "${BASH_SOURCE[0]%/*}/more.sh"\n'
    )
    time.sleep(0.1)

    def look(shell: Shell, *names: bytes) -> list[bytes | None]:
        shell.run(f"cd {world.main}")
        found = shell.environ()
        shell.run(f"cd {world.outside}")
        return [found.get(name) for name in names]

    for index, kind in enumerate(SHELLS):
        require_shell(kind)
        (ros / "more.sh").write_text("export MORE=1\n")
        time.sleep(0.1)
        for value in ("one", "two"):
            shell = world.open(kind, env={"COLCON_A": value, "AMENT_PREFIX_PATH": f"/{value}"})
            wanted = [value.encode(), f"/ros:/{value}".encode(), b"1"]
            for _ in range(2):
                assert look(shell, b"SAW", b"AMENT_PREFIX_PATH", b"MORE") == wanted
        third = world.open(kind)
        assert look(third, b"SAW", b"AMENT_PREFIX_PATH") == [None, b"/ros"]
        for edited in (shell, third):
            (ros / "more.sh").write_text(f"export MORE={index}{kind}\n")
            time.sleep(0.1)
            assert look(edited, b"MORE") == [f"{index}{kind}".encode()]
    # What may look at any variable is asked each time that a shell enters; and not at a prompt.
    write_scripts(world.base, {"ros": "export COUNT=$(env | grep -c '^COLCON_')"})
    for kind in SHELLS:
        for present in (0, 1):
            shell = world.open(kind, env={f"COLCON_{index}": "x" for index in range(present)})
            assert look(shell, b"COUNT") == [str(present).encode()]
            shell.run(set_variable(kind, "COLCON_X", "x"))
            assert look(shell, b"COUNT") == [str(present + 1).encode()]
            shell.run(set_variable(kind, "WTENV_DEBUG", "1"))
            assert "computed" in shell.run(f"cd {world.main}").out
            assert "debug" not in shell.run("true").out


def test_scripts_that_do_their_worst(own_world: Make, name: str) -> None:
    world = own_world(own_base=True)
    write_scripts(world.base, SCRIPTS)
    shell = world.open(name)
    before, own = without(shell.environ()), shell.run(OWN[name].replace("pwd; ", "")).out
    inside = visit(shell, world)
    assert inside[b"FIRST"] == inside[b"LAST"] == b"1"
    assert inside[b"SEEN"] == b"11"
    assert b"EXITED" not in inside
    assert inside[b"HOME"] == before[b"HOME"]
    assert not {b"IFS", b"PS1", b"PROMPT_COMMAND", b"BASH_ENV", b"ENV"} & (inside.keys() - before.keys())
    assert shell.run(OWN[name].replace("pwd; ", "")).out == own
    for _ in range(2):
        assert shell.run("true").out == ""
        shell.run(f"cd {world.outside}")
        assert without(shell.environ()) == before
        warned = said(shell.run(f"cd {world.main}"))
        for label in ("fails", "exits", "execs", "dies", "group", "syntax"):
            assert [line for line in warned if f"-{label}.sh" in line], (label, warned)
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == before
    assert shell.run(OWN[name].replace("pwd; ", "")).out == own


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


DATA: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(b"\x00\xff{\x1b[31m"),
    "deep": lambda path: path.write_bytes(b"[" * 100_000),
    "a list": lambda path: path.write_text('["A", "B"]'),
    "hostile names": lambda path: path.write_text(
        '{"version": 1, "A;touch ~/pwned": "1", "x[$(touch ~/pwned)]": "2", "PATH": "/x", "Path": "/x", "BASH_ENV": "/x",'
        ' "WTENV_ROOT": "/", "__wtenv_x": "1", "": "1", "A=B": "1", "\\u001b[31m": "1", "IFS": "/"}'
    ),
    "hostile values": lambda path: path.write_text(
        '{"env_vars": {"ONE": "$(touch ~/pwned)`touch ~/pwned`\\n;touch ~/pwned", "TWO": ["x"], "THREE": "a\\u0000b"}}'
    ),
    "too long": lambda path: path.write_text('{"env_vars": {"ONE": "%s"}}' % ("x" * 200_000)),
    "folder": Path.mkdir,
    "fifo": make_fifo,
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
}
PLACES = (
    "conda-meta/state", "etc/conda/env_vars.d/x.json", "etc/conda/activate.d/x.sh", "etc/conda/activate.d",
    "etc/conda/env_vars.d", "etc", "conda-meta/history",
)  # fmt: skip


def test_files_that_are_not_what_they_should_be(own_world: Make, name: str) -> None:
    """Each fault at each place, in one of the shells: the answer that they get is the same. Each shell meets every
    fault, and every place."""
    world = own_world(own_base=True)
    shell = world.open(name)
    before = without(shell.environ())
    for row, (label, make) in enumerate(DATA.items()):
        for column, place in enumerate(PLACES):
            if SHELLS[(row + column) % len(SHELLS)] != name:
                continue
            path = world.base.prefix / place
            if place.endswith(".sh") and label.startswith("hostile"):
                continue  # a script it would be
            kept = path.with_name(f"{path.name}.kept")
            path.parent.mkdir(exist_ok=True)
            if path.exists():
                path.rename(kept)
            make(path)
            result = shell.run(f"cd {world.main}")
            assert active(shell) == "main", (label, place, result)
            assert not [char for char in result.out if not char.isprintable() and char != "\n"], result.out
            assert all(line.startswith("wtenv: ") for line in result.out.splitlines()), result.out
            assert shell.run("true").out == "", (label, place)
            shell.run(f"cd {world.outside}")
            assert without(shell.environ()) == before, (label, place)
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            if kept.exists():
                kept.rename(path)
    assert not (world.home.path / "pwned").exists()


ODD = ["a b", "it's", 'a"b', "$(touch ~/pwned)`x`", "back\\slash", "-n", "ünï", "%F{red}", "~", "*"]
REFUSED = ["line\nwtenv forged", os.fsdecode(b"\xff\xfe")]  # Python itself reads no such folder in a .pth file


def test_prefixes_of_any_name(own_world: Make, base: Base) -> None:
    """Found by name in a folder that CONDA_ENVS_PATH gives: a config can't spell bytes that are no UTF-8."""
    world = own_world()
    opened = [world.open(require_shell(each)) for each in SHELLS]
    starts = [without(shell.environ(), "CONDA_ENVS_PATH") for shell in opened]
    for folder in [*ODD, *REFUSED]:
        prefix = world.outside / folder / base.name
        shutil.copytree(base.prefix, prefix, symlinks=True, copy_function=os.link)
        env = {"CONDA_ENVS_PATH": str(prefix.parent)}
        done = world.home.run(["wtenv", "sync"], world.main, env=env)
        assert done.returncode == (2 if folder in REFUSED else 0), done
        for shell, before in zip(opened, starts, strict=True):
            shell.run(set_variable(shell.name, "CONDA_ENVS_PATH", env["CONDA_ENVS_PATH"]))
            result = shell.run(f"cd {world.main}")
            if folder in REFUSED:
                assert len(result.out.splitlines()) == 1, result
                assert active(shell) == ""
            else:
                assert result.out == world.entering(world.main)
                inside = shell.environ()
                assert inside[b"CONDA_PREFIX"] == os.fsencode(prefix)
                assert inside[b"ENVTOOLS_HOME"].startswith(os.fsencode(prefix))
                assert shell.run("python -c 'import sys; print(sys.prefix)'").out == f"{world.main}/.venv\n"
            shell.run(f"cd {world.outside}")
            assert without(shell.environ(), "CONDA_ENVS_PATH") == before, folder
    assert not (world.home.path / "pwned").exists()


def test_a_prefix_with_a_colon(own_world: Make, name: str) -> None:
    world = own_world()
    prefix = world.outside / "a:b" / "shared"
    shutil.copytree(world.base.prefix, prefix, symlinks=True, copy_function=os.link)
    (world.main / "wtenv.toml").write_text(f'[python]\nbase_conda_env = "{prefix}"\n')
    world.wtenv("allow")
    shell = world.open(name)
    before = without(shell.environ())
    expected = f"PATH can't hold the base's path '{prefix}'; move the base to one without colons"
    assert shell.run(f"cd {world.main}").out == f"wtenv: {world.main}/wtenv.toml: [python] base_conda_env: {expected}\n"
    assert without(shell.environ()) == before
    assert shell.run("true").out == ""


# --- a base that becomes another one, or is gone, while it is active ----------------------------------


def test_replaced_while_active(own_world: Make, name: str) -> None:
    """At the next prompt, or with the next cd, the shell has what the new one gives, and nothing of the old one."""
    world = own_world(own_base=True)
    prefix = world.base.prefix
    other = prefix.with_name("other")
    shutil.copytree(prefix, other, symlinks=True)
    for folder, label in ((prefix, "old"), (other, "new")):
        (folder / "etc/conda/activate.d/which.sh").write_text(f"export {label.upper()}=1 WHICH={label}\n")
        (folder / "conda-meta/history").write_text(f"==> {label} <==\n")
    shell = world.open(name)
    before = without(shell.environ())
    for line in ("true", f"cd {world.feature}"):
        shell.run(f"cd {world.main}")
        assert shell.environ()[b"WHICH"] == b"old"
        prefix.rename(prefix.with_name("aside"))
        other.rename(prefix)
        shell.run(line)
        inside = shell.environ()
        assert (inside.get(b"WHICH"), b"OLD" in inside, active(shell) != "") == (b"new", False, True), shell.transcript
        shell.run(f"cd {world.outside}")
        assert without(shell.environ()) == before
        prefix.rename(other)
        prefix.with_name("aside").rename(prefix)


def test_deleted_while_active(own_world: Make, name: str) -> None:
    """Leaving at once, going on at once to the next worktree, and staying; then it comes back."""
    world = own_world(own_base=True)
    prefix, aside = world.base.prefix, world.base.prefix.with_name("aside")
    shell = world.open(name)
    before = without(shell.environ())
    for line in (f"cd {world.outside}", f"cd {world.feature}", "true", f"cd {world.main}/src"):
        shell.run(f"cd {world.main}")
        assert active(shell) == "main"
        prefix.rename(aside)
        result = shell.run(line)
        assert len(said(result)) == (0 if line.endswith(str(world.outside)) else 1), result
        assert without(shell.environ()) == before, line
        assert shell.run("true").out == ""
        aside.rename(prefix)
        shell.run(f"cd {world.main}")
        assert active(shell) == "main"
        shell.run(f"cd {world.outside}")
        assert without(shell.environ()) == before
