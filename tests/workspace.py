"""What a person has before wtenv comes in: a home, and a git repository with a linked worktree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BACKENDS = ("setuptools", "setuptools-flat", "hatchling", "flit")
"""The build backends (and layouts) that `make_repo` knows."""

_PASSED_ON = (
    "ALL_PROXY", "CURL_CA_BUNDLE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "PIP_CERT", "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS", "PIP_INDEX_URL", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE", "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX", "UV_INDEX_URL", "UV_NATIVE_TLS", "UV_OFFLINE",
    "all_proxy", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


def wtenv_program() -> Path:
    """The installed command, beside the interpreter that runs the tests."""
    return Path(sys.executable).with_name("wtenv")


@dataclass
class Home:
    """An isolated home folder, and the whole environment of a process that lives in it."""

    path: Path
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, path: Path, cache: Path) -> Home:
        """An empty home with a git identity. `wtenv` is the only program on PATH that the system has not."""
        tools = path.with_name(f"{path.name}-tools")
        for folder in (path, tools):
            folder.mkdir(parents=True)
        (tools / "wtenv").symlink_to(wtenv_program())
        git_config = path / ".gitconfig"
        git_config.write_text(
            "[user]\n\tname = Test\n\temail = test@example.org\n[init]\n\tdefaultBranch = main\n"
            '[commit]\n\tgpgSign = false\n[protocol "file"]\n\tallow = always\n[advice]\n\tdetachedHead = false\n'
        )
        environ = {
            "GIT_CEILING_DIRECTORIES": str(path.parent),
            "GIT_CONFIG_GLOBAL": str(git_config),
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(path),
            "LANG": "C.UTF-8",
            "PATH": f"{tools}:/usr/bin:/bin",
            "TERM": "dumb",
            "UV_CACHE_DIR": str(cache / "uv"),  # what was fetched once is there for every test
        }
        environ |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return cls(path, environ)

    def add_envs_dir(self, envs: Path) -> None:
        """Let environments below `envs` be found by name, as the user of that conda root would."""
        condarc = self.path / ".condarc"
        text = condarc.read_text() if condarc.exists() else "envs_dirs:\n"
        condarc.write_text(f"{text}  - {envs}\n")

    def run(
        self,
        command: Sequence[str | Path],
        cwd: Path,
        *,
        env: Mapping[str, str] | None = None,
        check: bool = False,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in this home; `env` is added. With `check`, failing fails the test and shows why."""
        done = subprocess.run(
            [os.fspath(word) for word in command],
            cwd=cwd,
            env={**self.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done


@dataclass(frozen=True)
class Repo:
    """A git repository with the Python package `pkg`: its main worktree, and one linked worktree."""

    root: Path
    feature: Path
    backend: str
    home: Home

    @property
    def worktrees(self) -> tuple[Path, Path]:
        """Both of them."""
        return (self.root, self.feature)

    @property
    def source(self) -> str:
        """Where `pkg` is in a worktree."""
        return "src/pkg" if self.backend == "setuptools" else "pkg"

    def init_file(self, worktree: Path) -> Path:
        """What `pkg.__file__` has to be in this worktree."""
        return worktree / self.source / "__init__.py"

    def git(self, *words: str | Path, cwd: Path | None = None) -> str:
        """Run git (in the main worktree) and return what it printed."""
        return self.home.run(["git", *words], cwd or self.root, check=True).stdout.strip()

    def commit(self, files: Mapping[str, str], message: str = "change", cwd: Path | None = None) -> None:
        """Write files and commit them on the branch of that worktree."""
        worktree = cwd or self.root
        _write(worktree, files)
        self.git("add", "--all", cwd=worktree)
        self.git("commit", "--quiet", "--message", message, cwd=worktree)

    def add_worktree(self, name: str) -> Path:
        """One more linked worktree, beside the main one, on a branch of that name."""
        path = self.root.parent / name
        self.git("worktree", "add", "--quiet", "-b", name, path)
        return path

    def configure(self, text: str) -> None:
        """Commit `text` as `wtenv.toml` on main, and bring it into the linked worktree."""
        self.commit({"wtenv.toml": text}, "wtenv.toml")
        self.git("merge", "--quiet", "main", cwd=self.feature)


def make_repo(folder: Path, home: Home, backend: str = "setuptools") -> Repo:
    """Make `folder/main`, and `folder/feature` by `git worktree add ../feature`."""
    repo = Repo(folder / "main", folder / "feature", backend, home)
    repo.root.mkdir(parents=True)
    repo.git("init", "--quiet")
    repo.commit(_project(repo), "a package")
    repo.git("worktree", "add", "--quiet", "../feature")
    return repo


def _project(repo: Repo) -> dict[str, str]:
    requires, backend, settings = {
        "setuptools": ("setuptools", "setuptools.build_meta", '[tool.setuptools.packages.find]\nwhere = ["src"]\n'),
        "setuptools-flat": ("setuptools", "setuptools.build_meta", '[tool.setuptools]\npackages = ["pkg"]\n'),
        "hatchling": ("hatchling", "hatchling.build", ""),
        "flit": ("flit_core", "flit_core.buildapi", ""),
    }[repo.backend]
    return {
        ".gitignore": ".venv/\n__pycache__/\n*.egg-info/\n.pytest_cache/\n",
        "pyproject.toml": (
            f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n\n'
            '[project]\nname = "pkg"\nversion = "1.0"\ndescription = "for tests"\n\n'
            f'[project.scripts]\npkg-cli = "pkg.cli:main"\n\n{settings}'
        ),
        f"{repo.source}/__init__.py": '"""A package."""\n',
        f"{repo.source}/cli.py": (
            '"""Says which copy of the package it is."""\n\nimport pkg\n\n\n'
            "def main() -> None:\n    print(pkg.__file__)\n"
        ),
        "tests/test_where.py": "import pkg\n\n\ndef test_where():\n    print(pkg.__file__)\n",
    }


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
