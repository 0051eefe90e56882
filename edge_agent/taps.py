"""A tap at a lane: proven, priced, decided, held and commanded, or declined with its reason."""

from typing import Final

import msgspec

from edge_agent.draft import Draft, Spot
from edge_agent.ledger import authorizations, leases, office_facts, since_receipt
from edge_agent.ledger.authorizations import AuthorizationRow, WishMark
from edge_agent.ledger.leases import LeaseRow
from edge_agent.ledger.since_receipt import Since
from edge_agent.messages import AskLease, FromDevice, Log, Show
from edge_agent.plays import hold_and_command, view_of
from edge_agent.token_proof import KEY_BYTES, SunProof, prove_sun, sun_uid
from payment_core.authorization import State
from payment_core.bus import View
from payment_core.credential import ListRow
from payment_core.decision import Approved, Declined, Facts, Proof, decide
from payment_core.errors import MalformedMessageError
from payment_core.events import WISH_LIFE_MS, CredentialPresented
from payment_core.identifiers import credential_id
from payment_core.journal import Actor, Held, Part, Tender
from payment_core.journal import Declined as DeclinedEntry
from payment_core.lots import spend_order
from payment_core.money import Money
from payment_core.policy import Lane, RiskDocument
from payment_core.pricing import Price, find_price

NO_ANSWER: Final = b""
"""The mark of an event that was answered with nothing of its own: its card waits for money already."""


class Tap(msgspec.Struct, frozen=True):
    """A tap after its proof: what a decision needs besides the ledger. `deadline_ms`: until when (boottime)."""

    reader: str
    event_epoch: int
    event_seq: int
    lane: Lane | None
    credential_id: bytes
    row: ListRow | None
    proof: Proof
    deadline_ms: int


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
    known_id = _known_id(draft, body)
    latest = authorizations.by_id(draft.store, mark.answer) if mark else None
    if latest is not None and _is_bounce(draft, latest, known_id):
        authorizations.mark_wish(draft.store, fact.device, event.epoch, event.seq, latest.id)
        _show(draft, lane, "repeated", latest)
        return None
    row = office_facts.list_row(draft.store, known_id)
    proof = _prove(draft, row, known_id, body)
    deadline_ms = now.boottime_ms + draft.site.risk.ask_ms
    return Tap(fact.device, event.epoch, event.seq, lane, known_id, row, proof, deadline_ms)


def with_fresh_row(draft: Draft, tap: Tap) -> Tap:
    """Return a tap that waited, with what the list says now: its card may have been blocked meanwhile."""
    return msgspec.structs.replace(tap, row=office_facts.list_row(draft.store, tap.credential_id))


def _known_id(draft: Draft, body: CredentialPresented) -> bytes:
    uid = (sun_uid(body.ndef) if body.ndef else None) or body.uid
    try:
        raw_id = bytes.fromhex(uid)
    except ValueError as error:
        message = "CredentialPresented.uid is not hexadecimal"
        raise MalformedMessageError(message) from error
    return credential_id(pepper=draft.site.pepper, kind=body.media, raw_id=raw_id)


def _is_bounce(draft: Draft, latest: AuthorizationRow, known_id: bytes) -> bool:
    """Say whether the same card comes back at once, by the clock that does not jump, or the wall's after a restart."""
    if latest.state is State.DECLINED:
        return False
    repeat_ms, now = draft.site.risk.repeat_after_ms, draft.now
    sold_ms = draft.site.sold_ms.get(latest.id)
    since_ms = now.wall_ms - latest.at_ms if sold_ms is None else now.boottime_ms - sold_ms
    return 0 <= since_ms < repeat_ms and draft.load(latest).credential_id == known_id


def _prove(draft: Draft, row: ListRow | None, known_id: bytes, body: CredentialPresented) -> Proof:
    if row is None or row.class_ != "A":
        return "identified"
    if len(row.token_key) != KEY_BYTES:
        draft.effect(Log("tap.proof_refused", {"reason": "no_key"}))
        return "refused"
    last = office_facts.token_counter(draft.store, known_id)
    proof = prove_sun(url=body.ndef, token_key=row.token_key, last_counter=last)
    if not isinstance(proof, SunProof):
        draft.effect(Log("tap.proof_refused", {"reason": proof.reason}))
        return "refused"
    office_facts.take_token_counter(draft.store, known_id, proof.counter)
    return "proven"


