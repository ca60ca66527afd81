"""notuv's checklist: what works with notuv, devpy and veneer works here, and what they get wrong does not.

Each test names what those tools do in the same place (notuv 0.2.0).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from overlay_projects import make_project
from realbase import Base, copy_base
from scenes import CONFIG, Scene, make_scene, one_line, snapshot
from shells import require_shell, run_script
from workspace import wtenv_program

WHERE = "import pkg; print(pkg.__file__)"


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("notuv"), base)


@pytest.fixture
def own(base: Base, tmp_path: Path) -> Scene:
    """A scene of the test's own, with nothing built."""
    return make_scene(tmp_path, base, CONFIG.replace('"."', ""), sync=False)


def configure(scene: Scene, text: str) -> None:
    (scene.root / "wtenv.toml").write_text(text)
    scene("allow", check=True)


# --- what works there ---------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1])
def test_commands_use_the_worktrees_copy(which: int, scene: Scene) -> None:
    """`notuv python -c …` and the package's console script."""
    worktree = scene.repo.worktrees[which]
    for words in (["python", "-c", WHERE], ["pkg-cli"]):
        assert scene("run", *words, cwd=worktree, check=True).stdout == f"{scene.repo.init_file(worktree)}\n"


@pytest.mark.parametrize("code", [0, 1, 2, 7, 42, 255])
def test_the_commands_own_exit_code(code: int, scene: Scene) -> None:
    assert scene("run", "sh", "-c", f"exit {code}").returncode == code


@pytest.mark.parametrize(("sent", "code"), [("TERM", 143), ("KILL", 137), ("INT", 130), ("SEGV", 139)])
def test_128_and_the_signal(sent: str, code: int, scene: Scene) -> None:
    done = scene.home.run(["bash", "-c", f"wtenv run sh -c 'kill -{sent} $$'; echo $?"], scene.root)
    assert done.stdout == f"{code}\n"


def test_command_not_found(scene: Scene) -> None:
    assert one_line(scene("run", "no-such-command"), 127).startswith("no-such-command: command not found")


def test_info_changes_nothing(scene: Scene) -> None:
    before = snapshot(scene.root, scene.home.path)
    for words in (["info"], ["info", "--json"], ["status"]):
        assert scene(*words).returncode == 0
    after = snapshot(scene.root, scene.home.path)
    assert {name for name in after.items() ^ before.items() if "__pycache__" not in name[0]} == set()


def test_an_empty_list_of_editables(own: Scene) -> None:
    done = own("update-editables")
    assert done.returncode == 0
    again = own("update-editables")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "wtenv: nothing to do\n")
    assert own("run", "python", "-c", "import numpy").returncode == 0  # the base's packages are there


def test_already_clean(own: Scene) -> None:
    before = snapshot(own.root)
    assert (own("clean").returncode, own("clean").stderr) == (0, "wtenv: already clean\n")
    assert snapshot(own.root) == before


def test_the_base_supplies_activation_scripts_and_variables(scene: Scene) -> None:
    done = scene("run", "sh", "-c", "echo $ENVTOOLS_HOME $ENVTOOLS_MODE $CONDA_DEFAULT_ENV $PYTHONNOUSERSITE")
    assert done.stdout == f"{scene.base.prefix}/share/envtools shared shared 1\n"


def test_pip_installs_into_the_overlay(own: Scene) -> None:
    """`notuv pip install X` uses the overlay's own pip; here the base's, and the base stays as it is."""
    own("sync", check=True)
    project = make_project(own.root.parent / "plain", "flit", "plain", name="plain")
    before = own.base.snapshot()
    for pip in (["pip"], ["python", "-m", "pip"]):
        done = own("run", *pip, "install", "--no-deps", "--no-build-isolation", "--no-index", project)
        assert done.returncode == 0, done.stderr
        found = own("run", "python", "-c", "import plain; print(plain.__file__)", check=True).stdout
        assert found.startswith(f"{own.root}/.venv/")
        own("run", *pip, "uninstall", "-y", "plain", check=True)
    assert own.base.snapshot() == before


def test_messages_for_bad_configs(own: Scene) -> None:
    for text, part in {
        "": "[python] base_conda_env is missing",
        "[python]\nbase_conda_env = ''\n": "[python] base_conda_env must be",
        "python = 1\n": "must be a table",
        "[python\n": "not valid TOML",
        CONFIG + "packages = 1\n": "not valid TOML",
        "[python]\nbase_conda_env = 'shared'\n[editables]\npackages = ['gone']\n": "[editables] packages",
        "[python]\nbase_conda_env = 'shared'\nvenv = '../x'\n": "[python] venv",
        "[wtenv]\nextends = '../gone.toml'\n": "[wtenv] extends",
    }.items():
        (own.root / "wtenv.toml").write_text(text)
        assert part in one_line(own("allow"))


