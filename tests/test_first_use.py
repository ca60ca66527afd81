"""From an empty home to plain `pytest` in two worktrees: what the README counts is what a real bash was given."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from benchmarks.first_use import WAYS, play
from realbase import Base
from scenes import snapshot

README = Path(__file__).resolve().parents[1] / "README.md"
COUNTED = {way: (int(number), words) for way, number, words in re.findall(
    r"^\| ([^|]+) \| (\d+) \| (yes|no)\b[^|]*\|$", README.read_text(), re.M)}  # fmt: skip


@pytest.mark.parametrize("way", ["wtenv", "uv, in the active environment", "direnv and uv"])
def test_what_the_readme_counts(way: str, base: Base, tmp_path: Path) -> None:
    before = snapshot(base.site_packages)
    if "direnv" in way and not shutil.which("direnv"):
        pytest.skip("direnv is not installed")
    commands, _, right, transcript = play(way, base, tmp_path)
    assert (commands, "yes" if all(right) else "no") == COUNTED[way], transcript
    assert len(right) == 2
    assert snapshot(base.site_packages) == before
    assert way in WAYS
