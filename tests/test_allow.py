"""`wtenv allow`: it shows what changed since the content that was allowed. And `init` lifts no deny."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from scenes import call, git, make_fake_base, make_git, make_home
from workspace import Home

from wtenv import dirs, files

CONFIG = '[python]\nbase_conda_env = "fake"\n'
DOTENV = CONFIG + '[activation]\ndotenv = [".env", "other.env"]\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = make_home(tmp_path_factory.mktemp("allow"))
    make_fake_base(made.path.parent, made)
    return made


@pytest.fixture
def root(tmp_path: Path, home: Home) -> Path:
    made = make_git(tmp_path, home)
    (made / "wtenv.toml").write_text(CONFIG)
    return made


def allow(home: Home, root: Path) -> str:
    """What it printed, while it said which files are allowed."""
    done = call(home, "allow", cwd=root, check=True)
    assert done.stderr.startswith("wtenv: allowed ")
    return done.stdout


def write(root: Path, texts: dict[str, bytes | None]) -> None:
    for name, text in texts.items():
        if text is None:
            (root / name).unlink()
        else:
            (root / name).write_bytes(text)


def test_the_first_time(home: Home, root: Path) -> None:
    assert allow(home, root) == ""
    assert allow(home, root) == ""


def test_a_folder_on_path_and_a_line_of_dotenv_that_were_pulled(home: Home, root: Path) -> None:
    old = CONFIG + '[activation]\ndotenv = [".env"]\n'
    write(root, {"wtenv.toml": old.encode(), ".env": b"A=1\n"})
    assert allow(home, root) == ""
    write(root, {"wtenv.toml": f'{old}path = ["scripts"]\n'.encode(), ".env": b"A=1\nPYTHONSTARTUP=x.py\n"})
    shown = allow(home, root)
    assert '+path = ["scripts"]\n' in shown
    assert "+PYTHONSTARTUP=x.py\n" in shown
    assert "--- a/.env\n+++ b/.env\n@@ -1 +1,2 @@\n A=1\n" in shown


STEPS: dict[str, tuple[dict[str, bytes | None], dict[str, bytes | None]]] = {
    "a line": ({}, {"wtenv.toml": CONFIG.encode() + b"# more\n"}),
    "no newline at the end": ({}, {"wtenv.toml": CONFIG.rstrip().encode()}),
    "a newline at the end": ({"wtenv.toml": CONFIG.rstrip().encode()}, {"wtenv.toml": CONFIG.encode()}),
    "neither has one": ({".env": b"A=1\nB=2"}, {".env": b"A=1\nB=3"}),
    "a file appears": ({}, {".env": b"A=1\n"}),
    "a file goes": ({".env": b"A=1\nB=2\n"}, {".env": None}),
    "an empty file appears": ({}, {".env": b"", "wtenv.toml": DOTENV.encode() + b"#\n"}),
    "much": ({".env": b"".join(b"A%d=1\n" % i for i in range(300))}, {".env": b"".join(b"A%d=%d\n" % (i, i % 7) for i in range(310))}),
    "what splits lines elsewhere": ({".env": "A=1\u2028\x0bB\x0c\x85\n".encode()}, {".env": b"A=2\n"}),
    "both": ({".env": b"A=1\n"}, {".env": b"A=2\n", "wtenv.toml": DOTENV.encode() + b"\n"}),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_applied_to_the_old_files_it_gives_the_new_ones(name: str, home: Home, root: Path, tmp_path: Path) -> None:
    before, after = STEPS[name]
    write(root, {"wtenv.toml": DOTENV.encode(), **before})
    allow(home, root)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in ("wtenv.toml", ".env"):
        if (root / file).exists():
            shutil.copy(root / file, copy)
    write(root, after)
    shown = allow(home, root)
    if name == "what splits lines elsewhere":
        assert shown == "--- a/.env\n+++ b/.env\n@@ -1 +1 @@\n-A=1\\u2028\\x0bB\\x0c\\x85\n+A=2\n"
        return
    patch = tmp_path / "patch"
    patch.write_text(shown)
    subprocess.run(["git", "apply", patch], cwd=copy, check=True, env={"PATH": "/usr/bin:/bin", "HOME": "/"})
    for file in ("wtenv.toml", ".env"):
        if (root / file).exists() and (root / file).stat().st_size:  # git apply makes no empty file of no lines
            assert (copy / file).read_bytes() == (root / file).read_bytes()
        else:
            assert not (copy / file).exists()


def test_a_terminal_obeys_nothing_of_it(home: Home, root: Path) -> None:
    write(root, {"wtenv.toml": DOTENV.encode(), ".env": b"A=1\n"})
    allow(home, root)
    evil = "A=1\n# \x1b[1A\x1b[2K \u202egninnub\r\nB=\x07\x9b2J\u200b\n".encode() + b"C=\xff\xfe\n"
    write(root, {".env": evil})
    shown = allow(home, root)
    assert all(char.isprintable() or char in "\n\t" for char in shown), ascii(shown)
    assert "+# \\x1b[1A\\x1b[2K \\u202egninnub\\r\n" in shown
    assert "+C=\\udcff\\udcfe\n" in shown


@pytest.mark.parametrize("data", [b"A=1\0\n" * 10, b"A=1\n" * 5000, b"A=" + b"x" * 900_000 + b"\n"])
def test_what_is_no_text_or_too_large(data: bytes, home: Home, root: Path) -> None:
    config = b"[activation]\ndotenv = []\n"
    write(root, {"wtenv.toml": DOTENV.encode(), ".env": b"# \n"})
    allow(home, root)
    write(root, {".env": b"# " + data.replace(b"\n", b"\n# ") + b"\n"})
    first = allow(home, root)
    assert first == "a/.env and b/.env differ, and are too large or no text: look for yourself\n"
    [record] = find_records(home, root)
    assert record.stat().st_size < files.MAX_TEXT / 4
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    write(root, {"wtenv.toml": CONFIG.encode() + config})
    assert "+dotenv = []\n" in allow(home, root)
    write(root, {"wtenv.toml": DOTENV.encode()})
    assert allow(home, root) == ""  # it was allowed already


def find_records(home: Home, root: Path) -> list[Path]:
    folder = Path(dirs.find_data(home.environ)) / "trust"
    return [path for path in folder.iterdir() if f'"{root}/.git"' in path.read_text()]


def test_it_is_compared_with_what_was_allowed_in_the_same_worktree(home: Home, root: Path) -> None:
    feature = root.parent / "feature"
    git(home, root, "worktree", "add", "--quiet", "-b", "feature", feature)
    write(root, {"wtenv.toml": CONFIG.encode() + b"# main\n"})
    write(feature, {"wtenv.toml": CONFIG.encode() + b"# feature\n"})
    allow(home, root)
    assert "-# main\n+# feature\n" in allow(home, feature)  # there is nothing nearer
    write(root, {"wtenv.toml": CONFIG.encode() + b"# main\n# more\n"})
    shown = allow(home, root)
    assert "+# more\n" in shown
    assert "# feature" not in shown


def test_it_is_bounded_and_forgotten(home: Home, root: Path) -> None:
    names = [f"{index}.env" for index in range(30)]
    listed = ", ".join(f'"{name}"' for name in names)
    write(root, {"wtenv.toml": f"{CONFIG}[activation]\ndotenv = [{listed}]\n".encode()})
    for step in range(4):
        write(root, {name: f"SECRET={step}{'é' * 2000}\n".encode() for name in names})
        allow(home, root)
    [record] = find_records(home, root)
    assert record.stat().st_size < files.MAX_TEXT / 2
    assert "SECRET=3" in record.read_text()
    call(home, "deny", cwd=root, check=True)
    assert "SECRET" not in record.read_text()
    assert allow(home, root) == ""
    assert "SECRET" in record.read_text()
    shutil.rmtree(root)
    (root.parent / "other").touch()  # else it may be a disk that is not mounted
    call(home, "prune", cwd=home.path, check=True)
    assert not record.exists()
    data = Path(dirs.find_data(home.environ))
    assert not any(b"SECRET" in path.read_bytes() for path in data.rglob("*") if path.is_file())


def test_what_is_kept_may_be_odd(home: Home, root: Path) -> None:
    """It decides nothing: what was allowed stays so."""
    allow(home, root)
    [record] = find_records(home, root)
    for odd in (1, [1], [{}], [{"root": "x", "files": {"a": 1}, "large": {}}], [{"root": 1, "files": {"a": "\u1234"}}]):
        data = json.loads(record.read_text())
        record.write_text(json.dumps({**data, "contents": odd}))
        assert "is not allowed" not in call(home, "run", "true", cwd=root).stderr
        write(root, {"wtenv.toml": CONFIG.encode() + os.urandom(4).hex().join("#\n").encode()})
        allow(home, root)


def test_init_lifts_no_deny(home: Home, root: Path) -> None:
    call(home, "deny", cwd=root, check=True)
    for options in ([], ["--clone"]):
        (root / "wtenv.toml").unlink(missing_ok=True)
        done = call(home, "init", "fake", *options, cwd=root)
        for command in (["run", "true"], ["sync"]):
            assert "is denied; to lift that run: wtenv allow" in call(home, *command, cwd=root).stderr, done.stderr
