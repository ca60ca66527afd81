"""Who starts it does not matter: a Python of one worktree's overlay that is started in another worktree is that one's,
or nothing runs (status 126). Active is always `main`; no hook is anywhere near."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest
from realbase import Base
from scenes import CONFIG, can_mount, git, make_home
from shells import require_shell
from workspace import Home, Repo, make_repo, wtenv_program

from wtenv.hook.shells import build_wtenv

SHOW = "import sys, pkg; print(sys.prefix, pkg.__file__)"
FILES = {
    "src/pkg/cli.py": f"def main():\n    {SHOW}\n",
    "tests/test_where.py": f"def test_where():\n    {SHOW}\n",
    "tests/show.py": SHOW + "\n",
    "tests/folder/__main__.py": SHOW + "\n",
    "tests/script": f"#!/usr/bin/env python\n{SHOW}\n",
}
WHAT: dict[str, tuple[str, ...]] = {
    "python -c": ("python", "-c", SHOW),
    "python -m pytest": ("python", "-m", "pytest", "-qs", "-p", "no:cacheprovider", "."),
    "pytest": ("pytest", "-qs", "-p", "no:cacheprovider", "."),
    "console script": ("pkg-cli",),
}


@dataclass(frozen=True)
class Place:
    """A folder to start something in. said: what the one line has to hold if nothing may run there; "" if it has to be
    that worktree's; None where main's overlay is as right as any."""

    folder: Path
    said: str | None


@dataclass(frozen=True)
class Scene:
    home: Home
    repo: Repo
    env: dict[str, str]  # active in main
    places: dict[str, Place]
    stack: Path

    @property
    def main(self) -> Path:
        return self.repo.root

    @property
    def feature(self) -> Path:
        return self.repo.feature

    def wtenv(self, *words: str | Path, cwd: Path) -> str:
        return self.home.run([wtenv_program(), *words], cwd, check=True).stdout

    def activate(self, worktree: Path) -> dict[str, str]:
        changes = json.loads(self.wtenv("export", "json", cwd=worktree))
        return {name: value for name, value in {**self.home.environ, **changes}.items() if value is not None}

    def run(
        self, words: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        env = {**self.env, **(env or {})}
        return subprocess.run(words, cwd=cwd, env=env, input=text, capture_output=True, text=True, timeout=150)


@pytest.fixture(scope="module")
def scene(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("elsewhere")
    home = make_home(folder)
    home.add_envs_dir(base.prefix.parent)
    config = CONFIG.replace("{base}", base.name, 1)
    repo = make_repo(folder / "work", home)
    repo.commit({**FILES, "wtenv.toml": config})
    (repo.root / "tests/script").chmod(0o755)
    repo.git("commit", "--quiet", "--all", "--message", "executable")
    repo.git("merge", "--quiet", "main", cwd=repo.feature)
    scene = Scene(home, repo, {}, {}, folder / "stack")
    main, places = repo.root, scene.places
    scene.wtenv("allow", cwd=main)
    for worktree in repo.worktrees:
        scene.wtenv("sync", cwd=worktree)
    scene.env.update(scene.activate(main))
    places["feature"] = Place(repo.feature, "")
    for name, path in {"nested": main / ".worktrees/x", "an agent's": main / ".claude/worktrees/y"}.items():
        repo.git("worktree", "add", "--quiet", "-b", path.name, path)
        places[name] = Place(path, "wtenv sync")
    scene.wtenv("sync", cwd=places["nested"].folder)
    shutil.rmtree(home.path / ".cache/wtenv/builds")  # else a new worktree would be ready by itself
    places["nested"] = Place(places["nested"].folder, "")
    places["not allowed"] = Place(repo.add_worktree("changed"), "wtenv allow")
    (places["not allowed"].folder / "wtenv.toml").write_text(config + "# changed\n")
    # A folder without a way to tell whose it is belongs to nobody.
    for name, text in {"stranger": None, "garbage": "x\n", "dangling": "gitdir: /nowhere\n", "fifo": "fifo"}.items():
        (stranger := main / "vendor" / name / "tests").mkdir(parents=True)
        if text is None:
            git(home, stranger.parent, "init", "--quiet")
        elif text == "fifo":
            os.mkfifo(stranger.parent / ".git")
        else:
            (stranger.parent / ".git").write_text(text)
        places[name] = Place(stranger.parent, None)
    (folder / "nowhere/tests").mkdir(parents=True)
    places["no worktree"] = Place(folder / "nowhere", None)
    other = make_repo(folder / "other", home, "flit")
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other.root, "sub")
    places["submodule"] = Place(main / "sub", None)
    other.commit({"wtenv.toml": config})
    places["another clone"] = Place(other.root, "wtenv allow")
    # A config that is in main alone, and not committed.
    bare = folder / "bare"
    git(home, folder, "clone", "--quiet", "--bare", other.root, bare / ".bare")
    (bare / ".git").write_text("gitdir: ./.bare\n")
    for name in ("one", "two"):
        git(home, bare, "worktree", "add", "--quiet", "-b", name, name)
    git(home, bare / "two", "rm", "--quiet", "wtenv.toml")
    (bare / "tests").mkdir()
    return scene


def check(scene: Scene, place: Place, done: subprocess.CompletedProcess[str], what: object) -> None:
    """Right, or 126 and one line that names the worktree, the overlay that was to be used, and what fixes it."""
    venv = scene.main / ".venv"
    if place.said:
        assert (done.returncode, done.stdout) == (126, ""), (what, done)
        line = done.stderr
        assert line.count("\n") == 1 and line.startswith(f"wtenv: {place.folder} is not the worktree"), (what, line)
        assert str(venv) in line and place.said in line, (what, line)
        return
    owner = scene.main if place.said is None else place.folder
    assert (done.returncode, done.stderr) == (0, ""), (what, done)
    assert f"{owner}/.venv {owner}/src/pkg/__init__.py\n" in done.stdout, (what, done)


def join(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))


def _write(scene: Scene, name: str, text: str) -> Path:
    path = scene.home.path / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def _login(scene: Scene, shell: str, at: Path, words: Sequence[str]) -> list[str | Path]:
    # Debian's /etc/profile sets PATH: as with anybody whose own profile does it.
    for name in (".bash_profile", ".zprofile"):
        _write(scene, name, f"PATH={shlex.quote(scene.env['PATH'])}\n")
    return [shell, "-lc", f"cd {at}/tests && {join(words)}"]


def _make(scene: Scene, at: Path, words: Sequence[str]) -> list[str | Path]:
    return ["make", "-sf", _write(scene, "Makefile", f"it:\n\t@{join(words)}\n"), "-C", at / "tests"]


def _os_system(scene: Scene, at: Path, words: Sequence[str]) -> list[str | Path]:
    text = f"import os, sys; os.chdir(sys.argv[1]); sys.exit(os.waitstatus_to_exitcode(os.system({join(words)!r})))"
    return [sys.executable, "-I", "-c", text, at / "tests"]


Way = Callable[[Scene, Path, Sequence[str]], "list[str | Path]"]
WAYS: dict[str, Way] = {
    "sh -c": lambda scene, at, words: ["sh", "-c", f"cd {at}/tests && {join(words)}"],
    "make -C": _make,
    "env -i": lambda scene, at, words: [
        "env", "-i", "HOME=" + scene.env["HOME"], "PATH=" + scene.env["PATH"], "sh", "-c", f"cd {at}/tests; {join(words)}",
    ],
    "bash -lc": lambda scene, at, words: _login(scene, require_shell("bash"), at, words),
    "zsh -lc": lambda scene, at, words: _login(scene, require_shell("zsh"), at, words),
    "fish -c": lambda scene, at, words: [require_shell("fish"), "-c", f"cd {at}/tests; and {join(words)}"],
    "xargs": lambda scene, at, words: ["sh", "-c", f"echo {at}/tests | xargs -I@ env -C @ {join(words)}"],
    "find -execdir": lambda scene, at, words: ["find", at / "tests", "-name", "show.py", "-execdir", *words, ";"],
    "git -C": lambda scene, at, words: ["git", "-C", at / "tests", "-c", f"alias.x=!cd tests && {join(words)}", "x"],
    "setsid": lambda scene, at, words: ["setsid", "--wait", "env", "-C", at / "tests", *words],
    "nohup": lambda scene, at, words: ["env", "-C", at / "tests", "nohup", *words],
    "os.system": _os_system,
}  # fmt: skip


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("way", [*WAYS, "subprocess.run"])
def test_each_way_of_starting(way: str, what: str, scene: Scene) -> None:
    place, words = scene.places["feature"], WHAT[what]
    if way == "subprocess.run":
        done = scene.run(words, place.folder / "tests")
    else:
        done = scene.run(WAYS[way](scene, place.folder, words), scene.main)
    check(scene, place, done, (way, what))


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_right_does_not_run(way: str, scene: Scene) -> None:
    place = scene.places["an agent's"]
    done = scene.run(WAYS[way](scene, place.folder, WHAT["pytest"]), scene.main)
    line = done.stderr.splitlines()[0]
    assert "passed" not in done.stdout
    assert line.startswith(f"wtenv: {place.folder} is not the worktree") and line.endswith("run: wtenv sync"), line
    assert done.returncode in {"make -C": (2,), "xargs": (1, 123, 126), "find -execdir": (0, 1)}.get(way, (126,))


@pytest.mark.parametrize("what", WHAT)
def test_each_place(what: str, scene: Scene) -> None:
    for name, place in scene.places.items():
        words = list(WHAT[what])
        if place.said is None and "pytest" in what:
            words[-1] = str(scene.main / "tests/test_where.py")
        (place.folder / "tests").mkdir(exist_ok=True)
        check(scene, place, scene.run(words, place.folder / "tests"), (name, what))


def test_other_words_of_pythons(scene: Scene, tmp_path: Path) -> None:
    """Options, standard input, scripts, folders, archives, debuggers: the same arguments arrive."""
    place = scene.places["feature"]
    archive = tmp_path / "app.pyz"
    shutil.make_archive(str(tmp_path / "app"), "zip", place.folder / "tests/folder")
    archive.write_bytes(b"#!/usr/bin/env python\n" + (tmp_path / "app.zip").read_bytes())
    archive.chmod(0o755)
    flags = ["-I", "-E", "-s", "-Wd", "-W default", "-X utf8", "-OO", *(["-P"] if sys.version_info >= (3, 11) else [])]
    starts: list[list[str | Path]] = [
        *(["python", *flag.split(), "-c", SHOW] for flag in flags),
        ["python3", "show.py"],
        ["python", place.folder / "tests/show.py"],
        [f"python{sys.version_info[0]}.{sys.version_info[1]}", "folder"],
        ["python", archive],
        [archive],
        ["./script"],
        ["python", "-m", "pdb", "-c", "continue", "-c", "quit", "show.py"],
        [scene.main / ".venv/bin/pkg-cli"],
        ["../../main/.venv/bin/pkg-cli"],
        ["python", "-c", f"import sys; assert sys.argv[1:] == ['', 'a b', '-c', '\\udcff'], sys.argv\n{SHOW}",
         "", "a b", "-c", os.fsdecode(b"\xff")],
        ["python", "-c", f"import os; assert not [n for n in os.environ if 'FOLLOW' in n]\n{SHOW}"],
    ]  # fmt: skip
    for words in starts:
        check(scene, place, scene.run(words, place.folder / "tests"), words)
    check(scene, place, scene.run(["python", "-"], place.folder / "tests", text=SHOW), "stdin")
    done = scene.run(["pip", "--version"], place.folder / "tests")
    assert (done.returncode, done.stdout[:4], done.stderr) == (0, "pip ", "")
    # A link elsewhere to a script of the overlay is that script.
    (link := tmp_path / "linked").symlink_to(scene.main / ".venv/bin/pkg-cli")
    check(scene, place, scene.run([link], place.folder / "tests"), "a link")


def test_no_config_of_a_checkout_claims_the_overlay(scene: Scene) -> None:
    """What nobody has allowed says nothing of whose main's overlay is: else a branch could have main's code tested."""
    config, place = scene.feature / "wtenv.toml", scene.feature
    before = config.read_text()
    other = scene.feature.parent / "other.toml"
    (place / "stack.toml").write_text('[wtenv]\nkind = "stack"\n[python]\nvenv = "../main/.venv"\n')
    other.write_text('[python]\nvenv = "main/.venv"\n')
    try:
        for text in (
            '[python]\nvenv = "../main/.venv"\n',
            f'[python]\nvenv = "{scene.main}/.venv"\n',
            '[wtenv]\nextends = "../main/wtenv.toml"\n',
            '[wtenv]\nextends = "../other.toml"\n',
            '[wtenv]\nextends = "stack.toml"\n',
        ):
            config.write_text(text)
            for words in (WHAT["python -c"], WHAT["console script"]):
                done = scene.run(words, place)
                assert (done.returncode, done.stdout) == (126, ""), (text, done)
                assert done.stderr.startswith(
                    f"wtenv: {place} is not the worktree that {scene.main}/.venv is for, and "
                )
    finally:
        config.write_text(before)
        (place / "stack.toml").unlink()
        other.unlink()


@pytest.mark.skipif(not can_mount(), reason="mounts need root, and a system that has them")
def test_the_own_worktree_by_another_name(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    script = f"mount --bind {scene.main} {tmp_path}/mount && cd {tmp_path}/mount/tests && {join(WHAT['python -c'])}"
    check(scene, Place(scene.main, None), scene.run(["unshare", "--mount", "sh", "-c", script], scene.main), "a mount")


def test_wtenv_that_came_with_an_overlay(scene: Scene) -> None:
    """It is no way out if it can't be started where the overlay is to be made."""
    place = scene.places["an agent's"].folder
    script = scene.main / ".venv/bin/wtenv"
    script.write_text(f"#!{scene.main}/.venv/bin/python\nprint('main')\n")
    script.chmod(0o755)
    try:
        done = scene.run(["pytest"], place)
        assert (done.returncode, done.stderr.partition("; run: ")[2]) == (126, "wtenv sync\n")
        done = scene.run(["wtenv", "sync", "--dry-run"], place)
        assert done.returncode == 0 and done.stderr.startswith(f"wtenv: there is no overlay at {place}/.venv\n"), done
        done = scene.run(["wtenv", "run", "--no-sync", "pytest"], place)
        assert done.returncode == 2 and done.stderr.endswith("run: wtenv sync\n"), done
        for folder in (scene.feature, scene.main / ".worktrees/x"):  # an overlay without it
            done = scene.run(["wtenv", "run", "pkg-cli"], folder)
            assert done.stdout == f"{folder}/.venv {folder}/src/pkg/__init__.py\n", done
    finally:
        script.unlink()


