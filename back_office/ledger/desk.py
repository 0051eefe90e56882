"""The office's own entries: money in and leases out, appended to the office's chain and posted in one transaction."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from back_office.business_day import business_date
from back_office.ledger.booking import Arrived, Booking, Writer
from back_office.ledger.gifts_due import due_of, forfeit, none_due, note_due
from back_office.ledger.terms import DAY_MS, TopUpTerms, gifts_for
from back_office.store import books, chains, grants, lots, papers, places, set_back
from back_office.store.chains import Chain
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey, LeaseRow, Payment
from back_office.store.lots import LotKey, LotRow
from back_office.store.papers import Alarm
from back_office.store.places import Hub, Venue
from payment_core.accounts import Kind
from payment_core.identifiers import uuid7
from payment_core.journal import (
    Actor,
    CellTaken,
    Entry,
    EpochOpened,
    Gift,
    Header,
    LeaseClosed,
    LeaseGranted,
    Lot,
    LotKind,
    OpeningBooked,
    OpenSettled,
    Part,
    PassingReturned,
    ReceivablePaid,
    SlipReturned,
    Tender,
    TimeQuality,
    ToppedUp,
    chain_hash,
    encode_entry,
)
from payment_core.lots import LotOrder, spend_order
from payment_core.policy import Caps
from payment_core.posting import postings

COMES_BACK: Final = (CellTaken, OpeningBooked, SlipReturned, PassingReturned, LeaseClosed, OpenSettled)
"""By these a purse rises with money for nothing in particular. What a payment is for knows who books it."""
OFFICE_STREAM = 0
OFFICE_EPOCH = 1
_DICE: Final = 10


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


class _Risk(Caps, frozen=True):
    """What a hub's risk document says of its leases; its other fields may be another release's."""

    lot_order: LotOrder = "gift_first"


class Desk:
    """One office transaction at one moment, for one venue's business day."""

    def __init__(self, tx: Transaction, tenant_id: bytes, venue: Venue, *, now_ms: int) -> None:
        """Take the transaction; the caller commits."""
        self.tx = tx
        self.tenant_id = tenant_id
        self.venue = venue
        self.now_ms = now_ms

    @property
    def learning(self) -> bool:
        """Whether restored books still learn from hubs what these were granted: then no purse may be drawn on.

        What it shows may lie at a hub that was not heard yet (`fleet/restored.py`). So it is from the moment on that a
        hub is noticed which knows more, also before a person has declared it; a hub that lies about that is frozen or
        closed by somebody, and then holds nobody up.
        """
        return set_back.is_learning(self.tx, self.tenant_id)

    def open_books(self) -> None:
        """Begin the office's own chain; once per tenant."""
        start = Chain(hub_id=self.tenant_id, stream=OFFICE_STREAM, epoch=OFFICE_EPOCH)
        chains.add_chain(self.tx, self.tenant_id, start)
        self.append(lambda header: EpochOpened(1, header, epoch=OFFICE_EPOCH))

    def top_up(self, wish: TopUp) -> Credited | TopUpRefused:
        """Credit a purse once per (channel, payment id), with the gifts of the terms, as lots of their own.

        The same again is answered, another content is refused and alarmed. What the guest owes is settled first.
        """
        if wish.amount < 1:
            return TopUpRefused(f"a top-up of {wish.amount} {wish.unit} is no money")
        known = grants.payment(self.tx, self.tenant_id, channel=wish.channel, payment_id=wish.payment_id)
        if known is not None:
            return self._answer_again(wish, known)
        terms = TopUpTerms.newest(self.tx, self.tenant_id)
        names = {"channel": wish.channel, "payment_id": wish.payment_id}
        said = f"{wish.channel}\0{wish.payment_id}\0"
        lot = self.new_lot(f"{said}0", LotKind.PAID, **names, days=terms.expires_days, terms=terms.version)
        gifts = tuple(
            Gift(
                gift.gives, gift.amount,
                self.new_lot(
                    f"{said}{number}", LotKind.GIFT, **names, days=gift.expires_days, terms=terms.version
                ),
            )
            for number, gift in enumerate(gifts_for(terms, wish.unit, wish.amount), start=1)
        )  # fmt: skip

        def entry(header: Header) -> ToppedUp:
            return ToppedUp(
                1, header, wish.account_id, wish.unit, wish.amount, wish.channel, wish.payment_id, lot, gifts
            )

        seq = self.append(entry, Tender.PAYMENT_ORDER)
        payment = Payment(**msgspec.structs.asdict(wish), office_seq=seq)
        grants.add_payment(self.tx, self.tenant_id, payment)
        self.settle_debt(wish.account_id, wish.unit)
        return Credited(seq, again=False)

    def settle_debt(self, account_id: bytes, unit: str) -> int:
        """Pay what the guest owes in a unit out of the paid lots of the purse; return how much left the purse.

        With it go gifts that came home and whose payments were taken back meanwhile, of whatever unit.
        """
        if self.learning:
            return 0
        paid = self._pay_debt(account_id, unit)
        return paid if none_due(self.tx, self.tenant_id) else paid + self._forfeit_due(account_id)

    def lease(self, hub: Hub, account_id: bytes) -> dict[LeaseKey, LeaseRow]:
        """Lease everything an account has available to a hub, up to the hub's cap; return its leases there.

        A frozen or closed hub is given nothing, and none is while these books are `learning`; the leases it holds
        already are returned all the same.
        """
        epoch = max(hub.epoch, 1)
        if not self.learning and not hub.frozen and hub.closed_ms is None and hub.closed_epoch < epoch:
            held = self._without_debts(account_id)
            makes = [
                make
                for unit in sorted({key.unit for key, row in held.items() if row.available > 0})
                for make in self._grants(hub, epoch, account_id, {k: row for k, row in held.items() if k.unit == unit})
            ]
            if makes:
                self.append_all(makes)
        leased = grants.leases_of_accounts(self.tx, self.tenant_id, [account_id])
        return {place: row for place, row in leased.items() if place.hub_id == hub.hub_id}

    def append(self, make: Callable[[Header], Entry], tender: Tender = Tender.NONE) -> int:
        """Append one entry to the office's chain and post it; return its seq."""
        return self.append_all([make], tender)

    def append_all(self, makes: Sequence[Callable[[Header], Entry]], tender: Tender = Tender.NONE) -> int:
        """Append entries in order and post them together; return the last one's seq.

        What guests owe is settled out of what came back with them, in entries behind the last.
        """
        tx, tenant_id = self.tx, self.tenant_id
        chain = chains.chain(tx, tenant_id, tenant_id, stream=OFFICE_STREAM, epoch=OFFICE_EPOCH)
        assert chain is not None, "open_books comes first"
        writer = Writer(hub_id=tenant_id, venue_id=self.venue.venue_id, stream=OFFICE_STREAM, epoch=OFFICE_EPOCH)
        booking = Booking(tx, tenant_id, writer, now_ms=self.now_ms)
        seq, tail = chain.rec_seq, chain.tail_hash
        risen: set[tuple[bytes, str]] = set()
        for make in makes:
            seq += 1
            entry = make(self._header(seq, tender))
            risen |= _risen(entry)
            record = encode_entry(entry)
            tail = chain_hash(tail, record)
            booking.add(Arrived(entry, record, tail))
        booking.finish()
        chains.move_chain(tx, tenant_id, msgspec.structs.replace(chain, rec_seq=seq, tail_hash=tail))
        for account_id, unit in sorted(risen):
            self.settle_debt(account_id, unit)
        return seq

    def new_lot(
        self, said: str, kind: LotKind, *, channel: str, payment_id: str, days: int | None = None, terms: int = 0
    ) -> Lot:
        """Return the facts of a lot; its id follows from what is `said` of it, so that nobody need roll dice."""
        dice = hashlib.sha256(b"venuehub/lot/v1\0" + self.tenant_id + said.encode()).digest()[:_DICE]
        lot = uuid7(unix_ms=self.now_ms, dice=dice)
        expires_ms = None if days is None else self.now_ms + days * DAY_MS
        return Lot(lot, kind, self.now_ms, expires_ms, channel, payment_id, terms)

    # ---- inside ----

    def _without_debts(self, account_id: bytes) -> dict[LotKey, LotRow]:
        """Return what is in the purse after what the guest owes was settled."""
        held = lots.live_lots(self.tx, self.tenant_id, {account_id: ()})
        units = {key.unit for key, row in held.items() if row.available > 0}
        if sum(self.settle_debt(account_id, unit) for unit in sorted(units)):
            return lots.live_lots(self.tx, self.tenant_id, {account_id: ()})
        return held

    def _pay_debt(self, account_id: bytes, unit: str) -> int:
        owed = books.balance(self.tx, self.tenant_id, Kind.GUEST_RECEIVABLE, account_id.hex(), unit)
        if owed <= 0:
            return 0
        held = lots.live_lots(self.tx, self.tenant_id, {account_id: ()})
        shares = [row.share(key.lot) for key, row in held.items() if key.unit == unit and row.kind == LotKind.PAID]
        parts: list[Part] = []
        for share in spend_order(shares, "paid_first", now_ms=self.now_ms):
            amount = min(share.amount, owed - sum(part.amount for part in parts))
            if amount:
                parts.append(Part(unit, amount, None, share.lot))
        if parts:
            self.append(lambda header: ReceivablePaid(1, header, account_id, tuple(parts)))
        return sum(part.amount for part in parts)

    def _forfeit_due(self, account_id: bytes) -> int:
        """Take back gifts that are due and in the purse by now; return how much that was."""
        gone = 0
        for key, row in sorted(lots.live_lots(self.tx, self.tenant_id, {account_id: ()}).items()):
            due = due_of(self.tx, self.tenant_id, key) if row.kind == LotKind.GIFT else 0
            amount = min(due, row.available)
            if amount > 0:
                seq = self.append(forfeit(key, row, amount))
                note_due(self.tx, self.tenant_id, key, -amount, seq=seq, now_ms=self.now_ms)
                gone += amount
        return gone

    def _answer_again(self, wish: TopUp, known: Payment) -> Credited | TopUpRefused:
        if (known.account_id, known.unit, known.amount) == (wish.account_id, wish.unit, wish.amount):
            return Credited(known.office_seq, again=True)
        why = (
            f"payment {wish.payment_id} of {wish.channel} is booked as {known.amount} {known.unit} "
            f"for account {known.account_id.hex()}, now it claims {wish.amount} {wish.unit}"
        )
        papers.raise_alarm(self.tx, self.tenant_id, Alarm("payment_conflict", wish.account_id, why, self.now_ms))
        return TopUpRefused(why)

    def _grants(
        self, hub: Hub, epoch: int, account_id: bytes, held: dict[LotKey, LotRow]
    ) -> list[Callable[[Header], Entry]]:
        """Return the grants of one unit, in the order in which its lots are spent, up to the hub's cap.

        What neighbours signed over to the hub counts there already: it may have taken it unheard.
        """
        document = papers.newest(self.tx, self.tenant_id, hub.hub_id, "risk")
        risk = _Risk() if document is None else msgspec.json.decode(document.body, type=_Risk)
        unit = next(iter(held)).unit
        taken = grants.outstanding(self.tx, self.tenant_id, hub.hub_id, unit=unit)
        taken += lots.on_its_way(self.tx, self.tenant_id, hub.hub_id, unit=unit)
        room = risk.at_most(self.venue.hub_lease_cap).leasable(taken)
        granted = grants.live_leases(self.tx, self.tenant_id, {account_id: [key.lot for key in held]})
        makes: list[Callable[[Header], Entry]] = []
        shares = [row.share(key.lot) for key, row in held.items()]
        for share in spend_order(shares, risk.lot_order, now_ms=self.now_ms):
            added = min(share.amount, room)
            if added < 1:
                break
            room -= added
            before = granted.get(LeaseKey(account_id, unit, hub.hub_id, epoch, share.lot), LeaseRow()).granted
            facts = held[LotKey(account_id, unit, share.lot)].facts(share.lot) if share.lot else None
            makes.append(_grant(hub, epoch, account_id, unit, before + added, added, facts))
        return makes

    def _header(self, seq: int, tender: Tender) -> Header:
        venue = self.venue
        day = business_date(self.now_ms, timezone=venue.timezone, day_begins_minute=venue.day_begins_minute)
        return Header(
            seq=seq,
            wall_ms=self.now_ms,
            boot_id=bytes(16),
            boottime_ms=0,
            quality=TimeQuality.SYNCED,
            business_date=day,
            actor=Actor.OFFICE,
            tender=tender,
            venue=venue.venue_id,
        )


def _grant(
    hub: Hub, epoch: int, account_id: bytes, unit: str, granted: int, added: int, lot: Lot | None
) -> Callable[[Header], Entry]:
    return lambda header: LeaseGranted(1, header, account_id, unit, hub.hub_id, epoch, granted, added, lot)


def _risen(entry: Entry) -> set[tuple[bytes, str]]:
    """Return account and unit of each purse that rose with money that came back."""
    rows = postings(entry) if isinstance(entry, COMES_BACK) else ()
    return {(bytes.fromhex(row.account.key), row.unit) for row in rows if row.account.kind is Kind.PURSE}


def venue_of(tx: Transaction, tenant_id: bytes, venue_id: bytes) -> Venue:
    """Return a venue that a hub or a tenant points to."""
    return next(venue for venue in places.venues(tx, tenant_id) if venue.venue_id == venue_id)
