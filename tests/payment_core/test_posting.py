"""Postings sum to zero per unit for every entry, and name the accounts a bookkeeper expects."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given

from payment_core.accounts import CHART, Account, Kind, Posting
from payment_core.journal import (
    Actor,
    BoxCounted,
    BroughtIn,
    Captured,
    CardSold,
    CashMoved,
    CashSold,
    Cause,
    CellLot,
    CellSent,
    CellTaken,
    CoinBooked,
    DepositReturned,
    DepositTaken,
    Expired,
    Header,
    Held,
    HouseCharged,
    HousePaid,
    Increased,
    InDoubt,
    LeaseClosed,
    LeaseGranted,
    LeasePassed,
    LeaseReturned,
    Lot,
    LotExpired,
    LotKind,
    MeterRead,
    OpenSettled,
    OverclaimWrittenOff,
    PaidOut,
    PaidOutHere,
    Part,
    PassingReturned,
    PrizeSeen,
    ReceivablePaid,
    Refunded,
    SlipIssued,
    SlipReturned,
    SlipTaken,
    Source,
    Tender,
    TicketsKept,
    TimeQuality,
    TipGiven,
    ToppedUp,
    TopUpReversed,
    VenuesCleared,
    Voided,
    VoucherTaken,
    decode_entry,
)
from payment_core.posting import imbalance, postings
from tests.support.sizes import one_of
from tests.support.strategies import ENTRIES

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "journal"
ACC = bytes(range(16))
HEX = ACC.hex()
HEADER = Header(
    1, 1, b"boot", 1, TimeQuality.SYNCED, 20251122, Actor.GUEST, Tender.PURSE, None, "hall", "racer-2", "lane-2",
    b"a" * 16,
)  # fmt: skip
CNY = (Part("CNY", 200, 1),)
CELL_LOTS = (CellLot("CNY", 200, Lot(b"l" * 16, LotKind.PAID, 1)),)
LEASE, FLOOR = Account(Kind.LEASE, HEX), Account(Kind.OVERCLAIM, HEX)
COINS = Account(Kind.COIN_CREDIT, "lane-2")
HELD, SUSPENSE, REVENUE = Account(Kind.HELD), Account(Kind.SUSPENSE), Account(Kind.REVENUE, "racer-2")


@pytest.mark.parametrize("kind", ENTRIES, ids=lambda kind: kind.__name__)
def test_every_entry_sums_to_zero_per_unit(kind):
    @one_of(len(ENTRIES))
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


PURSE, PASSING, GIFTS = Account(Kind.PURSE, HEX), Account(Kind.PASSING, HEX), Account(Kind.PROMOTION_EXPENSE)
BOX, KEPT = Account(Kind.CASH_BOX, "racer-2"), Account(Kind.TICKETS, "lane-2")
ROOM, CARD = Account(Kind.ROOM_DEPOSIT, "r-1"), Account(Kind.CARD_DEPOSIT)
DRAWER, CHANNEL = Account(Kind.DRAWER, "desk-1"), Account(Kind.PSP_CLEARING, "sandbox")
HUB, ID = b"h" * 16, b"i" * 16


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (LeaseReturned(1, HEADER, ACC, CNY, "idle"), move(LEASE, PURSE)),
        (LeasePassed(1, HEADER, ACC, CNY, HUB), move(LEASE, PASSING)),
        (VoucherTaken(1, HEADER, ACC, CNY, HUB, 1, 9), move(PASSING, LEASE)),
        (SlipTaken(1, HEADER, ACC, CNY, ID), move(PASSING, LEASE)),
        (SlipIssued(1, HEADER, ACC, CNY, ID, HUB, 0), move(PURSE, PASSING)),
        (SlipReturned(1, HEADER, ACC, CNY, ID), move(PASSING, PURSE)),
        (PassingReturned(1, HEADER, ACC, CNY, HUB, 1, 9, "ada"), move(PASSING, PURSE)),
        (BroughtIn(1, HEADER, ACC, CNY, Source.DRAWER, "desk-1", ID), move(DRAWER, LEASE)),
        (BroughtIn(1, HEADER, ACC, CNY, Source.CASH_BOX, "racer-2", ID), move(BOX, LEASE)),
        (BroughtIn(1, HEADER, ACC, CNY, Source.LANE_CREDIT, "lane-2", ID), move(COINS, LEASE)),
        (BroughtIn(1, HEADER, ACC, CNY, Source.KEPT_TICKETS, "lane-2", ID), move(KEPT, LEASE)),
        (BroughtIn(1, HEADER, ACC, (), Source.DRAWER, "desk-1", ID, gifts=CNY), move(GIFTS, LEASE)),
        (PaidOutHere(1, HEADER, ACC, CNY, "desk-1", ID, "ada"), move(LEASE, DRAWER)),
        (CardSold(1, HEADER, ID, ACC, "C", "ntag213", "CNY", 200, "desk-1", "ada"), move(DRAWER, CARD)),
        (Increased(1, HEADER, CNY, ACC), move(LEASE, HELD)),
        (LeaseClosed(1, HEADER, ACC, "CNY", HUB, 1, b"", 200, "ada"), move(LEASE, PURSE)),
        (LeaseClosed(1, HEADER, ACC, "CNY", HUB, 1, b"", 0, "ada", 200), move(LEASE, PASSING)),
        (OverclaimWrittenOff(1, HEADER, ACC, "CNY", HUB, 200, "ada"), move(Account(Kind.WRITE_OFF), FLOOR)),
        (PaidOut(1, HEADER, ACC, CNY, (), "sandbox", "p", ID, "keep"), move(PURSE, CHANNEL)),
        (PaidOut(1, HEADER, ACC, (), CNY, "sandbox", "p", ID, "forfeit"), move(PURSE, GIFTS)),
        (TopUpReversed(1, HEADER, ACC, "CNY", CNY, 0, (), "sandbox", "p"), move(PURSE, CHANNEL)),
        (
            TopUpReversed(1, HEADER, ACC, "CNY", (), 200, (), "sandbox", "p"),
            move(Account(Kind.GUEST_RECEIVABLE, HEX), CHANNEL),
        ),
        (ReceivablePaid(1, HEADER, ACC, CNY), move(PURSE, Account(Kind.GUEST_RECEIVABLE, HEX))),
        (LotExpired(1, HEADER, ACC, CNY, gift=True), move(PURSE, GIFTS)),
        (LotExpired(1, HEADER, ACC, CNY, gift=False), move(PURSE, Account(Kind.UNCLAIMED))),
        (OpenSettled(1, HEADER, HUB, ID, ACC, CNY, True, True, "racer-2", "ada", ""), move(SUSPENSE, REVENUE)),
        (
            OpenSettled(1, HEADER, HUB, ID, ACC, CNY, True, False, "racer-2", "ada", "", (Part("CNY", 11),)),
            {*move(HELD, REVENUE), Posting(REVENUE, "CNY", 11), Posting(Account(Kind.TAX), "CNY", -11)},
        ),
        (OpenSettled(1, HEADER, HUB, ID, ACC, CNY, False, False, "racer-2", "ada", ""), move(HELD, PURSE)),
        (OpenSettled(1, HEADER, HUB, ID, ACC, (), False, False, "", "ada", "", (), CNY), move(HELD, PASSING)),
        (
            OpenSettled(1, HEADER, HUB, ID, None, CNY, False, True, "racer-2", "ada", ""),
            move(SUSPENSE, Account(Kind.UNCLAIMED)),
        ),
        (CashMoved(1, HEADER, "desk-1", "safe", "CNY", 200, 200, "ada"), move(Account(Kind.SAFE), DRAWER)),
        (PrizeSeen(1, HEADER, "claw-1", 1, 1, 2), set()),
        (MeterRead(1, HEADER, "racer-2", "credits", 104_233, "ada"), set()),
        (CashSold(1, HEADER, "vend-1", 1, 1, "CNY", 200, 7), move(Account(Kind.CASH_BOX, "racer-2"), REVENUE)),
        (
            CashSold(1, HEADER, "vend-1", 1, 1, "CNY", 200, 7, 11),
            {
                *move(Account(Kind.CASH_BOX, "racer-2"), REVENUE),
                Posting(REVENUE, "CNY", 11), Posting(Account(Kind.TAX), "CNY", -11),
            },
        ),
        (TicketsKept(1, HEADER, "hopper-1", 1, 1, "CNY", 200), move(GIFTS, KEPT)),
        (DepositTaken(1, HEADER, ACC, CNY, "room", "r-1", ID), move(LEASE, ROOM)),
        (DepositReturned(1, HEADER, ACC, CNY, (), "room", "r-1", ID, "ada"), move(ROOM, LEASE)),
        (DepositReturned(1, HEADER, ACC, (), CNY, "card", "", ID, "ada"), move(CARD, REVENUE)),
        (TipGiven(1, HEADER, ACC, CNY, "ada"), move(LEASE, Account(Kind.TIPS, "ada"))),
        (HouseCharged(1, HEADER, ACC, "CNY", 200, "acme", "i-1"), move(Account(Kind.HOUSE_ACCOUNT, "acme"), PURSE)),
        (HousePaid(1, HEADER, "acme", "CNY", 200, "sandbox", "p"), move(CHANNEL, Account(Kind.HOUSE_ACCOUNT, "acme"))),
        (
            VenuesCleared(1, HEADER, HUB, ID, "CNY", 200, 20261122),
            move(Account(Kind.CLEARING, HUB.hex()), Account(Kind.CLEARING, ID.hex())),
        ),
        (CellSent(1, HEADER, ACC, "south", CELL_LOTS, "ada"), move(PURSE, Account(Kind.CLEARING, "cell:south"))),
        (CellTaken(1, HEADER, ACC, "north", 7, CELL_LOTS), move(Account(Kind.CLEARING, "cell:north"), PURSE)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_moves_between_purse_hub_and_house(entry, expected):
    assert set(postings(entry)) == expected


def test_an_emptied_box_is_booked_as_it_was_counted_and_the_difference_is_named():
    entry = BoxCounted(1, HEADER, "racer-2", "cash_box", "CNY", 950, 1_000, "safe", "ada")
    assert set(postings(entry)) == {
        Posting(Account(Kind.CASH_BOX, "racer-2"), "CNY", -1_000), Posting(Account(Kind.SAFE), "CNY", 950),
        Posting(Account(Kind.OVER_SHORT), "CNY", 50),
    }  # fmt: skip


def test_tax_is_part_of_what_was_earned_and_goes_back_with_it():
    tax = Account(Kind.TAX, "vat6")
    header = msgspec.structs.replace(HEADER, tax_code="vat6")
    earned = Captured(1, header, CNY, ACC, Cause.DEVICE, taxed=(Part("CNY", 11),))
    assert set(postings(earned)) == move(HELD, REVENUE) | move(REVENUE, tax, 11)
    back = Refunded(1, header, CNY, ACC, Cause.STAFF, untaxed=(Part("CNY", 11),))
    assert set(postings(back)) == move(REVENUE, LEASE) | move(tax, REVENUE, 11)


def test_every_account_of_the_chart_is_one_that_some_entry_moves():
    records = [json.loads(path.read_text("utf-8"))["record"] for path in VECTORS.glob("*.json")]
    reached = {row.account.kind for record in records for row in postings(decode_entry(bytes.fromhex(record)))}
    # The vectors count no box into the safe and let no paid lot run out; the tests above do.
    assert reached | {Kind.SAFE, Kind.UNCLAIMED} == set(Kind)


def test_the_chart_has_every_kind():
    assert set(CHART) == set(Kind)
    assert all(row.means for row in CHART.values())
