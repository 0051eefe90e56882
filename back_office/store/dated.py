"""A journal's entries by the business dates that they count to."""

from typing import Final

import sqlalchemy as sa

from back_office.store.by_index import by_index
from back_office.store.chains import Chain
from back_office.store.engine import Transaction
from back_office.store.tables import ENTRIES

# Statements are built once: building one takes four times as long as running it.
_OF_TYPE: Final = (
    sa.select(ENTRIES.c.record)
    .where(
        ENTRIES.c.tenant_id == sa.bindparam("tenant"),
        ENTRIES.c.hub_id == sa.bindparam("hub"),
        ENTRIES.c.stream == sa.bindparam("of_stream"),
        ENTRIES.c.epoch == sa.bindparam("of_epoch"),
        ENTRIES.c.business_date == sa.bindparam("date"),
        ENTRIES.c.type == sa.bindparam("of_type"),
    )
    .order_by(ENTRIES.c.seq)
)
_OF_A_DATE: Final = by_index(_OF_TYPE, ENTRIES, "entries_of_a_date")
_NEWEST: Final = by_index(
    sa.select(sa.func.max(ENTRIES.c.business_date)).where(
        ENTRIES.c.tenant_id == sa.bindparam("tenant"),
        ENTRIES.c.hub_id == sa.bindparam("hub"),
        ENTRIES.c.business_date <= sa.bindparam("through"),
    ),
    ENTRIES,
    "entries_of_a_date",
)
_BEHIND: Final = _OF_TYPE.where(ENTRIES.c.seq > sa.bindparam("after"))


def records_of_date(
    tx: Transaction, tenant_id: bytes, of: Chain, *, date: int, type_number: int, after: int = 0
) -> list[bytes]:
    """Return the records of a chain's entries of one type and business date, in their order; `after`: those behind it.

    From the beginning the date is searched; behind an entry only what the chain has got since is looked at.
    """
    asked = {
        "tenant": tenant_id, "hub": of.hub_id, "of_stream": of.stream, "of_epoch": of.epoch, "date": date,
        "of_type": type_number,
    }  # fmt: skip
    if after:
        return list(tx.execute(_BEHIND, {**asked, "after": after}).scalars())
    return list(tx.execute(_OF_A_DATE, asked).scalars())


def newest_date(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, through: int) -> int:
    """Return the newest date up to `through` that a hub's entries count to, of all its epochs; 0: there is none."""
    return int(tx.execute(_NEWEST, {"tenant": tenant_id, "hub": hub_id, "through": through}).scalar() or 0)


_DATES: Final = sa.select(ENTRIES.c.seq, ENTRIES.c.business_date).where(
    ENTRIES.c.tenant_id == sa.bindparam("tenant"),
    ENTRIES.c.hub_id == sa.bindparam("hub"),
    ENTRIES.c.stream == sa.bindparam("of_stream"),
    ENTRIES.c.epoch == sa.bindparam("of_epoch"),
)


def dates_of(tx: Transaction, tenant_id: bytes, of: Chain) -> dict[int, int]:
    """Return the date that each entry of a chain counts to, by its number."""
    asked = {"tenant": tenant_id, "hub": of.hub_id, "of_stream": of.stream, "of_epoch": of.epoch}
    return {int(seq): int(date) for seq, date in tx.execute(_DATES, asked)}
