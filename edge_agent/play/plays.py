"""From a held authorization to its end: the command, the device's answer, silence, and what the lane shows."""

from typing import Final

import msgspec

from edge_agent.ledger import authorizations, documents, lane_credit, leases, notices
from edge_agent.ledger.authorizations import Authorization, AuthorizationRow
from edge_agent.messages import Answered, Log, Send, Show
from edge_agent.step.draft import Draft, Spot
from edge_agent.step.site import Player, read_document
from edge_agent.step.views import idle_view, view_of
from payment_core.authorization import FINAL, State, Step, advance
from payment_core.bus import ViewState
from payment_core.commands import ApproveVend, CountedBody, Result, counted_body, make_command
from payment_core.identifiers import uuid_text
from payment_core.journal import (
    Actor,
    Captured,
    Cause,
    Commanded,
    Expired,
    Held,
    Increased,
    InDoubt,
    LateEvidence,
    Part,
    Tender,
    Voided,
)
from payment_core.lease import LeaseStep
from payment_core.lots import tax_within
from payment_core.money import Money
from payment_core.pricing import PriceList
from payment_core.recovery import MAY_TELL_LATER, RUNNING, STEP_OF_OUTCOME, can_tell

ASK_AGAIN_MS: Final = 60_000
"""A doubt is asked about again and again: a question or its answer may have been lost."""
EPOCH_SHIFT: Final = 40
"""A command's seq is epoch << 40 | journal seq: it rises for ever, also when a lost ledger opens a new epoch."""


def hold_and_command(draft: Draft, held: Held, spot: Spot, *, credits: int, vend: ApproveVend | None = None) -> None:
    """Write HELD and COMMANDED side by side, and send the command once both are on the disk.

    vend: what a machine asked for, in its own numbers.
    """
    assert spot.lane is not None
    assert spot.authorization_id is not None
    now, device = draft.now, spot.lane.output
    draft.journal(held)
    header = draft.header(spot)
    command_seq = draft.site.epoch << EPOCH_SHIFT | header.seq
    birth = draft.site.births.get(device)
    boot_id = birth.boot_id if birth else ""
    draft.journal(Commanded(1, header, device, command_seq, credits, boot_id))
    told = advance(State.HELD, Step.COMMAND)
    row = AuthorizationRow(
        spot.authorization_id, told, held.reader, held.event_epoch, held.event_seq, now.wall_ms, held.header.seq
    )
    draft.begin(row)
    if held.account_id is not None:
        draft.site.last_player[spot.lane.id] = Player(held.account_id, now.boottime_ms)
    body = vend or _body(draft, device, credits)
    ttl_ms = draft.site.risk.hold_ms
    command = make_command(body, command_id=uuid_text(row.id), seq=command_seq, boot_id=boot_id, ttl_ms=ttl_ms)
    draft.effect(Send(device, command))
    draft.site.wait_for(row.id, now.boottime_ms + draft.site.answer_ms(device))


def _body(draft: Draft, device: str, credits: int) -> CountedBody:
    """Return the command that a device understands. Before it has introduced itself it is only asked (ttl 0).

    A question's body is never acted on: the bridge answers by id and seq.
    """
    birth = draft.site.births.get(device)
    return counted_body(birth.capabilities if birth else (), credits=credits)


def ask(draft: Draft, row: Authorization) -> None:
    """Ask a bridge what became of a command, until it can say; ttl 0 never acts.

    It carries the boot id it was sent with: a bridge that has started since cannot say of it "I certainly did not act".
    """
    body = _body(draft, row.device, row.credits)
    question = make_command(body, command_id=uuid_text(row.id), seq=row.command_seq, boot_id=row.boot_id, ttl_ms=0)
    draft.effect(Send(row.device, question))
    if row.state is not State.COMMANDED:
        draft.site.ask_again(row.id, draft.now.boottime_ms + ASK_AGAIN_MS)


TEST_PLAY: Final = "test"
"""The right under which staff let a machine play at nobody's cost."""


