"""What drivers of lines do alike: wait for the next change, but not for ever, and meet the first levels."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.transports.interface import Edge, LinePipe

FIRST_LEVEL_S: Final = 2.0
"""Lines tell the level of their inputs when they are opened; one that has not by then is not wired."""


async def next_edge(pipe: LinePipe, until: float | None) -> Edge | None:
    """Return the next change of an input, None where none came until then (seconds of the loop's clock)."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            return await pipe.edge()
    return None


async def first_levels(pipe: LinePipe, lines: Iterable[str]) -> list[Edge]:
    """Return the level at which each input was found, and what changed meanwhile; DriverError names a silent one."""
    waiting = set(lines)
    edges: list[Edge] = []
    until = asyncio.get_running_loop().time() + FIRST_LEVEL_S
    while waiting:
        edge = await next_edge(pipe, until)
        if edge is None:
            message = f"the input {min(waiting)} has no level. Is it wired?"
            raise DriverError(message)
        edges.append(edge)
        waiting.discard(edge.line)
    return edges
