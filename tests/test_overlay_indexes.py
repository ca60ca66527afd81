"""Whose settings and certificates uv goes by, with a real uv and indexes on this machine: the user's own, nobody else's.

What is built says which index its build backend came from.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from local_index import find_builder, make_authority, make_backend, make_project, serve
from overlay_projects import make_overlay
from realbase import Base
from scenes import State, make_home, make_scene, snapshot
from workspace import Home

from wtenv.errors import WtenvError
from wtenv.overlay import building, indexes

OTHER = 65534 if os.getuid() == 0 else None


REACHES_UV = """UV_INDEX UV_INDEX_URL UV_INDEX_STRATEGY UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL UV_FIND_LINKS UV_NO_INDEX
    UV_CACHE_DIR UV_NO_CACHE UV_OFFLINE UV_HTTP_TIMEOUT UV_REQUEST_TIMEOUT UV_NATIVE_TLS UV_SYSTEM_CERTS
    UV_INSECURE_HOST UV_KEYRING_PROVIDER UV_CONCURRENT_BUILDS UV_LINK_MODE UV_CONFIG_FILE UV_NO_CONFIG UV_GITHUB_TOKEN
    SSL_CERT_FILE HTTPS_PROXY CC CFLAGS LD_LIBRARY_PATH""".split()
DOES_NOT = """UV_PYTHON UV_TARGET UV_PREFIX UV_SYSTEM_PYTHON UV_BREAK_SYSTEM_PACKAGES UV_PROJECT_ENVIRONMENT UV_CONSTRAINT
    UV_OVERRIDE UV_PRERELEASE UV_EXCLUDE_NEWER UV_WORKING_DIRECTORY UV_ENV_FILE PIP_TARGET PIP_INDEX_URL PIP_REQUIRE_HASHES
    VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONSTARTUP""".split()


def test_which_variables_reach_uv() -> None:
    """How it gets at packages; not where it installs, and not what pip reads."""
    env = dict.fromkeys([*REACHES_UV, *DOES_NOT], "x")
    assert {*building.make_env(env, "/bin")} == {*REACHES_UV, "PATH", "PYTHONNOUSERSITE"}


@dataclass
class Place:
    """A worktree below a folder where anybody may write, the indexes, and the user's home and settings."""

    top: Path
    home: Home
    base: Base
    before: State
    said: list[str] = field(default_factory=list)

    @property
    def scratch(self) -> Path:
        return self.top / "scratch"

    @property
    def root(self) -> Path:
        return self.scratch / "work"

    @property
    def settings(self) -> Path:
        return self.home.path / ".config/uv/uv.toml"

    @property
    def system(self) -> Path:
        return self.top / "etc/uv/uv.toml"

    def links(self, *names: str) -> str:
        """Settings that know no index but these."""
        return f"no-index = true\nfind-links = {[str(self.top / name) for name in names]}\n"

    def sync(self, *, environ: dict[str, str] | None = None, **plan: object) -> str:
        """Who built the project, after a sync that finds nothing there."""
        shutil.rmtree(self.root / ".venv", ignore_errors=True)
        env = {**self.home.environ, **(environ or {})}
        make_overlay(self.root, self.base, env, self.root, said=self.said, reinstall=True, **plan)
        return find_builder(self.root / ".venv")

    def check(self) -> None:
        """Nothing was written but the overlay."""
        assert snapshot(self.base.prefix / "lib", self.base.bin) == self.before
        assert not (self.top / "target").exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Place:
    top = tmp_path_factory.mktemp("indexes")
    home = make_home(top)
    kept = {
        name: value
        for name, value in home.environ.items()
        if not name.startswith(("UV_", "PIP_", "SSL_", "REQUESTS", "CURL"))
    }
    home.environ.clear()
    home.environ.update(kept, UV_CACHE_DIR=str(top / "cache"), XDG_CONFIG_DIRS=str(top / "etc"), NO_PROXY="127.0.0.1")
    for name, version in (("mine", "1.0"), ("system", "0.5"), ("theirs", "9.0")):
        make_backend(top / name, name, version)
    make_backend(top / "system", "system", name="extra")
    return Place(top, home, base, snapshot(base.prefix / "lib", base.bin))


