"""`python tests/soak.py`: three live shells, and whatever may happen beside them, in a random order.

After each operation each shell is asked what it sees. Counted are

    mixtures        variables, PATH and overlay that do not all belong to the worktree that the shell stands in
    wrong imports   plain `python`, a console script or `sh -c 'cd …'` that import another worktree's copy
    foreign code    something ran that came with a checkout
    lost shells     a shell that gave no answer, or showed a traceback

    python tests/soak.py --operations 2000 --seed 1

The exit code is 1 if there was any. The seed gives the same operations again, but not the same moments of a kill.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent))

from hookworld import World, make_world
from realbase import cache_folder, shared_base
from shells import SHELLS, Shell
from workspace import wtenv_program

CONFIG = """\
[python]
base_conda_env = "{base}"

[editables]
packages = ["."]

[env]
ALPHA = "none"
"""
# What a child of the shell sees. The copy that is imported says itself where it is.
LOOK = """\
printf '<<%s|%s|%s|%s>>\\n' "$VIRTUAL_ENV" "$WTENV_ROOT" "$ALPHA" "$PATH"
printf '<<python=%s>>\\n' "$(python -c 'import pkg; print(pkg.__file__)' 2>&1 | tail -n 1)"
printf '<<script=%s>>\\n' "$(pkg-cli 2>&1 | tail -n 1)"
"""
# What a hostile branch brings, each with a mark that it leaves where it runs.
HOSTILE = {
    ".venv/bin/pkg-cli": "#!/bin/sh\necho ran >{mark}\n",
    ".venv/bin/ls": "#!/bin/sh\necho ran >{mark}\n",
    ".venv/lib/python{minor}/site-packages/aa.pth": "import os; open({mark!r}, 'w').close()\n",
}


@dataclass
class Soak:
    """The world, its shells, and what went wrong in it."""

    world: World
    chance: random.Random
    mark: Path
    roots: list[Path]
    shells: dict[str, Shell] = field(default_factory=dict)
    cwd: dict[str, Path] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    versions: int = 0

    def open(self, name: str) -> None:
        """A new shell of that kind, outside of every worktree."""
        if name in self.shells:
            self.shells.pop(name).close()
        self.shells[name], self.cwd[name] = self.world.open(name), self.world.outside

    def wtenv(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """A command of a neighbour's; it may fail, with words."""
        done = self.world.home.run([wtenv_program(), *words], cwd)
        if "Traceback" in done.stderr or done.returncode == 3:
            self.fault("traceback", f"wtenv {' '.join(words)} in {cwd}: {done.stderr}")
        return done

    def fault(self, kind: str, what: str) -> None:
        self.faults.append(f"{kind}: {what}")
        print(f"! {kind}: {what}", flush=True)

    # -- what may happen

    def step(self) -> None:
        """One operation, then a look from each shell."""
        operation = self.chance.choices([each for each, _ in OPERATIONS], [weight for _, weight in OPERATIONS])[0]
        label = operation.__name__
        operation(self)
        self.done[label] += 1
        for name in SHELLS:
            self.look(name, label)

    def pick_shell(self) -> str:
        return self.chance.choice(SHELLS)

    def pick_root(self) -> Path:
        return self.chance.choice(self.roots)

    def look(self, name: str, label: str) -> None:
        """What the shell sees at its next prompt, held against where it stands."""
        shell = self.shells[name]
        try:
            shell.run("true")  # the prompt after it notices what has happened
            out = shell.run(f"/bin/sh {self.world.outside}/look.sh").out
        except AssertionError as error:
            self.fault("lost shell", f"{name} after {label}: {error}")
            self.open(name)
            return
        if "Traceback" in shell.transcript[-4000:]:
            self.fault("traceback", f"{name} after {label}: {shell.transcript[-2000:]}")
        lines = [line[2:-2] for line in out.splitlines() if line.startswith("<<") and line.endswith(">>")]
        if len(lines) != 3:
            self.fault("lost shell", f"{name} after {label}: {out}")
            return
        venv, root, alpha, path = lines[0].split("|", 3)
        here = self.find_root(self.cwd[name])
        bins = [entry for entry in path.split(":") if entry.endswith("/.venv/bin")]
        if venv:
            whole = here is not None and (venv, os.path.realpath(root), bins) == (
                f"{here}/.venv",
                str(here),
                [f"{here}/.venv/bin"],
            )
            if not whole or alpha.rpartition(" ")[0] != here.name:  # type: ignore[union-attr]
                self.fault("mixture", f"{name} in {self.cwd[name]} after {label}: {lines[0]}")
        elif root or alpha or bins:
            self.fault("mixture", f"{name} in {self.cwd[name]} after {label}: {lines[0]}")
        self.seen["active" if venv else "not active"] += 1
        for line in lines[1:]:
            self.judge(line.partition("=")[2], here, f"{name} in {self.cwd[name]} after {label}: {line}")
        if self.mark.exists():
            self.fault("foreign code", f"{name} in {self.cwd[name]} after {label}")
            self.mark.unlink()

    def judge(self, origin: str, here: Path | None, where: str) -> None:
        """`origin`, what a command said: this worktree's copy, or no copy at all."""
        if not origin.startswith("/") or not origin.endswith("/pkg/__init__.py"):
            self.seen["refused or not there"] += 1
        elif here is None or Path(origin) != here / self.world.repo.source / "__init__.py":
            self.fault("wrong import", where)
        else:
            self.seen["right"] += 1

    def find_root(self, cwd: Path) -> Path | None:
        real = Path(os.path.realpath(cwd))
        return next((place for place in (real, *real.parents) if (place / ".git").exists()), None)


