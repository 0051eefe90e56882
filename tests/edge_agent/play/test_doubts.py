"""Doubts: read back, by policy up to its caps, by staff; settled once, told to the guest, never a second play."""

import msgspec
import pytest

from edge_agent.messages import Born, DocumentArrived
from payment_core.accounts import Kind
from payment_core.authorization import State
from payment_core.bus import Birth
from payment_core.desk import Look, SettleDoubt
from payment_core.journal import Captured, Cause, LateEvidence, Voided
from tests.support.desk import DeskHall
from tests.support.hall import commands, devices_document, logged, the_command, the_view, views
from tests.support.ledger_truth import balance_of, entries, faults_of, kinds, states

PLAIN = ({"price": [[200, "CNY"]]},)
RISK = {"doubt_after_ms": 60_000, "doubt_cap_per_credential": 400, "doubt_cap_per_day": 500}


def make_hall(tmp_path, policy, *, rules=PLAIN, **risk):
    hall = DeskHall(tmp_path / "ledger.db", risk={**RISK, **risk}, rules=rules)
    document = msgspec.json.decode(devices_document(2, version=2))
    for lane in document["lanes"]:
        lane["on_doubt"] = policy
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)))
    for card in ("card-7", "card-8"):
        hall.enroll(card, 2_000)
    return hall


def doubted(hall, card="card-7", lane=1):
    hall.pass_ms(1_000)
    command = the_command(hall.step(hall.tap(card, lane)))
    hall.step(hall.answer(command, "unknown", lane=lane))
    return command


def test_staff_decide_with_a_reason_and_their_name(tmp_path):
    hall = make_hall(tmp_path, "staff")
    command = doubted(hall)
    hall.wait(3_600_000)
    assert list(states(hall.store).values()) == [State.IN_DOUBT]
    assert hall.act(SettleDoubt(command.id, delivered=True, note=" ")).reason == "note_needed"
    assert hall.act(SettleDoubt(command.id, delivered=True, note="saw the coin drop")).outcome == "done"
    entry = entries(hall.store)[-1]
    assert isinstance(entry, Captured)
    assert (entry.cause, entry.staff, entry.note, entry.from_doubt) == (Cause.STAFF, "lin", "saw the coin drop", True)
    assert (balance_of(hall.store, Kind.SUSPENSE), balance_of(hall.store, Kind.REVENUE, "racer-1")) == (0, 200)
    assert hall.act(SettleDoubt(command.id, delivered=False, note="no")).reason == "not_in_doubt"
    assert faults_of(hall.store) == []


def test_what_staff_give_back_the_next_tap_tells(tmp_path):
    hall = make_hall(tmp_path, "staff")
    command = doubted(hall)
    reply = hall.act(SettleDoubt(command.id, delivered=False, note="machine was off"))
    assert (reply.outcome, reply.amount) == ("done", 200)
    assert [view.state for view in views(hall.effects)] == ["idle"], "the next guest at the machine sees its price"
    hall.pass_ms(1_000)
    assert the_view(hall.step(hall.tap("card-7", 2))).put_back == 200
    assert faults_of(hall.store) == []


def test_policy_for_the_guest_gives_back_after_its_time(tmp_path):
    hall = make_hall(tmp_path, "favour_guest")
    doubted(hall)
    hall.wait(59_000)
    assert list(states(hall.store).values()) == [State.IN_DOUBT]
    hall.wait(1_000)
    entry = entries(hall.store)[-1]
    assert isinstance(entry, Voided)
    assert (entry.cause, entry.from_doubt) == (Cause.POLICY, True)
    assert hall.balance("card-7") == 2_000
    assert commands(hall.effects) == [], "never a second play"


def test_policy_for_the_venue_captures(tmp_path):
    hall = make_hall(tmp_path, "favour_venue")
    doubted(hall)
    hall.wait(60_000)
    entry = entries(hall.store)[-1]
    assert isinstance(entry, Captured)
    assert (entry.cause, hall.balance("card-7")) == (Cause.POLICY, 1_800)


def test_a_card_has_its_cap_and_so_has_the_day(tmp_path):
    hall = make_hall(tmp_path, "favour_guest")
    for _ in range(3):
        doubted(hall)
        hall.wait(60_000)
    assert "doubt.waits_for_staff" in logged(hall.effects), "400 of card-7 were given back, no more"
    assert hall.balance("card-7") == 1_800
    doubted(hall, "card-8", 2)
    hall.wait(60_000)
    assert "doubt.waits_for_staff" in logged(hall.effects), "600 would be more than the 500 of a day"
    hall.business_date += 1
    doubted(hall, "card-8", 2)
    hall.wait(60_000)
    assert "doubt.put_back" in logged(hall.effects)
    hall.business_date -= 1
    for _ in range(2):
        doubted(hall, "card-8", 2)
        hall.wait(60_000)
    assert "doubt.waits_for_staff" in logged(hall.effects), "a clock that goes back opens no day anew"
    assert faults_of(hall.store) == []


