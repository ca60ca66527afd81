"""What a build that runs code may depend on, and what it leaves beside the sources.

Nobody can tell what code reads. So all of the worktree counts that git tracks or does not ignore; the commit and the
tags, since versions are told from them; the base; the settings of backends; the compilers; and of the environment what
builds ask for by habit, and each variable that the project's build files name. What else a machine may change under a
build (a library of the system, the index from which an isolated build takes its tools) does not make an overlay stale
that is there, and so does not make a kept build so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from .. import __version__, files
from ..digest import sha256
from ..errors import WtenvError
from ..toml import get_table
from . import pth, tree
from .building import ISOLATED
from .manifest import BUILD_FILES, Manifest
from .project import Project
from .tree import Tree

# By these, compilers and backends are told what to do. GIT_DIR and the like: by a hook of git.
_ASKED = re.compile(
    r"(CC|CXX|CPP|LD|AR|FC|F77|F90|NVCC|CUDACXX|CI|DEBUG|LANG|LC_ALL|TZ)$|\w*FLAGS$|ARCH|MACOSX_|CMAKE|SKBUILD|MESON"
    r"|PKG_CONFIG|CARGO|RUST|MATURIN|CYTHON|CPATH|C_INCLUDE|CPLUS_|LIBRARY_PATH|LD_|DYLD_|NPY_|TORCH_|CUDA_|PDM_|POETRY_"
    r"|VERSIONEER|VERSIONINGIT|VCS_VERSIONING|DUNAMAI|PBR_|PYO3|CFFI|NO_|DISABLE_|ENABLE_|USE_|BUILD_|WITH_|WITHOUT_|FORCE_|GIT_|SETUPTOOLS_|DIST|HATCH_|FLIT_"
    r"|SOURCE_DATE_EPOCH|UV_(?!SYSTEM_CERTS|NATIVE_TLS)"
)
# They are another worktree's there, or say nothing to a build. PATH: see `_TOOLS`.
_PASSED = {"PATH", "PWD", "OLDPWD", "SHLVL", "_", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT"}
_TOOLS = ("cc", "c++", "gcc", "g++", "clang", "clang++", "ld", "ccache", "cmake", "ninja", "meson", "cython", "swig",
          "cargo", "rustc", "gfortran", "nvcc", "git", "hg", "node", "protoc")  # fmt: skip
_COMPILED = (".so", ".dylib", ".pyd")
_PRODUCTS = (".py", ".pyi", *_COMPILED)
_BETWEEN = (".c", ".cc", ".cpp", ".h", ".hpp", ".o", ".obj", ".a", ".d", ".pyc", ".log", ".tmp", ".lock", ".swp")
_SOURCES = (".py", ".pyi", ".pyx", ".pxd", ".cfg", ".toml", ".ini", ".in", ".txt", ".cmake", ".build")
# What a build file names that is hidden, or above: of the worktree these don't count, see `tree.is_made`.
_HIDDEN = re.compile(r"(?<![\w./-])(?:(?:\.\./)+[\w./-]+|\.\w[\w./-]*)")
# Files and tables of pyproject.toml that are other programs'.
_NO_CODE = {"noxfile.py", "conftest.py", "tasks.py", "dodo.py"}
_OTHERS = {"coverage", "ruff", "pylint", "pytest", "mypy", "pyright", "tox", "nox", "black", "isort", "towncrier", "uv",
           "codespell", "typos", "semantic_release", "bumpversion", "commitizen", "cibuildwheel"}  # fmt: skip
MAX_IGNORED, MAX_PRODUCT, MAX_BUILD_TEXT = 20_000, 1 << 25, 1 << 20


def identify(
    project: Project,
    root: Path,
    content: Tree,
    manifest: Manifest,
    built_with: tuple[str, ...],
    env: Mapping[str, str],
    products: Collection[Path] = (),
) -> str:
    """The key of what building `project`, of the worktree `root` with `content`, with `built_with` in the environment
    `env` would give. products: what such builds have just put there. ValueError or OSError, or WtenvError, if that
    can't be told."""
    text = _read_texts(project, _list_texts(project))
    words = set(re.findall(r"\w\w+", text))
    named = {name: env[name] for name in env if name not in _PASSED and (name in words or _ASKED.match(name))}
    facts = (
        *(__version__, manifest.base, manifest.python_version, manifest.interpreter_id, built_with),
        "" if built_with == ISOLATED else pth.identify_base(manifest.base_site),
        *(os.path.relpath(project.path, root), content.head, content.branch if _asks_branch(project) else ""),
        *(sorted(named.items()), list(_list_tools(env.get("PATH", ""), Path(manifest.venv)))),
        sorted(content.tracked.items()),
        [
            (path, tree.read_loose(root, path))
            for path in (*_list_inputs(root, content, manifest, text), *_list_hidden(project, root, content, text))
            if root / path not in products
        ],
        [(path, tree.follow_link(root, path)) for path in sorted(content.tracked) if _is_link(content.tracked[path])],
    )
    return sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _list_texts(project: Project) -> list[str]:
    """The files, from the project's own folder, that say how it is built. Code, where there is some that runs, may
    import what lies beside it."""
    folders = get_table(project.data, "build-system").get("backend-path", [])
    folders = [folder for folder in folders if isinstance(folder, str)] if isinstance(folders, list) else []
    if any((project.path / name).exists() for name in ("setup.py", "hatch_build.py")):
        folders.append("")
    names = {*BUILD_FILES, "MANIFEST.in"}
    for folder in folders:
        found = (name for name in os.listdir(project.path / folder) if name.endswith(".py") and name not in _NO_CODE)
        names.update(os.path.join(folder, name) for name in found)
    return sorted(names)


