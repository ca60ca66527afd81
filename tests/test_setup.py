"""`wtenv setup`: the hook as a file, one guarded line in the rc, taken back by --undo."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Wtenv
from realbase import Base
from scenes import Scene, make_scene
from shells import RC_FILES, Shell, require_shell
from workspace import Home, wtenv_program

from wtenv.hook.install import MARK
from wtenv.hook.shells import ABI


def test_setup_adds_one_guarded_line(wtenv: Wtenv, home: Home, shell_name: str) -> None:
    rc = home.path / RC_FILES[shell_name]
    rc.parent.mkdir(parents=True, exist_ok=True)
    rc.write_text("# mine, without a newline at its end")
    first = wtenv("setup", shell_name, cwd=home.path, check=True)
    line = rc.read_text().splitlines()[1]
    assert line in first.stderr
    assert line.endswith(MARK)
    assert rc.read_text() == f"# mine, without a newline at its end\n{line}\n"
    wtenv("setup", shell_name, cwd=home.path, check=True)
    assert rc.read_text().count(MARK) == 1, "twice is once"
    assert wtenv("setup", shell_name, "--print", cwd=home.path).stdout == f"{line}\n"
    hook = home.path / f".local/share/wtenv/hook.{shell_name}"
    assert hook.stat().st_mode & 0o777 == 0o600
    wtenv("setup", shell_name, "--undo", cwd=home.path, check=True)
    assert rc.read_text() == "# mine, without a newline at its end\n"
    assert not hook.exists()


def test_print_changes_nothing(wtenv: Wtenv, home: Home, shell_name: str) -> None:
    before = sorted(home.path.rglob("*"))
    assert MARK in wtenv("setup", shell_name, "--print", cwd=home.path, check=True).stdout
    assert sorted(home.path.rglob("*")) == before


def test_nothing_of_a_checkout_is_read_by_new_shells(wtenv: Wtenv, home: Home, shell_name: str, tmp_path: Path) -> None:
    """A config that is active has set where programs keep their own, to a folder that a branch can fill."""
    inside = str(tmp_path / "worktree")
    names = ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    env = {"WTENV_ROOT": inside, "WTENV_ID": "x", "WTENV_UID": str(os.getuid()), "WTENV_VARS": " ".join(names)}
    for name in names:
        env |= {name: f"{inside}/{name}", f"WTENV_NEW_{name}_": f"{inside}/{name}"}
    assert inside not in wtenv("hook", shell_name, cwd=home.path, env=env, check=True).stdout
    assert inside not in wtenv("setup", shell_name, cwd=home.path, env=env, check=True).stderr
    assert not Path(inside).exists()
    assert inside not in (home.path / f".local/share/wtenv/hook.{shell_name}").read_text()
    assert MARK in (home.path / RC_FILES[shell_name]).read_text()


def test_a_linked_rc_stays_a_link(wtenv: Wtenv, home: Home, tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles" / "bashrc"
    dotfiles.parent.mkdir()
    dotfiles.write_text("# dotfiles\n")
    dotfiles.chmod(0o640)
    rc = home.path / ".bashrc"
    rc.unlink(missing_ok=True)
    rc.symlink_to(dotfiles)
    wtenv("setup", "bash", cwd=home.path, check=True)
    assert rc.is_symlink()
    assert MARK in dotfiles.read_text()
    assert dotfiles.stat().st_mode & 0o777 == 0o640


def test_the_line_loads_the_hook(
    wtenv: Wtenv, home: Home, shell_name: str, open_shell: Callable[..., Shell], tmp_path: Path
) -> None:
    wtenv("setup", shell_name, cwd=home.path, check=True)
    line = wtenv("setup", shell_name, "--print", cwd=home.path).stdout
    shell = open_shell(tmp_path, hook=False, after=line)
    assert shell.run("type __wtenv_check").status == 0
    (home.path / f".local/share/wtenv/hook.{shell_name}").unlink()
    assert open_shell(tmp_path, hook=False, after=line).run("type __wtenv_check").status == 0, "the command instead"
    bare = open_shell(tmp_path, hook=False, after=line, env={"PATH": "/usr/bin:/bin"})
    assert bare.startup.out == "", "harmless without either"
    assert bare.run("type __wtenv_check").status != 0


@pytest.mark.parametrize("known", [True, False])
def test_a_hook_of_another_version_is_replaced_and_says_so_once(
    wtenv: Wtenv, home: Home, shell_name: str, open_shell: Callable[..., Shell], tmp_path: Path, known: bool
) -> None:
    """A shell that runs on while another version is installed: its hook asks with the version it has."""
    repo = tmp_path / "repo"
    for place in (repo / "sub", repo / ".git", tmp_path / "other" / ".git"):
        place.mkdir(parents=True)
    wtenv("setup", shell_name, cwd=home.path, check=True)
    hook = home.path / f".local/share/wtenv/hook.{shell_name}"
    hook.write_text(hook.read_text().replace(ABI, "0-0.0.1"))
    old = hook.read_text()
    line = wtenv("setup", shell_name, "--print", cwd=home.path).stdout
    shell = open_shell(tmp_path, hook=False, after=line)
    if known:
        shell.run("cd .")
    said = shell.run(f"cd {repo}").out
    assert said == "wtenv: another version was installed; restart this shell\n"
    assert shell.run(f"cd {repo}/sub").out == ""
    assert shell.run(f"cd {tmp_path}/other").out == "", "once"
    assert hook.read_text() != old, "the file follows"


# --- where programs are not on PATH --------------------------------------------------------------------


def test_a_folder_that_is_not_on_path(
    wtenv: Wtenv, home: Home, shell_name: str, open_shell: Callable[..., Shell], tmp_path: Path
) -> None:
    """As pip, pipx and uv leave it on a machine whose PATH has no ~/.local/bin: `setup` and `doctor` say so, and what they
    name is enough."""
    own = home.path / ".local/bin"
    own.mkdir(parents=True)
    (own / "wtenv").symlink_to(wtenv_program())
    bare = {"PATH": "/usr/bin:/bin"}
    said = home.run([own / "wtenv", "setup", shell_name], tmp_path, env=bare, check=True).stderr
    [fix] = [line.partition("run: ")[2] for line in said.splitlines() if "is not on PATH" in line]
    assert str(own) in fix
    shell = open_shell(tmp_path, hook=False, env=bare)
    assert fix in shell.run(f"{own}/wtenv doctor").out
    shell.run(fix)
    if shell_name == "fish":
        assert shell.run("command -v wtenv").out == f"{own}/wtenv\n"
        return
    rc = home.path / RC_FILES[shell_name]
    again = open_shell(tmp_path, hook=False, env=bare, after=rc.read_text().splitlines()[-1])
    assert again.run("command -v wtenv").out == f"{own}/wtenv\n"
    assert "is not on PATH" not in again.run(f"{own}/wtenv setup {shell_name}").out
    assert "is not on PATH" not in again.run("wtenv doctor").out


# --- shells that are not interactive ------------------------------------------------------------------

FILES = (".bashrc", ".profile", ".zshrc", ".zshenv", ".config/fish/config.fish")


def test_all_shells_and_back(wtenv: Wtenv, home: Home) -> None:
    for shell in ("bash", "zsh", "fish"):
        require_shell(shell)
    for name in FILES:
        (home.path / name).parent.mkdir(parents=True, exist_ok=True)
        (home.path / name).write_text("# mine\n")
    wtenv("setup", "bash", cwd=home.path, check=True)
    for _ in range(2):
        wtenv("setup", "--all-shells", cwd=home.path, check=True)
    counts = {name: (home.path / name).read_text().count(MARK) for name in FILES}
    assert counts == {".bashrc": 2, ".profile": 1, ".zshrc": 1, ".zshenv": 1, ".config/fish/config.fish": 1}
    wtenv("setup", "bash", cwd=home.path, check=True)
    assert (home.path / ".bashrc").read_text().count(MARK) == 2, "the others stay"
    wtenv("setup", "--all-shells", "--undo", cwd=home.path, check=True)
    assert {(home.path / name).read_text() for name in FILES} == {"# mine\n"}
    assert not list((home.path / ".local/share/wtenv").glob("hook.*"))


def test_the_login_file_that_is_there(wtenv: Wtenv, home: Home) -> None:
    (home.path / ".bash_login").write_text("")
    wtenv("setup", "bash", "--all-shells", cwd=home.path, check=True)
    assert MARK in (home.path / ".bash_login").read_text()
    assert not (home.path / ".bash_profile").exists(), "it would hide the other"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Scene:
    for shell in ("bash", "zsh", "fish"):
        require_shell(shell)
    scene = make_scene(tmp_path_factory.mktemp("setup"), base)
    scene("setup", "--all-shells", check=True)
    return scene


LOOK = 'python -c "import pkg; print(pkg.__file__)"'
# Where nothing of wtenv is in the environment yet, as cron, a desktop or ssh start them; and from a terminal.
STARTS = {
    "zsh -c": ["zsh", "-c"],
    "zsh -lc": ["zsh", "-lc"],
    "fish -c": ["fish", "-c"],
    "bash -lc": ["bash", "-lc"],
    "bash -l, then bash -c": ["bash", "-lc", 'exec bash -c "$0"'],
    "bash -i, then bash -c": ["bash", "-ic", 'exec bash -c "$0"'],
    "bash -l, then a workflow's bash -e": ["bash", "-lc", 'printf %s "$0" >~/step.sh; exec bash -e ~/step.sh'],
}


@pytest.mark.parametrize("start", STARTS)
def test_what_is_not_interactive_follows(start: str, ready: Scene) -> None:
    """It begins in one worktree and goes to the other, and out."""
    text = f'{LOOK} && cd {ready.feature} && {LOOK} && cd / && echo "[$VIRTUAL_ENV]"'
    done = ready.home.run([*STARTS[start], text], ready.root)
    assert done.stdout.splitlines() == [
        str(ready.repo.init_file(ready.root)), str(ready.repo.init_file(ready.feature)), "[]"
    ], done.stderr  # fmt: skip
    assert done.stderr == "" or start.startswith("bash -i"), "that one has no terminal, and says so"


def test_a_bash_env_of_the_users_own_stays(ready: Scene, tmp_path: Path) -> None:
    own = tmp_path / "own.bash"
    own.write_text("echo mine\n")
    done = ready.home.run(["bash", "-ic", "exec bash -c 'echo $BASH_ENV'"], ready.root, env={"BASH_ENV": str(own)})
    assert done.stdout.splitlines() == ["mine", str(own)]
