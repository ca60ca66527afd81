"""Wrapper scripts: which of the base's scripts get one, and that they run as the original would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from overlay_projects import clean_env, make_overlay, run
from realbase import VERSION, Base
from workspace import Home

from wtenv.overlay import wrappers
from wtenv.overlay.refresh import refresh


@pytest.mark.parametrize("arguments", ["", "-sE", "-I -s"])
@pytest.mark.parametrize("folder", ["plain", "a b", "it's", "back\\slash", 'd$x`y"z', "l" * 130, "'''", "\\N"])
def test_first_lines_are_understood_by_kernel_sh_and_python(folder: str, arguments: str, tmp_path: Path) -> None:
    """The same script, started by its name and given to Python."""
    place = tmp_path / folder
    place.mkdir()
    (place / "python").symlink_to(sys.executable)
    script = place / "script"
    head = wrappers.make_head(str(place / "python"), arguments)
    script.write_text(head + "import sys; print(sys.argv[1:], sys.flags.isolated)\n")
    script.chmod(0o755)
    assert run(script, "a b", env=os.environ) == f"['a b'] {int('-I' in arguments)}"
    done = subprocess.run([sys.executable, "-W", "error", script, "x"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("['x'] 0\n", "")


SCRIPT = '''
"""The script's own docstring."""
from __future__ import annotations
import multiprocessing, sys
class Local: pass
def double(number):
    return number * 2
if __name__ == "__main__":
    assert __doc__ == "The script's own docstring."
    assert "helper_of_the_wrapper" not in globals()
    if sys.argv[1:2] == ["spawn"]:
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            print(pool.map(double, [1, 2]))
    elif sys.argv[1:2] == ["pickle"]:
        import pickle
        print(type(pickle.loads(pickle.dumps(Local()))) is Local)
    elif sys.argv[1:2] == ["fail"]:
        raise RuntimeError("on purpose")
    else:
        print(__file__, sys.argv[0], sys.path[0], sys.prefix, sep="|")
'''


@pytest.fixture
def tool(tmp_path: Path, fresh_base: Base, home: Home) -> tuple[Path, Base, dict[str, str]]:
    """An overlay on a base with the script `tool`."""
    path = fresh_base.bin / "tool"
    path.write_text(f"#!{fresh_base.prefix}/bin/python\n{SCRIPT}")
    path.chmod(0o755)
    root = tmp_path / "wt"
    root.mkdir()
    make_overlay(root, fresh_base, home.environ)
    return root, fresh_base, clean_env(home.environ, root, fresh_base)


def test_a_wrapper_runs_as_the_script_itself(tool: tuple[Path, Base, dict[str, str]], tmp_path: Path) -> None:
    root, base, env = tool
    wrapper = root / ".venv/bin/tool"
    want = f"{base.bin / 'tool'}|{wrapper}|{base.bin}|{root / '.venv'}"
    assert run(wrapper, env=env) == want
    assert run(root / ".venv/bin/python", wrapper, env=env) == want
    assert run(Path("/usr/bin/env"), "tool", env=env) == want
    assert run(wrapper, "spawn", env=env) == "[2, 4]"
    assert run(wrapper, "pickle", env=env) == "True"
    (tmp_path / "elsewhere").symlink_to(wrapper)
    assert run(tmp_path / "elsewhere", env=env).startswith(str(base.bin / "tool"))
    done = subprocess.run([wrapper, "fail"], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert f'File "{base.bin}/tool"' in done.stderr
    assert 'raise RuntimeError("on purpose")' in done.stderr


def test_what_only_looks_like_a_layer_of_uv(tool: tuple[Path, Base, dict[str, str]], tmp_path: Path) -> None:
    """A Python of its own that leads back to the overlay's is not gone on with, again and again."""
    root, _, env = tool
    layer = tmp_path / "layer"
    (layer / "bin").mkdir(parents=True)
    (layer / "pyvenv.cfg").write_text(f"extends-environment = {root}/.venv\n")
    python = layer / "bin/python"
    python.write_text(f'#!/bin/sh\necho started >>{tmp_path}/starts\nexec {root}/.venv/bin/python "$@"\n')
    python.chmod(0o755)
    env |= {"VIRTUAL_ENV": str(layer), "PATH": f"{layer}/bin:{env['PATH']}"}
    done = subprocess.run([root / ".venv/bin/tool"], env=env, capture_output=True, text=True, timeout=20)
    assert done.stdout.strip().endswith(f"|{root}/.venv"), done
    assert not (tmp_path / "starts").exists()


def test_debugger_profiler_and_run_path(tool: tuple[Path, Base, dict[str, str]]) -> None:
    root, base, env = tool
    wrapper, python = root / ".venv/bin/tool", root / ".venv/bin/python"
    done = subprocess.run(
        [python, "-m", "pdb", "-c", "continue", wrapper], env=env, input="q\n", capture_output=True, text=True
    )
    assert f"{base.bin / 'tool'}|" in done.stdout
    assert "function calls" in run(python, "-m", "cProfile", wrapper, env=env)
    look = f"import runpy; print(runpy.run_path({str(wrapper)!r}, run_name='__mp_main__')['double'](4))"
    assert run(python, "-c", look, env=env) == "8"


def test_a_changed_script_needs_no_refresh_and_a_gone_one_says_so(tool: tuple[Path, Base, dict[str, str]]) -> None:
    root, base, env = tool
    (base.bin / "tool").write_text(f"#!{base.prefix}/bin/python\nprint('changed')\n")
    assert run(root / ".venv/bin/tool", env=env) == "changed"
    (base.bin / "tool").unlink()
    done = subprocess.run([root / ".venv/bin/tool"], env=env, capture_output=True, text=True)
    assert (done.returncode, "run: wtenv sync" in done.stderr) == (1, True)


def test_arguments_of_the_first_line_are_kept(base: Base, home: Home, tmp_path: Path) -> None:
    make_overlay(tmp_path, base, home.environ)
    link = os.readlink(tmp_path / ".venv/bin/envtools-isolated")
    assert (tmp_path / ".venv/bin" / link).read_text().startswith(f"#!{tmp_path}/.venv/bin/python -I\n")


def test_pip_has_all_its_names(tmp_path: Path, fresh_base: Base, home: Home) -> None:
    """conda's pip has no pip3.11: the system's, behind the base on PATH, would be run instead."""
    root = tmp_path / "wt"
    root.mkdir()
    make_overlay(root, fresh_base, home.environ)
    venv, name = root / ".venv", f"pip{VERSION}"
    assert not (fresh_base.bin / name).exists()
    env = clean_env(home.environ, root, fresh_base)
    assert str(fresh_base.site_packages) in run(venv / "bin" / name, "--version", env=env)
    # A base that gets one, and loses pip altogether.
    (fresh_base.bin / name).write_text((fresh_base.bin / "pip").read_text())
    (fresh_base.bin / name).chmod(0o755)
    assert refresh(venv, home.environ)
    assert os.readlink(venv / "bin" / name).startswith(".wrapper")
    for script in ("pip", "pip3", name):
        (fresh_base.bin / script).unlink()
    assert refresh(venv, home.environ)
    assert not [path.name for path in (venv / "bin").iterdir() if path.name.startswith("pip")]
