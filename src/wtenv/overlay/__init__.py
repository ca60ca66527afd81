"""The overlay: a worktree's own small virtual environment, sealed on top of a shared base.

`state.inspect` reads, `sync.sync` builds, `refresh.refresh` follows the base, `removal.remove` deletes.
Imports run downwards: sync -> builds -> building, distributions, sealing, wrappers -> layout -> manifest;
state -> manifest.
"""
