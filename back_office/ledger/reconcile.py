"""Reconciliation of three sums for a venue and date: the hubs' own journals, the machines' counters, the books.

It only reads. Whatever it finds, nothing is booked by it: what a person does about a difference is an entry of its own
(cash moved, a loss given up, a box counted again).
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from back_office.ledger.difference import Difference, Found, Missing
from back_office.ledger.hub_ledger import journal_of
from back_office.ledger.reconcile_boxes import compare_boxes, compare_devices
from back_office.ledger.reconcile_hubs import HubSums, Place, compare_hubs, compare_takings
from back_office.ledger.reconcile_meters import compare_meters
from back_office.store import dated, places, telemetry
from back_office.store.engine import Transaction
from back_office.store.places import Venue
from payment_core.errors import VaultError
from payment_core.journal import decode_entry
from payment_core.posting import postings
from payment_core.telemetry import HubDay, decode_fact

__all__ = ["Difference", "Missing", "Reconciliation", "differences", "sums_of_ledger", "told_sums"]


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for a business date: what differs, the largest first; what is not there; how much was compared."""

    venue: str
    business_date: int
    differences: list[Difference]
    missing: list[Missing]
    compared: int

    @property
    def ok(self) -> bool:
        """Say whether all that was compared is the same; what is missing is no difference."""
        return not self.differences


def differences(
    tx: Transaction, tenant_id: bytes, venue: Venue, business_date: int, told: Sequence[HubSums] | None = None
) -> Reconciliation:
    """Lay the three sums side by side. told: what hubs counted by themselves; None: what they told the office."""
    hubs = [hub for hub in places.hubs(tx, tenant_id) if hub.venue_id == venue.venue_id]
    if told is None:
        told = told_sums(tx, tenant_id, business_date)
    found = Found()
    found.add(compare_hubs(tx, tenant_id, hubs, business_date, told))
    found.add(compare_takings(tx, tenant_id, venue.venue_id, hubs, business_date))
    found.add(compare_meters(tx, tenant_id, venue.venue_id, hubs, business_date))
    found.add(compare_boxes(tx, tenant_id, hubs, business_date))
    found.add(compare_devices(tx, tenant_id, hubs, business_date))
    return Reconciliation(
        venue=venue.name,
        business_date=business_date,
        differences=sorted(found.differences, key=lambda one: (-abs(one.amount), one.machine, one.what)),
        missing=found.missing,
        compared=found.compared,
    )


def told_sums(tx: Transaction, tenant_id: bytes, business_date: int) -> list[HubSums]:
    """Return what hubs told of a date in their telemetry; a record that is none is passed over, so it is missing."""
    told = []
    for row in telemetry.days(tx, tenant_id, business_date):
        try:
            day = decode_fact(row.record)
        except VaultError:
            continue
        if isinstance(day, HubDay):
            sums: dict[Place, int] = {}
            for one in day.rows:
                place = ("", one.type, one.kind, one.unit)
                sums[place] = sums.get(place, 0) + one.amount
            told.append(HubSums(row.hub_id, day.epoch, day.after_seq, day.through_seq, sums, left_out=day.more))
    return told


def sums_of_ledger(tx: Transaction, tenant_id: bytes, file: Path, business_date: int) -> HubSums:
    """Return what a hub's ledger file adds up to for a date, machine by machine. LedgerFileError: it is none.

    An entry that is booked is of the date to which the books count it, for its own may be none.
    """
    chain, records = journal_of(tx, tenant_id, file)
    dates = dated.dates_of(tx, tenant_id, chain)
    sums: dict[Place, int] = {}
    for record, _ in records.values():
        entry = decode_entry(record)
        if dates.get(entry.header.seq, entry.header.business_date) == business_date:
            for row in postings(entry):
                place = (entry.header.machine or "", entry.number(), row.account.kind.value, row.unit)
                sums[place] = sums.get(place, 0) + row.amount
    return HubSums(chain.hub_id, chain.epoch, min(records) - 1, max(records), sums, by_machine=True)
