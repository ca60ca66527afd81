"""`wtenv lock`: write down what base and overlay consist of; `--explicit`: print the base for conda."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import say, write
from ..errors import WtenvError
from ..process import locate_folder

if TYPE_CHECKING:
    from ..config.read import Config
    from ..lock.format import Lock, Table
    from ..worktree import Worktree


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--explicit", action="store_true", help="print the locked base for conda create --file")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Write the lock, or print the base that it has."""
    return (explicit if args.explicit else write_lock)(Path(locate_folder(env)), env)


def write_lock(directory: Path, env: Mapping[str, str]) -> int:
    """Write the lock beside the config, and print how it differs from the old one."""
    from .. import decision, environ, files
    from ..lock import MAX_LOCK, gather
    from ..lock import format as lockfile
    from ..lock.compare import compare, keep_known, render

    env = environ.undo(env)
    place, config = decision.load(directory, env)
    base = decision.locate_base(place, config, env)
    manifest, problem = gather.open_overlay(config, base, env)
    if manifest is None or problem:
        raise WtenvError(f"nothing is locked: {problem}", "run: wtenv sync")
    new = gather.gather(config, base, manifest, env)
    path, old, before = config.lock, None, b""
    if path.is_symlink():  # in a checkout, it may lead anywhere
        raise WtenvError(f"{path} is a symbolic link", "remove it")
    try:
        before = files.read_bytes(path, MAX_LOCK)
        old = lockfile.parse(path, before)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise WtenvError(f"{path}: can't be read ({error.strerror})", "make it readable") from None
    except lockfile.NewerLock:
        raise
    except WtenvError as error:
        if lockfile.ABOUT.encode() not in before:
            raise WtenvError(f"{error.what}, and not replaced", "move it away") from None
        say(f"{error.what}; replacing it")
    data = lockfile.render(keep_known(old, new) if old else new)
    if data == before:
        say(f"{path} is as it should be")
        return 0
    try:
        files.write_atomic(path, data, 0o644)
    except OSError as error:
        raise WtenvError(f"can't write {path} ({error.strerror})", "make the folder writable") from None
    if old:
        write(render(compare(old, new)))
    say(f"wrote {path}: {count(new)}")
    return 0


def count(lock: Lock) -> str:
    """How much there is of what."""
    parts = [
        (len(lock.conda), "conda package", "s"),
        (len(lock.pip), "package", "s in the base by pip"),
        (len(lock.packages or ()), "package", "s in the overlay"),
        (len(lock.editables), "editable", "s"),
    ]
    return ", ".join(f"{number} {word}{end if number != 1 else end[1:]}" for number, word, end in parts if number)


def explicit(directory: Path, env: Mapping[str, str]) -> int:
    """Print the locked base as `conda create --file` takes it. The base itself is needed only for packages
    from a channel on this machine, of which the lock has no URL."""
    from .. import decision, environ
    from ..lock import format as lockfile
    from ..lock.explicit import render_explicit

    env = environ.undo(env)
    place, config = decision.load(directory, env)
    path = config.lock
    locked = lockfile.read(path)
    if locked.kind != "conda":
        raise WtenvError(f"{path}: the base is no conda environment", "install its packages by pip")
    missing = {name: row for name, row in locked.conda.items() if "url" not in row}
    urls = find_urls(missing, place, config, env) if missing else {}
    write(render_explicit(locked, urls, path))
    return 0


def find_urls(missing: Table, place: Worktree, config: Config, env: Mapping[str, str]) -> dict[str, str]:
    """Where the base's own records say that these came from, as long as they are of the same content."""
    from .. import decision
    from ..conda.records import read_records

    fix = "run this where the base is as locked, or put the package into a channel"
    try:
        records = read_records(Path(decision.locate_base(place, config, env).prefix))
    except WtenvError as error:
        raise WtenvError(f"{config.lock} has no URL of {min(missing)}, and {error.what}", fix) from None
    urls = {}
    for name, row in sorted(missing.items()):
        record = records.get(name)
        hashes = ((row.get("sha256"), record.sha256), (row.get("md5"), record.md5)) if record else ()
        if not record or not record.url or not any(old and old == new for old, new in hashes):
            what = f"{config.lock} has no URL of {name} {row.get('version', '')}"
            raise WtenvError(f"{what}, and the base has none of the same content", fix)
        urls[name] = record.url
    return urls
