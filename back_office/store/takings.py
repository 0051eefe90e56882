"""What each business date moved, by venue, hub, machine, lane and shift; and which entries came after their date's Z.

Every posting counts in it once: the sums of any grouping over all dates are the trial balance.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from back_office.store.books import chunks
from back_office.store.engine import Transaction
from back_office.store.tables import CLOSINGS, LATE_ENTRIES, TAKINGS
from back_office.store.transaction import Rows, insert_into
from payment_core.accounts import Kind

Grouping = Literal["business_date", "hub", "machine", "lane", "shift", "tender"]
"""What takings can be split by."""
GROUPINGS: Final[dict[Grouping, str]] = {
    "business_date": "business_date", "hub": "hub_id", "machine": "machine", "lane": "lane", "shift": "shift",
    "tender": "tender",
}  # fmt: skip


class TakingsPlace(msgspec.Struct, frozen=True):
    """Where an entry's lines on one kind of account count. machine, lane, shift empty: the entry names none.

    hub_id: the writer, the tenant itself for the office's own entries; type and tender as numbers. told_in: 0, or the
    Z that lists it because its date had one already.
    """

    venue_id: bytes
    business_date: int
    hub_id: bytes
    machine: str
    lane: str
    shift: str
    type: int
    tender: int
    kind: str
    unit: str
    told_in: int = 0


class LateRow(msgspec.Struct, frozen=True):
    """An entry whose business date had its Z already when it came. told_in: the number of the Z that lists it."""

    hub_id: bytes
    stream: int
    epoch: int
    seq: int
    venue_id: bytes
    business_date: int
    told_in: int


_PLACE: Final = TakingsPlace.__struct_fields__
_KEY: Final = ("tenant_id", *_PLACE)


def move_takings(tx: Transaction, tenant_id: bytes, moves: Mapping[TakingsPlace, Sequence[int]]) -> None:
    """Add `moves` {place: (amount, number of entries)}."""
    rows = sorted((tenant_id, *msgspec.structs.astuple(place), *sums) for place, sums in moves.items())
    if rows:  # sorted: two writers never cross
        tx.add_up(TAKINGS, _KEY, ("amount", "entries"), rows)


_ALL = sa.select(*(TAKINGS.c[name] for name in _PLACE), TAKINGS.c.amount, TAKINGS.c.entries).where(
    TAKINGS.c.tenant_id == sa.bindparam("tenant")
)
_OF_VENUE = _ALL.where(TAKINGS.c.venue_id == sa.bindparam("venue"))
_OF_DATE = _OF_VENUE.where(TAKINGS.c.business_date == sa.bindparam("date"))
_OF_DATES = _ALL.where(TAKINGS.c.business_date.between(sa.bindparam("first"), sa.bindparam("last")))
_OF_DATES_THERE = _OF_DATES.where(TAKINGS.c.venue_id == sa.bindparam("venue"))
_LATE_IN = _OF_VENUE.where(TAKINGS.c.told_in == sa.bindparam("z"))

Takings = dict[TakingsPlace, tuple[int, int]]
"""Amount, debit positive, and number of entries."""


def takings(tx: Transaction, tenant_id: bytes) -> Takings:
    """Return all there is."""
    return _read(tx.execute(_ALL, {"tenant": tenant_id}))


def takings_between(tx: Transaction, tenant_id: bytes, *, first: int, last: int, venue_id: bytes = b"") -> Takings:
    """Return what the business dates `first` to `last` moved at a venue; venue_id empty: at all."""
    asked: dict[str, object] = {"tenant": tenant_id, "first": first, "last": last}
    rows = tx.execute(_OF_DATES_THERE, {**asked, "venue": venue_id}) if venue_id else tx.execute(_OF_DATES, asked)
    return _read(rows)


def takings_of(tx: Transaction, tenant_id: bytes, venue_id: bytes, business_date: int) -> Takings:
    """Return what one business date moved at a venue, on time and late."""
    return _read(tx.execute(_OF_DATE, {"tenant": tenant_id, "venue": venue_id, "date": business_date}))


def takings_told_in(tx: Transaction, tenant_id: bytes, venue_id: bytes, z_no: int) -> Takings:
    """Return what came late and stands in a Z, or will."""
    return _read(tx.execute(_LATE_IN, {"tenant": tenant_id, "venue": venue_id, "z": z_no}))


def _read(rows: Rows) -> Takings:
    return {TakingsPlace(*place): (amount, entries) for *place, amount, entries in rows}


class Group(msgspec.Struct, frozen=True):
    """One line of grouped takings. `by`: the values asked for, in their order; amount debit positive."""

    by: tuple[object, ...]
    type: int
    tender: int
    kind: Kind
    unit: str
    amount: int
    entries: int


def grouped(
    tx: Transaction, tenant_id: bytes, *, by: Sequence[Grouping], first: int, last: int, venue_id: bytes = b"",
    after: Sequence[object] | None = None, most: int | None = None,
) -> list[Group]:  # fmt: skip
    """Return what the business dates `first` to `last` moved, split `by`; venue_id empty: all venues together.

    In the order of (by, type, tender, kind, unit), texts by their bytes; `after`: only what comes behind these values.
    """
    split = [TAKINGS.c[GROUPINGS[name]] for name in by]
    what = [TAKINGS.c.type, TAKINGS.c.tender, TAKINGS.c.kind, TAKINGS.c.unit]
    total = (sa.func.sum(TAKINGS.c.amount), sa.func.sum(TAKINGS.c.entries))
    query = sa.select(*split, *what, *total).where(
        TAKINGS.c.tenant_id == tenant_id, TAKINGS.c.business_date.between(first, last)
    )
    if venue_id:
        query = query.where(TAKINGS.c.venue_id == venue_id)
    keys = list(dict.fromkeys([*split, *what]))
    # a server's own order of texts may hold two of them for alike, or differ on its next machine
    order = [
        sa.collate(key, "C") if isinstance(key.type, sa.Text) and not tx.is_sqlite else key for key in keys
    ]  # fmt: skip
    if after is not None:
        last_read = dict(zip([*split, *what], after, strict=True))
        behind = [sa.literal(last_read[key], key.type) for key in keys]
        query = query.where(sa.tuple_(*order) > sa.tuple_(*behind))
        if split and split[0] is TAKINGS.c.business_date:
            query = query.where(TAKINGS.c.business_date >= last_read[split[0]])  # of the row's values it is an index's
    found = []
    for row in tx.execute(query.group_by(*keys).order_by(*order).limit(most)):
        number, tender, kind, unit, amount, entries = row[len(by) :]
        found.append(Group(row[: len(by)], number, tender, Kind(kind), unit, int(amount), int(entries)))
    return found


_NEXT_DATE = sa.select(sa.func.min(TAKINGS.c.business_date)).where(
    TAKINGS.c.tenant_id == sa.bindparam("tenant"), TAKINGS.c.venue_id == sa.bindparam("venue"),
    TAKINGS.c.business_date > sa.bindparam("after"),
)  # fmt: skip


def dates(tx: Transaction, tenant_id: bytes, venue_id: bytes) -> Iterator[int]:
    """Yield the business dates on which anything moved at a venue: one step in the index for each, not for each row."""
    after = -1
    while (
        date := tx.execute(_NEXT_DATE, {"tenant": tenant_id, "venue": venue_id, "after": after}).scalar()
    ) is not None:
        yield date
        after = date


# ---- late entries ----

_CLOSED = sa.select(CLOSINGS.c.business_date).where(
    CLOSINGS.c.tenant_id == sa.bindparam("tenant"), CLOSINGS.c.venue_id == sa.bindparam("venue"),
    CLOSINGS.c.business_date.in_(sa.bindparam("dates", expanding=True)),
)  # fmt: skip
_NEXT_Z = sa.select(sa.func.max(CLOSINGS.c.z_no)).where(
    CLOSINGS.c.tenant_id == sa.bindparam("tenant"), CLOSINGS.c.venue_id == sa.bindparam("venue")
)
_ADD_LATE = insert_into(LATE_ENTRIES)


def next_z(tx: Transaction, tenant_id: bytes, venue_id: bytes) -> int:
    """Return the number of a venue's next Z: they have no gaps."""
    return (tx.execute(_NEXT_Z, {"tenant": tenant_id, "venue": venue_id}).scalar() or 0) + 1


