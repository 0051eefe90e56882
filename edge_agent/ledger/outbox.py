"""The outbox: entries above the receipt's cursor, and the sealed batches: those that wait, and those the office has."""

from typing import Any, Final

import msgspec

from cloud_sync.protocol.messages import HeardOf
from edge_agent.ledger import authorizations, marks, since_receipt, vouchers
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.store import Reads, Store
from payment_core.journal import decode_own

DAY_MS: Final = 24 * 3_600_000
KEPT_DAYS: Final = 30
KEEP_MS: Final = KEPT_DAYS * DAY_MS
"""Acknowledged entries and their batches stay this long: the office may be restored from a backup and ask again."""


PRUNED_AT_ONCE: Final = 256
_ACKED_DAYS: Final = "acked_days"
_DROP_BATCHES: Final = (
    "DELETE FROM batches WHERE first_rec + rec_count - 1 <= ? AND batch_seq <= "
    "(SELECT value FROM meta WHERE key = 'acked_batch')"
)


class Cursor(msgspec.Struct, frozen=True):
    """The last receipt: all batches up to `batch_seq` (hash `hash`) and all entries up to `seq` are booked."""

    batch_seq: int
    seq: int
    hash: bytes


class SealedBatch(msgspec.Struct, frozen=True):
    """A batch as it goes over the wire, again and again the same bytes."""

    batch_seq: int
    first_rec: int
    rec_count: int
    hash: bytes
    sealed: bytes


def read_cursor(store: Reads) -> Cursor:
    """Return where the receipts stand."""
    sql = "SELECT key, value FROM meta WHERE key IN ('acked_batch', 'acked_seq', 'acked_hash')"
    meta: dict[str, Any] = dict(store.rows(sql))
    return Cursor(meta["acked_batch"], meta["acked_seq"], bytes(meta["acked_hash"]))


def read_epoch(store: Reads) -> int:
    """Return the journal's epoch."""
    return int(store.rows("SELECT value FROM meta WHERE key = 'epoch'")[0][0])


def freeze(store: Store, reason: str) -> None:
    """Remember that this hub may not trade."""
    store.execute("INSERT OR REPLACE INTO meta(key, value) VALUES ('frozen', ?)", (reason,))


def thaw(store: Store) -> None:
    """Forget that this hub may not trade."""
    store.execute("DELETE FROM meta WHERE key = 'frozen'")


def frozen_reason(store: Reads) -> str:
    """Return why this hub may not trade, or empty."""
    rows = store.rows("SELECT value FROM meta WHERE key = 'frozen'")
    return str(rows[0][0]) if rows else ""


def store_batch(store: Store, batch: SealedBatch) -> None:
    """Keep a sealed batch; the same bytes twice are one, other bytes under the same number are refused."""
    known = store.rows("SELECT hash FROM batches WHERE batch_seq = ?", (batch.batch_seq,))
    if known:
        assert known[0][0] == batch.hash, "a batch is sealed once"
        return
    store.execute(
        "INSERT INTO batches(batch_seq, first_rec, rec_count, hash, sealed) VALUES (?, ?, ?, ?, ?)",
        (batch.batch_seq, batch.first_rec, batch.rec_count, batch.hash, batch.sealed),
    )


def newest_batch(store: Reads) -> SealedBatch | None:
    """Return the newest sealed batch that no receipt covers, or None."""
    sql = (
        "SELECT batch_seq, first_rec, rec_count, hash, sealed FROM batches "
        "WHERE batch_seq > ? ORDER BY batch_seq DESC LIMIT 1"
    )
    rows = store.rows(sql, (read_cursor(store).batch_seq,))
    return SealedBatch(*rows[0]) if rows else None


def waiting_batches(store: Reads) -> list[SealedBatch]:
    """Return the sealed batches no receipt covers, in order."""
    return kept_batches(store, after_seq=read_cursor(store).batch_seq, most=-1)


def kept_batches(store: Reads, *, after_seq: int, most: int) -> list[SealedBatch]:
    """Return the sealed batches behind one, with or without a receipt, in order; `most` -1: all."""
    sql = "SELECT batch_seq, first_rec, rec_count, hash, sealed FROM batches WHERE batch_seq > ? ORDER BY batch_seq"
    return [SealedBatch(*row) for row in store.rows(f"{sql} LIMIT ?", (after_seq, most))]


