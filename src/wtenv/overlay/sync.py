"""`wtenv sync`: make the overlay what the config declares.

An overlay is marked as unfinished (in its record, outside of it) before anything in it changes, and the
mark goes when the overlay's own Python has proved the result. Whatever kills a sync in between leaves
an overlay that `state.inspect` calls incomplete, and that the next sync rebuilds.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..errors import WtenvError
from . import building, builds, layout, placement, sealing, state, twins
from . import manifest as manifests
from .building import REDIRECTOR, Isolation, Project, Uv
from .lock import Report, lock, remove_leftovers
from .manifest import Editable, Manifest
from .proof import prove
from .refresh import follow_base
from .state import State


@dataclass(frozen=True)
class Plan:
    """What the overlay shall be."""

    root: Path  # the worktree (or the stack's folder): where uv looks for its own settings
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
    activate: Mapping[str, str] = field(default_factory=dict)  # file name in bin -> text
    build_env: Callable[[], Mapping[str, str]] | None = None  # the environment that builds see; None: the user's


@dataclass(frozen=True)
class Outcome:
    """What a sync did, or would do."""

    changed: bool
    installed: tuple[str, ...]
    removed: tuple[str, ...]
    reason: str = ""  # why the overlay was not current; empty if it was, or if there is nothing more to say


@dataclass(frozen=True)
class _Difference:
    """What lies between the overlay and the plan. old: what is there and can be kept."""

    verdict: State
    old: Manifest | None
    build: tuple[Project, ...]
    remove: tuple[str, ...]
    deps: bool  # dependencies have to be looked at

    def __bool__(self) -> bool:
        return self.old is None or bool(self.build or self.remove or self.deps)


def sync(plan: Plan, env: Mapping[str, str], report: Report) -> Outcome:
    """Make the overlay what `plan` says. WtenvError says what stood in the way, and what then is there.

    `env` is the user's environment (for data folders, PATH and package indexes); `report` gets one
    line for each step that takes time.
    """
    job, projects = _prepare(plan, env, report)
    try:
        with lock(job.venv, env, report):
            return job.run(projects)
    except OSError as error:
        raise WtenvError(
            f"can't write the overlay {job.venv} ({error.strerror or error})", "mend that and run: wtenv sync"
        ) from error


def preview(plan: Plan, env: Mapping[str, str]) -> Outcome:
    """What `sync` would do now; changes nothing. WtenvError where it would refuse to begin."""
    job, projects = _prepare(plan, env, lambda _: None)
    found = job.compare(projects)
    if found.verdict.kind == "foreign" and not plan.replace:
        raise WtenvError(found.verdict.reason, found.verdict.fix)
    names = tuple(item.name or item.path.name for item in found.build)
    return Outcome(bool(found), names, found.remove, found.verdict.reason)


def _prepare(plan: Plan, env: Mapping[str, str], report: Report) -> tuple[_Job, list[Project]]:
    layout.check_path(plan.venv)
    projects = [building.read_project(path) for path in plan.editables]
    _check_names((item.name, item.path) for item in projects)
    return _Job(plan, manifests.real_place(plan.venv), env, report), projects


def _check_names(pairs: Iterator[tuple[str, Path]]) -> None:
    seen: dict[str, Path] = {}
    for name, path in pairs:
        if name and name in seen:
            raise WtenvError(
                f"{seen[name]} and {path} are the same package, {name}", "declare one of them in [editables]"
            )
        seen[name] = path


@dataclass(frozen=True)
class _Job:
    """One sync, under the lock."""

    plan: Plan
    venv: Path
    env: Mapping[str, str]
    report: Report

    def run(self, projects: Sequence[Project]) -> Outcome:
        """Do what is to be done."""
        found = self.compare(projects)
        if found.verdict.kind == "foreign":
            if not self.plan.replace:
                raise WtenvError(found.verdict.reason, found.verdict.fix)
            placement.move_foreign_aside(self.venv, self.report)
        remove_leftovers(self.venv, self.env)
        if found.old and not found:
            changed = self._finish(found.old._replace(editables=self._kept(found.old, ())))
            return Outcome(changed or found.verdict.kind != "current", (), (), found.verdict.reason)
        manifest = found.old or self._create()
        try:
            placement.mark(self.venv, self.env, building=True)
            try:
                built = self._change(manifest, found, projects)
            except building.BuildError:
                if found.old:  # uv installs nothing unless all was built: what worked still does
                    placement.mark(self.venv, self.env, building=False)
                raise
        finally:
            remove_leftovers(self.venv, self.env)
        self._prove(manifest, built)
        kept = self._kept(manifest, built)
        self._finish(manifest._replace(editables=kept, deps=self._name_deps(manifest)))
        placement.mark(self.venv, self.env, building=False)
        return Outcome(True, tuple(item.name for item in built), found.remove, found.verdict.reason)

    # -- what is to be done

    def compare(self, projects: Sequence[Project]) -> _Difference:
        """What lies between the overlay as it is and the plan; reads only."""
        plan = self.plan
        verdict = state.inspect(self.venv, base_prefix=plan.base_prefix, editables=plan.editables, env=self.env)
        old = manifests.read_manifest(self.venv) if verdict.usable else None
        if old is None or manifests.identify(old.interpreter) != old.interpreter_id:
            # Compiled extensions may not fit another build of Python.
            return _Difference(verdict, None, tuple(self._restrict(projects)), (), plan.install_deps)
        surplus = self._find_surplus(projects, old)
        return _Difference(verdict, old, self._choose(projects, old), surplus, old.deps != self._name_deps(old))

    def _name_deps(self, manifest: Manifest) -> str:
        """Of which base the dependencies were last looked at; empty if they are the base's."""
        return sealing.identify_base(manifest.base_site) if self.plan.install_deps else ""

    def _choose(self, projects: Sequence[Project], manifest: Manifest) -> tuple[Project, ...]:
        """The projects to build."""
        plan = self.plan
        have = {item.path: item for item in manifest.editables}
        present = building.list_installed(manifest.site)
        base = sealing.list_base(manifest.base_site)
        chosen = []
        for project in self._restrict(projects):
            item = have.get(os.fspath(project.path))
            if (
                plan.reinstall
                or item is None
                or item.name not in present
                or present[item.name].source != os.path.realpath(project.path)  # replaced by `pip install`
                or item.fingerprint != manifests.fingerprint(project.path)
                or (plan.build_isolation is True and item.built_with != building.ISOLATED)
                or (plan.build_isolation is False and item.built_with == building.ISOLATED)
                or any(base.get(name) != version for name, equals, version in _split(item.built_with) if equals)
            ):
                chosen.append(project)
        return tuple(chosen)

    def _restrict(self, projects: Sequence[Project]) -> Sequence[Project]:
        if not self.plan.only:
            return projects
        chosen = []
        for word in self.plan.only:
            name = sealing.normalise(word)
            found = [item for item in projects if name == item.name or Path(word) == item.path]
            if not found:
                raise WtenvError(f"no declared editable is called {word}", "see [editables] packages")
            chosen += found
        return chosen

    def _find_surplus(self, projects: Sequence[Project], manifest: Manifest) -> tuple[str, ...]:
        """The distributions in the overlay that nothing declares."""
        if self.plan.inexact or self.plan.only:
            return ()
        names = {item.path: item.name for item in manifest.editables}
        wanted = {item.name or names.get(os.fspath(item.path), "") for item in projects}
        return tuple(sorted(find_surplus(manifest, wanted, deps=self.plan.install_deps)))

    def _kept(self, manifest: Manifest, built: Sequence[Editable]) -> tuple[Editable, ...]:
        """The manifest's list: declared ones, as they are now, in the declared order."""
        have = {item.path: item for item in (*manifest.editables, *built)}
        return tuple(have[path] for path in map(os.fspath, self.plan.editables) if path in have)

    # -- doing it

    def _create(self) -> Manifest:
        plan = self.plan
        facts = layout.probe(plan.base_python, plan.base_prefix, building.make_env(self.env))
        return placement.create(self.venv, plan.root, plan.base_prefix, facts, self.env)

    def _change(self, manifest: Manifest, found: _Difference, projects: Sequence[Project]) -> list[Editable]:
        plan, site = self.plan, Path(manifest.site[-1])

        @cache
        def open_uv() -> Uv:
            env = building.show_base(plan.build_env() if plan.build_env else self.env, manifest.base)
            return Uv(self.venv, plan.root, self._make_env(manifest, env), self.report)

        # Sealed before the first build: a build that is not isolated runs on the overlay's Python.
        sealing.write(site, manifest.base_site, {item.name for item in projects})
        twins.refresh(self.venv, manifest.base_bin, manifest.minor)
        prints = {item.path: manifests.fingerprint(item.path) for item in found.build}
        if found.remove:
            open_uv().pip("uninstall", *found.remove)
        built_with = self._build(manifest, found.build, open_uv)
        installed = building.list_installed(manifest.site)
        built = []
        for project in found.build:
            real = os.path.realpath(project.path)
            own = next((item for item in installed.values() if item.source == real), None)
            if own is None:
                raise WtenvError(
                    f"{project.path} was built but replaced: another declared package has its name",
                    "declare one of them in [editables]",
                )
            text = os.fspath(project.path)
            modules, _ = building.find_modules(own)
            made = (prints[project.path], modules, built_with[project.path])
            built.append(Editable(text, own.name, own.version, *made))
        # A redirector is imported while the base is not on the path yet: it must be in the overlay.
        redirectors = {
            text.partition(";")[0].strip()
            for item in built
            for text in building.read_requires(installed[item.name])
            if text.startswith(REDIRECTOR) and REDIRECTOR not in installed
        }
        if redirectors:
            open_uv().pip("install", "--no-deps", *redirectors)
        if plan.install_deps:
            self._install_missing(open_uv, manifest, [item.name for item in self._kept(manifest, built)])
        follow_base(self.venv, manifest)
        return built

    def _build(
        self, manifest: Manifest, projects: Sequence[Project], open_uv: Callable[[], Uv]
    ) -> dict[Path, tuple[str, ...]]:
        """Install `projects`, from kept builds where there are; what each was built with."""
        plan, built_with, keys = self.plan, dict[Path, tuple[str, ...]](), dict[Path, str]()
        base = sealing.list_base(manifest.base_site)
        native = {item.path: building.match_base(item, base, manifest.python_version) for item in projects}
        present = building.list_installed(manifest.site)
        for item in projects:
            matched = None if plan.build_isolation is True else native[item.path]
            against = building.ISOLATED if matched is None else matched
            if plan.build_isolation is False or plan.reinstall or item.name in present:
                continue
            if key := builds.identify(item, plan.root, manifest, against, self.env):
                keys[item.path] = key
                if made := builds.place(key, item.path, self.venv, self.env):
                    built_with[item.path] = made
        if rest := [item for item in projects if item.path not in built_with]:
            built_with.update(open_uv().build(rest, plan.build_isolation, native))
            installed = building.list_installed(manifest.site)
            for item in rest:
                if item.path in keys and item.name in installed:
                    made = built_with[item.path]
                    builds.keep(keys[item.path], made, installed[item.name], item.path, self.venv, self.env)
        return built_with

    def _make_env(self, manifest: Manifest, env: Mapping[str, str]) -> dict[str, str]:
        return building.make_env(env, os.fspath(self.venv / "bin"), manifest.base_bin)

    def _install_missing(self, open_uv: Callable[[], Uv], manifest: Manifest, roots: Sequence[str]) -> None:
        """Install what neither the overlay nor the base has; what the base has stays the base's."""
        base = sealing.list_base(manifest.base_site)
        wanted: set[str] = set()
        folders = [*manifest.site, *manifest.base_site]
        while missing := set(building.walk_requires(roots, folders, manifest.python_version)[1]) - wanted:
            wanted |= missing
            needed = {name for name, _, _ in _split(sorted(wanted))}
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as excludes:
                excludes.write("\n".join(name for name in {*base, *roots} if name not in needed))
                excludes.flush()
                open_uv().pip("install", "--excludes", excludes.name, *sorted(wanted))

    def _prove(self, manifest: Manifest, built: Sequence[Editable]) -> None:
        """Ask the overlay's Python where each module comes from; WtenvError if from elsewhere."""
        have = {item.name: item for item in (*manifest.editables, *built)}
        imports, _ = prove(self.venv, manifest, tuple(have.values()), self.env)
        for each in imports:
            if not each.origin:
                self.report(f"{each.editable.name}: its module {each.module} can't be found; is it built?")
            elif not each.right:
                raise WtenvError(
                    f"import {each.module} would give {each.origin}, not the worktree's copy in {each.editable.path}",
                    "remove that one from the base, or tell wtenv's authors",
                )

    def _finish(self, manifest: Manifest) -> bool:
        """Let seal, twins and activation scripts be as they should, and write the manifest."""
        stamps = manifests.stamp(manifests.list_sources(manifest, self.venv))
        changed = follow_base(self.venv, manifest) if stamps != manifest.stamps else False
        changed = layout.write_activate(self.venv, self.plan.activate) or changed
        stamps.update(manifests.stamp(manifests.list_sources(manifest, self.venv)[: 1 + len(manifest.site)]))
        new = manifest._replace(stamps=stamps)
        if new != manifests.read_manifest(self.venv):
            manifests.write_manifest(new, self.venv)
        return changed


def find_surplus(manifest: Manifest, wanted: Collection[str], *, deps: bool) -> set[str]:
    """The distributions in the overlay beyond `wanted` and what these need there: with `deps` all that they
    require, else what an editable imports to work."""
    surplus = {name for site in manifest.site for name in sealing.list_distributions(site)} - {*wanted}
    if surplus:
        folders = [*manifest.site, *manifest.base_site]
        needed, _ = building.walk_requires(wanted, folders, manifest.python_version)
        surplus -= needed if deps else needed & {REDIRECTOR}
    return surplus


def _split(requirements: Sequence[str]) -> list[tuple[str, str, str]]:
    """`name==version`, or any requirement's name."""
    from packaging.requirements import Requirement

    parts = []
    for text in requirements:
        name, equals, version = text.partition("==")
        parts.append((name if equals else sealing.normalise(Requirement(text).name), equals, version))
    return parts
