"""Hubs that are there and quiet are asked for a word behind the end of their venue's business day.

Such a hub writes nothing until its next sale, and says hello only when it connects: without being asked it would stand
as silent in the Z of the day. Asked are those of which no word from behind the day's end is known, a few at a time; one
that was away, or did not answer, is asked again later, and after the last round no more. A hello that comes soon behind
the question was said behind it, whatever the hub's clock says.
"""

from collections.abc import Callable
from typing import Final

from back_office.business_day import business_date, day_bounds
from back_office.ledger.closing_report import heard_ms
from back_office.store import places
from back_office.store.engine import Transaction
from back_office.store.places import Hub, Venue

ROUNDS_MS: Final = (5_000, 120_000, 1_200_000, 3_600_000, 14_400_000, 43_200_000)
"""How long behind a day's end hubs are asked, and asked again."""
ANSWER_MS: Final = 60_000
"""A hello that comes so long behind the question is its answer. What comes so soon behind a worker's connection may
have waited at the broker, and answers nothing."""
LOOK_MS: Final = 5_000
"""How often a worker looks whether a day has ended."""
AT_ONCE: Final = 16
"""So many hubs are looked at in one tick: thousands are asked over minutes, and answer over minutes."""


class DayEnds:
    """One worker's questions. A worker that starts asks every hub anyhow, so the rounds before that are passed over.

    is_there: whether a hub is connected, as far as is known.
    """

    def __init__(self, tenant_id: bytes, is_there: Callable[[bytes], bool]) -> None:
        """Nobody waits yet."""
        self._tenant_id = tenant_id
        self._is_there = is_there
        self._looked_ms: int | None = None
        self._rounds: dict[bytes, tuple[int, int]] = {}  # by venue: the day's end, and how many rounds it has had
        self._waiting: dict[bytes, int] = {}  # by hub: the day's end; as many as there are hubs, at most
        self._asked: dict[bytes, int] = {}  # by hub: when it was asked last; as many as there are hubs, at most
        self._connected_ms = 0

    def connected(self, now_ms: int) -> None:
        """Begin a connection: what comes first may have waited, and nobody has answered anything."""
        self._asked.clear()
        self._connected_ms = now_ms

    def asked_ms(self, hub_id: bytes, now_ms: int) -> int:
        """Return when a hub was asked whose hello comes now, UTC ms; 0: the hello answers no question."""
        asked_ms = self._asked.get(hub_id, 0)
        return asked_ms if 0 <= now_ms - asked_ms <= ANSWER_MS else 0

    def due(self, tx: Transaction, now_ms: int, is_ours: Callable[[bytes], bool]) -> list[Hub]:
        """Return which hubs are to be asked for a hello now."""
        first = self._looked_ms is None
        if self._looked_ms is None or abs(now_ms - self._looked_ms) >= LOOK_MS:
            ended = self._ended(tx, now_ms)
            self._looked_ms = now_ms
            if ended and not first:
                ends = ((hub, ended.get(hub.venue_id)) for hub in places.hubs(tx, self._tenant_id))
                self._waiting |= {hub.hub_id: end for hub, end in ends if end is not None and is_ours(hub.hub_id)}
        turn = [hub_id for hub_id, _ in zip(self._waiting, range(AT_ONCE), strict=False)]
        hubs = places.hubs_by_id(tx, self._tenant_id, turn) if turn else {}
        ends_ms = {hub_id: self._waiting.pop(hub_id) for hub_id in turn}
        asked = [
            hub for hub_id, hub in hubs.items()
            if is_ours(hub_id) and self._is_there(hub_id) and self._is_quiet(tx, hub, ends_ms[hub_id])
        ]  # fmt: skip
        if abs(now_ms - self._connected_ms) > ANSWER_MS:
            self._asked |= {hub.hub_id: now_ms for hub in asked}
        return asked

    # ---- inside ----

    def _ended(self, tx: Transaction, now_ms: int) -> dict[bytes, int]:
        """Return the venues whose hubs have a round now, and when the day ended (UTC ms)."""
        found = {}
        for venue in places.venues(tx, self._tenant_id):
            end = _last_end(venue, now_ms)
            rounds = sum(now_ms - end >= after_ms for after_ms in ROUNDS_MS)
            if rounds and self._rounds.get(venue.venue_id) != (end, rounds):
                found[venue.venue_id] = end
            self._rounds[venue.venue_id] = (end, rounds)
        return found

    def _is_quiet(self, tx: Transaction, hub: Hub, end_ms: int) -> bool:
        """Say whether a hub takes part, was heard at all, and has said nothing since."""
        takes_part = hub.nonce and not hub.frozen and hub.closed_ms is None
        return bool(takes_part) and hub.enrolled_ms < end_ms and heard_ms(tx, self._tenant_id, hub) < end_ms


def _last_end(venue: Venue, now_ms: int) -> int:
    """Return when the business day before this one ended."""
    bounds = day_bounds(
        business_date(now_ms, timezone=venue.timezone, day_begins_minute=venue.day_begins_minute),
        timezone=venue.timezone, day_begins_minute=venue.day_begins_minute,
    )  # fmt: skip
    assert bounds is not None, "the date of a moment is one"
    return bounds[0]
