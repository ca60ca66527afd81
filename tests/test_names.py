"""Names that nothing but their owner may set: asked of the shells on this machine, and kept on entering and leaving."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest
from shells import require_shell
from test_environ_shells import dump, read_dump, run

from wtenv import environ, names
from wtenv.hook.shells import SHELLS
from wtenv.names import explain_refusal, is_reserved

# Special to a shell, and yet for everybody to set: what programs read, and no shell runs or is broken by. zsh ties an
# array to MANPATH, and sets HOST; HISTSIZE and such are not among these.
ALLOWED = frozenset(
    """LANG LANGUAGE LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_MONETARY LC_NUMERIC LC_TIME TERM TERMINFO TERMINFO_DIRS
    TERMCAP TEXTDOMAIN TEXTDOMAINDIR TZ TMPDIR MANPATH HOST SHELL LOGNAME USER EDITOR VISUAL BROWSER COLORTERM
    EMACS INSIDE_EMACS""".split()
)
# What entering itself sets, and leaving puts back.
OWN = frozenset({"PATH"})

# What a shell sets or knows, as it tells itself; zsh also with all its modules.
ASK = {
    "bash": "compgen -v",
    "zsh": """zmodload zsh/parameter; zmodload $(cd $module_path[1] && print -l zsh/**/*.so(:r)) >/dev/null
        print -l ${(k)parameters}""",
    "fish": "set -n",
}
# Those that have no value until somebody sets them: the manuals' words, bash(1), zshparam(1), zshmodules(1), fish(1).
WRITTEN = {
    "bash": """BASH_ARGV0 BASH_COMPAT BASH_ENV BASH_LOADABLES_PATH BASH_MONOSECONDS BASH_REMATCH BASH_TRAPSIG
        BASH_XTRACEFD CDPATH CHILD_MAX COLUMNS COMPREPLY COMP_CWORD COMP_KEY COMP_LINE COMP_POINT COMP_TYPE
        COMP_WORDBREAKS COMP_WORDS COPROC EMACS ENV EXECIGNORE FCEDIT FIGNORE FUNCNAME FUNCNEST GLOBIGNORE GLOBSORT
        HISTCONTROL HISTFILE HISTFILESIZE HISTIGNORE HISTSIZE HISTTIMEFORMAT HOME HOSTFILE IFS IGNOREEOF INPUTRC
        INSIDE_EMACS LANG LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_NUMERIC LC_TIME LINES MAIL MAILCHECK MAILPATH
        MAPFILE OLDPWD OPTARG OPTERR PIPESTATUS POSIXLY_CORRECT PROMPT_COMMAND PROMPT_DIRTRIM PS0 PS1 PS2 PS3 PS4
        READLINE_ARGUMENT READLINE_LINE READLINE_MARK READLINE_POINT REPLY SHELL TERMCAP TEXTDOMAIN TEXTDOMAINDIR
        TIMEFORMAT TMOUT TMPDIR auto_resume histchars ignoreeof""",
    "zsh": """ARGV0 BAUD CORRECT_IGNORE CORRECT_IGNORE_FILE DIRSTACKSIZE ENV ERRNO FCEDIT HISTFILE KEYTIMEOUT LISTPROMPT
        MAIL MATCH MBEGIN MEND MENUPROMPT MENUSCROLL PERIOD POSTEDIT PROMPT_EOL_MARK REPLY REPORTMEMORY REPORTTIME
        RPROMPT RPROMPT2 RPS1 RPS2 STTY TERMINFO TERMINFO_DIRS TMOUT TMPSUFFIX ZBEEP ZDOTDIR ZLE_LINE_ABORTED
        ZLE_REMOVE_SUFFIX_CHARS ZLE_RPROMPT_INDENT ZLE_SPACE_SUFFIX_CHARS match mbegin mend reply zle_highlight
        chpwd_functions precmd_functions preexec_functions periodic_functions zshexit_functions
        zshaddhistory_functions""",
    "fish": """BROWSER CDPATH LANG LC_ALL argv_opts fish_ambiguous_width fish_complete_path fish_cursor_selection_mode
        fish_emoji_width fish_escape_delay_ms fish_features fish_greeting fish_handle_reflow fish_key_bindings
        fish_sequence_key_delay_ms fish_term24bit fish_trace fish_user_paths last_pid umask FISH_DEBUG
        FISH_DEBUG_OUTPUT FISH_UNIT_TESTS_RUNNING""",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_whatever_is_special_to_a_shell_is_decided(shell: str, tmp_path: Path) -> None:
    options = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    for interactive in ([], ["-i"]):
        done = subprocess.run(
            [require_shell(shell), *options, *interactive, "-c", ASK[shell]],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        told = {name for name in done.stdout.split() if environ.is_name(name)}
        assert len(told) > 20, done.stderr
        told -= set("The example module has now been set up m exint exstr exarr exfloat".split())  # zsh/example's
        told |= set(WRITTEN[shell].split())
        assert {name for name in told if not explain_refusal(name)} - ALLOWED == set()
        assert {name for name in told if not is_reserved(name)} - ALLOWED - OWN == set()


def test_what_programs_read_is_allowed() -> None:
    assert [name for name in sorted(ALLOWED) if explain_refusal(name)] == []
    for name in ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "_CONDA_ROOT", "HISTOGRAM", "ZSH", "COMP", "fish"):
        assert explain_refusal(name) is None


RESERVED = [
    *names.RESERVED.split(),
    *(f"{part}_X" for part in names.RESERVED_PARTS.split()),
    "__wtenv_command",
    "__fish_x",
]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("user", ["own", "another", "none"])
def test_leaving_never_touches_reserved_names(shell: str, user: str, tmp_path: Path) -> None:
    """Whoever wrote the state, and in whatever form."""
    listed = [f"{name}:" if index % 2 else name for index, name in enumerate(RESERVED)]
    env = {environ.ROOT: "/r", environ.VARS: " ".join([*listed, "ALPHA"]), "LANG": "C.UTF-8", "ALPHA": "new"}
    env |= {environ.old_name("ALPHA"): "old", environ.new_name("ALPHA"): "new", "HOME": str(tmp_path)}
    env |= {environ.old_name(name): f"$(touch {tmp_path}/pwned)" for name in RESERVED}
    if user != "none":
        env[environ.UID] = environ.get_user() if user == "own" else "12345"
    script = dump(tmp_path / "start") + SHELLS[shell].render_leave() + dump(tmp_path / "left")
    run(shell, env, script, tmp_path)
    before, left = read_dump(tmp_path / "start"), read_dump(tmp_path / "left")
    assert left == environ.undo(before)
    assert left.get("ALPHA") == ("old" if user == "own" else None)
    assert {name: left.get(name) for name in RESERVED} == {name: before.get(name) for name in RESERVED}
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_state_of_another_user(shell: str, tmp_path: Path) -> None:
    """What came through su, sudo or ssh: what it added goes, nothing of its values comes back."""
    activation = environ.Activation(
        "/r",
        "id",
        environ.CondaLevel("/env", "e", "(e) "),
        (
            environ.Change("PATH", "front", "/r/.venv/bin:/env/bin"),
            environ.Change("LD_PRELOAD", "set", ""),
            environ.Change("PYTHONPATH", "back", "/y"),
            environ.Change("GONE", "unset"),
            environ.Change("CHANGED", "set", "ours"),
        ),
    )
    start = {"PATH": "/usr/bin:/bin", "LD_PRELOAD": "", "PYTHONPATH": "/x", "GONE": "old", "CHANGED": "old"}
    env = environ.apply(start, activation) | {environ.UID: "12345", "CHANGED": "mine", "HOME": str(tmp_path)}
    env |= {environ.old_name("LD_PRELOAD"): "/evil.so", "LANG": "C.UTF-8"}
    for added in ({}, {"PATH": f"/mine:{env['PATH']}"}, {"CONDA_PREFIX": "/other"}):
        script = dump(tmp_path / "start") + SHELLS[shell].render_leave() + dump(tmp_path / "left")
        run(shell, env | added, script, tmp_path)
        before, left = read_dump(tmp_path / "start"), read_dump(tmp_path / "left")
        assert left == environ.undo(before)
        assert left["PATH"] == ("/mine:/usr/bin:/bin" if "PATH" in added else "/usr/bin:/bin")
        assert (left.get("LD_PRELOAD"), left.get("GONE"), left["CHANGED"]) == (None, None, "mine")
        assert left["PYTHONPATH"] == "/x"
        assert not [name for name in left if environ.is_state(name)]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "orphans", [{"WTENV_OLD_X_": "1"}, {"WTENV_NEW_X_": "1", "WTENV_OLD_Y": "2"}, {"WTENV_ID": "x", "WTENV_UID": "0"}]
)
def test_nothing_of_the_state_remains(shell: str, orphans: dict[str, str], tmp_path: Path) -> None:
    """Whatever there is of it, with or without the rest; and none of it gets into what is entered next."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    language = SHELLS[shell]
    activation = environ.Activation("/r", "id", None, (environ.Change("X", "set", "new"),))
    change = environ.Change("PATH", "front", "/x")
    for rest in ({}, {environ.ROOT: "/r"}, {environ.ROOT: "/r", environ.UID: environ.get_user(), environ.VARS: "Z"}):
        enter = language.render_enter(activation._replace(changes=(*activation.changes, change)), None)
        script = f"{dump(tmp_path / 'start')}{language.render_leave()}{dump(tmp_path / 'left')}{enter}\n__wtenv_enter\n"
        script += f"__wtenv_leave\n{dump(tmp_path / 'again')}"
        run(shell, {**env, **orphans, **rest}, script, tmp_path)
        left = read_dump(tmp_path / "left")
        assert left == environ.undo(read_dump(tmp_path / "start"))
        assert not [name for name in left if environ.is_state(name)]
        assert read_dump(tmp_path / "again") == left


