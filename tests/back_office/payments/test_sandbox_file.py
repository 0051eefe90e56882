"""The sandbox in an office's folder: kept whole, shared one at a time, and followed by the running office."""

import pytest

from back_office.payments.desk import OrderWish
from back_office.payments.sandbox_file import FILE, follow_orders, shared_sandbox
from back_office.store import orders
from payment_core.orders import OrderState, Purpose
from tests.back_office.world import GUEST, KEYS, TENANT, VENUE, WALL_MS

ONE = (1).to_bytes(16, "big")


class Clock:
    now_ms = WALL_MS

    def __call__(self):
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


def opened(office, tmp_path, clock):
    return shared_sandbox(office.store, KEYS, tmp_path, clock=clock)


def create(office, tmp_path, clock):
    wish = OrderWish(
        order_id=ONE,
        venue_id=VENUE,
        purpose=Purpose.TOP_UP,
        channel="sandbox",
        unit="CNY",
        amount=500,
        account_id=GUEST,
    )
    with opened(office, tmp_path, clock) as at:
        at.pump.carry_out(at.desk.on_create(clock(), wish))


def state(office):
    with office.store.reading() as tx:
        return orders.order(tx, TENANT, ONE).state


def test_what_the_sandbox_knows_is_kept(office, tmp_path, clock):
    create(office, tmp_path, clock)
    with opened(office, tmp_path, clock) as at:
        assert list(at.sandbox.orders) == [ONE]


def test_the_running_office_finds_a_payment_and_closes_what_ran_out(office, tmp_path, clock):
    create(office, tmp_path, clock)
    clock.now_ms += 16 * 60_000
    follow_orders(office.store, KEYS, tmp_path, clock=clock)
    follow_orders(office.store, KEYS, tmp_path, clock=clock)
    assert state(office) is OrderState.CLOSED


def test_a_payment_whose_notice_was_lost_with_its_process_is_found(office, tmp_path, clock):
    create(office, tmp_path, clock)
    with opened(office, tmp_path, clock) as at:
        at.sandbox.pay(ONE)
        at.sandbox.at(clock())  # the notice goes nowhere
        kept = at.sandbox.keep()
    assert (tmp_path / FILE).read_bytes() == kept
    clock.now_ms += 60_000
    follow_orders(office.store, KEYS, tmp_path, clock=clock)
    assert state(office) is OrderState.PAID
