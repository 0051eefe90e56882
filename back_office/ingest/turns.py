"""Whose message is next: hubs take turns, so that one which floods waits behind itself and nobody else does.

What waits is bounded per hub and in sum; a message beyond a bound is dropped and counted. Nothing is lost by that for
good: hubs send again whatever has no receipt. Of a hub's hellos, and of its states, only the newest waits: it says all
that an older one said, and a hub that waits for its answer greets again and again.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from cloud_sync.mqtt_link import Inbound

HUB_MESSAGES: Final = 64
"""As far as a batch may be ahead of the books at all (receipts.GAP_BATCHES)."""
HUB_BYTES: Final = 4 * 1024 * 1024
"""More than a hub's window of batches has."""
ALL_BYTES: Final = 64 * 1024 * 1024
_NEWEST_COUNTS: Final = ("/up/hello", "/up/state")
_HUB_AT: Final = 3


class Turns:
    """What waits for the books. `put` as it arrives, `take` when they are free; one reader."""

    def __init__(self) -> None:
        self.dropped = 0
        """Messages beyond a bound."""
        self._waiting: dict[str, deque[Inbound]] = {}
        """By hub, the next one first."""
        self._bytes: dict[str, int] = {}
        self._all_bytes = 0
        self._some = asyncio.Event()

    def put(self, message: Inbound) -> None:
        """Let a message wait for its hub's turn; a newer hello takes the older one's place."""
        hub, size = _hub_of(message), len(message.payload)
        there = self._waiting.get(hub, deque())
        older = _same(there, message) if message.topic.endswith(_NEWEST_COUNTS) else None
        more = size - (len(there[older].payload) if older is not None else 0)
        own, full = self._bytes.get(hub, 0) + more, older is None and len(there) >= HUB_MESSAGES
        if full or own > HUB_BYTES or self._all_bytes + more > ALL_BYTES:
            self.dropped += 1
            return
        if older is None:
            there.append(message)
        else:
            there[older] = message
        self._waiting[hub] = there
        self._bytes[hub] = own
        self._all_bytes += more
        self._some.set()

    async def take(self, most: int) -> list[Inbound]:
        """Wait for messages, then return up to `most`: one of each hub in turn, each hub's own in their order."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        found: list[Inbound] = []
        while self._waiting and len(found) < most:
            found.append(self._next())
        return found

    def _next(self) -> Inbound:
        hub, there = next(iter(self._waiting.items()))
        message = there.popleft()
        del self._waiting[hub]
        self._bytes[hub] -= len(message.payload)
        self._all_bytes -= len(message.payload)
        if there:
            self._waiting[hub] = there  # behind all others
        else:
            del self._bytes[hub]
        return message


def _same(there: Sequence[Inbound], message: Inbound) -> int | None:
    """Return where a message of the same topic waits."""
    return next((place for place, waits in enumerate(there) if waits.topic == message.topic), None)


def _hub_of(message: Inbound) -> str:
    """Return whose turn a message takes: what its topic names, which the broker lets nobody else write."""
    parts = message.topic.split("/", _HUB_AT + 1)
    return parts[_HUB_AT] if len(parts) > _HUB_AT else ""
