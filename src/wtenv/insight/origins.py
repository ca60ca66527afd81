"""Layers: which part of an activation a command or a module comes from, and what it stands before.

Commands are looked for as a shell does, in the folders of PATH; nothing is started. Modules are asked of the
overlay's Python, which looks for them and imports nothing of them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import distributions
from ..conda import Base
from ..config.read import Config
from ..distributions import Distribution
from ..errors import WtenvError
from ..hook.shells import ABI
from ..names import normalise
from ..overlay import building, manifest, wrappers
from ..overlay.finders import Answer, ask_python
from ..overlay.imports import is_part
from ..overlay.manifest import Manifest

_SYSTEM = "/usr/bin /bin /usr/sbin /sbin /usr/local/bin /usr/local/sbin /opt/homebrew/bin".split()
_SHIMS = re.compile(r"(pyenv|asdf|mise|rtx|rye|nodenv|rbenv)(?:[^/]*/)(?:.*/)?shims$")
_PYTHON = re.compile(r"(python|pypy|graalpy)[\d.]*t?")


@dataclass(frozen=True)
class Layers:
    """The parts of one activation."""

    path: tuple[str, ...] = ()  # the folders of `[activation] path`
    venv: str = ""  # a prefix, as is the base
    base: str = ""

    @classmethod
    def of(cls, config: Config | None, base: Base | None) -> Layers:
        """Those of a decision, as far as it got."""
        return cls(config.path if config else (), str(config.venv) if config else "", base.prefix if base else "")

    def name_folder(self, folder: str) -> tuple[str, str]:
        """The layer of a folder on PATH, and whose it is in words."""
        real = os.path.realpath(folder)
        if folder in self.path:
            return "activation.path", "[activation] path of the config"
        if self.venv and real == os.path.realpath(f"{self.venv}/bin"):
            return "overlay", "the overlay"
        if self.base and real == os.path.realpath(f"{self.base}/bin"):
            return "base", "the base"
        if folder.endswith(f"/v{ABI}/bin") and os.path.islink(f"{folder}/wtenv"):
            return "wtenv", "a link to wtenv, whose conda environment is not on PATH in a worktree"
        if shims := _SHIMS.search(folder):
            return "shims", f"{shims[1]}'s shims: {shims[1]} decides what it runs"
        prefix = os.path.dirname(real)
        if os.path.isfile(f"{prefix}/pyvenv.cfg"):
            return "venv", f"another virtual environment, {prefix}"
        if os.path.isdir(f"{prefix}/conda-meta"):
            return "conda", f"another conda environment, {prefix}"
        if folder in _SYSTEM or real in _SYSTEM:
            return "system", "the system"
        return "other", f"on PATH: {folder}"


@dataclass(frozen=True)
class Command:
    """A program on PATH."""

    path: str
    layer: str  # see `Layers.name_folder`, or "wrapper"
    origin: str  # whose it is, in words
    python: str  # what it would run on; empty if that is no Python, or can't be known without running it
    wins: bool


def find_commands(name: str, search_path: str, layers: Layers, directory: str) -> list[Command]:
    """Every program called `name`, in the order of PATH; a name with "/" is a path, as in a shell."""
    found: list[Command] = []
    seen = set()
    for folder in [os.path.dirname(name)] if "/" in name else search_path.split(":"):
        place = os.path.join(directory, folder, os.path.basename(name))  # an empty entry means "here"
        real = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(name))
        if real in seen or not is_program(place):
            continue
        seen.add(real)
        layer, origin = layers.name_folder(os.path.dirname(place))
        if layer == "overlay" and wrappers.read_wrapper(place):
            made = manifest.read_manifest(Path(layers.venv))
            bins = made.bins if made else (f"{layers.base}/bin",)
            scripts = [os.path.join(folder, os.path.basename(name)) for folder in bins]
            script = next(filter(os.path.exists, scripts), scripts[0])
            layer, origin = "wrapper", f"runs {script} on {layers.venv}/bin/python"
        found.append(Command(place, layer, origin, find_interpreter(place, search_path), not found))
    return found


def find_unusable(name: str, search_path: str, directory: str) -> str:
    """The first file called `name` where `find_commands` looks, one that can't be executed; or ""."""
    folders = [os.path.dirname(name)] if "/" in name else search_path.split(":")
    places = (os.path.join(directory, folder, os.path.basename(name)) for folder in folders)
    return next((place for place in places if os.path.isfile(place)), "")


