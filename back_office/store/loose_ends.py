"""What is not settled yet, with the moment it began: doubts and holds, over-claims, debts."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from back_office.store.books import chunks
from back_office.store.by_index import by_index
from back_office.store.engine import Transaction
from back_office.store.tables import ACCOUNTS, BALANCES, ENTRIES, POSTINGS
from payment_core.accounts import Kind
from payment_core.journal import Captured, Expired, Held, InDoubt, OpenSettled, Voided

_DOUBT: Final = InDoubt.number()
_ENDS: Final = (Captured.number(), Voided.number(), Expired.number())
_PAGE: Final = 1_000
_OF_AN_AUTHORIZATION: Final = "entries_of_an_authorization"
_OPEN_SETTLED: Final = OpenSettled.number()


class LooseEntry(msgspec.Struct, frozen=True):
    """The record of an entry that nothing has ended yet. business_date: the one it counts to."""

    hub_id: bytes
    epoch: int
    seq: int
    record: bytes
    received_ms: int
    business_date: int


class LooseBalance(msgspec.Struct, frozen=True):
    """A balance that should be nothing. `since_ms`: when the posting came in since which it never was nothing."""

    kind: Kind
    key: str
    scope_id: bytes
    unit: str
    amount: int
    since_ms: int


def _not_ended(kind: int, *ends: int) -> sa.Select[Any]:
    later = ENTRIES.alias("later")
    ends_it = (
        sa.select(later.c.seq)
        .where(
            later.c.tenant_id == ENTRIES.c.tenant_id,
            later.c.authorization_id == ENTRIES.c.authorization_id,
            ((later.c.hub_id == ENTRIES.c.hub_id) & later.c.type.in_(ends)) | (later.c.type == _OPEN_SETTLED),
        )
        .with_hint(later, f"INDEXED BY {_OF_AN_AUTHORIZATION}", "sqlite")
    )
    ended = ends_it.exists()
    columns = [ENTRIES.c[name] for name in LooseEntry.__struct_fields__]
    where = (ENTRIES.c.tenant_id == sa.bindparam("tenant"), ENTRIES.c.type == sa.literal_column(str(kind)), ~ended)
    return sa.select(*columns).where(*where).order_by(ENTRIES.c.received_ms, ENTRIES.c.seq)


_DOUBTS: Final = _not_ended(_DOUBT, *_ENDS)
_HOLDS: Final = _not_ended(Held.number(), *_ENDS, _DOUBT).where(ENTRIES.c.hub_id == sa.bindparam("hub"))


_SAME_ENTRY: Final = (
    (ENTRIES.c.tenant_id == POSTINGS.c.tenant_id) & (ENTRIES.c.hub_id == POSTINGS.c.hub_id)
    & (ENTRIES.c.stream == POSTINGS.c.stream) & (ENTRIES.c.epoch == POSTINGS.c.epoch)
    & (ENTRIES.c.seq == POSTINGS.c.seq)
)  # fmt: skip
_POSTED: Final = (
    sa.select(ENTRIES.c.received_ms, sa.func.sum(POSTINGS.c.amount))
    .select_from(POSTINGS.join(ENTRIES, _SAME_ENTRY))
    .where(
        POSTINGS.c.tenant_id == sa.bindparam("tenant"), POSTINGS.c.account_no == sa.bindparam("account"),
        POSTINGS.c.unit == sa.bindparam("unit"),
    )
    .group_by(ENTRIES.c.received_ms, ENTRIES.c.hub_id, ENTRIES.c.stream, ENTRIES.c.epoch, ENTRIES.c.seq)
    .order_by(ENTRIES.c.received_ms.desc(), ENTRIES.c.epoch.desc(), ENTRIES.c.seq.desc(), ENTRIES.c.hub_id)
    .limit(sa.bindparam("most")).offset(sa.bindparam("seen"))
)  # fmt: skip


def doubts(tx: Transaction, tenant_id: bytes) -> list[LooseEntry]:
    """Return the doubts that nobody has settled, oldest first."""
    return [LooseEntry(*row) for row in tx.execute(_DOUBTS, {"tenant": tenant_id})]


def holds(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> list[LooseEntry]:
    """Return what one hub has put aside and not ended; it looks at every hold of that hub."""
    return [LooseEntry(*row) for row in tx.execute(_HOLDS, {"tenant": tenant_id, "hub": hub_id})]


def balances(tx: Transaction, tenant_id: bytes, kind: Kind) -> list[LooseBalance]:
    """Return the balances of a kind that are not nothing."""
    query = sa.select(
        BALANCES.c.account_no, ACCOUNTS.c.key, ACCOUNTS.c.scope_id, BALANCES.c.unit, BALANCES.c.amount
    ).join(
        ACCOUNTS, (ACCOUNTS.c.tenant_id == BALANCES.c.tenant_id) & (ACCOUNTS.c.account_no == BALANCES.c.account_no)
    )  # fmt: skip
    query = query.where(BALANCES.c.tenant_id == tenant_id, BALANCES.c.kind == kind.value, BALANCES.c.amount != 0)
    rows = list(tx.execute(query.order_by(ACCOUNTS.c.key, BALANCES.c.unit)))
    return [
        LooseBalance(kind, key, scope, unit, amount, _since_ms(tx, tenant_id, number, unit, amount))
        for number, key, scope, unit, amount in rows
    ]


def _since_ms(tx: Transaction, tenant_id: bytes, account_no: int, unit: str, amount: int) -> int:
    """Return since when a balance was never nothing: a part that is settled makes the rest no younger.

    It walks back from the newest posting, and stops at the first before which there was nothing.
    """
    before, since_ms, seen = amount, 0, 0
    while True:
        asked = {"tenant": tenant_id, "account": account_no, "unit": unit, "most": _PAGE, "seen": seen}
        page = tx.execute(_POSTED, asked)
        for received_ms, moved in page:
            before, since_ms = before - moved, int(received_ms)
            if not before:
                return since_ms
        if len(page) < _PAGE:
            return since_ms
        seen += _PAGE


def records(tx: Transaction, tenant_id: bytes, hub_id: bytes, authorization_id: bytes) -> list[bytes]:
    """Return the records of one authorization of a hub, in order."""
    query = sa.select(ENTRIES.c.record).where(
        ENTRIES.c.tenant_id == tenant_id,
        ENTRIES.c.authorization_id == authorization_id,
        ENTRIES.c.hub_id == hub_id,
    )
    return [record for (record,) in tx.execute(query.order_by(ENTRIES.c.epoch, ENTRIES.c.seq))]


_SETTLED_HERE: Final = by_index(
    sa.select(ENTRIES.c.authorization_id).where(
        ENTRIES.c.tenant_id == sa.bindparam("tenant"),
        ENTRIES.c.hub_id == sa.bindparam("tenant"),
        ENTRIES.c.type == _OPEN_SETTLED,
        ENTRIES.c.authorization_id.in_(sa.bindparam("ids", expanding=True)),
    ),
    ENTRIES, _OF_AN_AUTHORIZATION,
)  # fmt: skip


def settled_here(tx: Transaction, tenant_id: bytes, authorization_ids: Iterable[bytes]) -> set[bytes]:
    """Return which of some authorizations the office's staff have settled for a closed hub."""
    return {
        number
        for ids in chunks(authorization_ids)
        for number in tx.execute(_SETTLED_HERE, {"tenant": tenant_id, "ids": ids}).scalars()
    }
