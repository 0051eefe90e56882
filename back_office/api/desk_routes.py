"""Keys, the audit, webhooks and what was sent to them."""

import secrets
from typing import Annotated, Final

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import Field

from back_office.api import act_models as models
from back_office.api.access import Asked
from back_office.api.addresses import refusal_of
from back_office.api.asking import (
    SOME_ITEMS,
    UUID,
    Cursor,
    IdAsked,
    Limit,
    VenueAsked,
    optional_id,
    page_of,
)
from back_office.api.cursors import place_of
from back_office.api.gate import AskedFor, GuardedRoute
from back_office.api.models import Page
from back_office.api.once import Once, must_count, once
from back_office.api.problems import Problem, problem, refused
from back_office.store import acts, api_keys, pages, webhooks
from back_office.store.acts import AuditLine, ChainedLine
from back_office.store.api_keys import ApiKey
from back_office.store.engine import Transaction
from back_office.store.webhooks import EVENTS, Event, HookState, Webhook
from payment_core.identifiers import uuid7, uuid_bytes, uuid_text

router = APIRouter(route_class=GuardedRoute, tags=["desk"])
_SECRET_BYTES: Final = 32
_DICE: Final = 10
MOST_HOOKS: Final = 16
"""Webhooks that are not ended."""
_ALL: Final = 2**53 - 1
HookAsked = Annotated[str, Path(alias="hook", pattern=UUID)]


class WebhookWish(models.Body):
    """Where events go: an https address, and which of them."""

    url: Annotated[str, Field(min_length=9, max_length=1_000, pattern=r"^https?://[!-~]+$")]
    events: Annotated[list[Event], Field(min_length=1, max_length=len(EVENTS))]


@router.get("/keys", operation_id="list_keys")
def list_keys(asked: AskedFor, limit: Limit = SOME_ITEMS, cursor: Cursor = None) -> Page[models.Key]:
    """Return every key there ever was, by id; they are made and revoked by `venuehub office api-key` alone."""
    after = place_of(asked, cursor) or ("",)
    with asked.reading() as tx:
        known = sorted(api_keys.keys(tx, asked.tenant_id), key=lambda row: row.key_id)
    rows = [row for row in known if row.key_id > after[0]]
    return page_of(asked, rows, limit, _key, lambda row: (row.key_id,))


@router.get("/audit", operation_id="list_audit")
def list_audit(asked: AskedFor, limit: Limit = SOME_ITEMS, cursor: Cursor = None) -> Page[models.AuditLine]:
    """Return who decided what, the oldest first; each line's hash continues the one before (docs/reconciliation.md)."""
    after = place_of(asked, cursor) or (0,)
    with asked.reading() as tx:
        rows = pages.audit(tx, asked.tenant_id, after=after[0], most=limit + 1)
    return page_of(asked, rows, limit, _audit_line, lambda row: (row.number,))


