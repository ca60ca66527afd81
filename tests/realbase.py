"""A real conda environment for the tests, installed by rattler from packages made on the spot.

No conda channel is needed: Python is packed from the interpreter that runs the tests, the other
packages from what the Python package index has, and `envtools` from the texts below. What an
installer does then really happens: prefixes are replaced in text files, console scripts of noarch
packages are generated in conda's own form, `conda-meta/*.json` and `history` describe the result.

Packages and the shared environment are built once per machine and content, in `cache_folder()`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import rattler
import uv
from condapackage import PLACEHOLDER, Entry, Package
from filelock import FileLock
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DISTRIBUTIONS = ("pip", "setuptools", "wheel", "pytest", "numpy", "hatchling", "flit_core", "editables")
"""What the environment gets from the package index, each with what it requires."""

SHARED = "shared"
"""The name of the environment that tests share."""

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_LIB = f"lib/python{VERSION}"
_SITE = f"{_LIB}/site-packages"

# Parts of the standard library that conda's Python has too, but that no test needs.
_UNNEEDED = {
    "__pycache__", "EXTERNALLY-MANAGED", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data",
    "site-packages", "sitecustomize.py", "test", "tests", "tkinter", "turtledemo", "turtle.py",
}  # fmt: skip


@dataclass(frozen=True)
class Base:
    """One installed conda environment, `prefix`, which conda knows as `name`."""

    name: str
    prefix: Path
    root: Path

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.prefix / "bin"

    @property
    def python(self) -> Path:
        """Its interpreter, by the name that conda's activation puts first on PATH."""
        return self.bin / "python"

    @property
    def site_packages(self) -> Path:
        """Where its Python packages are."""
        return self.prefix / _SITE

    @property
    def history(self) -> Path:
        """The file that every conda transaction appends to."""
        return self.prefix / "conda-meta/history"

    def snapshot(self) -> dict[str, tuple[int, int, str]]:
        """Each file's mode, mtime and link target or size: equal before and after if nobody wrote here."""
        found = {}
        start = len(str(self.prefix)) + 1
        for path, state in walk(str(self.prefix)):
            size = 0 if stat.S_ISDIR(state.st_mode) else state.st_size
            detail = os.readlink(path) if stat.S_ISLNK(state.st_mode) else str(size)
            found[path[start:] or "."] = (state.st_mode, state.st_mtime_ns, detail)
        return found


def walk(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """A file or folder and everything below it that may be read, with what lstat(2) says; four times as quick as
    `Path.rglob`."""
    yield folder, os.lstat(folder)
    folders = [folder] if os.path.isdir(folder) else []
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except PermissionError:
            continue
        for entry in entries:
            yield entry.path, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)


@dataclass(frozen=True)
class Store:
    """The packages, and rattler's cache of them unpacked."""

    folder: Path

    def archives(self, names: Iterable[str] | None = None) -> list[Path]:
        """The archives of the named packages, or of all."""
        found = {path.name.rsplit("-", 2)[0]: path for path in sorted(self.folder.glob("channel/*/*.conda"))}
        return list(found.values()) if names is None else [found[name] for name in names]


@dataclass(frozen=True)
class Root:
    """A folder as a Miniforge installer leaves it, with room for named environments."""

    path: Path
    store: Store

    @property
    def envs(self) -> Path:
        """The folder to list as `envs_dirs`."""
        return self.path / "envs"

    def env(self, name: str = SHARED) -> Base:
        """The named environment, which need not exist."""
        return Base(name, self.envs / name, self.path)

    def install(self, name: str, packages: Iterable[str] | None = None, *, compiled: bool = True) -> Base:
        """Create an environment of the named packages (default: all), byte-compiled as conda does."""
        base = self.env(name)
        asyncio.run(_install(self.store.archives(packages), base.prefix, self.store.folder / "pkgs"))
        _write_history(base)
        if compiled and base.python.exists():
            command = [str(base.python), "-I", "-m", "compileall", "-q", "-j", "0", str(base.prefix / _LIB)]
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return base