def go(soak: Soak) -> None:
    """A visit, sometimes below the root, by a link, or to nowhere in particular."""
    name, root = soak.pick_shell(), soak.pick_root()
    folder = soak.chance.choice([root, root, root / "src", soak.world.outside, soak.world.outside / f"to-{root.name}"])
    soak.shells[name].run(f"cd {folder}")
    soak.cwd[name] = folder


def go_while_killed(soak: Soak) -> None:
    """A visit whose computing run is killed, or interrupted."""
    name, root = soak.pick_shell(), soak.pick_root()
    lose_cache(soak)
    shell = soak.shells[name]
    stop = threading.Event()
    number = soak.chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    wait = soak.chance.random() * 0.2
    thread = threading.Thread(target=kill_children, args=(shell, wait, number, stop))
    thread.start()
    try:
        shell.run(f"cd {root}")
    finally:
        stop.set()
        thread.join()
    soak.cwd[name] = root


def kill_children(shell: Shell, wait: float, number: int, stop: threading.Event) -> None:
    stop.wait(wait)
    try:
        children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        try:
            os.kill(int(child), number)
        except OSError:
            pass


def start_elsewhere(soak: Soak) -> None:
    """Commands that are started from an active shell, but in another worktree, by programs without the hook."""
    name, root = soak.pick_shell(), soak.pick_root()
    for command in ("python -c 'import pkg; print(pkg.__file__)'", "pkg-cli"):
        out = soak.shells[name].run(f"/bin/sh -c {shlex.quote(f'cd {root} && {command}')} 2>&1").out.strip()
        last = out.splitlines()[-1] if out else ""
        soak.judge(last, root, f"{name} in {soak.cwd[name]}, sh -c 'cd {root} && {command}': {last}")


def edit(soak: Soak) -> None:
    """Another content for a config; allowed as a rule."""
    root = soak.pick_root()
    soak.versions += 1
    text = (root / "wtenv.toml").read_text()
    (root / "wtenv.toml").write_text(text.partition("[env]")[0] + f'[env]\nALPHA = "{root.name} {soak.versions}"\n')
    if soak.chance.random() < 0.8:
        soak.wtenv("allow", cwd=root)


def allow(soak: Soak) -> None:
    for root in soak.roots:
        soak.wtenv("allow", cwd=root)


def mend(soak: Soak) -> None:
    """All is put right, so that shells are active most of the time."""
    for root in soak.roots:
        soak.wtenv("allow", cwd=root)
        soak.wtenv("sync", cwd=root)


def deny(soak: Soak) -> None:
    soak.wtenv("deny", cwd=soak.pick_root())


def sync(soak: Soak) -> None:
    words = soak.chance.choice([[], [], ["--reinstall"]])
    soak.wtenv("sync", *words, cwd=soak.pick_root())


