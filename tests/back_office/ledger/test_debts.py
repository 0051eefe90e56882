"""What a guest owes is settled wherever his purse rises, and before anything is drawn on it."""

import pytest

from back_office.fleet.closing import close
from back_office.ledger import desk as desk_room
from back_office.ledger.counter import PayOut, Refused, Reversal, pay_out, reverse
from back_office.payments.slips import CLOCK_MARGIN_MS, SlipRefused, SlipRow, SlipWish, issue_slip, return_slips
from back_office.store import places, slips
from cloud_sync.protocol.slips import VALID_MS
from payment_core.accounts import Kind
from payment_core.journal import LotKind, OpeningBooked
from tests.back_office.world import GUEST, HUB, KEYS, TENANT, WALL_MS
from venuehub.office.told import booked


def do(office, act, *args, **more):
    with office.store.writing() as tx:
        return act(office.desk(tx), *args, **more)


def take_back(office, payment="p1"):
    wish = Reversal(reversal_id=payment.encode().ljust(16), channel="counter", payment_id=payment)
    return do(office, reverse, wish)


def put_on_slip(office, amount, number=7):
    wish = SlipWish(slip_id=bytes([number]) * 16, account_id=GUEST, unit="CNY", amount=amount)
    return do(office, issue_slip, KEYS.signer, wish)


def owed_and_purse(office):
    return office.balance(Kind.GUEST_RECEIVABLE), office.purse()


@pytest.fixture
def leased(office):
    """Return an office whose guest has 1,000 at a hub that was heard."""
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    return office


def test_what_a_closed_hub_had_settles_a_debt(leased):
    leased.top_up(500, payment="p2")
    leased.lease()
    assert take_back(leased).owed == 1_000
    with leased.store.writing() as tx:
        close(leased.desk(tx), places.hub(tx, TENANT, HUB), by="ann", note="stolen", captured=False)
    assert owed_and_purse(leased) == (0, 500)
    assert leased.prove().faults == []


def test_a_slip_is_issued_only_of_what_is_left_after_a_debt(leased):
    leased.hub.returned(600)
    assert take_back(leased).owed == 1_000
    leased.take(leased.hub.batch())
    assert isinstance(put_on_slip(leased, 500), SlipRefused)
    assert owed_and_purse(leased) == (400, 0)
    assert leased.prove().faults == []


def test_a_refund_is_paid_only_of_what_is_left_after_a_debt(leased):
    leased.top_up(400, payment="p2")
    leased.lease()
    take_back(leased)
    leased.hub.returned(400)
    leased.take(leased.hub.batch())
    refund = PayOut(refund_id=bytes(16), channel="counter", payment_id="p2")
    assert isinstance(do(leased, pay_out, refund), Refused)
    assert owed_and_purse(leased) == (600, 0)


def test_a_slip_that_comes_back_settles_a_debt(office):
    office.top_up(1_000)
    assert isinstance(put_on_slip(office, 700), SlipRow)
    assert take_back(office).owed == 700
    over_ms = WALL_MS + VALID_MS + CLOCK_MARGIN_MS + 1
    with office.store.writing() as tx:
        for hub in places.hubs(tx, TENANT):
            slips.note_clear(tx, TENANT, hub.hub_id, now_ms=over_ms)
    office.now_ms = over_ms
    assert len(do(office, return_slips)) == 1
    assert owed_and_purse(office) == (0, 0)
    assert office.prove().faults == []


def test_an_opening_balance_settles_a_debt_and_is_named_by_its_own_entry(leased):
    take_back(leased)
    with leased.store.writing() as tx:
        desk = leased.desk(tx)
        lot = desk.new_lot("opening", LotKind.PAID, channel="opening", payment_id="old/1")
        seq = desk.append(lambda header: OpeningBooked(1, header, GUEST, "CNY", 1_300, lot, "old/1", ()))
        assert isinstance(booked(tx, TENANT, seq), OpeningBooked)
    assert owed_and_purse(leased) == (0, 300)
    assert leased.prove().faults == []


def test_a_desk_that_settles_nothing_is_caught(leased, monkeypatch):
    """The mutant: what a closed hub had comes back and the debt stays."""
    monkeypatch.setattr(desk_room, "COMES_BACK", ())
    with pytest.raises(AssertionError):
        test_what_a_closed_hub_had_settles_a_debt(leased)
