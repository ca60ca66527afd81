# wtenv for zsh: enter and leave in general, as `apply` and `undo` of src/wtenv/environ.py do. Part of the hook, whose
# rules are in hook.zsh; also given out alone, by `wtenv export zsh`.
#
# Variables that stay in the shell (none is exported):
#   __wtenv_entered     PROCESS:ID of what this shell itself has entered; what came with the environment has none
#   __wtenv_unexported  " NAME NAME ": what was not in the environment before we changed it
#   __wtenv_fast        1 if __wtenv_leave_fast belongs to what is active
#   __wtenv_shown       what was put into the prompt
#   __wtenv_hidden      what it stands for: conda's part of the prompt, or nothing
#   __wtenv_swept       the process that has no state left over from another shell

\builtin typeset -g __wtenv_entered=

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
	# A space before each name and behind it: "A" is not in " BA ".
	\builtin typeset -g __wtenv_unexported=' ' __wtenv_fast=
	__wtenv_show "${4:+${CONDA_PROMPT_MODIFIER-}}" "$6" "$7"
	\builtin shift 8
	if [[ -n $__wtenv_base ]]; then # conda's own stack, one level up
		__wtenv_vars="CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_PROMPT_MODIFIER $__wtenv_vars"
		[[ $__wtenv_level == <-> && $#__wtenv_level -le 3 && -n ${CONDA_PREFIX-} ]] || __wtenv_level=0
		__wtenv_level=$(( 10#$__wtenv_level )) # without leading zeros: it becomes part of a name
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
			[[ $__wtenv_type == *export* ]] || __wtenv_unexported+="$__wtenv_name "
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
		\builtin typeset -g __wtenv_fast=
		# What else there is of it has come with the environment.
		[[ ${__wtenv_swept-} == $$ ]] || __wtenv_sweep
		\builtin return 0
	fi
	# These, and what begins with such a part and "_", are never touched, whatever the environment says. What this
	# shell itself has entered has none of them.
	\builtin local __wtenv_reserved=' @RESERVED@ ' __wtenv_parts=' @RESERVED_PARTS@ '
	[[ -z ${__wtenv_shown-}${_OLD_VIRTUAL_PATH-} ]] || __wtenv_hide
	if [[ -n ${__wtenv_fast-} ]]; then
		__wtenv_fast=
		! __wtenv_leave_fast 2>/dev/null || \builtin return 0
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
	\builtin unset -m 'WTENV_(OLD|NEW)_*' 'WTENV_(ROOT|ID|UID|VARS)' || : # a failure where there is none
}

__wtenv_restore() {
	[[ ${(Pt)1} != *readonly* ]] || \builtin return 0
	# What the user has declared it since makes no difference: a number would evaluate the value.
	[[ ${(Pt)1} == scalar* && ${(Pt)1} != *(left|right|lower|upper)* ]] || \builtin unset "$1"
	\builtin export "$1=$2"
	# It was a shell variable, not in the environment.
	[[ ${__wtenv_unexported-} != *" $1 "* ]] || \builtin typeset -g +x "$1"
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
	# Whatever differs from what we gave counts as the user's, and stays.
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
