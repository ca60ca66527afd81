"""Whatever starts the base's Python by a plain name: right in an active worktree, or said by doctor and a first sync.

Each form is run for real on a base that has its own copy of the worktree's package.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from realbase import VERSION, Base, copy_base
from scenes import CONFIG, Scene, make_scene

from wtenv.overlay import wrappers
from wtenv.overlay.manifest import Manifest, read_manifest

BODY = "import pkg, sys\nprint(pkg.__file__, *sys.argv[1:])\n"
EXEC = '"$0" "$@"'

# How the script is made right. The forms are those of conda (also noarch and long prefixes), conda-build, pip, distlib,
# uv (also relocatable), zipapp, shiv and pex, virtualenv of old, Debian, and what people write.
WRAPPER = {
    "plain": "#!{P}/python\n",
    "three": "#!{P}/python3\n",
    "versioned": "#!{P}/python{M}\n",
    "blanks": "#! {P}/python{M} \n",
    "flags": "#!{P}/python -sE\n",
    "real-prefix": "#!{R}/python{M}\n",
    "python-semantic-release": "#!{P}/python\n",
    "python3-tool": "#!{P}/python3\n",
    "pythonic": "#!{P}/python\n",
    "pypy-stats": "#!{P}/python\n",
    "-dash": "#!{P}/python\n",
    ".hidden": "#!{P}/python\n",
    "ünï.py": "#!{P}/python\n",
    "carriage-return": "#!{P}/python\r\n",
    "env": "#!/usr/bin/env python\n",
    "env-versioned": "#!/usr/bin/env python{M}\n",
    "env-path": "#!/usr/bin/env {P}/python\n",
    "env-split": "#!/usr/bin/env -S python3 -u\n",
    "env-split-path": "#!/usr/bin/env -S {P}/python -E -s\n",
    "env-split-long": "#!/usr/bin/env --split-string={P}/python\n",
    "distlib": "#!/bin/sh\n'''exec' {P}/python " + EXEC + "\n' '''\n",
    "conda-long": "#!/bin/sh\n'''exec' \"{P}/python{M}\" " + EXEC + " #'''\n",
    "conda-flags": "#!/bin/sh\n'''exec' \"{P}/python\" -E -s " + EXEC + " #'''\n",
    "uv": "#!/bin/sh\n'''exec' '{P}/python3' " + EXEC + "\n' '''\n",
    "uv-relocatable": "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' " + EXEC + "\n' '''\n",
    "virtualenv": '#!/bin/sh\n"exec" "`dirname $0`/python" ' + EXEC + "\n",
    "ours": '#!/bin/sh\n"exec" \'{P}/python\' "-u" ' + EXEC + "\n",
    "four-quotes": "#!/bin/sh\n''''exec {P}/python -u -- " + EXEC + " # '''\n",
    "two-lines": '#!/bin/sh\n""":"\nexec {P}/python ' + EXEC + '\n"""\n',
    "bash": "#!/bin/bash\n# -*- python -*-\n''':'\nexec {P}/python " + EXEC + "\n'''\n",
    "env-bash": '#!/usr/bin/env bash\n":"\n"exec" "{P}/python" ' + EXEC + "\n",
    "one-line": "#!/bin/sh\n''':'; exec {P}/python " + EXEC + " #'''\n",
    "args-of-old": "#!/bin/sh\n'''exec' {P}/python \"$0\" ${{1+\"$@\"}} #'''\n",
    "exec-env": '#!/bin/sh\n"exec" "/usr/bin/env" "python" ' + EXEC + "\n",
    "exec-env-path": '#!/bin/sh\n"exec" "env" "{P}/python" ' + EXEC + "\n",
}

# No wrapper, and right: they ask PATH.
BY_PATH = {
    "env-variable": "#!/usr/bin/env -S PKG_X=1 python -u\n" + BODY,
    "env-unset": "#!/usr/bin/env -S -u PKG_X python\n" + BODY,
    "sh-by-name": '#!/bin/sh\nexec python -c "import pkg; print(pkg.__file__)"\n',
    "sh-env": '#!/bin/bash\n/usr/bin/env python3 -c "import pkg; print(pkg.__file__)"\n',
    "venv-variable": '#!/bin/sh\nexec "$VIRTUAL_ENV/bin/python" -c "import pkg; print(pkg.__file__)"\n',
}

