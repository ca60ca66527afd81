"""The verbs. Each has a module of its name, with two functions: `configure(parser)` says which arguments it takes,
`run(args, env)` does it and returns the exit code.

A module imports little at its top: a Tab asks it for its arguments alone.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # a shell waits for this package at its start
    import argparse

VERBS = {
    "Your shell, once": {
        "setup": "add the hook to a shell's rc file, in the form that starts no process",
        "hook": "print the hook for a shell's rc file",
        "completions": "print the completions for a shell",
    },
    "A clone, once": {
        "init": "write a config from a conda environment's name, allow it and build the overlay",
        "allow": "let this config take effect in every worktree of this clone",
        "deny": "never let a config of this clone take effect",
    },
    "Every day": {
        "sync": "build or fix the overlay",
        "run": "become a command, with the activation in effect",
        "status": "show what is active here and why",
        "list": "show every worktree of the clone and its overlay",
        "which": "show which layer a command, module or distribution comes from, and why",
    },
    "When something is off": {
        "doctor": "check everything, and say what fixes it; exit code 1 if something is wrong",
        "verify": "say what differs from wtenv.lock; 1 if something does",
        "clean": "remove the overlay",
        "prune": "forget clones, worktrees and overlays that no longer exist",
    },
    "For scripts, CI and the team": {
        "export": "print the activation of the current folder",
        "lock": "write down in wtenv.lock what base and overlay consist of",
    },
    "More": {
        "help": "explain a command, or every key; or what a coding agent has to know",
    },
}
"""Moment -> verb -> what it does, in the order of `wtenv --help`."""

ALIASES = {"sync": "update-editables", "status": "info"}
"""Verb -> its other name."""


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs (docs/json.md)")
