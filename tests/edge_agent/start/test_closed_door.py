"""Behind a closed door guests are answered, results are taken, coins wait, and what is intact goes to the office."""

import pytest

from edge_agent.ledger.rescue import Rescue
from edge_agent.messages import BatchSealed, BatchStored, JournalGrew, ReceiptTaken, Show
from edge_agent.staff_messages import StaffActed
from edge_agent.start.closed_door import ClosedDesk, ClosedDoor, known_lanes
from payment_core.desk import Look
from tests.support.hall import Hall, the_command, views


@pytest.fixture(name="hall")
def hall_fixture(tmp_path):
    hall = Hall(tmp_path / "l.db")
    hall.enroll("card-7", 1_000)
    yield hall
    hall.store.close()


@pytest.fixture(name="door")
def door_fixture(hall):
    return ClosedDoor(known_lanes(hall.store), wall_ms=lambda: 77)


def test_a_tap_is_answered_at_its_lane(hall, door):
    tap = hall.tap("card-7", 2)
    assert not door.admits(tap)
    (answer,) = door.answer(tap)
    assert isinstance(answer, Show)
    assert (answer.lane, answer.view.state, answer.view.reason) == ("lane-2", "declined", "hub_closed")
    assert (answer.view.at_ms, answer.view.machine) == (77, "racer-2")


def test_a_desk_is_told_so_too(door):
    fact = StaffActed(bytes(16), "desk-1", "lin", Look("open"))
    assert not door.admits(fact)
    (reply,) = door.answer(fact)
    assert (reply.terminal, reply.reply.outcome, reply.reply.reason) == ("desk-1", "refused", "hub_closed")


def test_every_lane_has_the_sign(door):
    assert [view.reason for view in views(door.say())] == ["hub_closed", "hub_closed"]


def test_a_coin_waits_at_its_bridge_and_a_result_does_not(hall, door):
    command = the_command(hall.step(hall.tap("card-7")))
    assert not door.admits(hall.coin(1))
    assert door.answer(hall.coin(1)) == []
    assert door.admits(hall.delivered(command))
    assert door.admits(hall.answer(command, "done"))
    assert all(door.admits(fact) for fact in hall.arrivals())


def test_a_desk_without_a_ledger_turns_everybody_away(hall, door):
    told = []
    desk = ClosedDesk(door, rescue=None, deliver=told.extend)
    desk.start()
    desk.offer_together([hall.tap("card-7"), hall.coin(1), *hall.arrivals()])
    assert [view.reason for view in views(told)] == ["hub_closed"]
    desk.stop()


def test_what_a_closed_desk_seals_survives_a_restart(hall, door):
    told = []
    hall.step(hall.tap("card-7"))
    hall.store.close()
    rescue = Rescue(hall.path, epoch=1)
    desk = ClosedDesk(door, rescue=rescue, deliver=told.extend)
    desk.start()
    assert told == [JournalGrew(rescue.end)]
    assert len(rescue.records(0, 100)) == rescue.end > 2
    desk.offer(BatchSealed(1, 1, 2, bytes(32), sealed_bytes()))
    assert told[1:] == [BatchStored(1)]
    rescue.close()
    again = Rescue(hall.path, epoch=1)
    assert (again.upload_facts().last_batch, again.upload_facts().last_seq) == (1, 2)
    ClosedDesk(door, rescue=again, deliver=told.extend).offer(ReceiptTaken(1, 2))
    assert (again.upload_facts().acked_batch, again.upload_facts().waiting) == (1, ())
    assert again.upload_facts().tail_hash == sealed_bytes()[108:140]
    again.close()


def sealed_bytes() -> bytes:
    """Any bytes as long as a batch's header; its tail hash is what counts here."""
    return bytes(108) + b"tail hash of two entries........" + bytes(200)


