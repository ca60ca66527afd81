"""The config: what it may say, what is refused and how, and the one effective config that several files give."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenes import call, make_fake_base, make_git, make_home, one_line, snapshot
from workspace import Home

from wtenv.config import read as configs
from wtenv.config.keys import CONFIG
from wtenv.config.read import Config
from wtenv.errors import WtenvError
from wtenv.worktree import find_worktree

BASE = '[python]\nbase_conda_env = "fake"\n'


def read(root: Path, home: Path | None = None) -> Config:
    """The effective config of the worktree at `root`."""
    place = find_worktree(root)
    assert place
    home = home or root.parent
    return configs.read_config(place, configs.find_sources(place, home), home)


def refuse(root: Path, home: Path | None = None) -> str:
    with pytest.raises(WtenvError) as caught:
        read(root, home)
    assert caught.value.fix
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert "\n" not in text
    assert text.isprintable(), ascii(text)
    return text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A worktree as far as discovery goes; `tmp_path` is HOME."""
    made = tmp_path / "work/root"
    (made / ".git").mkdir(parents=True)
    return made


# --- every key ----------------------------------------------------------------------------------


def test_defaults(root: Path) -> None:
    (root / "wtenv.toml").write_text(BASE)
    found = read(root)
    assert (found.root, found.venv, found.packages, found.path) == (root, root / ".venv", (), ())
    assert (found.base_kind, found.base, found.base_folder) == ("base_conda_env", "fake", root)
    assert (found.install_deps, found.build_isolation, found.env, found.dotenv) == (False, "auto", (), ())
    assert [(source.role, source.data is None) for source in found.sources] == [("repo", False), ("clone", True)]


def test_every_key(root: Path) -> None:
    home = root.parent / "home"
    for folder in (root / "a", root.parent / "sibling", home / "Projects/Lab"):
        folder.mkdir(parents=True)
    (root / "wtenv.toml").write_text(
        """[python]
base_prefix = "/usr"
venv = "build/overlay"
[editables]
packages = [".", "a", "./a/../a", "../sibling", "~/Projects/Lab", "~"]
install_deps = true
build_isolation = false
[env]
DATA_DIR = "{root}/data {venv} {base} {other} {{root}}"
OLD_FLAG = false
EMPTY = ""
_x9 = "$HOME $(touch oops) `x` \\\\ \\" ' \\n end"
[activation]
path = ["scripts", "~/bin", "/opt/x/"]
dotenv = [".env", "~/shared.env"]
"""
    )
    (root / ".env").write_text("A=1\n")
    (home / "shared.env").write_text("A=2\nB=3\n")
    found = read(root, home)
    assert (found.base_kind, found.base) == ("base_prefix", "/usr")
    assert found.venv == root / "build/overlay"
    assert found.packages == (root, root / "a", root.parent / "sibling", home / "Projects/Lab", home)
    assert (found.install_deps, found.build_isolation) == (True, False)
    assert dict(found.env) == {
        "DATA_DIR": "{root}/data {venv} {base} {other} {{root}}",
        "OLD_FLAG": None,
        "EMPTY": "",
        "_x9": "$HOME $(touch oops) `x` \\ \" ' \n end",
    }
    assert found.path == (f"{root}/scripts", f"{home}/bin", "/opt/x")
    assert dict(found.dotenv) == {"A": "2", "B": "3"}
    assert [source.role for source in found.sources] == ["repo", "clone", "dotenv", "dotenv"]


@pytest.mark.parametrize("written", ["auto", "true", "false"])
def test_build_isolation(written: str, root: Path) -> None:
    value = '"auto"' if written == "auto" else written
    (root / "wtenv.toml").write_text(f"{BASE}[editables]\nbuild_isolation = {value}\n")
    assert read(root).build_isolation == {"auto": "auto", "true": True, "false": False}[written]


@pytest.mark.parametrize(
    "text", ["\ufeff" + BASE, BASE.replace("\n", "\r\n"), f"# ü 日本\n{BASE}", BASE + "[env]\n[activation]\n"]
)
def test_texts_that_are_fine(text: str, root: Path) -> None:
    (root / "wtenv.toml").write_bytes(text.encode())
    assert read(root).base == "fake"


