"""The rule over uses of cards at several hubs, as data: what ways take, and how far clocks are believed."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Self

import msgspec

from back_office.store import card_uses
from back_office.store.engine import Transaction
from payment_core.errors import DECODE_FAULTS
from payment_core.journal import TimeQuality
from payment_core.policy import Velocity

MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS
LOOK_BACK_MS: Final = 7 * DAY_MS
"""Older uses are not kept and not compared: a hub may report that late."""
_MOST_MINUTES: Final = 24 * 60
_WORST_CLOCK_MS: Final = 10 * MINUTE_MS


class Way(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one way takes at least, in both directions; `one` and `other`: ids of two hubs or of two venues, in hex."""

    one: str
    other: str
    minutes: int


class TravelRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of the rule. Of `ways` one between two hubs goes before one between their venues.

    `in_venue_minutes`: between two hubs of a venue where no way is named; 0: next door, so nothing is ever too fast.
    `synced_ms`, `held_ms`: how far a clock of that quality may be wrong. `again_after_minutes`: how long one alarm
    about the same card and places is enough.
    """

    version: int = 0
    in_venue_minutes: int = 0
    between_venues_minutes: int = 20
    ways: tuple[Way, ...] = ()
    synced_ms: int = 5_000
    held_ms: int = 30_000
    again_after_minutes: int = _MOST_MINUTES

    def __post_init__(self) -> None:
        minutes = [self.in_venue_minutes, self.between_venues_minutes, *(way.minutes for way in self.ways)]
        if not all(0 <= each <= _MOST_MINUTES for each in minutes):
            message = f"a way takes 0 to {_MOST_MINUTES} minutes, got {minutes}"
            raise ValueError(message)
        if not all(0 <= each <= _WORST_CLOCK_MS for each in (self.synced_ms, self.held_ms)):
            message = f"synced_ms and held_ms are 0 to {_WORST_CLOCK_MS}: how far a clock may be wrong"
            raise ValueError(message)
        if self.again_after_minutes < 0:
            message = "again_after_minutes is 0 or more"
            raise ValueError(message)

    @classmethod
    def newest(cls, tx: Transaction, tenant_id: bytes) -> Self:
        """Return the rule in force; the defaults where none was ever set."""
        body = card_uses.newest_rule(tx, tenant_id)
        return cls() if body is None else msgspec.json.decode(body, type=cls)

    @property
    def longest_ms(self) -> int:
        """What the longest way takes: uses further apart than that are never compared."""
        named = (way.minutes for way in self.ways)
        return max(self.in_venue_minutes, self.between_venues_minutes, *named, 0) * MINUTE_MS

    def wrong_by_ms(self, quality: int) -> int | None:
        """Return how far a clock may be wrong; None: it is not believed at all, and nothing is judged by it."""
        if quality == TimeQuality.SYNCED:
            return self.synced_ms
        return self.held_ms if quality == TimeQuality.HELD else None


class Ways:
    """The ways between a tenant's hubs. `venues`: venue id by hub id."""

    def __init__(self, rule: TravelRule, venues: Mapping[bytes, bytes]) -> None:
        """Take the rule and where the hubs stand."""
        self._rule = rule
        self._venues = venues
        self._named = {frozenset((way.one.lower(), way.other.lower())): way.minutes for way in rule.ways}

    def minutes(self, one: bytes, other: bytes) -> int:
        """Return what the way between two hubs takes at least."""
        of_hubs = self._named.get(frozenset((one.hex(), other.hex())))
        if of_hubs is not None:
            return of_hubs
        here, there = self._venues.get(one, b""), self._venues.get(other, b"")
        if here == there:
            return self._rule.in_venue_minutes
        return self._named.get(frozenset((here.hex(), there.hex())), self._rule.between_venues_minutes)


def keep_rule(tx: Transaction, tenant_id: bytes, rule: TravelRule, *, now_ms: int) -> TravelRule:
    """Keep a rule under the next version and return it as kept; the same content changes nothing."""
    held = TravelRule.newest(tx, tenant_id)
    fresh = msgspec.structs.replace(rule, version=held.version + 1)
    if held.version and msgspec.structs.replace(fresh, version=held.version) == held:
        return held
    card_uses.add_rule(tx, tenant_id, version=fresh.version, body=msgspec.json.encode(fresh), now_ms=now_ms)
    return fresh


class _Windows(msgspec.Struct, frozen=True):
    """What a risk document says of velocity; its other fields may be another release's."""

    velocity: Velocity | None = None
    velocities: tuple[Velocity, ...] = ()


@lru_cache(maxsize=64)
def _windows_of(body: bytes) -> tuple[Velocity, ...]:
    try:
        read = msgspec.json.decode(body, type=_Windows)
    except DECODE_FAULTS:  # windows of a later release are for its own office
        return ()
    return read.velocities if read.velocity is None else (read.velocity, *read.velocities)


def windows_over_all(bodies: Iterable[bytes]) -> tuple[Velocity, ...]:
    """Return the velocity windows of several hubs' risk documents, one per length, each with its highest caps.

    The highest, because an account may use up at one hub what that hub allows, wherever else it was.
    """
    widest: dict[int, Velocity] = {}
    for window in (window for body in bodies for window in _windows_of(body)):
        held = widest.get(window.window_ms, window)
        caps = max(held.count, window.count), max(held.amount, window.amount)
        widest[window.window_ms] = Velocity(window.window_ms, *caps)
    return tuple(widest[length] for length in sorted(widest) if 0 < length <= LOOK_BACK_MS)
