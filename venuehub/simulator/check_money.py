"""Each guest's money, followed from the counter to wherever it is."""

from collections.abc import Iterator

from back_office.store import books
from venuehub.simulator.evidence import Journal
from venuehub.simulator.plan import UNIT
from venuehub.simulator.venue import Venue


def money_is_conserved(venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """Each account's money: paid in = at the office + at the hubs + spent or in doubt."""
    office = venue.office
    with office.store.reading() as tx:
        purses = books.guest_balances(tx, office.keys.tenant_id, office.accounts).purses
    for number, account_id in enumerate(office.accounts):
        paid = office.paid_in.get(account_id, 0)
        there = -purses.get((account_id, UNIT), 0)
        here = sum(hub.till.balance(account_id).get(UNIT, 0) for hub in venue.hubs if hub.alive)
        spent = sum(journal.spent[account_id, UNIT] for journal in journals)
        if paid != there + here + spent:
            yield f"account {number}: paid {paid}, office {there}, hubs {here}, spent {spent}"
