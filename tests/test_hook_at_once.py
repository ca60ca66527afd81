"""Several shells and commands at once: each visit is right or empty, never a mixture, and the last word counts."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hookworld import CONFIG, World, active, name, own_world, said, without  # noqa: F401
from shells import HOOK_LINES, SHELLS, Shell, require_shell
from workspace import wtenv_program

Make = Callable[..., World]


def start(world: World, shell: str, text: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [require_shell(shell), "-c", text], env=world.home.environ, cwd=world.outside, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_all_enter_a_new_worktree(own_world: Make) -> None:
    """With sync.auto each of them would build its overlay: one does, and all have it."""
    world = own_world()
    place = world.home.path / ".config/wtenv"
    place.mkdir(parents=True)
    (place / "config.toml").write_text("[sync]\nauto = true\n")
    for turn in range(3):
        root = world.repo.add_worktree(f"new{turn}")
        look = "/bin/sh -c 'echo \"<$VIRTUAL_ENV>$ALPHA\"'; python -c 'import sys; print(sys.prefix)'"
        text = f"cd {root}; {look}; cd {world.outside}; /bin/sh -c 'echo \"<$VIRTUAL_ENV>$ALPHA\"'"
        started = [start(world, shell, f"{HOOK_LINES[shell]}\n{text}") for shell in (*SHELLS, *SHELLS)]
        for each in started:
            out, error = each.communicate(timeout=120)
            assert out.splitlines() == [f"<{root}/.venv>one two", f"{root}/.venv", "<>"], (out, error)
            assert not [line for line in error.splitlines() if not line.startswith("wtenv: ")], error
            assert "bug" not in error
        assert world.wtenv("sync", cwd=root).count("\n") <= 1


def test_one_allows_while_another_denies(own_world: Make, name: str) -> None:
    """Both say something at the same time; at the next prompt all shells do what was said last."""
    world = own_world()
    shells = [world.open(name), world.open(name, world.main)]
    shells[0].run(f"cd {world.main}")
    for _ in range(4):
        commands = [
            subprocess.Popen([wtenv_program(), word], cwd=world.main, env=world.home.environ, stderr=subprocess.DEVNULL)
            for word in ("allow", "deny", "allow", "deny")
        ]
        for shell in shells:
            shell.run("true")
        assert [command.wait(60) for command in commands] == [0] * 4
        for shell in shells:
            shell.run("true")
        allowed = world.home.run(["wtenv", "run", "true"], world.main).returncode == 0
        assert [active(shell) for shell in shells] == ["main" if allowed else ""] * 2
        world.wtenv("deny")
        for shell in shells:
            shell.run("true")
            assert active(shell) == ""
        world.wtenv("allow")
        for shell in shells:
            shell.run("true")
            assert active(shell) == "main"


def keep_doing(stop: threading.Event, failures: list[str], *actions: Callable[[], None]) -> threading.Thread:
    """Do `actions` over and over until `stop`."""

    def run() -> None:
        try:
            while not stop.is_set():
                for action in actions:
                    action()
        except BaseException as error:  # shown by the test itself
            failures.append(repr(error))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_all_at_once(own_world: Make, name: str) -> None:
    """Prompts and visits while the config is edited and allowed, overlays are built anew, caches pruned and deleted."""
    world = own_world()
    config = world.main / "wtenv.toml"
    text = config.read_text()

    def edit() -> None:
        for value in ("one two", "three"):
            config.write_text(text.replace("one two", value))
            world.wtenv("allow")
            time.sleep(0.02)

    def sync() -> None:
        world.wtenv("sync", "--reinstall", cwd=world.feature)

    def prune() -> None:
        world.wtenv("prune")

    look = "/bin/sh -c 'echo \"<$VIRTUAL_ENV>$ALPHA<$WTENV_ROOT\"'"
    body = f"cd {world.main}; {look}; cd {world.feature}; {look}; cd {world.outside}; {look}"
    loop = f"for i in (seq 10); {body}; end" if name == "fish" else f"for i in $(seq 10); do {body}; done"
    stop, failures = threading.Event(), list[str]()
    threads = [keep_doing(stop, failures, action) for action in (edit, sync, prune)]
    try:
        started = [start(world, name, f"{HOOK_LINES[name]}\n{loop}") for _ in range(2)]
        done = [(*each.communicate(timeout=200), each.returncode) for each in started]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    right = {
        f"<{folder}/.venv>{value}<{folder}" for folder in (world.main, world.feature) for value in ("one two", "three")
    }
    for out, error, code in done:
        assert code == 0
        assert "bug" not in error and "Traceback" not in error, error
        lines = out.splitlines()
        assert len(lines) == 30
        assert right & set(lines)
        for index, line in enumerate(lines):
            assert line in ({"<><"} if index % 3 == 2 else {*right, "<><"}), line
    config.write_text(text)
    world.wtenv("allow")
    world.wtenv("sync", cwd=world.feature)
    shell: Shell = world.open(name)
    before = without(shell.environ())
    for folder in (world.main, world.feature):
        assert said(shell.run(f"cd {Path(folder)}")) == [world.entering(folder).strip()]
    shell.run(f"cd {world.outside}")
    assert without(shell.environ()) == before
