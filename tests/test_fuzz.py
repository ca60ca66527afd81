"""Whatever the files say that decide an activation: an answer or a clear refusal, in time, and nothing written.

WTENV_EXAMPLES sets the number of examples.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hookworld import World, make_world
from hypothesis import HealthCheck, event, given, settings
from realbase import Base
from scenes import snapshot

from wtenv import answer, decision, environ, trust
from wtenv.commands import status
from wtenv.conda import list_environments
from wtenv.config import read as configs
from wtenv.errors import WtenvError
from wtenv.hook import shells
from wtenv.lock import notice
from wtenv.overlay import registry
from wtenv.worktree import find_worktree, list_worktrees, require_worktree

CONFIG = """
[python]
base_conda_env = "{base}"
venv = ".venv"
[editables]
packages = ["."]
build_isolation = "auto"
[env]
ALPHA = "{{root}} $(touch pwned)"
GONE = false
[activation]
path = ["src"]
dotenv = [".env"]
"""
STACK = '[wtenv]\nkind = "stack"\n' + CONFIG

EXAMPLES = int(os.environ.get("WTENV_EXAMPLES", "60"))
quick = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass
class Target:
    """A world with one of everything that wtenv reads, and the content that each had."""

    world: World
    files: dict[Path, bytes]

    def restore(self) -> None:
        for path, data in self.files.items():
            remove(path)
            path.write_bytes(data)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Target:
    world = make_world(tmp_path_factory.mktemp("fuzz"), base, CONFIG, own_base=True)
    prefix, home, feature = world.base.prefix, world.home.path, world.feature
    entry = world.main / ".git/worktrees/feature"
    added = {
        feature / ".env": 'A=1\nexport B="two\nlines"\n# c\n',
        world.main / ".git/wtenv.toml": '[env]\nCLONE = "yes"\n',
        world.outside / "stack.toml": STACK.format(base=world.base.name),
        home
        / ".config/wtenv/config.toml": '[trust]\nprefixes = ["/"]\n[messages]\nlevel = "verbose"\n[prompt]\nshow = true\n',
        prefix / "etc/conda/env_vars.d/own.json": '{"ONE": "1", "TWO": "***unset***"}',
        prefix / "conda-meta/state": '{"version": 1, "env_vars": {"THREE": "3"}}',
        home / ".conda/environments.txt": f"{prefix}\n",
    }
    for path, text in added.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    world.wtenv("allow", cwd=feature)
    world.wtenv("lock", cwd=feature)
    place = find_worktree(feature)
    assert place
    read = [
        *added,
        *(feature / name for name in ("wtenv.toml", ".git", ".venv/wtenv.json", ".venv/pyvenv.cfg")),
        *(entry / name for name in ("gitdir", "commondir")),
        feature / "wtenv.lock",
        home / ".condarc",
        prefix / "conda-meta/history",
        trust.locate_records(place, world.home.environ)[0],
        registry.record_path(feature / ".venv", world.home.environ),
    ]
    return Target(world, {path: path.read_bytes() for path in read})


# --- what may become of a file ------------------------------------------------------------------------

Damage = Callable[[Path, bytes], None]


def put(change: Callable[[bytes], bytes]) -> Damage:
    return lambda path, data: path.write_bytes(change(data)) and None


def replace(make: Callable[[Path], object]) -> Damage:
    def run(path: Path, data: bytes) -> None:
        path.unlink()
        make(path)

    return run


def splice(at: float, cut: int, new: bytes) -> Damage:
    def change(data: bytes) -> bytes:
        index = int(at * len(data))
        return data[:index] + new + data[index + cut :]

    return put(change)


def swap(old: bytes, new: bytes) -> Damage:
    return put(lambda data: data.replace(old, new))


WORDS = [
    b"", b"\0", b"\n", b"\xff", b"\\", b'"', b"'", b"[", b"]", b"{", b"}", b"=", b":", b",", b"-", b"~", b"..", b"/",
    b"null", b"true", b"0", b"-1", b"1e999", b"NaN", b'""', b"[]", b"{}", b"\xef\xbb\xbf", b"\\ud800", b"\\u0000",
    b"$(touch pwned)", b"`touch pwned`", b"\x1b[31m", b"/dev/zero", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"a." * 2000,
    b"x" * 70_000, "\u202e\u2028".encode(), b"WTENV_ROOT", b"PATH", b"LD_PRELOAD",
]  # fmt: skip
DEVICES: dict[str, Damage] = {
    "gone": replace(lambda path: None),
    "empty": put(lambda data: b""),
    "folder": replace(Path.mkdir),
    "fifo": replace(os.mkfifo),
    "loop": replace(lambda path: path.symlink_to(path.name)),
    "dangling": replace(lambda path: path.symlink_to("nowhere/at/all")),
    "endless": replace(lambda path: path.symlink_to("/dev/zero")),
    "terminal": replace(lambda path: path.symlink_to("/dev/tty")),
    "huge": put(lambda data: data + b"#" * (2 << 20)),
    "many": put(lambda data: data * 200),
    "many keys": put(lambda data: data + b"".join(b"\nK%d = 'x'" % i for i in range(5000))),
    "others may write": lambda path, data: path.chmod(0o666),
}
damages = st.one_of(
    st.sampled_from(sorted(DEVICES)).map(lambda name: (name, DEVICES[name])),
    st.binary(max_size=200).map(lambda raw: ("bytes", put(lambda data: raw))),
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(WORDS) | st.binary(max_size=4)).map(
        lambda row: ("splice", splice(*row))
    ),
    st.tuples(
        st.sampled_from([b'"', b"=", b"/", b"1", b"true", b"false", b"[", b"]", b"\n", b".venv", b"e", b"A", b": "]),
        st.sampled_from(WORDS),
    ).map(lambda row: ("swap", swap(*row))),
)


@contextlib.contextmanager
def in_time(seconds: int) -> Iterator[None]:
    def fail(*_: object) -> None:
        raise AssertionError("it hangs")

    old = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


def ask(world: World) -> decision.Decision:
    """What the hook and the commands that only read do, less what they print."""
    env = world.home.environ
    found = decision.decide(world.feature, env)
    assert found.kind == "active" or (found.reason and found.fix and "\n" not in found.reason), found.kind
    entry = answer.build_cached(found, "", (), env)
    for shell in shells.SHELLS.values():
        text = shell.render_cached(entry)
        assert text.endswith("\n# end\n")
        assert "\0" not in text
    json.dumps(status.gather(found, env))
    if found.config and found.base:
        notice.mention(found.config, found.base, {**env, "XDG_CACHE_HOME": "/proc/nowhere"})
    for read in (
        lambda: decision.load(world.feature, env),
        lambda: list_environments(env),
        lambda: list_worktrees(world.main / ".git"),
        lambda: locate_venv(world),
    ):
        with contextlib.suppress(WtenvError):
            read()
    return found


def locate_venv(world: World) -> Path:
    """As `wtenv clean` finds it, whatever else is wrong."""
    place = require_worktree(world.feature)
    return configs.locate_venv(place, configs.require_sources(place, world.home.path))[0]


@quick
@given(chosen=st.lists(st.tuples(st.integers(0, 17), damages), min_size=1, max_size=3), use_stack=st.booleans())
def test_any_file_damaged(target: Target, chosen: list[tuple[int, tuple[str, Damage]]], use_stack: bool) -> None:
    target.restore()
    if use_stack:
        (target.world.feature / "wtenv.toml").write_text('[wtenv]\nextends = "../stack.toml"\n')
    paths = list(target.files)
    for index, (label, damage) in chosen:
        path = paths[index % len(paths)]
        if path.is_file() and not path.is_symlink():
            event(label)
            damage(path, path.read_bytes())
    folders = (target.world.main.parent, target.world.home.path, target.world.base.prefix / "conda-meta")
    before = snapshot(*folders)
    with in_time(20):
        found = ask(target.world)
    event(found.kind)
    after = snapshot(*folders)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    # Wrappers and bootstrap of a sound overlay follow its base; nothing else is ever written.
    assert not {path for path in changed if "/.venv" not in path and "/overlays" not in path}, changed


MIB = (1 << 20) - 100
SLOW = {
    "a key of many parts": "a." * (MIB // 2) + "a = 1",
    "a table of many parts": "[" + "a." * (MIB // 2 - 1) + "a]",
    "quoted parts": '"".' * (MIB // 3) + "a = 1",
    "parts in a value": "x = {" + "a." * (MIB // 2 - 4) + "a = 1}",
    "blank lines": "\n" * MIB,
    "quotes and commas": 'x = "' + ", '" * (MIB // 3),
    "an open list": "x = [" + "[" * MIB,
    "a way of many folders": '[wtenv]\nextends = "' + "a/" * (MIB // 2 - 20) + '"',
    "a file of many folders": '[activation]\ndotenv = ["' + "a/" * (MIB // 2 - 20) + '"]',
    "many files": f"[activation]\ndotenv = {[str(i) for i in range(80_000)]}",
}


@pytest.mark.parametrize("label", SLOW)
def test_config_that_is_built_to_be_slow(label: str, tmp_path: Path) -> None:
    """It is read at the `cd`, before anybody has allowed it."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "wtenv.toml").write_text(SLOW[label])
    with in_time(60):
        found = decision.decide(tmp_path, {"HOME": str(tmp_path)})
    assert found.kind in ("failed", "blocked")
    assert len(found.watch) < 100


