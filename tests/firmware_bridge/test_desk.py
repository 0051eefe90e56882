import asyncio
from pathlib import Path

import msgspec
import pytest

from firmware_bridge import desk as desk_module
from firmware_bridge import value_log
from firmware_bridge.actuation_log import ActuationLog
from firmware_bridge.desk import Desk, HandOver, Publish, Reply, StopIntake, Wrote
from firmware_bridge.drivers.interface import Answer
from firmware_bridge.value_log import Fact, ValueLog
from payment_core.bus import Booked
from payment_core.commands import ApproveVend, Command, Dispense, Identify, PulseCredit, Result, make_command
from payment_core.events import CoinInserted, event_body

LINE = "racer-2"
COINS = "coins"


class Bench:
    """A desk on two real logs."""

    def __init__(self, folder: Path, *, boot_id: str = "boot") -> None:
        self.values = ValueLog(folder / "values.log", fresh_epoch=7)
        self.actuations = ActuationLog(folder / "actuation.log", boot_id=boot_id)
        self.desk = Desk(values=self.values, actuations=self.actuations, devices=[LINE, COINS], acceptors=[COINS])

    def close(self) -> None:
        self.desk.sync()
        self.values.close()
        self.actuations.close()

    def command(self, command: Command, *, arrived_ms: int = 0, now_ms: int = 0):
        return self.desk.command(LINE, command, arrived_ms=arrived_ms, now_ms=now_ms)

    def answer(self, number: int, outcome: str = "done", amount: int = 1, reason: str = "", now_ms: int = 0):
        answer = Answer(wish(number).id, outcome, amount=amount, reason=reason)  # type: ignore[arg-type]
        return self.desk.answer(LINE, answer, utc_ms=1_000, now_ms=now_ms)


def wish(number: int, *, body=PulseCredit(1), ttl_ms: int = 1_000) -> Command:  # noqa: B008 - a frozen struct
    return make_command(
        body, command_id=f"00000000-0000-7000-8000-{number:012d}", seq=number, boot_id="boot", ttl_ms=ttl_ms
    )


def reply(number: int, outcome: str, reason: str, amount: int = 0) -> Reply:
    return Reply(LINE, Result(id=wish(number).id, outcome=outcome, amount=amount, reason=reason))  # type: ignore[arg-type]


@pytest.fixture
def bench(tmp_path: Path):
    bench = Bench(tmp_path)
    bench.desk.attach(LINE)
    yield bench
    bench.close()


def test_delivered_credit_is_a_value_event_and_not_a_result(bench):
    command = wish(1)
    assert bench.command(command) == [HandOver(LINE, command)]
    assert bench.desk.busy
    assert bench.desk.is_at_driver(LINE, command)
    (effect,) = bench.answer(1, amount=1)
    assert isinstance(effect, Publish)
    event = effect.kept.event(now_ms=1_000)
    assert (event.kind, event.seq, event.epoch) == ("CreditDelivered", 1, 7)
    assert event_body(event).id == command.id
    assert not bench.desk.busy
    assert bench.command(command) == [reply(1, "done", "", amount=1)]
    assert bench.answer(1) == []


@pytest.mark.parametrize("outcome", ["failed", "refused", "unknown"])
def test_every_other_end_is_a_result_and_repeated_from_the_log(bench, outcome):
    bench.command(wish(1))
    assert bench.answer(1, outcome, 2, "jam") == [reply(1, outcome, "jam", amount=2)]
    assert bench.command(wish(1)) == [reply(1, outcome, "jam", amount=2)]
    assert bench.values.pending() == []


def test_a_command_without_money_ends_as_a_result(bench):
    command = wish(1, body=Identify())
    assert bench.command(command) == [HandOver(LINE, command)]
    assert bench.answer(1, "done", 0) == [reply(1, "done", "")]


def test_commands_wait_for_each_other_and_the_wait_counts_against_their_time(bench):
    assert bench.command(wish(1)) == [HandOver(LINE, wish(1))]
    assert bench.command(wish(2)) == []
    assert bench.command(wish(2)) == []
    assert bench.command(wish(3), arrived_ms=500, now_ms=500) == []
    effects = bench.answer(1, now_ms=1_000)
    assert isinstance(effects[0], Publish)
    assert effects[1:] == [reply(2, "refused", "too_late"), HandOver(LINE, wish(3))]


def test_what_certainly_did_not_happen_fails(bench, monkeypatch):
    bench.desk.detach(LINE)
    assert bench.command(wish(1)) == [reply(1, "failed", "device_offline")]
    bench.desk.attach(LINE)
    monkeypatch.setattr(desk_module, "WAITING_LIMIT", 1)
    bench.command(wish(2))
    bench.command(wish(3))
    assert bench.command(wish(4)) == [reply(4, "failed", "busy")]
    assert bench.desk.detach(LINE) == [reply(2, "unknown", "driver_ended"), reply(3, "failed", "device_offline")]
    bench.desk.attach(LINE)
    bench.desk.stop_accepting()
    assert bench.command(wish(5)) == [reply(5, "failed", "bridge_ending")]


