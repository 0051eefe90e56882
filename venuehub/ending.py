"""How a command that has started programs of its own ends: also those are ended, whoever tells it to, and however."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_interruptibly(command: Coroutine[Any, Any, T]) -> T:
    """Run a command; KeyboardInterrupt once it has ended at SIGTERM, as at Ctrl-C.

    SIGTERM also ends it where Ctrl-C is ignored: under nohup, and in a script's background.
    """

    async def heeding() -> T:
        task = asyncio.current_task()
        assert task is not None
        # told again it goes on ending: a second cancellation would leave what the first one is just ending
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: task.cancelling() or task.cancel())
        return await command

    try:
        return asyncio.run(heeding())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