def _read_texts(project: Project, names: Iterable[str]) -> str:
    texts = []
    for name in names:
        try:
            texts.append(files.read_bytes(project.path / name, MAX_BUILD_TEXT).decode("utf-8", "replace"))
        except FileNotFoundError:
            continue
        except WtenvError as error:
            raise ValueError(str(error)) from None
    return "\n".join(texts)


def _asks_branch(project: Project) -> bool:
    """Whether the version may depend on the branch, which no two worktrees share: the build files speak of one, and not
    as coverage does."""
    tables = {name: value for name, value in get_table(project.data, "tool").items() if name not in _OTHERS}
    text = _read_texts(project, (name for name in _list_texts(project) if name != "pyproject.toml"))
    return "branch" in repr((tables, project.data.get("build-system"))) + re.sub(r"(?mi)^\s*branch *= *\w+$", "", text)


def _list_tools(path: str, venv: Path) -> Iterator[tuple[str, int, int]]:
    """The programs on PATH that builds call, less those in the overlay: their places, sizes and times."""
    folders = [entry for entry in path.split(":") if entry and not Path(entry).is_relative_to(venv)]
    for name in _TOOLS:
        place = next((f"{folder}/{name}" for folder in folders if os.access(f"{folder}/{name}", os.X_OK)), "")
        if place:
            info = os.stat(place)
            yield os.path.realpath(place), info.st_size, info.st_mtime_ns


def _list_inputs(root: Path, content: Tree, manifest: Manifest, text: str) -> list[str]:
    """The files that git does not track and that a build may read. Of those that git ignores, sources; but none that
    the build files name, which the build writes."""
    ignored = (path for path in tree.walk_ignored(root, content.ignored, MAX_IGNORED) if _is_source(path, text))
    return sorted(path for path in (*content.loose, *ignored) if _may_count(root, path, manifest))


def _list_hidden(project: Project, root: Path, content: Tree, text: str) -> list[str]:
    """The files that the build files name, and that count neither as tracked nor as a source, for their place: hidden
    ones, and those above the worktree. From its root."""
    found = set()
    for name in _HIDDEN.findall(text):
        for folder in (project.path, root):
            path = os.path.relpath(folder / name, root)
            if os.path.isfile(folder / name) and path not in content.tracked and path != ".git":
                found.add(path)
    return sorted(found)


