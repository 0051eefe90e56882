"""How often one key may ask."""

from collections.abc import Callable
from threading import Lock
from typing import Final

RATE_PER_S: Final = 50.0
BURST: Final = 200.0
"""What one key may ask: so many at once, so many a second for long."""


class Rates:
    """How much each key may still ask: a bucket that fills by the second. As many buckets as there are keys."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def take(self, key_id: str) -> bool:
        """Take one request off a key's bucket; False: it is empty."""
        with self._lock:
            now = self._monotonic()
            left, since = self._left.get(key_id, (BURST, now))
            left = min(left + (now - since) * RATE_PER_S, BURST)
            self._left[key_id] = (max(left - 1, 0.0), now) if left >= 1 else (left, now)
            return left >= 1