@pytest.fixture
def place(made: Place) -> Iterator[Place]:
    shutil.rmtree(made.scratch, ignore_errors=True)
    made.scratch.mkdir()
    made.scratch.chmod(0o1777)
    make_project(made.root)
    for file in (made.settings, made.system):
        file.unlink(missing_ok=True)
        file.parent.mkdir(parents=True, exist_ok=True)
    made.settings.write_text(made.links("mine"))
    made.said.clear()
    yield made
    made.check()


def put(path: Path, text: str) -> None:
    """A file of another user's, where there is one to be; else one that others may write."""
    path.write_text(text)
    if OTHER is not None:
        os.chown(path, OTHER, OTHER)
    else:
        path.chmod(0o666)


# --- settings of a checkout, and of others ----------------------------------------------------------------


def test_settings_above_the_worktree(place: Place) -> None:
    put(place.scratch / "uv.toml", place.links("theirs") + f'[pip]\ntarget = "{place.top}/target"\n')
    assert place.sync() == "mine"
    assert place.said == ["Building tiny @ " + place.root.as_uri(), "Built tiny @ " + place.root.as_uri()]


SETTINGS = (
    'index-url = "{theirs}"\nfind-links = ["{theirs}"]\npip = {{ prefix = "{base}", break-system-packages = true }}',
    'pip = {{ target = "{base}/lib" }}',
    'required-version = "<0.1"',
    "pip = {{ require-hashes = true, no-deps = false, python = '{base}/bin/python', system = true }}",
    'extra-build-dependencies = {{ tiny = ["nothing-of-that-name"] }}\nbuild-constraint-dependencies = ["tinyback>=9"]',
)


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_of_the_project(place: Place, settings: str) -> None:
    filled = settings.format(theirs=place.top / "theirs", base=place.base.prefix)
    make_project(place.root, f"[tool.uv]\n{filled}")
    assert place.sync() == "mine"


def test_settings_in_the_worktree(place: Place) -> None:
    """Also where a variable names them, which the config may have set."""
    (place.root / "uv.toml").write_text(place.links("theirs") + f'[pip]\nprefix = "{place.base.prefix}"\n')
    assert place.sync(environ={"UV_CONFIG_FILE": str(place.root / "uv.toml")}) == "mine"
    assert place.said[0] == f"UV_CONFIG_FILE is not read: {place.root}/uv.toml lies in the worktree"
    assert indexes.limit_settings({"UV_CONFIG_FILE": "uv.toml"}, place.home.environ, place.root, place.said.append)[
        1
    ] == {"UV_CONFIG_FILE": str(place.settings)}
    assert place.said[-1] == "UV_CONFIG_FILE is not read: uv.toml is not an absolute path"


def test_a_workspace_above_the_worktree(place: Place) -> None:
    """It would say where the requirements of its members come from."""
    theirs = next((place.top / "theirs").glob("*.whl"))
    put(
        place.scratch / "pyproject.toml",
        f'[tool.uv.workspace]\nmembers = ["work"]\n[tool.uv.sources]\ntinyback = {{ path = "{theirs}" }}\n',
    )
    assert place.sync() == "mine"
    assert (
        place.said[0] == f"other users could write {place.scratch}/pyproject.toml: [tool.uv.sources] are not followed"
    )


def test_sources_of_the_project_are_followed_where_somebody_typed_it(place: Place) -> None:
    theirs = next((place.top / "theirs").glob("*.whl"))
    make_project(place.root, f'[tool.uv.sources]\ntinyback = {{ path = "{theirs}" }}\n')
    assert place.sync() == "theirs"
    assert place.sync(sources=False) == "mine"


def test_the_hook_follows_no_sources(tmp_path: Path, base: Base, made: Place) -> None:
    scene = make_scene(tmp_path, base, sync=False)
    theirs = next((made.top / "theirs").glob("*.whl"))
    make_project(scene.root, f'[tool.uv.sources]\ntinyback = {{ path = "{theirs}" }}\n')
    shutil.copytree(made.settings.parent, scene.home.path / ".config/uv", dirs_exist_ok=True)
    (scene.home.path / ".config/uv/uv.toml").write_text(made.links("mine"))
    own = scene.home.path / ".config/wtenv/config.toml"
    own.parent.mkdir(parents=True)
    own.write_text("[sync]\nauto = true\n")
    done = scene("export", "--hook", "any", "bash", scene.root, "", check=True)
    assert find_builder(scene.root / ".venv") == "mine", done.stderr


