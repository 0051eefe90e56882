"""What of a payment may go back: no more than was paid and is unspent, and what its gifts take along."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from back_office.ledger.desk import Desk
from back_office.ledger.gifts_due import due_of, note_due
from back_office.ledger.gifts_sent import Gifts, as_given
from back_office.ledger.terms import TopUpTerms
from back_office.store import acts, grants, lots
from back_office.store.acts import Act
from back_office.store.lots import LotKey, LotRow
from payment_core.journal import LotKind, Part
from payment_core.lots import GiftRule, forfeited, spend_order

WENT_BACK: Final = "went_back"
"""The kind under which is kept what of a payment went back, so that all of it together never passes the payment."""


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that was credited: who has it, and how much it was."""

    channel: str
    payment_id: str
    account_id: bytes
    unit: str
    amount: int


class Before(msgspec.Struct, frozen=True):
    """What went back of a payment already: `gone` of the paid money, of which `kept` stayed here for spent gifts."""

    gone: int = 0
    kept: int = 0


class WayBack(msgspec.Struct, frozen=True):
    """`parts` go through the channel, `forfeited` to the house; `kept` of the latter is paid money for spent gifts."""

    parts: tuple[Part, ...]
    forfeited: tuple[Part, ...]
    amount: int
    kept: int
    rule: GiftRule


def went_back(desk: Desk, channel: str, payment_id: str) -> Before:
    """Return what of a payment went back so far, whoever asked for it."""
    found = acts.acts_beginning(desk.tx, desk.tenant_id, WENT_BACK, _name(channel, payment_id))
    sums = [msgspec.msgpack.decode(done.content, type=tuple[int, int]) for done in found]
    return Before(sum(gone for gone, _ in sums), sum(kept for _, kept in sums))


def note_way_back(desk: Desk, channel: str, payment_id: str, *, gone: int, kept: int, seq: int) -> None:
    """Keep that `gone` of a payment went back with the office's entry `seq`; below nothing: it came again."""
    name = _name(channel, payment_id) + seq.to_bytes(8, "big")
    content = msgspec.msgpack.encode((gone, kept))
    acts.add_act(desk.tx, desk.tenant_id, Act(WENT_BACK, name, content, seq, desk.now_ms))


def plan(desk: Desk, paid: Paid, amount: int | None) -> WayBack | str:
    """Return how `amount` of a payment leaves the purse (None: all that can); what is kept for spent gifts is of it.

    A text says why nothing goes.
    """
    mine, found = lots_of(desk, paid)
    gifts = as_given(desk, found)
    before = went_back(desk, paid.channel, paid.payment_id)
    there = _there(desk, paid, mine, before)
    gross = there if amount is None else amount
    if not gross and amount is None:
        return f"nothing of this payment is in the purse: 0 {paid.unit}"
    if not 1 <= gross <= there:
        return f"{gross} {paid.unit} cannot go back: {there} of this payment are in the purse"
    rule = TopUpTerms.newest(desk.tx, desk.tenant_id).gift_rule
    why = "" if rule == "keep" else _not_here(desk, gifts)
    return why or _with_gifts(desk, paid, (mine, gifts.rows), before, rule, gross)


def plan_net(desk: Desk, paid: Paid, amount: int) -> WayBack | str:
    """Return how a payment leaves the purse so that exactly `amount` goes through its channel, or why it cannot."""
    gross = amount
    while True:
        way = plan(desk, paid, gross)
        if isinstance(way, str):
            most = plan(desk, paid, None) if gross != amount else way
            if isinstance(most, str):
                return way
            return f"at most {most.amount} {paid.unit} can go back: the rest stays for gifts that were spent"
        if way.amount >= amount:
            return way
        gross += amount - way.amount


