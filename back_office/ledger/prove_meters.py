"""Readings that were brought to the office, each against the line that the audit has of it."""

import re
from collections.abc import Iterator
from typing import Final

from back_office.ledger.proof_report import Wrong
from back_office.store import acts, meters, places
from back_office.store.engine import Transaction

_NAMED: Final = re.compile(r"(\S+ \S+) (\d+): ")
_LAST_DATE: Final = 99_991_231


def prove_readings(tx: Transaction, tenant_id: bytes) -> Iterator[Wrong]:
    """Yield the readings that are other than the audit says, were never read, or are gone.

    A meter's readings before the first that the audit knows are of a release that told it nothing: they are let be.
    """
    told: dict[tuple[bytes, str, int], tuple[str, str]] = {}
    since: dict[tuple[bytes, str], int] = {}
    for row in acts.audit_chain(tx, tenant_id):
        line = row.line
        if line.what == meters.READ and (named := _NAMED.match(line.note)):
            number = int(named[2])
            told[line.subject_id, named[1], number] = (line.who, line.note)
            since.setdefault((line.subject_id, named[1]), number)
    for venue in places.venues(tx, tenant_id):
        for kept in meters.readings(tx, tenant_id, venue.venue_id, through=_LAST_DATE):
            meter = (venue.venue_id, f"{kept.machine} {kept.meter}")
            if kept.reading_no < since.get(meter, kept.reading_no + 1):
                continue
            if told.pop((*meter, kept.reading_no), None) != (kept.by, meters.told_of(kept)):
                yield Wrong("meter_readings", f"{meter[1]} {kept.reading_no}", "the audit says another of it, or none")
    for _, meter_text, number in sorted(told):
        yield Wrong("meter_readings", f"{meter_text} {number}", "it is gone: the audit knows it")
