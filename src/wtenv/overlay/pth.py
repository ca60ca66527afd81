"""The bootstrap: which of the base's `.pth` files belong to what the overlay has, and the `.pth` that says so."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from .. import faults, files
from ..digest import sha256
from ..errors import WtenvError
from ..hook.shells import build_wtenv
from ..names import normalise
from .manifest import Manifest

PTH = "~wtenv.pth"  # site runs .pth files in sorted order, and names of packages are ASCII letters
MODULES = ("_wtenv_bootstrap.py", "_wtenv_pip.py", "_wtenv_elsewhere.py")
MAX_METADATA = 1 << 26  # the RECORD of the largest packages takes some MiB
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
    shadowed = tuple(sorted({*owned} & {*list_base(base_sites)}))
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
        for name in _list(folder):
            stem, _, kind = name.rpartition(".")
            if kind == "dist-info" and normalise(stem.partition("-")[0]) in owned:
                for file in _list_record(os.path.join(folder, name)):
                    if file.endswith(".pth") and "/" not in file:
                        skip[os.path.join(folder, file)] = None
            elif kind == "egg-link" and normalise(stem) in owned:
                lines.update(_read(os.path.join(folder, name)).splitlines()[:1])
            elif kind == "egg" and normalise(stem.partition("-")[0]) in owned:
                lines.add(f"./{name}")
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
        for name in _list(folder):
            stem, _, kind = name.rpartition(".")
            if kind not in ("dist-info", "egg-info") or normalise(stem.partition("-")[0]) not in owned:
                continue
            info = os.path.join(folder, name)
            if record := _list_record(info):
                _hide(folder, record, hidden)
            elif not os.path.exists(os.path.join(info, "namespace_packages.txt")):
                for module in _read(os.path.join(info, "top_level.txt")).split():
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


def list_distributions(folder: str) -> dict[str, str]:
    """Normalised name -> version of what is installed in a site folder, from names of folders alone."""
    found = {}
    for name in _list(folder):
        stem, _, kind = name.rpartition(".")
        if kind in ("dist-info", "egg-info"):
            project, _, version = stem.partition("-")
            if version and project:
                # egg-info adds the Python version: name-1.0-py3.11
                found[normalise(project)] = version.partition("-py")[0]
    return found


def list_base(base_sites: Sequence[str]) -> dict[str, str]:
    """Normalised name -> version of everything in the base; earlier folders win, as on sys.path."""
    found: dict[str, str] = {}
    for folder in base_sites:
        for name, version in list_distributions(folder).items():
            found.setdefault(name, version)
    return found


def identify_base(base_sites: Sequence[str]) -> str:
    """A text that changes when a package of the base comes, goes or changes its version."""
    return sha256(repr(sorted(list_base(base_sites).items())).encode("utf-8", "surrogateescape")).hexdigest()[:20]


def check_base_sites(base_sites: Sequence[str]) -> None:
    """Refuse a base whose path a `.pth` line can't hold."""
    for folder in base_sites:
        if "\n" in folder or "\r" in folder or folder.startswith(("import ", "import\t", "#")):
            raise WtenvError(f"the base's folder {folder!r} can't be put into a .pth file", "rename it")


def _list_record(info: str) -> list[str]:
    """As `distributions.list_record`, without csv: the hook's way comes here."""
    lines = _read(os.path.join(info, "RECORD")).splitlines()
    return [line.rpartition(",")[0].rpartition(",")[0].strip('"') for line in lines]


def _list(folder: str) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        return files.read_bytes(path, MAX_METADATA).decode("utf-8", "surrogateescape")
    except (OSError, WtenvError):
        return ""
