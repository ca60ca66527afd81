"""What an editable offers, read from what its build has written; what of the base is hidden by what the overlay has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from overlay_projects import add_distribution, make_overlay
from realbase import Base
from workspace import Home

from wtenv.distributions import Distribution, list_installed
from wtenv.overlay import pth
from wtenv.overlay.modules import find_modules, list_inner

MESON = "def init():\n    finder = Finder(\n        'it',\n        {'it', 'it_too'},\n        '/b',\n        ['/bin/ninja'],\n    )\n"
SKBUILD = (
    "KNOWN = frozenset({1})\n\n\ndef install(known, made, folders, packages):\n    return {'no.module': 'x'}\n\n\n"
    "install({'it': '@/src/it/__init__.py', 'it.sub': '@/src/it/sub.py'}, {'it.made': 'it/made.py'}, {'it': ['@']}, ['it'])\n"
)
LEGACY = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"

# name -> files of the project, files in site-packages ("@" is the project), the modules
OFFERS: dict[str, tuple[Mapping[str, str], Mapping[str, str], set[str]]] = {
    "a folder of its own": ({"src/it/__init__.py": "", "src/other.py": ""}, {"it.pth": "@/src\n"}, {"it", "other"}),
    "the project's folder": (
        {"it/__init__.py": "", "setup.py": "", "tests/__init__.py": "", "conftest.py": ""},
        {"it.pth": "@"},
        {"it"},
    ),
    "a namespace package": (
        {"src/ns/it/__init__.py": "", "src/ns/mod.py": "", "src/ns/deep/er/__init__.py": "", "src/ns/data/x.txt": ""},
        {"it.pth": "@/src\n"},
        {"ns.it", "ns.mod", "ns.deep.er"},
    ),
    "a namespace package, as of old": (
        {"src/ns/__init__.py": LEGACY, "src/ns/it/__init__.py": ""},
        {"it.pth": "@/src\n"},
        {"ns.it"},
    ),
    "one in the project's folder": (
        {"ns/it/__init__.py": "", "tests/a.py": "", "pyproject.toml": 'packages = ["ns/it"]\ntestpaths = ["tests"]\n'},
        {"it.pth": "@"},
        {"ns.it"},
    ),
    "one that gives the project its name": ({"it/part/__init__.py": ""}, {"it.pth": "@"}, {"it.part"}),
    "setuptools' finder": (
        {"ns/it/__init__.py": "", "it/__init__.py": "", "single.py": ""},
        {
            "__editable__.it.pth": "import __editable___it_finder; __editable___it_finder.install()",
            "__editable___it_finder.py": (
                "MAPPING: dict[str, str] = {'it': '@/it', 'ns.it': '@/ns/it', 'single': '@/single'}\n"
                "NAMESPACES: dict[str, list[str]] = {'ns': []}\n"
            ),
            "it-1.dist-info/top_level.txt": "it\nns\nsingle\n",
        },
        {"it", "ns.it", "single"},
    ),
    "setuptools' finder of a namespace package": (
        {"ns/it/__init__.py": "", "ns/mod.py": ""},
        {
            "__editable__.it.pth": "import __editable___it_finder; __editable___it_finder.install()",
            "__editable___it_finder.py": "MAPPING = {'ns': '@/ns'}\nNAMESPACES = {'ns': ['@/ns']}\n",
            "it-1.dist-info/top_level.txt": "ns\n",
        },
        {"ns.it", "ns.mod"},
    ),
    "hatchling's redirector": (
        {"src/it/__init__.py": ""},
        {
            "_editable_impl_it.pth": "import _editable_impl_it",
            "_editable_impl_it.py": "F.install()\nF.map_module('it', '@/src/it/__init__.py')\n",
        },
        {"it"},
    ),
    "scikit-build-core's redirector": (
        {"src/it/__init__.py": ""},
        {"_editable_skbc_it.pth": "import _editable_skbc_it\n", "_editable_skbc_it.py": SKBUILD},
        {"it"},
    ),
    "meson-python's loader": (
        {"it/__init__.py": ""},
        {"it-editable.pth": "import _it_loader; _it_loader.init()", "_it_loader.py": MESON},
        {"it", "it_too"},
    ),
    "what a build has put into the overlay": (
        {},
        {"it/_ext.cpython-311-x86_64-linux-gnu.so": "", "it/__init__.py": "", "alone.abi3.so": ""},
        {"it", "alone"},
    ),
    "nothing": ({"README": "", "scripts/run.py": ""}, {}, set()),
    "a finder that is no Python": ({}, {"it.pth": "import _it_loader", "_it_loader.py": "MAPPING = {"}, set()),
}


def write(folder: Path, files: Mapping[str, str], project: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("@", str(project)))


def make_installed(tmp_path: Path, name: str) -> Distribution:
    files, made, _ = OFFERS[name]
    project, site = tmp_path / "it", tmp_path / "site"
    project.mkdir()
    write(project, files, project)
    origin = '{"url": "file://@", "dir_info": {"editable": true}}'
    made = {**made, "it-1.dist-info/METADATA": "", "it-1.dist-info/direct_url.json": origin}
    write(site, {**made, "it-1.dist-info/RECORD": "".join(f"{path},,\n" for path in made)}, project)
    return list_installed([str(site)])["it"]


@pytest.mark.parametrize("name", OFFERS)
def test_what_an_editable_offers(name: str, tmp_path: Path) -> None:
    assert set(find_modules(make_installed(tmp_path, name))[0]) == OFFERS[name][2]


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("scikit-build-core's redirector", {"it", "it.sub", "it.made"}),
        ("what a build has put into the overlay", {"it._ext", "alone"}),
        ("a namespace package", set()),
    ],
)
def test_what_is_proved_besides(name: str, modules: set[str], tmp_path: Path) -> None:
    assert set(list_inner(make_installed(tmp_path, name))) == modules


def test_a_project_without_modules_is_said_to_be_unproved(base: Base, home: Home, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "it"\nversion = "1"\n[tool.setuptools]\npy-modules = []\n'
    )
    said: list[str] = []
    make_overlay(tmp_path, base, home.environ, tmp_path, said=said)
    assert "it: no module of it is known, so no import could be checked" in said


def test_what_of_the_base_is_hidden(tmp_path: Path) -> None:
    site = tmp_path / "site"
    add_distribution(
        site,
        "it",
        {
            "it/__init__.py": "",
            "it/sub/__init__.py": "",
            "it_single.py": "",
            "shared/__init__.py": "",
            "shared/mine/__init__.py": "",
            "ns/it/__init__.py": "",
            "ns/deep/it.py": "",
            "../../../bin/it": "",
        },
    )
    add_distribution(site, "other", {"shared/theirs.py": "", "ns/other/__init__.py": "", "ns/deep/other.py": ""})
    (site / "it/__pycache__").mkdir()
    (site / "old-1-py3.11.egg-info").mkdir()
    (site / "old-1-py3.11.egg-info/top_level.txt").write_text("old\n_old\n")
    (site / "spaced-1-py3.11.egg-info").mkdir()
    (site / "spaced-1-py3.11.egg-info/top_level.txt").write_text("ns\n")
    (site / "spaced-1-py3.11.egg-info/namespace_packages.txt").write_text("ns\n")
    assert pth.find_hidden([str(site)], {"it", "old", "spaced", "absent"}) == {
        str(site): {"it": False, "it_single": False, "shared": True, "old": False, "_old": False},
        f"{site}/shared": {"mine": False},
        f"{site}/ns": {"it": False},
        f"{site}/ns/deep": {"it": False},
    }
    assert pth.find_hidden([str(site), "/nonexistent"], set()) == {}
