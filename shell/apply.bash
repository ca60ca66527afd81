# wtenv for bash: enter and leave in general, as `apply` and `undo` of src/wtenv/environ.py do. Part of the hook, whose
# rules are in hook.bash; also given out alone, by `wtenv export bash`.
#
# Variables that stay in the shell (none is exported):
#   __wtenv_entered     PROCESS:ID of what this shell itself has entered; what came with the environment has none
#   __wtenv_unexported  " NAME NAME ": what was not in the environment before we changed it
#   __wtenv_fast        1 if __wtenv_leave_fast belongs to what is active
#   __wtenv_shown       what was put into the prompt
#   __wtenv_hidden      what it stands for: conda's part of the prompt, or nothing
#   __wtenv_swept       the process that has no state left over from another shell
#
# shellcheck disable=SC2154 # it does not see "x=y" after \builtin local

# The attribute letters of variable $1, which is set, in __wtenv_flags. [@]: an array may lack [0]. From 4.4 on without
# a process; in quotes, as to an older one ${!x@a} is a mistake.
if [[ ${BASH_VERSINFO[0]} -ge 5 || ${BASH_VERSINFO[0]}${BASH_VERSINFO[1]} -eq 44 ]]; then
	\builtin eval '__wtenv_attributes() { __wtenv_flags="$1[@]" __wtenv_flags="${!__wtenv_flags@a}"; }'
