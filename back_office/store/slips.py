"""Paid slips as the office issued them, and until when each hub has reported that it holds nothing back."""

from typing import Any

import msgspec
import sqlalchemy as sa

from back_office.store.by_index import by_index
from back_office.store.engine import Transaction
from back_office.store.lots import OPEN
from back_office.store.order_tables import SLIP_REPORTS, SLIPS
from back_office.store.tables import PASSING
from back_office.store.transaction import insert_into


class SlipRow(msgspec.Struct, frozen=True, kw_only=True):
    """One slip. `text`: what its QR code shows; times are UTC ms. hub_id None: any hub of the venue takes it."""

    slip_id: bytes
    venue_id: bytes
    hub_id: bytes | None
    account_id: bytes
    unit: str
    amount: int
    lot: bytes
    lane: str
    issued_ms: int
    valid_until_ms: int
    text: str


class Way(msgspec.Struct, frozen=True):
    """Where a slip's money is, as the books have it: on its way, taken, back in the purse, taken once too often.

    taker: the hub whose taking came first, or empty.
    """

    waiting: int = 0
    taken: int = 0
    returned: int = 0
    risked: int = 0
    taker: bytes = b""

    @property
    def state(self) -> str:
        """One word for it."""
        if self.taken:
            return "taken"
        return "returned" if self.returned else "outstanding"


_SLIP = sa.select(SLIPS).where(SLIPS.c.tenant_id == sa.bindparam("tenant"), SLIPS.c.slip_id == sa.bindparam("slip"))
_OUTSTANDING = by_index(
    sa.select(SLIPS)
    .join(PASSING, (PASSING.c.tenant_id == SLIPS.c.tenant_id) & (PASSING.c.pass_id == SLIPS.c.slip_id))
    .where(
        SLIPS.c.tenant_id == sa.bindparam("tenant"), PASSING.c.tenant_id == sa.bindparam("tenant"),
        sa.literal_column(OPEN), PASSING.c.given > PASSING.c.taken + PASSING.c.returned,
    )
    .order_by(SLIPS.c.valid_until_ms, SLIPS.c.slip_id),
    PASSING, "passing_open",
)  # fmt: skip
_OF_HUB = (SLIP_REPORTS.c.tenant_id == sa.bindparam("tenant"), SLIP_REPORTS.c.hub_id == sa.bindparam("hub"))
_CLEAR = sa.select(SLIP_REPORTS.c.clear_ms).where(*_OF_HUB)
_CLEARED = sa.update(SLIP_REPORTS).where(*_OF_HUB)


def _row(row: dict[str, Any]) -> SlipRow:
    return SlipRow(**{name: row[name] for name in SlipRow.__struct_fields__})


def add_slip(tx: Transaction, tenant_id: bytes, slip: SlipRow) -> None:
    """Write an issued slip down."""
    tx.execute(insert_into(SLIPS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(slip)}])


def slip(tx: Transaction, tenant_id: bytes, slip_id: bytes) -> SlipRow | None:
    """Return one slip."""
    row = tx.execute(_SLIP, {"tenant": tenant_id, "slip": slip_id}).mappings().first()
    return None if row is None else _row(row)


def slips(tx: Transaction, tenant_id: bytes, *, limit: int = 100) -> list[SlipRow]:
    """Return slips, newest first."""
    query = sa.select(SLIPS).where(SLIPS.c.tenant_id == tenant_id).order_by(SLIPS.c.issued_ms.desc()).limit(limit)
    return [_row(row) for row in tx.execute(query).mappings()]


def outstanding(tx: Transaction, tenant_id: bytes) -> list[SlipRow]:
    """Return the slips whose money is still on its way, oldest first."""
    return [_row(row) for row in tx.execute(_OUTSTANDING, {"tenant": tenant_id}).mappings()]


def way(tx: Transaction, tenant_id: bytes, slip_id: bytes) -> Way:
    """Return where a slip's money is, over all its lots; `taker`: who took it first."""
    query = sa.select(
        PASSING.c.given, PASSING.c.taken, PASSING.c.returned, PASSING.c.risked, PASSING.c.taker, PASSING.c.to_hub
    ).where(PASSING.c.tenant_id == tenant_id, PASSING.c.pass_id == slip_id)
    found = Way()
    for given, taken, returned, risked, taker, to_hub in tx.execute(query):
        found = Way(
            found.waiting + given - taken - returned, found.taken + taken, found.returned + returned,
            found.risked + risked, found.taker if to_hub else taker,
        )  # fmt: skip
    return found


def note_clear(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, now_ms: int) -> None:
    """Note that a hub holds nothing now that the office has not booked; the moment only moves on."""
    of_hub = {"tenant": tenant_id, "hub": hub_id}
    before = tx.execute(_CLEAR, of_hub).scalar()
    if before is None:
        tx.execute(insert_into(SLIP_REPORTS), [{"tenant_id": tenant_id, "hub_id": hub_id, "clear_ms": now_ms}])
    elif before < now_ms:
        tx.execute(_CLEARED, {**of_hub, "clear_ms": now_ms})


def clear_ms(tx: Transaction, tenant_id: bytes) -> dict[bytes, int]:
    """Return by hub when it last reported that it holds nothing back."""
    query = sa.select(SLIP_REPORTS.c.hub_id, SLIP_REPORTS.c.clear_ms).where(SLIP_REPORTS.c.tenant_id == tenant_id)
    return {hub_id: int(moment) for hub_id, moment in tx.execute(query)}
