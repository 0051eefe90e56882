"""What becomes of a decided tap: money is put aside and the machine told, or the refusal is written down and shown."""

from collections.abc import Sequence

import msgspec

from edge_agent.ledger import authorizations, floor_debts, leases, notices, since_receipt, uses
from edge_agent.ledger.authorizations import AuthorizationRow
from edge_agent.ledger.leases import LeaseRow
from edge_agent.ledger.uses import RightUse
from edge_agent.messages import Show
from edge_agent.play.plays import hold_and_command
from edge_agent.step.draft import Draft, Spot
from edge_agent.step.site import Sold
from edge_agent.step.step_up import Factor
from edge_agent.step.views import view_of
from edge_agent.tap import blocks, verifying
from edge_agent.tap.tap_facts import Case, Tap, counts_cards, has_hub_caps
from payment_core.authorization import State
from payment_core.bus import View
from payment_core.checks import cost_of, wants_second_factor
from payment_core.commands import ApproveVend
from payment_core.credential import ListRow
from payment_core.decision import Approved, Declined
from payment_core.facts import pack_facts
from payment_core.journal import Actor, Held, Part, Tender
from payment_core.journal import Declined as DeclinedEntry
from payment_core.lots import spend_order
from payment_core.money import Money
from payment_core.policy import Lane
from payment_core.usage import NO_USE, Tapped, read_usage, usage_bytes, with_tap


def hold(draft: Draft, case: Case, decision: Approved) -> None:
    """Put aside what was decided, tell the machine, and count the tap for every cap that asks."""
    tap, facts, now = case.tap, case.facts, draft.now
    assert tap.lane is not None
    assert tap.row is not None
    assert facts.price is not None
    assert case.quote is not None
    parts = _take_parts(draft, case, decision)
    price = facts.price
    spot = Spot(
        Actor.GUEST, Tender.PURSE, tap.lane, draft.new_id(), price.tax_code or None, decision.reasons,
        case.quote.stamp,
    )  # fmt: skip
    assert spot.authorization_id is not None
    held = Held(
        1, draft.header(spot), parts, tap.row.account_id, tap.credential_id, tap.row.class_,
        tap.reader, tap.event_epoch, tap.event_seq, now.wall_ms + draft.site.risk.hold_ms, pack_facts(facts),
        decision.right,
    )  # fmt: skip
    vend = ApproveVend(tap.vend.amount, tap.vend.item, tap.vend.number) if tap.vend else None
    hold_and_command(draft, held, spot, credits=price.credits, vend=vend)
    authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, spot.authorization_id)
    draft.site.note_sale(spot.authorization_id, Sold(tap.credential_id, now.boottime_ms))
    _note_approval(draft, case, decision, held)
    if wants_second_factor(facts):  # else it may be shown for the guest who waits for it
        draft.site.step_ups.used(tap.lane.id, tap.row.account_id)
    before = facts.allowances.get(draft.site.currency, 0)
    spent = sum(part.amount for part in parts if part.unit == draft.site.currency and part.lease_epoch)
    cost = price.shown if not decision.right else Money(0, price.shown.unit)
    view = view_of(draft, tap.lane, "held", cost, item=_item(tap))
    draft.effect(Show(tap.lane.id, _personal(draft, view, tap.row, before, before - spent)))


def _item(tap: Tap) -> int:
    """Return what a tap pays at a vending machine, 0 where it is none."""
    return tap.vend.item if tap.vend else 0


def _note_approval(draft: Draft, case: Case, decision: Approved, held: Held) -> None:
    """Count what the caps look at; where there are none, nothing is written."""
    tap, risk, seq = case.tap, draft.site.risk, held.header.seq
    assert tap.row is not None
    if decision.by_floor:
        owed = decision.parts[0].minor
        since_receipt.note(draft.store, tap.credential_id, owed, seq=seq)
        floor_debts.note(draft.store, tap.credential_id, tap.row.account_id, owed, day=draft.day, seq=seq)
    if has_hub_caps(risk):
        since_receipt.note(draft.store, since_receipt.THE_HUB, cost_of(case.facts), seq=seq)
    if decision.right:
        assert held.header.authorization_id is not None
        use = RightUse(draft.now.wall_ms, held.header.lane or "", held.header.authorization_id)
        uses.note_right_use(draft.store, tap.row.account_id, decision.right, use)
        blocks.tell_right_used(draft, account_id=tap.row.account_id, right=decision.right, lane=use.lane)


