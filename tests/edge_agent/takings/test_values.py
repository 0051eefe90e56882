"""Coins and lost events: each booked once, in turn, and never credited where nobody knows their worth."""

import random

import msgspec
import pytest

from edge_agent.messages import DeviceIs, DocumentArrived, SayBooked
from edge_agent.takings.values import FIRST_SETTLES_MS
from payment_core.accounts import Kind
from payment_core.authorization import State
from payment_core.bus import Booked, DeviceState
from payment_core.commands import PulseCredit, command_body
from payment_core.events import CoinInserted, CreditDelivered, TicketsWon
from payment_core.journal import CoinBooked, Tampered, TicketsKept
from tests.support.hall import Hall, commands, devices_document, logged, the_command, the_view
from tests.support.ledger_truth import balance_of, entries, faults_of, kinds, states


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path / "ledger.db")
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def booked(effects):
    return [effect.booked for effect in effects if isinstance(effect, SayBooked)]


def coins(hall):
    return [entry.amount for entry in entries(hall.store) if isinstance(entry, CoinBooked)]


def test_coins_become_credit_and_then_a_play(hall):
    effects = hall.step(hall.coin())
    assert (commands(effects), booked(effects)) == ([], [Booked(1, 1, 1)])
    assert balance_of(hall.store, Kind.COIN_CREDIT, "lane-1") == 100
    effects = hall.step(hall.coin())
    command = the_command(effects)
    assert command_body(command) == PulseCredit(1)
    assert (the_view(effects).state, booked(effects)) == ("held", [Booked(1, 2, 2)])
    hall.step(hall.delivered(command))
    assert balance_of(hall.store, Kind.COIN_CREDIT, "lane-1") == 0
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 200
    assert balance_of(hall.store, Kind.CASH_BOX, "racer-1") == -200


def test_one_big_coin_buys_several_plays_in_one_command(hall):
    command = the_command(hall.step(hall.coin(position=6)))
    assert command_body(command) == PulseCredit(2)
    assert balance_of(hall.store, Kind.COIN_CREDIT, "lane-1") == 100


def test_a_coin_that_comes_again_is_only_booked_again(hall):
    coin = hall.coin()
    hall.step(coin)
    assert hall.step(coin) == [SayBooked("acceptor-1", Booked(1, 1, 1))]
    assert coins(hall) == [100]


def test_a_coin_that_skips_its_predecessor_is_left_for_the_bridge_to_resend(hall):
    first, second, third = hall.coin(), hall.coin(), hall.coin()
    hall.step(first)
    assert hall.step(third) == []
    hall.step(second, third)
    assert coins(hall) == [100, 100, 100]


def test_a_new_epoch_begins_at_one(hall):
    hall.step(hall.coin())
    assert hall.step(hall.coin(seq=2, epoch=9)) == []
    assert booked(hall.step(hall.coin(seq=1, epoch=9))) == [Booked(9, 1, 1)]
    assert coins(hall) == [100, 100]


def test_a_ledger_that_was_lost_takes_up_a_log_at_the_oldest_event_its_bridge_still_has(hall):
    assert hall.step(hall.coin(seq=42)) == []
    assert hall.step(hall.coin(seq=41)) == []
    hall.pass_ms(FIRST_SETTLES_MS)
    assert hall.step(hall.coin(seq=42)) == []
    assert booked(hall.step(hall.coin(seq=41))) == [Booked(1, 41, 41)]
    assert booked(hall.step(hall.coin(seq=42))) == [Booked(1, 42, 42)]
    assert coins(hall) == [100, 100]


def test_a_coin_of_unknown_worth_is_counted_and_never_credited(hall):
    effects = hall.step(hall.coin(position=9))
    assert (logged(effects), booked(effects)) == (["coin.no_value"], [Booked(1, 1, 1)])
    last = entries(hall.store)[-1]
    assert isinstance(last, Tampered)
    assert (last.device, last.count) == ("acceptor-1", 1)


def test_an_acceptor_without_a_lane_is_counted_and_never_credited(hall):
    assert logged(hall.step(hall.coin(9))) == ["coin.no_value"]


