"""`wtenv sync`: make the overlay what the config declares.

An overlay is marked as unfinished (in its record, outside of it) before anything in it changes, and the
mark goes when the overlay's own Python has proved the result. Whatever kills a sync in between leaves
an overlay that `state.inspect` calls incomplete, and that the next sync rebuilds.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import WtenvError
from . import building, layout, sealing, state, twins
from . import manifest as manifests
from .building import REDIRECTOR, Isolation, Project, Uv
from .lock import Report, lock, remove_leftovers
from .manifest import Editable, Manifest, Record
from .refresh import follow_base


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


@dataclass(frozen=True)
class Outcome:
    """What a sync did."""

    changed: bool
    installed: tuple[str, ...]
    removed: tuple[str, ...]
    seconds: float


def sync(plan: Plan, env: Mapping[str, str], report: Report) -> Outcome:
    """Make the overlay what `plan` says. WtenvError says what stood in the way, and what then is there.

    `env` is the user's environment (for data folders, PATH and package indexes); `report` gets one
    line for each step that takes time.
    """
    started = time.monotonic()
    layout.check_path(plan.venv)
    projects = [building.read_project(path) for path in plan.editables]
    _check_names((item.name, item.path) for item in projects)
    venv = manifests.real_place(plan.venv)
    try:
        with lock(venv, env, report):
            changed, installed, removed = _Job(plan, venv, env, report).run(projects)
    except OSError as error:
        raise WtenvError(
            f"can't write the overlay {venv} ({error.strerror or error})", "mend that and run: wtenv sync"
        ) from error
    return Outcome(changed, installed, removed, time.monotonic() - started)


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

    def run(self, projects: Sequence[Project]) -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
        """Whether something changed, and the names of what was installed and removed."""
        plan = self.plan
        verdict = state.inspect(self.venv, base_prefix=plan.base_prefix, editables=plan.editables, env=self.env)
        old = manifests.read_manifest(self.venv) if verdict.usable else None
        if old is not None and manifests.identify(old.interpreter) != old.interpreter_id:
            old = None  # compiled extensions may not fit another build of Python
        if verdict.kind == "foreign":
            self._move_foreign_aside(verdict.reason, verdict.fix)
        remove_leftovers(self.venv, self.env)
        manifest = old or self._create()
        try:
            todo = self._choose(projects, manifest)
            surplus = self._find_surplus(projects, manifest)
            if old and not todo and not surplus and old.deps == plan.install_deps:
                changed = self._finish(old._replace(editables=self._kept(old, ())))
                return changed or verdict.kind != "current", (), ()
            self._mark(building=True)
            try:
                built = self._change(manifest, todo, surplus, projects)
            except building.BuildError:
                if old:  # uv installs nothing unless all was built: what worked still does
                    self._mark(building=False)
                raise
        finally:
            remove_leftovers(self.venv, self.env)
        self._prove(manifest, built)
        kept = self._kept(manifest, built)
        self._finish(manifest._replace(editables=kept, deps=plan.install_deps))
        self._mark(building=False)
        return True, tuple(item.name for item in built), tuple(surplus)

    # -- what is to be done

    def _choose(self, projects: Sequence[Project], manifest: Manifest) -> list[Project]:
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
                or item.fingerprint != manifests.fingerprint(project.path)
                or (plan.build_isolation is True and item.built_with != building.ISOLATED)
                or (plan.build_isolation is False and item.built_with == building.ISOLATED)
                or any(base.get(name) != version for name, equals, version in _split(item.built_with) if equals)
            ):
                chosen.append(project)
        return chosen

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

    def _find_surplus(self, projects: Sequence[Project], manifest: Manifest) -> list[str]:
        """The distributions in the overlay that nothing declares."""
        if self.plan.inexact or self.plan.only:
            return []
        names = {item.path: item.name for item in manifest.editables}
        wanted = {item.name or names.get(os.fspath(item.path), "") for item in projects}
        surplus = {name for site in manifest.site for name in sealing.list_distributions(site)} - wanted
        if surplus:
            folders = [*manifest.site, *manifest.base_site]
            needed, _ = building.walk_requires(wanted, folders, manifest.python_version)
            surplus -= needed if self.plan.install_deps else needed & {REDIRECTOR}
        return sorted(surplus)

    def _kept(self, manifest: Manifest, built: Sequence[Editable]) -> tuple[Editable, ...]:
        """The manifest's list: declared ones, as they are now, in the declared order."""
        have = {item.path: item for item in (*manifest.editables, *built)}
        return tuple(have[path] for path in map(os.fspath, self.plan.editables) if path in have)

    # -- doing it

    def _change(
        self, manifest: Manifest, todo: Sequence[Project], surplus: Sequence[str], projects: Sequence[Project]
    ) -> list[Editable]:
        plan, site = self.plan, Path(manifest.site[-1])
        env = building.make_env(self.env, os.fspath(self.venv / "bin"), manifest.base_bin)
        uv = Uv(self.venv, plan.root, env, self.report)
        # Sealed before the first build: a build that is not isolated runs on the overlay's Python.
        sealing.write(site, manifest.base_site, {item.name for item in projects})
        twins.refresh(self.venv, manifest.base_bin, ".".join(manifest.python_version.split(".")[:2]))
        prints = {item.path: manifests.fingerprint(item.path) for item in todo}
        built_with: dict[Path, tuple[str, ...]] = {}
        if surplus:
            uv.pip("uninstall", *surplus)
        if todo:
            base = sealing.list_base(manifest.base_site)
            native = {item.path: building.match_base(item, base, manifest.python_version) for item in todo}
            built_with = uv.build(todo, plan.build_isolation, native)
        installed = building.list_installed(manifest.site)
        built = []
        for project in todo:
            real = os.path.realpath(project.path)
            found = next((item for item in installed.values() if item.source == real), None)
            if found is None:
                raise WtenvError(
                    f"{project.path} was built but replaced: another declared package has its name",
                    "declare one of them in [editables]",
                )
            text = os.fspath(project.path)
            modules, _ = building.find_modules(found)
            made = (prints[project.path], modules, built_with[project.path])
            built.append(Editable(text, found.name, found.version, *made))
        # A redirector is imported while the base is not on the path yet: it must be in the overlay.
        redirectors = {
            text.partition(";")[0].strip()
            for item in built
            for text in building.read_requires(installed[item.name])
            if text.startswith(REDIRECTOR) and REDIRECTOR not in installed
        }
        if redirectors:
            uv.pip("install", "--no-deps", *redirectors)
        if plan.install_deps:
            self._install_missing(uv, manifest, [item.name for item in self._kept(manifest, built)])
        follow_base(self.venv, manifest)
        return built

    def _install_missing(self, uv: Uv, manifest: Manifest, roots: Sequence[str]) -> None:
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
                uv.pip("install", "--excludes", excludes.name, *sorted(wanted))

    def _prove(self, manifest: Manifest, built: Sequence[Editable]) -> None:
        """Ask the overlay's Python where each module comes from; WtenvError if from elsewhere."""
        installed = building.list_installed(manifest.site)
        allowed = {}
        for item in (*manifest.editables, *built):
            if item.name in installed and installed[item.name].source:
                source, (_, places) = installed[item.name].source, building.find_modules(installed[item.name])
                own = [os.path.realpath(place) for place in (source, *manifest.site, *places)]
                allowed.update(dict.fromkeys(item.modules, (item, own)))
        env = building.make_env(self.env, os.fspath(self.venv / "bin"), manifest.base_bin)
        found = layout.locate(self.venv, sorted(allowed), env)
        for module, (item, own) in allowed.items():
            origin = found.get(module, "")
            if not origin:
                self.report(f"{item.name}: its module {module} can't be found; is it built?")
            elif not any(Path(os.path.realpath(origin)).is_relative_to(place) for place in own):
                raise WtenvError(
                    f"import {module} would give {origin}, not the worktree's copy in {item.path}",
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

    # -- the folder and its record

    def _create(self) -> Manifest:
        """Build a bare overlay beside the place, and put it there with one rename."""
        plan, venv = self.plan, self.venv
        env = building.make_env(self.env)
        facts = layout.probe(plan.base_python, plan.base_prefix, env)
        sealing.check_base_sites(facts.sites)
        token = os.urandom(16).hex()
        fresh, aside = (venv.with_name(f"{venv.name}.{word}-{token[:8]}") for word in ("new", "old"))
        record_file = manifests.record_path(venv, self.env)
        leftovers = (fresh.name, aside.name)
        if os.path.lexists(venv):
            # Ours, but unfinished, moved, copied or for another base. Adopted first: killed here,
            # it is still known as ours.
            seen = manifests.read_manifest(venv)
            known = manifests.read_record(record_file)
            old = seen.token if seen else known.token if known else token
            inode = venv.lstat().st_ino
            manifests.write_record(Record(old, str(venv), inode, True, leftovers), record_file)
            venv.rename(aside)
        manifests.write_record(Record(token, str(venv), 0, True, leftovers), record_file)
        fresh.parent.mkdir(parents=True, exist_ok=True)  # venv = "build/env"
        fresh.mkdir()
        layout.create(fresh, facts, plan.root.name)
        libs = dict.fromkeys((facts.platlib, facts.purelib))
        manifest = Manifest(
            token=token,
            root=os.fspath(plan.root),
            venv=os.fspath(venv),
            base=os.fspath(plan.base_prefix),
            interpreter=facts.interpreter,
            interpreter_id=manifests.identify(facts.interpreter),
            python_version=facts.version,
            site=tuple(os.fspath(venv / lib) for lib in libs),
            base_bin=os.fspath(plan.base_prefix / "bin"),
            base_site=facts.sites,
        )
        manifests.write_manifest(manifest, fresh)
        inode = fresh.lstat().st_ino
        manifests.write_record(Record(token, str(venv), inode, True, leftovers), record_file)
        fresh.rename(venv)
        return manifest

    def _mark(self, *, building: bool) -> None:
        record_file = manifests.record_path(self.venv, self.env)
        record = manifests.read_record(record_file)
        assert record is not None
        manifests.write_record(record._replace(building=building), record_file)
        with contextlib.suppress(OSError):
            # The mark is outside of what open shells watch; the manifest's time tells them.
            manifests.touch(self.venv)

    def _move_foreign_aside(self, reason: str, fix: str) -> None:
        if not self.plan.replace:
            raise WtenvError(reason, fix)
        if self.venv.is_symlink():
            self.venv.unlink()  # the link alone; where it leads is not ours
            return
        number = 1
        while os.path.lexists(aside := self.venv.with_name(f"{self.venv.name}.replaced-{number}")):
            number += 1
        self.venv.rename(aside)
        self.report(f"the old {self.venv.name} is now {aside}")


def _split(requirements: Sequence[str]) -> list[tuple[str, str, str]]:
    """`name==version`, or any requirement's name."""
    from packaging.requirements import Requirement

    parts = []
    for text in requirements:
        name, equals, version = text.partition("==")
        parts.append((name if equals else sealing.normalise(Requirement(text).name), equals, version))
    return parts
