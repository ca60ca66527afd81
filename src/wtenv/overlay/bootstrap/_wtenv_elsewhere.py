# mypy: ignore-errors
"""What the overlay's Python does if it is started in another worktree: it becomes `wtenv run` there, or does not run.

`_wtenv_bootstrap` imports this if the nearest `.git` is not that of the overlay's own worktree. An interpreter that was
named by its path is obeyed. One that was found through PATH belongs to the worktree where it is started, and so does a
script of the overlay. Runs on every Python from 3.8 on.
"""

import os
import sys

SHORT = 4096  # tomllib parses no longer text: its time may grow with the square of the length


def leave_for(place, root, command):
    """If the overlay of the worktree `root` is the wrong one in the worktree `place`, become `wtenv run` there, with
    the same command line. command: how wtenv is started."""
    words = find_command()
    if words is None or not _is_start():
        return
    git_dir, common = _find_git(place)
    # A bare repository is no worktree, nor is the folder above its worktrees, whose `.git` leads to it.
    bare = git_dir is not None and git_dir == common and _is_bare(common)
    inside = common is not None and not (bare and os.path.isfile(place + "/.git"))
    configs = [place + "/wtenv.toml"] + ([common + "/wtenv.toml"] if inside else [])
    configs = [file for file in configs if os.path.lexists(file)]
    if configs:
        if _is_own(place, configs):
            return
    elif bare or common is None or common != _find_git(root)[1]:
        return
    setting = _read_setting()
    if setting == "ignore":
        return
    if setting == "warn":
        _say("this is %s, but %s is the overlay of %s" % (place, sys.prefix, root))
        return
    try:
        os.stat(command[-1])
        os.execve(command[0], command + ["__follow", sys.prefix, root] + words, os.environ)
    except OSError as error:
        what = "%s is not the worktree that %s is for" % (place, sys.prefix)
        why = "the wtenv that made it can't be started (%s: %s)" % (command[-1], error.strerror)
        _say("%s, and %s; install wtenv again, and run: wtenv sync" % (what, why))
    os._exit(126)  # SystemExit in a .pth file is a fatal error to Python


def find_command():
    """The command line as it was typed, if its program was found through PATH; else None."""
    words = list(getattr(sys, "orig_argv", ())) or _read_arguments()
    # A program that embeds Python has another name, or no command line.
    if not words or not os.path.basename(words[0]).startswith(("python", "pypy", "graalpy")):
        return None
    own = sys.prefix + "/bin"
    real = os.path.realpath(own)
    entries = os.environ.get("PATH", "").split(":")
    if own not in entries and not any(entry and os.path.realpath(entry) == real for entry in entries):
        return None
    if "/" not in words[0]:
        return words
    # The kernel starts a script as: path of the interpreter, path of the script (execve(2)).
    at = _find_script(words)
    place = words[at] if at < len(words) else ""
    for _ in range(40):  # as many links as Linux follows
        folder, name = os.path.split(place)
        if folder and os.path.realpath(folder) == real:
            return [name] + words[at + 1 :]
        if not os.path.islink(place):
            break
        place = os.path.join(folder, os.readlink(place))  # a link from elsewhere to a script of the overlay
    return None


