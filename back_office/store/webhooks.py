"""Webhooks, and the events that wait for each in order: written in the transaction of what they tell of."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec
import sqlalchemy as sa

from back_office.store import places
from back_office.store.engine import Transaction
from back_office.store.tables import DELIVERIES, WEBHOOKS
from back_office.store.transaction import insert_into
from payment_core.identifiers import uuid_text

Event = Literal["alarm.raised", "batch.parked", "closing.made", "hub.frozen", "refund.booked"]
EVENTS: Final[tuple[Event, ...]] = get_args(Event)
HookState = Literal["active", "disabled", "ended"]
DeliveryState = Literal["waiting", "delivered", "dropped"]


class Webhook(msgspec.Struct, frozen=True):
    """Who wants to hear of events. venue_id None: of every venue, and of what belongs to none; secret: 32 bytes.

    events: their names, a space between; last_no: of its newest event.
    """

    hook_id: bytes
    url: str
    events: str
    venue_id: bytes | None
    secret: bytes
    state: HookState
    last_no: int
    created_ms: int
    created_by: str


class Delivery(msgspec.Struct, frozen=True):
    """One event for one webhook. body: the bytes that are sent; answer: what came of the last attempt."""

    hook_id: bytes
    number: int
    event: str
    body: bytes
    made_ms: int
    attempts: int
    due_ms: int
    state: DeliveryState
    done_ms: int | None
    answer: str


_HOOKS = sa.select(*(WEBHOOKS.c[name] for name in Webhook.__struct_fields__)).where(
    WEBHOOKS.c.tenant_id == sa.bindparam("tenant")
)
_ALL = _HOOKS.order_by(WEBHOOKS.c.hook_id)
_ACTIVE = _ALL.where(WEBHOOKS.c.state == "active")
_ONE = _HOOKS.where(WEBHOOKS.c.hook_id == sa.bindparam("hook"))
_CHANGE = sa.update(WEBHOOKS).where(
    WEBHOOKS.c.tenant_id == sa.bindparam("tenant"), WEBHOOKS.c.hook_id == sa.bindparam("hook")
)
_DELIVERIES = sa.select(*(DELIVERIES.c[name] for name in Delivery.__struct_fields__)).where(
    DELIVERIES.c.tenant_id == sa.bindparam("tenant"), DELIVERIES.c.hook_id == sa.bindparam("hook")
)
_WAITING: Final[sa.ColumnElement[bool]] = sa.literal_column(
    "deliveries.state = 'waiting'"
)  # in these words the index answers it
_FIRST = _DELIVERIES.where(_WAITING).order_by(DELIVERIES.c.number).limit(1)
_FRESH = _FIRST.where(DELIVERIES.c.due_ms == DELIVERIES.c.made_ms)
_NEWEST = (
    _DELIVERIES.where(DELIVERIES.c.number < sa.bindparam("before"))
    .order_by(DELIVERIES.c.number.desc())
    .limit(sa.bindparam("most"))
)
_NUMBERED = sa.update(DELIVERIES).where(
    DELIVERIES.c.tenant_id == sa.bindparam("tenant"), DELIVERIES.c.hook_id == sa.bindparam("hook"),
    DELIVERIES.c.number == sa.bindparam("at"),
)  # fmt: skip
_OF_WAITING = sa.update(DELIVERIES).where(
    DELIVERIES.c.tenant_id == sa.bindparam("tenant"), DELIVERIES.c.hook_id == sa.bindparam("hook"), _WAITING
)
_FORGET = sa.delete(DELIVERIES).where(
    DELIVERIES.c.tenant_id == sa.bindparam("tenant"), DELIVERIES.c.done_ms < sa.bindparam("before")
)


def tell(
    tx: Transaction, tenant_id: bytes, event: Event, what: Mapping[str, Any], *, subject_id: bytes, at_ms: int
) -> None:
    """Write an event down for every webhook that wants it. subject_id: the hub or venue it is about, or another's id.

    what: plain values of JSON. Nothing is sent here: `api.sending` does, behind the commit.
    """
    hooks = [Webhook(*row) for row in tx.execute(_ACTIVE, {"tenant": tenant_id})]
    wanted = [hook for hook in hooks if event in hook.events.split()]
    if not wanted:
        return
    venue_id = _venue_of(tx, tenant_id, subject_id)
    for hook in wanted:
        if hook.venue_id not in {None, venue_id}:
            continue
        number = hook.last_no + 1
        said = {
            "hook": uuid_text(hook.hook_id), "number": number, "event": event, "at_ms": at_ms,
            "venue": uuid_text(venue_id) if venue_id else None, "what": what,
        }  # fmt: skip
        tx.execute(_CHANGE, {"tenant": tenant_id, "hook": hook.hook_id, "last_no": number})
        row = Delivery(
            hook_id=hook.hook_id, number=number, event=event, body=msgspec.json.encode(said), made_ms=at_ms, attempts=0,
            due_ms=at_ms, state="waiting", done_ms=None, answer="",
        )  # fmt: skip
        tx.execute(insert_into(DELIVERIES), [{"tenant_id": tenant_id, **msgspec.structs.asdict(row)}])


def add_hook(tx: Transaction, tenant_id: bytes, hook: Webhook) -> None:
    """Write a webhook down."""
    tx.execute(insert_into(WEBHOOKS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(hook)}])


def hooks(tx: Transaction, tenant_id: bytes) -> list[Webhook]:
    """Return every webhook there ever was."""
    return [Webhook(*row) for row in tx.execute(_ALL, {"tenant": tenant_id})]


def hook(tx: Transaction, tenant_id: bytes, hook_id: bytes) -> Webhook | None:
    """Return one webhook."""
    row = tx.execute(_ONE, {"tenant": tenant_id, "hook": hook_id}).first()
    return None if row is None else Webhook(*row)


def set_state(tx: Transaction, tenant_id: bytes, hook_id: bytes, state: HookState, *, now_ms: int) -> None:
    """Disable, resume or end a webhook; what waits for one that ended goes nowhere, for one that is resumed at once."""
    tx.execute(_CHANGE, {"tenant": tenant_id, "hook": hook_id, "state": state})
    if state == "ended":
        tx.execute(_OF_WAITING, {"tenant": tenant_id, "hook": hook_id, "state": "dropped", "done_ms": now_ms})
    if state == "active":
        tx.execute(_OF_WAITING, {"tenant": tenant_id, "hook": hook_id, "attempts": 0, "due_ms": now_ms})


def hurry(tx: Transaction, tenant_id: bytes, hook_id: bytes, *, now_ms: int) -> None:
    """Let the event whose turn it is at a webhook be tried now, however long it was to wait."""
    first = first_waiting(tx, tenant_id, hook_id)
    if first is not None:
        change_delivery(tx, tenant_id, msgspec.structs.replace(first, due_ms=now_ms))


def first_waiting(tx: Transaction, tenant_id: bytes, hook_id: bytes) -> Delivery | None:
    """Return the event whose turn it is at a webhook."""
    row = tx.execute(_FIRST, {"tenant": tenant_id, "hook": hook_id}).first()
    return None if row is None else Delivery(*row)


def first_fresh(tx: Transaction, tenant_id: bytes, hook_id: bytes) -> Delivery | None:
    """Return the oldest that waits and was neither tried nor there when the webhook was resumed."""
    row = tx.execute(_FRESH, {"tenant": tenant_id, "hook": hook_id}).first()
    return None if row is None else Delivery(*row)


def deliveries(tx: Transaction, tenant_id: bytes, hook_id: bytes, *, before: int, most: int) -> list[Delivery]:
    """Return a webhook's events numbered below `before`, the newest first."""
    asked = {"tenant": tenant_id, "hook": hook_id, "before": before, "most": most}
    return [Delivery(*row) for row in tx.execute(_NEWEST, asked)]


def change_delivery(tx: Transaction, tenant_id: bytes, to: Delivery) -> None:
    """Write what became of an attempt."""
    values = {"attempts": to.attempts, "due_ms": to.due_ms, "state": to.state, "done_ms": to.done_ms}
    place = {"tenant": tenant_id, "hook": to.hook_id, "at": to.number}
    tx.execute(_NUMBERED, {**place, **values, "answer": to.answer})


def forget_deliveries(tx: Transaction, tenant_id: bytes, *, before_ms: int) -> None:
    """Let go of events that went out long ago."""
    tx.execute(_FORGET, {"tenant": tenant_id, "before": before_ms})


def _venue_of(tx: Transaction, tenant_id: bytes, subject_id: bytes) -> bytes | None:
    if any(venue.venue_id == subject_id for venue in places.venues(tx, tenant_id)):
        return subject_id
    hub = places.hub(tx, tenant_id, subject_id)
    return hub.venue_id if hub is not None else None
