"""What ends some runs: a hub is closed in good order, or lost and closed by the office, or stolen.

A stolen hub claims what it never had, and is taken from again once somebody has looked.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from back_office.fleet.closing import close, cost, reopen
from back_office.ledger.desk import Desk
from back_office.ledger.verify import prove_books
from back_office.store import books, loose_ends, places
from edge_agent.ledger import epoch_state
from edge_agent.ledger.outbox import frozen_reason
from edge_agent.messages import CloseOrdered
from payment_core.accounts import Kind
from payment_core.hub_epoch import EpochState
from payment_core.journal import EpochClosed, decode_entry
from venuehub.simulator.check_tables import leases_follow
from venuehub.simulator.coverage import not_counted
from venuehub.simulator.evidence import journals
from venuehub.simulator.plan import PRICE, UNIT, lanes
from venuehub.simulator.rooms import Forge

if TYPE_CHECKING:
    from venuehub.simulator.hub import Hub
    from venuehub.simulator.venue import Venue

_WAIT_MS: Final = 12_000
_RECORDS: Final = "SELECT record FROM entries ORDER BY seq DESC LIMIT 40"


def last_act_of(seed: int) -> "Callable[[Venue], Iterator[str]] | None":
    """Return how a seed ends behind all checks, or None."""
    return {0: bury, 2: bury, 3: claim_and_be_forgiven, 5: close_in_order, 8: claim_after_closing}.get(seed % 10)


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


def bury(venue: "Venue") -> "Iterator[str]":
    """A hub is lost with plays that nobody has heard of, and closed by the office; much later it is found again.

    What the office said that this can cost at most is what it costs at most, and no guest pays for it.
    """
    hub, office = venue.hubs[venue.world.seed // 10 % len(venue.hubs)], venue.office
    venue.world.note(f"{hub.name} is lost")
    hub.uplink.line.wall = "uplink-partition"
    for account in range(len(venue.stage.accounts)):
        venue.tap(hub.number, lanes()[account % len(lanes())].reader, account)
        venue.world.run(until_ms=venue.world.now_ms + 300)
    onward = venue.hubs[(hub.number + 1) % len(venue.hubs)]
    for account in range(0, len(venue.stage.accounts), 2):  # some of its guests go on, and their money with them
        venue.tap(onward.number, lanes()[account % len(lanes())].reader, account)
        venue.world.run(until_ms=venue.world.now_ms + 300)
    hub.off = venue.bridges[hub.number].off = True
    hub.die(power_cut=True)
    venue.bridges[hub.number].die()
    if venue.world.seed % 3:  # else who took of it is heard behind the close
        venue.world.run(until_ms=venue.world.now_ms + _WAIT_MS)
    before = _claimed(venue, hub)
    with office.store.writing() as tx:
        at = next(row for row in places.hubs(tx, office.keys.tenant_id) if row.hub_id == hub.identity.hub_id)
        said = cost(tx, office.keys.tenant_id, at)
        desk = Desk(tx, office.keys.tenant_id, places.venues(tx, office.keys.tenant_id)[0], now_ms=venue.world.wall_ms)
        close(desk, at, by="ming", note="drowned", captured=venue.world.seed % 20 == 0)
    office.changed()
    venue.world.run(until_ms=venue.world.now_ms + _WAIT_MS)
    with office.store.reading() as tx:
        kept = books.guest_balances(tx, office.keys.tenant_id, office.accounts)
        wrong = prove_books(tx, office.keys.tenant_id).faults
    venue.world.note(f"{hub.name} is found again")
    hub.uplink.line.wall = ""
    hub.off = venue.bridges[hub.number].off = False
    venue.bridges[hub.number].start()
    hub.start_again()
    venue.world.run(until_ms=venue.world.now_ms + _WAIT_MS)
    with office.store.reading() as tx:
        after = books.guest_balances(tx, office.keys.tenant_id, office.accounts)
        wrong += prove_books(tx, office.keys.tenant_id).faults
    yield from (f"the books prove after a hub is closed: {fault}" for fault in wrong)
    has = _owned(after)
    if any(has[purse] < amount for purse, amount in _owned(kept).items()):
        yield f"a dead hub's late word is no guest's loss: {hub.name} was heard late, and a guest has less"
    most = sum(sums.get(UNIT, 0) for sums in (said.leases, said.open, said.coming, said.lanes))
    lost = _claimed(venue, hub) - before
    if lost > most + said.brought_in + said.floor:
        yield f"closing costs no more than was said: {hub.name} cost {lost}, {most} was said"
    if hub.alive and epoch_state.read(hub.store) is EpochState.OPEN:
        yield f"a hub that the office has closed trades no more: {hub.name} goes on"


def _owned(balances: books.GuestBalances) -> dict[tuple[bytes, str], int]:
    """Return what each guest has in his purse, at hubs and on its way; the books owe it: below 0 there."""
    owned: dict[tuple[bytes, str], int] = defaultdict(int)
    for found in (balances.purses, balances.passing, balances.leases):
        for (account_id, unit, *_), amount in found.items():
            owned[account_id, unit] -= amount
    return owned


def _claimed(venue: "Venue", hub: "Hub") -> int:
    """Return what a hub has claimed beyond its leases, as the books have it."""
    office = venue.office
    with office.store.reading() as tx:
        rows = loose_ends.balances(tx, office.keys.tenant_id, Kind.OVERCLAIM)
    return sum(row.amount for row in rows if row.scope_id == hub.identity.hub_id and row.unit == UNIT)


def claim_and_be_forgiven(venue: "Venue") -> "Iterator[str]":
    """A thief with a hub's keys writes plays into its journal that no lease pays for; then an operator has looked."""
    yield from _claim(venue, closed=False)
    hub, office = venue.hubs[venue.world.seed % len(venue.hubs)], venue.office
    with office.store.writing() as tx:
        at = next(row for row in places.hubs(tx, office.keys.tenant_id) if row.hub_id == hub.identity.hub_id)
        why = reopen(tx, office.keys.tenant_id, at, by="ming", note="disk kept", now_ms=venue.world.wall_ms)
    office.changed()
    venue.world.run(until_ms=venue.world.now_ms + _WAIT_MS)
    stands = why or frozen_reason(hub.store)
    if stands:
        yield f"a hub that is reopened trades again: {hub.name}: {stands}"


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
