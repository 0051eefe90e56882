"""A business date for the page, from the report that an X or a Z is."""

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from back_office.business_day import business_date as day_of
from back_office.console.interface import Day, DayHub, DayLate, DayMachine, DaySum, DayZ
from back_office.ledger.closing import NoSuchDate, x_report
from back_office.ledger.closing_report import Doubt, LateDay, SumLine
from back_office.ledger.takings import TAKEN
from back_office.store import closings
from back_office.store.engine import Transaction
from back_office.store.places import Venue
from payment_core.accounts import CHART, Kind
from payment_core.money import shown
from payment_core.price_calendar import as_number, date_text

CLOSINGS: Final = 31
"""Zs that the page lists, the newest first."""
_DATE: Final = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}")
_SHOWN: Final = frozenset(kind.value for kind in TAKEN)


def day_page(tx: Transaction, tenant_id: bytes, venue: Venue, business_date: str, *, now_ms: int) -> Day:
    """Return a date, YYYY-MM-DD, as it stands; of what is none, today's."""
    asked = int(business_date.replace("-", "")) if _DATE.fullmatch(business_date) else 0
    found = x_report(tx, tenant_id, venue, asked, now_ms=now_ms)
    if isinstance(found, NoSuchDate):
        today = day_of(now_ms, timezone=venue.timezone, day_begins_minute=venue.day_begins_minute)
        found = x_report(tx, tenant_id, venue, today, now_ms=now_ms)
        assert not isinstance(found, NoSuchDate), "today is a date"
    here = date.fromisoformat(date_text(found.business_date))
    machines = [
        DayMachine(
            hub=one.hub, machine=one.machine, account=one.kind, entries=one.entries,
            amount=shown(_own_side(one.kind) * one.amount, one.unit),
        )
        for one in found.machines
    ]  # fmt: skip
    hubs = [DayHub(name=h.name, epoch=h.epoch, through_entry=h.through_entry, silent="", since_ms=h.last_heard_ms)
            for h in found.heard]  # fmt: skip
    hubs += [DayHub(name=h.name, epoch=h.epoch, through_entry=h.through_entry, silent=h.why, since_ms=h.since_ms)
             for h in found.silent]  # fmt: skip
    return Day(
        at_ms=now_ms,
        business_date=here.isoformat(),
        before=_beside(here, -1),
        after=_beside(here, 1),
        z_no=found.z_no,
        sums=_sums(found.sums),
        machines=machines,
        hubs=sorted(hubs, key=lambda hub: hub.name),
        late=_late(found.late),
        behind=_late(found.after_z),
        doubts=_doubts(found.doubts),
        open_dates=[date_text(number) for number in found.open_dates],
        more_open_dates=found.more_open_dates,
        closings=[
            DayZ(z_no=row.z_no, business_date=date_text(row.business_date), by=row.by, made_ms=row.made_ms)
            for row in closings.newest(tx, tenant_id, venue.venue_id, most=CLOSINGS)
        ],
    )


def _sums(lines: Iterable[SumLine]) -> list[DaySum]:
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for line in lines:
        if line.kind in _SHOWN:
            total = sums[line.kind, line.unit]
            total[0] += _own_side(line.kind) * line.amount
            total[1] += line.entries
    return [
        DaySum(account=kind, amount=shown(amount, unit), entries=entries)
        for (kind, unit), (amount, entries) in sorted(sums.items())
    ]


def _late(days: Iterable[LateDay]) -> list[DayLate]:
    return [
        DayLate(
            business_date=date_text(day.business_date), z_no=day.z_no, sums=_sums(day.sums),
            entries=sum(hub.entries for hub in day.hubs),
        )
        for day in days
    ]  # fmt: skip


def _doubts(doubts: Iterable[Doubt]) -> list[DaySum]:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for doubt in doubts:
        sums[doubt.unit][0] += doubt.amount
        sums[doubt.unit][1] += 1
    return [
        DaySum(account=Kind.SUSPENSE.value, amount=shown(amount, unit), entries=count)
        for unit, (amount, count) in sorted(sums.items())
    ]


def _own_side(kind: str) -> int:
    return 1 if CHART[Kind(kind)].side == "debit" else -1


def _beside(here: date, days: int) -> str:
    try:
        return date_text(as_number(here + timedelta(days=days)))
    except OverflowError:
        return here.isoformat()