def test_a_command_no_hub_can_mean_is_not_admitted(bench):
    for seq in (0, -1, 2**63):
        odd = Command(id="a", seq=seq, boot_id="boot", ttl_ms=9, kind="PulseCredit", body=wish(1).body)
        assert bench.command(odd) == []
    assert bench.command(Command(id="", seq=1, boot_id="boot", ttl_ms=9, kind="x", body=wish(1).body)) == []
    assert bench.command(wish(1)) == [HandOver(LINE, wish(1))]


def test_an_installer_s_wish_to_blink_goes_past_the_log(bench):
    blink = msgspec.structs.replace(wish(7, body=Identify(3)), seq=0)
    assert bench.command(wish(1)) == [HandOver(LINE, wish(1))]
    assert bench.command(blink) == [HandOver(LINE, blink)]
    assert bench.desk.is_at_driver(LINE, blink)
    assert bench.answer(7, "refused", amount=0, reason="not_supported") == [reply(7, "refused", "not_supported")]
    assert not bench.desk.is_at_driver(LINE, blink)
    assert bench.answer(7, "done") == []
    bench.command(blink)
    assert bench.desk.detach(LINE) == [reply(1, "unknown", "driver_ended"), reply(7, "failed", "device_offline")]
    assert bench.command(blink) == [reply(7, "failed", "device_offline")]
    bench.desk.attach(LINE)
    blinks = [msgspec.structs.replace(wish(n, body=Identify(3)), seq=0) for n in range(11, 20)]
    told = [bench.command(each) for each in blinks]
    assert told == [*[[HandOver(LINE, each)] for each in blinks[:8]], [reply(19, "failed", "busy")]]
    assert bench.command(blinks[0]) == [], "the broker said it again: the driver has it"
    assert bench.answer(11, "done", amount=0)[0].result.outcome == "done"
    assert bench.command(blinks[0]) == [HandOver(LINE, blinks[0])], "it is over: once more does no harm"
    assert bench.command(wish(2)) == [HandOver(LINE, wish(2))]


def test_a_full_value_log_stops_acceptors_and_credits_until_the_hub_books(bench, monkeypatch):
    monkeypatch.setattr(value_log, "FULL_EVENTS", 2)
    coin = Fact(COINS, CoinInserted(position=1, counter=1), at_ms=0, counter=1)
    assert [type(effect) for effect in bench.desk.fact(coin)] == [Publish]
    assert [type(effect) for effect in bench.desk.fact(coin)] == [Publish, StopIntake]
    assert bench.command(wish(1)) == [reply(1, "failed", "value_log_full")]
    assert bench.desk.booked(COINS, Booked(epoch=7, seq=2, counter=1)) == 2
    assert bench.command(wish(2)) == [HandOver(LINE, wish(2))]


@pytest.mark.parametrize(("counter", "lost"), [(3, []), (4, [1]), (9, [6]), (2, [254]), (0, [])])
def test_after_a_lost_log_the_counter_s_difference_is_a_tamper_entry(bench, counter, lost):
    bench.desk.expect_counter(COINS, booked_counter=3)
    effects = bench.desk.counted(COINS, counter, utc_ms=1_000)
    assert [event_body(effect.kept.event(now_ms=0)).count for effect in effects] == lost
    assert bench.values.last_counter(COINS) == counter
    assert bench.desk.counted(COINS, 99, utc_ms=1_000) == [], "only the first is compared"


@pytest.mark.parametrize("booked_counter", [-1, 256, 2**70])
def test_a_counter_that_no_acceptor_can_have_is_compared_with_nothing(bench, booked_counter):
    bench.desk.expect_counter(COINS, booked_counter=booked_counter)
    assert bench.desk.counted(COINS, 9, utc_ms=1_000) == []


def test_a_value_event_in_the_log_proves_that_its_command_was_done(tmp_path):
    bench = Bench(tmp_path)
    bench.desk.attach(LINE)
    bench.command(wish(1))
    bench.command(wish(2))
    bench.desk.sync()
    image = (tmp_path / "actuation.log").read_bytes()
    bench.answer(1)
    bench.close()
    (tmp_path / "actuation.log").write_bytes(image)  # the power went between the two syncs
    bench = Bench(tmp_path, boot_id="next")
    assert bench.command(wish(1)) == [reply(1, "done", "", amount=1)]
    assert bench.command(wish(2)) == [reply(2, "unknown", "interrupted")]
    bench.close()


def dispense(number: int, count: int = 3) -> Command:
    return wish(number, body=Dispense(count))


