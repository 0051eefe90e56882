"""Lots that were made at this hub, for value brought in here: what of each may be paid out here again."""

from edge_agent.ledger.store import Store
from payment_core.journal import Part


def note(store: Store, account_id: bytes, part: Part, *, gift_of: bytes) -> None:
    """Remember a lot. gift_of: the lot it was given with, empty: it was paid for or won."""
    store.execute(
        "INSERT INTO lots_made(lot, account_id, unit, amount, gift_of) VALUES (?, ?, ?, ?, ?)",
        (part.lot, account_id, part.unit, part.amount, gift_of),
    )


def pay_out(store: Store, part: Part) -> None:
    """Count a part of a lot as paid out again; the database refuses more than was brought in."""
    store.execute("UPDATE lots_made SET amount = amount - ? WHERE lot = ?", (part.amount, part.lot))


def payable(store: Store, account_id: bytes, unit: str) -> dict[bytes, int]:
    """Return what was paid in by an account and not paid out again, by lot; none that came with a gift."""
    sql = (
        "SELECT lot, amount FROM lots_made WHERE account_id = ? AND unit = ? AND gift_of = x'' AND lot NOT IN "
        "(SELECT gift_of FROM lots_made WHERE account_id = ?)"
    )
    return dict(store.rows(sql, (account_id, unit, account_id)))
