"""What machines count by themselves, as it was read, and what the books say happened there meanwhile: reads only.

Only `declare` and `add_reading` write, and neither writes money.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from back_office.store import acts
from back_office.store.acts import AuditLine
from back_office.store.by_index import by_index
from back_office.store.engine import Transaction
from back_office.store.tables import ACCOUNTS, ENTRIES, METER_READINGS, METERS, POSTINGS
from back_office.store.transaction import insert_into

READ: Final = "meter read"
"""What the audit calls a reading that was brought to the office."""


class Meter(msgspec.Struct, frozen=True):
    """What one count of a meter is worth, in minor units of `unit`; digits: how many it has, 0: nobody said."""

    venue_id: bytes
    machine: str
    meter: str
    worth: int
    unit: str
    digits: int
    since_ms: int
    by: str


class OfficeReading(msgspec.Struct, frozen=True):
    """A reading that somebody brought to the office, with the moment at which it was read."""

    venue_id: bytes
    machine: str
    meter: str
    reading_no: int
    value: int
    reset: int
    business_date: int
    at_ms: int
    by: str
    note: str


class Happened(msgspec.Struct, frozen=True):
    """One entry of a hub: where it stands in its journal, when it was written, and its record."""

    hub_id: bytes
    epoch: int
    seq: int
    wall_ms: int
    business_date: int
    record: bytes


class Moved(msgspec.Struct, frozen=True):
    """What stored postings of a hub add up to, by machine, entry type, kind of account and unit; debit positive."""

    hub_id: bytes
    machine: str
    type: int
    kind: str
    unit: str
    amount: int


class Box(msgspec.Struct, frozen=True):
    """One unit in a box or drawer of a hub, as one of its epochs knows it. kind: `cash_box` or `drawer`."""

    hub_id: bytes
    epoch: int
    kind: str
    name: str
    unit: str


_METER: Final = Meter.__struct_fields__
_READING: Final = OfficeReading.__struct_fields__
_HAPPENED: Final = Happened.__struct_fields__
_LEDGER: Final = 0
_TENANT: Final[sa.BindParameter[bytes]] = sa.bindparam("tenant")
_METERS = sa.select(*(METERS.c[name] for name in _METER)).where(
    METERS.c.tenant_id == _TENANT, METERS.c.venue_id == sa.bindparam("venue")
)
_READINGS = (
    sa.select(*(METER_READINGS.c[name] for name in _READING))
    .where(
        METER_READINGS.c.tenant_id == _TENANT, METER_READINGS.c.venue_id == sa.bindparam("venue"),
        METER_READINGS.c.business_date <= sa.bindparam("through"),
    )
    .order_by(METER_READINGS.c.machine, METER_READINGS.c.meter, METER_READINGS.c.reading_no)
)  # fmt: skip
_LAST_READING = sa.select(sa.func.max(METER_READINGS.c.reading_no)).where(
    METER_READINGS.c.tenant_id == _TENANT, METER_READINGS.c.venue_id == sa.bindparam("venue"),
    METER_READINGS.c.machine == sa.bindparam("of_machine"), METER_READINGS.c.meter == sa.bindparam("of_meter"),
)  # fmt: skip
_OF_TYPES = (
    sa.select(*(ENTRIES.c[name] for name in _HAPPENED))
    .where(
        ENTRIES.c.tenant_id == _TENANT, ENTRIES.c.stream == _LEDGER,
        ENTRIES.c.hub_id.in_(sa.bindparam("hubs", expanding=True)),
        ENTRIES.c.type.in_(sa.bindparam("types", expanding=True)),
        ENTRIES.c.business_date.between(sa.bindparam("since"), sa.bindparam("through")),
    )
    .order_by(ENTRIES.c.hub_id, ENTRIES.c.epoch, ENTRIES.c.seq)
)  # fmt: skip
COUNTINGS: Final = frozenset({25, 37})
"""Types that are few among many: BoxCounted, MeterRead. An index holds exactly these, and answers to these words."""
_COUNTED = by_index(_OF_TYPES.where(sa.literal_column("entries.type IN (25, 37)")), ENTRIES, "entries_counted")
_HAPPENINGS = by_index(_OF_TYPES, ENTRIES, "entries_of_a_date")
_OF_ENTRY: Final = (
    (ENTRIES.c.tenant_id == POSTINGS.c.tenant_id)
    & (ENTRIES.c.hub_id == POSTINGS.c.hub_id)
    & (ENTRIES.c.stream == POSTINGS.c.stream)
    & (ENTRIES.c.epoch == POSTINGS.c.epoch)
    & (ENTRIES.c.seq == POSTINGS.c.seq)
)
_OF_ACCOUNT: Final = (ACCOUNTS.c.tenant_id == POSTINGS.c.tenant_id) & (ACCOUNTS.c.account_no == POSTINGS.c.account_no)
_MACHINE: Final = sa.func.coalesce(ENTRIES.c.machine, "")
_MOVED = (
    sa.select(
        POSTINGS.c.hub_id, _MACHINE, ENTRIES.c.type, ACCOUNTS.c.kind, POSTINGS.c.unit, sa.func.sum(POSTINGS.c.amount)
    )
    .select_from(ENTRIES.join(POSTINGS, _OF_ENTRY).join(ACCOUNTS, _OF_ACCOUNT))
    .where(
        ENTRIES.c.tenant_id == _TENANT, ENTRIES.c.stream == _LEDGER, ENTRIES.c.hub_id == sa.bindparam("hub"),
        ENTRIES.c.epoch == sa.bindparam("of_epoch"), ENTRIES.c.business_date == sa.bindparam("date"),
        ENTRIES.c.seq > sa.bindparam("after"), ENTRIES.c.seq <= sa.bindparam("last"),
    )
    .group_by(POSTINGS.c.hub_id, _MACHINE, ENTRIES.c.type, ACCOUNTS.c.kind, POSTINGS.c.unit)
)  # fmt: skip
_EPOCHS = by_index(
    sa.select(ENTRIES.c.epoch, sa.func.max(ENTRIES.c.seq))
    .where(
        ENTRIES.c.tenant_id == _TENANT, ENTRIES.c.stream == _LEDGER, ENTRIES.c.hub_id == sa.bindparam("hub"),
        ENTRIES.c.business_date == sa.bindparam("date"),
    )
    .group_by(ENTRIES.c.epoch)
    .order_by(ENTRIES.c.epoch),
    ENTRIES, "entries_of_a_date",
)  # fmt: skip
_IN_BOX = (
    sa.select(sa.func.sum(POSTINGS.c.amount))
    .join(ACCOUNTS, _OF_ACCOUNT)
    .where(
        POSTINGS.c.tenant_id == _TENANT, POSTINGS.c.stream == _LEDGER, POSTINGS.c.hub_id == sa.bindparam("hub"),
        POSTINGS.c.epoch == sa.bindparam("of_epoch"), POSTINGS.c.seq > sa.bindparam("after"),
        POSTINGS.c.seq < sa.bindparam("before"), ACCOUNTS.c.kind == sa.bindparam("of_kind"),
        ACCOUNTS.c.key == sa.bindparam("box"), POSTINGS.c.unit == sa.bindparam("of_unit"),
    )
)  # fmt: skip


def declared(tx: Transaction, tenant_id: bytes, venue_id: bytes) -> dict[tuple[str, str], Meter]:
    """Return what is known of a venue's meters, by machine and meter."""
    rows = (Meter(*row) for row in tx.execute(_METERS, {"tenant": tenant_id, "venue": venue_id}))
    return {(row.machine, row.meter): row for row in rows}


