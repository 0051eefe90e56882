"""What the API does: payments that go back by the desk's rules, documents for hubs. Nothing sets what anybody holds."""

from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from back_office.api import act_models as models
from back_office.api.access import Asked
from back_office.api.asking import SOME_ITEMS, AmountAsked, Cursor, HubAsked, Limit, VenueAsked, Word, page_of
from back_office.api.cursors import place_of
from back_office.api.gate import AskedFor, GuardedRoute
from back_office.api.models import Page
from back_office.api.once import Once, once
from back_office.api.problems import Problem, problem, refused
from back_office.fleet.documents import DocumentError, checked, effective_ms, keep_document
from back_office.ledger.counter import PayOut, Refused, pay_out
from back_office.ledger.desk import OFFICE_EPOCH, OFFICE_STREAM, Desk, venue_of
from back_office.store import acts, chains, grants, pages, papers
from back_office.store.acts import Act, AuditLine
from back_office.store.chains import Chain
from back_office.store.engine import Transaction
from back_office.store.papers import Document
from payment_core.identifiers import uuid_text
from payment_core.journal import Entry, PaidOut, decode_entry

router = APIRouter(route_class=GuardedRoute, tags=["acts"])
_REFUND_LABEL: Final = b"venuehub/api/refund/v1\0"
_PAY_OUT: Final = "pay_out"
DocumentName = Literal["calendar", "devices", "prices", "risk"]
"""What can be published here: people and their PINs (`staff`) are set at the office's own machine alone."""


class RefundWish(models.Body):
    """Give a payment back through its channel. amount left out: all of it that is in the purse."""

    channel: Word
    payment: Word
    amount: AmountAsked | None = None


class DocumentWish(models.Body):
    """A document for a hub, as docs/prices.md and docs/office.md describe it; `version` is the office's."""

    name: DocumentName
    content: Annotated[models.Content, Field(max_length=200)]


