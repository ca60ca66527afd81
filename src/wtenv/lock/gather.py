"""What base and overlay consist of now, and how that differs from `wtenv.lock`. Changes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from .. import distributions
from ..conda import Base, find_python
from ..conda.records import CondaRecord, read_records
from ..config.read import Config
from ..console import make_printable
from ..digest import sha256
from ..distributions import Distribution
from ..names import normalise
from ..overlay import manifest as manifests
from ..overlay import state
from ..overlay.manifest import Manifest
from .compare import Finding, compare
from .format import Lock, Row, Table, make_row, read

# Files of a dist-info that tell how and where it was installed, not what.
_OWN_FILES = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}


def find_drift(
    config: Config, base: Base, env: Mapping[str, str], *, overlay: bool = True, quick: bool = False
) -> tuple[Finding, ...]:
    """What differs from the lock beside the config; empty if nothing does. Writes nothing.

    `overlay` false: the base and what is declared alone. `quick`: by the names of records alone, so that
    other content under the same version is not seen; starts no process. `env` has nothing of wtenv's active in
    it. `NoLock` if there is no lock, WtenvError if it can't be read or the base's Python doesn't run.
    """
    locked = read(config.lock)
    manifest, problem = open_overlay(config, base, env) if overlay else (None, "")
    present = gather(config, base, manifest, env, names=locked if quick else None)
    found = compare(locked, present)
    if overlay and manifest is None:
        found = (*found, Finding("overlay", "removed", "overlay", f"{problem} (run: wtenv sync)"))
    return found


def open_overlay(config: Config, base: Base, env: Mapping[str, str]) -> tuple[Manifest | None, str]:
    """The overlay's manifest if it can be used, else None and why not."""
    verdict = state.inspect(config.venv, base_prefix=Path(base.prefix), editables=config.packages, env=env)
    return (manifests.read_manifest(config.venv) if verdict.usable else None), verdict.reason


# --- what is there ----------------------------------------------------------------------------------


def gather(
    config: Config, base: Base, manifest: Manifest | None, env: Mapping[str, str], *, names: Lock | None = None
) -> Lock:
    """What base and overlay are now; without a manifest the overlay is unknown.

    With `names`, the lock that this will be compared with, it goes by the names of records, and reads those alone
    whose names the lock has not, and Python's where the lock is of another platform: no hashes, no backends.
    """
    prefix, facts = Path(base.prefix), None
    known = {_name_record(name, row) for name, row in names.conda.items()} if names else None
    if names and known and names.platform not in ("", find_platform()):  # another machine's, or Rosetta's
        known -= {_name_record("python", names.conda.get("python", {}))}
    records = read_records(prefix, known) if base.kind == "conda" else {}
    python = records.get("python")
    if manifest is None or not (names or python):
        from ..overlay import building, layout

        facts = layout.probe(find_python(prefix), prefix, building.make_env(env))
    sites = facts.sites if facts else manifest.base_site if manifest else ()
    is_condas = _recognise(records, prefix, names)
    hashed = names is None
    subdir = python.subdir if python else ""
    platform = subdir if subdir not in ("", "noarch") else "" if names and records else find_platform()
    version = python.version if python else facts.version if facts else manifest.python_version if manifest else ""
    packages = None
    if manifest is not None:
        own = {item.name for item in manifest.editables}
        packages = _make_table((item for item in _list(manifest.site) if item.name not in own), hashed=hashed)
    return Lock(
        kind=base.kind,
        platform=platform,
        python=version,
        conda={name: _make_conda_row(record, records) for name, record in records.items()},
        pip=_make_table((item for item in _list(sites) if not is_condas(item)), hashed=hashed),
        packages=packages,
        editables=_list_editables(config, manifest, quick=not hashed),
    )


def _name_record(name: str, row: Row) -> str:
    return f"{name}-{row.get('version', '')}-{row.get('build', '')}"


def find_platform() -> str:
    """This machine's, as conda calls it (`_arch_names` and `platform` in conda/base/context.py)."""
    host = os.uname()
    system = {"Darwin": "osx"}.get(host.sysname, host.sysname.lower())
    machine = {"x86_64": "64", "i686": "32"}.get(host.machine, host.machine)
    return f"{system}-{machine}"


def _make_conda_row(record: CondaRecord, records: Mapping[str, CondaRecord]) -> Row:
    url = strip_credentials(record.url)
    entries = (make_printable(os.path.basename(path)) for path in record.metadata)
    provides = {distributions.split_entry(entry)[0] for entry in entries} - {normalise(record.name)}
    return make_row(
        version=record.version,
        build=record.build,
        url=url,
        subdir="" if url else record.subdir,
        file="" if url else os.path.basename(record.file),
        sha256=record.sha256,
        md5=record.md5,
        depends=[name for name in sorted(record.depends) if name in records],
        provides=sorted(provides),
    )


