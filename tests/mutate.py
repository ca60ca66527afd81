"""Mutation testing: change the modules that decide, one small change at a time, and see whether their tests notice.

    .cache/test-venv/bin/python tests/mutate.py                 a sample of each module
    .cache/test-venv/bin/python tests/mutate.py names trust     of these
    .cache/test-venv/bin/python tests/mutate.py names --all     every change

The sources are changed in a copy, never in the checkout. Each change gets a fork of this process, in which pytest is
loaded already and wtenv is not. Only what a test does in its own process meets the change. A mutant that no test
notices is printed: a test is missing there, or the change makes no difference. CONTRIBUTING.md has the scores.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Module -> the tests that run quickly and hold its rules.
TARGETS = {
    "names": ["test_names.py"],
    "access": ["test_access.py", "test_trust.py"],
    "trust": ["test_trust.py"],
    "environ": ["test_activation.py", "test_environ_shells.py"],
    "worktree": ["test_worktree.py", "test_gitconfig.py"],
    "config/read": ["test_config.py", "test_toml_limits.py"],
    "decision": ["test_decision.py", "test_base_place.py", "test_watch.py"],
    "overlay/inventory": ["test_overlay_inventory.py"],
    "overlay/state": ["test_overlay_inventory.py", "test_overlay_git.py"],
}

SWAPS: dict[type, type] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


def find_changes(tree: ast.Module) -> Iterator[tuple[int, str, Callable[[], None]]]:
    """Each change: its line, what it is, and a function that makes it in `tree`."""
    for node in _walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            yield line, f"{ast.unparse(node)}: {_name(node.ops[0])}", lambda n=node: _swap(n.ops, 0)
        elif isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in SWAPS:
            yield line, f"{ast.unparse(node)}: {_name(node.op)}", lambda n=node: setattr(n, "op", SWAPS[type(n.op)]())
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            yield line, f"{node.value} turned", lambda n=node: setattr(n, "value", not n.value)
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield line, f"{node.value} + 1", lambda n=node: setattr(n, "value", n.value + 1)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value and " " not in node.value:
            yield line, f"{node.value!r} changed", lambda n=node: setattr(n, "value", f"{n.value}X")
        elif isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, ast.Compare | ast.BoolOp):
            yield line, f"if {ast.unparse(node.test)}: turned", lambda n=node: _negate(n)
        elif isinstance(node, ast.Return) and node.value and not _is_none(node.value):
            yield line, f"{ast.unparse(node)}: None", lambda n=node: setattr(n, "value", ast.Constant(None))
        if isinstance(node, ast.FunctionDef | ast.If | ast.For | ast.With | ast.Try):
            for index, each in enumerate(node.body):
                if isinstance(each, ast.Raise | ast.Continue | ast.Break | ast.AugAssign) or (
                    isinstance(each, ast.Expr) and isinstance(each.value, ast.Call)
                ):
                    change = lambda n=node, i=index: n.body.__setitem__(i, ast.Pass())  # noqa: E731
                    yield each.lineno, f"{ast.unparse(each)}: left out", change


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs: no annotation, docstring or `if TYPE_CHECKING`."""
    for name, field in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in field if isinstance(field, list) else [field]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            yield child
            yield from _walk(child)


def _name(op: ast.AST) -> str:
    return f"{type(op).__name__} -> {SWAPS[type(op)].__name__}"


def _swap(ops: list[ast.cmpop], index: int) -> None:
    ops[index] = SWAPS[type(ops[index])]()


def _negate(node: ast.If | ast.IfExp | ast.While) -> None:
    node.test = ast.UnaryOp(ast.Not(), node.test)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def run_tests(place: Path, tests: list[str], limit: float) -> bool:
    """Whether the tests pass with the sources below `place`; False also if they take longer than `limit` seconds."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        sys.path[:0] = [str(place / "src")]
        import pytest

        words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly"]
        words += [str(ROOT / "tests" / name) for name in tests]
        os._exit(int(pytest.main(words)) != 0)
    deadline = time.monotonic() + limit
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status == 0
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False
        time.sleep(0.02)


def examine(module: str, place: Path, chosen: Callable[[int], list[int]]) -> tuple[int, int]:
    """Killed mutants, and all that were tried; survivors are printed."""
    tests, file = TARGETS[module], place / f"src/wtenv/{module}.py"
    source = file.read_text()
    tree = ast.parse(source)
    count = sum(1 for _ in find_changes(tree))
    started = time.monotonic()
    if not run_tests(place, tests, 600):
        raise SystemExit(f"{module}: its tests fail as it is")
    limit = 10 + 3 * (time.monotonic() - started)
    killed, indexes = 0, chosen(count)
    for index in indexes:
        mutant = copy.deepcopy(tree)
        line, what, change = list(find_changes(mutant))[index]
        change()
        file.write_text(ast.unparse(ast.fix_missing_locations(mutant)))
        if run_tests(place, tests, limit):
            print(f"  survived: {module}.py:{line}: {' '.join(what.split())[:150]}", flush=True)
        else:
            killed += 1
    file.write_text(source)
    print(f"{module}: {killed} of {len(indexes)} killed ({count} possible)", flush=True)
    return killed, len(indexes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(TARGETS))
    parser.add_argument("--sample", type=int, default=40, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="every mutant")
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT / "tests")]
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    import hypothesis
    import pexpect
    import pytest
    import rattler

    assert hypothesis and pexpect and pytest and rattler and "wtenv" not in sys.modules
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        place.chmod(0o755)  # some tests let another user look
        for name in ("src", "shell"):
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        for module in options.modules or TARGETS:
            chance = random.Random(options.seed)
            examine(
                module,
                place,
                lambda count: sorted(
                    range(count) if options.all else chance.sample(range(count), min(options.sample, count))
                ),
            )


if __name__ == "__main__":
    main()
