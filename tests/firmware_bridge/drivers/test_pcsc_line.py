"""A PC/SC reader's driver on a machine without the service: a simulated reader on a pseudo-terminal."""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from device_profiles.schema import Reader
from firmware_bridge.drivers.interface import Condition, Observation, Wish
from firmware_bridge.drivers.pcsc_line import LineScard
from firmware_bridge.drivers.pcsc_reader import PcscReader
from firmware_bridge.simulators.vpcd_card import Acr122uSimulator
from payment_core.events import CredentialPresented, CredentialRemoved
from tests.support.on_a_pty import on_a_pty

DEADLINE_S = 20
NTAG424 = "ntag424:04DE5F1EACC040:" + "00" * 16


@contextlib.asynccontextmanager
async def said_by(path: Path) -> AsyncIterator[asyncio.Queue[Observation]]:
    """Run a driver on a line."""
    outbox: asyncio.Queue[Observation] = asyncio.Queue(256)
    reader = Reader(media=(), removed_after_ms=100)
    driver = PcscReader(name=str(path), reader=reader, scard=LineScard(str(path)))
    task = asyncio.create_task(driver.run(asyncio.Queue(8), outbox))
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield outbox
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def body(outbox: asyncio.Queue[Observation]) -> object:
    wish = await outbox.get()
    assert isinstance(wish, Wish), wish
    return wish.body


def test_cards_are_presented_and_removed(tmp_path: Path) -> None:
    async def story() -> None:
        async with said_by(running.link) as outbox:
            assert await outbox.get() == Condition("online", firmware=str(running.link))
            running.say(f"put {NTAG424}")
            shown = await body(outbox)
            assert isinstance(shown, CredentialPresented)
            assert "ctr=000001" in shown.ndef
            running.say("remove", "put felica:0114B34D0000AA01")
            assert await body(outbox) == CredentialRemoved("04DE5F1EACC040")
            assert await body(outbox) == CredentialPresented("felica", "0114B34D0000AA01", "C")

    with on_a_pty(Acr122uSimulator(), tmp_path / "reader") as running:
        asyncio.run(story())


@pytest.mark.slow
def test_unplugged_it_is_offline_and_comes_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with said_by(running.link) as outbox:
            online = await outbox.get()
            running.say("unplug 300ms")
            offline = await outbox.get()
            assert isinstance(offline, Condition)
            assert offline.state == "offline"
            while (condition := await outbox.get()) != online:
                assert isinstance(condition, Condition)

    with on_a_pty(Acr122uSimulator(), tmp_path / "reader") as running:
        asyncio.run(story())


@pytest.mark.slow
@pytest.mark.parametrize("noise", [b"", b"\xff" * 4_096, b"\x00\x09half"])
def test_silence_noise_and_half_answers_are_no_card(tmp_path: Path, noise: bytes) -> None:
    master, slave = os.openpty()
    tty.setraw(master)

    async def story() -> None:
        async with said_by(Path(os.ttyname(slave))) as outbox:
            assert await outbox.get() == Condition("online", firmware=os.ttyname(slave))
            os.set_blocking(master, False)
            with contextlib.suppress(BlockingIOError):
                os.write(master, noise)
            condition = await outbox.get()
            assert isinstance(condition, Condition)
            assert condition.state == "offline"

    try:
        asyncio.run(story())
    finally:
        os.close(master)
        os.close(slave)
