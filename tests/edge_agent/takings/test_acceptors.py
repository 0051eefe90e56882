"""A hub that may take no more money in says so to its acceptors, and opens them again when a receipt makes room."""

import msgspec
import pytest

from edge_agent.ledger import at_stake, lane_credit, since_receipt
from edge_agent.messages import Answered, BatchSealed, Born, DeviceIs, DocumentArrived, Frozen, ReceiptTaken
from edge_agent.takings import acceptors
from edge_agent.till import Till
from payment_core.bus import Birth, DeviceState
from payment_core.commands import Accept, PulseCredit, Result, command_body
from tests.support.hall import COIN, Hall, commands, devices_document, logged
from tests.support.lan import journal_of
from tests.support.ledger_truth import faults_of


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"top_up_cap": 550})
    hall.step(*[born(n) for n in (1, 2)])
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def born(n):
    return Born(f"acceptor-{n}", Birth("cctalk-acceptor", 1, "boot-1", "bridge-1"))


def told(effects):
    return [
        (effect.device, command_body(effect.command).on)
        for effect in effects
        if type(effect).__name__ == "Send" and isinstance(command_body(effect.command), Accept)
    ]


def answer(effects, outcome="done"):
    return [
        Answered(effect.device, Result(effect.command.id, outcome))
        for effect in effects
        if type(effect).__name__ == "Send" and isinstance(command_body(effect.command), Accept)
    ]


def test_acceptors_give_money_back_once_there_is_no_room_and_take_it_behind_a_receipt(hall):
    assert told(hall.step(hall.coin(position=6))) == [("acceptor-1", False), ("acceptor-2", False)]
    hall.step(*answer(hall.effects))
    assert logged(hall.effects) == []
    assert told(hall.wait(60_000)) == []
    last = journal_of(hall)[-1].header.seq
    hall.step(BatchSealed(1, 1, last, bytes(32), b"s"))
    effects = hall.step(ReceiptTaken(1, last))
    assert told(effects) == [("acceptor-1", True), ("acceptor-2", True)]
    assert hall.store.rows("SELECT * FROM brought_in") == []


def test_a_coin_that_falls_all_the_same_is_booked(hall):
    hall.step(hall.coin(position=6))
    hall.step(hall.coin(position=6))
    assert hall.store.rows("SELECT sum(amount) FROM brought_in") == [(1_000,)]


def test_one_that_is_deaf_or_starts_anew_is_told_again(hall):
    effects = hall.step(hall.coin(position=6))
    hall.step(answer(effects)[0])
    assert told(hall.wait(4_999)) == []
    assert told(hall.wait(1)) == [("acceptor-2", False)]
    hall.step(*answer(hall.effects, "refused"))
    assert told(hall.wait(60_000)) == []
    assert told(hall.step(born(2))) == [("acceptor-2", False)]


def test_a_restart_and_a_frozen_hub_keep_them_shut(hall):
    hall.step(hall.coin(position=6))
    hall.restart()
    hall.step()
    assert told(hall.step(born(1))) == [("acceptor-1", False)]


def test_what_the_last_run_shut_is_opened_by_the_next(hall):
    hall.step(hall.coin(position=6))
    last = journal_of(hall)[-1].header.seq
    hall.step(BatchSealed(1, 1, last, bytes(32), b"s"))
    hall.restart()
    assert told(hall.step(born(1), ReceiptTaken(1, last))) == [("acceptor-1", True)]


def test_a_frozen_hub_takes_no_coins(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3")
    hall.step(born(1))
    assert told(hall.step(Frozen("fork"))) == [("acceptor-1", False)]
    hall.store.close()


def test_an_ordinary_tap_looks_at_nothing(hall, monkeypatch):
    hall.enroll("card-7", 1_000)
    monkeypatch.setattr("edge_agent.takings.intake.room", None)
    assert len(commands(hall.step(hall.tap("card-7")))) == 1
    assert isinstance(hall.till, Till)


def plays(effects):
    return [command for command in commands(effects) if isinstance(command_body(command), PulseCredit)]


NOTE = 10_000
T_H = 1_000


class Slots:
    """Everybody who has cash at a hall: what an acceptor is told to give back never reaches it."""

    def __init__(self, hall):
        self.hall, self.shut = hall, set()
        self.step(born(1), born(2))

    def step(self, *facts):
        effects = self.hall.step(*facts)
        for device, on in told(effects):
            (self.shut.discard if on else self.shut.add)(device)
        self.hall.step(*answer(effects))
        return effects

    def insert(self, lane, position):
        if f"acceptor-{lane}" not in self.shut:
            self.step(self.hall.coin(lane=lane, position=position))


def notes_into_one_slot(folder):
    """A slot for notes, one for coins; return what came in at most at one time."""
    hall = Hall(folder / "ledger.sqlite3", risk={"top_up_cap": T_H})
    document = msgspec.json.decode(devices_document(2, version=2))
    document["coins"]["acceptor-1"][1]["amount"] = NOTE
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)))
    slots = Slots(hall)
    for _time in range(T_H // COIN):
        slots.insert(2, 5)
        slots.insert(1, 5)
        slots.insert(1, 6)
    most = since_receipt.brought_in(hall.store)
    hall.store.close()
    return most


def test_no_note_passes_t_h_and_coins_go_on(tmp_path):
    assert T_H - 5 * COIN < notes_into_one_slot(tmp_path) <= T_H


def test_a_build_that_looks_at_the_smallest_coin_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(acceptors, "largest_of", lambda coins: min(coins.values(), default=0))
    assert notes_into_one_slot(tmp_path) > 9 * T_H


def coins_beside_doubts(folder):
    """A guest's money sits in doubts that wait for staff, and coins fall at a machine that is off; return the stake."""
    hall = Hall(folder / "ledger.sqlite3", risk={"lease_cap": T_H, "ask_ms": 0})
    slots = Slots(hall)
    hall.enroll("card-7", T_H)
    slots.step(DeviceIs("coin-2", DeviceState("offline", hall.wall_ms)))
    for _play in range(5):
        hall.pass_ms(1_000)
        for command in plays(slots.step(hall.tap("card-7"))):
            slots.step(hall.answer(command, "unknown"))
    for _coin in range(T_H // COIN):
        slots.insert(2, 5)
    assert faults_of(hall.store) == []
    most = at_stake.at_stake(hall.store, "CNY")
    hall.store.close()
    return most


def test_what_plays_hold_leaves_no_room_for_coins(tmp_path):
    assert coins_beside_doubts(tmp_path) <= T_H


def test_a_build_that_forgets_plays_at_the_slot_is_caught(tmp_path, monkeypatch):
    def without_plays(draft):
        return draft.site.risk.caps.leasable(lane_credit.coins_lying(draft.store, draft.site.currency))

    monkeypatch.setattr(acceptors, "beside_x_h", without_plays)
    assert coins_beside_doubts(tmp_path) > T_H


def test_a_play_that_begins_shuts_the_slot_before_a_coin_can_fall(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"lease_cap": 600, "ask_ms": 0})
    slots = Slots(hall)
    hall.enroll("card-7", 600)
    (command,) = plays(slots.step(hall.tap("card-7")))
    assert slots.shut == {"acceptor-1", "acceptor-2"}
    slots.step(hall.delivered(command))
    assert slots.shut == set()
    hall.store.close()