@pytest.mark.parametrize("venv", [".venv", "./.venv", "a/b/c", ".venv/", "ünï", "with space", "..x", "a..b"])
def test_venv_inside(venv: str, root: Path) -> None:
    (root / "wtenv.toml").write_text(f'{BASE}venv = "{venv}"\n')
    assert read(root).venv == root / venv


# --- every mistake ------------------------------------------------------------------------------

ENV, PYTHON, EDITABLES, ACTIVATION, WTENV = "[env]", "[python]", "[editables]", "[activation]", "[wtenv]"

# text of wtenv.toml (or what makes it) -> what the message has to contain besides the file
MISTAKES: dict[str, tuple[str, tuple[str, ...]]] = {
    "unknown table": (BASE + "[pyton]\n", ("[pyton] unknown table", "did you mean python?")),
    "unknown table, none near": (BASE + "[zzz]\n", ("[zzz] unknown table", "known: ")),
    "unknown key": ('[python]\nbase_conda_enf = "x"\n', ("[python] base_conda_enf unknown key", "base_conda_env?")),
    "unknown key, editables": (BASE + '[editables]\npackage = ["."]\n', ("[editables] package unknown", "packages?")),
    "unknown key, activation": (BASE + '[activation]\npaths = ["."]\n', ("[activation] paths unknown", "path?")),
    "unknown key, wtenv": (BASE + '[wtenv]\nextend = "."\n', ("[wtenv] extend unknown", "extends?")),
    "key of another table": ('[python]\nbase_conda_env = "fake"\npackages = ["."]\n', ("write it below [editables]",)),
    "key outside": ('venv = ".venv"\n' + BASE, ("venv is outside of its table", "write it below [python]")),
    "table as key": ("python = 1\n", ("python must be a table", "write [python]")),
    "unknown as key": (f"zzz = 1\n{BASE}", ("[zzz] unknown table",)),
    "array of tables": ('[[python]]\nbase_conda_env = "fake"\n', ("python must be a table",)),
    "control characters": (f'{BASE}["\\u001b[2J\\n"]\n', ("unknown table", "\\x1b")),
    "control characters, key": (f'{BASE}"\\u001b[2J\\n" = 1\n', ("unknown key", "\\x1b")),
    "base empty": ('[python]\nbase_conda_env = ""\n', ("[python] base_conda_env must be",)),
    "base number": ("[python]\nbase_conda_env = 3.11\n", ("[python] base_conda_env must be",)),
    "base list": ('[python]\nbase_prefix = ["/usr"]\n', ("[python] base_prefix must be",)),
    "base NUL": ('[python]\nbase_conda_env = "a\\u0000b"\n', ("[python] base_conda_env must be",)),
    "base both": (BASE + 'base_prefix = "/usr"\n', ("[python] base_prefix", "keep exactly one")),
    "base none": ("[editables]\npackages = []\n", ("[python] base_conda_env is missing", "add: ")),
    "empty file": ("", ("[python] base_conda_env is missing", "add: ")),
    "venv number": (BASE + "venv = 1\n", ("[python] venv must be",)),
    "venv empty": (BASE + 'venv = ""\n', ("[python] venv must be",)),
    "venv dot": (BASE + 'venv = "."\n', ("[python] venv", "inside the root")),
    "venv dot slash": (BASE + 'venv = "./."\n', ("[python] venv", "inside the root")),
    "venv up": (BASE + 'venv = "../x"\n', ("[python] venv", "inside the root")),
    "venv down and up": (BASE + 'venv = "a/../../x"\n', ("[python] venv", "inside the root")),
    "venv down and back": (BASE + 'venv = "a/.."\n', ("[python] venv", "inside the root")),
    "venv absolute": (BASE + 'venv = "/tmp/x"\n', ("[python] venv", "inside the root")),
    "venv home": (BASE + 'venv = "~/x"\n', ("[python] venv", "inside the root")),
    "venv NUL": (BASE + 'venv = "a\\u0000"\n', ("[python] venv must be",)),
    "venv newline": (BASE + 'venv = "a\\nb"\n', ("[python] venv", "inside the root")),
    "venv colon": (BASE + 'venv = "a:b"\n', ("[python] venv", "inside the root")),
    "venv .git": (BASE + 'venv = ".git/x"\n', ("[python] venv", "inside the root")),
    "venv ./.git": (BASE + 'venv = "./.git"\n', ("[python] venv", "inside the root")),
    "venv .GIT": (BASE + 'venv = ".GIT/x"\n', ("[python] venv", "inside the root")),
    "venv sub/.git": (BASE + 'venv = "sub/.git/x"\n', ("[python] venv", "inside the root")),
    "venv config": (BASE + 'venv = "wtenv.toml"\n', ("[python] venv", "inside the root")),
    "venv through symlink": (BASE + 'venv = "link/.venv"\n', ("[python] venv", "symlink")),
    "venv through inner symlink": (BASE + 'venv = "inner/.venv"\n', ("[python] venv", "symlink")),
    "packages string": (BASE + '[editables]\npackages = "."\n', ("[editables] packages must be a list",)),
    "packages of numbers": (BASE + "[editables]\npackages = [1]\n", ("[editables] packages must be a list",)),
    "packages empty string": (BASE + '[editables]\npackages = [""]\n', ("[editables] packages must be a list",)),
    "packages NUL": (BASE + '[editables]\npackages = ["\\u0000"]\n', ("[editables] packages must be a list",)),
    "package missing": (BASE + '[editables]\npackages = [".", "gone"]\n', ("[editables] packages", '"gone"', "create")),
    "package a file": (BASE + '[editables]\npackages = ["wtenv.toml"]\n', ("[editables] packages", "correct the path")),
    "package too long": (f'{BASE}[editables]\npackages = ["{"x" * 5000}"]\n', ("[editables] packages", "correct")),
    "package of another user": (BASE + '[editables]\npackages = ["~bob/x"]\n', ("[editables] packages", "~bob")),
    "package with escape": (BASE + '[editables]\npackages = ["\\u001b[2J"]\n', ("[editables] packages", "\\x1b")),
    "install_deps": (BASE + "[editables]\ninstall_deps = 1\n", ("[editables] install_deps must be true or false",)),
    "build_isolation": (BASE + '[editables]\nbuild_isolation = "yes"\n', ("[editables] build_isolation must be",)),
    "env number": (BASE + "[env]\nN = 1\n", ("[env] N must be a string", "write it in quotes")),
    "env true": (BASE + "[env]\nN = true\n", ("[env] N must be a string",)),
    "env list": (BASE + '[env]\nN = ["a"]\n', ("[env] N must be a string",)),
    "env table": (BASE + "[env.N]\n", ("[env] N must be a string",)),
    "env date": (BASE + "[env]\nN = 2026-01-01\n", ("[env] N must be a string",)),
    "env NUL": (BASE + '[env]\nN = "\\u0000"\n', ("[env] N must be a string",)),
    "path string": (BASE + '[activation]\npath = "x"\n', ("[activation] path must be a list",)),
    "path colon": (BASE + '[activation]\npath = ["a:b"]\n', ("[activation] path", "colon", "rename")),
    "dotenv string": (BASE + '[activation]\ndotenv = ".env"\n', ("[activation] dotenv must be a list",)),
    "dotenv folder": (BASE + '[activation]\ndotenv = ["."]\n', ("[activation] dotenv", "irectory")),
    "dotenv device": (BASE + '[activation]\ndotenv = ["/dev/zero"]\n', ("[activation] dotenv", "not a regular file")),
    "dotenv too long": (f'{BASE}[activation]\ndotenv = ["{"x" * 5000}"]\n', ("[activation] dotenv", "correct")),
    "wtenv kind": (BASE + '[wtenv]\nkind = "repo"\n', ('[wtenv] kind must be "stack"',)),
    "extends number": ("[wtenv]\nextends = 1\n", ("[wtenv] extends must be",)),
    "extends missing": ('[wtenv]\nextends = "../gone.toml"\n', ("[wtenv] extends", "gone.toml", "correct the path")),
    "extends folder": ('[wtenv]\nextends = ".."\n', ("[wtenv] extends", "irectory")),
    "extends too long": (f'[wtenv]\nextends = "{"x" * 5000}"\n', ("[wtenv] extends", "correct")),
    "pointer with more": ('[wtenv]\nextends = "s.toml"\n' + BASE, ("[wtenv] extends", "remove the other")),
    "pointer and kind": ('[wtenv]\nextends = "s.toml"\nkind = "stack"\n', ("[wtenv] extends", "remove the other")),
    "pointer to itself": ('[wtenv]\nextends = "wtenv.toml"\n', ("[wtenv] kind is missing", 'kind = "stack"')),
    "syntax": ('[python]\nbase_conda_env = "x\n', ("not valid TOML", "line 2", "correct that line")),
    "syntax, duplicate": (BASE + BASE, ("not valid TOML", "line 3")),
    "syntax, deep": ("a = " + "[" * 5000 + "\n", ("not valid TOML",)),
    "syntax, long number": (f"a = {'9' * 5000}\n", ("not valid TOML",)),
    "syntax, date": ("a = 2026-13-41\n", ("not valid TOML",)),
    "syntax, NUL": ("[python]\n\0\n", ("not valid TOML", "line 2")),
    "git conflict": ("<<<<<<< HEAD\n" + BASE, ("not valid TOML", "line 1")),
}  # fmt: skip
for _name in ("PATH", "Path", "path", "HOME", "PWD", "IFS", "WTENV_ROOT", "wtenv_x", "__wtenv_fresh", "BASH_ENV", "ENV",
              "PROMPT_COMMAND", "PS1", "ZDOTDIR", "CONDA_PREFIX", "CONDA_PREFIX_1", "CONDA_SHLVL", "VIRTUAL_ENV",
              "PYTHONHOME", "SHELLOPTS", "LINENO", "fish_user_paths", "status"):  # fmt: skip
    MISTAKES[f"reserved {_name}"] = (f'{BASE}[env]\n{_name} = "x"\n', (f"[env] {_name}", "choose another name"))
