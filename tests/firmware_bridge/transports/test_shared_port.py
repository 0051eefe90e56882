"""One port for several devices: opened once, gone for all, closed by the last."""

import asyncio
import contextlib

import pytest

from firmware_bridge.simulators.pseudo_terminal import Pty
from firmware_bridge.transports import shared_port
from firmware_bridge.transports.interface import TransportClosedError, TransportError
from firmware_bridge.transports.memory import memory_pipes
from firmware_bridge.transports.shared_port import share_serial, turn_of


@pytest.fixture
def pty(tmp_path):
    pty = Pty(tmp_path / "bus")
    pty.plug()
    yield pty
    pty.close()


def test_two_devices_use_one_open_port_and_take_turns(pty, tmp_path):
    (tmp_path / "by-id").symlink_to(pty.link)

    async def story():
        first, second = share_serial(str(pty.link), baud=9_600), share_serial(str(tmp_path / "by-id"), baud=9_600)
        assert turn_of(first) is turn_of(second)
        assert turn_of(first) is not turn_of(memory_pipes()[0])
        first.close()
        first.close()
        await second.write(b"still open")
        with pytest.raises(TransportError, match="open at 9600 baud for another device, this one needs 19200"):
            share_serial(str(pty.link), baud=19_200)
        second.close()
        with pytest.raises(TransportClosedError):
            await second.write(b"x")
        third = share_serial(str(pty.link), baud=19_200)
        third.close()

    asyncio.run(story())


def test_unplugged_it_is_gone_for_all_and_opened_anew_by_the_next(pty):
    async def story():
        first, second = share_serial(str(pty.link), baud=9_600), share_serial(str(pty.link), baud=9_600)
        pty.unplug()
        for port in (first, second):
            with pytest.raises(TransportClosedError):
                await port.read()
        with contextlib.suppress(TransportClosedError):
            await first.write(b"x")
        pty.plug()
        again = share_serial(str(pty.link), baud=9_600)
        second.close()
        first.close()
        await again.write(b"x")
        again.close()

    asyncio.run(story())
    assert all(owner.gone for owner in shared_port._OWNERS.values() if not owner.users)