def answer_tap(draft: Draft, tap: Tap, *, may_ask: bool) -> bool:
    """Decide a tap and write it down. False: money may be at the office; the caller asks and comes back with it."""
    rows = leases.of_account(draft.store, tap.row.account_id) if tap.row else []
    facts = _facts(draft, tap, rows)
    decision = decide(facts)
    match decision:
        case Approved():
            assert facts.price is not None
            _hold(draft, tap, decision, facts.price, rows)
        case Declined(reason="not_enough" | "offline_limit") if tap.row is not None:
            draft.effect(AskLease(tap.row.account_id))
            if may_ask:
                return False
            _decline(draft, tap, decision, facts)
        case Declined():
            _decline(draft, tap, decision, facts)
    return True


def _facts(draft: Draft, tap: Tap, rows: list[LeaseRow]) -> Facts:
    site, now, lane = draft.site, draft.now, tap.lane
    price = None
    if lane is not None and site.prices is not None:
        price = find_price(site.prices, machine=lane.machine, zone=lane.zone, local=now.local)
    window_ms = site.risk.velocity.window_ms if site.risk.velocity else 0
    recent = [row for row in rows if now.wall_ms - row.window_start_ms < window_ms]
    floors = site.risk.floor_per_hub > 0
    approved = since_receipt.of(draft.store, since_receipt.THE_HUB) if _has_hub_caps(site.risk) else Since()
    return Facts(
        trading=site.prices is not None and not site.frozen,
        lane=lane,
        output_ready=lane is not None and site.ready(lane.output),
        row=tap.row,
        proof=tap.proof,
        now_ms=now.wall_ms,
        local=now.local,
        price=price,
        allowances=leases.allowances(rows, now_ms=draft.known_ms),
        currency=site.currency,
        risk=site.risk,
        spent_today=sum(row.day_amount for row in rows if row.day >= now.business_date),
        recent_count=sum(row.window_count for row in recent),
        recent_amount=sum(row.window_amount for row in recent),
        floor_spent=since_receipt.of(draft.store, tap.credential_id).amount if floors else 0,
        hub_floor_spent=since_receipt.on_floor(draft.store).amount if floors else 0,
        hub_count=approved.count,
        hub_amount=approved.amount,
    )


def _has_hub_caps(risk: RiskDocument) -> bool:
    return risk.hub_count is not None or risk.hub_amount is not None


def _note_approval(draft: Draft, tap: Tap, decision: Approved, price: Price, *, seq: int) -> None:
    """Count what the caps look at; where there are none, nothing is written."""
    if decision.by_floor:
        since_receipt.note(draft.store, tap.credential_id, decision.parts[0].minor, seq=seq)
    if _has_hub_caps(draft.site.risk):
        since_receipt.note(draft.store, since_receipt.THE_HUB, price.in_unit(draft.site.currency), seq=seq)


def _take_parts(draft: Draft, decision: Approved, rows: list[LeaseRow], cost: int) -> tuple[Part, ...]:
    """Spend what was decided from the leases, in the order of their lots, or on the floor."""
    if decision.by_floor:
        return (Part(decision.parts[0].unit, decision.parts[0].minor, 0),)
    velocity = draft.site.risk.velocity
    window_ms = velocity.window_ms if velocity else 0
    use = leases.Use(cost, day=draft.now.business_date, now_ms=draft.now.wall_ms, window_ms=window_ms)
    parts: list[Part] = []
    for money in decision.parts:
        left = money.minor
        for row in _in_order(draft, rows, money.unit):
            take = min(left, row.lease.allowance)
            if take:
                leases.commit_part(draft.store, row, take, None if parts else use, now_ms=draft.now.wall_ms)
                parts.append(Part(money.unit, take, row.lease.epoch, row.lease.lot))
                left -= take
    return tuple(parts)


def _in_order(draft: Draft, rows: list[LeaseRow], unit: str) -> list[LeaseRow]:
    """Return an account's leases of a unit in the order they pay: by lot, the oldest epoch of a lot first."""
    of_unit = [row for row in rows if row.lease.unit == unit]
    if len(of_unit) < 2:  # noqa: PLR2004 - one has no order
        return of_unit
    ranked = spend_order([row.share for row in of_unit], draft.site.risk.lot_order, now_ms=draft.known_ms)
    place = {share.lot: number for number, share in reversed(list(enumerate(ranked)))}
    return sorted((row for row in of_unit if row.lease.lot in place), key=lambda row: place[row.lease.lot])


