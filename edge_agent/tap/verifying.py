"""Second factors by a module (finger, face): asked for a refused tap, by one question that one match answers once.

A face counts only so: one person was asked for, and it is he. A match of the tap's own account is its second factor,
and the tap is decided again by itself; its event is then the match.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from edge_agent.ledger import authorizations, cache
from edge_agent.messages import Answered, FromDevice, Log, Send, Show
from edge_agent.step.draft import Draft
from edge_agent.step.step_up import Factor, Intent
from edge_agent.step.views import view_of
from edge_agent.tap.blocks import matched_ones
from edge_agent.tap.tap_facts import Tap
from edge_agent.tap.tap_proof import known_id
from payment_core.authorization import State
from payment_core.commands import Verify, make_command
from payment_core.events import WISH_LIFE_MS, CredentialPresented
from payment_core.identifiers import uuid_text
from payment_core.policy import Lane

VERIFY_S: Final = 10
"""How long a module looks for the guest; he stands in front of it."""
ON_THE_WAY_MS: Final = WISH_LIFE_MS
"""What a match may take from the module to here."""
Shown = Literal["show_finger", "show_face", "not_confirmed"]
"""What a lane's page says of its module instead of a refusal's reason: what it waits for, or that it waited in vain."""
_ASKS: Final[Mapping[str, Shown]] = MappingProxyType({"enroll:finger": "show_finger", "enroll:face": "show_face"})
NOTHING: Final = b""
"""The mark of an event that got no answer of its own."""


def verifies(draft: Draft, device: str) -> bool:
    """Say whether a device looks for people when it is asked."""
    birth = draft.site.births.get(device)
    return birth is not None and Verify.__name__ in birth.capabilities


def ask(draft: Draft, lane: Lane, tap: Tap) -> Shown | None:
    """Ask the lane's module for the person behind a tap that was refused for want of a second factor.

    Return what the guest is to do, where that is known; None: nobody was asked, or of a module that says no media.
    Whom no module ever learned is not sent to one: he could wait there for ever.
    """
    device = lane.step_up_reader
    if tap.row is None or not verifies(draft, device) or not draft.site.ready(device):
        return None
    if not matched_ones(draft, tap.row.account_id):
        return None
    name, now_ms = uuid_text(draft.new_id()), draft.now.boottime_ms
    until_ms = now_ms + VERIFY_S * 1_000 + ON_THE_WAY_MS
    intent = Intent(device, lane.id, tap.row.account_id, tap.credential_id, tap.proof, tap.token_counter, until_ms)
    draft.site.step_ups.ask(name, intent)
    birth = draft.site.births[device]
    ttl_ms = VERIFY_S * 1_000
    command = make_command(Verify(VERIFY_S), command_id=name, seq=0, boot_id=birth.boot_id, ttl_ms=ttl_ms)
    draft.effect(Send(device, command))
    return next((_ASKS[one] for one in birth.capabilities if one in _ASKS), None)


def concerns(draft: Draft, fact: FromDevice, body: CredentialPresented) -> bool:
    """Say whether what was presented may only be an answer to such a question: never a tap by itself.

    That is every face, every match with an intent, and what a module shows that only stands for second factors.
    """
    if body.intent or body.media == "face":
        return True
    second_only = fact.device in draft.site.lanes_of_step_up and fact.device not in draft.site.lane_of_device
    return second_only and verifies(draft, fact.device)


def presented(draft: Draft, fact: FromDevice, body: CredentialPresented) -> Tap | None:
    """Take a match; return the refused tap, to be decided again, where it is its second factor."""
    site, now_ms, event = draft.site, draft.now.boottime_ms, fact.event
    mark = authorizations.wish_mark(draft.store, fact.device, event.epoch)
    age_ms = event.age_ms + max(now_ms - fact.received_ms, 0)
    if age_ms > WISH_LIFE_MS or (mark is not None and event.seq <= mark.seq):
        draft.effect(Log("verify.stale", {"reader": fact.device}))
        return None
    authorizations.mark_wish(draft.store, fact.device, event.epoch, event.seq, NOTHING)
    intent = site.step_ups.take(body.intent, fact.device, now_ms=now_ms)
    lane = site.lanes.get(intent.lane) if intent else None
    if intent is None or lane is None:
        draft.effect(Log("verify.not_asked", {"reader": fact.device}))
        return None
    credential = known_id(draft, body)
    row = cache.card(draft.store, credential)
    if row is None or row.status != "active" or row.class_ != "B" or row.account_id != intent.account_id:
        draft.effect(Log("step_up.refused", {"reader": fact.device}))
        _not_confirmed(draft, lane, intent)
        return None
    site.step_ups.note(lane.id, intent.account_id, Factor(credential, row.class_, now_ms))
    return Tap(
        fact.device, event.epoch, event.seq, lane, intent.credential_id,
        cache.card(draft.store, intent.credential_id), intent.proof, now_ms + site.risk.ask_ms, intent.token_counter,
    )  # fmt: skip


def has_answered(draft: Draft, fact: Answered) -> bool:
    """Take what a module says of a question: with a match the question is over already, without one it is now."""
    if fact.result.outcome == "done":
        return draft.site.step_ups.is_known(fact.result.id, fact.device)
    intent = draft.site.step_ups.take(fact.result.id, fact.device, now_ms=draft.now.boottime_ms)
    lane = draft.site.lanes.get(intent.lane) if intent else None
    if intent is not None and lane is not None:
        _not_confirmed(draft, lane, intent)
    return draft.site.step_ups.close(fact.result.id, fact.device)


def _is_playing(draft: Draft, lane: Lane) -> bool:
    return any(row.lane == lane.id and row.state is not State.IN_DOUBT for row in draft.open_ones())


def _not_confirmed(draft: Draft, lane: Lane, intent: Intent) -> None:
    """Tell the guest that the question is over: nobody looks for him any more until he taps again.

    Where somebody else plays or chooses by now, the page is his.
    """
    if lane.id in draft.site.vending.lanes or _is_playing(draft, lane):
        return
    reason: Shown = "not_confirmed"
    row = cache.card(draft.store, intent.credential_id)
    view = view_of(draft, lane, "declined", None, reason=reason)
    draft.effect(Show(lane.id, msgspec.structs.replace(view, language=row.language if row else "")))
