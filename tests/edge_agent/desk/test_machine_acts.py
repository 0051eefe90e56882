"""A machine in fault is put back in service by staff: its device is told, and only what it says then opens it."""

import pytest

from edge_agent.desk import machine_acts
from edge_agent.ledger.entries import read_records
from edge_agent.messages import DeviceIs, Send
from payment_core.bus import DeviceState
from payment_core.commands import Accept, command_body
from payment_core.desk import BackInService, ReadMeter
from payment_core.journal import MeterRead, decode_entry
from payment_core.posting import postings
from payment_core.staff_policy import Quota
from tests.support.desk import DeskHall, staff_document, the_reply
from tests.support.hall import commands, logged, the_command, the_view

BACK = BackInService("lane-1", "the motor's relay stuck")


@pytest.fixture
def hall(tmp_path):
    hall = DeskHall(tmp_path / "ledger.db")
    hall.enroll("card-7", 1_000)
    yield hall
    hall.store.close()


def says(hall, state, reason="", device="coin-1"):
    return hall.step(DeviceIs(device, DeviceState(state, hall.wall_ms, reason=reason)))


def test_a_dispenser_that_ran_on_is_told_to_serve_again_and_serves_when_it_says_so(hall):
    says(hall, "fault", "runs_on")
    assert the_view(hall.step(hall.tap("card-7"))).reason == "machine_off"
    effects = hall.step(hall.acted(BACK))
    assert the_reply(effects).outcome == "done"
    told = the_command(effects)
    assert (told.seq, command_body(told)) == (0, Accept(on=True))
    assert [effect.device for effect in effects if isinstance(effect, Send)] == ["coin-1"]
    line = next(effect for effect in effects if getattr(effect, "name", "") == "machine.back")
    assert line.fields == {"staff": "lin", "lane": "lane-1", "device": "coin-1", "note": "the motor's relay stuck"}
    assert logged(hall.step(hall.answer(told, "done"))) == []
    assert the_view(hall.wait(1_000, hall.tap("card-7"))).reason == "machine_off", "the device has not said so yet"
    says(hall, "online")
    assert the_view(hall.wait(1_000, hall.tap("card-7"))).state == "held"


def test_a_device_that_does_not_understand_is_an_alarm_and_a_strangers_word_is_none(hall):
    says(hall, "fault", "payout_timeout")
    told = the_command(hall.step(hall.acted(BACK)))
    assert logged(hall.step(hall.answer(told, "done", lane=2))) == ["result.unknown_command"]
    assert logged(hall.step(hall.answer(told, "refused"))) == ["machine.not_back"]


@pytest.mark.parametrize("away", ["coin-1", "bridge-1"])
def test_what_cannot_hear_it_is_not_put_back(hall, away):
    says(hall, "fault", "runs_on")
    says(hall, "offline", device=away)
    effects = hall.step(hall.acted(BACK))
    assert (the_reply(effects).reason, commands(effects)) == ("machine_off", [])


def test_only_who_may_does_it_once_and_at_a_place_that_is_there(hall):
    hall.step(staff_document(2, may={"look": Quota()}))
    assert hall.act(BACK).reason == "not_allowed"
    hall.step(staff_document(3, may={"back_in_service": Quota(count=1)}))
    assert hall.act(BackInService("lane-9")).reason == "unknown_lane"
    first = hall.step(hall.acted(BACK, request=3))
    again = hall.step(hall.acted(BACK, request=3))
    assert [the_reply(effects).outcome for effects in (first, again)] == ["done", "again"]
    assert [len(commands(effects)) for effects in (first, again)] == [1, 0]
    assert hall.act(BACK).reason == "quota"


def test_devices_that_never_answer_do_not_pile_up(hall):
    for _ in range(machine_acts.TOLD_KEPT + 1):
        hall.act(BACK)
    assert len(hall.till._site.told_back) == machine_acts.TOLD_KEPT


def readings(hall):
    entries = (decode_entry(record) for _, record, _ in read_records(hall.store, after_seq=0, limit=500))
    return [entry for entry in entries if isinstance(entry, MeterRead)]


def test_a_meter_is_noted_at_its_machine_moves_nothing_and_is_noted_once(hall):
    for value, rose in ((104_233, 0), (104_240, 7), (104_240, 0)):
        reply = hall.act(ReadMeter("racer-1", "credits", value))
        assert (reply.outcome, reply.amount) == ("done", rose)
    again = hall.act(ReadMeter("racer-1", "credits", 104_233), request=1)
    assert again.outcome == "again"
    (first, *_) = found = readings(hall)
    assert [entry.value for entry in found] == [104_233, 104_240, 104_240]
    assert (first.machine, first.staff, first.header.machine, postings(first)) == ("racer-1", "lin", "racer-1", ())


def test_a_meter_that_stood_higher_before_needs_a_word_also_after_a_restart(hall):
    hall.act(ReadMeter("racer-1", "coins", 999_990))
    hall.restart()
    for act in (ReadMeter("racer-1", "coins", 5), ReadMeter("racer-1", "coins", 999_999, reset=True)):
        assert hall.act(act).reason == "note_needed"
    assert hall.act(ReadMeter("racer-1", "credits", 5)).outcome == "done", "that one is another meter"
    assert hall.act(ReadMeter("lane-1", "coins", 5, note="it ran over")).amount == 0
    assert hall.act(ReadMeter("racer-1", "coins", 7, reset=True, note="exchanged")).amount == 0
    assert hall.act(ReadMeter("racer-1", "coins", 9)).amount == 2
    assert [(entry.value, entry.note, entry.reset) for entry in readings(hall) if entry.meter == "coins"] == [
        (999_990, "", False), (5, "it ran over", False), (7, "exchanged", True), (9, "", False),
    ]  # fmt: skip


def test_a_meter_of_no_machine_here_is_not_noted(hall):
    assert hall.act(ReadMeter("racer-9", "coins", 5)).reason == "unknown_lane"
