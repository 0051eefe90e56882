"""Questions and answers on an SSP line: the sequence bit, retransmission of the very same bytes, and eSSP's seal."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire.aes import BLOCK_BYTES
from firmware_bridge.wire.ssp import Code, Decoder, Noise, Packet, Reply, encode
from firmware_bridge.wire.ssp_crypto import is_sealed, seal, unseal

ADDRESS: Final = 0
ANSWER_TIMEOUT_S: Final = 1.0
"""GA138: the host sends a packet again after a second without an answer."""
TRIES: Final = 2
GAP_S: Final = 0.05
LOWEST_ANSWER: Final = 0x7E
"""Answers begin with F0 to FA, or with the 7E of a sealed packet; what begins lower is a question."""

_UNSEALED_ANSWERS: Final = frozenset(Reply) - {Reply.OK}
"""All that a validator may say without its key once there is one: nothing that is worth money."""


class SspLine:
    """The host's end of the line to one validator. `noise_bytes`: thrown away so far; `sequence`: of the next packet.

    A packet that was not answered is outstanding: asked the same again, the same bytes go out, so that a validator that
    had heard it repeats its answer and does nothing.
    """

    def __init__(self, pipe: BytePipe, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._pipe: Final = pipe
        self._random_bytes: Final = random_bytes
        self._decoder = Decoder()
        self._outstanding: tuple[bytes, bytes] | None = None
        self._key: bytes | None = None
        self._count = 0
        self.sequence = True
        self.noise_bytes = 0

    def use_key(self, key: bytes | None) -> None:
        """From the next question on seal with this key, from count 0; None: not at all."""
        self._key, self._count = key, 0

    @property
    def outstanding(self) -> bytes:
        """What was asked and not answered, empty where nothing is."""
        return b"" if self._outstanding is None else self._outstanding[0]

    def begin_anew(self) -> None:
        """Let the next packet carry the sequence bit 1, whatever came before."""
        self._outstanding = None
        self.sequence = True

    async def sync(self) -> bool:
        """Agree on the sequence bit anew. What the validator said last can then not be heard again."""
        self.begin_anew()
        return await self.ask(bytes([Code.SYNC])) == bytes([Reply.OK])

    async def ask(self, data: bytes, *, tries: int = TRIES) -> bytes | None:
        """Return the answer's data; None where there is none, and the question stays outstanding."""
        if self._outstanding is None or self._outstanding[0] != data:
            if self._outstanding is not None:
                self.sequence = not self.sequence
            self._outstanding = data, self._packed(data)
        for _ in range(tries):
            await self._pipe.write(self._outstanding[1])
            answer = await self._answer()
            if answer is not None:
                self._outstanding = None
                self.sequence = not self.sequence
                return answer
        return None

    def _packed(self, data: bytes) -> bytes:
        if self._key is not None:
            data = seal(data, key=self._key, count=self._count, padding=self._random_bytes(BLOCK_BYTES))
        return encode(Packet(ADDRESS, self.sequence, data))

    async def _answer(self) -> bytes | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + ANSWER_TIMEOUT_S
        while clock() < deadline:
            for packet in await self._hear(deadline - clock()):
                is_ours = (packet.address, packet.sequence) == (ADDRESS, self.sequence)
                if not is_ours or packet.data[0] < LOWEST_ANSWER:
                    continue  # the answer to a former question, or this end's own echo
                answer = self._opened(packet.data)
                if answer is not None:
                    return answer
        return None

    def _opened(self, data: bytes) -> bytes | None:
        """Return what an answer says, None where it does not prove that it comes from whom we agreed with."""
        if self._key is None:
            return None if is_sealed(data) else data
        if data[0] in _UNSEALED_ANSWERS:
            return data
        opened = unseal(data, key=self._key, count=self._count + 1)
        if opened:
            self._count += 1
        return opened or None

    async def _hear(self, most_s: float) -> list[Packet]:
        try:
            async with asyncio.timeout(min(most_s, GAP_S)):
                data = await self._pipe.read()
        except TimeoutError:
            found = self._decoder.silence()
        else:
            found = self._decoder.feed(data)
        self.noise_bytes += sum(len(noise.data) for noise in found if isinstance(noise, Noise))
        return [packet for packet in found if isinstance(packet, Packet)]