def test_lost_events_are_counted_and_never_credited(hall):
    hall.step(hall.coin())
    effects = hall.step(hall.lost(1, 3))
    assert (logged(effects), booked(effects)) == (["device.events_lost"], [Booked(1, 2, 1)])
    last = entries(hall.store)[-1]
    assert isinstance(last, Tampered)
    assert last.count == 3
    assert balance_of(hall.store, Kind.COIN_CREDIT, "lane-1") == 100


def test_lost_events_that_come_again_are_one(hall):
    lost = hall.lost(1, 3)
    hall.step(lost)
    hall.step(lost)
    assert kinds(hall.store).count("Tampered") == 1


def test_coins_wait_while_the_machine_is_off(hall):
    hall.step(DeviceIs("coin-1", DeviceState("offline", 0)))
    effects = hall.step(hall.coin(), hall.coin())
    assert (commands(effects), coins(hall)) == ([], [100, 100])
    back = hall.step(DeviceIs("coin-1", DeviceState("online", 0)))
    assert command_body(the_command(back)) == PulseCredit(1)
    assert balance_of(hall.store, Kind.COIN_CREDIT, "lane-1") == 0


def test_coins_of_a_play_that_failed_are_credit_again(hall):
    hall.step(hall.coin())
    command = the_command(hall.step(hall.coin()))
    hall.step(hall.answer(command, "failed"))
    assert list(states(hall.store).values()) == [State.VOIDED]
    assert balance_of(hall.store, Kind.COIN_CREDIT, "lane-1") == 200


def test_coins_stay_at_their_own_lane(hall):
    hall.step(hall.coin(1), hall.coin(2))
    assert balance_of(hall.store, Kind.COIN_CREDIT, "lane-1") == 100
    assert balance_of(hall.store, Kind.COIN_CREDIT, "lane-2") == 100


def test_coins_before_a_price_list_or_at_no_price_wait(tmp_path):
    hall = Hall(tmp_path / "l.db", rules=[{"price": [[200, "CNY"]], "machine": "racer-2"}])
    assert commands(hall.step(hall.coin(1), hall.coin(1))) == []
    assert len(commands(hall.step(hall.coin(2), hall.coin(2)))) == 1
    hall.store.close()


def credit_of(hall, seq):
    """Let a card play, and return the event of its delivery under a number of the machine's own."""
    command = the_command(hall.wait(1_000, hall.tap("card-7")))
    return hall.event("coin-1", CreditDelivered(command.id, 1), seq=seq)


def won(hall):
    return [entry.amount for entry in entries(hall.store) if isinstance(entry, TicketsKept)]


def test_tickets_and_credits_of_one_device_take_turns(hall):
    hall.enroll("card-7", 1_000)
    first, second = credit_of(hall, 1), hall.event("coin-1", TicketsWon(12), seq=2)
    third = credit_of(hall, 3)
    effects = hall.step(third)
    assert booked(effects) == []
    assert State.COMMANDED in states(hall.store).values()
    assert booked(hall.step(first)) == [Booked(1, 1, -1)]
    assert booked(hall.step(third)) == []
    assert booked(hall.step(second, third, first)) == [Booked(1, 2, -1), Booked(1, 3, -1), Booked(1, 3, -1)]
    assert won(hall) == [12]
    assert set(states(hall.store).values()) == {State.CAPTURED}


@pytest.mark.parametrize("seed", range(12))
def test_nothing_of_a_mixed_log_is_lost_or_stuck_whatever_the_bus_loses_and_repeats(hall, seed):
    dice = random.Random(seed)
    hall.enroll("card-7", 100 * 200)
    log, tickets, plays = [], 0, 0
    for seq in range(1, 31):
        if dice.random() < 0.5:
            log.append(credit_of(hall, seq))
            plays += 1
        else:
            tickets += seq
            log.append(hall.event("coin-1", TicketsWon(seq), seq=seq))
        sent = [fact for fact in log for _ in range(dice.choice([0, 0, 1, 1, 2]))]
        for said in booked(hall.wait(1_000, *sent)):
            log = [fact for fact in log if fact.event.seq > said.seq]
    hall.step(*log)
    assert sum(won(hall)) == tickets
    assert kinds(hall.store).count("Captured") == plays
    assert hall.store.rows("SELECT seq FROM device_marks WHERE device = 'coin-1'") == [(30,)]


