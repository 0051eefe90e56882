"""What each entry of a hub does to guests' money: spent, given back, returned, passed on, taken in, brought in."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from back_office.ledger.findings import Finding
from back_office.ledger.giver_bound import beyond_giver
from back_office.ledger.guest_sheet import Sheet
from back_office.ledger.lease_book import arrive, give_back, hand_back, pass_on, spend
from back_office.ledger.passing import Judgement, SignedVoucher, judge_slip, judge_voucher
from back_office.store import places
from back_office.store.grants import LeaseKey
from back_office.store.lots import LotKey, LotRow, PassKey, PassRow, pass_id
from payment_core.accounts import Kind
from payment_core.journal import (
    BroughtIn,
    Captured,
    CardSold,
    DepositReturned,
    DepositTaken,
    Entry,
    Expired,
    Held,
    Increased,
    LeasePassed,
    LeaseReturned,
    LeaseTaken,
    PaidOutHere,
    Part,
    Refunded,
    SlipTaken,
    TipGiven,
    Voided,
    VoucherTaken,
)


def held(sheet: Sheet, entry: Held | Increased) -> None:
    """Spend."""
    for key, amount in sheet.leased(entry.account_id, entry.parts):
        row = sheet.leases.get(key)
        sheet.move(key, spend(row, amount) if amount >= 0 else give_back(row, -amount), entry)


def given_back(sheet: Sheet, entry: Voided | Expired | Refunded) -> None:
    """Undo spending."""
    _give_back(sheet, entry, entry.account_id, entry.parts)


def captured(sheet: Sheet, entry: Captured) -> None:
    """Undo the part that was not captured."""
    _give_back(sheet, entry, entry.account_id, entry.released)


def set_aside(sheet: Sheet, entry: DepositTaken | TipGiven) -> None:
    """Spend on a deposit, which may come back, or on a tip."""
    for part in entry.parts:
        key = sheet.lease_of(entry.account_id, part)
        sheet.move(key, spend(sheet.leases.get(key), part.amount), entry)


def deposit_returned(sheet: Sheet, entry: DepositReturned) -> None:
    """Undo spending on a deposit; what is kept of it stays spent."""
    for part in entry.parts:
        key = sheet.lease_of(entry.account_id, part)
        sheet.move(key, give_back(sheet.leases.get(key), part.amount), entry)


def lease_taken(sheet: Sheet, entry: LeaseTaken) -> None:
    """Compare what a hub says it was given."""
    lot = entry.lot.lot if entry.lot else b""
    place = LeaseKey(entry.account_id, entry.unit, sheet.writer.hub_id, entry.lease_epoch, lot)
    given = sheet.leases.get(place).granted
    if entry.granted > given:
        text = f"entry {entry.header.seq}: it took a lease of {entry.granted} {entry.unit}, it was given {given}"
        sheet.findings.append(Finding("foreign_grant", text))


def returned(sheet: Sheet, entry: LeaseReturned) -> None:
    """Bring leased money back into the purse: what the lease has, and nothing beyond."""
    for part in entry.parts:
        key = sheet.lease_of(entry.account_id, part)
        before = sheet.leases.get(key)
        step = hand_back(before, part.amount)
        sheet.leases.now[key] = step.row
        sheet.available(LotKey(entry.account_id, part.unit, part.lot), step.settled)
        if step.overclaimed:
            sheet.overclaim(key, before)
            sheet.post(Kind.LEASE, key, -step.overclaimed)
            sheet.post(Kind.PURSE, key, step.overclaimed)
            sheet.find(entry, f"it returned {step.overclaimed} {part.unit} beyond the lease")


def passed(sheet: Sheet, entry: LeasePassed) -> None:
    """Put leased money on its way to another hub."""
    number = pass_id(sheet.writer.hub_id, sheet.writer.epoch, entry.header.seq)
    said = {key: row.given for key, row in sheet.passing.now.items() if key.pass_id == number and row.given}
    for part in entry.parts:
        key = sheet.lease_of(entry.account_id, part)
        way = PassKey(number, entry.to_hub, part.unit, part.lot)
        stead = min(said.get(way, 0), part.amount)
        if stead:  # the office said so in its stead when it closed the hub: its late word of that moves nothing
            said[way] -= stead
            _beside(sheet, key, stead)
        void = _nobodys(sheet, key, way, part.amount - stead)
        if void:  # what it held went back when it was closed, and nobody has this: it is not on its way too
            _beside(sheet, key, void)
            sheet.give(way, entry.account_id, sheet.writer.hub_id, void)
            sheet.passing.now[way] = replace(sheet.passing.now[way], returned=sheet.passing.now[way].returned + void)
        if part.amount > stead + void:
            step = pass_on(sheet.leases.get(key), part.amount - stead - void)
            sheet.move(key, step, entry)
            sheet.cover(key, step.overclaimed)
            sheet.give(way, entry.account_id, sheet.writer.hub_id, part.amount - stead - void)
    told = [row for key, row in sheet.passing.now.items() if key.pass_id == number and row.taken]
    if told and any(row.waiting for key, row in sheet.passing.now.items() if key.pass_id == number):
        sheet.find(entry, "it signed this voucher for something else too")


def _beside(sheet: Sheet, key: LeaseKey, amount: int) -> None:
    """Let a claim to have passed on stand beside the lease: it moves nothing."""
    row = sheet.leases.get(key)
    sheet.overclaim(key, row)
    sheet.leases.now[key] = replace(row, beyond=row.beyond + amount)
    sheet.post(Kind.LEASE, key, -amount)
    sheet.post(Kind.PASSING, key, amount)


def _nobodys(sheet: Sheet, key: LeaseKey, way: PassKey, amount: int) -> int:
    """Return what of money that a closed hub says it passed on it did not have any more, and nobody has taken."""
    if not sheet.writer.closed:
        return 0
    ahead = -sheet.passing.now[way].waiting if way in sheet.passing.now else 0
    return max(amount - max(sheet.leases.get(key).left, ahead), 0)


def paid_out_here(sheet: Sheet, entry: PaidOutHere) -> None:
    """Let leased money go into the guest's hand."""
    for part in entry.parts:
        key = sheet.lease_of(entry.account_id, part)
        step = pass_on(sheet.leases.get(key), part.amount)
        sheet.move(key, step, entry)
        sheet.pay_out(LotKey(entry.account_id, part.unit, part.lot), step.settled)


