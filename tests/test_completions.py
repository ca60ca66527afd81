"""`wtenv completions`: what is offered, by table; that each of the real shells offers it, and puts it on the line
so that it reads back."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pexpect  # type: ignore[import-untyped,unused-ignore]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenes import Templates, call, git, make_fake_base, make_git, make_home, one_line
from shells import TIMEOUT, require_shell, run_script, write_rc
from workspace import Home

from wtenv import completion
from wtenv.cli import build_parser
from wtenv.completion import Answer, complete
from wtenv.hook import shells as languages

ODD = ["my env", "it's", 'a"b', "$HOME", "a;b&c", "naïve", "back\\slash", "x*y?[z]", "(a)", "a=b", "#no", "!x"]
LOADS = {
    "bash": 'eval "$(wtenv completions bash)"',
    "zsh": 'autoload -Uz compinit && compinit -u -D; eval "$(wtenv completions zsh)"',
    "fish": "wtenv completions fish | source",
}


@dataclass(frozen=True)
class Place:
    home: Home
    root: Path


@pytest.fixture
def place(templates: Templates) -> Place:
    made: Place = templates.get("completions", make_place)
    return made


@pytest.fixture
def home(place: Place) -> Home:
    return place.home


@pytest.fixture
def root(place: Place) -> Path:
    return place.root


def make_place(folder: Path) -> Place:
    """A home with two bases; a repository, allowed, with an editable and a linked worktree."""
    home = make_home(folder)
    for name in ("shared", "shadow"):
        make_fake_base(folder / "bases", home, name)
    made = make_git(folder / "work", home, "main")
    for name in (".", "lib"):
        (made / name).mkdir(exist_ok=True)
        (made / name / "pyproject.toml").write_text(f'[project]\nname = "pkg-{name.strip(".")}x"\nversion = "1"\n')
    (made / "wtenv.toml").write_text('[python]\nbase_conda_env = "shared"\n[editables]\npackages = [".", "lib"]\n')
    git(home, made, "worktree", "add", "--quiet", "-b", "feature", made.parent / "feature")
    call(home, "allow", cwd=made, check=True)
    return Place(home, made)


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest) -> str:
    return require_shell(request.param)


# --- what is offered --------------------------------------------------------------------------------


def ask(root: Path, home: Home, *words: str) -> Answer:
    return complete(build_parser(), words, root, home.environ)


def names(answer: Answer) -> list[str]:
    return [value for value, _ in answer.values]


def list_commands() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def test_every_command_and_alias(root: Path, home: Home) -> None:
    answer = ask(root, home, "")
    assert names(answer) == list(list_commands())
    assert all(text for _, text in answer.values)
    assert {"sync", "update-editables", "status", "info"} <= set(names(answer))
    assert dict(answer.values)["info"] == dict(answer.values)["status"]


def test_every_option(root: Path, home: Home) -> None:
    assert names(ask(root, home, "-")) == ["--help", "--version"]
    for name, parser in list_commands().items():
        if name == "run":
            continue
        known = {option for action in parser._actions for option in action.option_strings}
        offered = set(names(ask(root, home, name, "--")))
        assert offered <= known and "--help" in offered, name
        for action in parser._actions:
            assert not action.option_strings or offered & {*action.option_strings}, (name, action)


@pytest.mark.parametrize(
    ("words", "values", "also"),
    [
        (["hook", ""], ["bash", "zsh", "fish"], "nothing"),
        (["setup", "--print", ""], ["bash", "zsh", "fish"], "nothing"),
        (["completions", ""], ["bash", "zsh", "fish"], "nothing"),
        (["export", ""], ["bash", "zsh", "fish", "sh", "json", "dotenv", "gha"], "nothing"),
        (["export", "json", ""], [], "nothing"),
        (["init", ""], ["shared", "shadow"], "files"),
        (["init", "--clone", "sh"], ["shared", "shadow"], "files"),
        (["sync", "-p", ""], ["pkg-x", "pkg-libx"], "nothing"),
        (["update-editables", "--package", ""], ["pkg-x", "pkg-libx"], "nothing"),
        (["sync", "--package="], ["--package=pkg-x", "--package=pkg-libx"], "nothing"),
        (["clean", "-"], ["--help", "--shared"], "nothing"),
        (["setup", "--undo", "bash", "--"], ["--help", "--print", "--all-shells", "--git"], "nothing"),
        (["sync", ""], [], "nothing"),
        (["status", "x", ""], [], "nothing"),
        (["export", "--directory", ""], ["{root}", "{feature}"], "folders"),
        (["export", "--directory=x"], ["--directory={root}", "--directory={feature}"], "folders"),
        (["run", ""], [], "command"),
        (["run", "--", ""], [], "command"),
        (["run", "ls", "-l", ""], [], "command"),
        (["bogus", ""], [], "nothing"),
        (["init", "--", "-"], ["shared", "shadow"], "files"),
    ],
)
def test_values(words: list[str], values: list[str], also: str, root: Path, home: Home) -> None:
    answer = ask(root, home, *words)
    expected = [value.format(root=root, feature=root.parent / "feature") for value in values]
    assert (sorted(names(answer)), answer.also) == (sorted(expected), also)
    if also == "command":
        assert words[answer.at] == ("ls" if "ls" in words else "")


def test_an_option_that_may_be_given_again(root: Path, home: Home) -> None:
    offered = names(ask(root, home, "sync", "--inexact", "-p", "x", "-"))
    assert "--package" in offered
    assert "--inexact" not in offered


def test_nothing_of_a_config_that_is_not_allowed(root: Path, home: Home) -> None:
    (root / "wtenv.toml").open("a").write("# changed\n")
    for name in languages.SHELLS:
        done = call(home, "__complete", name, "sync", "-p", "", cwd=root)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr


def test_a_parser_that_nobody_knows_yet(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    check = commands.add_parser("check", help="look", aliases=["look"])
    check.add_argument("--deep", action="store_true", help="more")
    check.add_argument("--secret", help=argparse.SUPPRESS)
    check.add_argument("--level", choices=["a", "b"])
    check.add_argument("what", nargs="*")

    def offered(*words: str) -> tuple[list[str], str]:
        answer = complete(parser, words, tmp_path, {})
        return names(answer), answer.also

    assert offered("") == (["check", "look"], "nothing")
    assert offered("look", "-") == (["--help", "--deep", "--level"], "nothing")
    assert offered("check", "--level", "") == (["a", "b"], "nothing")
    assert offered("check", "one", "two", "") == ([], "files")


# --- bash's words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "plain", "opened"),
    [
        ("", "", ""), ("abc", "abc", ""), ("my\\ e", "my e", ""), ("'my e", "my e", "'"), ('"my e', "my e", '"'),
        ("'a'b", "ab", ""), ("a\\", "a", ""), ('"a\\$\\x', "a$\\x", '"'), ("'a\\", "a\\", "'"), ('"it\'s', "it's", '"'),
        ("a'b\"", 'ab"', "'"),
    ],
)  # fmt: skip
def test_dequote(word: str, plain: str, opened: str) -> None:
    assert completion.dequote(word) == (plain, opened)


texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=12)


@settings(max_examples=500, deadline=None)
@given(value=texts, opened=st.sampled_from(["", "'", '"']))
def test_what_is_quoted_reads_back(value: str, opened: str) -> None:
    assert completion.dequote(opened + completion.quote(value, opened)) == (value, opened)


EXAMPLES = int(os.environ.get("WTENV_EXAMPLES", "60"))
known = st.sampled_from(
    "wtenv run sync status -C --directory --json --json= --editable --editable= = -- - ~/ ../ / . ' \" \\ -h --all prune".split()
)
# What may stand on a line: anything but NUL, bytes that are no UTF-8 among it.
word = known | st.text(
    st.characters(exclude_characters="\0", exclude_categories=("Cs",)) | st.just("\udcff"), max_size=9
)


@settings(max_examples=EXAMPLES * 5, deadline=None, suppress_health_check=list(HealthCheck))
@given(words=st.lists(word | st.just("x" * 70_000), min_size=1, max_size=6))
def test_fuzz_words(root: Path, home: Home, words: list[str]) -> None:
    """Whatever is typed before the Tab: an answer, each of whose lines is one candidate."""
    complete(build_parser(), words, root, home.environ)
    lines = completion.complete_bash(words, lambda plain: ask(root, home, *plain), root, home.environ)
    assert all(line.isprintable() for line in lines), lines


def test_bash_reads_it_as_well() -> None:
    values = [f"{name}{char}z" for name in ODD for char in map(chr, range(32, 127))]
    for opened in ("", "'", '"'):
        words = " ".join(f"{opened}{completion.quote(value, opened)}{opened}" for value in values)
        done = subprocess.run(["bash", "--norc", "-c", f"printf '%s\\n' {words}"], capture_output=True, text=True)
        assert done.stdout.splitlines() == values, opened


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["sta"], ["status "]),
        (["init", "sh"], ["shared ", "shadow "]),
        (["init", '"sh'], ["shared", "shadow"]),
        (["init", "my"], ["my\\ env "]),
        (["init", "my\\ "], ["my\\ env "]),
        (["init", "'my "], ["my env"]),
        (["init", "./a"], ["./a\\ folder/"]),
        (["init", "a\\ folder/"], ["a\\ folder/file "]),
        (["init", "~/.con"], ["\\~/.condarc "]),
        (["export", "--directory", "=", ""], ["{root} ", "{feature} ", "a\\ folder/", "lib/"]),
        (["export", "--directory", "="], ["{root} ", "{feature} ", "a\\ folder/", "lib/"]),
        (["export", "--directory=li"], ["--directory=lib/"]),
        (["sync", "--package", "=", "pkg-l"], ["pkg-libx "]),
        (["run", "wten"], ["wtenv "]),
        (["run", "ls", "a"], ["a\\ folder/"]),
        (["status", ""], []),
        ([], None),
    ],
)
def test_bash_lines(words: list[str], lines: list[str] | None, root: Path, home: Home, tmp_path: Path) -> None:
    make_fake_base(tmp_path / "bases", home, "my env")
    (root / "a folder").mkdir()
    (root / "a folder/file").touch()
    done = call(home, "__complete", "bash", *words, cwd=root, check=True)
    assert done.stderr == ""
    found = done.stdout.splitlines()[1:]
    if lines is None:
        assert "status " in found
        return
    expected = [line.format(root=root, feature=root.parent / "feature") for line in lines]
    assert sorted(found) == sorted(expected)


# --- real shells --------------------------------------------------------------------------------------


def list_candidates(shell: str, line: str, home: Home, cwd: Path) -> set[str]:
    """What the shell's own machinery offers at the end of `line`."""
    if shell == "fish":
        done = run_script(
            "fish", f"{LOADS['fish']}; complete -C {languages.SHELLS['fish'].quote(line)}", home.environ, cwd=cwd
        )
        assert done.stderr == ""
        return {each.partition("\t")[0] for each in done.stdout.splitlines()}
    if shell == "bash":
        words = languages.SHELLS["bash"].words(line.split(" "))
        text = f"set -eu; {LOADS['bash']}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
        done = run_script(
            "bash", f"{text}__wtenv_complete; printf '%s\\n' \"${{COMPREPLY[@]-}}\"", home.environ, cwd=cwd
        )
        assert done.stderr == ""
        return {each.rstrip() for each in done.stdout.splitlines()} - {""}
    # zsh completes on a terminal only: compadd is told to say what it is given.
    capture = (
        'compadd() { local -a __hits; builtin compadd -O __hits "$@"; '
        '[[ "$*" == *-O* || "$*" == *-D* ]] || { builtin compadd -O __hits "$@"; print -rl -- $__hits >>$HOME/hits; }; builtin compadd "$@"; }'
    )
    with Terminal("zsh", home, cwd, after=capture) as terminal:
        terminal.send(f"{line}\t")
        terminal.read(f"{line}")
        terminal.settle()
    hits = home.path / "hits"
    return set(hits.read_text().splitlines()) - {""} if hits.exists() else set()


