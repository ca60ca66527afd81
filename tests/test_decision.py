"""What the hook is told follows what the advice says: every fix that is named changes the answer."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
from conftest import Wtenv
from realbase import Base
from scenes import make_git
from shells import run_script
from workspace import Home, Repo

from wtenv import decision, files

CONFIG = '[python]\nbase_conda_env = "{base}"\n'


@pytest.fixture
def ready(repo: Repo, base: Base, wtenv: Wtenv) -> Repo:
    repo.configure(CONFIG.format(base=base.name))
    wtenv("allow", cwd=repo.root, check=True)
    wtenv("sync", cwd=repo.root, check=True)
    return repo


def enter(home: Home, place: Path) -> tuple[str, str]:
    """What is active for a new shell in `place`, and what it says."""
    done = run_script("bash", 'eval "$(wtenv hook bash)"; echo "${VIRTUAL_ENV-}"', home.environ, cwd=place)
    return done.stdout.strip(), done.stderr.strip()


def test_permissions_that_are_corrected(ready: Repo, home: Home) -> None:
    config = ready.root / "wtenv.toml"
    config.chmod(0o666)
    config.touch()
    for _ in range(2):
        active, said = enter(home, ready.root)
        assert active == ""
        assert "chmod go-w" in said
    config.chmod(0o644)  # which changes no time
    assert enter(home, ready.root) == (f"{ready.root}/.venv", "")


@pytest.mark.parametrize("text", [None, "", '[python]\nbase_conda_env = "none"\n'])
def test_home_is_what_an_answer_depends_on(text: str | None, tmp_path: Path) -> None:
    """The shell's own variables can't be compared in a running shell; this one has to be: `sudo -s` changes it."""
    (tmp_path / ".git").mkdir()
    if text is not None:
        (tmp_path / "wtenv.toml").write_text(text)
    env = {"HOME": str(tmp_path), "PWD": str(tmp_path)}
    found = decision.decide(tmp_path, env)
    assert found.depends_on["HOME"] == str(tmp_path)
    assert "PWD" not in found.depends_on


@pytest.mark.parametrize("name", [".env", "stack.toml"])
def test_files_that_can_not_be_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice is chmod, which changes no time: such an answer must not be kept, whatever led to the file."""
    (tmp_path / ".git").mkdir()
    text = f'[wtenv]\nextends = "{name}"\n' if name == "stack.toml" else f'[activation]\ndotenv = ["{name}"]\n'
    (tmp_path / "wtenv.toml").write_text(text)
    read = files.read_bytes

    def refuse(path: Path) -> bytes:  # the tests may run as root, who can read everything
        if path.name == name:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(files, "read_bytes", refuse)
    found = decision.decide(tmp_path, {"HOME": str(tmp_path)})
    assert found.kind == "failed"
    assert "can't be followed" in found.reason
    assert "chmod" in found.fix
    assert not found.cacheable


def test_a_mistake_takes_nothing_away(home: Home) -> None:
    """What was found before it is in the answer, with what it depends on; and an answer is not changed."""
    root = make_git(home.path, home)
    config = root / "wtenv.toml"
    config.write_text("[python]\n")
    found = decision.decide(root, home.environ)
    assert (found.kind, found.config) == ("blocked", None)
    assert found.worktree and found.verdict and found.settings and config in found.watch
    config.write_text("broken")
    broken = decision.decide(root, home.environ)
    assert broken.kind == "failed" and str(config) in broken.reason
    assert (broken.worktree, broken.sources, broken.verdict) == (found.worktree, (), None)
    assert config in broken.watch and broken.settings == found.settings
    with pytest.raises(AttributeError):
        found.kind = "active"  # type: ignore[misc]


def test_settings_that_are_corrected(ready: Repo, home: Home) -> None:
    settings = home.path / ".config/wtenv/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("x = \n")
    active, said = enter(home, ready.root)
    assert active == ""
    assert str(settings) in said
    settings.unlink()
    assert enter(home, ready.root) == (f"{ready.root}/.venv", "")


def test_a_base_inside_the_worktree_is_refused(repo: Repo, wtenv: Wtenv) -> None:
    """What a checkout brings into it would run at the next cd, without having been allowed."""
    inside = repo.root / "env"
    (inside / "conda-meta").mkdir(parents=True)
    (inside / "bin").mkdir()
    (inside / "bin/python3").symlink_to("/usr/bin/python3")
    repo.configure(CONFIG.format(base="./env"))
    wtenv("allow", cwd=repo.root, check=True)
    for command in (["sync"], ["run", "true"]):
        done = wtenv(*command, cwd=repo.root)
        assert done.returncode == 2
        assert "keep the base outside of the worktree" in done.stderr
    assert not (repo.root / ".venv").exists()


def test_a_checkout_is_not_on_our_own_path(repo: Repo, wtenv: Wtenv) -> None:
    (repo.root / "argparse.py").write_text("raise SystemExit('ran')\n")
    for value in (":", ".", f"{repo.root}"):
        done = wtenv("status", cwd=repo.root, env={"PYTHONPATH": value})
        assert (done.returncode, done.stderr) == (0, "")


def test_home_of_another_python(repo: Repo, wtenv: Wtenv, tmp_path: Path) -> None:
    """PYTHONHOME leads our own Python to another's modules."""
    library = Path(sysconfig.get_path("stdlib"))
    copy = tmp_path / "python/lib" / library.name
    copy.mkdir(parents=True)
    for place in library.iterdir():
        (copy / place.name).symlink_to(place)
    (copy / "argparse.py").unlink()
    (copy / "argparse.py").write_text("raise SystemExit('ran')\n")
    done = wtenv("status", cwd=repo.root, env={"PYTHONHOME": str(tmp_path / "python")})
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_with_a_newline_says_one_line(home: Home, tmp_path: Path) -> None:
    place = tmp_path / "evil\nwtenv: all is well"
    (place / ".git").mkdir(parents=True)
    (place / "wtenv.toml").write_text(CONFIG.format(base="shared"))
    _, said = enter(home, place)
    assert "is not allowed" in said
    assert len(said.splitlines()) == 1
