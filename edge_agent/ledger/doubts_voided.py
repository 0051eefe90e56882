"""What policy gave back in doubt, per business date and card: it is capped, and the cap is part of the bound (D_h)."""

import msgspec

from edge_agent.ledger.store import Store


class Voided(msgspec.Struct, frozen=True):
    """Sums of a day in minor units: of one card, and of all."""

    one: int
    all: int


def voided(store: Store, who: bytes, *, day: int) -> Voided:
    """Return what was given back on a business date."""
    sql = "SELECT coalesce(sum(amount) FILTER (WHERE credential_id = ?), 0), coalesce(sum(amount), 0) "
    rows = store.rows(f"{sql} FROM doubts_voided WHERE day = ?", (who, this_day(store, day)))
    return Voided(*rows[0])


def note(store: Store, who: bytes, amount: int, *, day: int) -> None:
    """Count what is given back now, and let go of earlier days."""
    day = this_day(store, day)
    store.execute("DELETE FROM doubts_voided WHERE day < ?", (day,))
    store.execute(
        "INSERT INTO doubts_voided(day, credential_id, amount) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (day, who, amount),
    )


def this_day(store: Store, day: int) -> int:
    """Return the business date that counts: a clock that goes back opens no day anew."""
    return max(day, int(store.rows("SELECT coalesce(max(day), 0) FROM doubts_voided")[0][0]))
