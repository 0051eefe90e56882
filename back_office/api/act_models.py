"""What the API says of acts, documents, keys and webhooks, and what a request's body is made of."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from back_office.api.models import Id, Minor, Ms, Told
from back_office.store.api_keys import Role
from back_office.store.webhooks import DeliveryState, Event, HookState


class Refund(Told):
    """A payment, or a part of it, that went back. kept: what stayed for gifts that were spent; null: not told here."""

    id: Id
    channel: str
    payment: str
    account: Id
    amount: Minor
    unit: str
    kept: Minor | None = None
    entry: int
    at_ms: Ms


class Document(Told):
    """A version of what configures a hub. effective_ms: from when on it counts, 0: at once."""

    name: str
    version: int
    sha256: str
    created_ms: Ms
    effective_ms: Ms


class DocumentContent(Document):
    """A version of what configures a hub, with what stands in it."""

    content: dict[str, Any]


class Key(Told):
    """A key of the API; its secret is nowhere. venue null: every venue."""

    id: str
    name: str
    role: Role
    venue: Id | None
    created_ms: Ms
    created_by: str
    revoked_ms: Ms | None
    revoked_by: str


class AuditLine(Told):
    """Who did what about whom, and why; each hash continues the one before. subject: an id in hexadecimal."""

    number: int
    at_ms: Ms
    who: str
    what: str
    subject: str
    note: str
    hash: str


class Webhook(Told):
    """Who hears of events. venue null: of every venue's, and of those that belong to none."""

    id: Id
    url: str
    events: list[Event]
    venue: Id | None
    state: HookState
    newest_event: int
    created_ms: Ms
    created_by: str


class NewWebhook(Webhook):
    """A webhook that was made. secret: 64 hexadecimal digits, 32 bytes that sign what it is sent; shown once."""

    secret: str


class Delivery(Told):
    """One event of a webhook. answer: what came of the last attempt."""

    number: int
    event: str
    state: DeliveryState
    attempts: int
    made_ms: Ms
    due_ms: Ms
    done_ms: Ms | None
    answer: str


class Body(BaseModel):
    """A request: nothing in it that is not known, and no text taken for a number."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Content = dict[str, Any]
