"""What moves a lease, and what stands beside it because nobody had a right to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from back_office.ledger.lease_book import LeaseMove, give_back, lease_moves, spend
from back_office.store.grants import LeaseRow
from payment_core.accounts import Kind
from payment_core.posting import postings
from tests.support.strategies import entries


@pytest.mark.parametrize(
    ("before", "amount", "after"),
    [
        (LeaseRow(granted=100), 60, LeaseRow(granted=100, settled=60)),
        (LeaseRow(granted=100, settled=60), 60, LeaseRow(granted=100, settled=100, overclaimed=20)),
        (LeaseRow(granted=100, settled=100, overclaimed=20), 5, LeaseRow(granted=100, settled=100, overclaimed=25)),
        (LeaseRow(), 7, LeaseRow(overclaimed=7)),
        (LeaseRow(granted=100, overclaimed=-10), 15, LeaseRow(granted=100, settled=5)),
    ],
)
def test_spending(before, amount, after):
    assert spend(before, amount).row == after


@pytest.mark.parametrize(
    ("before", "amount", "after"),
    [
        (LeaseRow(granted=100, settled=60), 60, LeaseRow(granted=100)),
        (LeaseRow(granted=100, settled=100, overclaimed=20), 30, LeaseRow(granted=100, settled=90)),
        (LeaseRow(granted=100, settled=10), 30, LeaseRow(granted=100, overclaimed=-20)),
    ],
)
def test_giving_back(before, amount, after):
    assert give_back(before, amount).row == after


@given(
    granted=st.integers(0, 1_000),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 600)), max_size=20),
)
def test_a_lease_never_leaves_its_bounds_and_nothing_is_lost(granted, steps):
    row, net = LeaseRow(granted=granted), 0
    for spends, amount in steps:
        step = spend(row, amount) if spends else give_back(row, amount)
        net += amount if spends else -amount
        assert step.settled + step.overclaimed == (amount if spends else -amount)
        row = step.row
        assert 0 <= row.settled <= row.granted == granted
        assert row.settled + row.overclaimed == net


@given(entries)
def test_lease_moves_are_the_postings_on_leases_and_on_the_floor(entry):
    from payment_core.journal import LeaseGranted  # noqa: PLC0415 - the office's own grants are no move of a hub

    if isinstance(entry, LeaseGranted):
        assert list(lease_moves(entry)) == []
        return
    moved, posted = {}, {}
    for move in lease_moves(entry):
        assert isinstance(move, LeaseMove)
        if move.epoch != 0:
            moved[move.unit] = moved.get(move.unit, 0) + move.amount
    for row in postings(entry):
        if row.account.kind is Kind.LEASE:
            posted[row.unit] = posted.get(row.unit, 0) + row.amount
    assert {unit: amount for unit, amount in moved.items() if amount} == {
        unit: amount for unit, amount in posted.items() if amount
    }
