"""The table of a payment order's steps: every row, every state has one, an illegal step names both."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.errors import IllegalStepError
from payment_core.orders import CREDITED, FINAL, OPEN, TABLE, OrderState, OrderStep, advance

ROWS = """
created   submit         pending
created   close          closed
created   pay            paid
created   mispay         reversing
pending   query          pending
pending   unknown        pending
pending   close          pending
pending   pay            paid
pending   mispay         reversing
pending   fail           failed
pending   closed         closed
paid      pay            paid
paid      query          paid
paid      unknown        paid
paid      undelivered    reversing
paid      refund         refunding
paid      chargeback     reversed
failed    query          failed
failed    unknown        failed
failed    fail           failed
failed    pay            reversing
failed    mispay         reversing
closed    query          closed
closed    unknown        closed
closed    closed         closed
closed    pay            reversing
closed    mispay         reversing
reversing query          reversing
reversing unknown        reversing
reversing pay            reversing
reversing mispay         reversing
reversing return_refused reversing
reversing returned       reversed
reversing chargeback     reversed
reversed  pay            reversed
reversed  mispay         reversed
reversed  returned       reversed
reversed  chargeback     reversed
refunding query          refunding
refunding unknown        refunding
refunding pay            refunding
refunding returned       refunded
refunding returned_part  paid
refunding return_refused paid
refunded  pay            refunded
refunded  returned       refunded
"""


@pytest.mark.parametrize("row", ROWS.split("\n")[1:-1])
def test_every_row(row):
    state, step, to = row.split()
    assert advance(OrderState(state), OrderStep(step)) is OrderState(to)


def test_there_are_no_other_rows():
    written = {tuple(row.split()) for row in ROWS.split("\n")[1:-1]}
    assert {(state.value, step.value, to.value) for (state, step), to in TABLE.items()} == written


@pytest.mark.parametrize("state", OrderState)
def test_every_state_has_a_row(state):
    assert [step for step in OrderStep if (state, step) in TABLE]


@pytest.mark.parametrize("step", OrderStep)
def test_every_step_has_a_row(step):
    assert [state for state in OrderState if (state, step) in TABLE]


@pytest.mark.parametrize(
    ("state", "step"), [pair for pair in itertools.product(OrderState, OrderStep) if pair not in TABLE]
)
def test_an_illegal_step_names_both(state, step):
    with pytest.raises(IllegalStepError) as caught:
        advance(state, step)
    assert str(caught.value) == f"a payment order that is {state.value} cannot take the step {step.value}"


def test_open_and_final_are_all_states():
    assert (frozenset(OrderState), frozenset()) == (OPEN | FINAL, OPEN & FINAL)


@pytest.mark.parametrize("state", OrderState)
def test_a_payment_is_heard_in_every_state(state):
    assert (state, OrderStep.PAY) in TABLE


@given(st.lists(st.sampled_from(OrderStep), max_size=30))
def test_only_the_channels_word_credits_and_an_end_is_never_paid_again(steps):
    state = OrderState.CREATED
    for step in steps:
        if (state, step) not in TABLE:
            continue
        after = advance(state, step)
        if after in CREDITED and state not in CREDITED:
            assert step is OrderStep.PAY
            assert state in (OrderState.CREATED, OrderState.PENDING)
        if state in (OrderState.REVERSED, OrderState.REFUNDED):
            assert after is state
        if step in (OrderStep.UNKNOWN, OrderStep.QUERY):
            assert after is state
        state = after
