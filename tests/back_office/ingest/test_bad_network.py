"""Batches lost, doubled and shuffled, and the office started anew between them: the books are those of the journal."""

import random

import pytest

from back_office.ingest.holding import Holding
from back_office.store import chains
from back_office.store.partitions import TTL_MS
from back_office.worker import Worker
from payment_core.journal import CoinBooked
from tests.back_office.world import HUB, KEYS, TENANT
from tests.support.sizes import count

BATCHES = 12
LOST, DOUBLED, RESTARTED, LEASE_ENDED = 0.2, 0.3, 0.1, 0.15
REORDERED = 50
ROUNDS = 200
"""Far more rounds than any seed needs: in each, everything without a receipt is sent again."""


def write_journal(hub, dice):
    """Return the batches of an evening, and the coins in them."""
    coins, batches = 0, []
    for _ in range(BATCHES):
        for _ in range(dice.randrange(4)):
            coins += 1
            hub.write(lambda header, n=coins: CoinBooked(1, header, "acceptor-1", 1, n, n, 1, "CNY", 100))
        hub.held(0, authorization=len(batches) + 1)
        batches.append(hub.batch())
    return batches, coins


def booked_batches(office):
    with office.store.reading() as tx:
        chain = chains.chain(tx, TENANT, HUB, stream=0, epoch=1)
    return chain.batch_seq if chain is not None else 0


def shuffled_within(batches, dice, *, most):
    """Return batches with each at most so many places from where it was."""
    return [data for _, data in sorted((number + dice.uniform(0, most), data) for number, data in enumerate(batches))]


@pytest.mark.parametrize("seed", range(count(100)))
def test_the_books_are_those_of_the_journal(office, seed):
    dice = random.Random(seed)
    office.worker.on_message(*office.hub.hello())
    batches, coins = write_journal(office.hub, dice)
    for _ in range(ROUNDS):
        waiting = batches[booked_batches(office) :]
        if not waiting:
            break
        waiting += [data for data in waiting if dice.random() < DOUBLED]
        dice.shuffle(waiting)
        for data in waiting:
            if dice.random() < RESTARTED:
                office.start()
            if dice.random() >= LOST:
                assert office.take(data).refusals == ()
    judge(office, coins)


@pytest.mark.parametrize("seed", range(count(60)))
def test_two_workers_that_take_partitions_from_each_other_write_the_same_books(office, seed):
    """In groups as they wait, 30 % doubled, 50 apart, 20 % lost, and again and again the wrong one has it."""
    dice = random.Random(seed)
    office.worker.on_message(*office.hub.hello())
    batches, coins = write_journal(office.hub, dice)
    now = [office.now_ms]
    workers = [started(office, name, now) for name in ("a", "b")]
    for _ in range(ROUNDS):
        waiting = batches[booked_batches(office) :]
        if not waiting:
            break
        waiting += [data for data in waiting if dice.random() < DOUBLED]
        waiting = [data for data in shuffled_within(waiting, dice, most=REORDERED) if dice.random() >= LOST]
        while waiting:
            size = dice.randint(1, 5)
            group, waiting = waiting[:size], waiting[size:]
            worker = dice.randrange(2)
            if dice.random() < RESTARTED:
                workers[worker] = started(office, "ab"[worker], now)
            if dice.random() < LEASE_ENDED:
                now[0] += TTL_MS
                workers[dice.randrange(2)].tick()
            handled = workers[worker].on_messages([(office.hub.batch_topic, data) for data in group])
            assert {refusal.reason for refusal in handled.refusals} <= {"fenced", "gap"}
    judge(office, coins)


def started(office, name, now):
    worker = Worker(office.store, KEYS, lambda: now[0], Holding(office.store, TENANT, name, lambda: now[0]))
    worker.hold()
    return worker


def judge(office, coins):
    proof = office.prove()
    assert (proof.ok, proof.gaps, proof.duplicates, office.frozen()) == (True, 0, 0, "")
    with office.store.reading() as tx:
        chain = chains.chain(tx, TENANT, HUB, stream=0, epoch=1)
        rows = [(row.record, row.hash) for row in chains.entries_of(tx, TENANT, chain)]
    assert rows == office.hub.records
    assert sum(b"acceptor-1" in record for record, _ in rows) == coins
