"""A card's way from blank to scrap: every row of the table, what is refused, and what the list hears of it."""

import sqlite3
from contextlib import closing

import pytest

from back_office.members import stock as way
from back_office.members.cards import add_card, parse_card, set_status
from back_office.members.consents import pending
from back_office.members.stock import STEPS, CardState, CardStep, Doer, StockError, advance, take_from_stock, take_step
from back_office.store import consents, people, stock
from back_office.store.consents import Consent, Template
from back_office.store.people import Credential, GuestAccount
from tests.back_office.world import HUB, KEYS, TENANT, WALL_MS

ANNA = GuestAccount(account_id=bytes([7]) * 16, created_ms=WALL_MS)
CARD = parse_card("ntag424:04A1B2C3D4E581")
ID = CARD.credential_id(KEYS.pepper)
KEY = bytes(range(16))
ADA = Doer("ada", WALL_MS, "box 7")


def steps(tx, *names, **more):
    for name in names:
        key = KEY if name is CardStep.FINISH else None
        take_step(tx, TENANT, ID, name, ADA, media="ntag424", token_key=key, **more)


def state(tx):
    return way.state_of(tx, TENANT, stock.row(tx, TENANT, ID))


def live(tx):
    steps(tx, CardStep.BEGIN, CardStep.FINISH)
    return add_card(tx, TENANT, take_from_stock(tx, TENANT, CARD, ADA, pepper=KEYS.pepper), pepper=KEYS.pepper,
                    account=ANNA)  # fmt: skip


@pytest.mark.parametrize("before", [None, *CardState])
@pytest.mark.parametrize("step", list(CardStep))
def test_every_step_from_every_state_leads_on_or_names_both(before, step):
    after = STEPS[before].get(step)
    if after is not None:
        assert advance(before, step) is after
        return
    where = "not in the office's stock" if before is None else f"is {before.value}"
    with pytest.raises(StockError, match=f"{where}.*{step.value} is not possible"):
        advance(before, step)


def test_every_state_is_reached_and_only_scrap_is_the_end():
    reached = {after for row in STEPS.values() for after in row.values()}
    assert reached == set(CardState)
    assert [before for before, row in STEPS.items() if not row] == [CardState.SCRAPPED]


def test_a_whole_life_is_written_down(office):
    with office.store.writing() as tx:
        added = live(tx)
        assert (added.token_key, added.class_, state(tx)) == (KEY, "A", CardState.LIVE)
        steps(tx, CardStep.LOSE)
        assert people.credential(tx, TENANT, ID).status == "lost"
        steps(tx, CardStep.FIND)
        assert people.credential(tx, TENANT, ID).status == "active"
        steps(tx, CardStep.GIVE_BACK)
        assert people.credential(tx, TENANT, ID).status == "blocked"
        with pytest.raises(StockError, match="card replace"):
            way.refuse_out_of_use(tx, TENANT, ID)
        steps(tx, CardStep.SCRAP)
        written = stock.steps(tx, TENANT, ID)
    assert [one.state for one in written] == [
        "begun", "in_stock", "sold", "live", "lost", "live", "returned", "scrapped",
    ]  # fmt: skip
    assert {(one.who, one.at_ms, one.note) for one in written} == {("ada", WALL_MS, "box 7")}


def test_what_hubs_say_of_a_card_is_what_the_stock_says(office):
    with office.store.writing() as tx:
        card = live(tx)
        set_status(tx, TENANT, card, "lost")
        assert state(tx) is CardState.LOST
        set_status(tx, TENANT, card, "active")
        assert state(tx) is CardState.LIVE


@pytest.mark.parametrize("until", [[CardStep.BEGIN], [CardStep.BEGIN, CardStep.FINISH, CardStep.SCRAP]])
def test_a_card_that_is_not_whole_gets_no_account(office, until):
    with office.store.writing() as tx:
        steps(tx, *until)
        with pytest.raises(StockError, match="sell is not possible"):
            take_from_stock(tx, TENANT, CARD, ADA, pepper=KEYS.pepper)


