#!/bin/sh
# Made by: wtenv setup --git (taken back by: wtenv setup --git --undo)
# git runs this after each checkout (githooks(5), post-checkout). The commit before is all zeros only for a new worktree
# or clone: there wtenv does what entering it would do. Nothing of that makes git fail.
__wtenv_status=0
if [ -x "${0%/*}/post-checkout.before-wtenv" ]; then
	"${0%/*}/post-checkout.before-wtenv" "$@"
	__wtenv_status=$?
fi
case ${1-} in
'' | *[!0]*) ;;
*)
	if [ -x @PYTHON@ ] && [ -r @MAIN@ ]; then
		@COMMAND@ __checkout </dev/null >&2 || :
	fi
	;;
esac
exit "$__wtenv_status"
