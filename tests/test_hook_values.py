"""Values and variables: byte for byte in, and as they were out, with the user's own changes kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest
from hookworld import CONFIG, World, active, name, own_world, said, shared_world, without, world  # noqa: F401
from shells import HOOK_LINES, SHELLS, Shell, quote, require_shell, run_script, set_variable, unset_variable

HOSTILE = {
    "QUOTES": "a'b\"c`d",
    "COMMAND": "$(touch /tmp/wtenv-pwned) `touch /tmp/wtenv-pwned` ${HOME} $HOME %HOME% !!",
    "NEWLINES": "\nfirst\n\nlast\n",
    "SLASHES": "\\ \\\\ \\n \\' \\",
    "DASHES": "-n -e --",
    "UNICODE": "é 日本 🐍 \ufeff",
    "CONTROL": "\x01\x07\x1b[31m\x7f\t\r",
    "EMPTY": "",
    "SPACES": "  two  ",
    "GLOB": "* ? [a] ~ {a,b} # ; & | < > ( )",
    "BRACES": "{nothing} {{else}} {}",
    "LONG": "x" * 5000,
    "x": "lower case",
    "old": "its name is no local of ours",
    "dir": "nor this",
}


@pytest.fixture(params=["bash", "zsh"])
def posix(request: pytest.FixtureRequest) -> str:
    """bash and zsh in turn."""
    return require_shell(request.param)


def toml(value: str) -> str:
    escaped = "".join(c if c.isalnum() or c in " -_./" else f"\\U{ord(c):08x}" for c in value)
    return f'"{escaped}"'


HOSTILE_CONFIG = '[python]\nbase_conda_env = "{base}"\n[env]\n' + "".join(
    f"{key} = {toml(value)}\n" for key, value in HOSTILE.items()
)


@pytest.fixture(scope="module")
def hostile_world(tmp_path_factory: pytest.TempPathFactory, base: object) -> World:
    from hookworld import make_world

    return make_world(tmp_path_factory.mktemp("hostile"), base, HOSTILE_CONFIG)  # type: ignore[arg-type]


def check_hostile(shell: Shell) -> None:
    environ = shell.environ()
    assert {key: os.fsdecode(environ[key.encode()]) for key in HOSTILE} == HOSTILE


def test_hostile_values(hostile_world: World, name: str) -> None:
    try:
        shell = hostile_world.open(name)
        before = without(shell.environ())
        shell.run(f"cd {hostile_world.main}")
        check_hostile(shell)
        for inner in SHELLS:
            shell.run(require_shell(inner))
            check_hostile(shell)
            shell.run(f"cd {hostile_world.outside}")
            assert not {key.encode() for key in HOSTILE} & shell.environ().keys()
            shell.run("exit")
        shell.run(f"cd {hostile_world.outside}")
        assert without(shell.environ()) == before
        assert not os.path.exists("/tmp/wtenv-pwned")
    finally:
        hostile_world.close()


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin:/bin",
        ":/usr/bin:/bin",
        "/usr/bin::/bin",
        "/usr/bin:/bin:",
        "/usr/bin:/bin:/usr/bin",
        "/a b:/usr/bin:/bin:*",
    ],
)
def test_path_comes_back_as_it_was(world: World, name: str, path: str) -> None:
    if name == "fish" and path != path.strip(":").replace("::", ":"):
        return  # fish itself turns an empty entry into "."
    shell = world.open(name)
    shell.run(f"export PATH='{path}'" if name != "fish" else f"set -gx PATH (string split : '{path}')")
    before = without(shell.environ())
    for _ in range(3):
        shell.run(f"cd {world.main}")
        assert os.fsdecode(shell.environ()[b"PATH"]).endswith(f"/bin:{path}")
        shell.run(f"cd {world.feature}")
        shell.run(f"cd {world.outside}")
        assert without(shell.environ()) == before


def test_path_empty_or_unset(world: World, name: str) -> None:
    for line in ("set -gx PATH" if name == "fish" else "PATH=", unset_variable(name, "PATH")):
        shell = world.open(name)
        shell.run(f"cd {world.main}; cd {world.outside}")  # known: computing it anew is no matter of PATH either
        shell.run(line)
        result = shell.run(f"cd {world.main}")
        assert result.out == world.entering(world.main)
        assert os.fsdecode(shell.environ()[b"PATH"]) == f"{world.main}/.venv/bin:{world.base.bin}"
        shell.run(f"cd {world.outside}")
        assert shell.environ().get(b"PATH", b"") == b""
        world.close()


def test_the_users_changes_stay(world: World, name: str) -> None:
    shell = world.open(name)
    shell.run(set_variable(name, "ALPHA", "before"))
    shell.run(set_variable(name, "ENVTOOLS_MODE", "mine"))
    before = shell.environ()
    shell.run(f"cd {world.main}")
    inside = os.fsdecode(shell.environ()[b"PATH"]).split(":")
    entries = ["/front", inside[0], "/middle", *inside[1:], "/back"]
    shell.run(set_variable(name, "PATH", ":".join(entries)) if name != "fish" else f"set -gx PATH {' '.join(entries)}")
    shell.run(set_variable(name, "ALPHA", "changed"))
    shell.run(unset_variable(name, "ENVTOOLS_MODE"))
    shell.run(set_variable(name, "NEW", "new"))
    shell.run(f"cd {world.feature}")
    assert active(shell) == "feature"
    assert str(world.main).encode() not in b":".join(
        v for k, v in shell.environ().items() if k not in (b"OLDPWD", b"PWD")
    )
    shell.run(f"cd {world.outside}")
    after = shell.environ()
    assert after[b"PATH"] == b"/front:/middle:" + before[b"PATH"] + b":/back"
    assert after[b"NEW"] == b"new"
    assert after[b"ALPHA"] == b"changed"
    assert b"ENVTOOLS_MODE" not in after
    assert not [key for key in after if key.startswith(b"WTENV_")]


def test_never_a_mixture(world: World, name: str) -> None:
    shell = world.open(name)
    for here, there in ((world.main, world.feature), (world.feature, world.main)) * 3:
        shell.run(f"cd {here}")
        values = [value for key, value in shell.environ().items() if key not in (b"OLDPWD", b"PWD")]
        assert not [value for value in values if os.fsencode(there) in value]
        assert [value for value in values if os.fsencode(here) in value]


def test_unexported_variables_come_back_unexported(world: World, name: str) -> None:
    shell = world.open(name)
    shell.run(set_variable(name, "ALPHA", "shell only", export=False))
    before = without(shell.environ())
    for folder in (world.main, world.feature):
        shell.run(f"cd {folder}")
        assert shell.environ()[b"ALPHA"] == b"one two"
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == before
    assert shell.run('echo "<$ALPHA>"').out == "<shell only>\n"


SPECIAL = {
    "bash": ["readonly ALPHA=mine", "declare -a ALPHA=(mine)", "declare -A ALPHA=([a]=mine)", "declare -i ALPHA=7", "declare -u ALPHA=mine"],
    "zsh": ["readonly ALPHA=mine", "ALPHA=(mine)", "typeset -A ALPHA=(a mine)", "integer ALPHA=7", "float ALPHA=7"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "setting"), [(shell, line) for shell, lines in SPECIAL.items() for line in lines])
def test_special_variables_cost_themselves_alone(world: World, name: str, setting: str) -> None:
    shell = world.open(require_shell(name))
    shell.run(setting)
    declared, before = shell.run("declare -p ALPHA").out, without(shell.environ())
    assert said(shell.run(f"cd {world.main}")) == [
        "wtenv: left as they are, read-only or of a special type in this shell: ALPHA",
        world.entering(world.main).strip(),
    ]
    assert active(shell) == "main"
    assert shell.run("declare -p ALPHA").out == declared
    shell.run(f"cd {world.outside}")
    assert shell.run("declare -p ALPHA").out == declared
    assert without(shell.environ()) == before


UNSET = {
    "bash": ["declare -i ALPHA", "declare -u ALPHA", "declare -a ALPHA", "declare -A ALPHA", "declare -r ALPHA"],
    "zsh": [
        "setopt TYPESET_TO_UNSET; typeset -i ALPHA",
        "setopt TYPESET_TO_UNSET; typeset -F ALPHA",
        "typeset -a ALPHA",
    ],
}


@pytest.mark.parametrize("known", [False, True], ids=["computed", "known"])
@pytest.mark.parametrize(("name", "setting"), [(shell, line) for shell, lines in UNSET.items() for line in lines])
def test_declared_without_a_value(own_world: Callable[..., World], name: str, setting: str, known: bool) -> None:
    """An integer evaluates what it is given, also one that has no value yet."""
    require_shell(name)
    world = own_world(CONFIG.replace("one two", "x[$(touch {{root}}/evaluated)]"))
    shell = world.open(name)
    if known:
        shell.run(f"cd {world.main}; cd {world.outside}")
    shell.run(setting)
    declared, before = shell.run("declare -p ALPHA").out, without(shell.environ())
    assert said(shell.run(f"cd {world.main}"))[0].endswith("of a special type in this shell: ALPHA")
    assert active(shell) == "main"
    shell.run(f"cd {world.outside}")
    assert shell.run("declare -p ALPHA").out == declared
    assert without(shell.environ()) == before
    assert not (world.main / "evaluated").exists()


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_read_only_and_unset(world: World, name: str) -> None:
    shell = world.open(require_shell(name))
    shell.run("declare -r ALPHA" if name == "bash" else "typeset -r ALPHA")
    shell.run(f"cd {world.main}")
    assert active(shell) == "main"
    shell.run(f"cd {world.outside}")
    assert active(shell) == ""


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_made_read_only_inside(world: World, name: str) -> None:
    shell = world.open(require_shell(name))
    shell.run(f"cd {world.main}")
    shell.run("readonly ALPHA")
    assert shell.run(f"cd {world.outside}").out == ""
    assert active(shell) == ""
    assert not [key for key in shell.environ() if key.startswith(b"WTENV_")]


DECLARED_INSIDE = {
    "bash": ["declare -i", "declare -u", "declare -l", "declare -iu", "declare -t"],
    "zsh": ["integer", "typeset -u", "typeset -l", "typeset -Z 1"],  # what alters "5" is a change of the user's
}


@pytest.mark.parametrize("known", [False, True], ids=["computed", "known"])
@pytest.mark.parametrize(
    ("name", "setting"), [(shell, line) for shell, lines in DECLARED_INSIDE.items() for line in lines]
)
def test_declared_inside(own_world: Callable[..., World], name: str, setting: str, known: bool) -> None:
    """A number evaluates what it is given: the old value comes back on leaving."""
    require_shell(name)
    world = own_world(CONFIG.replace("one two", "5" if name == "zsh" else "one two"))
    shell = world.open(name)
    shell.run(set_variable(name, "ALPHA", "path[$(touch ~/evaluated)]"))
    shell.run(set_variable(name, "PYTHONHOME", "path[$(touch ~/evaluated)]"))  # unset inside
    shell.run("setopt TYPESET_TO_UNSET 2>/dev/null")
    before, declared = without(shell.environ()), shell.run("declare -p ALPHA").out
    if known:
        shell.run(f"cd {world.main}; cd {world.feature}; cd {world.outside}")
    for folder in (world.outside, world.feature):
        shell.run(f"cd {world.main}")
        shell.run(f"{setting} ALPHA PYTHONHOME")
        if name == "bash":  # zsh's PATH can't be declared another thing
            shell.run(f"{setting} PATH VIRTUAL_ENV")
        assert shell.run(f"cd {folder}").out == (world.entering(folder) if folder == world.feature else "")
        assert active(shell) == ("feature" if folder == world.feature else "")
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == before
    assert shell.run("declare -p ALPHA").out == declared
    assert not (world.home.path / "evaluated").exists()


def test_the_prompt_evaluates_nothing(own_world: Callable[..., World], posix: str) -> None:
    """What a shell shows in its prompt it expands: a folder's name that would run something is not shown."""
    world = own_world('[python]\nbase_prefix = "{base}"\n'.replace("{base}", sys.base_prefix))
    place = world.home.path / ".config/wtenv"
    place.mkdir(parents=True)
    (place / "config.toml").write_text("[prompt]\nshow = true\n")
    shell = world.open(posix, after="setopt PROMPT_SUBST 2>/dev/null")
    start = shell.run('printf "%s\\n" "$PS1"').out
    for folder in ("plain", "$(touch ~/evaluated)", "`touch ~/evaluated`", "\\$(touch ~evaluated)", "%F{red}50%", "!!"):
        root = world.repo.add_worktree("x") if folder == "plain" else world.outside / folder
        if folder != "plain":
            world.repo.git("worktree", "add", "--quiet", "--detach", root)
        world.wtenv("sync", cwd=root)
        shell.run(f"cd {quote(posix, str(root))}")
        assert shell.environ()[b"VIRTUAL_ENV_PROMPT"] == os.fsencode(root.name)
        shown = shell.run('printf "%s\\n" "$PS1"').out
        assert ("(x) " in shown) if folder == "plain" else ("touch" not in shown)
        shell.run(f"cd {world.outside}")
        assert shell.run('printf "%s\\n" "$PS1"').out == start
    assert not (world.home.path / "evaluated").exists()


