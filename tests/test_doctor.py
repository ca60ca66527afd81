"""`wtenv doctor`: every check finds its fault, a healthy worktree has none, and `--fix` leaves it healthy."""

from __future__ import annotations

import copy
import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from realbase import Base, copy_base
from scenes import CONFIG, Templates, make_fake_base, make_git, make_home, make_scene, snapshot
from shells import HOOK_LINES, Shell, require_shell, write_rc
from workspace import Home, Repo

from wtenv.hook.shells import ABI
from wtenv.insight.checks import CHECKS
from wtenv.overlay import manifest, registry
from wtenv.overlay.refresh import with_inventory


@dataclass
class Patient:
    """A synced worktree, and the environment of a shell in which it is active; a fault changes either."""

    home: Home
    repo: Repo
    base: Base
    env: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.repo.feature

    @property
    def site(self) -> Path:
        found = manifest.read_manifest(self.root / ".venv")
        assert found
        return Path(found.site[-1])

    @property
    def data(self) -> Path:
        return self.home.path / ".local/share/wtenv"

    def wtenv(self, *words: str, cwd: Path | None = None) -> None:
        self.home.run(["wtenv", *words], cwd or self.root, check=True)

    def activate(self) -> None:
        """What a shell's environment is once the activation is in effect."""
        changes = json.loads(self.home.run(["wtenv", "export", "json"], self.root, check=True).stdout)
        self.env = {name: value for name, value in {**self.home.environ, **changes}.items() if value is not None}

    def deactivate(self) -> None:
        self.env = dict(self.home.environ)

    def ask(self, *options: str, cwd: Path | None = None) -> tuple[int, dict[str, Any]]:
        """What `doctor --json` says in a bash that is not interactive, and its exit code."""
        done = run_doctor(self.env, cwd or self.root, "--json", *options)
        return done.returncode, json.loads(done.stdout)

    def find(self, *options: str, cwd: Path | None = None) -> dict[str, list[tuple[str, str]]]:
        """Check -> (state, finding), less what is ok."""
        found: dict[str, list[tuple[str, str]]] = {}
        for item in self.ask(*options, cwd=cwd)[1]["findings"]:
            if item["state"] != "ok":
                found.setdefault(item["check"], []).append((item["state"], item["finding"]))
        return found


