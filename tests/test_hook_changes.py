"""What changes under an open shell is noticed at its next prompt; what breaks leaves a working shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hookworld import CONFIG, World, active, name, own_world, said, shared_world, without, world  # noqa: F401
from shells import HOOK_LINES, quote, require_shell

from wtenv.hook.shells import ABI, SWITCHED_BEFORE


def in_other_shell(world: World, *words: str | Path, cwd: Path | None = None) -> None:
    world.wtenv(*words, cwd=cwd)


def test_edited_config_is_left_until_allowed(own_world: Callable[..., World], name: str) -> None:
    world = own_world()
    config = world.main / "wtenv.toml"
    shell = world.open(name)
    before = without(shell.environ())
    shell.run(f"cd {world.main}")
    original = config.read_text()
    config.write_text(original.replace("one two", "three"))
    assert len(said(shell.run("true"))) == 1
    assert without(shell.environ()) == before
    for line in ("true", "cd src", "cd ..", "true"):
        assert shell.run(line).out == "", line
    in_other_shell(world, "allow")
    shell.run("true")
    assert shell.environ()[b"ALPHA"] == b"three"
    config.write_text(original)
    assert len(said(shell.run("true"))) <= 1  # this content was allowed before, or is to be allowed again
    config.write_text("[python\n")
    assert len(said(shell.run("true"))) == 1
    assert active(shell) == ""
    shell.run(f"cd {world.outside}")
    assert len(said(shell.run(f"cd {world.main}"))) == 1


def test_untrusted_config(own_world: Callable[..., World], name: str) -> None:
    world = own_world()
    world.wtenv("deny")
    shell = world.open(name)
    before = without(shell.environ())
    assert len(said(shell.run(f"cd {world.main}"))) == 1
    for line in ("true", "cd src", "cd .."):
        assert shell.run(line).out == "", line
    assert without(shell.environ()) == before
    shell.run(f"cd {world.outside}")
    assert len(said(shell.run(f"cd {world.main}"))) == 1
    in_other_shell(world, "allow")
    shell.run("true")
    assert active(shell) == "main"
    in_other_shell(world, "deny")
    assert len(said(shell.run("true"))) == 1
    assert without(shell.environ()) == before


def test_base_changes(own_world: Callable[..., World], name: str) -> None:
    world = own_world(own_base=True)
    shell = world.open(name)
    before = without(shell.environ())
    shell.run(f"cd {world.main}")
    script = world.base.prefix / "etc/conda/activate.d/later.sh"
    script.write_text("export LATER=$CONDA_PREFIX/later\n")
    shell.run("true")
    assert shell.environ()[b"LATER"] == os.fsencode(f"{world.base.prefix}/later")
    script.write_text("export LATER=again\n")
    shell.run("true")
    assert shell.environ()[b"LATER"] == b"again"
    script.unlink()
    shell.run("true")
    assert b"LATER" not in shell.environ()
    state = world.base.prefix / "conda-meta/state"
    state.write_text('{"version": 1, "env_vars": {"STATED": "yes"}}')
    shell.run("true")
    assert shell.environ()[b"STATED"] == b"yes"
    shutil.rmtree(world.base.prefix)
    assert len(said(shell.run("true"))) == 1
    assert without(shell.environ()) == before


def test_overlay_is_deleted(own_world: Callable[..., World], name: str) -> None:
    world = own_world()
    shell = world.open(name)
    before = without(shell.environ())
    shell.run(f"cd {world.main}")
    shutil.rmtree(world.main / ".venv")
    assert f"wtenv: made {world.main}/.venv" in said(shell.run("true")), "nothing has to be built for it"
    assert active(shell) == "main"
    shutil.rmtree(world.main / ".venv")
    (world.main / ".venv").write_text("")  # here it can't be made again
    assert len(said(shell.run("true"))) == 1
    assert without(shell.environ()) == before
    (world.main / ".venv").unlink()
    in_other_shell(world, "sync")
    shell.run("true")
    assert active(shell) == "main"


def test_overlay_that_came_from_elsewhere(own_world: Callable[..., World], name: str) -> None:
    """Checked in, unpacked, copied, linked, or put in its place while it is active: ignored and named."""
    world = own_world()
    overlay, kept = world.main / ".venv", world.main / ".venv.kept"
    hostile = world.outside / "hostile"
    shutil.copytree(world.feature / ".venv", hostile, symlinks=True)
    (hostile / "bin/hijack").write_text("#!/bin/sh\necho HIJACKED\n")
    (hostile / "bin/hijack").chmod(0o755)
    shell = world.open(name)
    before = without(shell.environ())
    for put in (lambda: shutil.copytree(hostile, overlay, symlinks=True), lambda: overlay.symlink_to(hostile)):
        for inside in (True, False):
            if inside:
                shell.run(f"cd {world.main}")
                assert active(shell) == "main"
            overlay.rename(kept)
            put()
            result = shell.run("true" if inside else f"cd {world.main}")
            assert len(said(result)) == 1, result
            assert str(overlay) in result.out
            assert without(shell.environ()) == before
            assert "HIJACKED" not in shell.run("hijack").out
            overlay.unlink() if overlay.is_symlink() else shutil.rmtree(overlay)
            kept.rename(overlay)
            shell.run("true")
            assert active(shell) == "main"
            shell.run(f"cd {world.outside}")
            assert without(shell.environ()) == before


def test_one_stack_from_two_repositories(own_world: Callable[..., World], name: str) -> None:
    """Both have its overlay; from one to the other, and when the stack's config changes under both."""
    world = own_world()
    stack = world.outside / "stack.toml"
    text = '[wtenv]\nkind = "stack"\n' + CONFIG.format(base=world.base.name) + 'WHERE = "{root}"\n'
    stack.write_text(text)
    other = world.outside / "other"
    subprocess.run(["git", "init", "-q", str(other)], env=world.home.environ, check=True)
    for root in (world.main, other):
        (root / "wtenv.toml").write_text('[wtenv]\nextends = "../stack.toml"\n')
        world.wtenv("allow", cwd=root)
    world.wtenv("sync", cwd=other)
    shell = world.open(name)
    before = without(shell.environ())
    for root in (world.main, other, world.main):
        shell.run(f"cd {root}")
        inside = shell.environ()
        assert inside[b"WTENV_ROOT"] == os.fsencode(root)
        assert inside[b"VIRTUAL_ENV"] == os.fsencode(world.outside / ".venv")
        assert inside[b"WHERE"] == os.fsencode(world.outside)
        assert os.fsdecode(inside[b"PATH"]).count(str(world.outside / ".venv/bin")) == 1
    stack.write_text(text.replace("one two", "three"))
    assert len(said(shell.run("true"))) == 1
    assert without(shell.environ()) == before
    assert len(said(shell.run(f"cd {other}"))) == 1
    world.wtenv("allow", cwd=other)  # of this repository alone
    shell.run("true")
    assert shell.environ()[b"ALPHA"] == b"three"
    assert len(said(shell.run(f"cd {world.main}"))) == 1
    assert without(shell.environ()) == before


