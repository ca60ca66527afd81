"""The bootstrap: which of the base's `.pth` files belong to what the overlay has, and the `.pth` that says so."""

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
from .manifest import Manifest

PTH = "~wtenv.pth"  # site runs .pth files in sorted order, and names of packages are ASCII letters
MODULES = ("_wtenv_bootstrap.py", "_wtenv_pip.py", "_wtenv_elsewhere.py")
# What a copy goes without, since each overlay has one: comments, docstrings but the module's, and wide indents.
_EXPLAINING = re.compile(rb'^ +"""(?:[^"]|"(?!""))*"""\n|^ *#.*\n|  #[^"\'\n]*$|^\n', re.M)
_INDENT = re.compile(rb"^(?: {4})+", re.M)
_SUFFIXES = (".py", ".so", ".pyd")


def render(manifest: Manifest, owned: Collection[str]) -> dict[str, bytes]:
    """The bootstrap's files in the overlay's last site folder: name -> content.

    `owned` are the normalised names of the distributions that the overlay has itself.
    """
    base_sites = manifest.base_site
    declared = {module: item.path for item in manifest.editables for module in item.modules}
    skip, hidden = find_skipped(base_sites, owned), find_hidden(base_sites, owned)
    # Plain lines, not only an argument: editors and type checkers read paths from .pth files, too.
    text = "".join(f"{folder}\n" for folder in base_sites)
    # -S: site is a fifth of a start, and `__follow` loads it where it needs packages.
    python, *words = build_wtenv()
    # PYTHONPATH comes before this folder, and may have a module of that name: an entry of it may mean "here".
    text += f"import sys; sys.path.insert(0, {manifest.site[-1]!a}); import _wtenv_bootstrap; "
    text += f"_wtenv_bootstrap.look({manifest.root!a}, {[python, '-S', *words]!a}); del sys.path[0]\n"
    shadowed = tuple(sorted({*owned} & {*list_versions(base_sites)}))
    arguments = ", ".join(map(ascii, (tuple(base_sites), skip, declared, hidden, shadowed)))
    text += f"import _wtenv_bootstrap; _wtenv_bootstrap.append_base({arguments})\n"
    contents = {name: _shorten((Path(__file__).parent / "bootstrap" / name).read_bytes()) for name in MODULES}
    contents[PTH] = text.encode("utf-8", "surrogateescape")
    return contents


def _shorten(text: bytes) -> bytes:
    """The same program in less room."""
    return _INDENT.sub(lambda found: b" " * (len(found[0]) // 4), _EXPLAINING.sub(b"", text))


def find_differences(site: Path, contents: Mapping[str, bytes]) -> list[str]:
    """The names of `contents` that `site` has not, or otherwise."""
    different = []
    for name, data in contents.items():
        try:
            if files.read_bytes(site / name) == data:
                continue
        except (OSError, WtenvError):
            pass
        different.append(name)
    return different


def write(manifest: Manifest, owned: Collection[str]) -> bool:
    """Write the bootstrap into the overlay; True if it changed."""
    site, contents = Path(manifest.site[-1]), render(manifest, owned)
    different = find_differences(site, contents)
    if faults.has_met():
        return False
    for name in different:
        files.write_atomic(site / name, contents[name], 0o644)
    return bool(different)


def find_skipped(base_sites: Sequence[str], owned: Collection[str]) -> dict[str, tuple[str, ...] | None]:
    """The base's `.pth` files that install an editable of an owned distribution.

    Value None: the whole file is that editable's (its RECORD says so). Else the lines to leave out of
    a shared file (easy-install.pth, whose entries an .egg-link file names).
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
    """What the base's copies of owned distributions consist of: folder -> {module: whether it is a package in which
    others have files, too}. By their RECORD, without it by their top_level.txt (where no namespace package is named).
    """
    hidden: dict[str, dict[str, bool]] = {}
    for folder in base_sites if owned else ():
        for item in list_site(folder):
            if item.name not in owned or item.kind not in KNOWN:
                continue
            if files := item.list_files():
                _hide(folder, files, hidden)
            elif not (item.folder / "namespace_packages.txt").exists():
                for module in item.read("top_level.txt").split():
                    hidden.setdefault(folder, {})[module] = False
    return {folder: names for folder, names in hidden.items() if names}


def _hide(folder: str, files: Sequence[str], hidden: dict[str, dict[str, bool]]) -> bool:
    """Put what `files` give into `hidden`; whether `folder` has any other module."""
    below: dict[str, list[str]] = {}
    for file in files:
        head, _, rest = file.partition("/")
        below.setdefault(head, []).append(rest)
    known = hidden.setdefault(folder, {})
    others = False
    for name in _list(folder):
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


def _list(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
