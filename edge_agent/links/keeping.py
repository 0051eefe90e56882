"""The links of a hub kept running, each by itself, and ended all together."""

import asyncio
from collections.abc import Coroutine
from typing import Final, Protocol

from cloud_sync.ending import pause, tried
from edge_agent.log_lines import log

RESTART_S: Final = 5.0


class Part(Protocol):
    """What runs until it is cancelled."""

    def run(self) -> Coroutine[object, object, None]:
        """Run for ever."""


async def kept_running(part: Part) -> None:
    """Run a part for ever: what it did not foresee is told, and it starts again; the till goes on meanwhile."""
    while True:
        try:
            await tried(part.run())
        except Exception as error:  # noqa: BLE001 - the supervisor of all links
            log("link.fault", part=type(part).__name__, why=f"{type(error).__name__}: {error}")
        await pause(RESTART_S)


async def end_tasks(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until it is heard: a link that is just being closed may swallow a cancellation."""
    while not all(task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1.0)
