"""The office is killed at any statement of a batch: after a restart the books are whole, and the batch is in once."""

import multiprocessing
import os
import signal
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from back_office.store import chains
from back_office.store.engine import open_store, sqlite_url
from back_office.worker import Worker
from tests.back_office.world import HUB, KEYS, TENANT, WALL_MS, Office
from tests.support.sizes import count

pytestmark = pytest.mark.slow
STATEMENTS = 60
AFTER_ALL = 1_000
"""Later than a batch's last statement: the kill finds it booked."""


def take_and_die(file, topic, data, at):
    """In a process of its own: apply the batch and be killed before statement `at`, or after the last."""
    seen = iter(range(at))

    def count_down(*_):
        if next(seen, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    store = open_store(sqlite_url(Path(file)))
    sa.event.listen(store._engine, "checkout", lambda driver, *_: driver.set_trace_callback(count_down))
    Worker(store, KEYS, lambda: WALL_MS).on_message(topic, data)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def scene(tmp_path):
    office = Office(tmp_path)
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    office.hub.held(200)
    office.hub.captured(200)
    office.store.close()
    return office, office.file.read_bytes()


@pytest.mark.parametrize("at", [*range(0, STATEMENTS, max(1, 20 // count(20))), AFTER_ALL])
def test_a_killed_office_has_all_of_a_batch_or_nothing(scene, at):
    office, before = scene
    office.file.write_bytes(before)
    data = office.hub.seal()
    victim = multiprocessing.get_context("spawn").Process(
        target=take_and_die, args=(str(office.file), office.hub.batch_topic, data, at)
    )
    victim.start()
    victim.join(30)
    assert victim.exitcode == -signal.SIGKILL

    with closing(open_store(sqlite_url(office.file))) as store:
        office.store = store
        office.start()
        booked = office.prove()
        assert booked.ok, booked.faults
        assert booked.entries in {0: {3}, AFTER_ALL: {6}}.get(at, {3, 6})
        handled = office.take(data)
        assert [letter.topic.rsplit("/", 1)[1] for letter in handled.letters] == ["receipt"]
        proof = office.prove()
        assert (proof.ok, proof.entries, proof.duplicates) == (True, 6, 0)
        with store.reading() as tx:
            assert chains.chain(tx, TENANT, HUB, stream=0, epoch=1).batch_seq == 1