def test_worktree_is_removed(own_world: Callable[..., World], name: str) -> None:
    world = own_world()
    shell = world.open(name)
    before = without(shell.environ())
    shell.run(f"cd {world.feature}/src")
    assert active(shell) == "feature"
    shutil.rmtree(world.feature)
    shell.run("true")
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == before
    shell.run(f"cd {world.main}")
    assert active(shell) == "main"


def test_git_init_and_new_worktree(own_world: Callable[..., World], name: str) -> None:
    world = own_world()
    shell = world.open(name)
    folder = world.outside / "fresh"
    folder.mkdir()
    shell.run(f"cd {folder}")
    shell.run("git init -q .")
    assert shell.run("true").out == ""
    added = world.repo.add_worktree("added")
    assert f"wtenv: made {added}/.venv" in said(shell.run(f"cd {added}"))
    assert active(shell) == "added"


def test_ctrl_c_during_a_load(own_world: Callable[..., World], name: str) -> None:
    world = own_world(own_base=True)
    count = world.outside / "count"
    (world.base.prefix / "etc/conda/activate.d/slow.sh").write_text(f"echo x >>{count}\nsleep 20\n")
    shell = world.open(name)
    before = without(shell.environ())
    shell.type(f"cd {world.main}")
    deadline = time.monotonic() + 20
    while not count.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    shell.press("\x03")
    shell.finish()
    started = count.read_text()
    for line in ("true", "echo alive", "true"):
        shell.run(line)
    assert count.read_text() == started  # no retry
    assert without(shell.environ()) == before
    assert shell.run("pwd").out == f"{world.main}\n"
    (world.base.prefix / "etc/conda/activate.d/slow.sh").unlink()
    shell.run(f"cd {world.outside}")
    shell.run(f"cd {world.main}")
    assert active(shell) == "main"


# --- wtenv itself is gone or broken -------------------------------------------------------------------

