"""The user's own settings: every key, every mistake."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wtenv.config.settings import Settings, read_settings
from wtenv.errors import WtenvError


def read(home: Path, data: bytes | str) -> Settings:
    path = home / ".config/wtenv/config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_settings({"HOME": str(home)})


def test_defaults(tmp_path: Path) -> None:
    path = tmp_path / ".config/wtenv/config.toml"
    assert read_settings({"HOME": str(tmp_path)}) == Settings(path, (), False, "normal", False)
    assert read(tmp_path, "") == Settings(path)


def test_every_key(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        '[trust]\nprefixes = ["/srv/work/", "~/x/../src", "~"]\n[sync]\nauto = true\n'
        '[messages]\nlevel = "silent"\n[prompt]\nshow = true\n',
    )
    assert found.trusted == (Path("/srv/work"), tmp_path / "src", tmp_path)
    assert (found.sync_auto, found.level, found.prompt) == (True, "silent", True)


@pytest.mark.parametrize("level", ["silent", "error", "normal", "verbose"])
def test_levels(level: str, tmp_path: Path) -> None:
    assert read(tmp_path, f'[messages]\nlevel = "{level}"\n').level == level


def test_prefixes_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert read(tmp_path, '[trust]\nprefixes = ["~/link"]\n').trusted == (tmp_path / "real",)


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"XDG_CONFIG_HOME": "{tmp}/xdg", "HOME": "{tmp}"}, "xdg/wtenv"),
        ({"XDG_CONFIG_HOME": "relative", "HOME": "{tmp}"}, ".config/wtenv"),
        ({"XDG_CONFIG_HOME": "", "HOME": "{tmp}"}, ".config/wtenv"),
    ],
)
def test_where_it_is(env: dict[str, str], folder: str, tmp_path: Path) -> None:
    path = tmp_path / folder / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[sync]\nauto = true\n")
    found = read_settings({name: value.format(tmp=tmp_path) for name, value in env.items()})
    assert (found.path, found.sync_auto) == (path, True)


MISTAKES = {
    "[trst]\n": ("[trst] unknown table", "did you mean trust?"),
    "[sync]\nautomatic = true\n": ("[sync] automatic unknown key", "did you mean auto?"),
    "sync = true\n": ("sync must be a table", "write [sync]"),
    "[[sync]]\n": ("sync must be a table",),
    "[sync]\nauto = 1\n": ("[sync] auto must be true or false",),
    '[sync]\nauto = "yes"\n': ("[sync] auto must be true or false",),
    "[prompt]\nshow = []\n": ("[prompt] show must be true or false",),
    '[messages]\nlevel = "loud"\n': ("[messages] level must be one of",),
    "[messages]\nlevel = []\n": ("[messages] level must be one of",),
    '[trust]\nprefixes = "/x"\n': ("[trust] prefixes must be a list",),
    "[trust]\nprefixes = [1]\n": ("[trust] prefixes must be a list",),
    '[trust]\nprefixes = [""]\n': ("[trust] prefixes must be a list",),
    '[trust]\nprefixes = ["/a\\u0000b"]\n': ("[trust] prefixes must be a list",),
    '[trust]\nprefixes = ["work"]\n': ('[trust] prefixes names "work", which is not absolute', "~/"),
    '[trust]\nprefixes = ["~bob/x"]\n': ('[trust] prefixes names "~bob/x", which is not absolute',),
    '[trust]\nprefixes = ["a\\u001b[2J"]\n': ("\\x1b", "is not absolute"),
    '["a\\u001b[2J"]\n': ("\\x1b",),
    "[sync\n": ("is not valid TOML", "line 1"),
    "\0": ("is not valid TOML",),
    f"a = {'9' * 5000}": ("is not valid TOML",),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes(text: str, tmp_path: Path) -> None:
    with pytest.raises(WtenvError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/.config/wtenv/config.toml: ")
    assert message.isprintable()
    assert caught.value.fix
    for part in MISTAKES[text]:
        assert part in message


def test_files_that_are_no_settings(tmp_path: Path) -> None:
    path = tmp_path / ".config/wtenv/config.toml"
    for data in (b"\xff\xfe", b"#" * (2 << 20)):
        with pytest.raises(WtenvError, match=str(path)):
            read(tmp_path, data)
    path.unlink()
    path.mkdir()
    with pytest.raises(WtenvError, match=str(path)):
        read_settings({"HOME": str(tmp_path)})
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(WtenvError, match="not a regular file"):
        read_settings({"HOME": str(tmp_path)})


def test_trust_is_not_taken_from_a_file_that_others_can_write(tmp_path: Path) -> None:
    read(tmp_path, '[trust]\nprefixes = ["/"]\n')
    (tmp_path / ".config/wtenv").chmod(0o777)
    with pytest.raises(WtenvError, match="can be written by other users"):
        read_settings({"HOME": str(tmp_path)})
    assert read(tmp_path, "[sync]\nauto = true\n").sync_auto


@pytest.fixture(scope="module")
def fuzzed() -> Path:
    return Path(tempfile.mkdtemp())


names = st.sampled_from(["trust", "sync", "messages", "prompt", "prefixes", "auto", "level", "show"]) | st.text(
    max_size=5
)
scalars = st.sampled_from(
    ['"~"', '"/x"', '"silent"', '""', '"a\\u0000"', "true", "1", "[]", '["/a"]', "[[]]", "{}", "1979-05-27"]
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    data=st.binary(max_size=100)
    | st.lists(st.tuples(names, names, scalars), max_size=4).map(
        lambda rows: "".join(f"[{table}]\n{key} = {value}\n" for table, key, value in rows).encode("utf-8", "replace")
    )
)
def test_fuzz(fuzzed: Path, data: bytes) -> None:
    try:
        read(fuzzed, data)
    except WtenvError as error:
        assert "config.toml" in str(error)
