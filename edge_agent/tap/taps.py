"""A tap at a lane: answered once, a bounce is no second sale, a second factor is no sale at all; then decided."""

from typing import Final

import msgspec

from edge_agent.ledger import authorizations, cache, office_facts
from edge_agent.ledger.authorizations import AuthorizationRow, WishMark
from edge_agent.messages import AskLease, FromDevice, Log, Show
from edge_agent.step.draft import Draft
from edge_agent.step.step_up import ANYBODY, Factor
from edge_agent.step.views import idle_view, view_of
from edge_agent.tap import vending
from edge_agent.tap.tap_facts import Tap, look_up
from edge_agent.tap.tap_hold import decline, hold
from edge_agent.tap.tap_proof import known_id, prove
from payment_core.authorization import State
from payment_core.bus import ViewState
from payment_core.decision import Approved, Decision, Declined, decide
from payment_core.events import WISH_LIFE_MS, CredentialPresented
from payment_core.member_code import HOLD_MS, MEDIA
from payment_core.money import Money
from payment_core.policy import Lane

__all__ = ["NO_ANSWER", "Tap", "answer_tap", "read_tap", "take_once", "with_fresh_row"]

NO_ANSWER: Final = b""
"""The mark of an event that was answered with nothing of its own: its card waits for money, or was a second factor."""


def read_tap(draft: Draft, fact: FromDevice, body: CredentialPresented) -> Tap | None:
    """Return the tap behind an event, or None where it is stale, repeated or a bounce (and then answered here)."""
    event, now = fact.event, draft.now
    age_ms = event.age_ms + max(now.boottime_ms - fact.received_ms, 0)
    if age_ms > WISH_LIFE_MS:
        draft.effect(Log("tap.stale", {"reader": fact.device, "age_ms": age_ms}))
        return None
    lane = draft.site.lane_of_device.get(fact.device)
    mark = authorizations.wish_mark(draft.store, fact.device, event.epoch)
    if mark is not None and event.seq <= mark.seq:
        _answer_again(draft, fact, lane, mark)
        return None
    credential_id = known_id(draft, body)
    held_ms = HOLD_MS if body.media == MEDIA else 0
    latest = _bounced_from(draft, lane, mark, credential_id, held_ms=held_ms) if mark else None
    if latest is not None:
        authorizations.mark_wish(draft.store, fact.device, event.epoch, event.seq, latest.id)
        _show(draft, lane, "repeated", latest)
        return None
    row = cache.card(draft.store, credential_id)
    proof = prove(draft, row, credential_id, body)
    deadline_ms = now.boottime_ms + draft.site.risk.ask_ms
    counter = office_facts.token_counter(draft.store, credential_id) if proof == "proven" else None
    return Tap(fact.device, event.epoch, event.seq, lane, credential_id, row, proof, deadline_ms, counter)


def take_once(draft: Draft, fact: FromDevice) -> bool:
    """Take the event of a card that is to sell nothing; False: it comes too late, or again."""
    event = fact.event
    mark = authorizations.wish_mark(draft.store, fact.device, event.epoch)
    age_ms = event.age_ms + max(draft.now.boottime_ms - fact.received_ms, 0)
    if age_ms > WISH_LIFE_MS or (mark is not None and event.seq <= mark.seq):
        draft.effect(Log("desk.stale_card", {"reader": fact.device}))
        return False
    authorizations.mark_wish(draft.store, fact.device, event.epoch, event.seq, NO_ANSWER)
    return True


def with_fresh_row(draft: Draft, tap: Tap, *, office_answered: bool) -> Tap:
    """Return a tap that waited, with what the list says now: its card may have been blocked meanwhile."""
    row = cache.card(draft.store, tap.credential_id)
    return msgspec.structs.replace(tap, row=row, office_answered=office_answered)


def _bounced_from(
    draft: Draft, lane: Lane | None, mark: WishMark, credential_id: bytes, *, held_ms: int
) -> AuthorizationRow | None:
    """Return the sale just made at this reader to this very card: what it says now is its bounce.

    By the clock that does not jump where the sale is of this run, else by the wall's. `held_ms`: a phone held still
    shows one code after the other; each so soon after the last is the same tap.
    """
    now, sold = draft.now, draft.site.sold.get(mark.answer)
    own_ms = lane.repeat_after_ms if lane else None
    repeat_ms = max(draft.site.risk.repeat_after_ms if own_ms is None else own_ms, held_ms)
    if sold is not None:
        bounced = 0 <= now.boottime_ms - sold.at_ms < repeat_ms and sold.credential_id == credential_id
        if bounced and held_ms:
            draft.site.sold[mark.answer] = msgspec.structs.replace(sold, at_ms=now.boottime_ms)
        return authorizations.by_id(draft.store, mark.answer) if bounced else None
    latest = authorizations.by_id(draft.store, mark.answer)
    if latest is None or latest.state is State.DECLINED or not 0 <= now.wall_ms - latest.at_ms < repeat_ms:
        return None
    return latest if draft.load(latest).credential_id == credential_id else None


