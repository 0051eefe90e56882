"""Waiting for something that another process or thread does: a condition and a deadline, never a fixed sleep."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

DEADLINE_S: Final = 20.0
PAUSE_S: Final = 0.01
T = TypeVar("T")


def eventually(look: Callable[[], T], deadline_s: float = DEADLINE_S) -> T:
    """Return the first truthy value that `look` sees; fail with the last one when the deadline has passed."""
    until = time.monotonic() + deadline_s
    while not (seen := look()):
        assert time.monotonic() < until, f"waited {deadline_s} s in vain, last saw {seen!r}"
        time.sleep(PAUSE_S)
    return seen
