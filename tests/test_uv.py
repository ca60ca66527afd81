"""uv beside wtenv: in an active worktree `uv run` uses the overlay as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import uv
from realbase import Base
from scenes import CONFIG, Scene, State, call, make_home, make_scene, snapshot
from shells import run_script
from workspace import Repo, make_repo

LOOK = "python -c 'import numpy, pkg, sys; print(sys.prefix, pkg.__file__, numpy.__file__)'"
STACK = '[wtenv]\nkind = "stack"\n\n[python]\nbase_conda_env = "{base}"\n\n[editables]\npackages = ["main"]\n'


@pytest.fixture(scope="module", params=[".venv", "build/env"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, base: Base) -> Scene:
    """With the overlay where uv looks for it, and elsewhere."""
    config = CONFIG.replace("[editables]", f'venv = "{request.param}"\n\n[editables]')
    made = make_scene(tmp_path_factory.mktemp("uv"), base, config)
    for root in made.repo.worktrees:  # Python keeps what it compiles
        made("run", "python", "-c", "import pkg, numpy, pytest", cwd=root, check=True)
    return made


def run(scene: Scene, text: str, active: Path) -> list[str]:
    """`text` in a shell in which `active` is active; what it printed, without uv's notes."""
    program = Path(uv.find_uv_bin()).parent
    env = {**scene.home.environ, "PATH": f"{scene.home.environ['PATH']}:{program}"}
    done = run_script("bash", f'cd {active} && eval "$(wtenv export bash)" && {text}', env)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_uv_run_uses_the_overlay_and_installs_nothing(scene: Scene) -> None:
    venv = run(scene, 'echo "$VIRTUAL_ENV"', scene.root)[0]
    before = snapshot(Path(venv))
    numpy = scene.base.site_packages / "numpy/__init__.py"
    assert run(scene, f"uv run {LOOK}", scene.root) == [f"{venv} {scene.repo.init_file(scene.root)} {numpy}"]
    assert run(scene, "uv run pkg-cli", scene.root) == [str(scene.repo.init_file(scene.root))]
    assert run(scene, "uv run pytest --version 2>&1", scene.root)[-1].startswith("pytest ")
    assert snapshot(Path(venv)) == before


def test_uv_run_in_another_worktree_uses_that_ones(scene: Scene) -> None:
    there = run(scene, f"cd {scene.feature} && uv run {LOOK}", scene.root)[0].split()
    assert there[1] == str(scene.repo.init_file(scene.feature))


def test_uv_run_with_a_package(scene: Scene, tmp_path: Path) -> None:
    """What `--with` brings is there in `python`, in scripts of the overlay and of the base, and in their children."""
    (tmp_path / "test_it.py").write_text(
        "import subprocess, sys\nimport idna, pkg, numpy\n\ndef test_it():\n"
        "    print(idna.__version__, pkg.__file__, numpy.__file__)\n"
        "    subprocess.run([sys.executable, '-c', 'import idna, pkg'], check=True)\n"
    )
    venv = run(scene, 'echo "$VIRTUAL_ENV"', scene.root)[0]
    before = snapshot(Path(venv))
    numpy = scene.base.site_packages / "numpy/__init__.py"
    there = f"3.9 {scene.repo.init_file(scene.root)} {numpy}"
    look = LOOK.replace("import numpy, pkg, sys; print(sys.prefix", "import idna, numpy, pkg; print(idna.__version__")
    assert run(scene, f"uv run -q --with idna==3.9 {look}", scene.root) == [there]
    pytest = f"pytest -qs -p no:cacheprovider {tmp_path}/test_it.py"
    for command in (pytest, f"sh -c '{pytest}'", f"{venv}/bin/{pytest}"):
        assert there in run(scene, f"uv run -q --with idna==3.9 {command}", scene.root), command
    assert run(scene, "uv run -q --with idna==3.9 pkg-cli", scene.root) == [str(scene.repo.init_file(scene.root))]
    assert snapshot(Path(venv)) == before
    # Only where uv's layer is in effect, and is this overlay's.
    lost = f"{pytest} 2>&1 || true"
    assert any("No module named 'idna'" in line for line in run(scene, lost, scene.root))
    (tmp_path / "inner.sh").write_text(f"cd {scene.feature}\npython -c 'import pkg; print(pkg.__file__)'\n{lost}\n")
    first, *said = run(scene, f"uv run -q --with idna==3.9 sh {tmp_path}/inner.sh", scene.root)
    assert first == str(scene.repo.init_file(scene.feature))
    assert any("No module named 'idna'" in line for line in said), said


