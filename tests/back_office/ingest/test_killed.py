"""A worker is killed at any statement of a batch: after a restart the books are whole, and the batch is in once."""

import multiprocessing
import os
import signal

import pytest

from back_office.ingest.holding import Holding
from back_office.store import chains
from back_office.store.engine import open_store
from back_office.store.partitions import TTL_MS
from back_office.store.transaction import Transaction
from back_office.worker import Worker
from tests.back_office.world import HUB, KEYS, TENANT, WALL_MS, Office, leaves
from tests.support.sizes import count

pytestmark = pytest.mark.slow
STATEMENTS = 60
AFTER_ALL = 1_000
"""Later than a batch's last statement: the kill finds it booked."""
EVERY = {"sqlite": max(1, 20 // count(20)), "postgresql": max(1, 30 // count(30))}


def held_by(store, name, now_ms):
    worker = Worker(store, KEYS, lambda: now_ms, Holding(store, TENANT, name, lambda: now_ms))
    worker.hold()
    return worker


def take_and_die(url, topic, data, at):
    """In a process of its own: apply the batch and be killed before statement `at`, or after the last."""
    seen = iter(range(at))
    worker = held_by(open_store(url), "first", WALL_MS)
    for name in ("execute", "add_rows"):
        real = getattr(Transaction, name)

        def counted(*arguments, real=real):
            if next(seen, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        setattr(Transaction, name, counted)
    worker.on_message(topic, data)
    os.kill(os.getpid(), signal.SIGKILL)


def ready(office):
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    office.hub.held(200)
    office.hub.captured(200)
    return office


def killed(office, data, at):
    victim = multiprocessing.get_context("fork").Process(  # it opens the books anew, and imports nothing again
        target=take_and_die, args=(office.url, office.hub.batch_topic, data, at)
    )
    victim.start()
    victim.join(30)
    assert victim.exitcode == -signal.SIGKILL


def judge(office, data, at):
    """Let another worker take over once the dead one's leases have run out, and the hub send its batch again."""
    booked = office.prove()
    assert booked.ok, booked.faults
    assert booked.entries in {0: {3}, AFTER_ALL: {6}}.get(at, {3, 6})
    second = held_by(office.store, "second", WALL_MS + TTL_MS)
    assert len(second.held) == 64
    assert leaves(second.on_message(office.hub.batch_topic, data).letters) == ["receipt"]
    proof = office.prove()
    assert (proof.ok, proof.entries, proof.duplicates) == (True, 6, 0)
    with office.store.reading() as tx:
        assert chains.chain(tx, TENANT, HUB, stream=0, epoch=1).batch_seq == 1


@pytest.mark.parametrize("at", [*range(0, STATEMENTS, EVERY["sqlite"]), AFTER_ALL])
@pytest.mark.sqlite
def test_a_killed_worker_has_all_of_a_batch_or_nothing(tmp_path, at):
    office = ready(Office(tmp_path))
    data = office.hub.seal()
    office.store.close()
    killed(office, data, at)
    office.store = open_store(office.url)
    judge(office, data, at)
    office.store.close()


@pytest.mark.parametrize("at", [*range(10, STATEMENTS, EVERY["postgresql"]), AFTER_ALL])
def test_a_worker_killed_in_a_servers_transaction_leaves_nothing_of_it(tmp_path, postgres_founded, at):
    office = ready(Office(tmp_path, postgres_founded))
    data = office.hub.seal()
    killed(office, data, at)
    judge(office, data, at)
    office.store.close()