class Terminal:
    """An interactive shell with its line editor on."""

    def __init__(self, shell: str, home: Home, cwd: Path, *, load: str = "", after: str = "") -> None:
        rc = write_rc(home.environ, shell, hook=False)
        show = (
            "function show; printf '<%s>' $argv; echo; end"
            if shell == "fish"
            else 'show() { printf "<%s>" "$@"; echo; }'
        )
        prompt = {
            "bash": "PS1='READY> '; bind 'set bell-style none'; bind 'set completion-query-items 0'; bind 'set page-completions off'",
            "zsh": "PROMPT='READY> '; bindkey -e; unsetopt beep prompt_sp prompt_cr; LISTMAX=0",
            "fish": "function fish_prompt; echo -n 'READY> '; end",
        }[shell]
        rc.write_text(f"{prompt}\n{show}\n{load or LOADS[shell]}\n{after}\n")
        program = shutil.which(shell, path=home.environ["PATH"])
        env: Mapping[str, str] = {**home.environ, "TERM": "xterm"}
        words = ["--noprofile", "-i"] if shell == "bash" else ["-i"]
        self.child = pexpect.spawn(program, words, env=dict(env), cwd=str(cwd), timeout=TIMEOUT, dimensions=(50, 200),
                                   encoding="utf-8", codec_errors="replace")  # fmt: skip
        self.child.delaybeforesend = None
        self.child.expect("READY> ")
        self.settle(0.3)

    def send(self, keys: str) -> None:
        self.child.send(keys)

    def read(self, text: str) -> None:
        self.child.expect(re.escape(text))

    def settle(self, seconds: float = 1.5) -> str:
        """Read until nothing has come for so long."""
        text = ""
        while True:
            try:
                text += self.child.read_nonblocking(4096, timeout=seconds)
            except pexpect.TIMEOUT:
                return text

    def complete(self, line: str) -> list[str]:
        """Type `line` and Tab; the words that the shell then has on its line."""
        self.send(f"{line}\t\x01show \x05\r")
        self.child.expect(r"(<wtenv>[^\r\n]*)\r?\n")
        return re.findall(r"<(.*?)>(?=<|$)", self.child.match[1])

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.ptyproc.delayafterclose = 0
        self.child.kill(signal.SIGKILL)  # to ask it to end first takes long
        self.child.wait()
        self.child.close()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wtenv ", {"sync", "update-editables", "status", "info", "prune", "list", "init"}),
        ("wtenv init s", {"shared", "shadow"}),
        ("wtenv sync -p ", {"pkg-x", "pkg-libx"}),
        ("wtenv export ", {"bash", "zsh", "fish", "sh", "json", "dotenv", "gha"}),
        ("wtenv prune --", {"--dry-run", "--all", "--help"}),
    ],
)
def test_candidates(line: str, expected: set[str], shell: str, root: Path, home: Home) -> None:
    found = list_candidates(shell, line, home, root)
    assert expected <= found
    if line != "wtenv ":
        assert found == expected


