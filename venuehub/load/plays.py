"""An evening's plays as the entries that a hub writes of them. Each header is asked for when its entry is written."""

from collections.abc import Callable, Iterator
from typing import Final

from payment_core.journal import Actor, Captured, Cause, CoinBooked, Commanded, Entry, Header, Held, Part, Tender

TAPS_BEGIN: Final = 1 << 32
"""Numbers of the events that ask for plays: beyond those of the coins, which the same acceptors count."""

Head = Callable[[str | None, bytes | None, Actor, Tender], Header]
"""Makes the header of a hub's next entry: lane, authorization, who did it, what was tendered."""


def coin_play(
    head: Head, lane: str, play: bytes, part: Part, *, epoch: int, event: int, until_ms: int
) -> Iterator[Entry]:
    """A guest inserts a coin of the part's worth and plays it. event: its number at acceptor and machine."""
    acceptor, cash = f"acceptor-{lane}", Tender.CASH
    coin = head(lane, None, Actor.DEVICE, cash)
    yield CoinBooked(1, coin, acceptor, epoch, event, event, 1, part.unit, part.amount)
    tap, asked = TAPS_BEGIN + event, head(lane, play, Actor.GUEST, cash)
    yield Held(1, asked, (part,), None, None, None, acceptor, epoch, tap, until_ms)
    yield from _given(head, lane, play, part, None, event, cash)


def card_play(
    head: Head, lane: str, play: bytes, part: Part, account: bytes, *, epoch: int, event: int
) -> Iterator[Entry]:
    """A guest with money at this hub taps a card and plays. event: its number at reader and machine."""
    asked = head(lane, play, Actor.GUEST, Tender.PURSE)
    yield Held(1, asked, (part,), account, account, "C", f"reader-{lane}", epoch, event, 0)
    yield from _given(head, lane, play, part, account, event, Tender.PURSE)


def _given(
    head: Head, lane: str, play: bytes, part: Part, account: bytes | None, event: int, tender: Tender
) -> Iterator[Entry]:
    yield Commanded(1, head(lane, play, Actor.HUB, tender), f"machine-{lane}", event, 1)
    yield Captured(1, head(lane, play, Actor.DEVICE, tender), (part,), account, Cause.DEVICE)
