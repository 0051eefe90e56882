"""Money that lies at another hub is recalled for the hub where the guest stands, and leased there when it is back."""

import msgspec
import pytest

from back_office.fleet.wishes import AGAIN_MS, WISH_MS
from back_office.worker import Worker
from cloud_sync.letters import read_message
from cloud_sync.protocol.messages import Elsewhere, Grant, Lease, LeaseRequest, Recall, Trust
from tests.back_office.world import GUEST, HUB, KEYS, OTHER_GUEST, OTHER_HUB, WALL_MS, leaves, tamper


@pytest.fixture
def halls(office):
    """Return an office with two hubs; the guest's 1,000 lie at the first."""
    office.other = office.enroll(OTHER_HUB, "foyer")
    for hub in (office.hub, office.other):
        office.worker.on_message(*hub.hello())
    office.top_up(1_000)
    office.lease()
    office.worker.tick()
    return office


def ask(office, hub, **wanted):
    return office.worker.on_message(*hub.letter(LeaseRequest(GUEST, **wanted), "request")).letters


def opened(letter, hub):
    keys = (KEYS.sign_public, KEYS.trust_public)
    identity = hub.identity
    return read_message(
        letter.payload, signers_for=lambda _: keys, to=frozenset({identity.hub_id}), opener=identity.opener
    ).body


def test_what_lies_elsewhere_is_recalled_and_leased_when_it_is_back(halls):
    answer, letter = ask(halls, halls.other)
    assert opened(answer, halls.other) == Elsewhere(GUEST, coming=True)
    assert opened(letter, halls.hub) == Recall(GUEST)
    halls.hub.returned(1_000, why="recall")
    letters = halls.take(halls.hub.batch()).letters
    assert leaves(letters) == ["receipt", "lease"]
    (grant,) = opened(letters[1], halls.other).grants
    assert (grant.granted_total, grant.lot.lot) == (1_000, halls.lot("p1"))
    assert (halls.left(HUB), halls.left(OTHER_HUB)) == (0, 1_000)
    assert halls.prove().faults == []


def test_nobody_is_recalled_twice_in_a_breath_and_a_wish_ends(halls):
    assert len(ask(halls, halls.other)) == 2
    assert len(ask(halls, halls.other)) == 1
    halls.now_ms = WALL_MS + AGAIN_MS
    assert len(ask(halls, halls.other)) == 2
    halls.now_ms += WISH_MS
    halls.hub.returned(1_000, why="recall")
    assert leaves(halls.take(halls.hub.batch()).letters) == ["receipt"]
    assert halls.purse() == 1_000


def test_what_is_there_already_is_told_again_and_nobody_is_recalled(halls):
    assert [type(opened(letter, halls.hub)) for letter in ask(halls, halls.hub)] == [Lease]


def test_a_part_is_leased_and_the_rest_recalled(halls):
    halls.top_up(300, payment="p2")
    letters = ask(halls, halls.other, wanted=500)
    assert sorted(leaves(letters)) == ["command", "lease"]


def test_a_frozen_hub_is_asked_nothing_and_wishes_nothing(halls):
    halls.hub.held(5_000, authorization=1)
    halls.take(halls.hub.batch())
    assert halls.frozen() == "overclaim"
    (answer,) = ask(halls, halls.other)
    assert opened(answer, halls.other) == Lease((Grant(GUEST, "", 1, 0),))
    assert ask(halls, halls.hub) == ()


def test_who_waits_for_nothing_is_told_so_at_once(halls):
    assert leaves(ask(halls, halls.other)) == ["command", "command"]
    (answer,) = ask(halls, halls.other)
    assert opened(answer, halls.other) == Elsewhere(GUEST, coming=True), "no silence, and no word that there is nothing"
    halls.hub.returned(1_000, why="recall")
    halls.take(halls.hub.batch())
    halls.other.held(1_000)
    halls.take(halls.other.batch(), halls.other)
    (answer,) = ask(halls, halls.other, unit="CNY")
    assert opened(answer, halls.other) == Lease((Grant(GUEST, "CNY", 1, 0),))
    halls.top_up(100, payment="p2")
    (answer,) = ask(halls, halls.other)
    assert [grant.granted_total for grant in opened(answer, halls.other).grants] == [100]


def test_what_lies_at_a_hub_that_went_away_is_not_said_to_come(halls):
    halls.worker.presence.take_state(HUB, b'{"state":"offline"}')
    assert opened(ask(halls, halls.other)[0], halls.other) == Elsewhere(GUEST, coming=False)
    halls.worker.presence.take_state(HUB, b'{"state":"online"}')
    assert opened(ask(halls, halls.other)[0], halls.other) == Elsewhere(GUEST, coming=True)


def test_the_hubs_of_a_venue_are_told_of_each_other(office):
    office.other = office.enroll(OTHER_HUB, "foyer")
    letters = office.worker.on_message(*office.hub.hello()).letters
    (letter,) = [letter for letter in letters if letter.topic.endswith("document/trust")]
    trust = opened(letter, office.hub)
    assert isinstance(trust, Trust)
    assert (letter.retain, trust.version, trust.sign_keys) == (True, 1, (KEYS.sign_public,))
    (peer,) = trust.peers
    identity = office.other.identity
    assert (peer.hub_id, peer.name, peer.sign_public) == (OTHER_HUB, "foyer", identity.signer.public)
    assert msgspec.structs.replace(peer) == peer


def test_an_account_whose_lots_are_off_holds_up_nobody_else(halls):
    halls.top_up(500, account=OTHER_GUEST, payment="p2")
    halls.lease(account=OTHER_GUEST)
    for account in (GUEST, OTHER_GUEST):
        halls.worker.on_message(*halls.other.letter(LeaseRequest(account), "request"))
    halls.hub.returned(1_000, why="recall")
    halls.hub.returned(500, account=OTHER_GUEST, why="recall")
    other = Worker(halls.store, KEYS, lambda: halls.now_ms)  # ours hears of it at its next look only
    other.on_message(halls.hub.batch_topic, halls.hub.batch())
    tamper(halls, f"UPDATE lots SET available = available + 7 WHERE account_id = x'{GUEST.hex()}'")  # noqa: S608 - our own id
    halls.worker.tick()
    assert (halls.left(OTHER_HUB), halls.left(OTHER_HUB, account=OTHER_GUEST)) == (0, 500)
    for _look in range(3):
        halls.worker.tick()
    assert halls.alarms() == [("books_off", GUEST)]
