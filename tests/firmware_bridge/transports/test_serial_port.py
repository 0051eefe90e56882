"""The serial port on real pseudo-terminals: bytes both ways, unplugging, and faults that name place and remedy."""

import asyncio
import os
import tty
from collections.abc import Iterator

import pytest

from firmware_bridge.transports import serial_port
from firmware_bridge.transports.interface import TransportClosedError, TransportError
from firmware_bridge.transports.serial_port import open_serial

ALL_BYTES = bytes(range(256))


@pytest.fixture
def ends() -> Iterator[tuple[int, str]]:
    """The master of a raw pty and the path of its slave."""
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


def test_every_byte_passes_both_ways(ends):
    master, path = ends

    async def story():
        port = open_serial(path, baud=115_200)
        await port.write(ALL_BYTES)
        assert os.read(master, 1000) == ALL_BYTES
        os.write(master, ALL_BYTES)
        got = b""
        while len(got) < len(ALL_BYTES):
            got += await port.read()
        assert got == ALL_BYTES
        port.close()
        port.close()

    asyncio.run(story())


def test_a_cancelled_read_loses_nothing(ends):
    master, path = ends

    async def story():
        port = open_serial(path)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await port.read()
        os.write(master, b"later")
        assert await port.read() == b"later"
        port.close()

    asyncio.run(story())


def test_unplugging_ends_a_waiting_read_and_every_write():
    master, slave = os.openpty()
    path = os.ttyname(slave)

    async def story():
        port = open_serial(path)
        reading = asyncio.create_task(port.read())
        await asyncio.sleep(0)
        os.close(slave)
        os.close(master)
        with pytest.raises(TransportClosedError, match=f"{path}: gone"):
            await reading
        with pytest.raises(TransportClosedError, match=f"{path}: gone"):
            await port.write(b"x")
        port.close()

    asyncio.run(story())


def test_closing_ends_a_waiting_read(ends):
    async def story():
        port = open_serial(ends[1])
        reading = asyncio.create_task(port.read())
        await asyncio.sleep(0)
        port.close()
        with pytest.raises(TransportClosedError, match="closed here"):
            await reading
        with pytest.raises(TransportClosedError, match="closed here"):
            await port.read()
        with pytest.raises(TransportClosedError, match="closed here"):
            await port.write(b"x")

    asyncio.run(story())


def test_a_line_that_takes_nothing_is_gone(ends, monkeypatch):
    monkeypatch.setattr(serial_port, "WRITE_TIMEOUT_S", 0.05)

    async def story():
        port = open_serial(ends[1])
        with pytest.raises(TransportClosedError, match="takes no bytes for"):
            await port.write(bytes(200_000))
        port.close()

    asyncio.run(story())


def test_faults_name_the_path_and_the_remedy(ends, tmp_path):
    async def story():
        port = open_serial(ends[1])
        with pytest.raises(TransportError, match=f"{ends[1]}: busy: another program"):
            open_serial(ends[1])
        port.close()
        with pytest.raises(TransportError, match="nowhere: no such device: is it plugged in"):
            open_serial(str(tmp_path / "nowhere"))
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(TransportError, match="file: not a serial port"):
            open_serial(str(tmp_path / "file"))
        with pytest.raises(TransportError, match="cannot be opened at -1 baud"):
            open_serial(ends[1], baud=-1)

    asyncio.run(story())


@pytest.mark.parametrize(("number", "remedy"), [(13, "group dialout"), (16, "busy"), (6, "plugged in")])
def test_what_the_kernel_says_becomes_a_remedy(number, remedy, monkeypatch, tmp_path):
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(serial_port.serial, "Serial", refuse)
    with pytest.raises(TransportError, match=remedy):
        open_serial(str(tmp_path / "port"))
