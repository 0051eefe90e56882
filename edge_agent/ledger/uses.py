"""What accounts used here where no lease row counts it: floors, passes, free plays; and when a pass was last used."""

from typing import Final

import msgspec

from edge_agent.ledger.store import Store

NOTE_USE: Final = (
    "INSERT INTO right_uses(account_id, right, at_ms, lane, authorization_id) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms, lane = excluded.lane, "
    "authorization_id = excluded.authorization_id "
    "WHERE excluded.at_ms > right_uses.at_ms OR excluded.authorization_id <> x''"
)


def used_elsewhere(store: Store, account_id: bytes) -> bytes:
    """Return the use of an account that no lease row counts (payment_core.usage), empty: none."""
    rows = store.rows("SELECT used FROM uses WHERE account_id = ?", (account_id,))
    return bytes(rows[0][0]) if rows else b""


def note_use(store: Store, account_id: bytes, used: bytes) -> None:
    """Keep the use of an account that no lease row counts."""
    store.execute(
        "INSERT INTO uses(account_id, used) VALUES (?, ?) ON CONFLICT DO UPDATE SET used = excluded.used",
        (account_id, used),
    )


class RightUse(msgspec.Struct, frozen=True):
    """The last use of a pass: UTC ms, the lane, and its authorization; empty where another hub told of it."""

    at_ms: int
    lane: str
    authorization_id: bytes


def right_use(store: Store, account_id: bytes, right: str) -> RightUse | None:
    """Return when an account's pass was last used in the venue, or None."""
    sql = "SELECT at_ms, lane, authorization_id FROM right_uses WHERE account_id = ? AND right = ?"
    rows = store.rows(sql, (account_id, right))
    return RightUse(*rows[0]) if rows else None


def note_right_use(store: Store, account_id: bytes, right: str, use: RightUse) -> None:
    """Keep the newest use of a pass: one of this hub's own always, whatever its clock was set to meanwhile.

    An older one, told late by another hub, changes nothing.
    """
    store.execute(NOTE_USE, (account_id, right, use.at_ms, use.lane, use.authorization_id))
