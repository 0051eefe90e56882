"""What tokens of class A counted at each tap, over all hubs: the same count twice is two tokens."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import TOKEN_READINGS
from back_office.store.transaction import insert_into


class Reading(msgspec.Struct, frozen=True):
    """One reading. (hub_id, epoch, seq): the entry that says it. known: the hub knew the time (UTC ms)."""

    credential_id: bytes
    counter: int
    hub_id: bytes
    epoch: int
    seq: int
    wall_ms: int
    known: bool


_OF = TOKEN_READINGS.c
_MINE = (_OF.tenant_id == sa.bindparam("tenant"), _OF.credential_id == sa.bindparam("credential"))
_AT = sa.select(TOKEN_READINGS).where(*_MINE, _OF.counter == sa.bindparam("counter"))
_BELOW = (
    sa.select(TOKEN_READINGS).where(*_MINE, _OF.counter < sa.bindparam("counter")).order_by(_OF.counter.desc()).limit(1)
)
_ABOVE = sa.select(TOKEN_READINGS).where(*_MINE, _OF.counter > sa.bindparam("counter")).order_by(_OF.counter).limit(1)


def around(tx: Transaction, tenant_id: bytes, credential_id: bytes, counter: int) -> Sequence[Reading | None]:
    """Return the reading with this count, the one before and the one after it, by count."""
    asked = {"tenant": tenant_id, "credential": credential_id, "counter": counter}
    return [_reading(tx.execute(query, asked).mappings().first()) for query in (_AT, _BELOW, _ABOVE)]


def add_reading(tx: Transaction, tenant_id: bytes, reading: Reading) -> None:
    """Write a reading down; the first with its count stays."""
    row = {**msgspec.structs.asdict(reading), "known": int(reading.known)}
    tx.execute(insert_into(TOKEN_READINGS), [{"tenant_id": tenant_id, **row}])


def _reading(row: Any) -> Reading | None:  # noqa: ANN401 - a row of SQLAlchemy
    if row is None:
        return None
    return Reading(
        **{name: row[name] for name in Reading.__struct_fields__ if name != "known"}, known=bool(row["known"])
    )