def test_fish_universal_variables(world: World) -> None:
    shell = world.open(require_shell("fish"))
    shell.run("set -Ux ALPHA universal; set -U PYTHONHOME /universal; set -Ux ENVTOOLS_MODE universal")
    before = without(shell.environ())
    shell.run(f"cd {world.main}")
    assert shell.environ()[b"ALPHA"] == b"one two"
    assert b"PYTHONHOME" not in shell.environ()
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == before
    assert shell.run("set -qg ALPHA; or echo none; echo $ALPHA $PYTHONHOME").out == "none\nuniversal /universal\n"
    shell.run("set -eU ALPHA PYTHONHOME ENVTOOLS_MODE")


CONDA = {"CONDA_SHLVL": "1", "CONDA_DEFAULT_ENV": "base", "CONDA_PROMPT_MODIFIER": "(base) "}


def test_conda_base_active_before(world: World, name: str) -> None:
    root = world.base.root
    env = {**CONDA, "CONDA_PREFIX": str(root), "PATH": f"{root}/bin:{world.home.environ['PATH']}"}
    after = "" if name == "fish" else 'PS1="(base) $PS1"'
    shell = world.open(name, env=env, after=after)
    before = without(shell.environ())
    shell.run(f"cd {world.main}")
    inside = {key.decode(): value.decode() for key, value in shell.environ().items()}
    assert inside["CONDA_SHLVL"] == "2"
    assert inside["CONDA_PREFIX_1"] == str(root)
    assert inside["CONDA_PREFIX"] == str(world.base.prefix)
    assert f"{root}/bin" not in inside["PATH"].split(":")
    if name != "fish":
        assert shell.run("echo $PS1").out.startswith(f"({world.base.name}) ")
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == before
    if name != "fish":
        assert shell.run("echo $PS1").out.startswith("(base) ")