def test_whole_activation(scene: Scene) -> None:
    """What runs there sees what `wtenv run` gives; nothing of main's overlay is left, and nothing of how it came."""
    look = ["python", "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    followed = json.loads(scene.run(look, scene.feature).stdout)
    plain = scene.home.run([wtenv_program(), "run", *look], scene.feature, check=True)
    drop = ("PWD", "OLDPWD", "SHLVL", "_")
    assert {n: v for n, v in followed.items() if n not in drop} == {
        n: v for n, v in json.loads(plain.stdout).items() if n not in drop
    }


def test_a_script_that_the_other_overlay_lacks_does_not_come_back(scene: Scene) -> None:
    script = scene.main / ".venv/bin/only-main"
    script.write_text(f"#!{scene.main}/.venv/bin/python\nprint('main')\n")
    script.chmod(0o755)
    try:
        for env in ({}, {"WTENV_VARS": "", "WTENV_ROOT": ""}):  # active, and with a PATH alone
            done = scene.run(["only-main"], scene.feature, env)
            assert (done.returncode, done.stdout) == (127, ""), done
            assert "only-main: command not found" in done.stderr
    finally:
        script.unlink()


CHILDREN = """
import json, multiprocessing, os, subprocess, sys, site
from concurrent.futures import ProcessPoolExecutor
def prefix(_=None):
    return sys.prefix
if __name__ == "__main__":
    os.chdir(sys.argv[1])
    found = {}
    for method in ("spawn", "forkserver", "fork"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            found[method] = pool.map(prefix, [0])[0]
    ask = ["-c", "import sys; print(sys.prefix)"]
    for name in (sys.executable, "python"):
        found[os.path.basename(name) if "/" not in name else "by path"] = subprocess.check_output([name, *ask], text=True).strip()
    site.main()
    import _wtenv_bootstrap
    _wtenv_bootstrap._looked, _wtenv_bootstrap._added = False, None
    site.main()
    found["site.main()"] = sys.prefix
    late = [sys.executable, "-S", "-c", "import site, sys; site.main(); print(sys.prefix)"]
    found["-S"] = subprocess.check_output(["python", *late[1:]], text=True).strip()
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        try:
            import _interpreters as interpreters
        except ImportError:
            interpreters = None
    if interpreters:
        made = interpreters.create()
        interpreters.run_string(made, "import _wtenv_bootstrap, sys; assert '_wtenv_elsewhere' in sys.modules; print('inside')")
    print(json.dumps(found))
"""


def test_children(scene: Scene, tmp_path: Path) -> None:
    """A process of main's that has gone elsewhere keeps its own Python in its children; plain `python` is the place's."""
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)
    done = scene.run(["python", script, scene.feature], scene.main)
    assert (done.returncode, done.stderr) == (0, ""), done
    main, feature = str(scene.main / ".venv"), str(scene.feature / ".venv")
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert found.pop("python") == feature
    assert set(found.values()) == {main}, found
    assert "inside\n" in done.stdout or sys.version_info >= (3, 14)