def cache_folder() -> Path:
    """`$WTENV_TEST_CACHE`, else `wtenv-tests` in the user's cache folder."""
    if chosen := os.environ.get("WTENV_TEST_CACHE"):
        return Path(chosen).absolute()
    home = os.environ.get("HOME") or os.path.expanduser(f"~{_user()}")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path(home, ".cache"), "wtenv-tests").absolute()


def build_root(root: Path, cache: Path, name: str = SHARED) -> Root:
    """Make `root` a conda root with the environment `name`, which has every package."""
    made = _empty_root(root, open_store(cache))
    made.install(name)
    return made


def shared_base(cache: Path) -> Base:
    """The environment that all tests of this machine share; built if this is the first time."""
    store = open_store(cache)
    root = Root(store.folder / "miniforge3", store)
    base, done = root.env(), store.folder / "installed"
    with FileLock(store.folder / "lock"):
        if not done.exists():
            shutil.rmtree(root.path, ignore_errors=True)
            build_root(root.path, cache)
            done.touch()
    return base


def copy_base(base: Base, root: Path, name: str) -> Base:
    """A copy of `base` that may be changed in place, with its own prefix in it, below a new conda root.

    What is below `lib/` are hard links, as in conda's own environments (except `*.pth`): a test may add,
    remove and replace files there, but not write into them.
    """
    copy = _empty_root(root, Store(base.root.parent)).env(name)
    library = str(base.prefix / "lib")

    def place(source: str, target: str) -> None:
        try:
            if source.startswith(library) and not source.endswith(".pth"):
                os.link(source, target)
                return
        except OSError:  # another file system
            pass
        shutil.copy2(source, target)

    shutil.copytree(base.prefix, copy.prefix, symlinks=True, copy_function=place)
    for path in _texts_with_prefix(copy):
        data = path.read_bytes()
        if os.fsencode(base.prefix) in data:
            path.unlink()  # it may be a hard link
            path.write_bytes(data.replace(os.fsencode(base.prefix), os.fsencode(copy.prefix)))
            shutil.copystat(base.prefix / path.relative_to(copy.prefix), path)
    return copy


def open_store(cache: Path) -> Store:
    """The packages for this interpreter and this file's content; made if they are missing."""
    texts = [Path(__file__).read_bytes(), Path(__file__).with_name("condapackage.py").read_bytes()]
    identity = [sys.version, sys.base_prefix, platform.platform()]
    key = hashlib.sha256(b"\0".join([*texts, "\0".join(identity).encode()])).hexdigest()[:10]
    store = Store(cache / f"{VERSION}-{key}")
    store.folder.mkdir(parents=True, exist_ok=True)
    done = store.folder / "packed"
    with FileLock(store.folder / "lock.packages"):
        if not done.exists():
            channel = store.folder / "channel"
            shutil.rmtree(channel, ignore_errors=True)
            for package in [_python(), *_index_packages(store.folder / "site"), _envtools()]:
                package.write(channel)
            shutil.rmtree(store.folder / "site")
            done.touch()
    return store


# --- installing -----------------------------------------------------------------------------------


async def _install(archives: list[Path], prefix: Path, cache: Path) -> None:
    records = [await rattler.RepoDataRecord.from_package_archive(archive) for archive in archives]
    await rattler.install(records, prefix, cache_dir=cache, show_progress=False)


def _empty_root(path: Path, store: Store) -> Root:
    root = Root(path, store)
    (path / "conda-meta").mkdir(parents=True)
    (path / "condabin").mkdir()
    root.envs.mkdir()
    (path / "conda-meta/history").write_text("")
    return root


def _write_history(base: Base) -> None:
    records = sorted(path.stem for path in (base.prefix / "conda-meta").glob("*.json"))
    text = [
        f"==> {time.strftime('%Y-%m-%d %H:%M:%S')} <==",
        f"# cmd: {base.root}/bin/conda create -y -n {base.name}",
        "# conda version: 25.1.0",
        *(f"+local/{_subdir()}::{record}" for record in records),
        "# update specs: ['python']",
    ]
    base.history.write_text("\n".join(text) + "\n")


def _texts_with_prefix(base: Base) -> Iterator[Path]:
    """The files that an installer writes the prefix into."""
    yield from (path for path in base.bin.iterdir() if path.is_file() and not path.is_symlink())
    for folder in ("etc", "share", "conda-meta"):
        yield from (path for path in (base.prefix / folder).rglob("*") if path.is_file())
    yield from (base.prefix / _LIB).glob("_sysconfigdata*.py")


