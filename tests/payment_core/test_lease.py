"""A lease's four counters only rise, its allowance never falls below zero, and its steps are one total table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.errors import IllegalStepError
from payment_core.journal import Captured, Cause, Held, LeaseReturned, LeaseTaken, Lot, LotKind, Part, VoucherTaken
from payment_core.lease import LEASE_TABLE, Lease, LeaseMove, LeaseState, LeaseStep, lease_moves, lease_step, moved
from tests.payment_core.test_posting import HEADER
from tests.support.strategies import entries

ACC = bytes(16)
LOT = Lot(b"l" * 16, LotKind.PAID, 0)
COUNTED = [step for step in LeaseStep if step not in (LeaseStep.CLOSE, LeaseStep.OVERCLAIM)]


def lease(granted=0, committed=0, released=0, refunded=0):
    return Lease(ACC, "CNY", 1, granted, committed, released, refunded, LOT.lot)


def move(step, amount):
    return LeaseMove(ACC, "CNY", 1, LOT.lot, step, amount)


def test_the_story_of_one_lease():
    part = Part("CNY", 300, 1, LOT.lot)
    story = [
        LeaseTaken(1, HEADER, ACC, "CNY", 1, 800, 800, LOT),
        VoucherTaken(1, HEADER, ACC, (Part("CNY", 200, 1, LOT.lot),), b"h" * 16, 1, 7),
        Held(1, HEADER, (part, Part("CNY", 5, 0)), ACC, ACC, "C", "reader-1", 1, 1, 0),
        Captured(1, HEADER, (Part("CNY", 200, 1, LOT.lot),), ACC, Cause.DEVICE, (Part("CNY", 100, 1, LOT.lot),)),
        LeaseReturned(1, HEADER, ACC, (Part("CNY", 500, 1, LOT.lot),), "idle"),
    ]
    now = lease()
    for entry in story:
        for step in lease_moves(entry):
            now = moved(now, step)
    assert now == lease(1_000, 800, 100)
    assert (now.allowance, now.settled) == (300, 700)


@pytest.mark.parametrize(
    ("step", "amount"),
    [(LeaseStep.COMMIT, 101), (LeaseStep.PASS, 101), (LeaseStep.RELEASE, 401), (LeaseStep.REFUND, 401),
     (LeaseStep.GRANT, -1)],
)  # fmt: skip
def test_what_no_lease_can_do_is_a_fault_that_names_it(step, amount):
    with pytest.raises(ValueError, match=f"a lease of CNY with 100 left cannot {step.value} {amount}"):
        moved(lease(500, 400), move(step, amount))


@given(st.lists(st.tuples(st.sampled_from(COUNTED), st.integers(0, 1_000)), max_size=30))
def test_no_order_of_steps_brings_it_below_zero(taken):
    now = lease()
    for step, amount in taken:
        before = now
        try:
            now = moved(now, move(step, amount))
        except ValueError:
            continue
        assert 0 <= now.allowance <= now.granted
        assert now.settled == now.granted - now.allowance
        assert all(
            getattr(now, field) >= getattr(before, field) for field in ("granted", "committed", "released", "refunded")
        )


@given(entries)
def test_an_entry_moves_leases_of_its_account_only(entry):
    for step in lease_moves(entry):
        assert step.account_id == entry.account_id
        assert step.epoch > 0 or isinstance(entry, LeaseTaken)  # a part of epoch 0 is on the floor and moves none
        state = LeaseState.NONE if step.step is LeaseStep.BRING_IN else LeaseState.OPEN
        assert (state, step.step) in LEASE_TABLE


@pytest.mark.parametrize("state", LeaseState)
@pytest.mark.parametrize("step", LeaseStep)
def test_every_step_is_a_row_or_illegal_and_says_so(state, step):
    if (state, step) in LEASE_TABLE:
        assert lease_step(state, step) is LEASE_TABLE[state, step]
        return
    with pytest.raises(IllegalStepError, match=f"a lease that is {state.value} cannot take the step {step.value}"):
        lease_step(state, step)


def test_every_state_has_a_row_and_nothing_is_reclaimed_by_time():
    assert {state for state, _ in LEASE_TABLE} == set(LeaseState)
    assert {step for _, step in LEASE_TABLE} == set(LeaseStep)
    assert not any("expire" in step.value or "time" in step.value for step in LeaseStep)
    after_close = {LEASE_TABLE[state, step] for state, step in LEASE_TABLE if state is LeaseState.CLOSED}
    assert after_close == {LeaseState.CLOSED}
