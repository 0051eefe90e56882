"""What was approved, spent and brought in since the last receipt: counters that only a receipt lets go of."""

from typing import Final

import msgspec

from edge_agent.ledger.store import Store
from payment_core.journal import Captured, DepositTaken, Entry, LeasePassed, PaidOutHere, TipGiven, decode_own

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


_LEAVING = Captured | LeasePassed | PaidOutHere | TipGiven | DepositTaken
_AT_ONCE: Final = 1_000


class Spent(msgspec.Struct, frozen=True):
    """What left the leases here for good, of `unit`, by the entries behind `after_seq` up to `through_seq`."""

    unit: str
    after_seq: int
    through_seq: int
    amount: int


def spent(store: Store, unit: str, *, through_seq: int, known: Spent | None) -> Spent:
    """Return what no receipt covers of it. `known`: what was found before; only what is new since is read again.

    A refund makes it no less: the first play may be covered by a receipt, and the money lies here again.
    """
    after = int(store.rows("SELECT value FROM meta WHERE key = 'acked_seq'")[0][0])
    if known is None or known.unit != unit or after - known.after_seq > through_seq - after:
        return Spent(unit, after, through_seq, left_between(store, unit, after, through_seq))
    more = left_between(store, unit, known.through_seq, through_seq)
    return Spent(unit, after, through_seq, known.amount + more - left_between(store, unit, known.after_seq, after))


def left_between(store: Store, unit: str, after: int, through: int) -> int:
    """Return what left the leases here for good by the entries behind `after` up to `through`."""
    left = 0
    while after < through:
        most = min(after + _AT_ONCE, through)
        rows = store.rows("SELECT record FROM entries WHERE seq > ? AND seq <= ?", (after, most))
        left += sum(left_for_good(decode_own(record), unit) for (record,) in rows)
        after = most
    return left


def left_for_good(entry: Entry, unit: str) -> int:
    """Return how much of a unit left the leases of a hub with an entry: played, passed on or paid out.

    What open plays hold lies here still. What goes back to the office comes back with an older disk too, and once.
    """
    if not isinstance(entry, _LEAVING) or entry.account_id is None:
        return 0
    return sum(part.amount for part in entry.parts if part.unit == unit and part.lease_epoch)