@pytest.mark.parametrize("name", ODD)
def test_odd_names_read_back(name: str, shell: str, home: Home, tmp_path: Path) -> None:
    """Typed as far as its first letter, alone among the environments with it."""
    home.path.joinpath(".condarc").unlink()
    make_fake_base(tmp_path / "odd", home, name)
    root = make_git(tmp_path / "work", home)
    with Terminal(shell, home, root) as terminal:
        assert terminal.complete("wtenv init ") == ["wtenv", "init", name]


@pytest.mark.parametrize("quote", ["'", '"'])
def test_within_quotes(quote: str, shell: str, home: Home, root: Path, tmp_path: Path) -> None:
    make_fake_base(tmp_path / "bases", home, "my env's")
    with Terminal(shell, home, root) as terminal:
        assert terminal.complete(f"wtenv init {quote}my e") == ["wtenv", "init", "my env's"]


def test_tab_tab_lists(shell: str, home: Home, root: Path) -> None:
    with Terminal(shell, home, root) as terminal:
        terminal.send("wtenv init s\t\t" + ("\t" if shell == "bash" else ""))  # bash: not after it has changed the line
        terminal.child.expect("shadow.*shared")
        if shell != "fish":  # its pager has the keys now
            assert terminal.complete("r") == ["wtenv", "init", "shared"]


