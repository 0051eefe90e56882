"""Boxes as they were counted, beside what should have lain in them; and devices whose counters ran off."""

from collections.abc import Iterator, Sequence
from typing import Final

from back_office.ledger.booking import TYPE_NUMBERS
from back_office.ledger.difference import Difference, Found
from back_office.store import meters
from back_office.store.engine import Transaction
from back_office.store.meters import Box, Happened
from back_office.store.places import Hub
from payment_core.journal import BoxCounted, Tampered, decode_entry
from payment_core.price_calendar import date_text

_COUNTED: Final = (TYPE_NUMBERS[BoxCounted],)
_TAMPERED: Final = (TYPE_NUMBERS[Tampered],)
_EVER: Final = 0


def compare_boxes(tx: Transaction, tenant_id: bytes, hubs: Sequence[Hub], business_date: int) -> Found:
    """Compare every count of the date with what the hub and the books say should have lain there."""
    found, names = Found(), {hub.hub_id: hub.name for hub in hubs}
    last: dict[Box, Happened] = {}
    for at, count in _counts(tx, tenant_id, list(names), business_date):
        box = Box(at.hub_id, at.epoch, count.kind, count.box, count.unit)
        before = last.get(box)
        last[box] = at
        if at.business_date != business_date:
            continue
        after = before.seq if before else 0
        booked = meters.in_box(tx, tenant_id, box, after=after, before=at.seq)
        since = "the journal's beginning"
        if before:
            since = f"the count of {date_text(before.business_date)} (entry {before.seq})"
        until = f"entry {at.seq} by {count.staff}"
        found.compared += 2
        if count.counted != count.booked:
            what, compared = "counted", "what was counted in it with what should lie in it"
            found.differences.append(
                Difference(
                    kind="box_count",
                    machine=count.box,
                    hub=names[at.hub_id],
                    what=f"{count.kind} {what}",
                    unit=count.unit,
                    expected=count.booked,
                    found=count.counted,
                    amount=count.counted - count.booked,
                    compared=compared,
                    since=since,
                    until=until,
                    could_be=("coins that lay there before the hub counted them, or were taken out",) * (not before),
                )
            )
        if count.booked != booked:
            found.differences.append(
                Difference(
                    kind="box_book",
                    machine=count.box,
                    hub=names[at.hub_id],
                    what=f"{count.kind} booked",
                    unit=count.unit,
                    expected=booked,
                    found=count.booked,
                    amount=count.booked - booked,
                    compared="what the hub says should lie in it with the postings since it was counted last",
                    since=since,
                    until=until,
                )
            )
    return found


def _counts(
    tx: Transaction, tenant_id: bytes, hubs: Sequence[bytes], through: int
) -> Iterator[tuple[Happened, BoxCounted]]:
    for at in meters.happened(tx, tenant_id, hubs, types=_COUNTED, since=_EVER, through=through):
        entry = decode_entry(at.record)
        if isinstance(entry, BoxCounted):
            yield at, entry


def compare_devices(tx: Transaction, tenant_id: bytes, hubs: Sequence[Hub], business_date: int) -> Found:
    """Name devices whose own counter and the hub's journal differed on the date; the hub found that by itself."""
    found, names = Found(), {hub.hub_id: hub.name for hub in hubs}
    sums: dict[tuple[bytes, str, str], int] = {}
    date = {"since": business_date, "through": business_date}
    for at in meters.happened(tx, tenant_id, list(names), types=_TAMPERED, **date):
        entry = decode_entry(at.record)
        if isinstance(entry, Tampered):
            place = (at.hub_id, entry.header.machine or "", entry.device)
            sums[place] = sums.get(place, 0) + entry.count
    for (hub_id, machine, device), count in sorted(sums.items()):
        found.compared += 1
        found.differences.append(
            Difference(
                kind="device_counter",
                machine=machine,
                hub=names[hub_id],
                what=device,
                unit="",
                expected=0,
                found=count,
                amount=count,
                compared="the device's own counter with what the hub booked of it",
                could_be=("coins while the hub could not hear it", "somebody counted it on by hand"),
            )
        )
    return found
