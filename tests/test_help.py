"""`wtenv --help` and `wtenv help`: complete, in step with parser and config, and short enough to be read."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from scenes import call, make_home, one_line
from workspace import Home

from wtenv import commands, toml
from wtenv.cli import build_parser
from wtenv.commands import VERBS
from wtenv.commands import help as helping
from wtenv.config import read as configs
from wtenv.config import settings
from wtenv.config.keys import CONFIG, SETTINGS
from wtenv.worktree import Worktree


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path)


def told(home: Home, *words: str, code: int = 0) -> str:
    done = call(home, *words, cwd=home.path)
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


def test_overview(home: Home) -> None:
    text = told(home, "help")
    assert told(home, "--help") == told(home, "-h") == text
    assert told(home, code=2) == text  # as git: the help, and a code that says that nothing was done
    lines = text.splitlines()
    assert len(lines) <= 55
    assert max(map(len, lines)) <= 100
    for name, parser in list_commands().items():
        also = [line for line in lines if f"also: {name})" in line]
        own = [line for line in lines if line.startswith(f"    {name} ")]
        assert len(own) + len(also) == 1, name
        if own:
            assert parser.description and parser.description in own[0]
    quick = text.partition("Quick start:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[:2] for line in quick] == [["wtenv", "setup"], ["wtenv", "init"], ["wtenv", "sync"]]


def list_commands() -> dict[str, argparse.ArgumentParser]:
    """Every command, aliases too."""
    (commands,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def test_each_command_has_its_moment_once() -> None:
    names = [name for verbs in VERBS.values() for name in verbs]
    assert len(names) == len(set(names))
    modules = {path.stem for path in Path(commands.__file__).parent.glob("[a-z]*.py")}
    assert modules == set(names)
    assert set(helping.list_words()) == set(list_commands())


def test_of_each_command(home: Home) -> None:
    parsers = list_commands()
    for name in ("sync", "update-editables", "help", "completions", "prune"):
        assert told(home, "help", name) == told(home, name, "--help") == parsers[name].format_help()
    for name, parser in parsers.items():
        for action in parser._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction) or action.choices, (name, action.dest)


def test_unknown_topic(home: Home) -> None:
    assert one_line(call(home, "help", "bogus", cwd=home.path)) == "there is no topic 'bogus'; see: wtenv help --help"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["statsu"], "there is no command 'statsu' (did you mean status?); see: wtenv --help"),
        (["xyz"], "there is no command 'xyz'; see: wtenv --help"),
        (["help", "confg"], "there is no topic 'confg' (did you mean config?); see: wtenv help --help"),
        (["export", "jsn"], "there is no format 'jsn' (did you mean json?); see: wtenv export --help"),
        (["\x1b[2J"], "there is no command '\\x1b[2J'; see: wtenv --help"),
    ],
)
def test_near_words(words: list[str], message: str, home: Home) -> None:
    assert one_line(call(home, *words, cwd=home.path)) == message


# --- every key ---------------------------------------------------------------------------------------


def test_config_names_every_key(home: Home) -> None:
    text = told(home, "help", "config")
    for tables in (CONFIG, SETTINGS):
        for table, keys in tables.items():
            assert f"\n[{table}]\n" in text
            for name, key in keys.items():
                head = f"\n{name} = {key.example}\n    {key.wanted}; default: {key.default}\n    {key.meaning}\n"
                assert head in text
    assert max(map(len, text.splitlines())) <= 110


def read(root: Path, text: str) -> configs.Config:
    (root / ".git").mkdir(exist_ok=True)
    (root / "wtenv.toml").write_text(text)
    for folder in (root.parent / "sibling", root / "scripts"):
        folder.mkdir(exist_ok=True)
    place = Worktree(root, root / ".git", False, "", ())
    return configs.read_config(place, configs.find_sources(place, root), root)


BASE = '[python]\nbase_conda_env = "x"\n'
CASES = [(table, key) for table, keys in CONFIG.items() for key in keys]


@pytest.mark.parametrize(("table", "key"), CASES)
def test_examples_and_defaults_are_so(table: str, key: str, tmp_path: Path) -> None:
    entry = CONFIG[table][key]
    root = tmp_path / "api"
    root.mkdir()
    line = f"{key} = {entry.example}\n"
    if table == "wtenv":
        stack = CONFIG["wtenv"]["kind"].example
        (tmp_path / "wtenv.backend.toml").write_text(f"[wtenv]\nkind = {stack}\n{BASE}")
        assert read(root, f"[wtenv]\nextends = {CONFIG['wtenv']['extends'].example}\n").root == tmp_path
        return
    text = (
        f"[python]\n{line}"
        if key.startswith("base_")
        else f"{BASE}{line}"
        if table == "python"
        else f"{BASE}[{table}]\n{line}"
    )
    read(root, text)
    if entry.default != "none":
        default = entry.default
        text = f"{BASE}{key} = {default}\n" if table == "python" else f"{BASE}[{table}]\n{key} = {default}\n"
        assert read(root, text)._replace(sources=()) == read(root, BASE)._replace(sources=())


@pytest.mark.parametrize(("table", "key"), [(table, key) for table, keys in SETTINGS.items() for key in keys])
def test_settings_are_so(table: str, key: str, home: Home) -> None:
    place = settings.locate_settings(home.environ)
    place.parent.mkdir(parents=True)
    default = settings.read_settings(home.environ)
    entry = SETTINGS[table][key]
    place.write_text(f"[{table}]\n{key} = {entry.default}\n")
    assert settings.read_settings(home.environ) == default
    place.write_text(f"[{table}]\n{key} = {entry.example}\n")
    assert settings.read_settings(home.environ) != default
    assert toml.parse(place, place.read_bytes())
