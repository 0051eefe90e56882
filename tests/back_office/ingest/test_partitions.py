"""Partitions are leased to workers; whoever lost one writes nothing more for it, whatever he believes."""

import threading

import pytest

from back_office.ingest.holding import RENEW_MS, Holding
from back_office.store import chains, partitions, transactions
from back_office.store.engine import Fence
from back_office.store.faults import StoreFencedError
from back_office.store.partitions import TTL_MS
from back_office.worker import Worker
from cloud_sync.protocol import topics
from cloud_sync.protocol.messages import LeaseRequest
from tests.back_office.world import GUEST, HUB, KEYS, OTHER_GUEST, OTHER_HUB, TENANT, WALL_MS, leaves, tamper

PARTITION, OTHER_PARTITION = topics.partition(HUB), topics.partition(OTHER_HUB)


class Workers:
    """Several workers on one office's books, each with a clock of its own."""

    def __init__(self, office):
        self.office = office
        self.clocks = {}

    def start(self, name, *, wanted=range(64), yields=False):
        self.clocks.setdefault(name, self.office.now_ms)
        holding = Holding(self.office.store, TENANT, name, lambda: self.clocks[name], wanted=wanted, yields=yields)
        worker = Worker(self.office.store, KEYS, lambda: self.clocks[name], holding)
        worker.hold()
        return worker

    def later(self, name, ms):
        self.clocks[name] += ms


@pytest.fixture
def workers(office):
    return Workers(office)


def rows(office):
    with office.store.reading() as tx:
        return partitions.leases(tx, TENANT)


def booked(office):
    with office.store.reading() as tx:
        chain = chains.chain(tx, TENANT, HUB, stream=0, epoch=1)
    return chain.rec_seq if chain is not None else 0


def reasons(handled):
    return [refusal.reason for refusal in handled.refusals]


def test_workers_share_the_partitions_as_they_are_told(office, workers):
    first, second = workers.start("a", wanted=range(16)), workers.start("b", wanted=range(64))
    assert (first.held, second.held) == (frozenset(range(16)), frozenset(range(16, 64)))
    assert {row.epoch for row in rows(office).values()} == {1}


def test_a_worker_hears_its_own_partitions_only(office, workers):
    worker = workers.start("a", wanted={OTHER_PARTITION})
    assert worker.on_message(*office.hub.hello()) == worker.on_message(office.hub.batch_topic, office.hub.seal())
    assert booked(office) == 0


def test_a_lease_that_ran_out_is_taken_over_and_not_before(office, workers):
    workers.start("a")
    second = workers.start("b")
    assert second.held == frozenset()
    workers.later("b", TTL_MS - 1)
    second.tick()
    assert second.held == frozenset()
    workers.later("b", RENEW_MS)
    second.tick()
    assert len(second.held) == topics.PARTITIONS
    assert {row.epoch for row in rows(office).values()} == {2}


def test_a_renewed_lease_is_not_taken_over(office, workers):
    first, second = workers.start("a"), workers.start("b")
    for _ in range(4):
        workers.later("a", RENEW_MS)
        workers.later("b", RENEW_MS)
        first.tick()
        second.tick()
    assert (len(first.held), len(second.held)) == (topics.PARTITIONS, 0)
    assert {row.epoch for row in rows(office).values()} == {1}


def test_a_worker_that_ends_gives_its_partitions_away_at_once(workers):
    first, second = workers.start("a"), workers.start("b")
    first.stop()
    workers.later("b", RENEW_MS)
    second.tick()
    assert len(second.held) == topics.PARTITIONS


def test_a_worker_that_starts_again_takes_its_own_at_once_and_fences_the_process_before(office, workers):
    before = workers.start("a")
    again = workers.start("a")
    assert len(again.held) == topics.PARTITIONS
    assert reasons(before.on_message(*office.hub.hello())) == ["fenced"]
    assert before.held == frozenset(range(64)) - {PARTITION}
    workers.later("a", RENEW_MS)
    before.tick()
    again.tick()
    assert (len(before.held), len(again.held)) == (0, topics.PARTITIONS)


