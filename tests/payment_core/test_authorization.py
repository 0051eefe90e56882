"""The table of an authorization's steps: every row, every state has one, an illegal step names both."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.authorization import FINAL, OPEN, TABLE, State, Step, advance
from payment_core.errors import IllegalStepError
from payment_core.recovery import AT_START, STEP_OF_OUTCOME, AtStart

ROWS = """
held      command   commanded
held      increase  held
held      cancel    voided
held      lapse     expired
commanded increase  commanded
commanded deliver   captured
commanded fail      voided
commanded no_answer in_doubt
in_doubt  deliver   captured
in_doubt  fail      voided
in_doubt  confirm   captured
in_doubt  deny      voided
in_doubt  no_answer in_doubt
captured  refund    refunded
captured  evidence  captured
refunded  refund    refunded
refunded  evidence  refunded
voided    evidence  voided
expired   evidence  expired
declined  evidence  declined
"""


@pytest.mark.parametrize("row", ROWS.split("\n")[1:-1])
def test_every_row(row):
    state, step, to = row.split()
    assert advance(State(state), Step(step)) is State(to)


def test_there_are_no_other_rows():
    written = {tuple(row.split()) for row in ROWS.split("\n")[1:-1]}
    assert {(state.value, step.value, to.value) for (state, step), to in TABLE.items()} == written


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_row(state):
    assert [step for step in Step if (state, step) in TABLE]


@pytest.mark.parametrize("step", Step)
def test_every_step_has_a_row(step):
    assert [state for state in State if (state, step) in TABLE]


@pytest.mark.parametrize(("state", "step"), [pair for pair in itertools.product(State, Step) if pair not in TABLE])
def test_an_illegal_step_names_both(state, step):
    with pytest.raises(IllegalStepError) as caught:
        advance(state, step)
    assert str(caught.value) == f"an authorization that is {state.value} cannot take the step {step.value}"


def test_open_and_final_are_all_states():
    assert (frozenset(State), frozenset()) == (OPEN | FINAL, OPEN & FINAL)


@given(st.lists(st.sampled_from(Step), max_size=20))
def test_the_end_is_never_left_and_money_is_given_back_or_earned_once(steps):
    state, ends = State.HELD, []
    for step in steps:
        if (state, step) in TABLE:
            after = advance(state, step)
            if after in FINAL and after is not state:
                ends.append(after)
            state = after
    assert ends in ([], [State.VOIDED], [State.EXPIRED], [State.CAPTURED], [State.CAPTURED, State.REFUNDED])


@pytest.mark.parametrize(
    ("state", "first"),
    [(State.HELD, AtStart.LAPSE), (State.COMMANDED, AtStart.ASK), (State.IN_DOUBT, AtStart.ASK)],
)
def test_what_a_start_does_first(state, first):
    assert AT_START[state] is first
    assert set(AT_START) == OPEN


@pytest.mark.parametrize(
    ("outcome", "step"),
    [("done", Step.DELIVER), ("failed", Step.FAIL), ("refused", Step.FAIL), ("unknown", Step.NO_ANSWER)],
)
def test_every_outcome_is_a_step_that_an_asked_authorization_can_take(outcome, step):
    assert STEP_OF_OUTCOME[outcome] is step
    assert (State.COMMANDED, step) in TABLE
    assert (State.IN_DOUBT, step) in TABLE