# No wrapper, and wrong: name -> text and what is said.
SHOW = ' -c "import pkg; print(pkg.__file__)"\n'
SAID = {
    "env-variable-path": ("#!/usr/bin/env -S PKG_X=1 {P}/python\n" + BODY, "its first lines start {P}/python"),
    "exported": (
        "#!/bin/sh\n''':'\nexport PKG_X=1\nexec {P}/python " + EXEC + "\n'''\n" + BODY,
        "its first lines start {P}/python",
    ),
    "new\nline": ("#!{P}/python\n" + BODY, "its first lines start {P}/python"),
    "sh-path": ("#!/bin/sh\nexec {P}/python" + SHOW, "it mentions {P}/python"),
    "sh-real": ("#!/bin/bash -e\n{R}/python{M}" + SHOW, "it mentions {R}/python{M}"),
    "sh-conda-prefix": (
        '#!/bin/sh\nexec "${{CONDA_PREFIX}}/bin/python"' + SHOW,
        "it mentions ${{CONDA_PREFIX}}/bin/python",
    ),
    "sh-beside": ('#!/bin/sh\nexec "$(dirname "$0")/python"' + SHOW, 'it mentions $(dirname "$0")/python'),
    "sh-here": ('#!/bin/sh\nhere=${{0%/*}}\n"$here"/python' + SHOW, 'it mentions $here"/python'),
    "sh-script": ('#!/bin/sh\nexec {P}/plain "$@"\n', "it mentions {P}/plain"),
    "no-first-line": ('exec {P}/python -x "$0" # \\\n' + BODY, "it mentions {P}/python"),
    "pythonw": ("#!/bin/sh\nexec {P}/python" + SHOW, "it is another Python of the base"),
    "python3.8": ("#!/bin/sh\necho /elsewhere\n", "it is another Python of the base"),
    "python3.13t": ("#!/bin/sh\necho /elsewhere\n", "it is another Python of the base"),
    "of-another": ("#!{P}/python3.8\n", "it runs on {P}/python3.8, another Python of the base"),
    "of-another-env": ("#!/usr/bin/env python3.8\n", "it runs on {P}/python3.8, another Python of the base"),
}

# They start no Python of the base, or tell what it is like.
OTHERS = {
    "shell": "#!/bin/sh\necho hello\n",
    "sh-itself": '#!/bin/sh\nexec sudo "$0" "$@"\n',
    "python3-config": "#!{P}/python\n",
    "python{M}-config": "#!/bin/sh\necho {P}/python\n",
    "conda": "#!{P}/python\n",
    "of-the-system": "#!/usr/bin/python3\n",
    "of-another-prefix": "#!/bin/sh\n'''exec' /other/bin/python " + EXEC + "\n' '''\n",
    "of-perl": "#!/usr/bin/perl\n# {P}/python\n",
    "binary": "\x7fELF\0{P}/python",
    "nothing": "",
    "nothing-to-start": "#!\n",
    "env-of-nothing": "#!/usr/bin/env\n",
    "unclosed": "#!/bin/sh\n'''exec' \"unclosed\n",
}


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o755)


