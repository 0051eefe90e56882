"""Which card went on under which other one: a card is replaced once, and what was used of it goes with its account."""

from edge_agent.ledger.store import Store
from payment_core.usage import read_usage, renamed, usage_bytes


def note(store: Store, old_id: bytes, new_id: bytes) -> None:
    """Remember that a card was replaced; the first replacement stands."""
    store.execute("INSERT INTO replaced(old_id, new_id) VALUES (?, ?) ON CONFLICT DO NOTHING", (old_id, new_id))


def is_replaced(store: Store, old_id: bytes) -> bool:
    """Say whether a card has a successor already."""
    return bool(store.rows("SELECT 1 FROM replaced WHERE old_id = ?", (old_id,)))


def carry_use(store: Store, account_id: bytes, old_id: bytes, new_id: bytes) -> None:
    """Count what the old card spent today, and on the floor, for the new one: a replacement opens no cap anew."""
    for unit, epoch, lot, used in store.rows(
        "SELECT unit, epoch, lot, used FROM leases WHERE account_id = ? AND used <> x''", (account_id,)
    ):
        store.execute(
            "UPDATE leases SET used = ? WHERE account_id = ? AND unit = ? AND epoch = ? AND lot = ?",
            (usage_bytes(renamed(read_usage(used), old_id, new_id)), account_id, unit, epoch, lot),
        )
    for (used,) in store.rows("SELECT used FROM uses WHERE account_id = ?", (account_id,)):
        carried = usage_bytes(renamed(read_usage(used), old_id, new_id))
        store.execute("UPDATE uses SET used = ? WHERE account_id = ?", (carried, account_id))
    store.execute("UPDATE OR IGNORE floor_debts SET credential_id = ? WHERE credential_id = ?", (new_id, old_id))
    store.execute("UPDATE OR IGNORE since_receipt SET credential_id = ? WHERE credential_id = ?", (new_id, old_id))
