"""TOML is read in a time that its size bounds, whatever is in it: anyone's checkout brings some."""

from __future__ import annotations

import time
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, example, given, settings

from wtenv import toml
from wtenv.errors import WtenvError

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

SIZE = 20_000
PLAIN = "".join(f"key{number} = {number}\n" for number in range(SIZE))[:SIZE].rpartition("\n")[0]
TIMES = 30  # of a plain text's time; the worst that is still read takes six times as long

quick = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def measure(text: str) -> float:
    """The processor's seconds that reading takes, refused or not."""
    start = time.process_time()
    try:
        toml.parse(Path("x.toml"), text.encode())
    except WtenvError:
        pass
    return time.process_time() - start


def check_time(text: str) -> None:
    """Compared with a plain text of the same size, both measured now: the machine may be busy."""
    for _ in range(3):
        bound = TIMES * max(measure(PLAIN), 1e-3)
        if measure(text) <= bound:
            return
    raise AssertionError(f"slow: {text[:60]!r}…{text[-30:]!r}")


def fill(unit: str, before: str = "", after: str = "") -> str:
    return before + unit * ((SIZE - len(before) - len(after)) // len(unit)) + after


PARTS = ("a.", '"".', "''.", '"\\"".', '"\\u0041" . ', "'#'\t.\t", "\"'\".'\"'.", '"a#b".', '"[".', "1.")
PLACES = (("", "a = 1"), ("[", "a]"), ("[[", "a]]"), ("x = {", "a = 1}"), ("x = [{", "a = 1}]"), ("x = {y = {", "a = 1}}"),
          ('x = """\n"""\n', "a = 1"), ("x = '''\n'''''\n", "a = 1"), ("# \"\n", "a = 1"), ("x = '\\'\n", "a = 1"),
          ('x = """\\""""""\n', "a = 1"), ("\ufeff", "a = 1"), ("x = 1\r\n", "a = 1"), ("x = {y = 1, ", "a = 1}"))  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("place", PLACES)
def test_keys_of_many_parts(place: tuple[str, str], part: str) -> None:
    text = fill(part, *place)
    check_time(text)
    with pytest.raises(WtenvError, match=r"line [123] has a key of more than 16 parts"):
        toml.parse(Path("x.toml"), text.encode())


UNITS = (*PARTS, ".", '"', "'", '"""', "'''", '\\"', "\\", "\\\n", "#", "\n", " ", "\t", "=", "a", "a=1\n", "[", "]", "[[",
         "]]\n", "[]", "{", "}", "{a={", "{a=1},", ",", "1,", "9", "1.5,", "_1", "0x", "1979-05-27T07:32:00Z,", "é", "\r\n",
         "a = [", "a.b=1\n", "[a.b]\n", "[[a.b]]\n")  # fmt: skip
pieces = st.lists(
    st.tuples(st.lists(st.sampled_from(UNITS), min_size=1, max_size=4).map("".join), st.floats(0, 1)), max_size=6
)


@settings(quick, max_examples=100)
@given(pieces=pieces)
@example([('"""\\', 1.0)])
@example([('"""', 0.0), ('\\"""', 1.0)])
@example([("'''\n", 1.0)])
@example([('"\\"', 1.0)])
@example([("a \t", 1.0)])
@example([("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o ", 1.0)])
@example([("[a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a]\n", 0.0), ("b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b=1\n", 1.0)])
def test_any_text_takes_no_longer_than_its_size(pieces: list[tuple[str, float]]) -> None:
    whole = sum(weight for _, weight in pieces) or 1.0
    check_time("".join(unit * max(1, int(SIZE * weight / whole / len(unit))) for unit, weight in pieces))


# --- what is valid is read, whatever its strings hold ---------------------------------------------------

bare = st.text("abzAZ09_-", min_size=1, max_size=3)
inside = st.lists(
    st.sampled_from(["a." * 20, "b", "#", "[", "'", '"', "=", "\\", "\n", '"".' * 20, "\t", "é", ","]), max_size=6
)
DEEP = ".".join("abcdefghijklmnopq")


def quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def quote_literally(text: str) -> str:
    return "'" + text.replace("'", "").replace("\n", "") + "'"


strings = inside.map("".join)
part = bare | strings.map(quote) | strings.map(quote_literally)
key = st.tuples(st.lists(part, min_size=1, max_size=16), st.sampled_from([".", " . ", "\t.", ". "])).map(
    lambda made: made[1].join(made[0])
)
values = st.one_of(
    strings.map(quote),
    strings.map(quote_literally),
    strings.map(lambda text: '"""' + text.replace("\\", "\\\\").replace('"', '\\"') + '"""'),
    strings.map(lambda text: '"""' + text.replace("\\", "\\\\").replace('"""', "").rstrip('"') + '"""""'),
    strings.map(lambda text: "'''" + text.replace("'", "") + "'''''"),
    st.sampled_from(["1", "1.5", "true", "[1.5, 2.5]", "1979-05-27T07:32:00.25Z", "[]", "{}", "[[{}], ['a']]"]),
)
comment = strings.map(lambda text: "#" + text.replace("\n", ""))


@st.composite
def documents(draw: st.DrawFn) -> str:
    """TOML of tables that have each their own name, so that none is defined twice."""
    lines = []
    for number in range(draw(st.integers(0, 4))):
        lines.append(f"[t{number}]" if draw(st.booleans()) else f"[[u{number}.{draw(part)}]]")
        lines.append(f"k{number}.{draw(part)} = {draw(values)} {draw(comment)}")
        lines.append(f"i{number} = {{ {draw(key)} = {draw(values)} }}")
        lines.append(draw(comment))
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + "\n"


@settings(quick, max_examples=120)
@given(text=documents())
def test_what_is_no_key_is_not_taken_for_one(text: str) -> None:
    plain = text.replace("\r\n", "\n")
    assert tomllib.loads(plain) == toml.parse(Path("x.toml"), plain.encode())
    assert toml.find_deep_key(text) == 0
    assert toml.find_deep_key(f"{text}{DEEP} = 1\n") == text.count("\n") + 1
    assert toml.find_deep_key(f"{text}x = {{ y = [1, {{ {DEEP} = 1 }}] }}\n") == text.count("\n") + 1
