"""Which worker takes which partition's messages: leases that run out, and epochs that fence whoever held one before.

The clock decides only when another may take over. That two never write for one partition is the epoch's doing: whoever
takes a partition raises it, and a transaction of the one before finds another epoch than its own.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Store, Transaction
from back_office.store.tables import PARTITION_LEASES
from back_office.store.transaction import insert_into

TTL_MS: Final = 10_000
"""How long a lease runs without being renewed: so long a dead worker's partitions wait."""
_SERVER_MS = sa.select(sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()) * 1_000, sa.BigInteger))
_ROWS = sa.select(
    PARTITION_LEASES.c.partition, PARTITION_LEASES.c.worker, PARTITION_LEASES.c.epoch, PARTITION_LEASES.c.until_ms,
    PARTITION_LEASES.c.asked_by, PARTITION_LEASES.c.asked_until_ms,
).where(PARTITION_LEASES.c.tenant_id == sa.bindparam("tenant"))  # fmt: skip
_SET = sa.update(PARTITION_LEASES).where(
    PARTITION_LEASES.c.tenant_id == sa.bindparam("of_tenant"), PARTITION_LEASES.c.partition == sa.bindparam("number")
)


class Lease(msgspec.Struct, frozen=True):
    """One partition's row. `asked_by`, `asked_until_ms`: who wants it of a worker that only stands in, and how long."""

    partition: int
    worker: str
    epoch: int
    until_ms: int
    asked_by: str = ""
    asked_until_ms: int = 0

    def open_to(self, worker: str, now_ms: int) -> bool:
        """Say whether a worker may take it: nobody's lease runs, and nobody else has asked for it."""
        return self.until_ms <= now_ms and (self.asked_by in {"", worker} or self.asked_until_ms <= now_ms)


def clock_of(store: Store, own: Callable[[], int]) -> Callable[[], int]:
    """Return the clock that leases go by (UTC ms): the server's, one for all; `own` where the books are a file.

    By its own clock a worker an hour ahead would take every lease, and hold all others off for an hour.
    """

    def now_ms() -> int:
        with store.reading() as tx:
            return own() if tx.is_sqlite else int(tx.execute(_SERVER_MS).scalar())

    return now_ms


def leases(tx: Transaction, tenant_id: bytes) -> dict[int, Lease]:
    """Return every partition that ever had a worker."""
    return {row[0]: Lease(*row) for row in tx.execute(_ROWS, {"tenant": tenant_id})}


def claim(
    tx: Transaction, tenant_id: bytes, wanted: Collection[int], worker: str, *, now_ms: int, own: bool = False
) -> dict[int, int]:
    """Take what is free of `wanted`; return the epochs by partition. What others hold is asked for.

    own: this worker has just started: what is leased under its name is of the process before, and is taken at once.
    """
    known, taken = leases(tx, tenant_id), {}
    for partition in sorted(wanted):
        row = known.get(partition)
        if row is None:
            taken[partition] = 1
            new = Lease(partition, worker, 1, now_ms + TTL_MS)
            tx.execute(insert_into(PARTITION_LEASES), [{"tenant_id": tenant_id, **msgspec.structs.asdict(new)}])
        elif row.open_to(worker, now_ms) or (own and row.worker == worker):
            taken[partition] = row.epoch + 1
            _write(tx, tenant_id, Lease(partition, worker, row.epoch + 1, now_ms + TTL_MS))
        elif row.worker != worker and (row.asked_by == worker or row.asked_until_ms <= now_ms):
            _write(tx, tenant_id, msgspec.structs.replace(row, asked_by=worker, asked_until_ms=now_ms + TTL_MS))
    return taken


def renew(
    tx: Transaction, tenant_id: bytes, held: Mapping[int, int], *, now_ms: int, yields: bool = False
) -> dict[int, int]:
    """Renew the leases that are still ours by their epoch; return those.

    yields: this worker only stands in: what another has asked for is given up.
    """
    known, kept = leases(tx, tenant_id), {}
    for partition, epoch in held.items():
        row = known.get(partition)
        if row is None or row.epoch != epoch:
            continue
        if yields and row.asked_by and row.asked_until_ms > now_ms:
            _write(tx, tenant_id, msgspec.structs.replace(row, until_ms=0))
            continue
        kept[partition] = epoch
        _write(tx, tenant_id, msgspec.structs.replace(row, until_ms=now_ms + TTL_MS))
    return kept


def release(tx: Transaction, tenant_id: bytes, held: Mapping[int, int]) -> None:
    """Give up what is still ours: another may take it at once."""
    known = leases(tx, tenant_id)
    for partition, epoch in held.items():
        row = known.get(partition)
        if row is not None and row.epoch == epoch:
            _write(tx, tenant_id, msgspec.structs.replace(row, until_ms=0))


def _write(tx: Transaction, tenant_id: bytes, row: Lease) -> None:
    values = {name: getattr(row, name) for name in Lease.__struct_fields__[1:]}
    tx.execute(_SET, {"of_tenant": tenant_id, "number": row.partition, **values})
