"""A hub comes back with a twentieth of a week: nothing it owes is lost or doubled, and no live tap either (RES-1)."""

import asyncio

import pytest

from benchmarks.catchup import CARDS, LANES, MEMORY_GOAL_MIB, Taps, caught_up
from benchmarks.offline_hub import OfflineHub
from benchmarks.processes import status
from benchmarks.tap import Lanes
from cloud_sync.mqtt_link import MqttLink, MqttSettings
from edge_agent.ledger.reader import LedgerReader
from payment_core.journal import Held, decode_own
from venuehub.demo.brokers import find_mosquitto

ENTRIES = 2_500

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]


async def tapped_meanwhile(hub, lanes):
    """Tap while the hub sends what it owes; return the office's process, and how many taps were made and answered."""
    taps = Taps(lanes)
    await lanes.introduce()
    listening = asyncio.create_task(lanes.listen())
    while not lanes.took_s:  # a tap before the hub knows its devices is answered by nobody
        lanes.waits.clear()
        await lanes.tap()
        await asyncio.sleep(1)
    first = len(lanes.took_s)
    tapping = asyncio.create_task(taps.go_on())
    office = await asyncio.to_thread(hub.start_office)
    await caught_up(hub)
    tapping.cancel()
    await asyncio.wait([tapping])
    for _ in range(600):
        if not lanes.waits:
            break
        await asyncio.sleep(0.1)
    listening.cancel()
    await asyncio.wait([listening])
    return office, taps.made, len(lanes.took_s) - first


def held_live(hub, epoch):
    """The numbers of the live taps that money was put aside for, as they are in the journal."""
    reader = LedgerReader(hub.ledger)
    entries = [decode_own(record) for record in reader.records(0, 1_000_000)]
    reader.close()
    return [entry.event_seq for entry in entries if isinstance(entry, Held) and entry.event_epoch == epoch]


def test_what_a_hub_owes_and_what_guests_do_meanwhile_are_both_booked_once(tmp_path):
    async def story():
        async with MqttLink(MqttSettings(host="127.0.0.1", port=hub.bus_port, client_id="taps")) as link:
            lanes = Lanes(link, hub.hub, lanes=LANES, cards=CARDS)
            return lanes, *await tapped_meanwhile(hub, lanes)

    hub = OfflineHub(tmp_path, lanes=LANES, cards=CARDS)
    try:
        hub.move_in()
        hub.play_on(ENTRIES)
        agent = hub.start_agent()
        memory = status(agent.pid, "VmRSS")
        lanes, office, made, answered = asyncio.run(story())
        assert (answered, lanes.waits) == (made, {})
        assert status(agent.pid, "VmHWM") - memory <= MEMORY_GOAL_MIB * 1_024
        hub.until(lambda: hub.waiting() == 0, "the office has everything")
        hub.end(agent)
        hub.end(office)
        assert hub.faults() == []
        taps = held_live(hub, lanes._epoch)
        assert len(taps) == len(set(taps)) == len(lanes.took_s)
    finally:
        hub.processes.stop()