def _hold(draft: Draft, tap: Tap, decision: Approved, price: Price, rows: list[LeaseRow]) -> None:
    assert tap.lane is not None
    assert tap.row is not None
    parts = _take_parts(draft, decision, rows, price.in_unit(draft.site.currency))
    spot = Spot(Actor.GUEST, Tender.PURSE, tap.lane, draft.new_id(), price.tax_code or None, decision.reasons)
    held = Held(
        1, draft.header(spot), parts, tap.row.account_id, tap.credential_id, tap.row.class_,
        tap.reader, tap.event_epoch, tap.event_seq, draft.now.wall_ms + draft.site.risk.hold_ms,
    )  # fmt: skip
    hold_and_command(draft, held, spot, credits=price.credits)
    assert spot.authorization_id is not None
    authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, spot.authorization_id)
    draft.site.note_sale(spot.authorization_id, draft.now.boottime_ms)
    _note_approval(draft, tap, decision, price, seq=held.header.seq)
    before = leases.allowances(rows, now_ms=draft.known_ms).get(draft.site.currency, 0)
    spent = sum(part.amount for part in parts if part.unit == draft.site.currency and part.lease_epoch)
    view = view_of(draft, tap.lane, "held", price.shown)
    draft.effect(Show(tap.lane.id, _personal(view, tap.row, before, before - spent)))


def _personal(view: View, row: ListRow, before: int, after: int) -> View:
    return msgspec.structs.replace(
        view, balance_before=before, balance_after=after, masked_name=row.masked_name, language=row.language
    )


def _decline(draft: Draft, tap: Tap, decision: Declined, facts: Facts) -> None:
    spot = Spot(Actor.GUEST, Tender.PURSE, tap.lane, draft.new_id(), None, decision.reasons)
    assert spot.authorization_id is not None
    account_id = tap.row.account_id if tap.row else None
    price = tuple(Part(money.unit, money.minor) for money in facts.price.price) if facts.price else ()
    entry = DeclinedEntry(
        1, draft.header(spot), decision.reason, tap.credential_id, account_id, tap.row.class_ if tap.row else None,
        tap.reader, tap.event_epoch, tap.event_seq, price,
    )  # fmt: skip
    draft.journal(entry)
    row = AuthorizationRow(
        spot.authorization_id, State.DECLINED, tap.reader, tap.event_epoch, tap.event_seq, draft.now.wall_ms,
        entry.header.seq,
    )  # fmt: skip
    authorizations.insert(draft.store, row)
    authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, row.id)
    if tap.lane is None:
        return
    view = view_of(draft, tap.lane, "declined", facts.price.shown if facts.price else None, reason=decision.reason)
    if tap.row is not None:
        balance = facts.allowances.get(draft.site.currency, 0)
        view = _personal(view, tap.row, balance, balance)
    draft.effect(Show(tap.lane.id, view))


def _answer_again(draft: Draft, fact: FromDevice, lane: Lane | None, mark: WishMark) -> None:
    """Show the first result of an event that came again; nothing is charged."""
    event = fact.event
    first = authorizations.recent_answer(
        draft.store, fact.device, event.epoch, event.seq, now_ms=draft.now.wall_ms
    )
    if first is None:  # a bounce, which sold nothing, or an answer that is long over
        latest = authorizations.by_id(draft.store, mark.answer)
        if latest is not None:
            _show(draft, lane, "repeated", latest)
        return
    shown = {
        State.DECLINED: "declined", State.CAPTURED: "approved", State.REFUNDED: "voided", State.VOIDED: "voided",
        State.EXPIRED: "voided", State.IN_DOUBT: "in_doubt", State.HELD: "held", State.COMMANDED: "held",
    }  # fmt: skip
    _show(draft, lane, shown[first.state], first)


def _show(draft: Draft, lane: Lane | None, state: str, row: AuthorizationRow) -> None:
    if lane is not None:
        first = draft.load(row)
        cost = Money(first.amount, draft.site.currency)
        draft.effect(Show(lane.id, view_of(draft, lane, state, cost, reason=first.reason)))
