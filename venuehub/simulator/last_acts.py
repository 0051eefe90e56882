"""What ends some runs: a hub is closed in good order, or one that was stolen claims what it never had."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from back_office.store import books, places
from edge_agent.messages import CloseOrdered
from payment_core.journal import EpochClosed, decode_entry
from venuehub.simulator.check_tables import leases_follow
from venuehub.simulator.coverage import not_counted
from venuehub.simulator.evidence import journals
from venuehub.simulator.plan import PRICE
from venuehub.simulator.rooms import Forge

if TYPE_CHECKING:
    from venuehub.simulator.venue import Venue

_WAIT_MS: Final = 12_000
_RECORDS: Final = "SELECT record FROM entries ORDER BY seq DESC LIMIT 40"


def last_act_of(seed: int) -> "Callable[[Venue], Iterator[str]] | None":
    """Return how a seed ends behind all checks, or None."""
    return {3: claim_too_much, 5: close_in_order, 8: claim_after_closing}.get(seed % 10)


def close_in_order(venue: "Venue") -> "Iterator[str]":
    """A manager ends a hub's epoch: it gives everything back and signs that it holds nothing."""
    hub = venue.hubs[venue.world.seed % len(venue.hubs)]
    venue.world.note(f"{hub.name} is closed")
    hub.offer(CloseOrdered(1, "season over", "ming"))
    venue.world.run(until_ms=venue.world.now_ms + _WAIT_MS)
    entries = [decode_entry(record) for (record,) in hub.store.rows(_RECORDS)]
    if not any(isinstance(entry, EpochClosed) for entry in entries):
        if not hub.store.rows("SELECT 1 FROM authorizations WHERE state = 7 LIMIT 1"):  # a doubt holds the end up
            yield f"a hub closes in order: {hub.name} does not sign that it holds nothing"
        return
    journal = next(journal for journal in journals(venue) if journal.hub is hub)
    with not_counted():
        followed = list(leases_follow(journal))
    yield from (f"a hub closes in order: {text}" for text in followed)
    left = sum(venue.money_at(hub, account) for account in range(len(venue.stage.accounts)))
    if left:
        yield f"a hub closes in order: {hub.name} signed that it holds nothing and has {left}"


def claim_too_much(venue: "Venue") -> "Iterator[str]":
    """A thief with a hub's keys writes plays into its journal that no lease pays for."""
    yield from _claim(venue, closed=False)


def claim_after_closing(venue: "Venue") -> "Iterator[str]":
    """The same with a hub that has signed its end."""
    yield from close_in_order(venue)
    yield from _claim(venue, closed=True)


def _claim(venue: "Venue", *, closed: bool) -> "Iterator[str]":
    hub, office = venue.hubs[venue.world.seed % len(venue.hubs)], venue.office
    accounts = office.accounts
    with office.store.reading() as tx:
        before = books.guest_balances(tx, office.keys.tenant_id, accounts)
    venue.world.note(f"{hub.name} is stolen and claims what it never had")
    hub.disk.connection.execute("DROP TRIGGER entries_end")  # the disk is the thief's, and so are its rules
    for account_id in accounts:
        hub.force(Forge(account_id, "lane-0", PRICE * 100))
    venue.world.run(until_ms=venue.world.now_ms + _WAIT_MS)
    with office.store.reading() as tx:
        after = books.guest_balances(tx, office.keys.tenant_id, accounts)
        frozen = {row.hub_id: row.frozen for row in places.hubs(tx, office.keys.tenant_id)}
    if after.purses != before.purses:
        yield "an over-claim is never a guest's: a purse has changed"
    if not frozen[hub.identity.hub_id] and not closed:
        yield f"an over-claim freezes its hub: {hub.name} claimed too much and goes on"