def test_one_stack_for_several_repositories(own: Scene) -> None:
    """A pointer config and a stack config, as in notuv's README."""
    for name in ("one", "two"):
        make_project(own.root.parent / name, "flit", name, name=name)
        own.repo.git("init", "--quiet", cwd=own.root.parent / name)
        (own.root.parent / name / "wtenv.toml").write_text('[wtenv]\nextends = "../wtenv.backend.toml"\n')
    (own.root.parent / "wtenv.backend.toml").write_text(
        f'[wtenv]\nkind = "stack"\n[python]\nbase_conda_env = "{own.base.name}"\nvenv = ".backend-venv"\n'
        '[editables]\npackages = ["one", "two"]\n'
    )
    for name in ("one", "two"):
        own("allow", cwd=own.root.parent / name, check=True)
    own("sync", cwd=own.root.parent / "one", check=True)
    for name in ("one", "two"):
        folder = own.root.parent / name
        done = own(
            "run", "python", "-c", "import one, two, os; print(one.__file__, two.__file__, os.getcwd())", cwd=folder
        )
        files = [str(own.root.parent / each / each / "__init__.py") for each in ("one", "two")]
        assert (done.stdout.split(), done.stderr) == ([*files, str(folder)], "")


# --- what does not ------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1])
def test_pytest_of_the_base_finds_the_worktrees_package(which: int, scene: Scene) -> None:
    """`notuv pytest`: ModuleNotFoundError, as the base's pytest runs on the base's Python."""
    worktree = scene.repo.worktrees[which]
    for words in (["pytest"], ["python", "-m", "pytest"]):
        done = scene("run", *words, "-q", "-s", "-p", "no:cacheprovider", cwd=worktree)
        assert done.returncode == 0, done.stdout
        assert str(scene.repo.init_file(worktree)) in done.stdout


@pytest.mark.parametrize("venv", [".", "./", "", "src/..", "~", "/"])
def test_a_venv_that_is_the_repository(venv: str, own: Scene) -> None:
    """`venv = "."` and then `notuv clean` delete the repository."""
    (own.root / "wtenv.toml").write_text(f'[python]\nbase_conda_env = "shared"\nvenv = "{venv}"\n')
    before = snapshot(own.root)
    for words in (["allow"], ["sync"], ["clean"], ["clean", "--shared"]):
        one_line(own(*words))
    assert snapshot(own.root) == before


def test_a_symlinked_venv(own: Scene) -> None:
    """`notuv clean` deletes what a symlinked .venv leads to."""
    target = own.root.parent / "precious"
    target.mkdir()
    (target / "data").write_text("x")
    (own.root / ".venv").symlink_to(target)
    before = snapshot(own.root, target)
    for words in (["sync"], ["clean"]):
        assert "symbolic link" in one_line(own(*words))
    assert snapshot(own.root, target) == before
    own("sync", "--replace", check=True)
    assert (target / "data").read_text() == "x"
    assert not (own.root / ".venv").is_symlink()


def test_a_changed_base(own: Scene, tmp_path: Path) -> None:
    """notuv keeps the old interpreter, below the new CONDA_PREFIX."""
    other = copy_base(own.base, tmp_path / "miniforge3", "other")
    own.home.add_envs_dir(other.prefix.parent)
    own("sync", check=True)
    configure(own, '[python]\nbase_conda_env = "other"\n')
    assert "run: wtenv sync" in one_line(own("run", "--no-sync", "true"))  # never a mixture
    own("sync", check=True)
    text = "import sys, os, numpy; print(sys.base_prefix, os.environ['CONDA_PREFIX'], numpy.__file__)"
    interpreter, prefix, numpy = own("run", "python", "-c", text, check=True).stdout.split()
    assert (interpreter, prefix) == (str(other.prefix), str(other.prefix))
    assert numpy.startswith(f"{other.prefix}/")


EDITABLE = [
    "pip install -e .", "pip3 install -e .", "pip install -e.", "pip3 install -e.", "pip install --editable .",
    "pip install --editable=.", "python -m pip install -e .", "python3 -m pip install --editable=.",
    "pip --no-cache-dir install -e .", "pip install --no-deps -e .", "pip install -U --edit .",
]  # fmt: skip


@pytest.mark.parametrize("command", EDITABLE)
def test_editable_installs_are_refused(command: str, scene: Scene) -> None:
    """notuv's guard knows `pip install -e X` and `python -m pip install -e X` only."""
    before = snapshot(scene.root / ".venv")
    done = scene("run", *command.split())
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "[editables]" in done.stderr
    assert "wtenv.toml" in done.stderr
    assert "wtenv sync" in done.stderr
    changed = {name for name, _ in snapshot(scene.root / ".venv").items() ^ before.items()}
    assert not [name for name in changed if "__pycache__" not in name]


