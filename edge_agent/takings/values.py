"""Value events: coins, tickets, credit delivered, events a device lost. Each (device, epoch, seq) is booked once.

A device has one row of numbers for all of them, and `booked` lets its bridge forget everything up to a number: so all
kinds follow one rule of turns.
"""

from typing import Final, assert_never

from edge_agent.ledger import authorizations, boxes, value_marks
from edge_agent.ledger.boxes import Box
from edge_agent.ledger.value_marks import Mark
from edge_agent.messages import FromDevice, Log, SayBooked
from edge_agent.play.plays import deliver, hear_late, heard
from edge_agent.step.draft import Draft, Spot
from edge_agent.step.site import Heard
from edge_agent.takings import coins, kiosk
from payment_core.authorization import FINAL, State
from payment_core.bus import Booked
from payment_core.events import CashSale, CoinInserted, CreditDelivered, EventsLost, PrizeOut, TicketsWon, Valued
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Actor, CashSold, CoinBooked, PrizeSeen, Tampered, Tender
from payment_core.policy import Lane
from payment_core.pricing import tax_in

NO_COUNTER: Final = -1
"""Said of a device whose own counter is not known."""
FIRST_SETTLES_MS: Final = 5_000
"""How long the oldest event of an unknown device must stay the oldest; five rounds of a bridge's resending."""


def take(draft: Draft, fact: FromDevice, body: Valued) -> None:
    """Book a value event, by its kind."""
    match body:
        case CoinInserted():
            on_coin(draft, fact, body)
        case CreditDelivered():
            on_credit(draft, fact, body)
        case TicketsWon():
            on_tickets(draft, fact, body)
        case EventsLost():
            on_events_lost(draft, fact, body)
        case PrizeOut():
            on_prizes(draft, fact, body)
        case CashSale():
            on_cash_sale(draft, fact, body)
        case _:
            assert_never(body)


def on_credit(draft: Draft, fact: FromDevice, body: CreditDelivered) -> None:
    """A command was carried out: capture it, also out of turn, for that changes nothing twice. Booked is it in turn."""
    _credit(draft, fact, body)
    if _in_turn(draft, fact):
        _book(draft, fact)


def _credit(draft: Draft, fact: FromDevice, body: CreditDelivered) -> None:
    try:
        row = authorizations.by_id(draft.store, uuid_bytes(body.id))
    except ValueError as error:
        draft.effect(Log("event.malformed", {"device": fact.device, "why": f"CreditDelivered.id: {error}"}))
        return
    authorization = draft.load(row) if row else None
    if authorization is None or authorization.device != fact.device:
        draft.effect(Log("credit.unknown_command", {"device": fact.device}))
    elif authorization.state in (State.COMMANDED, State.IN_DOUBT):
        draft.site.stop_waiting(authorization.id)
        deliver(draft, authorization, body.credits, heard(draft, authorization))
    elif authorization.state in FINAL:
        hear_late(draft, authorization, "done", body.credits)


def on_coin(draft: Draft, fact: FromDevice, body: CoinInserted) -> None:
    """A coin fell: book it once, and let it play when it covers the price."""
    lane = draft.site.lane_of_device.get(fact.device)
    if not _in_turn(draft, fact) or not draft.site.currency:
        return  # before the first price list nobody can say what a coin is worth; the bridge keeps it
    amount = draft.site.coins.get(fact.device, {}).get(body.position)
    if lane is None or amount is None:
        _tamper(draft, fact, lane, count=1)
        draft.effect(Log("coin.no_value", {"device": fact.device, "position": body.position}))
    elif not kiosk.took(draft, lane, amount):
        spot = Spot(Actor.GUEST, Tender.CASH, lane)
        event = fact.event
        draft.journal(
            CoinBooked(
                1, draft.header(spot), fact.device, event.epoch, event.seq, body.counter, body.position,
                draft.site.currency, amount,
            )
        )  # fmt: skip
        coins.add(draft, lane, amount)
        boxes.add(draft.store, Box(lane.machine, "cash_box", draft.site.currency, amount))
        coins.play(draft, lane)
    _book(draft, fact, body.counter)


def on_tickets(draft: Draft, fact: FromDevice, body: TicketsWon) -> None:
    """Tickets came out: they are who played last here, where the venue allows that (BUS-4), else they wait here."""
    lane = draft.site.lane_of_device.get(fact.device)
    if not _in_turn(draft, fact):
        return
    if lane is None or not body.count:
        _tamper(draft, fact, lane, count=body.count)
    else:
        coins.won(draft, lane, fact, body.count)
    _book(draft, fact)


