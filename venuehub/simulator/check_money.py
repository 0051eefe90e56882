"""Each guest's money, followed from the counters to wherever it is; and what staff did, each act once."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from back_office.store import books
from payment_core.desk import PayOut, TopUp
from payment_core.identifiers import uuid_bytes, uuid_text
from venuehub.simulator.evidence import Journal, total
from venuehub.simulator.hub import Hub
from venuehub.simulator.plan import UNIT
from venuehub.simulator.venue import Venue


def money_is_conserved(venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """Each account's money: paid in - paid out = at the office + at the hubs + on its way + spent or in doubt."""
    for number, (paid, owned) in guests_money(venue, journals).items():
        if paid != owned:
            yield f"account {number}: paid {paid}; at the office, hubs, on its way and spent are {owned}"


def guests_money(venue: Venue, journals: list[Journal]) -> dict[int, tuple[int, int]]:
    """Return what each account has paid in less what it was paid out, and what became of it, wherever that is."""
    office, sums = venue.office, {}
    with office.store.reading() as tx:
        purses = books.guest_balances(tx, office.keys.tenant_id, office.accounts).purses
    passing, slips = on_its_way(journals), office.slips_outstanding()
    for number, account_id in enumerate(office.accounts):
        cash = sum(journal.brought[account_id] - journal.paid_out[account_id] for journal in journals)
        there = -purses.get((account_id, UNIT), 0)
        here = sum(hub.till.balance(account_id).get(UNIT, 0) for hub in venue.hubs if hub.alive)
        spent = sum(journal.spent[account_id, UNIT] for journal in journals)
        moving = passing[account_id] + slips.get(account_id, 0)
        sums[number] = (office.paid_in.get(account_id, 0) + cash, there + here + moving + spent)
    return sums


def on_its_way(journals: list[Journal]) -> defaultdict[bytes, int]:
    """Return what was passed on and not taken, by account."""
    moving: defaultdict[bytes, int] = defaultdict(int)
    for journal in journals:
        for entry in journal.passed:
            moving[entry.account_id] += total(entry.parts)
        for taken in journal.taken:
            moving[taken.account_id] -= total(taken.parts)
    return moving


def vouchers_are_taken(venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """Each voucher is taken once, by whom it was for, for what was given; and by now all are."""
    given = {
        (journal.hub.identity.hub_id, entry.header.seq): (entry.to_hub, entry.account_id, total(entry.parts))
        for journal in journals
        for entry in journal.passed
    }
    taken: Counter[tuple[bytes, int]] = Counter()
    for journal in journals:
        for entry in journal.taken:
            place = (entry.from_hub, entry.from_seq)
            taken[place] += 1
            if given.get(place) != (journal.hub.identity.hub_id, entry.account_id, total(entry.parts)):
                yield f"voucher {place[1]} of {place[0].hex()} is not what was given, or for another hub"
    names = {hub.identity.hub_id: hub.name for hub in venue.hubs}
    for place in given:
        if taken[place] != 1:
            yield f"voucher {place[1]} of {names[place[0]]} was taken {taken[place]} times"


def acts_are_done_once(venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """What staff were told is done is in the journal, once and as it was asked for."""
    for hub, journal in zip(venue.hubs, journals, strict=True):
        for kind, found in (("top-up", journal.intakes), ("pay-out", journal.payouts), ("refund", journal.refunds)):
            for act_id, times in Counter(act_id for act_id, _amount in found).items():
                if times > 1:
                    yield f"{kind} {uuid_text(act_id)} at {hub.name} is booked {times} times"
        wanted = {uuid_bytes(name) for name in hub.counter.wanted}
        for act_id, _amount in (*journal.intakes, *journal.payouts, *journal.refunds):
            if act_id not in wanted:
                yield f"{hub.name} did {uuid_text(act_id)}, which nobody asked for"
        yield from _told_is_booked(hub, journal)
        for name, story in ((uuid_text(key), value) for key, value in journal.stories.items()):
            if story.refunded > story.captured:
                yield f"{name}: {story.captured} captured, {story.refunded} refunded"


def _told_is_booked(hub: Hub, journal: Journal) -> Iterator[str]:
    cash = dict([*journal.intakes, *journal.payouts])
    for name in hub.counter.done:
        act, booked = hub.counter.wanted.get(name), cash.get(uuid_bytes(name))
        if act is not None and isinstance(act.act, TopUp | PayOut) and booked != act.act.amount:
            yield f"{hub.name} said it did {name} over {act.act.amount}: {booked} is booked"
