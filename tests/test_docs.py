"""What README and docs/ say is so: configs parse, keys, commands, links and shell lines agree with the code."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Wtenv
from realbase import Base, cache_folder, copy_base
from scenes import CONFIG, Scene
from shells import HOOK_LINES, RC_FILES, run_script
from test_completions import LOADS
from test_status import inside
from workspace import Home, Repo, make_repo

from wtenv import toml
from wtenv.cli import build_parser
from wtenv.commands.help import EPILOG
from wtenv.config import keys as config_keys
from wtenv.config import read as configs
from wtenv.config import settings
from wtenv.hook.shells import FORMATS
from wtenv.insight.checks import CHECKS
from wtenv.worktree import find_worktree

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text("utf-8")
PAGES = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "examples/README.md"),
    *sorted(f"docs/{path.name}" for path in (CHECKOUT / "docs").glob("*.md")),
]


def block(name: str) -> str:
    """The code block after the comment `<!-- name -->` in one of the pages."""
    pages = "".join((CHECKOUT / page).read_text("utf-8") for page in PAGES)
    found = re.search(rf"^<!-- {name} -->\n```\w+\n(.*?)^```$", pages, re.M | re.S)
    assert found, name
    return found[1]


def parse(text: str) -> dict[str, dict[str, object]]:
    """TOML as wtenv reads it."""
    return toml.parse(CHECKOUT / "README.md", text.encode())


def section(title: str) -> str:
    """One section of the README, its subsections included, or the page of that title in docs/."""
    page = CHECKOUT / f"docs/{title.lower()}.md"
    if page.exists():
        return page.read_text("utf-8")
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert found, title
    return found[1]


def table_rows(text: str) -> Iterator[list[str]]:
    """The cells of each row."""
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.replace(r"\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


# --- the config -------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository beside what the README's configs name."""
    found = tmp_path / "api"
    for folder in (found / ".git/info", tmp_path / "sibling", tmp_path / "worker", found / "scripts"):
        folder.mkdir(parents=True)
    return found


def read(root: Path) -> configs.Config:
    worktree = find_worktree(root)
    assert worktree
    return configs.read_config(worktree, configs.find_sources(worktree, root), root)


def test_config_block(root: Path) -> None:
    (root / "wtenv.toml").write_text(block("config"))
    (root / ".env").write_text("A=1\n")
    found = read(root)
    assert (found.base, found.base_kind) == ("myproject-shared", "base_conda_env")
    assert found.packages == (root, root.parent / "sibling")
    assert found.env == (("DATA_DIR", "{root}/data"), ("OLD_FLAG", None))
    assert (found.path, found.dotenv) == ((str(root / "scripts"),), (("A", "1"),))
    other = block("config").replace("base_conda_env", "# ", 1).replace("# base_prefix", "base_prefix", 1)
    (root / "wtenv.toml").write_text(other)
    assert (read(root).base, read(root).base_kind) == ("/usr", "base_prefix")


def test_values_said_to_be_defaults(root: Path) -> None:
    (root / "wtenv.toml").write_text(block("config"))
    written = read(root)
    (root / "wtenv.toml").write_text('[python]\nbase_conda_env = "x"\n')
    default = read(root)
    assert default.packages == ()
    for key in ("venv", "install_deps", "build_isolation"):
        assert getattr(written, key) == getattr(default, key), key


@pytest.mark.parametrize("place", ["wtenv.toml", ".git/wtenv.toml"])
def test_stack_blocks(place: str, root: Path) -> None:
    stack = root.parent / "wtenv.backend.toml"
    stack.write_text(block("stack"))
    (root / place).write_text(block("pointer"))
    found = read(root)
    assert found.root == root.parent
    assert found.packages == (root, root.parent / "worker")
    assert stack.name in block("stack") and "../" + stack.name in block("pointer")


def test_every_key_is_documented() -> None:
    tables: dict[str, set[str]] = {"env": set()}
    for name in ("config", "stack", "pointer"):
        for table, keys in parse(block(name).replace("# base_prefix", "base_prefix")).items():
            tables.setdefault(table, set()).update(keys)
    assert tables.pop("env")
    assert tables == {table: set(keys) for table, keys in config_keys.CONFIG.items() if table != "env"}


