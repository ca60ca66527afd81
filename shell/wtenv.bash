# wtenv for bash, from 3.2 on. Sourcing it twice changes nothing.
#
# Rules kept throughout, each for a reason:
#   \builtin NAME     the user may have aliases or functions of any name
#   test, # and %     not [[ == ]], case or ${x/y}: those obey nocasematch
#   __wtenv_ names    locals too: a plain local would hide the user's variable of that name
#   "quoted whole" arguments after \builtin local and export: \builtin makes them split like any command's,
#     and with `set -k` an unquoted x=y is no argument at all
#   "${x-}", || and if everywhere: the user may have set -eu
#   no IFS, no glob, no trap, no subshell on the way of an unchanged prompt
#
# shellcheck disable=SC2154 # it does not see "x=y" after \builtin local, nor the settings below
# shellcheck disable=SC2317 # nor that a function which is defined anew is called

# --- apply and undo: also given out alone, by `wtenv export bash` -------------------------------------

# The attribute letters of variable $1, which is set, in __wtenv_flags. [@]: an array may lack [0].
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

__wtenv_entered='' # by this shell, not by its environment

# Enter: ROOT ID UID PREFIX NAME MODIFIER PROMPT NAMES, then any number of
#   s NAME VALUE   S NAME VALUE (a list)   u NAME -   f NAME ENTRIES   b NAME ENTRIES
# where each name comes once (b may follow f of the same list). NAMES has them all; a list's ends in ":".
# A `for` over them: `shift`, $# and appending take the longer, the more there are.
__wtenv_apply() {
	\builtin local "__wtenv_refused=" "__wtenv_flags=" "__wtenv_cut=" "__wtenv_old=" "__wtenv_kind=" "__wtenv_n="
	\builtin local "__wtenv_at=$1" "__wtenv_id=$2" "__wtenv_uid=$3" "__wtenv_base=$4" "__wtenv_name=$5"
	\builtin local "__wtenv_modifier=$6" "__wtenv_vars=$8" "__wtenv_front=" "__wtenv_value="
	\builtin local "__wtenv_level=${CONDA_SHLVL-}" __wtenv_all
	__wtenv_plain=' ' __wtenv_straight=''
	__wtenv_show "${4:+${CONDA_PROMPT_MODIFIER-}}" "$6" "$7"
	\builtin shift 8
	if [[ -n $__wtenv_base ]]; then # conda's own stack, one level up
		__wtenv_vars="CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_PROMPT_MODIFIER $__wtenv_vars"
		\builtin set -- s CONDA_PREFIX "$__wtenv_base" s CONDA_DEFAULT_ENV "$__wtenv_name" \
			s CONDA_PROMPT_MODIFIER "$__wtenv_modifier" "$@"
		if [[ -z $__wtenv_level || -n ${__wtenv_level//[0123456789]/} || ${#__wtenv_level} -gt 3 || -z ${CONDA_PREFIX-} ]]; then
			__wtenv_level=0
		fi
		__wtenv_level=$((10#$__wtenv_level))
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
				__wtenv_plain="$__wtenv_plain$2 "
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
	\builtin export "WTENV_ROOT=$__wtenv_at" "WTENV_ID=$__wtenv_id" "WTENV_UID=$__wtenv_uid" "WTENV_VARS=${__wtenv_vars% }"
	\builtin return 0
}

# Take $__wtenv_refused out of $__wtenv_vars.
__wtenv_drop() {
	\builtin local __wtenv_item "__wtenv_names=$__wtenv_vars"
	\builtin local 'IFS= ' 2>/dev/null || : # read-only where it fails
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
		__wtenv_straight=''
		if \builtin test "${__wtenv_swept-}" != "$$"; then # what else there is of it has come with the environment
			__wtenv_sweep
		fi
		\builtin return 0
	fi
	\builtin local __wtenv_item __wtenv_name __wtenv_old __wtenv_new
	\builtin local "__wtenv_moved=" "__wtenv_theirs=" "__wtenv_known=" __wtenv_level __wtenv_next __wtenv_merged
	if [[ -n ${__wtenv_shown-}${_OLD_VIRTUAL_PATH-} ]]; then
		__wtenv_hide
	fi
	if [[ -n ${__wtenv_straight-} ]]; then # spelled out by the entry that entered
		__wtenv_straight=''
		if __wtenv_exit 2>/dev/null; then
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
	\builtin local 'IFS= ' 2>/dev/null || : # read-only where it fails
	for __wtenv_item in $WTENV_VARS; do
		__wtenv_name=${__wtenv_item%:}
		if [[ -z $__wtenv_known ]] && __wtenv_is_reserved; then
			\builtin continue
		fi
		__wtenv_old=WTENV_OLD_${__wtenv_name}_
		__wtenv_new=WTENV_NEW_${__wtenv_name}_
		__wtenv_level=1
		if \builtin test "${!__wtenv_name+x}${!__wtenv_name-}" = "${!__wtenv_new+x}${!__wtenv_new-}"; then
			if [[ -n $__wtenv_theirs && -n ${!__wtenv_name+x} ]] && \builtin test "$__wtenv_item" != "$__wtenv_name"; then
				__wtenv_level=''
			elif [[ -n $__wtenv_theirs || -z ${!__wtenv_old+x} ]]; then
				\builtin unset -v "$__wtenv_name" || :
				\builtin continue
			else
				__wtenv_level=all
				__wtenv_merged=${!__wtenv_old}
			fi
		elif [[ -z ${!__wtenv_name+x} ]] || \builtin test "$__wtenv_item" = "$__wtenv_name"; then
			\builtin continue # the user's own value
		elif [[ -n $__wtenv_theirs ]]; then
			__wtenv_level=''
		elif [[ -n $__wtenv_moved ]] && \builtin test "$__wtenv_name" = PATH; then
			__wtenv_level='' # conda has changed it: it has put its entry back, or another one in its place
		fi
		if \builtin test "$__wtenv_level" != all; then
			__wtenv_merge "${!__wtenv_name}" "${!__wtenv_new-}" "${!__wtenv_old-}" "$__wtenv_level"
			if [[ -z $__wtenv_merged${!__wtenv_old+x} ]]; then
				\builtin unset -v "$__wtenv_name" || :
				\builtin continue
			fi
		fi
		# Unset, what the user has declared it since makes no difference: an integer would evaluate the value.
		if ! \builtin unset -v "$__wtenv_name" || ! \builtin export "$__wtenv_name=$__wtenv_merged"; then
			: # made read-only since
		elif \builtin test "${__wtenv_plain-}" != "${__wtenv_plain#* "$__wtenv_name" }"; then
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

# --- the hook -----------------------------------------------------------------------------------------

@SETTINGS@

# Whose state is this? What is copied into another shell (the functions of a snapshot, `export -f cd`, `set -a`) has to
# do nothing there. An array, as bash exports none, so that `exec bash` begins anew, too; [0] is how deep the
# subshell is. Kept where the hook is sourced again, or by an entry of a newer version; before 0.2 it was no array.
if \builtin test "${__wtenv_shell[1]-${__wtenv_shell-}}" != "$$"; then
	__wtenv_pwd='' __wtenv_root='' __wtenv_held='' __wtenv_adopted='' __wtenv_straight='' __wtenv_shown=''
	__wtenv_said='' __wtenv_farewell='' __wtenv_from=''
	\builtin unset -v __wtenv_at_prompt
fi
\builtin unset -v __wtenv_shell
__wtenv_shell=("$BASH_SUBSHELL" "$$")
__wtenv_settled='' __wtenv_wrapped='' __wtenv_shown=${__wtenv_shown-}
__wtenv_top=${__wtenv_top-} __wtenv_new=${__wtenv_new-} __wtenv_way=${__wtenv_way-}

# Does this bash compare times to the nanosecond? 3.2 to 5.0 see whole seconds, and need fresher entries.
if [[ $__wtenv_cache/fine.2 -nt $__wtenv_cache/fine.1 ]]; then __wtenv_coarse=''; else __wtenv_coarse=1; fi

# At the prompt and after a cd comes __wtenv_check: nothing, if neither the folder nor what is known of it has
# changed, else __wtenv_decide, or what it is given. Each entry brings its own (`__wtenv_arrive`).
if [[ -z $__wtenv_pwd ]]; then
	__wtenv_check() { "${1:-__wtenv_decide}"; }
fi
__wtenv_no() { \builtin return 1; }

# $1: the status, where it is not to be passed on, or is another by now. Else this is called as `… && \:`, so that no
# ERR trap runs for it.
__wtenv_prompt() {
	\builtin local "__wtenv_status=${1-$?}"
	__wtenv_ran=1
	__wtenv_check __wtenv_look || :
	case $- in # an older hook calls it alone: with `set -e` a status that is only passed on would end the shell
	*e*) \builtin return 0 ;;
	esac
	\builtin return "$__wtenv_status"
}

# At the first prompt, when the rc file is done; and where PROMPT_COMMAND was replaced since the last one.
__wtenv_first() {
	\builtin local "__wtenv_status=${1-$?}"
	__wtenv_at_prompt[$$]=__wtenv_prompt
	__wtenv_plug
	if [[ -n ${BASH_ALIASES[*]-} && ${#PROMPT_COMMAND[@]} -gt 1 ]] &&
		[[ -n ${BASH_ALIASES[for]+x}${BASH_ALIASES[do]+x}${BASH_ALIASES[done]+x} ]]; then
		PROMPT_COMMAND=("${PROMPT_COMMAND[@]/#for __wtenv_item */}") # it would be another command
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
	case $- in # with -e, an assignment to a read-only variable ends the shell, whatever tests it
	*e*)
		\builtin set +e
		__wtenv_decide
		\builtin set -e
		\builtin return 0
		;;
	esac
	\builtin local "__wtenv_dir=${PWD%/}" "__wtenv_up=" "__wtenv_real="
	while [[ ! -e $__wtenv_dir/.git && ! -e ${__wtenv_up}.git && -n $__wtenv_dir ]]; do
		__wtenv_dir=${__wtenv_dir%/*}
		__wtenv_up=$__wtenv_up../
	done
	if [[ ! $__wtenv_dir/. -ef ${__wtenv_up}. ]]; then
		# What $PWD names is not where the shell stands: a symlink leads here, or has been turned since, or the folder
		# was deleted and made anew. The real folder counts, as it does for what the shell starts.
		__wtenv_real=$(\builtin pwd -P 2>/dev/null) || :
		[[ . -ef $__wtenv_real ]] || __wtenv_real='' # of a folder that is gone it may tell the old name
		__wtenv_dir=${__wtenv_real%/} __wtenv_up=''
		while [[ ! -e $__wtenv_dir/.git && -n $__wtenv_dir ]]; do
			__wtenv_dir=${__wtenv_dir%/*}
			__wtenv_up=$__wtenv_up../
		done
		[[ ! -e $__wtenv_dir/.git ]] || __wtenv_real=${__wtenv_dir:-/}
		__wtenv_real=${__wtenv_real:-/dev/null} # nowhere: never the same folder
	fi
	__wtenv_pwd=$PWD __wtenv_top=${__wtenv_up}. __wtenv_new=${__wtenv_up:+.git}
	if [[ -n ${WTENV_DISABLE-} ]]; then
		__wtenv_from=disabled __wtenv_root='' __wtenv_said='' __wtenv_farewell=''
		__wtenv_check() { [[ -n ${WTENV_DISABLE-} ]] || "${1:-__wtenv_decide}"; }
		__wtenv_leave
	elif [[ ! -e $__wtenv_dir/.git ]]; then
		__wtenv_from=outside __wtenv_root='' __wtenv_said='' __wtenv_way=$__wtenv_real
		__wtenv_check() {
			[[ -z ${WTENV_DISABLE-}${PWD#"$__wtenv_pwd"} && ! -e .git && (-z $__wtenv_way || . -ef $__wtenv_way) ]] ||
				"${1:-__wtenv_decide}"
		}
		__wtenv_leave
		__wtenv_say left "$__wtenv_farewell" enter
		__wtenv_farewell=''
	elif \builtin test "${__wtenv_dir:-/}" = "$__wtenv_root" && __wtenv_check __wtenv_no && __wtenv_is_first; then
		__wtenv_from='same root' __wtenv_way=${__wtenv_real:-$__wtenv_way}
	else
		__wtenv_way=$__wtenv_real
		__wtenv_load "$__wtenv_dir"
	fi
	if [[ -n ${WTENV_DEBUG-} ]]; then
		\builtin printf 'wtenv: debug: %s: %s\n' "$PWD" "$__wtenv_from" >&2 || :
	fi
}

# Put into effect what is known of the root $1, or ask.
__wtenv_load() {
	\builtin local "__wtenv_file=$__wtenv_cache$1/%wtenv.bash$__wtenv_coarse" "__wtenv_last=$__wtenv_held" __wtenv_text
	if \builtin test "${1:-/}" != "$__wtenv_root"; then
		__wtenv_said=''
	fi
	__wtenv_root=${1:-/} __wtenv_settled='' __wtenv_held='' __wtenv_from=cached
	if \builtin test "$__wtenv_last" = "$__wtenv_root"; then # the entry is still in memory
		__wtenv_arrive
	fi
	if [[ -z $__wtenv_settled && -O $__wtenv_file && -O $__wtenv_cache ]]; then
		__wtenv_read source "$__wtenv_file"
	fi
	if [[ -z $__wtenv_settled ]]; then
		if \builtin test "${WTENV_ROOT-}" != "$__wtenv_root"; then
			__wtenv_leave
		fi
		__wtenv_read eval '[[ -n x ]]' 2>/dev/null || : # bash 5 still is in a [[ where a damaged entry ended
		# Ctrl-C from here on ends this function: then nothing is retried until something changes.
		__wtenv_from=computed
		__wtenv_check() { [[ -z ${WTENV_DISABLE-}${PWD#"$__wtenv_pwd"} ]] || "${1:-__wtenv_decide}"; }
		__wtenv_text=$("${__wtenv_command[@]}" "$__wtenv_root" "$__wtenv_coarse") || :
		if \builtin test "${__wtenv_text%'# end'}" != "$__wtenv_text"; then
			__wtenv_read eval "$__wtenv_text"
		fi
	fi
	if [[ -z $__wtenv_settled ]]; then
		__wtenv_from=failed
		__wtenv_leave
		__wtenv_say failed "nothing is active here: ${__wtenv_command[0]} gave no answer; install wtenv again, then restart this shell"
	fi
}

# Read an entry: `source FILE` or `eval TEXT`. An alias of the user's for `[[` or `{` would make another of it.
__wtenv_read() {
	if \builtin shopt -q expand_aliases; then
		\builtin shopt -u expand_aliases
		\builtin "$@" || :
		\builtin shopt -s expand_aliases
	else
		\builtin "$@" || :
	fi
}

# Called by an entry's __wtenv_arrive: KIND ID MESSAGE LEVEL FAREWELL STAMPS. There are __wtenv_check, _guard and
# _enter of this entry, too; unless these functions are copies of another shell's, with other stamps than ours.
__wtenv_settle() {
	if \builtin test "$6" != "$__wtenv_stamps"; then
		\builtin return 0
	elif \builtin test "$__wtenv_from" = cached && ! __wtenv_check __wtenv_no; then
		\builtin return 0
	fi
	if \builtin test "$1" != active; then
		__wtenv_leave
		__wtenv_from=$1
	elif \builtin test "${WTENV_ID-}" = "$2" && __wtenv_is_whole; then
		__wtenv_said=$2
		\builtin hash -r 2>/dev/null || : # a sync may have added or removed commands
	else
		if \builtin test "${WTENV_ROOT-}" = "$__wtenv_root"; then
			__wtenv_said=$2
		fi
		__wtenv_leave
		if \builtin test "$__wtenv_from" = cached && ! __wtenv_guard; then
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
		\builtin test "${WTENV_UID-}:${PATH-}${CONDA_PREFIX-}" = "$EUID:${WTENV_NEW_PATH_-}${WTENV_NEW_CONDA_PREFIX_-${CONDA_PREFIX-}}"
	fi
}

# Is the first of what we put on PATH still there? Not so where all of it was replaced (a snapshot of another shell).
__wtenv_is_first() {
	[[ -z ${WTENV_NEW_PATH_-} || :${PATH-}: == *":${WTENV_NEW_PATH_%%:*}:"* ]]
}

# Say $2 once for each id $1; "enter" messages only where someone is looking. A subshell can't keep in mind what it
# has said: `$(cd x && pwd)` in a prompt would say it each time.
__wtenv_say() {
	if [[ -z $2 || $BASH_SUBSHELL -gt ${__wtenv_shell[0]} ]] || \builtin test "$__wtenv_said" = "$1"; then
		\builtin return 0
	fi
	__wtenv_said=$1
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
			\builtin declare -f cd pushd popd >|"$__wtenv_cache/functions"
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
			__wtenv_needs=${__wtenv_text#*__wtenv_moved __wtenv_user_}
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
		# A copy in another shell, or one whose other parts are gone, is the builtin and nothing else.
		__wtenv_read eval "function $__wtenv_name {
			if [[ \${__wtenv_shell[1]-} != \"\$\$\" ]] ||
				! \\builtin declare -f +t __wtenv_moved $__wtenv_needs; then
				\\builtin $__wtenv_name \"\$@\"
				\\builtin return
			fi
			$__wtenv_user \"\$@\" || \\builtin return
			__wtenv_moved
			: \"\$@\"
		}"
	done
}

# After a cd: PROMPT_COMMAND may have been replaced.
__wtenv_moved() {
	[[ "${PROMPT_COMMAND[*]-}" == *'{__wtenv_at_prompt'* ]] || __wtenv_plug
	__wtenv_decide || : # also by the same name, which may lead elsewhere by now
}

# Our call comes first in PROMPT_COMMAND, so that what comes after it sees the environment. It does nothing in a child
# that inherits the variable (a sparse array is a guest's way to have a variable for each process). From 5.1 on
# PROMPT_COMMAND may be an array. Then ours is an element of its own, after which bash itself puts $?, PIPESTATUS and
# $_ back, and the last one looks whether ours has run: PROMPT_COMMAND=… replaces the first alone. A `for` over
# nothing, as a command would run a DEBUG trap.
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
*i*) [[ -z ${BASH_EXECUTION_STRING-} ]] || __wtenv_check ;; # else before the first prompt
*) __wtenv_check ;;
esac
