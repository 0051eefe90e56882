"""The hub's own cache beside the office's list: cards it sold or heard of, and blocks the office does not know yet.

The list wins over the cache; only a block stands against it (edge_agent.tap.blocks). A block is never evicted to make
room.
"""

from typing import Final

import msgspec

from edge_agent.ledger.store import Store
from payment_core.credential import ListRow

CACHE_ROWS: Final = 10_000
"""Cards kept beside the list; the oldest that is not blocked goes when one more comes."""
_ROW: Final = msgspec.msgpack.Decoder(ListRow)
_ENCODER: Final = msgspec.msgpack.Encoder()


class Cached(msgspec.Struct, frozen=True):
    """A row of the cache. `seq`: the journal entry that brought it."""

    row: ListRow
    blocked: bool
    seq: int


def card(store: Store, credential_id: bytes) -> ListRow | None:
    """Return what is known of a card: the list's row, blocked where this hub or a neighbour blocked it since."""
    rows = store.rows(
        "SELECT list.row, cache.row, cache.blocked FROM (SELECT ? AS id) LEFT JOIN list ON list.credential_id = id "
        "LEFT JOIN cache ON cache.credential_id = id",
        (credential_id,),
    )
    listed, cached, blocked = rows[0]
    if listed is None:
        return _ROW.decode(cached) if cached is not None else None
    row = _ROW.decode(listed)
    return msgspec.structs.replace(row, status=_ROW.decode(cached).status) if blocked else row


def cached(store: Store, credential_id: bytes) -> Cached | None:
    """Return the cache's own row of a card, or None."""
    rows = store.rows("SELECT row, blocked, seq FROM cache WHERE credential_id = ?", (credential_id,))
    return Cached(_ROW.decode(rows[0][0]), bool(rows[0][1]), rows[0][2]) if rows else None


def of_account(store: Store, account_id: bytes) -> tuple[ListRow, ...]:
    """Return the cached cards of an account."""
    sql = "SELECT row FROM cache WHERE account_id = ? ORDER BY seq"
    return tuple(_ROW.decode(row) for (row,) in store.rows(sql, (account_id,)))


def keep(store: Store, row: ListRow, *, seq: int) -> None:
    """Keep a row that journal entry `seq` brought; the oldest that is not blocked goes where there are too many."""
    store.execute(
        "INSERT INTO cache(credential_id, account_id, row, blocked, seq) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
        "SET account_id = excluded.account_id, row = excluded.row, blocked = excluded.blocked, seq = excluded.seq",
        (row.credential_id, row.account_id, _ENCODER.encode(row), int(row.status != "active"), seq),
    )
    if store.rows("SELECT count(*) FROM cache")[0][0] > CACHE_ROWS:
        oldest = "SELECT credential_id FROM cache WHERE blocked = 0 ORDER BY seq LIMIT 1"
        store.execute(f"DELETE FROM cache WHERE credential_id = ({oldest})")


def blocked_unlisted(store: Store) -> int:
    """Return how many cards are blocked here that the list does not know."""
    sql = "SELECT count(*) FROM cache WHERE blocked = 1 AND credential_id NOT IN (SELECT credential_id FROM list)"
    return int(store.rows(sql)[0][0])


def forget_old_news(store: Store, from_hub: bytes, *, keep: int) -> None:
    """Forget which news of a neighbour were heard, but for the `keep` newest by number."""
    oldest_kept = (
        "SELECT number, credential_id FROM news_taken WHERE from_hub = ? "
        "ORDER BY number DESC, credential_id DESC LIMIT 1 OFFSET ?"
    )
    sql = f"DELETE FROM news_taken WHERE from_hub = ? AND (number, credential_id) < ({oldest_kept})"
    store.execute(sql, (from_hub, from_hub, keep - 1))


def drop(store: Store, credential_id: bytes) -> None:
    """Forget a row: the list says as much by now."""
    store.execute("DELETE FROM cache WHERE credential_id = ?", (credential_id,))


def ids(store: Store) -> frozenset[bytes]:
    """Return which cards are kept beside the list."""
    return frozenset(credential_id for (credential_id,) in store.rows("SELECT credential_id FROM cache"))
