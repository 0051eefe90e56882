"""How far each device's value events are booked: the mark that its bridge is told, so that it may forget them."""

import msgspec

from edge_agent.ledger.store import Store


class Mark(msgspec.Struct, frozen=True):
    """The last value event booked of a device in one epoch of its log, and the device's own counter then."""

    seq: int
    counter: int


def mark(store: Store, device: str, event_epoch: int) -> Mark | None:
    """Return a device's mark, None before the first."""
    sql = "SELECT seq, told FROM device_marks WHERE device = ? AND epoch = ? AND kind = 2"
    rows = store.rows(sql, (device, event_epoch))
    return Mark(*rows[0]) if rows else None


def book(store: Store, device: str, event_epoch: int, booked: Mark) -> None:
    """Remember that everything up to a mark is booked."""
    store.execute(
        "INSERT INTO device_marks(device, epoch, kind, seq, told) VALUES (?, ?, 2, ?, ?) ON CONFLICT DO UPDATE SET "
        "seq = excluded.seq, told = excluded.told",
        (device, event_epoch, booked.seq, booked.counter),
    )
