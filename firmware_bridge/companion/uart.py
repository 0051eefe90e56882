"""A board on a UART: it answers the hub's questions, one frame for one frame, and never speaks first."""

import struct

from firmware_bridge.companion.channels import COINS, OUTPUT, READER, WORDS
from firmware_bridge.companion.frames import Decoder, encode
from firmware_bridge.companion.memory import LONGEST_ID

FIRMWARE = "companion 1.0"
VERSIONS = (1, 1)
"""The lowest and the highest version of the protocol that this board speaks."""
HELLO, POLL, ACT, GATE, SAY = 0x01, 0x02, 0x03, 0x04, 0x05
I_AM, EVENT, IDLE, RESULT, HEARD, GATED, REFUSED = 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x8F
BEFORE = 0
"""The version of HELLO and I_AM: it never changes."""
COIN, LINE = 1, 2
OUTCOMES = ("running", "done", "failed", "refused", "unknown")
BAD_VERSION, BAD_KIND, BAD_CHANNEL, BAD_PAYLOAD = 1, 2, 3, 4
HEAD = 3
FIRST = 2
"""The number of the first channel, as on a ccTalk bus; 0 is the board itself."""


class Uart:
    """The hub's counterpart. boot: 32 hex digits, new at every start; serial: 16 hex digits of the board."""

    def __init__(self, channels: list, *, boot: str, serial: str, versions: tuple[int, int] = VERSIONS) -> None:
        self._channels = channels
        self._boot = bytes.fromhex(boot)
        self._serial = bytes.fromhex(serial)
        self._versions = versions
        self._version = BEFORE
        self._decoder = Decoder()

    def feed(self, data: bytes, now_ms: int) -> bytes:
        """Take what the hub said; return what to say."""
        return b"".join([self._answered(body, now_ms) for body in self._decoder.feed(data)])

    def _answered(self, body: bytes, now_ms: int) -> bytes:
        version, kind, channel = body[:HEAD]
        payload = body[HEAD:]
        if version == BEFORE and kind == HELLO and len(payload) >= 2:
            return self._said(I_AM, 0, self._i_am(payload[0], payload[1]), BEFORE)
        if version != self._version or version == BEFORE:
            return self._said(REFUSED, channel, bytes([BAD_VERSION]), BEFORE)
        if not FIRST <= channel < FIRST + len(self._channels):
            return self._said(REFUSED, channel, bytes([BAD_CHANNEL]))
        try:
            code, said = self._obey(kind, self._channels[channel - FIRST], payload, now_ms)
        except (ValueError, IndexError):  # too short, or no text: MicroPython and CPython agree on these two
            code, said = REFUSED, bytes([BAD_PAYLOAD])
        return self._said(code, channel, said)

    def _said(self, kind: int, channel: int, payload: bytes, version: int = -1) -> bytes:
        return encode(bytes([self._version if version < 0 else version, kind, channel]) + payload)

    def _i_am(self, lowest: int, highest: int) -> bytes:
        """Agree on the highest version that both speak; 0 is none."""
        common = min(highest, self._versions[1])
        self._version = common if common >= max(lowest, self._versions[0]) else BEFORE
        kinds = bytes([channel.kind for channel in self._channels])
        head = bytes([self._version, self._versions[0], self._versions[1]]) + self._boot + self._serial
        return head + bytes([len(kinds)]) + kinds + bytes([len(FIRMWARE)]) + FIRMWARE.encode()

    def _obey(self, kind: int, channel, payload: bytes, now_ms: int) -> tuple[int, bytes]:
        if kind == POLL:
            epoch, booked = _unpack(">II", payload)
            return _poll(channel, epoch, booked, now_ms)
        if kind == ACT and channel.kind == OUTPUT:
            boot, seq, ttl_ms, credits_ = _unpack(">16sQHH", payload)
            command_id = payload[28:].decode()
            boot_text = "".join(["%02x" % byte for byte in boot])  # noqa: UP031
            answer = channel.command(command_id, seq, boot_text, ttl_ms, credits_, now_ms)
            if answer is None:
                return RESULT, _result(0, 0, command_id, "")
            return RESULT, _result(OUTCOMES.index(answer.outcome), answer.amount, answer.id, answer.reason)
        if kind == GATE and channel.kind == COINS:
            channel.accept(on=payload[0] != 0)
            return GATED, b""
        if kind == SAY and channel.kind == WORDS:
            channel.send([(payload[at], payload[at + 1]) for at in range(0, len(payload), 2)])
            return HEARD, b"".join([bytes(word) for word in channel.take()])
        return REFUSED, bytes([BAD_KIND])


def _unpack(form: str, payload: bytes) -> tuple:
    if len(payload) < struct.calcsize(form):
        raise ValueError
    return struct.unpack(form, payload[: struct.calcsize(form)])


def _poll(channel, epoch: int, booked: int, now_ms: int) -> tuple[int, bytes]:
    """Tell the oldest event that is not booked, or how the channel is."""
    if channel.kind == COINS:
        channel.log.note_booked(epoch, booked)
        for record in channel.log.untold():
            head = struct.pack(">IIII", channel.log.epoch, record.event, channel.log.last_event, 0)
            return EVENT, head + bytes([COIN, record.amount])
    if channel.kind == READER:
        channel.note_booked(epoch, booked)
        for number, text, age_ms in channel.untold(now_ms):
            head = struct.pack(">IIII", channel.epoch, number, channel.last_event, age_ms)
            return EVENT, head + bytes([LINE]) + text.encode()
    if channel.kind == OUTPUT:  # what was done is asked for with ACT
        channel.log.note_booked(channel.log.epoch, channel.log.last_event)
    return IDLE, _idle(channel)


def _idle(channel) -> bytes:
    teller = getattr(channel, "log", channel)
    head = struct.pack(">II", getattr(teller, "epoch", 0), getattr(teller, "last_event", 0))
    return head + channel.fault.encode()


def _result(outcome: int, amount: int, command_id: str, reason: str) -> bytes:
    name = command_id.encode()[: LONGEST_ID + 1]
    return struct.pack(">BHB", outcome, amount, len(name)) + name + reason.encode()
