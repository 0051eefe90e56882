"""Lease rows: the guest's money at this hub, and the account's use that caps look at beside it.

Every change of a row is a step of `LEASE_TABLE`; IllegalStepError where it is none: a bug, nothing of the step is kept.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from edge_agent.ledger.store import Reads, Store
from payment_core.journal import Lot, LotKind, Part
from payment_core.lease import Lease, LeaseState, LeaseStep, lease_step
from payment_core.lots import LotShare, is_expired

_ROWS: Final = (
    "SELECT unit, epoch, granted, committed, released, refunded, lot, kind, opened_ms, expires_ms, closed, gone, "
    "touched_ms, used FROM leases WHERE account_id = ?"
)
_ORDER: Final = "ORDER BY unit, epoch, lot"
_LEFT: Final = "granted - committed + released + refunded"
_ALL: Final = f"{_ROWS} {_ORDER}"
_LIVE: Final = f"{_ROWS} AND {_LEFT} > 0 {_ORDER}"
_SPENT_UNITS: Final = (
    f"SELECT DISTINCT unit FROM leases WHERE account_id = ? AND {_LEFT} = 0 AND gone = 0 "
    "AND (expires_ms IS NULL OR ? IS NULL OR expires_ms > ?)"
)
_SPENT_USES: Final = f"SELECT used FROM leases WHERE account_id = ? AND {_LEFT} = 0 AND used <> x''"
_NEW: Final = "NEW.granted - NEW.committed + NEW.released + NEW.refunded"
_OLD: Final = "OLD.granted - OLD.committed + OLD.released + OLD.refunded"
_SUMS: Final = (
    "CREATE TEMP TABLE outstanding(unit TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    f"INSERT INTO outstanding SELECT unit, sum({_LEFT}) FROM leases GROUP BY unit",
    f"""CREATE TEMP TRIGGER outstanding_new AFTER INSERT ON main.leases
        BEGIN INSERT INTO outstanding VALUES (NEW.unit, {_NEW})
        ON CONFLICT DO UPDATE SET amount = amount + excluded.amount; END""",
    f"""CREATE TEMP TRIGGER outstanding_moved AFTER UPDATE OF granted, committed, released, refunded ON main.leases
        BEGIN UPDATE outstanding SET amount = amount + {_NEW} - ({_OLD}) WHERE unit = NEW.unit; END""",
)
"""What lies here of each unit, in this connection's memory: one look at every row, then kept by triggers in the same
database transaction as the leases themselves."""
_IS_SUMMED: Final = "SELECT 1 FROM temp.sqlite_schema WHERE name = 'outstanding'"
_AT: Final = "WHERE account_id = ? AND unit = ? AND epoch = ? AND lot = ?"
_COMMIT: Final = f"UPDATE leases SET committed = committed + ?, touched_ms = ? {_AT}"
_COMMIT_USED: Final = f"UPDATE leases SET committed = committed + ?, touched_ms = ?, used = ? {_AT}"
_OLDEST: Final = f"SELECT account_id FROM leases WHERE unit = ? AND {_LEFT} > 0 ORDER BY touched_ms LIMIT ?"
_OWNERS: Final = f"SELECT DISTINCT account_id FROM leases WHERE {_LEFT} > 0 LIMIT ?"
_BEHIND: Final = (
    f"SELECT account_id, unit, epoch, lot, {_LEFT}, touched_ms FROM leases "
    "WHERE (account_id, unit, epoch, lot) > (?, ?, ?, ?) ORDER BY account_id, unit, epoch, lot LIMIT ?"
)
_KINDS: Final = {kind.value: kind for kind in LotKind}
_GONE: Final = "committed = committed + ?, gone = gone + ?"
_RISES: Final = {
    LeaseStep.COMMIT: "committed = committed + ?", LeaseStep.PAY_OUT: "committed = committed + ?",
    LeaseStep.RETURN: _GONE, LeaseStep.PASS: _GONE,
    LeaseStep.RELEASE: "released = released + ?", LeaseStep.REFUND: "refunded = refunded + ?",
}  # fmt: skip
"""What rises with each step of a part."""


Place = tuple[bytes, str, int, bytes]
"""The key of a lease: account, unit, epoch, lot."""


class LeaseRow(msgspec.Struct, frozen=True):
    """A lease of one lot. `touched_ms`: UTC ms of the last change; `used`: use counted here (payment_core.usage).

    `gone`: what of it was returned or passed on, and so is the guest's still, elsewhere.
    """

    lease: Lease
    kind: LotKind
    opened_ms: int
    expires_ms: int | None
    closed: bool
    gone: int
    touched_ms: int
    used: bytes

    @property
    def share(self) -> LotShare:
        """What of its lot may be spent."""
        lease = self.lease
        return LotShare(lease.lot, self.kind, lease.allowance, self.opened_ms, self.expires_ms)

    @property
    def state(self) -> LeaseState:
        """Where it stands."""
        return LeaseState.CLOSED if self.closed else LeaseState.OPEN

    @property
    def place(self) -> tuple[bytes, str, int, bytes]:
        """Its key."""
        return self.lease.account_id, self.lease.unit, self.lease.epoch, self.lease.lot


def of_account(store: Store, account_id: bytes) -> list[LeaseRow]:
    """Return all leases of an account at this hub, also those spent long ago: for acts of staff, not for a tap."""
    return _leases(store, _ALL, account_id)


def any_of(store: Store, account_id: bytes) -> bool:
    """Say whether an account ever had a lease at this hub."""
    return bool(store.rows("SELECT 1 FROM leases WHERE account_id = ? LIMIT 1", (account_id,)))


def touched_since(store: Store, account_id: bytes, since_ms: int) -> bool:
    """Say whether any lease of an account, also one that is spent, changed behind that moment (UTC ms)."""
    sql = "SELECT 1 FROM leases WHERE account_id = ? AND touched_ms > ? LIMIT 1"
    return bool(store.rows(sql, (account_id, since_ms)))


def live(store: Store, account_id: bytes) -> list[LeaseRow]:
    """Return the leases of an account that something is left of, however many were spent before."""
    return _leases(store, _LIVE, account_id)


def _leases(store: Store, sql: str, account_id: bytes) -> list[LeaseRow]:
    return [
        LeaseRow(
            Lease(account_id, row[0], row[1], row[2], row[3], row[4], row[5], row[6]), _KINDS[row[7]], row[8], row[9],
            bool(row[10]), *row[11:],
        )
        for row in store.rows(sql, (account_id,))
    ]  # fmt: skip


def spent_uses(store: Store, account_id: bytes) -> list[bytes]:
    """Return the use (payment_core.usage) counted on leases that nothing is left of; beside that of `live` ones."""
    return [used for (used,) in store.rows(_SPENT_USES, (account_id,))]


def allowances(store: Store, account_id: bytes, rows: Iterable[LeaseRow], *, now_ms: int | None) -> dict[str, int]:
    """Return what the `live` leases still allow, by unit; a lot that ran out allows nothing. now_ms None: time unknown.

    Where they allow nothing, units of leases that were spent here are named with 0. A lease that went back, or on to a
    neighbour, is none any more, and its unit is not named.
    """
    return _sums(rows, now_ms) or _spent_here(store, account_id, now_ms)


def balance(store: Store, account_id: bytes, *, now_ms: int | None) -> dict[str, int]:
    """Return what an account may spend here, by unit, those it has spent here with 0."""
    return _spent_here(store, account_id, now_ms) | _sums(live(store, account_id), now_ms)


def _sums(rows: Iterable[LeaseRow], now_ms: int | None) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in rows:
        if not is_expired(row.expires_ms, now_ms=now_ms):
            sums[row.lease.unit] = sums.get(row.lease.unit, 0) + row.lease.allowance
    return sums


def _spent_here(store: Store, account_id: bytes, now_ms: int | None) -> dict[str, int]:
    return {unit: 0 for (unit,) in store.rows(_SPENT_UNITS, (account_id, now_ms, now_ms))}


class LeasePlace(msgspec.Struct, frozen=True):
    """Where a lease stands; `lot` None: no lot is named."""

    account_id: bytes
    unit: str
    epoch: int
    lot: Lot | None = None

    @property
    def key(self) -> tuple[bytes, str, int, bytes]:
        """Its key in the table."""
        return self.account_id, self.unit, self.epoch, self.lot.lot if self.lot else b""


def commit_part(store: Store, row: LeaseRow, amount: int, *, now_ms: int, used: bytes | None = None) -> None:
    """Spend `amount` at HELD; the database refuses to go below zero.

    The first part of a tap carries the account's use (`used`), whichever purse pays it: a tap counts once, on one row.
    """
    lease_step(row.state, LeaseStep.COMMIT)
    if used is None:
        store.execute(_COMMIT, (amount, now_ms, *row.place))
    else:
        store.execute(_COMMIT_USED, (amount, now_ms, used, *row.place))


def move_parts(store: Store, account_id: bytes, parts: Iterable[Part], step: LeaseStep) -> None:
    """Take a step of the leases that parts are of; those of the floor and of coins are of none."""
    for part in parts:
        if part.lease_epoch:
            place = (account_id, part.unit, part.lease_epoch, part.lot)
            lease_step(_state(store, place), step)
            rises = _RISES[step]
            store.execute(f"UPDATE leases SET {rises} {_AT}", (*[part.amount] * rises.count("?"), *place))


def _state(store: Store, place: tuple[bytes, str, int, bytes]) -> LeaseState:
    rows = store.rows(f"SELECT closed FROM leases {_AT}", place)
    if not rows:
        return LeaseState.NONE
    return LeaseState.CLOSED if rows[0][0] else LeaseState.OPEN


def longest_here(store: Store, unit: str, *, limit: int) -> list[bytes]:
    """Return whose leases of a unit with something left were not touched longest; one account may come again."""
    return [account_id for (account_id,) in store.rows(_OLDEST, (unit, limit))]


def owners(store: Store, *, limit: int) -> list[bytes]:
    """Return accounts of which something is left here."""
    return [account_id for (account_id,) in store.rows(_OWNERS, (limit,))]


def behind(store: Store, place: Place, *, limit: int) -> list[tuple[Place, int, int]]:
    """Return the leases behind a place in the order of their keys: (place, what is left, touched: UTC ms)."""
    return [((*row[:4],), row[4], row[5]) for row in store.rows(_BEHIND, (*place, limit))]


def close_all(store: Store) -> None:
    """Close every lease, of which nothing is left: this hub signs that it holds nothing more."""
    if store.execute("UPDATE leases SET closed = 1 WHERE closed = 0"):
        lease_step(LeaseState.OPEN, LeaseStep.CLOSE)


def take_grant(store: Store, place: LeasePlace, granted_total: int, *, now_ms: int) -> int:
    """Take over the office's total; return what it added (0 for a repeated or older one)."""
    rows = store.rows(f"SELECT from_office FROM leases {_AT}", place.key)
    before = int(rows[0][0]) if rows else 0
    added = granted_total - before
    if added <= 0:
        return 0
    add_to(store, place, added, LeaseStep.GRANT, now_ms=now_ms)
    store.execute(f"UPDATE leases SET from_office = ? {_AT}", (granted_total, *place.key))
    return added