for _name in ("a-b", "1a", "a b", "a=b", "ü", "a.b", "", "$x", "a\\u0000", "x;y", "x\\ny"):
    MISTAKES[f"no name {_name}"] = (f'{BASE}[env]\n"{_name}" = "x"\n', ("[env] ", "choose another name"))


def prepare(root: Path) -> None:
    (root.parent / "outside").mkdir()
    (root / "link").symlink_to("../outside")
    (root / "real").mkdir()
    (root / "inner").symlink_to("real")


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, root: Path) -> None:
    text, parts = MISTAKES[name]
    prepare(root)
    (root / "wtenv.toml").write_text(text)
    message = refuse(root)
    assert message.startswith(f"{root}/wtenv.toml: ")
    for part in parts:
        assert part in message


def write_binary(root: Path) -> None:
    (root / "wtenv.toml").write_bytes(b'[python]\nbase_conda_env = "\xff"\n')


def write_utf16(root: Path) -> None:
    (root / "wtenv.toml").write_bytes(BASE.encode("utf-16"))


def write_huge(root: Path) -> None:
    (root / "wtenv.toml").write_text("#" * (2 << 20))


def make_fifo(root: Path) -> None:
    os.mkfifo(root / "wtenv.toml")


def make_folder(root: Path) -> None:
    (root / "wtenv.toml").mkdir()


