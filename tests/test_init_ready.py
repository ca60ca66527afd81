"""`wtenv init` as one command: what it allows, what it builds, what it says at its end, and what it proposes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from realbase import Base
from scenes import CONFIG, Scene, call, git, make_fake_base, make_git, make_home, one_line, snapshot
from shells import HOOK_LINES, Shell
from workspace import Home, Repo, make_repo

from wtenv import draft

FLIT = '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n[project]\nname = "x"\n'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = make_home(tmp_path)
    for name in ("shared", "other"):
        make_fake_base(tmp_path, made, name)
    return made


@pytest.fixture
def root(tmp_path: Path, home: Home) -> Path:
    made = make_git(tmp_path, home)
    (made / "pyproject.toml").write_text('[project]\nname = "x"\n')
    return made


@pytest.fixture
def scene(tmp_path: Path, base: Base) -> Scene:
    """A real base, and a repository that nobody has configured."""
    home = make_home(tmp_path)
    home.add_envs_dir(base.prefix.parent)
    return Scene(home, make_repo(tmp_path / "work", home, "flit"), base)


def follow(scene: Scene, text: str, cwd: Path) -> None:
    """Type what a message says behind its last `run: `."""
    done = scene.home.run(["sh", "-c", text.rpartition("run: ")[2].strip()], cwd)
    assert done.returncode == 0, done.stderr


def where(scene: Scene, worktree: Path) -> str:
    return scene("run", "python", "-c", "import pkg; print(pkg.__file__)", cwd=worktree, check=True).stdout.strip()


# --- one command ---------------------------------------------------------------------------------


def test_one_command(scene: Scene) -> None:
    """From nothing to a plain pytest, without the hook; then the same in the other worktree, as it says."""
    done = scene.home.run(["bash", "-c", "wtenv init shared; :"], scene.root, check=True)
    lines = done.stderr.splitlines()
    assert lines[0] == f"wtenv: wrote {scene.root}/wtenv.toml, and allowed it"
    assert "wtenv: installed pkg" in lines
    ready = r"wtenv: main \(base shared\) is ready, but this shell has no hook; run: wtenv setup( bash), and open a new shell; "
    [activate] = [found[2] for line in lines if (found := re.fullmatch(rf"{ready}or in this one: (.*)", line))]
    out = scene.home.run(
        ["bash", "-c", f"{activate} && pytest -q && python -c 'import pkg; print(pkg.__file__)'"], scene.root
    )
    assert out.returncode == 0, out.stderr
    assert str(scene.repo.init_file(scene.root)) in out.stdout
    assert lines[-1].endswith("serves this worktree alone until it is committed; to give it to all worktrees of this clone "
                              "run: wtenv init --clone")  # fmt: skip
    status = scene("status", cwd=scene.feature).stdout
    assert f"{scene.root}/wtenv.toml serves that worktree alone" in status
    [way] = [line for line in status.splitlines() if line.startswith("next ")]
    follow(scene, way.partition("; or")[0], scene.feature)
    assert where(scene, scene.feature) == str(scene.repo.init_file(scene.feature))


def test_in_a_shell_that_has_no_hook(scene: Scene) -> None:
    """There is none for sh: what is named works there."""
    done = scene.home.run(["sh", "-c", "wtenv init shared; :"], scene.root, env={"SHELL": "/bin/sh"}, check=True)
    [line] = [line for line in done.stderr.splitlines() if "is ready" in line]
    assert "wtenv setup" not in line
    assert "run: wtenv run COMMAND; or in a POSIX shell: " in line
    out = scene.home.run(["sh", "-c", f"{line.rpartition(': ')[2]} && echo $VIRTUAL_ENV"], scene.root)
    assert out.stdout == f"{scene.root}/.venv\n"


def test_for_the_whole_clone_afterwards(scene: Scene) -> None:
    done = scene("init", "shared", check=True)
    follow(scene, done.stderr.splitlines()[-1], scene.root)
    assert not (scene.root / "wtenv.toml").exists()
    assert scene.repo.git("status", "--porcelain") == ""
    scene("sync", cwd=scene.feature, check=True)
    for worktree in scene.repo.worktrees:
        assert where(scene, worktree) == str(scene.repo.init_file(worktree))


def test_the_other_way_that_status_names(scene: Scene) -> None:
    scene("init", "shared", "--no-sync", check=True)
    message = one_line(scene("sync", cwd=scene.feature))
    [command] = re.findall(r"\((cd .* && wtenv init --clone)\)", message)
    follow(scene, command, scene.feature)
    scene("sync", cwd=scene.feature, check=True)


def test_a_build_that_fails(scene: Scene) -> None:
    """The config stays, is allowed, and what the message names is enough once the mistake is fixed."""
    pyproject = scene.root / "pyproject.toml"
    good = pyproject.read_text()
    pyproject.write_text(good.replace('version = "1.0"', 'version = "not one"'))
    done = scene("init", "shared")
    assert done.returncode == 2
    assert done.stderr.startswith(f"wtenv: wrote {scene.root}/wtenv.toml, and allowed it\n")
    assert done.stderr.endswith("run: wtenv sync\n")
    pyproject.write_text(good)
    follow(scene, done.stderr, scene.root)
    assert where(scene, scene.root) == str(scene.repo.init_file(scene.root))


def test_in_a_shell_with_the_hook(shell_name: str, repo: Repo, open_shell: Callable[..., Shell]) -> None:
    """It is active at the prompt that follows."""
    shell = open_shell(repo.root)
    assert "active from the next prompt on" in shell.run("wtenv init shared").out
    assert shell.run("python -c 'import pkg; print(pkg.__file__)'").out == f"{repo.init_file(repo.root)}\n"
    assert shell_name in HOOK_LINES


# --- what is allowed -----------------------------------------------------------------------------

ALLOWED, STOPS = "and allowed it", "takes no effect yet"
OWN = '[python]\nvenv = "env"\n'


def prepare(name: str, root: Path, home: Home) -> list[str]:
    """What lies there before, and what is typed."""
    common = root / ".git/wtenv.toml"
    if name == "nothing":
        return ["shared"]
    if name.startswith("clone config"):
        common.write_text(OWN + "base_prefix = '/usr'\n")
        if name == "clone config, allowed":
            call(home, "allow", cwd=root, check=True)
        return ["shared"]
    if name.startswith("repo config"):
        (root / "wtenv.toml").write_text(OWN + "base_prefix = '/usr'\n")
        if name == "repo config, allowed":
            call(home, "allow", cwd=root, check=True)
        elif name == "repo config, changed since":
            call(home, "allow", cwd=root, check=True)
            (root / "wtenv.toml").write_text(OWN + "base_prefix = '/usr'\n[env]\nA = 'b'\n")
        return ["--clone", "shared"]
    if name == "denied":
        call(home, "deny", cwd=root, check=True)
        return ["shared"]
    if name == "trusted folder":
        (home.path / ".config/wtenv").mkdir(parents=True)
        (home.path / ".config/wtenv/config.toml").write_text(f'[trust]\nprefixes = ["{root}"]\n')
    (root / "environment.yml").write_text("name: shared\n")
    (root / "notuv.toml").write_text('[python]\nbase_conda_env = "shared"\n')
    return ["notuv.toml" if name == "another tool's" else "environment.yml"]


@pytest.mark.parametrize(
    ("name", "end"),
    {
        "nothing": ALLOWED,
        "clone config, allowed": ALLOWED,
        "clone config, not allowed": STOPS,
        "repo config, allowed": ALLOWED,
        "repo config, not allowed": STOPS,
        "repo config, changed since": STOPS,
        "denied": STOPS,
        "environment.yml": STOPS,
        "another tool's": STOPS,
        "trusted folder": ALLOWED,
    }.items(),
)
def test_what_is_allowed(name: str, end: str, root: Path, home: Home) -> None:
    """What was allowed before plus what was typed; a checkout's say has to be looked at; a deny stays."""
    words = prepare(name, root, home)
    done = call(home, "init", *(["--no-sync"] if end == ALLOWED else []), *words, cwd=root, check=True)
    assert end in done.stderr.splitlines()[0], done.stderr
    status = call(home, "status", cwd=root).stdout
    if end == ALLOWED:
        assert "run: wtenv allow" not in status
    else:
        assert not list(root.rglob("pyvenv.cfg")), "nothing is built"
        assert "wtenv allow" in status
        fix = done.stderr.rpartition("run: ")[2].removesuffix("&& wtenv sync\n")
        assert fix == "wtenv allow "
        call(home, "allow", cwd=root, check=True)
        assert "run: wtenv allow" not in call(home, "status", cwd=root).stdout


