"""`wtenv which`: candidates in order, each with its layer; why the first wins, and what it hides."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from overlay_projects import easy_install, install, make_project
from realbase import Base, copy_base
from scenes import CONFIG, Scene, make_git, make_scene, one_line

from wtenv.insight.origins import Layers, find_commands, find_interpreter
from wtenv.overlay import manifest as manifests
from wtenv.overlay.refresh import with_inventory

ACTIVATION = '\n[activation]\npath = ["scripts"]\n'


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    made = make_scene(tmp_path_factory.mktemp("which"), base, CONFIG + ACTIVATION)
    (made.feature / "scripts").mkdir()
    write_program(made.feature / "scripts/where-data")
    return made


def write_program(place: Path, text: str = "#!/bin/sh\n") -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(0o755)
    return place


def inside(scene: Scene, worktree: Path) -> dict[str, str]:
    changes = json.loads(scene("export", "json", cwd=worktree, check=True).stdout)
    return {name: value for name, value in {**scene.home.environ, **changes}.items() if value is not None}


def ask(scene: Scene, name: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the form for programs says; the one for people says the same."""
    words = {"cwd": cwd or scene.feature, "env": env, "check": True}
    facts: dict[str, Any] = json.loads(scene("which", "--json", name, **words).stdout)  # type: ignore[arg-type]
    told = scene("which", name, **words)  # type: ignore[arg-type]
    assert told.stderr == ""
    winners = [line for line in told.stdout.splitlines() if line.startswith("> ")]
    for item in [*facts["commands"][:1], *facts["modules"]]:
        file = item.get("path") or item["file"]
        assert f"> {file} ({item['layer']})" in winners
    assert facts["note"] in told.stdout
    return facts


def commands(facts: dict[str, Any]) -> list[tuple[str, str, str]]:
    assert [item["wins"] for item in facts["commands"]] == [not index for index in range(len(facts["commands"]))]
    return [(item["layer"], item["path"], item["python"]) for item in facts["commands"]]


# --- commands -----------------------------------------------------------------------------------------


def test_a_wrapper_and_what_it_runs(scene: Scene, base: Base) -> None:
    facts = ask(scene, "pytest")
    venv = scene.feature / ".venv"
    assert commands(facts)[:2] == [
        ("wrapper", f"{venv}/bin/pytest", f"{venv}/bin/python"),
        ("base", f"{base.bin}/pytest", os.path.realpath(base.python)),
    ]
    assert facts["commands"][0]["origin"] == f"runs {base.bin}/pytest on {venv}/bin/python"
    assert [item["name"] for item in facts["modules"]] == ["pytest"], "both a command and a module"


@pytest.mark.parametrize("name", ["envtools-env", "envtools-isolated", "envtools-prefix"])
def test_every_form_of_a_first_line(name: str, scene: Scene, base: Base) -> None:
    found = commands(ask(scene, name))
    assert [layer for layer, _, _ in found] == ["wrapper", "base"]
    assert found[0][2] == f"{scene.feature}/.venv/bin/python"
    # env looks it up, and so the base's script would run on the overlay's Python, too
    assert os.path.dirname(found[1][2]) in (f"{scene.feature}/.venv/bin", str(base.bin))


def test_other_layers(scene: Scene, base: Base, tmp_path: Path) -> None:
    venv = f"{scene.feature}/.venv"
    assert commands(ask(scene, "pkg-cli")) == [("overlay", f"{venv}/bin/pkg-cli", f"{venv}/bin/python")]
    assert commands(ask(scene, "envtools")) == [("base", f"{base.bin}/envtools", "")]
    assert commands(ask(scene, "where-data"))[0] == (
        "activation.path",
        f"{scene.feature}/scripts/where-data",
        "",
    )
    assert commands(ask(scene, "git"))[0][0] == "system"
    assert [layer for layer, _, _ in commands(ask(scene, "wtenv"))] == ["other"]
    found = commands(ask(scene, "python"))
    assert found[:2] == [
        ("overlay", f"{venv}/bin/python", f"{venv}/bin/python"),
        ("base", f"{base.bin}/python", f"{base.bin}/python"),
    ]