def test_settings_block(tmp_path: Path) -> None:
    place = tmp_path / ".config/wtenv/config.toml"
    place.parent.mkdir(parents=True)
    place.write_text(block("settings"))
    found = settings.read_settings({"HOME": str(tmp_path)})
    assert found.path == place
    assert (found.trusted, found.sync_auto) == ((tmp_path / "src/work",), False)
    default = settings.read_settings({"HOME": str(tmp_path / "none")})
    assert (found.sync_auto, found.level, found.prompt) == (default.sync_auto, default.level, default.prompt)
    documented = {table: set(keys) for table, keys in parse(block("settings")).items()}
    assert documented == {table: set(keys) for table, keys in config_keys.SETTINGS.items()}


# --- where is what ---------------------------------------------------------------------------------


def define(path: Path) -> set[str]:
    """What a file defines at its top, methods as `Class.method`."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        return set(re.findall(r"^(?:function )?(\w+) *(?:\(\) *\{)?$", text, re.M))
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


def test_where_is_what() -> None:
    design = (CHECKOUT / "docs/design.md").read_text("utf-8")
    rows = list(table_rows(design.partition("## Where is what\n")[2].partition("\n## ")[0]))[1:]
    assert len(rows) == 15
    for what, file, name in rows:
        assert name.strip("`") in define(CHECKOUT / file.strip("`")), what


# --- commands ---------------------------------------------------------------------------------------


def list_commands() -> dict[str, argparse.ArgumentParser]:
    """Every command that `wtenv --help` names, aliases too."""
    actions = build_parser()._actions
    (commands,) = (action for action in actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def test_commands_and_options() -> None:
    rows = [row for row in table_rows(section("Commands")) if row[0].startswith("`wtenv ")]
    documented = {row[0].split()[1].strip("`"): " ".join(row) for row in rows}
    commands = list_commands()
    aliases = {word for word in commands if any(f"also called `{word}`" in text for text in documented.values())}
    assert set(documented) | aliases == set(commands)
    for name, text in documented.items():
        options = {option for action in commands[name]._actions for option in action.option_strings}
        said = set(re.findall(r"(?<=`)--?[a-z-]+", text))
        assert said <= options, name
        for action in commands[name]._actions:
            assert not action.option_strings or {*action.option_strings} & {*said, "-h"}, (name, action.option_strings)
    assert set(re.findall(r"`(\w+)`", documented["export"])) == set(FORMATS)


def test_commands_that_are_mentioned_exist() -> None:
    commands = list_commands()
    for page in PAGES:
        for word in re.findall(r"`wtenv ([a-z-]+)", (CHECKOUT / page).read_text("utf-8")):
            assert word in commands, (page, word)


def test_shell_lines_are_the_tested_ones() -> None:
    rows = {row[0]: row[1:] for row in table_rows(section("Install")) if row[0] in HOOK_LINES}
    assert rows == {name: [f"`~/{RC_FILES[name]}`", f"`{line}`"] for name, line in HOOK_LINES.items()}
    assert HOOK_LINES["bash"] in EPILOG and HOOK_LINES["fish"] in EPILOG


def test_completion_lines_are_the_tested_ones() -> None:
    for name, load in LOADS.items():
        assert f"\n{load.rpartition('; ')[2]} " in section("Install"), name


def test_the_two_commands() -> None:
    for command in ("examples/demo.py", "tests/run"):
        assert command in section("Quick start")
        assert os.access(CHECKOUT / command, os.X_OK)


@pytest.mark.usefixtures("base")
def test_demo_lines_are_real(tmp_path: Path) -> None:
    """The README's first block is a part of what the demo prints, its folder, comments and times aside."""
    command = [sys.executable, CHECKOUT / "examples/demo.py"]
    env = {**os.environ, "WTENV_TEST_CACHE": str(cache_folder()), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr

    def normalise(text: str) -> str:
        text = re.sub(rf"{re.escape(str(tmp_path))}/wtenv-demo-\w+", "/tmp/demo", text)
        text = re.sub(r"passed in [\d.]+s", "passed", text)
        return "".join(f"{line}\n" for line in text.splitlines() if line and not line.startswith("#"))

    shown = re.search(r"```console\n(.*?)```", README, re.S)
    assert shown and normalise(shown[1]) in normalise(done.stdout)


@pytest.mark.usefixtures("home")
def test_pages_of_output_are_real(base: Base, home: Home, tmp_path: Path) -> None:
    """What the README shows of `list` and `status`: the home's path, sizes, versions and times aside."""
    fresh = copy_base(base, home.path / "miniforge3", "myproject-shared")
    scene = Scene(home, make_repo(home.path / "src", home, "flit"), fresh)
    scene.repo.configure(CONFIG.replace("{base}", fresh.name))
    scene("allow", check=True)
    for worktree in scene.repo.worktrees:
        scene("sync", cwd=worktree, check=True)
    made = {name: scene.repo.add_worktree(name) for name in ("hotfix", "review")}
    (made["review"] / "wtenv.toml").open("a").write('\n[env]\nDEBUG = "1"\n')
    (scene.feature / "pyproject.toml").open("a").write("\n# touched\n")
    env = {**inside(scene, scene.root), "SHELL": "/bin/bash"}
    pages = {
        "list": scene("list", env=env, check=True).stdout,
        "status": scene("status", env=env, check=True).stdout,
        "status elsewhere": scene("status", cwd=made["hotfix"], check=True).stdout,
    }
    for name, text in pages.items():
        shown = block(name).partition("\n")[2]
        assert normalise_page(shown, "/home/ada") == normalise_page(text, str(home.path)), text


def normalise_page(text: str, home: str) -> list[str]:
    text = re.sub(r"\b3\.\d+\.\d+\b", "PYTHON", text.replace(home, "~"))
    text = re.sub(r"\b\d+ [KM]?B\b", "SIZE", re.sub(r"\b(\d+ (min|h|d) ago|just now)\b", "AGE", text))
    return [" ".join(line.split()) for line in text.splitlines() if not line.startswith("hook ")]


# --- pages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links(page: str) -> None:
    text = (CHECKOUT / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        place = (CHECKOUT / page).parent / name if name else CHECKOUT / page
        assert place.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", place.read_text("utf-8"), re.M)
            assert anchor in [title.lower().replace(" ", "-") for title in titles], target


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    text = (CHECKOUT / page).read_text("utf-8")
    for name in re.findall(r"`((?:tests|shell|examples|docs|\.ci)/[\w./]+)`", text):
        assert (CHECKOUT / name).exists(), name


def test_named_tests_exist() -> None:
    pages = "".join((CHECKOUT / page).read_text("utf-8") for page in PAGES)
    named = re.findall(r"`(tests/\w+\.py)::(\w+)`", pages)
    assert len(named) > 10
    for file, test in named:
        assert f"\ndef {test}(" in (CHECKOUT / file).read_text("utf-8"), f"{file}::{test}"


def test_json_keys(repo: Repo, base: Base, wtenv: Wtenv, tmp_path: Path) -> None:
    page = (CHECKOUT / "docs/json.md").read_text("utf-8")
    table = page.partition("## `wtenv status --json`")[2].partition("\n## ")[0]
    documented = [row[0].strip("`") for row in table_rows(table) if row[0] != "key" and row[0].strip("-")]
    repo.configure(f'[python]\nbase_conda_env = "{base.name}"\n')
    wtenv("allow", cwd=repo.root, check=True)
    for folder in (repo.root, tmp_path):
        facts = json.loads(wtenv("status", "--json", cwd=folder, check=True).stdout)
        assert list(facts) == documented
        assert f"`{facts['state']}`" in table


def test_json_verify(repo: Repo, fresh_base: Base, wtenv: Wtenv) -> None:
    page = (CHECKOUT / "docs/json.md").read_text("utf-8")
    table = page.partition("## `wtenv verify --json`")[2].partition("\n## ")[0]
    documented = [row[0].strip("`") for row in table_rows(table) if row[0] != "key" and row[0].strip("-")]
    repo.configure(f'[python]\nbase_conda_env = "{fresh_base.name}"\n')
    for word in ("allow", "sync", "lock"):
        wtenv(word, cwd=repo.root, check=True)
    (fresh_base.site_packages / "idna-3.10.dist-info").mkdir()
    done = wtenv("verify", "--json", cwd=repo.root)
    facts = json.loads(done.stdout)
    assert (done.returncode, done.stderr, list(facts)) == (1, "", documented)
    for key, value in facts["findings"][0].items():
        assert f"`{key}`" in table
        assert f"`{value}`" in table or key in ("name", "text")


def test_json_of_list(repo: Repo, base: Base, wtenv: Wtenv) -> None:
    page = (CHECKOUT / "docs/json.md").read_text("utf-8").partition("## `wtenv list --json`")[2].partition("\n## ")[0]
    documented = [row[0].strip("`") for row in table_rows(page) if row[0] != "key" and row[0].strip("-")]
    repo.configure(f'[python]\nbase_conda_env = "{base.name}"\n')
    facts = json.loads(wtenv("list", "--json", cwd=repo.root, check=True).stdout)
    clone = facts["clones"][0]
    worktree = clone["worktrees"][0]
    assert documented == [*facts, *clone, *worktree, *worktree["overlay"]]


def test_doctor_and_which_keys(repo: Repo, base: Base, wtenv: Wtenv) -> None:
    page = (CHECKOUT / "docs/json.md").read_text("utf-8")
    repo.configure(f'[python]\nbase_conda_env = "{base.name}"\n[editables]\npackages = ["."]\n')
    for words in (["allow"], ["sync"]):
        wtenv(*words, cwd=repo.root, check=True)

    def documented(command: str) -> tuple[str, list[str]]:
        part = page.partition(f"## `{command} --json`")[2].partition("\n## ")[0]
        return part, [row[0].strip("`") for row in table_rows(part) if row[0].startswith("`")]

    part, names = documented("wtenv doctor")
    facts = json.loads(wtenv("doctor", "--json", cwd=repo.root).stdout)
    assert names == [*facts, *CHECKS]
    assert all(f"`{key}`" in part for finding in facts["findings"] for key in finding)
    part, names = documented("wtenv which NAME")
    facts = json.loads(wtenv("which", "pytest", "--json", cwd=repo.root, check=True).stdout)
    assert names == list(facts)
    for key in ("commands", "modules", "distributions"):
        assert all(f"`{inner}`" in part for item in facts[key] for inner in item), key
        assert all(f"`{item['layer']}`" in part for item in facts[key])


def test_json_export(repo: Repo, base: Base, wtenv: Wtenv, tmp_path: Path) -> None:
    outside = wtenv("export", "json", cwd=tmp_path)
    assert (outside.returncode, outside.stdout) == (2, "")
    repo.configure(f'[python]\nbase_conda_env = "{base.name}"\n[env]\nA = "1"\nB = false\n')
    wtenv("allow", cwd=repo.root, check=True)
    wtenv("sync", cwd=repo.root, check=True)
    env = {"B": "2"}
    changes = json.loads(wtenv("export", "json", cwd=repo.root, env=env, check=True).stdout)
    assert (changes["A"], changes["B"], changes["WTENV_ROOT"]) == ("1", None, str(repo.root))
    inside = {name: value for name, value in changes.items() if value is not None} | {"B": ""}
    del inside["B"]
    again = json.loads(wtenv("export", "json", cwd=repo.root, env=inside, check=True).stdout)
    assert {name: again[name] for name in changes} == changes, "also where it is in effect already"
    dotenv = wtenv("export", "dotenv", cwd=repo.root, env=env, check=True).stdout
    assert "A='1'\n" in dotenv and "WTENV_" not in dotenv and "B=" not in dotenv


def test_bash_env(repo: Repo, base: Base, home: Home, wtenv: Wtenv) -> None:
    """In shells that are not interactive, also where `wtenv` is started through a bash script."""
    repo.configure(f'[python]\nbase_conda_env = "{base.name}"\n')
    wtenv("allow", cwd=repo.root, check=True)
    wtenv("sync", cwd=repo.root, check=True)
    shim = home.path / "shims/wtenv"
    shim.parent.mkdir()
    shim.write_text(f'#!/usr/bin/env bash\nexec {home.environ["PATH"].split(":")[0]}/wtenv "$@"\n')
    shim.chmod(0o755)
    env = {**home.environ, "PATH": f"{shim.parent}:{home.environ['PATH']}"}
    script = f"cd {repo.root} && command -v pytest && bash -c 'command -v pytest'; cd .. ; command -v pytest"
    wtenv("setup", "bash", "--all-shells", cwd=repo.root, check=True)
    done = run_script("bash", f"exec bash -ic {json.dumps(f'exec bash -c {json.dumps(script)}')}", env)
    outside = shutil.which("pytest", path=env["PATH"])  # the system's, if it has one
    assert done.stdout == f"{repo.root}/.venv/bin/pytest\n" * 2 + (f"{outside}\n" if outside else ""), done.stderr


# --- what docs/security.md says, where no other file tests it ------------------------------------------


@pytest.fixture
def configured(repo: Repo, base: Base) -> Repo:
    """A repository with a config and a dotenv file, not allowed."""
    text = f'[python]\nbase_conda_env = "{base.name}"\n[activation]\ndotenv = [".env"]\n'
    repo.commit({"wtenv.toml": text, ".env": "A=1\n"})
    return repo


def find_trust(wtenv: Wtenv, repo: Repo) -> str:
    trust: str = json.loads(wtenv("status", "--json", cwd=repo.root, check=True).stdout)["trust"]
    return trust


def test_nothing_before_allow(configured: Repo, wtenv: Wtenv) -> None:
    for words in (["sync"], ["run", "true"], ["export", "json"]):
        done = wtenv(*words, cwd=configured.root)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert "wtenv allow" in done.stderr
    assert not (configured.root / ".venv").exists()


@pytest.mark.parametrize("name", ["wtenv.toml", ".env", ".git/wtenv.toml"])
def test_changed_content_is_blocked(name: str, configured: Repo, wtenv: Wtenv) -> None:
    wtenv("allow", cwd=configured.root, check=True)
    assert find_trust(wtenv, configured) == "allowed"
    with (configured.root / name).open("a") as file:
        file.write("# changed\n")
    assert find_trust(wtenv, configured) == "changed"


def test_deny_covers_every_content(configured: Repo, wtenv: Wtenv) -> None:
    wtenv("deny", cwd=configured.root, check=True)
    configured.commit({".env": "A=2\n"})
    assert find_trust(wtenv, configured) == "denied"
    wtenv("allow", cwd=configured.root, check=True)
    assert find_trust(wtenv, configured) == "allowed"


@pytest.mark.parametrize("name", ["wtenv.toml", ".env", "."])
def test_writable_by_others_is_refused(name: str, configured: Repo, wtenv: Wtenv) -> None:
    wtenv("allow", cwd=configured.root, check=True)
    place = configured.root / name
    place.chmod(place.stat().st_mode | stat.S_IWOTH)
    assert find_trust(wtenv, configured) == "unsafe"
    refused = wtenv("allow", cwd=configured.root)
    assert refused.returncode == 2
    assert "can be written by other users" in refused.stderr


def test_own_files_are_private(configured: Repo, home: Home, wtenv: Wtenv) -> None:
    wtenv("allow", cwd=configured.root, check=True)
    wtenv("sync", cwd=configured.root, check=True)
    script = f"{HOOK_LINES['bash']}\nsleep 0.2; cd {configured.root}"
    run_script("bash", f"umask 0\n{script}", home.environ)
    folders = [home.path / ".local/share/wtenv", home.path / ".cache/wtenv"]
    for folder in [*folders, folders[0] / "trust", folders[0] / "overlays"]:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "%wtenv.bash" for path in found)
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
