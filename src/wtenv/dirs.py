"""Where wtenv keeps its own, by the XDG Base Directory Specification. Strings and `os` alone: this is
imported at every start of a shell."""

from __future__ import annotations

import os

from . import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# What hooks and cached activations of one version agree on. A hook of another version is given this one's text on
# its next export, and what another version has kept lies in another folder.
ABI = f"5-{__version__}"


def find_config(env: Mapping[str, str]) -> str:
    """The user's settings: `$XDG_CONFIG_HOME/wtenv`, else `~/.config/wtenv`."""
    return _find(env, "XDG_CONFIG_HOME", ".config")


def find_data(env: Mapping[str, str]) -> str:
    """Trust and overlay records: `$XDG_DATA_HOME/wtenv`, else `~/.local/share/wtenv`."""
    return _find(env, "XDG_DATA_HOME", ".local/share")


def find_cache(env: Mapping[str, str]) -> str:
    """Rendered activations: `$XDG_CACHE_HOME/wtenv`, else `~/.cache/wtenv`."""
    return _find(env, "XDG_CACHE_HOME", ".cache")


def locate_cached(env: Mapping[str, str]) -> str:
    """The folder that hooks read cached activations from."""
    return os.path.join(find_cache(env), f"v{ABI}")


def find_state(env: Mapping[str, str]) -> str:
    """Logs: `$XDG_STATE_HOME/wtenv`, else `~/.local/state/wtenv`."""
    return _find(env, "XDG_STATE_HOME", ".local/state")


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


def _find(env: Mapping[str, str], name: str, fallback: str) -> str:
    # "If an implementation encounters a relative path in any of these variables it should ignore it."
    value = env.get(name, "")
    return os.path.join(value if os.path.isabs(value) else os.path.join(find_home(env), fallback), "wtenv")
