"""What drivers tell alike: how a device is, what nobody waits for, what a page of a biometric module is called."""

import asyncio
from typing import Final

import msgspec

from firmware_bridge.drivers.interface import Condition, Observation, Outbox

NOISE_EVERY_S: Final = 1.0


class Teller:
    """What was told last: news is told at once, more noise alone once per second. Made inside a running event loop."""

    def __init__(self) -> None:
        """Start with nothing told."""
        self._clock: Final = asyncio.get_running_loop().time
        self._told: Condition | None = None
        self._told_at = 0.0

    async def tell(self, condition: Condition, outbox: Outbox) -> None:
        """Put the condition out if it is news; waits for room."""
        told, now = self._told, self._clock()
        only_noise = told is not None and msgspec.structs.replace(told, noise=condition.noise) == condition
        if condition == told or (only_noise and now - self._told_at < NOISE_EVERY_S):
            return
        self._told, self._told_at = condition, now
        await outbox.put(condition)


def offer(outbox: Outbox, said: Observation) -> bool:
    """Put it out, or drop it where the outbox is full: by the time there is room nobody waits for it. Says whether."""
    try:
        outbox.put_nowait(said)
    except asyncio.QueueFull:
        return False
    return True


def uid_of(serial: str, page: int) -> str:
    """Return the uid of a finger or a face: the module's serial number in ASCII and the page, in hex."""
    return (serial.encode("ascii") + page.to_bytes(2, "big")).hex().upper()
