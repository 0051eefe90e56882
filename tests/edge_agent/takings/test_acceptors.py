"""A hub that may take no more money in says so to its acceptors, and opens them again when a receipt makes room."""

import pytest

from edge_agent.messages import Answered, BatchSealed, Born, Frozen, ReceiptTaken
from edge_agent.till import Till
from payment_core.bus import Birth
from payment_core.commands import Accept, Result, command_body
from tests.support.hall import Hall, commands, logged
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
