"""What was booked into each cash box and drawer since it was counted last."""

from typing import Literal

import msgspec

from edge_agent.ledger.store import Store

BoxKind = Literal["cash_box", "drawer"]


class Box(msgspec.Struct, frozen=True):
    """One box: `booked` minor units of `unit` since the last count."""

    box: str
    kind: BoxKind
    unit: str
    booked: int


def add(store: Store, box: Box) -> None:
    """Book money into a box, or out of it where it is below nothing."""
    store.execute(
        "INSERT INTO boxes(box, kind, unit, booked) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET booked = booked + excluded.booked",
        (box.box, box.kind, box.unit, box.booked),
    )


def booked(store: Store, box: str, kind: BoxKind, unit: str) -> int:
    """Return what should lie in a box."""
    sql = "SELECT booked FROM boxes WHERE box = ? AND kind = ? AND unit = ?"
    rows = store.rows(sql, (box, kind, unit))
    return int(rows[0][0]) if rows else 0


def all_boxes(store: Store) -> list[Box]:
    """Return every box with what should lie in it."""
    return [Box(*row) for row in store.rows("SELECT box, kind, unit, booked FROM boxes ORDER BY kind, box, unit")]
