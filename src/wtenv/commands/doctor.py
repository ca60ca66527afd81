"""`wtenv doctor`: every check, what is wrong, and what mends it; `--fix` mends what is wtenv's own."""

from __future__ import annotations

import stat
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..console import Progress, make_printable, say, write, write_json
from ..errors import WtenvError
from ..hook.detect import find_parent
from ..hook.install import locate_hook
from ..insight.checks import CHECKS, Case, Finding, examine
from ..insight.checks.case import Mend
from ..insight.checks.worktree import find_exposed
from ..overlay.refresh import refresh
from ..overlay.sync import sync
from ..process import locate_folder
from . import add_json, setup
from .sync import Options, make_plan


def configure(parser: ArgumentParser) -> None:
    add_json(parser)
    parser.add_argument("--fix", action="store_true", help="mend what is wtenv's own, then check again")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Print what the checks find; 1 if something is wrong, also after what --fix has mended."""
    directory = Path(locate_folder(env))
    case = Case(directory, env, find_parent(env), interactive=sys.stdin.isatty())
    findings = examine(case)
    mended: list[str] = []
    if args.fix:
        mended = mend({item.mend for item in findings if item.state == "problem"}, case)
        for line in mended:
            say(line)
        if mended:
            loaded = not any(item.check == "hook" and item.state == "problem" for item in findings)
            findings = examine(replace(case, mended=loaded))
    problems = sum(item.state == "problem" for item in findings)
    if args.json:
        listed = [
            {
                "check": item.check,
                "state": item.state,
                "finding": item.what,
                "evidence": item.evidence,
                "fix": item.fix,
                "fixable": bool(item.mend),
            }
            for item in findings
        ]
        facts = {"directory": str(directory), "problems": problems, "findings": listed, "mended": mended}
        write_json(facts)
    else:
        write(render(findings))
    return 1 if problems else 0


def mend(kinds: Collection[Mend], case: Case) -> list[str]:
    """Mend what the checks found, of wtenv's own alone; what was done, in words. What can't be mended is said, and
    found again by the next check."""
    done: list[str] = []
    for kind, act in _MENDS.items():
        if kind in kinds:
            try:
                done += act(case)
            except WtenvError as error:
                say(str(error))
            except OSError as error:
                say(f"can't change {error.filename} ({error.strerror})")
    return done


def _mend_files(case: Case) -> Iterator[str]:
    for place in find_exposed(case):
        place.chmod(stat.S_IMODE(place.stat().st_mode) & ~0o077)
        yield f"made {place} yours alone"


def _mend_hook(case: Case) -> Iterator[str]:
    if case.shell:
        setup.write_hook(case.shell, case.plain)
        yield f"wrote {locate_hook(case.shell.name, case.plain)}"


def _sync(case: Case, *, reinstall: bool = False) -> Iterator[str]:
    # Inexact: what was installed by hand is not wtenv's to remove.
    plan, plain = make_plan(case.directory, case.env, Options(inexact=True, reinstall=reinstall))
    with Progress() as report:
        outcome = sync(plan, plain, report)
    yield "synced the overlay" + (f" ({', '.join(outcome.installed)})" if outcome.installed else "")


def _rebuild(case: Case) -> Iterator[str]:
    return _sync(case, reinstall=True)


def _refresh(case: Case) -> Iterator[str]:
    config = case.decision.config
    if config and refresh(config.venv, case.plain, always=True):
        yield f"renewed wrappers and bootstrap of {config.venv}"


_MENDS: Mapping[Mend, Callable[[Case], Iterator[str]]] = {
    "files": _mend_files,
    "hook": _mend_hook,
    "sync": _sync,
    "rebuild": _rebuild,
    "refresh": _refresh,
}


def render(findings: Sequence[Finding]) -> str:
    """One screen: problems first, then notes; what is right in a line each."""
    lines = []
    for state in ("problem", "note", "ok"):
        for item in findings:
            if item.state != state:
                continue
            lines.append(f"{state:<8} {item.check:<12} {_flatten(item.what)}")
            lines += [f"{'':<21} {_flatten(text)}" for text in item.evidence]
            lines += [f"{'':<21} -> {_flatten(item.fix)}"] if item.fix else []
    seen = {item.check for item in findings}
    if absent := [name for name in CHECKS if name not in seen]:
        lines.append(f"{'-':<8} not checked here: {', '.join(absent)}")
    problems = [item for item in findings if item.state == "problem"]
    fixable = sum(bool(item.mend) for item in problems)
    hint = f", {fixable} of them mended by: wtenv doctor --fix" if fixable else ""
    count = f"{len(problems)} problem{'s' * (len(problems) > 1)}{hint}"
    lines.append(count if problems else "nothing is wrong")
    return "\n".join(lines) + "\n"


def _flatten(text: str) -> str:
    return make_printable(text)
