"""A member's phone in the books: class A beside the card, what the card may, one at a time."""

import msgspec
import pytest

from back_office.members.cards import add_card, parse_card, set_status
from back_office.members.phones import CardOutOfUseError, add_phone, end_phone
from back_office.store import people
from back_office.store.people import GuestAccount
from payment_core.identifiers import credential_id
from tests.back_office.world import KEYS, TENANT, WALL_MS

ANNA = GuestAccount(account_id=bytes([7]) * 16, masked_name="A.", language="en", created_ms=WALL_MS)


@pytest.fixture
def card(office):
    with office.store.writing() as tx:
        added = add_card(tx, TENANT, parse_card("hid:04A1B2C3"), pepper=KEYS.pepper, account=ANNA)
        limited = msgspec.structs.replace(added, day_limit=500, zones=("hall",))
        people.change_credential(tx, TENANT, limited)
    return limited


def dice(start):
    return lambda count: bytes(range(start, start + count))


def test_a_phone_has_what_the_card_has_and_proves_itself(office, card):
    with office.store.writing() as tx:
        phone = add_phone(tx, TENANT, card, pepper=KEYS.pepper, dice=dice(1))
        rows = {row.credential_id: row for row in people.list_rows(tx, TENANT)}
    assert phone.credential.credential_id == credential_id(pepper=KEYS.pepper, kind="member_code", raw_id=phone.handle)
    row = rows[phone.credential.credential_id]
    assert (row.account_id, row.class_, row.token_key, row.day_limit, row.zones, row.version) == (
        ANNA.account_id, "A", phone.seed, 500, ("hall",), card.version + 1,
    )  # fmt: skip
    assert (rows[card.credential_id].class_, repr(phone)) == ("C", "Phone()")


def test_a_new_phone_ends_the_old_one_and_it_can_be_ended_alone(office, card):
    with office.store.writing() as tx:
        old = add_phone(tx, TENANT, card, pepper=KEYS.pepper, dice=dice(1))
        new = add_phone(tx, TENANT, card, pepper=KEYS.pepper, dice=dice(2))
        found = {one.credential_id: one.status for one in people.of_account(tx, TENANT, ANNA.account_id)}
        assert found == {
            card.credential_id: "active", old.credential.credential_id: "lost", new.credential.credential_id: "active"
        }  # fmt: skip
        assert [end_phone(tx, TENANT, card) for _ in range(2)] == [1, 0]
        assert people.credential(tx, TENANT, new.credential.credential_id).status == "lost"


def test_a_card_out_of_use_gets_no_phone(office, card):
    with office.store.writing() as tx:
        set_status(tx, TENANT, card, "blocked")
        blocked = people.credential(tx, TENANT, card.credential_id)
        with pytest.raises(CardOutOfUseError, match="is blocked"):
            add_phone(tx, TENANT, blocked, pepper=KEYS.pepper, dice=dice(1))