def closed_dates(tx: Transaction, tenant_id: bytes, venue_id: bytes, asked: Iterable[int]) -> set[int]:
    """Return which of some business dates have their Z."""
    return {
        date
        for page in chunks(asked)
        for date in tx.execute(_CLOSED, {"tenant": tenant_id, "venue": venue_id, "dates": page}).scalars()
    }


def add_late(tx: Transaction, tenant_id: bytes, rows: Collection[LateRow]) -> None:
    """Note entries as late; the next Z lists them."""
    if rows:
        tx.execute(_ADD_LATE, [{"tenant_id": tenant_id, **msgspec.structs.asdict(row)} for row in rows])


_LATE = (
    sa.select(*(LATE_ENTRIES.c[name] for name in LateRow.__struct_fields__))
    .where(LATE_ENTRIES.c.tenant_id == sa.bindparam("tenant"))
    .order_by(LATE_ENTRIES.c.hub_id, LATE_ENTRIES.c.stream, LATE_ENTRIES.c.epoch, LATE_ENTRIES.c.seq)
)


def late_entries(tx: Transaction, tenant_id: bytes) -> list[LateRow]:
    """Return every entry that came late."""
    return [LateRow(*row) for row in tx.execute(_LATE, {"tenant": tenant_id})]


class LateGroup(msgspec.Struct, frozen=True):
    """What of one hub came late for one business date: its entries from `first_seq` to `last_seq` of an epoch."""

    business_date: int
    hub_id: bytes
    epoch: int
    first_seq: int
    last_seq: int
    entries: int


