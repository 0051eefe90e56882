"""When a hub connects again: later and later in vain, soon behind a line that stood, and never more than promised."""

import pytest

from cloud_sync.mqtt_link import BrokerSilentError, BrokerUnavailableError
from cloud_sync.protocol.retry import CAP_MS, FLOOR_MS, SILENT_CAP_MS
from edge_agent.links import redial as redial_room
from edge_agent.links.redial import LASTED_S, STOOD_S, Redial

REFUSED = BrokerUnavailableError("127.0.0.1:1", "nobody there")
SILENT = BrokerSilentError("127.0.0.1:1", "nobody answers")
TLS_S = 5.0
"""How long a TLS handshake waits for a broker that stands still."""


@pytest.fixture
def now(monkeypatch):
    """A clock that a test sets, and dice that throw the longest wait."""
    clock = [0.0]
    monkeypatch.setattr(redial_room.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(redial_room.random, "random", lambda: 0.999_999)
    return clock


def connect(redial, clock, fault, *, took_s, answered=False):
    """Connect once; return the wait behind it."""
    redial.begin()
    if answered:
        redial.answered()
    clock[0] += took_s
    redial.failed(fault)
    return redial.wait_s()


def test_a_broker_that_refuses_is_met_ever_more_rarely_and_after_a_minute_at_the_latest(now):
    redial = Redial()
    waits = [connect(redial, now, REFUSED, took_s=0.0) for _ in range(12)]
    assert waits == sorted(waits)
    assert CAP_MS / 1_000 - 1 < waits[-1] <= CAP_MS / 1_000


def test_a_broker_that_stands_still_is_met_soon_after_it_goes_on(now):
    redial = Redial()
    connect(redial, now, REFUSED, took_s=2 * LASTED_S, answered=True)
    waits = [connect(redial, now, SILENT, took_s=TLS_S) for _ in range(12)]
    assert waits == sorted(waits)
    assert waits[0] > waits[-1] / 8, "the answer of a connection before it says nothing of this one"
    assert SILENT_CAP_MS / 1_000 - 1 < waits[-1] <= SILENT_CAP_MS / 1_000 < 30 - 2 * TLS_S


def test_behind_a_line_that_stood_a_hub_is_back_at_once_and_behind_one_that_did_not_it_is_not(now):
    redial = Redial()
    for _ in range(6):
        connect(redial, now, REFUSED, took_s=0.0)
    assert connect(redial, now, REFUSED, took_s=14.0) > 10
    assert connect(redial, now, REFUSED, took_s=STOOD_S + 1) <= 2 * FLOOR_MS / 1_000
    assert connect(redial, now, REFUSED, took_s=LASTED_S + 1, answered=True) <= 2 * FLOOR_MS / 1_000
