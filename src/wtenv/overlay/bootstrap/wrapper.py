# mypy: ignore-errors
# wtenv: the names of the base's scripts in bin/ are links to this; it runs the base's script on the overlay's Python.


def _load(here):
    import os
    import sys

    for place in (here, sys.argv[0]):  # pdb resolves the links of the first
        while os.path.islink(place):
            target = os.readlink(place)
            if target.startswith(".wrapper"):
                here = place
                break
            place = os.path.join(os.path.dirname(place), target)  # a link to the wrapper, from elsewhere
    if sys.prefix == sys.base_prefix and not sys.flags.no_site:
        # pyvenv.cfg is gone: pip, for one, would install into the base.
        sys.exit("wtenv: %s is damaged, run: wtenv sync" % os.path.dirname(os.path.dirname(here)))
    layer = os.environ.get("VIRTUAL_ENV", "")
    if layer and layer != sys.prefix:
        # `uv run --with X` puts a layer on this overlay, first on PATH: then its Python is what plain `python` is.
        try:
            with open(layer + "/pyvenv.cfg", encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read(4096).split("\n")
            below = next((line.partition("=")[2].strip() for line in lines if line.startswith("extends-environment")), "")
            folders = os.environ.get("PATH", "").split(os.pathsep)
            first = next((folder for folder in folders if os.path.exists(folder + "/python")), "")
            python = first + "/python"
            # Another program may only lead back to here.
            if below and os.path.samefile(below, sys.prefix) and first == layer + "/bin" and os.path.samefile(python, sys.executable):
                os.execv(python, [python] + ARGUMENTS + [here] + sys.argv[1:])  # noqa: F821
        except OSError:
            pass
    bins = BASE_BINS  # noqa: F821, filled in by sync
    places = [os.path.join(folder, os.path.basename(here)) for folder in bins]
    script = next(filter(os.path.exists, places), places[0])
    try:
        with open(script, "rb") as file:
            source = file.read()
    except OSError as error:
        sys.exit("wtenv: can't read %s (%s); the base has changed, run: wtenv sync" % (script, error.strerror))
    if b"PK\5\6" in source[-0x10016:]:
        # A zip archive behind the first line (zipapp, shiv, pex): Python itself runs it, by its path.
        os.execv(sys.executable, [sys.executable] + ARGUMENTS + [script] + sys.argv[1:])  # noqa: F821
    prefix = os.path.dirname(bins[0])
    if os.path.isdir(os.path.join(prefix, "share/jupyter")):
        # Jupyter, and what uses it, looks only below sys.prefix. What the base has comes behind that.
        for name, folder in (("JUPYTER_PATH", "share/jupyter"), ("JUPYTER_CONFIG_PATH", "etc/jupyter")):
            places = os.environ.get(name, "").split(os.pathsep)
            own = os.path.dirname(os.path.dirname(os.path.abspath(here)))  # not sys.prefix in a layer of uv's
            places += [os.path.join(place, folder) for place in (sys.prefix, own, prefix)]
            os.environ[name] = os.pathsep.join(dict.fromkeys(filter(None, places)))
        lab = os.path.join(prefix, "share/jupyter/lab")
        if os.path.isdir(lab) and not os.path.isdir(os.path.join(sys.prefix, "share/jupyter/lab")):
            os.environ.setdefault("JUPYTERLAB_DIR", lab)
    # As if the script had been started where it is.
    if sys.path and sys.path[0] in (os.path.dirname(here), os.path.dirname(os.path.realpath(here))):
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    return script, compile(source, script, "exec", dont_inherit=True)


# For multiprocessing's children and for debuggers __file__ is the base's script itself.
__file__, _load = _load(__file__)
exec(_load)
