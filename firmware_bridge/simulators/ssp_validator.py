"""A simulated SSP note validator: escrow, credit, power-up events, sequence bit and eSSP, for any SSP host."""

import random
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import msgspec

from firmware_bridge.simulators.line_faults import FAULT_VERBS, LineFaults, unknown_line
from firmware_bridge.simulators.script import milliseconds, whole_number
from firmware_bridge.simulators.ssp_notes import NotePath
from firmware_bridge.wire.aes import BLOCK_BYTES
from firmware_bridge.wire.ssp import CHANNELS, Code, Decoder, Packet, Reply, Setup, encode, pack_events, pack_setup
from firmware_bridge.wire.ssp_crypto import (
    DEFAULT_FIXED_KEY,
    LARGEST_SECRET,
    NUMBER_BYTES,
    Offer,
    answer_half,
    is_sealed,
    pack_number,
    parse_number,
    seal,
    shared_key,
    unseal,
)

PACKET_GAP_MS: Final = 500
MOST_SKEW: Final = 100
_OK: Final = bytes([Reply.OK])
_UNSEALED: Final = frozenset({Code.SYNC, Code.SET_GENERATOR, Code.SET_MODULUS, Code.KEY_EXCHANGE})

OLDEST_PROTOCOL: Final = 4


class Making(msgspec.Struct, frozen=True):
    """What is built into a validator. `acknowledges`: it knows 56 and 57; `must_seal`: it takes nothing without a key.

    Times of a note: reading, and from escrow into the box.
    """

    values: tuple[int, ...] = (1, 5, 10, 20, 50, 100)
    country: str = "CNY"
    newest_protocol: int = 8
    acknowledges: bool = True
    must_seal: bool = False
    fixed_key: int = DEFAULT_FIXED_KEY
    read_ms: int = 400
    stack_ms: int = 900