def run_doctor(env: dict[str, str], cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", 'wtenv doctor "$@"; exit $?', "bash", *options]
    done = subprocess.run(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def patient(templates: Templates, base: Base) -> Patient:
    return copy.deepcopy(templates.get("patient", lambda place: make_patient(place, base)))


@pytest.fixture
def own_patient(templates: Templates, base: Base) -> Patient:
    """One whose base may be damaged."""

    def make(place: Path) -> Patient:
        return make_patient(place, copy_base(base, place / "miniforge3", "own"))

    return copy.deepcopy(templates.get("own patient", make))


def make_patient(place: Path, base: Base) -> Patient:
    scene = make_scene(place, base, sync=False)
    patient = Patient(scene.home, scene.repo, base)
    write_rc(scene.home.environ, "bash")
    patient.wtenv("sync")
    patient.activate()
    assert patient.find() == {}, "healthy before"
    return patient


# --- faults -------------------------------------------------------------------------------------------


def other_is_active(patient: Patient) -> None:
    patient.env["WTENV_ROOT"] = str(patient.repo.root)


def no_line(patient: Patient) -> None:
    write_rc(patient.home.environ, "bash", hook=False, after=f"# {HOOK_LINES['bash']}")
    patient.deactivate()


def conda_is_later(patient: Patient) -> None:
    write_rc(patient.home.environ, "bash", after='. "/opt/conda/etc/profile.d/conda.sh"')


def old_hook_file(patient: Patient) -> None:
    patient.wtenv("setup", "bash")
    place = patient.data / "hook.bash"
    place.write_text(place.read_text().replace(ABI, "0-0.0.1"))


def hook_file_of_a_removed_installation(patient: Patient) -> None:
    patient.wtenv("setup", "bash")
    place = patient.data / "hook.bash"
    text = place.read_text()
    start = text.index("__wtenv_command=('") + len("__wtenv_command=('")
    place.write_text(f"{text[:start]}/gone/python{text[text.index(chr(39), start) :]}")


def damaged_hook_file(patient: Patient) -> None:
    patient.wtenv("setup", "bash")
    with (patient.data / "hook.bash").open("a") as file:
        file.write("# more\n")


def missing_hook_file(patient: Patient) -> None:
    write_rc(patient.home.environ, "bash", hook=False)
    patient.wtenv("setup", "bash")
    (patient.data / "hook.bash").unlink()


def wrong_settings(patient: Patient) -> None:
    place = patient.home.path / ".config/wtenv/config.toml"
    place.parent.mkdir(parents=True)
    place.write_text("[mesages]\n")


def open_files(patient: Patient) -> None:
    patient.data.chmod(0o755)
    next((patient.data / "trust").iterdir()).chmod(0o644)


def removed_worktree(patient: Patient) -> None:
    third = patient.repo.add_worktree("third")
    patient.wtenv("sync", cwd=third)
    patient.repo.git("worktree", "remove", "--force", third)


def removed_clone(patient: Patient) -> None:
    other = make_git(patient.root.parent, patient.home, "other")
    shutil.copy(patient.root / "wtenv.toml", other)
    patient.wtenv("allow", cwd=other)
    shutil.rmtree(other)


def interrupted_sync(patient: Patient) -> None:
    venv = patient.root / ".venv"
    place = registry.record_path(venv, patient.home.environ)
    record = registry.read_record(place)
    assert record
    registry.write_record(record._replace(leftovers=(".venv.old-1234",)), place)
    (patient.root / ".venv.old-1234").mkdir()


def broken_link(patient: Patient) -> None:
    (patient.repo.root / ".git/worktrees/feature/gitdir").write_text("/elsewhere/.git\n")


def broken_git_file(patient: Patient) -> None:
    (patient.root / ".git").write_text("nonsense\n")


def unknown_key(patient: Patient) -> None:
    write_settings(patient, f'[trust]\nprefixes = ["{patient.root}"]\n')
    (patient.root / "wtenv.toml").write_text(CONFIG.format(base=patient.base.name) + "[editable]\n")


def no_toml(patient: Patient) -> None:
    (patient.root / "wtenv.toml").write_text("= =\n")


def write_settings(patient: Patient, text: str) -> None:
    place = patient.home.path / ".config/wtenv/config.toml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def changed_config(patient: Patient) -> None:
    with (patient.root / "wtenv.toml").open("a") as file:
        file.write("# changed\n")


def denied(patient: Patient) -> None:
    patient.wtenv("deny")


def writable_config(patient: Patient) -> None:
    (patient.root / "wtenv.toml").chmod(0o666)


def no_base(patient: Patient) -> None:
    shutil.rmtree(patient.base.prefix)


def base_python_fails(patient: Patient) -> None:
    for name in ("python", "python3", os.path.basename(os.path.realpath(patient.base.python))):
        place = patient.base.bin / name
        place.unlink(missing_ok=True)
        place.write_text("#!/bin/sh\nexit 3\n")
        place.chmod(0o755)


def script_fails(patient: Patient) -> None:
    (patient.base.prefix / "etc/conda/activate.d/zz.sh").write_text("echo broken; return 3\n")


def bad_variables(patient: Patient) -> None:
    (patient.base.prefix / "etc/conda/env_vars.d/zz.json").write_text("{")


def no_overlay(patient: Patient) -> None:
    shutil.rmtree(patient.root / ".venv")


def stale_overlay(patient: Patient) -> None:
    with (patient.root / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")


def half_overlay(patient: Patient) -> None:
    (patient.root / ".venv/wtenv.json").unlink()


def copied_overlay(patient: Patient) -> None:
    aside = patient.root / "aside"
    shutil.copytree(patient.root / ".venv", aside, symlinks=True)
    shutil.rmtree(patient.root / ".venv")
    aside.rename(patient.root / ".venv")


def foreign_overlay(patient: Patient) -> None:
    mine = patient.root / "mine"
    mine.mkdir()  # before the other goes: it must not get its inode
    (mine / "mine").write_text("mine\n")
    shutil.rmtree(patient.root / ".venv")
    mine.rename(patient.root / ".venv")


def python_does_not_start(patient: Patient) -> None:
    (patient.site / "a.pth").write_text("import sys; sys.exit('no')\n")  # Debian's Python has its own sitecustomize


def other_python(patient: Patient) -> None:
    place = patient.root / ".venv/bin/python"
    place.unlink()
    place.symlink_to("/usr/bin/python3")


def other_python3(patient: Patient) -> None:
    place = patient.root / ".venv/bin/python3"
    place.unlink()
    place.symlink_to("/usr/bin/python3")


def no_python3(patient: Patient) -> None:
    (patient.root / ".venv/bin/python3").unlink()


def other_home(patient: Patient) -> None:
    place = patient.root / ".venv/pyvenv.cfg"
    place.write_text(place.read_text().replace(f"home = {patient.base.bin}", "home = /usr/bin"))


def no_pyvenv(patient: Patient) -> None:
    (patient.root / ".venv/pyvenv.cfg").unlink()


def other_copy(patient: Patient) -> None:
    (patient.site / "pkg.pth").write_text(f"{patient.repo.root}\n")


def other_copy_in_the_overlay(patient: Patient) -> None:
    (patient.site / "pkg").mkdir()
    (patient.site / "pkg/__init__.py").write_text("")


def module_is_gone(patient: Patient) -> None:
    (patient.site / "pkg.pth").write_text("")


def replaced_by_pip(patient: Patient) -> None:
    (found,) = patient.site.glob("pkg-*.dist-info")
    (found / "direct_url.json").unlink()


def overlay_in_the_package(patient: Patient) -> None:
    settings = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    settings += '[project]\nname = "pkg"\nversion = "1.0"\n[tool.setuptools]\npackages = ["pkg"]\n'
    (patient.root / "pyproject.toml").write_text(settings)
    config = CONFIG.replace("{base}", patient.base.name, 1).replace("[editables]", 'venv = "pkg/.venv"\n\n[editables]')
    (patient.root / "wtenv.toml").write_text(config)
    for command in ("allow", "sync"):
        patient.wtenv(command)
    patient.activate()


def damaged_wrappers(patient: Patient) -> None:
    (patient.root / ".venv/bin/.wrapper").write_text("#!/usr/bin/python3\n")


def wrappers_cannot_run(patient: Patient) -> None:
    (patient.root / ".venv/bin/.wrapper").chmod(0o644)


def script_of_another_python(patient: Patient) -> None:
    place = patient.root / ".venv/bin/pkg-cli"
    place.write_text(f"#!{patient.base.bin}/python\n")


def no_script(patient: Patient) -> None:
    (patient.root / ".venv/bin/pkg-cli").unlink()


def script_cannot_run(patient: Patient) -> None:
    (patient.root / ".venv/bin/pkg-cli").chmod(0o644)


def damaged_kernel(patient: Patient) -> None:
    spec = patient.base.prefix / "share/jupyter/kernels/python3/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": [str(patient.base.python), "-m", "ipykernel_launcher"]}))
    patient.wtenv("sync")
    wrapper = patient.root / ".venv/share/jupyter/kernels/python3/kernel.json"
    wrapper.write_text(wrapper.read_text().replace(f"{patient.root}/.venv/bin/python", str(patient.base.python)))


