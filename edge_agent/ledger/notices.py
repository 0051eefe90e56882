"""What was put back to a guest while he did not stand there; the next tap tells him."""

from collections.abc import Iterable

from edge_agent.ledger.store import Store
from payment_core.journal import Part


def note(store: Store, account_id: bytes, parts: Iterable[Part]) -> None:
    """Remember what came back to an account."""
    for part in parts:
        store.execute(
            "INSERT INTO notices(account_id, unit, amount) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            (account_id, part.unit, part.amount),
        )


def any_left(store: Store) -> bool:
    """Say whether anybody is still to be told of anything."""
    return bool(store.rows("SELECT 1 FROM notices LIMIT 1"))


def take(store: Store, account_id: bytes) -> dict[str, int]:
    """Return what came back since the guest was last told, by unit, and forget it: he is being told."""
    found: dict[str, int] = dict(store.rows("SELECT unit, amount FROM notices WHERE account_id = ?", (account_id,)))
    if found:
        store.execute("DELETE FROM notices WHERE account_id = ?", (account_id,))
    return found
