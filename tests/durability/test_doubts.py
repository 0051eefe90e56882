"""VND-3: a hub that dies between its command and the answer settles each play once, whatever the bridge can say."""

import random

import pytest

from edge_agent.messages import Send
from edge_agent.play import plays
from edge_agent.play.plays import ASK_AGAIN_MS
from payment_core.authorization import FINAL, State
from payment_core.commands import PulseCredit, make_command
from payment_core.identifiers import uuid_bytes, uuid_text
from payment_core.journal import Captured, Voided
from tests.support.hall import Hall, commands, the_command
from tests.support.ledger_truth import entries, faults_of, states
from tests.support.sizes import count

KILLS = 200
ROUNDS = 5
TRUTHS = {"done": State.CAPTURED, "failed": State.VOIDED, "refused": State.VOIDED}


def ask_until_told(hall: Hall, dice: random.Random, truth: str) -> int:
    """Let the bridge answer only now and then; return how many commands would have acted again."""
    acted = 0
    for _ in range(ROUNDS):
        asked = commands(hall.wait(ASK_AGAIN_MS, *hall.arrivals()))
        acted += sum(command.ttl_ms > 0 for command in asked)
        for command in asked:
            said = dice.choice(("unknown", truth))
            hall.step(hall.answer(command, said), hall.answer(command, said))
        if dice.random() < 0.3:
            hall.restart()
    for command in commands(hall.wait(ASK_AGAIN_MS, *hall.arrivals())):
        acted += command.ttl_ms > 0
        hall.step(hall.answer(command, truth))
    return acted


@pytest.mark.slow
def test_each_is_settled_once_and_never_dispensed_again(tmp_path):
    dice = random.Random(5)
    hall = Hall(tmp_path / "l.db", risk={"repeat_after_ms": 0})
    hall.enroll("card-7", 10_000_000)
    truths: dict[bytes, str] = {}
    for _ in range(count(KILLS)):
        command = the_command(hall.wait(1_000, hall.tap("card-7")))
        truth = truths[uuid_bytes(command.id)] = dice.choice(sorted(TRUTHS))
        hall.restart()  # killed: what the bridge says now, nobody hears
        assert ask_until_told(hall, dice, truth) == 0
    assert states(hall.store) == {key: TRUTHS[truth] for key, truth in truths.items()}
    ends = [entry.header.authorization_id for entry in entries(hall.store) if isinstance(entry, Captured | Voided)]
    assert sorted(ends) == sorted(truths)
    assert set(states(hall.store).values()) <= FINAL
    assert faults_of(hall.store) == []
    hall.store.close()


def test_a_build_that_commands_again_is_caught(tmp_path, monkeypatch):
    def act_again(draft, row):
        body, boot_id = PulseCredit(credits=row.credits), row.boot_id
        again = make_command(body, command_id=uuid_text(row.id), seq=row.command_seq + 1, boot_id=boot_id, ttl_ms=2_000)
        draft.effect(Send(row.device, again))

    monkeypatch.setattr(plays, "ask", act_again)
    hall = Hall(tmp_path / "l.db")
    hall.enroll("card-7", 1_000)
    the_command(hall.step(hall.tap("card-7")))
    hall.restart()
    assert ask_until_told(hall, random.Random(5), "refused") > 0
    hall.store.close()
