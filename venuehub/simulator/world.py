"""The simulated world: one clock, one queue of things to come, seeded dice, and the trace of what happened."""

import hashlib
import heapq
import random
from collections.abc import Callable
from typing import Final

START_WALL_MS: Final = 1_794_000_000_000
"""A day in November 2026: every run begins at the same moment."""


class StormError(AssertionError):
    """Messages answer messages without end."""


class World:
    """Runs actions in order of time. Same seed, same dice, same trace. More than `most_actions` is a storm."""

    def __init__(self, seed: int, *, most_actions: int) -> None:
        self.dice = random.Random(seed)
        self.now_ms = 0
        self.faults = True
        """While True messages are lost and doubled, commits fail, and processes die."""
        self.trace: list[str] = []
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._done = 0
        self._most = most_actions
        self._hash = hashlib.sha256()

    @property
    def wall_ms(self) -> int:
        """UTC ms."""
        return START_WALL_MS + self.now_ms

    @property
    def trace_hash(self) -> str:
        """The hash of all lines so far, in hexadecimal."""
        return self._hash.hexdigest()

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        line = f"{self.now_ms:>8} {text}"
        self.trace.append(line)
        self._hash.update(line.encode() + b"\n")

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._count, action))

    def run(self, *, until_ms: int) -> None:
        """Do everything that is due until a moment."""
        while self._queue and self._queue[0][0] <= until_ms:
            self.now_ms, _count, action = heapq.heappop(self._queue)
            self._done += 1
            if self._done > self._most:
                message = f"no end of messages: {self._most} by {self.now_ms} ms"
                raise StormError(message)
            action()
        self.now_ms = until_ms

    def chance(self, share: float) -> bool:
        """Throw the dice for a fault; never while the world is whole."""
        return self.faults and self.dice.random() < share

    def deliver(self, action: Callable[[], None], *, loss: float = 0.03) -> None:
        """Carry a message: late, twice or not at all while there are faults; in order when there are none."""
        if not self.faults:
            self.after(2, action)
            return
        copies = 0 if self.dice.random() < loss else 1 + (self.dice.random() < 0.1)  # noqa: PLR2004 - a tenth twice
        for _copy in range(copies):
            self.after(self.dice.choice((1, 2, 3, 5, 20, 90)), action)
