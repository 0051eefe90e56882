"""A TCP relay that reads MQTT: it knows each packet that passes, and does something before or behind one of them."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

PUBLISH, PUBACK = 3, 4
CHUNK_BYTES = 65_536


class Step(msgspec.Struct, frozen=True):
    """One place in the protocol. `up`: from the client to the broker; leaf: of the topic, or `puback`."""

    line: str
    up: bool
    leaf: str
    behind: bool

    def __str__(self) -> str:
        """Say where it is."""
        way = "to" if self.up else "from"
        return f"{'behind' if self.behind else 'before'} a {self.leaf} {way} the broker on the {self.line}'s line"


class MqttTap:
    """Listens on loopback and forwards to `target_port`; as `venuehub.demo.relay.Relay` it can be cut."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._armed: tuple[Step, Callable[[], bool]] | None = None
        self.fired = asyncio.Event()

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        self.reset()
        self._server.close()

    def arm(self, step: Step, act: Callable[[], bool]) -> None:
        """Do `act` at the next packet that fits; where it returns True before one, that is passed on all the same."""
        self.fired.clear()
        self._armed = (step, act)

    def reset(self) -> None:
        """Reset every connection; whoever wants connects again."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            await asyncio.gather(self._copy(reader, far_writer, up=True), self._copy(far_reader, writer, up=False))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        held = b""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                held += data
                while size := _packet(held):
                    packet, held = held[:size], held[size:]
                    if not self._pass(packet, writer, up=up):
                        return
                await writer.drain()
        writer.close()

    def _pass(self, packet: bytes, writer: asyncio.StreamWriter, *, up: bool) -> bool:
        """Pass a packet on, and do what is armed; False where the connection is gone by that."""
        step, act = self._armed or (None, None)
        if step is None or (step.up, step.leaf) != (up, _leaf(packet)):
            writer.write(packet)
            return True
        self._armed = None
        if step.behind:
            writer.write(packet)
        goes_on = act()
        if goes_on and not step.behind:
            writer.write(packet)
        self.fired.set()
        return goes_on


def _packet(data: bytes) -> int:
    """Return the size of the packet that the bytes begin with, 0 where it is not whole yet."""
    length = shift = 0
    for at in range(1, min(len(data), 5)):
        length |= (data[at] & 0x7F) << shift
        shift += 7
        if not data[at] & 0x80:
            size = at + 1 + length
            return size if len(data) >= size else 0
    return 0


def _leaf(packet: bytes) -> str:
    kind = packet[0] >> 4
    if kind == PUBACK:
        return "puback"
    if kind != PUBLISH:
        return ""
    at = 1
    while packet[at] & 0x80:
        at += 1
    size = int.from_bytes(packet[at + 1 : at + 3], "big")
    return packet[at + 3 : at + 3 + size].decode().rpartition("/")[2]
