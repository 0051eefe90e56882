"""The statement of an account: every entry that moved it, in the order of booking, with what it held then.

A guest's account is purse, leases and money on its way together: what the office leases to a hub moves nothing here.
An account of the chart is told by its kind and key: `revenue:racer-1`, `drawer:counter`.
"""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Final

import msgspec

from back_office.ledger.booking import TYPE_NUMBERS
from back_office.store import places, statements
from back_office.store.engine import Transaction
from back_office.store.statements import LinePlace, LineRow
from payment_core.accounts import CHART, Kind

GUEST_KINDS: Final = (Kind.PURSE, Kind.LEASE, Kind.PASSING)
MOST_LINES: Final = 1_000
"""Lines of one page."""
_LOOKED_AT: Final = 1_000
_NAMED: Final = 8
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

    after: the place behind which the next page begins; None: this is the last. opening counts all that stands before
    the page now: where it is not the closing of the page before, something was booked there meanwhile (LinePlace).
    """

    opening: dict[str, int]
    lines: list[Line]
    closing: dict[str, int]
    now: dict[str, int]
    after: LinePlace | None


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


def held(tx: Transaction, tenant_id: bytes, account_id: bytes) -> dict[str, int]:
    """Return what a guest has now, by unit: read from the balances, however long the statement is."""
    accounts = _accounts(tx, tenant_id, GUEST_KINDS, account_id.hex())
    return {unit: _sign(GUEST_KINDS) * amount for unit, amount in statements.stood(tx, tenant_id, accounts).items()}


def whole(tx: Transaction, tenant_id: bytes, kind: Kind, key: str) -> Iterator[Line]:
    """Yield every line of an account; Kind.PURSE: of the guest whose id the key is. Never all in memory."""
    kinds = GUEST_KINDS if kind is Kind.PURSE else (kind,)
    rows = statements.all_lines(tx, tenant_id, _accounts(tx, tenant_id, kinds, key))
    return _told(tx, tenant_id, rows, {}, sign=_sign(kinds))


def is_known(tx: Transaction, tenant_id: bytes, kind: Kind, key: str) -> bool:
    """Say whether anything was ever booked on an account of the chart."""
    return bool(_accounts(tx, tenant_id, (kind,), key))


def nearest(tx: Transaction, tenant_id: bytes, kind: Kind, key: str) -> str:
    """Return in words which keys of a kind somebody may have meant: those that read most like his, or the first."""
    known = statements.keys_of(tx, tenant_id, kind, most=_LOOKED_AT)
    if not known:
        return f"nothing was ever booked on {kind}"
    near = get_close_matches(key, known, n=_NAMED) or known[:_NAMED]
    return f"of {kind} there are {', '.join(near)}{' and more' * (len(known) > len(near))}"


# ---- inside ----


def _statement(
    tx: Transaction, tenant_id: bytes, kinds: Sequence[Kind], key: str, *, after: LinePlace | None, most: int
) -> Statement:
    sign, accounts = _sign(kinds), _accounts(tx, tenant_id, kinds, key)
    most = min(most, MOST_LINES)
    rows = statements.lines(tx, tenant_id, accounts, after=after, most=most + 1)
    before = {} if after is None else statements.stood(tx, tenant_id, accounts, through=after)
    opening = {unit: sign * amount for unit, amount in before.items()}
    stands = dict(opening)
    found = list(_told(tx, tenant_id, rows[:most], stands, sign=sign))
    closing = {unit: amount for unit, amount in stands.items() if amount}
    now = {unit: sign * amount for unit, amount in statements.stood(tx, tenant_id, accounts).items()}
    return Statement(opening, found, closing, now, found[-1].place if len(rows) > most else None)


def _told(
    tx: Transaction, tenant_id: bytes, rows: Iterable[LineRow], stands: dict[str, int], *, sign: int
) -> Iterator[Line]:
    """Yield lines with what there was behind each; `stands` moves with them."""
    names = {hub.hub_id: hub.name for hub in places.hubs(tx, tenant_id)}
    for row in rows:
        unit, hub_id = row.place.unit, row.place.hub_id
        stands[unit] = stands.get(unit, 0) + sign * row.amount
        hub = "" if hub_id == tenant_id else names.get(hub_id, hub_id.hex())
        what = TYPE_NAMES.get(row.type, str(row.type))
        yield Line(
            row.place, row.business_date, row.wall_ms, hub, row.machine or "", what, unit, sign * row.amount,
            stands[unit],
        )  # fmt: skip


def _accounts(tx: Transaction, tenant_id: bytes, kinds: Sequence[Kind], key: str) -> list[int]:
    return statements.numbers(tx, tenant_id, [kind.value for kind in kinds], key)


def _sign(kinds: Sequence[Kind]) -> int:
    return -1 if CHART[kinds[0]].side == "credit" else 1
