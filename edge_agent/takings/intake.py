"""Value that a guest brings in at this hub: it is his lease here at once, and counts towards the hub's cap (T_h)."""

from typing import Final

import msgspec

from edge_agent.ledger import boxes, leases, lots_made, since_receipt
from edge_agent.ledger.boxes import Box
from edge_agent.ledger.leases import LeasePlace
from edge_agent.step.draft import Draft, Spot
from payment_core.identifiers import uuid_text
from payment_core.journal import Actor, BroughtIn, Lot, LotKind, Part, Source, Tender
from payment_core.lease import LeaseStep
from payment_core.policy import Lane
from payment_core.staff_policy import TopUpGift

CHANNEL: Final = "cash"
"""The channel of lots that were paid for at a hub."""


class Intake(msgspec.Struct, frozen=True):
    """What is brought in. `place`: the drawer, machine or lane; `intake_id`: 16 bytes, one for each intake."""

    account_id: bytes
    unit: str
    amount: int
    source: Source
    place: str
    intake_id: bytes
    gift: TopUpGift | None = None
    staff: str = ""


def room(draft: Draft) -> int:
    """Return how much more money this hub may take in before its next receipt (T_h)."""
    return max(draft.site.risk.top_up_cap - since_receipt.brought_in(draft.store), 0)


def bring_in(draft: Draft, intake: Intake, *, lane: Lane | None = None) -> BroughtIn:
    """Book it, with what is given for it; the caller has looked at the cap and at the guest's card."""
    kind = LotKind.WON if intake.source in (Source.WON, Source.KEPT_TICKETS) else LotKind.PAID
    lot = Lot(draft.new_id(), kind, draft.now.wall_ms, None, CHANNEL, uuid_text(intake.intake_id))
    epoch = draft.site.epoch
    parts = (Part(intake.unit, intake.amount, epoch, lot.lot),)
    lots, gifts = [lot], list[Part]()
    if intake.gift is not None:
        gift_lot = _gift_lot(draft, lot, intake.gift)
        lots.append(gift_lot)
        gifts.append(Part(intake.gift.unit, intake.gift.amount, epoch, gift_lot.lot))
    spot = Spot(Actor.STAFF if intake.staff else Actor.GUEST, Tender.CASH, lane)
    header = draft.header(spot)
    entry = BroughtIn(
        1, header, intake.account_id, parts, intake.source, intake.place, intake.intake_id, tuple(lots), tuple(gifts),
        intake.staff,
    )  # fmt: skip
    draft.journal(entry)
    for part, its_lot in zip((*parts, *gifts), lots, strict=True):
        place = LeasePlace(intake.account_id, part.unit, epoch, its_lot)
        leases.add_to(draft.store, place, part.amount, LeaseStep.BRING_IN, now_ms=draft.now.wall_ms)
        lots_made.note(draft.store, intake.account_id, part, gift_of=b"" if its_lot is lot else lot.lot)
    _count(draft, intake, header.seq)
    return entry


def _gift_lot(draft: Draft, paid: Lot, gift: TopUpGift) -> Lot:
    expires_ms = None if gift.life_ms is None else draft.now.wall_ms + gift.life_ms
    return Lot(draft.new_id(), LotKind.GIFT, draft.now.wall_ms, expires_ms, paid.channel, paid.payment_id)


def _count(draft: Draft, intake: Intake, seq: int) -> None:
    """Count it where it lies; coins of a lane were counted when they fell, and tickets are no money."""
    if intake.source is Source.DRAWER:
        boxes.add(draft.store, Box(intake.place, "drawer", intake.unit, intake.amount))
    elif intake.source is Source.CASH_BOX:
        boxes.add(draft.store, Box(intake.place, "cash_box", intake.unit, intake.amount))
    if intake.source in (Source.DRAWER, Source.CASH_BOX):
        since_receipt.note_brought_in(draft.store, intake.amount, seq=seq)
