"""Second factors shown a moment ago: a matched credential of the same account, or one of the staff. Only in memory."""

from typing import Final

import msgspec

from payment_core.credential import CredentialClass

FACTORS_KEPT: Final = 512
"""Of all lanes together; the oldest is forgotten."""
ANYBODY: Final = b""
"""The account of a factor that counts for every guest: one of the staff stood there."""


class Factor(msgspec.Struct, frozen=True):
    """What was shown at a lane. `class_` of one of the staff does not matter."""

    credential_id: bytes
    class_: CredentialClass
    at_ms: int


class StepUps:
    """What was shown at each lane, by account; times are boottime ms, the clock that does not jump."""

    def __init__(self) -> None:
        self._factors: dict[tuple[str, bytes], Factor] = {}
        self._wanted: dict[str, int] = {}

    def note(self, lane: str, account_id: bytes, factor: Factor) -> None:
        """Remember what was shown."""
        self._factors.pop((lane, account_id), None)
        self._factors[lane, account_id] = factor
        if len(self._factors) > FACTORS_KEPT:
            del self._factors[next(iter(self._factors))]

    def want(self, lane: str, now_ms: int) -> None:
        """Remember that a tap here was refused for want of a second factor."""
        self._wanted[lane] = now_ms

    def is_wanted(self, lane: str, *, now_ms: int, life_ms: int) -> bool:
        """Say whether a tap at a lane was refused for want of a second factor just now."""
        at_ms = self._wanted.get(lane)
        return at_ms is not None and now_ms - at_ms <= life_ms

    def has_second(self, lane: str, account_id: bytes, tap: Factor, *, life_ms: int) -> bool:
        """Say whether a tap has a second factor: staff, or another credential of its account, one of both matched."""
        staff, other = self._factors.get((lane, ANYBODY)), self._factors.get((lane, account_id))
        if staff is not None and tap.at_ms - staff.at_ms <= life_ms:
            return True
        return (
            other is not None
            and other.credential_id != tap.credential_id
            and "B" in (other.class_, tap.class_)
            and tap.at_ms - other.at_ms <= life_ms
        )

    def used(self, lane: str, account_id: bytes) -> None:
        """One second factor serves one tap."""
        self._factors.pop((lane, ANYBODY), None)
        self._factors.pop((lane, account_id), None)
        self._wanted.pop(lane, None)
