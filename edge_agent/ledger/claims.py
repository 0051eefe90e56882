"""What of machines' coins and tickets became an account's in a day: the venue caps that."""

from edge_agent.ledger.store import Store


def latest_day(store: Store) -> int:
    """Return the newest business date (yyyymmdd) on which anything was claimed, 0 before the first."""
    return int(store.rows("SELECT coalesce(max(day), 0) FROM claimed")[0][0])


def claimed(store: Store, account_id: bytes, unit: str, *, day: int) -> int:
    """Return how much of a unit an account has claimed that day."""
    sql = "SELECT amount FROM claimed WHERE day = ? AND account_id = ? AND unit = ?"
    rows = store.rows(sql, (day, account_id, unit))
    return int(rows[0][0]) if rows else 0


def note(store: Store, account_id: bytes, unit: str, amount: int, *, day: int) -> None:
    """Add to what was claimed that day; the days before are forgotten."""
    store.execute("DELETE FROM claimed WHERE day < ?", (day,))
    store.execute(
        "INSERT INTO claimed(day, account_id, unit, amount) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (day, account_id, unit, amount),
    )