def held_by_who_is_ahead(office, clock_of):
    """Let a worker whose clock is an hour ahead take all, and end; return whether another may take it by now."""
    holdings = []
    for ahead_ms in (3_600_000, 0):
        own = office.now_ms + ahead_ms
        clock = clock_of(office.store, lambda own=own: own)
        holdings.append(Holding(office.store, TENANT, f"w{ahead_ms}", clock))
        holdings[-1].look()
    return rows(office)[0].until_ms - clock()


def test_on_a_server_all_leases_go_by_its_clock(office):
    with office.store.reading() as tx:
        one_clock = not tx.is_sqlite  # a file has workers of one machine
    assert (held_by_who_is_ahead(office, partitions.clock_of) <= TTL_MS) == one_clock


def test_a_build_that_goes_by_each_workers_clock_is_caught(office):
    assert held_by_who_is_ahead(office, lambda _store, own: own) > TTL_MS


def kept_beside_what_was_lost(office, workers):
    """Have a worker hear that it lost one partition, by letters that name two: of the other it is still the owner."""
    first = workers.start("a", wanted={PARTITION, OTHER_PARTITION})
    workers.clocks["b"] = office.now_ms + TTL_MS
    workers.start("b", wanted={PARTITION})
    data = office.hub.seal()
    forged = office.enroll(OTHER_HUB, "stage").seal()
    first._lose([(office.hub.batch_topic, data), (topics.hub_topic(HUB, "up", "carried"), forged)])
    return first.held


def test_only_what_the_books_say_is_lost_is_given_up(office, workers):
    assert kept_beside_what_was_lost(office, workers) == {OTHER_PARTITION}


def test_a_build_that_gives_up_by_a_messages_word_is_caught(office, workers, monkeypatch):
    def lost(self, hub_id):
        return frozenset({partition} if self._held.pop(partition := topics.partition(hub_id), None) else ())

    monkeypatch.setattr(Holding, "lost", lost)
    with pytest.raises(AssertionError):
        test_only_what_the_books_say_is_lost_is_given_up(office, workers)


def test_who_stands_in_gives_up_what_another_asks_for(office, workers):
    stands_in, worker = workers.start("run", yields=True), workers.start("a", wanted=range(16))
    assert (len(stands_in.held), worker.held) == (64, frozenset())
    workers.later("run", RENEW_MS)
    stands_in.tick()
    assert stands_in.held == frozenset(range(16, 64))
    workers.later("a", RENEW_MS)
    worker.tick()
    assert worker.held == frozenset(range(16))
    workers.later("run", RENEW_MS)
    stands_in.tick()
    assert stands_in.held == frozenset(range(16, 64))
    workers.later("run", 2 * TTL_MS)  # the worker is gone
    stands_in.tick()
    assert len(stands_in.held) == 64
    assert rows(office)[0].epoch == 3


def two_owners(office, workers):
    """Return a worker that lost its partition without knowing it, and the one that has it."""
    first = workers.start("a")
    first.on_message(*office.hub.hello())
    workers.later("b", TTL_MS) if "b" in workers.clocks else workers.clocks.update(b=office.now_ms + TTL_MS)
    second = workers.start("b")
    assert PARTITION in first.held & second.held
    return first, second


def writes_of_who_lost_it(office, workers):
    """Let both take the same batch, the one that lost it first; return what was booked after each."""
    first, second = two_owners(office, workers)
    office.hub.held(0)
    data = office.hub.batch()
    after = []
    for worker in (first, second):
        worker.on_message(office.hub.batch_topic, data)
        after.append(booked(office))
    return after


def test_of_two_that_believe_they_own_it_one_writes(office, workers):
    first, second = two_owners(office, workers)
    office.hub.held(0)
    data = office.hub.batch()
    assert reasons(first.on_message(office.hub.batch_topic, data)) == ["fenced"]
    assert (booked(office), PARTITION in first.held) == (0, False)
    assert first.on_message(office.hub.batch_topic, data).letters == ()
    assert leaves(second.on_message(office.hub.batch_topic, data).letters) == ["receipt"]
    assert booked(office) == 2
    assert office.prove().ok


