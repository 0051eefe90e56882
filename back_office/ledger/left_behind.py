"""What lies at a hub that is closed or on its way there: whose it is again, less what others took of it unheard.

A dead hub may have passed on what it had before anybody heard of it: of its leases, of vouchers that it took, of plays
that it gave back. Per account, unit and lot, what others took ahead of its word is set against these in this order;
only the rest goes back into the purse, so the same money is never in two places. What is beyond all of these is set
against slips that it may have taken, once these have run out (slips_back.py).

Where others took more than its leases had, it may also have passed on what it gave back of plays that the office heard
as played. Then nobody can say whether it took so much of a voucher: that stays on its way until the hub's own word
comes, or a person decides (`Doubt`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from back_office.ledger.open_plays import open_plays
from back_office.store import grants, lots
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey, LeaseRow
from back_office.store.lots import LotKey, PassKey, PassRow
from payment_core.journal import Entry, Header, LeaseClosed, Part, PassingReturned

Make = Callable[[Header], Entry]
Apart = tuple[tuple[Part, ...], tuple[Part, ...]]
"""What goes back into the purse, and what others have."""
Doubt = Literal["open", "guest", "venue"]
"""What becomes of a voucher or slip of which nobody can say whether a dead hub took it: it stays as it is; or a person
has decided: it goes back to the guest, or it was taken, and whoever has it has it.
"""
_HUB_BYTES: Final = 16
_NUMBER_BYTES: Final = 8
OFFICE: Final = "office"
"""Who settles what needs no person."""


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
    """What lies at a hub and what is on its way there, per lot; `ahead`: what others took beyond both.

    `unclear`: what of vouchers would be `back`, and nobody can say whether it took it; it stays. `refundable`: what it
    played for that it may have given back unheard, where anything is `ahead`.
    """

    leases: list[Left]
    coming: list[Coming]
    ahead: dict[LotKey, int]
    unclear: list[Coming] = []
    refundable: dict[LotKey, int] = {}

    def makes(self, by: str) -> list[Make]:
        """Return the entries that settle it."""
        return [_lease_closed(one, by) for one in self.leases] + [passing_returned(one, by) for one in self.coming]

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


def left_behind(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, doubt: Doubt = "open") -> LeftBehind:
    """Return what lies at a hub and what is on its way there, as far as the office has heard."""
    on_their_way = lots.passing(tx, tenant_id, open_only=True)
    ahead: dict[LotKey, int] = defaultdict(int)
    for way, row in lots.ahead_of(hub_id, on_their_way):
        ahead[LotKey(row.account_id, way.unit, way.lot)] -= row.waiting
    held = grants.leases_of_hub(tx, tenant_id, hub_id)
    leases: list[Left] = []
    for place, lease in sorted(held.items()):
        if lease.left > 0:
            passed = _take(ahead, LotKey(place.account_id, place.unit, place.lot), lease.left)
            leases.append(Left(place, lease.left - passed, passed))
    refundable = _refundable(tx, tenant_id, hub_id, held) if any(ahead.values()) else {}
    coming: list[Coming] = []
    unclear: list[Coming] = []
    for way, row in sorted(on_their_way.items()):
        if way.to_hub == hub_id and row.waiting > 0:
            lot = LotKey(row.account_id, way.unit, way.lot)
            onward = _take(ahead, lot, row.waiting)
            refunded = _take(refundable, lot, onward) if doubt != "venue" else 0
            if row.waiting > refunded:
                coming.append(Coming(way, row, row.waiting - onward, onward - refunded))
            if refunded and doubt == "guest":  # by a person's word, and not because of the hub that is closed
                coming.append(Coming(replace(way, to_hub=b""), row, refunded, 0))
            elif refunded:
                unclear.append(Coming(way, row, refunded, 0))
    return LeftBehind(leases, coming, ahead, unclear, refundable)


def unreachable(
    tx: Transaction, tenant_id: bytes, ids: Iterable[bytes], *, gave_up: Mapping[bytes, bytes] = {}
) -> list[Coming]:
    """Return what waits under these numbers for hubs that can never take it.

    A hub that has told of the same number with another content takes no other one: its giver signed two, which a disk
    that was put back makes. `gave_up`: of which givers these takers will never hear again, as {taker: giver}.
    """
    rows = lots.passing_of(tx, tenant_id, {}, ids)
    told = {(way.pass_id, way.to_hub) for way, row in rows.items() if row.taken_ms is not None}
    return [
        Coming(replace(way, to_hub=b""), row, row.waiting, 0)
        for way, row in sorted(rows.items())
        if row.waiting > 0 and ((way.pass_id, way.to_hub) in told or gave_up.get(way.to_hub) == row.from_hub)
    ]


def given_by(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> list[tuple[PassKey, PassRow]]:
    """Return what a hub has passed on that nobody has told of yet."""
    open_ways = lots.passing(tx, tenant_id, open_only=True)
    return [(way, row) for way, row in sorted(open_ways.items()) if row.from_hub == hub_id and row.waiting > 0]


# ---- inside ----


def _take(sums: dict[LotKey, int], lot: LotKey, amount: int) -> int:
    taken = min(sums.get(lot, 0), amount)
    if taken:
        sums[lot] -= taken
    return taken


def _refundable(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, held: Mapping[LeaseKey, LeaseRow]
) -> dict[LotKey, int]:
    """Return what a hub has earned of each lot, as far as it was heard: what it may have refunded since."""
    earned: dict[LotKey, int] = defaultdict(int)
    for place, lease in held.items():
        earned[LotKey(place.account_id, place.unit, place.lot)] += lease.settled
    for play in open_plays(tx, tenant_id, hub_id):
        for part in play.parts:
            if part.lease_epoch and play.entry.account_id is not None:
                earned[LotKey(play.entry.account_id, part.unit, part.lot)] -= part.amount
    return {lot: amount for lot, amount in earned.items() if amount > 0}


def _lease_closed(one: Left, by: str) -> Make:
    place = one.place
    return lambda header: LeaseClosed(
        1, header, place.account_id, place.unit, place.hub_id, place.epoch, place.lot, one.back, by, one.passed
    )


def passing_returned(one: Coming, by: str) -> Make:
    """Return the entry that settles a voucher."""
    way, row = one.way, one.row
    epoch = int.from_bytes(way.pass_id[_HUB_BYTES : _HUB_BYTES + _NUMBER_BYTES], "big")
    seq = int.from_bytes(way.pass_id[_HUB_BYTES + _NUMBER_BYTES :], "big")

    def parts(amount: int) -> tuple[Part, ...]:
        return (Part(way.unit, amount, None, way.lot),) if amount else ()

    return lambda header: PassingReturned(
        1, header, row.account_id, parts(one.back), row.from_hub, epoch, seq, by, way.to_hub, parts(one.onward)
    )
