# mypy: ignore-errors
# wtenv: every base script's name in bin/ links here; this runs that script on the overlay's Python.


def _load(here):
    import os
    import sys

    for place in (here, sys.argv[0]):  # pdb has resolved the links of the first
        while os.path.islink(place):
            target = os.readlink(place)
            if os.path.dirname(target) == "../wtenv":
                here = place
                break
            place = os.path.join(os.path.dirname(place), target)  # a link to the twin, from elsewhere
    base_bin = BASE_BIN  # noqa: F821, filled in by sync
    script = os.path.join(base_bin, os.path.basename(here))
    try:
        with open(script, "rb") as file:
            source = file.read()
    except OSError as error:
        sys.exit("wtenv: can't read %s (%s); the base has changed, run: wtenv sync" % (script, error.strerror))
    # As if the script had been started where it is.
    if sys.path and sys.path[0] in (os.path.dirname(here), os.path.dirname(os.path.realpath(here))):
        sys.path[0] = base_bin
    return script, compile(source, script, "exec", dont_inherit=True)


# multiprocessing's children and debuggers find the script itself, under its own name.
__file__, _load = _load(__file__)
exec(_load)
