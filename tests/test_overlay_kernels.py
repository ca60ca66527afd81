"""A notebook started from the worktree runs on the overlay's Python, whatever kernels the base has."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import uv
from overlay_projects import clean_env, make_overlay, make_project, run
from realbase import Base
from workspace import Home

from wtenv.overlay import kernels, swap
from wtenv.overlay.refresh import refresh


def add_kernel(prefix: Path, name: str, *argv: object, **more: object) -> Path:
    place = prefix / "share/jupyter/kernels" / name / "kernel.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"argv": argv, "display_name": name, **more}))
    return place


def program_of(prefix: Path, name: str) -> str | None:
    place = prefix / "share/jupyter/kernels" / name / "kernel.json"
    return json.loads(place.read_text())["argv"][0] if place.exists() else None


def test_a_notebook_runs_on_the_overlays_python(tmp_path: Path, fresh_base: Base, home: Home) -> None:
    command = [uv.find_uv_bin(), "pip", "install", "-q", "--python", fresh_base.python, "ipykernel", "nbclient"]
    subprocess.run(command, env=dict(home.environ), check=True, timeout=170)
    run(fresh_base.python, "-m", "ipykernel", "install", "--sys-prefix", env=home.environ)
    # As `ipykernel install --user` leaves it, for years, in the home: found before an environment's.
    add_kernel(home.path / ".local", "python3", str(fresh_base.python), "-m", "ipykernel_launcher", "-f", "{file}")
    root = make_project(tmp_path / "wt", "flit", "worktree")
    make_overlay(root, fresh_base, home.environ, root)
    notebook = root / "look.ipynb"
    lines = ["import json, sys, pkg\n", "print(json.dumps([sys.executable, pkg.__file__]))"]
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": lines, "id": "a"}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    env = clean_env(home.environ, root, fresh_base)
    before = fresh_base.snapshot()
    for program in ("jupyter", "jupyter-execute"):
        notebook.write_text(json.dumps(content))
        words = ("execute",) if program == "jupyter" else ()
        run(root / ".venv/bin" / program, *words, "--inplace", notebook, env=env, cwd=root)
        said = json.loads(notebook.read_text())["cells"][0]["outputs"][0]["text"]
        assert json.loads("".join(said)) == [f"{root}/.venv/bin/python", f"{root}/pkg/__init__.py"], program
    after = {name: state for name, state in fresh_base.snapshot().items() if not stat.S_ISDIR(state[0])}
    changed = {name for name, state in after.items() if before.get(name) != state}
    assert {name for name in changed if "__pycache__" not in name} == set()


def test_which_kernels_get_a_wrapper(tmp_path: Path, fresh_base: Base, home: Home) -> None:
    prefix, python = fresh_base.prefix, str(fresh_base.python)
    add_kernel(prefix, "python3", python, "-m", "ipykernel_launcher", metadata={"debugger": True}, env={"A": "b"})
    add_kernel(prefix, "beside", python, "{resource_dir}/launch.py", "-f", "{connection_file}")
    add_kernel(prefix, "named", "python", "-m", "ipykernel_launcher")
    add_kernel(prefix, "foreign", "/usr/bin/env", "R")
    add_kernel(prefix, "other-minor", f"{prefix}/bin/python2.7", "-m", "ipykernel_launcher")
    add_kernel(prefix, "empty")
    add_kernel(prefix, "broken").write_bytes(b"\xff{")
    add_kernel(prefix, "list").write_text("[1]")
    root = tmp_path / "wt"
    root.mkdir()
    make_overlay(root, fresh_base, home.environ)
    venv = root / ".venv"
    assert sorted(path.name for path in (venv / kernels.FOLDER).iterdir()) == ["beside", "python3"]
    beside = json.loads((venv / kernels.FOLDER / "beside/kernel.json").read_text())["argv"]
    assert beside[1:] == [f"{prefix}/{kernels.FOLDER}/beside/launch.py", "-f", "{connection_file}"]
    wrapper = json.loads((venv / kernels.FOLDER / "python3/kernel.json").read_text())
    assert wrapper["argv"] == [f"{venv}/bin/python", "-m", "ipykernel_launcher"]
    assert wrapper["env"] == {"A": "b"}
    assert wrapper["metadata"]["debugger"] is True


def test_wrappers_follow_the_base_and_leave_a_packages_own(tmp_path: Path, fresh_base: Base, home: Home) -> None:
    root = tmp_path / "wt"
    root.mkdir()
    make_overlay(root, fresh_base, home.environ)
    venv, python = root / ".venv", str(fresh_base.python)
    assert not (venv / "share").exists()
    spec = add_kernel(fresh_base.prefix, "python3", python, "-m", "ipykernel_launcher")
    own = add_kernel(venv, "own", "/somewhere/python", "-m", "own")
    assert refresh(venv, home.environ)
    assert not refresh(venv, home.environ)
    assert program_of(venv, "python3") == f"{venv}/bin/python"
    add_kernel(fresh_base.prefix, "python3", python, "-m", "another_launcher")  # in place
    assert refresh(venv, home.environ)
    assert "another_launcher" in (venv / kernels.FOLDER / "python3/kernel.json").read_text()
    own_text = own.read_text()
    spec.unlink()
    spec.parent.rmdir()
    assert refresh(venv, home.environ)
    assert program_of(venv, "python3") is None
    assert own.read_text() == own_text
    add_kernel(fresh_base.prefix, "own", python, "-m", "ipykernel_launcher")
    assert not refresh(venv, home.environ)
    assert own.read_text() == own_text
    assert swap.remove(venv, home.environ)