@router.get("/refunds", operation_id="list_refunds")
def list_refunds(
    asked: AskedFor, venue: VenueAsked = None, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> Page[models.Refund]:
    """Return payments that went back at the desk or here, in the order of booking; payment orders have their own.

    Of one venue a page may be shorter than asked.
    """
    after = place_of(asked, cursor) or (0,)
    with asked.reading() as tx:
        rows = pages.acts(tx, asked.tenant_id, _PAY_OUT, after=after[0], most=limit + 1)
        records = chains.records_at(tx, asked.tenant_id, _own(asked), [act.office_seq for act in rows[:limit]])
    page = page_of(asked, rows, limit, lambda act: act, lambda act: (act.office_seq,))
    wanted = [
        (act, entry) for act in page.items
        if isinstance(entry := decode_entry(records[act.office_seq]), PaidOut)
        and (asked.venue is None or entry.header.venue == asked.venue.venue_id)
    ]  # fmt: skip
    return Page(items=[_refund(act, entry) for act, entry in wanted], next=page.next)


@router.post("/refunds", operation_id="create_refund", status_code=201, response_model=models.Refund)
def create_refund(asked: AskedFor, wish: RefundWish, name: Once) -> Response:
    """Give a payment back, or a part of it: only what is in the purse, once, and of its gifts what the terms say.

    409 says why not. What a payment order paid goes back by the order alone.
    """
    now_ms = asked.books.clock()
    refund_id = sha256(_REFUND_LABEL + f"{asked.key.key_id}\0{name}".encode()).digest()[:16]

    def act(tx: Transaction) -> tuple[int, models.Refund | Problem]:
        paid = grants.payment(tx, asked.tenant_id, channel=wish.channel, payment_id=wish.payment)
        came_in = _booked(tx, asked, paid.office_seq) if paid is not None else None
        venue_id = came_in.header.venue if came_in is not None else None
        if paid is None or venue_id is None or not asked.has(venue_id):
            raise refused(404, "there is no such payment")
        desk = Desk(tx, asked.tenant_id, venue_of(tx, asked.tenant_id, venue_id), now_ms=now_ms)
        done = pay_out(
            desk, PayOut(refund_id=refund_id, channel=wish.channel, payment_id=wish.payment, amount=wish.amount)
        )
        if isinstance(done, Refused):
            return 409, problem(409, f"{done.why}; {done.instead}" if done.instead else done.why)
        _audit(tx, asked, "refund booked", venue_id, f"{wish.channel} {wish.payment}: entry {done.office_seq}", now_ms)
        entry = _booked(tx, asked, done.office_seq)
        assert isinstance(entry, PaidOut), "that is what it booked"
        known = acts.act(tx, asked.tenant_id, _PAY_OUT, refund_id)
        assert known is not None, "it was written just now"
        return 201, _refund(known, entry, kept=done.kept)

    return once(asked, name, act)


@router.get("/documents", operation_id="list_documents")
def list_documents(
    asked: AskedFor, hub: HubAsked, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> Page[models.Document]:
    """Return the newest version of each document of a hub, by name."""
    after = place_of(asked, cursor) or ("",)
    with asked.reading() as tx:
        rows = [row for row in papers.documents(tx, asked.tenant_id, asked.writer) if row.name > after[0]]
    return page_of(asked, rows, limit, _document, lambda row: (row.name,))


@router.get("/documents/{name}", operation_id="read_document")
def read_document(asked: AskedFor, name: DocumentName, hub: HubAsked) -> models.DocumentContent:
    """Return the newest version of one document of a hub with what stands in it; never `staff`."""
    with asked.reading() as tx:
        row = papers.newest(tx, asked.tenant_id, asked.writer, name)
    if row is None:
        raise refused(404, "the hub has no such document")
    return models.DocumentContent(**_document(row).model_dump(), content=msgspec.json.decode(row.body))


@router.post("/documents", operation_id="publish_document", status_code=201, response_model=models.Document)
def publish_document(asked: AskedFor, hub: HubAsked, wish: DocumentWish, name: Once) -> Response:
    """Give a hub a document, read as strictly as a file, under the next version; the same again changes nothing."""
    assert asked.hub is not None, "the gate found it"
    at = asked.hub
    try:
        content = checked(wish.name, dict(wish.content), where="content")
    except DocumentError as error:
        raise refused(422, f"body.content: {error}") from error

    def act(tx: Transaction) -> tuple[int, models.Document | Problem]:
        if at.closed_ms is not None:
            return 409, problem(409, f"hub {at.name} was closed for good")
        now_ms = asked.books.clock()
        kept = keep_document(tx, asked.tenant_id, at.hub_id, wish.name, content, now_ms=now_ms)
        _audit(tx, asked, f"document {wish.name} published", at.hub_id, f"version {kept.version}", now_ms)
        return 201, _document(kept)

    return once(asked, name, act)


# ---- inside ----


def _audit(tx: Transaction, asked: Asked, what: str, subject_id: bytes, note: str, now_ms: int) -> None:
    acts.audit(tx, asked.tenant_id, AuditLine(now_ms, f"api:{asked.key.name}", what, subject_id, note))


def _own(asked: Asked) -> Chain:
    return Chain(hub_id=asked.tenant_id, stream=OFFICE_STREAM, epoch=OFFICE_EPOCH)


def _booked(tx: Transaction, asked: Asked, seq: int) -> Entry | None:
    row = chains.entry(tx, asked.tenant_id, _own(asked), seq)
    return decode_entry(row.record) if row is not None else None


def _refund(act: Act, entry: PaidOut, **more: Any) -> models.Refund:  # noqa: ANN401 - fields of the model
    return models.Refund(
        id=uuid_text(act.act_id), channel=entry.channel, payment=entry.payment_id, account=uuid_text(entry.account_id),
        amount=sum(part.amount for part in entry.parts), unit=entry.parts[0].unit if entry.parts else "",
        entry=act.office_seq, at_ms=act.at_ms, **more,
    )  # fmt: skip


def _document(row: Document) -> models.Document:
    return models.Document(
        name=row.name, version=row.version, sha256=sha256(row.body).hexdigest(), created_ms=row.created_ms,
        effective_ms=effective_ms(row.body),
    )  # fmt: skip
