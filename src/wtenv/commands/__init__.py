"""The verbs, a file each: a function with plain arguments that returns an exit code."""
