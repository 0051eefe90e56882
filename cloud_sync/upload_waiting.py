"""How long a hub waits for a receipt: resends with back-off and full jitter, then the connection counts as dead.

Unless the broker has acknowledged the last resend: then the line is alive and the office is silent, and a hub that had
dropped the line would be away when the office comes back. It stays, asks rarely, and drops it only now and then.
"""

from collections.abc import Callable
from typing import Final

from cloud_sync.protocol.retry import resend_delay_ms, upper_half_ms

RESENDS: Final = 2
"""Resends without progress before the connection is dropped, or the office counts as silent."""
AGAIN_MS: Final = 15_000
"""A silent office is asked again within this: 0.1 hellos a second of each hub, and one at a time is on its way."""
LEAVE_MS: Final = 120_000
"""Within this even a line that is alive is dropped: what is wrong with it may be what only a new one puts right."""


class Patience:
    """Times are ms since boot; `draw(n)` returns n random bytes."""

    def __init__(self, draw: Callable[[int], bytes]) -> None:
        self._draw = draw
        self._resends = 0
        self._began_ms = 0
        self._due_ms = 0
        self._leave_ms = 0
        self._acknowledged_ms = -1

    @property
    def is_long(self) -> bool:
        """Say whether it is a silent office that is waited for."""
        return self._resends > RESENDS

    def begin(self, mono_ms: int) -> None:
        """Begin to wait for an answer to what is sent now."""
        dice = self._dice()
        wait_ms = upper_half_ms(AGAIN_MS, dice=dice) if self.is_long else resend_delay_ms(self._resends, dice=dice)
        self._began_ms, self._due_ms = mono_ms, mono_ms + wait_ms

    def acknowledged(self, mono_ms: int) -> None:
        """Note that the broker has acknowledged something."""
        self._acknowledged_ms = mono_ms

    def is_over(self, mono_ms: int) -> bool:
        """Say whether the answer is overdue."""
        return mono_ms >= self._due_ms

    def renew(self) -> None:
        """Note that the office was heard, or that the connection is a new one."""
        self._resends = 0

    def try_again(self, mono_ms: int) -> bool:
        """Count a resend; False where the connection is to be dropped."""
        self._resends += 1
        if not self.is_long:
            return True
        if self._resends == RESENDS + 1:
            self._leave_ms = mono_ms + upper_half_ms(LEAVE_MS, dice=self._dice())
        return self._acknowledged_ms > self._began_ms and mono_ms < self._leave_ms

    def _dice(self) -> float:
        return int.from_bytes(self._draw(2), "big") / 65_536
