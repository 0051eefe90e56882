"""Every output gets the command it understands, and what it gave of it is what the guest pays."""

import pytest

from edge_agent.messages import DeviceIs
from edge_agent.play import plays
from payment_core.accounts import Kind
from payment_core.authorization import State
from payment_core.bus import DeviceState
from payment_core.commands import ApproveVend, Dispense, PulseCredit, command_body, counted_body
from payment_core.journal import Captured, Cause, LateEvidence
from tests.support.hall import Hall, commands, the_command, the_view, views
from tests.support.ledger_truth import balance_of, entries, faults_of, kinds, states

FIVE = ({"price": [[500, "CNY"]], "credits": 5},)
HOPPER = ("Dispense", "read_back:hopper_status")


def hopper_hall(tmp_path, *capabilities):
    hall = Hall(tmp_path / "ledger.db", rules=FIVE, risk={"answer_ms": 1_000, "doubt_after_ms": 60_000})
    hall.step(hall.born(1, *capabilities))
    hall.enroll("card-7", 2_000)
    return hall


def three_of_five(hall):
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.answer(command, "failed", amount=3))
    return command


@pytest.mark.parametrize(
    ("capabilities", "body"),
    [
        ((), PulseCredit(5)),
        (("PulseCredit",), PulseCredit(5)),
        (HOPPER, Dispense(5)),
        (("ApproveVend",), ApproveVend(0)),
    ],
)
def test_the_command_is_the_one_that_the_device_named(capabilities, body):
    assert counted_body(capabilities, credits=5) == body


def test_a_hopper_is_told_and_asked_in_its_own_words(tmp_path):
    hall = hopper_hall(tmp_path, *HOPPER)
    told = the_command(hall.step(hall.tap("card-7")))
    assert (told.ttl_ms, command_body(told)) == (2_000, Dispense(5))
    asked = the_command(hall.wait(1_000))
    assert (asked.id, asked.seq, asked.ttl_ms, command_body(asked)) == (told.id, told.seq, 0, Dispense(5))


def test_a_hub_that_has_not_heard_its_devices_asks_and_sells_nothing(tmp_path):
    hall = hopper_hall(tmp_path, *HOPPER)
    told = the_command(hall.step(hall.tap("card-7")))
    hall.restart()
    hall.step()
    asked = the_command(hall.wait(2_000))
    assert (asked.id, asked.seq, asked.ttl_ms) == (told.id, told.seq, 0), "nobody may act on it, whatever it says"
    assert the_view(hall.step(hall.tap("card-7"))).reason == "machine_off"
    assert command_body(the_command(hall.step(hall.born(1, *HOPPER)))) == Dispense(5)
    hall.step(hall.delivered(told))
    assert State.CAPTURED in states(hall.store).values()
    assert faults_of(hall.store) == []


def test_a_hopper_that_gives_three_of_five_earns_three(tmp_path):
    hall = hopper_hall(tmp_path, *HOPPER)
    three_of_five(hall)
    assert_three_are_paid(hall)


def assert_three_are_paid(hall):
    assert hall.balance("card-7") == 1_700
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 300
    assert faults_of(hall.store) == []


def test_a_build_that_voids_what_was_given_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(plays, "told", lambda result, wanted: (result.outcome, result.amount or wanted))
    hall = hopper_hall(tmp_path, *HOPPER)
    three_of_five(hall)
    with pytest.raises(AssertionError):
        assert_three_are_paid(hall)


@pytest.mark.parametrize(
    ("outcome", "amount", "left"), [("failed", 3, 1_700), ("failed", None, 2_000), ("done", 5, 1_500)]
)
def test_what_the_hopper_says_later_settles_its_doubt(tmp_path, outcome, amount, left):
    hall = hopper_hall(tmp_path, *HOPPER)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.answer(command, "unknown", amount=0))
    said = hall.delivered(command, credits=5) if outcome == "done" else hall.answer(command, outcome, amount=amount)
    hall.wait(30_000, said)
    assert hall.balance("card-7") == left
    assert entries(hall.store)[-1].cause is Cause.READ_BACK
    assert faults_of(hall.store) == []


def test_a_late_part_is_kept_for_staff_once(tmp_path):
    hall = hopper_hall(tmp_path, *HOPPER)
    command = three_of_five(hall)
    hall.step(hall.answer(command, "failed", amount=3))
    assert "LateEvidence" not in kinds(hall.store), "the same again says nothing new"
    for _ in range(2):
        hall.step(hall.answer(command, "failed", amount=4))
    (late,) = [entry for entry in entries(hall.store) if isinstance(entry, LateEvidence)]
    assert (late.state, late.outcome, late.credits) == ("captured", "done", 4)
    assert_three_are_paid(hall)
    ended = [entry for entry in entries(hall.store) if isinstance(entry, Captured)]
    assert len(ended) == 1


@pytest.mark.parametrize("capability", ["PulseCredit", "Dispense", "ApproveVend"])
@pytest.mark.parametrize("reason", ["hopper_low", "hopper_empty", "jam", "tickets_out", "bus_silent"])
def test_a_device_at_fault_is_never_paid(tmp_path, capability, reason):
    hall = hopper_hall(tmp_path, capability)
    hall.step(DeviceIs("coin-1", DeviceState("fault", hall.wall_ms, reason=reason)))
    effects = hall.step(hall.tap("card-7"))
    assert (commands(effects), [view.reason for view in views(effects)]) == ([], ["machine_off"])
    assert hall.balance("card-7") == 2_000
    assert "Held" not in kinds(hall.store)
