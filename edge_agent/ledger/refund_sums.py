"""What of each captured part has been paid back: the database itself refuses more than the whole."""

from edge_agent.ledger.store import Store
from payment_core.journal import Part


def refunded(store: Store, authorization_id: bytes, captured: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return what was refunded so far, part by part of what was captured (amounts may be 0)."""
    sql = "SELECT part, refunded FROM refund_sums WHERE authorization_id = ?"
    sums: dict[int, int] = dict(store.rows(sql, (authorization_id,)))
    return tuple(
        Part(part.unit, sums.get(number, 0), part.lease_epoch, part.lot) for number, part in enumerate(captured)
    )


def add(store: Store, authorization_id: bytes, captured: tuple[Part, ...], parts: tuple[Part, ...]) -> None:
    """Count a refund. Every part of it is one of what was captured, which has each lease and lot once."""
    places = {(part.unit, part.lease_epoch, part.lot): number for number, part in enumerate(captured)}
    for part in parts:
        number = places[part.unit, part.lease_epoch, part.lot]
        store.execute(
            "INSERT INTO refund_sums(authorization_id, part, captured, refunded) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET refunded = refunded + excluded.refunded",
            (authorization_id, number, captured[number].amount, part.amount),
        )
