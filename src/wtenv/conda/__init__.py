"""conda environments, read from files: name to prefix, variables, captured scripts. conda itself never runs.

The rules are conda's (26.7); each function names the file of conda that it follows.
"""

from .names import Base as Base
from .names import BaseNotFound as BaseNotFound
from .names import find_base as find_base
from .names import find_python as find_python
from .names import list_environments as list_environments
from .names import open_prefix as open_prefix
from .scripts import Capture as Capture
from .scripts import capture_scripts as capture_scripts
from .variables import Variables as Variables
from .variables import read_variables as read_variables
