"""`wtenv doctor`: every check, what is wrong, and what fixes it; `--fix` fixes what is wtenv's own."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import make_printable, say, write, write_json
from ..hook.detect import find_parent
from ..process import locate_folder
from . import add_json

if TYPE_CHECKING:
    from ..insight.checks import Finding


def configure(parser: ArgumentParser) -> None:
    add_json(parser)
    parser.add_argument("--fix", action="store_true", help="fix what is wtenv's own, then check again")


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Print what the checks find; 1 if something is wrong, also after --fix."""
    from dataclasses import replace

    from ..insight import fixes
    from ..insight.checks import Context, examine

    directory = Path(locate_folder(env))
    context = Context(directory, env, find_parent(env), interactive=sys.stdin.isatty())
    findings = examine(context)
    fixed: list[str] = []
    if args.fix:
        fixed = fixes.apply({item.repair for item in findings if item.state == "problem"}, context)
        for line in fixed:
            say(line)
        if fixed:
            loaded = not any(item.check == "hook" and item.state == "problem" for item in findings)
            findings = examine(replace(context, fixed=loaded))
    problems = sum(item.state == "problem" for item in findings)
    if args.json:
        listed = [
            {
                "check": item.check,
                "state": item.state,
                "finding": item.what,
                "evidence": item.evidence,
                "fix": item.fix,
                "fixable": bool(item.repair),
            }
            for item in findings
        ]
        facts = {"directory": str(directory), "problems": problems, "findings": listed, "fixed": fixed}
        write_json(facts)
    else:
        write(render(findings))
    return 1 if problems else 0


def render(findings: Sequence[Finding]) -> str:
    """One screen: problems first, then notes; what is right in a line each."""
    from ..insight.checks import CHECKS

    lines = []
    for state in ("problem", "note", "ok"):
        for item in findings:
            if item.state != state:
                continue
            lines.append(f"{state:<8} {item.check:<12} {make_printable(item.what)}")
            lines += [f"{'':<21} {make_printable(text)}" for text in item.evidence]
            lines += [f"{'':<21} -> {make_printable(item.fix)}"] if item.fix else []
    seen = {item.check for item in findings}
    if absent := [name for name in CHECKS if name not in seen]:
        lines.append(f"{'-':<8} not checked here: {', '.join(absent)}")
    problems = [item for item in findings if item.state == "problem"]
    fixable = sum(bool(item.repair) for item in problems)
    hint = f", {fixable} of them fixed by: wtenv doctor --fix" if fixable else ""
    count = f"{len(problems)} problem{'s' * (len(problems) > 1)}{hint}"
    lines.append(count if problems else "nothing is wrong")
    return "\n".join(lines) + "\n"
