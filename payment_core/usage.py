"""How much an account and its cards were used: what the caps per card and day and the velocity windows look at.

The same account may be counted in several places (one for each lease row); what counts is their sum.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from payment_core.facts import Recent
from payment_core.policy import Velocity

CARD_BYTES: Final = 8
"""Of a credential id: enough to tell the cards of one account apart."""
ANY_CARD: Final = b""
"""Counted before cards were told apart: it counts for each."""


class CardDay(msgspec.Struct, frozen=True, array_like=True):
    """What one card spent on a business date (yyyymmdd), in minor units of the venue's currency."""

    card: bytes
    day: int
    amount: int


class Window(msgspec.Struct, frozen=True, array_like=True):
    """Taps of the account and their sum since `start_ms` (UTC), for a window of `window_ms`."""

    window_ms: int
    start_ms: int
    count: int
    amount: int

    def holds(self, now_ms: int) -> bool:
        """Say whether a tap now is in it; a clock that went far back opens a new one."""
        return abs(now_ms - self.start_ms) < self.window_ms


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """The use counted in one place."""

    cards: tuple[CardDay, ...] = ()
    windows: tuple[Window, ...] = ()


class Tapped(msgspec.Struct, frozen=True):
    """One approved tap. `day` None: the time is not known, so no day ends and none begins."""

    credential_id: bytes
    day: int | None
    now_ms: int
    cost: int


NO_USE: Final = Usage()
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Usage)


def read_usage(raw: bytes) -> Usage:
    """Return the use behind its bytes; none for no bytes."""
    return _DECODER.decode(raw) if raw else NO_USE


def usage_bytes(usage: Usage) -> bytes:
    """Return the bytes of a use."""
    return _ENCODER.encode(usage)


def spent_today(places: Iterable[Usage], credential_id: bytes, day: int | None) -> int:
    """Return what one card spent on `day`; a day ahead of it counts too, for a clock that went back opens none anew."""
    mine = (ANY_CARD, credential_id[:CARD_BYTES])
    return sum(
        known.amount
        for usage in places
        for known in usage.cards
        if known.card in mine and (day is None or known.day >= day)
    )


def recent(places: Sequence[Usage], rules: Sequence[Velocity], now_ms: int) -> tuple[Recent, ...]:
    """Return taps and sum of the account in each window."""
    return tuple(_recent(places, rule.window_ms, now_ms) for rule in rules)


def _recent(places: Sequence[Usage], window_ms: int, now_ms: int) -> Recent:
    open_now = [
        window for usage in places for window in usage.windows if window.window_ms == window_ms and window.holds(now_ms)
    ]
    return Recent(sum(window.count for window in open_now), sum(window.amount for window in open_now))


def with_tap(usage: Usage, tapped: Tapped, rules: Sequence[Velocity], *, per_card: bool) -> Usage:
    """Return a use with one tap more; what no cap asks about any more is let go."""
    lengths = dict.fromkeys(rule.window_ms for rule in rules)
    return Usage(
        _cards(usage.cards, tapped) if per_card else usage.cards,
        tuple(_window(usage.windows, tapped, window_ms) for window_ms in lengths),
    )


def _cards(cards: tuple[CardDay, ...], tapped: Tapped) -> tuple[CardDay, ...]:
    card, newest = tapped.credential_id[:CARD_BYTES], max((known.day for known in cards), default=0)
    day = newest if tapped.day is None else max(newest, tapped.day)
    today = {known.card: known.amount for known in cards if known.day >= day}
    today[card] = today.get(card, 0) + tapped.cost
    return tuple(CardDay(known, day, amount) for known, amount in today.items())


def _window(windows: tuple[Window, ...], tapped: Tapped, window_ms: int) -> Window:
    for window in windows:
        if window.window_ms == window_ms and window.holds(tapped.now_ms):
            return Window(window_ms, window.start_ms, window.count + 1, window.amount + tapped.cost)
    return Window(window_ms, tapped.now_ms, 1, tapped.cost)


def renamed(usage: Usage, old_id: bytes, new_id: bytes) -> Usage:
    """Return a use in which what one card spent was spent by the card that replaces it."""
    names = {old_id[:CARD_BYTES]: new_id[:CARD_BYTES]}
    cards = tuple(CardDay(names.get(one.card, one.card), one.day, one.amount) for one in usage.cards)
    return Usage(cards, usage.windows)
