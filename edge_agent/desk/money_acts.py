"""What acts of staff move at a counter: money taken in and paid out, prizes, boxes counted."""

from typing import Final, assert_never

from edge_agent.desk.acts import Moved, Refused
from edge_agent.ledger import boxes, leases, lots_made
from edge_agent.ledger.boxes import Box
from edge_agent.staff_messages import StaffActed
from edge_agent.step.draft import Draft, Spot
from edge_agent.takings import coins, intake, lease_keeper
from edge_agent.takings.intake import Intake, bring_in
from edge_agent.tap import blocks
from payment_core.credential import ListRow
from payment_core.desk import LARGEST_ACT, ClaimCredit, CountBox, PayOut, TakeWon, TopUp
from payment_core.identifiers import is_short_id
from payment_core.journal import Actor, BoxCounted, PaidOutHere, Part, Source, Tender
from payment_core.lease import LeaseStep

SAFE: Final = "safe"


def carry_out(draft: Draft, act: TopUp | TakeWon | ClaimCredit | PayOut | CountBox, fact: StaffActed) -> (
    Moved | Refused
):
    """Do what is asked with money."""
    match act:
        case TopUp():
            return top_up(draft, act, fact)
        case TakeWon():
            return take_won(draft, act, fact)
        case ClaimCredit():
            return claim_credit(draft, act, fact)
        case PayOut():
            return pay_out(draft, act, fact)
        case CountBox():
            return count_box(draft, act, fact.staff)
        case _:
            assert_never(act)


def guest(draft: Draft, credential: str) -> ListRow | Refused:
    """Return the card that is to get or give money, or why not."""
    row = blocks.known_row(draft, bytes.fromhex(credential))
    if row is None:
        return Refused("unknown_card")
    return Refused("card_blocked") if row.status != "active" else row


def top_up(draft: Draft, act: TopUp, fact: StaffActed) -> Moved | Refused:
    """Turn cash at a counter into the guest's money, with what is given for it."""
    currency = draft.site.currency
    card = guest(draft, act.credential)
    if isinstance(card, Refused):
        return card
    if not currency or act.unit not in ("", currency):
        return Refused("unit")
    if not (1 <= act.amount <= LARGEST_ACT and is_short_id(act.place)):
        return Refused("malformed")
    if act.amount > min(intake.room(draft), lease_keeper.room(draft)):
        return Refused("intake_limit")
    gift = draft.site.staff.gift_of(act.amount)
    what = Intake(
        card.account_id, currency, act.amount, Source.DRAWER, act.place, fact.request_id, gift, fact.staff
    )
    bring_in(draft, what)
    return Moved(act.amount, currency)


def take_won(draft: Draft, act: TakeWon, fact: StaffActed) -> Moved | Refused:
    """Write tickets that were counted by hand to a guest's account, so many a day; never money (BUS-4)."""
    card = guest(draft, act.credential)
    if isinstance(card, Refused):
        return card
    if act.unit not in draft.site.staff.won_units or act.unit == draft.site.currency:
        return Refused("unit")
    if not (1 <= act.amount <= LARGEST_ACT and is_short_id(act.place)):
        return Refused("malformed")
    if not coins.may_claim(draft, card.account_id, act.unit, act.amount):
        return Refused("credit_to_account")
    what = Intake(
        card.account_id, act.unit, act.amount, Source.WON, act.place, fact.request_id, None, fact.staff
    )
    bring_in(draft, what)
    coins.note_claim(draft, card.account_id, act.unit, act.amount)
    return Moved(act.amount, act.unit)


def claim_credit(draft: Draft, act: ClaimCredit, fact: StaffActed) -> Moved | Refused:
    """Move what lies at a lane to a guest's account: off unless the staff document allows so much a day (BUS-4)."""
    card, lane = guest(draft, act.credential), draft.site.lanes.get(act.lane)
    if isinstance(card, Refused):
        return card
    if lane is None:
        return Refused("unknown_lane")
    unit = act.unit or draft.site.currency
    amount = coins.lying_at(draft, lane, unit)
    if not amount:
        return Refused("nothing_left")
    if not coins.may_claim(draft, card.account_id, unit, amount):
        return Refused("credit_to_account")
    coins.claim(draft, lane, card.account_id, unit, amount, intake_id=fact.request_id, staff=fact.staff)
    return Moved(amount, unit)


def pay_out(draft: Draft, act: PayOut, fact: StaffActed) -> Moved | Refused:
    """Pay out in cash what was brought in at this hub in cash and is not spent; gifts and prizes never."""
    card, currency = guest(draft, act.credential), draft.site.currency
    if isinstance(card, Refused):
        return card
    if not (act.amount >= 1 and is_short_id(act.place)):
        return Refused("malformed")
    parts = _collected(draft, card.account_id, act.amount)
    if sum(part.amount for part in parts) < act.amount:
        return Refused("not_collected_here")
    header = draft.header(Spot(Actor.STAFF, Tender.CASH))
    draft.journal(PaidOutHere(1, header, card.account_id, parts, act.place, fact.request_id, fact.staff, act.note))
    leases.move_parts(draft.store, card.account_id, parts, LeaseStep.PAY_OUT)
    for part in parts:
        lots_made.pay_out(draft.store, part)
    boxes.add(draft.store, Box(act.place, "drawer", currency, -act.amount))
    return Moved(act.amount, currency)


def _collected(draft: Draft, account_id: bytes, amount: int) -> tuple[Part, ...]:
    """Return parts up to `amount` of lots that were paid for in cash here, the newest first.

    Of a lot at most what was paid in for it here and not paid out again, whatever a neighbour says is in it.

    A lot that came with a gift is not paid out here: what of the gift is to go is for the office to work out.
    """
    made = lots_made.payable(draft.store, account_id, draft.site.currency)
    parts: list[Part] = []
    for row in sorted(leases.of_account(draft.store, account_id), key=lambda row: row.lease.lot, reverse=True):
        take = min(amount, row.lease.allowance, made.get(row.lease.lot, 0))
        if take:
            made[row.lease.lot] -= take
            parts.append(Part(row.lease.unit, take, row.lease.epoch, row.lease.lot))
            amount -= take
    return tuple(parts)


def count_box(draft: Draft, act: CountBox, staff: str) -> Moved | Refused:
    """Book what was counted in a box against what should lie in it; the difference is over or short."""
    unit = act.unit or draft.site.currency
    if not (is_short_id(act.box) and is_short_id(act.place)) or act.box == act.place:
        return Refused("malformed")
    booked = boxes.booked(draft.store, act.box, act.kind, unit)
    header = draft.header(Spot(Actor.STAFF, Tender.CASH))
    draft.journal(BoxCounted(1, header, act.box, act.kind, unit, act.counted, booked, act.place, staff))
    boxes.add(draft.store, Box(act.box, act.kind, unit, -booked))
    if act.place != SAFE:
        boxes.add(draft.store, Box(act.place, "drawer", unit, act.counted))
    return Moved(act.counted - booked, unit)
