"""Cards at a desk's reader: a guest's is named, a staff card counts only where it proves itself, and nothing sells."""

import pytest

from edge_agent.messages import Answered, Born
from edge_agent.staff_messages import TellCard
from edge_agent.tap import challenge
from edge_agent.tap.challenge import CHALLENGE_MS
from edge_agent.tap.token_proof import _sdm_mac
from payment_core.bus import Birth
from payment_core.commands import Result
from payment_core.events import CredentialPresented
from payment_core.staff_policy import Person
from tests.support.desk import DeskHall, card_text, staff_document
from tests.support.hall import commands, credential_of, logged, uid_of
from tests.support.ledger_truth import kinds
from tests.support.tokens import RelayingReader

KEY = bytes(range(16))


@pytest.fixture
def hall(tmp_path):
    hall = DeskHall(tmp_path / "ledger.db")
    hall.enroll("card-7", 1_000)
    staff = (
        Person("chen", "attendant", credentials=(credential_of("card-chen", "ntag424").hex(), card_text("card-plain"))),
    )
    hall.step(
        staff_document(2, people=staff),
        hall.member("card-plain"),
        hall.member("card-chen", class_="A", media="ntag424", token_key=KEY),
    )
    yield hall
    hall.store.close()


def told(effects):
    (card,) = [effect.card for effect in effects if isinstance(effect, TellCard)]
    return card


def shown(hall, card, **more):
    return hall.event("reader-desk", CredentialPresented("ntag21x", uid_of(card), "C"), **more)


def proven(hall, counter, *, card="card-chen"):
    uid = uid_of(card)
    mac = _sdm_mac(KEY, bytes.fromhex(uid), counter).hex().upper()
    url = f"https://card.example/t?uid={uid}&ctr={counter:06X}&mac={mac}"
    return hall.event("reader-desk", CredentialPresented("ntag424", uid, "A", url))


def test_a_guests_card_is_named_with_its_balance_and_sells_nothing(hall):
    before = kinds(hall.store)
    card = told(hall.step(shown(hall, "card-7")))
    assert (card.credential, card.status, card.balance, card.unit, card.staff) == (
        card_text("card-7"), "active", 1_000, "CNY", "",
    )  # fmt: skip
    assert kinds(hall.store) == before


def test_a_card_nobody_knows_can_be_sold(hall):
    card = told(hall.step(shown(hall, "card-new")))
    assert (card.credential, card.status) == (card_text("card-new"), "unknown")


def test_a_staff_card_that_proves_itself_is_as_good_as_a_pin(hall):
    assert told(hall.step(proven(hall, 1))).staff == "chen"
    assert told(hall.step(proven(hall, 1))).staff == "", "a replayed proof is none"


def test_a_staff_card_anybody_can_copy_is_none(hall):
    assert told(hall.step(shown(hall, "card-plain"))).staff == ""


def test_a_card_that_comes_late_or_again_is_nobodys(hall):
    first = shown(hall, "card-7")
    hall.step(first)
    assert "desk.stale_card" in logged(hall.step(first))
    assert "desk.stale_card" in logged(hall.step(shown(hall, "card-7", age_ms=2_001)))


# --------------------------------------------------------------------- a staff card where the reader says a challenge
def relays(hall):
    hall.step(Born("reader-desk", Birth("pn532-uart", 1, "boot-1", "bridge-1", capabilities=("Transceive",))))


def cards_told(effects):
    return [effect.card.staff for effect in effects if isinstance(effect, TellCard)]


def test_a_recorded_message_of_a_staff_card_is_no_pin(hall):
    relays(hall)
    asked = hall.step(proven(hall, 1))
    assert (cards_told(asked), [one.kind for one in commands(asked)]) == ([], ["Transceive"])
    gone = Answered("reader-desk", Result(commands(asked)[0].id, "refused", reason="card_gone"))
    assert cards_told(hall.step(gone)) == [""]
    assert cards_told(hall.step(proven(hall, 2))) == []
    assert cards_told(hall.wait(CHALLENGE_MS)) == [""], "nobody answered"


def test_a_staff_card_that_lies_at_the_desk_is_as_good_as_a_pin(hall):
    relays(hall)
    reader = RelayingReader(f"ntag424:{uid_of('card-chen')}:{KEY.hex()}", "reader-desk")
    effects = hall.step(proven(hall, 1))
    assert commands(hall.step(proven(hall, 2))) == [], "it is asked once"
    for _half in range(2):
        effects = hall.wait(20, reader.answer(effects))
    assert cards_told(effects) == ["chen"]


def test_a_guests_card_at_a_desk_is_named_at_once(hall):
    relays(hall)
    hall.step(hall.member("card-anna", class_="A", media="ntag424", token_key=KEY))
    card = told(hall.step(proven(hall, 1, card="card-anna")))
    assert (card.credential, card.staff) == (credential_of("card-anna", "ntag424").hex(), "")


def test_a_build_that_takes_a_message_for_a_member_of_staff_is_caught(hall, monkeypatch):
    monkeypatch.setattr(challenge, "_vouches", lambda _draft, _tap: False)
    with pytest.raises(AssertionError):
        test_a_recorded_message_of_a_staff_card_is_no_pin(hall)
