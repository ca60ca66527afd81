# mypy: ignore-errors
"""Puts the base behind this overlay. Imported by `~wtenv.pth` at every start of the overlay's Python.

That `.pth` has put the base's site-packages at the end of `sys.path`. `seal` runs the base's own `.pth`
files and then restores the order: whatever the overlay has is found before anything of the base.
Runs on every Python from 3.8 on; a copy of this file is in each overlay. `wtenv sync` renews it.
"""

import os
import sys

_added = None
_looked = False


def look(root, command):
    """Whether the command belongs to another worktree than `root`, whose overlay this is; there it goes on elsewhere.

    The nearest `.git` upwards decides. Nothing more is done in one's own worktree, or where there is none. command:
    how the wtenv that made this overlay is started.
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
        import _wtenv_place

        _wtenv_place.leave_for(place or "/", root, command)


def seal(base_sites, skip):
    """`base_sites`: the base's site folders. `skip`: `.pth` file of the base -> None (leave it out: it
    belongs to an editable that this overlay has) or a tuple of the lines to leave out."""
    global _added
    if _added is not None:
        # `site` itself runs the .pth files of a virtual environment twice. pip runs them again to learn
        # what its isolated builds must not see, and then the base's folders are there twice: the
        # base's additions must be counted, too.
        if any(sys.path.count(folder) > 1 for folder in base_sites):
            sys.path.extend(_added)
        return
    import site

    mine = list(sys.path)
    default = {"BuiltinImporter", "FrozenImporter", "PathFinder"}
    # What the overlay's own .pth files have installed. Setuptools' finders put themselves behind
    # PathFinder, where a normal install in the base would win.
    finders = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") not in default]
    known = set(mine)
    for sitedir in base_sites:
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
    # A base's .pth may have put itself first (easy-install does): never before ours.
    there, seen = set(sys.path), set(mine)
    _added = [entry for entry in sys.path if entry not in seen]
    sys.path[:] = [entry for entry in mine if entry in there] + _added
    sys.meta_path[:] = finders + [finder for finder in sys.meta_path if finder not in finders]
    if "install" in getattr(sys, "argv", ()):
        import _wtenv_pip

        sys.meta_path.insert(0, _wtenv_pip.Guard())


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