def test_pytest_xdist(scene: Scene, tmp_path: Path) -> None:
    for name in ("xdist", "execnet"):
        spec = util.find_spec(name)
        assert spec and spec.submodule_search_locations
        (tmp_path / name).symlink_to(spec.submodule_search_locations[0])
    test = tmp_path / "test_workers.py"
    test.write_text("import os, sys\ndef test_it():\n    assert sys.prefix == os.environ['EXPECTED']\n")
    env = {"PYTHONPATH": str(tmp_path), "EXPECTED": str(scene.feature / ".venv")}
    words = ["pytest", "-q", "-p", "xdist.plugin", "-p", "no:cacheprovider", "-n", "2", test]
    done = scene.run(words, scene.feature / "tests", env)
    assert "1 passed" in done.stdout, done


def test_an_overlay_that_is_a_link(scene: Scene) -> None:
    """Two worktrees never share one, whatever somebody has linked."""
    place = scene.places["an agent's"]
    (place.folder / ".venv").symlink_to(scene.main / ".venv")
    try:
        done = scene.run(WHAT["python -c"], place.folder / "tests")
        assert (done.returncode, "is a symbolic link" in done.stderr) == (126, True), done
    finally:
        (place.folder / ".venv").unlink()


def test_git_hook(scene: Scene) -> None:
    hooks = scene.main / ".git/hooks"
    hook = hooks / "pre-commit"
    hook.write_text(f"#!/bin/sh\npython -c {shlex.quote(SHOW)} >&2\n")
    hook.chmod(0o755)
    try:
        done = scene.run(["git", "-C", scene.feature, "commit", "--allow-empty", "-m", "x"], scene.main)
    finally:
        hook.unlink()
    assert f"{scene.feature}/.venv {scene.feature}/src/pkg/__init__.py" in done.stderr


