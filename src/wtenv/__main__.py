"""`python -m wtenv`, and the file that hooks start by its path (then its package has to be found first)."""

import os
import sys

if sys.argv[1:3] == ["export", "--hook"]:
    # Ctrl-C at the prompt ends this at once, without Python's traceback. `_signal`: `signal` costs more.
    import _signal

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
if not __package__:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from wtenv.cli import main

if __name__ == "__main__":
    sys.exit(main())