def test_a_device_that_can_tell_is_waited_for(tmp_path):
    hall = make_hall(tmp_path, "favour_guest")
    birth = Birth("hopper", 1, "boot-1", "bridge-1", capabilities=("PulseCredit", "read_back:hopper_status"))
    hall.step(Born("coin-1", birth))
    command = the_command(hall.step(hall.tap("card-7")))
    hall.wait(10_000)
    hall.wait(60_000)
    assert list(states(hall.store).values()) == [State.IN_DOUBT], "silent, but it can tell when it is back"
    hall.step(hall.answer(command, "done"))
    entry = entries(hall.store)[-1]
    assert isinstance(entry, Captured)
    assert entry.cause is Cause.READ_BACK
    assert faults_of(hall.store) == []


def test_a_device_that_says_it_cannot_tell_leaves_it_to_policy(tmp_path):
    hall = make_hall(tmp_path, "favour_guest")
    birth = Birth("hopper", 1, "boot-1", "bridge-1", capabilities=("PulseCredit", "read_back:hopper_status"))
    hall.step(Born("coin-1", birth))
    doubted(hall)
    hall.wait(60_000)
    assert list(states(hall.store).values()) == [State.VOIDED]


def test_a_restart_gives_a_doubt_its_time_once_more(tmp_path):
    hall = make_hall(tmp_path, "favour_guest")
    doubted(hall)
    hall.restart()
    hall.step(*hall.arrivals())
    hall.wait(59_000)
    assert list(states(hall.store).values()) == [State.IN_DOUBT]
    hall.wait(1_000)
    assert list(states(hall.store).values()) == [State.VOIDED]


@pytest.mark.parametrize("outcome", ["done", "refused"])
def test_late_evidence_is_kept_once_and_changes_nothing(tmp_path, outcome):
    hall = make_hall(tmp_path, "favour_guest" if outcome == "done" else "favour_venue")
    command = doubted(hall)
    hall.wait(60_000)
    before, balance = states(hall.store), hall.balance("card-7")
    for _ in range(3):
        hall.step(hall.answer(command, outcome))
        hall.restart()
        hall.step(*hall.arrivals())
    assert (states(hall.store), hall.balance("card-7")) == (before, balance)
    assert kinds(hall.store).count("LateEvidence") == 1
    found = hall.act(Look("late")).late
    assert [(row.authorization, row.outcome, row.machine, row.amount) for row in found] == [
        (command.id, outcome, "racer-1", 200)
    ]
    entry = next(entry for entry in entries(hall.store) if isinstance(entry, LateEvidence))
    assert entry.outcome == outcome
    assert faults_of(hall.store) == []


@pytest.mark.parametrize("door", ["event", "answer"])
def test_a_part_that_is_told_behind_the_end_is_late_evidence_with_its_credits(tmp_path, door):
    rules = [{"price": [[500, "CNY"]], "credits": 3}]
    hall = make_hall(tmp_path, "favour_venue", rules=rules)
    command = doubted(hall)
    hall.wait(60_000)
    assert list(states(hall.store).values()) == [State.CAPTURED]
    before = hall.balance("card-7")
    for part in (1, 1, 3, 2):
        hall.step(
            hall.delivered(command, credits=part) if door == "event" else hall.answer(command, "done", amount=part)
        )
    hall.step(hall.answer(command, "done"))
    kept = [entry for entry in entries(hall.store) if isinstance(entry, LateEvidence)]
    assert [(entry.outcome, entry.credits) for entry in kept] == [("done", 1), ("done", 2)]
    assert [(row.outcome, row.credits, row.state) for row in hall.act(Look("late")).late] == [
        ("done", 2, "captured"),
        ("done", 1, "captured"),
    ]
    assert (hall.balance("card-7"), faults_of(hall.store)) == (before, [])


def test_the_rest_of_a_part_that_was_captured_is_late_evidence(tmp_path):
    hall = make_hall(tmp_path, "staff", rules=[{"price": [[500, "CNY"]], "credits": 3}])
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.delivered(command, credits=2))
    assert logged(hall.step(hall.answer(command, "done", amount=2))) == []
    assert logged(hall.step(hall.answer(command, "done"))) == ["authorization.late_evidence"]


def test_everything_unresolved_is_shown_with_age_amount_and_who_decides(tmp_path):
    hall = make_hall(tmp_path, "staff")
    first = doubted(hall)
    hall.pass_ms(5_000)
    second = the_command(hall.step(hall.tap("card-8", 2)))
    found = hall.act(Look("open")).open
    assert [(row.authorization, row.state, row.machine, row.amount, row.unit, row.age_ms, row.by) for row in found] == [
        (first.id, "in_doubt", "racer-1", 200, "CNY", 5_000, "staff"),
        (second.id, "commanded", "racer-2", 200, "CNY", 0, "staff"),
    ]


def test_coins_in_doubt_count_on_their_lane(tmp_path):
    hall = make_hall(tmp_path, "favour_guest", doubt_cap_per_credential=200)
    hall.step(hall.coin())
    for _ in range(2):
        command = the_command(hall.step(hall.coin()))
        hall.step(hall.answer(command, "unknown"))
        hall.wait(60_000)
    assert [state.value for state in states(hall.store).values()] == ["voided", "in_doubt"]
    assert faults_of(hall.store) == []
