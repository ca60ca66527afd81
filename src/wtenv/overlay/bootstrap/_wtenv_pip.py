# mypy: ignore-errors
"""Refuses `pip install -e` in an overlay. It may be asked for by an option, a requirements file or a setting: what pip
itself has understood counts. `_wtenv_bootstrap` imports this if the command line has the word `install`.
"""

import sys


class _Refused(BaseException):
    pass


class InstallFinder:
    """A finder that waits for the import of pip's install command, and then removes itself."""

    def find_spec(self, name, path=None, target=None):
        if name != "pip._internal.commands.install":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                load = spec.loader.exec_module

                def exec_module(module):
                    load(module)
                    _refuse_editables(module.InstallCommand)

                spec.loader.exec_module = exec_module
                return spec
        return None


def _refuse_editables(command):
    run, get = command.run, getattr(command, "get_requirements", None)

    def checked_run(self, options, args):
        try:
            if options.editables:
                raise _Refused(options.editables)
            return run(self, options, args)
        except _Refused as refused:
            paths = [entry for entry in refused.args[0] if entry]
            lines = ", ".join('"%s"' % path.replace("\\", "\\\\").replace('"', '\\"') for path in paths)
            sys.stderr.write(
                "wtenv: pip install -e is refused here: it would not survive the next sync; "
                "add this to wtenv.toml and run: wtenv sync\n"
                "[editables]\npackages = [%s]\n" % lines
            )
            return 2

    def checked_get(self, *args, **options):
        requirements = get(self, *args, **options)
        found = [item for item in requirements if item.editable]
        if found:  # from a requirements file
            raise _Refused([getattr(item.link, "file_path", None) or str(item.link) for item in found])
        return requirements

    command.run = checked_run
    if get is not None:
        command.get_requirements = checked_get
