"""The table of a cashless device: every row, every state, an illegal step; and money through any order of events."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware_bridge.wire.mdb import Reply
from firmware_bridge.wire.mdb_cashless import (
    APPROVED,
    HUB_STEPS,
    TABLE,
    IllegalStepError,
    Row,
    State,
    Step,
    Vend,
    advance,
    allows,
)

ENDS = {
    (state, step): vend
    for state in APPROVED
    for step, vend in {
        Step.SUCCESS: Vend.DONE,
        Step.FAILURE: Vend.FAILED,
        Step.CLOSE: Vend.DONE,
        Step.COMPLETE: Vend.UNKNOWN,
        Step.RESET: Vend.UNKNOWN,
        Step.SILENCE: Vend.UNKNOWN,
    }.items()
} | {
    (State.APPROVING, Step.RESET): Vend.FAILED,
    (State.APPROVING, Step.CANCEL): Vend.FAILED,
    (State.HANDED, Step.CANCEL): Vend.FAILED,
    (State.HANDED, Step.REFUSED): Vend.FAILED,
    (State.HANDED, Step.LOST): Vend.UNKNOWN,
}


def test_every_row_that_ends_an_approval_is_one_of_these():
    assert {pair: row.vend for pair, row in TABLE.items() if row.vend is not None} == ENDS


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_row_for_whatever_a_machine_may_say(state):
    for step in set(Step) - HUB_STEPS:
        assert advance(state, step) == TABLE[state, step]
    assert advance(state, Step.RESET).to is State.INACTIVE
    assert advance(state, Step.SILENCE).to is State.INACTIVE


@pytest.mark.parametrize("pair", sorted(TABLE))
def test_every_row_leads_out_of_an_approval_with_its_end_and_into_one_only_by_the_hub(pair):
    state, step = pair
    row = TABLE[pair]
    assert (row.vend is not None) == (state in APPROVED and row.to not in APPROVED)
    if row.to in APPROVED and state not in APPROVED:
        assert step in HUB_STEPS
        assert state is State.ASKED


@pytest.mark.parametrize(
    ("state", "step", "row"),
    [
        (State.INACTIVE, Step.SETUP, Row(State.DISABLED)),
        (State.DISABLED, Step.ENABLE, Row(State.ENABLED)),
        (State.ENABLED, Step.BEGIN, Row(State.IDLE, say=Reply.BEGIN_SESSION)),
        (State.ENABLED, Step.REQUEST, Row(State.ASKED)),
        (State.IDLE, Step.REQUEST, Row(State.ASKED)),
        (State.ASKED, Step.APPROVE, Row(State.APPROVING, say=Reply.APPROVED)),
        (State.ASKED, Step.CANCEL, Row(State.DENYING, say=Reply.DENIED)),
        (State.APPROVING, Step.ACKED, Row(State.VENDING)),
        (State.VENDING, Step.CANCEL, Row(State.VENDING, say=Reply.OUT_OF_SEQUENCE)),
        (State.VENDING, Step.SUCCESS, Row(State.IDLE, Vend.DONE)),
        (State.ENDING, Step.ACKED, Row(State.ENABLED)),
        (State.ENABLED, Step.SUCCESS, Row(State.ENABLED, say=Reply.OUT_OF_SEQUENCE)),
        (State.INACTIVE, Step.REQUEST, Row(State.INACTIVE, say=Reply.OUT_OF_SEQUENCE)),
    ],
)
def test_rows(state, step, row):
    assert advance(state, step) == row


@pytest.mark.parametrize(
    ("state", "step"),
    [(State.ENABLED, Step.APPROVE), (State.VENDING, Step.APPROVE), (State.HANDED, Step.HAND_OVER),
     (State.DENYING, Step.APPROVE), (State.IDLE, Step.BEGIN), (State.INACTIVE, Step.BEGIN)],
)  # fmt: skip
def test_an_illegal_step_names_both(state, step):
    assert not allows(state, step)
    with pytest.raises(IllegalStepError, match=rf"{state.value} cannot {step.value}"):
        advance(state, step)


class Money(RuleBasedStateMachine):
    """Whatever machine, board and hub do in whatever order: each yes ends once, and none is said twice."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.INACTIVE
        self.open = 0
        self.approved = 0
        self.ended: list[Vend] = []

    @rule(step=st.sampled_from(sorted(set(Step) - HUB_STEPS)))
    def machine_says(self, step):
        self.take(step)

    @rule()
    def all_is_well_up_to_the_question(self):
        for step in (Step.RESET, Step.SETUP, Step.ENABLE, Step.BEGIN, Step.REQUEST):
            self.take(step)

    @precondition(lambda self: self.state is State.ASKED)
    @rule(step=st.sampled_from([Step.APPROVE, Step.HAND_OVER, Step.DENY]))
    def hub_says(self, step):
        self.take(step)
        if step is not Step.DENY:
            self.approved += 1
            self.open += 1

    def take(self, step: Step) -> None:
        row = advance(self.state, step)
        self.state = row.to
        if row.vend is not None:
            self.open -= 1
            self.ended.append(row.vend)

    @invariant()
    def money_is_never_lost(self):
        assert self.open == (self.state in APPROVED)
        assert self.approved == self.open + len(self.ended)


TestMoney = Money.TestCase
