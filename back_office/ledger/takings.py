"""Counting takings: what each entry moved, by where and when; Booking adds it up, and verify does so once more."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from back_office.ledger.findings import Line, Writer
from back_office.store import takings
from back_office.store.engine import Transaction
from back_office.store.takings import Grouping, LateRow, TakingsPlace
from payment_core.accounts import CHART, Kind
from payment_core.journal import Entry, Tender
from payment_core.wording import counted

TAKEN: Final = frozenset(
    {
        Kind.REVENUE, Kind.TAX, Kind.CASH_BOX, Kind.DRAWER, Kind.SAFE, Kind.OVER_SHORT, Kind.PSP_CLEARING,
        Kind.CARD_DEPOSIT, Kind.ROOM_DEPOSIT, Kind.TIPS,
    }
)  # fmt: skip
"""What a report of takings is about: what was earned, and where money came in. Guests' money is in the float."""


class TakingsRow(msgspec.Struct, frozen=True):
    """One line of a report. by: the values it is split by, in the order asked for; amount: minor units, above nothing
    where the account rose on its own side (earned, or in the box); entries: how many moved it.
    """  # noqa: D205 - one sentence

    by: tuple[object, ...]
    kind: str
    unit: str
    amount: int
    entries: int


def takings_by(
    tx: Transaction, tenant_id: bytes, *, by: Sequence[Grouping], first: int, last: int, venue_id: bytes
) -> list[TakingsRow]:
    """Return what a venue took on the business dates `first` to `last`, split `by`."""
    sums: dict[tuple[tuple[object, ...], Kind, str], list[int]] = defaultdict(lambda: [0, 0])
    for group in takings.grouped(tx, tenant_id, by=by, first=first, last=last, venue_id=venue_id):
        if group.kind in TAKEN:
            total = sums[group.by, group.kind, group.unit]
            total[0] += group.amount if CHART[group.kind].side == "debit" else -group.amount
            total[1] += group.entries
    return [TakingsRow(split, kind.value, unit, *total) for (split, kind, unit), total in sums.items()]


_Spot = tuple[bytes, int, bytes, str, str, str, type[Entry], Tender, int]
"""What all lines of an entry have in common."""


class TakingsCount:
    """Sums of some entries. `late`: which came after their date's Z."""

    def __init__(self, tenant_id: bytes) -> None:
        """Nothing is counted yet."""
        self._tenant_id = tenant_id
        self._sums: dict[_Spot, dict[tuple[Kind, str], list[int]]] = {}
        self.late: list[LateRow] = []

    def take(
        self, entry: Entry, writer: Writer, lines: Iterable[Line], *, business_date: int, told_in: int = 0
    ) -> None:
        """Count one entry with its stored lines. told_in: the Z that lists it, where its date had one already."""
        header, venue_id = entry.header, venue_of_entry(entry, writer, self._tenant_id)
        if told_in:
            late = LateRow(
                writer.hub_id, writer.stream, writer.epoch, header.seq, venue_id, business_date, told_in
            )
            self.late.append(late)
        spot: _Spot = (
            venue_id, business_date, writer.hub_id, header.machine or "", header.lane or "", header.shift or "",
            type(entry), header.tender, told_in,
        )  # fmt: skip
        sums = self._sums.get(spot)
        if sums is None:
            sums = self._sums[spot] = {}
        counted = []
        for name, unit, amount in lines:
            where = (name.kind, unit)
            total = sums.get(where)
            if total is None:
                total = sums[where] = [0, 0]
            total[0] += amount
            if where not in counted:
                counted.append(where)
                total[1] += 1

    @property
    def sums(self) -> dict[TakingsPlace, list[int]]:
        """What was counted, place by place: [amount, entries]."""
        return {
            TakingsPlace(
                venue_id, date, hub_id, machine, lane, shift, kind.number(), tender.value, account.value, unit, told_in
            ): total
            for (venue_id, date, hub_id, machine, lane, shift, kind, tender, told_in), sums in self._sums.items()
            for (account, unit), total in sums.items()
        }  # fmt: skip

    def write(self, tx: Transaction) -> None:
        """Add it to what is kept."""
        takings.move_takings(tx, self._tenant_id, self.sums)
        takings.add_late(tx, self._tenant_id, self.late)

    def compare(self, tx: Transaction) -> Iterable[tuple[str, str]]:
        """Yield the keys of what is kept otherwise, each with what is wrong, where everything was counted."""
        kept, said = takings.takings(tx, self._tenant_id), {place: tuple(sums) for place, sums in self.sums.items()}
        for place in sorted(kept.keys() | said.keys(), key=str):
            if kept.get(place) != said.get(place):
                key = f"{place.business_date} {place.machine} {place.lane} {place.kind} {place.unit}"
                yield key, f"{_summed(kept.get(place))} is kept, the entries say {_summed(said.get(place))}"


def _summed(sums: tuple[int, ...] | None) -> str:
    return f"{sums[0]} in {counted(sums[1], 'entry', 'entries')}" if sums else "nothing"


def venue_of_entry(entry: Entry, writer: Writer, tenant_id: bytes) -> bytes:
    """Return the venue an entry counts at: a hub's own, whatever it says; the one that the office's entry names."""
    return (entry.header.venue or writer.venue_id) if writer.hub_id == tenant_id else writer.venue_id


class LateJudge:
    """Says of entries of one writer whether they come late, and in which Z they stand."""

    def __init__(self, tx: Transaction, tenant_id: bytes, venue_id: bytes, business_dates: Iterable[int]) -> None:
        """Ask the books once for all of them."""
        self._closed = takings.closed_dates(tx, tenant_id, venue_id, set(business_dates))
        self._next = takings.next_z(tx, tenant_id, venue_id) if self._closed else 0

    def told_in(self, business_date: int) -> int:
        """Return the number of the Z that lists an entry of this date because it is late; 0: it is on time."""
        return self._next if business_date in self._closed else 0