def test_what_stands_before_in_this_shell(scene: Scene, base: Base, tmp_path: Path) -> None:
    shim = write_program(tmp_path / ".pyenv/shims/python")
    other = write_program(tmp_path / "venv/bin/python")
    (tmp_path / "venv/pyvenv.cfg").write_text("")
    conda = write_program(tmp_path / "envs/other/bin/python")
    (tmp_path / "envs/other/conda-meta").mkdir()
    env = inside(scene, scene.feature)
    path = ":".join(str(each.parent) for each in (shim, other, conda))
    facts = ask(scene, "python", env={**env, "PATH": f"{path}:{env['PATH']}"})
    assert facts["active"] and facts["note"] == ""
    assert [item["layer"] for item in facts["commands"]][:5] == ["shims", "venv", "conda", "overlay", "base"]
    assert facts["commands"][0]["origin"].startswith("pyenv's shims")
    # Where it is not active, the activation would be put before all of these.
    plain = {**scene.home.environ, "PATH": f"{path}:{scene.home.environ['PATH']}"}
    facts = ask(scene, "python", env=plain)
    assert [item["layer"] for item in facts["commands"]][:5] == ["overlay", "base", "shims", "venv", "conda"]
    assert facts["note"] == "not active in this shell; this is what the activation gives"


def test_a_path_and_an_empty_entry(scene: Scene) -> None:
    place = write_program(scene.feature / "scripts/where-data")
    assert commands(ask(scene, "scripts/where-data"))[0][:2] == ("activation.path", str(place))
    env = inside(scene, scene.feature)
    facts = ask(scene, "where-data", cwd=place.parent, env={**env, "PATH": f":{env['PATH']}"})
    assert len(facts["commands"]) == 1, "the same file once"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("#!/usr/bin/python3\n", "/usr/bin/python3"),
        ("#!/usr/bin/python3.11 -I\n", "/usr/bin/python3.11"),
        ("#!/usr/bin/env python3\n", "{on_path}"),
        ("#!/usr/bin/env -S python3 -u\n", "{on_path}"),
        ("#!/usr/bin/env ruby\n", ""),
        ("#!/bin/sh\n'''exec' \"/long prefix/bin/python\" \"$0\" \"$@\"\n' '''\n", "/long prefix/bin/python"),
        (
            "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python3' \"$0\" \"$@\"\n' '''\n",
            "{folder}/python3",
        ),
        ("#!/bin/sh\necho python\n", ""),
        ("#!python\n", ""),
        ("#!\n", ""),
        ("no script\n", ""),
        ("", ""),
        ("\x7fELF\n", ""),
    ],
)
def test_interpreters(text: str, wanted: str, tmp_path: Path) -> None:
    on_path = write_program(tmp_path / "bin/python3")
    script = write_program(tmp_path / "script", text)
    assert find_interpreter(str(script), f"/nonexistent:{on_path.parent}") == wanted.format(
        on_path=on_path, folder=tmp_path
    )


def test_what_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain").write_text("")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "fifo").chmod(0o755)
    (tmp_path / "dangling").symlink_to("/nonexistent")
    for name in ("folder", "plain", "fifo", "dangling", "missing", "a\0b"):
        assert find_commands(name, str(tmp_path), Layers(), "/") == []


# --- modules and distributions ------------------------------------------------------------------------


