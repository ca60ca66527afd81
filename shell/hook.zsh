# wtenv's hook for zsh, from 5.3 on: when to look, and what to load. Sourcing it twice changes nothing.
# apply.zsh, which comes before it in the text that a shell gets, enters and leaves.
#
# `wtenv hook zsh` wraps both in `emulate -R zsh -o no_aliases -c '…'`: they are parsed without the user's
# aliases and options, and their functions run with zsh's own defaults whatever the user has set (zshbuiltins(1),
# emulate). \builtin is for functions of the same name. Locals are called __wtenv_ too: a plain local
# would hide the user's variable of that name. `typeset -g`, as an rc file may source this within a function.
#
# Variables that stay in the shell (none is exported):
#   __wtenv_cache           the folder of cached activations                       } given by @SETTINGS@
#   __wtenv_command         how wtenv is started, as an array                      }
#   __wtenv_shell           whose state this is: [1] the subshell's depth, [2] the shell's process
#   __wtenv_low_resolution  1 if this zsh compares whole seconds, else empty
#   __wtenv_pwd             $PWD at the last decision
#   __wtenv_root            the root that the last decision was about; empty outside of one
#   __wtenv_relative_root   the same, seen from here: ../../.
#   __wtenv_below           .git if this is a folder below the root, where one could appear; else empty
#   __wtenv_real_root       the folder that the root has to be, where a link leads to it; else empty
#   __wtenv_decision        what was decided last, by its name in docs/design.md
#   __wtenv_switched        1 once the answer at hand is in effect
#   __wtenv_loaded_root     the root whose cached activation's functions are in memory
#   __wtenv_inherited       1 as long as what is active came with the environment
#   __wtenv_leave_message   what to say on leaving
#   __wtenv_last_message    the id of what was said last
#   __wtenv_later           what to say when a command is typed
# Of the cached activation in effect: __wtenv_witnesses (the folder of its witnesses), __wtenv_p0, … (watched paths),
# __wtenv_w0, … (their witnesses), __wtenv_l0, … and __wtenv_r0, … (links, and where they led), __wtenv_own (a folder
# that has to be the user's), and the functions __wtenv_check, _depends, _enter, _enter_fast, _leave_fast and _load.
# Of apply.zsh: __wtenv_entered, _unexported, _fast, _shown, _hidden, _swept.

@SETTINGS@

# Whose state is this? What is copied into another shell (a snapshot of functions or variables, what ALL_EXPORT let
# through) has to do nothing there. An array, as zsh exports none, so that `exec zsh` begins anew, too; [1] is how deep
# the subshell is. Kept where the hook is sourced again, or comes with an answer of a newer version.
if [[ ${__wtenv_shell[2]-} != $$ ]]; then
	\builtin typeset -g __wtenv_pwd= __wtenv_root= __wtenv_loaded_root= __wtenv_inherited=1 __wtenv_fast= __wtenv_shown=
	\builtin typeset -g __wtenv_last_message= __wtenv_leave_message= __wtenv_decision=
fi
\builtin unset __wtenv_shell # ALL_EXPORT elsewhere may have made it a string
\builtin typeset -ga __wtenv_shell
__wtenv_shell=($ZSH_SUBSHELL $$)
\builtin typeset -g __wtenv_switched= __wtenv_later= __wtenv_shown=${__wtenv_shown-}
# An older text has no variables of these names.
\builtin typeset -g __wtenv_decision=${__wtenv_decision-} __wtenv_loaded_root=${__wtenv_loaded_root-}
\builtin typeset -g __wtenv_inherited=${__wtenv_inherited-} __wtenv_fast=${__wtenv_fast-}
\builtin typeset -g __wtenv_last_message=${__wtenv_last_message-} __wtenv_leave_message=${__wtenv_leave_message-}
\builtin typeset -g __wtenv_relative_root=${__wtenv_relative_root-} __wtenv_below=${__wtenv_below-} __wtenv_real_root=${__wtenv_real_root-}

# Does this zsh compare times to the nanosecond? Old ones see whole seconds: what is kept for them has to be older.
\builtin typeset -g __wtenv_low_resolution=1
[[ ! $__wtenv_cache/fine.2 -nt $__wtenv_cache/fine.1 ]] || __wtenv_low_resolution=

# At the prompt and after a cd comes __wtenv_check: nothing, if neither the folder nor what is known of it has
# changed, else __wtenv_decide, or what it is given. Each cached activation brings its own (`__wtenv_load`).
if [[ -z $__wtenv_pwd ]]; then
	__wtenv_check() { "${1:-__wtenv_decide}"; }
fi
__wtenv_no() { \builtin return 1; } # for `__wtenv_check __wtenv_no`, which only tells whether something has changed

