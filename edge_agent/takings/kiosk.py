"""A lane where coins and notes become money on an account: the card first, then the cash, within a minute."""

from typing import Final

import msgspec

from edge_agent.messages import FromDevice, Log, Show
from edge_agent.play import doubts
from edge_agent.step.draft import Draft
from edge_agent.step.site import Player
from edge_agent.step.views import view_of
from edge_agent.takings import intake, lease_keeper
from edge_agent.takings.intake import Intake
from edge_agent.tap import blocks
from edge_agent.tap.tap_proof import known_id, prove
from edge_agent.tap.taps import take_once
from payment_core.events import CredentialPresented
from payment_core.journal import Source
from payment_core.policy import Lane

OPEN_MS: Final = 60_000
"""How long cash goes to the card shown last; each coin or note begins it anew."""


def presented(draft: Draft, fact: FromDevice, body: CredentialPresented) -> bool:
    """Take a card at such a lane; False: the lane sells plays."""
    lane = draft.site.lane_of_device.get(fact.device)
    if lane is None or lane.takes != "account":
        return False
    if not take_once(draft, fact):
        return True
    draft.site.depositors.pop(lane.id, None)
    credential_id = known_id(draft, body)
    row = blocks.known_row(draft, credential_id)
    proof = prove(draft, row, credential_id, body)
    if row is None or row.status != "active" or proof == "refused":
        reason = "unknown_card" if row is None else "card_not_proven" if proof == "refused" else f"card_{row.status}"
        draft.effect(Show(lane.id, view_of(draft, lane, "declined", None, reason=reason)))
        return True
    draft.site.depositors[lane.id] = Player(row.account_id, draft.now.boottime_ms)
    _show(draft, lane, row.account_id)
    return True


def took(draft: Draft, lane: Lane, amount: int) -> bool:
    """Book cash for the card shown last; False: it is credit of the lane, which staff can give to who shows a card."""
    guest = draft.site.depositors.get(lane.id)
    if lane.takes != "account" or guest is None or draft.now.boottime_ms - guest.at_ms > OPEN_MS:
        return False
    if draft.site.frozen or amount > min(intake.room(draft), lease_keeper.room(draft)):
        draft.effect(Log("intake.limit", {"lane": lane.id, "amount": amount}))
        return False
    what = Intake(guest.account_id, draft.site.currency, amount, Source.CASH_BOX, lane.machine, draft.new_id())
    intake.bring_in(draft, what, lane=lane)
    draft.site.depositors[lane.id] = Player(guest.account_id, draft.now.boottime_ms)
    _show(draft, lane, guest.account_id)
    return True


def _show(draft: Draft, lane: Lane, account_id: bytes) -> None:
    """Show what the account has here; the lane has no price."""
    balance = doubts.balance(draft, account_id).get(draft.site.currency, 0)
    view = view_of(draft, lane, "idle", None)
    draft.effect(Show(lane.id, msgspec.structs.replace(view, balance_before=balance, balance_after=balance)))
