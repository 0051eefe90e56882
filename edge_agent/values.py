"""Value events: coins, credit delivered, events a device lost. Each (device, epoch, seq) is booked once."""

from typing import Final

from edge_agent.draft import Draft, Spot
from edge_agent.ledger import authorizations
from edge_agent.messages import FromDevice, Log, SayBooked, Show
from edge_agent.plays import deliver, hold_and_command, late_evidence, view_of
from edge_agent.site import Heard
from payment_core.authorization import State
from payment_core.bus import Booked
from payment_core.errors import MalformedMessageError
from payment_core.events import CoinInserted, CreditDelivered, EventsLost
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Actor, Cause, CoinBooked, Held, Part, Tampered, Tender
from payment_core.policy import Lane
from payment_core.pricing import Price, find_price

FIRST_SETTLES_MS: Final = 5_000
"""How long the oldest event of an unknown device must stay the oldest; five rounds of a bridge's resending."""


def on_credit(draft: Draft, fact: FromDevice, body: CreditDelivered) -> None:
    """A command was carried out: capture it. The same fact again is only booked again."""
    try:
        row = authorizations.by_id(draft.store, uuid_bytes(body.id))
    except ValueError as error:
        message = f"CreditDelivered.id: {error}"
        raise MalformedMessageError(message) from error
    if row is None:
        draft.effect(Log("credit.unknown_command", {"device": fact.device}))
    elif row.state in (State.COMMANDED, State.IN_DOUBT):
        draft.site.stop_waiting(row.id)
        deliver(draft, draft.load(row), body.credits, Cause.DEVICE)
    elif row.state in (State.VOIDED, State.EXPIRED) and _mark(draft, fact, counter=0):
        late_evidence(draft, draft.load(row), "done", fact.device)
    draft.effect(SayBooked(fact.device, Booked(epoch=fact.event.epoch, seq=fact.event.seq, counter=0)))


def on_coin(draft: Draft, fact: FromDevice, body: CoinInserted) -> None:
    """A coin fell: book it once, and let it play when it covers the price."""
    lane = draft.site.lane_of_device.get(fact.device)
    if not _in_turn(draft, fact):
        return
    amount = draft.site.coins.get(fact.device, {}).get(body.position)
    if lane is None or amount is None:
        _tamper(draft, fact, lane, count=1)
        draft.effect(Log("coin.no_value", {"device": fact.device, "position": body.position}))
    else:
        spot = Spot(Actor.GUEST, Tender.CASH, lane)
        event = fact.event
        draft.journal(
            CoinBooked(
                1, draft.header(spot), fact.device, event.epoch, event.seq, body.counter, body.position,
                draft.site.currency, amount,
            )
        )  # fmt: skip
        draft.store.execute(
            "INSERT INTO coin_credit(lane, unit, amount) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            (lane.id, draft.site.currency, amount),
        )
        _play_coins(draft, fact, lane)
    _mark(draft, fact, counter=body.counter)
    draft.effect(SayBooked(fact.device, _booked(fact, body.counter)))


def on_events_lost(draft: Draft, fact: FromDevice, body: EventsLost) -> None:
    """The device counted credits nobody saw: an accounting entry, never credit."""
    if not _in_turn(draft, fact):
        return
    _tamper(draft, fact, draft.site.lane_of_device.get(fact.device), count=body.count)
    draft.effect(Log("device.events_lost", {"device": fact.device, "count": body.count}))
    counter = _marked(draft, fact.device)[2]
    _mark(draft, fact, counter=counter)
    draft.effect(SayBooked(fact.device, _booked(fact, counter)))


def _play_coins(draft: Draft, fact: FromDevice, lane: Lane) -> None:
    prices = draft.site.prices
    price = find_price(prices, machine=lane.machine, zone=lane.zone, local=draft.now.local) if prices else None
    cost = price.price[-1].minor if price else 0
    if price is None or not cost or not draft.site.ready(lane.output):
        return
    have = draft.store.rows("SELECT amount FROM coin_credit WHERE lane = ?", (lane.id,))[0][0]
    plays = have // cost
    if plays:
        _hold_coins(draft, fact, lane, price, plays)


def _hold_coins(draft: Draft, fact: FromDevice, lane: Lane, price: Price, plays: int) -> None:
    cost = price.price[-1]
    part = Part(cost.unit, cost.minor * plays)
    draft.store.execute("UPDATE coin_credit SET amount = amount - ? WHERE lane = ?", (part.amount, lane.id))
    spot = Spot(Actor.GUEST, Tender.CASH, lane, draft.new_id(), price.tax_code or None)
    event, now = fact.event, draft.now
    expires_ms = now.wall_ms + draft.site.risk.hold_ms
    held = Held(1, draft.header(spot), (part,), None, None, None, fact.device, event.epoch, event.seq, expires_ms)
    hold_and_command(draft, held, spot, credits=price.credits * plays)
    draft.effect(Show(lane.id, view_of(draft, lane, "held", cost)))


def _tamper(draft: Draft, fact: FromDevice, lane: Lane | None, *, count: int) -> None:
    spot = Spot(Actor.DEVICE, Tender.NONE, lane)
    draft.journal(Tampered(1, draft.header(spot), fact.device, fact.event.epoch, fact.event.seq, count))


def _marked(draft: Draft, device: str) -> tuple[int, int, int]:
    """Return (epoch, seq, counter) of the last value event booked of a device; zeros before the first."""
    rows = draft.store.rows("SELECT epoch, seq, counter FROM value_marks WHERE device = ?", (device,))
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else (0, 0, 0)


def _in_turn(draft: Draft, fact: FromDevice) -> bool:
    """Say whether this is the next value event of its device; one booked before is only booked again.

    One that skips its predecessor is left alone: the bridge resends everything in order until it is booked.
    """
    epoch, seq, counter = _marked(draft, fact.device)
    event = fact.event
    if event.epoch == epoch and event.seq <= seq:
        draft.effect(SayBooked(fact.device, Booked(epoch=epoch, seq=seq, counter=counter)))
        return False
    expected = seq + 1 if event.epoch == epoch else 1
    return event.seq == expected or ((epoch, seq) == (0, 0) and _is_first_left(draft, fact))


def _is_first_left(draft: Draft, fact: FromDevice) -> bool:
    """Of a device never booked: say whether this is the oldest event its bridge still has.

    A ledger that was lost meets logs that go on. The bridge resends all of them every second, in order: what stayed the
    lowest number for several rounds has nothing before it. Taking the first one heard would lose the coins before it.
    """
    event, now_ms = fact.event, draft.now.boottime_ms
    lowest = draft.site.unbooked.get(fact.device)
    if lowest is None or lowest.epoch != event.epoch or event.seq < lowest.seq:
        draft.site.unbooked[fact.device] = Heard(event.epoch, event.seq, now_ms)
        return False
    return event.seq == lowest.seq and now_ms - lowest.since_ms >= FIRST_SETTLES_MS


def _mark(draft: Draft, fact: FromDevice, *, counter: int) -> bool:
    """Remember that a value event is booked; False where it was before."""
    epoch, seq, _counter = _marked(draft, fact.device)
    if fact.event.epoch == epoch and fact.event.seq <= seq:
        return False
    draft.store.execute(
        "INSERT INTO value_marks(device, epoch, seq, counter) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "epoch = excluded.epoch, seq = excluded.seq, counter = excluded.counter",
        (fact.device, fact.event.epoch, fact.event.seq, counter),
    )
    return True


def _booked(fact: FromDevice, counter: int) -> Booked:
    return Booked(epoch=fact.event.epoch, seq=fact.event.seq, counter=counter)