def test_conda_by_the_user_inside(world: World, name: str) -> None:
    """`conda activate other` and `conda deactivate` inside, as what conda sets: leaving keeps what the user did."""
    root, prefix = world.base.root, world.base.prefix
    start = {**CONDA, "CONDA_PREFIX": str(root), "PATH": f"{root}/bin:{world.home.environ['PATH']}"}
    up = {"CONDA_SHLVL": "3", "CONDA_PREFIX_2": str(prefix), "CONDA_PREFIX": "/other", "CONDA_DEFAULT_ENV": "other"}
    down = {"CONDA_SHLVL": "1", "CONDA_PREFIX": str(root), "CONDA_DEFAULT_ENV": "base", "CONDA_PREFIX_1": None}
    for steps, level, active_prefix in ((up, "2", "/other"), (down, "1", str(root))):
        shell = world.open(name, env=start)
        before = without(shell.environ())
        shell.run(f"cd {world.main}")
        path = os.fsdecode(shell.environ()[b"PATH"])
        path = path.replace(world.base.bin.as_posix(), f"{active_prefix}/bin")
        for variable, value in {**steps, "PATH": path}.items():
            shell.run(unset_variable(name, variable) if value is None else set_variable(name, variable, value))
        shell.run(f"cd {world.feature}")
        assert active(shell) == "feature"
        shell.run(f"cd {world.outside}")
        after = {key.decode(): value.decode() for key, value in without(shell.environ()).items()}
        assert (after["CONDA_SHLVL"], after["CONDA_PREFIX"]) == (level, active_prefix)
        assert after.get("CONDA_PREFIX_1") == (str(root) if level == "2" else None)
        assert "CONDA_PREFIX_2" not in after
        assert after["PATH"] == f"{active_prefix}/bin:{world.home.environ['PATH']}"
        own = ("CONDA_SHLVL", "CONDA_PREFIX", "CONDA_PREFIX_1", "CONDA_DEFAULT_ENV", "CONDA_PROMPT_MODIFIER", "PATH")
        assert {k.encode(): v.encode() for k, v in after.items() if k not in own} == {
            key: value for key, value in before.items() if os.fsdecode(key) not in own
        }
        world.close()


