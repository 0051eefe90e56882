"""How a program that is told to end, ends: whatever else breaks in the same moment, and whatever hangs."""

import asyncio
import faulthandler
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, TypeVar

T = TypeVar("T")

ENDING_S: Final = 9.0
"""Longer than any of our programs needs to end well; a supervisor that waits for 10 s would not say where it hung."""
_ENDS: Final = (signal.SIGINT, signal.SIGTERM)


def heed_signals(stop: Callable[[], object]) -> None:
    """Call `stop` at SIGINT and SIGTERM; `ENDING_S` later the process is over in any case, which says where it hung.

    That is as safe as a power cut, which each program survives.
    """
    for number in _ENDS:
        asyncio.get_running_loop().add_signal_handler(number, stop)
        signal.signal(number, _told)  # beside the loop, which learns of it by its own pipe, and which may hang


def _told(_number: int, _frame: FrameType | None) -> None:
    faulthandler.dump_traceback_later(ENDING_S, exit=True)
    for number in _ENDS:
        signal.signal(number, _told_again)


def _told_again(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: who is impatient must not set a later deadline with each signal."""


@contextmanager
def first_fault(*kinds: type[Exception]) -> Iterator[None]:
    """Raise the first of a TaskGroup's faults alone, where all of them are of these kinds.

    `except*` can do that for one only: where two tasks failed in the same moment, what it raises is a group again.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        if group.split(kinds)[1] is not None:
            raise
        fault: BaseException = group
        while isinstance(fault, BaseExceptionGroup):
            fault = fault.exceptions[0]
        raise fault from None


async def tried(attempt: Coroutine[object, object, T]) -> T:
    """Run one try of a loop in a task of its own; the next one is then up to `pause`.

    A TaskGroup of Python 3.11 whose child fails leaves its own task marked as cancelled: in the loop's task, `pause`
    would take that mark for an order.
    """
    return await asyncio.create_task(attempt)


async def pause(seconds: float) -> None:
    """Sleep before the next try, or end here with a task that was told to end.

    A TaskGroup of Python 3.11 whose child fails while it is cancelled raises the child's fault alone: who catches
    faults to try again would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await asyncio.sleep(seconds)