class TakenBack(msgspec.Struct, frozen=True):
    """`parts` leave the purse, `missing` the guest owes, `forfeited` of the gifts goes to the house.

    `due`: what of the gifts goes there as soon as it is in the purse.
    """

    parts: tuple[Part, ...]
    missing: int
    forfeited: tuple[Part, ...]
    due: dict[LotKey, int]

    def note(self, desk: Desk, seq: int) -> None:
        """Keep what is due with the office's entry `seq`."""
        for key, amount in self.due.items():
            note_due(desk.tx, desk.tenant_id, key, amount, seq=seq, now_ms=desk.now_ms)


def plan_reversal(desk: Desk, paid: Paid, amount: int) -> TakenBack:
    """Return how `amount`, which the channel took back already, leaves the purse.

    Its gifts go by the same rule as for a refund, also those that lie at hubs, in cells or on their way: when they are
    back. What of them was spent is the house's: nothing is left to keep it of.
    """
    mine, found = lots_of(desk, paid)
    gifts = as_given(desk, found).rows
    parts = parts_of(mine, paid.unit, amount)
    before = went_back(desk, paid.channel, paid.payment_id)
    rule = TopUpTerms.newest(desk.tx, desk.tenant_id).gift_rule
    gross = min(amount, max(paid.amount - before.gone, 0))
    forfeits, _spent = _of_gifts(paid, gifts, before, rule, gross, {})
    away = {key: row for key, row in _away(desk, gifts).items() if row.available > 0}
    later, _spent = _of_gifts(paid, away, before, rule, gross, {})
    due = {LotKey(paid.account_id, part.unit, part.lot): part.amount - _of_lot(forfeits, part.lot) for part in later}
    missing = amount - sum(part.amount for part in parts)
    return TakenBack(parts, missing, forfeits, {key: left for key, left in due.items() if left > 0})


def lots_of(desk: Desk, paid: Paid) -> tuple[dict[LotKey, LotRow], dict[LotKey, LotRow]]:
    """Return what a payment opened: the paid lots, and the gifts that came with them.

    While restored books are learning nothing of them counts as in the purse: it is not refunded, but owed.
    """
    found = lots.lots_of_payment(desk.tx, desk.tenant_id, channel=paid.channel, payment_id=paid.payment_id)
    if desk.learning:
        found = {key: msgspec.structs.replace(row, available=0) for key, row in found.items()}
    own = {key: row for key, row in found.items() if key.account_id == paid.account_id}
    mine = {key: row for key, row in own.items() if row.kind == LotKind.PAID}
    return mine, {key: row for key, row in own.items() if row.kind == LotKind.GIFT}


def parts_of(held: Mapping[LotKey, LotRow], unit: str, amount: int) -> tuple[Part, ...]:
    """Return up to `amount` out of what is in the purse of these lots."""
    shares: Iterable[tuple[bytes, int]] = (
        (share.lot, share.amount)
        for share in spend_order(
            [row.share(key.lot) for key, row in held.items() if key.unit == unit], "paid_first", now_ms=None
        )
    )
    parts: list[Part] = []
    for lot, there in shares:
        took = min(there, amount - sum(part.amount for part in parts))
        if took:
            parts.append(Part(unit, took, None, lot))
    return tuple(parts)


# ---- inside ----


def _name(channel: str, payment_id: str) -> bytes:
    return hashlib.sha256(f"{channel}\0{payment_id}".encode()).digest()


def _there(desk: Desk, paid: Paid, mine: Mapping[LotKey, LotRow], before: Before) -> int:
    """Return what may still go: in the purse, paid and not gone yet, and not what the venue stands for."""
    settled = _settled(desk, mine)
    rows = {key: row for key, row in mine.items() if key.unit == paid.unit}
    in_purse = sum(row.available for row in rows.values())
    unspent = sum(row.deposited - row.paid_out - settled.get(key, 0) for key, row in rows.items())
    return max(min(in_purse, unspent, paid.amount - before.gone), 0)


