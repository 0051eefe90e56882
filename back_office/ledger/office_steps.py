"""What each entry of the office does to guests' money: deposits, grants, slips, refunds, and the end of a dead hub."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from back_office.ledger.faults import BooksBrokenError
from back_office.ledger.guest_sheet import Sheet
from back_office.ledger.lease_book import give_back
from back_office.store import set_back
from back_office.store.grants import LeaseKey
from back_office.store.lots import LotKey, LotRow, PassKey, ahead_of, pass_id
from payment_core.accounts import Kind
from payment_core.journal import (
    CellSent,
    CellTaken,
    HouseCharged,
    LeaseClosed,
    LeaseGranted,
    LotExpired,
    OpeningBooked,
    OpenSettled,
    PaidOut,
    Part,
    PassingReturned,
    ReceivablePaid,
    SlipIssued,
    SlipReturned,
    ToppedUp,
    TopUpReversed,
)
from payment_core.lease import LeaseStep, lease_step


def granted(sheet: Sheet, entry: LeaseGranted) -> None:
    """Let the office's own grant out of the purse; books that are learning it again let the purse be short."""
    lot = entry.lot.lot if entry.lot else b""
    place = LeaseKey(entry.account_id, entry.unit, entry.hub, entry.lease_epoch, lot)
    row = sheet.leases.get(place)
    if row.granted + entry.added != entry.granted:
        message = f"grant {entry.header.seq}: {row.granted} + {entry.added} is not {entry.granted}"
        raise BooksBrokenError(message)
    sheet.leases.now[place] = replace(row, granted=entry.granted, granted_seq=entry.header.seq)
    key = LotKey(entry.account_id, entry.unit, lot)
    short = entry.added - sheet.lots.get(key).available
    if short > 0 and set_back.unheard(sheet.tx, sheet.tenant_id).get(entry.hub):
        if key not in sheet.lots.now and entry.lot is not None:
            sheet.lots.now[key] = LotRow.of(entry.lot)
        sheet.stand_for_forgotten(key, short)
    sheet.available(key, -entry.added)


def slip_issued(sheet: Sheet, entry: SlipIssued) -> None:
    """Put money of the purse on its way to whatever hub takes the slip."""
    for part in entry.parts:
        sheet.available(LotKey(entry.account_id, part.unit, part.lot), -part.amount)
        way = PassKey(entry.slip_id, b"", part.unit, part.lot)
        sheet.give(way, entry.account_id, sheet.tenant_id, part.amount)


def slip_returned(sheet: Sheet, entry: SlipReturned) -> None:
    """Bring a slip that nobody took back into the purse, and settle what others took of a closed hub that had it."""
    _bring_back(sheet, entry.account_id, entry.parts, entry.slip_id)
    if entry.onward:
        _go_on(sheet, entry.account_id, entry.onward, PassKey(entry.slip_id, b"", "", b""), entry.closed[0])


def passing_returned(sheet: Sheet, entry: PassingReturned) -> None:
    """Bring a voucher for a closed hub back into the purse, and settle what others took of that hub by its vouchers."""
    number = pass_id(entry.from_hub, entry.from_epoch, entry.from_seq)
    _bring_back(sheet, entry.account_id, entry.parts, number)
    _go_on(sheet, entry.account_id, entry.onward, PassKey(number, entry.to_hub, "", b""), entry.to_hub)


def topped_up(sheet: Sheet, entry: ToppedUp) -> None:
    """Deposit a payment and its gifts."""
    paid = (entry.unit, entry.amount, entry.lot)
    for unit, amount, lot in (paid, *((gift.unit, gift.amount, gift.lot) for gift in entry.gifts)):
        key = LotKey(entry.account_id, unit, lot.lot if lot is not None else b"")
        sheet.deposit(key, amount, lot)
        sheet.available(key, amount)


def opening(sheet: Sheet, entry: OpeningBooked | HouseCharged) -> None:
    """Deposit a balance of an older system, or what a customer owes by invoice."""
    key = LotKey(entry.account_id, entry.unit, entry.lot.lot if entry.lot is not None else b"")
    sheet.deposit(key, entry.amount, entry.lot)
    sheet.available(key, entry.amount)


def sent_to_cell(sheet: Sheet, entry: CellSent) -> None:
    """Let money of the purse go to another cell's books."""
    for lot in entry.lots:
        key = LotKey(entry.account_id, lot.unit, lot.lot.lot)
        sheet.available(key, -lot.amount)
        sheet.pay_out(key, lot.amount)


def taken_from_cell(sheet: Sheet, entry: CellTaken) -> None:
    """Deposit what another cell sent, as the lots that it was there."""
    for lot in entry.lots:
        key = LotKey(entry.account_id, lot.unit, lot.lot.lot)
        sheet.deposit(key, lot.amount, lot.lot)
        sheet.available(key, lot.amount)


def left_the_purse(sheet: Sheet, entry: TopUpReversed | PaidOut | LotExpired | ReceivablePaid) -> None:
    """Let money of the purse go for good: back through its channel, to the house, or against a debt."""
    forfeited = entry.forfeited if isinstance(entry, TopUpReversed | PaidOut) else ()
    for part in (*entry.parts, *forfeited):
        key = LotKey(entry.account_id, part.unit, part.lot)
        sheet.available(key, -part.amount)
        sheet.pay_out(key, part.amount)