# --- what is packed -------------------------------------------------------------------------------


def _python() -> Package:
    """The interpreter that runs the tests, relocatable as conda's is."""
    original = Path(sys.base_prefix)
    binary = Path(sys.executable).resolve()
    libdir = Path(sysconfig.get_config_var("LIBDIR") or original / "lib")
    entries = [
        Entry(f"bin/python{VERSION}", content=_relocatable(binary.read_bytes(), libdir), executable=True),
        Entry("bin/python3", target=f"python{VERSION}"),
        Entry("bin/python", target=f"python{VERSION}"),
    ]
    library = libdir / (sysconfig.get_config_var("INSTSONAME") or "-")
    if library.is_file() and ".so" in library.name:
        entries.append(Entry(f"lib/{library.name}", source=library, executable=True))
    placeholder = None if sys.base_prefix in ("/usr", "/usr/local") else sys.base_prefix
    stdlib = Path(os.__file__).parent
    for path in _files(stdlib):
        inside = f"{_LIB}/{path.relative_to(stdlib)}"
        if path.name in ("site.py", "sysconfig.py"):
            entries.append(Entry(inside, content=_without_debian(path.read_text()).encode()))
        elif path.name.startswith("_sysconfigdata"):
            entries.append(Entry(inside, source=path, placeholder=placeholder))
        else:
            entries.append(Entry(inside, source=path))
    if '"dist-packages"' in (stdlib / "site.py").read_text():
        entries.append(Entry(f"{_LIB}/sitecustomize.py", content=_DEBIAN_SITE.encode()))
    headers = Path(sysconfig.get_path("include", vars={"installed_base": sys.base_prefix}))
    if headers.is_dir():
        entries += [
            Entry(f"include/python{VERSION}/{path.relative_to(headers)}", source=path) for path in _files(headers)
        ]
    return Package("python", platform.python_version(), _subdir(), entries)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _UNNEEDED or path.name.startswith(("config-", "_test", "_tkinter")):
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path


def _relocatable(program: bytes, libdir: Path) -> bytes:
    """The program, looking for its shared library beside itself instead of in `libdir`."""
    old, new = b"\0" + os.fsencode(libdir) + b"\0", b"\0$ORIGIN/../lib\0"
    return program.replace(old, new.ljust(len(old), b"\0")) if len(new) <= len(old) else program


def _without_debian(text: str) -> str:
    """`site` and `sysconfig` as CPython has them: Debian's read and write `dist-packages`."""
    return text.replace('"dist-packages"', '"site-packages"').replace(
        "prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'"
    )


def _index_packages(folder: Path) -> Iterator[Package]:
    """The distributions from the package index: noarch where they are pure Python, as on conda-forge."""
    if find_spec("pip"):  # it knows the machine's index and certificates also where pip.conf alone has them
        command = [sys.executable, "-m", "pip", "install", "--no-compile", "--disable-pip-version-check"]
    else:
        command = [uv.find_uv_bin(), "pip", "install", "--python", sys.executable]
    done = subprocess.run([*command, "--quiet", "--target", str(folder), *DISTRIBUTIONS], check=False)
    if done.returncode:
        raise SystemExit(f"can't fetch {', '.join(DISTRIBUTIONS)} from the package index (see above)")
    for found in metadata.distributions(path=[str(folder)]):
        yield _index_package(found, folder)