def test_settings(scene: Scene) -> None:
    config = Path(scene.env["HOME"], ".config/wtenv/config.toml")
    config.parent.mkdir(parents=True, exist_ok=True)
    place = Place(scene.feature, None)
    try:
        for text in (
            '[elsewhere]\npython = "ignore"\n',
            'elsewhere.python = "ignore" # so\n',
            "elsewhere={python='ignore'}",
        ):
            config.write_text(text)
            if sys.version_info >= (3, 11) or "{" not in text:
                check(scene, place, scene.run(WHAT["python -c"], scene.feature / "tests"), text)
        config.write_text('[elsewhere]\npython = "warn"\n')
        done = scene.run(WHAT["console script"], scene.feature / "tests")
        assert done.stdout == f"{scene.main}/.venv {scene.main}/src/pkg/__init__.py\n"
        said = f"wtenv: this is {scene.feature}, but {scene.main}/.venv is the overlay of {scene.main}\n"
        assert done.stderr == said
        config.write_text('[elsewhere]\npython = "stop"\n')
        done = scene.run(WHAT["python -c"], scene.feature / "tests")
        assert done.returncode == 126 and 'must be one of "follow", "warn", "ignore"' in done.stderr, done
    finally:
        config.unlink()


def test_no_variable_says_which_wtenv(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "wtenv").write_text("#!/bin/sh\necho mine\n")
    (tmp_path / "wtenv").chmod(0o755)
    for name in ("wtenv", "_wtenv_bootstrap", "_wtenv_elsewhere"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('mine')")
    place = scene.places["feature"]
    env = {"PATH": f"{tmp_path}:{scene.env['PATH']}", "PYTHONPATH": str(tmp_path)}
    env |= {name: str(tmp_path / "wtenv") for name in ("WTENV", "WTENV_COMMAND", "WTENV_EXE")}
    check(scene, place, scene.run(["pkg-cli"], place.folder / "tests", env), env)


def test_wtenv_is_gone(scene: Scene) -> None:
    command = next((scene.main / ".venv/lib").glob("python3*/site-packages/~wtenv.pth"))
    text = command.read_text()
    command.write_text(text.replace(build_wtenv()[-1], "/nowhere/__main__.py"))
    try:
        done = scene.run(["python", "-c", "pass"], scene.feature)
        assert done.returncode == 126
        assert "/nowhere/__main__.py" in done.stderr and done.stderr.endswith("run: wtenv sync\n"), done.stderr
        assert scene.run(["python", "-c", "pass"], scene.main).returncode == 0
    finally:
        command.write_text(text)


def test_the_folder_is_gone(scene: Scene, tmp_path: Path) -> None:
    words = ["sh", "-c", f"mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir ../gone && python -Ic 'import pkg'"]
    done = scene.run(words, scene.main)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_config_that_only_main_has(scene: Scene, base: Base) -> None:
    """A clone whose config was not committed; around a bare repository. The fix works as it is printed."""
    bare = scene.home.path.parent / "bare"
    scene.wtenv("allow", cwd=bare / "one")
    scene.wtenv("sync", cwd=bare / "one")
    env = scene.activate(bare / "one")
    (bare / "two/deep").mkdir()
    words = ["pytest", "--version"]
    done = subprocess.run(words, cwd=bare / "two/deep", env=env, capture_output=True, text=True)
    assert done.returncode == 126
    assert done.stderr.startswith(f"wtenv: {bare}/two is not the worktree that {bare}/one/.venv is for, and ")
    fix = done.stderr.partition("; run: ")[2].strip()
    assert fix == f"cp {bare}/one/wtenv.toml {bare}/two/ && wtenv sync"
    # The folder above the worktrees is in none.
    top = subprocess.run(
        ["python", "-c", "import sys; print(sys.prefix)"], cwd=bare / "tests", env=env, text=True, capture_output=True
    )
    assert (top.stdout, top.stderr) == (f"{bare}/one/.venv\n", "")
    subprocess.run(["sh", "-c", fix], cwd=bare / "two/deep", env=env, check=True, capture_output=True)
    done = subprocess.run(["pkg-cli"], cwd=bare / "two/deep", env=env, capture_output=True, text=True)
    assert done.stdout == f"{bare}/two/pkg/__init__.py\n", done


def test_stack(scene: Scene, base: Base) -> None:
    """The repositories of a stack share one overlay; whatever else lies there does not."""
    stack = scene.stack
    one, two = (make_repo(stack / name, scene.home, "flit") for name in ("one", "two"))
    api, worker = one.root, two.root
    text = CONFIG.replace("{base}", base.name, 1).replace('"."', '"one/main"')
    (stack / "wtenv.backend.toml").write_text('[wtenv]\nkind = "stack"\n\n' + text)
    for root in (api, worker):
        (root / "wtenv.toml").write_text('[wtenv]\nextends = "../../wtenv.backend.toml" # ours\n')
        scene.wtenv("allow", cwd=root)
    scene.wtenv("sync", cwd=api)
    env = scene.activate(api)
    own = f"{stack}/.venv\n"

    def ask(folder: Path) -> subprocess.CompletedProcess[str]:
        words = ["python", "-c", "import sys; print(sys.prefix)"]
        return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=150)

    git(scene.home, stack, "init", "--quiet", "stranger")
    for folder in (api, api / "pkg", worker, stack, stack / "stranger"):
        assert ask(folder).stdout == own, folder
    assert ask(scene.feature).stdout == f"{scene.feature}/.venv\n"
    (worker / "wtenv.toml").write_text(text)  # it has left the stack
    done = ask(worker)
    assert done.returncode == 126 and "wtenv allow" in done.stderr, done
    (worker / "wtenv.toml").write_text('[wtenv]\nextends = """../../wtenv.backend.toml"""\n')
    assert ask(worker).stdout == own if sys.version_info >= (3, 11) else ask(worker).returncode == 126