def make_device(root: Path) -> None:
    (root / "wtenv.toml").symlink_to("/dev/zero")


def make_loop(root: Path) -> None:
    (root / "wtenv.toml").symlink_to("wtenv.toml")


FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "not UTF-8": (write_binary, "is not UTF-8"),
    "UTF-16": (write_utf16, "is not UTF-8"),
    "huge": (write_huge, "is larger than"),
    "fifo": (make_fifo, "is not a regular file"),
    "folder": (make_folder, "irectory"),
    "device": (make_device, "is not a regular file"),
    "loop": (make_loop, "can't be read"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_config(name: str, root: Path) -> None:
    make, part = FILES[name]
    make(root)
    message = refuse(root)
    assert f"{root}/wtenv.toml" in message
    assert part in message


# --- several files ------------------------------------------------------------------------------


def test_clone_config_alone(root: Path) -> None:
    (root / "src").mkdir()
    (root / ".git/wtenv.toml").write_text(BASE + '[editables]\npackages = ["src"]\n')
    found = read(root)
    assert (found.root, found.packages, found.base_file) == (root, (root / "src",), root / ".git/wtenv.toml")


def test_clone_overrides_key_by_key(root: Path) -> None:
    for name in ("one", "two"):
        (root / name).mkdir()
    (root / "wtenv.toml").write_text(
        '[python]\nbase_conda_env = "team"\nvenv = "v"\n[editables]\npackages = ["one"]\ninstall_deps = true\n'
        '[env]\nA = "repo"\nB = "repo"\n[activation]\npath = ["x"]\n'
    )
    (root / ".git/wtenv.toml").write_text(
        '[python]\nbase_prefix = "/mine"\n[editables]\npackages = ["two"]\n[env]\nB = false\nC = "clone"\n'
    )
    found = read(root)
    assert (found.base_kind, found.base, found.venv) == ("base_prefix", "/mine", root / "v")
    assert (found.packages, found.install_deps, found.path) == ((root / "two",), True, (f"{root}/x",))
    assert dict(found.env) == {"A": "repo", "B": None, "C": "clone"}
    assert (found.base_file, found.base_folder) == (root / ".git/wtenv.toml", root)


@pytest.mark.parametrize("kind", ["base_conda_env", "base_prefix"])
def test_the_two_kinds_of_base_are_one_choice(kind: str, root: Path) -> None:
    other = {"base_conda_env": "base_prefix", "base_prefix": "base_conda_env"}[kind]
    (root / "wtenv.toml").write_text(f'[python]\n{other} = "/repo"\n')
    (root / ".git/wtenv.toml").write_text(f'[python]\n{kind} = "/clone"\n')
    found = read(root)
    assert (found.base_kind, found.base) == (kind, "/clone")


def test_mistakes_name_the_file_they_are_in(root: Path) -> None:
    (root / "wtenv.toml").write_text(BASE)
    for text in (
        "[python]\nvenv = 1\n",
        '[editables]\npackages = ["gone"]\n',
        "[x]\n",
        '[activation]\npath = ["a:b"]\n',
    ):
        (root / ".git/wtenv.toml").write_text(text)
        assert refuse(root).startswith(f"{root}/.git/wtenv.toml: [")


STACK = '[wtenv]\nkind = "stack"\n[python]\nbase_conda_env = "fake"\nvenv = ".wt/venv"\n'


@pytest.fixture
def stack(root: Path) -> Path:
    """A stack config beside the worktree, and a pointer to it."""
    path = root.parent / "wtenv.backend.toml"
    path.write_text(
        STACK + '[editables]\npackages = ["root", "other"]\n[activation]\npath = ["bin"]\ndotenv = ["s.env"]\n'
    )
    (root.parent / "other").mkdir()
    (root.parent / "s.env").write_text("S=1\n")
    (root / "wtenv.toml").write_text('[wtenv]\nextends = "../wtenv.backend.toml"\n')
    return path


def test_stack_owns_everything(root: Path, stack: Path) -> None:
    found, above = read(root), root.parent
    assert (found.root, found.venv) == (above, above / ".wt/venv")
    assert (found.base_file, found.base_folder) == (stack, above)
    assert (found.packages, found.path) == ((above / "root", above / "other"), (f"{above}/bin",))
    assert dict(found.dotenv) == {"S": "1"}
    assert [source.role for source in found.sources] == ["repo", "clone", "stack", "dotenv"]


def test_stack_through_symlink_and_home(root: Path, stack: Path) -> None:
    (root.parent / "shortcut.toml").symlink_to(stack)
    for written in ("../shortcut.toml", "~/wtenv.backend.toml", str(stack)):
        (root / "wtenv.toml").write_text(f'[wtenv]\nextends = "{written}"\n')
        assert read(root).root == root.parent


def test_stack_config_of_a_repository_itself(root: Path) -> None:
    (root / "wtenv.toml").write_text(STACK)
    place = find_worktree(root)
    assert place
    assert configs.locate_venv(place, configs.find_sources(place, root)) == (root / ".wt/venv", True)


@pytest.mark.usefixtures("stack")
def test_clone_overrides_a_stack(root: Path) -> None:
    (root / "mine").mkdir()
    (root / ".git/wtenv.toml").write_text('[python]\nbase_conda_env = "mine"\n[editables]\npackages = ["mine"]\n')
    found = read(root)
    assert (found.base, found.root, found.packages) == ("mine", root.parent, (root / "mine",))
    assert (found.venv, found.path) == (root.parent / ".wt/venv", (f"{root.parent}/bin",))


def test_clone_points_to_another_stack(root: Path, stack: Path) -> None:
    other = root.parent / "elsewhere/s.toml"
    other.parent.mkdir()
    other.write_text(STACK)
    (root / ".git/wtenv.toml").write_text('[wtenv]\nextends = "../elsewhere/s.toml"\n')
    found = read(root)
    assert (found.root, [s.path for s in found.sources if s.role == "stack"]) == (other.parent, [other])
    stack.unlink()  # not in effect: it may be missing
    assert read(root).root == other.parent


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (BASE, ("[wtenv] kind is missing", 'kind = "stack"')),
        ('[wtenv]\nextends = "x.toml"\n', ("[wtenv] kind is missing",)),
        ('[wtenv]\nkind = "stack"\n', ("[python] base_conda_env is missing",)),
        (STACK + "[pyton]\n", ("[pyton] unknown table",)),
        (STACK.replace(".wt/venv", "../venv"), ("[python] venv", "inside the root")),
        (STACK.replace(".wt/venv", "."), ("[python] venv", "inside the root")),
        (STACK + '[editables]\npackages = ["gone"]\n', ("[editables] packages",)),
        ("[wtenv\n", ("not valid TOML", "line 1")),
    ],
)  # fmt: skip
def test_stack_mistakes(text: str, parts: tuple[str, ...], root: Path, stack: Path) -> None:
    stack.write_text(text)
    message = refuse(root)
    assert message.startswith(f"{stack}: ")
    assert all(part in message for part in parts), message


