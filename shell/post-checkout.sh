#!/bin/sh
# Made by: wtenv setup --git (taken back by: wtenv setup --git --undo)
# git runs this after each checkout (githooks(5), post-checkout). The commit before is all zeros only for a new worktree
# or clone: there wtenv does what entering it would do. Nothing of that makes git fail.
__wtenv_status=0
for __wtenv_before in "${0%/*}/post-checkout.before-wtenv.d/post-checkout" "${0%/*}/post-checkout.before-wtenv"; do
	if [ -f "$__wtenv_before" ] && [ -x "$__wtenv_before" ]; then
		"$__wtenv_before" "$@"
		__wtenv_status=$?
		break
	fi
done
case ${1-} in
'' | *[!0]*) ;;
*)
	if [ -z "${WTENV_DISABLE-}" ] && [ -x @PYTHON@ ] && [ -r @MAIN@ ]; then
		@COMMAND@ __checkout </dev/null >&2 || :
	fi
	;;
esac
exit "$__wtenv_status"
