import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest

from device_profiles.loading import load_catalog
from device_profiles.matching import Device
from firmware_bridge import station as station_module
from firmware_bridge.drivers.interface import Answer, Condition
from firmware_bridge.simulators.game_machine import Booth, GameMachine
from firmware_bridge.station import Attached, Detached, Station
from payment_core.commands import PulseCredit, make_command

CATALOG = load_catalog()
LINE = CATALOG["arcade-coin-line"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(station_module, "FIRST_RETRY_S", 0.001)


@contextlib.asynccontextmanager
async def running(station: Station, *, ready: bool = True):
    known = asyncio.Event()
    if ready:
        known.set()
    task = asyncio.ensure_future(station.run(known))
    try:
        yield known
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def line_station(place: Path) -> Station:
    return Station(Device(id="racer-1", profile=LINE.name, socket=str(place)), LINE, counter=lambda: None)


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_device_that_is_not_there_is_offline_once_in_the_log_and_comes_up_by_itself(tmp_path, capsys):
    async def story() -> None:
        station = line_station(tmp_path / "m.sock")
        async with running(station):
            for _ in range(3):
                said = await station.outbox.get()
                assert said.state == "offline"
                assert "Is the simulated machine running?" in said.reason
            booth = Booth(GameMachine())
            server = await asyncio.start_unix_server(booth.serve, tmp_path / "m.sock")
            async with server:
                while isinstance(said := await station.outbox.get(), Condition):
                    assert said.state == "offline"
                assert isinstance(said, Attached)
                assert await station.outbox.get() == Condition("online")
                await said.inbox.put(make_command(PulseCredit(1), command_id="a", seq=1, boot_id="b", ttl_ms=1))
                assert await station.outbox.get() == Answer("a", "done", amount=1)

    run(story)
    lines = [msgspec.json.decode(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["device"], line["state"]) for line in lines] == [
        ("driver.ended", "racer-1", "offline")
    ]


def test_intake_is_stopped_and_opened(tmp_path):
    async def story() -> None:
        server = await asyncio.start_unix_server(Booth(GameMachine()).serve, tmp_path / "m.sock")
        station = line_station(tmp_path / "m.sock")
        async with server, running(station):
            first = await station.outbox.get()
            await station.outbox.get()
            station.stop_intake()
            assert await station.outbox.get() == Detached()
            assert await station.outbox.get() == Condition("fault", reason="value_log_full")
            station.open_intake()
            station.heard_out()
            second = await station.outbox.get()
            assert isinstance(second, Attached)
            assert second.inbox is not first.inbox

    run(story)


def test_a_device_with_a_counter_waits_until_it_can_be_known(tmp_path):
    async def story() -> None:
        profile = CATALOG["cctalk-coin-acceptor"]
        asked = asyncio.Event()

        def counter() -> int | None:
            asked.set()
            return 3

        device = Device(id="coins", profile=profile.name, port=str(tmp_path / "no-port"))
        station = Station(device, profile, counter=counter)
        async with running(station, ready=False) as known:
            await asyncio.sleep(0)
            assert not asked.is_set()
            known.set()
            said = await station.outbox.get()
            assert (said.state, asked.is_set()) == ("offline", True)
            assert "no-port" in said.reason

    run(story)


def test_the_next_driver_is_opened_when_the_last_words_of_the_former_are_in_the_log(tmp_path):
    async def story() -> None:
        asked = []
        device = Device(id="racer-1", profile=LINE.name, socket=str(tmp_path / "m.sock"))
        station = Station(device, LINE, counter=lambda: asked.append(len(asked)))
        server = await asyncio.start_unix_server(Booth(GameMachine()).serve, tmp_path / "m.sock")
        async with server, running(station):
            assert isinstance(await station.outbox.get(), Attached)
            assert await station.outbox.get() == Condition("online")
            station.stop_intake()
            assert await station.outbox.get() == Detached()
            station.open_intake()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(station.outbox.get(), 0.1)
            assert asked == [0]
            station.heard_out()
            assert isinstance(await station.outbox.get(), Attached)
            assert asked == [0, 1]

    run(story)
