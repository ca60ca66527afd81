"""`python -m wtenv`, and the file that hooks start by its path (then its package has to be found first)."""

import os
import sys

if not __package__:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from wtenv.cli import main

if __name__ == "__main__":
    sys.exit(main())