def _index_package(found: metadata.Distribution, folder: Path) -> Package:
    pure = "Root-Is-Purelib: true" in (found.read_text("WHEEL") or "")
    scripts = [f"{point.name} = {point.value}" for point in found.entry_points if point.group == "console_scripts"]
    site = "site-packages" if pure else _SITE
    entries = []
    for file in found.files or ():
        inside = str(file)
        if inside.startswith(("..", "bin/")) or "tests" in file.parts or "__pycache__" in file.parts:
            continue
        if file.name == "INSTALLER":
            entries.append(Entry(f"{site}/{inside}", content=b"conda"))
        elif file.name not in ("RECORD", "direct_url.json", "uv_cache.json"):
            entries.append(Entry(f"{site}/{inside}", source=folder / inside))
    if not pure:
        entries += [_script(point) for point in scripts]
    depends = {"python"}
    for requirement in map(Requirement, found.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            depends.add(canonicalize_name(requirement.name))
    return Package(
        canonicalize_name(found.name),
        found.version,
        "noarch" if pure else _subdir(),
        entries,
        sorted(depends),
        scripts if pure else None,
    )


def _script(entry_point: str) -> Entry:
    """A console script as conda-build writes it into a package that is not noarch."""
    name, module, function = entry_point.replace(":", "=").replace(" ", "").split("=")
    text = (
        f"#!{PLACEHOLDER}/bin/python{VERSION}\n# -*- coding: utf-8 -*-\nimport re\nimport sys\n\n"
        f"from {module} import {function}\n\nif __name__ == '__main__':\n"
        "    sys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])\n"
        f"    sys.exit({function}())\n"
    )
    return Entry(f"bin/{name}", content=text.encode(), executable=True, placeholder=PLACEHOLDER)


def _envtools() -> Package:
    """A package with everything that an activation has to take care of, and scripts of every form."""
    texts = {
        "etc/conda/activate.d/envtools.sh": ACTIVATE,
        "etc/conda/deactivate.d/envtools.sh": DEACTIVATE,
        "etc/conda/env_vars.d/envtools.json": '{"ENVTOOLS_MODE": "shared", "ENVTOOLS_NOTE": "its own $HOME, `kept`"}\n',
        "share/envtools/prefix.txt": f"{PLACEHOLDER}\n",
        "bin/envtools": '#!/bin/sh\necho "envtools of ${CONDA_PREFIX:-no environment}"\n',
        "bin/envtools-env": f"#!/usr/bin/env python\n{_WHERE}",
        "bin/envtools-isolated": f"#!{PLACEHOLDER}/bin/python -I\n{_WHERE}",
        "bin/envtools-prefix": f"#!{PLACEHOLDER}/bin/python\n{_WHERE}",
    }
    entries = [
        Entry(
            path,
            content=text.encode(),
            executable=path.startswith("bin/"),
            placeholder=PLACEHOLDER if PLACEHOLDER in text else None,
        )
        for path, text in texts.items()
    ]
    return Package("envtools", "1.0", _subdir(), entries)


ACTIVATE = """\
# Written in the manner of conda-forge's compilers and GDAL: set, prepend, keep the old value.
if [ -n "${ENVTOOLS_HOME+x}" ]; then
    export _CONDA_SET_ENVTOOLS_HOME="$ENVTOOLS_HOME"
fi
export ENVTOOLS_HOME="$CONDA_PREFIX/share/envtools"
export ENVTOOLS_PATH="$CONDA_PREFIX/lib/envtools${ENVTOOLS_PATH:+:$ENVTOOLS_PATH}"
"""

DEACTIVATE = """\
unset ENVTOOLS_HOME
if [ -n "${_CONDA_SET_ENVTOOLS_HOME+x}" ]; then
    export ENVTOOLS_HOME="$_CONDA_SET_ENVTOOLS_HOME"
    unset _CONDA_SET_ENVTOOLS_HOME
fi
case "$ENVTOOLS_PATH" in
    "$CONDA_PREFIX/lib/envtools:"*) export ENVTOOLS_PATH="${ENVTOOLS_PATH#*:}" ;;
    *) unset ENVTOOLS_PATH ;;
esac
"""

# Debian's `site` is also frozen into its interpreter, where nothing can be replaced.
_DEBIAN_SITE = """\
import site
import sys
import sysconfig

if sys.prefix == sys.base_prefix and sysconfig.get_path("purelib") not in sys.path:
    site.addsitedir(sysconfig.get_path("purelib"))
"""

_WHERE = "import sys\n\nprint(sys.prefix, *sys.argv[1:])\n"


def _subdir() -> str:
    machine = platform.machine()
    if sys.platform == "darwin":
        return f"osx-{'64' if machine == 'x86_64' else machine}"
    return f"linux-{'64' if machine == 'x86_64' else machine}"


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name