class SspValidatorSimulator:
    """A `Simulator`. A packet with the sequence bit of the last one gets the last answer, and nothing happens."""

    verbs: ClassVar[Mapping[str, str]] = {
        "note CHANNEL": "a note of channel 1..16 is put in; given back where it is inhibited or nobody polls",
        "power TIME": "power is lost for so long: a note on its way ends in the box or at the front",
        "fraud CHANNEL": "somebody pulls at a note of that channel",
        "full": "the cash box is full",
        "jam": "a note is stuck where nobody can reach it",
        "box out": "the cash box is taken out; `box in` puts it back",
        "clear": "the cash box is emptied, the jam cleared",
        **FAULT_VERBS,
        "skew COUNT": "its packet count is off by so much, so that it understands nothing sealed",
    }

    def __init__(self, *, address: int = 0, serial: int = 4_711_003, making: Making = Making()) -> None:  # noqa: B008
        self._address = address
        self._serial = serial
        self._making: Final = making
        self._decoder = Decoder()
        self._notes = NotePath(channels=len(making.values), read_ms=making.read_ms, stack_ms=making.stack_ms)
        self._last: tuple[bool, bytes] | None = None
        self._generator = self._modulus = 0
        self._key: bytes | None = None
        self._count = 0
        self._dice = random.Random(serial)
        self._line: Final = LineFaults()
        self._heard_at_ms = 0

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return the answers."""
        self._notes.move(now_ms)
        if self._decoder.pending and now_ms - self._heard_at_ms > PACKET_GAP_MS:
            self._decoder = Decoder()
        self._heard_at_ms = now_ms
        self._line.heard(data, now_ms=now_ms)
        for found in self._decoder.feed(data):
            if isinstance(found, Packet) and not self._line.is_silent(now_ms=now_ms):
                self._answer(found, now_ms)
        return self._line.due(now_ms=now_ms)

    def tick(self, *, now_ms: int) -> bytes:
        """Move the note; a validator never speaks by itself."""
        self._notes.move(now_ms)
        return self._line.due(now_ms=now_ms)

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line; it never waits."""
        match words:
            case ["note", channel]:
                self._notes.put_in(whole_number(channel, lowest=1, highest=CHANNELS), now_ms)
            case ["power", time]:
                self._notes.lose_power()
                self._last, self._key, self._count = None, None, 0
                self._line.silence(until_ms=now_ms + milliseconds(time))
            case ["fraud", channel]:
                self._notes.pulled(whole_number(channel, lowest=1, highest=CHANNELS))
            case ["full"] | ["jam"] | ["clear"] | ["box", "out" | "in"]:
                self._notes.happens(" ".join(words))
            case ["skew", count]:
                self._count += whole_number(count, lowest=1, highest=MOST_SKEW)
            case _ if self._line.command(words, now_ms=now_ms):
                pass
            case _:
                raise unknown_line(words, self.verbs, device="a note validator")
        return 0

    def status(self) -> dict[str, object]:
        """Return what really happened: notes in the box by channel, notes given back, losses of power."""
        return self._notes.status()

    def _answer(self, packet: Packet, now_ms: int) -> None:
        if packet.address != self._address:
            return
        is_new = self._last is None or self._last[0] != packet.sequence or packet.data == bytes([Code.SYNC])
        if is_new:
            data = self._reply(packet.data, now_ms)
            if data is None:
                return
            self._last = packet.sequence, encode(Packet(self._address, packet.sequence, data))
        assert self._last is not None
        self._line.say(self._last[1], now_ms=now_ms)

    def _reply(self, data: bytes, now_ms: int) -> bytes | None:
        """Return the data of an answer, sealed where the question was; None for silence."""
        if not is_sealed(data):
            if self._making.must_seal and data[0] not in _UNSEALED:
                return bytes([Reply.KEY_NOT_SET])
            return self._carry_out(data, now_ms)
        if self._key is None:
            return bytes([Reply.KEY_NOT_SET])
        opened = unseal(data, key=self._key, count=self._count)
        if not opened:
            return None
        self._count += 1
        answer = self._carry_out(opened, now_ms)
        return seal(answer, key=self._key, count=self._count, padding=self._dice.randbytes(BLOCK_BYTES))

    def _carry_out(self, data: bytes, now_ms: int) -> bytes:
        code, rest = data[0], data[1:]
        self._notes.heard_at_ms = now_ms
        if code in {Code.POLL, Code.POLL_WITH_ACK} and not rest:
            if code == Code.POLL_WITH_ACK and not self._making.acknowledges:
                return bytes([Reply.UNKNOWN])
            return _OK + pack_events(self._notes.polled(now_ms, keep=code == Code.POLL_WITH_ACK))
        wishes: dict[int, tuple[int, Callable[[bytes], bytes]]] = {
            Code.SYNC: (0, lambda _: _OK),
            Code.RESET: (0, self._restarted),
            Code.HOST_PROTOCOL: (1, self._agreed),
            Code.SETUP_REQUEST: (0, lambda _: _OK + pack_setup(self._setup())),
            Code.SERIAL_NUMBER: (0, lambda _: _OK + self._serial.to_bytes(4, "big")),
            Code.UNIT_DATA: (0, lambda _: _OK + pack_setup(self._setup())[:8] + (1).to_bytes(3, "big") + b"\6"),
            Code.SET_INHIBITS: (2, self._inhibited),
            Code.ENABLE: (0, lambda _: self._enabled(on=True)),
            Code.DISABLE: (0, lambda _: self._enabled(on=False)),
            Code.HOLD: (0, lambda _: self._done(self._notes.hold())),
            Code.REJECT: (0, lambda _: self._done(self._notes.reject())),
            Code.LAST_REJECT: (0, lambda _: _OK + b"\0"),
            Code.SET_GENERATOR: (NUMBER_BYTES, self._take_generator),
            Code.SET_MODULUS: (NUMBER_BYTES, self._take_modulus),
            Code.KEY_EXCHANGE: (NUMBER_BYTES, self._exchanged),
        }
        if self._making.acknowledges:
            wishes[Code.EVENT_ACK] = (0, lambda _: self._done(self._notes.acknowledged()))
        if code not in wishes:
            return bytes([Reply.UNKNOWN])
        length, carry_out = wishes[code]
        return carry_out(rest) if len(rest) == length else bytes([Reply.WRONG_LENGTH])

    def _agreed(self, version: bytes) -> bytes:
        return _OK if OLDEST_PROTOCOL <= version[0] <= self._making.newest_protocol else bytes([Reply.FAIL])

    def _setup(self) -> Setup:
        return Setup("0333", self._making.country, self._making.values, 6)

    def _done(self, done: bool) -> bytes:  # noqa: FBT001 - what the note path says
        return _OK if done else bytes([Reply.CANNOT_NOW])

    def _restarted(self, _nothing: bytes) -> bytes:
        self._notes.lose_power()
        return _OK

    def _inhibited(self, bits: bytes) -> bytes:
        number = int.from_bytes(bits, "little")
        self._notes.accepted = frozenset(channel for channel in range(1, CHANNELS + 1) if number >> (channel - 1) & 1)
        return _OK

    def _enabled(self, *, on: bool) -> bytes:
        self._notes.enabled = on
        return _OK

    def _take_generator(self, number: bytes) -> bytes:
        self._generator = parse_number(number)
        return _OK

    def _take_modulus(self, number: bytes) -> bytes:
        self._modulus = parse_number(number)
        return _OK if self._modulus else bytes([Reply.OUT_OF_RANGE])

    def _exchanged(self, number: bytes) -> bytes:
        """Answer with this end's half; from the next packet on the key holds."""
        if not self._modulus:
            return bytes([Reply.CANNOT_NOW])
        secret = self._dice.randrange(2, LARGEST_SECRET)
        half = answer_half(Offer(self._generator, self._modulus, 0), secret)
        self._key = shared_key(parse_number(number), secret, self._modulus, fixed_key=self._making.fixed_key)
        self._count = 0
        return _OK + pack_number(half)
