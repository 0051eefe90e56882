"""What waits for a broker that is away: the newest of each thing, and no wish beyond its life."""

import asyncio

import pytest

from edge_agent.links import out_tray
from edge_agent.links.out_tray import OutTray
from edge_agent.links.pumps import pump_together
from edge_agent.messages import JournalGrew, Log, SayBooked, Send, Show
from edge_agent.staff_messages import Reply
from payment_core.bus import Booked, View
from payment_core.commands import PulseCredit, make_command
from payment_core.desk import DeskReply

TTL_MS = 2_000


def view(price):
    return View(state="idle", at_ms=1, unit="CNY", price=price, machine="m")


def wish(number, ttl_ms=TTL_MS):
    command_id = f"00000000-0000-7000-8000-{number:012x}"
    return Send("coin-1", make_command(PulseCredit(1), command_id=command_id, seq=1, boot_id="b", ttl_ms=ttl_ms))


def taken(tray, now_ms):
    return list(iter(lambda: tray.take(now_ms), None))


def test_only_the_newest_view_of_a_lane_waits_and_it_is_never_dropped(monkeypatch):
    monkeypatch.setattr(out_tray, "LIMIT", 4)
    tray = OutTray()
    for price in range(100):
        tray.put(Show("lane-1", view(price)), 0)
    for number in range(6):
        tray.put(wish(number), 0)
    tray.put(Show("lane-2", view(7)), 0)
    assert (len(tray), tray.dropped) == (5, 3)
    assert [effect for effect in taken(tray, 0) if isinstance(effect, Show)] == [
        Show("lane-1", view(99)), Show("lane-2", view(7))
    ]  # fmt: skip


def test_what_nobody_sends_is_not_kept():
    tray = OutTray()
    for effect in (JournalGrew(7), Log("x", {})):
        tray.put(effect, 0)
    assert len(tray) == 0


def test_stale_wishes_make_room_for_a_fresh_one(monkeypatch):
    monkeypatch.setattr(out_tray, "LIMIT", 4)
    tray = OutTray()
    for number in range(4):
        tray.put(wish(number), 0)
    tray.put(wish(9), TTL_MS)
    assert taken(tray, TTL_MS) == [wish(9)]
    assert tray.dropped == 4


def test_a_wish_without_an_end_waits_and_one_that_is_repeated_waits_once():
    tray = OutTray()
    for now_ms in (0, 10_000, 20_000):
        tray.put(wish(1, ttl_ms=0), now_ms)
    tray.clear_stale(99_000)
    assert taken(tray, 99_000) == [wish(1, ttl_ms=0)]


def test_views_and_booked_are_said_again_to_a_broker_that_comes_back():
    tray = OutTray()
    said = [Show("lane-1", view(3)), SayBooked("coins", Booked(1, 7, 7)), wish(1), Reply("d", DeskReply("1", "done"))]
    for effect in said:
        tray.put(effect, 0)
    assert taken(tray, 0) == said
    tray.put(Show("lane-1", view(5)), 1)
    tray.link_up(1)
    assert taken(tray, 1) == [Show("lane-1", view(5)), said[1]]


@pytest.mark.parametrize("who", ["reader", "sender"])
def test_whichever_pump_dies_the_other_ends_with_it(who):
    ended = []

    async def dies():
        await asyncio.sleep(0)
        raise ConnectionError(who)

    async def waits():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("other")

    pumps = (dies(), waits()) if who == "reader" else (waits(), dies())
    with pytest.raises(ConnectionError, match=who):
        asyncio.run(asyncio.wait_for(pump_together(*pumps), 10))
    assert ended == ["other"]
