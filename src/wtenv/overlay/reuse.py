"""Kept builds: what building an editable gave, so that another worktree of the same content need not build.

    CACHE/builds/KEY.json    the installed files as texts, with tokens for the project's and the overlay's path, and
                             what the build has put beside the sources

There are two kinds of keys. Where a project's settings alone say what a build gives, and the backend is one of those
listed here, the key covers what that reads: the settings, the files beside them, which folders and modules there are,
the base and what of it builds. Where code may decide (setup.py, plugins, hooks, a backend of the project's own, a
version that git tells) it covers the worktree (`recipe.py`): each file that git tracks or does not ignore, the commit,
the tags and the clone; and of the environment what builds ask for. Both are told from files alone.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__, dirs, files
from ..digest import sha256
from ..distributions import Distribution
from ..errors import WtenvError
from ..names import normalise
from ..toml import get_table
from .indexes import list_settings
from .manifest import Manifest
from .project import Project, list_copied, list_texts, list_values, name_requires
from .tree import is_made
from .wrappers import SHEBANG_LIMIT

# backend -> the package that it comes in: one that requires more has plugins.
_BACKENDS = {
    "setuptools.build_meta": "setuptools",
    "hatchling.build": "hatchling",
    "flit_core.buildapi": "flit-core",
    "uv_build": "uv-build",
}
# Settings that run code, take what is built from elsewhere, or copy files: any key of that name below [tool].
_COMPUTING = {"hooks", "dev-mode-exact", "force-include", "dynamic", "ext-modules", "cmdclass", "config-settings",
              "distutils", "script-files", "data-files", "shared-scripts", "shared-data", "extra-metadata",
              "sbom-files", "external-data", "data"}  # fmt: skip
# Plugins that setuptools finds installed in the base, required or not; each does something for a table of its own.
_PLUGINS = {"setuptools-scm", "setuptools-git-versioning", "setuptools-rust", "versioningit", "vcs-versioning", "pbr",
            "dunamai", "mypyc", "cffi", "pyo3", "milksnake"}  # fmt: skip
_CODE = ("setup.py", "setup.cfg", "hatch.toml")
_FORMATTED = ("dependencies", "optional-dependencies")
_VARIABLE = re.compile(r"SETUPTOOLS_|DIST|HATCH_|FLIT_|UV_(?!SYSTEM_CERTS|NATIVE_TLS)|SOURCE_DATE_EPOCH")
# What decides beside it, from the project's folder upwards: hatchling takes the nearest hatch.toml, and goes by what is
# ignored, in git up to the folder with .git. So of a worktree around this one only hatch.toml and workspaces count.
_ABOVE = ("hatch.toml", ".hgignore")
# What an installed editable consists of; who has more has it from elsewhere.
_POINTERS = re.compile(r"[^/]+\.pth|__editable__[^/]*\.py|_editable_impl_[^/]*\.py")
# A line of a .pth file that runs code (site, "addpackage"), other than what an editable consists of.
_RUNNING = re.compile(r"(?m)^import[ \t](?!(?:__editable__|_editable_impl_)\w+(?:;|$))")
_PLAIN = re.compile(r"(/[\w.-]+)+", re.ASCII)  # in such a path every way to quote it is the path itself
_VENV, _PROJECT = "\0venv\0", "\0project\0"
_DROPPED = {"uv_cache.json"}  # when the sources were last changed, which uv is not asked for
MAX_FOLDERS, MAX_FILE, MAX_KEPT = 5000, 1 << 18, 300
MAX_KEPT_SIZE, MAX_TOTAL = 1 << 27, 1 << 30


class Build(NamedTuple):
    """A kept build, its texts those of one place. built_with: as in the manifest; files: path below the overlay
    -> content; products: what lies beside the sources, path below the project -> mode and content."""

    built_with: tuple[str, ...]
    files: Mapping[str, str]
    products: Mapping[str, tuple[int, bytes]]

    @property
    def requires(self) -> set[str]:
        """The names of what the distribution requires."""
        texts = [text for inside, text in self.files.items() if inside.endswith(".dist-info/METADATA")]
        return {normalise(name) for name in re.findall(r"(?m)^Requires-Dist: *([\w.-]+)", "\n".join(texts))}


def identify(project: Project, manifest: Manifest, built_with: tuple[str, ...], env: Mapping[str, str]) -> str | None:
    """The key of what building `project` with `built_with` in the environment `env` would give, where its settings
    say that; None if more could decide."""
    table = project.data.get("project")
    if not isinstance(table, dict) or not _is_declared(project, table) or "DIST_EXTRA_CONFIG" in env:
        return None
    variables = sorted(f"{name}={value}" for name, value in env.items() if _VARIABLE.match(name))
    facts = (__version__, manifest.base, manifest.python_version, manifest.interpreter_id, built_with, variables)
    digest = sha256(repr(facts).encode("utf-8", "surrogateescape"))
    try:
        for text in _list_tree(project.path):
            digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(_read_places([*list_copied(project.path, table), *_list_settings(project.path, env)]))
    except (OSError, WtenvError):
        return None
    return digest.hexdigest()[:32]


def digest_settings(project: Project, env: Mapping[str, str]) -> str:
    """A digest of what uv and backends read beside the worktree. Raises OSError, WtenvError."""
    return sha256(_read_places(_list_settings(project.path, env))).hexdigest()[:16]


def _read_places(places: Iterable[Path]) -> bytes:
    """The names and contents of those that there are."""
    found = []
    for place in places:
        if os.path.exists(place):
            data = files.read_bytes(place)
            found.append(f"{place.name}\0{len(data)}\0".encode("utf-8", "surrogateescape") + data)
    return b"".join(found)


def names_sources(project: Project) -> bool:
    """Whether the project says from where something comes that its build requires ([tool.uv.sources]): not known."""
    sources = get_table(get_table(get_table(project.data, "tool"), "uv"), "sources")
    return not name_requires(project).isdisjoint(map(normalise, sources))


def _list_settings(folder: Path, env: Mapping[str, str]) -> Iterator[Path]:
    """Where uv and backends look for settings beside the project's own."""
    is_inside = True
    for above in (folder, *folder.parents):
        yield from (above / name for name in _ABOVE)
        if is_inside:
            yield from (above / "pyproject.toml", above / ".gitignore")
        elif _may_claim(above / "pyproject.toml"):
            yield above / "pyproject.toml"
        is_inside = is_inside and not os.path.lexists(above / ".git")
    yield Path(dirs.find_home(env)) / ".pydistutils.cfg"
    if not env.get("UV_NO_CONFIG"):
        yield from map(Path, [env["UV_CONFIG_FILE"]] if env.get("UV_CONFIG_FILE") else list_settings(env))


