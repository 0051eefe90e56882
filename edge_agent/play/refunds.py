"""Refunds: captured money goes back to the leases it came from, here and at once, whole or in parts up to the whole."""

from typing import Literal

import msgspec

from edge_agent.ledger import at_stake, authorizations, leases, notices, refund_sums
from edge_agent.ledger.authorizations import Authorization
from edge_agent.messages import Log
from edge_agent.play.plays import Why, spot_of, to_lane
from edge_agent.step.draft import Draft
from payment_core.authorization import State, Step
from payment_core.identifiers import uuid_text
from payment_core.journal import Captured, Part, Refunded
from payment_core.lease import LeaseStep
from payment_core.lots import split_refund, tax_back


class RefundRefused(msgspec.Struct, frozen=True):
    """Nothing moved. not_captured: it is open, or was given back. gone: too long ago for this hub.

    another_day: coins go back to their machine on the day they were played only. no_room: more credit at machines would
    pass X_h, and it can go nowhere else. lease_closed: to be done at the office. too_much: more than is left of it.
    """

    reason: Literal["not_captured", "gone", "another_day", "no_room", "lease_closed", "too_much", "nothing_left"]


def refund(
    draft: Draft, row: Authorization, amount: int | None, why: Why, *, unit: str = "", refund_id: bytes = b""
) -> Refunded | RefundRefused:
    """Give back `amount` of `unit` (empty: the currency), or all that is left; `refund_id` is new."""
    if row.state not in (State.CAPTURED, State.REFUNDED):
        return RefundRefused("not_captured")
    ended = authorizations.captured(draft.store, row)
    if ended is None:
        return RefundRefused("gone")
    before = refund_sums.refunded(draft.store, row.id, ended.parts)
    parts = split_refund(ended.parts, before, amount, unit=unit or draft.site.currency)
    if not parts:
        return RefundRefused("too_much" if parts is None else "nothing_left")
    refused = _refused(draft, row, ended, parts)
    if refused is not None:
        return refused
    header = draft.header(spot_of(draft, row, why.actor))
    draft.move(row, Step.REFUND)
    refund_sums.add(draft.store, row.id, ended.parts, parts)
    untaxed = tax_back(ended.taxed, ended.parts, before, parts)
    entry = Refunded(1, header, parts, row.account_id, why.cause, refund_id, why.staff, why.note, untaxed)
    draft.journal(entry)
    if row.account_id is None:
        to_lane(draft, row, parts)
    else:
        leases.move_parts(draft.store, row.account_id, parts, LeaseStep.REFUND)
        notices.note(draft.store, row.account_id, parts)
        draft.site.may_have_news = True
    draft.effect(Log("authorization.refunded", {"id": uuid_text(row.id), "amount": sum(part.amount for part in parts)}))
    return entry


def _refused(draft: Draft, row: Authorization, ended: Captured, parts: tuple[Part, ...]) -> RefundRefused | None:
    if row.account_id is None:
        if ended.header.business_date != draft.now.business_date:
            return RefundRefused("another_day")
        return None if _has_room(draft, parts) else RefundRefused("no_room")
    closed = {
        (lease.lease.unit, lease.lease.epoch, lease.lease.lot)
        for lease in leases.of_account(draft.store, row.account_id)
        if lease.closed
    }
    if any((part.unit, part.lease_epoch, part.lot) in closed for part in parts):
        return RefundRefused("lease_closed")
    return None


def _has_room(draft: Draft, parts: tuple[Part, ...]) -> bool:
    """Say whether so much more may lie at lanes within X_h."""
    unit = draft.site.currency
    draft.flush()
    taken = at_stake.not_returnable(draft.store, unit)
    return sum(part.amount for part in parts if part.unit == unit) <= draft.site.risk.caps.leasable(taken)
