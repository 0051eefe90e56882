"""Cards as people write them, and the list they make."""

import pytest

from back_office.members.cards import (
    CardKnownError,
    CardTextError,
    CardUnknownError,
    add_card,
    find_card,
    parse_card,
    set_status,
)
from back_office.store import people
from back_office.store.people import GuestAccount
from payment_core.credential import ListRow
from payment_core.identifiers import credential_id
from tests.back_office.world import GUEST, KEYS, TENANT, WALL_MS

ANNA = GuestAccount(account_id=bytes([7]) * 16, masked_name="A.", language="en", created_ms=WALL_MS)
KEY = "00112233445566778899aabbccddeeff"


def test_a_card_is_named_as_a_hub_names_it():
    card = parse_card("ntag213:04A1B2C3D4E580")
    uid = bytes.fromhex("04A1B2C3D4E580")
    assert card.credential_id(KEYS.pepper) == credential_id(pepper=KEYS.pepper, kind="ntag21x", raw_id=uid)
    assert (card.kind.class_, card.key) == ("C", b"")
    keyed = parse_card(f"ntag424:04A1B2C3D4E581:{KEY}")
    assert (keyed.kind.class_, keyed.kind.media, keyed.key.hex()) == ("A", "ntag424", KEY)


@pytest.mark.parametrize(
    "text",
    ["", "ntag213", "ntag213:", "ntag213:04A1", "ntag213:04A1B2C3D4E580:00", "ntag424:04A1B2C3D4E580:", "visa:04A1B2C3",
     f"ntag424:04A1B2C3D4E580:{KEY}00", "ntag213:04A1B2C3D4E5ZZ"],
)  # fmt: skip
def test_what_is_no_card_is_told_without_repeating_it(text):
    with pytest.raises(CardTextError, match="ntag213:UID or ntag424:UID:KEY") as told:
        parse_card(text)
    assert "04A1" not in str(told.value)


def test_a_card_that_proves_itself_is_named_without_its_key_and_not_added_so(office):
    card = parse_card("ntag424:04A1B2C3D4E580")
    with office.store.writing() as tx, pytest.raises(CardTextError, match="write its key too"):
        add_card(tx, TENANT, card, pepper=KEYS.pepper, account=ANNA)


def test_a_card_and_its_key_stay_out_of_logs():
    assert KEY not in repr(parse_card(f"ntag424:04A1B2C3D4E580:{KEY}"))
    assert repr(parse_card("ntag213:04A1B2C3D4E580")) == "Card(ntag21x)"


def test_a_card_is_added_once_and_found(office):
    card = parse_card("ntag213:04A1B2C3D4E580")
    with office.store.writing() as tx:
        added = add_card(tx, TENANT, card, pepper=KEYS.pepper, account=ANNA)
        assert find_card(tx, TENANT, card, pepper=KEYS.pepper) == added
        with pytest.raises(CardKnownError, match="has an account already"):
            add_card(tx, TENANT, card, pepper=KEYS.pepper, account=ANNA)
        with pytest.raises(CardUnknownError, match="card add"):
            find_card(tx, TENANT, parse_card("ntag213:04A1B2C3D4E581"), pepper=KEYS.pepper)


def test_the_list_is_versioned_row_by_row(office):
    first, second = parse_card("ntag213:04A1B2C3D4E580"), parse_card(f"ntag424:04A1B2C3D4E581:{KEY}")
    with office.store.writing() as tx:
        assert people.list_version(tx, TENANT) == 0
        one = add_card(tx, TENANT, first, pepper=KEYS.pepper, account=ANNA)
        two = add_card(tx, TENANT, second, pepper=KEYS.pepper, account=ANNA)
        assert people.list_rows(tx, TENANT) == [
            ListRow(one.credential_id, ANNA.account_id, "C", "active", 1, masked_name="A.", language="en"),
            ListRow(two.credential_id, ANNA.account_id, "A", "active", 2, masked_name="A.", language="en",
                    token_key=bytes.fromhex(KEY)),
        ]  # fmt: skip
        assert set_status(tx, TENANT, one, "lost") == 3
        changed = people.list_rows(tx, TENANT, after_version=2)
        assert [(row.credential_id, row.status, row.version) for row in changed] == [(one.credential_id, "lost", 3)]
        assert people.list_version(tx, TENANT) == 3


def test_an_account_can_have_two_cards(office):
    with office.store.writing() as tx:
        known = people.account(tx, TENANT, GUEST)
        for uid in ("04A1B2C3D4E580", "04A1B2C3D4E581"):
            add_card(tx, TENANT, parse_card(f"ntag213:{uid}"), pepper=KEYS.pepper, account=known)
        assert {row.account_id for row in people.list_rows(tx, TENANT)} == {GUEST}
