"""Second factors shown a moment ago: a matched credential of the same account, or one of the staff. Only in memory."""

from collections import deque
from typing import Final

import msgspec

from payment_core.credential import CredentialClass
from payment_core.facts import Proof

FACTORS_KEPT: Final = 512
"""Of all lanes together; the oldest is forgotten."""
ANYBODY: Final = b""
"""The account of a factor that counts for every guest: one of the staff stood there."""


class Factor(msgspec.Struct, frozen=True):
    """What was shown for one lane, or for all that share a reader. `class_` of one of the staff does not matter."""

    credential_id: bytes
    class_: CredentialClass
    at_ms: int


ANSWERED_KEPT: Final = 64
"""Questions to modules whose answers need no line in the log any more."""


class Intent(msgspec.Struct, frozen=True):
    """A module was asked to look for the person behind a refused tap. `until_ms`: boottime; the rest is the tap's."""

    device: str
    lane: str
    account_id: bytes
    credential_id: bytes
    proof: Proof
    token_counter: int | None
    until_ms: int


class StepUps:
    """What was shown at each lane, by account; times are boottime ms, the clock that does not jump."""

    def __init__(self) -> None:
        self._factors: dict[tuple[str, bytes], Factor] = {}
        self._wanted: dict[str, int] = {}
        self._intents: dict[str, Intent] = {}
        self._answered: deque[str] = deque(maxlen=ANSWERED_KEPT)

    def ask(self, name: str, intent: Intent) -> None:
        """Remember what a module was asked; a lane has one such question, the newest."""
        for known, other in list(self._intents.items()):
            if other.lane == intent.lane:
                self.close(known, other.device)
        self._intents[name] = intent

    def close(self, name: str, device: str) -> bool:
        """Forget a question that was answered or is over; False: it was none of ours."""
        intent = self._intents.get(name)
        if intent is not None and intent.device == device:
            del self._intents[name]
            self._answered.append(name)
            return True
        return name in self._answered

    def is_known(self, name: str, device: str) -> bool:
        """Say whether a question was asked here. Its answer may come before the match it tells of."""
        intent = self._intents.get(name)
        return name in self._answered or (intent is not None and intent.device == device)

    def take(self, name: str, device: str, *, now_ms: int) -> Intent | None:
        """Return the open question that a match answers; it answers it once."""
        intent = self._intents.get(name)
        if intent is None or intent.device != device:
            return None
        self.close(name, device)
        return intent if now_ms < intent.until_ms else None

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
        """One second factor serves one tap, also where it was shown for several lanes that share a reader."""
        gone = [self._factors.pop((lane, owner), None) for owner in (ANYBODY, account_id)]
        self._factors = {place: factor for place, factor in self._factors.items() if factor not in gone}
        self._wanted.pop(lane, None)
