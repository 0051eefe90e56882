"""The door to evdev: what it says where there is no device, and that a pipe of events ends as a device does."""

import asyncio
import os

import pytest

from firmware_bridge.transports.interface import TransportClosedError, TransportError
from firmware_bridge.transports.usb_hid import InputEvents, open_hid


@pytest.mark.parametrize("name", ["nothing", ""])
def test_what_is_no_input_device_is_named_with_a_remedy(tmp_path, name):
    async def story():
        with pytest.raises(TransportError, match=r"is it plugged in|name one below|pip install"):
            open_hid(str(tmp_path / name))

    asyncio.run(story())


def test_a_closed_one_says_so_and_nothing_can_be_written():
    async def story():
        here, there = os.pipe()
        closed = []
        pipe = InputEvents(here, "recording", lambda: closed.append(here))
        os.write(there, b"x")
        assert await pipe.read() == b"x"
        with pytest.raises(TransportError, match="takes no bytes"):
            await pipe.write(b"x")
        os.close(there)
        with pytest.raises(TransportClosedError, match="unplugged"):
            await pipe.read()
        pipe.close()
        pipe.close()
        assert closed == [here]
        with pytest.raises(TransportClosedError, match="closed here"):
            await pipe.read()
        os.close(here)

    asyncio.run(story())