# --- the user's own, and the system's ---------------------------------------------------------------------


def test_both_count(place: Place) -> None:
    """uv merges them: the user's own first."""
    make_project(place.root, requires='"tinyback", "extra"')
    place.settings.write_text(f'find-links = ["{place.top}/mine"]\n')
    place.system.write_text(place.links("system"))
    put(place.scratch / "uv.toml", place.links("theirs"))
    assert place.sync() == "mine"


def test_the_systems_alone(place: Place) -> None:
    place.settings.unlink()
    place.system.write_text(place.links("system"))
    assert place.sync() == "system"


def test_a_variable_of_the_users(place: Place) -> None:
    named = place.top / "named.toml"
    named.write_text(place.links("system"))
    assert place.sync(environ={"UV_CONFIG_FILE": str(named)}) == "system"
    assert place.sync(environ={"UV_FIND_LINKS": str(place.top / "theirs")}) == "theirs"


def test_settings_that_others_can_write_are_not_the_users_own(place: Place) -> None:
    place.system.write_text(place.links("system"))
    place.settings.unlink()
    put(place.settings, place.links("theirs"))
    assert place.sync() == "system"
    reason = "can be written by other users; run: chmod go-w" if OTHER is None else "belongs to nobody; look at it"
    assert place.said[0].startswith(f"{place.settings} is not read: {place.settings} {reason}")


def test_a_config_moves_nobodys_settings(place: Place) -> None:
    """[env] of a config reaches builds, not what uv believes."""
    moved = {"XDG_CONFIG_HOME": str(place.root), "XDG_CONFIG_DIRS": str(place.root)}
    (place.root / "uv").mkdir()
    (place.root / "uv/uv.toml").write_text(place.links("theirs"))
    assert place.sync(build_env=lambda: {**place.home.environ, **moved}) == "mine"
    place.settings.unlink()
    options, env = indexes.limit_settings(moved, place.home.environ, place.root, place.said.append)
    assert (options, env) == ((), {**moved, "UV_NO_CONFIG": "1"})


# --- certificates -----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(indexes, "PIP_CONF", str(tmp_path / "none"))


@pytest.fixture(scope="module")
def authority(made: Place) -> Iterator[tuple[Path, str]]:
    """A certificate authority that only this test knows, and the address of an index that it has signed."""
    folder = made.top / "index/tinyback"
    make_backend(folder, "https")
    certificate, server = make_authority(made.top / "authority")
    (made.top / "certificates").mkdir()
    shutil.copy(certificate, made.top / "certificates/one.pem")
    with serve(made.top / "index", server) as address:
        yield certificate, address


@pytest.fixture
def proxied(place: Place, authority: tuple[Path, str]) -> Place:
    """As behind a company's proxy: what answers is signed by an authority that uv has never heard of."""
    place.settings.write_text(f'index-url = "{authority[1]}"\n')
    return place


def test_nobody_knows_who_signed_it(proxied: Place) -> None:
    with pytest.raises(WtenvError, match="invalid peer certificate"):
        proxied.sync()
    assert [line for line in proxied.said if "trying again" in line] == [
        "uv does not know who signed that server's certificate; trying again as the system trusts"
    ]


WAYS = ("PIP_CERT", "a folder", ".config/pip/pip.conf", "PIP_CONFIG_FILE")


