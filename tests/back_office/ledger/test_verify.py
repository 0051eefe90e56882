"""The proof finds whatever is changed behind the books' back, and names it."""


import pytest

from payment_core.journal import CoinBooked
from tests.back_office.world import GUEST, OTHER_HUB, tamper


@pytest.fixture
def played(office):
    """Return an office with a top-up, a lease and two sales."""
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    for number in (1, 2):
        office.hub.held(100, authorization=number)
        office.hub.captured(100, authorization=number)
    office.take(office.hub.batch())
    assert office.prove().ok
    return office


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE balances SET amount = amount - 1 WHERE kind = 'revenue'", "account revenue racer-2 CNY: its balance"),
        ("UPDATE postings SET amount = amount + 1 WHERE line = 0 AND seq = 2", "entry 2: its postings"),
        ("UPDATE days SET amount = amount + 1 WHERE type = 4", "the day is not what its postings say"),
        ("UPDATE leases SET granted = granted + 1", "lease of"),
        ("UPDATE leases SET settled = settled - 1, overclaimed = 1", "the lease at hub"),
        ("UPDATE payments SET amount = 999", "payments counter p1: it is not what"),
        ("UPDATE entries SET record = CAST(record || x'00' AS BLOB) WHERE seq = 2", "does not continue the hash chain"),
        ("UPDATE entries SET hash = x'" + "00" * 32 + "' WHERE seq = 2", "entry 2 does not continue the hash chain"),
        ("UPDATE chains SET rec_seq = rec_seq + 1", "its watermark says"),
    ],
)
def test_a_change_is_found(played, statement, said):
    tamper(played, statement)
    proof = played.prove()
    assert not proof.ok
    assert any(said in fault for fault in proof.faults), proof.faults


def test_a_changed_amount_in_a_record_is_found_even_where_postings_were_changed_with_it(played):
    tamper(
        played,
        "UPDATE postings SET amount = amount * 2 WHERE seq = 3",
        "UPDATE balances SET amount = amount - 100 WHERE kind = 'revenue'",
    )
    assert any("its postings are not what the entry says" in fault for fault in played.prove().faults)


def test_a_missing_entry_is_a_gap(played):
    tamper(played, "DELETE FROM postings WHERE seq = 2 AND stream = 0", "DELETE FROM entries WHERE seq = 2")
    proof = played.prove()
    assert (proof.ok, proof.gaps) == (False, 2)


def test_books_off_by_one_do_not_balance(played):
    tamper(played, "UPDATE balances SET amount = amount + 1 WHERE kind = 'revenue'")
    proof = played.prove()
    assert (proof.ok, proof.balanced) == (False, False)
    assert "the books do not balance: CNY is off by 1" in proof.faults


def test_postings_of_an_entry_that_are_off_do_not_balance(played):
    tamper(played, "UPDATE postings SET amount = amount + 1 WHERE line = 0 AND seq = 2 AND stream = 0")
    proof = played.prove()
    assert (proof.ok, proof.balanced) == (False, False)


def test_a_lot_that_does_not_fit_the_others_is_named(played):
    tamper(played, "UPDATE lots SET available = available + 1")
    proof = played.prove()
    table, account, unit, lot = proof.first_bad.split()
    assert (table, account, unit, len(lot)) == ("lots", GUEST.hex(), "CNY", 32)
    assert "is available" in proof.faults[0]


def test_an_event_that_is_booked_twice_is_a_duplicate(played):
    for _ in range(2):
        played.hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 7, 1, 1, "CNY", 100))
    played.take(played.hub.batch())
    proof = played.prove()
    assert (proof.ok, proof.duplicates) == (False, 1)


def test_events_are_counted_hub_by_hub_and_those_of_one_hub_are_no_other_hubs(played):
    foyer = played.enroll(OTHER_HUB, "foyer")
    played.worker.on_message(*foyer.hello())
    for hub, times in ((played.hub, 2), (foyer, 3)):
        for _ in range(times):
            hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 7, 1, 1, "CNY", 100))
        played.take(hub.batch(), hub)
    assert played.prove().duplicates == 3


def test_only_the_first_faults_are_told(played):
    tamper(played, "UPDATE entries SET hash = x'" + "00" * 32 + "'", "UPDATE postings SET amount = amount + 1")
    assert len(played.prove().faults) <= 20


def test_an_empty_office_is_in_order(office):
    proof = office.prove()
    assert (proof.ok, proof.entries, proof.office_equals_hubs) == (True, 1, None)
    assert GUEST.hex() not in str(proof.faults)
