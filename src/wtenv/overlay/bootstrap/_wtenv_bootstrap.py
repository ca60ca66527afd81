# mypy: ignore-errors
"""Puts the base behind this overlay. Imported by `~wtenv.pth` at every start of the overlay's Python."""

# That `.pth` has put the base's site-packages at the end of `sys.path`. `append_base` runs the base's own `.pth`
# files and then restores the order: whatever the overlay has is found before anything of the base, and the
# base's entries are in the order of the base's own Python. What is declared is never found in the base.
# Runs on every Python from 3.8 on; a copy of this file is in each overlay. `wtenv sync` renews it.

import os
import sys
from _frozen_importlib_external import FileFinder, PathFinder, _get_supported_file_loaders
from zipimport import zipimporter

_added = None  # what the base's .pth files have added to sys.path; an empty list while they run
_done = False
_theirs = []  # the finders that they have installed
_declared = {}  # module -> the folder of the declared package that has it
_shared = set()  # the packages around these modules: others may have a part of them
_tops = set()  # the first parts of all these names
_hidden = {}  # folder of the base -> {module in it to hide: whether it is a package in which others have files}
_shadowed = set()  # the base's distributions of which the overlay has its own, by normalised name
_sites = ()  # the base's site folders
_folders = set()  # the folders of the base in which some names are hidden
_LINKS = "/.links"
_looked = False


def look(root, command):
    """If Python was started in another worktree than `root`, whose overlay this is, go on with `_wtenv_elsewhere`.

    The nearest `.git` upwards decides. In the own worktree, and where there is no `.git`, nothing more is done.
    command: how the wtenv that made this overlay is started.
    """
    global _looked
    if _looked:
        return
    _looked = True
    try:
        place = os.getcwd().rstrip("/")
    except OSError:  # the folder is gone
        return
    while True:
        try:
            os.stat(place + "/.git")
            break
        except OSError:
            if not place:
                return
            place = place.rpartition("/")[0]
    if place != root:
        import _wtenv_elsewhere

        _wtenv_elsewhere.leave_for(place or "/", root, command)


def append_base(base_sites, skip, declared=(), hidden=(), shadowed=()):
    """Put the base behind the overlay. base_sites: the base's site folders; skip: `.pth` file of the base -> the lines
    to leave out, None for all of it; declared, hidden, shadowed: see the variables above."""
    global _added, _done, _sites
    if _done:
        # `site` itself runs the .pth files of a virtual environment twice. pip runs them once more, to learn what its
        # isolated builds must not see. Then the base's folders are there twice, and what the base's .pth files have
        # added must be there twice, too.
        if any(sys.path.count(folder) > 1 for folder in base_sites):
            sys.path.extend(_added)
        return
    sites = dict.fromkeys(base_sites)
    mine = [entry for entry in sys.path if entry not in sites]
    _hidden.update(hidden)
    if _added is not None:  # the base is an overlay itself, and this is its own call
        sys.path[:] = mine
        _run_files(sites, skip)
        return
    _added = []
    default = {"BuiltinImporter", "FrozenImporter", "PathFinder"}
    # What the overlay's own .pth files have installed. Setuptools' finders put themselves behind
    # PathFinder, where a normal install in the base would win.
    finders = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") not in default]
    known = set(sys.modules)
    _declared.update(declared)
    for name in _declared:
        _tops.add(name.partition(".")[0])
        while "." in name:
            name = name.rpartition(".")[0]
            _shared.add(name)
    if shadowed:
        _shadowed.update(shadowed)
        _sites = tuple(base_sites)
        PathFinder.find_distributions = _find_distributions
    sys.path_hooks.insert(0, _hook)
    sys.path_importer_cache.pop(os.path.dirname(__file__) + _LINKS, None)
    if _declared or _hidden:
        finders.insert(0, DeclaredFinder)
        sys.meta_path.insert(0, DeclaredFinder)
        _watch(sites)
    sys.path[:] = mine
    _run_files(sites, skip)
    # A base's .pth may have put itself first (easy-install does): never before ours.
    there, seen = set(sys.path), set(mine)
    entries = [entry for entry in dict.fromkeys(sys.path) if entry not in seen]
    sys.path[:] = [entry for entry in mine if entry in there] + entries
    _added += [entry for entry in entries if entry not in sites]
    _watch(_added)
    rest = [finder for finder in sys.meta_path if finder not in finders]
    _theirs.extend(finder for finder in rest if getattr(finder, "__name__", "") not in default)
    sys.meta_path[:] = finders + rest
    if _declared:
        _correct_namespaces(known, entries)
    _done = True
    if "install" in getattr(sys, "argv", ()):
        import _wtenv_pip

        sys.meta_path.insert(0, _wtenv_pip.InstallFinder())


def _run_files(sites, skip):
    """Append each folder to sys.path, and behind it what its .pth files add, as `site` does."""
    import site

    known = set(sys.path)
    for sitedir in sites:
        sys.path.append(sitedir)
        known.add(sitedir)
        try:
            names = sorted(os.listdir(sitedir))
        except OSError:
            continue
        for name in names:
            if name.endswith(".pth") and not name.startswith("."):
                without = skip.get(os.path.join(sitedir, name), ())
                try:
                    if without:
                        _run(sitedir, name, known, without)
                    elif without is not None:
                        site.addpackage(sitedir, name, known)
                except Exception as error:  # one that is no text, for example
                    print("wtenv: %s in %s: %s" % (name, sitedir, error), file=sys.stderr)


