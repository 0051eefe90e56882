"""Entries with parts and lots that no honest hub writes: their batch is parked, its neighbours' are booked."""

import pytest

from back_office.ledger import guest_book
from back_office.ledger.lot_bounds import LOT_BYTES, MOST_PARTS
from payment_core.journal import Captured, Cause, Held, LeaseReturned, Lot, LotKind, Part, VoucherTaken
from tests.back_office.world import GUEST, HUB, OTHER_HUB

pytestmark = pytest.mark.long
LOT = b"l" * LOT_BYTES


def of_lot(lot):
    return Part("CNY", 1, 1, lot)


def held(header, parts):
    return Held(1, header, parts, GUEST, bytes(16), "C", "reader-1", 1, 1, 0)


def many(count):
    return tuple(of_lot(number.to_bytes(LOT_BYTES, "big")) for number in range(1, count + 1))


BEYOND = {
    "a lot of three bytes": lambda header: held(header, (of_lot(LOT), of_lot(b"abc"))),
    "released too": lambda header: Captured(1, header, (of_lot(LOT),), GUEST, Cause.DEVICE, (of_lot(LOT + b"l"),)),
    "lots of a voucher": lambda header: VoucherTaken(
        1, header, GUEST, (of_lot(LOT),), OTHER_HUB, 1, 1, (Lot(b"l", LotKind.PAID, 1),), b""
    ),
    "a part too many": lambda header: LeaseReturned(1, header, GUEST, many(MOST_PARTS + 1), "idle"),
}


def alarmed(office, make):
    """Take a batch with such an entry and a neighbour's; return what is alarmed, apart from the hub's claims."""
    other = office.enroll(OTHER_HUB, "foyer")
    for pen in (office.hub, other):
        office.worker.on_message(*pen.hello())
    office.hub.write(make, authorization=1)
    sent = [(pen.batch_topic, pen.batch()) for pen in (office.hub, other)]
    handled = office.worker.on_messages(sent)
    return {kind for kind, _ in office.alarms()}, [refusal.reason for refusal in handled.refusals]


@pytest.mark.parametrize("make", BEYOND.values(), ids=BEYOND)
def test_what_no_hub_writes_is_parked(office, make):
    assert alarmed(office, make) == ({"parked"}, ["parked"])
    assert (office.frozen(HUB), office.frozen(OTHER_HUB)) == ("", "")
    assert office.prove().ok


def test_a_build_that_books_it_is_caught(office, monkeypatch):
    monkeypatch.setattr(guest_book, "beyond_bounds", lambda _entry: "")
    kinds, refusals = alarmed(office, BEYOND["a lot of three bytes"])
    assert (refusals, "parked" in kinds) == ([], False)


def test_all_that_an_account_can_have_at_a_hub_goes_back_in_one_entry(office):
    """A hub's longest list is booked: here its claim is beyond every lease, which is found, and nothing is parked."""
    kinds, refusals = alarmed(office, lambda header: LeaseReturned(1, header, GUEST, many(MOST_PARTS), "idle"))
    assert (refusals, "parked" in kinds) == ([], False)
