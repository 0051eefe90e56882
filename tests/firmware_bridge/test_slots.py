"""Coins that the hub does not book shut the slots of their bridge, and open none that the hub has shut."""

from pathlib import Path

import pytest

from firmware_bridge.actuation_log import ActuationLog
from firmware_bridge.desk import UNCOUNTED_LIMIT, Desk, HandOver, Held, Reply
from firmware_bridge.drivers.interface import Answer
from firmware_bridge.slots import AGAIN_MS, UNBOOKED_COINS, UNBOOKED_MS, Slots
from firmware_bridge.value_log import Fact, ValueLog
from payment_core.bus import Booked
from payment_core.commands import Accept, Command, Result, command_body, make_command
from payment_core.events import CoinInserted

COINS = "coins"
NOTES = "notes"
LIGHT = "light"


class Bridge:
    """A desk on real logs, and what its drivers were told: `gates` as they stand, by device."""

    def __init__(self, folder: Path) -> None:
        values = ValueLog(folder / "values.log", fresh_epoch=7)
        actuations = ActuationLog(folder / "actuation.log", boot_id="boot")
        devices = [COINS, NOTES, LIGHT]
        self.desk = Desk(values=values, actuations=actuations, devices=devices, acceptors=[COINS, NOTES])
        self.gates = dict.fromkeys(devices, True)
        self.outcome: str | None = "done"  # None: a driver answers nothing
        self.unanswered: list[tuple[str, Command]] = []
        self.told: list[str] = []
        self.results: list[Result] = []
        self.log: list[bool] = []
        self.now_ms = 0
        for device in devices:
            self.desk.attach(device)

    def act(self, effects) -> None:
        """Do what the desk wants; a driver answers at once."""
        for effect in effects:
            match effect:
                case HandOver(device, command):
                    self.told.append(device)
                    if self.outcome is None:
                        self.unanswered.append((device, command))
                        continue
                    if self.outcome == "done":
                        self.gates[device] = command_body(command).on
                    answer = Answer(command.id, self.outcome)
                    self.act(self.desk.answer(device, answer, utc_ms=0, now_ms=self.now_ms))
                case Held(on):
                    self.log.append(on)
                case Reply(result=result):
                    self.results.append(result)

    def look(self, *, after_ms: int = 0) -> None:
        self.now_ms += after_ms
        self.act(self.desk.keep_slots(now_ms=self.now_ms))

    def coins_fall(self, number: int, *, into: str = COINS) -> None:
        first = (self.desk.values.last_counter(into) or 0) + 1
        for counter in range(first, first + number):
            self.desk.fact(Fact(into, CoinInserted(1, counter), at_ms=0, counter=counter))
        self.look()

    def hub_says(self, *, on: bool) -> None:
        self.act(self.desk.command(COINS, accept(on=on), arrived_ms=self.now_ms, now_ms=self.now_ms))

    def hub_books(self, device: str = COINS) -> None:
        counter = self.desk.values.last_counter(device)
        self.desk.booked(device, Booked(epoch=7, seq=counter, counter=counter))
        self.look()


def accept(*, on: bool, name: str = "") -> Command:
    return make_command(Accept(on=on), command_id=f"hub-{on}{name}", seq=0, boot_id="boot", ttl_ms=2_000)


@pytest.fixture
def bridge(tmp_path):
    bridge = Bridge(tmp_path)
    yield bridge
    bridge.desk.values.close()


def test_so_many_coins_wait_to_be_booked_and_no_more(bridge):
    bridge.coins_fall(UNBOOKED_COINS - 2)
    bridge.coins_fall(1, into=NOTES)
    assert bridge.gates == {COINS: True, NOTES: True, LIGHT: True}
    bridge.coins_fall(1, into=NOTES)
    assert bridge.gates == {COINS: False, NOTES: False, LIGHT: True}
    bridge.hub_books()
    assert bridge.gates == {COINS: True, NOTES: True, LIGHT: True}
    assert bridge.log == [True, False]
    assert bridge.results == [], "no hub asked for it"


def test_no_coin_waits_long_while_others_fall(bridge):
    bridge.coins_fall(1)
    bridge.look(after_ms=UNBOOKED_MS - 1)
    assert bridge.gates[NOTES]
    bridge.look(after_ms=1)
    assert not bridge.gates[NOTES]
    bridge.hub_books()
    assert bridge.gates[NOTES]


def test_a_slot_that_the_hub_has_shut_is_not_opened(bridge):
    bridge.hub_says(on=False)
    bridge.coins_fall(UNBOOKED_COINS, into=NOTES)
    bridge.hub_books(NOTES)
    assert (bridge.gates[COINS], bridge.gates[NOTES]) == (False, True)


