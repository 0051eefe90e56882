"""What each card took on the floor and the office has not paid for it yet: no receipt makes room for more.

A grant of money to its account says that the office has settled it; else it stands until the business day is over and a
receipt covers it. What no receipt covers counts in any case (since_receipt): such a grant may be older than the sale.
"""

from edge_agent.ledger.store import Store


def note(store: Store, credential_id: bytes, account_id: bytes, amount: int, *, day: int, seq: int) -> None:
    """Count a sale on the floor whose HELD entry is `seq`; `day` is the one that counts (edge_agent.step.day_count)."""
    store.execute(
        "INSERT INTO floor_debts(credential_id, account_id, amount, day, last_seq) VALUES (?, ?, ?, ?, ?) ON CONFLICT "
        "DO UPDATE SET amount = amount + excluded.amount, day = excluded.day, last_seq = excluded.last_seq",
        (credential_id, account_id, amount, day, seq),
    )


def owed(store: Store, credential_id: bytes) -> int:
    """Return what a card owes, in minor units of the venue's currency."""
    rows = store.rows("SELECT amount FROM floor_debts WHERE credential_id = ?", (credential_id,))
    return int(rows[0][0]) if rows else 0


def settle(store: Store, account_id: bytes) -> None:
    """The office gave the account money: what it owed is paid out of its purse."""
    store.execute("DELETE FROM floor_debts WHERE account_id = ?", (account_id,))


def forget(store: Store, *, day: int, acked_seq: int) -> None:
    """Let go of what an earlier day sold and a receipt covers."""
    store.execute("DELETE FROM floor_debts WHERE day < ? AND last_seq <= ?", (day, acked_seq))
