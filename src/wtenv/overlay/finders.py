"""Where a Python finds modules: asked of its own finders, in one start of it, without importing what is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import WtenvError

# Finders are asked one after the other, as an import would, and below `importlib.util.find_spec`: that would import the
# parents of a dotted name. These get an empty module of their name, which namespace packages look up. A finder that
# builds its package does so here. `every`: also what comes after the first, each folder of the path for itself and what
# is hidden, too. What is in `sys.modules` from the start, built in or frozen is not looked for on the path at all.
_SCRIPT = """
import sys
started = {*sys.modules, *sys.builtin_module_names}
import _imp, pkgutil, sysconfig, types
count, every = int(sys.argv[1]), bool(sys.argv[2])
names, errors = sys.argv[3:3 + count], {}
sys.path[:0] = sys.argv[3 + count:]

def ask(finder, *words):
    try:
        return finder.find_spec(*words) if hasattr(finder, 'find_spec') else None
    except Exception as error:
        errors.setdefault(wanted, ' '.join('\\n'.join([str(error), *getattr(error, '__notes__', ())]).split()))

def search(name, path):
    for finder in list(sys.meta_path):
        if every and getattr(finder, '__name__', '') == 'PathFinder':
            yield from look(name, sys.path if path is None else path)
        elif (spec := ask(finder, name, path)) is not None:
            yield spec

def look(name, path):
    specs = [spec for entry in path if (spec := ask(pkgutil.get_importer(entry), name)) is not None]
    found = [spec for spec in specs if spec.loader is not None]
    if specs and not found:
        specs[0].submodule_search_locations = [place for spec in specs for place in spec.submodule_search_locations]
        found = specs[:1]
    return found

def find(name):
    path, above, found = None, '', []
    for part in name.split('.'):
        if above:
            module = sys.modules.setdefault(above, types.ModuleType(above))
            if not hasattr(module, '__path__'):
                module.__path__ = list(found[0].submodule_search_locations or ())
            path = module.__path__
        above = above + '.' * bool(above) + part
        if above != name and hasattr(sys.modules.get(above), '__path__'):
            continue  # found before, or put there by a *-nspkg.pth
        specs = search(above, path)
        found = [*specs] if every and above == name else [*filter(None, [next(specs, None)])]
        if not found:
            break
    return [describe(spec) for spec in found]

def describe(spec):
    frozen = getattr(getattr(spec, 'loader_state', None), 'filename', None)
    places = [place for place in spec.submodule_search_locations or () if place.startswith('/')]
    return str(spec.origin if spec.has_location else frozen or (places or [spec.origin])[0])

found = {}
for wanted in names:  # read by `ask`
    found[wanted] = find(wanted)
if every and '_wtenv_bootstrap' in sys.modules:
    sys.modules['_wtenv_bootstrap'].reveal()
    for wanted in filter(found.get, names):
        found[wanted] = list(dict.fromkeys(found[wanted][:1] + find(wanted)))
found = {name: places for name, places in found.items() if places}
library = [sysconfig.get_path('stdlib'), sysconfig.get_path('platstdlib')]
fixed = [name for name in found if name.partition('.')[0] in started or _imp.is_frozen(name.partition('.')[0])]
sys.stdout.write('\\n' + ascii((found, errors, library, fixed)))
"""

# `site` as it is, but it runs no code that may import something of a checkout: the base's `.pth` files, and what may
# come from anywhere on the path.
_QUIET = """
import os, site, sys
own, folder = sys.argv.pop(1), sys.argv.pop(1)
sys.path.insert(0, folder)
import _wtenv_bootstrap
del sys.path[0]
def add(sitedir, name, known, *more):
    if sitedir.startswith(own):
        return run(sitedir, name, known, *more)
    with open(os.path.join(sitedir, name), 'rb') as file:
        lines = file.read().decode('utf-8', 'surrogateescape').splitlines()
    for line in lines:
        entry = os.path.join(sitedir, line.rstrip())
        if line.strip() and not line.startswith(('#', 'import ', 'import\t')) and os.path.exists(entry):
            sys.path.append(entry)
run, site.addpackage, _wtenv_bootstrap._run = site.addpackage, add, add
site.execsitecustomize = site.execusercustomize = lambda: None
site.main()
"""


class Answer(NamedTuple):
    """What a Python says."""

    found: Mapping[str, Sequence[str]]
    """Of each module that is found its file, or its folder; the one that an import would give first."""
    errors: Mapping[str, str]
    """Why looking for a module failed."""
    library: Sequence[str]
    """The folders of Python's own modules."""
    fixed: Sequence[str]
    """Those that Python has before it looks anywhere."""


def ask_python(
    venv: Path,
    modules: Sequence[str],
    env: Mapping[str, str],
    extra: Sequence[str] = (),
    *,
    every: bool = False,
    quiet: bool = False,
) -> Answer:
    """Ask the Python of `venv` for `modules`. extra: folders that come first on its path. every: all that it could
    find, not only what an import would give. quiet: not as Python starts, but so that it runs only what the overlay's
    own `.pth` files say: no code of a checkout. WtenvError if it does not start, or fails."""
    import ast
    import subprocess

    python = os.fspath(venv / "bin" / "python")
    command = [python, "-I", "-c", _SCRIPT, str(len(modules)), "every" * every, *modules, *extra]
    if quiet:
        site = os.fspath(next(venv.glob("lib*/*/site-packages/_wtenv_bootstrap.py")).parent)
        command[2:4] = ["-S", "-c", _QUIET + _SCRIPT, f"{venv}/", site]
    limit = 60 if every else 600  # seconds; a finder may build
    try:
        done = subprocess.run(command, cwd=venv, env=dict(env), capture_output=True, text=True, timeout=limit)
        return Answer(*ast.literal_eval(done.stdout.rpartition("\n")[2]))
    except (OSError, subprocess.SubprocessError) as error:
        what = f"the overlay's Python {python} does not start ({error})"
        raise WtenvError(what, "run: wtenv sync", cacheable=False) from None
    except (SyntaxError, ValueError, TypeError):
        tail = "\n".join(done.stderr.strip().splitlines()[-10:])
        what = f"the overlay's Python {python} fails:\n{tail}\n"
        problem = WtenvError(what, "repair the base", cacheable=False)
        problem.has_lines = True
        raise problem from None
