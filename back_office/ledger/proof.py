"""The money formula of guests' accounts, from three tables that have to agree: lots, leases and what is on its way.

Per account, unit and lot, in every transaction, every term at least nothing:

    deposited + covered − paid out + ahead = available + waiting + Σ over hubs (left + settled)

`left` is granted + taken − settled − moved. `waiting` is given and not taken; `ahead` taken before its giver was heard;
`covered` is what the venue stands for because a hub gave away what it did not have. The balances of purse, lease and
passing accounts say the same.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import TypeVar

import msgspec

from back_office.ledger.faults import BooksBrokenError
from back_office.store import books, grants, lots
from back_office.store.books import GuestBalances, Named
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey, LeaseRow
from back_office.store.lots import LotKey, LotRow, PassKey, PassRow

Place = TypeVar("Place", tuple[bytes, str], tuple[bytes, str, bytes])


class Standing(msgspec.Struct, frozen=True):
    """What some accounts have, as the tables keep it and as the balances say."""

    lots: Mapping[LotKey, LotRow]
    leases: Mapping[LeaseKey, LeaseRow]
    passing: Mapping[PassKey, PassRow]
    balances: GuestBalances


def prove_standing(standing: Standing, accounts: Collection[bytes], *, only_lots: Named | None) -> None:
    """Raise BooksBrokenError where the formula does not hold for `accounts`.

    only_lots: of these of an account everything is in the standing; of its others only what is not nothing.
    """
    _prove_lots(standing, accounts, only_lots)
    purses: dict[tuple[bytes, str], int] = defaultdict(int)
    held: dict[tuple[bytes, str, bytes], int] = defaultdict(int)
    moving: dict[tuple[bytes, str], int] = defaultdict(int)
    for key, lot in standing.lots.items():
        purses[key.account_id, key.unit] += lot.available
    for place, lease in standing.leases.items():
        held[place.account_id, place.unit, place.hub_id] += lease.left
    for way, row in standing.passing.items():
        moving[row.account_id, way.unit] += row.waiting
    booked = standing.balances
    _agree("the purse", {p: a for p, a in purses.items() if p[0] in accounts}, booked.purses)
    _agree("the lease at hub", {p: a for p, a in held.items() if p[0] in accounts}, booked.leases)
    _agree("what is on its way", {p: a for p, a in moving.items() if p[0] in accounts}, booked.passing)


def _prove_lots(standing: Standing, accounts: Collection[bytes], only_lots: Named | None) -> None:
    terms: dict[LotKey, list[int]] = defaultdict(lambda: [0, 0])
    for way, row in standing.passing.items():
        terms[LotKey(row.account_id, way.unit, way.lot)][0] += row.waiting
    for place, lease in standing.leases.items():
        if lease.left < 0 or lease.settled < 0:
            message = f"the lease {place} has {lease.left} left and {lease.settled} settled"
            raise BooksBrokenError(message, table="leases", key=f"{_named(place)} epoch {place.epoch}")
        terms[LotKey(place.account_id, place.unit, place.lot)][1] += lease.left + lease.settled
    for key in terms.keys() | standing.lots.keys():
        if key.account_id not in accounts or (only_lots is not None and key.lot not in only_lots[key.account_id]):
            continue
        lot, (waiting, at_hubs) = standing.lots.get(key, LotRow()), terms[key]
        came = lot.deposited + lot.covered - lot.paid_out
        if came != lot.available + waiting + at_hubs or lot.available < 0:
            message = (
                f"account {key.account_id.hex()} {key.unit} lot {key.lot.hex() or 'none'}: {lot.deposited} came in, "
                f"the venue stands for {lot.covered}, {lot.paid_out} was paid out; but {lot.available} is available, "
                f"{waiting} on its way and {at_hubs} at hubs"
            )
            raise BooksBrokenError(message, key=_named(key))


def _named(place: LotKey | LeaseKey) -> str:
    return f"{place.account_id.hex()} {place.unit} {place.lot.hex() or 'none'}"


def _agree(what: str, kept: Mapping[Place, int], booked: Mapping[Place, int]) -> None:
    for place in kept.keys() | booked.keys():
        has, said = kept.get(place, 0), -booked.get(place, 0)
        if has != said:
            account_id, unit, *hub = place
            where = "".join(f" {hub_id.hex()}" for hub_id in hub if isinstance(hub_id, bytes))
            message = f"account {account_id.hex()} {unit}: {what}{where} has {has}, its balance says {said}"
            raise BooksBrokenError(message, key=f"of {account_id.hex()} {unit}{where}")


def prove_accounts(tx: Transaction, tenant_id: bytes, account_ids: Collection[bytes]) -> None:
    """Prove the formula for some guests' accounts from the tables as they are; BooksBrokenError names the first."""
    wanted = set(account_ids)
    everything = lots.passing(tx, tenant_id)
    standing = Standing(
        lots.lots_of_accounts(tx, tenant_id, wanted),
        grants.leases_of_accounts(tx, tenant_id, wanted),
        {key: row for key, row in everything.items() if row.account_id in wanted},
        books.guest_balances(tx, tenant_id, wanted),
    )
    prove_standing(standing, wanted, only_lots=None)
