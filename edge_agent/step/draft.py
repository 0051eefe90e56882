"""One step of the till while it is being written: entries and effects gather here, the commit makes them true."""

from collections.abc import Callable
from typing import Final

import msgspec

from edge_agent.ledger import authorizations
from edge_agent.ledger.authorizations import Authorization, AuthorizationRow
from edge_agent.ledger.entries import Tail, append_entries
from edge_agent.ledger.store import Store
from edge_agent.messages import Effect, Moment
from edge_agent.step.site import Site
from payment_core.authorization import Step
from payment_core.identifiers import uuid7
from payment_core.journal import (
    PRICE_HASH_BYTES,
    Actor,
    BroughtIn,
    Captured,
    CardSold,
    CoinBooked,
    CredentialBlocked,
    CredentialReplaced,
    Entry,
    Expired,
    Header,
    Held,
    Increased,
    LeaseTaken,
    Refunded,
    SlipTaken,
    Tender,
    TimeQuality,
    Voided,
    VoucherTaken,
)
from payment_core.policy import Lane
from payment_core.price_calendar import shift_of
from payment_core.records import ListStamp

_HELD: Final = TimeQuality.HELD
WATCHED: Final = frozenset(
    {
        LeaseTaken, VoucherTaken, SlipTaken, BroughtIn, CoinBooked, Captured, Voided, Expired, Refunded,
        CredentialBlocked, CardSold, CredentialReplaced,
    }
)  # fmt: skip
"""Entries that may raise what lies at this hub, or that neighbours must hear of: a step looks at them at its end."""


class Spot(msgspec.Struct, frozen=True):
    """What the header says about one authorization beyond the hub's own facts."""

    actor: Actor
    tender: Tender
    lane: Lane | None = None
    authorization_id: bytes | None = None
    tax_code: str | None = None
    reasons: str | None = None
    stamp: ListStamp | None = None
    """the price list it was priced by, where that is not simply the one in force"""


class Draft:
    """Everything one step has read and decided so far. `seq` is that of the last entry written or drafted."""

    __slots__ = (
        "_dice", "_entries", "_open", "effects", "held", "known_ms", "now", "seq", "site", "store", "tail", "watched"
    )  # fmt: skip

    def __init__(self, *, store: Store, site: Site, now: Moment, tail: Tail, dice: Callable[[int], bytes]) -> None:
        self.store = store
        self.site = site
        self.now = now
        self.known_ms = now.wall_ms if now.quality <= _HELD else None
        """UTC ms where the hub knows the time, else None."""
        self.tail = tail
        self.seq = tail.seq
        self._entries: list[Entry] = []
        self._open: list[Authorization] | None = None
        self.effects: list[Effect] = []
        self.watched: list[Entry] = []
        self.held = 0
        """What this step put aside for plays, all units together."""
        self._dice = dice

    @property
    def day(self) -> int:
        """The business date that the caps of a day count on."""
        return self.site.day_count.day

    def new_id(self) -> bytes:
        """Return a new UUIDv7 for this moment."""
        return uuid7(unix_ms=self.now.wall_ms, dice=self._dice(10))

    def nonce(self, size: int) -> bytes:
        """Return fresh random bytes, for what may never repeat."""
        return self._dice(size)

    def header(self, spot: Spot) -> Header:
        """Take the next seq and return the header of the entry that is to be written with it."""
        self.seq += 1
        now, lane, site = self.now, spot.lane, self.site
        stamp = spot.stamp or site.stamp
        return Header(
            self.seq,
            now.wall_ms,
            now.boot_id,
            now.boottime_ms,
            now.quality,
            now.business_date,
            spot.actor,
            spot.tender,
            site.venue_id,
            lane.zone if lane else None,
            lane.machine if lane else None,
            lane.id if lane else None,
            spot.authorization_id,
            stamp.version if stamp else None,
            stamp.hash[:PRICE_HASH_BYTES] if stamp else None,
            spot.tax_code,
            spot.reasons,
            site.devices_version,
            shift_of(site.calendar, now.local) if site.calendar.shifts else None,
        )

    def load(self, row: AuthorizationRow) -> Authorization:
        """Return an authorization with what was held, also one of this very step."""
        if max(row.held_seq, row.ended_seq) > self.tail.seq:
            self.flush()
        return authorizations.load(self.store, row)

    def begin(self, row: AuthorizationRow) -> None:
        """Write a new authorization (or a decline) whose entry is drafted."""
        self._open = None
        authorizations.insert(self.store, row)

    def move(self, row: Authorization, step: Step, *, ended_seq: int = 0) -> None:
        """Take a step of the table; `ended_seq`: the entry that ends it. Every step taken here goes through this."""
        self._open = None
        authorizations.move(self.store, row, step, ended_seq=ended_seq)

    def increase(self, row: Authorization, *, seq: int) -> None:
        """Remember that the entry `seq` put more on top of an open authorization."""
        self._open = None
        authorizations.increase(self.store, row, seq=seq)

    def open_ones(self) -> list[Authorization]:
        """Return all that owe an answer now; looked up once between two changes, however many devices come."""
        if self._open is None:
            self.flush()
            self._open = [authorizations.load(self.store, row) for row in authorizations.open_ones(self.store)]
        return self._open

    def journal(self, entry: Entry) -> None:
        """Add an entry whose header came from `header`."""
        self._entries.append(entry)
        if type(entry) in WATCHED:
            self.watched.append(entry)
        elif isinstance(entry, Held | Increased):
            self.held += sum(part.amount for part in entry.parts)

    def flush(self) -> None:
        """Write the entries drafted so far into the open database transaction."""
        if self._entries:
            self.tail = append_entries(self.store, self.tail, self._entries)
            self._entries.clear()

    def effect(self, effect: Effect) -> None:
        """Add something to do once the step is committed."""
        self.effects.append(effect)