def zip_app(head: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("inside.py", BODY)
        archive.writestr("__main__.py", "import inside\n")
    return head.encode() + data.getvalue()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Scene:
    """A worktree on a base with all of them, and with a copy of the worktree's package."""
    folder = tmp_path_factory.mktemp("scripts")
    copy = copy_base(base, folder / "miniforge3", "fresh")
    (folder / "link").symlink_to(copy.prefix)
    texts = {name: head + BODY for name, head in WRAPPER.items()} | BY_PATH | {n: text for n, (text, _) in SAID.items()}
    for name, text in (texts | OTHERS).items():
        write(copy.bin / fill(name, copy), fill(text, copy))
    write(copy.bin / "zipapp", zip_app(f"#!{copy.bin}/python -I\n"))
    write(copy.bin / "zipapp-env", zip_app("#!/usr/bin/env python3\n"))
    write(copy.site_packages / "linked/__init__.py", "")
    write(copy.site_packages / "linked/beside.py", BODY)
    write(copy.site_packages / "linked/tool.py", f"#!{copy.bin}/python\nimport beside\n")
    (copy.bin / "linked").symlink_to(f"../lib/python{VERSION}/site-packages/linked/tool.py")
    (copy.bin / "python3.1").symlink_to("python3")  # conda's Python has this one
    write(copy.site_packages / "pkg/__init__.py", "")
    return make_scene(folder, copy, CONFIG, sync=False)


def fill(text: str, base: Base) -> str:
    if "{" not in text:
        return text
    return text.format(P=base.bin, R=f"{base.root.parent}/link/bin", M=VERSION)


@pytest.fixture(scope="module")
def synced(scene: Scene) -> str:
    """What the first sync says."""
    return scene("sync", check=True).stderr


@pytest.fixture(scope="module")
def start(scene: Scene, synced: str) -> Callable[[str], str]:
    """Runs a plain name in the active worktree."""
    exported = json.loads(scene("export", "json", check=True).stdout)
    environ = scene.home.environ | {name: value for name, value in exported.items() if value}

    def run(*words: str) -> str:
        command = ["sh", "-c", '"$@"', "sh", *words]
        done = subprocess.run(
            command, env=environ, cwd=scene.root / "tests", capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()

    return run


@pytest.mark.parametrize("name", [*WRAPPER, "zipapp", "zipapp-env", "linked"])
def test_a_wrapper_imports_the_worktrees_copy(name: str, scene: Scene, start: Callable[..., str]) -> None:
    assert start(name, "a b", "-x") == f"{scene.repo.init_file(scene.root)} a b -x"
    assert wrappers.read_wrapper(f"{scene.root}/.venv/bin/{name}")


@pytest.mark.parametrize("name", BY_PATH)
def test_by_path(name: str, scene: Scene, start: Callable[..., str]) -> None:
    assert start(name) == str(scene.repo.init_file(scene.root))
    assert not os.path.lexists(scene.root / ".venv/bin" / name)


@pytest.mark.parametrize("name", ["python", "python3", f"python{VERSION}", "python3.1"])
def test_every_name_of_the_bases_python(name: str, scene: Scene, start: Callable[..., str]) -> None:
    assert start(name, "-c", "import pkg; print(pkg.__file__)") == str(scene.repo.init_file(scene.root))
    assert not wrappers.read_wrapper(f"{scene.root}/.venv/bin/{name}")


def test_the_others_are_said(scene: Scene, synced: str, start: Callable[..., str]) -> None:
    home = scene.home.path
    write(home / ".local/bin/of-a-user", f"#!{scene.base.bin}/python\n{BODY}")
    write(home / ".local/bin/plain", f"#!{scene.base.bin}/python\n{BODY}")  # the overlay's comes before it
    write(home / ".local/bin/unrelated", "#!/bin/sh\nexec $here/python\n")
    manifest = read_manifest(scene.root / ".venv")
    assert manifest is not None
    places, taken = [str(scene.base.bin), str(home / ".local/bin")], os.listdir(scene.root / ".venv/bin")
    found = wrappers.find_others(manifest, places, taken)
    wanted = {str(scene.base.bin / name): fill(why, scene.base) for name, (_, why) in SAID.items()}
    wanted[f"{home}/.local/bin/of-a-user"] = f"its first lines start {scene.base.bin}/python"
    assert found == wanted
    # They are wrong, or it would be a false alarm.
    right = [name for name in SAID if "another" not in SAID[name][1] and start(name).startswith(str(scene.root))]
    assert not right
    path = f"{home}/.local/bin:{scene.home.environ['PATH']}"
    said = scene("doctor", env={"PATH": path}).stdout
    lines = [line.strip() for line in said[said.index("note     wrappers") :].splitlines()]
    for place, why in wanted.items():
        assert f"{place}: {why}".replace("\n", "\\n") in lines
    assert "not every program of the base runs on the overlay's Python (" in synced
    assert synced.count("see: wtenv doctor") == 1
    assert "not every program" not in scene("sync", "--reinstall", check=True).stderr


@pytest.mark.parametrize("name", OTHERS)
def test_what_has_no_wrapper(name: str, scene: Scene, synced: str) -> None:
    assert not os.path.lexists(scene.root / ".venv/bin" / fill(name, scene.base))


def test_a_base_with_nothing_odd_is_quiet(tmp_path: Path, base: Base) -> None:
    scene = make_scene(tmp_path, base, CONFIG.replace('"."', ""), sync=False)
    assert "not every program" not in scene("sync", check=True).stderr
    said = scene("doctor").stdout
    assert "ok       wrappers" in said, said


def make_manifest(base: Path, *sites: str) -> Manifest:
    program = os.path.realpath(base / "bin/python3")
    fields = {"token": "", "root": "", "venv": "", "interpreter_id": "", "python_version": "3.11.2", "site": ()}
    return Manifest(base=str(base), base_bin=f"{base}/bin", base_site=sites, interpreter=program, **fields)  # type: ignore[arg-type]


def test_scripts_of_usr_local(tmp_path: Path) -> None:
    """Debian's Python installs into /usr/local, whose scripts are the base's, too."""
    usr = tmp_path / "usr"
    write(usr / "bin/python3", "")
    for name, folder in {"apt-tool": "bin", "both": "bin", "pip-tool": "local/bin"}.items():
        write(usr / folder / name, f"#!{usr}/bin/python3\n")
    write(usr / "local/bin/both", "#!/bin/sh\n")
    write(usr / "local/bin/apt-tool", f"#!{usr}/bin/python3 -I\n")
    manifest = make_manifest(usr, f"{usr}/local/lib/python3.11/dist-packages", f"{usr}/lib/python3/dist-packages")
    assert manifest.bins == (f"{usr}/bin", f"{usr}/local/bin")
    assert wrappers.find_scripts(manifest) == {"apt-tool": "", "both": "", "pip-tool": ""}
    layered = make_manifest(tmp_path / "venv", f"{tmp_path}/venv/lib/python3.11/site-packages", *manifest.base_site)
    assert layered.bins == (f"{tmp_path}/venv/bin",)


def test_a_virtual_environment_as_base(tmp_path: Path) -> None:
    """What runs on the Python behind it does not see its packages: that is another one."""
    venv = tmp_path / "venv"
    write(tmp_path / "real/bin/python3.11", "")
    write(venv / "pyvenv.cfg", "")
    (venv / "bin").mkdir()
    (venv / "bin/python3").symlink_to(tmp_path / "real/bin/python3.11")
    write(venv / "bin/own", f"#!{venv}/bin/python3\n")
    write(venv / "bin/behind", f"#!{tmp_path}/real/bin/python3.11\n")
    assert wrappers.find_scripts(make_manifest(venv)) == {"own": ""}
    (venv / "pyvenv.cfg").unlink()
    assert wrappers.find_scripts(make_manifest(venv)) == {"own": "", "behind": ""}


def test_what_can_be_read_and_run(tmp_path: Path) -> None:
    prefix = tmp_path / "real"
    write(prefix / "bin/python3", "")
    head = f"#!{prefix}/bin/python3\n"
    write(prefix / "bin/good", head)
    write(prefix / "bin/no-exec", head)
    (prefix / "bin/no-exec").chmod(0o644)
    write(prefix / "bin/bytes", b"#!\xff\xfe/python\n")
    (prefix / "bin/folder").mkdir()
    (prefix / "bin/dangling").symlink_to("nowhere")
    (prefix / "bin/alias").symlink_to("good")
    os.mkfifo(prefix / "bin/fifo")
    (tmp_path / "link").symlink_to("real")
    for place in (prefix, tmp_path / "link"):
        assert wrappers.find_scripts(make_manifest(place)) == {"good": "", "alias": ""}
        assert wrappers.find_others(make_manifest(place), [f"{place}/bin"], ()) == {}
    assert wrappers.find_scripts(make_manifest(tmp_path / "nowhere")) == {}
