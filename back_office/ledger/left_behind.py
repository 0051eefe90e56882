"""What lies at a hub that is closed or on its way there: whose it is again, less what others took of it unheard.

A dead hub may have passed on what it had before anybody heard of it: of its leases, of vouchers that it took, of plays
that it gave back. Per account, unit and lot, what others took ahead of its word is set against these in this order;
only the rest goes back into the purse, so the same money is never in two places. What is beyond all of these is set
against slips that it may have taken, once these have run out (payments/slips.py).
"""

from collections import defaultdict
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from back_office.ledger.desk import Desk
from back_office.store import grants, lots
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey
from back_office.store.lots import LotKey, PassKey, PassRow
from payment_core.journal import Entry, Header, LeaseClosed, Part, PassingReturned

Make = Callable[[Header], Entry]
Apart = tuple[tuple[Part, ...], tuple[Part, ...]]
"""What goes back into the purse, and what others have."""
_HUB_BYTES = 16
_NUMBER_BYTES = 8
_OFFICE = "office"
"""Who sends back what was given to a hub that a person closed before."""


class Left(msgspec.Struct, frozen=True):
    """What of one lease goes `back`, in minor units, and what of it others have, `passed`."""

    place: LeaseKey
    back: int
    passed: int


class Coming(msgspec.Struct, frozen=True):
    """What of one lot of a voucher goes `back`, in minor units, and what of it went `onward` to others."""

    way: PassKey
    row: PassRow
    back: int
    onward: int


class LeftBehind(msgspec.Struct, frozen=True):
    """What lies at a hub and what is on its way there, per lot; `ahead`: what others took beyond both."""

    leases: list[Left]
    coming: list[Coming]
    ahead: dict[LotKey, int]

    def makes(self, by: str) -> list[Make]:
        """Return the entries that settle it."""
        return [_lease_closed(one, by) for one in self.leases] + [_passing_returned(one, by) for one in self.coming]

    def split(self, account_id: bytes | None, parts: tuple[Part, ...]) -> Apart:
        """Return what of money put aside goes back, and what of it others have; that is `ahead` no more."""
        back: list[Part] = []
        onward: list[Part] = []
        for part in parts:
            lot = LotKey(account_id or b"", part.unit, part.lot)
            taken = _take(self.ahead, lot, part.amount) if part.lease_epoch and part.amount > 0 else 0
            back += [replace(part, amount=part.amount - taken)] if part.amount != taken else []
            onward += [replace(part, amount=taken)] if taken else []
        return tuple(back), tuple(onward)


def left_behind(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> LeftBehind:
    """Return what lies at a hub and what is on its way there, as far as the office has heard."""
    on_their_way = lots.passing(tx, tenant_id, open_only=True)
    ahead: dict[LotKey, int] = defaultdict(int)
    for way, row in lots.ahead_of(hub_id, on_their_way):
        ahead[LotKey(row.account_id, way.unit, way.lot)] -= row.waiting
    leases: list[Left] = []
    for place, lease in sorted(grants.leases_of_hub(tx, tenant_id, hub_id).items()):
        if lease.left > 0:
            passed = _take(ahead, LotKey(place.account_id, place.unit, place.lot), lease.left)
            leases.append(Left(place, lease.left - passed, passed))
    coming: list[Coming] = []
    for way, row in sorted(on_their_way.items()):
        if way.to_hub == hub_id and row.waiting > 0:
            onward = _take(ahead, LotKey(row.account_id, way.unit, way.lot), row.waiting)
            coming.append(Coming(way, row, row.waiting - onward, onward))
    return LeftBehind(leases, coming, ahead)


def send_back(desk: Desk, hub_id: bytes) -> None:
    """Settle what a hub passed on to one that was closed before the office heard of it."""
    found = left_behind(desk.tx, desk.tenant_id, hub_id)
    if found.coming:
        desk.append_all(LeftBehind([], found.coming, {}).makes(_OFFICE))


def _take(ahead: dict[LotKey, int], lot: LotKey, amount: int) -> int:
    taken = min(ahead.get(lot, 0), amount)
    if taken:
        ahead[lot] -= taken
    return taken


def _lease_closed(one: Left, by: str) -> Make:
    place = one.place
    return lambda header: LeaseClosed(
        1, header, place.account_id, place.unit, place.hub_id, place.epoch, place.lot, one.back, by, one.passed
    )


def _passing_returned(one: Coming, by: str) -> Make:
    way, row = one.way, one.row
    epoch = int.from_bytes(way.pass_id[_HUB_BYTES : _HUB_BYTES + _NUMBER_BYTES], "big")
    seq = int.from_bytes(way.pass_id[_HUB_BYTES + _NUMBER_BYTES :], "big")

    def parts(amount: int) -> tuple[Part, ...]:
        return (Part(way.unit, amount, None, way.lot),) if amount else ()

    return lambda header: PassingReturned(
        1, header, row.account_id, parts(one.back), row.from_hub, epoch, seq, by, way.to_hub, parts(one.onward)
    )
