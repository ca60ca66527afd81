"""What an overlay shall be, and how the one that is there differs from it: what a sync has to do. Reads only."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import distributions
from ..errors import WtenvError
from ..names import normalise
from . import building, layout, pth, requirements, state
from . import manifest as manifests
from .building import Isolation
from .manifest import Editable, Manifest
from .project import Project, check_names, read_project
from .state import State


@dataclass(frozen=True)
class Plan:
    """What the overlay shall be."""

    root: Path  # the worktree (or the stack's folder)
    venv: Path
    base_prefix: Path
    base_python: Path
    editables: tuple[Path, ...]
    install_deps: bool = False  # True: what neither base nor overlay has goes into the overlay
    build_isolation: Isolation = "auto"
    replace: bool = False  # a foreign .venv may be moved aside
    inexact: bool = False  # keep what is not declared
    reinstall: bool = False  # build all editables, also those whose build files did not change
    only: tuple[str, ...] = ()  # names or paths of the editables to look at; implies `inexact`
    sources: bool = True  # follow [tool.uv.sources] of the projects: only for what somebody typed
    build_env: Callable[[], Mapping[str, str]] | None = None  # the environment that builds see; None: the user's


@dataclass(frozen=True)
class Difference:
    """How an overlay differs from its plan; false if it does not."""

    verdict: State
    old: Manifest | None  # of the overlay that is there, if it can be kept
    build: tuple[Project, ...]
    remove: tuple[str, ...]  # distributions
    missing: tuple[str, ...]  # with install_deps: requirements that nothing satisfies, as far as it is known

    def __bool__(self) -> bool:
        return self.old is None or bool(self.build or self.remove or self.missing or self.verdict.repairable)


def read_projects(plan: Plan) -> list[Project]:
    """The declared packages, as their files describe them. WtenvError if one is no package, if two have the same name,
    or if a path can't be used."""
    for place in (plan.venv, plan.base_prefix):
        layout.check_path(place)
    projects = [read_project(path) for path in plan.editables]
    check_names(projects)
    return projects


def compare(plan: Plan, venv: Path, projects: Sequence[Project], env: Mapping[str, str]) -> Difference:
    """How the overlay at `venv` differs from the plan; `projects`: what `read_projects` gave. WtenvError if what is
    there is not wtenv's to replace."""
    verdict = state.inspect(venv, base_prefix=plan.base_prefix, editables=plan.editables, env=env)
    if verdict.kind == "foreign" and not plan.replace:
        raise WtenvError(verdict.reason, verdict.fix)
    if hindrance := state.find_hindrance(venv, env):
        raise WtenvError(*hindrance[:2])
    old = manifests.read_manifest(venv) if verdict.usable or verdict.repairable else None
    if old is None or manifests.identify(old.interpreter) != old.interpreter_id:
        # Compiled extensions may not fit another build of Python.
        return Difference(verdict, None, _restrict(plan, projects, ()), (), ())
    missing: list[str] = []
    if plan.install_deps and old.deps != name_deps(plan, old):
        roots = [item.name for item in list_declared(plan, old)]
        _, missing = requirements.walk_requires(roots, [*old.site, *old.base_site], old.python_version)
    surplus = find_undeclared(plan, projects, old.editables, old)
    return Difference(verdict, old, choose(plan, projects, old), surplus, tuple(missing))


def name_deps(plan: Plan, manifest: Manifest) -> str:
    """For `Manifest.deps`: a digest of the base's packages if the overlay holds dependencies; else empty."""
    return pth.identify_base(manifest.base_site) if plan.install_deps else ""


def choose(plan: Plan, projects: Sequence[Project], manifest: Manifest) -> tuple[Project, ...]:
    """The projects that have to be built: new, changed, no longer whole, or built in another way than the plan says."""
    have = {item.source: item for item in manifest.editables}
    present = distributions.list_installed(manifest.site)
    base, own = distributions.list_versions(manifest.base_site), distributions.list_versions(manifest.site)
    chosen = []
    for project in _restrict(plan, projects, manifest.editables):
        real = os.path.realpath(project.path)
        item = have.get(real)
        if (
            plan.reinstall
            or item is None
            or item.name not in present
            or present[item.name].source != real  # replaced by `pip install`
            or not present[item.name].is_whole()
            or item.fingerprint != manifests.fingerprint(project.path)
            or manifests.find_lost(item)
            or (plan.build_isolation is True and item.built_with != building.ISOLATED)
            or (plan.build_isolation is False and item.built_with == building.ISOLATED)
            or any(
                version not in (base.get(name), own.get(name)) for name, version in building.split_pins(item.built_with)
            )
        ):
            chosen.append(project)
    return tuple(chosen)


def _restrict(plan: Plan, projects: Sequence[Project], known: Sequence[Editable]) -> tuple[Project, ...]:
    """The projects that `plan.only` names, by name or path. known: editables; a build may have told their names
    first."""
    if not plan.only:
        return tuple(projects)
    names = {item.source: item.name for item in known}
    chosen: dict[Path, Project] = {}
    for word in plan.only:
        name, real = normalise(word), os.path.realpath(word)
        for item in projects:
            at = os.path.realpath(item.path)
            if real == at or (name and name in (item.name, names.get(at))):
                chosen[item.path] = item
                break
        else:
            raise WtenvError(f"no declared editable is called {word}", "see [editables] packages")
    return tuple(chosen.values())


def find_undeclared(
    plan: Plan, projects: Sequence[Project], known: Sequence[Editable], manifest: Manifest
) -> tuple[str, ...]:
    """The distributions in the overlay that nothing declares."""
    if plan.inexact or plan.only:
        return ()
    names = {item.source: item.name for item in known}
    wanted = {item.name or names.get(os.path.realpath(item.path), "") for item in projects}
    tools = building.list_tools(known)
    return tuple(sorted(requirements.find_surplus(manifest, wanted, tools, deps=plan.install_deps)))


def list_declared(plan: Plan, manifest: Manifest, built: Sequence[Editable] = ()) -> tuple[Editable, ...]:
    """The editables for the manifest: of those that it has, and that were built, the declared ones, in their order."""
    have = {item.source: item for item in (*manifest.editables, *built)}
    wanted = {os.path.realpath(path): os.fspath(path) for path in plan.editables}
    return tuple(have[real]._replace(path=path) for real, path in wanted.items() if real in have)
