"""How much a hub can have passed on that nobody heard of from itself yet: a hub that is stolen signs whatever it likes.

Of a lot that the books know: what is left at the giver and on its way to it, what was spent there (it may be
refunded), and what others may have passed to it unheard; their leases count less what they took of this giver. Of lots
that no one told of yet: what the venue's other hubs may take in between two receipts (T_h).
"""

from collections.abc import Iterable

from back_office.ledger.caps import highest_top_up_cap
from back_office.ledger.guest_sheet import Sheet
from back_office.ledger.passing import contents
from back_office.store import lots, places
from back_office.store.lots import LotKey, LotRow, PassKey, PassRow
from payment_core.journal import LotKind, VoucherTaken
from payment_core.staff_policy import StaffDocument

_WON = frozenset(StaffDocument(0).won_units)


def beyond_giver(sheet: Sheet, entry: VoucherTaken) -> str:
    """Return why the giver of a voucher cannot have had what it signed, or nothing. It was not heard itself."""
    unheard: dict[str, int] = {}
    for (unit, lot), amount in contents(entry.parts).items():
        key = LotKey(entry.account_id, unit, lot)
        if _is_known(sheet.lots.now.get(key)):
            had = _had(sheet, entry.from_hub, key)
            if amount > had:
                return f"its giver signed {amount} {unit} over and can have had {max(had, 0)}"
        elif not _is_won(entry, unit, lot):
            unheard[unit] = unheard.get(unit, 0) + amount
    return _beyond_intake(sheet, entry, unheard) if unheard else ""


def _had(sheet: Sheet, giver: bytes, key: LotKey) -> int:
    taker = sheet.writer.hub_id
    left = {giver: 0}
    for place, row in sheet.leases.now.items():
        if (place.account_id, place.unit, place.lot) == (key.account_id, key.unit, key.lot):
            left[place.hub_id] = left.get(place.hub_id, 0) + row.left + row.settled
    left.pop(taker, None)
    coming = 0
    for way, passed in _of_lot(sheet.passing.now.items(), key):
        if passed.from_hub == giver and passed.waiting < 0:
            left[giver] += passed.waiting
            if way.to_hub in left:
                left[way.to_hub] = max(left[way.to_hub] + passed.waiting, 0)
        elif passed.waiting > 0 and way.to_hub != taker:
            coming += passed.waiting
    return sum(left.values()) + coming


def _beyond_intake(sheet: Sheet, entry: VoucherTaken, unheard: dict[str, int]) -> str:
    neighbours = places.neighbours(sheet.tx, sheet.tenant_id, sheet.writer.hub_id)
    room = sum(highest_top_up_cap(sheet.tx, sheet.tenant_id, hub) for hub in neighbours)
    open_ways = lots.passing(sheet.tx, sheet.tenant_id, open_only=True) | sheet.passing.now
    ahead = dict(lots.ahead_of(entry.from_hub, open_ways))
    held = lots.lots_of_accounts(sheet.tx, sheet.tenant_id, {row.account_id for row in ahead.values()}) | sheet.lots.now
    for unit, amount in unheard.items():
        before = 0
        for way, row in ahead.items():
            lot = held.get(LotKey(row.account_id, unit, way.lot))
            if way.unit == unit and not _is_known(lot) and not (lot and lot.kind == LotKind.WON and unit in _WON):
                before -= row.waiting
        if before + amount > room:
            return f"its giver signed {before + amount} {unit} over that nobody brought in; T_h allows {room}"
    return ""


def _of_lot(rows: Iterable[tuple[PassKey, PassRow]], key: LotKey) -> list[tuple[PassKey, PassRow]]:
    place = (key.account_id, key.unit, key.lot)
    return [(way, row) for way, row in rows if (row.account_id, way.unit, way.lot) == place]


def _is_known(row: LotRow | None) -> bool:
    return row is not None and (row.deposited > 0 or row.covered > 0)


def _is_won(entry: VoucherTaken, unit: str, lot: bytes) -> bool:
    return unit in _WON and any(facts.lot == lot and facts.kind is LotKind.WON for facts in entry.lots)
