"""`python tests/benchmarks`: wtenv beside its peers, on this machine, in one run, as ratios with their spread.

Peers are used where they are installed: direnv, mise, conda and notuv on PATH (or --mise PROGRAM, …). Each
figure is taken in turns, ours and theirs, so that a machine whose speed drifts gives the same ratio; the
ratio's median is what counts, its smallest and largest value show how sure it is.
--growth shows instead what a known `cd` costs as things grow.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from realbase import Base, cache_folder, copy_base, shared_base
from shells import HOOK_LINES
from workspace import Home, Repo, make_repo, wtenv_program

LOOPS = 300
CLOCK = {"bash": "$EPOCHREALTIME", "zsh": "$EPOCHREALTIME", "fish": "(date +%s.%N)"}
# In fish `cd` is a function that keeps a history, and takes longer than what follows from it.
GO = {"bash": "cd", "zsh": "cd", "fish": "builtin cd"}
VARIABLES = {f"BENCH_{n}": f"value {n}" for n in range(9)}
ENVRC = "".join(f"export {name}='{value}'\n" for name, value in VARIABLES.items()) + 'export PATH="$PWD/bin:$PATH"\n'


@dataclass(frozen=True)
class Row:
    """One line of the table. seconds: the medians, ours and theirs; ratio: min, median and max of ours / theirs."""

    moment: str
    peer: str
    seconds: tuple[float, float]
    ratio: tuple[float, float, float]
    budget: float | None

    def render(self) -> str:
        low, middle, high = (_fraction(value) for value in self.ratio)
        verdict = "" if self.budget is None else ("ok" if self.ratio[1] <= self.budget else "OVER")
        budget = "" if self.budget is None else _fraction(self.budget)
        ours, theirs = (f"{value * 1000:.3f} ms" for value in self.seconds)
        return f"| {self.moment} | {ours} | {self.peer} {theirs} | {middle} ({low} to {high}) | {budget} | {verdict} |"


def _fraction(value: float) -> str:
    return f"1/{1 / value:.0f}" if value < 0.5 else f"{value:.2f}"


def _aim(shell: str, usual: float) -> float:
    """fish takes some 6 µs for each comparison that it makes, whoever asks for it."""
    return 1 / 20 if shell == "fish" else usual


def compare(
    moment: str, peer: str, ours: Callable[[], float], theirs: Callable[[], float], budget: float | None, rounds: int
) -> Row:
    """Both in turns, after one round that doesn't count."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    ratios = sorted(a / b for a, b in pairs)
    seconds = (median(a for a, _ in pairs), median(b for _, b in pairs))
    return Row(moment, peer, seconds, (ratios[0], median(ratios), ratios[-1]), budget)


@dataclass(frozen=True)
class Peer:
    """A tool with a hook of its own. folder: where it has variables to set; program: what to start."""

    name: str
    folder: Path
    program: str

    def start(self, shell: str) -> str:
        return self.hook(shell) if self.name == "direnv" else _evaluate(shell, f"{self.program} activate {shell}")

    def hook(self, shell: str) -> str:
        """What its hook does at every prompt."""
        words = f"export {shell}" if self.name == "direnv" else f"hook-env -s {shell}"
        return _evaluate(shell, f"{self.program} {words}")


def _evaluate(shell: str, command: str) -> str:
    return f"{command} | source" if shell == "fish" else f'eval "$({command})"'


