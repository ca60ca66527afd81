"""`wtenv status`: what is active here, what should be, and what to do if the two differ."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import environ
from ..console import make_printable, write, write_json
from ..hook.detect import find_parent
from ..hook.shells import Shell
from ..process import locate_folder
from . import add_json

if TYPE_CHECKING:
    from ..decision import Decision

MOST = 8  # editables on the screen


def configure(parser: ArgumentParser) -> None:
    add_json(parser)


def run(args: Namespace, env: Mapping[str, str]) -> int:
    """Print the state; 0 whatever it is."""
    from .. import decision

    found = decision.decide(Path(locate_folder(env)), environ.undo(env))
    facts = gather(found, env)
    shell = find_parent(env)
    facts["hook"] = predict(found, facts, env, shell) if shell else None
    if args.json:
        write_json(facts)
    else:
        write(render(facts))
    return 0


def gather(found: Decision, env: Mapping[str, str]) -> dict[str, Any]:
    """The facts behind the screen; the keys are documented in docs/json.md."""
    place, config, base, overlay = found.worktree, found.config, found.base, found.overlay
    wanted = found.activation
    active = env.get(environ.ROOT)
    return {
        "state": found.kind,
        "reason": found.reason,
        "fix": found.fix,
        "worktree": str(place.root) if place else None,
        "clone": str(place.clone) if place else None,
        "linked": place.linked if place else None,
        "problem": place.problem if place else "",
        "config": [str(source.path) for source in found.sources if source.data is not None],
        "roles": [source.role for source in found.sources if source.data is not None],
        "settings": str(found.settings.path) if found.settings and found.settings.path.exists() else None,
        "trust": found.verdict.kind if found.verdict else None,
        "base": {"prefix": base.prefix, "name": base.name, "kind": base.kind} if base else None,
        "overlay": {
            "path": str(config.venv),
            "state": overlay.kind,
            "reason": overlay.reason,
            "shared": bool(place and config.root != place.root),
        }
        if config and overlay
        else None,
        "editables": [str(package) for package in config.packages] if config else [],
        "active_root": active,
        "active": bool(wanted and env.get(environ.ID) and env.get(environ.VARS) and active == wanted.root),
        "current": found.is_in_effect(env),
        "warnings": [*found.news, *found.warnings, *found.faults],
    }


def predict(found: Decision, facts: Mapping[str, Any], env: Mapping[str, str], shell: Shell) -> dict[str, str]:
    """What the hook of `shell` will come to at the next prompt here, by the names in docs/design.md, and how."""
    if env.get("WTENV_DISABLE"):
        return {"shell": shell.name, "decision": "disabled", "reason": "WTENV_DISABLE is set"}
    if facts["current"]:
        return {"shell": shell.name, "decision": "unchanged", "reason": "this is in effect"}
    if found.worktree is None:
        return {"shell": shell.name, "decision": found.kind, "reason": ""}
    from ..hook import cached

    change = cached.find_change(found.watch, str(found.worktree.root), shell.name, env)
    decided = found.kind if found.kind != "active" else "cached" if change is None else "computed"
    return {"shell": shell.name, "decision": decided, "reason": change or "what is kept still holds"}


def render(facts: Mapping[str, Any]) -> str:
    """One screen for people; its last line says what to do if something is off."""
    rows: list[tuple[str, str]] = []

    def add(label: str, value: object) -> None:
        if value:
            rows.append((label, str(value)))

    add("worktree", facts["worktree"] and facts["worktree"] + (" (linked)" if facts["linked"] else ""))
    add("clone", facts["clone"])
    add("note", facts["problem"])
    for path, role in zip(facts["config"], facts["roles"], strict=True):
        add("config", path if role == "repo" else f"{path} ({role})")
    add("settings", facts["settings"])
    add("trust", facts["trust"])
    if base := facts["base"]:
        add("base", f"{base['name']} ({base['prefix']})" if base["name"] != base["prefix"] else base["prefix"])
    if overlay := facts["overlay"]:
        add("overlay", f"{overlay['path']} ({overlay['state']}{', shared' if overlay['shared'] else ''})")
    for package in facts["editables"][:MOST]:
        add("editable", package)
    if more := facts["editables"][MOST:]:
        add("", f"and {len(more)} more (see: wtenv status --json)")
    for warning in facts["warnings"]:
        add("warning", warning)
    shell, advice = describe_shell(facts)
    rows.append(("this shell", shell))
    if hook := facts["hook"]:
        reason = f" ({hook['reason']})" if hook["reason"] else ""
        add("hook", f"{hook['shell']}, at its next prompt: {hook['decision']}{reason}")
    add("why", facts["reason"])
    stale = "run: wtenv sync" if overlay and overlay["state"] == "stale" else ""
    add("next", facts["fix"] or stale or advice)
    return "".join(f"{label:<11} {make_printable(value)}\n" for label, value in rows)


def describe_shell(facts: Mapping[str, Any]) -> tuple[str, str]:
    """What is in effect in the shell that asks, and what to do where it is not what should be."""
    again = "press Enter; if that is all the same: exec $SHELL"
    if facts["current"]:
        return "active", ""
    if facts["active"]:
        return "active, but changed since", again
    if facts["active_root"]:
        return f"active for {facts['active_root']}", again
    if facts["state"] == "active":
        name = f" {facts['hook']['shell']}" if facts["hook"] else ""
        return (
            "not active; is the hook in your rc?",
            f"press Enter; if it stays so, run: wtenv setup{name}, and open a new shell",
        )
    return "not active", ""
