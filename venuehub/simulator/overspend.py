"""What guests and machines got beyond what was paid in: the sum that must be nothing, whatever broke.

Not in it is what the venue stands for and the bound counts: plays that a put-back disk forgot, doubts given back by
policy or by a person, and sales on the floor. What passes the bound's terms is in it again.
"""

from collections.abc import Container

from payment_core.identifiers import uuid_bytes, uuid_text
from payment_core.journal import Captured, Cause, InDoubt, Voided
from venuehub.simulator.check_money import guests_money, on_its_way
from venuehub.simulator.evidence import Journal, Story, total
from venuehub.simulator.plan import CREDITS, PRICE
from venuehub.simulator.venue import Venue


def overspend(venue: Venue, journals: list[Journal], beyond_bound: int) -> int:
    """Return minor units of goods and money that nobody paid for. `beyond_bound`: what losses passed their terms by."""
    goods = sum(_goods(venue, journal) for journal in journals)
    money = sum(max(owned - paid, 0) for paid, owned in guests_money(venue, journals).values())
    money += sum(max(-moving, 0) for moving in on_its_way(journals).values())  # more was taken than given
    return beyond_bound + goods + money + sum(_coins(journal) for journal in journals)


def _goods(venue: Venue, journal: Journal) -> int:
    """Return the worth of what machines gave beyond what was charged, and of what was refunded beyond that."""
    pulsed, lost = venue.bridges[journal.hub.number].pulsed, venue.lost[journal.hub.number]
    stories = {uuid_text(play): story for play, story in journal.stories.items()}
    known = {*stories, *(uuid_text(play) for play in lost)}
    free = sum(_worth(counted) for name, counted in pulsed.items() if name not in known)
    charged = ((name, story) for name, story in stories.items() if not _forgot(name, story, lost))
    return free + sum(_beyond(story, pulsed.get(name, 0)) for name, story in charged)


def _forgot(name: str, story: Story, lost: Container[bytes]) -> bool:
    """Say whether a put-back disk gave a play back, for it had forgotten that the machine gave it."""
    return uuid_bytes(name) in lost and story.given_back_by_device


def _worth(counted: int) -> int:
    return counted * PRICE // CREDITS


def _beyond(story: Story, counted: int) -> int:
    charged = total(story.parts) if isinstance(story.end, InDoubt) else story.captured
    if isinstance(story.end, Captured | Voided) and story.end.cause in (Cause.STAFF, Cause.POLICY):
        charged = total(story.parts)  # decided without knowing: a term of the bound, or a person's word
    return max(_worth(counted) - charged, 0) + max(story.refunded - story.captured, 0)


def _coins(journal: Journal) -> int:
    """Return what coins bought or left as credit beyond what was booked of them."""
    spent = sum(amount for (account_id, _unit), amount in journal.spent.items() if account_id is None)
    credit: int = journal.hub.store.rows("SELECT coalesce(sum(amount), 0) FROM coin_credit")[0][0]
    return max(spent + credit - journal.coin_value, 0)
