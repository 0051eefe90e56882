"""Accounts, statements, trial balance, takings, closings, reconciliation: what the books say, never changed here."""

from datetime import date
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query

from back_office.api import models
from back_office.api.access import Asked
from back_office.api.asking import (
    SOME_ITEMS,
    Cursor,
    DateAsked,
    IdAsked,
    Limit,
    Number,
    VenueAsked,
    amounts,
    day_number,
    optional_id,
    page_of,
)
from back_office.api.cursors import cursor_of, place_of
from back_office.api.gate import AskedFor, GuardedRoute
from back_office.api.models import Page
from back_office.api.problems import refused
from back_office.business_day import business_date as day_of
from back_office.ledger import statement as statements
from back_office.ledger.reconcile import differences
from back_office.ledger.statement import TYPE_NAMES, Statement
from back_office.ledger.trial import balance
from back_office.store import closings, pages, people, takings
from back_office.store.closings import Closing
from back_office.store.people import GuestAccount
from back_office.store.statements import LinePlace
from back_office.store.takings import Group, Grouping
from payment_core.accounts import Kind
from payment_core.identifiers import uuid_bytes, uuid_text
from payment_core.journal import Tender
from payment_core.price_calendar import date_text

MOST_DAYS: Final = 400
"""Business dates of one question about takings."""
router = APIRouter(route_class=GuardedRoute, tags=["money"])


@router.get("/accounts", operation_id="list_accounts")
def list_accounts(asked: AskedFor, limit: Limit = SOME_ITEMS, cursor: Cursor = None) -> Page[models.Account]:
    """Return guests' accounts by id."""
    after = place_of(asked, cursor) or (b"",)
    with asked.reading() as tx:
        rows = pages.guests(tx, asked.tenant_id, after=after[0], most=limit + 1)
    return page_of(asked, rows, limit, lambda row: models.Account(**_account(row)), lambda row: (row.account_id,))


@router.get("/accounts/{account}", operation_id="read_account")
def read_account(asked: AskedFor, account: IdAsked) -> models.AccountNow:
    """Return one guest's account and what it holds."""
    with asked.reading() as tx:
        row = people.account(tx, asked.tenant_id, uuid_bytes(account))
        if row is None:
            raise refused(404, "there is no such account")
        now = statements.held(tx, asked.tenant_id, row.account_id)
    return models.AccountNow(**_account(row), holds=amounts(now))


