"""Closings: the Zs of venues' business dates, numbered without a gap, each with the hash of the one before."""

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import CLOSINGS
from back_office.store.transaction import insert_into


class Closing(msgspec.Struct, frozen=True):
    """One Z. body: its report as JSON; hash: SHA-256 over prev_hash and body; made_ms: UTC; by: who made it."""

    venue_id: bytes
    z_no: int
    business_date: int
    body: bytes
    hash: bytes
    prev_hash: bytes
    made_ms: int
    by: str


BEFORE_THE_FIRST: bytes = bytes(32)
"""The hash that a venue's first Z continues."""
# Statements are built once: building one takes four times as long as running it.
_ROWS = sa.select(*(CLOSINGS.c[name] for name in Closing.__struct_fields__)).where(
    CLOSINGS.c.tenant_id == sa.bindparam("tenant")
)
_ALL = _ROWS.order_by(CLOSINGS.c.venue_id, CLOSINGS.c.z_no)
_OF_VENUE = _ROWS.where(CLOSINGS.c.venue_id == sa.bindparam("venue"))
_NEWEST = _OF_VENUE.order_by(CLOSINGS.c.z_no.desc()).limit(sa.bindparam("most"))
_BEFORE = (
    _OF_VENUE.where(CLOSINGS.c.z_no < sa.bindparam("before"))
    .order_by(CLOSINGS.c.z_no.desc())
    .limit(sa.bindparam("most"))
)
_OF_DATE = _OF_VENUE.where(CLOSINGS.c.business_date == sa.bindparam("date"))
_NUMBERS = sa.select(CLOSINGS.c.business_date, CLOSINGS.c.z_no).where(
    CLOSINGS.c.tenant_id == sa.bindparam("tenant"), CLOSINGS.c.venue_id == sa.bindparam("venue")
)
_ADD = insert_into(CLOSINGS)


def closings(tx: Transaction, tenant_id: bytes) -> list[Closing]:
    """Return every Z, by venue and number."""
    return [Closing(*row) for row in tx.execute(_ALL, {"tenant": tenant_id})]


def last(tx: Transaction, tenant_id: bytes, venue_id: bytes) -> Closing | None:
    """Return a venue's newest Z."""
    return next(iter(newest(tx, tenant_id, venue_id, most=1)), None)


def newest(tx: Transaction, tenant_id: bytes, venue_id: bytes, *, most: int) -> list[Closing]:
    """Return a venue's newest Zs, the newest first."""
    return [Closing(*row) for row in tx.execute(_NEWEST, {"tenant": tenant_id, "venue": venue_id, "most": most})]


def before(tx: Transaction, tenant_id: bytes, venue_id: bytes, *, z_no: int, most: int) -> list[Closing]:
    """Return a venue's Zs below a number, the newest first."""
    asked = {"tenant": tenant_id, "venue": venue_id, "before": z_no, "most": most}
    return [Closing(*row) for row in tx.execute(_BEFORE, asked)]


def of_date(tx: Transaction, tenant_id: bytes, venue_id: bytes, business_date: int) -> Closing | None:
    """Return the Z of a venue's business date."""
    row = tx.execute(_OF_DATE, {"tenant": tenant_id, "venue": venue_id, "date": business_date}).first()
    return None if row is None else Closing(*row)


def numbers(tx: Transaction, tenant_id: bytes, venue_id: bytes) -> dict[int, int]:
    """Return the number of the Z of each business date that has one."""
    rows = tx.execute(_NUMBERS, {"tenant": tenant_id, "venue": venue_id})
    return {int(date): int(z_no) for date, z_no in rows}


def add(tx: Transaction, tenant_id: bytes, made: Closing) -> None:
    """Keep a Z; the database refuses any but the venue's next."""
    tx.execute(_ADD, [{"tenant_id": tenant_id, **msgspec.structs.asdict(made)}])
