"""Every option that this very shell has, each turned to what it is not, before and after the hook's line.

One process for all: each option has a subshell of its own. `test_hook_guest.py` has those that are known to
matter in interactive shells.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hookworld import World, shared_world, world  # noqa: F401
from shells import require_shell

# Nothing is run any more; or a line is all that is run.
DEADLY = {"noexec", "onecmd", "singlecommand"}
FORBIDDING = {
    "restricted",
    "interactive",
    "privileged",
    "monitor",
    "shinstdin",
    "zle",
}  # can't be set in a running shell; or `cd` can't be run
# What these print is no complaint; a user's `set -a` exports what the hook has as well.
LOUD = {"verbose", "xtrace", "sourcetrace", "printexitvalue"}
EXPORTING = {"allexport"}


def list_options(shell: str) -> list[tuple[str, str]]:
    """(option, the command that turns it over)."""

    def ask(text: str) -> list[list[str]]:
        done = subprocess.run([shell, "-c", text], capture_output=True, text=True, check=False, env={"PATH": "/bin"})
        return [line.split() for line in done.stdout.splitlines()]

    if shell == "zsh":  # each as it is not: "noglob off"
        return [(name, f"setopt {name}") for name, _ in ask("emulate zsh -c 'set -o'")]
    options = [(name, f"set {'+' if state == 'on' else '-'}o {name}") for name, state in ask("set -o")]
    return options + [(name, f"shopt {'-u' if state == 'on' else '-s'} {name}") for name, state in ask("shopt")]


def write_script(world: World, shell: str, options: list[tuple[str, str]], known: bool) -> str:
    """For each option and order: a walk, with what is active in each place and the environment at its end. Order
    "left": of a shell that has inherited the activation, and leaves."""
    look = "/bin/sh -c 'echo \"$VIRTUAL_ENV,$ALPHA\"'"
    walk = "; ".join(
        f"\\cd {folder}; {look}" for folder in (world.main, world.main / "src", world.feature, world.outside)
    )
    forget = "" if known else f"/bin/rm -rf {world.home.path}/.cache/wtenv; "
    lines = [f"HOOK=$(wtenv hook {shell}); PWD={world.outside}"]
    given = world.home.path / "given"  # as another shell would hand it on
    given.write_text(world.wtenv("export", "sh").replace("\\command export", "export"))
    for index, (_, turn) in enumerate(options):
        orders = {
            "before": (f'{turn}; eval "$HOOK"', walk),
            "after": (f'eval "$HOOK"; {turn}', walk),
            "left": (f'. {given}; {turn}; eval "$HOOK"', f"\\cd {world.outside}; {look}"),
        }
        for order, (text, commands) in orders.items():
            place = f"{world.home.path}/{index}.{order}"
            run = f"{{ {commands}; }} >|{place}.places; /usr/bin/env -0 >|{place}.env"
            lines.append(f"{forget}( {text}; {run} ) 2>{place}.err")
    lines.append(f'( eval "$HOOK"; /usr/bin/env -0 >{world.home.path}/plain.env ); echo done')
    return "\n".join(lines)


def read_environment(path: Path) -> dict[str, str]:
    pairs = [item.partition("=")[::2] for item in path.read_bytes().decode("utf-8", "surrogateescape").split("\0")]
    kept = {name: value for name, value in pairs if name not in ("_", "OLDPWD", "PWD", "SHLVL", "")}
    return {name: value for name, value in kept.items() if not name.startswith(("BASH_FUNC_", "__wtenv_"))}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_every_option(world: World, shell: str) -> None:
    options = [each for each in list_options(require_shell(shell)) if each[0] not in DEADLY | FORBIDDING]
    assert len(options) > (40 if shell == "bash" else 150)
    known = os.environ.get("WTENV_OPTIONS") != "computed"  # by hand: each option also where all is computed
    script = world.home.path / "script"
    script.write_text(write_script(world, shell, options, known))
    program = [shell, "-f", script] if shell == "zsh" else [shell, "--norc", script]
    done = subprocess.run(
        program, env=world.home.environ, cwd=world.outside, capture_output=True, text=True, check=False
    )
    assert done.stdout == "done\n", done
    plain = read_environment(world.home.path / "plain.env")
    inside = [f"{world.main}/.venv,one two"] * 2 + [f"{world.feature}/.venv,one two", ","]
    wrong = {}
    for index, (name, _) in enumerate(options):
        for order in ("before", "after", "left"):
            place = f"{world.home.path}/{index}.{order}"
            after = read_environment(Path(f"{place}.env"))
            said = "" if name in LOUD else Path(f"{place}.err").read_text()
            found = (Path(f"{place}.places").read_text().splitlines(), {} if name in EXPORTING else after, said)
            places = [","] if order == "left" else inside
            if found != (places, {} if name in EXPORTING else plain, ""):
                wrong[name, order] = found
    assert not wrong, wrong