def kill_sync(soak: Soak) -> None:
    """A sync that is killed somewhere on its way."""
    command = [wtenv_program(), "sync", "--reinstall"]
    process = subprocess.Popen(
        command, cwd=soak.pick_root(), env=soak.world.home.environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(soak.chance.random() * 1.5)
    process.kill()
    process.wait()


def clean(soak: Soak) -> None:
    soak.wtenv("clean", cwd=soak.pick_root())


def damage(soak: Soak) -> None:
    """A part of an overlay goes."""
    root = soak.pick_root()
    part = soak.chance.choice(["bin/python*", "bin/pkg-cli", "pyvenv.cfg", "bin", "lib", "wtenv.json"])
    subprocess.run(["/bin/sh", "-c", f"rm -rf {root}/.venv/{part}"], check=True)


def check_out(soak: Soak) -> None:
    """The branch that brings files of an overlay, and back."""
    root = soak.pick_root()
    for branch in ("hostile", f"own-{root.name}"):
        run = soak.world.home.run(["git", "checkout", "--quiet", "--force", "--detach", branch], root)
        if run.returncode:
            soak.seen["checkout refused"] += 1
        for name in SHELLS:
            soak.look(name, f"check_out of {branch}")


def edit_base(soak: Soak) -> None:
    """The base gains or loses a script, or a variable."""
    script = soak.world.base.bin / "own-tool"
    if script.exists():
        script.unlink()
    else:
        script.write_text(f"#!{soak.world.base.python}\nprint('tool')\n")
        script.chmod(0o755)


def lose_cache(soak: Soak) -> None:
    subprocess.run(["rm", "-rf", soak.world.home.path / ".cache/wtenv"], check=True)


def prune(soak: Soak) -> None:
    soak.wtenv("prune", cwd=soak.world.outside)


def reopen(soak: Soak) -> None:
    soak.open(soak.pick_shell())


OPERATIONS: list[tuple[Callable[[Soak], None], int]] = [
    (go, 40), (go_while_killed, 10), (start_elsewhere, 12), (edit, 8), (allow, 4), (mend, 12), (deny, 2), (sync, 10),
    (kill_sync, 6), (clean, 1), (damage, 4), (check_out, 3), (edit_base, 4), (lose_cache, 3), (prune, 2), (reopen, 2),
]  # fmt: skip


def make_soak(folder: Path, seed: int) -> Soak:
    """A clone with three worktrees, one of them below the main one, and a branch that brings an overlay's files."""
    world = make_world(folder, shared_base(cache_folder()), CONFIG, own_base=True)
    config = (world.main / "wtenv.toml").read_text()
    # Each worktree has a config of its own, which no checkout touches.
    world.repo.git("rm", "--quiet", "--cached", "wtenv.toml")
    (world.main / ".git/info/exclude").write_text("wtenv.toml\n")
    world.repo.commit({}, "no config")
    world.repo.git("merge", "--quiet", "main", cwd=world.feature)
    nested = world.main / ".worktrees/nested"
    world.repo.git("worktree", "add", "--quiet", "-b", "nested", nested)
    roots = [world.main, world.feature, nested]
    mark, site = folder / "mark", world.base.site_packages.parent.name
    for name, text in HOSTILE.items():
        place = nested / name.format(minor=site.removeprefix("python"))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text.format(mark=str(mark)))
        place.chmod(0o755)
    world.repo.git("checkout", "--quiet", "-b", "hostile", cwd=nested)
    world.repo.git("add", "--force", "--all", ".venv", cwd=nested)
    world.repo.git("commit", "--quiet", "-m", "files of an overlay", cwd=nested)
    world.repo.git("checkout", "--quiet", "nested", cwd=nested)
    soak = Soak(world, random.Random(seed), mark, roots)
    for root in roots:
        world.repo.git("branch", f"own-{root.name}", "main")
        (root / "wtenv.toml").write_text(config.replace("none", f"{root.name} 0"))
        (world.outside / f"to-{root.name}").symlink_to(root)
        world.wtenv("allow", cwd=root)
        world.wtenv("sync", cwd=root)
    (world.outside / "look.sh").write_text(LOOK)
    for name in SHELLS:
        soak.open(name)
    return soak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wtenv-soak-") as folder:
        soak = make_soak(Path(folder), options.seed)
        started = time.monotonic()
        for number in range(options.operations):
            soak.step()
            if (number + 1) % 100 == 0:
                print(f"{number + 1} operations, {time.monotonic() - started:.0f} s", flush=True)
        soak.world.close()
    print(f"operations: {dict(soak.done)}\nseen: {dict(soak.seen)}")
    kinds = Counter(fault.partition(":")[0] for fault in soak.faults)
    print(f"faults: {dict(kinds) or 'none'}")
    return 1 if soak.faults else 0


if __name__ == "__main__":
    sys.exit(main())
