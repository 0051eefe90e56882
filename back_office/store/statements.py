"""The lines of accounts in the order in which they were booked, and what guests' money is of which age."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from back_office.store.by_index import OF_A_NAME, by_index
from back_office.store.engine import Transaction
from back_office.store.lots import OPEN
from back_office.store.tables import ACCOUNTS, BALANCES, CHAINS, ENTRIES, LEASES, LOTS, PASSING, POSTINGS
from back_office.store.transaction import Row


class LinePlace(msgspec.Struct, frozen=True, order=True):
    """Where a line stands among all: by when its booking began, by the entry, by unit. It never changes.

    Bookings that run beside each other may be kept in another order than they began in, and workers' clocks differ: a
    line may come to stand before a place that was read already. It is there whenever all is read from the beginning.
    """

    received_ms: int
    hub_id: bytes
    stream: int
    epoch: int
    seq: int
    unit: str


class LineRow(msgspec.Struct, frozen=True):
    """What one entry moved on some accounts together in one unit; amount debit positive, never nothing."""

    place: LinePlace
    wall_ms: int
    business_date: int
    type: int
    machine: str | None
    amount: int


_NUMBERS = by_index(
    sa.select(ACCOUNTS.c.account_no).where(
        ACCOUNTS.c.tenant_id == sa.bindparam("tenant"),
        ACCOUNTS.c.kind.in_(sa.bindparam("kinds", expanding=True)),
        ACCOUNTS.c.key == sa.bindparam("key"),
    ),
    ACCOUNTS, OF_A_NAME,
)  # fmt: skip
_KEYS = (
    sa.select(ACCOUNTS.c.key).distinct()
    .where(ACCOUNTS.c.tenant_id == sa.bindparam("tenant"), ACCOUNTS.c.kind == sa.bindparam("kind"))
    .order_by(ACCOUNTS.c.key).limit(sa.bindparam("most"))
)  # fmt: skip
_PLACE: Final = (
    ENTRIES.c.received_ms, ENTRIES.c.hub_id, ENTRIES.c.stream, ENTRIES.c.epoch, ENTRIES.c.seq, POSTINGS.c.unit
)  # fmt: skip
_ASKED: Final = sa.tuple_(
    *(sa.bindparam(f"after_{name}", type_=column.type) for name, column in
      zip(LinePlace.__struct_fields__, _PLACE, strict=True))
)  # fmt: skip
_SAME: Final = (
    (ENTRIES.c.tenant_id == POSTINGS.c.tenant_id) & (ENTRIES.c.hub_id == POSTINGS.c.hub_id)
    & (ENTRIES.c.stream == POSTINGS.c.stream) & (ENTRIES.c.epoch == POSTINGS.c.epoch)
    & (ENTRIES.c.seq == POSTINGS.c.seq)
)  # fmt: skip
_MOVED: Final = sa.func.sum(POSTINGS.c.amount)
_FACTS: Final = (ENTRIES.c.wall_ms, ENTRIES.c.business_date, ENTRIES.c.type, ENTRIES.c.machine)
_OF_ACCOUNTS: Final = (
    POSTINGS.c.tenant_id == sa.bindparam("tenant"),
    POSTINGS.c.account_no.in_(sa.bindparam("numbers", expanding=True)),
)
_FROM: Final = POSTINGS.join(ENTRIES, _SAME)
_LINES = (
    sa.select(*_PLACE, *_FACTS, _MOVED).select_from(_FROM).where(*_OF_ACCOUNTS).group_by(*_PLACE, *_FACTS)
    .having(_MOVED != 0).order_by(*_PLACE).limit(sa.bindparam("most"))
)  # fmt: skip
_ALL: Final = 2**62
_LINES_AFTER = _LINES.where(sa.tuple_(*_PLACE) > _ASKED)
_STOOD = (
    sa.select(POSTINGS.c.unit, _MOVED).select_from(_FROM)
    .where(*_OF_ACCOUNTS, sa.tuple_(*_PLACE) <= _ASKED).group_by(POSTINGS.c.unit)
)  # fmt: skip
_STANDS = sa.select(BALANCES.c.unit, sa.func.sum(BALANCES.c.amount)).where(
    BALANCES.c.tenant_id == sa.bindparam("tenant"),
    BALANCES.c.account_no.in_(sa.bindparam("numbers", expanding=True)),
).group_by(BALANCES.c.unit)  # fmt: skip


def keys_of(tx: Transaction, tenant_id: bytes, kind: str, *, most: int) -> list[str]:
    """Return the keys of the accounts of a kind, in order; at most so many."""
    asked = {"tenant": tenant_id, "kind": kind, "most": most}
    return list(tx.execute(_KEYS, asked).scalars())


def numbers(tx: Transaction, tenant_id: bytes, kinds: Sequence[str], key: str) -> list[int]:
    """Return the accounts of some kinds with one key, at whatever hub or venue."""
    return list(tx.execute(_NUMBERS, {"tenant": tenant_id, "kinds": list(kinds), "key": key}).scalars())


def lines(
    tx: Transaction, tenant_id: bytes, accounts: Sequence[int], *, after: LinePlace | None, most: int
) -> list[LineRow]:
    """Return what moved on some accounts together, behind `after`, in the order of their places.

    It reads every line of these accounts, however few are asked for: a page costs what the account is long.
    """
    asked = {"tenant": tenant_id, "numbers": list(accounts), "most": most}
    rows = tx.execute(_LINES, asked) if after is None else tx.execute(_LINES_AFTER, {**asked, **_at(after)})
    return list(map(_line, rows))


def all_lines(tx: Transaction, tenant_id: bytes, accounts: Sequence[int]) -> Iterator[LineRow]:
    """Yield all that moved on some accounts together, in the order of booking; never all in memory."""
    asked = {"tenant": tenant_id, "numbers": list(accounts), "most": _ALL}
    return map(_line, tx.stream(_LINES, asked))


def _line(row: Row) -> LineRow:
    *place, wall_ms, date, kind, machine, amount = row
    return LineRow(LinePlace(*place), wall_ms, date, kind, machine, int(amount))


def stood(
    tx: Transaction, tenant_id: bytes, accounts: Sequence[int], *, through: LinePlace | None = None
) -> dict[str, int]:
    """Return what some accounts together hold of each unit: now, or behind the line `through`."""
    asked = {"tenant": tenant_id, "numbers": list(accounts)}
    rows = tx.execute(_STANDS, asked) if through is None else tx.execute(_STOOD, {**asked, **_at(through)})
    return {unit: int(amount) for unit, amount in rows if amount}


def _at(place: LinePlace) -> dict[str, object]:
    return {f"after_{name}": value for name, value in msgspec.structs.asdict(place).items()}


class PostedLine(msgspec.Struct, frozen=True):
    """An entry with one of its lines; an entry that moves nothing has one without an account."""

    hub_id: bytes
    epoch: int
    seq: int
    type: int
    business_date: int
    wall_ms: int
    received_ms: int
    machine: str | None
    authorization_id: bytes | None
    hash: bytes
    kind: str | None
    key: str | None
    scope_id: bytes | None
    unit: str | None
    amount: int | None


_LINES_POSTED: Final = (
    sa.select(
        *(ENTRIES.c[name] for name in PostedLine.__struct_fields__[:10]),
        ACCOUNTS.c.kind,
        ACCOUNTS.c.key,
        ACCOUNTS.c.scope_id,
        POSTINGS.c.unit,
        POSTINGS.c.amount,
    )
    .select_from(
        ENTRIES.outerjoin(POSTINGS, _SAME).outerjoin(
            ACCOUNTS,
            (ACCOUNTS.c.tenant_id == POSTINGS.c.tenant_id) & (ACCOUNTS.c.account_no == POSTINGS.c.account_no),
        )
    )
    .where(
        ENTRIES.c.tenant_id == sa.bindparam("tenant"), ENTRIES.c.hub_id == sa.bindparam("writer"),
        ENTRIES.c.business_date.between(sa.bindparam("first"), sa.bindparam("last")),
    )
    .order_by(ENTRIES.c.stream, ENTRIES.c.epoch, ENTRIES.c.seq, POSTINGS.c.line)
)  # fmt: skip
_OF_DATES: Final = by_index(_LINES_POSTED, ENTRIES, "entries_of_a_date")
_WRITERS: Final = (
    sa.select(CHAINS.c.hub_id).distinct().where(CHAINS.c.tenant_id == sa.bindparam("tenant")).order_by(CHAINS.c.hub_id)
)


def posted_lines(tx: Transaction, tenant_id: bytes, *, first: int, last: int) -> Iterator[PostedLine]:
    """Yield every line of the entries of some business dates, chain by chain; never all in memory. first 0: of all."""
    query = _OF_DATES if first else _LINES_POSTED
    for writer in tx.execute(_WRITERS, {"tenant": tenant_id}).scalars():
        for row in tx.stream(query, {"tenant": tenant_id, "writer": writer, "first": first, "last": last}):
            yield PostedLine(*row)


def _of_lot(table: sa.Table) -> sa.ColumnElement[bool]:
    return (
        (LOTS.c.tenant_id == table.c.tenant_id) & (LOTS.c.account_id == table.c.account_id)
        & (LOTS.c.unit == table.c.unit) & (LOTS.c.lot == table.c.lot)
    )  # fmt: skip


def _bucket() -> sa.ColumnElement[int]:
    """Return 0 to 3 by how old a lot is, 4 where nobody knows."""
    opened = LOTS.c.opened_ms
    return sa.case(
        (sa.func.coalesce(opened, 0) <= 0, 4), (opened > sa.bindparam("first"), 0),
        (opened > sa.bindparam("second"), 1), (opened > sa.bindparam("third"), 2), else_=3,
    )  # fmt: skip


_LEFT: Final = LEASES.c.granted + LEASES.c.taken - LEASES.c.settled - LEASES.c.moved
_WAITING: Final = PASSING.c.given - PASSING.c.taken - PASSING.c.returned
_BUCKET: Final = _bucket().label("bucket")
_IN_PURSES = (
    sa.select(LOTS.c.unit, _BUCKET, sa.func.sum(LOTS.c.available))
    .where(LOTS.c.tenant_id == sa.bindparam("tenant"), LOTS.c.available != 0).group_by(LOTS.c.unit, _BUCKET)
)  # fmt: skip
_AT_HUBS = (
    sa.select(LEASES.c.unit, _BUCKET, sa.func.sum(_LEFT)).select_from(LEASES.outerjoin(LOTS, _of_lot(LEASES)))
    .where(LEASES.c.tenant_id == sa.bindparam("tenant"), _LEFT != 0).group_by(LEASES.c.unit, _BUCKET)
)  # fmt: skip
_ON_ITS_WAY = (
    sa.select(PASSING.c.unit, _BUCKET, sa.func.sum(_WAITING)).select_from(PASSING.outerjoin(LOTS, _of_lot(PASSING)))
    .where(PASSING.c.tenant_id == sa.bindparam("tenant"), sa.literal_column(OPEN)).group_by(PASSING.c.unit, _BUCKET)
)  # fmt: skip


def by_age(tx: Transaction, tenant_id: bytes, opened_after_ms: tuple[int, int, int]) -> dict[tuple[str, int], int]:
    """Return guests' money by unit and by when its lot was opened, minor units.

    0: after the first moment, 1: after the second, 2: after the third, 3: before, 4: no top-up names it. In purses, at
    hubs and on its way together.
    """
    asked = {"tenant": tenant_id, **dict(zip(("first", "second", "third"), opened_after_ms, strict=True))}
    found: dict[tuple[str, int], int] = {}
    for query in (_IN_PURSES, _AT_HUBS, _ON_ITS_WAY):
        for unit, bucket, amount in tx.execute(query, asked):
            found[unit, bucket] = found.get((unit, bucket), 0) + int(amount)
    return found
