"""The shelf: which kept build serves a project in this overlay, and what of a new build is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..distributions import Distribution
from ..errors import WtenvError
from ..worktree import find_root
from . import building, recipe, reuse, tree
from .building import Isolation
from .manifest import Manifest
from .project import Project, name_requires
from .reuse import Build
from .tree import Tree


class Built(NamedTuple):
    """A project that was built."""

    project: Project
    key: str | None
    """As it was identified before."""
    installed: Distribution
    built_with: tuple[str, ...]


@dataclass
class Shelf:
    """The kept builds, for one overlay.

    native: see `Uv.build`; declared: the names of all declared packages; open_env: the environment that builds see;
    env: the user's; ask_git: whether a process of git may be started, as where somebody has typed a command.
    """

    isolation: Isolation
    manifest: Manifest
    native: Mapping[Path, tuple[str, ...] | None]
    declared: Collection[str]
    open_env: Callable[[], Mapping[str, str]]
    env: Mapping[str, str]
    ask_git: bool = True
    _trees: dict[Path, Tree] = field(default_factory=dict)

    def identify(self, project: Project, products: Collection[Path] = ()) -> str | None:
        """The key of what building `project` would give; None if that can't be told. products: see
        `recipe.identify`."""
        matched = None if self.isolation is True else self.native[project.path]
        against = building.ISOLATED if matched is None else matched
        if self.isolation is False or name_requires(project) & {*self.declared}:
            return None  # what of that the result depends on is not known
        if reuse.names_sources(project):
            return None
        if key := reuse.identify(project, self.manifest, against, self.open_env()):
            return key
        try:
            root, content = self._read_worktree(project)
            env = self.open_env()
            settings = reuse.digest_settings(project, env)
            key = recipe.identify(project, root, content, self.manifest, against, env, products)
        except (OSError, ValueError, WtenvError):
            return None
        return f"{key}-{settings}"

    def find(self, project: Project, key: str | None) -> Build | None:
        """The kept build `key`; None if there is none that can be used here."""
        return reuse.find(key, project.path, Path(self.manifest.venv), self.env) if key else None

    def keep(self, built: Sequence[Built], since: int) -> None:
        """Keep what was built since `since`, of each project that would have been the same a moment before."""
        self._trees.clear()
        places = [item.project.path for item in built]
        products: dict[Path, dict[str, tuple[int, bytes]]] = {}
        for item in built:
            try:
                products[item.project.path] = self._read_products(item, places, since)
            except (OSError, ValueError, WtenvError):
                continue  # the next worktree builds
        made = {path / inside for path, found in products.items() for inside in found}
        for project, key, installed, built_with in built:
            # Once more: what the build read may have been edited while it ran.
            if project.path in products and key and key == self.identify(project, made):
                build = Build(built_with, {}, products[project.path])
                reuse.keep(key, build, installed, project.path, Path(self.manifest.venv), self.env)

    def _read_products(self, item: Built, places: Sequence[Path], since: int) -> dict[str, tuple[int, bytes]]:
        project = item.project
        if not item.key or "-" not in item.key:
            return {}
        root, content = self._read_worktree(project)
        found = recipe.list_products(project, root, content, self.manifest, since, places)
        return {path: recipe.read_product(project.path / path, root) for path in found}

    def _read_worktree(self, project: Project) -> tuple[Path, Tree]:
        """The worktree that `project` is in, and its content, read once. ValueError if it is in none, or reached by a
        link: then its files name it otherwise; else as `tree.read`."""
        root = find_root(project.path)
        if root is None or os.path.realpath(project.path) != os.fspath(project.path):
            raise ValueError(f"{project.path} is in no worktree")
        if root not in self._trees:
            self._trees[root] = tree.read(root, self.env, ask_git=self.ask_git)
        return root, self._trees[root]
