"""What a hook evaluates for one root, whole: `golden/cached.SHELL.txt` is that text, rendered from the data below.

`WTENV_GOLDEN=1 tests/run -k golden` writes the files anew; look at the difference before you commit it. docs/design.md prints
them, part by part.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from wtenv import environ
from wtenv.changes import Activation, Change, CondaLevel
from wtenv.hook.cached import Cached, Watched
from wtenv.hook.shells import ABI, SHELLS
from wtenv.watch import EXACT, LATER, LATER_OR_ABSENT

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
DESIGN = HERE.parent / "docs/design.md"

ROOT, BASE = "/WORK/main", "/BASE/envs/shared"
ACTIVATION = Activation(
    root=ROOT,
    id="ID",
    conda=CondaLevel(BASE, "shared", "(shared) "),
    changes=(
        Change("PATH", "front", f"{ROOT}/.venv/bin:{BASE}/bin"),
        Change("VIRTUAL_ENV", "set", f"{ROOT}/.venv"),
        Change("PYTHONHOME", "unset"),
        Change("NOTE", "set", "it's"),
    ),
)
ENV = {"HOME": "/HOME", "PATH": "/usr/bin:/bin", "NOTE": "mine"}


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch) -> Cached:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return Cached(
        kind="active",
        id="ID",
        message="main (base shared)",
        level="enter",
        watched=(
            Watched(f"{ROOT}/wtenv.toml", "0", EXACT),
            Watched(f"{ROOT}/.git/wtenv.toml", None, EXACT),
            Watched(f"{ROOT}/.venv/bin", "2", LATER),
            Watched("/HOME/.condarc", "3", LATER_OR_ABSENT),
        ),
        witnesses="/CACHE/witnesses/HASH",
        depends_on=(("CONDA_EXE", None), ("HOME", "/HOME")),
        activation=ACTIVATION,
        shortcut=environ.specialise(ENV, ACTIVATION),
        leave_message="left main",
        own=ROOT,
        real="/DISK/main",
        links=(("/WORK", "/DISK"),),
    )


@pytest.mark.parametrize("name", SHELLS)
def test_golden(name: str, cached: Cached) -> None:
    text, file = SHELLS[name].render_cached(cached).replace(ABI, "ABI"), GOLDEN / f"cached.{name}.txt"
    if os.environ.get("WTENV_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), "if this is meant: WTENV_GOLDEN=1 tests/run -k golden, and docs/design.md"


@pytest.mark.parametrize("name", SHELLS)
def test_design_prints_it_whole(name: str) -> None:
    """Its blocks in that language, one after the other."""
    chapter = DESIGN.read_text().partition("## A cached activation, part by part\n")[2].partition("\n## ")[0]
    blocks = re.findall(rf"^```{name}\n(.*?)^```$", chapter, re.M | re.S)
    assert "".join(blocks) == (GOLDEN / f"cached.{name}.txt").read_text()


@pytest.mark.parametrize("name", SHELLS)
def test_design_explains_each_part(name: str) -> None:
    """Each block is followed by two sentences at least, none by another block."""
    chapter = DESIGN.read_text().partition("## A cached activation, part by part\n")[2].partition("\n## ")[0]
    for words in re.split(rf"^```{name}\n.*?^```$", chapter, flags=re.M | re.S)[1:]:
        assert len(re.findall(r"[.:](?=\s|$)", words.partition("```")[0])) >= 2, words