@pytest.mark.parametrize("option", ["--directory ", "--directory="])
def test_folders(option: str, shell: str, home: Home, root: Path) -> None:
    (root / "a folder").mkdir()
    (root / "a file").touch()
    with Terminal(shell, home, root) as terminal:
        words = terminal.complete(f"wtenv export {option}a")
    assert words[:2] == ["wtenv", "export"]
    assert "".join(words[2:]).replace("=", "") in ("--directorya folder/", "--directorya folder")


def test_after_run(shell: str, home: Home, root: Path) -> None:
    (root / "only file").touch()
    with Terminal(shell, home, root) as terminal:
        assert terminal.complete("wtenv run cat onl") == ["wtenv", "run", "cat", "only file"]


LISTS = {
    "bash": "compgen -A function; compgen -v; alias; shopt; set -o; complete",
    "zsh": "print -rl -- ${(k)functions} ${(k)parameters} ${(k)aliases}; setopt",
    "fish": "functions -an; set -n; complete",
}


def test_nothing_leaks(shell: str, home: Home) -> None:
    before, load = LOADS[shell].rpartition("; ")[::2] if shell == "zsh" else ("", LOADS[shell])
    script = f"{before}\n{LISTS[shell]} > $HOME/before\n{load}\n{LISTS[shell]} > $HOME/after"
    if shell == "bash":
        script = f"{{ {LISTS[shell]}; }} > $HOME/before\n{load}\n{{ {LISTS[shell]}; }} > $HOME/after"
    if shell == "fish":
        script = f"begin; {LISTS[shell]}; end > $HOME/before\n{load}\nbegin; {LISTS[shell]}; end > $HOME/after"
    if shell == "zsh":
        script = f"{before}\n{{ {LISTS[shell]} }} > $HOME/before\n{load}\n{{ {LISTS[shell]} }} > $HOME/after"
    done = run_script(shell, script, home.environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    old, new = ({*(home.path / name).read_text().splitlines()} for name in ("before", "after"))
    added = {line for line in new - old if not re.match(r"(_|__wtenv_complete|_wtenv|complete .*wtenv.*)$", line)}
    assert added <= {"BASH_LINENO", "PIPESTATUS", "FUNCNAME", "RANDOM"}, added


@pytest.mark.parametrize("strict", ["set -eu", "set -eu -o posix", "set -f", "IFS=x", "shopt -s nocasematch failglob"])
def test_bash_in_strict_shells(strict: str, home: Home, root: Path) -> None:
    text = f"{strict}; {LOADS['bash']}; COMP_WORDS=(wtenv init sh); COMP_CWORD=2; __wtenv_complete; printf '[%s]' \"${{COMPREPLY[@]}}\""
    done = run_script("bash", text, home.environ, cwd=root)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "[shadow ][shared ]",
        "",
    ) or done.stdout == "[shared ][shadow ]"


