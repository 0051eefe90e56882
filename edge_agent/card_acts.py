"""Cards at a counter: sold, replaced, blocked. Ids made here are as good as the office's."""

from typing import assert_never

from edge_agent.acts import Moved, Refused
from edge_agent.blocks import NOBODY, block, known_row, tell_card
from edge_agent.draft import Draft, Spot
from edge_agent.ledger import boxes
from edge_agent.ledger.boxes import Box
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

    Class A is never sold here: its key lies at the office.
    """
    credential_id, unit = bytes.fromhex(act.credential), draft.site.currency
    if known_row(draft, credential_id) is not None:
        return Refused("known_card")
    if act.class_ == "A" or not unit or not is_short_id(act.place):
        return Refused("malformed")
    account_id = draft.new_id()
    header = draft.header(_spot(Tender.CASH))
    draft.journal(
        CardSold(1, header, credential_id, account_id, act.class_, act.media, unit, act.deposit, act.place, staff)
    )
    tell_card(draft, ListRow(credential_id, account_id, act.class_, "active", 0), seq=header.seq)
    if act.deposit:
        boxes.add(draft.store, Box(act.place, "drawer", unit, act.deposit))
    return Moved(act.deposit, unit)


def _replace(draft: Draft, act: ReplaceCard, staff: str) -> Moved | Refused:
    """Let an account go on under another card: the old one is lost from now on, the new one has a life more."""
    old_id, new_id = bytes.fromhex(act.old), bytes.fromhex(act.new)
    old, new = known_row(draft, old_id), known_row(draft, new_id)
    if old is None or old.account_id == NOBODY:
        return Refused("unknown_card")
    if new is not None:
        return Refused("known_card")
    if act.class_ == "A":
        return Refused("malformed")
    life = old.life + 1
    header = draft.header(_spot())
    draft.journal(
        CredentialReplaced(1, header, old_id, new_id, old.account_id, act.class_, act.media, life, staff)
    )
    row = ListRow(
        new_id, old.account_id, act.class_, "active", old.version, old.tier, old.age_band, old.masked_name,
        old.language, old.tap_limit, old.day_limit, old.valid_until_ms, life=life,
    )  # fmt: skip
    tell_card(draft, row, seq=header.seq)
    block(draft, credential_id=old_id, status="lost", staff=staff, note=act.note)
    return Moved()


def _block(draft: Draft, act: BlockCard, staff: str) -> Moved | Refused:
    """Take a card out of use here and at every neighbour, also one that nobody here knows yet."""
    block(draft, credential_id=bytes.fromhex(act.credential), status=act.status, staff=staff, note=act.note)
    return Moved()
