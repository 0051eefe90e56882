"""Who chooses at which vending machine, and which machine waits for a card. Only in memory: after a restart, again."""

from collections import deque
from typing import Final

import msgspec

from payment_core.facts import Proof
from payment_core.money import Money

TOLD_KEPT: Final = 64
"""Commands whose results nobody has to look at; an older one's result is a line in the log."""


class Session(msgspec.Struct):
    """A card that chooses at a lane's machine; `id`: of the command that began it. `until_ms`: boottime.

    boot_id: of the bridge's start that was told. `choosing`: the lane shows so, and no sale since. `number`: of the
    machine's newest question in it.
    """

    id: str
    device: str
    boot_id: str
    reader: str
    credential_id: bytes
    proof: Proof
    token_counter: int | None
    until_ms: int
    choosing: bool = True
    number: int = 0


class Ask(msgspec.Struct, frozen=True):
    """A machine that asked before any card was shown, and waits for one until `until_ms` (boottime).

    number: of its question; yes and no name it.
    """

    device: str
    amount: int
    item: int
    until_ms: int
    shown: Money
    number: int


class Leaving(msgspec.Struct):
    """A session that the machine was told to end, and has not yet; it is waited for until `until_ms` (boottime)."""

    id: str
    device: str
    until_ms: int
    follows: "Next | None" = None


class Next(msgspec.Struct, frozen=True):
    """Whose session comes then: a tap, without what is looked up when it goes on."""

    reader: str
    event_epoch: int
    event_seq: int
    credential_id: bytes
    proof: Proof
    token_counter: int | None


class VendTable:
    """At most one of each for each lane."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.asks: dict[str, Ask] = {}
        self.leaving: dict[str, Leaving] = {}
        self.told: deque[str] = deque(maxlen=TOLD_KEPT)

    @property
    def lanes(self) -> frozenset[str]:
        """The lanes that show more than the price of a play."""
        return frozenset((*self.sessions, *self.asks))