@pytest.mark.parametrize("shell", SHELLS)
def test_many_variables(shell: str, tmp_path: Path) -> None:
    """Four times as many take about four times as long; in zsh beside plain exports, as its environment is searched
    from the start for each."""
    language, costs, plain = SHELLS[shell], [], []
    for count in (500, 2000):
        names = [f"K{index:05}" for index in range(count)]
        changes = [environ.Change("PATH", "front", "/x"), *(environ.Change(name, "set", "v") for name in names)]
        activation = environ.Activation("/r", "id", None, tuple(changes))
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
        enter = language.render_enter(activation, environ.specialise(env, activation))
        texts = {"ours": f"{language.render_leave()}{enter}\n__wtenv_enter\n__wtenv_leave\n"}
        texts["plain"] = "\n".join(
            [f"export {name}=v WTENV_NEW_{name}_=v" for name in names]
            + [f"unset {name}\nunset WTENV_NEW_{name}_" for name in names]
        )
        for kind, text in texts.items():
            if kind == "ours" or shell == "zsh":
                before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
                run(shell, env, f"{text}\n{dump(tmp_path / 'left')}", tmp_path)
                cost = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
                (costs if kind == "ours" else plain).append(cost)
        assert not [name for name in read_dump(tmp_path / "left") if name.startswith(("K", "WTENV"))]
    allowed = 6 * plain[1] if shell == "zsh" else 4 * 1.7 * costs[0]
    assert costs[1] < allowed + 0.1, (costs, plain)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ALPHA", ""), ("_x9", ""), ("a", ""), ("wten", ""), ("CONDA_PREFIXES", ""), ("PATHS", ""), ("COMP", ""),
        ("", "every shell"), ("9A", "every shell"), ("A-B", "every shell"), ("A B", "every shell"), ("Ä", "every shell"),
        ("A=", "every shell"), ("_", "the shell"), ("__", ""),
        ("WTENV_X", "wtenv's own"), ("wtenv_x", "wtenv's own"), ("WTENV_", "wtenv's own"), ("WTENV", ""),
        ("__wtenv", "wtenv's own"), ("__wtenv_x", "wtenv's own"), ("__wtenvx", "wtenv's own"),
        ("PATH", "the shell"), ("path", "the shell"), ("Path", "the shell"), ("CONDA_PREFIX", "the shell"),
        ("CONDA_PREFIX_1", "the shell"), ("CONDA_SHLVL", "the shell"), ("VIRTUAL_ENV", "the shell"),
        ("PYTHONHOME", "the shell"), ("TMOUT", "the shell"), ("MAILCHECK", "the shell"), ("BASH_X", "the shell"),
        ("dis_aliases", "the shell"),
    ],
)  # fmt: skip
def test_explain_refusal(name: str, said: str) -> None:
    found = explain_refusal(name) or ""
    assert said in found and bool(said) == bool(found)


@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        ("PATH", False), ("VIRTUAL_ENV", False), ("PWD", True), ("fish", False), ("fish_x", True), ("fishx", False),
        ("__fish_x", True), ("WTENV_ROOT", True), ("__wtenv_x", True), ("WTENVX", False), ("BASH", True), ("BASHX", False),
    ],
)  # fmt: skip
def test_is_reserved(name: str, reserved: bool) -> None:
    assert is_reserved(name) == reserved


@pytest.mark.parametrize(
    ("name", "normal"),
    [("A.b_c", "a-b-c"), ("a-_.b", "a-b"), ("a----b", "a-b"), ("a", "a"), ("_a.", "-a-"), ("A__B..C--D", "a-b-c-d")],
)
def test_normalise(name: str, normal: str) -> None:
    """PEP 503."""
    assert names.normalise(name) == normal