def damaged_bootstrap(patient: Patient) -> None:
    with (patient.site / "~wtenv.pth").open("a") as file:
        file.write("# more\n")


def copy_in_base(patient: Patient) -> None:
    site = patient.base.site_packages
    (site / "pkg").mkdir()
    (site / "pkg/__init__.py").write_text("")
    (site / "pkg-0.5.dist-info").mkdir()
    (site / "pkg-0.5.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: pkg\nVersion: 0.5\n")


def old_activate(patient: Patient) -> None:
    (patient.root / ".venv/bin/activate").write_text("# of another version\n")


def installed_by_hand(patient: Patient) -> None:
    (patient.site / "extra.py").write_text("")
    (patient.site / "extra-2.0.dist-info").mkdir()
    (patient.site / "extra-2.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 2.0\n")


def drift(patient: Patient) -> None:
    patient.wtenv("lock")
    assert patient.find() == {}
    (patient.base.site_packages / "extra-2.0.dist-info").mkdir()


def broken_lock(patient: Patient) -> None:
    (patient.root / "wtenv.lock").write_text("no lock\n")


def shims(patient: Patient) -> None:
    folder = patient.home.path / ".pyenv/shims"
    folder.mkdir(parents=True)
    (folder / "python").write_text("#!/bin/sh\n")
    (folder / "python").chmod(0o755)
    patient.env["PATH"] = f"{folder}:{patient.env['PATH']}"


def current_folder_on_path(patient: Patient) -> None:
    (patient.root / "pytest").write_text("#!/bin/sh\n")
    (patient.root / "pytest").chmod(0o755)
    patient.env["PATH"] = f":{patient.env['PATH']}"


def not_on_path(patient: Patient) -> None:
    patient.env["PATH"] = patient.home.environ["PATH"]


def pythonpath(patient: Patient) -> None:
    patient.env["PYTHONPATH"] = str(patient.repo.root)


def pythonhome(patient: Patient) -> None:
    patient.env["PYTHONHOME"] = str(patient.base.prefix)


def user_site(patient: Patient) -> None:
    del patient.env["PYTHONNOUSERSITE"]


def another_venv(patient: Patient) -> None:
    patient.env["VIRTUAL_ENV"] = "/somewhere/else"


def conda_is_on_top(patient: Patient) -> None:
    patient.env["CONDA_PREFIX"] = str(patient.base.root)


def direnv(patient: Patient) -> None:
    (patient.root / ".envrc").write_text("export A=1\nPATH_add scripts\n")
    patient.env["DIRENV_DIR"] = f"-{patient.root}"