class Bench:
    """A repository with a synced worktree, a folder with a plain .envrc, and a home of its own."""

    def __init__(self, folder: Path, shared: Base, rounds: int) -> None:
        self.rounds, self.folder, self.numbers = rounds, folder, iter(range(1000))
        self.home = Home.make(folder / "home", cache_folder())
        # Where people have it: the length of the watched paths counts, in fish more than anything.
        self.base = base = copy_base(shared, self.home.path / "miniforge3", "shared")
        # What `python -m venv`, and so notuv, needs; the tests' base goes without it.
        bundled = Path(os.__file__).with_name("ensurepip")
        if bundled.is_dir():
            shutil.copytree(bundled, base.site_packages.parent / "ensurepip", dirs_exist_ok=True)
        self.home.add_envs_dir(base.prefix.parent)
        self.repo: Repo = make_repo(folder / "work", self.home, "setuptools")
        self.repo.configure(f'[python]\nbase_conda_env = "{base.name}"\n\n[editables]\npackages = ["."]\n')
        self.wtenv("allow")
        self.wtenv("sync")
        self.wtenv("sync", cwd=self.repo.feature)
        self.plain = folder / "plain"
        self.plain.mkdir()

    def make_peers(self, mise: str | None) -> list[Peer]:
        """Those that are there, each with a folder that it may read."""
        peers = []
        if direnv := shutil.which("direnv"):
            peers.append(Peer("direnv", self._add_folder("direnv", ".envrc", ENVRC), direnv))
            self.home.run([direnv, "allow", "."], peers[-1].folder, check=True)
        if mise:
            text = "[env]\n" + "".join(f'{name} = "{value}"\n' for name, value in VARIABLES.items())
            peers.append(Peer("mise", self._add_folder("mise", "mise.toml", text), mise))
            self.home.run([mise, "trust", "mise.toml"], peers[-1].folder, check=True)
        return peers

    def _add_folder(self, name: str, file: str, text: str) -> Path:
        folder = self.folder / f"with-{name}"
        (folder / "bin").mkdir(parents=True)
        (folder / file).write_text(text)
        return folder

    def wtenv(self, *words: str, cwd: Path | None = None) -> None:
        self.home.run([wtenv_program(), *words], cwd or self.repo.root, check=True)

    def time_process(self, command: list[str], cwd: Path, env: dict[str, str] | None = None) -> float:
        started = time.perf_counter()
        done = subprocess.run(
            command, cwd=cwd, env={**self.home.environ, **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{command}: exit {done.returncode}\n{done.stderr.decode(errors='replace')}")
        return seconds

    def time_loop(self, shell: str, start: str, body: str, loops: int = LOOPS, cwd: Path | None = None) -> float:
        """Seconds that one run of `body` takes in `shell`, by the shell's own clock."""
        if shell == "fish":
            loop = f"for i in (seq {loops})\n{body}\nend"
            clock = f"set t0 {CLOCK[shell]}\n{loop}\nset t1 {CLOCK[shell]}"
        else:
            loop = f"for ((i = 0; i < {loops}; i++)); do\n{body}\ndone"
            clock = f"t0={CLOCK[shell]}\n{loop}\nt1={CLOCK[shell]}"
        modules = "zmodload zsh/datetime\n" if shell == "zsh" else ""
        options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
        text = f'{modules}{start}\n{clock}\necho "$t0 $t1"\n'
        done = subprocess.run(
            [shutil.which(shell) or shell, *options, "-c", text],
            cwd=cwd or self.plain,
            env=self.home.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{shell}: {done.stderr}")
        first, last = done.stdout.split()[-2:]
        return (float(last) - float(first)) / loops

    # --- the moments ----------------------------------------------------------------------------

    def prompt(self, shell: str, where: str, peer: Peer) -> Row:
        """An unchanged prompt. The peers' cost is what their hook runs at every prompt."""
        ours_at, theirs_at = (self.repo.root, peer.folder) if where == "inside" else (self.plain, self.plain)
        return compare(
            f"{shell}: prompt, nothing changed, {where}",
            peer.name,
            lambda: self.time_loop(shell, f"{HOOK_LINES[shell]}\n__wtenv_check", "__wtenv_check", 2000, ours_at),
            lambda: self.time_loop(shell, peer.start(shell), peer.hook(shell), 60, theirs_at),
            _aim(shell, 1 / 50) if peer.name == "direnv" else None,
            self.rounds,
        )

    def known_cd(self, shell: str, peer: Peer) -> Row:
        """Into a worktree seen before, and out again."""
        go = GO[shell]
        theirs = f"{go} {peer.folder}\n{peer.hook(shell)}\n{go} {self.plain}\n{peer.hook(shell)}"
        return compare(
            f"{shell}: cd into a known worktree and out",
            peer.name,
            lambda: self.time_visit(shell, self.repo.root),
            lambda: self.time_loop(shell, peer.start(shell), theirs, 30),
            _aim(shell, 1 / 30) if peer.name == "direnv" else None,
            self.rounds,
        )

    def time_visit(self, shell: str, place: Path) -> float:
        """Seconds for a visit to `place` and out again, from the second one on."""
        visit = f"{GO[shell]} {place}\n{GO[shell]} {self.plain}"
        return self.time_loop(shell, f"{HOOK_LINES[shell]}\n{visit}", visit, 300)

    def first_cd(self, conda: str, shell: str = "bash") -> Row:
        """Into a worktree for the first time: the computing run, against `conda activate`."""
        cache = self.home.path / ".cache" / "wtenv"

        def ours() -> float:
            shutil.rmtree(cache, ignore_errors=True)
            return self.time_loop(shell, HOOK_LINES[shell], f"cd {self.repo.root}", 1)

        return compare(
            f"{shell}: cd for the first time",
            "conda activate",
            ours,
            lambda: self.time_conda(conda, shell),
            1 / 4,
            self.rounds,
        )

    def known_cd_and_conda(self, conda: str, shell: str = "bash") -> Row:
        """One way: half a visit to a worktree seen before, against `conda activate`."""
        return compare(
            f"{shell}: cd, known, one way",
            "conda activate",
            lambda: self.time_visit(shell, self.repo.root) / 2,
            lambda: self.time_conda(conda, shell),
            1 / 500,
            self.rounds,
        )

    def time_conda(self, conda: str, shell: str) -> float:
        hook = f'eval "$({conda} shell.{shell} hook)"\nconda deactivate'
        return self.time_loop(shell, hook, f"conda activate {self.base.prefix}", 1)

    def hook_start(self) -> Row:
        program = os.fspath(wtenv_program())
        return compare(
            "wtenv hook at a shell's start",
            "bare Python",
            lambda: self.time_process([program, "hook", "bash"], self.plain),
            lambda: self.time_process([sys.executable, "-c", "pass"], self.plain),
            1.5,
            4 * self.rounds,
        )

    def look(self) -> Row:
        """A start of the overlay's Python in its own worktree, beside one that does not look where it stands."""
        other = self.repo.feature / ".venv"
        for pth in other.glob("lib/python3*/site-packages/~wtenv.pth"):
            text = pth.read_text()
            pth.write_text("".join(line for line in text.splitlines(True) if "_wtenv_bootstrap.look(" not in line))
        starts = [[os.fspath(root / ".venv/bin/python"), "-c", "pass"] for root in self.repo.worktrees]
        return compare(
            "start of the overlay's Python",
            "without a look",
            lambda: self.time_process(starts[0], self.repo.root),
            lambda: self.time_process(starts[1], self.repo.feature),
            1.02,  # 0.2 ms of 10
            60 * self.rounds,
        )

    def run_known(self) -> Row:
        """`wtenv run true` in a known worktree, beside uv's in the same one, where there is a .venv and nothing to do."""
        programs = [os.fspath(wtenv_program()), os.fspath(wtenv_program().with_name("uv"))]
        return compare(
            "run true, known",
            "uv run --no-sync",
            lambda: self.time_process([programs[0], "run", "true"], self.repo.root),
            lambda: self.time_process([programs[1], "run", "--no-sync", "true"], self.repo.root),
            1,
            10 * self.rounds,
        )

    def run_true(self, conda: str, notuv: str) -> Row:
        program = os.fspath(wtenv_program())
        self.write_notuv()
        env = {"CONDA_EXE": conda}
        return compare(
            "run true",
            "notuv",
            lambda: self.time_process([program, "run", "true"], self.repo.root),
            lambda: self.time_process([notuv, "true"], self.repo.root, env),
            1 / 15,
            self.rounds,
        )

    def sync_new(self, conda: str, notuv: str, *, kept: bool) -> Row:
        """A new worktree's overlay with one pure-Python editable; kept: another worktree has built it before."""
        program = os.fspath(wtenv_program())
        self.write_notuv()

        def ours() -> float:
            if not kept:
                shutil.rmtree(self.home.path / ".cache/wtenv/builds", ignore_errors=True)
            return self.time_process([program, "sync"], self.repo.add_worktree(f"ours{next(self.numbers)}"))

        def theirs() -> float:
            worktree = self.repo.add_worktree(f"theirs{next(self.numbers)}")
            shutil.copy(self.repo.root / "notuv.toml", worktree)
            return self.time_process([notuv, "update-editables"], worktree, {"CONDA_EXE": conda})

        moment = "sync, a new worktree" + ("" if kept else ", nothing kept")
        return compare(moment, "notuv", ours, theirs, 1 / 10, max(2, self.rounds // 2))

    def sync_again(self) -> Row:
        """Nothing changed: beside a bare start of the same Python."""
        program = os.fspath(wtenv_program())
        return compare(
            "sync, nothing changed",
            "bare Python",
            lambda: self.time_process([program, "sync"], self.repo.root),
            lambda: self.time_process([sys.executable, "-c", "pass"], self.plain),
            None,
            2 * self.rounds,
        )

    def write_notuv(self) -> None:
        text = f'[python]\nbase_conda_env = "{self.base.name}"\n\n[editables]\npackages = ["."]\n'
        (self.repo.root / "notuv.toml").write_text(text)


def print_growth(bench: Bench, shells: list[str], only: str) -> None:
    """The growth curves, in the first shell that there is."""
    from growth import make_curves, render_curve, render_syncs

    print(f"| {shells[0]}: a known cd in and out | cost | ratio to the smallest (spread) |\n|---|---|---|", flush=True)
    for what, places in make_curves(bench.folder, bench.home, bench.base).items():
        if only in what:
            for line in render_curve(what, places, lambda place: bench.time_visit(shells[0], place), 3 * bench.rounds):
                print(line, flush=True)

    if only in "sync":
        print("\n| editables in one sync | built | reused | each, built | each, reused |\n|---|---|---|---|---|")
        print("\n".join(render_syncs(bench.folder, bench.home, bench.base, bench.rounds)), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs per figure (5)")
    parser.add_argument("--mise", default=shutil.which("mise"), help="the mise program")
    parser.add_argument("--growth", action="store_true", help="what a known cd costs as things grow")
    parser.add_argument("--conda", default=shutil.which("conda"), help="the conda program")
    parser.add_argument("--notuv", default=shutil.which("notuv"), help="the notuv program")
    parser.add_argument("--only", default="", help="only moments that contain this")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wtenv-bench-") as folder:
        bench = Bench(Path(os.path.realpath(folder)), shared_base(cache_folder()), chosen.rounds)
        shells = list(filter(shutil.which, CLOCK))
        if chosen.growth:
            print_growth(bench, shells, chosen.only)
            return 0
        moments: list[tuple[str, Callable[[], Row]]] = [("hook", bench.hook_start)]
        for peer in bench.make_peers(chosen.mise):
            for shell in shells:
                for where in ("inside", "outside"):
                    name = f"{shell} prompt {where} {peer.name}"
                    moments.append((name, lambda s=shell, w=where, p=peer: bench.prompt(s, w, p)))
                moments.append((f"{shell} known {peer.name}", lambda s=shell, p=peer: bench.known_cd(s, p)))
        if chosen.conda:
            moments.append(("bash first", lambda: bench.first_cd(chosen.conda)))
            moments.append(("bash known conda", lambda: bench.known_cd_and_conda(chosen.conda)))
        if chosen.conda and chosen.notuv:
            moments.append(("run", lambda: bench.run_true(chosen.conda, chosen.notuv)))
            moments.append(("sync new", lambda: bench.sync_new(chosen.conda, chosen.notuv, kept=False)))
            moments.append(("sync new kept", lambda: bench.sync_new(chosen.conda, chosen.notuv, kept=True)))
        moments.append(("run known", bench.run_known))
        moments.append(("sync again", bench.sync_again))
        moments.append(("look", bench.look))  # last: it changes an overlay
        print("| moment | wtenv | peer | ratio (spread) | budget | |\n|---|---|---|---|---|---|", flush=True)
        for name, measure in moments:
            if chosen.only in name:
                try:
                    print(measure().render(), flush=True)
                except SystemExit as error:  # a peer that does not run here says why
                    print(f"| {name} | not measured |", flush=True)
                    print(error, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
