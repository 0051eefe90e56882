"""What a card may do beside paying: kept with it, told to hubs row by row, and gone on with on the next card."""

from datetime import UTC, datetime

import msgspec
import pytest

from back_office.ledger.list_changes import successor
from back_office.members import privileges
from back_office.members.cards import add_card, parse_card, set_status
from back_office.members.phones import add_phone
from back_office.members.privileges import MomentTextError, change_card, follow, until_ms, with_right, without_right
from back_office.members.replacing import replace_card
from back_office.store import people, places
from payment_core.credential import Right
from tests.back_office.world import GUEST, KEYS, TENANT, VENUE

CARD, NEXT = parse_card("ntag213:04A1B2C3D4E580"), parse_card("ntag213:04A1B2C3D4E581")
RACING, DANCE = Right("racing", 1_800_000_000_000, 60_000), Right("dance", 1_800_000_000_000)


def added(tx):
    return add_card(tx, TENANT, CARD, pepper=KEYS.pepper, account=people.account(tx, TENANT, GUEST))


def test_what_a_card_may_is_in_its_row_of_the_list(office):
    with office.store.writing() as tx:
        card = added(tx)
        changed = msgspec.structs.replace(
            with_right(with_right(card, DANCE), RACING), tap_limit=500, day_limit=2_000, zones=("hall", "bar"),
            venues=(VENUE,), step_up=True, group="student",
        )  # fmt: skip
        assert change_card(tx, TENANT, changed) == 2
        (row,) = people.list_rows(tx, TENANT, after_version=1)
        assert (row.version, row.status, row.rights) == (2, "active", (DANCE, RACING))
        assert (row.tap_limit, row.day_limit, row.zones, row.venues) == (500, 2_000, ("hall", "bar"), (VENUE,))
        assert (row.step_up, row.group) == (True, "student")
        kept = people.credential(tx, TENANT, card.credential_id)
        assert kept == msgspec.structs.replace(changed, version=2)
        assert change_card(tx, TENANT, without_right(kept, "racing")) == 3
        (row,) = people.list_rows(tx, TENANT, after_version=2)
        assert (row.rights, row.group) == ((DANCE,), "student")


def test_a_pass_of_the_same_group_is_replaced(office):
    with office.store.writing() as tx:
        longer = msgspec.structs.replace(RACING, until_ms=RACING.until_ms + 1)
        assert with_right(with_right(added(tx), RACING), longer).rights == (longer,)


def test_a_replaced_card_keeps_its_passes(office):
    with office.store.writing() as tx:
        change_card(tx, TENANT, with_right(added(tx), RACING))
        old = people.credential(tx, TENANT, CARD.credential_id(KEYS.pepper))
        replace_card(office.desk(tx), old, NEXT, pepper=KEYS.pepper, by="ann")
        fresh = people.credential(tx, TENANT, NEXT.credential_id(KEYS.pepper))
        assert (fresh.rights, fresh.life, fresh.status) == ((RACING,), 2, "active")


def beside(tx, card):
    """Give a card's account a phone and a finger, as they are made; return a function that reads them."""
    phone = add_phone(tx, TENANT, card, pepper=KEYS.pepper, dice=bytes).credential
    finger = successor(card, bytes([7]) * 16, "finger", "B", life=1, version=people.list_version(tx, TENANT) + 1)
    people.add_credential(tx, TENANT, finger)
    return lambda: [people.credential(tx, TENANT, one.credential_id) for one in (phone, finger)]


def test_a_pass_that_ends_and_limits_reach_phone_and_finger(office):
    with office.store.writing() as tx:
        change_card(tx, TENANT, with_right(added(tx), RACING))
        card = people.credential(tx, TENANT, CARD.credential_id(KEYS.pepper))
        read = beside(tx, card)
        assert [one.rights for one in read()] == [(RACING,)] * 2
        before = people.list_version(tx, TENANT)
        limited = msgspec.structs.replace(without_right(card, "racing"), tap_limit=100, step_up=True, venues=(VENUE,))
        assert change_card(tx, TENANT, limited) == before + 3
        assert [(one.rights, one.tap_limit, one.step_up, one.venues) for one in read()] == [
            ((), 100, True, (VENUE,))
        ] * 2
        assert [(one.media, one.class_, len(one.token_key)) for one in read()] == [
            ("member_code", "A", 16), ("finger", "B", 0)
        ]  # fmt: skip
        assert len(people.list_rows(tx, TENANT, after_version=before)) == 3, "hubs are told"


def test_a_familys_phone_follows_none_of_its_cards_and_is_found(office):
    with office.store.writing() as tx:
        card = added(tx)
        read = beside(tx, card)
        sister = add_card(tx, TENANT, NEXT, pepper=KEYS.pepper, account=people.account(tx, TENANT, GUEST))
        change_card(tx, TENANT, msgspec.structs.replace(card, tap_limit=100))
        assert [one.tap_limit for one in read()] == [None, None]
        assert (privileges.beside(tx, TENANT, card), follow(tx, TENANT, card)) == (read(), [])
        set_status(tx, TENANT, sister, "lost")
        assert follow(tx, TENANT, card) == read(), "a lost card is nobody's"


def test_a_build_that_changes_one_row_alone_is_caught(office, monkeypatch):
    monkeypatch.setattr(privileges, "follow", lambda _tx, _tenant_id, _card: [])
    with pytest.raises(AssertionError):
        test_a_pass_that_ends_and_limits_reach_phone_and_finger(office)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-12-31T22:00", datetime(2026, 12, 31, 14, tzinfo=UTC)),
        ("2026-12-31T22:00+00:00", datetime(2026, 12, 31, 22, tzinfo=UTC)),
        ("2026-12-31", datetime(2026, 12, 31, 22, tzinfo=UTC)),
    ],
)
def test_an_end_is_by_the_venues_clock_and_a_day_ends_with_the_business(office, text, utc):
    with office.store.reading() as tx:
        venue = msgspec.structs.replace(
            places.venues(tx, TENANT)[0], timezone="Asia/Shanghai", day_begins_minute=360
        )  # fmt: skip
    assert until_ms(text, venue) == int(utc.timestamp() * 1_000)


def test_what_is_no_moment_is_told(office):
    with office.store.reading() as tx, pytest.raises(MomentTextError, match="2026-12-31T22:00"):
        until_ms("tomorrow", places.venues(tx, TENANT)[0])
