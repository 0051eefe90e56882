"""A machine's own counters beside the books: coins = meter - our pulses - test - remote credit.

A meter is compared from its last reading of an earlier date to its last reading of the date. A sum that is not there is
named and never taken for nothing: a meter that nobody read, that was read for the first time, or that was set back.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, get_args

from back_office.ledger.booking import TYPE_NUMBERS
from back_office.ledger.difference import Difference, Found, Missing
from back_office.ledger.machine_day import LOOKED_AT, MachineBooks, Reading, Sums
from back_office.store import meters
from back_office.store.engine import Transaction
from back_office.store.meters import Meter
from back_office.store.places import Hub
from payment_core.desk import MeterName
from payment_core.journal import MeterRead, decode_entry
from payment_core.price_calendar import date_text

METERS: Final[tuple[MeterName, ...]] = get_args(MeterName)
TICKET: Final = "ticket"
PRIZE: Final = "prize"
_READ: Final = (TYPE_NUMBERS[MeterRead],)
Name = tuple[str, str]
"""Machine and meter."""


def readings(
    tx: Transaction, tenant_id: bytes, venue_id: bytes, hubs: Sequence[Hub], *, through: int
) -> dict[Name, list[Reading]]:
    """Return every reading of a venue's meters up to a business date, the oldest first."""
    found: defaultdict[Name, list[Reading]] = defaultdict(list)
    for at in meters.happened(tx, tenant_id, [hub.hub_id for hub in hubs], types=_READ, since=0, through=through):
        entry = decode_entry(at.record)
        if isinstance(entry, MeterRead):
            found[entry.machine, entry.meter].append(
                Reading(
                    machine=entry.machine,
                    meter=entry.meter,
                    value=entry.value,
                    reset=entry.reset,
                    business_date=at.business_date,
                    at_ms=at.wall_ms,
                    by=entry.staff,
                    note=entry.note,
                    hub_id=at.hub_id,
                    epoch=at.epoch,
                    seq=at.seq,
                )
            )
    for row in meters.readings(tx, tenant_id, venue_id, through=through):
        found[row.machine, row.meter].append(
            Reading(
                machine=row.machine,
                meter=row.meter,
                value=row.value,
                reset=bool(row.reset),
                business_date=row.business_date,
                at_ms=row.at_ms,
                by=row.by,
                note=row.note,
            )
        )
    for rows in found.values():
        rows.sort(key=lambda one: (one.business_date, one.at_ms, one.epoch, one.seq))
    return dict(found)


def compare_meters(
    tx: Transaction, tenant_id: bytes, venue_id: bytes, hubs: Sequence[Hub], business_date: int
) -> Found:
    """Compare every meter of a venue with the books; machines whose meters nobody read are named."""
    known = meters.declared(tx, tenant_id, venue_id)
    read = readings(tx, tenant_id, venue_id, hubs, through=business_date)
    spans = {name: _span(rows, business_date) for name, rows in read.items()}
    since = min((rows[0].business_date for rows in spans.values() if rows), default=business_date)
    names = [hub.hub_id for hub in hubs]
    books = MachineBooks(meters.happened(tx, tenant_id, names, types=LOOKED_AT, since=since, through=business_date))
    found = Found()
    for machine in sorted(books.machines(business_date) | {name for name, _ in (*known, *read)}):
        mine = sorted({meter for name, meter in (*known, *spans) if name == machine})
        if not mine:
            found.missing.append(Missing("meter", machine, "", "nobody ever read a meter of it"))
        for meter in mine:
            _compare(machine, meter, spans.get((machine, meter), []), known, books, business_date, found)
    return found


def _span(rows: Sequence[Reading], business_date: int) -> list[Reading]:
    """Return the readings from the last one of an earlier date to the last one of the date; none: not read then."""
    of_date = [row for row in rows if row.business_date == business_date]
    before = [row for row in rows if row.business_date < business_date]
    return [*before[-1:], *of_date] if of_date else []


def _compare(
    machine: str, meter: str, span: Sequence[Reading], known: Mapping[Name, Meter], books: MachineBooks,
    business_date: int, found: Found,
) -> None:  # fmt: skip
    declared = known.get((machine, meter))
    why = _not_there(meter, span, declared, business_date)
    rose = "" if why else _rose(span, declared.digits if declared else 0, books)
    if why or isinstance(rose, str):
        found.missing.append(Missing(f"meter {meter}", machine, "", why or str(rose)))
        return
    sums = books.between(machine, span[0], span[-1])
    worth, unit = (declared.worth, declared.unit) if declared else (1, TICKET if meter == "tickets" else PRIZE)
    shown, expected, formula = _sides(meter, rose, worth, sums)
    found.compared += 1
    if shown != expected:
        found.differences.append(
            Difference(
                kind="meter",
                machine=machine,
                hub="",
                what=meter,
                unit=unit,
                expected=expected,
                found=shown,
                amount=shown - expected,
                compared=formula,
                since=_told(span[0]),
                until=_told(span[-1]),
                could_be=tuple(_explained(sums, span)),
            )
        )


def _not_there(meter: str, span: Sequence[Reading], declared: Meter | None, business_date: int) -> str:
    if meter not in METERS:
        return "no release before this one knows what it counts"
    if not span:
        return f"it was not read on {date_text(business_date)}"
    if len(span) == 1:
        return f"it was read once, {_told(span[0])}: there is nothing to count from"
    if declared is None and meter in {"credits", "coins"}:
        return "nobody said what one count is worth: venuehub office meter set"
    return ""


def _rose(span: Sequence[Reading], digits: int, books: MachineBooks) -> int | str:
    """Return by how much a meter rose over its readings; or why nobody can say."""
    rose = 0
    for before, after in pairwise(span):
        if after.reset:
            between = books.between(after.machine, before, after)
            if between.entries:
                return f"it was set back {_told(after)}: what it had counted since {_told(before)} is not known"
        elif after.value >= before.value:
            rose += after.value - before.value
        elif digits:
            rose += 10**digits - before.value + after.value
        else:
            return f"it ran backwards, {_told(before)} to {_told(after)}, and nobody said how many digits it has"
    return rose


def _sides(meter: str, rose: int, worth: int, sums: Sums) -> tuple[int, int, str]:
    """Return what the meter says, what the books say, and how they were compared."""
    match meter:
        case "credits":
            coins = rose - sums.pulses - sums.test - sums.remote
            formula = f"coins {coins} = meter {rose} - our pulses {sums.pulses} - test {sums.test}"
            return coins * worth, sums.coins, f"{formula} - remote credit {sums.remote}, with the books' coins"
        case "coins":
            return rose * worth, sums.coins, f"coins {rose} = the meter, with the books' coins"
        case "tickets":
            return rose * worth, sums.tickets * worth, f"tickets {rose} = the meter, with the books' tickets"
        case _:
            return rose * worth, sums.prizes * worth, f"prizes {rose} = the meter, with the books' prizes"


def _explained(sums: Sums, span: Iterable[Reading]) -> Iterator[str]:
    yield from sums.explanations()
    for reading in span:
        if reading.note:
            yield f"the note of {reading.by}: {reading.note}"


def _told(reading: Reading) -> str:
    where = f"entry {reading.seq}" if reading.hub_id else "brought to the office"
    return f"{reading.value} on {date_text(reading.business_date)} by {reading.by} ({where})"
