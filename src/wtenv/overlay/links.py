"""Links to declared modules, for who reads folders and runs no import hook: type checkers, language servers.

An editable by import hook (setuptools' flat layout, scikit-build-core, meson-python) is in no folder of the path: such
a reader passes on to the base's copy. So a folder on the path, before the base, has a link to each module that none of
the others has. Python finds nothing in that folder (`_wtenv_bootstrap._hook`): it imports by the hook, as without it.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from pathlib import Path, PurePath

from .. import faults
from ..distributions import read_text
from .manifest import PTH, Manifest

FOLDER = ".links"  # in the site folder: what looks for a project's own files leaves out both
_COMPILED = "__pycache__"  # what `python -m compileall` leaves, which goes through the folders of the path
_CODE = ("#", "import ", "import\t")  # what `site` takes for no folder


def locate(manifest: Manifest) -> str:
    """The folder of the links, which need not be there."""
    return os.path.join(manifest.site[-1], FOLDER)


def plan(manifest: Manifest) -> dict[str, str]:
    """Path below the folder -> where the link shall lead: a package's folder, or a module's file. None is below another
    one: it would be put where that one leads, into the project."""
    found = {inside: target for _, inside, target in _list_unseen(manifest) if not _is_above(target, manifest)}
    return {inside: target for inside, target in found.items() if not _is_below(inside, found)}


def find_unlinked(manifest: Manifest) -> tuple[list[str], list[str]]:
    """The declared modules that need a link, and can have none: because the overlay is in the package's folder; or
    because another package, which has a link, has the package around them."""
    unseen = [*_list_unseen(manifest)]
    around = [module for module, inside, target in unseen if _is_above(target, manifest)]
    found = {inside: target for module, inside, target in unseen if module not in around}
    return around, [module for module, inside, _ in unseen if _is_below(inside, found)]


def _is_below(inside: str, found: Container[str]) -> bool:
    return any(os.fspath(above) in found for above in PurePath(inside).parents)


def _is_above(target: str, manifest: Manifest) -> bool:
    """Whether a package's folder has the overlay in it: who follows links would never come to an end."""
    return Path(manifest.venv).is_relative_to(os.path.realpath(target))


def _list_unseen(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """The declared modules that are in no folder of the overlay's path: see `_list_modules`."""
    folders = [*dict.fromkeys(map(os.path.realpath, _list_static(manifest)))]
    for module, inside, target in _list_modules(manifest):
        places = (os.path.realpath(os.path.join(folder, inside)) for folder in folders)
        if os.path.realpath(target) not in places:
            yield module, inside, target


def _list_modules(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """Each declared module whose place is known, with the path that it has in a folder of the path, and its target."""
    for item in manifest.editables:
        for module, place in zip(item.modules, item.places, strict=False):
            name = os.path.basename(place)
            stem = name.partition(".")[0]
            inside, target = module.replace(".", "/"), place
            if stem == "__init__":
                target = os.path.dirname(place)
            elif place:  # a file, with all that belongs to its name, as `.cpython-311-x86_64-linux-gnu.so`; or a folder
                inside += name[len(stem) :]
            else:
                continue
            yield module, inside, target
            while "/" in inside:  # a namespace package may have a module of its own, in the ways of old
                inside, target = os.path.dirname(inside), os.path.dirname(target)
                if os.path.basename(target) == os.path.basename(inside) and os.path.isfile(f"{target}/__init__.py"):
                    yield module, f"{inside}/__init__.py", f"{target}/__init__.py"


def _list_static(manifest: Manifest) -> Iterator[str]:
    """The overlay's folders that are on the path by plain lines of its `.pth` files; lines of code are not run."""
    for site in manifest.site:
        yield site
        for name in sorted(os.listdir(site)):
            if name.endswith(".pth") and not name.startswith(".") and name != PTH:
                lines = (line.rstrip() for line in read_text(Path(site, name)).splitlines())
                yield from (os.path.join(site, line) for line in lines if line and not line.startswith(_CODE))


def refresh(manifest: Manifest) -> bool:
    """Make the folder have exactly these links; True if something changed. No link is followed."""
    folder, wanted = Path(locate(manifest)), plan(manifest)
    present = scan(os.fspath(folder))
    if faults.has_met() or present == wanted or folder.is_symlink():
        return False
    for inside, target in present.items():
        if wanted.get(inside) != target:
            (folder / inside).unlink()
    for above, _, _ in os.walk(folder, topdown=False):
        if os.path.basename(above) == _COMPILED:
            import shutil

            shutil.rmtree(above)
        elif not os.listdir(above):
            os.rmdir(above)
    for inside, target in wanted.items():
        if present.get(inside) != target:
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            (folder / inside).symlink_to(target)
    return True


def scan(folder: str) -> dict[str, str]:
    """What the folder has: path below it -> where that link leads; empty for what is none, but for what Python has
    compiled. Nothing where the folder is a link itself."""
    found = {}
    for above, below, names in os.walk(folder) if not os.path.islink(folder) else ():
        below[:] = [name for name in below if name != _COMPILED or os.path.islink(f"{above}/{name}")]
        for place in (os.path.join(above, name) for name in (*below, *names)):
            if os.path.islink(place) or os.path.isfile(place):
                found[os.path.relpath(place, folder)] = os.readlink(place) if os.path.islink(place) else ""
    return found