def is_program(path: str) -> bool:
    """Whether a shell would run the file at `path`."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)
    except (OSError, ValueError):
        return False


def find_interpreter(path: str, search_path: str) -> str:
    """The Python that the program at `path` would run on, by its first lines; empty if it is no Python script."""
    if _PYTHON.fullmatch(os.path.basename(path)):
        return path
    try:
        with open(path, "rb") as file:
            head = file.read(4096).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    found = wrappers.read_interpreter(head)
    if found is None or not _PYTHON.fullmatch(os.path.basename(found.program)):
        return ""
    program = found.program
    if "/" in program:
        return os.path.normpath(os.path.join(os.path.dirname(path), program))
    places = (os.path.join(folder, program) for folder in search_path.split(":") if folder)
    return next((place for place in places if is_program(place)), "")


def list_names(search_path: str) -> set[str]:
    """The names of what is in the folders of PATH."""
    names: set[str] = set()
    for folder in filter(None, search_path.split(":")):
        try:
            names.update(entry.name for entry in os.scandir(folder))
        except OSError:
            continue
    return names


# --- modules ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Module:
    """A module."""

    name: str
    file: str
    layer: str  # "editable", "overlay", "base", "library" (Python's own), "PYTHONPATH" or "other"
    distribution: str
    version: str
    why: str
    shadows: tuple[tuple[str, str], ...]  # what an import would give without this copy, as (file, layer)
    here: str  # a copy in the current folder, which `python -c` and `python -m` put first; or ""


@dataclass(frozen=True)
class Copy:
    """A copy of an installed distribution."""

    name: str
    version: str  # empty if its files don't say
    layer: str
    place: str  # its site folder, or the folder that an editable was built from
    wins: bool


_WHY = {
    "editable": "the overlay comes before the base, and this package is declared in [editables]",
    "overlay": "it is installed in the overlay, which comes before the base",
    "base": "nothing before the base has it",
    "library": "Python's own modules come first",
    "PYTHONPATH": "PYTHONPATH comes before overlay and base",
    "other": "it is on Python's path",
}


@dataclass(frozen=True)
class Overlay:
    """The overlay to ask."""

    venv: Path
    manifest: Manifest
    directory: Path  # the current folder
    extra: tuple[str, ...]  # the folders of PYTHONPATH
    env: Mapping[str, str]  # the user's, with nothing active in it

    @classmethod
    def open(cls, venv: Path, python_path: str, env: Mapping[str, str], directory: Path) -> Overlay | None:
        """The overlay at `venv`; None if there is none."""
        found = manifest.read_manifest(venv)
        extra = tuple(os.path.join(directory, entry) for entry in python_path.split(":")) if python_path else ()
        return cls(venv, found, directory, extra, env) if found else None

    @property
    def sites(self) -> tuple[str, ...]:
        return (*self.manifest.site, *self.manifest.base_site)

    def find_distributions(self, name: str) -> list[Copy]:
        """Every copy of the distribution `name`, the one that `importlib.metadata` gives first."""
        wanted = normalise(name)
        found: list[Copy] = []
        for site in dict.fromkeys(self.sites):
            item = distributions.find_all([site]).get(wanted)
            item = item or distributions.find_all([site], ("egg-link",)).get(wanted)
            if item is None:
                continue
            # `setup.py develop` of old: the folder alone, whose metadata has the version.
            source = item.read().partition("\n")[0] if item.kind == "egg-link" else item.source
            layer = "base" if site not in self.manifest.site else "editable" if source else "overlay"
            found.append(Copy(wanted, item.version, layer, source or site, not found))
        return found

    def list_modules(self, distribution: str) -> list[str]:
        """The top-level modules of an installed distribution."""
        for item in self.manifest.editables:
            if item.name == normalise(distribution):
                return list(item.modules)
        for site in self.sites:
            if found := distributions.list_installed([site]).get(normalise(distribution)):
                names = found.read("top_level.txt").split() or _list_top(found)
                return sorted(name for name in set(names) if name.isidentifier())
        return []

    def find_modules(self, names: Sequence[str]) -> list[Module]:
        """Those of `names` that the overlay's Python finds, in one start of it. WtenvError if it does not start."""
        asked = [name for name in dict.fromkeys(names) if all(part.isidentifier() for part in name.split("."))]
        if not asked:
            return []
        answer = self._ask(asked)
        modules = []
        for name, files in answer.found.items():
            layers = [self._name_layer(name, file, answer.library) for file in files]
            distribution, version = self._find_owner(name.partition(".")[0], files[0], layers[0])
            shadows = [*zip(files, layers, strict=True)][1:]
            if distribution and layers[0] in ("editable", "overlay"):
                shadows += self._list_hidden(distribution, shadows)
            here = "" if name in answer.fixed else self._find_here(name, files[0])
            why = _WHY[layers[0]]
            modules.append(Module(name, files[0], layers[0], distribution, version, why, tuple(shadows), here))
        return modules

    def _find_here(self, name: str, winner: str) -> str:
        """The copy of `name`, or of the package that it is part of, in the current folder."""
        folder, top = Path(_find_folder(name, winner)), name.partition(".")[0]
        if os.path.realpath(folder) == os.path.realpath(self.directory):
            return ""
        if "." in name and (folder / top / "__init__.py").exists() > (self.directory / top / "__init__.py").exists():
            return ""  # a package comes before folders of its name that are none, wherever these are
        for part in (name, top):
            path = self.directory / part.replace(".", "/")
            for place in (path / "__init__.py", path.with_name(f"{path.name}.py")):
                if place.is_file():
                    return os.fspath(place)
        return ""

    def _ask(self, names: Sequence[str]) -> Answer:
        env = building.make_env(self.env, os.fspath(self.venv / "bin"), self.manifest.base_bin)
        try:
            return ask_python(self.venv, names, env, self.extra, every=True)
        except WtenvError:
            what = f"the overlay's Python {self.venv}/bin/python does not answer"
            raise WtenvError(what, "run: wtenv doctor") from None

    def _name_layer(self, name: str, file: str, library: Iterable[str]) -> str:
        if not os.path.isabs(file):
            return "library"  # built-in or frozen
        real = Path(os.path.realpath(file))
        # Not what merely lies below such a folder: it may be the home.
        if os.path.realpath(_find_folder(name, file)) in map(os.path.realpath, self.extra):
            return "PYTHONPATH"
        if real.is_relative_to(os.path.realpath(self.venv)):  # first: it may be inside of what "." declares
            return "overlay"
        if any(is_part(os.fspath(real), os.path.realpath(item.path)) for item in self.manifest.editables):
            return "editable"
        if any(real.is_relative_to(os.path.realpath(site)) for site in self.manifest.base_site):
            return "base"
        if any(real.is_relative_to(os.path.realpath(folder)) for folder in library):
            return "library"
        return "other"

    def _find_owner(self, top: str, file: str, layer: str) -> tuple[str, str]:
        """Name and version of the distribution that a top-level module belongs to."""
        if layer == "editable":
            parts = ((item, module.partition(".")[0]) for item in self.manifest.editables for module in item.modules)
            owner = next((item for item, module in parts if module == top), None)
            return (owner.name, owner.version) if owner else ("", "")
        site = next((site for site in self.sites if Path(file).is_relative_to(site)), None)
        if site is None:
            return "", ""
        # The one of that name is the likely one: no need to read what all the others have.
        found, likely = distributions.list_installed([site]), normalise(top)
        for name, item in sorted(found.items(), key=lambda pair: pair[0] != likely):
            unsaid = name == likely and not (item.folder / "RECORD").exists()  # as in some packages of conda
            if unsaid or top in item.read("top_level.txt").split() or top in _list_top(item):
                return name, item.version
        return "", ""

    def _list_hidden(self, distribution: str, shadows: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """The base's editables of the same package: the bootstrap leaves them out, so that no finder shows them."""
        for copy in self.find_distributions(distribution):
            if copy.layer == "base" and not any(Path(file).is_relative_to(copy.place) for file, _ in shadows):
                yield copy.place, "base"


def _find_folder(name: str, file: str) -> str:
    """The folder on Python's path in which the module `name` is found as `file`."""
    depth = name.count(".") + (os.path.basename(file).partition(".")[0] == "__init__")
    return os.fspath(Path(file).parents[min(depth, len(Path(file).parents) - 1)]) if os.path.isabs(file) else ""


def _list_top(item: Distribution) -> set[str]:
    """The top-level names in a distribution's RECORD."""
    return {path.partition("/")[0] if "/" in path else path.partition(".")[0] for path in item.list_files()}
