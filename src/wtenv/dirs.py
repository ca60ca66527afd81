"""Where wtenv keeps its own, by the XDG Base Directory Specification. Strings and `os` alone: this is
imported at every start of a shell.

Where a sandbox lets nothing be written there, it is kept in this user's own folder of the temporary directory. What
counts is what can be written: outside of the sandbox nothing is read from there.
"""

from __future__ import annotations

import os
import sys

from . import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# What hooks and cached activations of one version agree on. A hook of another version is given this one's text on
# its next export, and what another version has kept lies in another folder.
ABI = f"5-{__version__}"

# The variable that names the folder, and where it is below the home if there is none.
_DATA = ("XDG_DATA_HOME", ".local/share")
_CACHE = ("XDG_CACHE_HOME", ".cache")
_STATE = ("XDG_STATE_HOME", ".local/state")
_TEMPORARY = {_DATA: "data", _CACHE: "cache", _STATE: "state"}


def find_config(env: Mapping[str, str]) -> str:
    """The user's settings: `$XDG_CONFIG_HOME/wtenv`, else `~/.config/wtenv`."""
    return _name(env, "XDG_CONFIG_HOME", ".config")


def find_data(env: Mapping[str, str]) -> str:
    """Trust and overlay records: `$XDG_DATA_HOME/wtenv`, else `~/.local/share/wtenv`."""
    return _find(env, *_DATA)


def list_data(env: Mapping[str, str]) -> list[str]:
    """Where records are read: where they are written, and in the folder of the user's that can't be written."""
    return list(dict.fromkeys([find_data(env), _name(env, *_DATA)]))


def name_own(env: Mapping[str, str]) -> tuple[str, str]:
    """The user's own folders of data and cached activations, whether they can be written or not: for what outlives this
    session and names them, as a line in a rc file does. One in the temporary directory is gone some day, and then
    anybody's who makes it."""
    return _name(env, *_DATA), os.path.join(_name(env, *_CACHE), f"v{ABI}")


def find_cache(env: Mapping[str, str]) -> str:
    """Rendered activations: `$XDG_CACHE_HOME/wtenv`, else `~/.cache/wtenv`."""
    return _find(env, *_CACHE)


def locate_cached(env: Mapping[str, str]) -> str:
    """The folder that hooks read cached activations from."""
    return os.path.join(find_cache(env), f"v{ABI}")


def locate_command(env: Mapping[str, str]) -> str:
    """The folder with a link to this wtenv, which an activation puts at the end of PATH; "" where none is needed.

    A wtenv that was installed into an environment of conda's is found while that is active. Entering a worktree takes
    the active one off PATH, as `conda activate` does.
    """
    if not os.path.isdir(f"{sys.prefix}/conda-meta") or not os.path.exists(f"{sys.prefix}/bin/wtenv"):
        return ""
    folder = f"{locate_cached(env)}/bin"
    return "" if ":" in folder else folder


def find_state(env: Mapping[str, str]) -> str:
    """Logs: `$XDG_STATE_HOME/wtenv`, else `~/.local/state/wtenv`."""
    return _find(env, *_STATE)


def find_uv_cache(env: Mapping[str, str]) -> str:
    """Where uv's cache has to be, since its own place can't be written; "" if it can, or if the user has named one."""
    own = os.path.join(os.path.dirname(_name(env, *_CACHE)), "uv")
    if env.get("UV_CACHE_DIR") or _is_usable(own, "" if os.path.isabs(env.get(_CACHE[0], "")) else find_home(env)):
        return ""
    other = find_temporary(env)
    return os.path.join(other, "uv") if other else ""


def list_moved(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each of these folders that can't be written, and the one that takes its place."""
    pairs = [(_name(env, *which), _find(env, *which)) for which in (_DATA, _CACHE, _STATE)]
    return [(own, used) for own, used in pairs if own != used]


def find_home(env: Mapping[str, str]) -> str:
    """`$HOME` if it is an absolute path, else what the password database says, else `/`."""
    home = env.get("HOME", "")
    if os.path.isabs(home):
        return home
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"


def _name(env: Mapping[str, str], name: str, fallback: str) -> str:
    # "If an implementation encounters a relative path in any of these variables it should ignore it."
    value = env.get(name, "")
    return os.path.join(value if os.path.isabs(value) else os.path.join(find_home(env), fallback), "wtenv")


def _find(env: Mapping[str, str], name: str, fallback: str) -> str:
    own = _name(env, name, fallback)
    if _is_usable(own, "" if os.path.isabs(env.get(name, "")) else find_home(env)):
        return own
    other = find_temporary(env)
    return os.path.join(other, _TEMPORARY[name, fallback]) if other else own


def _is_usable(folder: str, home: str) -> bool:
    """Whether `folder` can be written, or made. It is no reason to create somebody's home (HOME=/nonexistent, as
    Debian's nobody has it), nor for root to leave files in another user's (`sudo -s`), who could not write to them."""
    try:
        if home and os.getuid() == 0 and os.stat(home).st_uid != 0:
            return False
        if os.access(folder, os.W_OK):
            return True
        if os.path.lexists(folder):  # another user's is a mistake, which is said
            return os.stat(folder).st_uid != os.getuid()
    except OSError:
        return False
    if home and not os.path.isdir(home):
        return False
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK)


def find_temporary(env: Mapping[str, str]) -> str:
    """This user's folder in the temporary directory, there or not; "" if there can be none that is theirs alone. Never
    one in a worktree, nor a clone of that name: what a checkout brings there is not ours."""
    import stat
    from pathlib import Path

    from .access import find_exposure

    for place in dict.fromkeys((env.get("TMPDIR", ""), "/tmp")):
        name = f"wtenv-{os.getuid()}"
        folder, real = os.path.join(place, name), os.path.realpath(place)
        if not os.path.isabs(place) or not os.path.isdir(real) or _has_git(os.path.join(real, name)):
            continue
        try:
            info = os.lstat(folder)
            is_own = stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid() and not info.st_mode & 0o077
        except FileNotFoundError:
            is_own = True
        except OSError:
            continue
        if (
            is_own
            and os.access(folder if os.path.lexists(folder) else real, os.W_OK)
            and not find_exposure(Path(folder))
        ):
            return folder
    return ""


def _has_git(folder: str) -> bool:
    while not os.path.lexists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return False
        folder = above
    return True