def test_list_of_several(own_world: Callable[..., World], name: str) -> None:
    """A false in [env] unsets, and a list variable is given back entry by entry."""
    world = own_world(CONFIG + 'GONE = false\nLD_LIBRARY_PATH = "/ours"\n')
    shell = world.open(name)
    shell.run(set_variable(name, "GONE", ""))
    shell.run(set_variable(name, "LD_LIBRARY_PATH", "/mine:/yours"))
    before = without(shell.environ())
    shell.run(f"cd {world.main}")
    assert b"GONE" not in shell.environ()
    assert shell.environ()[b"LD_LIBRARY_PATH"] == b"/ours"
    shell.run(set_variable(name, "LD_LIBRARY_PATH", "/ours:/added"))
    shell.run(f"cd {world.outside}")
    after = without(shell.environ())
    assert after[b"LD_LIBRARY_PATH"] in (b"/mine:/yours:/added", b"/added:/mine:/yours")
    assert {**after, b"LD_LIBRARY_PATH": b""} == {**before, b"LD_LIBRARY_PATH": b""}


# --- what a script may do to a variable of ours -------------------------------------------------------

OPTIONS = [("bash", ""), ("bash", "-u"), ("bash", "-e"), ("bash", "-eu"), ("zsh", ""), ("zsh", "-u"), ("zsh", "-e")]


