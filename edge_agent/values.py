"""Value events: coins, credit delivered, events a device lost. Each (device, epoch, seq) is booked once."""

from typing import Final

import msgspec

from edge_agent import coins, kiosk
from edge_agent.draft import Draft, Spot
from edge_agent.ledger import authorizations, boxes
from edge_agent.ledger.boxes import Box
from edge_agent.messages import FromDevice, Log, SayBooked
from edge_agent.plays import Why, deliver, late_evidence
from edge_agent.site import Heard
from payment_core.authorization import State
from payment_core.bus import Booked
from payment_core.errors import MalformedMessageError
from payment_core.events import CoinInserted, CreditDelivered, EventsLost, TicketsWon
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Actor, Cause, CoinBooked, Tampered, Tender
from payment_core.policy import Lane

NO_COUNTER: Final = -1
"""Said of a device whose own counter is not known."""
FIRST_SETTLES_MS: Final = 5_000
"""How long the oldest event of an unknown device must stay the oldest; five rounds of a bridge's resending."""


def on_credit(draft: Draft, fact: FromDevice, body: CreditDelivered) -> None:
    """A command was carried out: capture it. The same fact again is only booked again."""
    try:
        row = authorizations.by_id(draft.store, uuid_bytes(body.id))
    except ValueError as error:
        message = f"CreditDelivered.id: {error}"
        raise MalformedMessageError(message) from error
    authorization = draft.load(row) if row else None
    if authorization is None or authorization.device != fact.device:
        draft.effect(Log("credit.unknown_command", {"device": fact.device}))
    elif authorization.state in (State.COMMANDED, State.IN_DOUBT):
        draft.site.stop_waiting(authorization.id)
        deliver(draft, authorization, body.credits, Why(Cause.DEVICE))
        if body.credits >= authorization.credits:  # a machine that gave a part is not asked again by itself
            coins.after(draft, authorization)
    elif authorization.state in (State.VOIDED, State.EXPIRED) and _mark(draft, fact, counter=0):
        late_evidence(draft, authorization, "done", fact.device)
    draft.effect(SayBooked(fact.device, Booked(epoch=fact.event.epoch, seq=fact.event.seq, counter=0)))


def on_coin(draft: Draft, fact: FromDevice, body: CoinInserted) -> None:
    """A coin fell: book it once, and let it play when it covers the price."""
    lane = draft.site.lane_of_device.get(fact.device)
    if not draft.site.currency or not _in_turn(draft, fact):
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
    _mark(draft, fact, counter=body.counter)
    draft.effect(SayBooked(fact.device, _booked(fact, body.counter)))


def on_tickets(draft: Draft, fact: FromDevice, body: TicketsWon) -> None:
    """Tickets came out: they are who played last here, where the venue allows that (BUS-4), else they wait here."""
    lane = draft.site.lane_of_device.get(fact.device)
    if not _in_turn(draft, fact):
        return
    if lane is None or not body.count:
        _tamper(draft, fact, lane, count=body.count)
    else:
        coins.won(draft, lane, fact, body.count)
    mark = _marked(draft, fact)
    counter = mark.counter if mark else NO_COUNTER
    _mark(draft, fact, counter=counter)
    draft.effect(SayBooked(fact.device, _booked(fact, counter)))


def on_events_lost(draft: Draft, fact: FromDevice, body: EventsLost) -> None:
    """The device counted credits nobody saw: an accounting entry, never credit."""
    if not _in_turn(draft, fact):
        return
    _tamper(draft, fact, draft.site.lane_of_device.get(fact.device), count=body.count)
    draft.effect(Log("device.events_lost", {"device": fact.device, "count": body.count}))
    mark = _marked(draft, fact)
    counter = mark.counter if mark else NO_COUNTER
    _mark(draft, fact, counter=counter)
    draft.effect(SayBooked(fact.device, _booked(fact, counter)))


def _tamper(draft: Draft, fact: FromDevice, lane: Lane | None, *, count: int) -> None:
    spot = Spot(Actor.DEVICE, Tender.NONE, lane)
    draft.journal(Tampered(1, draft.header(spot), fact.device, fact.event.epoch, fact.event.seq, count))


class Mark(msgspec.Struct, frozen=True):
    """The last value event booked of a device in one epoch of its log."""

    seq: int
    counter: int


def _marked(draft: Draft, fact: FromDevice) -> Mark | None:
    sql = "SELECT seq, told FROM device_marks WHERE device = ? AND epoch = ? AND kind = 2"
    rows = draft.store.rows(sql, (fact.device, fact.event.epoch))
    return Mark(*rows[0]) if rows else None


def _in_turn(draft: Draft, fact: FromDevice) -> bool:
    """Say whether this is the next value event of its device; one booked before is only booked again.

    One that skips its predecessor is left alone: the bridge resends everything in order until it is booked.
    """
    mark, event = _marked(draft, fact), fact.event
    if mark is None:
        return event.seq == 1 or _is_first_left(draft, fact)
    if event.seq <= mark.seq:
        draft.effect(SayBooked(fact.device, Booked(epoch=event.epoch, seq=mark.seq, counter=mark.counter)))
        return False
    return event.seq == mark.seq + 1


def _is_first_left(draft: Draft, fact: FromDevice) -> bool:
    """Of an epoch never booked: say whether this is the oldest event its bridge still has.

    A ledger that was lost or set back meets logs that go on. The bridge resends all of them every second, in order:
    what stayed the lowest number for several rounds has nothing before it. Taking the first one heard would lose the
    coins before it.
    """
    event, now_ms = fact.event, draft.now.boottime_ms
    lowest = draft.site.unbooked.get(fact.device)
    if lowest is None or lowest.epoch != event.epoch or event.seq < lowest.seq:
        draft.site.unbooked[fact.device] = Heard(event.epoch, event.seq, now_ms)
        return False
    return event.seq == lowest.seq and now_ms - lowest.since_ms >= FIRST_SETTLES_MS


def _mark(draft: Draft, fact: FromDevice, *, counter: int) -> bool:
    """Remember that a value event is booked; False where it was before."""
    mark = _marked(draft, fact)
    if mark is not None and fact.event.seq <= mark.seq:
        return False
    draft.store.execute(
        "INSERT INTO device_marks(device, epoch, kind, seq, told) VALUES (?, ?, 2, ?, ?) ON CONFLICT DO UPDATE SET "
        "seq = excluded.seq, told = excluded.told",
        (fact.device, fact.event.epoch, fact.event.seq, counter),
    )
    return True


def _booked(fact: FromDevice, counter: int) -> Booked:
    return Booked(epoch=fact.event.epoch, seq=fact.event.seq, counter=counter)
