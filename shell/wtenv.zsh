# wtenv for zsh, from 5.3 on. Sourcing it twice changes nothing.
#
# `wtenv hook zsh` wraps this text in `emulate -R zsh -o no_aliases -c '…'`: it is parsed without the user's
# aliases and options, and its functions run with zsh's own defaults whatever the user has set (zshbuiltins(1),
# emulate). \builtin is for functions of the same name. Locals are called __wtenv_ too: a plain local
# would hide the user's variable of that name.

# --- apply and undo: also given out alone, by `wtenv export zsh` --------------------------------------

\builtin typeset -g __wtenv_entered= # by this shell, not by its environment

# Enter: ROOT ID UID PREFIX NAME MODIFIER PROMPT NAMES, then any number of
#   s NAME VALUE   S NAME VALUE (a list)   u NAME -   f NAME ENTRIES   b NAME ENTRIES
# where each name comes once (b may follow f of the same list). NAMES has them all; a list's ends in ":".
# A `for` over them: `shift` and appending take the longer, the more there are.
__wtenv_apply() {
	\builtin local __wtenv_refused= __wtenv_cut= __wtenv_type __wtenv_level=${CONDA_SHLVL-} __wtenv_front=
	\builtin local __wtenv_at=$1 __wtenv_id=$2 __wtenv_uid=$3 __wtenv_base=$4 __wtenv_vars=$8
	\builtin local __wtenv_old __wtenv_kind __wtenv_name __wtenv_value
	\builtin local -a __wtenv_conda
	__wtenv_conda=(s CONDA_PREFIX "$4" s CONDA_DEFAULT_ENV "$5" s CONDA_PROMPT_MODIFIER "$6")
	\builtin typeset -g __wtenv_plain=' ' __wtenv_straight=
	__wtenv_show "${4:+${CONDA_PROMPT_MODIFIER-}}" "$6" "$7"
	\builtin shift 8
	if [[ -n $__wtenv_base ]]; then # conda's own stack, one level up
		__wtenv_vars="CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_PROMPT_MODIFIER $__wtenv_vars"
		[[ $__wtenv_level == <-> && $#__wtenv_level -le 3 && -n ${CONDA_PREFIX-} ]] || __wtenv_level=0
		__wtenv_level=$(( 10#$__wtenv_level ))
		if [[ $__wtenv_level == 0 ]]; then
			__wtenv_conda+=(s CONDA_SHLVL 1)
			__wtenv_vars="CONDA_SHLVL $__wtenv_vars"
		else
			__wtenv_cut=$CONDA_PREFIX/bin
			if [[ $CONDA_PREFIX != "$__wtenv_base" ]]; then # else conda re-activates in place
				__wtenv_conda+=(s CONDA_PREFIX_$__wtenv_level "$CONDA_PREFIX" s CONDA_SHLVL $(( __wtenv_level + 1 )))
				__wtenv_vars="CONDA_PREFIX_$__wtenv_level CONDA_SHLVL $__wtenv_vars"
			fi
		fi
		\builtin set -- "${__wtenv_conda[@]}" "$@"
	fi
	for __wtenv_kind __wtenv_name __wtenv_value in "$@"; do
		__wtenv_type=${(Pt)__wtenv_name}
		if [[ $__wtenv_kind == s && -z $__wtenv_type ]]; then # the common case
			\builtin export "$__wtenv_name=$__wtenv_value" "WTENV_NEW_${__wtenv_name}_=$__wtenv_value"
			\builtin continue
		fi
		# An array, a number (its value would be evaluated) and a read-only variable can't be set without
		# surprises.
		if [[ $__wtenv_type == *(array|association|integer|float|readonly|nameref)* ]]; then
			__wtenv_refused+=" $__wtenv_name"
			\builtin continue
		fi
		__wtenv_old=${(P)__wtenv_name-}
		if [[ $__wtenv_kind == b && $__wtenv_name == "$__wtenv_front" ]]; then # its other end is done
			__wtenv_value=$__wtenv_old:$__wtenv_value
			\builtin export "$__wtenv_name=$__wtenv_value" "WTENV_NEW_${__wtenv_name}_=$__wtenv_value"
			\builtin continue
		fi
		if (( ${(P)+__wtenv_name} )); then
			[[ $__wtenv_type == *export* ]] || __wtenv_plain+="$__wtenv_name "
			\builtin export "WTENV_OLD_${__wtenv_name}_=$__wtenv_old"
		fi
		if [[ $__wtenv_name == PATH && -n $__wtenv_cut ]]; then
			__wtenv_old=:$__wtenv_old:
			__wtenv_old=${__wtenv_old/":$__wtenv_cut:"/:}
			__wtenv_old=${__wtenv_old#:}
			__wtenv_old=${__wtenv_old%:}
		fi
		case $__wtenv_kind in # an empty list has no entries: no ":" that would mean "here"
		u) \builtin unset "$__wtenv_name" ;;
		f) \builtin export "$__wtenv_name=$__wtenv_value${__wtenv_old:+:$__wtenv_old}" ;;
		b) \builtin export "$__wtenv_name=${__wtenv_old:+$__wtenv_old:}$__wtenv_value" ;;
		*) \builtin export "$__wtenv_name=$__wtenv_value" ;;
		esac
		if [[ $__wtenv_kind != u ]]; then
			\builtin export "WTENV_NEW_${__wtenv_name}_=${(P)__wtenv_name}" # as it is now: -U, -u and -l change what is set
		fi
		[[ $__wtenv_kind != f ]] || __wtenv_front=$__wtenv_name
	done
	if [[ -n $__wtenv_refused ]]; then
		\builtin print -ru2 -- "wtenv: left as they are, read-only or of a special type in this shell:$__wtenv_refused"
		__wtenv_conda=()
		for __wtenv_name in ${(s: :)__wtenv_vars}; do
			[[ "$__wtenv_refused " == *" ${__wtenv_name%:} "* ]] || __wtenv_conda+=($__wtenv_name)
		done
		__wtenv_vars="$__wtenv_conda"
	fi
	\builtin typeset -g __wtenv_entered=$$:$__wtenv_id
	\builtin export WTENV_ROOT="$__wtenv_at" WTENV_ID="$__wtenv_id" WTENV_UID="$__wtenv_uid" WTENV_VARS="${__wtenv_vars% }"
	\builtin return 0
}

# The prompt: conda's "(base) " in PS1 becomes ours ($1 to $2), or ours is put before it if $3 says so.
__wtenv_show() {
	\builtin typeset -g __wtenv_shown= __wtenv_hidden=
	if [[ $2$3 == *[\$\`\\%\!]* ]]; then # in a prompt a name with these would be expanded
		:
	elif [[ -n $1 && ${PS1-} == *"$1"* ]]; then
		PS1=${PS1/"$1"/$2} __wtenv_shown=$2 __wtenv_hidden=$1
	elif [[ -n $3 && -n ${PS1+x} ]]; then
		PS1=$3$PS1 __wtenv_shown=$3
	fi
}

# Take back what was put into the prompt, which a terminal may have wrapped since; and from the prompt and the PATH
# that the `activate` of a virtual environment has kept for its `deactivate`.
__wtenv_hide() {
	\builtin local __wtenv_merged
	if [[ -n ${__wtenv_shown-} ]]; then
		[[ ${PS1-} != *"$__wtenv_shown"* ]] || PS1=${PS1/"$__wtenv_shown"/$__wtenv_hidden}
		[[ ${_OLD_VIRTUAL_PS1-} != *"$__wtenv_shown"* ]] ||
			_OLD_VIRTUAL_PS1=${_OLD_VIRTUAL_PS1/"$__wtenv_shown"/$__wtenv_hidden}
	fi
	\builtin typeset -g __wtenv_shown=
	if [[ -n ${_OLD_VIRTUAL_PATH-} ]]; then
		__wtenv_merged=1
		[[ ${WTENV_UID-} == $EUID ]] || __wtenv_merged= # nothing of another user's comes back
		__wtenv_merge "$_OLD_VIRTUAL_PATH" "${WTENV_NEW_PATH_-}" "${WTENV_OLD_PATH_-}" "$__wtenv_merged"
		_OLD_VIRTUAL_PATH=$__wtenv_merged
	fi
}

# Leave: take our changes back by value, keep the user's.
__wtenv_leave() {
	\builtin local __wtenv_item __wtenv_name __wtenv_old __wtenv_new __wtenv_moved= __wtenv_merged __wtenv_theirs=
	if (( ${+WTENV_VARS} + ${+WTENV_ROOT} == 0 )); then
		\builtin typeset -g __wtenv_straight=
		# What else there is of it has come with the environment.
		[[ ${__wtenv_swept-} == $$ ]] || __wtenv_sweep
		\builtin return 0
	fi
	# These, and what begins with such a part and "_", are never touched, whatever the environment says. What this
	# shell itself has entered has none of them.
	\builtin local __wtenv_reserved=' @RESERVED@ ' __wtenv_parts=' @RESERVED_PARTS@ '
	[[ -z ${__wtenv_shown-}${_OLD_VIRTUAL_PATH-} ]] || __wtenv_hide
	if [[ -n ${__wtenv_straight-} ]]; then # spelled out by the entry that entered
		__wtenv_straight=
		! __wtenv_exit 2>/dev/null || \builtin return 0
	fi
	# Of another user's state (su, sudo, ssh) what that has added goes, and none of its values comes back.
	if [[ ${WTENV_UID-} != $EUID ]]; then
		__wtenv_theirs=1
	elif [[ -n ${WTENV_NEW_CONDA_PREFIX_-} && ${CONDA_PREFIX-} != "${WTENV_NEW_CONDA_PREFIX_-}" ]]; then
		__wtenv_moved=1 # the user has activated or deactivated a conda environment inside
		__wtenv_unstack
	fi
	for __wtenv_item in ${(s: :)WTENV_VARS-}; do
		__wtenv_name=${__wtenv_item%:}
		[[ $__wtenv_name == [A-Za-z_]* && $__wtenv_name != *[^A-Za-z0-9_]* ]] || \builtin continue
		if [[ ${__wtenv_entered-} != "$$:${WTENV_ID-}" ]]; then
			[[ $__wtenv_name != (WTENV|__wtenv|__fish)_* && $__wtenv_reserved != *" $__wtenv_name "* ]] || \builtin continue
			[[ $__wtenv_name != *_* || $__wtenv_parts != *" ${__wtenv_name%%_*} "* ]] || \builtin continue
		fi
		__wtenv_old=WTENV_OLD_${__wtenv_name}_
		__wtenv_new=WTENV_NEW_${__wtenv_name}_
		# What is put back of a list: not what another user's shell had taken out; nor in a PATH that conda has
		# changed, which has put its entry back, or another one in its place.
		__wtenv_merged=1
		[[ -z $__wtenv_theirs && ( -z $__wtenv_moved || $__wtenv_name != PATH ) ]] || __wtenv_merged=
		if [[ ${(P)+__wtenv_name}${(P)__wtenv_name-} == "${(P)+__wtenv_new}${(P)__wtenv_new-}" ]] &&
			[[ -z $__wtenv_theirs || $__wtenv_item != *: || ${(P)+__wtenv_name} == 0 ]]; then
			if (( ${(P)+__wtenv_old} )) && [[ -z $__wtenv_theirs ]]; then
				__wtenv_restore $__wtenv_name "${(P)__wtenv_old}"
			else
				__wtenv_remove $__wtenv_name
			fi
		elif [[ $__wtenv_item == *: ]] && (( ${(P)+__wtenv_name} )); then
			__wtenv_merge "${(P)__wtenv_name}" "${(P)__wtenv_new-}" "${(P)__wtenv_old-}" "$__wtenv_merged"
			if [[ -n $__wtenv_merged ]] || (( ${(P)+__wtenv_old} )); then
				__wtenv_restore $__wtenv_name "$__wtenv_merged"
			else
				__wtenv_remove $__wtenv_name
			fi
		fi
	done
	__wtenv_sweep
}

# Nothing of the state remains.
__wtenv_sweep() {
	\builtin typeset -g __wtenv_swept=$$
	\builtin unset -m 'WTENV_(OLD|NEW)_*' 'WTENV_(ROOT|ID|UID|VARS)'
}

__wtenv_restore() {
	[[ ${(Pt)1} != *readonly* ]] || \builtin return 0
	# What the user has declared it since makes no difference: a number would evaluate the value.
	[[ ${(Pt)1} == scalar* && ${(Pt)1} != *(left|right|lower|upper)* ]] || \builtin unset "$1"
	\builtin export "$1=$2"
	# It was a shell variable, not in the environment.
	[[ ${__wtenv_plain-} != *" $1 "* ]] || \builtin typeset -g +x "$1"
}

__wtenv_remove() {
	[[ ${(Pt)1} == *readonly* ]] || \builtin unset "$1"
}

# Take our level out of conda's stack where the user has activated another environment on top of it.
__wtenv_unstack() {
	\builtin local __wtenv_level=${WTENV_NEW_CONDA_SHLVL_-} __wtenv_now=${CONDA_SHLVL-} __wtenv_next
	[[ $__wtenv_level == <-> && $#__wtenv_level -le 3 && $__wtenv_now == <-> && $#__wtenv_now -le 3 ]] || \builtin return 0
	__wtenv_next=CONDA_PREFIX_$__wtenv_level
	(( __wtenv_now > __wtenv_level )) && [[ ${(P)__wtenv_next-} == "$WTENV_NEW_CONDA_PREFIX_" ]] || \builtin return 0
	\builtin export WTENV_NEW_CONDA_SHLVL_=settled "WTENV_NEW_CONDA_PREFIX_$(( __wtenv_level - 1 ))_=settled"
	while (( __wtenv_level < __wtenv_now - 1 )); do
		__wtenv_next=CONDA_PREFIX_$(( __wtenv_level + 1 ))
		\builtin export "CONDA_PREFIX_$__wtenv_level=${(P)__wtenv_next-}"
		(( __wtenv_level += 1 ))
	done
	\builtin unset CONDA_PREFIX_$__wtenv_level
	\builtin export CONDA_SHLVL=$__wtenv_level
}

# __wtenv_merged: the list $1 with the changes from $3 to $2 taken back; $4: put back what we took out.
__wtenv_merge() {
	\builtin local __wtenv_now=:${1:+$1:} __wtenv_left=:${3:+$3:} __wtenv_todo=${2:+$2:} __wtenv_e __wtenv_after
	while [[ -n $__wtenv_todo ]]; do # what we added goes
		__wtenv_e=:${__wtenv_todo%%:*}:
		__wtenv_todo=${__wtenv_todo#*:}
		if [[ $__wtenv_left == *"$__wtenv_e"* ]]; then
			__wtenv_left=${__wtenv_left/"$__wtenv_e"/:}
		else
			__wtenv_now=${__wtenv_now/"$__wtenv_e"/:}
		fi
	done
	__wtenv_todo=${__wtenv_left#:}
	while [[ -n $__wtenv_todo && -n $4 ]]; do # what we took out comes back, before its old successor
		__wtenv_e=:${__wtenv_todo%%:*}:
		__wtenv_todo=${__wtenv_todo#*:}
		[[ $__wtenv_now != *"$__wtenv_e"* ]] || \builtin continue
		__wtenv_after=:$3:
		__wtenv_after=${__wtenv_after#*"$__wtenv_e"}
		while [[ -n $__wtenv_after && $__wtenv_now != *":${__wtenv_after%%:*}:"* ]]; do
			__wtenv_after=${__wtenv_after#*:}
		done
		if [[ -n $__wtenv_after ]]; then
			__wtenv_after=${__wtenv_after%%:*}:
			__wtenv_now=${__wtenv_now/":$__wtenv_after"/$__wtenv_e$__wtenv_after}
		else
			__wtenv_now+=${__wtenv_e#:}
		fi
	done
	__wtenv_now=${__wtenv_now#:}
	__wtenv_merged=${__wtenv_now%:}
}

# --- the hook -----------------------------------------------------------------------------------------

@SETTINGS@

# Whose state is this? What is copied into another shell (a snapshot of functions or variables, what ALL_EXPORT let
# through) has to do nothing there. An array, as zsh exports none, so that `exec zsh` begins anew, too; [1] is how deep
# the subshell is. Kept where the hook is sourced again, or by an entry of a newer version; before 0.2 it was no array.
if [[ ${__wtenv_shell-} != (* |)$$ ]]; then
	\builtin typeset -g __wtenv_pwd= __wtenv_root= __wtenv_held= __wtenv_adopted= __wtenv_straight= __wtenv_shown=
	\builtin typeset -g __wtenv_said= __wtenv_farewell= __wtenv_from=
fi
\builtin unset __wtenv_shell
\builtin typeset -ga __wtenv_shell
__wtenv_shell=($ZSH_SUBSHELL $$)
\builtin typeset -g __wtenv_settled= __wtenv_later= __wtenv_shown=${__wtenv_shown-}
\builtin typeset -g __wtenv_top=${__wtenv_top-} __wtenv_new=${__wtenv_new-} __wtenv_way=${__wtenv_way-}

# Does this zsh compare times to the nanosecond? Old ones see whole seconds, and need fresher entries.
\builtin typeset -g __wtenv_coarse=1
[[ ! $__wtenv_cache/fine.2 -nt $__wtenv_cache/fine.1 ]] || __wtenv_coarse=

# At the prompt and after a cd comes __wtenv_check: nothing, if neither the folder nor what is known of it has
# changed, else __wtenv_decide, or what it is given. Each entry brings its own (`__wtenv_arrive`).
if [[ -z $__wtenv_pwd ]]; then
	__wtenv_check() { "${1:-__wtenv_decide}"; }
fi
__wtenv_no() { \builtin return 1; }

__wtenv_decide() {
	\builtin emulate -L zsh -o no_aliases # copies of these functions have lost the options that the hook was read with
	[[ ${__wtenv_shell[2]-} == $$ ]] || \builtin return 0
	\builtin local __wtenv_dir=${PWD%/} __wtenv_up= __wtenv_real=
	while [[ ! -e $__wtenv_dir/.git && ! -e ${__wtenv_up}.git && -n $__wtenv_dir ]]; do
		__wtenv_dir=${__wtenv_dir%/*}
		__wtenv_up=$__wtenv_up../
	done
	if [[ ! $__wtenv_dir/. -ef ${__wtenv_up}. ]]; then
		# What $PWD names is not where the shell stands: a symlink leads here, or has been turned since, or the folder
		# was deleted and made anew. The real folder counts, as it does for what the shell starts. (`:A` follows the
		# name, too.)
		__wtenv_real=$(\builtin pwd -P 2>/dev/null) || :
		[[ . -ef $__wtenv_real ]] || __wtenv_real= # of a folder that is gone it may tell the old name
		__wtenv_dir=${__wtenv_real%/} __wtenv_up=
		while [[ ! -e $__wtenv_dir/.git && -n $__wtenv_dir ]]; do
			__wtenv_dir=${__wtenv_dir%/*}
			__wtenv_up=$__wtenv_up../
		done
		[[ ! -e $__wtenv_dir/.git ]] || __wtenv_real=${__wtenv_dir:-/}
		__wtenv_real=${__wtenv_real:-/dev/null} # nowhere: never the same folder
	fi
	__wtenv_pwd=$PWD __wtenv_top=${__wtenv_up}. __wtenv_new=${__wtenv_up:+.git}
	if [[ -n ${WTENV_DISABLE-} ]]; then
		__wtenv_from=disabled __wtenv_root= __wtenv_said= __wtenv_farewell=
		__wtenv_check() { [[ -n ${WTENV_DISABLE-} ]] || "${1:-__wtenv_decide}"; }
		__wtenv_leave
	elif [[ ! -e $__wtenv_dir/.git ]]; then
		__wtenv_from=outside __wtenv_root= __wtenv_said= __wtenv_way=$__wtenv_real
		__wtenv_check() {
			[[ -z ${WTENV_DISABLE-}${PWD#"$__wtenv_pwd"} && ! -e .git && ( -z $__wtenv_way || . -ef $__wtenv_way ) ]] ||
				"${1:-__wtenv_decide}"
		}
		__wtenv_leave
		__wtenv_say left "$__wtenv_farewell" enter
		__wtenv_farewell=
	elif [[ ${__wtenv_dir:-/} == "$__wtenv_root" ]] && __wtenv_check __wtenv_no && __wtenv_is_first; then
		__wtenv_from='same root' __wtenv_way=${__wtenv_real:-$__wtenv_way}
	else
		__wtenv_way=$__wtenv_real
		__wtenv_load "$__wtenv_dir"
	fi
	if [[ -n ${WTENV_DEBUG-} ]]; then
		\builtin print -ru2 -- "wtenv: debug: $PWD: $__wtenv_from"
	fi
	\builtin return 0
}

# Put into effect what is known of the root $1, or ask.
__wtenv_load() {
	\builtin local __wtenv_file=$__wtenv_cache$1/%wtenv.zsh$__wtenv_coarse __wtenv_last=$__wtenv_held __wtenv_text
	[[ ${1:-/} == "$__wtenv_root" ]] || __wtenv_said=
	__wtenv_root=${1:-/} __wtenv_settled= __wtenv_held= __wtenv_from=cached
	if [[ $__wtenv_last == "$__wtenv_root" ]]; then # the entry is still in memory
		__wtenv_arrive
	fi
	if [[ -z $__wtenv_settled && -O $__wtenv_file && -O $__wtenv_cache ]]; then
		\builtin source "$__wtenv_file"
	fi
	if [[ -z $__wtenv_settled ]]; then
		[[ ${WTENV_ROOT-} == "$__wtenv_root" ]] || __wtenv_leave
		# Ctrl-C from here on ends this function: then nothing is retried until something changes.
		__wtenv_from=computed
		__wtenv_check() { [[ -z ${WTENV_DISABLE-}${PWD#"$__wtenv_pwd"} ]] || "${1:-__wtenv_decide}"; }
		__wtenv_text=$("${__wtenv_command[@]}" "$__wtenv_root" "$__wtenv_coarse")
		if [[ $__wtenv_text == *'# end' ]]; then
			\builtin eval "$__wtenv_text"
		fi
	fi
	if [[ -z $__wtenv_settled ]]; then
		__wtenv_from=failed
		__wtenv_leave
		__wtenv_say failed "nothing is active here: ${__wtenv_command[1]} gave no answer; install wtenv again, then restart this shell"
	fi
}

# Called by an entry's __wtenv_arrive: KIND ID MESSAGE LEVEL FAREWELL STAMPS. There are __wtenv_check, _guard and
# _enter of this entry, too; unless these functions are copies of another shell's, with other stamps than ours.
__wtenv_settle() {
	if [[ $6 != "$__wtenv_stamps" ]]; then
		\builtin return 0
	elif [[ $__wtenv_from == cached ]] && ! __wtenv_check __wtenv_no; then
		\builtin return 0
	fi
	if [[ $1 != active ]]; then
		__wtenv_leave
		__wtenv_from=$1
	elif [[ ${WTENV_ID-} == "$2" ]] && __wtenv_is_whole; then
		__wtenv_said=$2
		\builtin rehash # a sync may have added or removed commands
	else
		[[ ${WTENV_ROOT-} != "$__wtenv_root" ]] || __wtenv_said=$2
		__wtenv_leave
		if [[ $__wtenv_from == cached ]] && ! __wtenv_guard; then
			\builtin return 0
		fi
		__wtenv_enter
		if [[ -n ${_OLD_VIRTUAL_PATH-} ]]; then # what a virtual environment's `deactivate` goes back to
			\builtin local __wtenv_merged
			__wtenv_merge "$_OLD_VIRTUAL_PATH" "${WTENV_OLD_PATH_-}" "${WTENV_NEW_PATH_-}" 1
			_OLD_VIRTUAL_PATH=$__wtenv_merged
		fi
	fi
	__wtenv_adopted=1 __wtenv_settled=1 __wtenv_held=$__wtenv_root __wtenv_farewell=$5
	__wtenv_say "$2" "$3" "$4"
}

# What another shell entered may have been rearranged by this shell's rc files (a conda that activates
# its base, pyenv's shims put first): then enter anew. Later changes are the user's own, as long as we are on PATH.
__wtenv_is_whole() {
	if [[ -n $__wtenv_adopted ]]; then
		__wtenv_is_first
	else
		[[ ${WTENV_UID-}:${PATH-}${CONDA_PREFIX-} == "$EUID:${WTENV_NEW_PATH_-}${WTENV_NEW_CONDA_PREFIX_-${CONDA_PREFIX-}}" ]]
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
	[[ -n $2 && $__wtenv_said != "$1" && $ZSH_SUBSHELL -le $__wtenv_shell[1] ]] || \builtin return 0
	__wtenv_said=$1
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