def test_zsh_from_fpath(home: Home, root: Path) -> None:
    """As the file `_wtenv` in a folder of fpath."""
    require_shell("zsh")
    folder = home.path / "functions"
    folder.mkdir()
    (folder / "_wtenv").write_text(call(home, "completions", "zsh", cwd=root, check=True).stdout)
    load = f"fpath=({folder} $fpath); autoload -Uz compinit && compinit -u -D"
    with Terminal("zsh", home, root, load=load) as terminal:
        assert terminal.complete("wtenv stat") == ["wtenv", "status"]


def test_zsh_without_compinit(home: Home) -> None:
    done = run_script("zsh", 'setopt no_unset; eval "$(wtenv completions zsh)"', home.environ)
    assert "autoload -Uz compinit && compinit" in done.stderr
    assert done.stderr.count("\n") == 1


def test_wtenv_is_gone(shell: str, home: Home, root: Path) -> None:
    """Uninstalled under a running shell: nothing is offered, and nothing is said."""
    script = call(home, "completions", shell, cwd=root, check=True).stdout
    os.unlink(home.environ["PATH"].split(":")[0] + "/wtenv")
    place = home.path / "script"
    place.write_text(script)
    if shell == "fish":
        done = run_script("fish", f"source {place}; complete -C 'wtenv init '", home.environ, cwd=root)
        assert (done.stdout, done.stderr) == ("", "")
    elif shell == "bash":
        text = f"set -eu; source {place}; COMP_WORDS=(wtenv init ''); COMP_CWORD=2; __wtenv_complete; echo ${{#COMPREPLY[@]}}"
        done = run_script("bash", text, home.environ, cwd=root)
        assert (done.stdout, done.stderr) == ("0\n", "")


def test_an_unknown_shell(home: Home) -> None:
    assert "use one of: bash, zsh, fish" in one_line(call(home, "completions", "tcsh", cwd=home.path))
