"""`python tests/benchmarks/first_use.py`: from an empty home and a conda environment to plain `pytest` right in two
worktrees: what a person types, and how long that takes. Each way is typed into a real bash; its transcript is printed
with --show.

Peers are used where they are installed: uv and direnv. notuv and veneer need conda itself, which these tests do without.
`cd`, and `pytest` itself, are no commands here. Nothing is fetched: the packages build with what the environment has.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from realbase import Base, cache_folder, shared_base
from shells import Shell
from workspace import Home, make_repo

VENV = "uv venv -q --python {base}/bin/python --system-site-packages"
EDIT = "uv pip install -q --no-deps --no-build-isolation -e ."
EDIT_HERE = EDIT.replace("install", "install --python .venv")  # else uv takes the active conda environment
ENVRC = "printf 'PATH_add {base}/bin\\nPATH_add .venv/bin\\n' >.envrc"
WAYS = {
    "wtenv": ["wtenv setup bash", "exec bash", "cd main", "wtenv init --clone shared", "pytest", "cd ../feature", "pytest"],
    "wtenv, step by step": [
        "wtenv setup bash", "exec bash", "cd main", "wtenv init --clone --no-sync shared", "wtenv allow", "wtenv sync",
        "pytest", "cd ../feature", "wtenv sync", "pytest",
    ],
    "uv, in the active environment": [
        "cd main", VENV, "source .venv/bin/activate", EDIT, "pytest", "deactivate",
        "cd ../feature", VENV, "source .venv/bin/activate", EDIT, "pytest",
    ],
    "direnv and uv": [
        "echo 'eval \"$(direnv hook bash)\"' >>~/.bashrc", "exec bash",
        "cd main", ENVRC, VENV, EDIT_HERE, "direnv allow", "pytest",
        "cd ../feature", ENVRC, VENV, EDIT_HERE, "direnv allow", "pytest",
    ],
}  # fmt: skip
"""What a person types."""


def play(way: str, base: Base, folder: Path) -> tuple[int, float, list[bool], str]:
    """The commands, the seconds, whether each `pytest` tested its own worktree, and the transcript."""
    home = Home.make(folder / "home", cache_folder())
    home.add_envs_dir(base.prefix.parent)
    repo = make_repo(folder / "work", home, "flit")
    tools = Path(home.environ["PATH"].split(":")[0])
    for name in ("uv", "direnv"):
        if (found := shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))) and not (
            tools / name
        ).exists():
            (tools / name).symlink_to(found)
    # As `conda activate shared` leaves it; wtenv needs none of that.
    env = dict(home.environ)
    if not way.startswith("wtenv"):
        env |= {"PATH": f"{base.bin}:{env['PATH']}", "CONDA_PREFIX": str(base.prefix), "CONDA_SHLVL": "1"}
    commands, right, place = 0, list[bool](), 0
    started = time.monotonic()
    with Shell("bash", env, folder / "work", hook=False) as shell:
        for text in WAYS[way]:
            line = text.format(base=base.prefix)
            commands += line.split()[0] not in ("cd", "pytest")
            if line == "pytest":
                out = shell.run("pytest -q -s").out
                right.append(str(repo.init_file((repo.root, repo.feature)[place])) in out)
                place += 1
            else:
                shell.run(line)
        return commands, time.monotonic() - started, right, shell.transcript


def tell(right: list[bool]) -> str:
    """In words, whether the worktrees were tested."""
    return {2: "yes", 1: "in one", 0: "no"}[sum(right)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print what was typed and what it printed")
    show = parser.parse_args().show
    base = shared_base(cache_folder())
    print("| way | commands | seconds | plain `pytest` tests its own worktree |\n|---|---|---|---|")
    for way in WAYS:
        if "direnv" in way and not shutil.which("direnv"):
            continue
        with tempfile.TemporaryDirectory(prefix="wtenv-first-") as folder:
            commands, seconds, right, transcript = play(way, base, Path(folder).resolve())
        print(f"| {way} | {commands} | {seconds:.1f} | {tell(right)} |", flush=True)
        if show:
            print(transcript)


if __name__ == "__main__":
    main()