HOST = """
#include <Python.h>
int main(int argc, char **argv) {
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    PyConfig_SetBytesString(&config, &config.program_name, argv[0]);
    PyConfig_SetBytesArgv(&config, argc, argv);
    if (PyStatus_Exception(Py_InitializeFromConfig(&config))) return 1;
    return PyRun_SimpleString("import sys, site; site.main(); print(sys.prefix, '_wtenv_elsewhere' in sys.modules, flush=True)");
}
"""


def test_an_embedding_program(scene: Scene, base: Base, tmp_path: Path) -> None:
    include, library = (
        next((base.prefix / "include").glob("python3*")),
        next((base.prefix / "lib").glob("libpython3.*")),
    )
    if not shutil.which("cc") or not (include / "Python.h").is_file():
        pytest.skip("no C compiler, or a Python without headers")
    (tmp_path / "host.c").write_text(HOST)
    host = scene.main / ".venv/bin/host"
    words = ["cc", tmp_path / "host.c", f"-I{include}", "-o", host, library, f"-Wl,-rpath,{library.parent}"]
    subprocess.run(words, check=True)
    try:
        done = scene.run(["host"], scene.feature)
    finally:
        host.unlink()
    assert (done.returncode, done.stdout) == (0, f"{scene.main}/.venv True\n"), done


