"""conda environments, read from files: name to prefix, variables, captured scripts. conda itself never runs.

The rules are conda's (26.7); each function names the file of conda that it follows.
"""

from .prefixes import Base as Base
from .prefixes import BaseNotFound as BaseNotFound
from .prefixes import find_base as find_base
from .prefixes import find_python as find_python
from .prefixes import list_environments as list_environments
from .prefixes import open_prefix as open_prefix
from .scripts import Capture as Capture
from .scripts import capture_scripts as capture_scripts
from .variables import Variables as Variables
from .variables import read_variables as read_variables
