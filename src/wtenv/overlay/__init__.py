"""The overlay: a worktree's own small virtual environment on top of a shared base.

For the hook, read-only and quick:
    manifest      what wtenv notes inside of an overlay
    registry      the overlays that wtenv made: their records and locks, in the user's private folder
    tracking      whether git tracks something in an overlay
    inventory     what lies in an overlay, and what differs from what was noted
    state         the verdict: may this overlay be used?
    refresh       bootstrap, wrappers and kernels follow a base that changed
A sync, in its order:
    difference    what the overlay shall be (the plan), and how the one that is there differs from it
    sync          the steps: compare, create, build, verify, finish
    layout        the base's Python is asked about itself; the bare virtual environment is written
    swap          the overlay's folder comes to its place, goes, and what is not wtenv's is moved aside
    pth           the bootstrap: `~wtenv.pth`, and the modules in bootstrap/ that it imports
    wrappers      the base's scripts, on the overlay's Python
    kernels       the base's Jupyter kernels, on the overlay's Python
    links         declared modules as type checkers find them, who run no import hook
    requirements  what builds and editables require, and neither base nor overlay has
    project       what a declared package is, as its own files say it
    building      what it is built against; uv builds and installs it
    indexes       which settings and certificates uv reads
    shelf         which kept build serves a project here, and what of a new one is kept
    reuse         kept builds, and the key of one that a project's settings determine
    recipe        the key of a build that runs code, and what such a build leaves beside the sources
    tree          the content of a worktree, by git's index
    modules       which modules an editable has
    finders       where a Python finds modules: the one script that asks it
    imports       the import check: is each declared module found where it is declared?
    activate      `bin/activate`
"""
