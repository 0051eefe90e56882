"""A link's reader and its sender, run as one: what ends one of them ends both at once."""

import asyncio
from collections.abc import Coroutine, Iterable

from cloud_sync.ending import tried


async def pump_together(*pumps: Coroutine[None, None, None]) -> None:
    """Run endless pumps until one fails; the others are cancelled, and its fault is raised as it is."""
    try:
        await tried(_together(pumps))
    except BaseExceptionGroup as faults:
        raise faults.exceptions[0] from faults


async def _together(pumps: Iterable[Coroutine[None, None, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for pump in pumps:
            group.create_task(pump)
