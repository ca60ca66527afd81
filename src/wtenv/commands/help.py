"""`wtenv help`: all commands by their moment, one command, every key of a config, or what to tell an agent."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..console import write
from . import ALIASES, VERBS

if TYPE_CHECKING:
    from ..config.keys import Key

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
- If a message says `wtenv sync`, run it: a new worktree may need that once. If one says `wtenv allow`, stop and ask
  the user.
- Never run `pip install -e` or `uv pip install -e`. To add an editable, put its folder under `[editables] packages` in
  `wtenv.toml`, ask the user for `wtenv allow`, and run `wtenv sync`.
- Never activate conda by hand, and never set `PATH`, `PYTHONPATH` or `VIRTUAL_ENV` for Python.
- `wtenv status` says what is used here, `wtenv which NAME` where a command or module comes from, `wtenv doctor` what
  is wrong and what fixes it.
"""
EPILOG = """\
wtenv COMMAND --help tells more of a command, wtenv help config names every key of a config.
Without wtenv setup, the hook in an rc file is: eval "$(wtenv hook bash)" (or zsh);
in fish: wtenv hook fish | source
"""


def configure(parser: ArgumentParser) -> None:
    topics = [*list_words(), "config", "agents"]
    parser.add_argument("topic", nargs="?", choices=topics, metavar="TOPIC", help="a command, config or agents")


def run(args: Namespace, _: Mapping[str, str]) -> int:
    """Print the overview, a command's help, the keys, or the paragraph for agents."""
    if args.topic in list_words():
        args.parser.parse_args([args.topic, "--help"])
    write({"config": render_config(), "agents": FOR_AGENTS}.get(args.topic) or render_overview())
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
    from ..config.keys import CONFIG, SETTINGS

    lines = [
        "wtenv.toml at a worktree's root, or in the clone's .git folder for all of its worktrees; with both,",
        "the clone's keys win, key by key. Relative paths start at the worktree's root, in a stack at its folder.",
        *_render_tables(CONFIG),
        "",
        "",
        "~/.config/wtenv/config.toml: your own settings, never a repository's.",
        *_render_tables(SETTINGS),
    ]
    return "\n".join(lines) + "\n"


def _render_tables(known: Mapping[str, Mapping[str, Key]]) -> Iterator[str]:
    for table, keys in known.items():
        yield from ("", f"[{table}]")
        for name, key in keys.items():
            yield f"{name} = {key.example}"
            yield f"    {key.wanted}; default: {key.default}"
            yield f"    {key.meaning}"
