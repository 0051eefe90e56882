"""Lease rows: the guest's money at this hub, and the account's use of today and of the velocity window beside it."""

from collections.abc import Iterable
from typing import Final

import msgspec

from edge_agent.ledger.store import Store
from payment_core.journal import Part
from payment_core.lease import Lease

_SELECT: Final = (
    "SELECT unit, epoch, granted, committed, released, refunded, day, day_amount, window_start_ms, window_count, "
    "window_amount FROM leases WHERE account_id = ? ORDER BY unit, epoch"
)


class LeaseRow(msgspec.Struct, frozen=True):
    """A lease with the use counted on it: amounts of use in minor units of the venue's currency."""

    lease: Lease
    day: int
    day_amount: int
    window_start_ms: int
    window_count: int
    window_amount: int


def of_account(store: Store, account_id: bytes) -> list[LeaseRow]:
    """Return all leases of an account at this hub."""
    return [
        LeaseRow(Lease(account_id, row[0], row[1], row[2], row[3], row[4], row[5]), *row[6:])
        for row in store.rows(_SELECT, (account_id,))
    ]


def allowances(rows: Iterable[LeaseRow]) -> dict[str, int]:
    """Return what the leases still allow, by unit."""
    sums: dict[str, int] = {}
    for row in rows:
        sums[row.lease.unit] = sums.get(row.lease.unit, 0) + row.lease.allowance
    return sums


class Use(msgspec.Struct, frozen=True):
    """What a tap counts as for the account's day and velocity window: `cost` in the venue's currency."""

    cost: int
    day: int
    now_ms: int
    window_ms: int


def commit_part(store: Store, row: LeaseRow, amount: int, use: Use | None) -> None:
    """Spend `amount` at HELD; the database refuses to go below zero.

    The first part of a tap carries its `use`, whichever purse pays it: a tap counts once, on one of the account's rows.
    """
    lease = row.lease
    place = (lease.account_id, lease.unit, lease.epoch)
    if use is None:
        store.execute(
            "UPDATE leases SET committed = committed + ? WHERE account_id = ? AND unit = ? AND epoch = ?",
            (amount, *place),
        )
        return
    same_day, same_window = row.day >= use.day, use.now_ms - row.window_start_ms < use.window_ms
    store.execute(
        "UPDATE leases SET committed = committed + ?, day = ?, day_amount = ?, window_start_ms = ?, window_count = ?, "
        "window_amount = ? WHERE account_id = ? AND unit = ? AND epoch = ?",
        (
            amount,
            max(row.day, use.day),  # a clock that goes back opens no day anew
            row.day_amount * same_day + use.cost,
            row.window_start_ms if same_window else use.now_ms,
            row.window_count * same_window + 1,
            row.window_amount * same_window + use.cost,
            *place,
        ),
    )


def release_parts(store: Store, account_id: bytes, parts: Iterable[Part]) -> None:
    """Give held parts back to their leases; parts without a lease (floor, coins) are not counted here."""
    for part in parts:
        if part.lease_epoch:
            store.execute(
                "UPDATE leases SET released = released + ? WHERE account_id = ? AND unit = ? AND epoch = ?",
                (part.amount, account_id, part.unit, part.lease_epoch),
            )


def take_grant(store: Store, account_id: bytes, unit: str, epoch: int, granted_total: int) -> int:
    """Take over the office's total; return what it added (0 for a repeated or older one)."""
    rows = store.rows(
        "SELECT granted FROM leases WHERE account_id = ? AND unit = ? AND epoch = ?", (account_id, unit, epoch)
    )
    before = int(rows[0][0]) if rows else 0
    if granted_total <= before:
        return 0
    if rows:
        store.execute(
            "UPDATE leases SET granted = ? WHERE account_id = ? AND unit = ? AND epoch = ?",
            (granted_total, account_id, unit, epoch),
        )
    else:
        store.execute(
            "INSERT INTO leases(account_id, unit, epoch, granted) VALUES (?, ?, ?, ?)",
            (account_id, unit, epoch, granted_total),
        )
    return granted_total - before
