"""The console's questions, answered from the books. Each runs in a thread of its own and sees one moment."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from back_office.business_day import business_date
from back_office.console.day import day_page
from back_office.console.interface import (
    AlarmRow,
    BoundRow,
    BoundTerm,
    Day,
    GapRow,
    HubRow,
    LooseRow,
    MoneyKind,
    MoneyRow,
    TapRow,
    TrialRow,
    Venue,
)
from back_office.fleet.bound import bound_of
from back_office.ingest.presence import Presence
from back_office.ledger.booking import TYPE_NUMBERS
from back_office.ledger.unsettled import unsettled
from back_office.store import books, chains, papers, places
from back_office.store.books import DayRow
from back_office.store.engine import Store, Transaction
from back_office.store.places import Hub
from back_office.taps import taps_of
from cloud_sync.protocol.envelope import STREAM_LEDGER
from payment_core.accounts import CHART, Kind
from payment_core.exposure import Exposure
from payment_core.journal import Captured, CashSold, CoinBooked, Refunded, Tender
from payment_core.money import shown
from payment_core.policy import DevicesDocument

T = TypeVar("T")

_PER_TAP: Final = 8
"""Entries looked at per tap shown: held, commanded, captured, and room for leases and coins between them."""
_DEVICES: Final = msgspec.json.Decoder(DevicesDocument)
_CRITICAL: Final = frozenset(
    {
        "fork", "rolled_back", "overclaim", "payment_conflict", "refund_conflict", "refund_refused", "chargeback",
        "slip_twice", "parked", "books_off",
    }
)  # fmt: skip


class Queries:
    """One tenant's books for pages. `clock` returns UTC ms."""

    def __init__(self, store: Store, tenant_id: bytes, presence: Presence, clock: Callable[[], int]) -> None:
        """Take what is asked."""
        self._store = store
        self._tenant_id = tenant_id
        self._presence = presence
        self._clock = clock

    async def venue(self) -> Venue:
        """Return whose page this is and today's business date."""
        return await self._ask(self._venue)

    async def hubs(self) -> list[HubRow]:
        """Return all hubs, by name."""
        return await self._ask(self._hubs)

    async def taps(self, limit: int) -> list[TapRow]:
        """Return the newest taps and coins, newest first."""
        return await self._ask(
            lambda tx: taps_of(
                chains.recent_entries(tx, self._tenant_id, limit=limit * _PER_TAP),
                hubs={hub.hub_id: hub.name for hub in places.hubs(tx, self._tenant_id)},
                machines=self._machines(tx),
                limit=limit,
            )
        )

    async def money(self, business_date: str) -> list[MoneyRow]:
        """Return the sums of one business day, YYYY-MM-DD."""
        day = int(business_date.replace("-", ""))
        return await self._ask(lambda tx: _money(books.days(tx, self._tenant_id, day)))

    async def trial_balance(self) -> list[TrialRow]:
        """Return what stands on each kind of account, and what the kind means."""
        rows = await self._ask(lambda tx: books.balances_by_kind(tx, self._tenant_id))
        return [TrialRow(account=kind.value, amount=shown(amount, unit)) for kind, unit, amount in rows]

    async def bound(self) -> list[BoundRow]:
        """Return the four terms of the bound, from the documents in force."""
        found = await self._ask(self._bound)
        if not found.unit:
            return []
        terms: dict[BoundTerm, int] = {
            "floors": found.floor_bound, "doubts": found.doubt_bound, "leases": found.rollback_bound,
            "brought_in": found.topup_bound,
        }  # fmt: skip
        return [BoundRow(term=term, amount=shown(amount, found.unit)) for term, amount in terms.items()]

    async def gaps(self) -> list[GapRow]:
        """Return which hubs have entries waiting behind missing ones."""
        names = await self._ask(lambda tx: {hub.hub_id: hub.name for hub in places.hubs(tx, self._tenant_id)})
        return [
            GapRow(
                hub=names.get(hub_id, hub_id.hex()),
                epoch=gap.epoch,
                first_seq=gap.first_seq,
                last_seq=gap.last_seq,
                since_ms=gap.since_ms,
            )
            for hub_id, gap in self._presence.gaps.copy().items()
        ]

    async def alarms(self, limit: int) -> list[AlarmRow]:
        """Return the newest alarms, newest first."""
        return await self._ask(lambda tx: self._alarms(tx, limit))

    async def unsettled(self, limit: int) -> list[LooseRow]:
        """Return what is not settled, oldest first."""
        ends = await self._ask(lambda tx: unsettled(tx, self._tenant_id))
        return [
            LooseRow(
                kind=end.kind, hub=end.hub, machine=end.machine, amount=shown(end.amount, end.unit),
                since_ms=end.since_ms,
            )
            for end in ends[:limit]
        ]  # fmt: skip

    async def day(self, business_date: str) -> Day:
        """Return a business date, YYYY-MM-DD; of what is none, today's."""
        return await self._ask(
            lambda tx: day_page(
                tx, self._tenant_id, places.venues(tx, self._tenant_id)[0], business_date, now_ms=self._clock()
            )
        )

    # ---- inside ----

    async def _ask(self, question: Callable[[Transaction], T]) -> T:
        def answer() -> T:
            with self._store.reading() as tx:
                return question(tx)

        return await asyncio.to_thread(answer)

    def _venue(self, tx: Transaction) -> Venue:
        venue = places.venues(tx, self._tenant_id)[0]
        day = str(business_date(self._clock(), timezone=venue.timezone, day_begins_minute=venue.day_begins_minute))
        return Venue(name=venue.name, timezone=venue.timezone, business_date=f"{day[:4]}-{day[4:6]}-{day[6:]}")

    def _hubs(self, tx: Transaction) -> list[HubRow]:
        rows = []
        for hub in places.hubs(tx, self._tenant_id):
            chain = chains.chain(tx, self._tenant_id, hub.hub_id, stream=STREAM_LEDGER, epoch=max(hub.epoch, 1))
            online = self._presence.online.get(hub.hub_id, False)
            booked_batch, booked_record = (chain.batch_seq, chain.rec_seq) if chain is not None else (0, 0)
            all_here = online and hub.sealed_seq <= booked_batch
            # What an absent hub still holds nobody here can count; it is at most as old as its silence.
            silence_ms = None if hub.last_seen_ms is None else max(self._clock() - hub.last_seen_ms, 0)
            rows.append(
                HubRow(
                    hub=hub.hub_id.hex(),
                    name=hub.name,
                    online=online,
                    last_seen_ms=hub.last_seen_ms,
                    outbox_age_ms=0 if all_here else silence_ms,
                    outbox_entries=_outbox_entries(hub, online=online, all_here=all_here),
                    unsynced=None,
                    epoch=hub.epoch,
                    last_seq=booked_record,
                    frozen=bool(hub.frozen),
                )
            )
        return rows

    def _bound(self, tx: Transaction) -> Exposure:
        venue = places.venues(tx, self._tenant_id)[0]
        return bound_of(tx, self._tenant_id, venue.venue_id)

    def _machines(self, tx: Transaction) -> dict[tuple[bytes, str], str]:
        """Return machines' names by hub and machine id, from each hub's newest `devices`; most have at least an id."""
        return {
            (hub.hub_id, lane.machine): lane.name
            for hub in places.hubs(tx, self._tenant_id)
            for document in papers.documents(tx, self._tenant_id, hub.hub_id)
            if document.name == "devices"
            for lane in _DEVICES.decode(document.body).lanes
        }

    def _alarms(self, tx: Transaction, limit: int) -> list[AlarmRow]:
        names = {hub.hub_id: hub.name for hub in places.hubs(tx, self._tenant_id)}
        return [
            AlarmRow(
                at_ms=alarm.raised_ms,
                hub=names.get(alarm.subject_id, ""),
                kind=alarm.kind,
                severity="critical" if alarm.kind in _CRITICAL else "warning",
                text=alarm.text,
            )
            for alarm in papers.alarms(tx, self._tenant_id, limit=limit)
        ]


