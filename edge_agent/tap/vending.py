"""Vending machines: the machine names the price, and whoever comes first, card or choice, waits for the other.

A card first: what can be decided without a price is decided, the machine is told that somebody may choose, and each
choice until the session ends is a sale of its own. A choice first: the lane shows its price, and a card pays it.
"""

from typing import Final

import msgspec

from edge_agent.ledger import authorizations, cache
from edge_agent.messages import Answered, FromDevice, Log, Send, Show
from edge_agent.step.draft import Draft
from edge_agent.step.vend_table import Ask, Leaving, Next, Session
from edge_agent.step.views import idle_view, view_of
from edge_agent.tap.tap_facts import Case, Tap, Vend, quote_of
from payment_core.authorization import State
from payment_core.commands import (
    ApproveVend,
    BeginSession,
    CommandBody,
    DenyVend,
    EndSession,
    is_priced_in,
    make_command,
)
from payment_core.decision import Approved
from payment_core.events import WISH_LIFE_MS, SessionEnded, VendRequested
from payment_core.identifiers import uuid_text
from payment_core.money import Money
from payment_core.policy import Lane

SESSION_MS: Final = 60_000
"""How long a guest may stand and choose; each choice gives him as long again."""
ASK_MS: Final = 30_000
"""How long a machine that asked first waits for a card."""
LEAVE_MS: Final = 2_000
"""How long a machine is waited for that was told to end a session; then the next one is begun all the same."""
TTL_MS: Final = 5_000
"""A machine that did not hear it by then has given up by itself."""
SMALLEST: Final = 1
"""What a card is asked for before the machine has: who cannot pay that need not choose. No machine asks for less."""
NOTHING: Final = b""
"""The mark of an event that got no answer of its own."""


def vends(draft: Draft, lane: Lane | None) -> bool:
    """Say whether a lane's machine names its prices, and in the unit that a sale there is paid in."""
    birth = draft.site.births.get(lane.output) if lane else None
    if lane is None or birth is None or ApproveVend.__name__ not in birth.capabilities:
        return False
    quote = draft.site.quote(lane, draft.now.local)
    return quote is None or is_priced_in(birth.capabilities, quote.price.shown.unit)


def meant(draft: Draft, tap: Tap) -> Tap | None:
    """Return what a tap pays: what the machine has asked, or a session; None: its card chooses there already."""
    lane, table = tap.lane, draft.site.vending
    if lane is None or tap.vend is not None or not vends(draft, lane):
        return tap
    ask, session = table.asks.get(lane.id), table.sessions.get(lane.id)
    if ask is not None and ask.until_ms > draft.now.boottime_ms:
        return msgspec.structs.replace(tap, vend=Vend(ask.amount, ask.item, number=ask.number))
    if session is None and lane.id not in table.leaving:
        return msgspec.structs.replace(tap, vend=Vend(SMALLEST, begins=True))
    if session is None:
        _follow(draft, lane, tap)
        return None
    if session.credential_id == tap.credential_id or _is_selling(draft, lane.id):
        authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, NOTHING)
        if session.credential_id == tap.credential_id:
            until_ms = draft.now.wall_ms + max(session.until_ms - draft.now.boottime_ms, 0)
            view = view_of(draft, lane, "choose", None)
            draft.effect(Show(lane.id, msgspec.structs.replace(view, until_ms=until_ms)))
        return None
    _end(draft, lane.id, session)
    _follow(draft, lane, tap)
    return None


def _follow(draft: Draft, lane: Lane, tap: Tap) -> None:
    """Let a tap wait until the machine has ended the session before; a machine takes one at a time."""
    authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, NOTHING)
    draft.site.vending.leaving[lane.id].follows = Next(
        tap.reader, tap.event_epoch, tap.event_seq, tap.credential_id, tap.proof, tap.token_counter
    )
    draft.effect(Show(lane.id, view_of(draft, lane, "held", None)))


def _following(draft: Draft, lane: Lane, leaving: Leaving) -> Tap | None:
    """Return the tap whose turn it is."""
    card = leaving.follows
    if card is None:
        return None
    row = cache.card(draft.store, card.credential_id)
    deadline_ms = draft.now.boottime_ms + draft.site.risk.ask_ms
    return Tap(
        card.reader, card.event_epoch, card.event_seq, lane, card.credential_id, row, card.proof, deadline_ms,
        card.token_counter, vend=Vend(SMALLEST, begins=True),
    )  # fmt: skip


def _is_selling(draft: Draft, lane_id: str) -> bool:
    return any(row.lane == lane_id and row.state is State.COMMANDED for row in draft.open_ones())


