"""The statement of an account: every entry that moved it, in the order of booking, with what it held then.

A guest's account is purse, leases and money on its way together: what the office leases to a hub moves nothing here.
An account of the chart is told by its kind and key: `revenue:racer-1`, `drawer:counter`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from back_office.ledger.booking import TYPE_NUMBERS
from back_office.store import places, statements
from back_office.store.engine import Transaction
from back_office.store.statements import LinePlace
from payment_core.accounts import CHART, Kind

GUEST_KINDS: Final = (Kind.PURSE, Kind.LEASE, Kind.PASSING)
MOST_LINES: Final = 1_000
"""Lines of one page."""
TYPE_NAMES: Final = {number: kind.__name__ for kind, number in TYPE_NUMBERS.items()}


class Line(msgspec.Struct, frozen=True):
    """One line. what: the entry's type; hub: the name of who wrote it, empty for the office; amount and balance in
    minor units, above nothing where the account rises on its own side (for a guest: where money comes in).

    wall_ms: when it was, by the writer's clock; place.received_ms: when it was booked.
    """  # noqa: D205 - one sentence

    place: LinePlace
    business_date: int
    wall_ms: int
    hub: str
    machine: str
    what: str
    unit: str
    amount: int
    balance: int


class Statement(msgspec.Struct, frozen=True):
    """One page. opening: what was there before its first line, closing behind its last, by unit; now: at this moment.

    after: the place behind which the next page begins; None: this is the last.
    """

    opening: dict[str, int]
    lines: list[Line]
    closing: dict[str, int]
    now: dict[str, int]
    after: LinePlace | None


def lines(
    tx: Transaction, tenant_id: bytes, account_id: bytes, *, after: LinePlace | None = None, most: int = MOST_LINES
) -> list[Line]:
    """Return at most `most` lines of a guest's account behind `after`."""
    return of_guest(tx, tenant_id, account_id, after=after, most=most).lines


def of_guest(
    tx: Transaction, tenant_id: bytes, account_id: bytes, *, after: LinePlace | None = None, most: int = MOST_LINES
) -> Statement:
    """Return a page of a guest's statement."""
    return _statement(tx, tenant_id, GUEST_KINDS, account_id.hex(), after=after, most=most)


def of_account(
    tx: Transaction, tenant_id: bytes, kind: Kind, key: str, *, after: LinePlace | None = None, most: int = MOST_LINES
) -> Statement:
    """Return a page of the statement of an account of the chart, of all venues and hubs that have one."""
    return _statement(tx, tenant_id, (kind,), key, after=after, most=most)


def is_known(tx: Transaction, tenant_id: bytes, kinds: Sequence[Kind], key: str) -> bool:
    """Say whether anything was ever booked on such an account."""
    return bool(statements.numbers(tx, tenant_id, [kind.value for kind in kinds], key))


def _statement(
    tx: Transaction, tenant_id: bytes, kinds: Sequence[Kind], key: str, *, after: LinePlace | None, most: int
) -> Statement:
    sign = -1 if CHART[kinds[0]].side == "credit" else 1
    accounts = statements.numbers(tx, tenant_id, [kind.value for kind in kinds], key)
    most = min(most, MOST_LINES)
    rows = statements.lines(tx, tenant_id, accounts, after=after, most=most + 1)
    opening = {} if after is None else statements.stood(tx, tenant_id, accounts, through=after)
    opening = {unit: sign * amount for unit, amount in opening.items()}
    names = {hub.hub_id: hub.name for hub in places.hubs(tx, tenant_id)}
    stands, found = dict(opening), []
    for row in rows[:most]:
        unit = row.place.unit
        stands[unit] = stands.get(unit, 0) + sign * row.amount
        hub = "" if row.place.hub_id == tenant_id else names.get(row.place.hub_id, row.place.hub_id.hex())
        what = TYPE_NAMES.get(row.type, str(row.type))
        found.append(
            Line(
                row.place, row.business_date, row.wall_ms, hub, row.machine or "", what, unit, sign * row.amount,
                stands[unit],
            )
        )  # fmt: skip
    now = {unit: sign * amount for unit, amount in statements.stood(tx, tenant_id, accounts).items()}
    closing = {unit: amount for unit, amount in stands.items() if amount}
    return Statement(opening, found, closing, now, found[-1].place if len(rows) > most else None)
