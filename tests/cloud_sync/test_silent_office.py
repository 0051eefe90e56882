"""A hub tells a silent office from a half-open line by the broker's PUBACKs: it stays there, and drops the other."""

import itertools
import random

import pytest

from cloud_sync.letters import Publish
from cloud_sync.protocol.retry import RESEND_BASE_MS
from cloud_sync.upload_waiting import AGAIN_MS, LEAVE_MS, RESENDS, Patience
from tests.cloud_sync.test_uploader import pair, run_dry
from tests.cloud_sync.world import moment

TICK_MS = 500
HALF_OPEN_MS = RESEND_BASE_MS * (2 ** (RESENDS + 1) - 1) + (RESENDS + 1) * TICK_MS
"""A line without PUBACKs is dropped within this: two resends, each with its wait, as the ticks see them."""
HELLO_BYTES = 700


def wait_in_vain(hub, from_ms, to_ms, *, acknowledged=True):
    """Let the office be silent for a while; return when what went up, by its last word, until the link is dropped."""
    sent, connects = [], hub.reconnects
    for now_ms in range(from_ms, to_ms, TICK_MS):
        if acknowledged:
            hub.uploader.on_acknowledged(moment(now_ms))
        hub.tick(now_ms)
        sent += [(now_ms, letter.topic.rpartition("/")[2], len(letter.payload)) for letter in hub.outgoing]
        hub.outgoing.clear()
        if hub.reconnects > connects:
            break
    return sent


def greeted(seed=1):
    hub, office, receiver = pair(seed)
    hub.connect(0)
    run_dry(hub, receiver, 0)
    hub.commit(600)
    return hub, office, receiver


@pytest.mark.parametrize("seed", range(5))
def test_behind_a_silent_office_a_hub_stays_and_says_a_hello_now_and_then(seed):
    hub, office, receiver = greeted(seed)
    sent = wait_in_vain(hub, 10_000, 10_000 + LEAVE_MS // 2)
    assert (hub.reconnects, hub.silences) == (0, 1)
    later = [(at, leaf, size) for at, leaf, size in sent if at > 10_000 + HALF_OPEN_MS]
    assert {leaf for _, leaf, _ in later} == {"hello"}
    assert max(size for _, _, size in later) < HELLO_BYTES
    waits = [after[0] - before[0] for before, after in itertools.pairwise(later)]
    assert min(waits) >= AGAIN_MS // 2
    assert max(waits) <= AGAIN_MS + TICK_MS
    assert len(set(waits)) > 1, "each by its own dice"
    hub.commit(1)
    run_dry(hub, receiver, 100_000)
    assert office.booked[hub.identity.hub_id] == hub.journal


def test_a_build_that_drops_a_line_that_is_alive_is_caught(monkeypatch):
    monkeypatch.setattr(Patience, "acknowledged", lambda _self, _mono_ms: None)
    with pytest.raises(AssertionError):
        test_behind_a_silent_office_a_hub_stays_and_says_a_hello_now_and_then(1)


@pytest.mark.parametrize("seed", range(5))
def test_a_line_without_pubacks_is_dropped_after_two_resends(seed):
    hub, _, _ = greeted(seed)
    sent = wait_in_vain(hub, 10_000, 10_000 + HALF_OPEN_MS, acknowledged=False)
    assert (hub.reconnects, hub.silences) == (1, 0)
    assert {leaf for _, leaf, _ in sent} == {"batch", "hello"}  # the hello is that of the next connection


def test_a_build_that_never_drops_a_line_without_receipts_is_caught(monkeypatch):
    monkeypatch.setattr(Patience, "try_again", lambda _self, _mono_ms: True)
    with pytest.raises(AssertionError):
        test_a_line_without_pubacks_is_dropped_after_two_resends(1)


def test_a_line_that_dies_while_its_office_is_silent_is_dropped_at_the_next_hello():
    hub, _, _ = greeted()
    wait_in_vain(hub, 10_000, 40_000)
    assert hub.reconnects == 0
    wait_in_vain(hub, 40_000, 40_000 + 2 * AGAIN_MS, acknowledged=False)
    assert hub.reconnects == 1


def test_a_line_that_is_alive_is_dropped_now_and_then_all_the_same():
    left = []
    for seed in range(5):
        hub, _, _ = greeted(seed)
        left.append(wait_in_vain(hub, 10_000, 200_000)[-1][0] - 10_000)
        assert hub.reconnects == 1
    assert min(left) >= LEAVE_MS // 2
    assert max(left) <= LEAVE_MS + HALF_OPEN_MS + AGAIN_MS
    assert len(set(left)) == 5


def test_an_office_that_takes_longer_than_all_resends_is_understood():
    hub, _, receiver = pair()
    hub.connect(0)
    first = hub.outgoing[0]
    wait_in_vain(hub, 0, 40_000)
    (answer,) = [said for said in receiver.on_message(1, first.topic, first.payload) if isinstance(said, Publish)]
    hub.hear(40_000, answer.topic, answer.payload)
    assert hub.uploader._greeted


def test_puback_before_a_resend_proves_nothing_about_it():
    patience = Patience(random.Random(1).randbytes)
    for _ in range(RESENDS):
        assert patience.try_again(0)
    patience.acknowledged(1_000)
    patience.begin(1_000)
    assert not patience.try_again(9_000)
