import asyncio
import contextlib
import time
from pathlib import Path

import msgspec
import pytest

from device_profiles.loading import load_catalog
from device_profiles.matching import Device, Power
from firmware_bridge import station as station_module
from firmware_bridge.drivers.interface import Answer, Condition, ValueFact, Wish
from firmware_bridge.gate import Attached, Detached
from firmware_bridge.identities import Identities
from firmware_bridge.simulators.cctalk_acceptor import CctalkAcceptorSimulator
from firmware_bridge.simulators.game_machine import Booth, GameMachine
from firmware_bridge.station import Station
from payment_core.commands import Accept, PulseCredit, make_command
from tests.support.on_a_pty import on_a_pty
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

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


def station_of(device: Device, folder: Path, *, counter=lambda: None) -> Station:
    identities = Identities(folder / "identities.json", named={device.id: device.serial})
    return Station(device, CATALOG[device.profile], counter=counter, identities=identities)


def line_station(place: Path) -> Station:
    return station_of(Device(id="racer-1", profile=LINE.name, socket=str(place)), place.parent)


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
        station = station_of(device, tmp_path, counter=counter)
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
        station = station_of(device, tmp_path, counter=lambda: asked.append(len(asked)))
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


COINS = CATALOG["cctalk-coin-acceptor"]


def coin_station(folder: Path, *, serial: str = "", power: Power | None = None) -> Station:
    device = Device(id="coins", profile=COINS.name, port=str(folder / "acceptor"), serial=serial, power=power)
    return station_of(device, folder, counter=lambda: 0)


async def until(station: Station, wanted) -> list[object]:
    """Return what the station says up to and with the first thing that is wanted."""
    said = []
    async with asyncio.timeout(20):
        while not said or not wanted(said[-1]):
            said.append(await station.outbox.get())
            if isinstance(said[-1], Detached):
                station.heard_out()
    return said


def state(word: str):
    return lambda said: isinstance(said, Condition) and said.state == word


def is_coin(said) -> bool:
    return isinstance(said, ValueFact)


def test_a_stranger_on_the_port_is_quarantined_and_sells_nothing(tmp_path, monkeypatch):
    """BUS-1: the terminals of two acceptors are swapped; the state folder remembers which one was there."""
    monkeypatch.setattr(station_module, "LOOK_S", 0.05)
    monkeypatch.setattr(station_module, "LAST_RETRY_S", 0.1)
    stranger = CctalkAcceptorSimulator(serial=999, needs_polling=False)
    stranger.command(["lose", "3"], now_ms=0)  # coins that our last counter does not know

    async def meet() -> None:
        station = coin_station(tmp_path)
        async with running(station):
            said = await until(station, state("online"))
            assert isinstance(said[0], Attached)
            await asyncio.to_thread(eventually, (tmp_path / "identities.json").exists)

    async def swapped() -> None:
        station = coin_station(tmp_path)
        async with running(station):
            said = await until(station, state("quarantined"))
            said += await until(station, state("quarantined"))
            assert not any(isinstance(word, Attached | ValueFact | Wish) for word in said)
            assert "serial 999 is there, and 12345678 is known" in said[-1].reason
            assert "write its serial into bridge.toml" in said[-1].reason
            assert station.errors >= 2

    async def named() -> None:
        station = coin_station(tmp_path, serial="999")
        async with running(station):
            said = await until(station, state("online"))
            assert isinstance(said[0], Attached)
            plugged.say("lose 1")
            assert (await until(station, is_coin))[-1].counter == 4  # the three before were none of ours
            await asyncio.to_thread(eventually, lambda: "999" in (tmp_path / "identities.json").read_text())

    with on_a_pty(CctalkAcceptorSimulator(), tmp_path / "acceptor"):
        run(meet)
    with on_a_pty(stranger, tmp_path / "acceptor") as plugged:
        run(swapped)
        run(named)


def test_a_build_that_trusts_everybody_fails_the_swap(tmp_path, monkeypatch):
    monkeypatch.setattr(Identities, "expected", lambda _self, _device: "")
    monkeypatch.setattr(asyncio, "timeout", lambda _seconds, timeout=asyncio.timeout: timeout(1))
    with pytest.raises(TimeoutError):
        test_a_stranger_on_the_port_is_quarantined_and_sells_nothing(tmp_path, monkeypatch)


def test_the_end_of_a_driver_whose_device_was_away_is_told_and_it_comes_back(tmp_path, monkeypatch):
    """Nobody knows who is there while it is away; still the desk has to hear that the driver ended."""
    monkeypatch.setattr(station_module, "LOOK_S", 0.05)
    monkeypatch.setattr(station_module, "SILENT_S", 0.2)
    monkeypatch.setattr(station_module, "LAST_RETRY_S", 0.05)

    async def story() -> None:
        station = coin_station(tmp_path)
        async with running(station):
            await until(station, state("online"))
            plugged.say("silence 3600s")
            await until(station, lambda said: isinstance(said, Detached))
            plugged.say("silence 0ms")
            said = await until(station, state("online"))
            assert sum(isinstance(word, Attached) for word in said) == 1 + sum(isinstance(x, Detached) for x in said)

    with on_a_pty(CctalkAcceptorSimulator(), tmp_path / "acceptor") as plugged:
        run(story)


