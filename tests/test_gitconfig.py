"""git's config files, beside git: what is in them, and which worktrees they declare safe."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenes import git, make_git, make_home
from test_other_users import THEM, US, give
from workspace import Home

from wtenv import gitfiles

TEXTS = [
    "", "\n\n", "[core]", "[core]\n\tbare = true\n", "[CORE]\nBare\n", "[core] bare = yes\n", "[core]bare=yes # x\n",
    "[core]\r\n\tworktree = ../x\r\n", "\ufeff[core]\nworktree=a\n", '[core]\nworktree = "a b" ; c\n',
    '[core]\nworktree = a "b ; c" d   # e\n', '[core]\nworktree = "  a  "  \n', "[core]\nworktree = a\\\\b\\tc\\nd\\\"\n",
    "[core]\nworktree = a \\\n  b\n", '[core]\nworktree = "a\\\nb"\n', "[core]\nworktree =\n", "[core]\nworktree = \\\n",
    '[safe "x.Y"]\ndirectory = z\n', '[a "b \\" ] \\\\ c"]\nd = e\n', "[a.B]\nc = d\n", "# [core]\n; x\n[core]\n",
    "[core]\nworktree = a\n[other]\nworktree = b\n[core]\nworktree = c\n", "[core]\nx-y = 1\nx1 = 2\n", "[core]\n1x = 2\n",
    "[core]\nbare true\n", "[core\nbare = x\n", '[core]\nworktree = "a\n', "[core]\nworktree = a\\qb\n", "bare = 1\n",
    '[core]\nworktree = a "" \n', '[core]\nworktree = a\\t \n', '[core]\nworktree = " " # x\n', "[core]\nworktree = a  b\n",
    '[core]\nworktree = "a" "b" \t\n', "[core]\nworktree = a \\\n", "[core]\nbare # comment\n", "[core] bare = 1 [safe] directory = 2\n", "[core][safe] directory = 2\n", "[a]\nb = c = d\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("gitconfig"))


@pytest.mark.parametrize("text", TEXTS)
def test_settings_as_git_reads_them(text: str, home: Home) -> None:
    file = home.path / "config"
    file.write_text(text, newline="")
    done = home.run(["git", "config", "--file", file, "--list", "-z"], home.path)
    try:
        found = [f"{name}\n{value}" if value is not None else name for name, value in gitfiles.parse(text)]
    except ValueError:
        assert done.returncode != 0
        return
    assert ("".join(f"{item}\0" for item in found), done.returncode) == (done.stdout, 0)


SLOW = {
    "sections": "[a]" * 100_000,
    "subsections": '[a "' + "\\x" * 150_000,
    "blanks": "[core]" + " " * 300_000 + "x",
    "lines": "[core]\n" + "a\n" * 150_000,
    "quotes": "[core]worktree=" + '"' * 300_000,
    "quoted blanks": "[core]worktree=" + '" "' * 100_000,
    "escapes": "[core]worktree=" + "\\\\" * 150_000,
    "blanks and words": "[core]worktree=" + "a  " * 100_000,
    "comments": "[core]worktree=a" + " #" * 150_000,
    "lines that go on": "[core]worktree=" + " \\\n" * 100_000,
    "key": "[core]\n" + "a" * 300_000,
    "one section": "[" + "a" * 300_000,
}


@pytest.mark.parametrize("name", SLOW)
def test_a_text_that_is_built_to_be_slow(name: str) -> None:
    """The config of a submodule is read at a cd, before anybody has allowed it."""
    started = time.process_time()
    with contextlib.suppress(ValueError):
        list(gitfiles.parse(SLOW[name]))
    assert time.process_time() - started < 3


ROOT = "{top}/work/repo"
SAFE = {
    "nothing": "",
    "itself": f"directory = {ROOT}",
    "a slash at its end": f"directory = {ROOT}/",
    "another": "directory = {top}/work/other",
    "the folder above": "directory = {top}/work",
    "all below": "directory = {top}/work/*",
    "all below, further up": "directory = {top}/*",
    "all below it": f"directory = {ROOT}/*",
    "all below a name that is longer": "directory = {top}/wo*",
    "all": "directory = *",
    "quoted": f'directory = "{ROOT}" # this',
    "reset": f"directory = {ROOT}\ndirectory =",
    "reset without a value": f"directory = {ROOT}\ndirectory",
    "reset, then again": f"directory = *\ndirectory =\ndirectory = {ROOT}",
    "home": "directory = ~/../work/repo",
    "home itself": "directory = ~/*",
    "relative": "directory = work/repo",
    "a subsection": f'[safe "x"]\ndirectory = {ROOT}',
    "upper case": f"[SAFE]\nDirectory = {ROOT}",
    "an include": "[include]\npath = more",
    "an include of the home's": "[include]\npath = ~/more",
    "an include that is missing": f"directory = {ROOT}\n[include]\npath = nowhere",
    "an include that resets": f"directory = {ROOT}\n[include]\npath = resets",
    "an include of itself": "[include]\npath = .gitconfig",
    "an include under a condition": '[includeIf "gitdir:**"]\npath = more',
}

NEWER = {"a slash at its end", "all below", "all below, further up", "home"}  # safe for git from 2.46 on alone


@pytest.fixture(scope="module")
def theirs() -> Iterator[Path]:
    """A folder with a home of ours, and a repository of another user's, whose own config says that it is safe."""
    top = Path(tempfile.mkdtemp(prefix="wtenv-safe-"))
    top.chmod(0o755)
    root = make_git(top / "work", make_home(top))
    git(make_home(top / "x"), root, "config", "safe.directory", "*")
    (top / "home/more").write_text(f"[safe]\ndirectory = {root}\n")
    (top / "home/resets").write_text("[safe]\ndirectory =\n")
    give(THEM, root)
    yield top
    shutil.rmtree(top)


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can be several users")
@pytest.mark.parametrize("place", ["global", "home", "system"])
@pytest.mark.parametrize("name", SAFE)
def test_safe_directories_as_git_has_them(name: str, place: str, theirs: Path) -> None:
    text = "[safe]\n" + SAFE[name].replace("{top}", str(theirs)) + "\n"
    file = theirs / "home/.gitconfig"
    file.write_text(text)
    env = {"HOME": str(theirs / "home"), "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    if place == "global":
        env["GIT_CONFIG_GLOBAL"] = str(file)
    elif place == "system":
        env |= {"GIT_CONFIG_NOSYSTEM": "0", "GIT_CONFIG_SYSTEM": str(file), "GIT_CONFIG_GLOBAL": "/dev/null"}
    root = theirs / "work/repo"
    done = subprocess.run(
        ["setpriv", "--reuid", str(US), "--regid", str(US), "--clear-groups", "git", "-C", root, "rev-parse", "HEAD"],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"[0-9]+\.[0-9]+", subprocess.check_output(["git", "version"], text=True))
    assert found
    is_old = tuple(map(int, found[0].split("."))) < (2, 46)
    assert gitfiles.is_safe(root, env) == (done.returncode == 0 or (is_old and name in NEWER)), done.stderr


def test_a_config_of_others_counts_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / ".gitconfig"
    file.write_text("[safe]\ndirectory = *\n")
    env = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    assert gitfiles.is_safe(tmp_path / "x", env)
    file.chmod(0o666)
    assert not gitfiles.is_safe(tmp_path / "x", env)
    file.chmod(0o644)
    (tmp_path / "other").write_text("[safe]\ndirectory = *\n")
    (tmp_path / "other").chmod(0o646)
    file.write_text("[include]\npath = other\n")
    assert not gitfiles.is_safe(tmp_path / "x", env)
