"""The scanner's driver against its simulator on a real pseudo-terminal, and on a line that misbehaves."""

import asyncio
import contextlib

import pytest

from device_profiles.schema import Scanner
from firmware_bridge.drivers import qr_scanner
from firmware_bridge.drivers.last_code import LastCode
from firmware_bridge.drivers.qr_scanner import QrScanner
from firmware_bridge.simulators.gm65 import Gm65Simulator
from firmware_bridge.transports.interface import TransportClosedError
from firmware_bridge.transports.memory import memory_pipes
from firmware_bridge.transports.serial_port import open_serial
from firmware_bridge.wire import gm65
from payment_core.commands import Accept, Identify
from payment_core.events import CodeScanned
from tests.support.driving import driving
from tests.support.on_a_pty import on_a_pty

pytestmark = pytest.mark.long


@contextlib.asynccontextmanager
async def at(running, **settings):
    """Give a driver on a simulator's terminal."""
    async with driving(QrScanner(open_serial(str(running.link)), Scanner(**settings))) as driver:
        yield driver


@pytest.fixture(autouse=True)
def busy(monkeypatch):
    """Look after the settings more often than a venue needs."""
    monkeypatch.setattr(qr_scanner, "UPKEEP_S", 0.15)
    monkeypatch.setattr(qr_scanner, "ANSWER_S", 0.25)


@pytest.fixture
def scanner(tmp_path):
    with on_a_pty(Gm65Simulator(), tmp_path / "scanner") as running:
        yield running


def test_it_is_set_as_wanted_once_and_each_code_is_told_once(scanner):
    async def story():
        async with at(scanner, same_code_ms=60_000) as driver:
            await driver.condition("online")
            assert scanner.status()["saved"] == 0xD6
            scanner.say("show VH1:0", "show VH1:0", "show VM1:1")
            assert await driver.wish() == CodeScanned("VH1:0")
            assert await driver.wish() == CodeScanned("VM1:1")
        async with at(scanner) as driver:
            await driver.condition("online")
        assert (scanner.status()["writes"], scanner.status()["saves"]) == (1, 1)

    asyncio.run(story())


def test_in_command_mode_it_is_told_to_look_again_after_each_code(scanner):
    async def story():
        async with at(scanner, mode="command") as driver:
            await driver.condition("online")
            for text in ("A", "B", "C"):
                scanner.say(f"hold 4s {text}")
                assert await driver.wish() == CodeScanned(text)

    asyncio.run(story())


def test_identify_lights_it_up_and_nothing_else_is_understood(scanner):
    async def story():
        async with at(scanner) as driver:
            await driver.condition("online")
            assert (await driver.ask(Identify())).outcome == "done"
            assert scanner.status()["triggers"] == 1
            assert (await driver.ask(Accept(on=True), "c2")).reason == "not_supported"

    asyncio.run(story())


def test_a_scanner_that_lost_its_power_is_set_again(scanner):
    async def story():
        async with at(scanner) as driver:
            await driver.condition("online")
            scanner.simulator._flash[gm65.SETTINGS] = 0xD4  # it did not keep what was saved
            scanner.say("silence 1500ms", "reset", "between VH1:7")
            await driver.condition("offline")
            assert await driver.wish() == CodeScanned("VH1:7")
            await driver.condition("online")
            status = scanner.status()
            assert (status["settings"], status["saves"]) == (0xD6, 1)

    asyncio.run(story())


def test_noise_before_the_first_answer_and_a_line_that_is_cut(scanner):
    async def story():
        scanner.say(f"noise {'ff02' * 2048}", "wrong")
        async with at(scanner) as driver:
            online = await driver.condition("online")
            scanner.say("show VH1:0")
            assert await driver.wish() == CodeScanned("VH1:0")
            scanner.say("unplug 1s")
            with pytest.raises(TransportClosedError):
                await driver.task
            assert online.state == "online"

    asyncio.run(story())


def test_single_bytes_far_apart_are_read():
    async def story():
        host, device = memory_pipes()
        async with driving(QrScanner(host, Scanner())) as driver:
            for byte in b"VH1:0\r":
                await device.write(bytes([byte]))
                await asyncio.sleep(0.02)
            assert await driver.wish() == CodeScanned("VH1:0")
            assert "no answer" in (await driver.condition("offline")).reason

    asyncio.run(story())


@pytest.mark.parametrize("fault", ["echo", "doubled", "late", "former"])
def test_a_line_that_says_things_twice_or_late_makes_no_codes_and_no_wrong_settings(fault):
    async def story():
        host, device = memory_pipes()
        simulator, questions, enough = Gm65Simulator(), 0, asyncio.Event()
        held = b""

        async def answer():
            nonlocal held, questions
            while True:
                question = await device.read()
                questions += 1
                if questions > 5:
                    enough.set()
                said = simulator.feed(question, now_ms=0)
                if fault == "echo":
                    said = question + said
                elif fault == "doubled":
                    said += said
                elif fault == "late":
                    await asyncio.sleep(qr_scanner.ANSWER_S * 1.1)
                else:
                    said, held = held + said, said
                await device.write(said)

        async with driving(QrScanner(host, Scanner())) as driver:
            answering = asyncio.create_task(answer())
            if fault in ("echo", "doubled"):
                await driver.condition("online")
                assert simulator.status()["settings"] == 0xD6
            else:
                await enough.wait()
            answering.cancel()
            assert driver.wishes() == []
            assert simulator.status()["tail"] == gm65.TAIL_IS_CR
            assert simulator.status()["settings"] in (0xD4, 0xD6)

    asyncio.run(story())


def test_a_setting_that_does_not_hold_is_a_fault():
    async def story():
        host, device = memory_pipes()

        async def stubborn():
            decoder = gm65.CommandDecoder()
            while True:
                for command in decoder.feed(await device.read()):
                    value = b"\x01" if command.address == gm65.TAIL else b"\0"
                    await device.write(gm65.encode_answer(gm65.Answer(value)))

        async with driving(QrScanner(host, Scanner())) as driver:
            answering = asyncio.create_task(stubborn())
            assert (await driver.condition("fault")).reason == "setting_not_taken"
            answering.cancel()

    asyncio.run(story())


def test_a_code_that_stays_in_view_is_never_new_again():
    last = LastCode(3_000)
    assert [last.is_new("A", at_s=at) for at in (0, 1, 2, 4.9, 7.8, 10.9)] == [True, False, False, False, False, True]
    assert [last.is_new(text, at_s=11) for text in ("B", "A", "A")] == [True, True, False]
