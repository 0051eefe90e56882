"""Which cells there are, what waits to be taken by another cell, and what was taken of others."""

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import ACCOUNTS, BALANCES, ENTRIES, METADATA, POSTINGS
from back_office.store.transaction import insert_into
from back_office.store.types import RAW, TEXT, WHOLE, key, value
from payment_core.accounts import Kind

CELLS: Final = sa.Table("cells", METADATA, key("tenant_id", RAW), key("name", TEXT), value("own", WHOLE))
CELL_OUTBOX: Final = sa.Table(
    "cell_outbox", METADATA, key("tenant_id", RAW), key("to_cell", TEXT), key("office_seq", WHOLE),
    value("record", RAW), value("sent_ms", WHOLE), value("taken_ms", WHOLE, optional=True),
)  # fmt: skip
CELL_INBOX: Final = sa.Table(
    "cell_inbox", METADATA, key("tenant_id", RAW), key("from_cell", TEXT), key("from_seq", WHOLE), value("hash", RAW),
    value("office_seq", WHOLE), value("taken_ms", WHOLE),
)  # fmt: skip


class Sent(msgspec.Struct, frozen=True):
    """A CellSent of these books. record: its bytes as they stand in the journal; taken_ms: when it was known taken."""

    to_cell: str
    office_seq: int
    record: bytes
    sent_ms: int
    taken_ms: int | None = None


class Taken(msgspec.Struct, frozen=True):
    """What was taken of another cell's CellSent, by its own seq there. hash: SHA-256 of that entry's record."""

    from_cell: str
    from_seq: int
    hash: bytes
    office_seq: int
    taken_ms: int


_TENANT: Final[sa.BindParameter[bytes]] = sa.bindparam("tenant")
_NAMES: Final = sa.select(CELLS.c.name, CELLS.c.own).where(CELLS.c.tenant_id == _TENANT).order_by(CELLS.c.name)
_SENT: Final = sa.select(*(CELL_OUTBOX.c[name] for name in Sent.__struct_fields__)).where(
    CELL_OUTBOX.c.tenant_id == _TENANT
)
_ALL_SENT: Final = _SENT.order_by(CELL_OUTBOX.c.to_cell, CELL_OUTBOX.c.office_seq)
_WAITING: Final = (
    _SENT.where(CELL_OUTBOX.c.to_cell == sa.bindparam("to"), CELL_OUTBOX.c.taken_ms.is_(None))
    .order_by(CELL_OUTBOX.c.office_seq)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_SET_TAKEN: Final = (
    sa.update(CELL_OUTBOX)
    .where(
        CELL_OUTBOX.c.tenant_id == sa.bindparam("b_tenant"), CELL_OUTBOX.c.to_cell == sa.bindparam("b_to"),
        CELL_OUTBOX.c.office_seq == sa.bindparam("b_seq"), CELL_OUTBOX.c.taken_ms.is_(None),
    )
    .values(taken_ms=sa.bindparam("b_now"))
)  # fmt: skip
_SET_WAITING: Final = (
    sa.update(CELL_OUTBOX)
    .where(
        CELL_OUTBOX.c.tenant_id == sa.bindparam("b_tenant"), CELL_OUTBOX.c.to_cell == sa.bindparam("b_to"),
        CELL_OUTBOX.c.office_seq == sa.bindparam("b_seq"),
    )
    .values(taken_ms=None)
)  # fmt: skip
_HOW_MANY_SAID: Final = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(CELL_OUTBOX.c.office_seq), 0)).where(
    CELL_OUTBOX.c.tenant_id == _TENANT, CELL_OUTBOX.c.to_cell == sa.bindparam("to"), CELL_OUTBOX.c.taken_ms.is_not(None)
)
_HOW_MANY_TAKEN: Final = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(CELL_INBOX.c.from_seq), 0)).where(
    CELL_INBOX.c.tenant_id == _TENANT, CELL_INBOX.c.from_cell == sa.bindparam("from_cell")
)
_TAKEN: Final = sa.select(*(CELL_INBOX.c[name] for name in Taken.__struct_fields__)).where(
    CELL_INBOX.c.tenant_id == _TENANT
)
_ALL_TAKEN: Final = _TAKEN.order_by(CELL_INBOX.c.from_cell, CELL_INBOX.c.from_seq)
_TAKEN_AT: Final = _TAKEN.where(
    CELL_INBOX.c.from_cell == sa.bindparam("from_cell"), CELL_INBOX.c.from_seq == sa.bindparam("from_seq")
)
_RECORDS: Final = (
    sa.select(ENTRIES.c.seq, ENTRIES.c.record)
    .where(ENTRIES.c.tenant_id == _TENANT, ENTRIES.c.hub_id == _TENANT, ENTRIES.c.type == sa.bindparam("type"))
    .order_by(ENTRIES.c.seq)
)
_MOVES_PURSE: Final = (
    sa.select(POSTINGS.c.seq)
    .join(ACCOUNTS, (ACCOUNTS.c.tenant_id == POSTINGS.c.tenant_id) & (ACCOUNTS.c.account_no == POSTINGS.c.account_no))
    .where(
        POSTINGS.c.tenant_id == _TENANT, POSTINGS.c.hub_id == _TENANT,
        ACCOUNTS.c.kind == Kind.PURSE.value, ACCOUNTS.c.key == sa.bindparam("key"),
    )
)  # fmt: skip
_OWN_STREAM, _OWN_EPOCH = 0, 1
_OF_ACCOUNT: Final = (
    sa.select(ENTRIES.c.record)
    .where(
        ENTRIES.c.tenant_id == _TENANT, ENTRIES.c.hub_id == _TENANT,
        ENTRIES.c.stream == _OWN_STREAM, ENTRIES.c.epoch == _OWN_EPOCH,
        ENTRIES.c.type.in_(sa.bindparam("types", expanding=True)), ENTRIES.c.seq.in_(_MOVES_PURSE),
    )
    .order_by(ENTRIES.c.seq)
)  # fmt: skip
_CLEARING: Final = (
    sa.select(ACCOUNTS.c.key, BALANCES.c.unit, BALANCES.c.amount)
    .join(BALANCES, (BALANCES.c.tenant_id == ACCOUNTS.c.tenant_id) & (BALANCES.c.account_no == ACCOUNTS.c.account_no))
    .where(
        ACCOUNTS.c.tenant_id == _TENANT, ACCOUNTS.c.kind == Kind.CLEARING.value,
        ACCOUNTS.c.key.in_(sa.bindparam("keys", expanding=True)),
    )
    .order_by(ACCOUNTS.c.key, BALANCES.c.unit)
)  # fmt: skip


