"""How the front door hands over to a long-running program: it becomes that program and leaves nothing of itself.

A hub has 48 MiB for its agent; the command line's libraries are not to be in it.
"""

import os
import sys
from typing import NoReturn


def become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by `python -m module arguments`; the pid stays, so a supervisor's signals arrive."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, (sys.executable, "-m", module, *arguments))  # noqa: S606 - our own program, no shell wanted
