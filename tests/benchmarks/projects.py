"""`python tests/benchmarks/projects.py [NAME…] [--clones FOLDER]`: second worktrees of real projects.

For each: a clone, a base with what its tests need, `wtenv sync` in the main worktree, `git worktree add`; what makes the
overlay there, by which key, in what time; and the project's own tests in both. It needs GitHub (or --clones, a folder
with clones of that name) and the package index.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

import uv
from workspace import Home, wtenv_program

# project -> (repository, what its tests require and are given)
PROJECTS: dict[str, tuple[str, list[str], list[str]]] = {
    "click": ("pallets/click", ["pytest"], []),
    "requests": (
        "psf/requests",
        ["pytest", "pytest-httpbin==2.1.0", "httpbin~=0.10.0", "pytest-mock", "trustme", "pysocks", "chardet",
         "charset_normalizer>=2,<4", "idna>=2.5,<4", "urllib3>=1.26,<3", "certifi"],
        ["-m", "not network", "--deselect", "tests/test_requests.py::TestTimeout"],
    ),
    "attrs": ("python-attrs/attrs", ["pytest>9", "hypothesis", "cloudpickle", "pympler"], []),
    "pluggy": ("pytest-dev/pluggy", ["pytest", "pytest-benchmark", "coverage"], []),
    "packaging": ("pypa/packaging", ["pytest", "hypothesis", "pretend", "tomli_w", "pip"], []),
    "httpx": (
        "encode/httpx",
        ["pytest==8.4.1", "trio==0.31.0", "trustme==1.2.1", "uvicorn==0.35.0", "chardet==5.2.0", "cryptography",
         "anyio", "certifi", "httpcore==1.*", "idna", "brotli", "click==8.*", "pygments==2.*", "rich>=10,<15",
         "h2>=3,<5", "socksio==1.*", "zstandard>=0.18"],
        [],
    ),
    "pytest": (
        "pytest-dev/pytest",
        ["iniconfig>=2", "packaging>=24", "pluggy>=1.5,<2", "pygments>=2.15", "attrs>=19.2", "hypothesis>=3.56",
         "requests", "setuptools", "xmlschema", "mock", "argcomplete"],
        ["testing"],
    ),
    "markupsafe": ("pallets/markupsafe", ["pytest"], []),
}  # fmt: skip
ENTERED = "import json, os, sys; print(json.dumps(sorted(os.listdir(os.environ['VIRTUAL_ENV']))))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(PROJECTS), metavar="NAME")
    parser.add_argument("--clones", default="https://github.com", help="where to clone from")
    parser.add_argument("--no-tests", action="store_true", help="only the overlays")
    arguments = parser.parse_args()
    print("| project | key | first worktree | second, by `cd` | tests, first | tests, second |")
    print("|---|---|---|---|---|---|")
    for name in arguments.names:
        with tempfile.TemporaryDirectory() as folder:
            print(measure(name, arguments.clones, Path(folder), tests=not arguments.no_tests), flush=True)


def measure(name: str, clones: str, folder: Path, *, tests: bool) -> str:
    """A line of the table."""
    repository, requires, options = PROJECTS[name]
    home = Home.make(folder / "home", Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wtenv-tests")
    first, second = folder / "work" / name, folder / "work/feature"
    local = Path(clones, name)
    go(home, folder, "git", "clone", "-q", local if local.exists() else f"{clones}/{repository}", first)
    uv_pip = (uv.find_uv_bin(), "pip", "install", "-q", "--python", folder / "base/bin/python")
    go(home, folder, uv.find_uv_bin(), "venv", "-q", "--python", sys.executable, folder / "base")
    go(home, folder, *uv_pip, *requires)
    config = f'[python]\nbase_prefix = "{folder}/base"\n\n[editables]\npackages = ["."]\n'
    (first / ".git/wtenv.toml").write_text(config)
    go(home, first, wtenv_program(), "allow")
    building = go(home, first, wtenv_program(), "sync")[0]
    kept = list((home.path / ".cache/wtenv/builds").glob("*.json"))
    key = "none" if not kept else "the worktree" if "-" in kept[0].name else "settings"
    go(home, first, "git", "worktree", "add", "-q", second)
    entering, said = go(home, second, wtenv_program(), "export", "--hook", "", "bash", second, "", check=False)
    made = f"{entering:.2f} s" if (second / ".venv/bin/python").exists() else f"not made: {said.strip()[-80:]}"
    go(home, second, wtenv_program(), "sync")
    results = [run_tests(home, place, options) if tests else "" for place in (first, second)]
    return f"| {name} | {key} | {building:.1f} s | {made} | {' | '.join(results)} |"


def run_tests(home: Home, place: Path, options: Sequence[str]) -> str:
    """What pytest says at its end."""
    words = ("run", "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x" * 0 or "--tb=no", *options)
    said = go(home, place, wtenv_program(), *words, check=False)[1].strip().splitlines()
    return re.sub(r" in [\d.]+s.*|=+ *", "", said[-1] if said else "nothing")


def go(
    home: Home, cwd: Path, *words: str | Path, check: bool = True, env: Mapping[str, str] | None = None
) -> tuple[float, str]:
    """Seconds, and what the command said."""
    started = time.perf_counter()
    done = subprocess.run(
        list(map(os.fspath, words)), cwd=cwd, env={**home.environ, **(env or {})}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=1800,
    )  # fmt: skip
    if check and done.returncode:
        raise SystemExit(f"{words} in {cwd}: {done.returncode}\n{done.stdout}")
    return time.perf_counter() - started, done.stdout


if __name__ == "__main__":
    main()