def _is_link(described: str) -> bool:
    return described.startswith("120000 ")


def _is_source(path: str, text: str) -> bool:
    name = os.path.basename(path)
    return (name.endswith(_SOURCES) or "." not in name) and name not in text


def _may_count(root: Path, path: str, manifest: Manifest) -> bool:
    parts = path.split("/")
    is_made = any(tree.is_made(part) or part in ("build", "dist") for part in parts[:-1])
    is_ours = path in ("wtenv.toml", "wtenv.lock") or f"{root}/{path}".startswith(f"{manifest.venv}/")
    return not is_made and not tree.is_made(parts[-1]) and not is_ours


def list_products(
    project: Project, root: Path, content: Tree, manifest: Manifest, since: int, places: Collection[Path] = ()
) -> Iterator[str]:
    """The files, from the project's folder, that its build has put beside the sources: ignored by git, and changed
    `since`, or named by the build files. places: of all projects that were built then; what lies in another one's is
    that one's. ValueError for what may be one, and can't be told to be whole."""
    text, inside = _read_texts(project, _list_texts(project)), os.path.relpath(project.path, root)
    prefix = "" if inside == "." else f"{inside}/"
    others = [place for place in places if not project.path.is_relative_to(place)]
    for path in tree.walk_ignored(root, content.ignored, MAX_IGNORED):
        if not _may_count(root, path, manifest) or path.endswith(_BETWEEN):
            continue
        if any((root / path).is_relative_to(place) for place in others):
            continue
        info = os.lstat(root / path)
        is_new, is_own = max(info.st_mtime_ns, info.st_ctime_ns) >= since, path.startswith(prefix)
        is_known = is_own and (path.endswith(_PRODUCTS) or os.path.basename(path) in text)
        if is_new and not is_known:
            raise ValueError(f"{path} was changed meanwhile, and may belong to the build")
        if is_new or (is_known and os.path.basename(path) in text):
            yield path[len(prefix) :]
        elif is_own and path.endswith(_COMPILED) and _fits(path, manifest):
            raise ValueError(f"{path} may belong to the build, which has not written it")


def _fits(path: str, manifest: Manifest) -> bool:
    """Whether that Python would import the compiled module, by its name (PEP 3149)."""
    tag = re.search(r"\.(?:cpython|pypy)-?(\d+)", os.path.basename(path))
    return tag is None or tag[1] == manifest.minor.replace(".", "")


def read_product(place: Path, root: Path) -> tuple[int, bytes]:
    """Mode and content of what a build has put there. ValueError if it names its own worktree, and so is none for
    another one."""
    if os.path.islink(place):
        raise ValueError(f"{place} is a link")
    data = files.read_bytes(place, MAX_PRODUCT)
    if os.fsencode(root) in _hide_debugging(data):
        raise ValueError(f"{place} names the worktree")
    return place.stat().st_mode & 0o777, data


def _hide_debugging(data: bytes) -> bytes:
    """A compiled module less what a debugger alone reads, which has the paths of the sources (elf(5), for 64 bits,
    little-endian)."""
    if data[:6] != b"\x7fELF\2\1":
        return data
    hidden = bytearray(data)
    table, size, count, names = (_read(data, *at) for at in ((40, 8), (58, 2), (60, 2), (62, 2)))
    strings = _read(data, table + names * size + 24, 8)
    for at in range(table, table + count * size, size):
        name, start, length = strings + _read(data, at, 4), _read(data, at + 24, 8), _read(data, at + 32, 8)
        if data[name : name + 7] == b".debug_" and start + length <= len(data):
            hidden[start : start + length] = bytes(length)
    return bytes(hidden)


def _read(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def read_clock(folder: Path) -> int:
    """The present time as the file system of `folder` has it (ns since the epoch). Raises OSError."""
    place = folder / ".clock"
    files.write_atomic(place, b"")
    now = place.stat().st_ctime_ns
    place.unlink()
    return now