def test_uv_run_in_a_stack(tmp_path: Path, base: Base) -> None:
    home = make_home(tmp_path)
    home.add_envs_dir(base.prefix.parent)
    repo: Repo = make_repo(tmp_path / "work", home, "flit")
    (tmp_path / "work/wtenv.stack.toml").write_text(STACK.replace("{base}", base.name))
    (repo.root / "wtenv.toml").write_text('[wtenv]\nextends = "../wtenv.stack.toml"\n')
    call(home, "allow", cwd=repo.root, check=True)
    call(home, "sync", cwd=repo.root, check=True)
    scene = Scene(home, repo, base)
    venv = tmp_path / "work/.venv"
    assert run(scene, f"uv run {LOOK}", repo.root)[0].split()[:2] == [str(venv), str(repo.init_file(repo.root))]
    assert not (repo.root / ".venv").exists()


def read_own(venv: Path) -> State:
    """What lies in an overlay, without what Python compiles at a first import."""
    return {path: facts for path, facts in snapshot(venv).items() if "__pycache__" not in path}


def test_pip_out_of_another_worktree(scene: Scene) -> None:
    """Typed while `main` is active, where no hook follows: pip works on the worktree that it stands in."""
    venv = Path(run(scene, 'echo "$VIRTUAL_ENV"', scene.root)[0])
    there = Path(str(venv).replace(str(scene.root), str(scene.feature)))
    before = read_own(venv)
    where = "python -c 'import idna; print(idna.__file__)'"
    for pip in ("pip", "python -m pip"):
        try:
            (found,) = run(scene, f"cd {scene.feature} && {pip} install -q --no-deps idna==3.9 && {where}", scene.root)
            assert Path(found).is_relative_to(there), pip
            assert read_own(venv) == before, pip
            refused = run(scene, f"cd {scene.feature} && {{ {pip} install -q -e . 2>&1 || echo $?; }}", scene.root)
            assert "pip install -e is refused here" in refused[0] and refused[-1] == "2", refused
            assert read_own(venv) == before, pip
        finally:
            scene("sync", cwd=scene.feature, check=True)


@pytest.mark.parametrize(
    ("act", "said"),
    {
        "cd {feature} && uv pip install -q -e .": "replaced pkg",
        "uv pip uninstall -q pkg": "removed pkg",
        "uv pip install -q idna==3.9": "",
        "uv sync -q": "",
        "cd {feature} && uv sync -q": "",
    }.items(),
)
def test_what_uv_did_is_noticed(act: str, said: str, scene: Scene) -> None:
    """What it did to an overlay, typed while `main` is active: the next run is right, or says what fixes it."""
    main, feature = (scene.repo.init_file(root) for root in scene.repo.worktrees)
    run(scene, act.format(feature=scene.feature), scene.root)
    look = f"cd {scene.root}/tests && {LOOK.replace('numpy, ', '').replace(', numpy.__file__', '')}"
    try:
        done = scene("run", "sh", "-c", look)
        if said:
            assert done.returncode == 2 and f"another tool has {said}" in done.stderr, done
            assert done.stderr.endswith("run: wtenv sync\n")
        else:
            assert done.stdout.split()[-1] == str(main), done
        done = scene("run", "sh", "-c", look.replace(str(scene.root), str(scene.feature)), cwd=scene.feature)
        assert done.stdout.split()[-1] == str(feature), done
    finally:
        for root in scene.repo.worktrees:
            scene("sync", cwd=root, check=True)
    assert scene("run", "sh", "-c", look, check=True).stdout.split()[-1] == str(main)