# --- moving it into the clone --------------------------------------------------------------------


def test_a_committed_config_is_not_moved(root: Path, home: Home) -> None:
    call(home, "init", "--no-sync", "shared", cwd=root, check=True)
    git(home, root, "add", "wtenv.toml")
    before = snapshot(root)
    assert "is committed, or about to be" in one_line(call(home, "init", "--clone", cwd=root))
    assert {path: state for path, state in snapshot(root).items() if "/.git/index" not in path} == {
        path: state for path, state in before.items() if "/.git/index" not in path
    }


def test_what_was_not_allowed_is_moved_and_not_allowed(root: Path, home: Home) -> None:
    (root / "wtenv.toml").write_text(CONFIG.format(base="shared"))
    done = call(home, "init", "--clone", cwd=root, check=True)
    assert "moved" in done.stderr
    assert STOPS in done.stderr
    assert (root / ".git/wtenv.toml").read_text() == CONFIG.format(base="shared")
    assert not (root / "wtenv.toml").exists()


# --- what can be no base, and what is proposed ---------------------------------------------------


def make_places(root: Path) -> None:
    (root / "bin").mkdir()
    (root / "bin/python3").symlink_to("/usr/bin/python3")
    for folder in (root / ".venv", root.parent / "feature"):
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "bin/python3").symlink_to("/usr/bin/python3")
    (root / "envs/x/conda-meta").mkdir(parents=True)
    (root.parent / "to-the-root").symlink_to(root)