class Why(msgspec.Struct, frozen=True):
    """Why an authorization ends: the cause, and with `STAFF` who says so and what he noted."""

    cause: Cause
    staff: str = ""
    note: str = ""

    @property
    def decided(self) -> bool:
        """Whether somebody decided a doubt, and not the device by its answer."""
        return self.cause in (Cause.STAFF, Cause.POLICY, Cause.READ_BACK)

    @property
    def actor(self) -> Actor:
        """Who made it happen."""
        return {Cause.STAFF: Actor.STAFF, Cause.POLICY: Actor.HUB}.get(self.cause, Actor.DEVICE)


def spot_of(draft: Draft, row: Authorization, actor: Actor) -> Spot:
    """Return the header facts of a step that an authorization takes later."""
    tender = Tender.PURSE if row.account_id is not None else Tender.CASH
    if row.right == TEST_PLAY:
        tender = Tender.TEST
    lane = draft.site.lanes.get(row.lane) if row.lane else None
    return Spot(actor, tender, lane, row.id, row.tax_code, stamp=row.stamp)


def increase(draft: Draft, row: Authorization, parts: tuple[Part, ...]) -> None:
    """Put more aside under an authorization that is still open; the caller has the money's leases spent."""
    header = draft.header(spot_of(draft, row, Actor.GUEST))
    draft.increase(row, seq=header.seq)
    draft.journal(Increased(1, header, parts, row.account_id))


def deliver(draft: Draft, row: Authorization, credits: int, why: Why) -> None:
    """Capture what was delivered; what was not goes back in the same entry. More than was paid for is logged."""
    if credits > row.credits:
        told_of: dict[str, str | int] = {"device": row.device, "credits": credits, "wanted": row.credits}
        draft.effect(Log("authorization.overrun", {"id": uuid_text(row.id), **told_of}))
    earned, released = split_parts(row, credits)
    doubt = row.state is State.IN_DOUBT
    header = draft.header(spot_of(draft, row, why.actor))
    draft.move(row, Step.CONFIRM if why.decided else Step.DELIVER, ended_seq=header.seq)
    taxed = tax_of(draft, row, earned)
    draft.journal(Captured(1, header, earned, row.account_id, why.cause, released, doubt, taxed, why.staff, why.note))
    give_back(draft, row, released, told=not doubt)
    _show_how(draft, row, why, "approved")


