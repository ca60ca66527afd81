"""What a known `cd` costs as things grow: worktrees, packages of the base, editables, depth of the folder; and a
sync by the number of editables.

Each place is visited in turns with the smallest of its kind, so that a machine whose speed drifts gives the
same ratio.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from realbase import Base, copy_base
from workspace import Home, Repo, make_repo, wtenv_program

CONFIG = '[python]\nbase_conda_env = "{base}"\n\n[editables]\npackages = [{packages}]\n'
Measure = Callable[[Path], float]


def make_curves(folder: Path, home: Home, base: Base) -> dict[str, dict[int, Path]]:
    """By what grows: number -> the folder to go to."""
    return {
        "worktrees of the clone": {
            n: _add_worktrees(folder / f"worktrees{n}", home, base, n) for n in (1, 10, 100, 1000)
        },
        "packages in the base": {n: _add_packages(folder / f"packages{n}", home, base, n) for n in (10, 400)},
        "editables": {n: _add_editables(folder / f"editables{n}", home, base, n) for n in (1, 50)},
        "folders below the root": {n: _go_deep(folder / "deep", home, base, n) for n in (3, 30)},
    }


def render_curve(what: str, places: dict[int, Path], measure: Measure, rounds: int) -> list[str]:
    """One line per number: the median, and its ratio to the smallest number's with the spread."""
    first = next(iter(places))
    lines = []
    for number, place in places.items():
        measure(place), measure(places[first])
        pairs = [(measure(place), measure(places[first])) for _ in range(rounds)]
        ratios = sorted(ours / smallest for ours, smallest in pairs)
        cost = median(ours for ours, _ in pairs) * 1000
        spread = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        lines.append(f"| {what}: {number} | {cost:.3f} ms | {spread} |")
    return lines


def render_syncs(folder: Path, home: Home, base: Base, rounds: int) -> list[str]:
    """One line per number of editables: a sync that builds all of them, and one that reuses what is kept."""
    lines = []
    for number in (1, 10, 50):
        root = _add_editables(folder / f"syncs{number}", home, base, number)
        cost: dict[bool, list[float]] = {False: [], True: []}
        for kept in (False, True) * rounds:
            home.run([wtenv_program(), "clean"], root, check=True)
            if not kept:
                shutil.rmtree(home.path / ".cache/wtenv/builds", ignore_errors=True)
            started = time.perf_counter()
            home.run([wtenv_program(), "sync"], root, check=True, timeout=600)
            cost[kept].append(time.perf_counter() - started)
        built, reused = (f"{median(cost[kept]) * 1000:.0f} ms" for kept in (False, True))
        each = (f"{median(cost[kept]) * 1000 / number:.0f} ms" for kept in (False, True))
        lines.append(f"| {number} | {built} | {reused} | {' | '.join(each)} |")
    return lines


def _ready(folder: Path, home: Home, base: Base, packages: list[str]) -> Repo:
    repo = make_repo(folder, home, "flit")
    repo.configure(CONFIG.format(base=base.name, packages=json.dumps(packages)[1:-1]))
    return repo


def _sync(repo: Repo, worktree: Path) -> Path:
    repo.home.run([wtenv_program(), "allow"], worktree, check=True)
    repo.home.run([wtenv_program(), "sync"], worktree, check=True, timeout=600)
    return worktree


def _add_worktrees(folder: Path, home: Home, base: Base, number: int) -> Path:
    repo = _ready(folder, home, base, [])
    for index in range(number - 2):  # there are two
        repo.git("worktree", "add", "--quiet", "--detach", "--no-checkout", f"../w{index}")
    return _sync(repo, repo.root if number == 1 else repo.feature)


def _add_packages(folder: Path, home: Home, base: Base, number: int) -> Path:
    """A base with that many packages more, each with its record, its metadata and a script."""
    own = copy_base(base, folder / "miniforge3", f"base{number}")
    home.add_envs_dir(own.prefix.parent)
    for index in range(number):
        name = f"package{index}"
        (own.prefix / "conda-meta" / f"{name}-1.0-0.json").write_text(json.dumps({"name": name, "version": "1.0"}))
        info = own.site_packages / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        script = own.bin / name
        script.write_text(f"#!{own.python}\nprint({name!r})\n")
        script.chmod(0o755)
    repo = _ready(folder / "work", home, own, [])
    return _sync(repo, repo.root)


def _add_editables(folder: Path, home: Home, base: Base, number: int) -> Path:
    names = [f"part{index}" for index in range(number)]
    repo = _ready(folder, home, base, names)
    for name in names:
        repo.commit(
            {
                f"{name}/{name}.py": '"""A part."""\n\n__version__ = "1.0"\n',
                f"{name}/pyproject.toml": (
                    '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n\n'
                    f'[project]\nname = "{name}"\nversion = "1.0"\ndescription = "a part"\n'
                ),
            }
        )
    return _sync(repo, repo.root)


def _go_deep(folder: Path, home: Home, base: Base, number: int) -> Path:
    root = folder / "main"
    if not root.exists():
        repo = _ready(folder, home, base, [])
        _sync(repo, root)
    place = root.joinpath(*(f"d{index}" for index in range(number)))
    os.makedirs(place)
    return place