def test_another_key_than_the_encoded_one_is_refused(office):
    with office.store.writing() as tx:
        steps(tx, CardStep.BEGIN, CardStep.FINISH)
        other = parse_card(f"ntag424:04A1B2C3D4E581:{bytes(16).hex()}")
        with pytest.raises(StockError, match="another key"):
            take_from_stock(tx, TENANT, other, ADA, pepper=KEYS.pepper)


def test_a_card_with_an_account_is_not_encoded_again(office):
    with office.store.writing() as tx:
        live(tx)
        steps(tx, CardStep.GIVE_BACK)
        with pytest.raises(StockError, match="has an account"):
            steps(tx, CardStep.BEGIN)


def test_a_card_without_an_account_is_not_found_again_but_taken_back(office):
    with office.store.writing() as tx:
        steps(tx, CardStep.BEGIN, CardStep.FINISH, CardStep.SELL, CardStep.LOSE)
        with pytest.raises(StockError, match="no account"):
            steps(tx, CardStep.FIND)
        steps(tx, CardStep.GIVE_BACK, CardStep.BEGIN, CardStep.FINISH)
        assert state(tx) is CardState.IN_STOCK


@pytest.mark.sqlite
def test_the_office_keeps_no_uid(office):
    with office.store.writing() as tx:
        live(tx)
    office.store.close()
    content = b"".join(path.read_bytes() for path in office.file.parent.glob("office.sqlite*"))
    assert KEY in content
    assert CARD.uid not in content


@pytest.mark.sqlite
@pytest.mark.parametrize("change", ["UPDATE card_steps SET note = 'x'", "DELETE FROM card_steps"])
def test_no_step_is_ever_changed(office, change):
    with office.store.writing() as tx:
        live(tx)
    with closing(sqlite3.connect(office.file)) as raw, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute(change)


FINGER, CONSENT = bytes([2]) * 16, bytes([1]) * 16


def learn_a_finger(tx):
    agreed = Consent(consent_id=CONSENT, account_id=ANNA.account_id, hub_id=HUB, of="finger", text_version="v1",
                     given_ms=WALL_MS, staff="lin")  # fmt: skip
    consents.add_consent(tx, TENANT, agreed)
    consents.add_template(tx, TENANT, Template(
        credential_id=FINGER, life=1, consent_id=CONSENT, account_id=ANNA.account_id, hub_id=HUB, media="finger",
        device="finger-1", page=7, enrolled_ms=WALL_MS,
    ))  # fmt: skip
    add_another(tx, FINGER, "finger")


def add_another(tx, credential_id, media):
    people.add_credential(tx, TENANT, Credential(
        credential_id=credential_id, account_id=ANNA.account_id, media=media, class_="B",
        version=people.list_version(tx, TENANT) + 1,
    ))  # fmt: skip


def finger_behind(office, *names, phone=False):
    """Return what became of a finger behind steps with the card of its account, and of the consent to it."""
    with office.store.writing() as tx:
        live(tx)
        learn_a_finger(tx)
        if phone:
            add_another(tx, bytes([4]) * 16, "member")
        steps(tx, *names)
        (given,) = consents.consents(tx, TENANT, ANNA.account_id)
        waits = [one.page for one in pending(tx, TENANT)]
        return people.credential(tx, TENANT, FINGER).status, given.withdrawn_by, waits


ENDED, STANDS = ("blocked", "ada", [7]), ("active", "", [])


@pytest.mark.parametrize("names", [
    (CardStep.SCRAP,), (CardStep.GIVE_BACK,), (CardStep.LOSE, CardStep.SCRAP), (CardStep.LOSE, CardStep.GIVE_BACK),
])  # fmt: skip
def test_a_finger_ends_with_the_last_card_of_its_account_and_is_to_be_deleted(office, names):
    assert finger_behind(office, *names) == ENDED


def test_a_lost_card_ends_no_consent(office):
    assert finger_behind(office, CardStep.LOSE) == STANDS


def test_an_account_with_a_phone_goes_on_with_its_finger(office):
    assert finger_behind(office, CardStep.SCRAP, phone=True) == STANDS


def test_a_build_that_leaves_fingers_behind_an_ended_account_is_caught(office, monkeypatch):
    monkeypatch.setattr(way, "is_ended", lambda *_: False)
    assert finger_behind(office, CardStep.SCRAP) != ENDED
