"""What acts of staff do to plays: doubts settled, refunds, holds given up."""

from typing import assert_never

from edge_agent.desk.acts import Moved, Refused
from edge_agent.ledger import authorizations, refund_sums
from edge_agent.ledger.authorizations import Authorization
from edge_agent.play import plays, refunds
from edge_agent.play.plays import Why
from edge_agent.play.refunds import RefundRefused
from edge_agent.staff_messages import StaffActed
from edge_agent.step.draft import Draft, Spot
from edge_agent.takings import coins, lease_keeper
from payment_core.authorization import State
from payment_core.desk import (
    Act,
    Cancel,
    ClaimCredit,
    PayOut,
    Refund,
    SellCard,
    SettleDoubt,
    TakeWon,
    TopUp,
    TryMachine,
)
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Actor, Cause, Held, Part, Tender


def carry_out(draft: Draft, act: SettleDoubt | Refund | Cancel | TryMachine, fact: StaffActed) -> Moved | Refused:
    """Do what is asked with a play."""
    match act:
        case SettleDoubt():
            return settle_doubt(draft, act, fact.staff)
        case Refund():
            return refund(draft, act, fact)
        case Cancel():
            return cancel(draft, act, fact.staff)
        case TryMachine():
            return test_play(draft, act)
        case _:
            assert_never(act)


def wanted(draft: Draft, act: Act) -> int:
    """Return what an act would move, all units added up as if they were one, for the quota of who asks."""
    match act:
        case TopUp() | PayOut() | TakeWon():
            return act.amount
        case SellCard():
            return act.deposit
        case ClaimCredit():
            lane = draft.site.lanes.get(act.lane)
            return coins.lying_at(draft, lane, act.unit or draft.site.currency) if lane else 0
        case Refund(amount=int(amount)):
            return amount
        case Refund() | SettleDoubt(delivered=False):
            row = _find(draft, act.authorization)
            return sum(_goes_back(draft, row).values()) if row else 0
        case _:
            return 0


def _find(draft: Draft, authorization: str) -> Authorization | None:
    try:
        row = authorizations.by_id(draft.store, uuid_bytes(authorization))
    except ValueError:
        return None
    return draft.load(row) if row and row.state is not State.DECLINED else None


def _left(draft: Draft, row: Authorization) -> dict[str, int]:
    """Return what of an authorization is still the venue's or waits, by unit."""
    ended = authorizations.captured(draft.store, row)
    parts = ended.parts if ended else row.parts
    gone = refund_sums.refunded(draft.store, row.id, parts) if ended else ()
    left = _sums(parts)
    for part in gone:
        left[part.unit] -= part.amount
    return left


def _sums(parts: tuple[Part, ...]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        sums[part.unit] = sums.get(part.unit, 0) + part.amount
    return sums


def _goes_back(draft: Draft, row: Authorization) -> dict[str, int]:
    """Return what a refund or the word that it did not play would give back, by unit."""
    return _sums(plays.uncertain(row)) if row.state is State.IN_DOUBT else _left(draft, row)


def settle_doubt(draft: Draft, act: SettleDoubt, staff: str) -> Moved | Refused:
    """Let staff say what a machine did; a note is needed. What is settled stays so."""
    row = _find(draft, act.authorization)
    if row is None:
        return Refused("unknown_authorization")
    if row.state is not State.IN_DOUBT:
        return Refused("not_in_doubt")
    if not act.note.strip():
        return Refused("note_needed")
    why = Why(Cause.STAFF, staff, act.note)
    if act.delivered:
        plays.deliver(draft, row, row.credits, why)
        return Moved()
    back = _sums(plays.deny(draft, row, why))
    return Moved(back.get(draft.site.currency, 0), draft.site.currency)


def refund(draft: Draft, act: Refund, fact: StaffActed) -> Moved | Refused:
    """Give captured money back, whole or in part."""
    row = _find(draft, act.authorization)
    if row is None:
        return Refused("unknown_authorization")
    why = Why(Cause.STAFF, fact.staff, act.note)
    done = refunds.refund(draft, row, act.amount, why, unit=act.unit, refund_id=fact.request_id)
    if isinstance(done, RefundRefused):
        return Refused(done.reason)
    lease_keeper.make_room(draft)
    unit = act.unit or draft.site.currency
    return Moved(sum(part.amount for part in done.parts if part.unit == unit), unit)


def cancel(draft: Draft, act: Cancel, staff: str) -> Moved | Refused:
    """Give up a hold that no device was told of."""
    row = _find(draft, act.authorization)
    if row is None:
        return Refused("unknown_authorization")
    if row.state is not State.HELD:
        return Refused("not_held")
    plays.cancel(draft, row, Why(Cause.STAFF, staff, act.note))
    return Moved(row.amount, draft.site.currency)


def test_play(draft: Draft, act: TryMachine) -> Moved | Refused:
    """Let a machine give one credit at nobody's cost: held, told and captured like any play, with nothing in it."""
    lane = draft.site.lanes.get(act.lane)
    if lane is None:
        return Refused("unknown_lane")
    if not draft.site.ready(lane.output):
        return Refused("machine_off")
    if any(row.lane == lane.id for row in draft.open_ones()):
        return Refused("machine_busy")
    spot = Spot(Actor.STAFF, Tender.TEST, lane, draft.new_id())
    header = draft.header(spot)
    expires_ms = draft.now.wall_ms + draft.site.risk.hold_ms
    held = Held(
        1, header, (), None, None, None, lane.output, draft.site.epoch, header.seq, expires_ms, right=plays.TEST_PLAY
    )
    plays.hold_and_command(draft, held, spot, credits=1)
    return Moved()
