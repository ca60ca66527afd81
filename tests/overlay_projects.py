"""Python packages in every build backend, bases that hold another copy of one, and overlays made on them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uv
from realbase import Base

from wtenv.overlay.difference import Plan
from wtenv.overlay.sync import Outcome, sync

# backend -> (requires, build-backend, settings, folder of the package)
BACKENDS: dict[str, tuple[str, str, str, str]] = {
    "setuptools-src": (
        "setuptools",
        "setuptools.build_meta",
        '[tool.setuptools.packages.find]\nwhere = ["src"]\n',
        "src",
    ),
    "setuptools-flat": ("setuptools", "setuptools.build_meta", '[tool.setuptools]\npackages = ["pkg"]\n', ""),
    "setup.py": ("setuptools", "", "", ""),
    "hatchling": ("hatchling", "hatchling.build", "", ""),
    "hatchling-exact": (
        "hatchling",
        "hatchling.build",
        "[tool.hatch.build.targets.wheel]\npackages = ['src/pkg']\n[tool.hatch.build]\ndev-mode-exact = true\n",
        "src",
    ),
    "flit": ("flit_core", "flit_core.buildapi", "", ""),
    "uv_build": ("uv_build", "uv_build", "", "src"),
    "scikit-build-core": (
        "scikit-build-core",
        "scikit_build_core.build",
        '[tool.scikit-build]\nwheel.packages = ["src/pkg"]\n',
        "src",
    ),
    "meson-python": ("meson-python", "mesonpy", "", ""),
}


def make_project(folder: Path, backend: str, where: str, *, name: str = "pkg", version: str = "1.0") -> Path:
    """Write a package with the modules `sub`, `cli` and `only_<where>`, whose WHERE is `where`."""
    requires, build, settings, source = BACKENDS[backend]
    settings = settings.replace("pkg", name)
    package = folder / source / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'"""A package."""\n\nWHERE = "{where}"\n__version__ = "{version}"\n')
    (package / "sub.py").write_text("")
    (package / f"only_{where}.py").write_text("")
    (package / "cli.py").write_text(f"import {name}\n\n\ndef main():\n    print({name}.__file__)\n")
    if backend == "setup.py":
        (folder / "setup.py").write_text(
            f"from setuptools import setup\nsetup(name='{name}', version='{version}', packages=['{name}'],\n"
            f"      entry_points={{'console_scripts': ['{name}-cli = {name}.cli:main']}})\n"
        )
        return folder
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{build}"\n\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\ndescription = "for tests"\n\n'
        f'[project.scripts]\n{name}-cli = "{name}.cli:main"\n\n{settings}'
    )
    if backend == "scikit-build-core":
        (folder / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.15)\nproject({name} LANGUAGES NONE)\n"
        )
    if backend == "meson-python":
        modules = ", ".join(f"'{name}/{path.name}'" for path in sorted(package.iterdir()))
        (folder / "meson.build").write_text(
            f"project('{name}', version: '{version}')\npy = import('python').find_installation(pure: true)\n"
            f"py.install_sources([{modules}], subdir: '{name}')\n"
        )
    return folder


def install(base: Base, environ: Mapping[str, str], *words: str | Path, isolated: bool = False) -> None:
    """`uv pip install WORDS` into a base, as its owner would."""
    options = [] if isolated else ["--no-build-isolation"]
    subprocess.run(
        [uv.find_uv_bin(), "pip", "install", "-q", "--no-deps", "--python", base.python, *options, *words],
        env=dict(environ),
        check=True,
    )


def easy_install(base: Base, project: Path) -> None:
    """What `setup.py develop` of old wrote: an egg-link, and a path in the file that all share."""
    info = project / "pkg.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: pkg\nVersion: 0.5\n")
    site = base.site_packages
    (site / "pkg.egg-link").write_text(f"{project}\n.")
    other = project.parent / "easy-other"
    other.mkdir()
    (other / "easy_other.py").write_text("")
    (site / "easy-install.pth").write_text(
        "import sys; sys.__plen = len(sys.path)\n"
        f"{project}\n{other}\n"
        "import sys; new=sys.path[sys.__plen:]; del sys.path[sys.__plen:]; p=getattr(sys,'__egginsert',0); "
        "sys.path[p:p]=new; sys.__egginsert = p+len(new)\n"
    )


def make_overlay(
    root: Path, base: Base, environ: Mapping[str, str], *editables: Path, said: list[str] | None = None, **plan: Any
) -> Outcome:
    """Sync `root/.venv` with the editables."""
    said = [] if said is None else said
    return sync(Plan(root, root / ".venv", base.prefix, base.python, tuple(editables), **plan), environ, said.append)


def run(program: Path, *words: str | Path, env: Mapping[str, str], cwd: Path = Path("/")) -> str:
    """What a program prints; failing fails the test and shows why."""
    done = subprocess.run([program, *words], env=dict(env), cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{program} {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def clean_env(environ: Mapping[str, str], root: Path, base: Base) -> dict[str, str]:
    """The environment of a shell in which the overlay is active."""
    path = f"{root / '.venv/bin'}:{base.bin}:{environ.get('PATH', os.defpath)}"
    return {**environ, "PATH": path, "VIRTUAL_ENV": str(root / ".venv"), "PYTHONNOUSERSITE": "1"}


def add_distribution(site: Path, name: str, files: Mapping[str, str], version: str = "0.5") -> None:
    """Put an installed distribution into a site folder: its files, and metadata that name them."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    texts = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}
    texts[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*texts, f"{info}/RECORD"))
    for path, text in texts.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)


def make_nspkg(package: str) -> str:
    """What setuptools of old wrote into `*-nspkg.pth` for a namespace package: it makes the module when Python starts."""
    return (
        "import sys, types, os;has_mfs = sys.version_info > (3, 5);"
        f"p = os.path.join(sys._getframe(1).f_locals['sitedir'], *('{package}',));"
        "importlib = has_mfs and __import__('importlib.util');has_mfs and __import__('importlib.machinery');"
        f"m = has_mfs and sys.modules.setdefault('{package}', importlib.util.module_from_spec("
        f"importlib.machinery.PathFinder.find_spec('{package}', [os.path.dirname(p)])));"
        f"m = m or sys.modules.setdefault('{package}', types.ModuleType('{package}'));"
        "mp = (m or []) and m.__dict__.setdefault('__path__',[]);(p not in mp) and mp.append(p)\n"
    )
