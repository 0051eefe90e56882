"""X and Z: a venue's business date as it stands, at any time; and its closing, numbered, kept, and never changed.

A Z waits for no hub: it names those that were silent. What they send later belongs to its own date, is flagged as late,
and stands in the venue's next Z; so every entry stands in exactly one.
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import msgspec

from back_office.business_day import business_date as day_of
from back_office.business_day import day_bounds
from back_office.ledger import closing_report as parts
from back_office.ledger import own_journal
from back_office.ledger.closing_report import Report
from back_office.store import acts, closings, places, takings, webhooks
from back_office.store.acts import AuditLine
from back_office.store.closings import Closing
from back_office.store.engine import Transaction
from back_office.store.places import Venue
from payment_core.identifiers import uuid_text
from payment_core.price_calendar import date_text

__all__ = ["CLOSED", "NoSuchDate", "Report", "Z", "ZRefused", "check", "make_z", "x_report", "zs"]

_LABEL: Final = b"venuehub/closing/v1\0"
_REPORTS: Final = msgspec.json.Decoder(Report)
_NAMED: Final = re.compile(r"\d{4}-\d\d-\d\d as Z (\d{1,9}) ([0-9a-f]{64}); .*")
"""What the audit says of a Z; one of a release before has no hash in it."""
CLOSED: Final = "close_date"
"""What the audit says where a Z was made: so one that is gone is missed."""


class NoSuchDate(msgspec.Struct, frozen=True):
    """What was asked for is no date."""

    why: str


class ZRefused(msgspec.Struct, frozen=True):
    """No Z was made, and why."""

    why: str


class Z(msgspec.Struct, frozen=True):
    """A Z as it is kept. hash: SHA-256 over the hash of the venue's Z before it and over the report's bytes."""

    z_no: int
    hash: str
    prev_hash: str
    report: Report


def x_report(
    tx: Transaction, tenant_id: bytes, venue: Venue, business_date: int, *, now_ms: int
) -> Report | NoSuchDate:
    """Return a business date as it stands now; nothing is kept of it. Of a date with a Z: what that counted, and what
    came behind it (`after_z`).
    """  # noqa: D205 - one sentence
    return _report(tx, tenant_id, venue, business_date, now_ms=now_ms, z_no=0, by="")


def make_z(
    tx: Transaction, tenant_id: bytes, venue: Venue, business_date: int, *, by: str, now_ms: int
) -> Z | ZRefused:
    """Close a business date; the caller's transaction writes. One Z for each date, and none before it is over."""
    kept = closings.of_date(tx, tenant_id, venue.venue_id, business_date)
    if kept is not None:
        return ZRefused(f"{date_text(business_date)} is closed already: Z {kept.z_no}")
    z_no = takings.next_z(tx, tenant_id, venue.venue_id)
    report = _report(tx, tenant_id, venue, business_date, now_ms=now_ms, z_no=z_no, by=by)
    if isinstance(report, NoSuchDate):
        return ZRefused(report.why)
    if now_ms < report.ends_ms:
        return ZRefused(f"{date_text(business_date)} is not over yet")
    if not report.sums and business_date < _first_date(tx, tenant_id, venue):
        return ZRefused(f"on {date_text(business_date)} there was no office yet, and nothing moved")
    last = closings.last(tx, tenant_id, venue.venue_id)
    prev_hash = last.hash if last is not None else closings.BEFORE_THE_FIRST
    body = msgspec.json.encode(report)
    made = Closing(venue.venue_id, z_no, business_date, body, z_hash(prev_hash, body), prev_hash, now_ms, by)
    closings.add(tx, tenant_id, made)
    note = f"{date_text(business_date)} as Z {z_no} {made.hash.hex()}; {own_journal.stands(tx, tenant_id).text()}"
    acts.audit(tx, tenant_id, AuditLine(now_ms, by, CLOSED, venue.venue_id, note))
    what = {"z_no": z_no, "business_date": date_text(business_date), "hash": made.hash.hex()}
    webhooks.tell(tx, tenant_id, "closing.made", what, subject_id=venue.venue_id, at_ms=now_ms)
    return Z(z_no, made.hash.hex(), prev_hash.hex(), report)


def zs(tx: Transaction, tenant_id: bytes, *, venue_id: bytes = b"") -> list[Z]:
    """Return the Zs that are kept, by venue and number; venue_id empty: of all venues."""
    return [
        Z(row.z_no, row.hash.hex(), row.prev_hash.hex(), _REPORTS.decode(row.body))
        for row in closings.closings(tx, tenant_id)
        if venue_id in (b"", row.venue_id)
    ]


def z_hash(prev_hash: bytes, body: bytes) -> bytes:
    """Return the hash of a Z."""
    return sha256(_LABEL + prev_hash + body).digest()