def test_a_device_that_can_tell_amends_what_had_to_be_unknown_once(bench):
    bench.command(dispense(1))
    assert bench.desk.unfinished(LINE) == (), "it is being done"
    assert bench.desk.detach(LINE) == [reply(1, "unknown", "driver_ended")]
    (asked,) = bench.desk.unfinished(LINE)
    assert (asked.id, asked.kind, asked.body) == (dispense(1).id, "Dispense", dispense(1).body)
    (effect,) = bench.answer(1, "done", 3)
    assert isinstance(effect, Publish)
    assert event_body(effect.kept.event(now_ms=0)).credits == 3
    assert bench.desk.unfinished(LINE) == ()
    assert bench.answer(1, "done", 3) == []
    assert bench.answer(1, "failed", 0) == []
    assert bench.command(dispense(1)) == [reply(1, "done", "read_back", amount=3)]


def test_what_was_begun_before_a_restart_is_amended_and_stays_so(tmp_path):
    bench = Bench(tmp_path)
    bench.desk.attach(LINE)
    bench.command(dispense(1))
    bench.command(wish(2))
    bench.close()
    bench = Bench(tmp_path, boot_id="next")
    bench.desk.attach(LINE)
    assert [command.id for command in bench.desk.unfinished(LINE)] == [dispense(1).id]
    assert bench.desk.unfinished(COINS) == ()
    assert bench.command(dispense(1)) == [reply(1, "unknown", "interrupted")]
    assert bench.answer(1, "failed", 2, "jam") == [reply(1, "failed", "jam", amount=2)]
    bench.close()
    bench = Bench(tmp_path, boot_id="third")
    assert bench.desk.unfinished(LINE) == ()
    assert bench.command(dispense(1)) == [reply(1, "failed", "jam", amount=2)]
    bench.close()


def test_a_doubt_that_the_driver_itself_had_is_not_asked_about_again_and_what_it_says_of_it_later_counts_once(bench):
    """VND-3: a late result reaches the hub."""
    bench.command(dispense(1))
    bench.answer(1, "unknown", 1, "no_answer")
    assert bench.desk.unfinished(LINE) == ()
    assert bench.answer(1, "unknown", 1, "no_answer") == []
    assert bench.answer(1, "failed", 0, "told_late") == [reply(1, "failed", "told_late")]
    assert bench.answer(1, "done", 3) == []


def test_a_build_that_drops_what_is_told_late_is_caught(bench, monkeypatch):
    monkeypatch.setattr(ActuationLog, "amend", lambda *_, **__: False)
    with pytest.raises(AssertionError):
        test_a_doubt_that_the_driver_itself_had_is_not_asked_about_again_and_what_it_says_of_it_later_counts_once(bench)


def test_who_asks_about_what_runs_is_told_that_it_runs(bench):
    """A hub must not let policy decide what a machine is still about."""
    bench.command(wish(1))
    bench.command(wish(2))
    assert bench.command(wish(1)) == [], "the command again: its end will come"
    for number in (1, 2):
        assert bench.command(wish(number, ttl_ms=0)) == [reply(number, "unknown", "running")]


def test_a_vend_is_kept_for_its_driver_to_read_back(tmp_path):
    bench = Bench(tmp_path)
    bench.desk.attach(LINE)
    bench.command(wish(1, body=ApproveVend(350, 3, 7)))
    bench.close()
    bench = Bench(tmp_path, boot_id="next")
    bench.desk.attach(LINE)
    assert [(command.id, command.kind) for command in bench.desk.unfinished(LINE)] == [(wish(1).id, "ApproveVend")]
    assert isinstance(bench.answer(1, "done", 1, "told_late")[0], Publish)
    assert bench.desk.unfinished(LINE) == ()
    bench.close()


def test_an_amended_end_in_the_value_log_is_not_told_twice(tmp_path):
    bench = Bench(tmp_path)
    bench.desk.attach(LINE)
    bench.command(dispense(1))
    bench.desk.detach(LINE)
    bench.desk.sync()
    image = (tmp_path / "actuation.log").read_bytes()
    bench.answer(1, "done", 3)
    bench.close()
    (tmp_path / "actuation.log").write_bytes(image)  # the power went between the two syncs
    bench = Bench(tmp_path, boot_id="next")
    assert bench.desk.unfinished(LINE) == ()
    assert bench.answer(1, "done", 3) == []
    assert len(bench.values.pending()) == 1
    bench.close()


def test_who_waits_for_the_disk_is_told_behind_the_fact(bench):
    written = asyncio.Event()
    coin = Fact(COINS, CoinInserted(position=1, counter=1), at_ms=0, counter=1)
    assert [type(effect) for effect in bench.desk.fact(coin, written=written)] == [Publish, Wrote]
    assert bench.desk.counted(COINS, 2, utc_ms=0, written=written) == [Wrote(written)]
    assert not written.is_set()