# --- by itself ----------------------------------------------------------------------------------

BOOTSTRAP = Path(__file__).resolve().parents[1] / "src/wtenv/overlay/bootstrap"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module, as if it ran in an overlay below `tmp_path` whose `bin` is on PATH."""
    spec = util.spec_from_file_location("_wtenv_elsewhere", BOOTSTRAP / "_wtenv_elsewhere.py")
    assert spec and spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "v/bin").mkdir(parents=True)
    (tmp_path / "v/bin/tool").touch()
    (tmp_path / "linked").symlink_to("v/bin/tool")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "v"))
    monkeypatch.setenv("PATH", f"/usr/bin:{tmp_path}/v/../v/bin")
    return module


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["python"], ["python"]),
        (["python3.11", "-c", "x", "y"], ["python3.11", "-c", "x", "y"]),
        (["@/python", "-c", "x"], None),
        (["@/python", "-m", "tool"], None),
        (["@/python", "-Im", "tool"], None),
        (["@/python", "elsewhere/tool"], None),
        (["@/python", "tool"], None),  # of the current folder
        (["@/python"], None),
        (["@/python", "-"], None),
        (["@/python", "@/tool"], ["tool"]),
        (["@/python", "-sE", "@/tool", "-x", "a b"], ["tool", "-x", "a b"]),
        (["@/python", "-W", "default", "-Xdev", "@/tool"], ["tool"]),
        (["@/python", "-sW", "@/tool", "other"], None),
        (["@/python", "--check-hash-based-pycs", "never", "--", "@/tool", "--"], ["tool", "--"]),
        (["@/python", "@/../../linked", "1"], ["tool", "1"]),
        (["@/uwsgi", "@/tool"], None),  # embeds Python
        (["uwsgi", "--ini", "x"], None),
        ([""], None),
        ([], None),
    ],
)
def test_found_through_path(
    words: list[str], found: list[str] | None, place: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = [word.replace("@", f"{tmp_path}/v/bin") for word in words]
    monkeypatch.setattr(sys, "orig_argv", written, raising=False)
    monkeypatch.setattr(place, "_read_arguments", list)
    assert place.find_command() == found
    monkeypatch.setenv("PATH", "/usr/bin")
    assert place.find_command() is None


def test_before_orig_argv(place: ModuleType) -> None:
    if sys.platform == "linux":
        assert place._read_arguments()[1:] == sys.orig_argv[1:]


@pytest.mark.parametrize("module", ["_wtenv_bootstrap", "_wtenv_elsewhere"])
def test_it_is_python_3_8(module: str) -> None:
    ast.parse((BOOTSTRAP / f"{module}.py").read_text(), feature_version=(3, 8))


def test_nothing_is_imported_at_home(scene: Scene) -> None:
    ask = "import sys; print('_wtenv_bootstrap' in sys.modules, '_wtenv_elsewhere' in sys.modules)"
    for folder in (scene.main, scene.main / "tests", scene.home.path.parent / "nowhere"):
        assert scene.run(["python", "-c", ask], folder).stdout == "True False\n"
    assert scene.run(["python", "-c", ask], scene.main / "vendor/stranger").stdout == "True True\n"
