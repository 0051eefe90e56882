"""A lease's four counters only rise, and its allowance never falls below zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.lease import Lease, Overdrawn, commit, grant, refund, release

ACC = bytes(16)


def lease(granted=0, committed=0, released=0, refunded=0):
    return Lease(ACC, "CNY", 1, granted, committed, released, refunded)


def test_the_story_of_one_lease():
    held = commit(grant(lease(), granted_total=1_000), 300)
    assert held == lease(1_000, 300)
    assert (held.allowance, held.settled) == (700, 300)
    back = release(held, 100)
    assert (back.allowance, back.settled) == (800, 200)
    assert refund(back, 200) == lease(1_000, 300, 100, 200)
    assert refund(back, 200).allowance == 1_000


def test_a_grant_that_is_older_or_repeated_changes_nothing():
    assert grant(lease(500), granted_total=400) == grant(lease(500), granted_total=500) == lease(500)


def test_overdrawing_is_a_value_that_says_how_much_is_missing():
    assert commit(lease(500, 400), 101) == Overdrawn(missing=1)
    assert commit(lease(500, 400), 100) == lease(500, 500)


@pytest.mark.parametrize("step", [commit, release, refund])
def test_counters_only_rise(step):
    with pytest.raises(ValueError, match="counters only rise: -1"):
        step(lease(500, 400), -1)


@pytest.mark.parametrize(("step", "words"), [(release, "more than is committed"), (refund, "more than was captured")])
def test_nothing_is_given_back_twice(step, words):
    with pytest.raises(ValueError, match=words):
        step(lease(500, 400, 300, 50), 51)
    step(lease(500, 400, 300, 50), 50)


STEPS = {
    "grant": lambda lease, more: grant(lease, granted_total=lease.granted + more),
    "commit": commit,
    "release": release,
    "refund": refund,
}
steps = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 500)), max_size=30)


@given(steps)
def test_no_order_of_steps_brings_it_below_zero(taken):
    now = lease()
    for name, amount in taken:
        before = now
        try:
            after = STEPS[name](now, amount)
        except ValueError:
            continue
        now = now if isinstance(after, Overdrawn) else after
        assert 0 <= now.allowance <= now.granted
        assert now.settled == now.granted - now.allowance
        assert all(
            getattr(now, field) >= getattr(before, field) for field in ("granted", "committed", "released", "refunded")
        )
