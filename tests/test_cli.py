"""The command line: exit codes, one message and no traceback, whatever it is started with."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scenes import call, make_fake_base, make_git, make_home, one_line
from workspace import Home, wtenv_program

from wtenv import __version__, cli, files
from wtenv.errors import WtenvError

COMMANDS = ("hook", "export", "init", "allow", "deny", "sync", "run", "status", "lock", "verify", "clean")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path)


@pytest.fixture
def root(tmp_path: Path, home: Home) -> Path:
    """A repository whose config is allowed, with no overlay."""
    made = make_git(tmp_path, home)
    make_fake_base(tmp_path, home)
    (made / "wtenv.toml").write_text('[python]\nbase_conda_env = "fake"\n')
    call(home, "allow", cwd=made, check=True)
    return made


def shell(home: Home, text: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return home.run(["bash", "-c", text], cwd, env=env)


def test_help(home: Home) -> None:
    done = call(home, "--help", cwd=home.path)
    assert (done.returncode, done.stderr) == (0, "")
    for word in COMMANDS:
        assert f"\n    {word} " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    for word in COMMANDS:
        one = call(home, word, "--help", cwd=home.path)
        assert (one.returncode, one.stderr) == (0, ""), word
        assert one.stdout.startswith(f"usage: wtenv {word}")


def test_version_builds_nothing(home: Home, root: Path) -> None:
    done = call(home, "--version", cwd=root)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"wtenv {__version__}\n", "")
    assert not (root / ".venv").exists()


@pytest.mark.parametrize(
    "words",
    [["bogus"], ["--bogus"], ["export", "tcsh"], ["hook"], ["sync", "--bogus"], ["clean", "x"], ["init", "a", "b"]],
)
def test_usage(words: list[str], home: Home) -> None:
    done = call(home, *words, cwd=home.path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("wtenv: ") and done.stderr.count("\n") == 1 and "; see: wtenv" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["run"], ["run", "--"]])
def test_run_without_a_command(words: list[str], home: Home, root: Path) -> None:
    assert "run needs a command" in one_line(call(home, *words, cwd=root))


def test_outside_a_worktree(home: Home) -> None:
    for words in (["allow"], ["deny"], ["sync"], ["run", "true"], ["export", "json"], ["init", "x"], ["clean"]):
        assert "is not in a git worktree" in one_line(call(home, *words, cwd=home.path)), words


def test_unconfigured(home: Home, tmp_path: Path) -> None:
    root = make_git(tmp_path, home)
    for words in (["allow"], ["sync"], ["run", "true"], ["export", "json"], ["clean"]):
        message = one_line(call(home, *words, cwd=root))
        assert "has no wtenv.toml" in message
        assert "wtenv init" in message


def test_not_allowed(home: Home, root: Path) -> None:
    (root / "wtenv.toml").write_text('[python]\nbase_conda_env = "fake"\n# other\n')
    for words in (["sync"], ["run", "true"], ["export", "json"]):
        assert "run: wtenv allow" in one_line(call(home, *words, cwd=root))


def test_no_overlay(home: Home, root: Path) -> None:
    for words in (["run", "--no-sync", "true"], ["export", "json"]):
        assert "run: wtenv sync" in one_line(call(home, *words, cwd=root))


@pytest.mark.parametrize("name", ["bash", "/bin/zsh", "-bash", "-zsh", "/usr/local/bin/fish", "zsh"])
def test_hook_takes_any_name_of_a_shell(name: str, home: Home) -> None:
    words = ["hook", "--", name] if name.startswith("-") else ["hook", name]
    done = call(home, *words, cwd=home.path)
    assert (done.returncode, done.stderr) == (0, "")
    plain = call(home, "hook", name.rpartition("/")[2].lstrip("-"), cwd=home.path)
    assert done.stdout == plain.stdout


@pytest.mark.parametrize("name", ["tcsh", "", "/bin/sh", "bash.exe", "BASH", "x\x1b[2J"])
def test_hook_of_an_unknown_shell(name: str, home: Home) -> None:
    message = one_line(call(home, "hook", name, cwd=home.path))
    assert "bash, zsh, fish" in message


@pytest.mark.parametrize(("alias", "name"), [("update-editables", "sync"), ("info", "status")])
def test_aliases(alias: str, name: str, home: Home, tmp_path: Path) -> None:
    root = make_git(tmp_path, home)
    one, other = (call(home, word, cwd=root) for word in (alias, name))
    assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)


# --- surroundings -------------------------------------------------------------------------------

WORDS = ("status", "allow", "deny", "sync", "run true", "export json", "init x", "clean", "lock", "verify")


def no_traceback(done: subprocess.CompletedProcess[str]) -> None:
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr, done.stderr
    assert done.returncode in (0, 1, 2, 126, 127), (done.returncode, done.stderr)


@pytest.mark.parametrize("words", WORDS)
def test_vanished_folder(words: str, home: Home, tmp_path: Path) -> None:
    done = shell(home, f"mkdir gone; cd gone; rmdir ../gone; {wtenv_program()} {words}", tmp_path)
    assert "does not exist any more" in one_line(done)


def test_hook_in_a_vanished_folder(home: Home, tmp_path: Path) -> None:
    done = shell(home, f"mkdir gone; cd gone; rmdir ../gone; {wtenv_program()} hook bash | tail -c 20", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


CLOSED = [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1", "| true"]


@pytest.mark.parametrize("redirection", CLOSED)
@pytest.mark.parametrize("words", ["status", "--help", "bogus", "hook bash", "export json", "run echo x"])
def test_closed_streams(words: str, redirection: str, home: Home, root: Path) -> None:
    done = shell(home, f"set -o pipefail; {wtenv_program()} {words} {redirection}", root)
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr, done.stderr
    assert done.returncode != 3
    assert not (home.path / ".local/state/wtenv/bug.log").exists()


def test_big_output_to_a_closed_pipe(home: Home) -> None:
    done = shell(home, f"{wtenv_program()} hook bash | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}", home.path)
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("value", ["", "relative", "{tmp}/gone/home", "/dev/null"])
def test_odd_home(value: str, words: str, home: Home, root: Path) -> None:
    value = value.format(tmp=home.path)
    no_traceback(call(home, *words.split(), cwd=root, env={"HOME": value}))


@pytest.mark.parametrize("words", ["status", "hook bash", "allow", "run true"])
def test_home_unset(words: str, home: Home, root: Path) -> None:
    data = root.parent / "data"  # not into the real home
    env = {f"XDG_{kind}_HOME": str(data) for kind in ("DATA", "CACHE", "CONFIG", "STATE")}
    no_traceback(shell(home, f"unset HOME; {wtenv_program()} {words}", root, **env))


@pytest.mark.parametrize("words", ["status", "run true", "hook bash"])
def test_empty_environment(words: str, root: Path) -> None:
    done = subprocess.run(
        [wtenv_program(), *words.split()],
        cwd=root,
        env={"HOME": str(root.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    no_traceback(done)


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0"},
                                    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])  # fmt: skip
def test_locales(locale: dict[str, str], home: Home, tmp_path: Path) -> None:
    root = make_git(tmp_path / os.fsdecode("ü日".encode()) / os.fsdecode(b"caf\xe9"), home)
    done = home.run([wtenv_program(), "status"], root, env=locale)
    no_traceback(done)
    assert done.returncode == 0
    assert "\\udce9/repo\n" in done.stdout


def test_a_checkout_can_not_replace_wtenvs_modules(home: Home, tmp_path: Path) -> None:
    """Whatever locale makes wtenv start itself again: the current folder is on no path of its Python."""
    root = make_git(tmp_path, home)
    for name in ("wtenv", "argparse", "json", "encodings"):
        (root / name).mkdir()
        for file in ("__init__.py", "__main__.py"):
            (root / name / file).write_text("import os\nos._exit(42)\n")
    for env in ({}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        done = call(home, "status", cwd=root, env=env)
        assert done.returncode == 0, (env, done.stderr)


def test_name_of_folder_can_not_control_the_terminal(home: Home, tmp_path: Path) -> None:
    root = make_git(tmp_path, home, "evil\x1b]0;owned\x07name")
    (root / "wtenv.toml").write_text("[x]\n")
    done = call(home, "allow", cwd=root)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 1


# --- bugs, and Ctrl-C ---------------------------------------------------------------------------


def raise_(error: BaseException) -> Callable[..., int]:
    def dispatch(*_: object) -> int:
        raise error

    return dispatch


def test_a_bug(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOME", str(home.path))
    for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cli, "dispatch", raise_(RuntimeError("first\nsecond")))
    assert cli.main(["status", "a b"]) == 3
    log = home.path / ".local/state/wtenv/bug.log"
    err = capsys.readouterr().err
    assert (err.count("\n"), str(log) in err, "RuntimeError" in err) == (1, True, True)
    text = log.read_text()
    assert "Traceback" in text
    assert "RuntimeError: first\nsecond" in text
    assert "['status', 'a b']" in text
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_bug_without_a_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(files, "write_atomic", raise_(OSError(errno.ENOSPC, "No space left on device")))
    monkeypatch.setattr(cli, "dispatch", raise_(RuntimeError("what")))
    assert cli.main(["status"]) == 3
    err = capsys.readouterr().err
    assert (err.count("\n"), "RuntimeError: what" in err) == (1, True)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "wtenv: interrupted\n"),
        (WtenvError("what", "fix"), 2, "wtenv: what; fix\n"),
        (WtenvError("what"), 2, "wtenv: what\n"),
        (WtenvError("what", exit_code=127), 127, "wtenv: what\n"),
        (RecursionError(), 3, None),
        (MemoryError(), 3, None),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, text: str | None, home: Home, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(home.path))
    monkeypatch.setattr(cli, "dispatch", raise_(error))
    assert cli.main(["status"]) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert text is None or err == text


def test_python_m(home: Home, tmp_path: Path) -> None:
    done = home.run([sys.executable, "-m", "wtenv", "--version"], tmp_path)
    assert done.stdout == f"wtenv {__version__}\n"
    assert "usage: wtenv" in home.run([sys.executable, "-m", "wtenv", "--help"], tmp_path).stdout
