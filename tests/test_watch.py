"""Watched paths: which change of one counts, told alike by the three shells and by `wtenv status`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wtenv.hook import cached
from wtenv.hook.cached import Cached
from wtenv.hook.shells import SHELLS
from wtenv.watch import EXACT, LATER, LATER_OR_ABSENT, Mode

HOUR = 3600 * 10**9

CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a later time": lambda path: os.utime(path, ns=(path.stat().st_mtime_ns + 1000,) * 2),
    "an earlier time": lambda path: os.utime(path, ns=(path.stat().st_mtime_ns - 1000,) * 2),
    "gone": lambda path: path.unlink(),
}
COUNTS: dict[Mode, set[str]] = {
    EXACT: {"a later time", "an earlier time", "gone"},
    LATER: {"a later time"},
    LATER_OR_ABSENT: {"a later time", "gone"},
}
CASES = [(mode, change) for mode in COUNTS for change in CHANGES]
LOOK = {
    "bash": "if __wtenv_check __wtenv_no; then echo same; else echo changed; fi",
    "fish": 'if test "" $__wtenv_stale; echo changed; else; echo same; end',
}


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize(
    ("age", "whole", "relied_on"),
    [
        (-HOUR, False, (True, True)),  # in the future: it is watched for any other time
        (0, False, (False, False)),
        (40_000_000, False, (False, False)),  # within a tick of a slow clock
        (60_000_000, False, (True, False)),
        (1_900_000_000, False, (True, False)),
        (2_100_000_000, False, (True, True)),
        (900_000_000, True, (False, False)),  # of whole seconds: so it may be with all times there
        (3_100_000_000, True, (True, True)),
    ],
)
def test_just_written_is_not_relied_on(
    age: int, whole: bool, relied_on: tuple[bool, bool], coarse: bool, tmp_path: Path
) -> None:
    """It may change once more, and its time stay the same (racy-git in git's documentation)."""
    path = tmp_path / "path"
    path.touch()
    started = (time.time_ns() // 10**9 - 10) * 10**9 + 950_000_000
    later = started - age
    later = later // 10**9 * 10**9 if whole else later + 1
    os.utime(path, ns=(later, later))
    kept = cached.witness({path: EXACT}, "/root", started, {"HOME": str(tmp_path)}, low_resolution=coarse)
    assert (kept is not None) == relied_on[coarse]


@pytest.mark.parametrize("name", SHELLS)
def test_which_change_counts(name: str, tmp_path: Path) -> None:
    """Each mode with each change; and a path that appears, in any mode."""
    program, language = shutil.which(name), SHELLS[name]
    if program is None:
        pytest.skip(f"{name} is not installed")
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    started = time.time_ns() - HOUR
    text = (
        ["function __wtenv_no; return 1; end"] if name == "fish" else ["__wtenv_no() { return 1; }", "__wtenv_pwd=$PWD"]
    )
    text += [] if name == "fish" else ["__wtenv_below= __wtenv_real_root= __wtenv_relative_root=."]
    expected, told = [], []
    for number, (mode, change) in enumerate([*CASES, *((mode, "appears") for mode in COUNTS)]):
        root, path = tmp_path / f"root{number}", tmp_path / f"path{number}"
        if change != "appears":
            path.touch()
            os.utime(path, ns=(started - HOUR + 123_456_789,) * 2)
        kept = cached.witness({path: mode}, str(root), started, env)
        assert kept
        answer = Cached("unbuilt", "", "", "", kept[1], kept[0], (), None)
        assert cached.store(answer, language.render_cached(answer), str(root), name, env)
        path.touch() if change == "appears" else CHANGES[change](path)
        once, load = language.render_watch(answer)
        text += [language.assign.format("__wtenv_witnesses", language.quote(kept[0])), once, load]
        text.append(LOOK.get(name, LOOK["bash"]))
        is_change = change == "appears" or change in COUNTS[mode]
        expected.append("changed" if is_change else "same")
        told.append("changed" if cached.find_change({path: mode}, str(root), name, env) else "same")
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
    done = subprocess.run(
        [program, *options, "-c", "\n".join(text)], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == expected
    assert told == expected