else
	__wtenv_attributes() {
		__wtenv_flags='declare -x ' # PATH is always set: no process for it
		if \builtin test "$1" != PATH; then
			__wtenv_flags=$(\builtin declare -p "$1" 2>/dev/null || :)
		fi
		__wtenv_flags=${__wtenv_flags#declare -}
		__wtenv_flags=${__wtenv_flags%% *}
	}
fi

__wtenv_entered='' __wtenv_unexported=${__wtenv_unexported-}

# Enter: ROOT ID UID PREFIX NAME MODIFIER PROMPT NAMES, then any number of
#   s NAME VALUE   S NAME VALUE (a list)   u NAME -   f NAME ENTRIES   b NAME ENTRIES
# where each name comes once (b may follow f of the same list). NAMES has them all; a list's ends in ":".
# A `for` over them: `shift`, $# and appending take the longer, the more there are.
__wtenv_apply() {
	\builtin local "__wtenv_refused=" "__wtenv_flags=" "__wtenv_cut=" "__wtenv_old=" "__wtenv_kind=" "__wtenv_n="
	\builtin local "__wtenv_at=$1" "__wtenv_id=$2" "__wtenv_uid=$3" "__wtenv_base=$4" "__wtenv_name=$5"
	\builtin local "__wtenv_modifier=$6" "__wtenv_vars=$8" "__wtenv_front=" "__wtenv_value="
	\builtin local "__wtenv_level=${CONDA_SHLVL-}" __wtenv_all
	__wtenv_unexported=' ' __wtenv_fast='' # a space before each name and behind it: "A" is not in " BA "
	__wtenv_show "${4:+${CONDA_PROMPT_MODIFIER-}}" "$6" "$7"
	\builtin shift 8
	if [[ -n $__wtenv_base ]]; then # conda's own stack, one level up
		__wtenv_vars="CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_PROMPT_MODIFIER $__wtenv_vars"
		\builtin set -- s CONDA_PREFIX "$__wtenv_base" s CONDA_DEFAULT_ENV "$__wtenv_name" \
			s CONDA_PROMPT_MODIFIER "$__wtenv_modifier" "$@"
		if [[ -z $__wtenv_level || -n ${__wtenv_level//[0123456789]/} || ${#__wtenv_level} -gt 3 || -z ${CONDA_PREFIX-} ]]; then
			__wtenv_level=0
		fi
		__wtenv_level=$((10#$__wtenv_level)) # "08" is no number to bash
		if [[ $__wtenv_level -eq 0 ]]; then
			__wtenv_vars="CONDA_SHLVL $__wtenv_vars"
			\builtin set -- s CONDA_SHLVL 1 "$@"
		else
			__wtenv_cut=$CONDA_PREFIX/bin
			if \builtin test "$CONDA_PREFIX" != "$__wtenv_base"; then # else conda re-activates in place
				__wtenv_vars="CONDA_PREFIX_$__wtenv_level CONDA_SHLVL $__wtenv_vars"
				\builtin set -- s "CONDA_PREFIX_$__wtenv_level" "$CONDA_PREFIX" s CONDA_SHLVL "$((__wtenv_level + 1))" "$@"
			fi
		fi
	fi
	for __wtenv_value in "$@"; do
		if [[ -z $__wtenv_kind ]]; then
			__wtenv_kind=$__wtenv_value
			\builtin continue
		elif [[ -z $__wtenv_n ]]; then
			__wtenv_n=$__wtenv_value
			\builtin continue
		fi
		\builtin set -- "$__wtenv_kind" "$__wtenv_n" "$__wtenv_value"
		__wtenv_kind='' __wtenv_n=''
		# An array may lack [0]. In quotes, as bash 4.4 splits [@] even within [[ ]].
		__wtenv_all="$2[@]"
		# Neither set nor declared (as an integer that has no value yet, say).
		if [[ -z "${!__wtenv_all+x}${1#s}" ]] && ! \builtin declare -p "$2" &&
			\builtin export "$2=$3" "WTENV_NEW_$2_=$3"; then # the common case
			\builtin continue
		fi
		if \builtin test "$1 $2" = "b $__wtenv_front"; then # its other end is done
			\builtin export "$2=${!2-}:$3" "WTENV_NEW_$2_=${!2-}:$3"
			\builtin continue
		fi
		# An array, an integer (its value would be evaluated) and a read-only variable can't be set without
		# surprises; nor where they are declared, and have no value yet.
		if [[ -n "${!__wtenv_all+x}" ]] || \builtin declare -p "$2"; then
			__wtenv_attributes "$2"
			if \builtin test "${__wtenv_flags//[aAilnru]/}" != "$__wtenv_flags"; then
				__wtenv_refused="$__wtenv_refused $2"
				\builtin continue
			fi
		fi
		if [[ -z "${!__wtenv_all+x}" ]]; then
			\builtin unset -v "$2" # where bash does not tell the attributes of what has no value
		else
			__wtenv_old=${!2-}
			if \builtin test "${__wtenv_flags#*x}" = "$__wtenv_flags"; then
				__wtenv_unexported="$__wtenv_unexported$2 "
			fi
			\builtin export "WTENV_OLD_$2_=$__wtenv_old"
			if [[ -n $__wtenv_cut ]] && \builtin test "$2" = PATH; then
				__wtenv_old=:$__wtenv_old:
				if \builtin test "${__wtenv_old#*":$__wtenv_cut:"}" != "$__wtenv_old"; then
					__wtenv_old=${__wtenv_old%%":$__wtenv_cut:"*}:${__wtenv_old#*":$__wtenv_cut:"}
				fi
				__wtenv_old=${__wtenv_old#:}
				__wtenv_old=${__wtenv_old%:}
			fi
			if [[ -z $__wtenv_old ]]; then # an empty list has no entries: no ":" that would mean "here"
				:
			elif \builtin test "$1" = f; then
				\builtin set -- "$1" "$2" "$3:$__wtenv_old"
			elif \builtin test "$1" = b; then
				\builtin set -- "$1" "$2" "$__wtenv_old:$3"
			fi
		fi
		if \builtin test "$1" = u; then
			\builtin unset -v "$2" || __wtenv_refused="$__wtenv_refused $2"
		elif ! \builtin export "$2=$3" "WTENV_NEW_$2_=$3"; then # read-only, but unset
			__wtenv_refused="$__wtenv_refused $2"
			\builtin unset -v "WTENV_NEW_$2_"
		elif \builtin test "$1" = f; then
			__wtenv_front=$2
		fi
	done >/dev/null 2>&1 # once, here: a redirection costs as much as all the rest
	if [[ -n $__wtenv_refused ]]; then
		\builtin printf 'wtenv: left as they are, read-only or of a special type in this shell:%s\n' "$__wtenv_refused" >&2 || :
		__wtenv_drop
	fi
	__wtenv_entered=$$:$__wtenv_id
	\builtin export "WTENV_ROOT=$__wtenv_at" "WTENV_ID=$__wtenv_id" "WTENV_UID=$__wtenv_uid" "WTENV_VARS=${__wtenv_vars% }" # without a space where only conda's part has changed
	\builtin return 0
}

# Take $__wtenv_refused out of $__wtenv_vars.
__wtenv_drop() {
	\builtin local __wtenv_item "__wtenv_names=$__wtenv_vars"
	\builtin local 'IFS= ' 2>/dev/null || : # one space, so that $__wtenv_names splits; a read-only IFS stays
	__wtenv_refused="$__wtenv_refused " __wtenv_vars=''
	for __wtenv_item in $__wtenv_names; do
		if \builtin test "${__wtenv_refused#*" ${__wtenv_item%:} "}" = "$__wtenv_refused"; then
			__wtenv_vars="$__wtenv_vars${__wtenv_vars:+ }$__wtenv_item"
		fi
	done
}

# The prompt: conda's "(base) " in PS1 becomes ours ($1 to $2), or ours is put before it if $3 says so.
__wtenv_show() {
	__wtenv_shown=''
	if [[ -z ${PS1+x} || $2$3 == *[\$\`\\]* ]]; then # in a prompt a name with these would be expanded
		:
	elif \builtin test -n "$1" && \builtin test "${PS1#*"$1"}" != "$PS1"; then
		PS1=${PS1%%"$1"*}$2${PS1#*"$1"} __wtenv_shown=$2 __wtenv_hidden=$1
	elif [[ -n $3 ]]; then
		PS1=$3$PS1 __wtenv_shown=$3 __wtenv_hidden=''
	fi
}

# Take back what was put into the prompt, which a terminal may have wrapped since; and from the prompt and the PATH
# that the `activate` of a virtual environment has kept for its `deactivate`.
__wtenv_hide() {
	\builtin local __wtenv_name __wtenv_merged
	for __wtenv_name in PS1 _OLD_VIRTUAL_PS1; do
		__wtenv_merged=${!__wtenv_name-}
		if [[ -n ${__wtenv_shown-} ]] && \builtin test "${__wtenv_merged#*"$__wtenv_shown"}" != "$__wtenv_merged"; then
			__wtenv_merged=${__wtenv_merged%%"$__wtenv_shown"*}$__wtenv_hidden${__wtenv_merged#*"$__wtenv_shown"}
			\builtin printf -v "$__wtenv_name" %s "$__wtenv_merged"
		fi
	done
	__wtenv_shown=''
	if [[ -n ${_OLD_VIRTUAL_PATH-} ]]; then
		__wtenv_name=1
		if \builtin test "${WTENV_UID-}" != "$EUID"; then # nothing of another user's comes back
			__wtenv_name=''
		fi
		__wtenv_merge "$_OLD_VIRTUAL_PATH" "${WTENV_NEW_PATH_-}" "${WTENV_OLD_PATH_-}" "$__wtenv_name"
		_OLD_VIRTUAL_PATH=$__wtenv_merged
	fi
}

# Leave: take our changes back by value, keep the user's.
__wtenv_leave() {
	if [[ -z ${WTENV_VARS+x}${WTENV_ROOT+x} ]]; then
		__wtenv_fast=''
		if \builtin test "${__wtenv_swept-}" != "$$"; then # what else there is of it has come with the environment
			__wtenv_sweep
		fi
		\builtin return 0
	fi
	\builtin local __wtenv_item __wtenv_name __wtenv_old __wtenv_new
	\builtin local "__wtenv_moved=" "__wtenv_theirs=" "__wtenv_known=" __wtenv_level __wtenv_next __wtenv_merged __wtenv_back
	if [[ -n ${__wtenv_shown-}${_OLD_VIRTUAL_PATH-} ]]; then
		__wtenv_hide
	fi
	if [[ -n ${__wtenv_fast-} ]]; then
		__wtenv_fast=''
		if __wtenv_leave_fast 2>/dev/null; then
			\builtin return 0
		fi
	fi
	# These, and what begins with such a part and "_", are never touched, whatever the environment says. What this
	# shell itself has entered has none of them.
	if \builtin test "${__wtenv_entered-}" = "$$:${WTENV_ID-}"; then
		__wtenv_known=1
	else
		\builtin local "__wtenv_reserved= @RESERVED@ " "__wtenv_parts= @RESERVED_PARTS@ "
	fi
	# Of another user's state (su, sudo, ssh) what that has added goes, and none of its values comes back.
	if \builtin test "${WTENV_UID-}" != "$EUID"; then
		__wtenv_theirs=1
	elif [[ -n ${WTENV_NEW_CONDA_PREFIX_-} ]] && \builtin test "${CONDA_PREFIX-}" != "$WTENV_NEW_CONDA_PREFIX_"; then
		__wtenv_moved=1 # the user has activated or deactivated a conda environment inside
		__wtenv_unstack
	fi
	WTENV_VARS=${WTENV_VARS-}
	if [[ " $WTENV_VARS" == *[!A-Za-z0-9_:\ ]* || " $WTENV_VARS" == *\ [0-9:]* || $WTENV_VARS == *:[!\ ]* ]]; then
		WTENV_VARS='' # not from us
	fi
	\builtin local 'IFS= ' 2>/dev/null || : # one space, so that $WTENV_VARS splits; a read-only IFS stays
	for __wtenv_item in $WTENV_VARS; do
		__wtenv_name=${__wtenv_item%:}
		if [[ -z $__wtenv_known ]] && __wtenv_is_reserved; then
			\builtin continue
		fi
		__wtenv_old=WTENV_OLD_${__wtenv_name}_
		__wtenv_new=WTENV_NEW_${__wtenv_name}_
		__wtenv_back=entries # what comes back: the old value, the old entries of a list, or nothing
		if \builtin test "${!__wtenv_name+x}${!__wtenv_name-}" = "${!__wtenv_new+x}${!__wtenv_new-}"; then
			if [[ -n $__wtenv_theirs && -n ${!__wtenv_name+x} ]] && \builtin test "$__wtenv_item" != "$__wtenv_name"; then
				__wtenv_back=''
			elif [[ -n $__wtenv_theirs || -z ${!__wtenv_old+x} ]]; then
				\builtin unset -v "$__wtenv_name" || :
				\builtin continue
			else
				__wtenv_back=value
				__wtenv_merged=${!__wtenv_old}
			fi
		elif [[ -z ${!__wtenv_name+x} ]] || \builtin test "$__wtenv_item" = "$__wtenv_name"; then
			\builtin continue # the user's own value
		elif [[ -n $__wtenv_theirs ]]; then
			__wtenv_back=''
		elif [[ -n $__wtenv_moved ]] && \builtin test "$__wtenv_name" = PATH; then
			__wtenv_back='' # conda has changed it: it has put its entry back, or another one in its place
		fi
		if \builtin test "$__wtenv_back" != value; then
			__wtenv_merge "${!__wtenv_name}" "${!__wtenv_new-}" "${!__wtenv_old-}" "$__wtenv_back"
			if [[ -z $__wtenv_merged${!__wtenv_old+x} ]]; then
				\builtin unset -v "$__wtenv_name" || :
				\builtin continue
			fi
		fi
		# Unset, what the user has declared it since makes no difference: an integer would evaluate the value.
		if ! \builtin unset -v "$__wtenv_name" || ! \builtin export "$__wtenv_name=$__wtenv_merged"; then
			: # made read-only since
		elif \builtin test "${__wtenv_unexported-}" != "${__wtenv_unexported#* "$__wtenv_name" }"; then
			# shellcheck disable=SC2163 # the variable of that name
			\builtin export -n "$__wtenv_name" # it was a shell variable, not in the environment
		fi
	done 2>/dev/null # once here: a redirection costs as much as all the rest
	__wtenv_sweep
}

# Nothing of the state remains.
__wtenv_sweep() {
	__wtenv_swept=$$
	\builtin unset -v "${!WTENV_OLD_@}" "${!WTENV_NEW_@}" WTENV_ROOT WTENV_ID WTENV_UID WTENV_VARS || :
}

# Whether $__wtenv_name is never touched.
__wtenv_is_reserved() {
	\builtin set -- " $__wtenv_name " " ${__wtenv_name%%_*} "
	if [[ $__wtenv_reserved == *"$1"* || $__wtenv_parts == *"$2"* ]]; then # asked again, without `nocasematch`
		\builtin test "${__wtenv_reserved#*"$1"}" != "$__wtenv_reserved" && \builtin return 0
		\builtin test "${__wtenv_name#*_}" != "$__wtenv_name" && \builtin test "${__wtenv_parts#*"$2"}" != "$__wtenv_parts"
	else
		\builtin test "${__wtenv_name#WTENV_}" != "$__wtenv_name" || \builtin test "${__wtenv_name#__wtenv_}" != "$__wtenv_name" ||
			\builtin test "${__wtenv_name#__fish_}" != "$__wtenv_name"
	fi
}

# Take our level out of conda's stack where the user has activated another environment on top of it.
__wtenv_unstack() {
	__wtenv_level=${WTENV_NEW_CONDA_SHLVL_-}
	if [[ -z $__wtenv_level || -n ${__wtenv_level//[0123456789]/} || ${#__wtenv_level} -gt 3 ]] ||
		[[ -z ${CONDA_SHLVL-} || -n ${CONDA_SHLVL//[0123456789]/} || ${#CONDA_SHLVL} -gt 3 ]]; then
		\builtin return 0
	fi
	__wtenv_level=$((10#$__wtenv_level)) __wtenv_next=$((10#$CONDA_SHLVL)) # "08" is no number to bash
	__wtenv_name=CONDA_PREFIX_$__wtenv_level
	if [[ $__wtenv_next -le $__wtenv_level ]] || \builtin test "${!__wtenv_name-}" != "$WTENV_NEW_CONDA_PREFIX_"; then
		\builtin return 0
	fi
	# Whatever differs from what we gave counts as the user's, and stays.
	\builtin export "WTENV_NEW_CONDA_SHLVL_=settled" "WTENV_NEW_CONDA_PREFIX_$((__wtenv_level - 1))_=settled"
	while [[ $__wtenv_level -lt $((10#$CONDA_SHLVL - 1)) ]]; do
		__wtenv_next=CONDA_PREFIX_$((__wtenv_level + 1))
		\builtin export "CONDA_PREFIX_$__wtenv_level=${!__wtenv_next-}"
		__wtenv_level=$((__wtenv_level + 1))
	done
	\builtin unset -v "CONDA_PREFIX_$__wtenv_level"
	\builtin export "CONDA_SHLVL=$__wtenv_level"
}

# __wtenv_merged: the list $1 with the changes from $3 to $2 taken back; $4: put back what we took out.
__wtenv_merge() {
	\builtin local "__wtenv_now=:${1:+$1:}" "__wtenv_left=:${3:+$3:}" "__wtenv_todo=${2:+$2:}" __wtenv_e __wtenv_after
	while [[ -n $__wtenv_todo ]]; do # what we added goes
		__wtenv_e=:${__wtenv_todo%%:*}:
		__wtenv_todo=${__wtenv_todo#*:}
		if \builtin test "${__wtenv_left#*"$__wtenv_e"}" != "$__wtenv_left"; then
			__wtenv_left=${__wtenv_left%%"$__wtenv_e"*}:${__wtenv_left#*"$__wtenv_e"}
		elif \builtin test "${__wtenv_now#*"$__wtenv_e"}" != "$__wtenv_now"; then
			__wtenv_now=${__wtenv_now%%"$__wtenv_e"*}:${__wtenv_now#*"$__wtenv_e"}
		fi
	done
	__wtenv_todo=${__wtenv_left#:}
	while [[ -n $__wtenv_todo && -n $4 ]]; do # what we took out comes back, before its old successor
		__wtenv_e=:${__wtenv_todo%%:*}:
		__wtenv_todo=${__wtenv_todo#*:}
		if \builtin test "${__wtenv_now#*"$__wtenv_e"}" != "$__wtenv_now"; then
			\builtin continue
		fi
		__wtenv_after=:$3:
		__wtenv_after=${__wtenv_after#*"$__wtenv_e"}
		while [[ -n $__wtenv_after ]] && \builtin test "${__wtenv_now#*":${__wtenv_after%%:*}:"}" = "$__wtenv_now"; do
			__wtenv_after=${__wtenv_after#*:}
		done
		if [[ -n $__wtenv_after ]]; then
			__wtenv_after=${__wtenv_after%%:*}:
			__wtenv_now=${__wtenv_now%%":$__wtenv_after"*}$__wtenv_e$__wtenv_after${__wtenv_now#*":$__wtenv_after"}
		else
			__wtenv_now=$__wtenv_now${__wtenv_e#:}
		fi
	done
	__wtenv_now=${__wtenv_now#:}
	__wtenv_merged=${__wtenv_now%:}
}