def mise(patient: Patient) -> None:
    (patient.root / "mise.toml").write_text('[tools]\npython = "3.11"\n')
    patient.env["MISE_SHELL"] = "bash"


def vscode(patient: Patient) -> None:
    place = patient.root / ".vscode/settings.json"
    place.parent.mkdir()
    place.write_text('{\n  // ours\n  "python.defaultInterpreterPath": "/usr/bin/python3", /* really */\n}\n')


def pycharm(patient: Patient) -> None:
    place = patient.root / ".idea/misc.xml"
    place.parent.mkdir()
    place.write_text('<project><component project-jdk-name="Python 3.9" project-jdk-type="Python SDK" /></project>\n')


def write(place: Path, text: str) -> None:
    place.write_text(text)


def noted(make: Callable[[Patient], None]) -> Callable[[Patient], None]:
    """The same, in an overlay that was noted to be so: what is compared with the notes is `overlay`'s to find."""

    @functools.wraps(make)
    def make_noted(patient: Patient) -> None:
        make(patient)
        venv = patient.root / ".venv"
        found = manifest.read_manifest(venv)
        assert found
        manifest.write_manifest(with_inventory(venv, found), venv)

    return make_noted


FAULTS: dict[str, list[tuple[Callable[[Patient], None], str, bool]]] = {
    "hook": [(other_is_active, "note", False)],
    "rc": [(no_line, "problem", False), (conda_is_later, "note", False)],
    "hook-file": [
        (old_hook_file, "problem", True),
        (hook_file_of_a_removed_installation, "problem", True),
        (damaged_hook_file, "problem", True),
        (missing_hook_file, "problem", True),
    ],
    "settings": [(wrong_settings, "problem", False)],
    "files": [(open_files, "problem", True)],
    "garbage": [
        (removed_worktree, "note", False),
        (removed_clone, "note", False),
        (interrupted_sync, "problem", True),
    ],
    "worktree": [(broken_link, "problem", False), (broken_git_file, "problem", False)],
    "config": [(unknown_key, "problem", False), (no_toml, "problem", False)],
    "trust": [(changed_config, "problem", False), (denied, "note", False), (writable_config, "problem", False)],
    "base": [(no_base, "problem", False)],
    "base-python": [(base_python_fails, "problem", False)],
    "base-scripts": [(script_fails, "problem", False), (bad_variables, "problem", False)],
    "overlay": [
        (no_overlay, "problem", True),
        (stale_overlay, "problem", True),
        (half_overlay, "problem", True),
        (copied_overlay, "problem", True),
        (foreign_overlay, "problem", False),
        (other_python, "problem", True),
        (other_python3, "problem", True),
        (no_python3, "problem", True),
        (other_home, "problem", True),
        (no_pyvenv, "problem", True),
        (python_does_not_start, "problem", True),
        (other_copy, "problem", True),
        (replaced_by_pip, "problem", True),
        (damaged_wrappers, "problem", True),
        (wrappers_cannot_run, "problem", True),
        (no_script, "problem", True),
        (damaged_kernel, "problem", True),
        (damaged_bootstrap, "problem", True),
    ],
    "python": [(noted(python_does_not_start), "problem", False)],
    "editables": [
        (noted(other_copy), "problem", True),
        (other_copy_in_the_overlay, "problem", False),
        (noted(module_is_gone), "problem", True),
    ],
    "wrappers": [
        (noted(damaged_wrappers), "problem", True),
        (noted(wrappers_cannot_run), "problem", True),
        (noted(script_of_another_python), "problem", True),
        (noted(no_script), "problem", True),
        (noted(script_cannot_run), "problem", True),
        (noted(damaged_kernel), "problem", True),
    ],
    "bootstrap": [(noted(damaged_bootstrap), "problem", True), (copy_in_base, "note", False)],
    "activate": [(noted(old_activate), "problem", True)],
    "undeclared": [(installed_by_hand, "note", False)],
    "lock": [(drift, "problem", False), (broken_lock, "problem", False)],
    "path": [(shims, "problem", False), (current_folder_on_path, "problem", False), (not_on_path, "problem", False)],
    "pythonpath": [(pythonpath, "problem", False), (pythonhome, "problem", False)],
    "user-site": [(user_site, "problem", False)],
    "activators": [
        (another_venv, "problem", False),
        (conda_is_on_top, "problem", False),
        (direnv, "problem", False),
        (mise, "problem", False),
    ],
    "editors": [(vscode, "problem", False), (pycharm, "note", False), (overlay_in_the_package, "note", False)],
}
"""Check -> faults: how each is made, the state that it is found as, and whether `--fix` fixes it."""

OWN_BASE = (no_base, base_python_fails, script_fails, bad_variables, copy_in_base, damaged_kernel, drift)
CASES = [(check, *fault) for check, faults in FAULTS.items() for fault in faults]


