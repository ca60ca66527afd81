#!/usr/bin/env bash
# Run the tests of every worktree of this repository, each with its own overlay. No hook is needed.
set -euo pipefail

while IFS= read -r worktree; do
	printf '== %s\n' "$worktree"
	(
		cd "$worktree"
		# Two lines, not eval "$(wtenv export bash)": so a failing export ends the script.
		activation=$(wtenv export bash)
		eval "$activation"
		pytest -q "$@"
	) </dev/null
done < <(git worktree list --porcelain | sed -n 's/^worktree //p')