def test_a_credit_says_no_counter_but_the_one_that_is_known(hall):
    hall.enroll("card-7", 1_000)
    assert booked(hall.step(credit_of(hall, 1))) == [Booked(1, 1, -1)]
    hall.store.execute("UPDATE device_marks SET told = 77 WHERE device = 'coin-1'")
    assert booked(hall.step(credit_of(hall, 2))) == [Booked(1, 2, 77)]


def test_credits_of_the_first_release_left_a_gap_that_only_credits_close(hall):
    hall.enroll("card-7", 1_000)
    hall.step(credit_of(hall, 1))
    late, tickets = credit_of(hall, 9), hall.event("coin-1", TicketsWon(5), seq=10)
    for _ in range(2):
        assert booked(hall.wait(FIRST_SETTLES_MS - 1, tickets)) == []
    assert booked(hall.step(late, tickets)) == []
    assert booked(hall.wait(FIRST_SETTLES_MS, late, tickets)) == [Booked(1, 9, -1), Booked(1, 10, -1)]


def test_a_coin_that_waits_for_a_price_list_is_passed_by_no_credit(tmp_path):
    hall = Hall(tmp_path / "l.db")
    hall.enroll("card-7", 1_000)
    first, coin, credit = credit_of(hall, 1), hall.event("coin-1", CoinInserted(5, 1), seq=2), credit_of(hall, 3)
    hall.step(first)
    hall.till._site.tariff = None
    for _ in range(9):
        assert booked(hall.wait(1_000, coin, credit)) == []
    hall.store.close()


def test_a_credit_for_a_command_that_is_none_is_logged_and_holds_up_nothing(hall):
    effects = hall.step(hall.event("coin-1", CreditDelivered("no id", 1)))
    assert (logged(effects), booked(effects)) == (["event.malformed"], [Booked(1, 1, -1)])


def by_event(hall, command):
    return hall.step(hall.delivered(command))


def by_answer_before_the_event(hall, command):
    effects = hall.step(hall.answer(command, "done"))
    assert commands(hall.step(hall.delivered(command))) == []
    return effects


def by_a_late_answer(hall, command):
    hall.step(hall.answer(command, "unknown"))
    return hall.step(hall.answer(command, "done"))


def by_policy(hall, command):
    hall.step(hall.answer(command, "unknown"))
    return hall.wait(60_000)


CAPTURES = [by_event, by_answer_before_the_event, by_a_late_answer, by_policy]


def more_than_one_command(folder, capture):
    """Insert 102 plays' worth while the machine is off; return how many credits follow the first hundred."""
    hall = Hall(folder / "ledger.db")
    document = msgspec.json.decode(devices_document(2, version=2))
    document["lanes"][0]["on_doubt"] = "favour_venue"
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)), *hall.arrivals())
    hall.step(DeviceIs("coin-1", DeviceState("offline", hall.wall_ms)))
    hall.step(*[hall.coin(position=6) for _ in range(41)])
    command = the_command(hall.step(DeviceIs("coin-1", DeviceState("online", hall.wall_ms))))
    assert command_body(command) == PulseCredit(100)
    following = [command_body(later).credits for later in commands(capture(hall, command))]
    assert faults_of(hall.store) == []
    hall.store.close()
    return following


@pytest.mark.parametrize("capture", CAPTURES)
def test_what_a_hundred_credits_left_plays_whoever_says_that_they_came(tmp_path, capture):
    assert more_than_one_command(tmp_path, capture) == [2]


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_build_that_goes_on_behind_nothing_is_caught(tmp_path, capture, monkeypatch):
    monkeypatch.setattr("edge_agent.takings.coins.go_on", lambda _draft: None)
    assert more_than_one_command(tmp_path, capture) == []
