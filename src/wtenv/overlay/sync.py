"""`wtenv sync`: make the overlay what the config declares.

An overlay is marked as unfinished (in its record, outside of it) before anything in it changes, and the
mark goes when the overlay's own Python has proved the result. Whatever kills a sync in between leaves
an overlay that `state.inspect` calls incomplete, and that the next sync rebuilds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from .. import distributions
from ..errors import WtenvError
from ..names import normalise
from . import building, indexes, layout, pth, requirements, state, swap, wrappers
from . import manifest as manifests
from .building import BuildError, Isolation, Project, Uv
from .exclusive import Report, lock, remove_leftovers
from .imports import judge, prove
from .manifest import Editable, Manifest
from .modules import find_modules
from .refresh import follow_base, note, tighten
from .requirements import REDIRECTOR
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
    missing: tuple[str, ...]  # with install_deps: requirements that nothing satisfies, as far as it is known

    def __bool__(self) -> bool:
        return self.old is None or bool(self.build or self.remove or self.missing or self.verdict.repairable)


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
            f"can't write the overlay {job.venv} ({error.strerror or error})", "fix that and run: wtenv sync"
        ) from error


def preview(plan: Plan, env: Mapping[str, str]) -> Outcome:
    """What `sync` would do now; changes nothing. WtenvError where it would refuse to begin."""
    job, projects = _prepare(plan, env, lambda _: None)
    found = job.compare(projects)
    names = tuple(item.name or item.path.name for item in found.build)
    return Outcome(bool(found), (*names, *found.missing), found.remove, found.verdict.reason)


def _prepare(plan: Plan, env: Mapping[str, str], report: Report) -> tuple[_Job, list[Project]]:
    for place in (plan.venv, plan.base_prefix):
        layout.check_path(place)
    projects = [building.read_project(path) for path in plan.editables]
    building.check_names(projects)
    return _Job(plan, manifests.real_place(plan.venv), env, report), projects


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
            swap.move_foreign_aside(self.venv, self.report)
        remove_leftovers(self.venv, self.env)
        if found.old and not found:
            kept = found.old._replace(editables=self._kept(found.old, ()), deps=self._name_deps(found.old))
            return Outcome(self._finish(kept), (), (), found.verdict.reason)
        manifest = found.old or self._create()
        before = distributions.take_stock(manifest.site)
        try:
            swap.mark(self.venv, self.env, building=True)
            if found.old and found.verdict.repairable:
                swap.set_wrong_aside(self.venv, found.verdict.altered, self.report)
                found = replace(found, build=self._choose(projects, found.old))
            built = self._change_and_prove(manifest, found, projects)
        except (WtenvError, OSError):
            if found.old and distributions.take_stock(manifest.site) == before:  # what worked still does
                swap.mark(self.venv, self.env, building=False)
            raise
        finally:
            remove_leftovers(self.venv, self.env)
        kept = manifest._replace(editables=self._kept(manifest, built), deps=self._name_deps(manifest))
        self._finish(kept)
        swap.mark(self.venv, self.env, building=False)
        if found.old is None and (said := wrappers.describe_others(self.venv, manifest)):
            self.report(said)  # once in an overlay's life
        after, names = distributions.take_stock(manifest.site), tuple(item.name for item in built)
        others = (name for name in sorted(after) if name not in names and after[name] != before.get(name))
        gone = tuple(name for name in sorted(before) if name not in after)
        return Outcome(True, (*names, *others), gone, found.verdict.reason)

    def _change_and_prove(
        self, manifest: Manifest, found: _Difference, projects: Sequence[Project]
    ) -> tuple[Editable, ...]:
        """What was built; again, and without kept builds, if these do not stand the proof."""
        reused: dict[Path, str] = {}
        try:
            built = self._change(manifest, found, projects, reused)
            return self._prove(manifest, built, {os.fspath(path) for path in reused})
        except BuildError:
            raise
        except WtenvError:
            if not reused:
                raise
        from . import reuse

        for key in reused.values():
            reuse.forget(key, self.env)
        return self._prove(manifest, self._change(manifest, found, projects, None), set())

    # -- what is to be done

    def compare(self, projects: Sequence[Project]) -> _Difference:
        """What lies between the overlay as it is and the plan; reads only. WtenvError if what is there is not ours
        to replace."""
        plan = self.plan
        verdict = state.inspect(self.venv, base_prefix=plan.base_prefix, editables=plan.editables, env=self.env)
        if verdict.kind == "foreign" and not plan.replace:
            raise WtenvError(verdict.reason, verdict.fix)
        if hindrance := state.find_hindrance(self.venv, self.env):
            raise WtenvError(*hindrance[:2])
        old = manifests.read_manifest(self.venv) if verdict.usable or verdict.repairable else None
        if old is None or manifests.identify(old.interpreter) != old.interpreter_id:
            # Compiled extensions may not fit another build of Python.
            return _Difference(verdict, None, self._restrict(projects, ()), (), ())
        missing: list[str] = []
        if plan.install_deps and old.deps != self._name_deps(old):
            roots = [item.name for item in self._kept(old, ())]
            _, missing = requirements.walk_requires(roots, [*old.site, *old.base_site], old.python_version)
        surplus = self._find_surplus(projects, old.editables, old)
        return _Difference(verdict, old, self._choose(projects, old), surplus, tuple(missing))

    def _name_deps(self, manifest: Manifest) -> str:
        """Of which base the dependencies were last looked at; empty if they are the base's."""
        return pth.identify_base(manifest.base_site) if self.plan.install_deps else ""

    def _choose(self, projects: Sequence[Project], manifest: Manifest) -> tuple[Project, ...]:
        """The projects to build."""
        plan = self.plan
        have = {item.source: item for item in manifest.editables}
        present = distributions.list_installed(manifest.site)
        base, own = distributions.list_versions(manifest.base_site), distributions.list_versions(manifest.site)
        chosen = []
        for project in self._restrict(projects, manifest.editables):
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
                    version not in (base.get(name), own.get(name))
                    for name, version in building.split_pins(item.built_with)
                )
            ):
                chosen.append(project)
        return tuple(chosen)

    def _restrict(self, projects: Sequence[Project], known: Sequence[Editable]) -> tuple[Project, ...]:
        """Those that `only` names, by name or by path; a name that only a build has told is in `known`."""
        if not self.plan.only:
            return tuple(projects)
        names = {item.source: item.name for item in known}
        chosen: dict[Path, Project] = {}
        for word in self.plan.only:
            name, real = normalise(word), os.path.realpath(word)
            for item in projects:
                at = os.path.realpath(item.path)
                if real == at or (name and name in (item.name, names.get(at))):
                    chosen[item.path] = item
                    break
            else:
                raise WtenvError(f"no declared editable is called {word}", "see [editables] packages")
        return tuple(chosen.values())

    def _find_surplus(
        self, projects: Sequence[Project], known: Sequence[Editable], manifest: Manifest
    ) -> tuple[str, ...]:
        """The distributions in the overlay that nothing declares."""
        if self.plan.inexact or self.plan.only:
            return ()
        names = {item.source: item.name for item in known}
        wanted = {item.name or names.get(os.path.realpath(item.path), "") for item in projects}
        tools = building.list_tools(known)
        return tuple(sorted(requirements.find_surplus(manifest, wanted, tools, deps=self.plan.install_deps)))

    def _kept(self, manifest: Manifest, built: Sequence[Editable]) -> tuple[Editable, ...]:
        """The manifest's list: declared ones, as they are now, in the declared order."""
        have = {item.source: item for item in (*manifest.editables, *built)}
        wanted = {os.path.realpath(path): os.fspath(path) for path in self.plan.editables}
        return tuple(have[real]._replace(path=path) for real, path in wanted.items() if real in have)

    # -- doing it

    def _create(self) -> Manifest:
        plan = self.plan
        facts = layout.probe(plan.base_python, plan.base_prefix, building.make_env(self.env))
        return swap.create(self.venv, plan.root, plan.base_prefix, facts, self.env)

    def _change(
        self, manifest: Manifest, found: _Difference, projects: Sequence[Project], reused: dict[Path, str] | None
    ) -> tuple[Editable, ...]:
        """Install and remove. `reused` gets the keys of kept builds that were used; None: use none."""
        plan, declared = self.plan, {item.name: item.path for item in projects if item.name}
        open_uv = cache(lambda: self._open_uv(manifest, declared))
        # The bootstrap comes before the first build: a build that is not isolated runs on the overlay's Python.
        pth.write(manifest, {item.name for item in projects})
        wrappers.refresh(self.venv, manifest)
        todo = found.build
        if found.remove and (still := set(found.remove) & distributions.list_installed(manifest.site).keys()):
            open_uv().pip("uninstall", *sorted(still))
            if found.old:  # another one's scripts may have had the same names
                todo = tuple(dict.fromkeys((*todo, *self._choose(projects, manifest))))
        prints = {item.path: manifests.fingerprint(item.path) for item in todo}
        native = requirements.prepare_builds(manifest, todo, declared, plan.build_isolation, open_uv)
        built_with = self._build(manifest, todo, declared, native, open_uv, reused)
        installed = distributions.list_installed(manifest.site)
        built = []
        for project in todo:
            real = os.path.realpath(project.path)
            own = next((item for item in installed.values() if item.source == real), None)
            if own is None:
                raise WtenvError(
                    f"{project.path} was built but replaced: another declared package has its name",
                    "declare one of them in [editables]",
                )
            modules, _ = find_modules(own)
            made = (prints[project.path], modules, built_with[project.path])
            built.append(Editable(os.fspath(project.path), own.name, own.version, *made, real=real))
        # A redirector is imported while the base is not on the path yet: it must be in the overlay.
        redirectors = {
            text.partition(";")[0].strip()
            for item in built
            for text in installed[item.name].list_requires()
            if text.startswith(REDIRECTOR) and REDIRECTOR not in installed
        }
        if redirectors:
            open_uv().pip("install", "--no-deps", *redirectors)
        if plan.install_deps:
            roots = [item.name for item in self._kept(manifest, built)]
            requirements.install_missing(open_uv, manifest, roots, declared)
            # Only now it is known what the new ones require.
            if surplus := self._find_surplus(projects, (*manifest.editables, *built), manifest):
                open_uv().pip("uninstall", *surplus)
        follow_base(self.venv, manifest._replace(editables=self._kept(manifest, built)))
        return tuple(built)

    def _build(
        self,
        manifest: Manifest,
        projects: Sequence[Project],
        declared: Collection[str],
        native: Mapping[Path, tuple[str, ...] | None],
        open_uv: Callable[[], Uv],
        reused: dict[Path, str] | None,
    ) -> dict[Path, tuple[str, ...]]:
        """Install `projects`, from kept builds where there are; what each was built with. `native`: see `Uv.build`."""
        from . import reuse  # what a sync without anything to do goes without

        plan, built_with = self.plan, dict[Path, tuple[str, ...]]()
        present = distributions.list_installed(manifest.site)

        def identify(item: Project) -> str | None:
            matched = None if plan.build_isolation is True else native[item.path]
            against = building.ISOLATED if matched is None else matched
            if plan.build_isolation is False or building.name_requires(item) & {*declared}:
                return None  # what of that the result depends on is not known
            return reuse.identify(item, manifest, against, open_uv().env)

        keys = {item.path: identify(item) for item in projects}
        kept: dict[Path, reuse.Build] = {}
        for item in projects:
            key = keys[item.path]
            if key is None or reused is None or plan.reinstall or item.name in present:
                continue
            if build := reuse.find(key, item.path, self.venv, self.env):
                kept[item.path], reused[item.path] = build, key
        if rest := [item for item in projects if item.path not in kept]:
            built_with.update(open_uv().build(rest, plan.build_isolation, native))
            installed = distributions.list_installed(manifest.site)
            for item in rest:
                key = keys[item.path]
                # Once more: what it read may have been edited while it ran.
                if key and item.name in installed and key == identify(item):
                    made = built_with[item.path]
                    reuse.keep(key, made, installed[item.name], item.path, self.venv, self.env)
        for path, build in kept.items():  # after the builds, which may fail
            reuse.place(build, self.venv)
            built_with[path] = build.built_with
        return built_with

    def _open_uv(self, manifest: Manifest, declared: Mapping[str, Path]) -> Uv:
        plan = self.plan
        seen = building.show_base(plan.build_env() if plan.build_env else self.env, manifest.base)
        env = building.make_env(seen, os.fspath(self.venv / "bin"), manifest.base_bin)
        options, env = indexes.settle(env, self.env, plan.root, self.report)
        foreign = indexes.find_foreign_workspace(plan.editables) if plan.sources else None
        if foreign:
            self.report(f"other users could write {foreign}: [tool.uv.sources] are not followed")
        certificates = indexes.list_certificates(seen, manifest.base)
        sources = plan.sources and not foreign
        return Uv(self.venv, plan.root, env, self.report, options, sources, certificates, declared)

    def _prove(self, manifest: Manifest, built: Sequence[Editable], reused: Collection[str]) -> tuple[Editable, ...]:
        """Ask the overlay's Python where each module comes from; WtenvError if from elsewhere, or if nothing of a
        package is found. `reused`: those of which everything has to be. Returns `built`, with where that was."""
        have = {item.name: item for item in (*manifest.editables, *built)}
        imports, _ = prove(self.venv, manifest, tuple(have.values()), self.env)
        judge(imports, reused, isolated=self.plan.build_isolation is True, report=self.report)
        for item in built:
            if not item.modules:
                self.report(f"{item.name}: no module of it is known, so nothing could be proved")
        places: dict[str, list[str]] = {item.path: [] for item in have.values()}
        for each in imports:
            places[each.editable.path] += filter(None, [each.origin])
        return tuple(item._replace(places=tuple(places[item.path])) for item in built)

    def _finish(self, manifest: Manifest) -> bool:
        """Let bootstrap, wrappers and activation scripts be as they should, and write the manifest."""
        stamps = manifests.stamp(manifests.list_sources(manifest, self.venv))
        changed = follow_base(self.venv, manifest) if stamps != manifest.stamps else False
        changed = layout.write_activate(self.venv, self.plan.activate) or changed
        tighten(self.venv)
        new = note(self.venv, manifest._replace(stamps=stamps))
        if new != manifests.read_manifest(self.venv):
            manifests.write_manifest(new, self.venv)
        return changed