def test_clone_pointer_beside_a_repo_config(root: Path, stack: Path) -> None:
    (root / "wtenv.toml").write_text(BASE)
    (root / ".git/wtenv.toml").write_text(f'[wtenv]\nextends = "{stack}"\n')
    assert refuse(root).startswith(f"{root}/.git/wtenv.toml: [wtenv] extends")


def test_unconfigured(root: Path) -> None:
    place = find_worktree(root)
    assert place
    assert configs.find_sources(place, root) == ()
    assert configs.list_absent(place) == (root / "wtenv.toml", root / ".git/wtenv.toml")


# --- dotenv -------------------------------------------------------------------------------------

DOTENV: dict[str, tuple[bytes, dict[str, str]]] = {
    "plain": (b"A=1\nB = 2 \n", {"A": "1", "B": "2"}),
    "export": (b"export A=1\nexport  B='2'\n", {"A": "1", "B": "2"}),
    "comments": (b"# A=0\n\nA=1 # tail\nB='x # y' # z\nC=x#y\n", {"A": "1", "B": "x # y", "C": "x#y"}),
    "single quotes": (b"A='$HOME \\n \"x\" \\' \\\\'\n", {"A": "$HOME \\n \"x\" ' \\"}),
    "double quotes": (b'A="a\\nb\\t\\"c\\" $HOME \'"\n', {"A": "a\nb\t\"c\" $HOME '"}),
    "several lines": (b"A='one\ntwo'\nB=\"three\nfour\"\n", {"A": "one\ntwo", "B": "three\nfour"}),
    "nothing is expanded": (b"A=$HOME\nB=${HOME}\nC=$(touch oops)\nD=`touch oops`\nE=~\n", {
        "A": "$HOME", "B": "${HOME}", "C": "$(touch oops)", "D": "`touch oops`", "E": "~"}),
    "empty": (b"A=\nB=''\nC=\"\"\n", {"A": "", "B": "", "C": ""}),
    "later wins": (b"A=1\nA=2\n", {"A": "2"}),
    "CRLF": (b"A=1\r\nB='2'\r\n", {"A": "1", "B": "2"}),
    "BOM": (b"\xef\xbb\xbfA=1\n", {"A": "1"}),
    "no newline at the end": (b"A=1", {"A": "1"}),
    "not UTF-8": (b"A=caf\xe9\nB='\xff'\n", {"A": "caf\udce9", "B": "\udcff"}),
    "unicode": ("A=日本 ü\n".encode(), {"A": "日本 ü"}),
    "equals in value": (b"A=b=c==\n", {"A": "b=c=="}),
    "nothing": (b"", {}),
    "only comments": (b"# x\n\n  \n#y", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", DOTENV)
def test_dotenv(name: str, root: Path) -> None:
    data, expected = DOTENV[name]
    (root / "wtenv.toml").write_text(BASE + '[activation]\ndotenv = [".env"]\n')
    (root / ".env").write_bytes(data)
    assert dict(read(root).dotenv) == expected
    assert not (root / "oops").exists()


def test_dotenv_later_file_wins_and_missing_ones_are_empty(root: Path) -> None:
    (root / "wtenv.toml").write_text(BASE + '[activation]\ndotenv = ["one", "gone", "two", "no/folder"]\n')
    (root / "one").write_text("A=1\nB=1\n")
    (root / "two").write_text("B=2\n")
    found = read(root)
    assert dict(found.dotenv) == {"A": "1", "B": "2"}
    assert [(s.path.name, s.data is None) for s in found.sources if s.role == "dotenv"] == [
        ("one", False), ("gone", True), ("two", False), ("folder", True)]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "line", "part"),
    [
        (b"A=1\nnot a line\n", 2, "is not KEY=value"),
        (b"A=1\n\n\n# c\n\nnot a line\n", 6, "is not KEY=value"),
        (b"A='open\nB=2\n", 1, "is not KEY=value"),
        (b"A\n", 1, "is not KEY=value"),
        (b"A=1\nexport B\n", 2, "is not KEY=value"),
        (b"=1\n", 1, "is not KEY=value"),
        (b"\n\nPATH=/x\n", 3, "belongs to the shell"),
        (b"WTENV_ROOT=/x\n", 1, "is wtenv's own"),
        (b"A=1\na-b=2\n", 2, "is not a name"),
        (b"'x y'=2\n", 1, "is not a name"),
        (b"A=1\nB=a\0b\n", 2, "NUL"),
        (b"\x1b[2J=1\n", 1, "is not a name"),
        (b"A=1\nB=x" + b" " * 20_000 + b"x\n", 2, "has 500 blanks in a row"),
    ],
)
def test_dotenv_mistakes(data: bytes, line: int, part: str, root: Path) -> None:
    (root / "wtenv.toml").write_text(BASE + '[activation]\ndotenv = [".env"]\n')
    (root / ".env").write_bytes(data)
    message = refuse(root)
    assert message.startswith(f"{root}/.env: line {line}"), message
    assert part in message


