"""TOK-3: the keys of cards and the seeds of phones go to hubs where these may play, and to no other."""

import msgspec
import pytest

from back_office.fleet import mail
from back_office.fleet.mail import Mail
from back_office.members.cards import add_card, parse_card, set_status
from back_office.members.phones import add_phone
from back_office.members.privileges import change_card
from back_office.store import people, places
from cloud_sync.downlink import Downlink
from tests.back_office.world import GUEST, HUB, KEYS, TENANT, VENUE

CARD = parse_card(f"ntag424:04DE5F1EACC040:{bytes(range(1, 17)).hex()}")
ELSEWHERE = bytes([9]) * 16


@pytest.fixture
def card(office):
    with office.store.writing() as tx:
        guest = people.account(tx, TENANT, GUEST)
        added = add_card(tx, TENANT, CARD, pepper=KEYS.pepper, account=guest)
        add_phone(tx, TENANT, added, pepper=KEYS.pepper, dice=lambda count: bytes(range(20, 20 + count)))
    return added


def rows_told(office, *, after=0):
    """Return the rows as the hub opens them, in the list's order: the card, then the phone."""
    identity = office.hub.identity
    has = {"list": after}
    downlink = Downlink(hub_id=HUB, tenant_id=TENANT, opener=identity.opener, trust=identity.trust, versions=has)
    with office.store.reading() as tx:
        letters = list(Mail(KEYS).list(tx, places.hub(tx, TENANT, HUB), have_version=after))
    return [row for one in letters for event in downlink.on_message(one.topic, one.payload) for row in event.body.rows]


def keys_told(office):
    return [row.token_key for row in rows_told(office) if row.token_key]


def changed(office, card, **fields):
    with office.store.writing() as tx:
        for one in people.of_account(tx, TENANT, card.account_id):
            if "status" in fields:
                set_status(tx, TENANT, one, fields["status"])
            else:
                change_card(tx, TENANT, msgspec.structs.replace(one, **fields))


def test_keys_go_where_their_tokens_play(office, card):
    seed = bytes(range(20, 36))
    assert keys_told(office) == [CARD.key, seed]
    changed(office, card, venues=(ELSEWHERE,))
    assert keys_told(office) == []
    changed(office, card, venues=(ELSEWHERE, VENUE))
    assert keys_told(office) == [CARD.key, seed]


@pytest.mark.parametrize("status", ["lost", "blocked"])
def test_what_is_out_of_use_leaves_no_key_and_is_still_told(office, card, status):
    before = max(row.version for row in rows_told(office))
    changed(office, card, status=status)
    told = rows_told(office, after=before)
    assert [(row.status, row.token_key) for row in told] == [(status, b"")] * 2, "the change takes the key away"
    changed(office, card, status="active")
    assert len(keys_told(office)) == 2


def test_a_hub_that_was_closed_gets_no_key(office, card):
    with office.store.writing() as tx:
        places.close(tx, TENANT, HUB, now_ms=office.now_ms)
    assert (len(rows_told(office)), keys_told(office)) == (2, [])


def test_a_build_that_tells_every_hub_every_key_is_caught(office, card, monkeypatch):
    monkeypatch.setattr(mail, "_plays", lambda _hub, _row: True)
    with pytest.raises(AssertionError):
        test_keys_go_where_their_tokens_play(office, card)


def test_a_build_that_leaves_the_keys_of_lost_cards_is_caught(office, card, monkeypatch):
    monkeypatch.setattr(mail, "_plays", lambda hub, row: not row.venues or hub.venue_id in row.venues)
    with pytest.raises(AssertionError):
        test_what_is_out_of_use_leaves_no_key_and_is_still_told(office, card, "lost")