@router.get("/webhooks", operation_id="list_webhooks")
def list_webhooks(
    asked: AskedFor, venue: VenueAsked = None, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> Page[models.Webhook]:
    """Return webhooks, also those that ended."""
    after = place_of(asked, cursor) or (b"",)
    with asked.reading() as tx:
        known = [hook for hook in webhooks.hooks(tx, asked.tenant_id) if asked.has(hook.venue_id)]
    rows = [hook for hook in known if asked.venue is None or hook.venue_id == asked.venue.venue_id]
    rows = [hook for hook in rows if hook.hook_id > after[0]]
    return page_of(asked, rows, limit, _webhook, lambda row: (row.hook_id,))


@router.post("/webhooks", operation_id="create_webhook", status_code=201, response_model=models.NewWebhook)
def create_webhook(asked: AskedFor, wish: WebhookWish, name: Once, venue: VenueAsked = None) -> Response:
    """Tell an address of events, signed (docs/api.md). A key of one venue hears of that venue alone."""
    why = refusal_of(wish.url, asked.books.private_hooks)
    if why:
        raise refused(422, f"body.url: {why}")

    def act(tx: Transaction) -> tuple[int, models.NewWebhook | Problem]:
        if sum(hook.state != "ended" for hook in webhooks.hooks(tx, asked.tenant_id)) >= MOST_HOOKS:
            return 409, problem(409, f"there are {MOST_HOOKS} webhooks: end one first")
        now_ms = asked.books.clock()
        hook = Webhook(
            hook_id=uuid7(unix_ms=now_ms, dice=secrets.token_bytes(_DICE)), url=wish.url,
            events=" ".join(dict.fromkeys(wish.events)), venue_id=asked.venue.venue_id if asked.venue else None,
            secret=secrets.token_bytes(_SECRET_BYTES), state="active", last_no=0, created_ms=now_ms,
            created_by=f"api:{asked.key.name}",
        )  # fmt: skip
        webhooks.add_hook(tx, asked.tenant_id, hook)
        _audit(tx, asked, hook, "made", now_ms)
        return 201, models.NewWebhook(**_webhook(hook).model_dump(), secret=hook.secret.hex())

    return once(asked, name, act)


@router.delete("/webhooks/{hook}", operation_id="end_webhook")
def end_webhook(asked: AskedFor, hook: IdAsked) -> models.Webhook:
    """End a webhook for good: what waits for it goes nowhere. Ended already: the same answer."""

    def act(tx: Transaction) -> models.Webhook:
        must_count(tx, asked)
        return _moved(tx, asked, hook, "ended")

    return asked.books.store.write(act)


@router.post("/webhooks/{hook}/resumption", operation_id="resume_webhook", response_model=models.Webhook)
def resume_webhook(asked: AskedFor, hook: IdAsked, name: Once) -> Response:
    """Begin again with a webhook that was disabled: what waits for it goes out from the oldest on.

    Of one that is active the oldest is tried now.
    """

    def act(tx: Transaction) -> tuple[int, models.Webhook]:
        found = _mine(tx, asked, hook)
        if found.state == "active":
            webhooks.hurry(tx, asked.tenant_id, found.hook_id, now_ms=asked.books.clock())
        return 200, _moved(tx, asked, hook, "active")

    return once(asked, name, act)


@router.get("/webhooks/{hook}/deliveries", operation_id="list_deliveries")
def list_deliveries(
    asked: AskedFor, hook: IdAsked, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> Page[models.Delivery]:
    """Return a webhook's events, the newest first: what waits, what went out, and how the last attempt ended."""
    before = place_of(asked, cursor, hook) or (_ALL,)
    with asked.reading() as tx:
        found = _mine(tx, asked, hook)
        rows = webhooks.deliveries(tx, asked.tenant_id, found.hook_id, before=before[0], most=limit + 1)
    return page_of(
        asked, rows, limit,
        lambda row: models.Delivery(
            number=row.number, event=row.event, state=row.state, attempts=row.attempts, made_ms=row.made_ms,
            due_ms=row.due_ms, done_ms=row.done_ms, answer=row.answer,
        ),
        lambda row: (row.number,), hook,
    )  # fmt: skip


# ---- inside ----


def _mine(tx: Transaction, asked: Asked, name: str) -> Webhook:
    found = webhooks.hook(tx, asked.tenant_id, uuid_bytes(name))
    if found is None or not asked.has(found.venue_id):
        raise refused(404, "there is no such webhook")
    return found


def _moved(tx: Transaction, asked: Asked, name: str, state: HookState) -> models.Webhook:
    found = _mine(tx, asked, name)
    if found.state not in {state, "ended"}:
        now_ms = asked.books.clock()
        webhooks.set_state(tx, asked.tenant_id, found.hook_id, state, now_ms=now_ms)
        _audit(tx, asked, found, state, now_ms)
    return _webhook(_mine(tx, asked, name))


def _audit(tx: Transaction, asked: Asked, hook: Webhook, what: str, now_ms: int) -> None:
    line = AuditLine(now_ms, f"api:{asked.key.name}", f"webhook {what}", hook.hook_id, hook.url)
    acts.audit(tx, asked.tenant_id, line)


def _key(row: ApiKey) -> models.Key:
    return models.Key(
        id=row.key_id, name=row.name, role=row.role, venue=optional_id(row.venue_id), created_ms=row.created_ms,
        created_by=row.created_by, revoked_ms=row.revoked_ms, revoked_by=row.revoked_by,
    )  # fmt: skip


def _audit_line(row: ChainedLine) -> models.AuditLine:
    return models.AuditLine(
        number=row.number, at_ms=row.line.at_ms, who=row.line.who, what=row.line.what,
        subject=row.line.subject_id.hex(), note=row.line.note, hash=row.hash.hex(),
    )  # fmt: skip


def _webhook(row: Webhook) -> models.Webhook:
    return models.Webhook(
        id=uuid_text(row.hook_id), url=row.url, events=[name for name in EVENTS if name in row.events.split()],
        venue=optional_id(row.venue_id), state=row.state, newest_event=row.last_no, created_ms=row.created_ms,
        created_by=row.created_by,
    )  # fmt: skip