# --- through the command ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    """A home where the environment `fake` exists, and a repository whose config is changed by the tests."""
    folder = tmp_path_factory.mktemp("cli")
    home = make_home(folder)
    make_fake_base(folder, home)
    root = make_git(folder, home)
    prepare(root)
    settings = home.path / ".config/wtenv/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[trust]\nprefixes = ["{root}"]\n')  # what is wrong comes after what is not allowed
    return home, root


CHOSEN = [
    "unknown table",
    "unknown key",
    "key outside",
    "base both",
    "base none",
    "empty file",
    "venv dot",
    "venv up",
    "venv absolute",
    "venv .git",
    "venv through symlink",
    "package missing",
    "install_deps",
    "env number",
    "dotenv device",
    "extends missing",
    "pointer with more",
    "syntax",
    "syntax, long number",
    "syntax, NUL",
    "control characters",
    "reserved PATH",
    "no name a-b",
]


def reset(root: Path) -> Path:
    config = root / "wtenv.toml"
    if config.is_dir() and not config.is_symlink():
        config.rmdir()
    config.unlink(missing_ok=True)
    return config


@pytest.mark.parametrize("name", CHOSEN)
def test_mistakes_in_the_command(name: str, place: tuple[Home, Path]) -> None:
    home, root = place
    text, parts = MISTAKES[name]
    reset(root).write_text(text)
    before = snapshot(root, home.path)
    commands = ("allow", "sync", "run true", "export json", "clean")
    for word in commands if name in ("syntax", "venv up") else ("allow", "sync"):
        message = one_line(call(home, *word.split(), cwd=root))
        assert message.startswith(f"{root}/wtenv.toml: ")
        assert all(part in message for part in parts), message
    assert snapshot(root, home.path) == before


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_config_in_the_command(name: str, place: tuple[Home, Path]) -> None:
    home, root = place
    reset(root)
    FILES[name][0](root)
    before = snapshot(home.path)
    assert f"{root}/wtenv.toml" in one_line(call(home, "allow", cwd=root))
    assert snapshot(home.path) == before
    assert not (root / ".venv").exists()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[python]\nbase_conda_env = "gone"\n', ("[python] base_conda_env", "'gone'", "there is fake")),
        ('[python]\nbase_conda_env = "./gone"\n', ("[python] base_conda_env", "create it")),
        ('[python]\nbase_prefix = "/nonexistent"\n', ("[python] base_prefix", "no Python 3")),
    ],
)
def test_missing_base_in_the_command(text: str, parts: tuple[str, ...], place: tuple[Home, Path]) -> None:
    home, root = place
    reset(root).write_text(text)
    call(home, "allow", cwd=root, check=True)
    before = snapshot(root, home.path)
    for words in (["sync"], ["run", "true"], ["export", "json"]):
        message = one_line(call(home, *words, cwd=root))
        assert message.startswith(f"{root}/wtenv.toml: ")
        assert all(part in message for part in parts), message
    assert snapshot(root, home.path) == before


