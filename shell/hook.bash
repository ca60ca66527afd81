# wtenv's hook for bash, from 3.2 on: when to look, and what to load. Sourcing it twice changes nothing.
# apply.bash, which comes before it in the text that a shell gets, enters and leaves.
#
# Rules kept in both, each for a reason:
#   \builtin NAME     the user may have aliases or functions of any name
#   test, # and %     not [[ == ]], case or ${x/y}: those obey nocasematch
#   __wtenv_ names    locals too: a plain local would hide the user's variable of that name
#   "quoted whole" arguments after \builtin local and export: \builtin makes them split like any command's,
#     and with `set -k` an unquoted x=y is no argument at all
#   "${x-}", || and if everywhere: the user may have set -eu
#   no IFS, no glob, no trap, no subshell on the way of an unchanged prompt
#
# Variables that stay in the shell (none is exported):
#   __wtenv_cache           the folder of cached activations                       } given by @SETTINGS@
#   __wtenv_command         how wtenv is started, as an array                      }
#   __wtenv_aliases         -s or -u: whether aliases were expanded when this text was read
#   __wtenv_shell           whose state this is: [0] the subshell's depth, [1] the shell's process
#   __wtenv_low_resolution  1 if this bash compares whole seconds, else empty
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
#   __wtenv_wrapped         1 once cd, pushd and popd were looked at
#   __wtenv_wraps           how many functions of the user's were wrapped
#   __wtenv_at_prompt       [process]: what to call at its prompt; in a child there is nothing under its number
#   __wtenv_at_loss         [process]: what to call where PROMPT_COMMAND was replaced
#   __wtenv_ran             1 if the call at the front of PROMPT_COMMAND ran
#   __wtenv_replaced        what PROMPT_COMMAND was before it became an array
# Of the cached activation in effect: __wtenv_witnesses (the folder of its witnesses), __wtenv_p0, … (watched paths),
# __wtenv_w0, … (their witnesses), __wtenv_l0, … and __wtenv_r0, … (links, and where they led), __wtenv_own (a folder
# that has to be the user's), and the functions __wtenv_check, _depends, _enter, _enter_fast, _leave_fast and _load.
# Of apply.bash: __wtenv_entered, _unexported, _fast, _shown, _hidden, _swept.
#
# shellcheck disable=SC2154 # it does not see "x=y" after \builtin local, nor the settings below
# shellcheck disable=SC2317 # nor that a function which is defined anew is called
# shellcheck disable=SC2034 # nor that apply.bash reads what is set here

@SETTINGS@

# Whose state is this? What is copied into another shell (the functions of a snapshot, `export -f cd`, `set -a`) has to
# do nothing there. An array, as bash exports none, so that `exec bash` begins anew, too; [0] is how deep the
# subshell is. Kept where the hook is sourced again, or comes with an answer of a newer version.
if \builtin test "${__wtenv_shell[1]-}" != "$$"; then
	__wtenv_pwd='' __wtenv_root='' __wtenv_loaded_root='' __wtenv_inherited=1 __wtenv_fast='' __wtenv_shown=''
	__wtenv_last_message='' __wtenv_leave_message='' __wtenv_decision=''
	\builtin unset -v __wtenv_at_prompt
fi
\builtin unset -v __wtenv_shell # `set -a` elsewhere may have exported it as a string
__wtenv_shell=("$BASH_SUBSHELL" "$$")
__wtenv_switched='' __wtenv_wrapped='' __wtenv_shown=${__wtenv_shown-}
# An older text has no variables of these names.
__wtenv_decision=${__wtenv_decision-} __wtenv_loaded_root=${__wtenv_loaded_root-} __wtenv_inherited=${__wtenv_inherited-}
__wtenv_last_message=${__wtenv_last_message-} __wtenv_leave_message=${__wtenv_leave_message-}
__wtenv_relative_root=${__wtenv_relative_root-} __wtenv_below=${__wtenv_below-} __wtenv_real_root=${__wtenv_real_root-}

# Does this bash compare times to the nanosecond? Old ones (3.2) see whole seconds: what is kept for them has to be older.
if [[ $__wtenv_cache/fine.2 -nt $__wtenv_cache/fine.1 ]]; then __wtenv_low_resolution=''; else __wtenv_low_resolution=1; fi

