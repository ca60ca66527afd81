"""How one lock differs from another, in words; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal, NamedTuple

from ..console import make_printable
from .format import Lock, Row, Table

Layer = Literal["base", "overlay"]
Kind = Literal["added", "removed", "changed"]

_CONTENT = ("sha256", "md5", "hash")  # the first that both sides know decides
_KNOWN = ("url", "sha256", "md5", "hash", "source")  # what one machine's records say of a package, and another's do not
_EDITABLE = {"name": "is called", "backend": "is built by", "built_with": "was built with"}
_BASES = {"conda": "a conda environment", "python": "no conda environment"}


class Finding(NamedTuple):
    """One difference."""

    layer: Layer
    kind: Kind
    """Seen from the lock."""
    name: str
    text: str
    """For people, with the layer in it."""


def compare(locked: Lock, present: Lock) -> tuple[Finding, ...]:
    """What `present` has and `locked` has not, and the other way round. What one of them does not know is no
    difference."""
    found = _compare_bases(locked, present)
    if not found:  # else all that is in it differs, and need not be said
        found = _compare("base", locked.conda, present.conda, partial(_explain, "base", ""))
        if _differ(locked.python, present.python) and not any(item.name == "python" for item in found):
            text = f"Python {locked.python} → {present.python} in the base"
            found.append(Finding("base", "changed", "python", text))
        found += _compare("base", locked.pip, present.pip, partial(_explain, "base", " by pip"))
    if locked.packages is not None and present.packages is not None:
        found += _compare("overlay", locked.packages, present.packages, partial(_explain, "overlay", ""))
    return (*found, *_compare("overlay", locked.editables, present.editables, _explain_editable))


def _compare_bases(locked: Lock, present: Lock) -> list[Finding]:
    if locked.kind != present.kind:
        text = f"the base is {_BASES[present.kind]}, the locked one is {_BASES[locked.kind]}"
        return [Finding("base", "changed", "kind", text)]
    if _differ(locked.platform, present.platform):
        text = f"the base is for {present.platform}, the locked one for {locked.platform}"
        return [Finding("base", "changed", "platform", text)]
    return []


def _compare(
    layer: Layer, locked: Table, present: Table, explain: Callable[[str, Row | None, Row | None], str]
) -> list[Finding]:
    """A finding for each name of which `explain`, given its two rows, has something to say."""
    found = []
    for name in sorted({*locked, *present}):
        old, new = locked.get(name), present.get(name)
        if text := explain(name, old, new):
            kind: Kind = "added" if old is None else "removed" if new is None else "changed"
            found.append(Finding(layer, kind, new["name"] if old and new and "name" in new else name, text))
    return found


def _explain(layer: Layer, by: str, name: str, old: Row | None, new: Row | None) -> str:
    """How a package differs. by: who adds what there is no more of in the lock."""
    if old is None or new is None:
        what = f"{name} {(old or new or {}).get('version', '')}".rstrip()
        return f"{what} was added to the {layer}{by}" if old is None else f"{what} is gone from the {layer}"
    before, version = old.get("version", ""), new.get("version", "")
    if before != version:
        return f"{name} {before} → {version} in the {layer}"
    what = f"{name} {version} in the {layer}"
    if old.get("editable") != new.get("editable"):
        return f"{what} is {'an editable install now' if 'editable' in new else 'no editable install any more'}"
    if _differ(old.get("build"), new.get("build")):
        return f"{what} is another build ({old['build']} → {new['build']})"
    content = next((key for key in _CONTENT if key in old and key in new), "")
    if content and old[content] != new[content]:
        same = "version and build are" if "build" in new else "the version is"
        return f"{what} has other content, though {same} the same"
    return ""


def _explain_editable(path: str, old: Row | None, new: Row | None) -> str:
    if old is None or new is None:
        return f"the editable {path} {'is declared, but not locked' if old is None else 'is not declared'}"
    for key, what in _EDITABLE.items():
        if _differ(old.get(key), new.get(key)):
            now, then = (", ".join([row[key]] if key != "built_with" else row[key]) for row in (new, old))
            return f"the editable {path} {what} {now}, the lock says {then}"
    return ""


def _differ(old: object, new: object) -> bool:
    return bool(old and new and old != new)


def keep_known(old: Lock, new: Lock) -> Lock:
    """`new`, with what only `old` knows of packages that did not change: so the file stays as it is where one
    machine's records say more than another's, or name another mirror."""
    if _compare_bases(old, new):
        return new
    return new._replace(conda=_keep_rows(old.conda, new.conda), pip=_keep_rows(old.pip, new.pip))


def _keep_rows(old: Table, new: Table) -> Table:
    kept = dict(new)
    for name in old.keys() & new.keys():
        if not _explain("base", "", name, old[name], new[name]):
            row = {**new[name], **{key: old[name][key] for key in _KNOWN if key in old[name]}}
            if "url" in row:
                row = {key: value for key, value in row.items() if key not in ("subdir", "file")}
            kept[name] = row
    return kept


def summarise(findings: Sequence[Finding]) -> str:
    """One clause."""
    more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
    return f"{findings[0].text}{more}"


def render(findings: Iterable[Finding]) -> str:
    """One line for each."""
    return "".join(f"{make_printable(item.text)}\n" for item in findings)