def run_inside(world: World, name: str, option: str, *lines: str) -> tuple[list[str], str]:
    """A script whose hook knows the worktrees already; what it printed, and what came on stderr."""
    start = [HOOK_LINES[name], f"cd {world.main}", f"cd {world.feature}", f"cd {world.outside}"]
    arguments = (option,) if option else ()
    text = "\n".join([*start, *lines])
    done = run_script(name, text, world.home.environ, cwd=world.outside, arguments=arguments)
    return done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_SHLVL", "PATH"])
@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_read_only_costs_itself_alone(name: str, option: str, variable: str, world: World) -> None:
    require_shell(name)
    inside, outside, other = f"cd {world.main}", f"cd {world.outside}", f"cd {world.feature}"
    state = "/usr/bin/env | /usr/bin/grep -c -e ^WTENV -e ^CONDA_PREFIX || :"
    # Made so inside.
    out, _ = run_inside(world, name, option, inside, f"readonly {variable}", outside, state, "echo alive")
    assert out == ["0", "alive"]
    out, _ = run_inside(
        world, name, option, inside, f"readonly {variable}", other, 'echo "$WTENV_ROOT"', outside, state
    )
    assert out == [str(world.feature), "0"]
    # Before.
    lines = (f"readonly {variable}", inside, 'echo "$WTENV_ROOT"', outside, state, "echo alive")
    out, error = run_inside(world, name, option, *lines)
    assert out == [str(world.main), "0", "alive"]
    assert error == f"wtenv: left as they are, read-only or of a special type in this shell: {variable}\n"


def test_environment_reset_by_hand(world: World, name: str) -> None:
    """Somebody's script clears all of it inside: what is set then is the user's."""
    shell = world.open(name)
    for folder in (world.main, world.outside, world.main):
        shell.run(f"cd {folder}")
    for variable in [os.fsdecode(each) for each in shell.environ() if each.startswith((b"WTENV_", b"CONDA_"))]:
        shell.run(unset_variable(name, variable))
    shell.run(set_variable(name, "PATH", world.home.environ["PATH"]))
    shell.run(set_variable(name, "VIRTUAL_ENV", "/mine"))
    for folder in (world.outside, world.main, world.outside):
        shell.run(f"cd {folder}")
    found = shell.environ()
    assert found[b"VIRTUAL_ENV"] == b"/mine"
    assert not [each for each in found if each.startswith(b"WTENV_")]


@pytest.mark.parametrize("child", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_all_export(name: str, child: str, world: World) -> None:
    """With `set -a` the hook's own variables are exported as well: a child shell has to begin anew."""
    require_shell(name)
    require_shell(child)
    text = f"{HOOK_LINES[name]}\nset -a\ncd {world.main}\nset +a\n{child} -c " + quote(
        name, f"{HOOK_LINES[child]}\ncd {world.outside}\n/usr/bin/env"
    )
    done = run_script(name, text, world.home.environ, cwd=world.outside)
    assert done.stderr == ""
    assert not [line for line in done.stdout.splitlines() if line.startswith(("WTENV_", "VIRTUAL_ENV"))]


def test_fish_path_variable_in_another_shell(world: World) -> None:
    """A path variable of any name is kept as others see it, joined by ":"."""
    text = f"set -gx --path ALPHA /a /b\ncd {world.main}\nbash -c " + quote(
        "fish", f"{HOOK_LINES['bash']}\ncd {world.outside}\necho $ALPHA"
    )
    done = run_script(require_shell("fish"), f"{HOOK_LINES['fish']}\n{text}", world.home.environ, cwd=world.outside)
    assert (done.stdout, done.stderr) == ("/a:/b\n", "")