def brought_in(sheet: Sheet, entry: BroughtIn) -> None:
    """Deposit what a guest brought in at a hub: it is leased there at once. What it cannot have taken is nobody's.

    A gift that no document allows is nobody's too; the money that it came with is the guest's all the same.
    """
    judged = sheet.intake.judge(entry)
    sheet.note(entry, judged.kind, judged.why)
    facts = {lot.lot: lot for lot in entry.lots}
    for parts, counts in ((entry.parts, judged.money), (entry.gifts, judged.gifts)):
        for part in parts:
            key = sheet.lease_of(entry.account_id, part)
            if counts:
                sheet.leases.now[key] = arrive(sheet.leases.get(key), part.amount)
                sheet.deposit(LotKey(entry.account_id, part.unit, part.lot), part.amount, facts.get(part.lot))
            else:
                sheet.post(Kind.LEASE, key, part.amount)
                sheet.post(Kind.OVERCLAIM, key, -part.amount)


def card_sold(sheet: Sheet, entry: CardSold) -> None:
    """Count a card's deposit towards what a hub may take in."""
    judged = sheet.intake.judge_deposit(entry)
    sheet.note(entry, judged.kind, judged.why)


def voucher_taken(sheet: Sheet, entry: VoucherTaken) -> None:
    """Take a voucher in, after its giver's signature and all that is known of its number."""
    number = pass_id(entry.from_hub, entry.from_epoch, entry.from_seq)
    rows = {key: row for key, row in sheet.passing.now.items() if key.pass_id == number}
    giver = places.hub(sheet.tx, sheet.tenant_id, entry.from_hub)
    signed: SignedVoucher | None = None
    if giver is not None and sheet.read_voucher is not None:
        signed = sheet.read_voucher(entry.from_hub, entry.voucher)
    verdict = judge_voucher(
        entry, sheet.writer.hub_id, signed, rows,
        giver_closed=giver is not None and giver.closed_ms is not None, taker_closed=sheet.writer.closed,
    )  # fmt: skip
    beyond = beyond_giver(sheet, entry) if verdict.verdict == "taken" and not rows else ""
    if beyond:  # told, and no more: an honest giver that is not heard yet can look like this
        sheet.findings.append(Finding("giver_beyond", f"entry {entry.header.seq}: {beyond}", entry.from_hub))
    _take_in(sheet, entry, verdict, number, sheet.writer.hub_id, entry.from_hub)


