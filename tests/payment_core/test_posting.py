"""Postings sum to zero per unit for every entry, and name the accounts a bookkeeper expects."""

import pytest
from hypothesis import given

from payment_core.accounts import CHART, Account, Kind, Posting
from payment_core.journal import (
    Actor,
    Captured,
    Cause,
    CoinBooked,
    Expired,
    Header,
    Held,
    InDoubt,
    LeaseGranted,
    Part,
    Refunded,
    Tender,
    TimeQuality,
    ToppedUp,
    Voided,
)
from payment_core.posting import imbalance, postings
from tests.support.strategies import ENTRIES

ACC = bytes(range(16))
HEX = ACC.hex()
HEADER = Header(
    1, 1, b"boot", 1, TimeQuality.SYNCED, 20251122, Actor.GUEST, Tender.PURSE, None, "hall", "racer-2", "lane-2",
    b"a" * 16,
)  # fmt: skip
CNY = (Part("CNY", 200, 1),)
LEASE, FLOOR = Account(Kind.LEASE, HEX), Account(Kind.OVERCLAIM, HEX)
COINS = Account(Kind.COIN_CREDIT, "lane-2")
HELD, SUSPENSE, REVENUE = Account(Kind.HELD), Account(Kind.SUSPENSE), Account(Kind.REVENUE, "racer-2")


@pytest.mark.parametrize("kind", ENTRIES, ids=lambda kind: kind.__name__)
def test_every_entry_sums_to_zero_per_unit(kind):
    @given(ENTRIES[kind])
    def check(entry):
        rows = postings(entry)
        assert imbalance(rows) == {}
        assert all(row.amount for row in rows)
        assert all(row.account.kind in CHART for row in rows)

    check()


def move(debit: Account, credit: Account, amount: int = 200) -> set[Posting]:
    return {Posting(debit, "CNY", amount), Posting(credit, "CNY", -amount)}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (Held(1, HEADER, CNY, ACC, ACC, "C", "reader-2", 1, 1, 0), move(LEASE, HELD)),
        (Held(1, HEADER, (Part("CNY", 200, 0),), ACC, ACC, "B", "reader-2", 1, 1, 0), move(FLOOR, HELD)),
        (Held(1, HEADER, (Part("CNY", 200),), None, None, None, "acceptor-2", 1, 1, 0), move(COINS, HELD)),
        (Captured(1, HEADER, CNY, ACC, Cause.DEVICE), move(HELD, REVENUE)),
        (Captured(1, HEADER, CNY, ACC, Cause.DEVICE, from_doubt=True), move(SUSPENSE, REVENUE)),
        (Voided(1, HEADER, CNY, ACC, Cause.DEVICE), move(HELD, LEASE)),
        (Voided(1, HEADER, CNY, ACC, Cause.STAFF, from_doubt=True), move(SUSPENSE, LEASE)),
        (Voided(1, HEADER, (Part("CNY", 200),), None, Cause.DEVICE), move(HELD, COINS)),
        (Expired(1, HEADER, CNY, ACC), move(HELD, LEASE)),
        (InDoubt(1, HEADER, CNY, ACC, Cause.SILENCE), move(HELD, SUSPENSE)),
        (Refunded(1, HEADER, CNY, ACC, Cause.STAFF), move(REVENUE, LEASE)),
        (
            CoinBooked(1, HEADER, "acceptor-2", 1, 1, 1, 5, "CNY", 200),
            move(Account(Kind.CASH_BOX, "racer-2"), COINS),
        ),
        (
            ToppedUp(1, HEADER, ACC, "CNY", 200, "counter", "p"),
            move(Account(Kind.PSP_CLEARING, "counter"), Account(Kind.PURSE, HEX)),
        ),
        (LeaseGranted(1, HEADER, ACC, "CNY", b"h" * 16, 1, 900, 200), move(Account(Kind.PURSE, HEX), LEASE)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_an_entry_moves(entry, expected):
    assert set(postings(entry)) == expected


def test_a_partial_capture_earns_and_gives_back():
    entry = Captured(1, HEADER, (Part("CNY", 150, 1),), ACC, Cause.DEVICE, (Part("CNY", 50, 1),))
    assert set(postings(entry)) == move(HELD, REVENUE, 150) | move(HELD, LEASE, 50)


def test_an_imbalance_names_unit_and_sum():
    rows = (Posting(HELD, "CNY", 5), Posting(HELD, "bonus", 2), Posting(HELD, "bonus", -2))
    assert imbalance(rows) == {"CNY": 5}


def test_the_chart_has_every_kind():
    assert set(CHART) == set(Kind)
    assert all(row.means for row in CHART.values())
