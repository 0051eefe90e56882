"""How long a hub waits for a receipt: resends with back-off and full jitter, then the connection counts as dead."""

from collections.abc import Callable
from typing import Final

from cloud_sync.protocol.retry import resend_delay_ms

RESENDS: Final = 2
"""Resends without progress before the connection is dropped."""


class Patience:
    """Times are ms since boot; `draw(n)` returns n random bytes."""

    def __init__(self, draw: Callable[[int], bytes]) -> None:
        self._draw = draw
        self._resends = 0
        self._due_ms = 0

    def begin(self, mono_ms: int) -> None:
        """Begin to wait for an answer to what is sent now."""
        dice = int.from_bytes(self._draw(2), "big") / 65_536
        self._due_ms = mono_ms + resend_delay_ms(self._resends, dice=dice)

    def is_over(self, mono_ms: int) -> bool:
        """Say whether the answer is overdue."""
        return mono_ms >= self._due_ms

    def renew(self) -> None:
        """Note that the office was heard, or that the connection is a new one."""
        self._resends = 0

    def try_again(self) -> bool:
        """Count a resend; False where it has been tried often enough."""
        self._resends += 1
        return self._resends <= RESENDS
