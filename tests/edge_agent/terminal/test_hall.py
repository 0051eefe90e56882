"""What the bus says becomes what the lanes show."""

import asyncio

import pytest

from edge_agent.terminal.hall import MAX_LANES, Hall
from payment_core.bus import DeviceState, View, device_topic, encode, view_topic


@pytest.fixture
def hall():
    made = Hall(default_language="en", languages=("zh-Hans", "en"), now_ms=lambda: 1_000)
    made.set_connected(connected=True)
    return made


def say(hall, lane, state="idle", *, retained=False):
    message = View(state=state, at_ms=0, unit="CNY", price=200, machine="Racer 2")
    hall.on_message(view_topic("hub-1", lane), encode(message), retained=retained)


def test_a_view_is_shown_on_its_lane_alone(hall):
    say(hall, "racer-2", "approved")
    assert hall.screen(hall.feed("racer-2")).state == "approved"
    assert hall.screen(hall.feed("racer-3")).state == "waiting"


def test_only_lanes_of_the_bus_are_listed(hall):
    hall.feed("made-up")
    say(hall, "racer-2")
    assert [screen.lane for screen in hall.lanes()] == ["racer-2"]


def test_device_states_are_kept(hall):
    hall.on_message(
        device_topic("hub-1", "reader-1", "state"), encode(DeviceState(state="fault", since_ms=1)), retained=True
    )
    assert hall.devices["reader-1"].state == "fault"


def test_what_is_malformed_is_counted_and_left(hall):
    hall.on_message(view_topic("hub-1", "racer-2"), b'{"state":"dancing"}', retained=False)
    hall.on_message("elsewhere", b"", retained=False)
    assert (hall.malformed, hall.lanes()) == (1, [])


def test_lanes_of_the_bus_are_bounded(hall):
    for number in range(MAX_LANES + 1):
        say(hall, f"lane-{number}")
    assert len(hall.lanes()) == MAX_LANES


def test_made_up_lanes_take_no_place(hall):
    for number in range(MAX_LANES):
        assert hall.screen(hall.feed(f"made-up-{number}")).state == "waiting"
    say(hall, "racer-2")
    assert hall.screen(hall.feed("racer-2")).state == "idle"
    assert not hall.pick_language("made-up-0", "en")


def test_a_screen_that_was_opened_before_the_hub_spoke_is_the_lanes_own(hall):
    early = hall.feed("racer-2")
    say(hall, "racer-2", "approved")
    assert hall.feed("racer-2") is early
    assert hall.screen(early).state == "approved"


def test_who_waits_is_woken_by_a_view(hall):
    async def story():
        feed = hall.feed("racer-2")
        waiting = asyncio.create_task(feed.wait(feed.version, 60_000))
        await asyncio.sleep(0)
        say(hall, "racer-2", "approved")
        await asyncio.wait_for(waiting, 5)

    asyncio.run(story())


def test_a_change_before_the_wait_is_not_missed(hall):
    async def story():
        feed = hall.feed("racer-2")
        seen = feed.version
        say(hall, "racer-2", "approved")
        await asyncio.wait_for(feed.wait(seen, 60_000), 5)

    asyncio.run(story())


def test_a_language_that_is_not_spoken_cannot_be_picked(hall):
    say(hall, "racer-2")
    assert hall.pick_language("racer-2", "zh-Hans") is True
    assert hall.pick_language("racer-2", "th") is False
    assert hall.pick_language("nowhere", "en") is False
