"""Names: of variables, and which of them nothing but their owner may set; of distributions.

A light module: the hook's text has the list in it, and is printed at every start of a shell.
"""

from __future__ import annotations

PREFIX = "WTENV_"

# What a shell owns, or would run, or what changes how it reads a line: whoever sets one of these decides what the
# shell executes, or breaks it. NAME_* stands for every name whose first part it is. The sources: bash(1) "Shell
# Variables" to 5.3, zshparam(1) and the modules' pages to 5.9, fish "Special variables" to 4;
# tests/test_names.py asks the shells themselves.
_SHELLS = """
    _ PWD OLDPWD SHLVL PPID UID EUID GID EGID HOME USERNAME IFS ENV PS0 PS1 PS2 PS3 PS4 REPLY TMOUT
    MAIL MAILCHECK MAILPATH CDPATH COLUMNS LINES LINENO RANDOM SECONDS OPTIND OPTARG OPTERR FCEDIT HISTFILE HISTSIZE
    HISTCMD FUNCNEST

    BASH BASH_* BASHOPTS BASHPID SHELLOPTS COMP_* COMPREPLY COPROC READLINE_* INPUTRC PROMPT_COMMAND PROMPT_DIRTRIM
    FUNCNAME GROUPS SRANDOM EPOCHSECONDS EPOCHREALTIME DIRSTACK PIPESTATUS POSIXLY_CORRECT TIMEFORMAT MAPFILE
    GLOBIGNORE GLOBSORT EXECIGNORE FIGNORE IGNOREEOF ignoreeof HISTCONTROL HISTFILESIZE HISTIGNORE HISTTIMEFORMAT
    HOSTFILE CHILD_MAX auto_resume histchars HOSTNAME HOSTTYPE MACHTYPE OSTYPE

    ZSH_* ZLE_* zle_* ZDOTDIR NULLCMD READNULLCMD PROMPT PROMPT2 PROMPT3 PROMPT4 prompt RPS1 RPS2 RPROMPT RPROMPT2
    SPROMPT PROMPT_EOL_MARK STTY path cdpath fpath FPATH fignore mailpath manpath module_path MODULE_PATH psvar PSVAR
    watch WATCH WATCHFMT LOGCHECK argv ARGC status pipestatus signals options functions functions_source aliases
    galiases saliases commands builtins reswords patchars parameters modules widgets keymaps dirstack history
    historywords jobdirs jobstates jobtexts nameddirs userdirs usergroups funcstack funcfiletrace funcsourcetrace
    functrace dis_* errnos sysparams mapfile terminfo termcap langinfo epochtime zsh_eval_context
    zsh_scheduled_events zcurses_* ZCURSES_* ZFTP_* precmd_functions chpwd_functions preexec_functions
    periodic_functions zshexit_functions zshaddhistory_functions PERIOD HISTCHARS SAVEHIST DIRSTACKSIZE
    TTY TTYIDLE TRY_BLOCK_ERROR TRY_BLOCK_INTERRUPT ERRNO KEYBOARD_HACK KEYTIMEOUT BAUD LISTMAX LISTPROMPT
    MENUPROMPT MENUSCROLL TIMEFMT TMPPREFIX TMPSUFFIX WORDCHARS REPORTMEMORY REPORTTIME CORRECT_IGNORE
    CORRECT_IGNORE_FILE CPUTYPE VENDOR MATCH MBEGIN MEND match mbegin mend reply ARGV0 POSTEDIT ZBEEP zgdbm_tied

    fish_* FISH_* hostname version umask status_generation last_pid argv_opts CMD_DURATION
"""
RESERVED = " ".join(name for name in _SHELLS.split() if not name.endswith("_*"))
RESERVED_PARTS = " ".join(name.removesuffix("_*") for name in _SHELLS.split() if name.endswith("_*"))
# What entering itself changes, and leaving has to put back.
_OWN = frozenset(
    """PATH CONDA_SHLVL CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_PROMPT_MODIFIER VIRTUAL_ENV VIRTUAL_ENV_PROMPT
    PYTHONHOME""".split()
)


def is_name(name: str) -> bool:
    """Whether `name` is a shell variable name: ASCII letters, digits, underscore, no digit first."""
    return name.isascii() and name.replace("_", "a").isalnum() and not name[:1].isdigit()


def is_reserved(name: str) -> bool:
    """Whether nothing may set `name`, neither on entering nor on leaving. The hooks look it up in the same lists."""
    part, underscore, _ = name.partition("_")
    own = name.startswith((PREFIX, "__wtenv_", "__fish_"))
    return own or f" {name} " in f" {RESERVED} " or (bool(underscore) and f" {part} " in f" {RESERVED_PARTS} ")


def explain_refusal(name: str) -> str | None:
    """Why a config, a dotenv file or a base may not set `name`, or None if it may."""
    if not is_name(name):
        return "is not a name that every shell accepts (letters, digits and _)"
    if name.upper().startswith(PREFIX) or name.startswith("__wtenv"):
        return "is wtenv's own"
    # conda's env_vars.d has been seen with "Path".
    if is_reserved(name) or name in _OWN or name.upper() == "PATH" or name.startswith("CONDA_PREFIX_"):
        return "belongs to the shell, to conda or to the activation itself"
    return None


def normalise(name: str) -> str:
    """A distribution's name as names are compared (PEP 503): lower case, one "-" for each run of "-", "_" and "."."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name
