"""The queue before the second hub's thread: a flood of neighbours hides nothing that nobody says twice."""

import asyncio

import pytest

from cloud_sync.protocol.peers import PeerHere
from edge_agent.ledger.store import LedgerError
from edge_agent.links import second_hub
from edge_agent.links.peer_link import PeerLink
from edge_agent.links.second_hub import MOST_HEARD, BatchOf, FromCarrier, SecondHub, SecondHubRound
from tests.edge_agent.links.test_peer_link import identity_of, settings_of, trust_of
from tests.support.hall import Hall

US, OTHER = 1, 2
THEM = identity_of(OTHER).hub_id


@pytest.fixture
def second(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3")
    hall.step()
    link = PeerLink(settings_of(1, US), identity_of(US), trust=trust_of(US, OTHER), offer=lambda _fact: None)
    made = SecondHub(SecondHubRound(hall.path, identity_of(US), hall.moment), link, trust=None)
    yield made
    made.close()
    hall.store.close()


def test_who_the_neighbours_are_and_that_the_office_is_gone_is_heard_in_a_flood(second):
    for number in range(MOST_HEARD + 5):
        second.hear(BatchOf(THEM, bytes([number])))
    second.hear(trust_of(US, OTHER))
    second.hear(None)
    second.hear(FromCarrier(THEM, PeerHere(1, 0, room=True)))
    assert len(second._heard) == MOST_HEARD
    assert second._heard[-2:] == [trust_of(US, OTHER), None]
    assert second._heard[0] == BatchOf(THEM, bytes([2]))
    for _ in range(2 * MOST_HEARD):
        second.hear(None)
    assert second._heard == [None] * MOST_HEARD


def test_what_was_heard_outlives_a_round_that_fails(second):
    away = second._rounds._ledger.rename(second._rounds._ledger.with_name("away"))
    second.hear(trust_of(US, OTHER))
    with pytest.raises(LedgerError):
        asyncio.run(second.run())
    assert second._heard == [trust_of(US, OTHER)]
    away.rename(second._rounds._ledger)


def test_a_build_that_drops_whatever_finds_no_room_is_caught(second, monkeypatch):
    def hear(self, fact):
        if len(self._heard) < second_hub.MOST_HEARD:
            self._heard.append(fact)

    monkeypatch.setattr(SecondHub, "hear", hear)
    with pytest.raises(AssertionError):
        test_who_the_neighbours_are_and_that_the_office_is_gone_is_heard_in_a_flood(second)