def _may_claim(settings: Path) -> bool:
    """Whether the pyproject.toml of a folder above may declare a workspace, which uv looks for; also in an escaped
    key."""
    data = files.try_read(settings)
    return os.path.lexists(settings) and (data is None or b"workspace" in data or b"\\" in data)


def _is_declared(project: Project, table: Mapping[str, Any]) -> bool:
    """Whether its settings alone say what the build gives."""
    build, package = project.data.get("build-system"), _BACKENDS.get(project.backend)
    if not isinstance(build, dict) or package is None or "backend-path" in build:
        return False
    if any((project.path / name).exists() for name in _CODE):
        return False
    if any((above / "hatch.toml").exists() for above in project.path.parents):
        return False
    if table.get("dynamic") or not isinstance(table.get("version"), str):
        return False
    if not isinstance(table.get("license-files", []), list):  # a table of them, before PEP 639
        return False
    tool = project.data.get("tool")
    if isinstance(tool, dict) and not _PLUGINS.isdisjoint(map(normalise, tool)):
        return False
    names = name_requires(project)
    # Hatchling fills in folders and variables there ("Context formatting").
    if any("{" in text for text in list_values([table.get(key) for key in _FORMATTED]) if isinstance(text, str)):
        return False
    below = any("/" in text for key in ("readme", "license", "license-files") for text in list_texts(table.get(key)))
    return names <= {package, "wheel"} and not below and not _names_any(tool, _COMPUTING)


def _names_any(value: object, names: set[str]) -> bool:
    return any(isinstance(item, dict) and not names.isdisjoint(item) for item in list_values(value))