def _with_gifts(
    desk: Desk, paid: Paid, opened: tuple[Mapping[LotKey, LotRow], Mapping[LotKey, LotRow]], before: Before,
    rule: GiftRule, gross: int,
) -> WayBack | str:  # fmt: skip
    mine, gifts = opened
    settled = _settled(desk, gifts)
    gone, missing = _of_gifts(paid, gifts, before, rule, gross, settled)
    kept = min(missing, max(sum(settled.values()) - before.kept, 0))
    if kept >= gross:
        return f"{gross} {paid.unit} cannot go back: {kept} of it stay for gifts that were spent"
    parts = parts_of(mine, paid.unit, gross - kept)
    rest = {
        key: msgspec.structs.replace(row, available=row.available - _of_lot(parts, key.lot))
        for key, row in mine.items()
    }
    return WayBack(parts, (*parts_of(rest, paid.unit, kept), *gone), gross - kept, kept, rule)


def _of_gifts(
    paid: Paid, gifts: Mapping[LotKey, LotRow], before: Before, rule: GiftRule, gross: int,
    settled: Mapping[LotKey, int],
) -> tuple[tuple[Part, ...], int]:  # fmt: skip
    """Return what of the gifts goes with `gross` of their payment, and what of it should go and was spent."""
    gone: list[Part] = []
    missing = 0
    for key, row in sorted(gifts.items()):
        took = forfeited(
            rule, before=before.gone, paid_back=gross, paid=paid.amount, gift=row.deposited, left=row.available,
            spent=settled.get(key, 0),
        )  # fmt: skip
        missing += took.spent
        if took.left:
            gone.append(Part(key.unit, took.left, None, key.lot))
    return tuple(gone), missing


def _named(rows: Iterable[LotKey]) -> dict[bytes, list[bytes]]:
    named: dict[bytes, list[bytes]] = {}
    for key in rows:
        named.setdefault(key.account_id, []).append(key.lot)
    return named


def _of_lot(parts: Iterable[Part], lot: bytes) -> int:
    return sum(part.amount for part in parts if part.lot == lot)


def _settled(desk: Desk, rows: Mapping[LotKey, LotRow]) -> dict[LotKey, int]:
    """Return what of lots was spent on plays, or is put aside for one."""
    named = _named(rows)
    sums = dict.fromkeys(rows, 0)
    for place, row in grants.live_leases(desk.tx, desk.tenant_id, named).items():
        key = LotKey(place.account_id, place.unit, place.lot)
        if key in sums:
            sums[key] += row.settled
    return sums


def _away(desk: Desk, gifts: Mapping[LotKey, LotRow]) -> dict[LotKey, LotRow]:
    """Return gifts as if all of them that is not spent, nor due already, were in the purse."""
    settled = _settled(desk, gifts)
    rows = {}
    for key, row in gifts.items():
        left = row.deposited - row.paid_out - settled[key] - due_of(desk.tx, desk.tenant_id, key)
        rows[key] = msgspec.structs.replace(row, available=left)
    return rows


def _not_here(desk: Desk, gifts: Gifts) -> str:
    """Return what of gifts has to come into the purse before their payment can go back; empty: nothing."""
    away = _elsewhere(desk, gifts.rows)
    if any(away.values()):
        said = ", ".join(f"{amount} {key.unit}" for key, amount in sorted(away.items()) if amount)
        return f"of its gifts {said} lie at hubs or are on their way: they are recalled first"
    said = ", ".join(f"{amount} {key.unit} in cell {cell}" for (cell, key), amount in sorted(gifts.in_cells.items()))
    return said and f"of its gifts are {said}: they are sent back first"


def _elsewhere(desk: Desk, rows: Mapping[LotKey, LotRow]) -> dict[LotKey, int]:
    """Return what of lots is leased, or on its way."""
    named = _named(rows)
    sums = dict.fromkeys(rows, 0)
    for place, lease in grants.live_leases(desk.tx, desk.tenant_id, named).items():
        key = LotKey(place.account_id, place.unit, place.lot)
        if key in sums:
            sums[key] += lease.left
    for way, row in lots.passing_of(desk.tx, desk.tenant_id, named, ()).items():
        key = LotKey(row.account_id, way.unit, way.lot)
        if key in sums:
            sums[key] += max(row.waiting, 0)
    return sums
