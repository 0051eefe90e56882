"""What was approved and what came in since the last receipt: counters that only a receipt lets go of."""

import msgspec

from edge_agent.ledger import vouchers
from edge_agent.ledger.store import Store

THE_HUB = b""
"""The row that counts every approval of the hub, kept only where the risk document caps them."""


class Since(msgspec.Struct, frozen=True):
    """Approvals and their sum in minor units of the venue's currency."""

    count: int = 0
    amount: int = 0


def note(store: Store, credential_id: bytes, amount: int, *, seq: int) -> None:
    """Count an approval whose HELD entry is `seq`."""
    store.execute(
        "INSERT INTO since_receipt(credential_id, count, amount, last_seq) VALUES (?, 1, ?, ?) ON CONFLICT DO UPDATE "
        "SET count = count + 1, amount = amount + excluded.amount, last_seq = excluded.last_seq",
        (credential_id, amount, seq),
    )


def of(store: Store, credential_id: bytes) -> Since:
    """Return the counters of one credential, or of `THE_HUB`."""
    rows = store.rows("SELECT count, amount FROM since_receipt WHERE credential_id = ?", (credential_id,))
    return Since(*rows[0]) if rows else Since()


def on_floor(store: Store) -> Since:
    """Return the counters of all credentials on the floor together."""
    sql = "SELECT coalesce(sum(count), 0), coalesce(sum(amount), 0) FROM since_receipt WHERE credential_id <> ?"
    return Since(*store.rows(sql, (THE_HUB,))[0])


def note_brought_in(store: Store, amount: int, *, seq: int) -> None:
    """Count money that came in with the entry `seq`, once."""
    store.execute("INSERT INTO brought_in(seq, amount) VALUES (?, ?) ON CONFLICT DO NOTHING", (seq, amount))


def brought_in(store: Store) -> int:
    """Return what came in, in minor units of the venue's currency."""
    return int(store.rows("SELECT coalesce(sum(amount), 0) FROM brought_in")[0][0])


def forget(store: Store, *, acked_seq: int) -> None:
    """Let go of what a receipt covers whole; a row with a newer approval stays as it is, the safer side."""
    store.execute("DELETE FROM since_receipt WHERE last_seq <= ?", (acked_seq,))
    store.execute("DELETE FROM brought_in WHERE seq <= ?", (acked_seq,))
    vouchers.forget(store, acked_seq=acked_seq)
