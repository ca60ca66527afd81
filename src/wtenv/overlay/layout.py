"""The virtual environment itself (PEP 405): the base's Python is asked about itself, and the bare files are written.

wtenv writes them itself, not `python -m venv`: that takes 2 ms instead of 230 ms, and gives no pip of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import dirs, files
from ..digest import sha256
from ..errors import WtenvError

# -S: the base's .pth files may be slow or broken, and nothing here needs them.
_PROBE = """
import sys, os, site, sysconfig
prefix = sys.argv[1]
config = os.path.join(prefix, 'pyvenv.cfg')
scheme = 'venv' if 'venv' in sysconfig.get_scheme_names() else 'posix_prefix'
def locate(base):
    names = dict.fromkeys(('base', 'platbase', 'installed_base', 'installed_platbase'), base)
    return [sysconfig.get_path(kind, scheme, names) for kind in ('purelib', 'platlib')]
if os.path.exists(config):  # asked of site, Debian's would say dist-packages: with -S it knows of no venv
    with open(config, encoding='utf-8', errors='surrogateescape') as file:
        pairs = [[part.strip() for part in line.split('=', 1)] for line in file if '=' in line]
    sites = locate(prefix)
    if dict(pairs).get('include-system-site-packages', '').lower() == 'true':
        sites += site.getsitepackages([sys.base_prefix])
else:
    sites = site.getsitepackages()
    # Debian's site names dist-packages alone, also for a Python that has site-packages.
    sites += filter(os.path.isdir, [sysconfig.get_path('purelib'), sysconfig.get_path('platlib')])
own = locate('@')
sys.stdout.write(ascii({
    'version': '.'.join(map(str, sys.version_info[:3])),
    'abi': getattr(sys, 'abiflags', ''),
    'executable': getattr(sys, '_base_executable', None) or sys.executable,
    'sites': list(dict.fromkeys(map(os.path.abspath, sites))),
    'purelib': own[0],
    'platlib': own[1],
    'implementation': sys.implementation.name,
}))
"""


@dataclass(frozen=True)
class Facts:
    """What the base's Python says about itself."""

    version: str  # "3.11.7"
    interpreter: str  # the versioned program, so that another minor version can't slip in
    home: str  # the folder of its program, which pyvenv.cfg names (PEP 405)
    sites: tuple[str, ...]  # the base's site folders, in its own order, without the user's
    purelib: str  # relative to the overlay
    platlib: str

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


def probe(base_python: Path, base_prefix: Path, env: Mapping[str, str]) -> Facts:
    """What the base's Python says about itself, asked in one start. WtenvError if it does not answer."""
    import ast
    import subprocess

    command = [os.fspath(base_python), "-I", "-S", "-c", _PROBE, os.fspath(base_prefix)]
    try:
        done = subprocess.run(command, env=dict(env), capture_output=True, text=True, timeout=60)
        said = ast.literal_eval(done.stdout)
        minor = ".".join(said["version"].split(".")[:2])
        folder = os.path.dirname(said["executable"])
        names = (f"python{minor}{said['abi']}", f"python{minor}", Path(said["executable"]).name)
        # The same program: beside PyPy there may be a CPython of that version.
        paths = [os.path.join(folder, name) for name in names]
        interpreter = next(path for path in paths if files.is_same(path, said["executable"]))
        return Facts(
            version=said["version"],
            interpreter=interpreter,
            home=folder,
            sites=tuple(said["sites"]),
            purelib=os.path.relpath(said["purelib"], "@"),
            platlib=os.path.relpath(said["platlib"], "@"),
        )
    except (OSError, subprocess.SubprocessError, SyntaxError, ValueError, KeyError, StopIteration) as error:
        detail = error.strerror if isinstance(error, OSError) else ""
        if isinstance(error, (SyntaxError, ValueError)):
            detail = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise WtenvError(
            f"the base's Python {base_python} does not work ({detail or error})",
            "repair the base, or name another one",
        ) from None


def remember(facts: Facts, base_python: Path, base_prefix: Path, env: Mapping[str, str]) -> None:
    """Keep what the base's Python said, for `recall`."""
    try:
        place = _locate_facts(base_python, base_prefix, env)
        files.make_private_dir(place.parent.parent)
        files.make_private_dir(place.parent)
        files.write_atomic(place, json.dumps(asdict(facts)).encode())
    except (OSError, WtenvError):
        pass


def recall(base_python: Path, base_prefix: Path, env: Mapping[str, str]) -> Facts | None:
    """What the base's Python said when it was asked last; None if that is not known, or may be otherwise by now."""
    try:
        data = json.loads(files.read_own(_locate_facts(base_python, base_prefix, env)))
        facts = Facts(**{**data, "sites": tuple(data["sites"])})
        return facts if files.is_same(facts.interpreter, os.fspath(base_python)) else None
    except (OSError, ValueError, TypeError, KeyError, WtenvError):
        return None


def _locate_facts(base_python: Path, base_prefix: Path, env: Mapping[str, str]) -> Path:
    """Named by all that `probe` goes by: another program, or another setting of a virtual environment, is another
    file. Raises OSError."""
    info, config = os.stat(base_python), base_prefix / "pyvenv.cfg"
    settings = files.read_bytes(config) if config.exists() else b""
    known = (
        os.fspath(base_prefix),
        os.path.realpath(base_python),
        info.st_ino,
        info.st_size,
        info.st_mtime_ns,
        settings,
    )
    return (
        Path(dirs.find_cache(env))
        / "bases"
        / f"{sha256(repr(known).encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"
    )


def name_kind(program: str) -> str:
    """The kind of Python that a program is by the name of its file: "3.11", "3.13t" (free-threaded), "pypy3.10";
    empty if the name does not say."""
    import re

    match = re.fullmatch(r"(?:python|(pypy|graalpy))(3\.\d+[a-z]*)", os.path.basename(os.path.realpath(program)))
    return "".join(filter(None, match.groups())) if match else ""


def create(folder: Path, facts: Facts, prompt: str, token: str) -> None:
    """Write the bare environment into the empty `folder`, before that gets its final name. token: see `registry`."""
    lines = {
        "home": facts.home,
        "include-system-site-packages": "false",
        "version": facts.version,
        "executable": facts.interpreter,
        "prompt": json.dumps(prompt, ensure_ascii=False)[1:-1],
        "wtenv": token,
    }
    text = "".join(f"{key} = {value}\n" for key, value in lines.items())
    files.write_atomic(folder / ".gitignore", b"*\n", 0o644)
    for lib in (facts.platlib, facts.purelib):
        # The first import would make this folder, and change the time of the one above, which open shells watch.
        (folder / lib / "__pycache__").mkdir(parents=True, exist_ok=True)
    bin_dir = folder / "bin"
    bin_dir.mkdir()
    (bin_dir / "python").symlink_to(facts.interpreter)
    (bin_dir / "python3").symlink_to("python")
    (bin_dir / f"python{facts.minor}").symlink_to("python")
    files.write_atomic(folder / "pyvenv.cfg", text.encode("utf-8", "surrogateescape"), 0o644)


def check_path(place: Path) -> None:
    """WtenvError for a path that PATH, a `.pth` file or a script's first line can't hold."""
    text = os.fspath(place)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WtenvError(f"the path {text!r} is not UTF-8", "rename the folder") from None
    if any(char in text for char in "\n\r:"):
        raise WtenvError(f"the path {text!r} contains a newline or ':', which PATH can't hold", "rename the folder")