def test_what_the_hub_opens_meanwhile_opens_behind_the_booking(bridge):
    bridge.hub_says(on=False)
    bridge.coins_fall(UNBOOKED_COINS, into=NOTES)
    bridge.hub_says(on=True)
    assert (bridge.gates[COINS], [result.outcome for result in bridge.results]) == (False, ["done", "done"])
    bridge.hub_books(NOTES)
    assert bridge.gates[COINS]


@pytest.mark.parametrize(("outcome", "tries"), [("failed", 2), ("refused", 1)])
def test_one_that_fails_is_asked_again_and_one_that_cannot_shut_is_not(bridge, outcome, tries):
    bridge.outcome = outcome
    bridge.coins_fall(UNBOOKED_COINS)
    bridge.look(after_ms=AGAIN_MS - 1)
    assert bridge.told == [COINS, NOTES]
    bridge.look(after_ms=1)
    assert bridge.told == [COINS, NOTES] * tries


def test_a_driver_that_begins_anew_is_told_anew(bridge):
    bridge.coins_fall(UNBOOKED_COINS)
    assert bridge.desk.detach(COINS) == []
    bridge.hub_books()
    assert bridge.told == [COINS, NOTES, NOTES]
    bridge.desk.attach(COINS)
    bridge.look()
    assert bridge.gates[COINS]


def test_what_the_hub_shut_while_the_driver_was_away_is_shut_when_it_is_back(bridge):
    bridge.desk.detach(COINS)
    bridge.hub_says(on=False)
    assert [result.reason for result in bridge.results] == ["device_offline"]
    bridge.desk.attach(COINS)  # its station may say an older word to it first
    bridge.look()
    assert (bridge.told, bridge.gates[COINS]) == ([COINS], False)


def test_what_a_busy_driver_did_not_hear_is_said_later(bridge):
    waiting = [accept(on=True, name=f"{number}") for number in range(UNCOUNTED_LIMIT)]
    effects = [effect for wish in waiting for effect in bridge.desk.command(COINS, wish, arrived_ms=0, now_ms=0)]
    bridge.hub_says(on=False)
    assert [result.reason for result in bridge.results] == ["busy"]
    bridge.act(effects)
    bridge.look()
    assert bridge.gates[COINS] is False


def test_the_answer_to_a_word_of_before_is_not_the_answer_to_a_newer_one(bridge):
    """A station says the last word to the next driver too."""
    bridge.outcome = None
    bridge.coins_fall(UNBOOKED_COINS, into=NOTES)
    (before,) = [command.id for device, command in bridge.unanswered if device == COINS]
    bridge.desk.detach(COINS)
    bridge.desk.attach(COINS)
    bridge.look()
    newer = bridge.unanswered[-1][1].id
    for command_id, outcome in ((before, "done"), (newer, "failed")):
        bridge.act(bridge.desk.answer(COINS, Answer(command_id, outcome), utc_ms=0, now_ms=bridge.now_ms))
    bridge.look(after_ms=AGAIN_MS)
    assert (bridge.told.count(COINS), len({command.id for _, command in bridge.unanswered})) == (3, 4)


@pytest.mark.parametrize(
    "story",
    [
        test_what_the_hub_shut_while_the_driver_was_away_is_shut_when_it_is_back,
        test_what_a_busy_driver_did_not_hear_is_said_later,
    ],
)
def test_a_build_that_forgets_what_no_driver_heard_is_caught(bridge, monkeypatch, story):
    monkeypatch.setattr(Slots, "unheard", lambda _self, _device, _command: None)
    with pytest.raises(AssertionError):
        story(bridge)


def test_a_build_that_does_not_listen_while_the_driver_is_away_is_caught(bridge, monkeypatch):
    heard = Desk._uncounted

    def deaf(self, device, command):
        said = Result(command.id, "failed", 0, "device_offline")
        return heard(self, device, command) if self._lines[device].attached else [Reply(device, said)]

    monkeypatch.setattr(Desk, "_uncounted", deaf)
    with pytest.raises(AssertionError):
        test_what_the_hub_shut_while_the_driver_was_away_is_shut_when_it_is_back(bridge)


@pytest.mark.parametrize(
    "story", [test_so_many_coins_wait_to_be_booked_and_no_more, test_no_coin_waits_long_while_others_fall]
)
def test_a_build_whose_slots_wait_for_nobody_is_caught(bridge, monkeypatch, story):
    monkeypatch.setattr(Slots, "_must_wait", lambda _self, _now_ms: False)
    with pytest.raises(AssertionError):
        story(bridge)


@pytest.mark.parametrize(
    "story",
    [test_a_slot_that_the_hub_has_shut_is_not_opened, test_what_the_hub_opens_meanwhile_opens_behind_the_booking],
)
def test_a_build_that_opens_what_the_hub_has_shut_is_caught(bridge, monkeypatch, story):
    monkeypatch.setattr(Slots, "hub_says", lambda _self, _device, _command: True)
    with pytest.raises(AssertionError):
        story(bridge)
