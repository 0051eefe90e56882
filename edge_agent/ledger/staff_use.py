"""What each of the staff did today, for the quotas, and wrong PINs, which a restart does not forget."""

import msgspec

from edge_agent.ledger.store import Store


class Used(msgspec.Struct, frozen=True):
    """How often, and for how much in minor units, all units added up."""

    count: int = 0
    amount: int = 0


def used(store: Store, staff: str, act: str, *, day: int) -> Used:
    """Return what somebody did of an act on a business date."""
    sql = "SELECT count, amount FROM staff_use WHERE day = ? AND staff = ? AND act = ?"
    rows = store.rows(sql, (this_day(store, day), staff, act))
    return Used(*rows[0]) if rows else Used()


def note(store: Store, staff: str, act: str, amount: int, *, day: int) -> None:
    """Count an act, and let go of earlier days."""
    day = this_day(store, day)
    store.execute("DELETE FROM staff_use WHERE day < ?", (day,))
    store.execute(
        "INSERT INTO staff_use(day, staff, act, count, amount) VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET "
        "count = count + 1, amount = amount + excluded.amount",
        (day, staff, act, amount),
    )


def this_day(store: Store, day: int) -> int:
    """Return the business date that counts: a clock that goes back opens no day anew."""
    return max(day, int(store.rows("SELECT coalesce(max(day), 0) FROM staff_use")[0][0]))


class PinFaults(msgspec.Struct, frozen=True):
    """Wrong PINs in a row at one terminal, and until when (UTC ms) nobody may try for them."""

    count: int = 0
    until_ms: int = 0


def pin_faults(store: Store, staff: str, terminal: str) -> PinFaults:
    """Return the wrong PINs of one person at a terminal: a right one elsewhere does not forget a guesser's."""
    rows = store.rows("SELECT count, until_ms FROM pin_faults WHERE staff = ? AND terminal = ?", (staff, terminal))
    return PinFaults(*rows[0]) if rows else PinFaults()


def set_pin_faults(store: Store, staff: str, terminal: str, faults: PinFaults) -> None:
    """Keep the wrong PINs of one person at a terminal; none: forget them."""
    if faults.count:
        store.execute(
            "INSERT INTO pin_faults(staff, terminal, count, until_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "count = excluded.count, until_ms = excluded.until_ms",
            (staff, terminal, faults.count, faults.until_ms),
        )
    else:
        store.execute("DELETE FROM pin_faults WHERE staff = ? AND terminal = ?", (staff, terminal))


def locks(store: Store) -> dict[str, int]:
    """Return until when (UTC ms) nobody may try as somebody, at whichever terminal."""
    return dict(store.rows("SELECT staff, max(until_ms) FROM pin_faults GROUP BY staff"))
