"""Imports run downwards only, and what a shell's start and prompt wait for imports nothing from outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from realbase import Base
from scenes import CONFIG, Scene, call, make_git, make_home, make_scene
from workspace import Home

from wtenv.commands import VERBS
from wtenv.hook.shells import ABI

SOURCE = Path(__file__).resolve().parents[1] / "src/wtenv"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("adoption",),
    ("insight", "completion"),
    ("answer",),
    ("ready",),
    ("plan",),
    ("decision",),
    ("activation", "draft", "lock"),
    ("conda", "overlay", "trust"),
    ("contents",),
    ("config",),
    ("worktree",),
    ("hook",),
    ("environ", "gitfiles", "distributions"),
    ("changes",),
    ("files", "process"),
    ("dirs",),
    ("access", "console", "digest", "names", "faults", "toml", "watch"),
    ("errors",),
    ("__init__",),
)
"""From the top. A module imports from lower layers only; a folder's modules from one another without a circle."""

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def modules() -> dict[str, Path]:
    """Dotted name below `wtenv` -> file. The bootstrap belongs to the overlay's Python, not to wtenv."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if "bootstrap" not in parts:
            found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


def list_imports(name: str, path: Path) -> set[str]:
    """The modules of wtenv that one imports, anywhere in its text."""
    known = modules()
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    if name == "__init__":
        package = []
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name.removeprefix("wtenv.") for a in node.names if a.name.split(".")[0] == "wtenv"}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                start = package[: len(package) - node.level + 1]
            elif (node.module or "").split(".")[0] == "wtenv":
                start = []
            else:
                continue
            target = [*start, *(node.module or "").removeprefix("wtenv").strip(".").split(".")]
            dotted = ".".join(part for part in target if part)
            for alias in node.names:
                inner = f"{dotted}.{alias.name}".strip(".")
                found.add(inner if inner in known else dotted or "__init__")
    return found - {name}


@pytest.mark.parametrize("name", sorted(modules()))
def test_downwards_only(name: str) -> None:
    top = name.split(".")[0]
    assert top in RANK, f"{top} is new: give it its place in LAYERS"
    for other in list_imports(name, modules()[name]):
        below = other.split(".")[0]
        assert below in RANK, other
        assert below == top or RANK[below] > RANK[top], f"{name} imports {other}"
        assert not (name.startswith("commands.") and other.startswith("commands.")), f"{name} imports {other}: a verb"


def test_no_circles() -> None:
    graph = {name: list_imports(name, path) for name, path in modules().items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for other in sorted(graph.get(name, ())):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_the_check_sees_imports() -> None:
    assert {"errors", "files"} <= list_imports("config.read", modules()["config.read"])
    assert "commands.hook" in list_imports("cli", modules()["cli"])
    assert "overlay.state" in list_imports("decision", modules()["decision"])


# --- what hook and export --hook load -----------------------------------------------------------

PROBE = """
import sys
before = set(sys.modules)
from wtenv import cli
code = cli.main(sys.argv[1:])
sys.stdout.flush()
with open(sys.argv[0] + ".modules", "w") as out:
    out.write("\\n".join(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
with open(sys.argv[0] + ".all", "w") as out:
    out.write("\\n".join(sorted(set(sys.modules) - before)))
sys.exit(code)
"""


def load(home: Home, cwd: Path, *words: str | Path) -> tuple[set[str], set[str]]:
    """The top-level packages from outside that a command imported, and all modules."""
    script = home.path / "probe.py"
    script.write_text(PROBE)
    done = home.run([sys.executable, script, *words], cwd)
    assert done.returncode == 0, done.stderr
    tops = set(Path(f"{script}.modules").read_text().split())
    return tops - set(sys.stdlib_module_names) - {"wtenv"}, set(Path(f"{script}.all").read_text().split())


@pytest.mark.parametrize("verb", [verb for verbs in VERBS.values() for verb in verbs])
def test_a_tab_loads_one_verb_alone(verb: str, tmp_path: Path) -> None:
    """What a verb's arguments are is known without what the verb needs for its work."""
    outside, loaded = load(make_home(tmp_path), tmp_path, "__complete", "zsh", verb, "-")
    assert outside == set()
    assert {name for name in loaded if name.startswith("wtenv.commands.")} == {f"wtenv.commands.{verb}"}
    assert not loaded & {
        "dataclasses",
        "json",
        "subprocess",
        "tomllib",
        "wtenv.config",
        "wtenv.decision",
        "wtenv.overlay",
    }


HEAVY = {"argparse", "asyncio", "email", "http", "logging", "urllib.request", "uv", "dotenv", "packaging", "filelock"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_hook(shell: str, tmp_path: Path) -> None:
    outside, loaded = load(make_home(tmp_path), tmp_path, "hook", shell)
    assert outside == set()
    assert not loaded & (HEAVY | {"json", "subprocess", "tomllib", "tempfile", "pwd"})


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("imports"), base)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_export_hook(shell: str, scene: Scene) -> None:
    outside, loaded = load(scene.home, scene.root, "export", "--hook", str(ABI), shell, scene.root, "")
    assert outside <= {"tomli"}
    assert not loaded & HEAVY


def test_export_hook_of_what_is_not_active(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    root = make_git(tmp_path, home)
    for text in (None, "broken", CONFIG.format(base="x")):
        if text is not None:
            (root / "wtenv.toml").write_text(text)
        outside, loaded = load(home, root, "export", "--hook", str(ABI), "bash", root, "")
        assert outside <= {"tomli"}
        assert not loaded & (HEAVY | {"subprocess"})


def test_dotenv_is_loaded_where_it_is_configured(base: Base, tmp_path: Path) -> None:
    scene = make_scene(tmp_path, base, CONFIG + '[activation]\ndotenv = [".env"]\n')
    (scene.root / ".env").write_text("A=1\n")
    call(scene.home, "allow", cwd=scene.root, check=True)
    outside, _ = load(scene.home, scene.root, "export", "--hook", str(ABI), "bash", scene.root, "")
    assert outside <= {"tomli", "dotenv"}
    assert "dotenv" in outside


def test_what_is_loaded_is_counted(scene: Scene) -> None:
    """`-X importtime` sees what the hook's first Python imports: no more than this."""
    command = [sys.executable, "-I", "-X", "importtime", "-m", "wtenv", "hook", "bash"]
    done = subprocess.run(command, env=scene.home.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    names = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert {name.split(".")[0] for name in names if name.split(".")[0] in ("dotenv", "uv", "shellingham")} == set()