def test_modules(scene: Scene, base: Base) -> None:
    table = {
        "pkg": (f"{scene.feature}/pkg/__init__.py", "editable", "pkg", "1.0"),
        "pkg.cli": (f"{scene.feature}/pkg/cli.py", "editable", "pkg", "1.0"),
        "pytest": (f"{base.site_packages}/pytest/__init__.py", "base", "pytest", None),
        "_pytest.main": (f"{base.site_packages}/_pytest/main.py", "base", None, None),
        "flit_core": (f"{base.site_packages}/flit_core/__init__.py", "base", "flit-core", None),
        "json.decoder": (None, "library", "", ""),
        "sys": ("built-in", "library", "", ""),
        "os": (None, "library", "", ""),
    }
    for name, (file, layer, distribution, version) in table.items():
        (found,) = ask(scene, name)["modules"]
        assert (found["name"], found["layer"]) == (name, layer)
        assert file is None or found["file"] == file
        assert distribution is None or found["distribution"] == distribution, name
        assert version is None or found["version"] == version
        assert found["why"]


def test_distribution_with_other_modules(scene: Scene) -> None:
    facts = ask(scene, "Flit.Core")
    assert [item["name"] for item in facts["distributions"]] == ["flit-core"]
    assert facts["distributions"][0]["layer"] == "base"
    told = scene("which", "Flit.Core", cwd=scene.feature, check=True).stdout
    assert "distribution flit-core\n> " in told or "module flit_core" in told


