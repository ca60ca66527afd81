"""Extensions are built against the base's own headers and libraries, in the environment that being inside gives."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from overlay_projects import clean_env, run
from realbase import Base
from scenes import CONFIG, Scene, call, make_scene

SETUP = """\
import os, sys, sysconfig
import numpy
from setuptools import Extension, setup

base = os.environ["CONDA_PREFIX"]
assert base == {base!r}, base
assert numpy.get_include().startswith(base), numpy.get_include()
assert sysconfig.get_path("include").startswith(base), sysconfig.get_path("include")
assert os.environ["MODE"] == "from the config", os.environ["MODE"]
setup(
    name="native", version="1",
    ext_modules=[Extension("native", ["native.c"], include_dirs=[numpy.get_include()], libraries=["marker"])],
)
"""
SOURCE = """\
#include <Python.h>
#include <python_marker.h>  /* beside the base's Python.h alone */
#include <marker.h>         /* in the base's include */
#include <numpy/arrayobject.h>

static PyObject *answer(PyObject *self, PyObject *none) {
    import_array();
    return PyLong_FromLong(marker() + PYTHON_MARKER);
}
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, 0}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "native", 0, -1, methods};
PyMODINIT_FUNC PyInit_native(void) { return PyModule_Create(&module); }
"""
# What conda-forge's compiler packages set (their activate.d scripts), as far as it matters here.
COMPILERS = 'export CFLAGS="-I$CONDA_PREFIX/include" LDFLAGS="-L$CONDA_PREFIX/lib -Wl,-rpath,$CONDA_PREFIX/lib"\n'


@pytest.fixture
def scene(tmp_path: Path, fresh_base: Base) -> Scene:
    """A base with a library of its own, and headers that nothing else has."""
    compiler = shutil.which("cc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("no C compiler")
        pytest.skip("no C compiler")
    include, library = fresh_base.prefix / "include", fresh_base.prefix / "lib/libmarker.so"
    (include / "marker.h").write_text("int marker(void);\n")
    next(include.glob("python3*")).joinpath("python_marker.h").write_text("#define PYTHON_MARKER 2\n")
    (tmp_path / "marker.c").write_text("int marker(void) { return 40; }\n")
    command = [compiler, "-shared", "-fPIC", "-o", library, tmp_path / "marker.c"]
    subprocess.run(command, check=True)
    (fresh_base.prefix / "etc/conda/activate.d/compilers.sh").write_text(COMPILERS)
    return make_scene(tmp_path / "scene", fresh_base, CONFIG + '[env]\nMODE = "from the config"\n', sync=False)


def test_setuptools_with_numpy(scene: Scene) -> None:
    base, root = scene.base, scene.root
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools", "numpy"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    (root / "setup.py").write_text(SETUP.format(base=str(base.prefix)))
    (root / "native.c").write_text(SOURCE)
    done = call(scene.home, "sync", cwd=root, env={"MODE": "outside", "CONDA_PREFIX": "/elsewhere"})
    assert done.returncode == 0, done.stderr
    env = clean_env(scene.home.environ, root, base)
    look = "import native; print(native.answer(), native.__file__)"
    answer, place = run(root / ".venv/bin/python", "-c", look, env=env).split()
    assert (answer, place.startswith(str(root))) == ("42", True)
    # Code in setup.py: nothing that another worktree might reuse.
    assert not (scene.home.path / ".cache/wtenv/builds").exists()


def test_cmake_finds_what_the_base_has(scene: Scene) -> None:
    root = scene.root
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["scikit-build-core"]\nbuild-backend = "scikit_build_core.build"\n\n'
        '[project]\nname = "native"\nversion = "1"\n\n[tool.scikit-build]\nwheel.packages = ["native"]\n'
    )
    (root / "native").mkdir()
    (root / "native/__init__.py").write_text("")
    (root / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.15)\nproject(native LANGUAGES C)\n"
        "find_path(HEADER marker.h REQUIRED)\nfind_library(LIBRARY marker REQUIRED)\n"
        'file(WRITE ${CMAKE_BINARY_DIR}/found.txt "${HEADER} ${LIBRARY}")\n'
        "install(FILES ${CMAKE_BINARY_DIR}/found.txt DESTINATION native)\n"
    )
    done = call(scene.home, "sync", cwd=root)
    assert done.returncode == 0, done.stderr
    env = clean_env(scene.home.environ, root, scene.base)
    look = "import importlib.resources as r; print((r.files('native') / 'found.txt').read_text())"
    header, library = run(root / ".venv/bin/python", "-c", look, env=env).split()
    assert header == f"{scene.base.prefix}/include"
    assert library == f"{scene.base.prefix}/lib/libmarker.so"