def is_good(tap: Tap) -> bool:
    """Say whether more than a bare number was shown, and it may be used: then it can stand for somebody."""
    row = tap.row
    return row is not None and row.status == "active" and tap.proof != "refused" and row.class_ != "C"


def lanes_of_factor(draft: Draft, tap: Tap) -> tuple[Lane, ...]:
    """Return the lanes where a tap is no sale but a second factor: by its reader, or by staff where a tap waits."""
    site = draft.site
    lanes = site.lanes_of_step_up.get(tap.reader, ())
    if lanes or tap.lane is None or tap.credential_id not in site.staff_cards or not is_good(tap):
        return lanes
    wanted = site.step_ups.is_wanted(tap.lane.id, now_ms=draft.now.boottime_ms, life_ms=site.risk.step_up_life_ms)
    return (tap.lane,) if wanted else ()


def take_factor(draft: Draft, tap: Tap) -> bool:
    """Take a second factor; False: it is a tap of its own."""
    site, row, now_ms = draft.site, tap.row, draft.now.boottime_ms
    lanes, good = lanes_of_factor(draft, tap), is_good(tap)
    if not lanes:
        return False
    authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, NO_ANSWER)
    for lane in lanes if good else ():
        assert row is not None
        account_id = ANYBODY if tap.credential_id in site.staff_cards else row.account_id
        site.step_ups.note(lane.id, account_id, Factor(tap.credential_id, row.class_, now_ms))
        draft.effect(Show(lane.id, idle_view(draft, lane)))
    if not good:
        draft.effect(Log("step_up.refused", {"reader": tap.reader}))
    return True


def answer_tap(draft: Draft, tap: Tap, *, may_ask: bool) -> bool:
    """Decide a tap and write it down. False: money may be elsewhere; the caller asks and comes back with it."""
    if not vending.is_asked(draft, tap):
        vending.too_late(draft, tap)
        return True
    case = look_up(draft, tap)
    decision = decide(case.facts)
    if may_ask and _may_be_elsewhere(decision, tap):
        return False
    vending.decided(draft, tap, approved=isinstance(decision, Approved))
    match decision:
        case Approved() if tap.vend is not None and tap.vend.begins:
            vending.begin(draft, case, decision)
        case Approved():
            hold(draft, case, decision)
        case Declined():
            if _may_be_elsewhere(decision, tap) and tap.row is not None and not tap.office_answered:
                draft.effect(AskLease(tap.row.account_id))  # for the next tap
            decline(draft, case, decision)
    return True


def _may_be_elsewhere(decision: Decision, tap: Tap) -> bool:
    """Say whether to ask for money first: the guest's own, wherever in the venue, goes before the venue's risk."""
    match decision:
        case Approved():
            return decision.by_floor
        case Declined():
            return tap.row is not None and decision.reason in ("not_enough", "offline_limit")


def _answer_again(draft: Draft, fact: FromDevice, lane: Lane | None, mark: WishMark) -> None:
    """Show the first result of an event that came again; nothing is charged."""
    event = fact.event
    first = authorizations.recent_answer(draft.store, fact.device, event.epoch, event.seq, now_ms=draft.now.wall_ms)
    if first is None:  # a bounce, which sold nothing, or an answer that is long over
        latest = authorizations.by_id(draft.store, mark.answer)
        if latest is not None:
            _show(draft, lane, "repeated", latest)
        return
    shown: dict[State, ViewState] = {
        State.DECLINED: "declined", State.CAPTURED: "approved", State.REFUNDED: "voided", State.VOIDED: "voided",
        State.EXPIRED: "voided", State.IN_DOUBT: "in_doubt", State.HELD: "held", State.COMMANDED: "held",
    }  # fmt: skip
    _show(draft, lane, shown[first.state], first)


def _show(draft: Draft, lane: Lane | None, state: ViewState, row: AuthorizationRow) -> None:
    if lane is not None:
        first = draft.load(row)
        cost = Money(first.amount, draft.site.currency)
        draft.effect(Show(lane.id, view_of(draft, lane, state, cost, reason=first.reason)))
