"""`wtenv status`: what is active here, what should be, and what to do if the two differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import cache, decision, environ
from ..decision import Decision
from ..errors import make_printable
from ..shells import SHELLS, Shell
from .hook import write


def run(directory: Path, env: Mapping[str, str], shell: str, *, as_json: bool) -> int:
    """Print the state; 0 whatever it is. shell: the one that runs us, if it is known, else ""."""
    found = decision.decide(directory, environ.undo(env))
    facts = gather(found, env)
    facts["hook"] = predict(found, facts, env, SHELLS[shell]) if shell else None
    if as_json:
        import json

        write(json.dumps(facts, indent=2) + "\n")
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
        "doubt": place.doubt if place else "",
        "config": [str(source.path) for source in found.sources if source.data is not None],
        "trust": found.verdict.kind if found.verdict else None,
        "base": {"prefix": base.prefix, "name": base.name, "kind": base.kind} if base else None,
        "overlay": {"path": str(config.venv), "state": overlay.kind, "reason": overlay.reason}
        if config and overlay
        else None,
        "editables": [str(package) for package in config.packages] if config else [],
        "active_root": active,
        "active": bool(wanted and env.get(environ.ID) and env.get(environ.VARS) and active == wanted.root),
        "current": bool(wanted and env.get(environ.ID) == wanted.id),
        "warnings": found.warnings,
    }


def predict(found: Decision, facts: Mapping[str, Any], env: Mapping[str, str], shell: Shell) -> dict[str, str]:
    """What the hook of `shell` will come to at the next prompt here, by the names in docs/design.md, and how."""
    if facts["current"]:
        return {"shell": shell.name, "decision": "unchanged", "reason": "this is in effect"}
    if found.worktree is None:
        return {"shell": shell.name, "decision": found.kind, "reason": ""}
    change = cache.find_change(dict.fromkeys(found.watch), str(found.worktree.root), shell, env)
    decided = found.kind if found.kind != "active" else "cached" if change is None else "computed"
    return {"shell": shell.name, "decision": decided, "reason": change or "what is kept still holds"}


def render(facts: Mapping[str, Any]) -> str:
    """One screen for people."""
    rows: list[tuple[str, str]] = []

    def add(label: str, value: object) -> None:
        if value:
            rows.append((label, str(value)))

    add("worktree", facts["worktree"] and facts["worktree"] + (" (linked)" if facts["linked"] else ""))
    add("clone", facts["clone"])
    add("note", facts["doubt"])
    for path in facts["config"]:
        add("config", path)
    add("trust", facts["trust"])
    if base := facts["base"]:
        add("base", f"{base['name']} ({base['prefix']})" if base["name"] != base["prefix"] else base["prefix"])
    if overlay := facts["overlay"]:
        add("overlay", f"{overlay['path']} ({overlay['state']})")
    for package in facts["editables"]:
        add("editable", package)
    for warning in facts["warnings"]:
        add("warning", warning)
    if facts["current"]:
        rows.append(("this shell", "active"))
    elif facts["active"]:
        rows.append(("this shell", "active, but changed since: press Enter, or: exec $SHELL"))
    elif facts["active_root"]:
        rows.append(("this shell", f"active for {facts['active_root']}"))
    elif facts["state"] == "active":
        rows.append(("this shell", 'not active; is the hook in your rc? eval "$(wtenv hook SHELL)"'))
    else:
        rows.append(("this shell", "not active"))
    if hook := facts["hook"]:
        reason = f" ({hook['reason']})" if hook["reason"] else ""
        rows.append(("hook", f"{hook['shell']}: {hook['decision']}{reason}"))
    if facts["reason"]:
        rows.append(("why", facts["reason"]))
    if facts["fix"]:
        rows.append(("next", facts["fix"]))
    return "".join(f"{label:<11} {make_printable(value)}\n" for label, value in rows)