def test_a_gate_that_the_hub_shut_stays_shut_when_the_driver_begins_anew(tmp_path, monkeypatch):
    """Replugged with a shut gate: the new driver opens it at no time, though the hub says nothing again."""
    monkeypatch.setattr(station_module, "LAST_RETRY_S", 0.05)
    accept = make_command(Accept(on=False), command_id="a", seq=0, boot_id="b", ttl_ms=1)

    def is_answer(said) -> bool:
        return isinstance(said, Answer)

    async def story() -> None:
        station = coin_station(tmp_path)
        async with running(station):
            with on_a_pty(first, tmp_path / "acceptor") as plugged:
                said = await until(station, state("online"))
                station.told(accept)
                attached = next(word for word in said if isinstance(word, Attached))
                attached.inbox.put_nowait(accept)
                await until(station, is_answer)
                plugged.say("coin 3")
                await asyncio.to_thread(eventually, lambda: plugged.status()["coins_given_back"] == 1)
            await until(station, state("offline"))
            with on_a_pty(second, tmp_path / "acceptor") as plugged:
                await until(station, state("online"))
                for _ in range(5):
                    plugged.say("coin 3")
                await asyncio.to_thread(eventually, lambda: plugged.status()["coins_given_back"] == 5)

    first, second = CctalkAcceptorSimulator(), CctalkAcceptorSimulator()
    run(story)
    assert (first.status()["coins_inserted"], second.status()["coins_inserted"]) == (0, 0)


def test_mutant_a_station_that_forgets_what_it_was_told_takes_coins(tmp_path, monkeypatch):
    monkeypatch.setattr(Station, "told", lambda *_: None)
    monkeypatch.setattr(eventually, "__defaults__", (1.0,))
    with pytest.raises(AssertionError):
        test_a_gate_that_the_hub_shut_stays_shut_when_the_driver_begins_anew(tmp_path, monkeypatch)


def test_it_comes_back_under_another_path(tmp_path, monkeypatch):
    """Hot-plug both ways: the link of a device goes away and then points to another terminal."""
    monkeypatch.setattr(station_module, "LAST_RETRY_S", 0.05)
    simulator = CctalkAcceptorSimulator()

    async def story() -> None:
        station = coin_station(tmp_path)
        async with running(station):
            with on_a_pty(simulator, tmp_path / "first") as plugged:
                (tmp_path / "acceptor").symlink_to(plugged.link.readlink())
                await until(station, state("online"))
            await until(station, state("offline"))
            (tmp_path / "acceptor").unlink()
            with on_a_pty(simulator, tmp_path / "second") as plugged:
                (tmp_path / "acceptor").symlink_to(plugged.link.readlink())
                await until(station, state("online"))
                plugged.say("lose 1")
                assert (await until(station, is_coin))[-1].body.position == 1

    run(story)


def test_a_silent_device_is_opened_anew_and_then_gets_its_power_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(station_module, "LOOK_S", 0.05)
    monkeypatch.setattr(station_module, "SILENT_S", 0.2)
    monkeypatch.setattr(station_module, "LAST_RETRY_S", 0.05)
    levels = []

    async def relay(reader, writer) -> None:
        while line := await reader.readline():
            levels.append(msgspec.json.decode(line)["level"])
            if levels[-1]:
                dead.command(["silence", "0ms"], now_ms=time.monotonic_ns() // 1_000_000)
        writer.close()

    async def story() -> None:
        server = await asyncio.start_unix_server(relay, tmp_path / "relay.sock")
        station = coin_station(tmp_path, power=Power(socket=str(tmp_path / "relay.sock"), off_ms=20))
        async with server, running(station):
            said = await until(station, state("online"))
            assert sum(isinstance(word, Detached) for word in said) >= 2
            assert any("its driver says nothing" in word.reason for word in said if isinstance(word, Condition))
            assert levels[:2] == [1, 0]
            assert station.errors >= 2

    dead = CctalkAcceptorSimulator()
    dead.command(["silence", "3600s"], now_ms=time.monotonic_ns() // 1_000_000)
    with on_a_pty(dead, tmp_path / "acceptor"):
        run(story)


def test_a_relay_that_is_not_there_is_told_and_the_device_is_tried_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(station_module, "LAST_RETRY_S", 0.01)

    async def story() -> None:
        station = coin_station(tmp_path, power=Power(socket=str(tmp_path / "none.sock")))
        async with running(station):
            for _ in range(5):
                await until(station, state("offline"))

    run(story)
    assert capsys.readouterr().err.count('"device.power_failed"') == 1