def tax_of(draft: Draft, row: Authorization, earned: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the tax that is part of what was earned in the venue's currency."""
    prices = _list_of(draft, row)
    tax = prices.taxes.get(row.tax_code) if prices and row.tax_code else None
    return tax_within(earned, unit=draft.site.currency, tax=tax)


def _list_of(draft: Draft, row: Authorization) -> PriceList | None:
    """Return the price list that a sale began with."""
    if row.stamp is None or row.stamp.version == draft.site.price_version:
        return draft.site.prices
    content = documents.archived(draft.store, "prices", row.stamp.version)
    read = read_document("prices", content) if content is not None else None
    return read if isinstance(read, PriceList) else None


def split_parts(row: Authorization, credits: int) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Split what is held by the credits delivered: (earned, back), rounded in the guest's favour once per unit."""
    wanted = row.credits
    if credits >= wanted:
        return row.parts, ()
    before: dict[str, int] = {}
    pairs = []
    for part in row.parts:
        first = before.get(part.unit, 0)
        before[part.unit] = last = first + part.amount
        pairs.append((part, last * credits // wanted - first * credits // wanted))
    captured = tuple(msgspec.structs.replace(part, amount=amount) for part, amount in pairs if amount)
    released = tuple(msgspec.structs.replace(part, amount=part.amount - amount) for part, amount in pairs)
    return captured, tuple(part for part in released if part.amount)


def fail(draft: Draft, row: Authorization, why: Why) -> None:
    """Give all of it back: the device certainly did not act, or somebody decided that it did not."""
    doubt = row.state is State.IN_DOUBT
    header = draft.header(spot_of(draft, row, why.actor))
    draft.move(row, Step.DENY if why.decided else Step.FAIL, ended_seq=header.seq)
    draft.journal(Voided(1, header, row.parts, row.account_id, why.cause, doubt, why.staff, why.note))
    give_back(draft, row, row.parts, told=not doubt)
    _show_how(draft, row, why, "voided")


def deny(draft: Draft, row: Authorization, why: Why) -> tuple[Part, ...]:
    """End a doubt as not delivered; return what goes back. What left the device for certain is earned all the same."""
    back = uncertain(row)
    if row.certain:
        deliver(draft, row, row.certain, why)
    else:
        fail(draft, row, why)
    return back


def uncertain(row: Authorization) -> tuple[Part, ...]:
    """Return the parts of a doubt of which nobody knows whether they were delivered."""
    return split_parts(row, row.certain)[1] if row.certain else row.parts


def cancel(draft: Draft, row: Authorization, why: Why) -> None:
    """Give a hold back that no device was told of: somebody gave it up."""
    header = draft.header(spot_of(draft, row, why.actor))
    draft.move(row, Step.CANCEL, ended_seq=header.seq)
    draft.journal(Voided(1, header, row.parts, row.account_id, why.cause, staff=why.staff, note=why.note))
    give_back(draft, row, row.parts, told=False)


def lapse(draft: Draft, row: Authorization) -> None:
    """Give a hold back that was never sent."""
    header = draft.header(spot_of(draft, row, Actor.HUB))
    draft.move(row, Step.LAPSE, ended_seq=header.seq)
    draft.journal(Expired(1, header, row.parts, row.account_id))
    give_back(draft, row, row.parts, told=False)


def doubt(draft: Draft, row: Authorization, cause: Cause) -> None:
    """Nobody can say: it waits in suspense under its own name."""
    draft.move(row, Step.NO_ANSWER)
    if row.state is State.IN_DOUBT:
        return
    draft.journal(InDoubt(1, draft.header(spot_of(draft, row, Actor.HUB)), row.parts, row.account_id, cause))
    draft.effect(Log("authorization.in_doubt", {"id": uuid_text(row.id), "amount": row.amount}))
    draft.site.doubt_due[row.id] = draft.now.boottime_ms + draft.site.risk.doubt_after_ms
    show_end(draft, row, "in_doubt")


def give_back(draft: Draft, row: Authorization, parts: tuple[Part, ...], *, told: bool) -> None:
    """Return parts to the leases they came from, or to the lane's coin credit.

    told: the guest stands there and sees it; else his next tap tells him.
    """
    if row.account_id is not None:
        leases.move_parts(draft.store, row.account_id, parts, LeaseStep.RELEASE)
        if not told:
            notices.note(draft.store, row.account_id, parts)
            draft.site.may_have_news = True
        return
    to_lane(draft, row, parts)


def to_lane(draft: Draft, row: Authorization, parts: tuple[Part, ...]) -> None:
    """Return a coin play's parts to the credit of its lane."""
    for part in parts:
        lane_credit.put_back(draft.store, row.lane, part.unit, part.amount)


def on_answer(draft: Draft, fact: Answered, row: Authorization | None) -> None:
    """Take a bridge's result. An answer after the end is kept as evidence and changes nothing."""
    outcome, credits = told(fact.result, row.credits if row else 0)
    if row is None or row.device != fact.device:
        draft.effect(Log("result.unknown_command", {"device": fact.device}))
        return
    if (fact.result.outcome, fact.result.reason) == ("unknown", RUNNING):
        draft.site.wait_on(row.id, row.device, draft.now.boottime_ms, asked_again_ms=ASK_AGAIN_MS)
        return
    step = STEP_OF_OUTCOME[outcome]
    if step is not Step.NO_ANSWER:
        draft.site.stop_waiting(row.id)
    else:
        draft.site.ask_again(row.id, draft.now.boottime_ms + ASK_AGAIN_MS)
        if fact.result.reason not in MAY_TELL_LATER:
            draft.site.cannot_tell.add(row.id)
    if row.state in FINAL:
        hear_late(draft, row, outcome, credits)
    elif step is Step.DELIVER:
        deliver(draft, row, credits, heard(draft, row))
    elif step is Step.FAIL:
        fail(draft, row, heard(draft, row))
    else:
        if certain := min(credits, row.credits):
            authorizations.note_certain(draft.store, row.id, certain)
        doubt(draft, row, Cause.DEVICE)


def told(result: Result, wanted: int) -> tuple[str, int]:
    """Return a result's outcome and how many credits certainly left: a failure behind some is a delivery of those."""
    if result.outcome == "done":
        return "done", wanted if result.amount is None else result.amount
    given = result.amount or 0
    return "done" if result.outcome == "failed" and given else result.outcome, given


def heard(draft: Draft, row: Authorization) -> Why:
    """Return the cause of an answer: in doubt, a device that can look it up was read back."""
    birth = draft.site.births.get(row.device)
    read_back = row.state is State.IN_DOUBT and birth is not None and can_tell(birth.capabilities)
    return Why(Cause.READ_BACK if read_back else Cause.DEVICE)


def hear_late(draft: Draft, row: Authorization, outcome: str, credits: int) -> None:
    """Take an answer behind the end: what earns another sum than the end did is kept. `credits` certainly left."""
    done, was_done = outcome == "done", row.state in (State.CAPTURED, State.REFUNDED)
    earned, told_of = _earned(draft, row), split_parts(row, credits)[0]
    if outcome == "unknown":
        if credits and sum(part.amount for part in told_of) > sum(part.amount for part in earned):
            late_evidence(draft, row, outcome, credits)
    elif done != was_done or (done and earned != told_of):
        late_evidence(draft, row, outcome, credits if done else 0)


def _earned(draft: Draft, row: Authorization) -> tuple[Part, ...]:
    ended = authorizations.captured(draft.store, row)
    return ended.parts if ended else ()


def late_evidence(draft: Draft, row: Authorization, outcome: str, credits: int) -> None:
    """Keep what came after the end for staff, once; it changes nothing."""
    if not authorizations.note_evidence(draft.store, row.id, outcome, min(credits, row.credits), seq=draft.seq + 1):
        return
    advance(row.state, Step.EVIDENCE)
    header = draft.header(spot_of(draft, row, Actor.DEVICE))
    draft.journal(LateEvidence(1, header, row.state.value, outcome, row.device, credits))
    draft.effect(Log("authorization.late_evidence", {"id": uuid_text(row.id), "outcome": outcome}))


def _show_how(draft: Draft, row: Authorization, why: Why, state: ViewState) -> None:
    """Show the end to who stands there; what staff or policy decide later is for the guest's next tap."""
    draft.site.settled(row.id)
    if why.cause in (Cause.STAFF, Cause.POLICY):
        lane = draft.site.lanes.get(row.lane) if row.lane else None
        if lane is not None and all(other.lane != row.lane or other.id == row.id for other in draft.open_ones()):
            draft.effect(Show(lane.id, idle_view(draft, lane)))
    else:
        show_end(draft, row, state)


def show_end(draft: Draft, row: Authorization, state: ViewState) -> None:
    """Show a lane how its authorization ended, with what the account now has here."""
    lane = draft.site.lanes.get(row.lane) if row.lane else None
    if lane is None:
        return
    view = view_of(draft, lane, state, Money(row.amount, draft.site.currency))
    if row.account_id is not None:
        mine = leases.live(draft.store, row.account_id)
        left = leases.allowances(draft.store, row.account_id, mine, now_ms=draft.known_ms).get(draft.site.currency, 0)
        put_back = row.amount if state == "voided" else 0
        view = msgspec.structs.replace(view, balance_after=left, put_back=put_back)
    draft.effect(Show(lane.id, view))
