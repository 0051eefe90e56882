"""Which authorizations are open is known without a look at all of them, and stays true whatever a commit does."""

import hashlib

import pytest

from edge_agent.ledger import authorizations, outbox
from edge_agent.messages import BatchSealed, ReceiptTaken
from payment_core.identifiers import uuid_bytes
from tests.support.hall import Hall, commands

LOOKS_AT_ALL = "SCAN authorizations"


@pytest.fixture(name="hall")
def _hall(tmp_path):
    hall = Hall(tmp_path / "ledger.db")
    yield hall
    hall.store.close()


def _open_ids(store):
    return {row.id for row in authorizations.open_ones(store)}


def _truly_open(store):
    return {key for (key,) in store.rows("SELECT id FROM authorizations WHERE state IN (2, 3, 7)")}


def test_what_is_open_follows_every_step(hall):
    hall.enroll("card-7", 1_000)
    command = commands(hall.step(hall.tap("card-7")))[0]
    assert _open_ids(hall.store) == _truly_open(hall.store) == {uuid_bytes(command.id)}
    hall.step(hall.delivered(command))
    assert _open_ids(hall.store) == _truly_open(hall.store) == set()


def test_a_commit_that_is_rolled_back_takes_its_open_ones_along(hall):
    hall.enroll("card-7", 1_000)
    command = commands(hall.step(hall.tap("card-7")))[0]
    before = _open_ids(hall.store)
    hall.store.execute("BEGIN IMMEDIATE")
    hall.store.execute("UPDATE authorizations SET state = 4 WHERE id = ?", (uuid_bytes(command.id),))
    assert _open_ids(hall.store) == set()
    hall.store.execute("ROLLBACK")
    assert _open_ids(hall.store) == before == _truly_open(hall.store)


def test_they_are_found_again_after_a_restart(hall):
    hall.enroll("card-7", 1_000)
    command = commands(hall.step(hall.tap("card-7")))[0]
    hall.restart()
    assert _open_ids(hall.store) == {uuid_bytes(command.id)}


def test_looking_for_open_ones_and_pruning_read_no_other_row(hall):
    hall.enroll("card-7", 1_000)
    hall.step(hall.tap("card-7"))
    authorizations.open_ones(hall.store)
    for sql in (authorizations._OPEN, "DELETE FROM authorizations WHERE id = x'00' AND held_seq <= 1"):
        plan = " ".join(str(row[3]) for row in hall.store.rows(f"EXPLAIN QUERY PLAN {sql}"))
        assert LOOKS_AT_ALL not in plan
        assert "SEARCH authorizations USING PRIMARY KEY" in plan


def test_pruned_entries_take_exactly_their_authorizations_along(hall):
    hall.enroll("card-7", 1_000)
    for _play in range(2):
        (command,) = commands(hall.step(hall.tap("card-7")))
        hall.wait(5_000, hall.delivered(command))
    hall.step(hall.tap("nobody"))  # a decline has a row, too
    last = hall.store.rows("SELECT max(held_seq) FROM authorizations")[0][0]
    hall.step(BatchSealed(1, 1, last, hashlib.sha256(b"1").digest(), b"sealed"), ReceiptTaken(1, last))
    hall.store.execute("BEGIN IMMEDIATE")
    outbox.prune(hall.store, through_seq=last - 1)
    assert hall.store.rows("SELECT held_seq FROM authorizations") == [(last,)]
    outbox.prune(hall.store, through_seq=last)
    hall.store.commit()
    assert hall.store.rows("SELECT count(*) FROM authorizations") == [(0,)]