def begin(draft: Draft, case: Case, decision: Approved) -> None:
    """Let who tapped choose: his purse here, or the floor or pass that stands for him, is what he may spend."""
    tap, lane = case.tap, case.tap.lane
    assert lane is not None
    assert tap.row is not None
    quote = quote_of(draft, msgspec.structs.replace(tap, vend=None))
    assert quote is not None
    most = quote.price.shown
    mine = case.facts.allowances.get(most.unit, 0)
    if decision.by_floor:
        mine = draft.site.risk.floor_per_credential
    funds = most.minor if decision.right else min(mine, most.minor)
    name = uuid_text(draft.new_id())
    birth, now_ms = draft.site.births[lane.output], draft.now.boottime_ms
    other = draft.site.vending.sessions.get(lane.id)
    if other is not None:
        _end(draft, lane.id, other)
    draft.site.vending.sessions[lane.id] = Session(
        name, lane.output, birth.boot_id, tap.reader, tap.credential_id, tap.proof, tap.token_counter,
        now_ms + SESSION_MS,
    )  # fmt: skip
    authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, NOTHING)
    _say(draft, lane.output, BeginSession(funds), name=name)
    balance = case.facts.allowances.get(draft.site.currency, 0)
    view = view_of(draft, lane, "choose", Money(funds, most.unit))
    view = msgspec.structs.replace(
        view, balance_before=balance, balance_after=balance, masked_name=tap.row.masked_name,
        language=tap.row.language, until_ms=draft.now.wall_ms + SESSION_MS,
    )  # fmt: skip
    draft.effect(Show(lane.id, view))


def requested(draft: Draft, fact: FromDevice, body: VendRequested) -> Tap | None:
    """Take a machine's question; return the tap that it belongs to, with what it asks for."""
    lane = draft.site.lane_of_device.get(fact.device)
    if not _is_new(draft, fact):
        return None
    if not body.number:  # a bridge of before there were numbers: its questions are told apart all the same
        body = msgspec.structs.replace(body, number=fact.event.seq)
    if lane is None or lane.output != fact.device or not vends(draft, lane):
        draft.effect(Log("vend.no_lane", {"device": fact.device}))
        _say(draft, fact.device, DenyVend(body.number))
        return None
    if body.amount < SMALLEST:  # it does not know its price, or would give for nothing
        _say(draft, fact.device, DenyVend(body.number))
        return None
    session = draft.site.vending.sessions.get(lane.id)
    if not body.session:
        _wait_for_card(draft, lane, session, body)
        return None
    now_ms, event = draft.now.boottime_ms, fact.event
    if session is None or session.id != body.session or session.until_ms <= now_ms:
        draft.effect(Log("vend.unknown_session", {"device": fact.device}))
        _say(draft, fact.device, DenyVend(body.number))
        return None
    session.until_ms, session.choosing, session.number = now_ms + SESSION_MS, False, body.number
    row = cache.card(draft.store, session.credential_id)
    deadline_ms = now_ms + draft.site.risk.ask_ms
    return Tap(
        fact.device, event.epoch, event.seq, lane, session.credential_id, row, session.proof, deadline_ms,
        session.token_counter, vend=Vend(body.amount, body.item, body.session, number=body.number),
    )  # fmt: skip


def _is_new(draft: Draft, fact: FromDevice) -> bool:
    """Take an event of a machine once, and in time."""
    event = fact.event
    mark = authorizations.wish_mark(draft.store, fact.device, event.epoch)
    age_ms = event.age_ms + max(draft.now.boottime_ms - fact.received_ms, 0)
    if age_ms > WISH_LIFE_MS or (mark is not None and event.seq <= mark.seq):
        draft.effect(Log("vend.stale", {"device": fact.device}))
        return False
    authorizations.mark_wish(draft.store, fact.device, event.epoch, event.seq, NOTHING)
    return True


def _wait_for_card(draft: Draft, lane: Lane, session: Session | None, body: VendRequested) -> None:
    """Show what a machine asks for where nobody stands; a new question takes the place of the last."""
    if session is not None:
        _end(draft, lane.id, session)
    quote = draft.site.quote(lane, draft.now.local)
    shown = Money(body.amount, quote.price.shown.unit if quote else draft.site.currency)
    until_ms = draft.now.boottime_ms + ASK_MS
    draft.site.vending.asks[lane.id] = Ask(lane.output, body.amount, body.item, until_ms, shown, body.number)
    draft.effect(Show(lane.id, view_of(draft, lane, "idle", shown, item=body.item)))


def is_asked(draft: Draft, tap: Tap) -> bool:
    """Say whether what a tap pays is asked for still.

    Its money may have come too late, another card have paid it, or the machine have asked something else since.
    """
    vend, table = tap.vend, draft.site.vending
    if vend is None or vend.begins or tap.lane is None:
        return True
    if vend.session:
        session = table.sessions.get(tap.lane.id)
        return session is not None and (session.id, session.number) == (vend.session, vend.number)
    ask = table.asks.get(tap.lane.id)
    return ask is not None and ask.number == vend.number