# At the prompt and after a cd comes __wtenv_check: nothing, if neither the folder nor what is known of it has
# changed, else __wtenv_decide, or what it is given. Each cached activation brings its own (`__wtenv_load`).
if [[ -z $__wtenv_pwd ]]; then
	__wtenv_check() { "${1:-__wtenv_decide}"; }
fi
__wtenv_no() { \builtin return 1; } # for `__wtenv_check __wtenv_no`, which only tells whether something has changed

# $1: the status, where it is not to be passed on, or is another by now. Else this is called as `… && \:`, so that
# neither an ERR trap nor `set -e` takes a status that is only passed on for a failure.
__wtenv_prompt() {
	\builtin local "__wtenv_status=${1-$?}"
	__wtenv_ran=1
	__wtenv_check __wtenv_look || :
	\builtin return "$__wtenv_status"
}

# At the first prompt, when the rc file is done; and where PROMPT_COMMAND was replaced since the last one.
__wtenv_first() {
	\builtin local "__wtenv_status=${1-$?}"
	__wtenv_at_prompt[$$]=__wtenv_prompt
	__wtenv_plug
	if [[ -n ${BASH_ALIASES[*]-} && ${#PROMPT_COMMAND[@]} -gt 1 ]] &&
		[[ -n ${BASH_ALIASES[for]+x}${BASH_ALIASES[do]+x}${BASH_ALIASES[done]+x} ]]; then
		PROMPT_COMMAND=("${PROMPT_COMMAND[@]/#for __wtenv_item */}") # with such an alias it is another command
	fi
	__wtenv_wrap
	__wtenv_prompt "$__wtenv_status"
}

# At a prompt where something has changed. If the shell has moved, and not by our cd, that may be another's by now.
__wtenv_look() {
	if \builtin test "$PWD" != "$__wtenv_pwd"; then
		__wtenv_wrap
	fi
	__wtenv_decide
}

__wtenv_decide() {
	if \builtin test "${__wtenv_shell[1]-}" != "$$"; then # copied from another shell
		\builtin return 0
	fi
	if \builtin test "${-#*e}" != "$-"; then # with -e, an assignment to a read-only variable ends the shell, whatever tests it
		\builtin set +e
		__wtenv_decide
		\builtin set -e
		\builtin return 0
	fi
	\builtin local "__wtenv_dir=${PWD%/}" "__wtenv_up=" "__wtenv_real=" # ${PWD%/}: so that / has its .git at /.git
	while [[ ! -e $__wtenv_dir/.git && ! -e ${__wtenv_up}.git && -n $__wtenv_dir ]]; do
		__wtenv_dir=${__wtenv_dir%/*}
		__wtenv_up=$__wtenv_up../
	done
	if [[ ! $__wtenv_dir/. -ef ${__wtenv_up}. ]]; then
		# What $PWD names is not where the shell stands: a symlink leads here, or has been turned since, or the folder
		# was deleted and made anew. The real folder counts, as it does for what the shell starts.
		__wtenv_real=$(\builtin pwd -P 2>/dev/null) || :
		[[ . -ef $__wtenv_real ]] || __wtenv_real='' # of a folder that is gone, `pwd -P` may tell the old name
		__wtenv_dir=${__wtenv_real%/} __wtenv_up=''
		while [[ ! -e $__wtenv_dir/.git && -n $__wtenv_dir ]]; do
			__wtenv_dir=${__wtenv_dir%/*}
			__wtenv_up=$__wtenv_up../
		done
		[[ ! -e $__wtenv_dir/.git ]] || __wtenv_real=${__wtenv_dir:-/}
		__wtenv_real=${__wtenv_real:-/dev/null} # nowhere: never the same folder
	fi
	__wtenv_pwd=$PWD __wtenv_relative_root=${__wtenv_up}. __wtenv_below=${__wtenv_up:+.git}
	if [[ -n ${WTENV_DISABLE-} ]]; then
		__wtenv_decision=disabled __wtenv_root='' __wtenv_last_message='' __wtenv_leave_message=''
		__wtenv_check() { [[ -n ${WTENV_DISABLE-} ]] || "${1:-__wtenv_decide}"; }
		__wtenv_leave
	elif [[ ! -e $__wtenv_dir/.git ]]; then
		__wtenv_decision=outside __wtenv_root='' __wtenv_last_message='' __wtenv_real_root=$__wtenv_real
		__wtenv_check() {
			# Equal to $__wtenv_pwd, or longer by what is left: `==` would obey nocasematch, `test` be a second command.
			[[ -z ${WTENV_DISABLE-}${PWD#"$__wtenv_pwd"} && ! -e .git && (-z $__wtenv_real_root || . -ef $__wtenv_real_root) ]] ||
				"${1:-__wtenv_decide}"
		}
		__wtenv_leave
		__wtenv_say left "$__wtenv_leave_message" enter
		__wtenv_leave_message=''
	elif \builtin test "${__wtenv_dir:-/}" = "$__wtenv_root" && __wtenv_check __wtenv_no && __wtenv_is_first; then
		__wtenv_decision='same root' __wtenv_real_root=${__wtenv_real:-$__wtenv_real_root}
	else
		__wtenv_real_root=$__wtenv_real
		__wtenv_find "$__wtenv_dir"
	fi
	if [[ -n ${WTENV_DEBUG-} ]]; then
		\builtin printf 'wtenv: debug: %s: %s\n' "$PWD" "$__wtenv_decision" >&2 || :
	fi
}

# Put into effect what is known of the root $1, or ask.
__wtenv_find() {
	\builtin local "__wtenv_file=$__wtenv_cache$1/%wtenv.bash$__wtenv_low_resolution" "__wtenv_last=$__wtenv_loaded_root" __wtenv_text
	if \builtin test "${1:-/}" != "$__wtenv_root"; then
		__wtenv_last_message=''
	fi
	__wtenv_root=${1:-/} __wtenv_switched='' __wtenv_loaded_root='' __wtenv_decision=cached
	if \builtin test "$__wtenv_last" = "$__wtenv_root"; then # its functions are still in memory
		__wtenv_load
	fi
	if [[ -z $__wtenv_switched && -O $__wtenv_file && -O $__wtenv_cache ]]; then
		__wtenv_read source "$__wtenv_file"
	fi
	if [[ -z $__wtenv_switched ]]; then
		if \builtin test "${WTENV_ROOT-}" != "$__wtenv_root"; then
			__wtenv_leave
		fi
		__wtenv_read eval '[[ -n x ]]' 2>/dev/null || : # where a damaged file ended within [[, bash 5 still is in it
		# Ctrl-C from here on ends this function: then nothing is retried until something changes.
		__wtenv_decision=computed
		__wtenv_check() { [[ -z ${WTENV_DISABLE-}${PWD#"$__wtenv_pwd"} ]] || "${1:-__wtenv_decide}"; }
		__wtenv_text=$("${__wtenv_command[@]}" "$__wtenv_root" "$__wtenv_low_resolution") || :
		if \builtin test "${__wtenv_text%'# end'}" != "$__wtenv_text"; then
			__wtenv_read eval "$__wtenv_text"
		fi
	fi
	if [[ -z $__wtenv_switched ]]; then
		__wtenv_decision=failed
		__wtenv_leave
		__wtenv_say failed "nothing is active here: ${__wtenv_command[0]} gave no answer; install wtenv again, then restart this shell"
	fi
}

# Read text of ours: `source FILE` or `eval TEXT`. An alias of the user's for `[[` or `{` would make another of it.
__wtenv_read() {
	if \builtin shopt -q expand_aliases; then
		\builtin shopt -u expand_aliases
		\builtin "$@" || :
		\builtin shopt -s expand_aliases
	else
		\builtin "$@" || :
	fi
}

# Called by a cached activation's __wtenv_load: KIND ID MESSAGE LEVEL LEAVE_MESSAGE WITNESSES. There are its
# __wtenv_check, _depends and _enter, too; unless these functions are copies of another shell's, with other witnesses.
__wtenv_switch() {
	if \builtin test "$6" != "$__wtenv_witnesses"; then
		\builtin return 0
	elif \builtin test "$__wtenv_decision" = cached && ! __wtenv_check __wtenv_no; then
		\builtin return 0
	fi
	if \builtin test "$1" != active; then
		__wtenv_leave
		__wtenv_decision=$1
	elif \builtin test "${WTENV_ID-}" = "$2" && __wtenv_is_whole; then
		__wtenv_last_message=$2
		\builtin hash -r 2>/dev/null || : # a sync may have added or removed commands
	else
		if \builtin test "${WTENV_ROOT-}" = "$__wtenv_root"; then
			__wtenv_last_message=$2
		fi
		__wtenv_leave
		if \builtin test "$__wtenv_decision" = cached && ! __wtenv_depends; then
			\builtin return 0
		fi
		__wtenv_enter
		if [[ -n ${_OLD_VIRTUAL_PATH-} ]]; then # what a virtual environment's `deactivate` goes back to
			\builtin local __wtenv_merged
			__wtenv_merge "$_OLD_VIRTUAL_PATH" "${WTENV_OLD_PATH_-}" "${WTENV_NEW_PATH_-}" 1
			_OLD_VIRTUAL_PATH=$__wtenv_merged
		fi
	fi
	__wtenv_inherited='' __wtenv_switched=1 __wtenv_loaded_root=$__wtenv_root __wtenv_leave_message=$5
	__wtenv_say "$2" "$3" "$4"
}

# What another shell entered may have been rearranged by this shell's rc files (a conda that activates
# its base, pyenv's shims put first): then enter anew. Later changes are the user's own, as long as we are on PATH.
__wtenv_is_whole() {
	if [[ -n $__wtenv_inherited ]]; then
		\builtin test "${WTENV_UID-}:${PATH-}${CONDA_PREFIX-}" = "$EUID:${WTENV_NEW_PATH_-}${WTENV_NEW_CONDA_PREFIX_-${CONDA_PREFIX-}}"
	else
		__wtenv_is_first
	fi
}

# Is the first of what we put on PATH still there? Not so where all of it was replaced (a snapshot of another shell).
__wtenv_is_first() {
	[[ -z ${WTENV_NEW_PATH_-} || :${PATH-}: == *":${WTENV_NEW_PATH_%%:*}:"* ]]
}

# Say $2 once for each id $1; "enter" messages only where someone is looking. A subshell can't keep in mind what it
# has said: `$(cd x && pwd)` in a prompt would say it each time.
__wtenv_say() {
	if [[ -z $2 || $BASH_SUBSHELL -gt ${__wtenv_shell[0]} ]] || \builtin test "$__wtenv_last_message" = "$1"; then
		\builtin return 0
	fi
	__wtenv_last_message=$1
	if \builtin test "${3-}" != enter || [[ $- == *i* ]]; then
		\builtin printf 'wtenv: %s\n' "$2" >&2 || :
	fi
}

# bash has no chpwd: cd, pushd and popd are wrapped around whatever the user has there, also since. `declare -f +t` says
# by its status alone whether there is such a function: `declare -F` would print it.
__wtenv_wrap() {
	\builtin local __wtenv_name "__wtenv_text=" __wtenv_user __wtenv_needs
	if [[ -n $__wtenv_wrapped && -O $__wtenv_cache ]] && \builtin declare -f +t cd pushd popd; then
		# What a builtin prints takes a process to be read, or a file.
		{
			\builtin declare -f cd pushd popd >|"$__wtenv_cache/functions" # >| for noclobber
			\builtin read -r -d '' __wtenv_text <"$__wtenv_cache/functions"
		} 2>/dev/null || :
		if [[ $__wtenv_text == *__wtenv_shell*__wtenv_shell*__wtenv_shell* ]]; then
			\builtin return 0
		fi
	fi
	__wtenv_wrapped=1
	for __wtenv_name in cd pushd popd; do
		__wtenv_text=''
		if \builtin declare -f +t "$__wtenv_name"; then
			__wtenv_text=$(\builtin declare -f "$__wtenv_name" || :) # inside: an ERR trap would print there
		fi
		if [[ $__wtenv_text == *__wtenv_shell* ]]; then # ours, if what it needs came along
			__wtenv_needs=${__wtenv_text#*__wtenv_after_cd __wtenv_user_}
			if \builtin test "$__wtenv_needs" = "$__wtenv_text" ||
				\builtin declare -f +t "__wtenv_user_${__wtenv_needs%%[!a-z0-9_]*}"; then
				\builtin continue
			fi
			__wtenv_text=''
		fi
		__wtenv_user="\\builtin $__wtenv_name" __wtenv_needs=''
		if [[ -n $__wtenv_text ]]; then # a new name each time: this one may call what was there before
			__wtenv_wraps=$((${__wtenv_wraps:-0} + 1))
			__wtenv_user=__wtenv_user_${__wtenv_name}_$__wtenv_wraps __wtenv_needs=$__wtenv_user
			__wtenv_read eval "function $__wtenv_user ${__wtenv_text#"$__wtenv_name "}"
		fi
		# A copy in another shell, or one whose other parts are gone, is the builtin and nothing else. Its last command
		# gives $_ the value that it has after a `cd`: the last argument. `function NAME`, as NAME () would expand an alias.
		__wtenv_read eval "function $__wtenv_name {
			if [[ \${__wtenv_shell[1]-} != \"\$\$\" ]] ||
				! \\builtin declare -f +t __wtenv_after_cd $__wtenv_needs; then
				\\builtin $__wtenv_name \"\$@\"
				\\builtin return
			fi
			$__wtenv_user \"\$@\" || \\builtin return
			__wtenv_after_cd
			: \"\$@\"
		}"
	done
}

# After a cd: PROMPT_COMMAND may have been replaced.
__wtenv_after_cd() {
	[[ "${PROMPT_COMMAND[*]-}" == *'{__wtenv_at_prompt'* ]] || __wtenv_plug
	__wtenv_decide || : # also by the same name, which may lead elsewhere by now
}

# Our call comes first in PROMPT_COMMAND, so that what comes after it sees the environment. It does nothing in a child
# that inherits the variable (a sparse array is a guest's way to have a variable for each process). From 5.1 on
# PROMPT_COMMAND may be an array. Then ours is an element of its own, after which bash itself puts $?, PIPESTATUS and
# $_ back, and the last one looks whether ours has run: PROMPT_COMMAND=… replaces the first alone. A `for` over
# nothing, as a command would run a DEBUG trap: the slice's length is 0 where ours ran (and notes that it was seen).
__wtenv_plug() {
	\builtin local "__wtenv_flags=" __wtenv_item
	if [[ "${PROMPT_COMMAND[*]-}" == *'{__wtenv_at_prompt'* ]]; then
		\builtin return 0
	elif [[ -n ${PROMPT_COMMAND+x}${PROMPT_COMMAND[*]+x} ]]; then
		__wtenv_attributes PROMPT_COMMAND
	fi
	if [[ $__wtenv_flags == *r* ]]; then
		if [[ -n ${1-} ]]; then
			\builtin printf 'wtenv: PROMPT_COMMAND is read-only; only cd, pushd and popd are followed\n' >&2 || :
		fi
		\builtin return 0
	fi
	# shellcheck disable=SC2016 # expanded at the prompt
	\builtin set -- '"${__wtenv_at_prompt[$$]:-:}"' \
		'for __wtenv_item in "${PROMPT_COMMAND[@]:0:${__wtenv_ran:-0}?(__wtenv_ran=0):1}"; do "${__wtenv_at_loss[$$]:-:}" 0; done'
	if [[ ${BASH_VERSINFO[0]}${BASH_VERSINFO[1]} -lt 51 || $__wtenv_flags == *x* ]]; then # an array can't be exported
		# shellcheck disable=SC2178,SC2128 # no array here
		PROMPT_COMMAND="$1 && \\:"${PROMPT_COMMAND:+$'\n'$PROMPT_COMMAND}
		\builtin return 0
	fi
	if [[ $__wtenv_flags != *a* ]]; then
		__wtenv_replaced=${PROMPT_COMMAND-}
	elif \builtin test "${PROMPT_COMMAND[1]-}" = "${__wtenv_replaced-}"; then # what was assigned stands for it
		\builtin unset -v 'PROMPT_COMMAND[1]'
	fi
	for __wtenv_item in "${PROMPT_COMMAND[@]}"; do
		if [[ -n $__wtenv_item && $__wtenv_item != "$2" ]]; then
			\builtin set -- "$@" "$__wtenv_item"
		fi
	done
	PROMPT_COMMAND=("$1 0" "${@:3}" "$2")
}

__wtenv_at_prompt[$$]=__wtenv_first
__wtenv_at_loss[$$]=__wtenv_first
__wtenv_plug told
__wtenv_wrap
case $- in
*i*) [[ -z ${BASH_EXECUTION_STRING-} ]] || __wtenv_check ;; # `bash -ic` has no prompt; else at the first one
*) __wtenv_check ;;
esac
