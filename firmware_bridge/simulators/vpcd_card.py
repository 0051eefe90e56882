"""Puts a simulated ACR122U behind the PC/SC service, through the virtual reader of vsmartcard (vpcd).

vpcd listens on TCP and takes whoever connects for a card in its field. A message is its length (2 bytes, high byte
first) and that many bytes: one byte is a control (0 power off, 1 power on, 2 reset, 4 asks for the answer to reset,
which is the only one answered), more is an APDU.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, TextIO

import msgspec

from firmware_bridge.simulators.acr122u import Acr122u
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.process import EXIT_DONE, EXIT_INTERRUPTED, EXIT_USAGE
from firmware_bridge.simulators.script import ScriptLine, milliseconds, read_script, script_line, script_lines

TCP: Final = "tcp:"
PORT: Final = 35_963
"""Where Debian's vsmartcard-vpcd listens."""
TICK_S: Final = 0.005
SWAP_S: Final = 0.5
"""pcscd looks for a virtual card every 0.4 s: one that left and came again in between would never be seen."""
LINE_LIMIT_BYTES: Final = 1_000
MESSAGE_LIMIT_BYTES: Final = 1_024
"""More than any APDU of a contactless card."""

_LENGTH_BYTES: Final = 2
_GONE: Final = (asyncio.IncompleteReadError, ConnectionError)


def vpcd_address(link: Path) -> tuple[str, int]:
    """Return host and port in `tcp:HOST:PORT`; ScriptError says how it is written."""
    host, _, port = str(link).removeprefix(TCP).rpartition(":")
    if not str(link).startswith(TCP) or not host or not port.isdigit():
        message = f"{link}: a reader behind PC/SC needs --link {TCP}127.0.0.1:{PORT}, where vpcd listens"
        raise ScriptError(message)
    return host, int(port)


def message_of(reader: Acr122u, said: bytes) -> bytes | None:
    """Return what the card answers to one message of vpcd's, None where it does not answer."""
    if len(said) != 1:
        return reader.apdu(said)
    match said[0]:
        case 4:
            return reader.atr()
        case 0 | 1 | 2 as control:
            reader.power(on=False)
            if control:
                reader.power(on=True)
        case _:
            pass  # a control of a later version
    return None


class Acr122uSimulator:
    """The reader on a pseudo-terminal (simulators/interface.py), for machines without the PC/SC service.

    The answer to reset of an empty field has no bytes.
    """

    verbs: ClassVar[Mapping[str, str]] = Acr122u.verbs

    def __init__(self, *, card: str = "") -> None:
        """Switch on, with `card` in the field where one is given."""
        self._reader = Acr122u(card=card)
        self._received = b""

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return the answers."""
        self._reader.tick(now_ms=now_ms)
        self._received += data
        sent = b""
        while len(self._received) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._received[:_LENGTH_BYTES], "big")
            if end > MESSAGE_LIMIT_BYTES:
                self._received = b""  # no host says so much: whatever this is, it is forgotten
            if len(self._received) < end:
                break
            answer = message_of(self._reader, self._received[_LENGTH_BYTES:end])
            self._received = self._received[end:]
            if answer is not None:
                sent += len(answer).to_bytes(_LENGTH_BYTES, "big") + answer
        return sent

    def tick(self, *, now_ms: int) -> bytes:
        """Let a card leave in time."""
        self._reader.tick(now_ms=now_ms)
        return b""

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out a script line."""
        return self._reader.command(words, now_ms=now_ms)

    def status(self) -> dict[str, object]:
        """Return the reader's counters."""
        return self._reader.status()


class VpcdCard:
    """Serves a reader: connected while a card is in the field."""

    def __init__(self, reader: Acr122u, host: str, port: int) -> None:
        """Name where vpcd listens."""
        self._reader = reader
        self._host = host
        self._port = port

    async def serve(self) -> None:
        """Serve until cancelled; OSError where nobody listens."""
        while True:
            if self._reader.card is None:
                await asyncio.sleep(TICK_S)
                self._tick()
                continue
            await self._one_card(self._reader.insertions)
            await asyncio.sleep(SWAP_S)

    async def _one_card(self, insertion: int) -> None:
        """Be connected until the card leaves or the service lets go."""
        receive, send = await asyncio.open_connection(self._host, self._port)
        pump = asyncio.create_task(self._pump(receive, send))
        try:
            while not pump.done() and self._reader.card is not None and self._reader.insertions == insertion:
                await asyncio.wait([pump], timeout=TICK_S)
                self._tick()
        finally:
            pump.cancel()
            send.close()
            with contextlib.suppress(asyncio.CancelledError, *_GONE):
                await pump
            with contextlib.suppress(ConnectionError):
                await send.wait_closed()

    async def _pump(self, receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
        while True:
            size = int.from_bytes(await receive.readexactly(_LENGTH_BYTES), "big")
            answer = message_of(self._reader, await receive.readexactly(size))
            if answer is not None:
                send.write(len(answer).to_bytes(_LENGTH_BYTES, "big") + answer)
                await send.drain()

    def _tick(self) -> None:
        self._reader.tick(now_ms=_now_ms())


async def run_vpcd(
    reader: Acr122u, link: Path, lines: Sequence[ScriptLine], *, typed: TextIO | None, output: TextIO = sys.stdout
) -> None:
    """Carry out a script's lines, then those typed, until `quit`; print the counters at the end.

    ScriptError names a bad line of the script, OSError the service that does not listen.
    """
    host, port = vpcd_address(link)
    serving = asyncio.create_task(VpcdCard(reader, host, port).serve())
    playing = asyncio.create_task(_play(reader, lines, typed))
    try:
        await asyncio.wait([serving, playing], return_when=asyncio.FIRST_COMPLETED)
        for task in (serving, playing):
            if task.done():
                task.result()
    finally:
        serving.cancel()
        playing.cancel()
        await asyncio.gather(serving, playing, return_exceptions=True)
        output.write(msgspec.json.encode(reader.status()).decode() + "\n")


def run_behind_pcsc(link: Path, *, card: str, script: Path | None) -> int:
    """Run a reader behind the service until it is told to end; return the exit code. ScriptError names a bad line."""
    lines = script_lines(read_script(script), source=str(script)) if script else []
    try:
        asyncio.run(run_vpcd(Acr122u(card=card), link, lines, typed=sys.stdin))
    except OSError as error:
        sys.stderr.write(f"{link}: {error}: is pcscd running, with vsmartcard-vpcd installed?\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_DONE


async def _play(reader: Acr122u, lines: Sequence[ScriptLine], typed: TextIO | None) -> None:
    async for line in _all_lines(lines, typed):
        match line.words:
            case ("quit",):
                return
            case ("pause", duration):
                wait_ms = milliseconds(duration)
            case words:
                try:
                    wait_ms = reader.command(list(words), now_ms=_now_ms())
                except ScriptError as error:
                    message = f"{line.place}: {error}"
                    raise ScriptError(message) from error
        await asyncio.sleep(wait_ms / 1_000)


async def _all_lines(lines: Sequence[ScriptLine], typed: TextIO | None) -> AsyncIterator[ScriptLine]:
    for line in lines:
        yield line
    number = 0
    while typed is not None:
        text = await asyncio.to_thread(typed.readline, LINE_LIMIT_BYTES)
        if not text:
            break
        number += 1
        typed_line = script_line(text, source="stdin", number=number)
        if typed_line is not None:
            yield typed_line
    if typed is not None:
        await asyncio.Event().wait()  # the end of the input does not end the simulator


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
