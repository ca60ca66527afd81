"""What runs in the overlay's Python: order of the path, broken .pth files, the guard of pip, start-up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from overlay_projects import clean_env, install, make_overlay, make_project, run
from realbase import VERSION, Base
from workspace import Home

from wtenv.overlay import pth
from wtenv.overlay.refresh import refresh


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory, base: Base) -> tuple[Path, dict[str, str]]:
    """An overlay with one editable, and the environment in which it is active."""
    folder = tmp_path_factory.mktemp("bootstrap")
    home = Home.make(folder / "home", base.root.parent.parent)
    root = make_project(folder / "wt", "setuptools-flat", "worktree")
    make_overlay(root, base, home.environ, root)
    return root, clean_env(home.environ, root, base)


def call(root: Path, env: dict[str, str], *words: str | Path, name: str = "pip") -> subprocess.CompletedProcess[str]:
    command = [root / ".venv/bin" / name, *words]
    return subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, timeout=60)


SPELLINGS = [
    ["-e", "."],
    ["-e."],
    ["-e=."],
    ["--editable", "."],
    ["--editable=."],
    ["--edit", "."],
    ["--ed=."],
    ["-Ue", "."],
    ["-qUe."],
    ["-qqve", "."],
    [".", "-e", "."],
    ["--", "-e"],  # not an option: the name of a file, which pip refuses by itself
    ["-r", "requirements.txt"],
    ["-rrequirements.txt"],
    ["-r", "nested.txt"],
    ["--requirement=nested.txt"],
    ["--no-deps", "-e", "."],
    ["-e", "./with space"],
    ["-e", "git+https://example.invalid/x.git#egg=x"],
]


PROGRAMS = ("pip", "pip3", "pip3.11", "python -m pip", "python -mpip", "python -Im pip")


@pytest.mark.parametrize("program", PROGRAMS)
def test_editable_installs_are_refused(program: str, overlay: tuple[Path, dict[str, str]]) -> None:
    root, env = overlay
    (root / "requirements.txt").write_text("-e .\n")
    (root / "nested.txt").write_text("-r requirements.txt\n")
    name, *words = program.replace("3.11", VERSION).split()
    before = sorted(path for path in (root / ".venv").rglob("*") if "__pycache__" not in path.parts)
    # Each program has the one way to read its arguments: `pip` gets them all, the others share them out.
    for spelling in SPELLINGS if program == "pip" else SPELLINGS[PROGRAMS.index(program) % 3 :: 3]:
        done = call(root, env, *words, "install", *spelling, name=name)
        if spelling[0] == "--":
            assert done.returncode == 1
            continue
        assert done.returncode == 2, (spelling, done.stdout, done.stderr)
        assert done.stderr.startswith("wtenv: pip install -e is refused here"), spelling
        assert "[editables]\npackages = [" in done.stderr
        assert "wtenv sync" in done.stderr
    after = sorted(path for path in (root / ".venv").rglob("*") if "__pycache__" not in path.parts)
    assert before == after


def test_editable_from_pips_own_configuration(overlay: tuple[Path, dict[str, str]]) -> None:
    root, env = overlay
    assert call(root, {**env, "PIP_EDITABLE": "."}, "install").returncode == 2
    (root / "pip.conf").write_text("[install]\neditable = .\n")
    assert call(root, {**env, "PIP_CONFIG_FILE": str(root / "pip.conf")}, "install").returncode == 2
    assert call(root, env, "--no-color", "-v", "install", "-e", ".").returncode == 2


def test_pip_is_not_in_the_way_otherwise(overlay: tuple[Path, dict[str, str]]) -> None:
    root, env = overlay
    assert "Requirement already satisfied: numpy" in call(root, env, "install", "numpy").stdout
    assert call(root, env, "--version").returncode == 0
    assert call(root, env, "list").returncode == 0
    assert call(root, env, "install", "--help").returncode == 0
    script = root / "install.py"
    script.write_text("import sys; print(sys.argv[1:])")
    assert call(root, env, script, "install", "-e", ".", name="python").stdout == "['install', '-e', '.']\n"


def test_pips_isolated_builds_see_neither_base_nor_overlay(
    overlay: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    root, env = overlay
    project = make_project(tmp_path / "probe", "setup.py", "probe", name="probe")
    setup = (project / "setup.py").read_text()
    (project / "setup.py").write_text(
        "import importlib.util as u\nassert u.find_spec('numpy') is None, u.find_spec('numpy')\n" + setup
    )
    done = call(root, env, "install", "--dry-run", "--no-deps", project)
    assert done.returncode == 0, done.stdout + done.stderr


def test_order_of_the_path(overlay: tuple[Path, dict[str, str]], base: Base) -> None:
    root, env = overlay
    for flags in ((), ("-I",), ("-E",), ("-s",), ("-P",)):
        path = json.loads(
            run(root / ".venv/bin/python", *flags, "-c", "import json,sys; print(json.dumps(sys.path))", env=env)
        )
        own = next(index for index, entry in enumerate(path) if entry.startswith(str(root / ".venv/lib")))
        assert path.index(str(base.site_packages)) > own
        assert len(path) == len(set(path))
    path = run(root / ".venv/bin/python", "-S", "-c", "import sys; print(sys.path)", env=env)
    assert "site-packages" not in path
    extra = {**env, "PYTHONPATH": "/extra"}
    assert run(root / ".venv/bin/python", "-c", "import sys; print(sys.path[1])", env=extra) == "/extra"


def test_what_python_says_about_itself(overlay: tuple[Path, dict[str, str]], base: Base) -> None:
    root, env = overlay
    look = "import sys, sysconfig, site; print(sys.prefix, sys.base_prefix, sys.executable, site.ENABLE_USER_SITE)"
    assert run(root / ".venv/bin/python", "-c", look, env={**env, "PYTHONNOUSERSITE": ""}).split() == [
        str(root / ".venv"),
        str(base.prefix),
        str(root / ".venv/bin/python"),
        "False",
    ]
    look = "import sysconfig; print(sysconfig.get_path('include'))"
    assert run(root / ".venv/bin/python", "-c", look, env=env).startswith(str(base.prefix))


def test_the_bases_own_pth_files(tmp_path: Path, fresh_base: Base, home: Home) -> None:
    site = fresh_base.site_packages
    (tmp_path / "added").mkdir()
    (tmp_path / "first").mkdir()
    (site / "a_broken.pth").write_text("import nothing_of_that_name\n")
    (site / "b_bytes.pth").write_bytes(b"\xff\xfe\n")
    (site / "c_added.pth").write_text(f"# a comment\n\n{tmp_path / 'added'}\n{tmp_path / 'missing'}\n")
    (site / "d_first.pth").write_text(f"import sys; sys.path.insert(0, {str(tmp_path / 'first')!r})\n")
    (site / "e_namespace.pth").write_text(
        "import sys, types, os;p = os.path.join(sys._getframe(1).f_locals['sitedir'], *('nsp',));"
        "m = sys.modules.setdefault('nsp', types.ModuleType('nsp')); m.__path__ = [p]\n"
    )
    (site / "nsp").mkdir()
    (site / "nsp/inner.py").write_text("")
    root = make_project(tmp_path / "wt", "hatchling", "worktree")
    make_overlay(root, fresh_base, home.environ, root)
    env = clean_env(home.environ, root, fresh_base)
    look = "import json, sys, nsp.inner, pkg; print(json.dumps([sys.path, pkg.WHERE]))"
    path, where = json.loads(run(root / ".venv/bin/python", "-c", look, env=env))
    assert where == "worktree"
    path = [
        folder for folder in path if not folder.endswith("/dist-packages")
    ]  # which a base of Debian's Python has, too
    assert path[-3:] == [str(tmp_path / "first"), str(site), str(tmp_path / "added")]


def test_shared_easy_install_file(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "My_Pkg.egg-link").write_text("/somewhere/my pkg\n.")
    (site / "other-1.0-py3.11.egg").mkdir()
    skip = pth.find_skipped([str(site), "/nonexistent"], {"my-pkg", "other"})
    assert skip == {f"{site}/easy-install.pth": ("./other-1.0-py3.11.egg", "/somewhere/my pkg")}
    assert pth.find_skipped([str(site)], set()) == {}


def test_a_base_editable_without_its_overlay_wrapper_still_works(tmp_path: Path, fresh_base: Base, home: Home) -> None:
    install(fresh_base, home.environ, "-e", make_project(tmp_path / "theirs", "setuptools-flat", "base"))
    root = tmp_path / "wt"
    root.mkdir()
    make_overlay(root, fresh_base, home.environ)
    env = clean_env(home.environ, root, fresh_base)
    assert run(root / ".venv/bin/python", "-c", "import pkg; print(pkg.WHERE)", env=env) == "base"


def test_a_package_that_pip_put_into_the_overlay_wins_over_an_editable_of_the_base(
    tmp_path: Path, fresh_base: Base, home: Home
) -> None:
    install(
        fresh_base, home.environ, "-e", make_project(tmp_path / "theirs", "scikit-build-core", "base"), isolated=True
    )
    root = tmp_path / "wt"
    root.mkdir()
    make_overlay(root, fresh_base, home.environ)
    env = clean_env(home.environ, root, fresh_base)
    mine = make_project(tmp_path / "mine", "setuptools-flat", "mine", version="2")
    run(root / ".venv/bin/pip", "install", "-q", "--no-build-isolation", "--no-deps", mine, env=env)
    refresh(root / ".venv", home.environ)
    assert run(root / ".venv/bin/python", "-c", "import pkg; print(pkg.WHERE)", env=env) == "mine"


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.12", "3.13"])
def test_other_pythons_as_base(version: str, tmp_path: Path, home: Home) -> None:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path(os.environ.get("HOME", "/"), ".pyenv"))
    found = sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    if not found:
        pytest.skip(f"no Python {version} here")
    prefix = found[0].parent.parent
    other = Base("other", prefix, prefix)
    root = make_project(tmp_path / "wt", "uv_build", "worktree")
    make_overlay(root, other, home.environ, root)
    env = clean_env(home.environ, root, other)
    assert run(root / ".venv/bin/pkg-cli", env=env).startswith(str(root))
    assert version in run(root / ".venv/bin/python", "-VV", env=env)
    for flags in ((), ("-I",)):
        look = "import sys, pip, pkg; print(pip.__file__, pkg.__file__)"
        pip, pkg = run(root / ".venv/bin/python", *flags, "-c", look, env=env).split()
        assert (pip.startswith(str(prefix)), pkg.startswith(str(root))) == (True, True)
    for words in (["-m", "pip"], [str(root / ".venv/bin/pip")]):
        done = call(root, env, *words, "install", "-e", ".", name="python")
        assert (done.returncode, "refused" in done.stderr) == (2, True), done.stderr


def test_debians_python_as_base(tmp_path: Path, home: Home) -> None:
    if not Path("/usr/lib/python3/dist-packages").is_dir() or not Path("/usr/bin/python3").exists():
        pytest.skip("not a Debian")
    usr = Base("usr", Path("/usr"), Path("/usr"))
    root = make_project(tmp_path / "wt", "uv_build", "worktree")
    from wtenv.overlay.difference import Plan
    from wtenv.overlay.sync import sync

    sync(Plan(root, root / ".venv", usr.prefix, Path("/usr/bin/python3"), (root,)), home.environ, print)
    env = clean_env(home.environ, root, usr)
    assert run(root / ".venv/bin/pkg-cli", env=env).startswith(str(root))
    path = run(root / ".venv/bin/python", "-c", "import sys; print(sys.path)", env=env)
    assert "/usr/lib/python3/dist-packages" in path


@pytest.mark.parametrize("maker", ["conda's", "the system's"])
def test_a_virtual_environment_as_base(maker: str, tmp_path: Path, base: Base, home: Home) -> None:
    theirs = tmp_path / "their venv"
    python = base.python if maker == "conda's" else shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")
    assert python
    run(Path(python), "-m", "venv", "--without-pip", theirs, env=home.environ)
    (next((theirs / "lib").iterdir()) / "site-packages/theirs.py").write_text("")
    (theirs / "bin/tool").write_text(
        f"#!/bin/sh\n'''exec' \"{theirs}/bin/python\" \"$0\" \"$@\"\n' '''\nimport theirs\n"
    )
    (theirs / "bin/tool").chmod(0o755)
    root = make_project(tmp_path / "wt", "uv_build", "worktree")
    as_base = Base("venv", theirs, theirs)
    make_overlay(root, as_base, home.environ, root)
    env = clean_env(home.environ, root, as_base)
    run(root / ".venv/bin/tool", env=env)
    run(root / ".venv/bin/python", "-c", "import theirs, pkg", env=env)
    done = call(root, env, "-c", "import numpy", name="python")
    assert "ModuleNotFoundError" in done.stderr


def test_start_up(base: Base, home: Home, tmp_path: Path) -> None:
    """Little more than a venv that Python itself puts on the base: by the processor's time, best of many, alternating.

    Without editables: a finder of setuptools alone costs 15 ms at each start, in any environment.
    """
    (tmp_path / "wt").mkdir()
    make_overlay(tmp_path / "wt", base, home.environ)
    env = clean_env(home.environ, tmp_path / "wt", base)
    run(base.python, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "plain", env=env)
    best: dict[str, float] = {}
    for _ in range(25):
        for name, python in (("plain", tmp_path / "plain/bin/python"), ("ours", tmp_path / "wt/.venv/bin/python")):
            pid = os.posix_spawn(python, [str(python), "-I", "-c", "pass"], env)
            _, status, used = os.wait4(pid, 0)
            assert status == 0
            best[name] = min(best.get(name, 9.0), used.ru_utime + used.ru_stime)
    print({name: round(seconds * 1000, 2) for name, seconds in best.items()})
    assert best["ours"] < 1.35 * best["plain"]