_GROUPS = (
    sa.select(
        LATE_ENTRIES.c.business_date, LATE_ENTRIES.c.hub_id, LATE_ENTRIES.c.epoch,
        sa.func.min(LATE_ENTRIES.c.seq), sa.func.max(LATE_ENTRIES.c.seq), sa.func.count(),
    )
    .where(LATE_ENTRIES.c.tenant_id == sa.bindparam("tenant"), LATE_ENTRIES.c.venue_id == sa.bindparam("venue"))
    .group_by(LATE_ENTRIES.c.business_date, LATE_ENTRIES.c.hub_id, LATE_ENTRIES.c.epoch)
    .order_by(LATE_ENTRIES.c.business_date, LATE_ENTRIES.c.hub_id, LATE_ENTRIES.c.epoch)
)  # fmt: skip
_TOLD_IN = _GROUPS.where(LATE_ENTRIES.c.told_in == sa.bindparam("z"))
_OF_DATES_LATE = _GROUPS.where(LATE_ENTRIES.c.business_date == sa.bindparam("date"))


def late_told_in(tx: Transaction, tenant_id: bytes, venue_id: bytes, z_no: int) -> list[LateGroup]:
    """Return what came late and stands in a Z, or will."""
    return [LateGroup(*row) for row in tx.execute(_TOLD_IN, {"tenant": tenant_id, "venue": venue_id, "z": z_no})]


def late_of_date(tx: Transaction, tenant_id: bytes, venue_id: bytes, business_date: int) -> list[LateGroup]:
    """Return what came for a business date behind its Z."""
    asked = {"tenant": tenant_id, "venue": venue_id, "date": business_date}
    return [LateGroup(*row) for row in tx.execute(_OF_DATES_LATE, asked)]