def _read_arguments():
    """The command line; Python before 3.10 has no `sys.orig_argv`."""
    try:
        with open("/proc/self/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    except OSError:
        return []


def _find_script(words):
    """The index of the script among Python's arguments; beyond the last if there is none (python(1))."""
    at = 1
    while at < len(words):
        word = words[at]
        if not word.startswith("-") or word == "-":
            return at
        at += 1
        if word == "--":
            return at
        if word == "--check-hash-based-pycs":
            at += 1
        elif not word.startswith("--"):
            for index, letter in enumerate(word[1:], 2):
                if letter in "cm":
                    return len(words)
                if letter in "WX":
                    at += index == len(word)  # its argument is the next word
                    break
    return at


def _is_start():
    """Whether this is the start of the main interpreter, and not of a subinterpreter, nor a later `site.main()`."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    if "importlib._bootstrap" not in frame.f_code.co_filename:  # Python's own import of site
        return False
    import _signal

    try:
        number = _signal.set_wakeup_fd(-1)
    except ValueError:  # only in the main interpreter
        return False
    if number != -1:
        _signal.set_wakeup_fd(number)
    return True


def _find_git(root):
    """The git folder of a worktree, and its clone's git common dir (gitrepository-layout(5)); None if they are not
    known. The `.git` file alone counts here. wtenv itself looks whether the link holds both ways."""
    git = root + "/.git"
    if os.path.isdir(git):
        real = os.path.realpath(git)
        return real, real
    text = _read(git)
    if not text.startswith("gitdir: ") or "\0" in text:
        return None, None
    folder = os.path.realpath(os.path.join(root, text[len("gitdir: ") :].rstrip("\r\n")))
    common = _read(folder + "/commondir").rstrip("\r\n")
    return folder, os.path.realpath(os.path.join(folder, common.replace("\0", "")))


def _is_bare(common):
    # With extensions.worktreeConfig the key may be in config.worktree (git-worktree(1)).
    values = (_get(common + name, "core", "bare") for name in ("/config.worktree", "/config"))
    return (next(filter(None, values), None) or "").lower() in ("true", "yes", "on", "1")


def _is_own(place, configs):
    """Whether the config of the worktree `place` names this overlay. Then `place` is a repository of the same stack, or
    the own worktree, which was moved. configs: the repo's, then the clone's, whose keys win. Nobody has allowed them,
    so they can name an overlay only below their own folder."""
    folder, venv = place, None
    for file in configs:
        stack = _get(file, "wtenv", "extends")
        if stack is not None:
            file = os.path.realpath(os.path.join(place, os.path.expanduser(stack)))
            if _get(file, "wtenv", "kind") != "stack":
                return False
            folder = os.path.dirname(file)
        venv = _get(file, "python", "venv") or venv
    wanted = os.path.normpath(os.path.join(folder, os.path.expanduser(venv or ".venv")))
    if os.path.islink(wanted) or os.path.islink(sys.prefix):
        return False  # an overlay that is a link is not wtenv's
    if not os.path.realpath(wanted).startswith(os.path.realpath(folder).rstrip("/") + "/"):
        return False
    try:
        return os.path.samefile(wanted, sys.prefix)
    except OSError:
        return False


def _read_setting():
    """The user's setting, `[elsewhere] python`."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(folder):
        folder = os.path.join(os.path.expanduser("~"), ".config")
    return _get(folder + "/wtenv/config.toml", "elsewhere", "python")


def _get(file, table, key):
    """The text at `key` of a TOML or a git config file; None if there is none. It is searched line by line. If it is
    written in another form, Python's TOML parser is asked, if there is one and the file is short: nobody has allowed
    the file yet."""
    text = _read(file)
    if key not in text:
        return None
    section = ""
    for line in text.split("\n"):
        line = line.strip()
        if line.startswith("["):
            section = line.partition("]")[0].strip("[ \t")
            continue
        name, _, value = line.partition("=")
        name, value = name.strip(), value.strip()
        if name == key and section == table or name == table + "." + key and not section:
            quote = value[:1]
            if quote not in ("'", '"'):
                return value
            if not (value.startswith(quote * 3) or quote == '"' and "\\" in value):
                return value[1:].partition(quote)[0]
    if len(text) > SHORT:
        return None
    try:
        import tomllib

        found = tomllib.loads(text)[table][key]
    except Exception:
        return None
    return found if isinstance(found, str) else None


def _read(file):
    """The content of a regular file (a fifo would never end), or nothing."""
    try:
        if os.path.isfile(file):
            with open(file, encoding="utf-8", errors="surrogateescape") as stream:
                return stream.read(1 << 20)
    except (OSError, ValueError):
        pass
    return ""


def _say(text):
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    try:
        os.write(2, ("wtenv: %s\n" % text).encode("utf-8", "backslashreplace"))
    except OSError:
        pass