def lease_closed(sheet: Sheet, entry: LeaseClosed) -> None:
    """Bring what a dead hub held back into the purse, and settle what others took of it by vouchers unheard."""
    place = LeaseKey(entry.account_id, entry.unit, entry.hub, entry.lease_epoch, entry.lot)
    row = sheet.leases.get(place)
    gone = entry.amount + entry.passed
    if gone > row.left:
        message = f"entry {entry.header.seq}: a lease that has {row.left} left cannot give back {gone}"
        raise BooksBrokenError(message)
    lease_step(row.state(closed=False), LeaseStep.CLOSE)
    sheet.leases.now[place] = replace(row, moved=row.moved + gone)
    lot = LotKey(entry.account_id, entry.unit, entry.lot)
    _settle_vouchers(sheet, entry.hub, lot, entry.passed)
    sheet.available(lot, entry.amount)


def _settle_vouchers(sheet: Sheet, giver: bytes, lot: LotKey, amount: int) -> None:
    """Say in a dead giver's stead that it gave `amount` of what was taken of it, in the order of the vouchers' keys."""
    rest = amount
    for way, row in ahead_of(giver, sheet.passing.now):
        if LotKey(row.account_id, way.unit, way.lot) == lot:
            said = min(rest, -row.waiting)
            rest -= said
            if said:
                sheet.passing.now[way] = replace(row, given=row.given + said, given_ms=sheet.now_ms)
    if rest:
        message = f"{rest} {lot.unit} of what {giver.hex()} passed on was taken by nobody"
        raise BooksBrokenError(message)


def open_settled(sheet: Sheet, entry: OpenSettled) -> None:
    """Bring what a closed hub had put aside back into the purse, where staff decided so and nobody else has it."""
    if entry.captured or entry.account_id is None:
        return
    for part in entry.parts:
        lot = LotKey(entry.account_id, part.unit, part.lot)
        if part.lease_epoch is None:
            sheet.deposit(lot, part.amount, None)
            sheet.available(lot, part.amount)
        else:
            sheet.available(lot, _put_aside(sheet, entry.hub, lot, part, Kind.PURSE))
    for part in entry.onward:
        lot = LotKey(entry.account_id, part.unit, part.lot)
        _settle_vouchers(sheet, entry.hub, lot, _put_aside(sheet, entry.hub, lot, part, Kind.PASSING))


def _go_on(sheet: Sheet, account_id: bytes, parts: Iterable[Part], number: PassKey, taker: bytes) -> None:
    """Say in a dead hub's stead that it took what was on its way, and gave it to those who have it."""
    for part in parts:
        way = replace(number, unit=part.unit, lot=part.lot)
        row = sheet.passing.now.get(way)
        if row is None or row.waiting < part.amount:
            message = f"{part.amount} {part.unit} cannot go on from {way.pass_id.hex()}: it does not wait there"
            raise BooksBrokenError(message)
        sheet.passing.now[way] = replace(row, taken=row.taken + part.amount, taken_ms=sheet.now_ms, taker=taker)
        _settle_vouchers(sheet, taker, LotKey(account_id, part.unit, part.lot), part.amount)


def _put_aside(sheet: Sheet, hub_id: bytes, lot: LotKey, part: Part, into: Kind) -> int:
    """Let what was put aside at a closed hub leave its lease for good; return what of it the lease really had."""
    key = LeaseKey(lot.account_id, lot.unit, hub_id, part.lease_epoch or 0, lot.lot)
    step = give_back(sheet.leases.get(key), part.amount) if part.lease_epoch else None
    back = -step.settled if step is not None else 0
    if step is not None:
        beyond = step.row.beyond + part.amount - back
        sheet.leases.now[key] = replace(step.row, moved=step.row.moved + back, beyond=beyond)
    sheet.post(into, key, part.amount - back)
    sheet.post(Kind.OVERCLAIM, key, back - part.amount)
    return back


def _bring_back(sheet: Sheet, account_id: bytes, parts: Iterable[Part], number: bytes) -> None:
    for part in parts:
        found = [key for key in sheet.passing.now if (key.pass_id, key.unit, key.lot) == (number, part.unit, part.lot)]
        way = max(found, key=lambda key: sheet.passing.now[key].waiting, default=None)
        if way is None or sheet.passing.now[way].waiting < part.amount:
            message = f"{part.amount} {part.unit} cannot come back from {number.hex()}: it does not wait there"
            raise BooksBrokenError(message)
        row = sheet.passing.now[way]
        sheet.passing.now[way] = replace(row, returned=row.returned + part.amount)
        sheet.available(LotKey(account_id, part.unit, part.lot), part.amount)


OFFICE_STEPS: Final[dict[type, Callable[[Sheet, Any], None]]] = {
    ToppedUp: topped_up, LeaseGranted: granted, OpeningBooked: opening, HouseCharged: opening,
    TopUpReversed: left_the_purse,
    PaidOut: left_the_purse, LotExpired: left_the_purse, ReceivablePaid: left_the_purse, LeaseClosed: lease_closed,
    CellSent: sent_to_cell, CellTaken: taken_from_cell,
    OpenSettled: open_settled, SlipIssued: slip_issued, SlipReturned: slip_returned, PassingReturned: passing_returned,
}  # fmt: skip
"""What is done for each entry the office writes; an entry that is not here moves no guest's money."""