@pytest.mark.parametrize("way", WAYS)
def test_what_pip_trusts(proxied: Place, authority: tuple[Path, str], way: str) -> None:
    certificate, home, environ = authority[0], proxied.home.path, {}
    name, trusted = way, str(certificate)
    if way == "a folder":
        name, trusted = "REQUESTS_CA_BUNDLE", str(proxied.top / "certificates")
        environ = {name: trusted}
    elif way == "PIP_CERT":
        environ = {way: trusted}
    else:
        file = home / way
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[global]\ntimeout = 60\ncert = {trusted}\n")
        environ, name = ({way: str(file)} if way == "PIP_CONFIG_FILE" else {}), str(file)
    try:
        assert proxied.sync(environ=environ) == "https"
    finally:
        if os.path.isabs(name):
            os.unlink(name)
    again = f"uv does not know who signed that server's certificate; trying again as {trusted} ({name}) trusts"
    assert [line for line in proxied.said if "certificate" in line] == [again]


def test_what_uv_knows_by_itself(proxied: Place, authority: tuple[Path, str]) -> None:
    environ = {"SSL_CERT_FILE": str(authority[0]), "PIP_CERT": "/etc/passwd"}
    assert proxied.sync(environ=environ) == "https"
    assert not [line for line in proxied.said if "certificate" in line]


def test_the_systems_store_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what follows, too. In place of uv: a test can't put anything into this machine's store."""
    program = tmp_path / "uv"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/runs\n'
        '[ "$UV_SYSTEM_CERTS$UV_NATIVE_TLS$SSL_CERT_FILE" = 11 ] || { echo "invalid peer certificate: UnknownIssuer"; exit 2; }\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(building, "find_uv", lambda env: str(program))
    said: list[str] = []
    (tmp_path / "authority.pem").touch()
    env = {"PATH": os.defpath, "REQUESTS_CA_BUNDLE": str(tmp_path / "authority.pem")}
    uv = building.Uv(tmp_path, tmp_path, env, said.append, certificates=indexes.list_certificates(env, "/nowhere"))
    uv.pip("install", "one")
    uv.pip("install", "two")
    assert [line.split()[-1] for line in (tmp_path / "runs").read_text().splitlines()] == ["one", "one", "one", "two"]
    assert [line.partition("as ")[2] for line in said] == [
        f"{tmp_path}/authority.pem (REQUESTS_CA_BUNDLE) trusts",
        "the system trusts",
    ]


def list_names(env: dict[str, str], prefix: str = "/nowhere") -> list[str]:
    return [each.name for each in indexes.list_certificates(env, prefix)]


def test_order_of_what_pip_trusts(tmp_path: Path) -> None:
    """[install] before [global], later files before earlier ones, the variable before all, the system's at last."""
    home, prefix = tmp_path / "home", tmp_path / "base"
    texts = {home / ".config/pip/pip.conf": "[global]\ncert = {}\n", prefix / "pip.conf": "[install]\ncert = {}\n",
             home / ".pip/pip.conf": "[global]\ncert = {}\n", home / "named.conf": "[global]\ncert = {}\n"}  # fmt: skip
    for number, (file, text) in enumerate(texts.items()):
        (tmp_path / f"{number}.pem").touch()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(tmp_path / f"{number}.pem"))
    env = {"HOME": str(home), "XDG_CONFIG_DIRS": str(tmp_path / "none"), "PIP_CERT": f"{tmp_path}/3.pem"}
    named = [f"{tmp_path}/3.pem (PIP_CERT)", f"{tmp_path}/1.pem ({prefix}/pip.conf)",
             f"{tmp_path}/0.pem ({home}/.config/pip/pip.conf)"]  # fmt: skip
    assert list_names(env, str(prefix)) == [*named, "the system"]
    (prefix / "pip.conf").chmod(0o666)
    assert list_names(env, str(prefix)) == [named[0], named[2], "the system"]
    assert list_names({**env, "PIP_CONFIG_FILE": os.devnull}) == [named[0], "the system"]
    del env["PIP_CERT"]
    assert list_names({**env, "PIP_CONFIG_FILE": str(home / "named.conf")}) == [
        f"{tmp_path}/3.pem ({home}/named.conf)", "the system"]  # fmt: skip
    assert list_names({**env, "SSL_CERT_FILE": f"{tmp_path}/0.pem"}) == []
    assert list_names({**env, "REQUESTS_CA_BUNDLE": "relative.pem", "CURL_CA_BUNDLE": "/nowhere"})[-1:] == [
        "the system"
    ]
