"""Several slaves on one ccTalk line: each driver has it for itself, as far as it can tell."""

import asyncio

import pytest

from device_profiles.loading import load_catalog
from device_profiles.schema import Acceptor
from firmware_bridge.drivers.cctalk_acceptor import CctalkAcceptor
from firmware_bridge.drivers.cctalk_hopper import CctalkHopper
from firmware_bridge.drivers.cctalk_line import CctalkLine, find_slaves
from firmware_bridge.drivers.interface import Answer, Condition, Counted, ValueFact
from firmware_bridge.probing import probe_cctalk
from firmware_bridge.simulators.cctalk_acceptor import CctalkAcceptorSimulator
from firmware_bridge.simulators.cctalk_bus import CctalkBusSimulator
from firmware_bridge.simulators.cctalk_hopper import CctalkHopperSimulator
from firmware_bridge.transports.shared_port import share_serial
from firmware_bridge.wire.cctalk import Header
from payment_core.events import CoinInserted
from tests.support.hopper_bench import QUICK, SERIAL, dispense
from tests.support.in_memory import in_memory
from tests.support.on_a_pty import on_a_pty

pytestmark = pytest.mark.long

ACCEPTOR = Acceptor(unit="CNY", positions={3: 100}, poll_ms=20)
DEADLINE_S = 20


def bus(*, echo: bool) -> CctalkBusSimulator:
    """A coin acceptor and two hoppers."""
    slaves = {
        2: CctalkAcceptorSimulator(needs_polling=False),
        3: CctalkHopperSimulator(works=QUICK),
        7: CctalkHopperSimulator(works=QUICK, address=7, serial=7),
    }
    return CctalkBusSimulator(slaves, echo=echo)


def test_all_slaves_answer_an_address_poll_and_are_found():
    async def story(*, echo: bool):
        async with in_memory(bus(echo=echo)) as pipe:
            return await find_slaves(pipe, checksum="simple")

    assert asyncio.run(story(echo=True)) == [2, 3, 7]


def test_a_probe_names_the_addresses_that_no_page_asks():
    async def story():
        async with in_memory(bus(echo=False)) as pipe:
            return await probe_cctalk(pipe, load_catalog()["cctalk-coin-acceptor"])

    found = asyncio.run(story())
    assert found.detail.startswith("address 2: ")
    assert found.detail.endswith("; on this line too: 3, 7")


def test_a_late_answer_of_one_slave_is_not_taken_for_another_s():
    async def story():
        def late(question: bytes, answer: bytes) -> bytes:
            return b"" if question[0] == 3 else (bytes.fromhex("0103030001020300")[:-1] + b"\xf3") + answer

        async with in_memory(bus(echo=False), mangle=late) as pipe:
            hopper, coins = (CctalkLine(pipe, checksum="simple", address=address) for address in (3, 2))
            assert await hopper.look(Header.SERIAL_NUMBER) is None
            assert await coins.ask(Header.SERIAL_NUMBER) == bytes.fromhex("4E61BC")

    asyncio.run(story())


def test_a_coin_and_a_payout_on_one_port_with_an_absent_third(tmp_path):
    async def told(outbox, wanted):
        async with asyncio.timeout(DEADLINE_S):
            while True:
                said = await outbox.get()
                if isinstance(said, Counted | ValueFact) and said.written is not None:
                    said.written.set()
                if wanted(said):
                    return said

    async def story(running):
        port = str(running.link)
        coins = CctalkAcceptor(share_serial(port, baud=9_600), ACCEPTOR, last_counter=None)
        hopper = CctalkHopper(share_serial(port, baud=9_600), SERIAL)
        absent = CctalkHopper(share_serial(port, baud=9_600), type(SERIAL)(variant="plain", address=9, poll_ms=10))
        boxes = [(asyncio.Queue(64), asyncio.Queue(256)) for _ in range(3)]
        tasks = [
            asyncio.create_task(driver.run(*box)) for driver, box in zip((coins, hopper, absent), boxes, strict=True)
        ]
        online = lambda said: isinstance(said, Condition) and said.state == "online"  # noqa: E731
        await told(boxes[0][1], online)
        await told(boxes[1][1], online)
        boxes[1][0].put_nowait(dispense(3))
        running.say("2 coin 3")
        fact = await told(boxes[0][1], lambda said: isinstance(said, ValueFact))
        assert fact.body == CoinInserted(3, 1)
        answer = await told(boxes[1][1], lambda said: isinstance(said, Answer))
        assert answer == Answer(dispense(3).id, "done", amount=3)
        away = await told(boxes[2][1], lambda said: isinstance(said, Condition))
        assert away.state == "offline"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with on_a_pty(bus(echo=True), tmp_path / "bus") as running:
        asyncio.run(story(running))
        assert running.status()["3"]["coins_dispensed"] == 3
        assert running.status()["7"]["coins_dispensed"] == 0
