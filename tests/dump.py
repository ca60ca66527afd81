"""Write the environment that this process was started with to the file named by its argument.

Where the kernel tells, it is asked: Python itself may add LC_CTYPE before any Python code runs.
"""

import os
import sys

try:
    with open("/proc/self/environ", "rb") as kernel:
        environ = kernel.read()
except OSError:
    environ = b"".join(name + b"=" + value + b"\0" for name, value in os.environb.items())
with open(sys.argv[1], "wb") as out:
    out.write(environ)
