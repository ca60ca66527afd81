"""docs/agents.md: each line of its table is tried as it stands there. Never is the wrong copy imported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from realbase import Base
from scenes import CONFIG, call, make_home
from shells import require_shell
from test_docs import CHECKOUT, list_commands, table_rows
from workspace import Home, Repo, make_repo, wtenv_program

from wtenv import toml
from wtenv.commands.help import FOR_AGENTS

PAGE = (CHECKOUT / "docs/agents.md").read_text("utf-8")
LOOK = "python -c 'import pkg; print(pkg.__file__)'"
TABLE = PAGE.partition("## What was tried")[2].partition("\n## ")[0]
HEAD, *ROWS = table_rows(TABLE)
COLUMNS = ("active in another worktree", "active elsewhere, no overlay here", "nothing active", "--all-shells")
MEANING = {
    "right": {"right"},
    "right: it builds": {"right"},
    "126": {"126"},
    "the system's": {"system"},
    "right or the system's": {"right", "system"},
    "126 or the system's": {"126", "system"},
}
# What an agent's snapshot of a shell holds: functions, aliases and PATH, no other variable.
SNAPSHOT = "declare -f; alias -p; printf 'export PATH=%q\\n' \"$PATH\""


@dataclass(frozen=True)
class Start:
    """How something is started: in `cwd` with `env`, to look what `worktree` imports."""

    scene: Scene
    worktree: Path
    cwd: Path
    env: Mapping[str, str]

    def run(self, *words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            cwd=cwd or self.cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def shell(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What a shell is given as its last word, typed in another folder."""
        return self.run(*words, f"cd {self.worktree} && {LOOK}")

    def step(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """A file with the step, as a workflow's runner starts it: in the checkout, or with a cd."""
        file = self.scene.home.path / "step.sh"
        file.write_text(f"cd {self.worktree}\n{LOOK}\n")
        return self.run(*words, file)

    def make(self) -> subprocess.CompletedProcess[str]:
        return self.run("make", "--silent", "-C", self.worktree, "look")

    def hook(self) -> subprocess.CompletedProcess[str]:
        done = self.run("git", "-C", self.worktree, "commit", "--quiet", "--allow-empty", "-m", "x")
        out, err = (self.scene.home.path / f"hook.{name}" for name in ("out", "err"))
        code = int((self.scene.home.path / "hook.code").read_text())
        return subprocess.CompletedProcess(done.args, code, out.read_text(), err.read_text())

    def snapshot(self) -> subprocess.CompletedProcess[str]:
        taken = self.run("bash", "-ic", SNAPSHOT)
        assert "__wtenv_" in taken.stdout, taken.stderr
        file = self.scene.home.path / "snapshot.sh"
        file.write_text(taken.stdout)
        return self.run("bash", "-c", f"source {file} && cd {self.worktree} && {LOOK}")

    def wtenv(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """By its path, for a PATH that lacks it."""
        run = (wtenv_program(), "run", "--directory", self.worktree, "sh", "-c", LOOK)
        return self.run(*words, *run)


CRON = ("env", "-i", "HOME={home}", "PATH=/usr/bin:/bin", "sh", "-c")
STARTS: dict[str, Callable[[Start], subprocess.CompletedProcess[str]]] = {
    "`bash -c`": lambda start: start.shell("bash", "-c"),
    "`bash -lc`": lambda start: start.shell("bash", "-lc"),
    "`zsh -c`": lambda start: start.shell("zsh", "-c"),
    "`zsh -lc`": lambda start: start.shell("zsh", "-lc"),
    "`fish -c`": lambda start: start.shell("fish", "-c"),
    "`sh -c` (dash), and Docker's `RUN`: `/bin/sh -c`": lambda start: start.shell("/bin/sh", "-c"),
    "`make -C FOLDER`": Start.make,
    "a hook of git": Start.hook,
    "cron: `env -i HOME=… PATH=/usr/bin:/bin sh -c`": lambda start: start.shell(
        *(word.format(home=start.env["HOME"]) for word in CRON)
    ),
    "GitHub's `bash --noprofile --norc -eo pipefail {0}`": lambda start: start.step(
        "bash", "--noprofile", "--norc", "-eo", "pipefail"
    ),
    "GitHub's `bash -el {0}`": lambda start: start.step("bash", "-el"),
    "a task of VS Code: `$SHELL -c`": lambda start: start.shell(start.env["SHELL"], "-c"),
    "the same on macOS: `$SHELL -l -c`": lambda start: start.shell(start.env["SHELL"], "-l", "-c"),
    "an agent's snapshot of bash, sourced, then `cd FOLDER &&`": Start.snapshot,
    "`wtenv run --directory FOLDER`": lambda start: start.wtenv(),
    "the same from cron": lambda start: start.wtenv(*(word.format(home=start.env["HOME"]) for word in CRON[:4])),
}


@dataclass(frozen=True)
class Scene:
    """One clone, allowed: `main` and `feature` with an overlay, `bare` without; two homes, of which `prepared` is after
    `wtenv setup --all-shells`, the other after `wtenv setup bash`."""

    home: Home
    prepared: Home
    repo: Repo
    bare: Path
    active: dict[str, str]

    def start(self, column: str) -> Start:
        if column == "--all-shells":
            # From a desktop's or ssh's login shell; nothing is active in a home.
            login = self.prepared.run(["bash", "-lc", "env -0"], self.prepared.path, check=True).stdout
            env = dict(entry.partition("=")[::2] for entry in login.split("\0")[:-1])
            return Start(self, self.repo.feature, self.prepared.path, env)
        if column == "nothing active":
            return Start(self, self.repo.feature, self.home.path, self.home.environ)
        there = self.repo.feature if column == "active in another worktree" else self.bare
        return Start(self, there, self.repo.root, self.active)


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    for program in ("bash", "zsh", "fish", "make"):
        require_shell(program)
    folder = tmp_path_factory.mktemp("agents")
    home = make_home(folder)
    home.environ["SHELL"] = "/bin/bash"
    home.add_envs_dir(base.prefix.parent)
    repo = make_repo(folder / "work", home, "flit")
    repo.commit({"Makefile": f"look:\n\t@{LOOK}\n"})
    repo.configure(CONFIG.replace("{base}", base.name, 1))
    call(home, "allow", cwd=repo.root, check=True)
    for worktree in repo.worktrees:
        call(home, "sync", cwd=worktree, check=True)
    shutil.rmtree(home.path / ".cache/wtenv/builds")  # else a new worktree would be ready by itself
    hook = repo.root / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    out = home.path / "hook"
    hook.write_text(f"#!/bin/sh\n{LOOK} >{out}.out 2>{out}.err\necho $? >{out}.code\n")
    hook.chmod(0o755)
    shutil.copytree(home.path, folder / "prepared", symlinks=True)
    prepared = Home(folder / "prepared", {**home.environ, "HOME": str(folder / "prepared")})
    call(home, "setup", "bash", cwd=home.path, check=True)
    call(prepared, "setup", "--all-shells", cwd=home.path, check=True)
    look = home.run(["bash", "-c", 'eval "$(wtenv export bash)" && env -0'], repo.root, check=True)
    active = dict(entry.partition("=")[::2] for entry in look.stdout.split("\0")[:-1])
    assert active["VIRTUAL_ENV"] == str(repo.root / ".venv")
    return Scene(home, prepared, repo, repo.add_worktree("bare"), active)


def judge(done: subprocess.CompletedProcess[str], start: Start) -> str:
    """In the table's words, what happened; whatever else it was fails the test."""
    if done.stdout:
        assert (done.returncode, done.stdout) == (0, f"{start.scene.repo.init_file(start.worktree)}\n"), done
        return "right"
    if re.search(r"not found|Unknown command|No module named 'pkg'|No such file", done.stderr):
        return "system"
    assert done.returncode in (2, 126), done  # make says 2, whatever the status of its command was
    assert "wtenv sync" in done.stderr, done.stderr
    return "126"


def test_the_table_is_whole() -> None:
    assert [row[0] for row in ROWS] == list(STARTS)
    assert len(HEAD) == 1 + len(COLUMNS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_line_of_the_table(row: list[str], scene: Scene) -> None:
    for column, said in zip(COLUMNS, row[1:], strict=True):
        start = scene.start(column)
        found = judge(STARTS[row[0]](start), start)
        if start.worktree == scene.bare and (scene.bare / ".venv").exists():
            call(scene.home, "clean", cwd=scene.bare, check=True)
            shutil.rmtree(scene.home.path / ".cache/wtenv/builds")
        assert found in MEANING[said], (column, found)


# --- what the page says to write ----------------------------------------------------------------------


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def test_the_paragraph(scene: Scene) -> None:
    done = call(scene.home, "help", "agents", cwd=scene.home.path, check=True)
    assert [done.stdout] == snippets("markdown") == [FOR_AGENTS]
    for command in re.findall(r"`wtenv ([a-z-]+)", FOR_AGENTS):
        assert command in list_commands()


@pytest.mark.parametrize("column", ["active in another worktree", "nothing active"])
def test_a_session_of_claude_code(column: str, scene: Scene) -> None:
    """The hook's command, then what it wrote sourced before a command, there and in the other worktree."""
    (hook,) = json.loads(snippets("json")[0])["hooks"]["SessionStart"][0]["hooks"]
    start = scene.start(column)
    file = scene.home.path / f"session-{column.split()[0]}.sh"
    env = {**start.env, "CLAUDE_ENV_FILE": str(file)}
    there = scene.repo.feature
    scene.home.run(["sh", "-c", hook["command"]], there, env=env, check=True)
    text = f". {file} && {LOOK} && cd {scene.repo.root} && {LOOK}"
    done = subprocess.run(["bash", "-c", text], cwd=there, env=start.env, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [str(scene.repo.init_file(place)) for place in (there, scene.repo.root)], done


def test_a_session_outside(scene: Scene) -> None:
    (hook,) = json.loads(snippets("json")[0])["hooks"]["SessionStart"][0]["hooks"]
    file = scene.home.path / "outside.sh"
    scene.home.run(["sh", "-c", hook["command"]], scene.home.path, env={"CLAUDE_ENV_FILE": str(file)}, check=True)
    assert file.read_text() == ""


def test_what_makes_a_new_worktree_ready(scene: Scene) -> None:
    codex = toml.parse(Path("environment.toml"), snippets("toml")[0].encode())
    (cursor,) = json.loads(snippets("json")[1])["setup-worktree"]
    for name, script in {"codex": codex["setup"]["script"], "cursor": cursor}.items():
        assert isinstance(script, str)
        made = scene.repo.add_worktree(name)
        scene.home.run(["sh", "-c", script], made, check=True)
        done = call(scene.home, "run", "sh", "-c", LOOK, cwd=made, check=True)
        assert done.stdout == f"{scene.repo.init_file(made)}\n"
