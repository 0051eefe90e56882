"""The hubs' journals against the office's books, and the books against themselves."""

from collections.abc import Iterator
from typing import Final

from back_office.ledger.verify import prove_books
from back_office.store import grants
from edge_agent.ledger.entries import check_chain
from edge_agent.tap.replay import replay
from venuehub.simulator.evidence import Journal
from venuehub.simulator.venue import Venue

_LEASES: Final = (
    "SELECT account_id, unit, epoch, lot, from_office, granted - committed + released + refunded FROM leases"
)


def journals_equal_books(_venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """The office has every entry of every hub, byte for byte, and every chain holds."""
    for journal in journals:
        hub = journal.hub
        report = check_chain(hub.store)
        if not report.ok:
            yield f"the chain of {hub.name} breaks at entry {report.first_bad}: {report.reason}"
        first = journal.rows[0][0] if journal.rows else 1  # what is older was acknowledged and pruned
        theirs = journal.booked[first - 1 :]
        if theirs != journal.rows:
            pairs = enumerate(zip(journal.rows, theirs, strict=False), first)
            differs = next((number for number, (ours, its) in pairs if ours != its), first + len(theirs))
            yield (
                f"the office has {len(theirs)} entries of {hub.name}, which has {len(journal.rows)}; "
                f"entry {differs} is the first to differ"
            )


def books_prove(venue: Venue, _journals: list[Journal]) -> Iterator[str]:
    """The double-entry books prove themselves: sums, postings, days, leases, what is impossible."""
    with venue.office.store.reading() as tx:
        yield from prove_books(tx, venue.office.keys.tenant_id).faults


def leases_agree(venue: Venue, _journals: list[Journal]) -> Iterator[str]:
    """Each lease is the same at the office and at its hub, and none is spent beyond what it is."""
    with venue.office.store.reading() as tx:
        rows = grants.leases(tx, venue.office.keys.tenant_id)
    for hub in venue.hubs:
        own = hub.identity.hub_id
        booked = {
            (place.account_id, place.unit, place.epoch, place.lot): (row.granted, row.left)
            for place, row in rows.items()
            if place.hub_id == own
        }
        kept = {tuple(row[:4]): tuple(row[4:]) for row in hub.store.rows(_LEASES)}
        for place in booked.keys() | kept.keys():
            granted, left = booked.get(place, (0, 0))
            taken, allowance = kept.get(place, (0, 0))
            where = f"lease of {place[0].hex()} {place[1]} at {hub.name}"
            if granted != taken:
                yield f"{where}: the office granted {granted}, the hub took {taken}"
            if left != allowance:
                yield f"{where}: the office says {left} are left, the hub {allowance}"
    for key, row in rows.items():
        if row.overclaimed:
            yield f"lease of {key.account_id.hex()}: {row.overclaimed} claimed beyond it"


def decisions_replay(venue: Venue, _journals: list[Journal]) -> Iterator[str]:
    """Every decision of every journal, taken again from the facts it kept, comes out the same."""
    for hub in venue.hubs:
        report = replay(hub.store)
        for difference in report.differences:
            yield f"entry {difference.seq} of {hub.name} was {difference.was}, and would be {difference.now}"
        if report.without_facts or report.without_documents:
            yield f"{hub.name}: {report.without_facts + report.without_documents} decisions cannot be taken again"
