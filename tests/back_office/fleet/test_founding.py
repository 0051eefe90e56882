"""An office begins once; hubs are pinned once; names find them."""

import pytest

from back_office.fleet.founding import FoundingError, find_hub, found_office, only_venue
from back_office.store import places
from back_office.store.places import Tenant, Venue
from payment_core.identifiers import uuid_text
from tests.back_office.world import HUB, OTHER_HUB, TENANT, VENUE, WALL_MS


def test_books_have_one_owner(office):
    with pytest.raises(FoundingError, match="have an owner already"):
        found_office(
            office.store, Tenant(bytes(16), "Other", WALL_MS), venue_id=bytes(16), venue="X", timezone="Asia/Shanghai"
        )


def test_a_hub_is_found_by_name_and_by_id(office):
    for words in ("hall", uuid_text(HUB), HUB.hex()):
        assert find_hub(office.store, TENANT, words).hub_id == HUB
    with pytest.raises(FoundingError, match="there is no hub 'foyer'; enrolled are: hall"):
        find_hub(office.store, TENANT, "foyer")


def test_a_name_is_given_once(office):
    with pytest.raises(FoundingError, match="there is a hub 'hall' already"):
        office.enroll(OTHER_HUB, "hall")


def test_one_of_several_venues_must_be_named(office):
    assert only_venue(office.store, TENANT).venue_id == VENUE
    with office.store.writing() as tx:
        places.add_venue(tx, Venue(TENANT, bytes(16), "Annex", "Asia/Shanghai", 360, 0))
    assert only_venue(office.store, TENANT, "Annex").venue_id == bytes(16)
    with pytest.raises(FoundingError, match=r"which venue\? This office has 'Annex', 'Hall'"):
        only_venue(office.store, TENANT)