def add_to(store: Store, place: LeasePlace, amount: int, step: LeaseStep, *, now_ms: int) -> None:
    """Add to what was granted here: from the office, by voucher or slip, or brought in; the lot is kept with it."""
    lot = place.lot
    lease_step(_state(store, place.key), step)
    store.execute(
        "INSERT INTO leases(account_id, unit, epoch, lot, kind, opened_ms, expires_ms, granted, touched_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET granted = granted + excluded.granted, "
        "touched_ms = excluded.touched_ms",
        (
            *place.key, lot.kind if lot else LotKind.PAID, lot.opened_ms if lot else 0, lot.expires_ms if lot else None,
            amount, now_ms,
        ),
    )  # fmt: skip
    if lot is not None:
        facts = msgspec.msgpack.encode(lot)
        store.execute("INSERT INTO lots(lot, facts) VALUES (?, ?) ON CONFLICT DO NOTHING", (lot.lot, facts))


def lot_of(store: Reads, lot: bytes) -> Lot | None:
    """Return what is known of a lot."""
    rows = store.rows("SELECT facts FROM lots WHERE lot = ?", (lot,))
    return msgspec.msgpack.decode(rows[0][0], type=Lot) if rows else None


def outstanding(store: Store, unit: str) -> int:
    """Return what this hub may still spend of a unit over all its leases; only the first call looks at every row."""
    if not store.rows(_IS_SUMMED):
        for statement in _SUMS:
            store.execute(statement)
    rows = store.rows("SELECT amount FROM temp.outstanding WHERE unit = ?", (unit,))
    return int(rows[0][0]) if rows else 0
