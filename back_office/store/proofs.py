"""What only the proof of the books asks: whole tables, in the order of their keys."""

from collections.abc import Iterator

import sqlalchemy as sa

from back_office.store.books import AccountName, Balance
from back_office.store.chains import Batch, Chain
from back_office.store.engine import Transaction
from back_office.store.tables import ACCOUNTS, BALANCES, BATCHES, ENTRIES, POSTINGS
from payment_core.accounts import Kind


def _place(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        table.c.tenant_id == sa.bindparam("tenant"),
        table.c.hub_id == sa.bindparam("hub"),
        table.c.stream == sa.bindparam("of_stream"),
        table.c.epoch == sa.bindparam("of_epoch"),
    )


def _at(tenant_id: bytes, of: Chain | Batch) -> dict[str, object]:
    return {"tenant": tenant_id, "hub": of.hub_id, "of_stream": of.stream, "of_epoch": of.epoch}


_NUMBERED = (
    sa.select(
        POSTINGS.c.seq, POSTINGS.c.line, ACCOUNTS.c.kind, ACCOUNTS.c.key, ACCOUNTS.c.scope_id, POSTINGS.c.unit,
        POSTINGS.c.amount,
    )
    .join(ACCOUNTS, (ACCOUNTS.c.tenant_id == POSTINGS.c.tenant_id) & (ACCOUNTS.c.account_no == POSTINGS.c.account_no))
    .where(*_place(POSTINGS), POSTINGS.c.seq.between(sa.bindparam("first"), sa.bindparam("last")))
    .order_by(POSTINGS.c.seq, POSTINGS.c.line)
)  # fmt: skip
_KINDS = (
    sa.select(ACCOUNTS.c.account_no, ACCOUNTS.c.kind, BALANCES.c.kind)
    .outerjoin(
        BALANCES, (BALANCES.c.tenant_id == ACCOUNTS.c.tenant_id) & (BALANCES.c.account_no == ACCOUNTS.c.account_no)
    )
    .where(ACCOUNTS.c.tenant_id == sa.bindparam("tenant"))
    .order_by(ACCOUNTS.c.account_no)
)
_BATCHES = (
    sa.select(*(BATCHES.c[name] for name in Batch.__struct_fields__))
    .where(*_place(BATCHES))
    .order_by(BATCHES.c.batch_seq)
)
_BROUGHT = sa.select(sa.func.count(), sa.func.min(ENTRIES.c.received_ms), sa.func.max(ENTRIES.c.received_ms)).where(
    *_place(ENTRIES), ENTRIES.c.seq.between(sa.bindparam("first"), sa.bindparam("last"))
)

_HASH_AT = sa.select(ENTRIES.c.hash).where(*_place(ENTRIES), ENTRIES.c.seq == sa.bindparam("last"))


def numbered_postings(
    tx: Transaction, tenant_id: bytes, of: Chain, *, first: int, last: int
) -> dict[int, list[tuple[int, Balance]]]:
    """Return the stored postings of the entries `first` to `last` of a chain with their line numbers, by seq."""
    found: dict[int, list[tuple[int, Balance]]] = {}
    names: dict[tuple[str, str, bytes], AccountName] = {}
    for seq, line, *account, unit, amount in tx.execute(
        _NUMBERED, {**_at(tenant_id, of), "first": first, "last": last}
    ):
        kind, key, scope_id = account
        name = names.get((kind, key, scope_id))
        if name is None:
            name = names[kind, key, scope_id] = AccountName(Kind(kind), key, scope_id)
        found.setdefault(seq, []).append((line, Balance(name, unit, amount)))
    return found


def kinds_of_accounts(tx: Transaction, tenant_id: bytes) -> Iterator[tuple[int, str, str | None]]:
    """Yield every account's number and kind, and the kind that each of its balances names; None: it has none."""
    yield from ((number, kind, said) for number, kind, said in tx.stream(_KINDS, {"tenant": tenant_id}))


def batches_of(tx: Transaction, tenant_id: bytes, of: Chain) -> Iterator[Batch]:
    """Yield a chain's batches in their order."""
    yield from (
        Batch(**dict(zip(Batch.__struct_fields__, row, strict=True))) for row in tx.stream(_BATCHES, _at(tenant_id, of))
    )


def brought_by(tx: Transaction, tenant_id: bytes, batch: Batch) -> tuple[int, int | None, int | None, bytes]:
    """Return how many entries there are of those that a batch names, when the first and the last of them came, and
    the hash of the last one, empty where it is not there.
    """  # noqa: D205 - one sentence
    last = batch.first_rec + batch.rec_count - 1
    of = _at(tenant_id, batch)
    count, first_ms, last_ms = tx.execute(_BROUGHT, {**of, "first": batch.first_rec, "last": last})[0]
    return count, first_ms, last_ms, tx.execute(_HASH_AT, {**of, "last": last}).scalar() or b""


_POSTED = (
    sa.select(ACCOUNTS.c.kind, ACCOUNTS.c.key, ACCOUNTS.c.scope_id, POSTINGS.c.unit, sa.func.sum(POSTINGS.c.amount))
    .join(ACCOUNTS, (ACCOUNTS.c.tenant_id == POSTINGS.c.tenant_id) & (ACCOUNTS.c.account_no == POSTINGS.c.account_no))
    .where(POSTINGS.c.tenant_id == sa.bindparam("tenant"))
    .group_by(ACCOUNTS.c.kind, ACCOUNTS.c.key, ACCOUNTS.c.scope_id, POSTINGS.c.unit)
)


def posted_sums(tx: Transaction, tenant_id: bytes) -> dict[tuple[AccountName, str], int]:
    """Return what all stored postings add up to, by account and unit."""
    return {
        (AccountName(Kind(kind), key, scope_id), unit): int(amount)
        for kind, key, scope_id, unit, amount in tx.stream(_POSTED, {"tenant": tenant_id})
    }
