"""The pipe in memory keeps what a serial port promises."""

import asyncio

import pytest

from firmware_bridge.transports.interface import TransportClosedError
from firmware_bridge.transports.memory import PIPE_LIMIT_BYTES, memory_pipes


def test_what_is_written_at_one_end_is_read_at_the_other():
    async def story():
        here, there = memory_pipes()
        reading = asyncio.create_task(there.read())
        await here.write(b"ping")
        assert await reading == b"ping"
        await there.write(b"po")
        await there.write(b"ng")
        assert await here.read() == b"pong"

    asyncio.run(story())


def test_a_full_pipe_makes_the_writer_wait():
    async def story():
        here, there = memory_pipes()
        await here.write(bytes(PIPE_LIMIT_BYTES))
        waiting = asyncio.create_task(here.write(b"more"))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert len(await there.read()) == PIPE_LIMIT_BYTES
        await waiting
        assert await there.read() == b"more"

    asyncio.run(story())


def test_closing_one_end_closes_both_after_the_last_byte():
    async def story():
        here, there = memory_pipes()
        await here.write(b"last")
        here.close()
        here.close()
        assert await there.read() == b"last"
        for action in (there.read(), here.read(), there.write(b"x"), here.write(b"x")):
            with pytest.raises(TransportClosedError):
                await action

    asyncio.run(story())


def test_closing_wakes_a_reader():
    async def story():
        here, there = memory_pipes()
        reading = asyncio.create_task(here.read())
        await asyncio.sleep(0)
        there.close()
        with pytest.raises(TransportClosedError):
            await reading

    asyncio.run(story())