def strip_credentials(url: str) -> str:
    """`url` as it may be committed: without user, password, token, query. Empty if it is of this machine.

    `/t/TOKEN/` is anaconda.org's (`split_anaconda_token` in conda/common/url.py).
    """
    from urllib.parse import urlsplit, urlunsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if not parts.netloc or parts.scheme not in ("http", "https", "s3", "gs", "oci", "ftp", "ssh", "git"):
        return ""
    path = re.sub(r"^(.*?)/t/[^/]+/", r"\1/", parts.path)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


def _list(sites: Iterable[str]) -> list[Distribution]:
    """What is installed, earlier folders first, as on sys.path; names as they can be printed."""
    found = [item for site in dict.fromkeys(map(os.path.realpath, sites)) for item in distributions.list_site(site)]
    shown = ((item, make_printable(item.name), make_printable(item.version)) for item in found)
    return [item._replace(name=name, version=version) for item, name, version in shown if item.kind != "egg"]


def _make_table(installed: Iterable[Distribution], *, hashed: bool) -> Table:
    """A row for each name: of that which Python imports."""
    found: dict[str, Distribution] = {}
    for item in installed:
        found.setdefault(item.name, item)
    return {name: _make_row(item, hashed=hashed) for name, item in found.items()}


def _recognise(records: Mapping[str, CondaRecord], prefix: Path, names: Lock | None) -> Callable[[Distribution], bool]:
    """Whether conda installed a distribution: one of its records lists it.

    With `names`, most records were not read: then it is also conda's if a package has its name and version, or
    in the lock brings that name, or if it says so itself.
    """
    real = os.path.realpath(prefix)
    owned = {f"{real}/{path}" for record in records.values() for path in record.metadata}
    by_pip = {name: row.get("version", "") for name, row in names.pip.items()} if names else {}
    called = {(normalise(record.name), record.version) for record in records.values()} if names else set()
    brought = {name for row in names.conda.values() for name in row.get("provides", ())} if names else set()

    def is_condas(item: Distribution) -> bool:
        if not records or f"{item.site}/{item.entry}" in owned:
            return bool(records)
        if names is None or by_pip.get(item.name) == item.version:
            return False
        if item.name not in by_pip and (item.name in brought or (item.name, item.version) in called):
            return True
        return item.read("INSTALLER").strip() == "conda"

    return is_condas


def _make_row(item: Distribution, *, hashed: bool) -> Row:
    """PEP 610 says where it came from; what lies on this machine is left out."""
    origin = item.read_origin()
    folder, vcs, url = origin.get("dir_info"), origin.get("vcs_info"), origin.get("url")
    editable = item.kind == "egg-link" or (isinstance(folder, dict) and folder.get("editable") is True)
    source = strip_credentials(make_printable(url)) if isinstance(url, str) else ""
    if source and isinstance(vcs, dict):
        source = f"{vcs.get('vcs')}+{source}@{vcs.get('commit_id')}"
    # An editable's files have its folder in them.
    digest = _hash_content(item.read_record()) if hashed and not editable else ""
    return make_row(version=item.version, hash=digest, source=make_printable(source), editable=editable)


def _hash_content(record: Iterable[tuple[str, str]]) -> str:
    """A digest of the rows of a RECORD (PEP 376) that are the same wherever this was installed; empty if none:
    scripts have the interpreter's path in them, and lie outside of the site folder."""
    kept = []
    for path, hash_ in record:
        folder, _, name = path.rpartition("/")
        own = folder.endswith(".dist-info") and name in _OWN_FILES
        if hash_ and not own and not path.startswith(("..", "/")) and not name.endswith(".pyc"):
            kept.append(f"{path},{hash_}\n")
    text = "".join(sorted(kept))
    return f"sha256:{sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}" if kept else ""


def _list_editables(config: Config, manifest: Manifest | None, *, quick: bool) -> Table:
    """The declared ones, with what the overlay knows of them."""
    from ..overlay.project import read_project

    installed = {item.path: item for item in manifest.editables} if manifest else {}
    found = {}
    for path, written in zip(config.packages, config.written, strict=True):
        have = installed.get(os.fspath(path))
        project = None if quick else read_project(path)
        name = (have.name if have else project.name if project else "") or make_printable(path.name)
        found[name if written.startswith("/") else make_printable(os.path.normpath(written))] = make_row(
            name=name,
            backend=make_printable(project.backend) if project else "",
            built_with=[*have.built_with] if have else [],
        )
    return found