def test_a_venv_that_is_a_symlink_to_elsewhere(place: tuple[Home, Path], tmp_path: Path) -> None:
    home, root = place
    reset(root).write_text(BASE)
    (root / ".venv").symlink_to(tmp_path)
    (tmp_path / "kept").write_text("")
    try:
        call(home, "allow", cwd=root, check=True)
        before = snapshot(root, tmp_path)
        for words in (["sync"], ["run", "true"], ["clean"]):
            assert "symbolic link" in one_line(call(home, *words, cwd=root))
        assert snapshot(root, tmp_path) == before
    finally:
        (root / ".venv").unlink()


# --- anything at all ----------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["", ".", "..", "~", "~/x", "/", "a/../b", ".git", "\0", "\n", "a:b", "x" * 300, "stack", "fake", "{root}"]
)
scalars = words | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
keys = st.sampled_from([key for table in CONFIG.values() for key in table] + ["A", "PATH", "a-b"]) | words
tables = st.dictionaries(
    st.sampled_from([*CONFIG]) | words, st.dictionaries(keys, values, max_size=4) | values, max_size=5
)


def dump(value: object) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(dump, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{dump(key)} = {dump(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
    return repr(value)


quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def try_read(root: Path) -> None:
    place = find_worktree(root)
    assert place
    for step in (read, lambda root: configs.locate_venv(place, configs.find_sources(place, root))):
        try:
            step(root)
        except WtenvError as error:
            assert error.fix
            assert "\n" not in str(error)


@pytest.fixture(scope="module")
def fuzzed() -> Path:
    root = Path(os.path.realpath(tempfile.mkdtemp())) / "root"
    (root / ".git").mkdir(parents=True)
    return root


@quick
@given(repo=tables, clone=st.none() | tables)
def test_fuzz_tables(fuzzed: Path, repo: dict[str, object], clone: dict[str, object] | None) -> None:
    for folder, table in ((fuzzed, repo), (fuzzed / ".git", clone)):
        text = "".join(f"{dump(name)} = {dump(content)}\n" for name, content in (table or {}).items())
        (folder / "wtenv.toml").write_text(text)
    try_read(fuzzed)


@quick
@given(
    data=st.binary(max_size=200) | st.text(alphabet="[]{}\"'=.,#\n\\ abEe+-_:0159\0\ufeff", max_size=80).map(str.encode)
)
def test_fuzz_bytes(fuzzed: Path, data: bytes) -> None:
    (fuzzed / ".git/wtenv.toml").unlink(missing_ok=True)
    (fuzzed / "wtenv.toml").write_bytes(data)
    try_read(fuzzed)


@quick
@given(data=st.binary(max_size=200) | st.text(alphabet="AB=#'\"\\\n\r $`x\0é{}", max_size=60).map(str.encode))
def test_fuzz_dotenv(fuzzed: Path, data: bytes) -> None:
    (fuzzed / ".git/wtenv.toml").unlink(missing_ok=True)
    (fuzzed / "wtenv.toml").write_text(BASE + '[activation]\ndotenv = [".env"]\n')
    (fuzzed / ".env").write_bytes(data)
    try_read(fuzzed)
