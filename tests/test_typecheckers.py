"""Type checkers beside wtenv, as the README says it: with an editable by import hook mypy sees the base's copy, and with
`mypy_path` the worktree's. (Static checkers run no hook.)"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from realbase import Base
from scenes import CONFIG, Scene
from workspace import Home, make_repo


@pytest.mark.parametrize(("backend", "alone"), [("setuptools-flat", "int"), ("setuptools", "str")])
def test_mypy(backend: str, alone: str, fresh_base: Base, home: Home, tmp_path: Path) -> None:
    """The base's copy says int, the worktree's str; checked from another folder, as a stack's other repository is."""
    scene = Scene(home, make_repo(tmp_path / "work", home, backend), fresh_base)
    base_copy = fresh_base.site_packages / "pkg"
    base_copy.mkdir()
    for place, kind in ((base_copy, "int"), (scene.repo.init_file(scene.root).parent, "str")):
        (place / "__init__.py").write_text(f"WHO: {kind}\n")
        (place / "py.typed").touch()
    (scene.root / "wtenv.toml").write_text(CONFIG.replace("{base}", fresh_base.name, 1))
    scene("allow", check=True)
    scene("sync", check=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "use.py").write_text("import pkg\n\nreveal_type(pkg.WHO)\n")
    command = [sys.executable, "-m", "mypy", "--python-executable", scene.root / ".venv/bin/python", "use.py"]

    def reveal() -> str:
        done = subprocess.run(command, cwd=other, env=home.environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.partition('Revealed type is "')[2].partition('"')[0].removeprefix("builtins.")

    assert reveal() == alone
    (other / "mypy.ini").write_text(f"[mypy]\nmypy_path = {scene.repo.init_file(scene.root).parents[1]}\n")
    assert reveal() == "str"
