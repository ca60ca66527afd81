#compdef wtenv
# Completion of wtenv in zsh (5.3 or newer): wtenv itself says what fits.

_wtenv() {
	local line first value text result=1
	local -a lines pairs
	lines=("${(@f)$(command wtenv __complete zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	first=$lines[1]
	for line in "${(@)lines[2,-1]}"; do
		value=${line%%$'\t'*} text=${line#*$'\t'}
		value=${value//\\/\\\\}
		pairs+=("${value//:/\\:}${text:+:$text}")
	done
	((${#pairs})) && _describe -t values 'wtenv' pairs && result=0
	if [[ $first == command* ]]; then
		shift ${first#command } words
		shift words
		((CURRENT -= ${first#command } + 1))
		_normal && result=0
	elif [[ $first == files || $first == folders ]]; then
		[[ $words[CURRENT] == --*=* ]] && compset -P '--[^=]#='
		_files ${${first:#files}:+-/} && result=0
	fi
	return result
}

if [[ ${funcstack[1]-} == _wtenv ]]; then
	_wtenv "$@"
elif (( ${+functions[compdef]} )); then
	compdef _wtenv wtenv
else
	print -ru2 -- 'wtenv: completions need those of zsh; before, run: autoload -Uz compinit && compinit'
fi