def test_pythonpath_and_this_folder(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg/__init__.py").write_text("")
    env = {**inside(scene, scene.feature), "PYTHONPATH": str(tmp_path)}
    (found,) = ask(scene, "pkg", env=env)["modules"]
    assert (found["file"], found["layer"]) == (f"{tmp_path}/pkg/__init__.py", "PYTHONPATH")
    assert {"file": f"{scene.feature}/pkg/__init__.py", "layer": "editable"} in found["shadows"]
    # A folder above is not where it comes from.
    (found,) = ask(scene, "pkg", env={**env, "PYTHONPATH": str(scene.feature.parent)})["modules"]
    assert (found["file"], found["layer"]) == (f"{scene.feature}/pkg/__init__.py", "editable")


@pytest.mark.parametrize(
    ("name", "files", "here"),
    [
        ("pkg", ["pkg/__init__.py"], "pkg/__init__.py"),
        ("pkg", ["pkg.py"], "pkg.py"),
        ("pkg.cli", ["pkg/cli.py"], ""),
        ("pkg.cli", ["pkg/__init__.py", "pkg/cli.py"], "pkg/cli.py"),
        ("pkg.cli", ["pkg/__init__.py"], "pkg/__init__.py"),
        ("random", ["random.py"], "random.py"),
        ("json.decoder", ["json/__init__.py"], "json/__init__.py"),
        ("os", ["os.py"], ""),
        ("sys", ["sys.py"], ""),
        ("zipimport", ["zipimport.py"], ""),
    ],
)
def test_what_python_finds_first_in_this_folder(
    name: str, files: list[str], here: str, scene: Scene, tmp_path: Path
) -> None:
    below = scene.feature / "below"
    for file in files:
        (below / file).parent.mkdir(parents=True, exist_ok=True)
        (below / file).write_text("")
    try:
        (found,) = ask(scene, name, cwd=below)["modules"]
        assert found["here"] == (f"{below}/{here}" if here else "")
        code = f"import {name.partition('.')[0]} as it; print(getattr(it, '__file__', ''))"
        python = [scene.feature / ".venv/bin/python", "-c", code]
        wins = scene.home.run(python, below, check=True).stdout.startswith(str(below))
        assert wins == bool(here), "as Python itself has it"
    finally:
        shutil.rmtree(below)


@pytest.mark.parametrize("kind", ["normal", "editable", "easy-install"])
def test_what_the_base_has_is_hidden(kind: str, base: Base, tmp_path: Path) -> None:
    own = copy_base(base, tmp_path / "miniforge3", "own")
    other = make_project(tmp_path / "other", "setuptools-flat", "base", version="0.5")
    scene = make_scene(tmp_path, own, sync=False)
    if kind == "easy-install":
        easy_install(own, other)
    else:
        install(own, scene.home.environ, *(["-e"] if kind == "editable" else []), other)
    scene("sync", cwd=scene.feature, check=True)
    facts = ask(scene, "pkg")
    (found,) = facts["modules"]
    assert (found["file"], found["layer"]) == (f"{scene.feature}/pkg/__init__.py", "editable")
    hidden = f"{own.site_packages}/pkg/__init__.py" if kind == "normal" else str(other)
    assert [(item["file"], item["layer"]) for item in found["shadows"]] == [(hidden, "base")]
    if kind != "easy-install":
        assert [(item["version"], item["layer"], item["wins"]) for item in facts["distributions"]] == [
            ("1.0", "editable", True),
            ("0.5", "base", False),
        ]


def test_namespace_packages(base: Base, tmp_path: Path) -> None:
    own = copy_base(base, tmp_path / "miniforge3", "own")
    for name in ("one", "two/deep"):
        (own.site_packages / "acme" / name).mkdir(parents=True)
    (own.site_packages / "acme/two/deep/leaf.py").write_text("")
    scene = make_scene(tmp_path, own)
    for name, file in {"acme": "acme", "acme.two": "acme/two", "acme.two.deep.leaf": "acme/two/deep/leaf.py"}.items():
        (found,) = ask(scene, name)["modules"]
        assert (found["file"], found["layer"]) == (f"{own.site_packages}/{file}", "base")


# --- where there is no answer -------------------------------------------------------------------------


def test_unknown(scene: Scene) -> None:
    said = one_line(scene("which", "pytset", cwd=scene.feature), 1)
    assert said.startswith("pytset is no command, module or distribution")
    assert "did you mean pytest" in said
    place = scene.feature / "scripts/forgotten"
    place.write_text("")
    said = one_line(scene("which", "forgotten", cwd=scene.feature, env=inside(scene, scene.feature)), 1)
    assert said.endswith(f"; if that is what you mean, run: chmod +x {place}")
    assert one_line(scene("which", "cd", cwd=scene.feature), 1).endswith("a function of your shell, run: type cd")
    for name in ("pkg.nothing", "no such", "x\x1b[2J\ny", "..", "a..b", ".", "ca\udcf1"):
        assert "\x1b" not in one_line(scene("which", name, cwd=scene.feature), 1)
    assert one_line(scene("which", "", cwd=scene.feature)) == "NAME is empty; see: wtenv which --help"


def test_where_nothing_should_be_active(scene: Scene, tmp_path: Path) -> None:
    root = make_git(tmp_path, scene.home)
    env = inside(scene, scene.feature)
    for cwd in (tmp_path, root):
        for each in (env, scene.home.environ):
            facts = ask(scene, "git", cwd=cwd, env=each)
            assert (facts["active"], facts["modules"]) == (False, [])
            assert facts["note"].startswith("nothing should be active here: ")
    assert "is no command (nothing should be" in one_line(scene("which", "pkg", cwd=tmp_path), 1)


def test_another_worktree_is_active(scene: Scene) -> None:
    facts = ask(scene, "pkg", cwd=scene.feature, env=inside(scene, scene.root))
    assert facts["modules"][0]["file"] == f"{scene.feature}/pkg/__init__.py"
    assert not facts["active"]


def test_python_that_does_not_answer(base: Base, tmp_path: Path) -> None:
    scene = make_scene(tmp_path, base)
    (site,) = (scene.feature / ".venv/lib").glob("python*/site-packages")
    (site / "a.pth").write_text("import os; os._exit(3)\n")  # Debian's Python has a sitecustomize of its own
    venv = scene.feature / ".venv"
    found = manifests.read_manifest(venv)
    assert found
    manifests.write_manifest(with_inventory(venv, found), venv)  # else it is not as wtenv made it, and not used
    facts = ask(scene, "pytest")
    assert facts["commands"][0]["layer"] == "wrapper"
    assert "does not answer; run: wtenv doctor" in facts["note"]