def _run(sitedir, name, known, without):
    """As `site.addpackage` does, less the lines in `without`."""
    # `sitedir` keeps its name: namespace .pth files read it from this frame.
    with open(os.path.join(sitedir, name), "rb") as file:
        text = file.read().decode("utf-8-sig", "surrogateescape")
    for line in text.splitlines():
        line = line.rstrip()
        if not line.strip() or line.startswith("#") or line in without:
            continue
        if line.startswith(("import ", "import\t")):
            exec(line)
            continue
        entry = os.path.abspath(os.path.join(sitedir, line))
        if entry not in known and os.path.exists(entry):
            sys.path.append(entry)
            known.add(entry)


def _watch(entries):
    """From now on `_Finder` searches these folders of the base."""
    if _declared:
        _folders.update(entries)
    _folders.update(_hidden)
    for name in _shared:
        _folders.update(os.path.join(entry, *name.split(".")) for entry in entries)
    for folder in _folders:
        sys.path_importer_cache.pop(folder, None)


def _hook(path):
    # DeclaredFinder alone would not do: pytest, pkgutil and pkg_resources ask PathFinder, or one folder.
    if path in _folders:
        return _Finder(path, *_get_supported_file_loaders()) if os.path.isdir(path) else _Archive(path)
    if path.endswith(_LINKS) and os.path.exists(path[: -len(_LINKS)] + "/_wtenv_bootstrap.py"):
        return _Nothing()  # this overlay's, or that of a base that is one
    raise ImportError


class _Nothing:
    """For a folder of links, which is for who runs no import hook."""

    def find_spec(self, name, target=None):
        return None


class _Finder(FileFinder):
    """A folder of the base, less what is declared, and less what belongs to what the overlay has."""

    def find_spec(self, name, target=None):
        if name in _declared:
            return None
        others = _hidden.get(self.path, {}).get(name.rpartition(".")[2])
        if others is False:
            return None
        spec = super().find_spec(name, target)
        places = spec and spec.submodule_search_locations
        if not places or spec.loader is None:
            return spec
        if others:  # but the package's own __init__ is not theirs
            spec = type(spec)(name, None, is_package=True)
            spec.submodule_search_locations = places
        elif name in _shared:
            # Another distribution's package, of which the overlay has a part, as with plugins. That part comes first.
            parent = sys.modules.get(name.rpartition(".")[0])
            path = [entry for entry in (parent.__path__ if parent else sys.path) if entry not in _folders]
            own = _ask(name, path)
            if own and own.submodule_search_locations and not own.has_location:
                spec.submodule_search_locations = [*own.submodule_search_locations, *places]
        return spec


class _Archive(zipimporter):
    """A zip archive of the base (an egg, for example), less what is declared."""

    if hasattr(zipimporter, "find_spec"):

        def find_spec(self, name, target=None):
            return None if name in _declared else super().find_spec(name, target)

    else:  # before Python 3.10

        def find_loader(self, name, path=None):
            return (None, []) if name in _declared else super().find_loader(name, path)


_find_all = PathFinder.find_distributions


def _find_distributions(*args, **options):
    """As PathFinder's, without the base's metadata of distributions that the overlay has itself: their plugins and
    commands would be loaded from the base. Whoever asks for certain folders is shown all that is in them."""
    found = _find_all(*args, **options)
    path = getattr(args[0], "path", None) if args else sys.path
    return found if path is not sys.path else filter(_counts, found)


def _counts(distribution):
    folder, _, name = str(getattr(distribution, "_path", "")).rpartition("/")
    if folder not in _sites:
        return True
    name = name.partition("-")[0].lower()
    for other in "_.":
        name = name.replace(other, "-")
    return name not in _shadowed


class DeclaredFinder:
    """The first finder. A declared module comes from the overlay or does not exist: no finder of the base is asked."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in _tops:
            return None
        if name in _declared:
            spec = _ask(name, path, target)
            if spec is None:
                text = "No module named %r: %s has it no more, and one of the base does not count; run: wtenv sync"
                raise ModuleNotFoundError(text % (name, _declared[name]), name=name)
            return spec
        above = name
        while "." in above:
            above = above.rpartition(".")[0]
            if above in _declared:
                spec = _ask(name, path, target)
                if spec is None and _theirs and _ask(name, path, target, _theirs):
                    raise ModuleNotFoundError("No module named %r" % name, name=name)
                return spec
        return None


def reveal():
    """Hide nothing any more. For `wtenv which`, which looks for the base's copies."""
    for names in (_tops, _shared, _declared, _hidden, _shadowed):
        names.clear()


def _ask(name, path=None, target=None, finders=None):
    """The spec that `finders` give; by default those of Python and of the overlay."""
    for finder in finders or [finder for finder in sys.meta_path if finder is not DeclaredFinder and finder not in _theirs]:
        if hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


def _correct_namespaces(known, entries):
    """Correct the namespace packages that `*-nspkg.pth` files have put into sys.modules, where no finder is asked."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in _tops:
            continue
        places = getattr(module, "__path__", None) or [getattr(module, "__file__", None) or ""]
        if name in known:
            if name in _shared:  # the overlay's
                for place in (os.path.join(entry, *name.split(".")) for entry in entries):
                    if place not in places and os.path.isdir(place):
                        places.append(place)
        elif all(os.path.dirname(place) in _folders for place in places):
            del sys.modules[name]  # the base's
