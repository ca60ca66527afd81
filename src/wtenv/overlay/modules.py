"""Which modules an editable offers, and where they are: found out from what its build has put into the overlay."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..distributions import Distribution, read_text

_NO_SPACES = {"test", "tests", "doc", "docs", "examples", "scripts", "src", "python", "build", "dist"}


def find_modules(installed: Distribution) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The modules that an editable offers; and the folders or files in which they are. Of a namespace package, of which
    other distributions may have parts, the modules in it (PEP 420).

    No file of the metadata says this for all editables (PEP 660 leaves the way open). setuptools writes top_level.txt.
    For others it is what their finders map, and what the folders hold that they put on sys.path. A project's own folder
    holds tests, too; there only what the name or the entry points of the project mention counts.
    """
    site, project = Path(installed.site), Path(installed.source)
    record = [name for name in installed.list_files() if not name.startswith((".", "/"))]
    pth = "".join(read_text(site / name) for name in record if name.endswith(".pth") and "/" not in name)
    lines = [line.rstrip() for line in pth.splitlines()]
    places = [Path(line) for line in lines if line.startswith("/") and Path(line).is_dir()]
    code = "\n".join(line for line in lines if line.startswith("import"))
    mapped: dict[str, str] = {}
    tops = set(installed.read("top_level.txt").split())
    unsaid = not tops
    for name in record:
        head = name.partition("/")[0]
        if head == name and name.endswith(".py") and re.search(rf"\b{re.escape(name[:-3])}\b", code):
            mapped.update(read_finder(site / name))
        elif (module := _name_module(head)) and unsaid:
            tops.add(module)  # compiled, for example
    if unsaid:
        tops |= {name.partition(".")[0] for name in mapped} | set(_guess_modules(installed, places, sure=not code))
    folders = [*places, project, project / "src", project / "python", site]
    names: set[str] = set()
    for top in tops:
        own = [name for name in mapped if name.partition(".")[0] == top]
        own = [name for name in own if not any(name.startswith(f"{other}.") for other in own)] or [top]
        for name in own:
            known = [Path(mapped[name].removesuffix("/__init__.py")).parent] if mapped.get(name) else folders
            names.update(_list_leaves(name, known) or ([name] if name in mapped or name != top or not unsaid else []))
    return tuple(sorted(filter(_is_dotted, names))), (*map(os.fspath, places), *filter(None, mapped.values()))


def _guess_modules(installed: Distribution, places: Sequence[Path], *, sure: bool) -> Iterator[str]:
    """sure: whether nothing but `places` can be on the path."""
    source = installed.source
    project = Path(source)
    guesses = {installed.name.replace("-", "_")}
    guesses |= set(re.findall(r"=\s*(\w+)", installed.read("entry_points.txt")))
    # As a backend's settings name them, in whatever words: "packages", "only-include", "module-name".
    settings = read_text(project / "pyproject.toml")
    words = set(re.findall(r"\w+", settings))
    quoted = set(re.findall(r"""["'](?:src/|python/)?(\w+)(?:[/.][^"']*)?["']""", settings))
    spaces = guesses | {re.split("[-.]", installed.name)[0]}
    for place in {*places, project, project / "src", project / "python"}:
        own = place in places and os.path.realpath(place) != source
        likely = guesses | words if place in places else guesses
        wide = spaces if sure and places and place not in places else spaces | (quoted - _NO_SPACES)
        for child in place.iterdir() if place.is_dir() else ():
            name = _name_module(child.name)
            whole = child.is_file() or (child / "__init__.py").is_file()
            if name and (own or name in (likely if whole else wide)) and _list_leaves(name, [place]):
                yield name


def read_finder(place: Path) -> dict[str, str]:
    """The table in an editable's own import finder: module -> its folder or file, empty if the table does not say
    so."""
    import ast

    found: dict[str, str] = {}
    try:
        tree = ast.parse(read_text(place))
    except (SyntaxError, ValueError):
        return {}
    # Not what is in functions but `init`: most of these files are copies of the backend's own code.
    bodies = [
        tree.body,
        *(item.body for item in tree.body if isinstance(item, ast.FunctionDef) and item.name == "init"),
    ]
    statements = [item for body in bodies for item in body if isinstance(item, (ast.Assign, ast.AnnAssign, ast.Expr))]
    for part in (part for item in statements for part in ast.walk(item)):
        pairs: list[tuple[ast.expr | None, ast.expr | None]] = []
        if isinstance(part, ast.Dict):  # with lists: namespace packages
            pairs = [pair for pair in zip(part.keys, part.values, strict=True) if isinstance(pair[1], ast.Constant)]
        elif isinstance(part, ast.Set):
            pairs = [(item, None) for item in part.elts]
        elif isinstance(part, ast.Call) and len(part.args) == 2 and isinstance(part.func, ast.Attribute):
            pairs = [(part.args[0], part.args[1])] if part.func.attr == "map_module" else []
        for key, value in pairs:
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and _is_dotted(key.value):
                text = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
                found[key.value] = found.get(key.value) or text
    return found


def list_inner(installed: Distribution) -> list[str]:
    """The modules that an editable's finder lists one by one, and those that its build has put into the overlay. To
    look for one of these may start a build."""
    record = installed.list_files()
    tables = [read_finder(Path(installed.site, name)) for name in record if re.fullmatch(r"\w+\.py", name)]
    names = (name for name in record if name.endswith(".so") and not name.startswith("."))
    parts = (name.rpartition("/") for name in names)
    modules = [f"{folder.replace('/', '.')}.{file.partition('.')[0]}".lstrip(".") for folder, _, file in parts]
    return [name for name in (*modules, *(name for table in tables for name in table)) if _is_dotted(name)]


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _name_module(name: str) -> str:
    """The module that a file or folder of this name may be; empty if none."""
    stem = name.partition(".")[0]
    fits = stem == name or name.endswith((".py", ".so"))
    return stem if fits and stem.isidentifier() and stem not in ("__pycache__", "__init__") else ""


def _list_leaves(name: str, folders: Sequence[Path]) -> list[str]:
    """The module `name` if one of `folders` has it; of a namespace package the modules in it (PEP 420, or the older
    ways of pkgutil and pkg_resources)."""
    last, below, found = name.rpartition(".")[2], [], False
    for folder in folders:
        place = folder / last
        if place.is_dir():
            below.append(place)
            text = read_text(place / "__init__.py")
            found = found or (place / "__init__.py").exists()
            if found and not re.search(r"\b(extend_path|declare_namespace)\b", text):
                return [name]
        elif (folder / f"{last}.py").is_file() or any(folder.glob(f"{last}.*.so")):
            return [name]
    children: set[str] = set()
    if below and name.count(".") < 4:
        children = {child for place in below for entry in place.iterdir() if (child := _name_module(entry.name))}
    leaves = [leaf for child in sorted(children) for leaf in _list_leaves(f"{name}.{child}", below)]
    return leaves or [name] * found
