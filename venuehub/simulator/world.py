"""The simulated world: one clock, one queue of things to come, seeded dice, and the trace of what happened."""

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import Final

START_WALL_MS: Final = 1_794_000_000_000
"""A day in November 2026: every run begins at the same moment."""
_SEED_SHIFT: Final = 24


class StormError(AssertionError):
    """Messages answer messages without end."""


class World:
    """Runs actions in order of time. Same seed, same dice, same trace. More than `most_actions` is a storm.

    The dice are thrown anew for every action of the guests: leaving one action out does not change the luck of the
    others, so that a failing run can be made shorter.
    """

    def __init__(self, seed: int, *, most_actions: int, keep_trace: bool = True) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.now_ms = 0
        self.trace: list[str] = []
        self.happened: Counter[str] = Counter()
        """How often each fault really took effect."""
        self._keep = keep_trace
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

    def begin_action(self, number: int) -> None:
        """Throw the dice of one action of the guests."""
        self.dice.seed(self.seed << _SEED_SHIFT | number)

    def randbytes(self, count: int) -> bytes:
        """Return `count` bytes of the dice."""
        return self.dice.randbytes(count)

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        line = f"{self.now_ms:>8} {text}"
        if self._keep:
            self.trace.append(line)
        self._hash.update(line.encode() + b"\n")

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._count, action))

    def run(self, *, until_ms: int) -> None:
        """Do everything that is due until a moment."""
        queue = self._queue
        while queue and queue[0][0] <= until_ms:
            self.now_ms, _count, action = heapq.heappop(queue)
            self._done += 1
            if self._done > self._most:
                message = f"no end of messages: {self._most} by {self.now_ms} ms"
                raise StormError(message)
            action()
        self.now_ms = until_ms
