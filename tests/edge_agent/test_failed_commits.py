"""DUR-2: a write or commit that fails means UNKNOWN: no effect leaves, and the ledger pays for all that was given."""

import sqlite3
from pathlib import Path

import msgspec
import pytest

from edge_agent.ledger.store import CommitUnknownError, SqliteStore
from edge_agent.messages import DeviceIs
from payment_core.authorization import State
from payment_core.bus import DeviceState
from payment_core.identifiers import uuid_bytes
from tests.support.failing_store import FailingStore
from tests.support.hall import Hall, commands
from tests.support.ledger_truth import faults_of, states
from tests.support.mutants import MUTANTS, EarlyTill
from tests.support.sizes import count

PAID = {State.COMMANDED, State.CAPTURED, State.IN_DOUBT}
LEASE = 1_500


def furnished(path: Path, **more) -> Hall:
    """Return a hall with two members, made on a store that does not fail yet."""
    hall = Hall(path, open_store=FailingStore, **more)
    hall.enroll("card-7", LEASE)
    hall.enroll("card-8", LEASE)
    if isinstance(hall.till, EarlyTill):
        hall.till.early = hall.carry_out
    return hall


def play(hall: Hall) -> None:
    """Run a session of taps, coins, ends and silence; the machines count what they are told."""

    def told(*facts, ms=0):
        effects = hall.wait(ms, *facts)
        hall.carry_out(effects)
        return commands(effects)

    for round_ in range(4):
        both = told(hall.tap("card-7", 1), hall.tap("card-8", 2), ms=1_000)
        told(hall.coin(1), hall.coin(2))
        if both:
            told(hall.delivered(both[0], lane=1))
        if len(both) > 1 and round_ % 2:
            del hall.pulses[uuid_bytes(both[1].id)]  # this machine jams: it gave nothing
            told(hall.answer(both[1], "failed", lane=2))
    told(ms=10_000)
    told(DeviceIs("coin-1", DeviceState("offline", 0)), hall.tap("card-7", 1))


def calls_of_a_session(path: Path, **more) -> tuple[int, int]:
    """Return which calls a session makes that nothing disturbs: (the last before it, its last)."""
    hall = furnished(path, **more)
    before = hall.store.calls
    play(hall)
    after = hall.store.calls
    hall.store.close()
    return before, after


def fail_at(path: Path, number: int, when: str, **more) -> list[str]:
    """Run the session with call `number` failing; return every broken promise after the ledger is opened again."""
    hall = furnished(path, **more)
    hall.store.fail_at, hall.store._when = number, when
    broken = []
    try:
        play(hall)
        broken.append("the step that failed said nothing")
    except (CommitUnknownError, sqlite3.Error):
        pass
    hall.store.close()
    store = SqliteStore(path)
    found = states(store)
    broken += [f"{key.hex()} was given and is {found.get(key)}" for key in hall.pulses if found.get(key) not in PAID]
    broken += faults_of(store)
    store.close()
    return broken


def places(folder: Path, **more) -> list[int]:
    before, after = calls_of_a_session(folder / "undisturbed.db", **more)
    every = max(1, (after - before) // count(10_000))
    return list(range(before + 1, after + 1, every))


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_no_failed_call_gives_away_a_play(tmp_path, when):
    for number in places(tmp_path):
        assert fail_at(tmp_path / f"{number}.db", number, when) == [], f"call {number}"


def test_a_till_that_failed_stays_failed(tmp_path):
    hall = furnished(tmp_path / "l.db")
    hall.store.fail_at = hall.store.calls + 2
    for _ in range(3):
        with pytest.raises(CommitUnknownError):
            hall.step(hall.tap("card-7"))
    hall.store.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_failed_commit_left_is_asked_about_and_ends(tmp_path, when):
    """A debit that came back without its play gets exactly one end."""
    hall = furnished(tmp_path / "l.db")
    before = hall.store.calls
    hall.step(hall.tap("card-8", 2))
    needed = hall.store.calls - before
    hall.store.fail_at, hall.store._when = hall.store.calls + needed, when
    with pytest.raises(CommitUnknownError):
        hall.wait(1_000, hall.tap("card-7", 1))
    hall._open_store = SqliteStore
    hall.restart()
    asked = commands(hall.step(*hall.arrivals()))
    assert [command.ttl_ms for command in asked] == ([0] if when == "before" else [0, 0])
    hall.step(*(hall.answer(command, "refused", lane=1) for command in asked))
    hall.step(*(hall.answer(command, "refused", lane=2) for command in asked))
    assert set(states(hall.store).values()) == {State.VOIDED}
    assert (hall.balance("card-7"), hall.balance("card-8")) == (LEASE, LEASE)
    assert faults_of(hall.store) == []
    hall.store.close()


@pytest.mark.parametrize("statement", ["INSERT INTO entries", "INSERT INTO authorizations", "UPDATE leases"])
def test_a_step_that_fails_in_the_middle_leaves_nothing(tmp_path, statement):
    class Watching(FailingStore):
        def execute(self, sql, values=()):
            if self.armed and sql.startswith(statement):
                self.fail_at = self.calls + 1
            return super().execute(sql, values)

        def executemany(self, sql, rows):
            if self.armed and sql.startswith(statement):
                self.fail_at = self.calls + 1
            super().executemany(sql, rows)

        armed = False

    hall = Hall(tmp_path / "l.db", open_store=Watching)
    hall.enroll("card-7", LEASE)
    hall.store.armed = True
    with pytest.raises(CommitUnknownError):
        hall.step(hall.tap("card-7"))
    hall._open_store = SqliteStore
    hall.restart()
    hall.step()
    assert (states(hall.store), hall.balance("card-7")) == ({}, LEASE)
    hall.store.close()


def losses(folder: Path, mutant: str) -> list[str]:
    till = MUTANTS[mutant].till
    return [
        broken
        for number in places(folder, till=till)
        for broken in fail_at(folder / f"{number}.db", number, "before", till=till)
    ]


@pytest.mark.long
def test_a_build_that_commands_before_its_commit_is_caught(tmp_path):
    assert any("was given and is None" in broken for broken in losses(tmp_path, "command-before-commit"))


@pytest.mark.long
def test_a_build_that_goes_on_is_caught(tmp_path):
    broken = losses(tmp_path, "catch-and-continue")
    assert any("was given and is None" in text for text in broken)
    assert any("said nothing" in text for text in broken)


def test_a_command_is_the_answer_to_a_hold_on_the_disk(tmp_path):
    """Read with a second connection in the moment the effects are there."""
    hall = furnished(tmp_path / "l.db")
    (command,) = commands(hall.step(hall.tap("card-7")))
    other = sqlite3.connect(hall.path)
    sql = "SELECT state FROM authorizations WHERE id = ?"
    assert other.execute(sql, (uuid_bytes(command.id),)).fetchall() == [(3,)]
    other.close()
    assert msgspec.json.decode(command.body) == {"credits": 1}
    hall.store.close()
