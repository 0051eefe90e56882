"""What a card may do beside paying: kept with it, told to hubs row by row, and gone on with on the next card."""

from datetime import UTC, datetime

import msgspec
import pytest

from back_office.members.cards import add_card, parse_card
from back_office.members.privileges import MomentTextError, change_card, until_ms, with_right, without_right
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