def slip_taken(sheet: Sheet, entry: SlipTaken) -> None:
    """Take a slip in, once."""
    rows = {key: row for key, row in sheet.passing.now.items() if key.pass_id == entry.slip_id}
    verdict = judge_slip(entry, sheet.writer.hub_id, rows, taker_closed=sheet.writer.closed)
    to_hub = b"" if verdict.verdict in {"taken", "rest"} else sheet.writer.hub_id
    _take_in(sheet, entry, verdict, entry.slip_id, to_hub, sheet.writer.hub_id)


def _give_back(sheet: Sheet, entry: Entry, account_id: bytes | None, parts: Iterable[Part]) -> None:
    for key, amount in sheet.leased(account_id, parts):
        row = sheet.leases.get(key)
        sheet.move(key, give_back(row, amount) if amount >= 0 else spend(row, -amount), entry)


def _take_in(
    sheet: Sheet, entry: VoucherTaken | SlipTaken, verdict: Judgement, number: bytes, to_hub: bytes, at_risk: bytes
) -> None:
    if verdict.why:
        text = f"entry {entry.header.seq}: {verdict.why}"
        sheet.findings.append(Finding(verdict.kind, text, verdict.blamed))
    facts = {lot.lot: lot for lot in entry.lots}
    for part in entry.parts:
        key, lot = sheet.lease_of(entry.account_id, part), LotKey(entry.account_id, part.unit, part.lot)
        way = PassKey(number, to_hub, part.unit, part.lot)
        amount = _taken_of(sheet, way, part.amount, verdict)
        if amount < part.amount:
            sheet.post(Kind.LEASE, key, part.amount - amount)
            sheet.post(Kind.PASSING, key, amount - part.amount)
        if not amount:
            continue
        sheet.leases.now[key] = arrive(sheet.leases.get(key), amount)
        if lot not in sheet.lots.now and part.lot in facts:
            sheet.lots.now[lot] = LotRow.of(facts[part.lot])
        _note_taken(sheet, way, entry, amount, verdict, at_risk)


def _taken_of(sheet: Sheet, way: PassKey, amount: int, verdict: Judgement) -> int:
    """Return by how much a lease rises for one lot of a voucher or slip."""
    match verdict.verdict:
        case "taken" | "risked":
            return amount
        case "rest":
            row = sheet.passing.now.get(way)
            return min(amount, max(row.waiting, 0)) if row is not None else 0
        case "refused":
            return 0


def _note_taken(
    sheet: Sheet, way: PassKey, entry: VoucherTaken | SlipTaken, amount: int, verdict: Judgement, at_risk: bytes
) -> None:
    giver = entry.from_hub if isinstance(entry, VoucherTaken) else sheet.tenant_id
    row = sheet.passing.now.get(way, PassRow(entry.account_id, giver))
    if verdict.verdict != "risked":
        row = replace(row, taken=row.taken + amount)
    else:
        row = replace(row, risked=row.risked + amount)
        key = LeaseKey(entry.account_id, way.unit, at_risk, 0, way.lot)
        sheet.post(Kind.PASSING, key, -amount)
        sheet.post(Kind.OVERCLAIM, key, amount)
        sheet.cover(key, amount)
    sheet.passing.now[way] = replace(row, taken_ms=sheet.now_ms, taker=sheet.writer.hub_id)


HUB_STEPS: Final[dict[type, Callable[[Sheet, Any], None]]] = {
    Held: held, Increased: held, Voided: given_back, Expired: given_back, Refunded: given_back, Captured: captured,
    LeaseTaken: lease_taken, LeaseReturned: returned, LeasePassed: passed, PaidOutHere: paid_out_here,
    DepositTaken: set_aside, TipGiven: set_aside, DepositReturned: deposit_returned,
    BroughtIn: brought_in, CardSold: card_sold, VoucherTaken: voucher_taken, SlipTaken: slip_taken,
}  # fmt: skip
"""What is done for each entry a hub writes; an entry that is not here moves no guest's money."""
