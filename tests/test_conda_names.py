"""Names to prefixes: tables over a tree of fake roots; the order was compared with conda 26.7's own source."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped,import-not-found,unused-ignore]
from hypothesis import given, settings
from hypothesis import strategies as st

from wtenv.conda import BaseNotFound, condarc, find_base, find_python, list_environments, open_prefix, prefixes
from wtenv.errors import WtenvError
from wtenv.watch import EXACT, LATER_OR_ABSENT


class Recording(Mapping[str, str]):
    """An environment that notes which variables were asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values_, self.asked = values, set[str]()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the whole environment was consulted")

    def __len__(self) -> int:
        return len(self.values_)


def make_env(prefix: Path) -> Path:
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "conda-meta/history").touch()
    return prefix


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HOME, and a machine without the roots that the one running the tests may have."""
    monkeypatch.setattr(prefixes, "_ROOTS", str(tmp_path / "opt/conda"))
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make_env(tmp_path / "root")
    (root / "condabin").mkdir()
    return root


@pytest.fixture
def env(home: Path, root: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "CONDA_EXE": f"{root}/bin/conda"}


def find(reference: str, env: Mapping[str, str], directory: Path = Path("/nowhere")) -> str:
    return find_base(reference, env, directory).prefix


@pytest.mark.parametrize("reference", ["base", "root"])
def test_base_is_the_root(reference: str, env: dict[str, str], root: Path) -> None:
    base = find_base(reference, env, Path("/"))
    assert (base.prefix, base.name, base.modifier, base.kind) == (str(root), "base", "(base) ", "conda")
    assert base.watch == {root / "conda-meta/history": EXACT}


def test_name(env: dict[str, str], root: Path, home: Path) -> None:
    prefix = make_env(root / "envs/shared")
    base = find_base("shared", env, Path("/"))
    assert (base.prefix, base.name, base.modifier) == (str(prefix), "shared", "(shared) ")
    assert base.watch == {home / ".condarc": LATER_OR_ABSENT, prefix / "conda-meta/history": EXACT}


def test_a_name_found_later_watches_where_it_could_appear(env: dict[str, str], root: Path, home: Path) -> None:
    prefix = make_env(home / ".conda/envs/shared")
    base = find_base("shared", env, Path("/"))
    assert base.prefix == str(prefix)
    assert base.watch[root / "envs/shared"] == LATER_OR_ABSENT


def test_name_outside_a_folder_called_envs_is_the_prefix(env: dict[str, str], tmp_path: Path) -> None:
    prefix = make_env(tmp_path / "big/shared")
    base = find_base("shared", env | {"CONDA_ENVS_DIRS": str(tmp_path / "big")}, Path("/"))
    assert (base.name, base.modifier) == (str(prefix), f"({prefix}) ")


@pytest.mark.parametrize("reference", ["~/e", "./e", "../home/e/", "{home}/e", "{home}//./e"])
def test_path(reference: str, env: dict[str, str], home: Path) -> None:
    prefix = make_env(home / "e")
    base = find_base(reference.format(home=home), env, home)
    assert (base.prefix, base.name, base.watch) == (str(prefix), str(prefix), {prefix / "conda-meta/history": EXACT})


def test_path_of_the_root_is_called_base(env: dict[str, str], root: Path) -> None:
    assert find_base(f"{root}/", env, Path("/")).name == "base"
    assert find_base(f"{root}/", env | {"CONDA_EXE": ""}, Path("/")).name == str(root)


def test_symlinks_stay(env: dict[str, str], root: Path, tmp_path: Path) -> None:
    make_env(tmp_path / "real")
    (root / "envs").mkdir()
    (root / "envs/link").symlink_to(tmp_path / "real")
    assert find("link", env) == f"{root}/envs/link"


def test_first_folder_decides_even_if_empty(env: dict[str, str], root: Path, home: Path) -> None:
    make_env(home / ".conda/envs/shared")
    (root / "envs/shared").mkdir(parents=True)
    with pytest.raises(BaseNotFound, match="conda-meta") as caught:
        find("shared", env)
    assert root / "envs/shared/conda-meta" in caught.value.watch


def test_root_that_is_not_writable_comes_second(
    env: dict[str, str], root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_env(root / "envs/shared")
    mine = make_env(home / ".conda/envs/shared")
    assert find("shared", env) == f"{root}/envs/shared"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert find("shared", env) == str(mine)


SOURCES = {  # lowest priority first
    "root": "{root}/.condarc",
    "root condarc.d": "{root}/condarc.d/x.yml",
    "xdg": "{home}/xdg/conda/condarc",
    "config": "{home}/.config/conda/.condarc",
    "conda": "{home}/.conda/condarc",
    "conda condarc.d 1": "{home}/.conda/condarc.d/1.yaml",
    "conda condarc.d 2": "{home}/.conda/condarc.d/2.yml",
    "home": "{home}/.condarc",
    "prefix": "{home}/active/condarc",
    "CONDARC": "{home}/named.yml",
}


def test_order_of_sources(env: dict[str, str], root: Path, home: Path) -> None:
    (home / "active").mkdir()
    env |= {
        "XDG_CONFIG_HOME": f"{home}/xdg",
        "CONDA_PREFIX": f"{home}/active",
        "CONDARC": f"{home}/named.yml",
    }
    make_env(root / "envs/shared")
    for number, place in enumerate(SOURCES.values()):
        path = Path(place.format(root=root, home=home))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"channels: [x]\nenvs_dirs:\n  - ~/{number}\n")
        prefix = make_env(home / str(number) / "shared")
        base = find_base("shared", env, Path("/"))
        assert base.prefix == str(prefix), place
        assert path in base.watch
    make_env(home / "variable/shared")
    assert find("shared", env | {"CONDA_ENVS_DIRS": f"{home}/none:~/variable"}) == f"{home}/variable/shared"
    assert find("shared", env | {"CONDA_ENVS_PATH": "$HOME/variable"}) == f"{home}/variable/shared"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("envs_dirs:\n  - /a\n  - /b\n", ["/a", "/b"]),
        ("envs_dirs:\n- /a\n- /b\nchannels:\n- /c\n", ["/a", "/b"]),
        ("envs_dirs:\r\n  - /a\r\n", ["/a"]),
        ("envs_path:\n  - /a\n", ["/a"]),
        ("envs_path: [/a]\nenvs_dirs: [/b]\n", ["/b"]),
        ("'envs_dirs' : ['/a''s', \"/b\\tc\"]\n", ["/a's", "/b\tc"]),
        ("envs_dirs: [/a, /b]  # no\n", ["/a", "/b"]),
        ("envs_dirs: [\n  /a,  # one\n  # two\n  /b c,\n]\n", ["/a", "/b c"]),
        ("envs_dirs: []\n", []),
        ('envs_dirs:\n  # note\n\n  - "/a # b"   # c\n  - /d#e # f\n', ["/a # b", "/d#e"]),
        ("---\nenvs_dirs:\n  - ~/a\n...\n", ["~/a"]),
        ("envs_dirs:\n  - ~\n  - /a\n", ["/a"]),
        ("x: |\n  envs_dirs:\n    - /a\n", None),
        ("x:\n  envs_dirs: [/a]\n", None),
        ("my_envs_dirs: [/a]\n", None),
        ("envs_dirs:\nchannels: []\n", []),
        ("", None),
        ("# envs_dirs:\n", None),
        # Not in the form that people write:
        ("x: &a\n  - /a\nenvs_dirs: *a\n", ["/a"]),
        ("x: &a /a\nenvs_dirs:\n  - *a\n  - &b /b\n  - *b\n", ["/a", "/b", "/b"]),
        ("x: &a {envs_dirs: [/a], y: 1}\n<<: *a\n", ["/a"]),
        ("x: &a {envs_dirs: [/a]}\ny: &b {envs_path: [/b]}\n<<: [*b, *a]\n", ["/a"]),
        ("x: &a {envs_dirs: [/a]}\n<<: *a\nenvs_dirs: [/own]\n", ["/own"]),
        ("envs_dirs:\n  - !!str /a\n  - !!str ~\n  - !!null ''\n", ["/a", "~"]),
        ("envs_dirs: !!seq\n  - /a\n", ["/a"]),
        ("envs_dirs:\n  - >-\n    /a\n    b\n  - |-\n    /c\n  - /d\n    e\n", ["/a b", "/c", "/d e"]),
        ("envs_dirs:\n  - '/a\n    b'\n", ["/a b"]),
        ("envs_dirs: [/a,\n/b]\nx: 1\n", ["/a", "/b"]),
        ('envs_dirs: ["\\x2fa", "\\u002fb"]\n', ["/a", "/b"]),
        ('"envs_\\x64irs": [/a]\n', ["/a"]),
        ("? envs_dirs\n: - /a\n", ["/a"]),
        ('envs_dirs:\n- /a\nx: "\nenvs_path: [/b]\n"\n', ["/a"]),
        ('x: "\nenvs_dirs: [/b]\n"\n', None),
        ("channels: [\nenvs_dirs: [/b]\n]\n", None),
        ("{envs_dirs: [/a]}\n", ["/a"]),
        ("--- {envs_dirs: [/a]}\n", ["/a"]),
        ("%YAML 1.1\n---\nenvs_dirs: [/a]\n", ["/a"]),
        ("envs_dirs: [yes, 1, 2026-01-01]\n", ["yes", "1", "2026-01-01"]),
    ],
)
def test_condarc(text: str, expected: list[str] | None) -> None:
    parsed = condarc.parse(text)
    assert (parsed if parsed is None else [value for value, _ in parsed.lines]) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("envs_dirs: /a\n", "line 1 has envs_dirs, which is no list"),
        ("x: 1\nenvs_dirs: {a: b}\n", "line 2 has envs_dirs, which is no list"),
        ("envs_dirs: *a\n", "line 1 is no YAML that conda reads (found undefined alias"),
        ("envs_dirs:\n  - - /a\n", "line 2 has something in envs_dirs that is no text"),
        ("envs_dirs:\n  - /x\n  - a: /a\n", "line 3 has something in envs_dirs that is no text"),
        ("envs_dirs: [[/a]]\n", "line 1 has something in envs_dirs that is no text"),
        ("envs_dirs:\n  - !tag /a\n", "line 2 has something in envs_dirs that is no text"),
        ("envs_dirs:\n  - !!binary /a\n", "line 2 has something in envs_dirs that is no text"),
        ('envs_dirs: ["\\u0000"]\n', "line 1 has something in envs_dirs that is no text"),
        ("envs_dirs: [/a\n", "line 2 is no YAML that conda reads"),
        ("envs_dirs:\n  - /a\n    - /b\n x: 1", "line 4 is no YAML that conda reads"),
        ("envs_dirs:\n\t- /a\n", "line 2 is no YAML that conda reads"),
        ("envs_dirs:\t[/a]\n", "line 1 is no YAML that conda reads"),
        ("envs_dirs: [/a]\n---\nenvs_dirs: [/b]\n", "line 2 is no YAML that conda reads"),
        ("envs_dirs: [/a]\nenvs_dirs: [/b]\n", "line 2 has envs_dirs again"),
        ("<<: /a\nenvs_dirs: [/a]\n", "line 1 merges something that is no mapping"),
        ("x: &a {<<: *a}\n<<: *a\nenvs_dirs: [/a]\n", "line 1 or a later one is no YAML that conda reads"),
        ("- envs_dirs\n", "line 1 begins something that is no mapping"),
        ("envs_dirs\n", "line 1 begins something that is no mapping"),
        ("envs_dirs: [" + "[" * 3000, "is no YAML that conda reads"),
    ],
)
def test_a_condarc_that_conda_refuses(text: str, said: str, env: dict[str, str], home: Path, root: Path) -> None:
    make_env(root / "envs/shared")
    (home / ".condarc").write_text(text)
    with pytest.raises(WtenvError) as caught:
        find("shared", env)
    assert f"{home}/.condarc: " in str(caught.value)
    assert said in str(caught.value)
    assert home / ".condarc" in caught.value.watch


def test_condarc_flags() -> None:
    low = condarc.parse("envs_dirs:  #!final\n  - /low\n  - /first #!top\n")
    high = condarc.parse("envs_dirs:\n  - /last #!bottom\n  - /high\n")
    assert low and high
    assert condarc.merge([high, low]) == ("/first", "/low", "/high", "/last")
    assert condarc.merge([low, high]) == ("/first", "/low")


PIECES = [
    "envs_dirs:", "envs_dirs: ", "envs_path:", "  - /a", "- /b", "  - '/c d'", '  - "/e\\t"', "  - ~", " [/a, /b]", "channels:",
    "  - x", "x: |", "x: >-", "  text", "x: &a", "envs_dirs: *a", "  - *a", "  - !!str /a", "<<: *a", "a: &a {envs_dirs: [/q]}",
    "# c", " #!final", "---", "...", "\n", "\n", "\n", "\n", "  ", "'k' : 1", "- ", ": ", "{", "}", "[", "]", ",", "'", '"',
    "|", ">", "%", "  key: val", "    - deep", "a#b", "a: b: c", "http://x:8/y", "envs_dirs: []", "envs_dirs: [\n /a,\n /b\n]\n", "é",
]  # fmt: skip


@settings(max_examples=600)
@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(" \n-[]{},:#'\"\\!&*|>~/ab\0\tu", max_size=40)
)
def test_condarc_is_read_as_yaml(text: str) -> None:
    """What PyYAML makes of the whole file is what counts, also where it was not asked."""
    text = text if "envs_" in text else f"envs_dirs:{text}"
    try:
        data = yaml.safe_load(text)
        found = [data[key] for key in ("envs_dirs", "envs_path") if key in data] if isinstance(data, dict) else []
        expected = found[0] if found else () if data is None or isinstance(data, dict) else ""
    except (yaml.YAMLError, ValueError, TypeError):
        expected = ""
    if expected == () or expected is None:
        wanted = None if expected == () else ()
    elif isinstance(expected, list) and all(item is None or isinstance(item, (str, int, float)) for item in expected):
        wanted = tuple(item for item in expected if item not in (None, ""))
    else:
        wanted = "refused"
    try:
        parsed = condarc.parse(text)
        got = parsed if parsed is None else tuple(value for value, _ in parsed.lines)
    except condarc.Refused:
        got = "refused"
    twice = len(re.findall("envs_(?:dirs|path)", text)) > 1
    # conda refuses a key that is there twice; in what has no such key, it is not for us to say.
    assert got == wanted or (got == "refused" and twice) or (wanted == "refused" and got is None)


def test_a_plain_condarc_needs_no_library(env: dict[str, str], home: Path, root: Path) -> None:
    """PyYAML takes longer to import than all else at a first `cd`."""
    text = (
        "# written by hand\nchannels:\n  - conda-forge\n  - https://user@host:8080/t/x/channel\n"
        "channel_priority: strict\nssl_verify: false\ncustom_channels:\n  own: https://host/path\n"
        "pinned_packages: [numpy >=1.20, 'python 3.11.*']\nauto_activate_base: false # no\nenvs_dirs:\n"
        f"  - {home}/mine # here\n  - \"~/other\"\npkgs_dirs:\n- /pkgs\nenv_prompt: '({{name}})'\n"
    )
    (home / ".condarc").write_text(text)
    make_env(home / "other/shared")
    code = (
        "import sys; from pathlib import Path; from wtenv.conda import find_base\n"
        f"print(find_base('shared', {env!r}, Path('/')).prefix, 'yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{home}/other/shared False\n"


@pytest.mark.parametrize("content", [b"\0", b"envs_dirs: [/x" + b"x" * (1 << 20), b"channels: [\n"])
def test_condarc_that_says_nothing(content: bytes, env: dict[str, str], home: Path, root: Path) -> None:
    (home / ".condarc").write_bytes(content)
    make_env(root / "envs/shared")
    assert find("shared", env) == f"{root}/envs/shared"


def test_condarc_that_is_no_text(env: dict[str, str], home: Path, root: Path) -> None:
    (home / ".condarc").write_bytes(b"x: 1\nenvs_dirs: [/\xff]\n")
    with pytest.raises(WtenvError, match=r"\.condarc: line 2 is not UTF-8"):
        find("shared", env)


MAMBA = {  # lowest priority first
    "root": "{root}/.mambarc",
    "xdg": "{home}/xdg/mamba/mambarc",
    "mamba": "{home}/.mamba/.mambarc",
    "mambarc.d": "{home}/.mamba/mambarc.d/x.yml",
    "home": "{home}/.mambarc",
    "MAMBARC": "{home}/named.yml",
}


def test_order_of_mambas_sources(env: dict[str, str], root: Path, home: Path) -> None:
    env |= {"XDG_CONFIG_HOME": f"{home}/xdg", "MAMBARC": f"{home}/named.yml"}
    for number, place in enumerate(MAMBA.values()):
        path = Path(place.format(root=root, home=home))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"envs_dirs:\n  - $HOME/{number}\n")
        prefix = make_env(home / str(number) / "shared")
        base = find_base("shared", env, Path("/"))
        assert base.prefix == str(prefix), place
        assert path in base.watch
    make_env(home / "variable/shared")
    env["MAMBA_ENVS_DIRS"] = f"{home}/none:~/variable"
    assert find("shared", env) == f"{home}/variable/shared"
    assert dict(list_environments(env))["shared"] == home / "variable/shared"
    make_env(root / "envs/shared")  # what conda finds comes first
    assert find("shared", env) == f"{root}/envs/shared"


def test_folders_of_another_user(env: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path.replace("~someone", f"{tmp_path}/someone"))
    prefix = make_env(tmp_path / "someone/envs/shared")
    assert find("shared", env | {"CONDA_ENVS_DIRS": "~someone/envs"}) == str(prefix)


def test_condarc_that_is_a_fifo_does_not_block(env: dict[str, str], home: Path, root: Path) -> None:
    os.mkfifo(home / ".condarc")
    make_env(root / "envs/shared")
    assert find("shared", env) == f"{root}/envs/shared"


@pytest.mark.parametrize(
    "make",
    [
        lambda p: {"CONDA_EXE": f"{p}/bin/conda"},
        lambda p: {"_CONDA_ROOT": str(p)},
        lambda p: {"MAMBA_ROOT_PREFIX": str(p)},
        lambda p: {"CONDA_PREFIX": f"{p}/envs/other"},
        lambda p: {"CONDA_PREFIX": str(p)},
        lambda p: {"PATH": f"/usr/bin::{p}/condabin"},
        lambda p: {"PATH": f"{p.parent}/links"},
    ],
)
def test_root_from_variable(make: object, home: Path, root: Path) -> None:
    (root / "condabin/conda").write_text("")
    (root / "condabin/conda").chmod(0o755)
    (root.parent / "links").mkdir()
    (root.parent / "links/conda").symlink_to(root / "condabin/conda")
    make_env(root / "envs/shared")
    env = {"HOME": str(home), **make(root)}  # type: ignore[operator]
    assert find("shared", env) == f"{root}/envs/shared"
    assert find("base", env) == str(root)


@pytest.mark.parametrize("place", ["home/miniforge3", "home/micromamba", "home/.local/share/mamba", "opt/conda"])
def test_root_in_a_usual_place(place: str, home: Path, tmp_path: Path) -> None:
    prefix = make_env(tmp_path / place / "envs/shared")
    assert find("shared", {"HOME": str(home)}) == str(prefix)


@pytest.mark.parametrize("layout", ["", "condabin", "bin", "pkgs", "envs/mamba/conda-meta"])
def test_roots_of_mamba_and_micromamba(layout: str, home: Path, tmp_path: Path) -> None:
    """micromamba's root has no environment itself and no `condabin`; mamba's is a conda root, or has mamba in one."""
    root = tmp_path / "mamba"
    prefix = make_env(root / "envs/shared")
    (root / layout).mkdir(parents=True, exist_ok=True)
    env = {"HOME": str(home), "MAMBA_ROOT_PREFIX": str(root)}
    base = find_base("shared", env, Path("/"))
    assert (base.prefix, base.name) == (str(prefix), "shared")
    with pytest.raises(BaseNotFound):
        find("base", env)
    make_env(root)
    assert find("base", env) == str(root)


def test_an_environment_of_pixi(home: Path, root: Path, env: dict[str, str]) -> None:
    """Its folder is also called `envs`, and no root of anything; it is active by `pixi shell`."""
    prefix = make_env(home / ".cache/rattler/cache/envs/project-8250306441230137438/envs/default")
    (prefix / "conda-meta/pixi").write_text("{}")
    base = find_base(str(prefix), env, Path("/"))
    assert (base.prefix, base.name, base.kind) == (str(prefix), "default", "conda")
    with pytest.raises(BaseNotFound):
        find("default", {"HOME": str(home), "CONDA_PREFIX": str(prefix)})


def test_project_folder_is_no_root(home: Path, tmp_path: Path) -> None:
    active = make_env(tmp_path / "project/envs/shared")
    with pytest.raises(BaseNotFound):
        find("shared", {"HOME": str(home), "CONDA_PREFIX": str(active)})


def test_other_roots_come_after_the_first(env: dict[str, str], home: Path, root: Path) -> None:
    make_env(home / "micromamba/envs/mine")
    make_env(home / "micromamba/envs/both")
    make_env(root / "envs/both")
    assert find("mine", env) == f"{home}/micromamba/envs/mine"
    assert find("both", env) == f"{root}/envs/both"
    listed = dict(list_environments(env))
    assert listed == {
        "base": root,
        "both": root / "envs/both",
        "mine": home / "micromamba/envs/mine",
    }
    assert all(find(name, env) == str(prefix) for name, prefix in listed.items())


def test_consults_few_variables(env: dict[str, str], root: Path) -> None:
    make_env(root / "envs/shared")
    condarcs = {"HOME", "XDG_CONFIG_HOME", "CONDA_ROOT", "CONDA_PREFIX", "CONDARC"}
    for reference, expected in {
        "shared": {"CONDA_EXE", "CONDA_ENVS_DIRS", "CONDA_ENVS_PATH", *condarcs},
        "base": {"CONDA_EXE"},
        f"{root}/envs/shared": set(),
        str(root): {"CONDA_EXE"},
        "~/../root": {"CONDA_EXE", "HOME"},
    }.items():
        recording = Recording(env)
        find_base(reference, recording, Path("/"))
        assert recording.asked == expected, reference


def test_not_found(env: dict[str, str], root: Path, home: Path) -> None:
    for name in ("shared-3.11", "other"):
        make_env(root / "envs" / name)
    with pytest.raises(
        BaseNotFound, match=r"called 'shared-3\.1'; there is shared-3\.11, .*; or run: conda create"
    ) as caught:
        find("shared-3.1", env)
    assert {root / "envs/shared-3.1", home / ".condarc"} <= set(caught.value.watch)
    with pytest.raises(BaseNotFound, match="there is base, other"):
        find("zzz", env)
    for name in ("-x", "two words", "two\nlines"):  # conda create could not be given these so
        with pytest.raises(BaseNotFound) as caught:
            find(name, env)
        assert "conda create" not in str(caught.value)
    with pytest.raises(BaseNotFound, match="no conda installation"):
        find("zzz", {"HOME": str(home)})
    with pytest.raises(BaseNotFound, match="conda-meta"):
        find("~/zzz", env)


@pytest.mark.parametrize("reference", ["", "\0", "a\0b", "x" * 300, "x/" * 3000, "..", ".", "\n", "~nobody", "\udcff"])
def test_strange_references(reference: str, env: dict[str, str]) -> None:
    with pytest.raises(WtenvError):
        find(reference, env)


def test_characters_of_a_prefix(env: dict[str, str], tmp_path: Path) -> None:
    for name in ("a b", "a\nb", "ü'\"$x", "\udcff"):
        prefix = make_env(tmp_path / "odd" / name)
        assert find(str(prefix), env) == str(prefix)
    with pytest.raises(WtenvError, match="PATH can't hold"):
        find(str(make_env(tmp_path / "a:b")), env)
    with pytest.raises(WtenvError, match="PATH can't hold"):
        open_prefix("/usr:", env, Path("/"))


def make_python(prefix: Path, name: str = "python3.11", **links: str) -> Path:
    path = prefix / "bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    for link, target in links.items():
        (prefix / "bin" / link).symlink_to(target)
    return path


def test_find_python(tmp_path: Path) -> None:
    python = make_python(tmp_path / "conda", python3="python3.11", python="python3.11")
    assert find_python(tmp_path / "conda") == python
    make_python(tmp_path / "conda", "python3.12")  # another one beside it, as in /usr/bin
    assert find_python(tmp_path / "conda") == python
    assert find_python(make_python(tmp_path / "plain", "python").parent.parent).name == "python"
    make_python(tmp_path / "versions", "python3.9")
    make_python(tmp_path / "versions", "python3.10")
    assert find_python(tmp_path / "versions").name == "python3.10"
    make_python(tmp_path / "outside", "x", python3=str(python))
    assert find_python(tmp_path / "outside") == tmp_path / "outside/bin/python3"
    make_python(tmp_path / "half", "python3.1", python3="gone", python="python3.1")
    assert find_python(tmp_path / "half").name == "python3.1"
    make_python(tmp_path / "two", "python2.7", python="python2.7")
    make_python(tmp_path / "loop", "x", python="python3", python3="python")
    make_python(tmp_path / "dangling", "x", python3="gone")
    make_python(tmp_path / "file", "python3").chmod(0o644)
    (tmp_path / "folder/bin/python3").mkdir(parents=True)
    for name in ("two", "loop", "dangling", "file", "folder"):
        with pytest.raises(BaseNotFound, match="is no Python 3 that can be run"):
            find_python(tmp_path / name)
    with pytest.raises(BaseNotFound, match="there is no Python 3 in"):
        find_python(tmp_path / "nothing")


def test_open_prefix(tmp_path: Path) -> None:
    python = make_python(tmp_path / "home/py", python3="python3.11")
    base = open_prefix("../home/py/", {}, tmp_path / "x")
    assert (base.prefix, base.name, base.modifier) == (f"{tmp_path}/home/py", f"{tmp_path}/home/py", "")
    assert (base.kind, base.watch) == ("python", {python: LATER_OR_ABSENT})
    assert open_prefix("~/py", {"HOME": str(tmp_path / "home")}, tmp_path).prefix == base.prefix
    for path in (str(python), "/nowhere", "a\0b", "x" * 300):
        with pytest.raises(WtenvError):
            open_prefix(path, {}, tmp_path)
