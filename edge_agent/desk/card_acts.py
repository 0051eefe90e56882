"""Cards at a counter: sold, replaced, blocked. Ids made here are as good as the office's."""

from typing import assert_never

import msgspec

from edge_agent.desk.acts import Moved, Refused
from edge_agent.ledger import boxes, office_facts, replacements, since_receipt
from edge_agent.ledger.boxes import Box
from edge_agent.step.draft import Draft, Spot
from edge_agent.takings import intake
from edge_agent.tap.blocks import NOBODY, block, known_row, tell_card
from payment_core.credential import ListRow
from payment_core.desk import BlockCard, ReplaceCard, SellCard
from payment_core.identifiers import is_short_id
from payment_core.journal import Actor, CardSold, CredentialReplaced, Tender


def carry_out(draft: Draft, act: SellCard | ReplaceCard | BlockCard, staff: str) -> Moved | Refused:
    """Do what is asked with a card."""
    match act:
        case SellCard():
            return _sell(draft, act, staff)
        case ReplaceCard():
            return _replace(draft, act, staff)
        case BlockCard():
            return _block(draft, act, staff)
        case _:
            assert_never(act)


def _spot(tender: Tender = Tender.NONE) -> Spot:
    return Spot(Actor.STAFF, tender)


def _sell(draft: Draft, act: SellCard, staff: str) -> Moved | Refused:
    """Make an account and its card here; the office hears of both with the entry.

    Class C alone is sold here: what may play on a floor, without money, is for the office to hand out.
    """
    credential_id, unit = bytes.fromhex(act.credential), draft.site.currency
    if known_row(draft, credential_id) is not None:
        return Refused("known_card")
    if act.class_ != "C" or not unit or not is_short_id(act.place):
        return Refused("malformed")
    if act.deposit and act.deposit > intake.room(draft):
        return Refused("intake_limit")
    account_id = draft.new_id()
    header = draft.header(_spot(Tender.CASH))
    draft.journal(
        CardSold(1, header, credential_id, account_id, act.class_, act.media, unit, act.deposit, act.place, staff)
    )
    tell_card(draft, ListRow(credential_id, account_id, act.class_, "active", 0), seq=header.seq)
    if act.deposit:
        boxes.add(draft.store, Box(act.place, "drawer", unit, act.deposit))
        since_receipt.note_brought_in(draft.store, act.deposit, seq=header.seq)
    return Moved(act.deposit, unit)


def _replace(draft: Draft, act: ReplaceCard, staff: str) -> Moved | Refused:
    """Let an account go on under another card: the old one is lost from now on, the new one has a life more.

    Its limits, places and rights go with it, and what was used of it today: a replacement is no way around them.
    """
    old_id, new_id = bytes.fromhex(act.old), bytes.fromhex(act.new)
    old = known_row(draft, old_id)
    if old is None or old.account_id == NOBODY:
        return Refused("unknown_card")
    if known_row(draft, new_id) is not None:
        return Refused("known_card")
    if (why := _may_not_replace(draft, old, act)) is not None:
        return Refused(why)
    row = msgspec.structs.replace(
        old, credential_id=new_id, class_=act.class_, status="active", token_key=b"", life=old.life + 1
    )
    header = draft.header(_spot())
    draft.journal(
        CredentialReplaced(1, header, old_id, new_id, old.account_id, act.class_, act.media, row.life, staff)
    )
    replacements.note(draft.store, old_id, new_id)
    replacements.carry_use(draft.store, old.account_id, old_id, new_id)
    tell_card(draft, row, seq=header.seq)
    block(draft, credential_id=old_id, status="lost", staff=staff, note=act.note)
    return Moved()


def _may_not_replace(draft: Draft, old: ListRow, act: ReplaceCard) -> str | None:
    """Say why a card goes on under no other: only one that is good, or that staff marked as lost, is replaced here."""
    listed = office_facts.list_row(draft.store, old.credential_id)
    if replacements.is_replaced(draft.store, old.credential_id):
        return "already_replaced"
    if old.status == "blocked" or (listed is not None and listed.status != "active"):
        return "card_blocked"
    if act.class_ == "A" or act.class_ < old.class_:  # its key lies at the office; A proves more than B, B than C
        return "class_too_high"
    return None


def _block(draft: Draft, act: BlockCard, staff: str) -> Moved | Refused:
    """Take a card out of use here and at every neighbour, also one that nobody here knows yet."""
    block(draft, credential_id=bytes.fromhex(act.credential), status=act.status, staff=staff, note=act.note)
    return Moved()
