"""A hub's clock is a year ahead once and a day ahead later; when it is right, the office hears it without a restart."""

import random

import msgspec
import pytest

from cloud_sync import upload_effects as fx
from cloud_sync.upload_letters import LetterBook
from payment_core.journal import TimeQuality
from tests.cloud_sync.world import (
    HUB,
    WALL_MS,
    MemoryHub,
    MemoryOffice,
    OfficeKilledError,
    exchange,
    hub_identity,
    hub_record,
    make_receiver,
    moment,
)

DAY_MS = 86_400_000


def wrong(mono_ms, *, ahead_ms):
    now = moment(mono_ms)
    return msgspec.structs.replace(now, wall_ms=now.wall_ms + ahead_ms, quality=TimeQuality.HELD)


def greet(hub, now):
    hub.run(now.mono_ms, hub.uploader.on_connected(now))


def ahead_twice():
    """Return a hub that has just greeted with a clock a day ahead, and an office that knows one of a year ahead."""
    identity = hub_identity()
    office = MemoryOffice(hub_record(identity))
    receiver = make_receiver(office)
    hub = MemoryHub(identity, random.Random(1))
    for ahead_ms in (400 * DAY_MS, DAY_MS):
        hub.start()
        greet(hub, wrong(0, ahead_ms=ahead_ms))
        exchange(hub, receiver, 0)
    hub.tick(0)  # what is in the journal goes out and is booked
    return hub, office, receiver


def heard(hub, office):
    """Say whether the office has the hub's newest hello, and so tells it what it does not have."""
    return office.hubs[HUB].nonce == hub.uploader._nonce


def test_a_hub_is_heard_when_its_clock_comes_right_in_the_middle_of_a_connection():
    hub, office, receiver = ahead_twice()
    assert not heard(hub, office)
    hub.tick(1_000)
    exchange(hub, receiver, 1_000)
    assert heard(hub, office)
    assert office.hubs[HUB].hello_number == WALL_MS + 400 * DAY_MS
    nonce = hub.uploader._nonce
    hub.tick(2_000)
    exchange(hub, receiver, 2_000)
    assert hub.uploader._nonce == nonce, "one hello says it"


def test_a_hub_is_heard_when_it_connects_again_with_a_right_clock():
    hub, office, receiver = ahead_twice()
    hub.uploader.on_disconnected()
    hub.outgoing.clear()
    greet(hub, moment(1_000))
    exchange(hub, receiver, 1_000)
    assert heard(hub, office)


def test_a_hub_is_heard_though_the_books_were_away_when_its_clock_came_right(monkeypatch):
    hub, office, receiver = ahead_twice()

    def away(*_hello, **_facts):
        raise OfficeKilledError

    hub.tick(1_000)
    letter = next(letter for letter in hub.outgoing if letter.topic.endswith("/hello"))
    with monkeypatch.context() as patched:
        patched.setattr(office, "greeted", away)
        with pytest.raises(OfficeKilledError):
            receiver.on_message(WALL_MS + 1_000, letter.topic, letter.payload)
    assert not heard(hub, office)
    exchange(hub, receiver, 1_000)  # whoever pumps asks the books again
    assert heard(hub, office)


@pytest.mark.parametrize("back_ms", [30_000, 400 * DAY_MS])
def test_numbers_never_fall_by_a_clock_that_is_not_known_to_be_right(back_ms):
    hub, *_ = ahead_twice()
    number = hub.uploader._letters._number
    greet(hub, wrong(1_000, ahead_ms=DAY_MS - back_ms))
    assert hub.uploader._letters._number > number


def test_mutant_a_hub_that_goes_on_from_the_number_of_a_wrong_clock_is_found(monkeypatch):
    def goes_on(_letters: LetterBook, _now: fx.Moment) -> bool:
        return False

    monkeypatch.setattr(LetterBook, "was_ahead", goes_on)
    for check in (
        test_a_hub_is_heard_when_its_clock_comes_right_in_the_middle_of_a_connection,
        test_a_hub_is_heard_when_it_connects_again_with_a_right_clock,
    ):
        with pytest.raises(AssertionError):
            check()
