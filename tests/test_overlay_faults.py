"""What breaks, or can't be written: said, not kept, and half an overlay is on no PATH. With real mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hookworld import World, active, make_world, name, own_world, said, shared_world, world  # noqa: F401
from overlay_projects import make_overlay, make_project
from realbase import Base
from scenes import make_home
from shells import HOOK_LINES, SHELLS, require_shell

SITE = "lib/python*/site-packages"
DAMAGE = {
    "a wrapper": "rm .venv/bin/pytest",
    "the interpreter's links": "rm .venv/bin/python*",
    "bin": "rm -r .venv/bin",
    "pyvenv.cfg": "rm .venv/pyvenv.cfg",
    "site-packages": f"rm -r .venv/{SITE}",
    "the program behind wrappers": "rm .venv/bin/.wrapper",
    "the manifest": "rm .venv/wtenv.json",
    "a script is added": "cp /bin/true .venv/bin/ls",
}


def test_half_an_overlay_is_left_at_the_next_prompt(world: World, name: str) -> None:
    """In every shell, with one line that says what to do; after that all is as before."""
    shell = world.open(name, world.main)
    for damage, line in DAMAGE.items():
        assert active(shell) == "main", damage
        told = said(shell.run(f"sh -c '{line}'"))
        assert len(told) == 1 and told[0].endswith("run: wtenv sync"), (damage, told)
        assert active(shell) == "", damage
        assert not said(shell.run("true")), damage
        shell.run("wtenv sync")
    assert active(shell) == "main"
    for place in world.main.glob(".venv.replaced-*"):
        shutil.rmtree(place)


def test_what_another_tool_installs_is_said_once(world: World, tmp_path: Path) -> None:
    """In the shell that sees it first; it is used at once, and no new shell says it again."""
    project = make_project(tmp_path / "other", "flit", "elsewhere", name="other")
    shell = world.open("bash", world.main)
    install = f"pip install -q --no-deps --no-build-isolation {project}"
    assert ["other 1.0" in line for line in said(shell.run(install))] == [True]
    assert shell.run("other-cli").out.strip().endswith("site-packages/other/__init__.py")
    assert not said(shell.run("true"))
    assert not [line for line in said(world.open("bash", world.main).startup) if "other" in line]
    assert not said(shell.run("pip uninstall -qy other"))
    assert active(shell) == "main"


def in_namespace(world: World, script: str, cwd: Path, **env: str) -> str:
    """What a script prints that may mount: nobody else sees it, and it ends with the script."""
    if os.getuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root can mount")
    done = subprocess.run(
        ["unshare", "-m", "/bin/sh", "-c", script], env={**world.home.environ, **env}, cwd=cwd,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode == 9 or "unshare:" in done.stderr:
        pytest.skip("no mounts here")
    assert done.returncode == 0, done
    return done.stdout + done.stderr


def remount(folder: Path, option: str) -> str:
    return f"mount --bind {folder} {folder} && mount -o remount,bind,{option} {folder} || exit 9"


def test_a_refresh_that_fails(own_world: Callable[..., World]) -> None:
    """A read-only worktree, and a base that gains a script: said, not kept, and the script does not run on the base's
    Python. Once it can be written, nothing is left of that."""
    world = own_world(own_base=True)
    new = world.base.bin / "newtool"
    new.write_text(f"#!{world.base.python}\nimport sys; print('ran on', sys.prefix)\n")
    new.chmod(0o755)
    for each in SHELLS:
        require_shell(each)
        visit = f"cd {world.main}; newtool; cd {world.outside}; cd {world.main}; newtool"
        line = f"{HOOK_LINES[each]}\n{visit}"
        told = in_namespace(world, f"{remount(world.main, 'ro')}; {each} -c '{line}' 2>&1; true", world.outside)
        assert told.count("can't follow its base, which has changed (Read-only file system)") == 2, (each, told)
        assert "ran on" not in told, (each, told)
    told = in_namespace(world, f"{remount(world.main, 'ro')}; wtenv run newtool; echo $?", world.main)
    assert told.startswith("2\n") and "can't follow" in told, told
    shell = world.open("bash", world.main)
    assert shell.run("newtool").out == f"ran on {world.main}/.venv\n"


def test_a_read_only_overlay_that_is_in_step(own_world: Callable[..., World]) -> None:
    """Where only the note could not be written, there is nothing to say."""
    world = own_world(own_base=True)
    os.utime(world.base.bin)
    told = in_namespace(world, f"{remount(world.main, 'ro')}; wtenv run pytest --version", world.main)
    assert "wtenv" not in told and "pytest" in told


def test_noexec(world: World) -> None:
    """Plain `pytest` would be the base's, since a shell passes over what it can't start: so nothing is active, and
    what is said is the truth, with the command that ends it."""
    words = ("run pytest --version", "export bash", "sync", "doctor")
    lines = "; ".join(f"wtenv {line} 2>&1 | grep -e mounted -e damaged -e fixed" for line in words)
    script = f"""{remount(world.main, "noexec")}; cd {world.main}; rm -rf ~/.cache/wtenv; {lines}