def test_every_check_has_a_fault() -> None:
    assert list(FAULTS) == list(CHECKS)


@pytest.mark.parametrize(("check", "make", "state", "fixes"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_fault(
    check: str, make: Callable[[Patient], None], state: str, fixes: bool, request: pytest.FixtureRequest
) -> None:
    patient: Patient = request.getfixturevalue(
        "own_patient" if getattr(make, "__wrapped__", make) in OWN_BASE else "patient"
    )
    make(patient)
    code, facts = patient.ask()
    found = {item["check"]: item for item in reversed(facts["findings"]) if item["state"] == state}
    assert check in found, facts["findings"]
    assert found[check]["fix"] or state == "note"
    assert found[check]["fixable"] == fixes
    assert code == (1 if facts["problems"] else 0)
    assert bool(facts["problems"]) == (state == "problem")
    before = snapshot(patient.root) if not fixes and state == "note" else None
    code, facts = patient.ask("--fix")
    assert (code == 0) == (fixes or state == "note"), facts
    assert bool(facts["fixed"]) == fixes
    if fixes:
        patient.activate()
        assert patient.find() == {}
    if before is not None:
        assert snapshot(patient.root) == before, "a note is nothing to fix"


# --- healthy ------------------------------------------------------------------------------------------


def test_healthy_for_people(patient: Patient) -> None:
    done = run_doctor(patient.env, patient.root)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[-1] == "nothing is wrong"
    assert [line.split()[:2] for line in lines[:-1]] == [["ok", name] for name in CHECKS]
    assert len(lines) <= 26, "one screen"


def test_healthy_in_each_worktree_and_below(patient: Patient) -> None:
    patient.wtenv("sync", cwd=patient.repo.root)
    assert patient.find(cwd=patient.root / "tests") == {}
    found = patient.find(cwd=patient.repo.root)
    assert list(found) == ["hook"], "the other worktree is what is active"


@pytest.mark.parametrize("name", HOOK_LINES)
def test_in_a_real_shell(name: str, patient: Patient) -> None:
    require_shell(name)
    with Shell(name, patient.home.environ, patient.root) as shell:
        healthy = shell.run("wtenv doctor")
        assert healthy.status == 0, healthy.out
        assert healthy.out.endswith("nothing is wrong\n") and "note" not in healthy.out
        shell.run("cd ..")
        outside = shell.run("wtenv doctor")
        assert outside.status == 0, outside.out
        assert f"whether this {name} has loaded the hook shows only where" in outside.out
    with Shell(name, patient.home.environ, patient.root, hook=False) as shell:
        bare = shell.run("wtenv doctor")
        assert bare.status == 1
        assert f"nothing is active: this {name} has not loaded the hook" in bare.out
        assert f"run: wtenv setup {name} && exec {name}" in bare.out
        shell.run(f"wtenv setup {name}")
        assert f"-> press Enter; if it stays so, run: exec {name}" in shell.run("wtenv doctor").out


@pytest.mark.parametrize("name", HOOK_LINES)
def test_the_hook_is_turned_off(name: str, patient: Patient) -> None:
    require_shell(name)
    with Shell(name, {**patient.home.environ, "WTENV_DISABLE": "1"}, patient.root) as shell:
        (fix,) = re.findall(r"turns the hook off in this shell\n +-> run: (.*)", shell.run("wtenv doctor").out)
        assert "at its next prompt: disabled" in shell.run("wtenv status").out
        shell.run(fix)
        assert shell.run("wtenv doctor").out.endswith("nothing is wrong\n")


def test_prompt_command_is_replaced_after_the_hook(patient: Patient) -> None:
    """What no shell lets a hook see at the prompt; the advice helps, as it is typed."""
    require_shell("bash")
    with Shell("bash", patient.home.environ, patient.root, after="PROMPT_COMMAND=(true)") as shell:
        told = shell.run("wtenv doctor")
        assert told.status == 1
        (fix,) = re.findall(r"sets PROMPT_COMMAND after wtenv's line\n +-> run: (.*?); and", told.out)
        shell.run(fix)
        assert shell.run("wtenv doctor").out.endswith("nothing is wrong\n")


@pytest.mark.parametrize("name", HOOK_LINES)
def test_setup_is_healthy(name: str, patient: Patient) -> None:
    require_shell(name)
    line = patient.home.run(["wtenv", "setup", name, "--print"], patient.root).stdout
    patient.wtenv("setup", name)
    with Shell(name, patient.home.environ, patient.root, hook=False, after=line) as shell:
        done = shell.run("wtenv doctor")
        assert done.status == 0, done.out
        assert f"hook.{name} is this version's" in done.out
        place = patient.data / f"hook.{name}"
        place.write_text(place.read_text().replace(ABI, "0-0.0.1"))
        assert "is another version's" in shell.run("wtenv doctor").out
        fixed = shell.run("wtenv doctor --fix")
        assert fixed.status == 0, fixed.out
        assert f"wtenv: wrote {place}\n" in fixed.out


@pytest.mark.parametrize("name", HOOK_LINES)
def test_pythonpath_is_unset_in_each_shells_words(name: str, patient: Patient) -> None:
    require_shell(name)
    with Shell(name, patient.home.environ, patient.root) as shell:
        shell.run("export PYTHONPATH=/elsewhere")
        (fix,) = re.findall(r"-> run: (.* PYTHONPATH);", shell.run("wtenv doctor").out)
        shell.run(fix)
        assert shell.run("wtenv doctor").out.endswith("nothing is wrong\n")


@pytest.mark.parametrize("name", HOOK_LINES)
def test_another_venv_and_its_deactivate(name: str, patient: Patient) -> None:
    """What doctor says to do about it is enough."""
    require_shell(name)
    other = patient.home.path / "other"
    patient.home.run(["/usr/bin/env", "python3", "-m", "venv", "--without-pip", other], patient.root, check=True)
    with Shell(name, patient.home.environ, patient.root) as shell:
        shell.run(f". {other}/bin/activate{'.fish' if name == 'fish' else ''}")
        found = shell.run("wtenv doctor").out
        assert f"the virtual environment {other} was activated after wtenv" in found
        assert "-> run: deactivate; and then: cd / && cd -\n" in found
        shell.run("deactivate")
        assert "-> run: cd / && cd -\n" in shell.run("wtenv doctor").out
        shell.run("cd / && cd -")
        assert shell.run("wtenv doctor").out.endswith("nothing is wrong\n")


def test_fix_in_a_real_shell_that_waits_for_its_prompt(patient: Patient) -> None:
    shutil.rmtree(patient.root / ".venv")
    shutil.rmtree(patient.home.path / ".cache/wtenv/builds")  # else entering makes it anew
    with Shell("bash", patient.home.environ, patient.root) as shell:
        assert shell.run("wtenv doctor").status == 1
        fixed = shell.run("wtenv doctor --fix")
        assert fixed.status == 0, fixed.out
        assert "wtenv: synced the overlay (pkg)\n" in fixed.out
        assert "bash will see what was fixed at its next prompt" in fixed.out
        assert shell.run("wtenv doctor").out.endswith("nothing is wrong\n")


def test_fix_does_not_hide_a_missing_hook(patient: Patient) -> None:
    stale_overlay(patient)
    with Shell("bash", patient.home.environ, patient.root, hook=False) as shell:
        fixed = shell.run("wtenv doctor --fix")
        assert fixed.status == 1
        assert "wtenv: synced the overlay" in fixed.out
        assert "this bash has not loaded the hook" in fixed.out


def test_run_is_enough_without_a_hook(patient: Patient) -> None:
    """In CI there is no rc file."""
    (patient.home.path / ".bashrc").unlink()
    patient.deactivate()
    done = subprocess.run(
        ["bash", "-c", "wtenv run wtenv doctor; exit $?"],
        env=patient.env, cwd=patient.root, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "will not have the hook" in done.stdout


# --- what it may not do -------------------------------------------------------------------------------


def test_fix_touches_only_what_is_wtenvs(patient: Patient) -> None:
    foreign_overlay(patient)
    installed = snapshot(patient.root / ".venv")
    changed_config(patient)
    rc = patient.home.path / ".bashrc"
    rc.write_text("# nothing\n")
    trusted = snapshot(patient.data / "trust")
    code, facts = patient.ask("--fix")
    assert code == 1
    assert facts["fixed"] == []
    assert snapshot(patient.root / ".venv") == installed
    assert snapshot(patient.data / "trust") == trusted, "never allows"
    assert rc.read_text() == "# nothing\n"


def test_fix_keeps_what_was_installed_by_hand(patient: Patient) -> None:
    installed_by_hand(patient)
    other_copy(patient)
    assert patient.ask("--fix")[0] == 0
    assert (patient.site / "extra.py").exists()


@pytest.mark.parametrize("make", [changed_config, denied])
def test_nothing_of_an_untrusted_worktree_runs(make: Callable[[Patient], None], own_patient: Patient) -> None:
    """Neither the overlay's Python nor the base's, nor its scripts; and nothing that the folder has."""
    patient, witness = own_patient, own_patient.root.parent / "witness"
    (patient.site / "sitecustomize.py").write_text(f"open({str(witness)!r}, 'w')\n")
    (patient.base.site_packages / "sitecustomize.py").write_text(f"open({str(witness)!r}, 'w')\n")
    (patient.base.prefix / "etc/conda/activate.d/aa.sh").write_text(f": > {witness}\n")
    for name in ("json", "argparse", "difflib"):
        (patient.root / f"{name}.py").write_text(f"open({str(witness)!r}, 'w')\n")
    make(patient)
    patient.deactivate()
    for cwd in (patient.root, patient.root / "tests"):
        patient.ask(cwd=cwd)
        patient.ask("--fix", cwd=cwd)
        patient.home.run(["wtenv", "which", "pytest"], cwd)
        patient.home.run(["wtenv", "which", "pkg"], cwd)
    assert not witness.exists()
    patient.wtenv("allow")
    patient.ask()
    assert witness.exists(), "the witness is one"


def test_modules_of_the_folder_are_not_imported(patient: Patient) -> None:
    witness = patient.root.parent / "witness"
    for name in ("json", "argparse", "difflib", "pkgutil", "importlib", "sysconfig"):
        (patient.root / f"{name}.py").write_text(f"open({str(witness)!r}, 'w')\n")
    (patient.root / "pkg/__init__.py").write_text(f"open({str(witness)!r}, 'w')\n")
    assert patient.find() == {}
    patient.home.run(["wtenv", "which", "pkg.cli"], patient.root, check=True)
    assert not witness.exists()


def test_one_start_of_the_overlays_python(patient: Patient) -> None:
    sibling = patient.root.parent / "sibling"
    sibling.mkdir()
    project = (patient.root / "pyproject.toml").read_text()
    (sibling / "pyproject.toml").write_text(project.replace("pkg", "sib"))
    (sibling / "sib").mkdir()
    (sibling / "sib/__init__.py").write_text('"""A package."""\n')
    (sibling / "sib/cli.py").write_text("")
    (patient.root / "wtenv.toml").write_text(
        CONFIG.format(base=patient.base.name).replace('["."]', '[".", "../sibling"]')
    )
    for words in (["allow"], ["sync"]):
        patient.wtenv(*words)
    patient.activate()
    log = patient.root.parent / "starts"
    text = f"import os; print(os.getpid(), file=open({str(log)!r}, 'a'))\n"  # `site` runs it twice in one start
    noted(lambda patient: write(patient.site / "a.pth", text))(patient)
    code, facts = patient.ask()
    assert code == 0
    assert [item["finding"] for item in facts["findings"] if item["check"] == "editables"] == [
        "import gives the declared copies of pkg, sib"
    ]
    assert len(set(log.read_text().splitlines())) == 1


# --- anywhere -----------------------------------------------------------------------------------------


def test_outside(patient: Patient, tmp_path: Path) -> None:
    patient.deactivate()
    found = patient.find(cwd=tmp_path)
    assert set(found) == {"hook", "worktree"}
    assert all(state == "note" for findings in found.values() for state, _ in findings)


@pytest.mark.parametrize(
    ("line", "file"),
    [
        (". ~/.wtenv.sh", ".wtenv.sh"),
        ('[ -r "$HOME/.config/shell/rc" ] && source "$HOME/.config/shell/rc"', ".config/shell/rc"),
        ('. "${HOME}"/more.sh', "more.sh"),
        ('for file in ~/.bashrc.d/*.sh; do . "$file"; done', ".bashrc.d/tools.sh"),
        ("if [ -d ~/.rc ]; then\n  for each in $HOME/.rc/*; do\n    . $each\n  done\nfi", ".rc/10"),
        ("source {home}/absolute", "absolute"),
    ],
)
def test_hook_in_a_file_that_the_rc_file_reads(line: str, file: str, patient: Patient) -> None:
    home = patient.home.path
    (home / file).parent.mkdir(parents=True, exist_ok=True)
    (home / file).write_text(f"{HOOK_LINES['bash']}\n")
    patient.deactivate()
    write_rc(patient.home.environ, "bash", hook=False, after=f"# {line}".replace("\n", "\n# "))
    assert patient.find()["rc"][0][0] == "problem"
    write_rc(patient.home.environ, "bash", hook=False, after=line.replace("{home}", str(home)))
    assert "rc" not in patient.find()


def test_what_comes_after_the_hooks_line(patient: Patient) -> None:
    """Each of them puts its own folder before the overlay at the start of a shell."""
    for text, word in {
        'eval "$(pyenv init -)"': "pyenv init",
        'eval "$(mise activate bash)"': "mise activate",
        'eval "$(micromamba shell hook -s bash)"': "micromamba shell",
        'eval "$(conda shell.bash hook)"': "conda shell.",
        '# eval "$(pyenv init -)"': "",
    }.items():
        write_rc(patient.home.environ, "bash", after=text)
        told = [finding for _, finding in patient.find().get("rc", [])]
        assert told == ([f"in {patient.home.path}/.bashrc something comes after wtenv's line ({word})"] if word else [])
    write_rc(patient.home.environ, "bash", before='eval "$(pyenv init -)"')
    assert patient.find() == {}


def test_in_ci_no_rc_file_is_needed(patient: Patient) -> None:
    write_rc(patient.home.environ, "bash", hook=False)
    patient.deactivate()
    assert patient.ask()[0] == 1
    patient.env["CI"] = "true"
    assert [state for found in patient.find().values() for state, _ in found] == ["note", "note"]


def test_beside_a_bare_repository(patient: Patient) -> None:
    """`git clone --bare URL .bare`, and a `.git` file that leads to it: nothing is wrong there."""
    folder = patient.root.parent / "bare"
    folder.mkdir()
    patient.repo.git("clone", "--quiet", "--bare", patient.repo.root, folder / ".bare")
    (folder / ".git").write_text("gitdir: ./.bare\n")
    patient.deactivate()
    found = patient.find(cwd=folder)
    assert found["worktree"][0][0] == "note"
    assert patient.ask(cwd=folder)[0] == 0


def test_fixes_that_can_be_typed(patient: Patient) -> None:
    broken_link(patient)
    (found,) = (item for item in patient.ask()[1]["findings"] if item["check"] == "worktree")
    assert found["fix"] == "moved? run: git worktree repair"
    patient.repo.git("worktree", "repair", cwd=patient.root)
    assert patient.find() == {}
    open_files(patient)
    fixes = [item["fix"] for item in patient.ask()[1]["findings"] if item["check"] == "files"]
    assert fixes == ["run: wtenv doctor --fix"], "of several files"
    patient.wtenv("doctor", "--fix")
    patient.data.chmod(0o755)
    fixes = [item["fix"] for item in patient.ask()[1]["findings"] if item["check"] == "files"]
    patient.home.run(fixes[0].removeprefix("run: ").split(), patient.root, check=True)
    assert patient.find() == {}


def test_without_config(patient: Patient) -> None:
    root = make_git(patient.root.parent, patient.home, "plain")
    patient.deactivate()
    code, facts = patient.ask(cwd=root)
    assert code == 0
    (item,) = [item for item in facts["findings"] if item["check"] == "config"]
    assert (item["state"], "wtenv init" in item["fix"]) == ("note", True)


def test_a_worktree_inside_of_another_is_another_one(patient: Patient) -> None:
    inner = patient.root / ".worktrees/inner"
    patient.repo.git("worktree", "add", "--quiet", "-b", "inner", inner)
    patient.wtenv("sync", cwd=inner)
    assert patient.find() == {}
    assert list(patient.find(cwd=inner)) == ["hook"]
    noted(lambda patient: write(patient.site / "pkg.pth", f"{inner}\n"))(patient)
    ((state, said),) = patient.find()["editables"]
    assert (state, said) == ("problem", f"import pkg gives {inner}/pkg/__init__.py")
    assert f"> {inner}/pkg/__init__.py (other)" in patient.home.run(["wtenv", "which", "pkg"], patient.root).stdout


def test_names_that_a_terminal_would_act_on(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    root = make_git(tmp_path, home, "caf\udce9 \x1b[2J\n")
    make_fake_base(tmp_path, home)
    (root / "wtenv.toml").write_text(CONFIG.replace("{base}", "fake"))
    os.mkfifo(root / ".envrc")
    (root / ".vscode").symlink_to("/nonexistent")
    for options in ((), ("--json",)):
        done = run_doctor(home.environ, root, *options)
        assert "\x1b" not in done.stdout
    assert all(line.isprintable() for line in run_doctor(home.environ, root).stdout.splitlines())


def test_huge_and_hostile_settings(patient: Patient) -> None:
    place = patient.root / ".vscode/settings.json"
    place.parent.mkdir()
    for text in ("/*" * 300_000, '"\\' * 300_000, "\n" * 600_000, "{" * 300_000, ", " * 300_000):
        place.write_text(text)
        (patient.root / ".envrc").write_text(text)
        assert patient.find() == {}
    place.unlink()
    os.mkfifo(place)
    assert patient.find() == {}


def test_settings_of_vscode_that_are_right(patient: Patient) -> None:
    place = patient.root / ".vscode/settings.json"
    place.parent.mkdir()
    for value in ("${workspaceFolder}/.venv/bin/python", ".venv/bin/python3", "${env:HOME}/x", "./.venv"):
        place.write_text(json.dumps({"python.defaultInterpreterPath": value}))
        assert patient.find() == {}, value


def test_plain_envrc_gets_along(patient: Patient) -> None:
    (patient.root / ".envrc").write_text("export A=1\n# PATH_add bin\n")
    patient.env["DIRENV_DIR"] = f"-{patient.root}"
    assert patient.find() == {}
