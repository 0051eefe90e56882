"""What moves a lease, and what stands beside it because nobody had a right to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from back_office.ledger.lease_book import give_back, spend
from back_office.store.grants import LeaseRow


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