def too_late(draft: Draft, tap: Tap) -> None:
    """Answer a tap that pays for nothing any more."""
    authorizations.mark_wish(draft.store, tap.reader, tap.event_epoch, tap.event_seq, NOTHING)
    draft.effect(Log("vend.too_late", {"reader": tap.reader}))
    if tap.lane is not None and tap.lane.id not in draft.site.vending.lanes:
        _show_price(draft, tap.lane.id)


def decided(draft: Draft, tap: Tap, *, approved: bool) -> None:
    """A choice is being answered: what a session's card may not have is denied; what came first waits for another card.

    Its price is not that of the next tap, and the page forgets it.
    """
    lane, vend = tap.lane, tap.vend
    if lane is None or vend is None or vend.begins:
        return
    if approved:
        if draft.site.vending.asks.pop(lane.id, None) is not None:
            _show_price(draft, lane.id)
    elif vend.session:
        _say(draft, lane.output, DenyVend(vend.number))


def ended(draft: Draft, fact: FromDevice, body: SessionEnded) -> Tap | None:
    """A machine ended a session, or gave up what it had asked before any card; return the tap that waited for that."""
    lane, table = draft.site.lane_of_device.get(fact.device), draft.site.vending
    if lane is None:
        return None
    if not body.session and lane.id in table.asks:
        del table.asks[lane.id]
        _show_price(draft, lane.id)
    session, leaving = table.sessions.get(lane.id), table.leaving.get(lane.id)
    if session is not None and (session.id, session.device) == (body.session, fact.device):
        _forget(draft, lane.id, session)
    if leaving is None or (leaving.id, leaving.device) != (body.session, fact.device):
        return None
    del table.leaving[lane.id]
    return _following(draft, lane, leaving)


def has_answered(draft: Draft, fact: Answered) -> bool:
    """Take the result of what was said here; a session that did not begin is none."""
    result, table = fact.result, draft.site.vending
    for lane_id, session in list(table.sessions.items()):
        if (session.id, session.device) == (result.id, fact.device):
            if result.outcome != "done":
                draft.effect(Log("vend.no_session", {"device": fact.device, "why": result.reason or result.outcome}))
                _forget(draft, lane_id, session, reason="machine_off")
            return True
    return result.id in table.told


def pass_time(draft: Draft) -> list[Tap]:
    """End what has waited too long, and what was begun at a machine that has gone; return taps whose turn it is."""
    table, site, now_ms = draft.site.vending, draft.site, draft.now.boottime_ms
    for lane_id, session in list(table.sessions.items()):
        birth = site.births.get(session.device)
        if birth is None or birth.boot_id != session.boot_id or not site.ready(session.device):
            _forget(draft, lane_id, session)
        elif session.until_ms <= now_ms and _is_selling(draft, lane_id):
            session.until_ms = now_ms + SESSION_MS  # it may brew for longer than a guest may stand and choose
        elif session.until_ms <= now_ms:
            _end(draft, lane_id, session)
            _show_price(draft, lane_id)
    for lane_id, ask in list(table.asks.items()):
        if ask.until_ms <= now_ms or not site.ready(ask.device):
            del table.asks[lane_id]
            _say(draft, ask.device, DenyVend(ask.number))
            _show_price(draft, lane_id)
    late = [(lane_id, one) for lane_id, one in table.leaving.items() if one.until_ms <= now_ms]
    taps = []
    for lane_id, leaving in late:
        del table.leaving[lane_id]
        lane = site.lanes.get(lane_id)
        tap = _following(draft, lane, leaving) if lane is not None else None
        taps += [tap] if tap is not None else []
    return taps


def _end(draft: Draft, lane_id: str, session: Session) -> None:
    table = draft.site.vending
    table.sessions.pop(lane_id, None)
    table.leaving[lane_id] = Leaving(session.id, session.device, draft.now.boottime_ms + LEAVE_MS)
    _say(draft, session.device, EndSession())


def _forget(draft: Draft, lane_id: str, session: Session, *, reason: str = "") -> None:
    """Forget a session; how its last sale came out stays on the page."""
    draft.site.vending.sessions.pop(lane_id, None)
    lane = draft.site.lanes.get(lane_id)
    if reason and lane is not None:
        draft.effect(Show(lane_id, view_of(draft, lane, "declined", None, reason=reason)))
    elif session.choosing:
        _show_price(draft, lane_id)


def _show_price(draft: Draft, lane_id: str) -> None:
    lane = draft.site.lanes.get(lane_id)
    if lane is not None:
        draft.effect(Show(lane_id, idle_view(draft, lane)))


def _say(draft: Draft, device: str, body: CommandBody, *, name: str = "") -> None:
    name = name or uuid_text(draft.new_id())
    draft.site.vending.told.append(name)
    birth = draft.site.births.get(device)
    boot_id = birth.boot_id if birth else ""
    draft.effect(Send(device, make_command(body, command_id=name, seq=0, boot_id=boot_id, ttl_ms=TTL_MS)))