def name_cell(tx: Transaction, tenant_id: bytes, name: str, *, own: bool) -> None:
    """Note a cell by its name; these books are one of them."""
    tx.execute(insert_into(CELLS), {"tenant_id": tenant_id, "name": name, "own": int(own)})


def cells(tx: Transaction, tenant_id: bytes) -> dict[str, bool]:
    """Return the cells by name, and which of them these books are."""
    return {name: bool(own) for name, own in tx.execute(_NAMES, {"tenant": tenant_id})}


def add_sent(tx: Transaction, tenant_id: bytes, sent: Sent) -> None:
    """Put what was sent where the relay finds it, in the transaction that books it."""
    tx.execute(insert_into(CELL_OUTBOX), {"tenant_id": tenant_id, **msgspec.structs.asdict(sent)})


def waiting(tx: Transaction, tenant_id: bytes, to_cell: str, *, most: int) -> list[Sent]:
    """Return what a cell has not taken yet as far as these books know, the oldest first."""
    return [Sent(*row) for row in tx.execute(_WAITING, {"tenant": tenant_id, "to": to_cell, "most": most})]


def set_taken(tx: Transaction, tenant_id: bytes, to_cell: str, office_seqs: list[int], *, now_ms: int) -> None:
    """Note that a cell has these."""
    rows = [{"b_tenant": tenant_id, "b_to": to_cell, "b_seq": seq, "b_now": now_ms} for seq in office_seqs]
    if rows:
        tx.execute(_SET_TAKEN, rows)


def set_waiting(tx: Transaction, tenant_id: bytes, to_cell: str, office_seqs: list[int]) -> None:
    """Note that a cell does not have these any more."""
    rows = [{"b_tenant": tenant_id, "b_to": to_cell, "b_seq": seq} for seq in office_seqs]
    if rows:
        tx.execute(_SET_WAITING, rows)


def how_many_said(tx: Transaction, tenant_id: bytes, to_cell: str) -> tuple[int, int]:
    """Return how much a cell has taken, as far as these books know: how many entries, and the sum of their seqs."""
    (found,) = tx.execute(_HOW_MANY_SAID, {"tenant": tenant_id, "to": to_cell})
    return int(found[0]), int(found[1])


def how_many_taken(tx: Transaction, tenant_id: bytes, from_cell: str) -> tuple[int, int]:
    """Return how much was taken of another cell: how many entries, and the sum of their seqs there."""
    (found,) = tx.execute(_HOW_MANY_TAKEN, {"tenant": tenant_id, "from_cell": from_cell})
    return int(found[0]), int(found[1])


def sent(tx: Transaction, tenant_id: bytes) -> list[Sent]:
    """Return all that was ever sent."""
    return [Sent(*row) for row in tx.execute(_ALL_SENT, {"tenant": tenant_id})]


def add_taken(tx: Transaction, tenant_id: bytes, taken: Taken) -> None:
    """Note what was taken, in the transaction that books it; the key refuses the same a second time."""
    tx.execute(insert_into(CELL_INBOX), {"tenant_id": tenant_id, **msgspec.structs.asdict(taken)})


def taken_at(tx: Transaction, tenant_id: bytes, from_cell: str, from_seq: int) -> Taken | None:
    """Return what was taken of one CellSent of another cell."""
    row = tx.execute(_TAKEN_AT, {"tenant": tenant_id, "from_cell": from_cell, "from_seq": from_seq}).first()
    return None if row is None else Taken(*row)


def taken(tx: Transaction, tenant_id: bytes) -> list[Taken]:
    """Return all that was ever taken of other cells."""
    return [Taken(*row) for row in tx.execute(_ALL_TAKEN, {"tenant": tenant_id})]


def records(tx: Transaction, tenant_id: bytes, type_number: int) -> list[tuple[int, bytes]]:
    """Return seq and record of the office's own entries of one type."""
    return [(seq, record) for seq, record in tx.execute(_RECORDS, {"tenant": tenant_id, "type": type_number})]


def records_of_account(tx: Transaction, tenant_id: bytes, account_id: bytes, types: Sequence[int]) -> list[bytes]:
    """Return the records of the office's own entries of some types that moved an account's purse, in their order."""
    asked = {"tenant": tenant_id, "key": account_id.hex(), "types": list(types)}
    return list(tx.execute(_OF_ACCOUNT, asked).scalars())


def clearing(tx: Transaction, tenant_id: bytes, keys: list[str]) -> list[tuple[str, str, int]]:
    """Return (key, unit, amount) of what stands on the clearing accounts of these keys, debit positive."""
    return [(at, unit, int(amount)) for at, unit, amount in tx.execute(_CLEARING, {"tenant": tenant_id, "keys": keys})]