@pytest.mark.parametrize("message", ["hello", "request"])
def test_no_letter_of_a_hub_is_answered_by_who_lost_it(office, workers, message):
    office.top_up(1_000)
    first, _ = two_owners(office, workers)
    letter = office.hub.hello() if message == "hello" else office.hub.letter(LeaseRequest(GUEST), "request")
    assert reasons(first.on_message(*letter)) == ["fenced"]
    assert office.left() == 0


def test_a_wish_of_a_hub_that_is_lost_costs_no_other_hub_its_place(office, workers):
    other = office.enroll(OTHER_HUB, "foyer")
    worker, beside = workers.start("a"), Worker(office.store, KEYS, lambda: office.now_ms)
    for hub in (office.hub, other):
        worker.on_message(*hub.hello())
    for giver, wisher, account in ((other, office.hub, GUEST), (office.hub, other, OTHER_GUEST)):
        office.top_up(1_000, account=account, payment=account.hex())
        office.lease(account=account, hub_id=giver.identity.hub_id)
        worker.on_message(*wisher.letter(LeaseRequest(account), "request"))
        giver.returned(1_000, account=account, why="recall")
        beside.on_message(giver.batch_topic, giver.batch())
    tamper(office, f"UPDATE partition_leases SET epoch = epoch + 1 WHERE partition = {PARTITION}")  # noqa: S608 - our own id
    worker.tick()
    assert worker.held == frozenset(range(64)) - {PARTITION}
    assert (office.left(HUB), office.left(OTHER_HUB, account=OTHER_GUEST)) == (0, 1_000)


def test_a_build_that_does_not_check_the_fence_is_caught(office, workers, monkeypatch):
    """The mutant: a worker whose lease ran out goes on writing."""
    assert writes_of_who_lost_it(office, workers) == [0, 2]
    monkeypatch.setattr(transactions, "_check", lambda _tx, _fences: None)
    office.hub.held(0)
    data = office.hub.batch()
    stale = workers.start("c", wanted=())
    stale._holding._held = {PARTITION: 1}
    stale.on_message(office.hub.batch_topic, data)
    assert booked(office) == 3


def test_a_takeover_waits_for_the_transaction_that_has_named_its_fence(office, workers):
    """Lost in the middle of a batch: what has begun under an epoch is whole before another epoch begins."""
    first = workers.start("a")
    epoch = first._holding.fences(HUB)[0].epoch
    taking = threading.Event()
    seen = []

    def take_over():
        taking.set()

        def claim(tx):
            now_ms = office.now_ms + TTL_MS
            return partitions.claim(tx, TENANT, {PARTITION}, "b", now_ms=now_ms)

        seen.append(office.store.write(claim))

    other = threading.Thread(target=take_over)
    with office.store.beside(Fence(TENANT, PARTITION, epoch)) as tx:
        other.start()
        taking.wait()
        assert partitions.leases(tx, TENANT)[PARTITION].epoch == epoch
    other.join()
    assert seen == [{PARTITION: epoch + 1}]
    lost = pytest.raises(StoreFencedError, match=f"epoch {epoch + 1}, ours was {epoch}")
    with lost, office.store.writing(Fence(TENANT, PARTITION, epoch)):
        pass


def test_a_hello_that_a_batch_has_overtaken_freezes_nobody_at_the_worker_that_took_over(office, workers):
    """What is needed to know that stands in the books: the one before is gone with its memory."""
    first = workers.start("a")
    first.on_message(*office.hub.hello())
    late = office.hub.hello(last_seq=0)
    office.hub.clock_ms = WALL_MS + 1_000
    first.on_message(office.hub.batch_topic, office.hub.batch())
    first.stop()
    second = workers.start("b")
    assert leaves(second.on_message(*late).letters) == ["receipt"]
    assert office.frozen() == ""


def test_pages_hear_of_entries_that_another_worker_took(office, workers):
    pages, worker = workers.start("run", wanted=()), workers.start("a")
    pages.moved_elsewhere()
    assert not pages.moved_elsewhere()
    worker.on_message(*office.hub.hello())
    workers.later("a", 1)
    worker.on_message(office.hub.batch_topic, office.hub.batch())
    assert [pages.moved_elsewhere(), pages.moved_elsewhere()] == [True, False]