def take_receipt(store: Store, batch_seq: int, through_seq: int, heard: tuple[HeardOf, ...] = ()) -> bool:
    """Move the cursor over a batch that waits; False where none such waits or it ends at another entry."""
    rows = store.rows("SELECT hash, first_rec + rec_count - 1 FROM batches WHERE batch_seq = ?", (batch_seq,))
    if not rows or rows[0][1] != through_seq or batch_seq <= read_cursor(store).batch_seq:
        return False
    for key, value in (("acked_batch", batch_seq), ("acked_seq", through_seq), ("acked_hash", rows[0][0])):
        store.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
    vouchers.note_heard(store, heard, acked_seq=through_seq)
    since_receipt.forget(store, acked_seq=through_seq)
    return True


def prune_old(store: Store, *, now_ms: int, office_ms: int) -> int:
    """Drop what is older than `KEEP_MS` and had its receipt that long ago, some hundred entries at once; how many.

    Two clocks are asked, this hub's own and the office's, as its signed receipt says it (0: it says none). A receipt
    is noted by the later one, and what is old is what the earlier one calls so: a clock alone throws nothing away,
    whichever way it jumps. The newest entry stays: after a restart the next one's seq and chain go on from it.
    """
    _note_receipt(store, max(now_ms, office_ms) // DAY_MS)
    sure_ms = min(now_ms, office_ms)
    most, old = min(_receipted_long_ago(store, sure_ms // DAY_MS), read_tail(store).seq - 1), 0
    for seq, record in store.rows("SELECT seq, record FROM entries ORDER BY seq LIMIT ?", (PRUNED_AT_ONCE,)):
        if seq > most or decode_own(record).header.wall_ms > sure_ms - KEEP_MS:
            break
        old = seq
    return prune(store, through_seq=old) if old else 0


def _noted_days(store: Reads) -> list[tuple[int, int]]:
    """Return days, rising, and up to which entry all had their receipt on each."""
    raw = marks.read_bytes(store, _ACKED_DAYS)
    return msgspec.msgpack.decode(raw, type=list[tuple[int, int]]) if raw else []


def _note_receipt(store: Store, today: int) -> None:
    """Note how far receipts are, once a day, at the first: an entry may be old, and its receipt of yesterday.

    A day that is not here yet was noted by a clock that was wrong: it is noted anew.
    """
    days = [note for note in _noted_days(store) if note[0] <= today]
    if days and days[-1][0] == today:
        return
    days.append((today, read_cursor(store).seq))
    past = [day for day in days if day[0] < today - KEPT_DAYS]
    marks.write(store, _ACKED_DAYS, msgspec.msgpack.encode(past[-1:] + days[len(past) :]))


def _receipted_long_ago(store: Reads, today: int) -> int:
    """Return the last entry of which it is noted that it had its receipt more than `KEPT_DAYS` ago."""
    return max((seq for day, seq in _noted_days(store) if day < today - KEPT_DAYS), default=0)


def prune(store: Store, *, through_seq: int) -> int:
    """Drop acknowledged entries up to `through_seq`, leaving the anchor (seq, hash) of the cut; return how many.

    The caller chooses entries older than `KEEP_MS`; what no receipt covers stays in any case, and so does the hold of
    an authorization that still owes an answer: nothing else says what was put aside.
    """
    through = min(through_seq, read_cursor(store).seq, *(row.held_seq - 1 for row in authorizations.open_ones(store)))
    rows = store.rows("SELECT seq, hash FROM entries WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (through,))
    if not rows:
        return 0
    anchor = msgspec.msgpack.encode((rows[0][0], rows[0][1]))
    store.execute("INSERT INTO meta(key, value) VALUES ('anchor', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                  (anchor,))  # fmt: skip
    store.execute("UPDATE meta SET value = ? WHERE key = 'prune_through'", (rows[0][0],))
    going = store.rows("SELECT record FROM entries WHERE seq <= ?", (rows[0][0],))
    authorizations.forget(store, (decode_own(record) for (record,) in going), through_seq=rows[0][0])
    store.execute(_DROP_BATCHES, (rows[0][0],))
    vouchers.forget(store, through_seq=rows[0][0])
    return store.execute("DELETE FROM entries WHERE seq <= ?", (rows[0][0],))