def check(tx: Transaction, tenant_id: bytes) -> Iterator[str]:
    """Yield what is wrong with the Zs that are kept: their numbers, their chain, sums that the books say otherwise, and
    what the audit says otherwise: it names each by its hash, and an anchor of the audit is kept outside.

    A Z's sums are recomputed from takings, which the caller has proven against the entries.
    """  # noqa: D205 - one sentence
    last: dict[bytes, Closing] = {}
    named = _named_in_audit(tx, tenant_id)
    names = {hub.hub_id: hub.name for hub in places.hubs(tx, tenant_id)}
    for row in closings.closings(tx, tenant_id):
        before = last.get(row.venue_id)
        number, prev_hash = (before.z_no + 1, before.hash) if before else (1, closings.BEFORE_THE_FIRST)
        last[row.venue_id] = row
        where = f"Z {row.z_no} of {row.business_date}"
        if row.z_no != number:
            yield f"{where}: Z {number} is missing"
        if row.prev_hash != prev_hash or z_hash(row.prev_hash, row.body) != row.hash:
            yield f"{where}: it does not continue the chain of its venue's Zs"
            continue
        if named.get((row.venue_id, row.z_no), row.hash) != row.hash:
            yield f"{where}: it is another than the one that the audit names"
        said = _REPORTS.decode(row.body)
        told = (said.venue, said.z_no, said.business_date, said.made_ms, said.by)
        if told != (uuid_text(row.venue_id), row.z_no, row.business_date, row.made_ms, row.by):
            yield f"{where}: its row is not what its report says"
        own = takings.takings_of(tx, tenant_id, row.venue_id, row.business_date)
        own = {place: found for place, found in own.items() if not place.told_in}
        late = takings.takings_told_in(tx, tenant_id, row.venue_id, row.z_no)
        groups = takings.late_told_in(tx, tenant_id, row.venue_id, row.z_no)
        days = parts.late_days(groups, late, {day.business_date: day.z_no for day in said.late})
        if parts.sums_of(own) != said.sums or days != said.late:
            yield f"{where}: its sums are not what the entries say"
        if parts.machines_of(own, names) != said.machines:
            yield f"{where}: its machines' sums are not what the entries say"


# ---- inside ----


def _named_in_audit(tx: Transaction, tenant_id: bytes) -> dict[tuple[bytes, int], bytes]:
    """Return the hash under which the audit names each Z; those that a release before made are not in it."""
    named = {}
    for row in acts.audit_chain(tx, tenant_id):
        found = _NAMED.fullmatch(row.line.note) if row.line.what == CLOSED else None
        if found is not None:
            named[row.line.subject_id, int(found[1])] = bytes.fromhex(found[2])
    return named


def _report(
    tx: Transaction, tenant_id: bytes, venue: Venue, business_date: int, *, now_ms: int, z_no: int, by: str
) -> Report | NoSuchDate:
    bounds = day_bounds(business_date, timezone=venue.timezone, day_begins_minute=venue.day_begins_minute)
    if bounds is None:
        return NoSuchDate(f"{business_date} is no date: write yyyymmdd")
    venue_id, kept = venue.venue_id, None
    names = {hub.hub_id: hub.name for hub in places.hubs(tx, tenant_id)}
    if not z_no:
        kept = closings.of_date(tx, tenant_id, venue_id, business_date)
    told_in = kept.z_no if kept else takings.next_z(tx, tenant_id, venue_id)
    found = takings.takings_of(tx, tenant_id, venue_id, business_date)
    on_time = {place: row for place, row in found.items() if not place.told_in}
    behind = {place: row for place, row in found.items() if place.told_in}
    late = takings.takings_told_in(tx, tenant_id, venue_id, told_in)
    z_of = closings.numbers(tx, tenant_id, venue_id)
    begins_ms, ends_ms = bounds
    today = _date_at(now_ms, venue)
    dates, more_dates = parts.open_dates(tx, tenant_id, venue_id, before=business_date, today=today)
    heard, silent = parts.hubs_of(tx, tenant_id, venue, begins_ms=begins_ms, ends_ms=ends_ms, now_ms=now_ms)
    return Report(
        venue=uuid_text(venue_id),
        venue_name=venue.name,
        business_date=business_date,
        z_no=kept.z_no if kept else z_no,
        begins_ms=begins_ms,
        ends_ms=ends_ms,
        made_ms=now_ms,
        by=by,
        sums=parts.sums_of(on_time),
        machines=parts.machines_of(on_time, names),
        late=parts.late_days(takings.late_told_in(tx, tenant_id, venue_id, told_in), late, z_of),
        after_z=parts.late_days(takings.late_of_date(tx, tenant_id, venue_id, business_date), behind, z_of),
        heard=heard,
        silent=silent,
        doubts=parts.doubts_of(tx, tenant_id, venue, business_date, names),
        open_dates=dates,
        more_open_dates=more_dates,
    )


def _first_date(tx: Transaction, tenant_id: bytes, venue: Venue) -> int:
    return _date_at(next(one.created_ms for one in places.tenants(tx) if one.tenant_id == tenant_id), venue)


def _date_at(at_ms: int, venue: Venue) -> int:
    return day_of(at_ms, timezone=venue.timezone, day_begins_minute=venue.day_begins_minute)