COMMANDS = {
    "missing": "/nowhere/python",
    "failing": "/bin/false",
    "silent": "/bin/true",
    "garbage": "/bin/echo 'this is; (not) shell $'",
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_wtenv_gives_no_answer(own_world: Callable[..., World], name: str, kind: str) -> None:
    world = own_world()
    words = COMMANDS[kind]
    shell = world.open(
        name, after=f"set -g __wtenv_command {words}" if name == "fish" else f"__wtenv_command=({words})"
    )
    before = without(shell.environ())
    shutil.rmtree(world.home.path / ".cache", ignore_errors=True)
    result = shell.run(f"cd {world.main}")
    assert [line for line in said(result) if "no answer" in line], result.out
    assert without(shell.environ()) == before
    for line in ("true", "cd src", "cd ..", "true"):
        assert "wtenv" not in shell.run(line).out, line
    shell.run(f"cd {world.outside}")
    assert active(shell) == ""


def test_known_worktrees_do_not_need_wtenv(world: World, name: str) -> None:
    shell = world.open(name)
    shell.run(f"cd {world.main}; cd {world.outside}")
    shell.run("set -g __wtenv_command /bin/false" if name == "fish" else "__wtenv_command=(/bin/false)")
    assert shell.run(f"cd {world.main}").out == world.entering(world.main)
    assert active(shell) == "main"


def test_no_place_to_write(own_world: Callable[..., World], name: str) -> None:
    """Without a cache every prompt in the worktree is slower, and right."""
    world = own_world()
    shutil.rmtree(world.home.path / ".cache", ignore_errors=True)
    (world.home.path / ".cache").write_text("a file in its place")
    shell = world.open(name, env={"XDG_RUNTIME_DIR": "/proc/nowhere", "TMPDIR": "/proc/nowhere"})
    before = without(shell.environ())
    for folder, expected in ((world.main, "main"), (world.feature, "feature"), (world.outside, "")):
        shell.run(f"cd {folder}")
        assert active(shell) == expected
    assert without(shell.environ()) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_read_only_file_system(own_world: Callable[..., World], name: str) -> None:
    """Home, worktrees and all: what can't be kept is computed, and nothing is said about it."""
    world = own_world()
    shutil.rmtree(world.home.path / ".cache", ignore_errors=True)
    top = world.home.path.parent
    show = 'echo "<$VIRTUAL_ENV>"'
    walk = "\n".join(f"cd {folder}; {show}" for folder in (world.main, world.feature, world.outside))
    script = f"{HOOK_LINES[name]}\n{walk}\n/usr/bin/env | grep -c '^WTENV_'"
    mount = (
        f"mount --bind {top} {top} && mount -o remount,bind,ro {top} || exit 9; ! touch {top}/x 2>/dev/null || exit 9"
    )
    env = {**world.home.environ, "TMPDIR": "/proc/nowhere", "XDG_RUNTIME_DIR": "/proc/nowhere"}
    command = ["unshare", "-m", "/bin/sh", "-c", f'{mount}; cd {world.outside}; exec {name} -c "$0"', script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode == 9 or "unshare" in done.stderr:
        pytest.skip("no mount namespaces here")
    assert done.stdout.splitlines() == [f"<{world.main}/.venv>", f"<{world.feature}/.venv>", "<>", "0"], done
    assert "wtenv" not in done.stderr and (name == "fish" or not done.stderr)  # which fish itself complains about


def test_tmux(world: World, name: str, tmp_path: Path) -> None:
    """A server that is started inside hands its environment to panes outside."""
    if shutil.which("tmux") is None:
        if os.environ.get("CI"):
            pytest.fail("tmux is not installed, and CI has to test it")
        pytest.skip("tmux is not installed")
    shell = world.open(name)
    for rc in (".bash_profile", ".zprofile"):  # panes are login shells, for which /etc/profile sets PATH
        (world.home.path / rc).write_text(f"PATH={world.home.environ['PATH']}\n. ~/.bashrc\n" if rc[1] == "b" else "")
    program = shutil.which(name, path=world.home.environ["PATH"])
    tmux = f"tmux -S {tmp_path}/s"
    try:
        shell.run(f"cd {world.main}")
        shell.run(f"env SHELL={program} {tmux} -f /dev/null new-session -d -s s -c {world.outside}")
        for folder, expected in ((world.feature, f"{world.feature}/.venv"), (world.outside, "")):
            out = tmp_path / folder.name
            shell.run(f"{tmux} new-window -t s -c {folder}")
            line = f"/bin/sh -c 'echo \"<$VIRTUAL_ENV>$WTENV_ROOT\" >{out}.tmp && mv {out}.tmp {out}'"
            deadline = time.monotonic() + 30
            while not out.exists() and time.monotonic() < deadline:
                # Again, as a shell that is still starting may drop what was typed.
                shell.run(f"{tmux} send-keys -t s -l {quote(name, line)}; {tmux} send-keys -t s Enter")
                for _ in range(30):
                    if not out.exists():
                        time.sleep(0.1)
            assert out.read_text() == f"<{expected}>{folder if expected else ''}\n"
    finally:
        subprocess.run([*tmux.split(), "kill-server"], check=False, capture_output=True)
        for rc in (".bash_profile", ".zprofile"):
            (world.home.path / rc).unlink()


def test_vanished_folder(world: World, name: str) -> None:
    folder = world.outside / "vanishing/inner"
    folder.mkdir(parents=True)
    shell = world.open(name)
    shell.run(f"cd {folder}")
    shutil.rmtree(folder.parent)
    for line in ("true", "false", "true"):
        assert "wtenv" not in shell.run(line).out
    shell.run(f"cd {world.main}")
    assert active(shell) == "main"


@pytest.mark.parametrize("home", ["unset", "read-only"])
def test_home_is_unusual(world: World, name: str, home: str) -> None:
    shell = world.open(name)
    if home == "unset":
        shell.run("set -e HOME" if name == "fish" else "unset HOME")
    elif name != "fish":  # which has no read-only variables of the user's
        shell.run("readonly HOME")
    assert "rror" not in shell.run(f"cd {world.main}").out
    shell.run("true")
    shell.run(f"cd {world.outside}")
    assert active(shell) == ""


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_closed_stderr(world: World, name: str) -> None:
    shell = world.open(require_shell(name))
    for folder, expected in ((world.main, "main"), (world.feature, "feature"), (world.outside, "")):
        assert shell.run(f"cd {folder} 2>&-").status == 0
        assert active(shell) == expected


@pytest.mark.parametrize("place", [".local/share/wtenv/trust", ".condarc"])
def test_a_file_of_the_users_that_is_deleted(world: World, name: str, place: str) -> None:
    """Of what only ever gets a later time, too."""
    at = world.home.path / place
    shell = world.open(name)
    shell.run(f"cd {world.main}")
    assert active(shell) == "main"
    aside = at.rename(world.home.path / "aside")
    shell.run("true")
    assert active(shell) == ""
    aside.rename(at)
    shell.run("true")
    assert active(shell) == "main"


# --- another version is installed under an open shell -------------------------------------------------

# A word of this hook -> the same in hooks up to ABI 4, at times for something else. Many are swapped.
OLD_WORDS = {
    "switched": SWITCHED_BEFORE.removeprefix("__wtenv_"), "decision": "from", "inherited": "adopted", "loaded_root": "held",
    "last_message": "said", "leave_message": "farewell", "low_resolution": "coarse", "find": "load", "load": "arrive",
    "switch": "settle", "depends": "guard", "witnesses": "stamps", "fast": "straight", "unexported": "plain",
    "relative_root": "way", "real_root": "top", "below": "new", "after_cd": "move",
}  # fmt: skip


@pytest.mark.parametrize("start", ["outside", "inside"])
def test_the_hook_of_an_older_version_with_other_words(start: str, world: World, name: str) -> None:
    """A shell that runs on with it is right from the first `cd` on, and says once that it should be restarted. It keeps
    none of this version's variables; bash and zsh stop at one that is not set."""
    strict = {"bash": "set -u; ", "zsh": "setopt no_unset; "}.get(name, "")
    text = world.wtenv("hook", name).replace(ABI, "4-0.0.1")
    text = re.sub(r"(__wtenv_)([a-z_]+)", lambda found: found[1] + OLD_WORDS.get(found[2], found[2]), text)
    if name == "fish":  # has a list of these words, too

        def rename(found: re.Match[str]) -> str:
            return " ".join(OLD_WORDS.get(word, word) for word in found[0].split())

        text = re.sub("(?<=for __wtenv_name in )root .*", rename, text)
    file = world.home.path / f"old.{name}"
    file.write_text(text)
    shell = world.open(name, hook=False, after=strict)
    before = without(shell.environ())
    if start == "inside":
        given = world.home.run(["wtenv", "export", "sh", "--directory", world.main], world.outside, check=True).stdout
        values = world.home.run(["sh", "-c", f"{given}\nenv -0"], world.outside, check=True).stdout.split("\0")
        env = dict(item.split("=", 1) for item in values if item)
        shell = world.open(name, world.main, env=env, hook=False, after=strict)
    source = shell.run(f"source {file}")
    moved = shell.run(f"cd {world.main}/src")
    lines = said(source) + said(moved)
    restart = "wtenv: another version was installed; restart this shell"
    assert lines == [restart, *[world.entering(world.main).strip()] * (start == "outside")]
    assert active(shell) == "main"
    assert said(shell.run(f"cd {world.feature}")) == [world.entering(world.feature).strip()]
    assert active(shell) == "feature"
    assert said(shell.run(f"cd {world.outside}")) == []
    assert without(shell.environ()) == before
