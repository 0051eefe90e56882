"""What the header of an entry says of the moment: the shift by the venue's calendar, or none."""

from edge_agent.ledger.entries import read_tail
from edge_agent.step.draft import Draft, Spot
from payment_core.journal import Actor, Tender
from payment_core.pricing import LocalTime
from tests.support.hall import Hall

CALENDAR = b'{"version": 1, "shifts": [{"name": "early", "from_minute": 360, "to_minute": 840}]}'


def shift(hall):
    site = hall.till._site
    draft = Draft(store=hall.store, site=site, now=hall.moment(), tail=read_tail(hall.store), dice=bytes)
    return draft.header(Spot(Actor.HUB, Tender.NONE)).shift


def test_an_entry_names_the_shift_it_was_made_in(tmp_path):
    hall = Hall(tmp_path / "ledger.db")
    assert shift(hall) is None  # no calendar has any
    hall.till._site.apply("calendar", CALENDAR)
    assert shift(hall) == "early"
    hall.local = LocalTime(weekday=6, minute=900)
    assert shift(hall) is None
    hall.local = None  # the hub does not know the time
    assert shift(hall) is None
    hall.store.close()
