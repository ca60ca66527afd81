"""What the hook says, by the user's setting: on entering one line, on leaving none unless asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Wtenv
from realbase import Base
from shells import Shell
from workspace import Home, Repo


@pytest.mark.parametrize(
    ("level", "entering", "leaving", "blocked"),
    [
        (None, "wtenv: main (base shared)\n", "", True),
        ("normal", "wtenv: main (base shared)\n", "", True),
        ("verbose", "wtenv: main (base shared)\n", "wtenv: left main\n", True),
        ("error", "", "", True),
        ("silent", "", "", False),
    ],
)
def test_levels(
    level: str | None,
    entering: str,
    leaving: str,
    blocked: bool,
    repo: Repo,
    base: Base,
    home: Home,
    wtenv: Wtenv,
    open_shell: Callable[..., Shell],
) -> None:
    repo.configure(f'[python]\nbase_conda_env = "{base.name}"\n')
    wtenv("allow", cwd=repo.root, check=True)
    wtenv("sync", cwd=repo.root, check=True)
    if level:
        settings = home.path / ".config/wtenv/config.toml"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(f'[messages]\nlevel = "{level}"\n')
    shell = open_shell(repo.root.parent)
    for _ in range(2):  # computed, then cached
        assert shell.run(f"cd {repo.root}").out == entering
        assert shell.run(f"cd {repo.root}/src").out == ""
        assert shell.run(f"cd {repo.root.parent}").out == leaving
        assert shell.run("cd /").out == ""
    wtenv("deny", cwd=repo.root, check=True)
    said = shell.run(f"cd {repo.root}").out
    assert ("is denied" in said) == blocked
    assert shell.run("cd .").out == "", "once"