@router.get("/accounts/{account}/statement", operation_id="read_account_statement")
def read_account_statement(
    asked: AskedFor, account: IdAsked, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> models.Statement:
    """Return a guest's statement: what moved it, in the order of booking."""
    account_id, after = uuid_bytes(account), place_of(asked, cursor, account)
    with asked.reading() as tx:
        if people.account(tx, asked.tenant_id, account_id) is None:
            raise refused(404, "there is no such account")
        found = statements.of_guest(
            tx, asked.tenant_id, account_id, after=LinePlace(*after) if after else None, most=limit
        )
    return _statement(asked, found, account)


@router.get("/statements", operation_id="read_statement")
def read_statement(
    asked: AskedFor,
    kind: Annotated[Kind, Query(description="A kind of account, as the trial balance names it.")],
    key: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$", description="Machine, drawer or id.")] = "",
    limit: Limit = SOME_ITEMS,
    cursor: Cursor = None,
) -> models.Statement:
    """Return the statement of an account of the chart, of all venues and hubs that have one."""
    after = place_of(asked, cursor, kind, key)
    with asked.reading() as tx:
        if not statements.is_known(tx, asked.tenant_id, kind, key):
            near = statements.nearest(tx, asked.tenant_id, kind, key)
            raise refused(422, f"query.key: nothing was ever booked there; {near}")
        found = statements.of_account(
            tx, asked.tenant_id, kind, key, after=LinePlace(*after) if after else None, most=limit
        )
    return _statement(asked, found, kind, key)


@router.get("/trial", operation_id="read_trial")
def read_trial(asked: AskedFor) -> models.Trial:
    """Return what stands on each kind of account: in sum nothing, or something is broken."""
    with asked.reading() as tx:
        found = balance(tx, asked.tenant_id)
    lines = [models.TrialLine(**msgspec.structs.asdict(line)) for line in found.lines]
    return models.Trial(ok=found.ok, lines=lines, off=amounts(found.off))


@router.get("/takings", operation_id="list_takings")
def list_takings(
    asked: AskedFor,
    first: DateAsked,
    last: DateAsked,
    by: Annotated[list[Grouping], Query(max_length=6, description="What it is split by.")] = [],  # noqa: B006 - never changed
    venue: VenueAsked = None,
    limit: Limit = SOME_ITEMS,
    cursor: Cursor = None,
) -> Page[models.Taking]:
    """Return what business dates moved on every kind of account, split as asked."""
    if last < first:
        raise refused(422, "query.last: it is before the first")
    if (date.fromisoformat(last) - date.fromisoformat(first)).days >= MOST_DAYS:
        raise refused(422, f"query.last: at most {MOST_DAYS} days at once")
    split = list(dict.fromkeys(by))
    after = place_of(asked, cursor, first, last, split)
    venue_id = asked.venue.venue_id if asked.venue is not None else b""
    with asked.reading() as tx:
        rows = takings.grouped(
            tx, asked.tenant_id, by=split, first=day_number(first), last=day_number(last), venue_id=venue_id,
            after=after, most=limit + 1,
        )  # fmt: skip
    return page_of(asked, rows, limit, lambda row: _taking(split, row), _taking_place, first, last, split)


@router.get("/closings", operation_id="list_closings")
def list_closings(
    asked: AskedFor, venue: VenueAsked = None, limit: Limit = SOME_ITEMS, cursor: Cursor = None
) -> Page[models.Closing]:
    """Return the Zs of a venue, the newest first."""
    after = place_of(asked, cursor)
    with asked.reading() as tx:
        last = after[0] if after else takings.next_z(tx, asked.tenant_id, asked.one_venue.venue_id)
        rows = closings.before(tx, asked.tenant_id, asked.one_venue.venue_id, z_no=last, most=limit + 1)
    return page_of(asked, rows, limit, lambda row: models.Closing(**_closing(row)), lambda row: (row.z_no,))


@router.get("/closings/{z_no}", operation_id="read_closing")
def read_closing(asked: AskedFor, z_no: Number, venue: VenueAsked = None) -> models.ClosingReport:
    """Return one Z with its report."""
    with asked.reading() as tx:
        rows = closings.before(tx, asked.tenant_id, asked.one_venue.venue_id, z_no=z_no + 1, most=1)
    if not rows or rows[0].z_no != z_no:
        raise refused(404, "there is no such Z")
    return models.ClosingReport(**_closing(rows[0]), report=rows[0].body.decode())


@router.get("/reconciliation", operation_id="read_reconciliation")
def read_reconciliation(asked: AskedFor, business_date: DateAsked, venue: VenueAsked = None) -> models.Reconciliation:
    """Return what differs between hubs, machines and books on a date; what is missing is no difference."""
    at = asked.one_venue
    now_ms = asked.books.clock()
    if day_number(business_date) > day_of(now_ms, timezone=at.timezone, day_begins_minute=at.day_begins_minute):
        raise refused(422, f"query.business_date: {business_date} has not begun")
    with asked.reading() as tx:
        found = differences(tx, asked.tenant_id, at, day_number(business_date))
    return models.Reconciliation(
        ok=found.ok, venue=found.venue, business_date=business_date, compared=found.compared,
        differences=[models.Difference(**msgspec.to_builtins(one)) for one in found.differences],
        missing=[models.Missing(**msgspec.to_builtins(one)) for one in found.missing],
    )  # fmt: skip


# ---- inside ----


def _account(row: GuestAccount) -> dict[str, Any]:
    return {
        "id": uuid_text(row.account_id), "masked_name": row.masked_name, "tier": row.tier,
        "created_ms": row.created_ms,
    }  # fmt: skip


def _statement(asked: Asked, found: Statement, *bound: object) -> models.Statement:
    return models.Statement(
        opening=amounts(found.opening), closing=amounts(found.closing), now=amounts(found.now),
        next=cursor_of(asked, msgspec.structs.astuple(found.after), *bound) if found.after else None,
        lines=[
            models.StatementLine(
                epoch=line.place.epoch, seq=line.place.seq, hub=line.hub, machine=line.machine, type=line.what,
                business_date=date_text(line.business_date), wall_ms=line.wall_ms, booked_ms=line.place.received_ms,
                amount=line.amount, unit=line.unit, holds=line.balance,
            )
            for line in found.lines
        ],
    )  # fmt: skip


def _taking_place(row: Group) -> tuple[object, ...]:
    return (*row.by, row.type, row.tender, row.kind.value, row.unit)


def _taking(split: list[Grouping], row: Group) -> models.Taking:
    by: dict[str, Any] = dict(zip(split, row.by, strict=True))
    day, hub = by.get("business_date"), by.get("hub")
    return models.Taking(
        business_date=date_text(day) if day is not None else None, hub=optional_id(hub),
        machine=by.get("machine"), lane=by.get("lane"), shift=by.get("shift"),
        type=TYPE_NAMES.get(row.type, str(row.type)), tender=Tender(row.tender).name.lower(), kind=row.kind.value,
        amount=row.amount, unit=row.unit, entries=row.entries,
    )  # fmt: skip


def _closing(row: Closing) -> dict[str, Any]:
    return {
        "z_no": row.z_no, "business_date": date_text(row.business_date), "hash": row.hash.hex(),
        "prev_hash": row.prev_hash.hex(), "made_ms": row.made_ms, "by": row.by,
    }  # fmt: skip
