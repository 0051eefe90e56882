"""Whom a hub hands its batches to, what it hands over, and when it says it again; pure, the clock moves when told."""

import pytest

from cloud_sync.protocol.peers import PeerHere, PeerKept
from cloud_sync.upload_effects import SealedBatch
from edge_agent.lan.handing import (
    AGAIN_MS,
    AT_ONCE,
    FULL_MS,
    HERE_MS,
    NOT_KEPT_MS,
    SILENT_MS,
    Handing,
    HandOver,
    NotKept,
    Position,
    SayHere,
)

LOW, US, HIGH, HIGHER = (bytes([n]) * 16 for n in (1, 2, 3, 4))


class Bench:
    """A hub between three neighbours, with so many sealed batches."""

    def __init__(self, sealed=6):
        self.now_ms, self.sealed, self.acked, self.epoch = 100_000, sealed, 0, 1
        self.handing = Handing(US, self.kept)
        self.handing.on_peers([HIGHER, LOW, HIGH, US])

    def kept(self, after_seq, most):
        numbers = range(after_seq + 1, min(after_seq + most, self.sealed) + 1)
        return [
            SealedBatch(batch_seq=n, first_record=n, record_count=1, digest=bytes(32), data=bytes([n])) for n in numbers
        ]

    def here(self, *hubs, room=True):
        for hub in hubs:
            self.handing.on_here(self.now_ms, hub, PeerHere(1, 0, room))

    def tick(self, ms=1_000, *, offline=True):
        self.now_ms += ms
        at = Position(self.epoch, self.acked, self.sealed)
        return self.handing.on_tick(self.now_ms, at, offline=offline, room=True)

    def handed(self, ms=1_000, **more):
        return [(said.hub_id, said.sealed[0]) for said in self.tick(ms, **more) if isinstance(said, HandOver)]

    def kept_by(self, hub, *numbers, kept=True, epoch=1):
        for number in numbers:
            self.handing.on_kept(self.now_ms, hub, PeerKept(epoch, number, kept))


@pytest.fixture
def bench():
    return Bench()


def test_the_carrier_is_the_next_by_id_that_is_there(bench):
    assert bench.handing.carrier(bench.now_ms) is None
    bench.here(LOW)
    assert bench.handing.carrier(bench.now_ms) == LOW  # behind the last comes the first
    bench.here(HIGHER)
    assert bench.handing.carrier(bench.now_ms) == HIGHER
    bench.here(HIGH)
    assert bench.handing.carrier(bench.now_ms) == HIGH
    assert bench.handing.carrier(bench.now_ms + SILENT_MS) is None


def test_a_few_at_once_in_order_and_more_behind_each_that_is_kept(bench):
    bench.here(HIGH)
    assert bench.handed() == [(HIGH, n) for n in range(1, AT_ONCE + 1)]
    assert bench.handed() == []
    bench.kept_by(HIGH, 2, 1)
    assert bench.handed() == [(HIGH, 5), (HIGH, 6)]
    bench.kept_by(HIGH, 3, 4, 5, 6)
    assert bench.handed(AGAIN_MS) == []


def test_what_is_not_answered_is_said_again_and_nothing_else_is(bench):
    bench.here(HIGH)
    bench.handed()
    bench.kept_by(HIGH, 2)
    assert bench.handed(AGAIN_MS) == [(HIGH, 1), (HIGH, 3), (HIGH, 4)]


def test_another_carrier_is_given_all_that_has_no_receipt(bench):
    bench.here(HIGHER)
    bench.handed()
    bench.kept_by(HIGHER, 1, 2, 3)
    bench.acked = 1
    bench.here(HIGH)
    assert [hub for hub, _ in bench.handed()] == [HIGH] * AT_ONCE
    bench.kept_by(HIGHER, 2, 3, 4)  # an old answer of another
    bench.kept_by(HIGH, 2)
    assert bench.handed(AGAIN_MS) == [(HIGH, 3), (HIGH, 4), (HIGH, 5), (HIGH, 6)]


def test_who_has_no_room_is_left_alone_for_a_while(bench):
    bench.here(HIGH, HIGHER)
    bench.handed()
    bench.kept_by(HIGH, 1, kept=False)
    assert bench.handed() == [(HIGHER, n) for n in range(1, AT_ONCE + 1)]
    bench.now_ms += FULL_MS
    bench.here(HIGH)
    assert bench.handing.carrier(bench.now_ms) == HIGH
    bench.here(HIGH, room=False)
    assert bench.handing.carrier(bench.now_ms) is None


def test_with_an_office_nothing_is_handed_over_and_it_goes_on_behind_the_receipts(bench):
    bench.here(HIGH)
    assert bench.handed(offline=False) == []
    bench.acked = 5
    assert bench.handed() == [(HIGH, 6)]


def test_an_answer_of_another_epoch_counts_for_nothing(bench):
    bench.here(HIGH)
    bench.handed()
    bench.kept_by(HIGH, 1, 2, 3, 4, epoch=2)
    assert len(bench.handed(AGAIN_MS)) == AT_ONCE
    bench.epoch = 2
    assert [number for _, number in bench.handed()] == [1, 2, 3, 4]


def test_it_says_that_it_is_here_to_each_neighbour_now_and_then(bench):
    bench.acked = 3
    said = [one for one in bench.tick(0) if isinstance(one, SayHere)]
    assert {one.hub_id for one in said} == {LOW, HIGH, HIGHER}
    assert said[0].body == PeerHere(1, 3, room=True)
    assert bench.tick(HERE_MS - 1, offline=False) == []
    assert len(bench.tick(1, offline=False)) == 3


def told(bench, until_ms):
    """Let the carrier be there and say at which ms it is told of that it answers no batch."""
    moments = []
    for at_ms in range(AGAIN_MS, until_ms + 1, AGAIN_MS):
        bench.here(HIGH)
        said = bench.tick(AGAIN_MS)
        moments += [at_ms for one in said if one == NotKept(HIGH)]
    return moments


def test_a_carrier_that_answers_no_batch_is_told_of_once(bench):
    assert told(bench, 3 * NOT_KEPT_MS) == [AGAIN_MS + NOT_KEPT_MS]
    bench.kept_by(HIGH, 1)
    assert told(bench, 2 * NOT_KEPT_MS) == [AGAIN_MS + NOT_KEPT_MS]  # another silence
    bench.tick(offline=False)
    assert told(bench, NOT_KEPT_MS) == []  # another outage begins to count anew


def test_one_that_answers_is_not_told_of(bench):
    bench.sealed = 40
    for number in range(1, 40):
        bench.here(HIGH)
        assert NotKept(HIGH) not in bench.tick(AGAIN_MS)
        bench.kept_by(HIGH, number)
