"""Venues, hubs, their entries and batches, and what they can cost."""

from typing import Annotated, Final

from fastapi import APIRouter, Path

from back_office.api import models
from back_office.api.access import Asked
from back_office.api.asking import (
    SOME_ITEMS,
    UUID,
    Cursor,
    HubAsked,
    Limit,
    VenueAsked,
    optional_id,
    page_of,
)
from back_office.api.cursors import place_of
from back_office.api.gate import AskedFor, GuardedRoute
from back_office.api.models import Page
from back_office.fleet.bound import bound_of
from back_office.ledger.statement import TYPE_NAMES
from back_office.store import chains, pages, places
from back_office.store.engine import Transaction
from back_office.store.pages import AppliedBatch, NumberedAlarm, PostedEntry
from back_office.store.places import Hub, Venue
from cloud_sync.protocol.envelope import STREAM_LEDGER
from payment_core.identifiers import uuid_text
from payment_core.price_calendar import date_text

router = APIRouter(route_class=GuardedRoute, tags=["fleet"])
_BEGINNING: Final = (0, 0)


@router.get("/venues", operation_id="list_venues")
def list_venues(
    asked: AskedFor, venue: VenueAsked = None, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> Page[models.Venue]:
    """Return the venues that the key may ask about, by id."""
    after = place_of(asked, cursor)
    with asked.reading() as tx:
        known = sorted(places.venues(tx, asked.tenant_id), key=lambda row: row.venue_id)
    rows = [row for row in known if asked.has(row.venue_id) and (not after or row.venue_id > after[0])]
    rows = [row for row in rows if asked.venue is None or row.venue_id == asked.venue.venue_id]
    return page_of(asked, rows, limit, _venue, lambda row: (row.venue_id,))


@router.get("/hubs", operation_id="list_hubs")
def list_hubs(
    asked: AskedFor, venue: VenueAsked = None, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> Page[models.Hub]:
    """Return hubs by id, closed ones too."""
    after = place_of(asked, cursor)
    with asked.reading() as tx:
        known = sorted(places.hubs(tx, asked.tenant_id), key=lambda row: row.hub_id)
        rows = [row for row in known if asked.venue is None or row.venue_id == asked.venue.venue_id]
        rows = [row for row in rows if not after or row.hub_id > after[0]]
        return page_of(asked, rows, limit, lambda row: _hub(tx, row), lambda row: (row.hub_id,))


@router.get("/hubs/{hub}", operation_id="read_hub")
def read_hub(asked: AskedFor, hub: Annotated[str, Path(pattern=UUID)]) -> models.Hub:
    """Return one hub."""
    assert asked.hub is not None, "the gate found it"
    with asked.reading() as tx:
        return _hub(tx, asked.hub)


@router.get("/alarms", operation_id="list_alarms")
def list_alarms(
    asked: AskedFor, venue: VenueAsked = None, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> Page[models.Alarm]:
    """Return alarms, the oldest first. Of one venue: those about its hubs, and a page may be shorter than asked."""
    after = place_of(asked, cursor) or (0,)
    with asked.reading() as tx:
        rows = pages.alarms(tx, asked.tenant_id, after=after[0], most=limit + 1)
        hubs = {hub.hub_id: hub.venue_id for hub in places.hubs(tx, asked.tenant_id)}
    page = page_of(asked, rows, limit, lambda row: row, lambda row: (row.number,))
    wanted = [
        row for row in page.items
        if asked.venue is None or asked.venue.venue_id in {hubs.get(row.alarm.subject_id), row.alarm.subject_id}
    ]  # fmt: skip
    return Page(items=[_alarm(row, known=row.alarm.subject_id in hubs) for row in wanted], next=page.next)


@router.get("/entries", operation_id="list_entries")
def list_entries(
    asked: AskedFor, hub: HubAsked, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> Page[models.Entry]:
    """Return the entries of a hub in the order of its journal, which nothing ever comes between.

    A cursor that is kept goes on where it left off. With the operator's own id as `hub`: the office's entries.
    """
    with asked.reading() as tx:
        rows = pages.entries(tx, asked.tenant_id, asked.writer, after=_after(asked, cursor), most=limit + 1)
    return page_of(asked, rows, limit, _entry, lambda row: (row.epoch, row.seq))


@router.get("/batches", operation_id="list_batches")
def list_batches(
    asked: AskedFor, hub: HubAsked, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> Page[models.Batch]:
    """Return the batches of a hub that are booked, in their order."""
    with asked.reading() as tx:
        rows = pages.batches(tx, asked.tenant_id, asked.writer, after=_after(asked, cursor), most=limit + 1)
    return page_of(asked, rows, limit, _batch, lambda row: (row.epoch, row.batch_seq))


@router.get("/exposure", operation_id="read_exposure")
def read_exposure(asked: AskedFor, venue: VenueAsked = None) -> models.Exposure:
    """Return the most a venue can lose while its hubs decide alone (docs/money.md)."""
    with asked.reading() as tx:
        found = bound_of(tx, asked.tenant_id, asked.one_venue.venue_id)
    return models.Exposure(
        unit=found.unit, honest=found.honest, floor_bound=found.floor_bound, rollback_bound=found.rollback_bound,
        topup_bound=found.topup_bound, doubt_bound=found.doubt_bound,
        hubs=[
            models.HubExposure(
                hub=one.hub, floor=one.floor, lease=one.lease, brought_in=one.brought_in, doubt=one.doubt
            )
            for one in found.hubs
        ],
    )  # fmt: skip


# ---- inside ----


def _after(asked: Asked, cursor: str | None) -> tuple[int, int]:
    epoch, seq = place_of(asked, cursor) or _BEGINNING
    return epoch, seq


def _venue(row: Venue) -> models.Venue:
    return models.Venue(
        id=uuid_text(row.venue_id), name=row.name, timezone=row.timezone, day_begins_minute=row.day_begins_minute,
        hub_lease_cap=row.hub_lease_cap,
    )  # fmt: skip


def _hub(tx: Transaction, row: Hub) -> models.Hub:
    chain = chains.chain(tx, row.tenant_id, row.hub_id, stream=STREAM_LEDGER, epoch=max(row.epoch, 1))
    return models.Hub(
        id=uuid_text(row.hub_id), name=row.name, venue=uuid_text(row.venue_id), epoch=row.epoch,
        booked_entry=chain.rec_seq if chain else 0, booked_batch=chain.batch_seq if chain else 0,
        sealed_batch=row.sealed_seq, outbox_entries=row.outbox_entries, told_ms=row.told_ms,
        last_seen_ms=row.last_seen_ms, frozen=row.frozen, closed_ms=row.closed_ms,
    )  # fmt: skip


def _entry(row: PostedEntry) -> models.Entry:
    return models.Entry(
        epoch=row.epoch, seq=row.seq, type=TYPE_NAMES.get(row.type, str(row.type)), wall_ms=row.wall_ms,
        business_date=date_text(row.business_date), booked_ms=row.received_ms, machine=row.machine,
        hash=row.hash.hex(),
        lines=[
            models.Line(
                kind=line.kind, account=line.key, at=optional_id(line.scope_id), amount=line.amount, unit=line.unit
            )
            for line in row.lines
        ],
    )  # fmt: skip


def _alarm(row: NumberedAlarm, *, known: bool) -> models.Alarm:
    said = row.alarm
    return models.Alarm(
        number=row.number, at_ms=said.raised_ms, kind=said.kind, hub=uuid_text(said.subject_id) if known else None,
        subject=said.subject_id.hex(), text=said.text,
    )  # fmt: skip


def _batch(row: AppliedBatch) -> models.Batch:
    return models.Batch(
        epoch=row.epoch, number=row.batch_seq, first_entry=row.first_rec, entries=row.rec_count, hash=row.hash.hex(),
        booked_ms=row.received_ms,
    )  # fmt: skip
