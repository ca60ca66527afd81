"""Building: which packages a project is built against, and how uv builds and installs it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .. import dirs
from ..errors import WtenvError
from ..names import normalise
from ..toml import get_table
from .indexes import Certificates
from .manifest import Editable
from .project import Project, name_requires

Isolation = Literal["auto", True, False]
ISOLATED = ("isolated",)
PROGRAMS = ("cmake", "ninja")  # editables that build themselves at their import start these

# uv's variables that say where packages come from. All others are dropped: they could lead the install elsewhere.
_UV_KEPT = re.compile(
    r"UV_(INDEX|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|CACHE_DIR|NO_CACHE|OFFLINE|HTTP|NATIVE_TLS"
    r"|SYSTEM_CERTS|INSECURE|KEYRING|CONCURRENT|LINK_MODE|CONFIG_FILE|NO_CONFIG|NO_SYSTEM_CONFIG|REQUEST|TORCH|SSL|GITHUB)"
)
_DROPPED = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONUSERBASE", "PYTHONEXECUTABLE",
            "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONPLATLIBDIR", "__PYVENV_LAUNCHER__"}  # fmt: skip
_UNKNOWN = re.compile("invalid peer certificate")  # the words of rustls, which uv uses
_MISSING = re.compile(r"ModuleNotFoundError|No module named|ImportError|BackendUnavailable|not found", re.I)


class BuildError(WtenvError):
    """A package could not be built; nothing was installed."""

    has_lines = True


def match_base(
    project: Project, base: Mapping[str, str], python_version: str, declared: Collection[str] = ()
) -> tuple[str, ...] | None:
    """The base's packages that the build of `project` needs, as `name==version`; None if the base lacks one.

    base: normalised name -> version; declared: the names of declared packages, which come from the overlay and not from
    the base. A build needs its [build-system] requires, and more that a backend asks for only when it runs (PEP 660,
    get_requires_for_build_editable); of the latter, what is known without running it counts here.
    """
    from packaging.markers import UndefinedEnvironmentName
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion, Version

    wanted = list(project.requires)
    if project.backend.startswith("setuptools."):
        wanted.append("setuptools>=64")  # the first that builds editables
        try:
            if Version(base.get("setuptools", "0")) < Version("70.1"):
                wanted.append("wheel")
        except InvalidVersion:
            return None
    elif project.backend.startswith("hatchling."):
        wanted.append("editables")
    used = []
    environment = {
        "python_version": ".".join(python_version.split(".")[:2]),
        "python_full_version": python_version,
    }
    for text in wanted:
        try:
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate(environment):
                continue
            name = normalise(requirement.name)
            if name in declared and name != project.name:
                continue
            if name not in base or not requirement.specifier.contains(base[name], prereleases=True):
                return None
        except (InvalidRequirement, InvalidVersion, UndefinedEnvironmentName):
            return None
        used.append(f"{name}=={base[name]}")
    return tuple(sorted(set(used)))


def find_tools(project: Project, open_uv: Callable[[], Uv]) -> tuple[str, ...]:
    """What `project` needs if its backend makes an editable that builds itself when it is imported; else nothing. A
    program only if PATH lacks it."""
    import shutil

    programs: tuple[str, ...] = ()
    if project.backend == "mesonpy":
        programs = ("ninja",)
    elif project.backend.startswith("scikit_build_core."):
        settings = get_table(get_table(get_table(project.data, "tool"), "scikit-build"), "editable")
        programs = PROGRAMS if settings.get("rebuild") is True else ()
    if not programs:
        return ()
    search_path = open_uv().env["PATH"]
    return (*project.requires, *(name for name in programs if not shutil.which(name, path=search_path)))


def list_tools(editables: Iterable[Editable]) -> set[str]:
    """The names of the packages that these editables were built with, without those that were built isolated. Some of
    these packages are in the overlay, for editables that build themselves at their import."""
    return {name for item in editables for name, _ in split_pins(item.built_with)}


def _sort(projects: Sequence[Project]) -> Iterator[list[Project]]:
    """The projects in steps: each comes after those that its build needs."""
    left = list(projects)
    while left:
        names = {item.name for item in left}
        ready = [item for item in left if not (name_requires(item) - {item.name}) & names]
        yield ready or left
        left = [item for item in left if ready and item not in ready]


def split_pins(built_with: Sequence[str]) -> list[tuple[str, str]]:
    """Name and version of each package that an editable was built with, see `match_base`."""
    parts = (text.partition("==") for text in built_with)
    return [(name, version) for name, equals, version in parts if equals]


def make_env(env: Mapping[str, str], *bins: str) -> dict[str, str]:
    """The environment for uv, builds and the overlay's Python: `env` without the variables that would redirect them,
    and with `bins` first on PATH."""
    kept = {
        name: value
        for name, value in env.items()
        if name not in _DROPPED and not name.startswith("PIP_") and (not name.startswith("UV_") or _UV_KEPT.match(name))
    }
    path = [entry for entry in env.get("PATH", os.defpath).split(":") if entry and entry not in bins]
    if cache := dirs.find_uv_cache(env):
        kept["UV_CACHE_DIR"] = cache
    return {**kept, "PATH": ":".join([*bins, *path]), "PYTHONNOUSERSITE": "1"}


def show_base(env: Mapping[str, str], prefix: str) -> dict[str, str]:
    """`env`, so that CMake and pkg-config find the base's headers and libraries. conda-forge's compiler packages set
    the same variables; Meson asks these two programs."""
    pkg_config = [f"{prefix}/{folder}/pkgconfig" for folder in ("lib", "share")]
    shown = {"CMAKE_PREFIX_PATH": [prefix], "PKG_CONFIG_PATH": pkg_config}
    lists = {name: dict.fromkeys([*env.get(name, "").split(":"), *folders]) for name, folders in shown.items()}
    return {**env, **{name: ":".join(filter(None, folders)) for name, folders in lists.items()}}


def name_worktree(env: Mapping[str, str], root: Path) -> Mapping[str, str]:
    """`env`, in which ccache, if it is there, takes what is compiled in another worktree for the same (ccache(1),
    "Compiling in different directories")."""
    import shutil

    if "CCACHE_BASEDIR" in env or not shutil.which("ccache", path=env["PATH"]):
        return env
    return {**env, "CCACHE_BASEDIR": os.fspath(root)}


@dataclass
class Uv:
    """How uv is run for one overlay."""

    venv: Path
    cwd: Path
    env: Mapping[str, str]
    report: Callable[[str], None]
    options: tuple[str, ...] = ()  # for each of its commands
    sources: bool = True  # [tool.uv.sources] of the projects are followed
    certificates: Iterator[Certificates] = field(default_factory=lambda: iter(()))  # to try in turn, see `pip`
    declared: Mapping[str, Path] = field(default_factory=dict)  # every declared package, by its name

    def pip(self, verb: str, *arguments: str) -> None:
        """`uv pip VERB ARGUMENTS` on the overlay. BuildError with the end of uv's output if it fails."""
        code, said = self._start(verb, *arguments)
        while code and _UNKNOWN.search("\n".join(said)) and (more := next(self.certificates, None)):
            self.report(f"uv does not know who signed that server's certificate; trying again as {more.name} trusts")
            kept = {name: value for name, value in self.env.items() if name not in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
            self.env = {**kept, **more.env}  # for what follows, too
            code, said = self._start(verb, *arguments)
        if code:
            raise BuildError(_explain(verb, said), "correct it and run: wtenv sync")

    def _start(self, verb: str, *arguments: str) -> tuple[int, list[str]]:
        """Run `uv pip VERB ARGUMENTS`; its exit code, and the lines that it printed."""
        import subprocess

        command = [find_uv(self.env), "pip", verb, "--no-progress", "--color=never", *self.options]
        command += ["--python", os.fspath(self.venv / "bin" / "python"), *arguments]
        said: list[str] = []
        with subprocess.Popen(
            command, cwd=self.cwd, env=dict(self.env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", preexec_fn=_follow_parent,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    said.append(line.rstrip())
                    if line.strip().startswith(("Building", "Built", "Downloading")):
                        self.report(line.strip())
            except BaseException:  # Ctrl-C must not leave uv installing
                process.kill()
                raise
        return process.returncode, said

    def build(
        self, projects: Sequence[Project], isolation: Isolation, native: Mapping[Path, tuple[str, ...] | None]
    ) -> dict[Path, tuple[str, ...]]:
        """Install the projects as editables, without dependencies; path -> the packages that each was built with.

        native: path -> the packages that it would be built against, None if only an isolated build is possible.
        """
        self.env = name_worktree(self.env, self.cwd)
        isolated = [item for item in projects if native[item.path] is None or isolation is True]
        direct = [item for item in projects if item not in isolated]
        if isolation is False:
            direct, isolated = list(projects), []
        built = {}
        for step in _sort(direct):
            try:
                self._install(step, "--no-build-isolation")
                built.update({item.path: native[item.path] or () for item in step})
            except BuildError as error:
                # Some backends name a requirement only when they run. uv does not ask for it in a build without
                # isolation.
                if isolation is False or not _MISSING.search(str(error)):
                    raise
                self.report("the base lacks something that a build needs; building isolated from it")
                isolated = [item for item in projects if item.path not in built]
                break
        if isolated:
            self._install_isolated(isolated)
            built.update({item.path: ISOLATED for item in isolated})
        return built

    def _install_isolated(self, projects: Sequence[Project]) -> None:
        """Isolated builds that require a declared package, directly or not, get the declared one and never the
        index's."""
        import tempfile

        # By links: to uv one URL is one thing, either editable or not, and it keeps what it has built of that.
        with tempfile.TemporaryDirectory() as folder:
            for name, path in self.declared.items():
                Path(folder, name).symlink_to(path)
            constraints = Path(folder, "constraints.txt")
            constraints.write_text("".join(f"{name} @ {Path(folder, name).as_uri()}\n" for name in self.declared))
            self._install(projects, "--build-constraints", os.fspath(constraints))

    def _install(self, projects: Sequence[Project], *options: str) -> None:
        # As URLs: in a path uv reads extras in brackets, and variables. Always reinstalled: uv's own cache does not
        # know that the base has changed against which a package was built. By names if all are known: with a bare
        # --reinstall uv asks the index again for everything that a build requires.
        named = all(item.name for item in projects)
        again = [f"--reinstall-package={item.name}" for item in projects] if named else ["--reinstall"]
        targets = [word for item in projects for word in ("-e", self._locate(item.path))]
        if not self.sources:
            again.append("--no-sources")
        try:
            self.pip("install", "--no-deps", *again, *options, *targets)
        except BuildError as error:  # uv does not name a package that it could not even begin to build
            paths = ", ".join(os.fspath(item.path) for item in projects)
            raise BuildError(f"building {paths}: {error.what}", error.fix) from None

    def _locate(self, path: Path) -> str:
        # In a URL uv takes # for the start of a fragment, even as %23. A relative path avoids one above uv's folder.
        url = path.as_uri()
        return f"./{os.path.relpath(path, self.cwd)}" if "%23" in url else url


def find_uv(env: Mapping[str, str]) -> str:
    """The uv that was installed with wtenv, else the one on PATH."""
    try:
        import uv

        return os.fspath(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        import shutil

        found = shutil.which("uv", path=env.get("PATH"))
        if found is None:
            raise WtenvError("uv is missing", "install it beside wtenv: pip install uv") from None
        return found


def _follow_parent() -> None:
    # If wtenv is killed, uv must not go on installing while the next sync rebuilds. Linux only; elsewhere that uv runs
    # to its end.
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
    except (OSError, AttributeError, ImportError):
        pass


def _explain(verb: str, said: Sequence[str]) -> str:
    text = "\n".join(said)
    names = re.findall(r"[Ff]ailed to (?:build|prepare)[^`]*`([^`]+)`", text)
    what = f"building {names[0]} failed" if names else f"uv pip {verb} failed"
    return f"{what}:\n" + "\n".join(said[-40:]) + "\n"
