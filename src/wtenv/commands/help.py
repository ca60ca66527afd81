"""`wtenv help`: all commands by their moment, one command, every key of a config, or what to tell an agent."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..config import read as configs
from ..config import settings
from ..console import write
from . import ALIASES, VERBS

CONFIG = "config"
AGENTS = "agents"
INTRODUCTION = """\
cd into a git worktree, and plain python and pytest use your shared conda environment (the base)
plus that worktree's own editable installs (the overlay, .venv).
cd out, and your shell is as it was.

Quick start:
    wtenv setup              # once; then open a new shell
    wtenv init --clone NAME  # once per clone, in one of its worktrees; NAME is a conda environment
    wtenv sync               # in each further worktree; from then on cd is all it takes
"""
# For an AGENTS.md or CLAUDE.md; docs/agents.md shows what each sentence rests on. `allow` is a person's decision.
FOR_AGENTS = """\
## Python in this repository

wtenv runs Python here: a shared conda environment (the base), plus this worktree's own editable installs (`.venv`).

- Plain `python`, `pytest` and the project's commands test the worktree that they are started in, or they exit with
  126 and one line that names the command to run. Run that command; do not work around it.
- If `python` is not found, or does not know the project, write `wtenv run` before the command: `wtenv run pytest` in
  the worktree, `wtenv run --directory FOLDER pytest` from anywhere.
- In a new worktree, run `wtenv sync` once. If a message says `wtenv allow`, stop and ask the user.
- Never run `pip install -e` or `uv pip install -e`. To add an editable, put its folder under `[editables] packages` in
  `wtenv.toml`, ask the user for `wtenv allow`, and run `wtenv sync`.
- Never activate conda by hand, and never set `PATH`, `PYTHONPATH` or `VIRTUAL_ENV` for Python.
- `wtenv status` says what is used here, `wtenv which NAME` where a command or module comes from, `wtenv doctor` what
  is wrong and what mends it.
"""
EPILOG = """\
wtenv COMMAND --help tells more of a command, wtenv help config names every key of a config.
Without wtenv setup, the hook in an rc file is: eval "$(wtenv hook bash)" (or zsh);
in fish: wtenv hook fish | source
"""


class Key(NamedTuple):
    """A key of a config: what it is if it isn't there, a line that sets it, and what that means."""

    default: str
    example: str
    meaning: str


# What the checks in `config` and `settings` know, table by table, in words.
KEYS = {
    "python": {
        "base_conda_env": Key("none", '"myproject-shared"', "The base. Exactly one of this key and base_prefix."),
        "base_prefix": Key("none", '"/usr"', "The base, if it is no conda environment: system, pyenv, uv."),
        "venv": Key('".venv"', '".venv"', "The overlay's folder."),
    },
    "editables": {
        "packages": Key("[]", '[".", "../sibling"]', "What `wtenv sync` installs editable. ~/ is your home."),
        "install_deps": Key(
            "false", "true", "Whether what base and overlay lack for them is installed into the overlay."
        ),
        "build_isolation": Key(
            '"auto"', "false", '"auto": built with the base\'s packages where it has what the build requires.'
        ),
    },
    "env": {
        "NAME": Key(
            "none", '"{root}/data"', "A variable. {root}, {venv}, {base}, {name}, {slug} and {main} are filled in."
        ),
    },
    "activation": {
        "path": Key("[]", '["scripts"]', "Put on PATH, before the overlay's programs."),
        "dotenv": Key(
            "[]", '[".env"]', "With lines KEY=value; one that is missing is no mistake. {main} is the main worktree."
        ),
    },
    "wtenv": {
        "extends": Key("none", '"../wtenv.backend.toml"', "The config is that one's; this file says nothing else."),
        "kind": Key("none", '"stack"', "This file is for several repositories, which name it in extends."),
    },
}
SETTINGS = {
    "trust": {"prefixes": Key("[]", '["~/src/work"]', "Worktrees below need no `wtenv allow`.")},
    "sync": {"auto": Key("false", "true", "Whether entering an allowed worktree without an overlay builds it.")},
    "messages": {"level": Key('"normal"', '"error"', "What the hook says: error is problems only.")},
    "prompt": {"show": Key("false", "true", 'Whether the prompt begins with "(NAME) ", as with conda.')},
    "elsewhere": {
        "python": Key(
            '"follow"', '"warn"', "What an overlay's Python does in another worktree: be that one's, or not."
        ),
    },
}


def configure(parser: ArgumentParser) -> None:
    topics = [*list_words(), CONFIG, AGENTS]
    parser.add_argument("topic", nargs="?", choices=topics, metavar="TOPIC", help="a command, config or agents")


def run(args: Namespace, _: Mapping[str, str]) -> int:
    """Print the overview, a command's help, the keys, or the paragraph for agents."""
    if args.topic in list_words():
        args.parser.parse_args([args.topic, "--help"])
    write({CONFIG: render_config(), AGENTS: FOR_AGENTS}.get(args.topic) or render_overview())
    return 0


def list_words() -> list[str]:
    """Every verb, each with its other name behind it."""
    return [word for verbs in VERBS.values() for verb in verbs for word in (verb, ALIASES.get(verb, "")) if word]


def render_overview() -> str:
    """All verbs, by the moment they are for."""
    width = max(len(verb) for verbs in VERBS.values() for verb in verbs)
    lines = ["usage: wtenv COMMAND …", "", *INTRODUCTION.splitlines()]
    for moment, verbs in VERBS.items():
        lines += ["", f"{moment}:"]
        for verb, summary in verbs.items():
            also = f" (also: {ALIASES[verb]})" if verb in ALIASES else ""
            lines.append(f"    {verb:<{width}}  {summary}{also}")
    return "\n".join([*lines, "", EPILOG])


def render_config() -> str:
    """Every key of configs and of the user's own settings: type, default, meaning, an example."""
    lines = [
        f"{configs.NAME} at a worktree's root, or in the clone's .git folder for all of its worktrees; with both,",
        "the clone's keys win, key by key. Relative paths start at the worktree's root, in a stack at its folder.",
        *_render_tables(KEYS, configs.list_keys()),
        "",
        "",
        "~/.config/wtenv/config.toml: your own settings, never a repository's.",
        *_render_tables(SETTINGS, settings.list_keys()),
    ]
    return "\n".join(lines) + "\n"


def _render_tables(known: Mapping[str, Mapping[str, Key]], wanted: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for table, keys in wanted.items():
        yield from ("", f"[{table}]")
        for name, kind in keys.items():
            key = known[table][name]
            yield f"{name} = {key.example}"
            yield f"    {kind}; default: {key.default}"
            yield f"    {key.meaning}"