def _list_tree(top: Path) -> Iterator[str]:
    """The folders below `top`, whether each is a package, and the modules of the first three levels."""
    for count, (folder, below, names) in enumerate(os.walk(top)):
        inside = os.path.relpath(folder, top)
        depth = 0 if inside == "." else inside.count("/") + 1
        below[:] = sorted(name for name in below if not _is_made(name, depth))
        if count > MAX_FOLDERS:
            raise OSError("too many folders")
        yield f"{inside}/{'+' if '__init__.py' in names else ''}{below}"
        if depth < 3:
            yield from sorted(f"{inside}/{name}" for name in names if name.endswith((".py", ".pyi", ".so")))


def _is_made(name: str, depth: int) -> bool:
    """As `tree.is_made`, for a folder of that depth below a project."""
    return is_made(name) or (depth == 0 and name in ("build", "dist"))


def keep(key: str, build: Build, installed: Distribution, project: Path, venv: Path, env: Mapping[str, str]) -> None:
    """Keep `build` with what building `project` put into the overlay `venv`, if these texts can be moved elsewhere."""
    built_with, _, products = build
    try:
        texts = dict(_read_files(installed, os.fspath(project), venv, by_code="-" in key))
        place = _locate(key, env)
        files.make_private_dir(place.parent.parent)
        files.make_private_dir(place.parent)
        if sum(len(data) for _, data in products.values()) > MAX_KEPT_SIZE // 2:
            return
        beside = {path: (mode, base64.b64encode(data).decode()) for path, (mode, data) in products.items()}
        data = json.dumps({"built_with": built_with, "files": texts, "products": beside})
        files.write_atomic(place, _sign(data.encode()))
        _drop_oldest(place.parent)
    except (OSError, ValueError, WtenvError):
        pass  # the next worktree builds


def _sign(data: bytes) -> bytes:
    """`data` below its digest: what is damaged is not installed."""
    return sha256(data).hexdigest().encode() + b"\n" + data


def _locate(key: str, env: Mapping[str, str]) -> Path:
    return Path(dirs.find_cache(env)) / "builds" / f"{key}.json"


def _read_files(installed: Distribution, project: str, venv: Path, *, by_code: bool) -> Iterator[tuple[str, str]]:
    """Path below the overlay -> text with tokens. ValueError if there is one that can't be told for another place.
    by_code: whether a path in it may come from code, and not from a file that is the same elsewhere."""
    own = os.fspath(venv)
    _check_plain(project, own)
    scripts = re.findall(r"(?m)^([\w.-]+)\s*=", installed.read("entry_points.txt"))
    names = installed.list_files()
    if not names:
        raise ValueError(f"{installed.folder} does not say what it consists of")
    for name in names:
        place = os.path.normpath(Path(installed.site, name))
        inside, base = os.path.relpath(place, venv), os.path.basename(place)
        if base in _DROPPED:
            continue
        if place == os.fspath(installed.folder / "RECORD"):
            yield inside, ""  # has the others' hashes, see `_fill`
            continue
        data = files.read_bytes(place, MAX_FILE)
        if os.path.islink(place) or b"\0" in data:
            raise ValueError(f"{place} is no small text")
        text = data.decode("utf-8")
        if inside.startswith("bin/") and base in scripts and text.startswith(f"#!{own}/bin/python"):
            text = f"#!{_VENV}{text[len(own) + 2 :]}"
        elif os.path.dirname(place) == installed.site and _POINTERS.fullmatch(base):
            if base.endswith(".pth") and _RUNNING.search(text):  # it may import a module of the project
                raise ValueError(f"{place} runs code")
            text = _put_tokens(text, project)
        elif base == "direct_url.json" and f'"file://{project}"' in text:
            text = text.replace(f'"file://{project}"', f'"file://{_PROJECT}"')
        elif not Path(place).is_relative_to(installed.folder):
            raise ValueError(f"{place} is no part of an editable")
        elif by_code and (project in text or own in text):
            raise ValueError(f"{place} names its place")
        yield inside, text