@pytest.mark.parametrize("text", ["gitdir: " + "a/" * 500_000, "gitdir: " + "../" * 300_000])
def test_link_that_is_built_to_be_slow(text: str, tmp_path: Path) -> None:
    (tmp_path / ".git").write_text(text)
    with in_time(60):
        assert decision.decide(tmp_path, {"HOME": str(tmp_path)}).kind == "failed"
    (tmp_path / ".git").write_text("gitdir: git")
    (tmp_path / "git").mkdir()
    (tmp_path / "git/config").write_text("[core]\nworktree = " + text.removeprefix("gitdir: "))
    with in_time(60):
        assert decision.decide(tmp_path, {"HOME": str(tmp_path)}).kind == "unconfigured"


# --- the state in the environment ---------------------------------------------------------------------

levels = ["CONDA_SHLVL", "CONDA_PREFIX_1", "CONDA_PREFIX_08"]
names = st.sampled_from([*levels, "ALPHA", "PATH", "CONDA_PREFIX", "IFS", "HOME", "X_DIRS"])
odd = st.sampled_from(
    ["", " ", ":", "a b", "1", "08", "-1", "9" * 30, "/x:/y", "x[$(touch pwned)]", "é", "\udcff", "\n"]
)
text = odd | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@st.composite
def damaged_states(draw: st.DrawFn) -> dict[str, str]:
    """An environment whose WTENV_* are anybody's."""
    env = {name: draw(text) for name in draw(st.sets(names))}
    for name in draw(st.sets(names)):
        for form in (environ.old_name, environ.new_name):
            if draw(st.booleans()):
                env[form(name)] = draw(text | st.just(env.get(name, "")))
    for name in (environ.ROOT, environ.ID):
        if draw(st.booleans()):
            env[name] = draw(text)
    listed = st.lists(names | names.map(lambda name: f"{name}:") | text, max_size=5).map(" ".join)
    if draw(st.booleans()):
        env[environ.VARS] = draw(listed)
    env[environ.UID] = draw(text | st.just(environ.get_user()))
    return env


@settings(quick, max_examples=EXAMPLES * 5)
@given(env=damaged_states())
def test_damaged_state(env: dict[str, str]) -> None:
    left = environ.undo(env)
    assert not [name for name in left if environ.is_state(name)]
    named = {item.removesuffix(":") for item in env.get(environ.VARS, "").split(" ")}
    touched = {
        name for name in left.keys() | env.keys() if left.get(name) != env.get(name) and not environ.is_state(name)
    }
    assert touched <= named | {name for name in touched if name.startswith("CONDA_")}
    activation = environ.Activation(
        "/r", "id", environ.CondaLevel("/c", "c", ""), (environ.Change("PATH", "front", "/x"),)
    )
    assert environ.undo(environ.apply(env, activation)) == left
    environ.specialise(left, activation)