@pytest.mark.parametrize(
    "source", [".", "./", "./.venv", "envs/x", "../feature", "../to-the-root", "./pyproject.toml", "..", "./none"]
)
def test_what_sync_would_refuse_is_not_written(source: str, root: Path, home: Home) -> None:
    git(home, root, "worktree", "add", "--quiet", "-b", "f", root.parent / "feature")
    make_places(root)
    before = snapshot(root)
    message = one_line(call(home, "init", source, cwd=root))
    assert "wtenv init NAME (environments: other, shared)" in message
    assert snapshot(root) == before


@pytest.mark.parametrize("active", ["shared", "", "gone"])
def test_proposals(active: str, root: Path, home: Home, tmp_path: Path) -> None:
    """Each is a command that works as it is printed; from a folder below, too."""
    (root / "environment.yml").write_text("name: other\n")
    (root / "veneer.toml").write_text('[python]\nbase_conda_env = "other"\n')
    (root / "sub dir").mkdir()
    env = {"CONDA_PREFIX": str(tmp_path / "envs" / active)} if active else {}
    message = one_line(call(home, "init", cwd=root / "sub dir", env=env))
    expected = {"wtenv init ../veneer.toml": "other", "wtenv init ../environment.yml": "other"}
    if active == "shared":
        expected = {"wtenv init shared": "shared", **expected}
    found = re.findall(r"(wtenv init [^(]*) \(", message)
    assert found == list(expected)
    for command, name in expected.items():
        home.run(["sh", "-c", f"{command} --no-sync"], root / "sub dir", env=env, check=True)
        assert f'base_conda_env = "{name}"' in (root / "wtenv.toml").read_text()
        (root / "wtenv.toml").unlink()


# --- packages ------------------------------------------------------------------------------------

TOOLS_ALONE = "[tool.ruff]\nline-length = 100\n"
LAYOUTS: Mapping[str, tuple[Mapping[str, str], tuple[str, ...], tuple[str, ...]]] = {
    "a package": ({"pyproject.toml": FLIT}, (".",), ()),
    "a setup.py": ({"setup.py": ""}, (".",), ()),
    "nothing": ({}, (), ()),
    "tools alone": ({"pyproject.toml": TOOLS_ALONE}, (), ()),
    "tools and setup.py": ({"pyproject.toml": TOOLS_ALONE, "setup.py": ""}, (".",), ()),
    "a setup.cfg alone": ({"setup.cfg": "[flake8]\n"}, (), ()),
    "groups alone": ({"pyproject.toml": '[dependency-groups]\ndev = ["x"]\n'}, (), ()),
    "none, for uv": ({"pyproject.toml": f"{FLIT}[tool.uv]\npackage = false\n"}, (), ()),
    "a monorepo": (
        {
            "pyproject.toml": f'{TOOLS_ALONE}[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            "packages/a/pyproject.toml": FLIT,
            "packages/b/setup.py": "",
            "packages/b/inner/pyproject.toml": FLIT,
            "packages/notes/pyproject.toml": TOOLS_ALONE,
            "packages/broken/pyproject.toml": "[",
            "libs/python/c/pyproject.toml": FLIT,
            "very/deep/down/d/pyproject.toml": FLIT,
            "tests/e/pyproject.toml": FLIT,
            ".hidden/pyproject.toml": FLIT,
            "submodule/.git": "gitdir: ../.git/modules/x\n",
            "submodule/pyproject.toml": FLIT,
            "env/pyvenv.cfg": "",
            "env/lib/pyproject.toml": FLIT,
        },
        ("packages/a", "packages/b", "libs/python/c"),
        (),
    ),
    "a package with others": (
        {"pyproject.toml": FLIT, "plugins/one/pyproject.toml": FLIT, "plugins/two/setup.py": ""},
        (".",),
        ("plugins/one", "plugins/two"),
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_packages(name: str, root: Path, home: Home) -> None:
    texts, packages, others = LAYOUTS[name]
    (root / "pyproject.toml").unlink()
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "loop").symlink_to(root)
    own = draft.is_package(root)
    assert own == (packages == (".",))
    assert tuple(draft.find_packages(root)) == (others if own else packages)
    done = call(home, "init", "--no-sync", "shared", cwd=root, check=True)
    text = (root / "wtenv.toml").read_text()
    assert f"packages = [{', '.join(f'{chr(34)}{each}{chr(34)}' for each in packages)}]" in text
    assert all(f'"{each}"' in text for each in others)
    assert (f"with the packages {', '.join(packages)}" in done.stderr) == (packages not in ((), (".",)))
