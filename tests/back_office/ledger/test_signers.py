"""Opening balances: two different people sign, whose keys were pinned and count."""

import msgspec
import pytest

from back_office.ledger import counter
from back_office.ledger.counter import Done, Opening, Refused, book_opening
from back_office.ledger.signers import pin_signer, remove_signer
from back_office.store import acts, places, signers
from back_office.store.faults import StoreRefusedError
from back_office.store.places import Venue
from cloud_sync.signing import Ed25519Signer, verify
from payment_core.accounts import Kind
from payment_core.journal import Signed
from tests.back_office.world import GUEST, TENANT, VENUE, WALL_MS

ANN, BO, EVE = (Ed25519Signer(bytes([number]) * 32) for number in (5, 6, 7))
OTHER_VENUE = bytes.fromhex("019399a0000070008000000000000012")


@pytest.fixture
def desk(office):
    """A desk at which ann and bo are pinned, in one transaction."""
    with office.store.writing() as tx:
        places.add_venue(tx, Venue(TENANT, OTHER_VENUE, "Moon", "Asia/Shanghai", 360, 1_000))
        made = office.desk(tx)
        made = type(made)(tx, TENANT, next(v for v in places.venues(tx, TENANT) if v.venue_id == VENUE), now_ms=WALL_MS)
        assert pin(made, "ann", ANN) == pin(made, "bo", BO) == ""
        yield made
    assert office.prove().faults == []


def pin(desk, name, key, *, venue_id=None):
    return pin_signer(desk, name=name, public=key.public, venue_id=venue_id, by="carol")


def opening(amount=800, source="old/17"):
    return Opening(account_id=GUEST, unit="CNY", amount=amount, source=source)


def signed(wish, *people):
    content = wish.signed_bytes(TENANT)
    return tuple(Signed(name, key.public, key.sign(content)) for name, key in people)


def book(desk, wish=None, people=(("ann", ANN), ("bo", BO))):
    wish = wish or opening()
    return book_opening(desk, wish, signed(wish, *people), verify)


def refused_a_stranger(desk):
    """Try two keys in one hand, of which nobody pinned the second; a build that looks at no pins books it."""
    outcome = book(desk, people=(("ann", ANN), ("eve", EVE)))
    return isinstance(outcome, Refused)


def test_an_opening_balance_is_signed_by_two(desk, office):
    assert isinstance(book(desk), Done)
    assert book(desk).again
    assert isinstance(book(desk, opening(900)), Refused)
    desk.tx._connection.commit()
    assert (office.purse(), office.balance(Kind.OPENING)) == (800, 800)
    assert office.alarms() == [("act_conflict", TENANT)]


@pytest.mark.parametrize(
    ("people", "why"),
    [
        ((), "two different people"),
        ((("ann", ANN),), "two different people"),
        ((("ann", ANN), ("ann", ANN)), "two different people"),
        ((("ann", ANN), ("ann", BO)), "nobody pinned for ann"),
        ((("ann", ANN), ("bo", ANN)), "nobody pinned for bo"),
        ((("ann", ANN), ("eve", EVE)), "nobody pinned for eve"),
        ((("ann", ANN), ("bo", BO), ("eve", EVE)), "nobody pinned for eve"),
    ],
)
def test_keys_in_one_hand_open_nothing(desk, people, why):
    outcome = book(desk, people=people)
    assert isinstance(outcome, Refused)
    assert why in outcome.why


def test_a_signature_over_something_else_opens_nothing(desk):
    other = signed(opening(801), ("ann", ANN), ("bo", BO))
    outcome = book_opening(desk, opening(), other, verify)
    assert isinstance(outcome, Refused)
    assert "this very content" in outcome.why


def test_who_is_removed_signs_nothing_new_and_what_was_booked_stays(desk):
    assert isinstance(book(desk), Done)
    assert remove_signer(desk, name="bo", by="carol") == ""
    assert book(desk).again
    later = book(desk, opening(source="old/18"))
    assert isinstance(later, Refused)
    assert "carol removed it" in later.why
    assert remove_signer(desk, name="bo", by="carol") == "bo has no key that counts"


def test_a_key_belongs_to_one_person_for_ever_and_a_person_has_one(desk):
    assert pin(desk, "eve", ANN) == "this key was pinned before: it is ann's"
    assert pin(desk, "ann", EVE) == "ann has a key that counts: remove it first"
    remove_signer(desk, name="ann", by="carol")
    assert pin(desk, "eve", ANN).endswith("it is ann's and was removed")
    assert pin(desk, "ann", EVE) == ""
    assert isinstance(book(desk, people=(("ann", EVE), ("bo", BO))), Done)
    assert [line.what for line in acts.audit_lines(desk.tx, TENANT)] == [
        "signer pinned", "signer removed", "signer pinned", "signer pinned"
    ]  # fmt: skip


def test_a_key_of_another_venue_does_not_count_here(desk):
    assert pin(desk, "eve", EVE, venue_id=OTHER_VENUE) == ""
    outcome = book(desk, people=(("ann", ANN), ("eve", EVE)))
    assert isinstance(outcome, Refused)
    assert "at this venue" in outcome.why
    remove_signer(desk, name="ann", by="carol")
    here = Ed25519Signer(bytes([8]) * 32)
    assert pin(desk, "ann", here, venue_id=VENUE) == ""
    assert isinstance(book(desk, people=(("ann", here), ("bo", BO))), Done)


@pytest.mark.parametrize("changes", [{"public": b"short"}, {"name": ""}, {"added_by": ""}, {"until_ms": 1}])
def test_the_database_refuses_a_signer_that_cannot_be(office, changes):
    row = signers.SignerRow(public=EVE.public, name="eve", venue_id=None, since_ms=WALL_MS, added_by="carol")
    with pytest.raises(StoreRefusedError, match=r"CHECK|check"), office.store.writing() as tx:
        signers.add(tx, TENANT, msgspec.structs.replace(row, **changes))


def test_a_stranger_is_refused(desk):
    assert refused_a_stranger(desk)


def test_a_build_that_looks_at_no_pins_is_caught(desk, monkeypatch):
    """The mutant: any two keys whose signatures hold are two people."""

    def any_two(_desk, content, people, check):
        good = {who.key for who in people if check(who.key, who.signature, content)}
        return "" if len(good) >= 2 else "an opening balance is signed by two different people"

    monkeypatch.setattr(counter, "not_signed", any_two)
    assert not refused_a_stranger(desk)
