# shellcheck shell=bash
# Completion of wtenv in bash (3.2 or newer): wtenv itself says what fits, quoted as this word needs it.

__wtenv_complete() {
	# The name of a first line that is not empty: a command begins at that word.
	\builtin local __wtenv_lines __wtenv_line __wtenv_offset=''
	COMPREPLY=()
	__wtenv_lines=$(\command wtenv __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || \builtin return 0
	while IFS= \builtin read -r __wtenv_line; do
		if [[ -z $__wtenv_offset ]]; then
			__wtenv_offset=${__wtenv_line:-none}
		else
			COMPREPLY[${#COMPREPLY[@]}]=$__wtenv_line
		fi
	done <<<"$__wtenv_lines"
	# bash-completion knows the arguments of other commands.
	if [[ $__wtenv_offset == command* ]] && \builtin declare -F _command_offset >/dev/null; then
		_command_offset "$((${__wtenv_offset#command } + 1))"
	fi
}

# A value that is complete brings its own blank; a folder brings none.
\builtin complete -o nospace -F __wtenv_complete wtenv
