"""The relay: plugged in it passes all, pulled it resets, quiet it says nothing, and it counts what goes up."""

import asyncio
import contextlib

from venuehub.demo.relay import Relay

SOON_S, NEVER_S = 0.02, 10.0


@contextlib.asynccontextmanager
async def relayed():
    """Yield a relay, a way to connect through it, and what the far side has heard."""
    heard, writers = [], []

    async def connect():
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writers.append(writer)
        return reader, writer

    async def serve(reader, writer):
        writers.append(writer)
        while data := await reader.read(64):
            heard.append(data)
            writer.write(data.upper())

    far = await asyncio.start_server(serve, "127.0.0.1", 0)
    relay = Relay(far.sockets[0].getsockname()[1])
    await relay.start()
    try:
        yield relay, connect, heard
    finally:
        await relay.stop()
        far.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(SOON_S / 10)  # both ends see it


async def said(line, words, within_s=NEVER_S):
    """Say something and return the answer, b"" where the connection ends, None where nothing comes in time."""
    reader, writer = line
    writer.write(words)
    try:
        return await asyncio.wait_for(reader.read(64), within_s)
    except TimeoutError:
        return None
    except ConnectionResetError:
        return b""


def test_what_is_plugged_in_passes_and_is_counted():
    async def story():
        async with relayed() as (relay, connect, _heard):
            assert await said(await connect(), b"hello") == b"HELLO"
            assert relay.bytes_up == 5

    asyncio.run(story())


def test_a_pulled_plug_resets_what_is_open_and_lets_nobody_in_until_it_is_plugged():
    async def story():
        async with relayed() as (relay, connect, heard):
            line = await connect()
            assert await said(line, b"one") == b"ONE"
            relay.pull()
            assert await said(line, b"two") == b""
            assert await said(await connect(), b"three") == b""
            relay.plug()
            assert await said(await connect(), b"four") == b"FOUR"
            assert heard == [b"one", b"four"]

    asyncio.run(story())


def test_a_quiet_line_says_nothing_and_a_new_one_gets_through():
    async def story():
        async with relayed() as (relay, connect, heard):
            line = await connect()
            assert await said(line, b"one") == b"ONE"
            relay.go_quiet()
            assert await said(line, b"two", SOON_S) is None
            assert await said(await connect(), b"three") == b"THREE"
            assert (heard, relay.bytes_up) == ([b"one", b"three"], 8)

    asyncio.run(story())