def test_dropped_packages_are_uninstalled(own: Scene) -> None:
    """notuv leaves them installed."""
    for name in ("one", "two"):
        make_project(own.root / name, "flit", name, name=name)
    configure(own, '[python]\nbase_conda_env = "shared"\n[editables]\npackages = ["one", "two"]\n')
    own("sync", check=True)
    assert own("run", "python", "-c", "import one, two").returncode == 0
    configure(own, '[python]\nbase_conda_env = "shared"\n[editables]\npackages = ["two"]\n')
    own("sync", check=True)
    assert own("run", "python", "-c", "import two").returncode == 0
    assert "No module named 'one'" in own("run", "python", "-c", "import one", cwd=own.root / "tests").stderr


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('[pyhton]\nbase_conda_env = "x"', "python"),
        ('[editables]\npackage = ["."]', "packages"),
        ("[editables]\ninstall_dep = true", "install_deps"),
        ('[python]\nvenvs = ".v"', "venv"),
    ],
)
def test_misspelt_keys(line: str, hint: str, own: Scene) -> None:
    """notuv ignores them."""
    (own.root / "wtenv.toml").write_text(line + "\n")
    message = one_line(own("allow"))
    assert f"did you mean {hint}?" in message


@pytest.mark.parametrize("written", ["{prefix}", "{relative}", "~/envs/shared"])
def test_a_base_given_as_a_path(written: str, own: Scene) -> None:
    """notuv passes it to `conda run -n`, which takes names only."""
    (own.home.path / "envs").symlink_to(own.base.prefix.parent)
    relative = os.path.relpath(own.base.prefix, own.root)
    configure(own, f'[python]\nbase_conda_env = "{written.format(prefix=own.base.prefix, relative=relative)}"\n')
    own("sync", check=True)
    done = own("run", "python", "-c", "import numpy, os; print(os.environ['CONDA_PREFIX'])", check=True)
    assert os.path.realpath(done.stdout.strip()) == str(own.base.prefix)


def test_commands_run_in_the_current_folder(scene: Scene) -> None:
    """notuv runs them at the root."""
    assert scene("run", "pwd", cwd=scene.root / "tests", check=True).stdout == f"{scene.root}/tests\n"


def test_sigterm_leaves_no_orphan(scene: Scene) -> None:
    """notuv dies and its child goes on."""
    started = [wtenv_program(), "run", "sh", "-c", "echo $$; exec sleep 77.7"]
    with subprocess.Popen(started, cwd=scene.root, env=scene.home.environ, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert int(process.stdout.readline()) == process.pid
        process.terminate()
        assert process.wait(timeout=30) == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_git_and_conda_are_not_needed(scene: Scene, tmp_path: Path) -> None:
    """notuv: a traceback where git is missing."""
    (tmp_path / "bin").mkdir()
    for name in ("sh", "env"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    env = {"PATH": str(tmp_path / "bin")}
    for words in (["status"], ["allow"], ["sync"], ["run", "python", "-c", WHERE], ["export", "json"]):
        done = scene(*words, env=env)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("data", [b"\xff\xfe", b'[python]\nbase_conda_env = "\xe9"\n', "[python]\n".encode("utf-16")])
def test_a_config_that_is_not_utf8(data: bytes, own: Scene) -> None:
    """notuv: UnicodeDecodeError."""
    (own.root / "wtenv.toml").write_bytes(data)
    for words in (["allow"], ["sync"], ["run", "true"], ["clean"]):
        assert "wtenv.toml: is not UTF-8" in one_line(own(*words))


def test_version_builds_nothing(own: Scene) -> None:
    """`notuv --version` builds the venv, then looks for a command of that name."""
    before = snapshot(own.root)
    done = own("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"wtenv \d+\.\d+\.\d+\n", done.stdout)
    assert snapshot(own.root) == before


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_without_a_prefix_before_every_command(name: str, scene: Scene) -> None:
    """What notuv has no word for: `cd` and plain commands, on one line."""
    require_shell(name)
    hook = "wtenv hook fish | source" if name == "fish" else f'eval "$(wtenv hook {name})"'
    text = f"{hook}; cd {scene.feature}; pytest -q -s -p no:cacheprovider; cd {scene.root}; python -c '{WHERE}'"
    done = run_script(name, text, scene.home.environ, cwd=scene.root.parent)
    assert done.returncode == 0, done.stderr
    assert str(scene.repo.init_file(scene.feature)) in done.stdout
    assert done.stdout.endswith(f"{scene.repo.init_file(scene.root)}\n")


# --- moving over --------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["notuv", "devpy", "veneer"])
def test_moving_over(tool: str, own: Scene) -> None:
    """Their config, and the venv that they made: taken over, and replaced only when asked."""
    (own.root / "wtenv.toml").unlink()
    (own.root / f"{tool}.toml").write_text(
        '[python]\nbase_conda_env = "shared"\n\n[editables]\npackages = [\n  ".",\n]\n'
    )
    subprocess.run(
        [own.base.python, "-m", "venv", "--without-pip", "--system-site-packages", own.root / ".venv"], check=True
    )
    assert f"wtenv init {tool}.toml" in one_line(own("init"))
    own("init", f"{tool}.toml", check=True)
    own("allow", check=True)
    assert "--replace" in one_line(own("sync"))
    own("sync", "--replace", check=True)
    assert own("run", "python", "-c", WHERE, check=True).stdout == f"{own.repo.init_file(own.root)}\n"
    assert json.loads(own("status", "--json").stdout)["overlay"]["state"] == "current"