def _put_tokens(text: str, project: str) -> str:
    """`text` with a token for the project's path. ValueError if it names a place beside it, or one that a build has
    put into it."""
    text = re.sub(r"(?<![\w./-])" + re.escape(project) + r"(?![\w.-])", _PROJECT, text)
    if f"/{project.split('/')[1]}/" in text:
        raise ValueError("it names a place beside the project")
    for below in re.findall(_PROJECT + r"((?:/[\w.+-]+)*)", text):
        if any(_is_made(name, depth) for depth, name in enumerate(below.split("/")[1:])):
            raise ValueError("it names what a build has made")
    return text


def _check_plain(*paths: str) -> None:
    """ValueError for a path that can stand in a text in more than one way: quoted, or with its links resolved."""
    for path in paths:
        if not _PLAIN.fullmatch(path) or os.path.realpath(path) != path:
            raise ValueError(f"{path} has other spellings")


def find(key: str, project: Path, venv: Path, env: Mapping[str, str]) -> Build | None:
    """The kept build `key` for `project` in `venv`; None if there is none that can be used there."""
    try:
        file = _locate(key, env)
        content = files.read_own(file, MAX_KEPT_SIZE)
        text = content.partition(b"\n")[2]
        if content != _sign(text):
            return None
        data = json.loads(text)
        products = {path: (int(mode), base64.b64decode(data)) for path, (mode, data) in data["products"].items()}
        if any(_find_clash(project, path, product[1]) for path, product in products.items()):
            return None
        texts = _fill(data["files"], os.fspath(project), os.fspath(venv))
        build = Build(tuple(map(str, data["built_with"])), texts, products)
        os.utime(file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, WtenvError):
        return None
    return build


def _find_clash(project: Path, inside: str, data: bytes) -> bool:
    """Whether something else than `data` is at that place in the project, or nothing may be put there."""
    target = project / inside
    if os.path.normpath(inside) != inside or inside.startswith((".", "/")):
        return True
    if not os.path.lexists(target):
        return os.path.realpath(target.parent) != os.fspath(target.parent)
    return target.is_symlink() or files.read_bytes(target, MAX_KEPT_SIZE) != data


def place(build: Build, project: Path, venv: Path) -> None:
    """Install the build, and put beside the sources what is not there yet. OSError if that can't be written."""
    for inside, (mode, data) in build.products.items():
        if not os.path.lexists(project / inside):
            (project / inside).parent.mkdir(parents=True, exist_ok=True)
            files.write_atomic(project / inside, data, mode)
    for inside, text in build.files.items():
        target = venv / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(target, text.encode(), 0o755 if inside.startswith("bin/") else 0o644)


def forget(key: str, env: Mapping[str, str]) -> None:
    """Drop a kept build that turned out to be none."""
    _locate(key, env).unlink(missing_ok=True)


def _fill(texts: dict[str, Any], project: str, venv: str) -> dict[str, str]:
    """The texts for other paths, RECORD written anew. ValueError if these paths would have to be quoted."""
    _check_plain(project, venv)
    filled = {}
    for inside, text in texts.items():
        if os.path.isabs(inside) or os.path.normpath(inside) != inside or inside.startswith(".."):
            raise ValueError(f"{inside} is outside of the overlay")
        filled[inside] = text.replace(_VENV, venv).replace(_PROJECT, project)
        if inside.startswith("bin/") and len(filled[inside].partition("\n")[0]) > SHEBANG_LIMIT:
            raise ValueError("the first line is too long")
    record = next((inside for inside in filled if inside.endswith(".dist-info/RECORD")), "")
    if not record:
        raise ValueError("there is no RECORD")
    site = os.path.dirname(os.path.dirname(record))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for inside, text in filled.items():
        content = text.encode()
        # RECORD's own line has neither (Recording installed projects).
        hashed = base64.urlsafe_b64encode(sha256(content).digest()).decode().rstrip("=")
        facts = ["", ""] if inside == record else [f"sha256={hashed}", str(len(content))]
        writer.writerow([os.path.relpath(inside, site), *facts])
    return {**filled, record: out.getvalue()}


def _drop_oldest(folder: Path) -> None:
    kept = sorted(((path.stat().st_mtime_ns, path) for path in folder.glob("*.json")), reverse=True)
    total = 0
    for count, (_, path) in enumerate(kept):
        total += path.stat().st_size
        if count >= MAX_KEPT or total > MAX_TOTAL:
            path.unlink(missing_ok=True)
