"""Waiting for something in another process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

WAIT_S: Final = 12.0
POLL_S: Final = 0.1


async def eventually(holds: Callable[[], bool | Awaitable[bool]], *, seconds: float = WAIT_S) -> None:
    """Wait until something in another process holds, or give up after a while: what happened is told either way."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while clock() < end:
        answer = holds()
        if answer is True or (answer is not False and await answer):
            return
        await asyncio.sleep(POLL_S)
