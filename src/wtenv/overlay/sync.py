"""`wtenv sync`: make the overlay what the config declares.

An overlay is marked as unfinished (in its record, outside of it) before anything in it changes, and the
mark goes when the import check has passed. Whatever kills a sync in between leaves an overlay that `state.inspect`
calls incomplete, and that the next sync makes anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .. import distributions
from ..errors import WtenvError
from . import building, indexes, layout, pth, registry, requirements, state, swap, wrappers
from . import manifest as manifests
from .activate import write_activate
from .building import BuildError, Uv
from .difference import Difference, Plan, choose, compare, find_undeclared, list_declared, name_deps, read_projects
from .imports import check_imports, require_right
from .manifest import Editable, Manifest
from .modules import find_modules
from .project import Project
from .refresh import follow_base, make_private, with_inventory
from .registry import Report, lock, lock_soon, remove_leftovers
from .requirements import REDIRECTOR

if TYPE_CHECKING:
    from .reuse import Build


@dataclass(frozen=True)
class Outcome:
    """What a sync did, or would do."""

    changed: bool
    installed: tuple[str, ...]
    removed: tuple[str, ...]
    reason: str = ""  # why the overlay was not current; empty if it was, or if there is nothing more to say


def sync(plan: Plan, env: Mapping[str, str], report: Report) -> Outcome:
    """Make the overlay what `plan` says. WtenvError if that is not possible.

    env: the user's environment (for data folders, PATH and package indexes); report: gets one line for each step that
    takes time.
    """
    job = _prepare(plan, env, report)
    try:
        with lock(job.venv, env, report):
            return job.run()
    except OSError as error:
        what = error.filename or f"the overlay {job.venv}"
        raise WtenvError(f"can't write {what} ({error.strerror or error})", "fix that and run: wtenv sync") from error


def place(plan: Plan, env: Mapping[str, str]) -> Outcome | None:
    """Make the overlay that is missing, if kept builds have all that it consists of; None if that is not so, or if
    somebody else is at it. No uv and no code of the checkout is started: this is what entering a new worktree does.
    WtenvError where `sync` would refuse to begin.
    """
    job = _prepare(plan, env, lambda _: None)
    try:
        with lock_soon(job.venv, env):
            return job.place()
    except OSError:
        return None  # a sync says why


def preview(plan: Plan, env: Mapping[str, str]) -> Outcome:
    """What `sync` would do now; changes nothing. WtenvError if `sync` would refuse to begin."""
    job = _prepare(plan, env, lambda _: None)
    found = compare(plan, job.venv, job.projects, env)
    names = tuple(item.name or item.path.name for item in found.build)
    return Outcome(bool(found), (*names, *found.missing), found.remove, found.verdict.reason)


def _prepare(plan: Plan, env: Mapping[str, str], report: Report) -> _Job:
    return _Job(plan, read_projects(plan), manifests.real_place(plan.venv), env, report)


@dataclass(frozen=True)
class _Job:
    """One sync, under the lock."""

    plan: Plan
    projects: Sequence[Project]  # the declared ones
    venv: Path  # as in the plan, the folders above it resolved
    env: Mapping[str, str]
    report: Report

    def run(self) -> Outcome:
        """Find out what differs from the plan, change that, check the imports, and write down what there is."""
        found = compare(self.plan, self.venv, self.projects, self.env)
        if found.verdict.kind == "foreign":
            swap.move_foreign_aside(self.venv, self.report)
        remove_leftovers(self.venv, self.env)
        if found.old and not found:
            return Outcome(self._finish(found.old, ()), (), (), found.verdict.reason)
        manifest = found.old or self._create()
        before = distributions.snapshot(manifest.site)
        try:
            registry.set_building(self.venv, self.env, building=True)
            if found.old and found.verdict.repairable:
                swap.set_altered_aside(self.venv, found.verdict.altered, self.report)
                found = replace(found, build=choose(self.plan, self.projects, found.old))
            built = self._change_and_verify(manifest, found)
        except (WtenvError, OSError):
            if found.old and distributions.snapshot(manifest.site) == before:  # what worked still does
                registry.set_building(self.venv, self.env, building=False)
            raise
        finally:
            remove_leftovers(self.venv, self.env)
        self._finish(manifest, built)
        registry.set_building(self.venv, self.env, building=False)
        if found.old is None and (said := wrappers.describe_others(self.venv, manifest)):
            self.report(said)  # once in an overlay's life
        after, names = distributions.snapshot(manifest.site), tuple(item.name for item in built)
        others = (name for name in sorted(after) if name not in names and after[name] != before.get(name))
        gone = tuple(name for name in sorted(before) if name not in after)
        return Outcome(True, (*names, *others), gone, found.verdict.reason)

    def place(self) -> Outcome | None:
        """See the function of this name."""
        from . import reuse

        plan = self.plan
        verdict = state.inspect(self.venv, base_prefix=plan.base_prefix, editables=plan.editables, env=self.env)
        if verdict.usable:  # another shell was quicker
            return Outcome(False, (), ())
        facts = layout.recall(plan.base_python, plan.base_prefix, self.env)
        hindrance = state.find_hindrance(self.venv, self.env)
        if verdict.kind != "absent" or hindrance or facts is None or plan.install_deps:
            return None
        found = self._find_kept(swap.draft(self.venv, plan.root, plan.base_prefix, facts))
        if found is None:
            return None
        keys, kept = found
        remove_leftovers(self.venv, self.env)
        try:
            manifest = swap.create(self.venv, plan.root, plan.base_prefix, facts, self.env)
        except OSError:
            remove_leftovers(self.venv, self.env)
            return None
        try:
            built = self._change(manifest, Difference(verdict, None, tuple(self.projects), (), ()), None, kept)
            self._finish(manifest, self._verify(manifest, built, {os.fspath(path) for path in kept}, quiet=True))
        except (WtenvError, OSError) as error:
            if isinstance(error, WtenvError) and error.cacheable:  # not a full disk, which says nothing about them
                for key in keys:
                    reuse.forget(key, self.env)
            swap.withdraw(self.venv, self.env)
            return None
        registry.set_building(self.venv, self.env, building=False)
        return Outcome(True, tuple(item.name for item in built), ())

    def _find_kept(self, manifest: Manifest) -> tuple[list[str], dict[Path, Build]] | None:
        """The keys and kept builds of all projects; None if there is not one for each, or if the overlay needs more
        than these."""
        from .shelf import Shelf

        declared = {item.name: item.path for item in self.projects}
        open_uv = cache(lambda: self._open_uv(manifest, declared))
        if any(building.find_tools(item, open_uv) for item in self.projects):
            return None
        base, version = distributions.list_versions(manifest.base_site), manifest.python_version
        native = {item.path: building.match_base(item, base, version, declared) for item in self.projects}
        shelf = Shelf(self.plan.build_isolation, manifest, native, declared, lambda: open_uv().env, self.env, False)
        keys: list[str] = []
        kept: dict[Path, Build] = {}
        for item in self.projects:
            key = shelf.identify(item)
            build = shelf.find(item, key)
            if key is None or build is None or REDIRECTOR in build.requires:
                return None
            keys.append(key)
            kept[item.path] = build
        return keys, kept

    def _change_and_verify(self, manifest: Manifest, found: Difference) -> tuple[Editable, ...]:
        """Build and check the imports; what was built. If kept builds do not pass the check, all is built again without
        them."""
        reused: dict[Path, str] = {}
        try:
            built = self._change(manifest, found, reused)
            return self._verify(manifest, built, {os.fspath(path) for path in reused})
        except BuildError:
            raise
        except WtenvError:
            if not reused:
                raise
        from . import reuse

        for key in reused.values():
            reuse.forget(key, self.env)
        return self._verify(manifest, self._change(manifest, found, None), set())

    def _create(self) -> Manifest:
        plan = self.plan
        facts = layout.probe(plan.base_python, plan.base_prefix, building.make_env(self.env))
        layout.remember(facts, plan.base_python, plan.base_prefix, self.env)
        return swap.create(self.venv, plan.root, plan.base_prefix, facts, self.env)

    def _change(
        self,
        manifest: Manifest,
        found: Difference,
        reused: dict[Path, str] | None,
        kept: Mapping[Path, Build] | None = None,
    ) -> tuple[Editable, ...]:
        """Install and remove; what was built. reused: gets the keys of the kept builds that were used; None: use
        none. kept: the builds of all that is to be installed, already found."""
        plan, declared = self.plan, {item.name: item.path for item in self.projects if item.name}
        open_uv = cache(lambda: self._open_uv(manifest, declared))
        # The bootstrap comes before the first build: a build that is not isolated runs on the overlay's Python.
        pth.write(manifest, coming={item.name for item in self.projects})
        wrappers.refresh(self.venv, manifest)
        todo = found.build
        if found.remove and (still := set(found.remove) & distributions.list_installed(manifest.site).keys()):
            open_uv().pip("uninstall", *sorted(still))
            if found.old:  # another one's scripts may have had the same names
                todo = tuple(dict.fromkeys((*todo, *choose(plan, self.projects, manifest))))
        prints = {item.path: manifests.fingerprint(item.path) for item in todo}
        if kept is None:
            native = requirements.prepare_builds(manifest, todo, declared, plan.build_isolation, open_uv)
            built_with = self._build(manifest, todo, declared, native, open_uv, reused)
        else:
            built_with = self._install(kept)
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
            roots = [item.name for item in list_declared(plan, manifest, built)]
            requirements.install_missing(open_uv, manifest, roots, declared)
            # Only now it is known what the new ones require.
            if surplus := find_undeclared(plan, self.projects, (*manifest.editables, *built), manifest):
                open_uv().pip("uninstall", *surplus)
        follow_base(self.venv, manifest._replace(editables=list_declared(plan, manifest, built)))
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
        """Install `projects`, from kept builds where there are some; path -> the packages that each was built with.
        native: see `Uv.build`; reused: see `_change`."""
        from . import recipe  # what a sync without anything to do goes without
        from .shelf import Built, Shelf

        built_with = dict[Path, tuple[str, ...]]()
        present = distributions.list_installed(manifest.site)
        look = reused is not None and not self.plan.reinstall
        shelf = Shelf(self.plan.build_isolation, manifest, native, {*declared}, lambda: open_uv().env, self.env)
        keys = {item.path: shelf.identify(item) for item in projects}
        kept = {}
        for item in projects:
            is_new = item.name not in present if item.name else not present
            if look and is_new and (build := shelf.find(item, keys[item.path])):
                kept[item.path] = build
        if reused is not None:
            reused.update({path: keys[path] or "" for path in kept})
        if rest := [item for item in projects if item.path not in kept]:
            since = recipe.read_clock(self.venv)
            built_with.update(open_uv().build(rest, self.plan.build_isolation, native))
            # By its source: of a setup.py alone only running it tells the name.
            installed = {item.source: item for item in distributions.list_installed(manifest.site).values()}
            made = [
                Built(item, keys[item.path], found, built_with[item.path])
                for item in rest
                if (found := installed.get(os.path.realpath(item.path)))
            ]
            shelf.keep(made, since)
        return {**built_with, **self._install(kept)}  # these after the builds, which may fail

    def _install(self, kept: Mapping[Path, Build]) -> dict[Path, tuple[str, ...]]:
        """Put kept builds into the overlay; what each was built with."""
        from . import reuse

        for path, build in kept.items():
            reuse.place(build, path, self.venv)
        return {path: build.built_with for path, build in kept.items()}

    def _open_uv(self, manifest: Manifest, declared: Mapping[str, Path]) -> Uv:
        plan = self.plan
        seen = building.show_base(plan.build_env() if plan.build_env else self.env, manifest.base)
        env = building.make_env(seen, os.fspath(self.venv / "bin"), manifest.base_bin)
        options, env = indexes.limit_settings(env, self.env, plan.root, self.report)
        foreign = indexes.find_foreign_workspace(plan.editables) if plan.sources else None
        if foreign:
            self.report(f"other users could write {foreign}: [tool.uv.sources] are not followed")
        certificates = indexes.list_certificates(seen, manifest.base)
        sources = plan.sources and not foreign
        return Uv(self.venv, plan.root, env, self.report, options, sources, certificates, declared)

    def _verify(
        self, manifest: Manifest, built: Sequence[Editable], reused: Collection[str], *, quiet: bool = False
    ) -> tuple[Editable, ...]:
        """Make the import check; `built`, with the files of their modules. WtenvError if a package does not pass.
        reused: the paths of packages from kept builds; of these every module must be found. quiet: see
        `finders.ask_python`."""
        have = {item.name: item for item in (*manifest.editables, *built)}
        imports, _ = check_imports(self.venv, manifest, tuple(have.values()), self.env, quiet=quiet)
        require_right(imports, reused, isolated=self.plan.build_isolation is True, report=self.report)
        for item in built:
            if not item.modules:
                self.report(f"{item.name}: no module of it is known, so no import could be checked")
        places = {(each.editable.path, each.module): each.origin for each in imports}
        return tuple(
            item._replace(places=tuple(places.get((item.path, module), "") for module in item.modules))
            for item in built
        )

    def _finish(self, manifest: Manifest, built: Sequence[Editable]) -> bool:
        """Bring bootstrap, wrappers and activation scripts up to date, and write the manifest. True if something
        changed."""
        declared = list_declared(self.plan, manifest, built)
        manifest = manifest._replace(editables=declared, deps=name_deps(self.plan, manifest))
        times = manifests.read_times(manifests.list_sources(manifest, self.venv))
        changed = follow_base(self.venv, manifest) if times != manifest.times else False
        changed = write_activate(self.plan.venv) or changed
        make_private(self.venv)
        new = with_inventory(self.venv, manifest._replace(times=times))
        if new != manifests.read_manifest(self.venv):
            manifests.write_manifest(new, self.venv)
        return changed
