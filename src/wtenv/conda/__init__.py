"""conda environments, read from files. conda itself never runs.

    condarc       condarc files, and the one key of theirs that counts here, `envs_dirs`
    prefixes      from a name in a config to a prefix
    variables     the variables that an environment sets
    scripts       activate.d scripts: run once, for what they change
    readings      what these scripts read
    records       the packages that are installed

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
