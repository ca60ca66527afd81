"""Whatever happens in whatever order: a shell's environment is the one that is computed afresh.

The model decides anew after every step, without a cache, in the environment that the shell should have;
the shell has cached activations, in memory and on disk, with their fast paths and witnesses.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hookworld import CONFIG, World, make_world, name  # noqa: F401
from hypothesis import HealthCheck, event, example, given, settings
from realbase import Base
from shells import Shell, set_variable, unset_variable

from wtenv import decision, environ

OWN = ("_", "PWD", "OLDPWD", "SHLVL")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, base: Base) -> World:
    return make_world(tmp_path_factory.mktemp("world"), base, own_base=True)


@pytest.fixture
def world(ready: World) -> Iterator[World]:
    yield ready
    ready.close()


@dataclass
class Visit:
    """A shell, and the environment that it should have by now."""

    world: World
    shell: Shell
    cwd: Path
    expected: dict[str, str]

    @classmethod
    def begin(cls, world: World, shell_name: str) -> Visit:
        shell = world.open(shell_name)
        return cls(world, shell, world.outside, read(shell))

    def step(self, line: str) -> None:
        """Type a line, after which the hook has looked, and compare."""
        self.shell.run(line)
        plain = environ.undo(self.expected)
        activation = decision.decide(self.cwd, plain).activation
        if activation is None:
            self.expected = plain
        elif activation.id != self.expected.get(environ.ID):
            self.expected = environ.apply(plain, activation)
            self.expected[environ.VARS] = " ".join(sorted(self.expected[environ.VARS].split(" ")))
        assert read(self.shell) == self.expected, self.shell.transcript

    def go(self, folder: Path) -> None:
        self.cwd = folder
        self.step(f"cd {folder}")

    def change(self, variable: str, value: str | None) -> None:
        """The user's own, typed by hand."""
        if value is None:
            self.expected.pop(variable, None)
            self.step(unset_variable(self.shell.name, variable))
        else:
            self.expected[variable] = value
            self.step(set_variable(self.shell.name, variable, os.fsencode(value)))

    @property
    def inside(self) -> bool:
        return environ.ID in self.expected


def read(shell: Shell) -> dict[str, str]:
    found = {os.fsdecode(key): os.fsdecode(value) for key, value in shell.environ().items()}
    if environ.VARS in found:  # the order of names has no meaning
        found[environ.VARS] = " ".join(sorted(found[environ.VARS].split(" ")))
    return {key: value for key, value in found.items() if key not in OWN}


# --- what may happen ----------------------------------------------------------------------------------

Step = Callable[[Visit], None]


def go(where: str) -> Step:
    def run(visit: Visit) -> None:
        world = visit.world
        visit.go({"outside": world.outside, "src": world.main / "src"}.get(where) or world.repo.root.parent / where)

    return run


def edit(value: str, back: bool) -> Step:
    """Another content for the config; with `back` as old as if it came out of an archive."""

    def run(visit: Visit) -> None:
        config = visit.world.main / "wtenv.toml"
        config.write_text(CONFIG.format(base=visit.world.base.name).replace("one two", value))
        if back:
            old = (10**9 + sum(value.encode())) * 10**9  # another second for another content
            os.utime(config, ns=(old, old))
        visit.step("true")

    return run


def wtenv(verb: str) -> Step:
    def run(visit: Visit) -> None:
        visit.world.wtenv(verb)
        visit.step("true")

    return run


def edit_base(place: str, value: str | None) -> Step:
    def run(visit: Visit) -> None:
        prefix = visit.world.base.prefix
        state, script = prefix / "conda-meta/state", prefix / "etc/conda/activate.d/zz-own.sh"
        if place == "state" and value is not None:
            state.write_text(json.dumps({"version": 1, "env_vars": {"BETA": value}}))
        elif place == "script" and value is not None:
            script.write_text(f"export GAMMA='{value}'\nexport LD_LIBRARY_PATH=/lib/{value}:$LD_LIBRARY_PATH\n")
        else:
            (state if place == "state" else script).unlink(missing_ok=True)
        visit.step("true")

    return run


def change(variable: str, value: str | None) -> Step:
    def run(visit: Visit) -> None:
        # What scripts read decides, and is asked for on entering: a user who changes it inside stays with it.
        if not (visit.inside and variable == "LD_LIBRARY_PATH"):
            visit.change(variable, value)

    return run


def extend_path(entry: str) -> Step:
    def run(visit: Visit) -> None:
        visit.change("PATH", f"{entry}:{visit.expected['PATH']}")

    return run


def lose_cache(visit: Visit) -> None:
    shutil.rmtree(visit.world.home.path / ".cache/wtenv", ignore_errors=True)
    visit.step("true")


def prompt(visit: Visit) -> None:
    visit.step("true")


places = st.sampled_from(["outside", "main", "feature", "src"]).map(lambda where: (f"cd {where}", go(where)))
short = st.sampled_from(["1", "2", "", "it's $HOME"])
events = st.one_of(
    st.tuples(short, st.booleans()).map(lambda pair: (f"edit {pair}", edit(*pair))),
    st.sampled_from(["allow", "allow", "deny"]).map(lambda verb: (verb, wtenv(verb))),
    st.tuples(st.sampled_from(["state", "script"]), st.one_of(st.none(), st.sampled_from("12"))).map(
        lambda pair: (f"base {pair}", edit_base(*pair))
    ),
    st.tuples(st.sampled_from(["ALPHA", "BETA", "MINE", "LD_LIBRARY_PATH"]), st.one_of(st.none(), short)).map(
        lambda pair: (f"set {pair}", change(*pair))
    ),
    st.sampled_from(["/mine", "/other mine"]).map(lambda entry: (f"PATH {entry}", extend_path(entry))),
    st.sampled_from([("lose the cache", lose_cache), ("prompt", prompt)]),
)
steps = st.lists(st.one_of(places, events), min_size=4, max_size=14)


@settings(
    max_examples=int(os.environ.get("WTENV_SEQUENCES", "12")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chosen=steps)
@example(chosen=[("cd main", go("main")), ("set", edit_base("state", "1")), ("gone", edit_base("state", None))])
def test_cached_is_computed(world: World, name: str, chosen: list[tuple[str, Step]]) -> None:
    visit = Visit.begin(world, name)
    for place in ("conda-meta/state", "etc/conda/activate.d/zz-own.sh"):
        (world.base.prefix / place).unlink(missing_ok=True)
    edit("one two", back=False)(visit)
    wtenv("allow")(visit)
    for label, step in chosen:
        event(label.split(" ")[0])
        step(visit)
    # Out again: what was there, plus the user's own changes.
    visit.go(world.outside)
    assert not [key for key in visit.expected if environ.is_state(key)]
    visit.shell.close()
