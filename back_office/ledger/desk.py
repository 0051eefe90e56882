"""The office's own entries: money in and leases out, appended to the office's chain and posted in one transaction."""

from collections.abc import Callable

import msgspec

from back_office.business_day import business_date
from back_office.ledger.booking import Arrived, Booking, Writer
from back_office.store import books, chains, grants, papers, places
from back_office.store.chains import Chain
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey, LeaseRow, Payment
from back_office.store.papers import Alarm
from back_office.store.places import Hub, Venue
from payment_core.journal import (
    Actor,
    Entry,
    EpochOpened,
    Header,
    LeaseGranted,
    Tender,
    TimeQuality,
    ToppedUp,
    chain_hash,
    encode_entry,
)

OFFICE_STREAM = 0
OFFICE_EPOCH = 1


class TopUp(msgspec.Struct, frozen=True, kw_only=True):
    """Money that a channel says it has taken for an account. `payment_id` is the channel's own."""

    account_id: bytes
    unit: str
    amount: int
    channel: str
    payment_id: str


class Credited(msgspec.Struct, frozen=True):
    """The top-up is booked. `again`: it had been booked before, and nothing moved now."""

    office_seq: int
    again: bool


class TopUpRefused(msgspec.Struct, frozen=True):
    """The top-up was not booked; `why` says what is wrong with it."""

    why: str


class Desk:
    """One office transaction at one moment, for one venue's business day."""

    def __init__(self, tx: Transaction, tenant_id: bytes, venue: Venue, *, now_ms: int) -> None:
        """Take the transaction; the caller commits."""
        self._tx = tx
        self._tenant_id = tenant_id
        self._venue = venue
        self._now_ms = now_ms

    def open_books(self) -> None:
        """Begin the office's own chain; once per tenant."""
        start = Chain(hub_id=self._tenant_id, stream=OFFICE_STREAM, epoch=OFFICE_EPOCH)
        chains.add_chain(self._tx, self._tenant_id, start)
        self._append(lambda header: EpochOpened(1, header, epoch=OFFICE_EPOCH), Tender.NONE)

    def top_up(self, wish: TopUp) -> Credited | TopUpRefused:
        """Credit a purse once per (channel, payment id). The same again is answered, another content is alarmed."""
        if wish.amount < 1:
            return TopUpRefused(f"a top-up of {wish.amount} {wish.unit} is no money")
        known = grants.payment(self._tx, self._tenant_id, channel=wish.channel, payment_id=wish.payment_id)
        if known is not None:
            return self._answer_again(wish, known)
        seq = self._append(
            lambda header: ToppedUp(1, header, wish.account_id, wish.unit, wish.amount, wish.channel, wish.payment_id),
            Tender.PAYMENT_ORDER,
            before=lambda seq: grants.add_payment(
                self._tx, self._tenant_id, Payment(**msgspec.structs.asdict(wish), office_seq=seq)
            ),
        )
        return Credited(seq, again=False)

    def _answer_again(self, wish: TopUp, known: Payment) -> Credited | TopUpRefused:
        if (known.account_id, known.unit, known.amount) == (wish.account_id, wish.unit, wish.amount):
            return Credited(known.office_seq, again=True)
        why = (
            f"payment {wish.payment_id} of {wish.channel} is booked as {known.amount} {known.unit} "
            f"for account {known.account_id.hex()}, now it claims {wish.amount} {wish.unit}"
        )
        papers.raise_alarm(self._tx, self._tenant_id, Alarm("payment_conflict", wish.account_id, why, self._now_ms))
        return TopUpRefused(why)

    def lease(self, hub: Hub, account_id: bytes) -> dict[LeaseKey, LeaseRow]:
        """Lease everything an account has available to a hub, up to the venue's cap; return its leases there.

        A frozen hub is given nothing; the leases it holds already are returned all the same.
        """
        if not hub.frozen:
            purses = books.guest_balances(self._tx, self._tenant_id, [account_id]).purses
            for (_, unit), amount in sorted(purses.items()):
                self._lease_unit(hub, account_id, unit, available=-amount)
        held = grants.leases_of_accounts(self._tx, self._tenant_id, [account_id])
        return {place: row for place, row in held.items() if place.hub_id == hub.hub_id}

    def _lease_unit(self, hub: Hub, account_id: bytes, unit: str, *, available: int) -> None:
        out = grants.outstanding(self._tx, self._tenant_id, hub.hub_id, unit=unit)
        added = min(available, self._venue.hub_lease_cap - out)
        if added < 1:
            return
        epoch = max(hub.epoch, 1)
        place = LeaseKey(account_id, unit, hub.hub_id, epoch)
        held = grants.leases_of_accounts(self._tx, self._tenant_id, [account_id]).get(place, LeaseRow())
        granted = held.granted + added
        self._append(
            lambda header: LeaseGranted(1, header, account_id, unit, hub.hub_id, epoch, granted, added), Tender.NONE
        )

    def _append(
        self, make: Callable[[Header], Entry], tender: Tender, *, before: Callable[[int], None] | None = None
    ) -> int:
        """Append one entry to the office's chain and post it; return its seq. `before` writes what belongs to it."""
        tx, tenant_id = self._tx, self._tenant_id
        chain = chains.chain(tx, tenant_id, tenant_id, stream=OFFICE_STREAM, epoch=OFFICE_EPOCH)
        assert chain is not None, "open_books comes first"
        seq = chain.rec_seq + 1
        entry = make(self._header(seq, tender))
        record = encode_entry(entry)
        tail = chain_hash(chain.tail_hash, record)
        if before is not None:
            before(seq)
        writer = Writer(hub_id=tenant_id, venue_id=self._venue.venue_id, stream=OFFICE_STREAM, epoch=OFFICE_EPOCH)
        booking = Booking(tx, tenant_id, writer, now_ms=self._now_ms)
        booking.add(Arrived(entry, record, tail))
        booking.finish()
        chains.move_chain(tx, tenant_id, msgspec.structs.replace(chain, rec_seq=seq, tail_hash=tail))
        return seq

    def _header(self, seq: int, tender: Tender) -> Header:
        venue = self._venue
        day = business_date(self._now_ms, timezone=venue.timezone, day_begins_minute=venue.day_begins_minute)
        return Header(
            seq=seq,
            wall_ms=self._now_ms,
            boot_id=bytes(16),
            boottime_ms=0,
            quality=TimeQuality.SYNCED,
            business_date=day,
            actor=Actor.OFFICE,
            tender=tender,
            venue=venue.venue_id,
        )


def venue_of(tx: Transaction, tenant_id: bytes, venue_id: bytes) -> Venue:
    """Return a venue that a hub or a tenant points to."""
    return next(venue for venue in places.venues(tx, tenant_id) if venue.venue_id == venue_id)