def declare(tx: Transaction, tenant_id: bytes, meter: Meter) -> None:
    """Keep what a meter counts; what was known before is gone."""
    names = ("venue_id", "machine", "meter")
    where = [METERS.c[name] == getattr(meter, name) for name in names]
    tx.execute(sa.delete(METERS).where(METERS.c.tenant_id == tenant_id, *where))
    tx.execute(insert_into(METERS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(meter)}])


def readings(tx: Transaction, tenant_id: bytes, venue_id: bytes, *, through: int) -> list[OfficeReading]:
    """Return the readings that were brought to the office, up to a business date."""
    asked = {"tenant": tenant_id, "venue": venue_id, "through": through}
    return [OfficeReading(*row) for row in tx.execute(_READINGS, asked)]


def add_reading(tx: Transaction, tenant_id: bytes, reading: OfficeReading, *, now_ms: int) -> None:
    """Keep a reading as the meter's next, and a line of the audit about it; `reading_no` of it is not looked at."""
    asked = {
        "tenant": tenant_id, "venue": reading.venue_id, "of_machine": reading.machine, "of_meter": reading.meter
    }  # fmt: skip
    number = (tx.execute(_LAST_READING, asked).scalar() or 0) + 1
    kept = msgspec.structs.replace(reading, reading_no=number)
    tx.execute(insert_into(METER_READINGS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(kept)}])
    acts.audit(tx, tenant_id, AuditLine(now_ms, kept.by, READ, kept.venue_id, told_of(kept)))


def told_of(reading: OfficeReading) -> str:
    """Return the note of a reading's line in the audit: `racer-2 credits 3: 104233 on 20261122 at 1795…: why`."""
    shown = f"{reading.value} reset" if reading.reset else f"{reading.value}"
    why = f": {reading.note}" if reading.note else ""
    named = f"{reading.machine} {reading.meter} {reading.reading_no}"
    return f"{named}: {shown} on {reading.business_date} at {reading.at_ms}{why}"


def happened(
    tx: Transaction, tenant_id: bytes, hubs: Sequence[bytes], *, types: Sequence[int], since: int, through: int
) -> Iterator[Happened]:
    """Yield the entries of some types that some hubs wrote on the business dates `since` to `through`, in order."""
    asked = {"tenant": tenant_id, "hubs": list(hubs), "types": list(types), "since": since, "through": through}
    query = _COUNTED if COUNTINGS.issuperset(types) else _HAPPENINGS
    yield from (Happened(*row) for row in tx.execute(query, asked))


def moved(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, *, epoch: int, business_date: int, after: int, last: int
) -> list[Moved]:
    """Return what the entries behind `after` up to `last` of a hub's epoch moved on a business date."""
    asked = {
        "tenant": tenant_id, "hub": hub_id, "of_epoch": epoch, "date": business_date, "after": after, "last": last
    }  # fmt: skip
    return [
        Moved(hub, machine, number, kind, unit, int(amount))
        for hub, machine, number, kind, unit, amount in tx.execute(_MOVED, asked)
    ]


def epochs_of_date(tx: Transaction, tenant_id: bytes, hub_id: bytes, business_date: int) -> dict[int, int]:
    """Return a hub's last entry of a business date, by epoch."""
    return dict(tx.execute(_EPOCHS, {"tenant": tenant_id, "hub": hub_id, "date": business_date}))


def in_box(tx: Transaction, tenant_id: bytes, box: Box, *, after: int, before: int) -> int:
    """Return what the stored postings between two entries of a hub's epoch put into a box."""
    asked = {
        "tenant": tenant_id, "hub": box.hub_id, "of_epoch": box.epoch, "after": after, "before": before,
        "of_kind": box.kind, "box": box.name, "of_unit": box.unit,
    }  # fmt: skip
    return int(tx.execute(_IN_BOX, asked).scalar() or 0)