__wtenv_decide() {
	\builtin emulate -L zsh -o no_aliases # copies of these functions have lost the options that the hook was read with
	[[ ${__wtenv_shell[2]-} == $$ ]] || \builtin return 0
	\builtin local __wtenv_dir=${PWD%/} __wtenv_up= __wtenv_real= # ${PWD%/}: so that / has its .git at /.git
	while [[ ! -e $__wtenv_dir/.git && ! -e ${__wtenv_up}.git && -n $__wtenv_dir ]]; do
		__wtenv_dir=${__wtenv_dir%/*}
		__wtenv_up=$__wtenv_up../
	done
	if [[ ! $__wtenv_dir/. -ef ${__wtenv_up}. ]]; then
		# What $PWD names is not where the shell stands: a symlink leads here, or has been turned since, or the folder
		# was deleted and made anew. The real folder counts, as it does for what the shell starts. (`:A` follows the
		# name, too.)
		__wtenv_real=$(\builtin pwd -P 2>/dev/null) || :
		[[ . -ef $__wtenv_real ]] || __wtenv_real= # of a folder that is gone, `pwd -P` may tell the old name
		__wtenv_dir=${__wtenv_real%/} __wtenv_up=
		while [[ ! -e $__wtenv_dir/.git && -n $__wtenv_dir ]]; do
			__wtenv_dir=${__wtenv_dir%/*}
			__wtenv_up=$__wtenv_up../
		done
		[[ ! -e $__wtenv_dir/.git ]] || __wtenv_real=${__wtenv_dir:-/}
		__wtenv_real=${__wtenv_real:-/dev/null} # nowhere: never the same folder
	fi
	__wtenv_pwd=$PWD __wtenv_relative_root=${__wtenv_up}. __wtenv_below=${__wtenv_up:+.git}
	if [[ -n ${WTENV_DISABLE-} ]]; then
		__wtenv_decision=disabled __wtenv_root= __wtenv_last_message= __wtenv_leave_message=
		__wtenv_check() { [[ -n ${WTENV_DISABLE-} ]] || "${1:-__wtenv_decide}"; }
		__wtenv_leave
	elif [[ ! -e $__wtenv_dir/.git ]]; then
		__wtenv_decision=outside __wtenv_root= __wtenv_last_message= __wtenv_real_root=$__wtenv_real
		__wtenv_check() {
			[[ -z ${WTENV_DISABLE-}${PWD#"$__wtenv_pwd"} && ! -e .git && ( -z $__wtenv_real_root || . -ef $__wtenv_real_root ) ]] ||
				"${1:-__wtenv_decide}"
		}
		__wtenv_leave
		__wtenv_say left "$__wtenv_leave_message" enter
		__wtenv_leave_message=
	elif [[ ${__wtenv_dir:-/} == "$__wtenv_root" ]] && __wtenv_check __wtenv_no && __wtenv_is_first; then
		__wtenv_decision='same root' __wtenv_real_root=${__wtenv_real:-$__wtenv_real_root}
	else
		__wtenv_real_root=$__wtenv_real
		__wtenv_find "$__wtenv_dir"
	fi
	if [[ -n ${WTENV_DEBUG-} ]]; then
		\builtin print -ru2 -- "wtenv: debug: $PWD: $__wtenv_decision"
	fi
	\builtin return 0
}

# Put into effect what is known of the root $1, or ask.
__wtenv_find() {
	\builtin local __wtenv_file=$__wtenv_cache$1/%wtenv.zsh$__wtenv_low_resolution __wtenv_last=$__wtenv_loaded_root __wtenv_text
	[[ ${1:-/} == "$__wtenv_root" ]] || __wtenv_last_message=
	__wtenv_root=${1:-/} __wtenv_switched= __wtenv_loaded_root= __wtenv_decision=cached
	if [[ $__wtenv_last == "$__wtenv_root" ]]; then # its functions are still in memory
		__wtenv_load
	fi
	if [[ -z $__wtenv_switched && -O $__wtenv_file && -O $__wtenv_cache ]]; then
		\builtin source "$__wtenv_file"
	fi
	if [[ -z $__wtenv_switched ]]; then
		[[ ${WTENV_ROOT-} == "$__wtenv_root" ]] || __wtenv_leave
		# Ctrl-C from here on ends this function: then nothing is retried until something changes.
		__wtenv_decision=computed
		__wtenv_check() { [[ -z ${WTENV_DISABLE-}${PWD#"$__wtenv_pwd"} ]] || "${1:-__wtenv_decide}"; }
		__wtenv_text=$("${__wtenv_command[@]}" "$__wtenv_root" "$__wtenv_low_resolution")
		if [[ $__wtenv_text == *'# end' ]]; then
			\builtin eval "$__wtenv_text"
		fi
	fi
	if [[ -z $__wtenv_switched ]]; then
		__wtenv_decision=failed
		__wtenv_leave
		__wtenv_say failed "nothing is active here: ${__wtenv_command[1]} gave no answer; install wtenv again, then restart this shell"
	fi
}

# Called by a cached activation's __wtenv_load: KIND ID MESSAGE LEVEL LEAVE_MESSAGE WITNESSES. There are its
# __wtenv_check, _depends and _enter, too; unless these functions are copies of another shell's, with other witnesses.
__wtenv_switch() {
	if [[ $6 != "$__wtenv_witnesses" ]]; then
		\builtin return 0
	elif [[ $__wtenv_decision == cached ]] && ! __wtenv_check __wtenv_no; then
		\builtin return 0
	fi
	if [[ $1 != active ]]; then
		__wtenv_leave
		__wtenv_decision=$1
	elif [[ ${WTENV_ID-} == "$2" ]] && __wtenv_is_whole; then
		__wtenv_last_message=$2
		\builtin rehash # a sync may have added or removed commands
	else
		[[ ${WTENV_ROOT-} != "$__wtenv_root" ]] || __wtenv_last_message=$2
		__wtenv_leave
		if [[ $__wtenv_decision == cached ]] && ! __wtenv_depends; then
			\builtin return 0
		fi
		__wtenv_enter
		if [[ -n ${_OLD_VIRTUAL_PATH-} ]]; then # what a virtual environment's `deactivate` goes back to
			\builtin local __wtenv_merged
			__wtenv_merge "$_OLD_VIRTUAL_PATH" "${WTENV_OLD_PATH_-}" "${WTENV_NEW_PATH_-}" 1
			_OLD_VIRTUAL_PATH=$__wtenv_merged
		fi
	fi
	__wtenv_inherited= __wtenv_switched=1 __wtenv_loaded_root=$__wtenv_root __wtenv_leave_message=$5
	__wtenv_say "$2" "$3" "$4"
}

# What another shell entered may have been rearranged by this shell's rc files (a conda that activates
# its base, pyenv's shims put first): then enter anew. Later changes are the user's own, as long as we are on PATH.
__wtenv_is_whole() {
	if [[ -n $__wtenv_inherited ]]; then
		[[ ${WTENV_UID-}:${PATH-}${CONDA_PREFIX-} == "$EUID:${WTENV_NEW_PATH_-}${WTENV_NEW_CONDA_PREFIX_-${CONDA_PREFIX-}}" ]]
	else
		__wtenv_is_first
	fi
}

# Is the first of what we put on PATH still there? Not so where all of it was replaced (a snapshot of another shell).
__wtenv_is_first() {
	[[ -z ${WTENV_NEW_PATH_-} || :${PATH-}: == *":${WTENV_NEW_PATH_%%:*}:"* ]]
}

# Say $2 once for each id $1; "enter" messages only where someone is looking. A subshell can't keep in mind what it
# has said: `$(cd x && pwd)` in a prompt would say it each time. And powerlevel10k, which has shown an instant prompt,
# warns of everything that is printed before the first real one: said when a command is typed.
__wtenv_say() {
	[[ -n $2 && $__wtenv_last_message != "$1" && $ZSH_SUBSHELL -le $__wtenv_shell[1] ]] || \builtin return 0
	__wtenv_last_message=$1
	if [[ ${3-} == enter && ! -o interactive ]]; then
		:
	elif (( ${+__p9k_instant_prompt_active} )); then
		__wtenv_later+="${__wtenv_later:+$'\n'}wtenv: $2"
	else
		\builtin print -ru2 -- "wtenv: $2"
	fi
	\builtin return 0
}

__wtenv_install() {
	\builtin typeset -ga precmd_functions chpwd_functions preexec_functions
	if (( ! ${precmd_functions[(I)__wtenv_check]} )); then
		precmd_functions=(__wtenv_check "${precmd_functions[@]}")
	fi
	# Not what the prompt asks: `cd` by the same name may lead elsewhere by now.
	if (( ! ${chpwd_functions[(I)__wtenv_decide]} )); then
		chpwd_functions=(__wtenv_decide "${chpwd_functions[@]}")
	fi
	if (( ! ${preexec_functions[(I)__wtenv_typed]} )); then
		preexec_functions=(__wtenv_typed "${preexec_functions[@]}")
	fi
}

# Before a command that was typed: whatever has emptied the arrays since, it runs where it should.
__wtenv_typed() {
	[[ -z ${__wtenv_later-} && "${precmd_functions[*]-}" == *__wtenv_check* && "${chpwd_functions[*]-}" == *__wtenv_decide* ]] ||
		__wtenv_again
}

__wtenv_again() {
	\builtin emulate -L zsh -o no_aliases
	[[ ${__wtenv_shell[2]-} == $$ ]] || \builtin return 0
	__wtenv_install
	[[ -z $__wtenv_later ]] || \builtin print -ru2 -- "$__wtenv_later"
	__wtenv_later=
	__wtenv_check
}

__wtenv_install
# Not interactive, or `zsh -ic`: now. Else before the first prompt.
if [[ ! -o interactive || -n ${ZSH_EXECUTION_STRING-} ]]; then
	__wtenv_check
fi
