"""A webhook's name that nobody looks up in time holds its call no longer than any, and only so many are asked for."""

import socket
from threading import BoundedSemaphore, Event

import pytest

from back_office.api import addresses, calling
from back_office.api.calling import Called, call
from back_office.store.webhooks import Delivery, Webhook
from tests.support.waiting import eventually

HOOK = Webhook(bytes(16), "https://slow.example/x", "alarm.raised", None, bytes(32), "active", 1, 0, "ann")
DELIVERY = Delivery(bytes(16), 1, "alarm.raised", b"{}", 0, 0, 0, "waiting", None, "")


class SlowNames:
    """A resolver that says nothing before it is let, or before `most_s` are over; and how often it was asked."""

    def __init__(self, most_s):
        self.most_s, self.let, self.asked, self.answered = most_s, Event(), [], Event()

    def __call__(self, *_, **__):
        self.asked.append(1)
        self.let.wait(self.most_s)
        self.answered.set()
        raise socket.gaierror(-3, "Temporary failure in name resolution")


@pytest.fixture
def slow(monkeypatch):
    names = SlowNames(20)
    monkeypatch.setattr("socket.getaddrinfo", names)
    monkeypatch.setattr(calling, "TIMEOUT_S", 0.01)
    monkeypatch.setattr(addresses, "_room", BoundedSemaphore(2))
    yield names
    names.let.set()


def called():
    return call(HOOK, DELIVERY, (), now_ms=1)


def late_name(slow):
    assert called() == Called(taken=False, answer="TimeoutError: nobody said in time where slow.example is")
    assert not slow.answered.is_set(), "it waited for the name"


def test_a_name_that_is_looked_up_for_long_holds_its_call_no_longer_than_any(slow):
    late_name(slow)


class Here:
    """A broken build's thread: it is none."""

    def __init__(self, *, target, **_):
        self.start = target


def test_a_build_that_waits_for_the_name_is_caught(slow, monkeypatch):
    slow.most_s = 0.02
    monkeypatch.setattr(addresses, "Thread", Here)
    with pytest.raises(AssertionError):
        late_name(slow)


def test_only_so_many_names_are_asked_for_and_each_gives_its_room_back(slow, monkeypatch):
    for _ in range(5):
        assert called().answer.startswith("TimeoutError")
    eventually(lambda: len(slow.asked) == 2)
    assert called().answer.startswith("TimeoutError")
    slow.let.set()
    monkeypatch.setattr(calling, "TIMEOUT_S", 20)
    for _ in range(3):
        assert called().answer == "gaierror: [Errno -3] Temporary failure in name resolution"
    assert len(slow.asked) == 5, "two that nobody waits for any more, and these three"
