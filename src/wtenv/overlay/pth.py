"""The bootstrap: `~wtenv.pth` and its modules, in the overlay's last site folder, by which each start of the overlay's
Python puts the base behind the overlay.

`site` runs each line of a `.pth` file that begins with `import`, and adds every other line to sys.path (Python's
documentation, site). What the bootstrap must know of the base is found out here and written into such a line: which of
its `.pth` files and modules belong to distributions that the overlay has itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from .. import faults, files
from ..digest import sha256
from ..distributions import KNOWN, list_site, list_versions
from ..errors import WtenvError
from ..hook.shells import build_wtenv
from . import links
from .manifest import PTH, Manifest

MODULES = ("_wtenv_bootstrap.py", "_wtenv_pip.py", "_wtenv_elsewhere.py")
# What a copy goes without, since each overlay has one: comments, docstrings but the module's, and wide indents.
_EXPLAINING = re.compile(rb'^ +"""(?:[^"]|"(?!""))*"""\n|^ *#.*\n|  #[^"\'\n]*$|^\n', re.M)
_INDENT = re.compile(rb"^(?: {4})+", re.M)
_SUFFIXES = (".py", ".so", ".pyd")


def render(manifest: Manifest, coming: Collection[str] = ()) -> dict[str, bytes]:
    """The bootstrap's files: name -> content. coming: the normalised names of distributions that are about to be
    installed; the overlay counts as having them."""
    base_sites, owned = manifest.base_site, {*coming, *list_versions(manifest.site)}
    declared = {module: item.path for item in manifest.editables for module in item.modules}
    skip, hidden = find_skipped(base_sites, owned), find_hidden(base_sites, owned)
    # Plain lines, not only an argument: editors and type checkers read paths from .pth files, too.
    folders = [links.locate(manifest)] if links.plan(manifest) else []
    text = "".join(f"{folder}\n" for folder in [*folders, *base_sites])
    # -S: site is a fifth of a start, and `__follow` loads it where it needs packages.
    python, *words = build_wtenv()
    # PYTHONPATH comes before this folder, and may have a module of that name: an entry of it may mean "here".
    text += f"import sys; sys.path.insert(0, {manifest.site[-1]!a}); import _wtenv_bootstrap; "
    text += f"_wtenv_bootstrap.look({manifest.root!a}, {[python, '-S', *words]!a}); del sys.path[0]\n"
    shadowed = tuple(sorted(owned & {*list_versions(base_sites)}))
    arguments = ", ".join(map(ascii, (tuple(base_sites), skip, declared, hidden, shadowed)))
    text += f"import _wtenv_bootstrap; _wtenv_bootstrap.append_base({arguments})\n"
    contents = {name: _shorten((Path(__file__).parent / "bootstrap" / name).read_bytes()) for name in MODULES}
    contents[PTH] = text.encode("utf-8", "surrogateescape")
    return contents


def _shorten(text: bytes) -> bytes:
    """The same program in less room."""
    return _INDENT.sub(lambda found: b" " * (len(found[0]) // 4), _EXPLAINING.sub(b"", text))


def find_differences(folder: Path, contents: Mapping[str, bytes]) -> list[str]:
    """The names of `contents` that `folder` lacks, or has with another content, or as a link."""
    places = {name: folder / name for name in contents}
    return [name for name, place in places.items() if place.is_symlink() or files.try_read(place) != contents[name]]


def find_outdated(manifest: Manifest) -> list[str]:
    """The names of the bootstrap's files that are missing from the overlay, or not as they should be."""
    return find_differences(Path(manifest.site[-1]), render(manifest))


def write(manifest: Manifest, coming: Collection[str] = ()) -> bool:
    """Write the bootstrap into the overlay; True if it changed. coming: see `render`."""
    site, contents = Path(manifest.site[-1]), render(manifest, coming)
    different = find_differences(site, contents)
    if faults.has_met():
        return False
    for name in different:
        files.write_atomic(site / name, contents[name], 0o644)
    return bool(different)


def find_skipped(base_sites: Sequence[str], owned: Collection[str]) -> dict[str, tuple[str, ...] | None]:
    """The base's `.pth` files that belong to editables of distributions which the overlay has itself (`owned`).

    None: the whole file is such an editable's, as its RECORD says. Else the lines to leave out of a shared file:
    easy-install.pth, in which each line is the folder that an `.egg-link` file names (setuptools' `develop`).
    """
    skip: dict[str, tuple[str, ...] | None] = {}
    if not owned:
        return skip
    for folder in base_sites:
        lines: set[str] = set()
        for item in list_site(folder):
            if item.name not in owned:
                continue
            if item.kind == "dist-info":
                for file in item.list_files():
                    if file.endswith(".pth") and "/" not in file:
                        skip[os.path.join(folder, file)] = None
            elif item.kind == "egg-link":
                lines.update(item.read().splitlines()[:1])
            elif item.kind == "egg":
                lines.add(f"./{item.entry}")
        if lines:
            shared = os.path.join(folder, "easy-install.pth")
            real = {os.path.realpath(line) for line in lines if line.startswith("/")}
            skip[shared] = tuple(sorted(lines | real))
    return skip


def find_hidden(base_sites: Sequence[str], owned: Collection[str]) -> dict[str, dict[str, bool]]:
    """The modules of the base's copies of distributions that the overlay has itself (`owned`): folder -> {module:
    whether it is a package in which other distributions have files, too}.

    Their RECORD says so (PEP 376). Where there is none, their top_level.txt does, unless they have namespace packages.
    """
    hidden: dict[str, dict[str, bool]] = {}
    for folder in base_sites if owned else ():
        for item in list_site(folder):
            if item.name not in owned or item.kind not in KNOWN:
                continue
            if record := item.list_files():
                _hide(folder, record, hidden)
            elif not (item.folder / "namespace_packages.txt").exists():
                for module in item.read("top_level.txt").split():
                    hidden.setdefault(folder, {})[module] = False
    return {folder: names for folder, names in hidden.items() if names}


def _hide(folder: str, record: Sequence[str], hidden: dict[str, dict[str, bool]]) -> bool:
    """Put the modules in `folder` that `record` lists into `hidden`; whether `folder` has any other module. record:
    the files of one distribution, relative to `folder`."""
    below: dict[str, list[str]] = {}
    for file in record:
        head, _, rest = file.partition("/")
        below.setdefault(head, []).append(rest)
    known = hidden.setdefault(folder, {})
    others = False
    for name in files.list_names(folder):
        module = name.partition(".")[0]
        if not module.isidentifier() or module == "__pycache__" or (module != name and not name.endswith(_SUFFIXES)):
            continue
        inside = list(filter(None, below.get(name, ())))
        if name not in below:
            others = True
        elif not inside:
            if module != "__init__":
                known.setdefault(module, False)
        elif _hide(os.path.join(folder, name), inside, hidden):
            others = True
            if "__init__.py" in inside:
                known[name] = True
        else:
            known[name] = False
            del hidden[os.path.join(folder, name)]
    return others


def identify_base(base_sites: Sequence[str]) -> str:
    """A text that changes when a package of the base comes, goes or changes its version."""
    return sha256(repr(sorted(list_versions(base_sites).items())).encode("utf-8", "surrogateescape")).hexdigest()[:20]


def check_base_sites(base_sites: Sequence[str]) -> None:
    """Refuse a base whose path a `.pth` line can't hold."""
    for folder in base_sites:
        if "\n" in folder or "\r" in folder or folder.startswith(("import ", "import\t", "#")):
            raise WtenvError(f"the base's folder {folder!r} can't be put into a .pth file", "rename it")