bash -c '{HOOK_LINES["bash"]}; echo "active <$VIRTUAL_ENV>"' 2>&1
git worktree add -q {world.main}/inner; cd inner; wtenv sync 2>&1; ls -d .venv 2>&1; cd ..
$(wtenv sync 2>&1 | sed "s/.*run: sudo //"); wtenv run pytest --version
git worktree remove -f inner"""
    told = in_namespace(world, script, world.outside).splitlines()
    what = f"{world.main} is mounted noexec: no script of {world.main}/.venv can be started"
    fix = f"keep the worktree elsewhere, or run: sudo mount -o remount,bind,exec {world.main}"
    assert told[:3] == [f"wtenv: {what}; {fix}"] * 3, told
    assert told[3].startswith("problem") and told[3].endswith(what), told
    assert told[4:6] == [f"wtenv: {what}; {fix}", "active <>"], told
    assert told[6].startswith(f"wtenv: {world.main} is mounted noexec") and "No such file" in told[7], told
    assert told[8].startswith("pytest "), told


# What is done there, and what it leaves beside the overlay.
LAYERED = {
    "wtenv clean; ls -d .venv 2>&1; wtenv sync": [".venv"],
    "rm .venv/bin/python*; wtenv sync": [".venv"],
    "rm -r $HOME/.local/share/wtenv/overlays; wtenv sync --replace; ls .venv.replaced-1/bin/pytest": [
        ".venv",
        ".venv.replaced-1",
    ],
}


def test_overlay_file_system(world: World) -> None:
    """A worktree and its overlay in a lower layer, as in a container: no folder of it can be renamed."""
    lower = world.home.path.parent
    for lines, left in LAYERED.items():
        top = Path(tempfile.mkdtemp(prefix="wtenv-layers-"))
        try:
            layers = f"lowerdir={lower},upperdir={top}/upper,workdir={top}/work"
            mount = (
                f"cd {top}; mkdir upper work; mount -t overlay overlay -o {layers} {lower} || exit 9; cd {world.main}"
            )
            rename = 'python3 -c \'import os; os.rename(".venv", "x")\' 2>&1 | grep -c cross-device'
            look = "wtenv run python -c 'import sys; print(sys.prefix)'; ls -d .venv*"
            told = in_namespace(world, f"{mount}; {rename}; {lines} || exit 1; {look}", world.main).splitlines()
            assert told[0] == "1", told
            assert [line for line in told if line.startswith(".venv") and "bin" not in line] == left, told
            assert f"{world.main}/.venv" in told, told
            if "clean" in lines:
                assert any("No such file" in line for line in told), told
        finally:
            shutil.rmtree(top)


def test_a_folder_that_a_group_may_write(base: Base) -> None:
    """2775 and umask 002, as shared machines have it: the group gets nothing below the overlay."""
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can be several users")
    top = Path(tempfile.mkdtemp(prefix="wtenv-group-"))
    former = os.umask(0o002)
    try:
        home = make_home(top / "home")
        root = top / "shared/work"
        root.mkdir(parents=True)
        for folder in (top, top / "shared", root):
            os.chown(folder, -1, 34567)
            folder.chmod(0o2775)
        make_overlay(root, base, home.environ)
        for words in (["touch", root / ".venv/bin/evil"], ["ls", root / ".venv/bin"], ["touch", root / "by-right"]):
            command = ["setpriv", "--reuid", "23456", "--regid", "34567", "--clear-groups", *words]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode == 0) == (words[1] == root / "by-right"), done
    finally:
        os.umask(former)
        shutil.rmtree(top)