def on_prizes(draft: Draft, fact: FromDevice, body: PrizeOut) -> None:
    """A sensor saw prizes leave: written down at the machine it stands at, and nobody pays or wins by it."""
    if _in_turn(draft, fact):
        spot = Spot(Actor.DEVICE, Tender.NONE, draft.site.lane_of_device.get(fact.device))
        event = fact.event
        draft.journal(PrizeSeen(1, draft.header(spot), fact.device, event.epoch, event.seq, body.count))
        _book(draft, fact)


def on_cash_sale(draft: Draft, fact: FromDevice, body: CashSale) -> None:
    """A machine sold for cash of its own: it lies in the machine's box and is earned, with the tax of its price."""
    site, lane = draft.site, draft.site.lane_of_device.get(fact.device)
    if not _in_turn(draft, fact) or not site.currency:
        return  # before the first price list nobody can say in what currency; the bridge keeps it
    quote = site.quote(lane, draft.now.local) if lane else None
    tax = site.prices.taxes.get(quote.price.tax_code) if quote and site.prices else None
    taxed = tax_in(body.amount, tax.milli_percent) if tax else 0
    tax_code = quote.price.tax_code if quote and tax else None
    header = draft.header(Spot(Actor.GUEST, Tender.CASH, lane, tax_code=tax_code))
    event, unit = fact.event, site.currency
    draft.journal(CashSold(1, header, fact.device, event.epoch, event.seq, unit, body.amount, body.item, taxed))
    boxes.add(draft.store, Box(lane.machine if lane else "", "cash_box", unit, body.amount))
    _book(draft, fact)


def on_events_lost(draft: Draft, fact: FromDevice, body: EventsLost) -> None:
    """The device counted credits nobody saw: an accounting entry, never credit."""
    if not _in_turn(draft, fact):
        return
    _tamper(draft, fact, draft.site.lane_of_device.get(fact.device), count=body.count)
    draft.effect(Log("device.events_lost", {"device": fact.device, "count": body.count}))
    _book(draft, fact)


def _tamper(draft: Draft, fact: FromDevice, lane: Lane | None, *, count: int) -> None:
    spot = Spot(Actor.DEVICE, Tender.NONE, lane)
    draft.journal(Tampered(1, draft.header(spot), fact.device, fact.event.epoch, fact.event.seq, count))


def _marked(draft: Draft, fact: FromDevice) -> Mark | None:
    return value_marks.mark(draft.store, fact.device, fact.event.epoch)


def _in_turn(draft: Draft, fact: FromDevice) -> bool:
    """Say whether this is the next value event of its device; one booked before is only booked again.

    One that skips its predecessor is left alone: the bridge resends everything in order until it is booked. Two may
    skip what their bridge certainly has no more: the oldest of an epoch never booked (a ledger that was lost or set
    back meets logs that go on), and a delivered credit, whose predecessors the first release booked without a mark.
    """
    mark, event = _marked(draft, fact), fact.event
    booked = mark.seq if mark else 0
    if mark is not None and event.seq <= booked:
        draft.effect(SayBooked(fact.device, Booked(epoch=event.epoch, seq=booked, counter=mark.counter)))
        return False
    oldest = _oldest_left(draft, fact, booked)
    if event.seq == booked + 1:
        return True
    may_skip = mark is None or event.kind == CreditDelivered.__name__
    settled = draft.now.boottime_ms - oldest.since_ms >= FIRST_SETTLES_MS
    return may_skip and settled and event.seq == oldest.seq


def _oldest_left(draft: Draft, fact: FromDevice, booked: int) -> Heard:
    """Return the oldest event that a bridge was heard to have still, and since when it is that.

    The bridge resends all of them every second, in order: what stayed the lowest number for several rounds has nothing
    before it. Taking the first one heard would lose the coins before it.
    """
    event, oldest = fact.event, draft.site.unbooked.get(fact.device)
    if oldest is None or oldest.epoch != event.epoch or not booked < oldest.seq <= event.seq:
        oldest = Heard(event.epoch, event.seq, draft.now.boottime_ms)
        draft.site.unbooked[fact.device] = oldest
    return oldest


def _book(draft: Draft, fact: FromDevice, counter: int | None = None) -> None:
    """Remember that a value event is booked and say so; `counter` None: it has none, the last known one stays."""
    if counter is None:
        mark = _marked(draft, fact)
        counter = mark.counter if mark else NO_COUNTER
    event = fact.event
    value_marks.book(draft.store, fact.device, event.epoch, Mark(event.seq, counter))
    draft.effect(SayBooked(fact.device, Booked(epoch=event.epoch, seq=event.seq, counter=counter)))
