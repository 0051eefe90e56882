"""Which accounts the office is being asked about: what was asked for and not answered is not asked for at each tap."""

from typing import Final

ASK_AGAIN_MS: Final = 1_000
"""What was asked for and not answered is not asked for again within this."""
MOST_ASKED: Final = 10_000
"""Accounts that are remembered; beyond it all are forgotten, and asked for once more."""


class LeaseAsks:
    """Times are ms since boot."""

    def __init__(self) -> None:
        self._asked_ms: dict[bytes, int] = {}

    def is_due(self, account_id: bytes, now_ms: int) -> bool:
        """Say whether to ask for an account now, and note that it is asked for then."""
        if now_ms - self._asked_ms.get(account_id, -ASK_AGAIN_MS) < ASK_AGAIN_MS:
            return False
        if len(self._asked_ms) >= MOST_ASKED:
            self._asked_ms.clear()
        self._asked_ms[account_id] = now_ms
        return True

    def answered(self, account_id: bytes) -> None:
        """Note an answer: the next tap may ask anew."""
        self._asked_ms.pop(account_id, None)
