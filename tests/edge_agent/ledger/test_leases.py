"""A tap reads what is left of an account's leases, and the use counted on those spent before."""

import pytest

from edge_agent.ledger import leases
from tests.support.hall import PRICE, Hall, account_of, commands, the_view

WINDOW_MS = 60_000
SPENT_LOTS = 40


@pytest.fixture(name="hall")
def _hall(tmp_path):
    hall = Hall(tmp_path / "ledger.db", risk={"velocity": {"window_ms": WINDOW_MS, "count": 2, "amount": 10_000}})
    yield hall
    hall.store.close()


def spent_lots(hall, account_id, count, *, unit="CNY", gone=0, expires_ms=None):
    hall.store.execute("BEGIN IMMEDIATE")
    for number in range(1, count + 1):
        hall.store.execute(
            "INSERT INTO leases(account_id, unit, epoch, lot, granted, committed, gone, expires_ms) "
            "VALUES (?, ?, 1, ?, 100, 100, ?, ?)",
            (account_id, unit, number.to_bytes(16, "big"), gone, expires_ms),
        )
    hall.store.commit()


def test_spent_lots_are_not_read_by_a_tap(hall):
    hall.enroll("card-7", 1_000)
    account_id = account_of("card-7")
    spent_lots(hall, account_id, SPENT_LOTS)
    assert len(leases.of_account(hall.store, account_id)) == SPENT_LOTS + 1
    assert [row.lease.allowance for row in leases.live(hall.store, account_id)] == [1_000]
    assert len(commands(hall.step(hall.tap("card-7")))) == 1


def test_the_use_of_a_lot_that_is_spent_by_now_still_counts(hall):
    hall.enroll("card-7", 2 * PRICE)
    account_id = account_of("card-7")
    for _play in range(2):
        (command,) = commands(hall.step(hall.tap("card-7")))
        hall.wait(3_000, hall.delivered(command))
    assert leases.live(hall.store, account_id) == []
    hall.step(hall.lease("card-7", 900, epoch=2))
    assert len(leases.live(hall.store, account_id)) == 1
    assert the_view(hall.step(hall.tap("card-7"))).state == "declined"
    hall.wait(WINDOW_MS)
    assert len(commands(hall.step(hall.tap("card-7")))) == 1


@pytest.mark.parametrize(
    ("gone", "expires_ms", "named"), [(0, None, True), (100, None, False), (0, 1, False), (0, 10**15, True)]
)
def test_a_unit_is_named_where_it_was_spent_here(hall, gone, expires_ms, named):
    account_id = account_of("card-7")
    spent_lots(hall, account_id, 2, gone=gone, expires_ms=expires_ms)
    expected = {"CNY": 0} if named else {}
    assert leases.allowances(hall.store, account_id, [], now_ms=10**12) == expected
    assert leases.balance(hall.store, account_id, now_ms=10**12) == expected
    assert leases.balance(hall.store, account_id, now_ms=None) == ({} if gone else {"CNY": 0})


def test_a_balance_names_units_spent_beside_those_left(hall):
    hall.enroll("card-7", 1_000)
    account_id = account_of("card-7")
    spent_lots(hall, account_id, 1, unit="tickets")
    assert leases.balance(hall.store, account_id, now_ms=None) == {"CNY": 1_000, "tickets": 0}