def _take_parts(draft: Draft, case: Case, decision: Approved) -> tuple[Part, ...]:
    """Spend what was decided from the leases, in the order of their lots, or on the floor; a pass takes nothing."""
    parts: list[Part] = []
    if decision.by_floor:
        parts.append(Part(decision.parts[0].unit, decision.parts[0].minor, 0))
    else:
        for money in decision.parts:
            left = money.minor
            for row in _in_order(draft, case.leases, money.unit):
                take = min(left, row.lease.allowance)
                if take:
                    used = None if parts else _used_after(draft, case, row.used)
                    leases.commit_part(draft.store, row, take, now_ms=draft.now.wall_ms, used=used)
                    parts.append(Part(money.unit, take, row.lease.epoch, row.lease.lot))
                    left -= take
            assert not left, "what was decided is there"
    if not parts or decision.by_floor:
        used = _used_after(draft, case, usage_bytes(case.elsewhere))
        if used is not None:
            assert case.tap.row is not None
            uses.note_use(draft.store, case.tap.row.account_id, used)
    return tuple(parts)


def _used_after(draft: Draft, case: Case, used: bytes) -> bytes | None:
    """Return the use of one place with this tap, None where nobody asks for it."""
    risk, row = draft.site.risk, case.tap.row
    per_card = counts_cards(risk, row)
    if not per_card and not risk.windows:
        return None
    day = draft.now.business_date if case.facts.known else None
    tapped = Tapped(case.tap.credential_id, day, draft.now.wall_ms, cost_of(case.facts))
    return usage_bytes(with_tap(read_usage(used) if used else NO_USE, tapped, risk.windows, per_card=per_card))


def _in_order(draft: Draft, rows: Sequence[LeaseRow], unit: str) -> list[LeaseRow]:
    """Return an account's leases of a unit in the order they pay: by lot, the oldest epoch of a lot first."""
    of_unit = [row for row in rows if row.lease.unit == unit]
    if len(of_unit) < 2:  # noqa: PLR2004 - one has no order
        return of_unit
    ranked = spend_order([row.share for row in of_unit], draft.site.risk.lot_order, now_ms=draft.known_ms)
    place = {share.lot: number for number, share in reversed(list(enumerate(ranked)))}
    return sorted((row for row in of_unit if row.lease.lot in place), key=lambda row: place[row.lease.lot])


def _personal(draft: Draft, view: View, row: ListRow, before: int, after: int) -> View:
    put_back = _put_back(draft, row.account_id)
    return msgspec.structs.replace(
        view, balance_before=before, balance_after=after, masked_name=row.masked_name, language=row.language,
        put_back=put_back,
    )  # fmt: skip


def _put_back(draft: Draft, account_id: bytes) -> int:
    """Return what was put back to a guest since he was last told, of the venue's currency; he is being told."""
    if not draft.site.may_have_news:
        return 0
    found = notices.take(draft.store, account_id)
    draft.site.may_have_news = bool(found) or notices.any_left(draft.store)
    return found.get(draft.site.currency, 0)


def decline(draft: Draft, case: Case, decision: Declined) -> None:
    """Write a refusal down, and show it."""
    tap, facts = case.tap, case.facts
    stamp = case.quote.stamp if case.quote else None
    spot = Spot(Actor.GUEST, Tender.PURSE, tap.lane, draft.new_id(), None, decision.reasons, stamp)
    assert spot.authorization_id is not None
    account_id = tap.row.account_id if tap.row else None
    price = tuple(Part(money.unit, money.minor) for money in facts.price.price) if facts.price else ()
    entry = DeclinedEntry(
        1, draft.header(spot), decision.reason, tap.credential_id, account_id, tap.row.class_ if tap.row else None,
        tap.reader, tap.event_epoch, tap.event_seq, price, pack_facts(facts),
    )  # fmt: skip
    draft.journal(entry)
    row = AuthorizationRow(
        spot.authorization_id, State.DECLINED, tap.reader, tap.event_epoch, tap.event_seq, draft.now.wall_ms,
        entry.header.seq,
    )  # fmt: skip
    draft.begin(row)
    authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, row.id)
    if tap.lane is None:
        return
    shown: str = decision.reason
    if decision.reason == "second_factor_needed" and tap.row is not None:
        shown = _want_second_factor(draft, tap.lane, case) or decision.reason
    named = facts.price.shown if facts.price and not (tap.vend and tap.vend.begins) else None
    view = view_of(draft, tap.lane, "declined", named, reason=shown, item=_item(tap))
    if tap.row is not None:
        balance = facts.allowances.get(draft.site.currency, 0)
        view = _personal(draft, view, tap.row, balance, balance)
    draft.effect(Show(tap.lane.id, view))


def _want_second_factor(draft: Draft, lane: Lane, case: Case) -> verifying.Shown | None:
    """Take the refused tap for the first of two factors, and wait for the second; return what a module waits for."""
    assert case.tap.row is not None
    now_ms = draft.now.boottime_ms
    draft.site.step_ups.want(lane.id, now_ms)
    factor = Factor(case.tap.credential_id, case.tap.row.class_, now_ms)
    draft.site.step_ups.note(lane.id, case.tap.row.account_id, factor)
    return verifying.ask(draft, lane, case.tap)
