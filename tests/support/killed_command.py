"""`venuehub office hub replace` that kills itself, in processes forked from this one, which has no threads.

`python killed_command.py 1|2|…|pinning|before whole|left INTO WORDS…` prints what lay in INTO after each kill, and how
the last process ended. 1: before its first fsync, the next one before its second, until one gets through; 3: before
each third. Every file of an identity is synced, and so is its folder. pinning: right before it, and then right behind
it; before: that alone. left: a build that takes nothing away.
"""

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from venuehub.cli import main
from venuehub.office import enrolling

MOST_STEPS = 50
KILLED = -signal.SIGKILL


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def at_fsync(step: int) -> None:
    sync, left = os.fsync, iter(range(step))

    def dies(number: int) -> None:
        if next(left, None) is None:
            die()
        sync(number)

    os.fsync = dies


def at_pinning(*, is_pinned: bool) -> None:
    pin = enrolling.pin_hub

    def dies(*words: object, **facts: object) -> NoReturn:
        if is_pinned:
            pin(*words, **facts)
        die()

    enrolling.pin_hub = dies


def ended(words: list[str], arm: Callable[[], None]) -> int:
    """Return how a process ended that says the command; below 0: by which signal."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        arm()
        os._exit(main(words))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def told(place: str, mutant: str, into: str, *words: str) -> dict[str, object]:
    if mutant == "left":
        enrolling._clear = lambda *_: None
    around = [partial(at_pinning, is_pinned=is_pinned) for is_pinned in (False, True)]
    known = {"pinning": around, "before": around[:1]}
    arms = known.get(place) or [partial(at_fsync, step) for step in range(0, MOST_STEPS, int(place))]
    with contextlib.redirect_stdout(io.StringIO()):
        main([*words[: words.index("--yes")], "--into", into])  # asks what it costs, and has loaded all that it needs
    lay: list[list[str]] = []
    code = KILLED
    for arm in arms:
        code = ended([*words, "--into", into], arm)
        if code != KILLED:
            break
        lay.append(sorted(path.name for path in Path(into).glob("*")))
    return {"lay": lay, "code": code}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(told(*sys.argv[1:])))
