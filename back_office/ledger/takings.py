"""Counting takings: what each entry moved, by where and when; Booking adds it up, and verify does so once more."""

from collections.abc import Iterable

from back_office.ledger.findings import Line, Writer
from back_office.store import takings
from back_office.store.engine import Transaction
from back_office.store.takings import LateRow, TakingsPlace
from payment_core.journal import Entry


class TakingsCount:
    """Sums of some entries, place by place: [amount, entries]. `late`: which came after their date's Z."""

    def __init__(self, tenant_id: bytes) -> None:
        """Nothing is counted yet."""
        self._tenant_id = tenant_id
        self.sums: dict[TakingsPlace, list[int]] = {}
        self.late: list[LateRow] = []

    def take(self, entry: Entry, writer: Writer, lines: Iterable[Line], *, told_in: int = 0) -> None:
        """Count one entry with its stored lines. told_in: the Z that lists it, where its date had one already."""
        header, venue_id = entry.header, venue_of_entry(entry, writer, self._tenant_id)
        if told_in:
            late = LateRow(
                writer.hub_id, writer.stream, writer.epoch, header.seq, venue_id, header.business_date, told_in
            )
            self.late.append(late)
        moved: dict[tuple[str, str], int] = {}
        for name, unit, amount in lines:
            where = (name.kind.value, unit)
            moved[where] = moved.get(where, 0) + amount
        for (kind, unit), amount in moved.items():
            place = TakingsPlace(
                venue_id, header.business_date, writer.hub_id, header.machine or "", header.lane or "",
                header.shift or "", type(entry).number(), header.tender.value, kind, unit, told_in,
            )  # fmt: skip
            total = self.sums.get(place)
            if total is None:
                self.sums[place] = [amount, 1]
            else:
                total[0] += amount
                total[1] += 1

    def write(self, tx: Transaction) -> None:
        """Add it to what is kept."""
        takings.move_takings(tx, self._tenant_id, self.sums)
        takings.add_late(tx, self._tenant_id, self.late)

    def compare(self, tx: Transaction) -> Iterable[str]:
        """Yield what is kept otherwise, where everything was counted."""
        kept, said = takings.takings(tx, self._tenant_id), {place: tuple(sums) for place, sums in self.sums.items()}
        for place in sorted(kept.keys() | said.keys(), key=str):
            if kept.get(place) != said.get(place):
                where = f"takings of {place.business_date} {place.machine} {place.lane} {place.kind} {place.unit}"
                yield f"{where}: {kept.get(place)} is kept, the entries say {said.get(place)}"


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