def _outbox_entries(hub: Hub, *, online: bool, all_here: bool) -> int | None:
    """Return what the hub's hello counted, as long as it counts: an absent hub's outbox grows unseen."""
    if all_here:
        return 0
    return hub.outbox_entries if online else None


_MONEY_KINDS: Final[dict[tuple[type, Kind], MoneyKind]] = {
    (Captured, Kind.REVENUE): "taken",
    (CoinBooked, Kind.CASH_BOX): "coins",
    (CashSold, Kind.CASH_BOX): "coins",
    (Refunded, Kind.REVENUE): "refunds",
}
_BY_NUMBER: Final = {(TYPE_NUMBERS[kind], account): name for (kind, account), name in _MONEY_KINDS.items()}


def _money_kind(row: DayRow) -> MoneyKind | None:
    account = row.balance.account.kind
    kind = "in_doubt" if account is Kind.SUSPENSE else _BY_NUMBER.get((row.type, account))
    # What coins have bought was counted when they fell into the box.
    return None if kind == "taken" and row.tender != Tender.PURSE else kind


def _money(rows: list[DayRow]) -> list[MoneyRow]:
    """Return what a day's postings add up to, per kind and purse."""
    sums: dict[tuple[MoneyKind, str], tuple[int, int]] = {}
    for row in rows:
        kind = _money_kind(row)
        if kind is None:
            continue
        unit = row.balance.unit
        amount, count = sums.get((kind, unit), (0, 0))
        sign = 1 if CHART[row.balance.account.kind].side == "debit" or kind == "refunds" else -1
        sums[kind, unit] = (amount + sign * row.balance.amount, count + row.postings)
    return [
        MoneyRow(kind=kind, purse="" if kind == "coins" else unit, amount=shown(amount, unit), count=count)
        for (kind, unit), (amount, count) in sorted(sums.items())
    ]
