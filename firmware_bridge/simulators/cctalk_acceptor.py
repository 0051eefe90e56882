"""A simulated ccTalk coin acceptor: it counts, forgets and refuses as a real one, so any ccTalk host can use it."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from firmware_bridge.simulators.line_faults import FAULT_VERBS, LineFaults, unknown_line
from firmware_bridge.simulators.script import whole_number
from firmware_bridge.wire.cctalk import (
    ACCEPTOR,
    ACK,
    BROADCAST,
    BYTE_GAP_MS,
    HOST,
    NAK,
    Checksum,
    Decoder,
    Frame,
    Header,
    encode,
)
from firmware_bridge.wire.cctalk_coins import (
    BUFFERED_EVENTS,
    POSITIONS,
    BufferedCredit,
    CoinEvent,
    counter_after,
    pack_buffered_credit,
    pack_inhibits,
    pack_number,
    parse_inhibits,
)

POLL_LIMIT_MS: Final = 1_000
"""Azkoyen X6, p. 40: nothing is accepted before the first 229, nor when the last one is older than this."""
ADDRESS_ANSWER_MS: Final = 4
INHIBITED: Final = 2
COIN_INHIBITED: Final = 127
SORTER_PATH: Final = 1
MOST_EVENTS: Final = 1_000

_IDENTITY: Final = {
    Header.MANUFACTURER: b"VHB",
    Header.EQUIPMENT_CATEGORY: b"Coin Acceptor",
    Header.PRODUCT_CODE: b"SIM16",
    Header.BUILD_CODE: b"STD",
    Header.SOFTWARE_REVISION: b"1.0",
    Header.COMMS_REVISION: bytes([1, 4, 7]),
    Header.STATUS: b"\0",
    Header.SELF_CHECK: b"\0",
    Header.POLLING_PRIORITY: bytes([2, 20]),  # 20 times 10 ms
    Header.SIMPLE_POLL: b"",
}
COIN_IDS: Final = ("CN010A", "CN050A", "CN100A", "TK001A", "TK005A")
"""Coins of the first positions, as header 184 names them; the rest is unused."""


class _Memory:
    """What the device forgets when it loses power."""

    def __init__(self) -> None:
        self.counter = 0
        self.events: deque[CoinEvent] = deque([CoinEvent(0, 0)] * BUFFERED_EVENTS, maxlen=BUFFERED_EVENTS)
        self.inhibits: frozenset[int] = frozenset()
        self.master_enabled = True
        self.insertions = 0
        self.accepted = 0
        self.polled_at_ms: int | None = None
        self.sorter_paths = dict.fromkeys(range(1, POSITIONS + 1), SORTER_PATH)

    def note(self, event: CoinEvent) -> None:
        """Count an event and keep it in front of the buffer."""
        self.counter = counter_after(self.counter, 1)
        self.events.appendleft(event)


class CctalkAcceptorSimulator:
    """A `Simulator`. `needs_polling`: take coins only while header 229 comes at least once per second."""

    verbs: ClassVar[Mapping[str, str]] = {
        "coin POSITION": "a coin of position 1..16 falls in; given back where it is inhibited or nobody polls",
        "error CODE": "the device notes an error event, e.g. 20 for a coin on a string",
        "lose COUNT": "so many coins of position 1 are accepted before the host can poll again",
        "reset": "power is lost and comes back: counter 0, inhibits gone",
        **FAULT_VERBS,
    }

    def __init__(
        self,
        *,
        checksum: Checksum = "simple",
        echo: bool = False,
        address: int = ACCEPTOR,
        serial: int = 12_345_678,
        needs_polling: bool = True,
        coins: tuple[str, ...] = COIN_IDS,
    ) -> None:
        self._checksum: Final[Checksum] = checksum
        self._line: Final = LineFaults(echo=echo)
        self._address = address
        self._serial = serial
        self._needs_polling = needs_polling
        self._coins: Final = coins
        self._decoder = Decoder(checksum)
        self._memory = _Memory()
        self._heard_at_ms = 0
        self._inserted: dict[int, int] = {}
        self._given_back = 0
        self._resets = 0

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return the echo, where there is one, and the replies."""
        if self._decoder.pending and now_ms - self._heard_at_ms > BYTE_GAP_MS:
            self._decoder = Decoder(self._checksum)  # a real device waits for a new frame after a pause
        self._heard_at_ms = now_ms
        self._line.heard(data, now_ms=now_ms)
        for found in self._decoder.feed(data):
            if isinstance(found, Frame) and not self._line.is_silent(now_ms=now_ms):
                self._answer(found, now_ms)
        return self._line.due(now_ms=now_ms)

    def tick(self, *, now_ms: int) -> bytes:
        """Send what is due: answers to an address poll, and noise."""
        return self._line.due(now_ms=now_ms)

    def due_ms(self) -> int | None:
        """Return when something is due by itself."""
        return self._line.next_ms()

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line; it never waits."""
        match words:
            case ["coin", position]:
                self._coin(whole_number(position, lowest=1, highest=POSITIONS), now_ms)
            case ["error", code]:
                self._memory.note(CoinEvent(0, whole_number(code, lowest=1, highest=255)))
            case ["lose", count]:
                for _ in range(whole_number(count, lowest=1, highest=MOST_EVENTS)):
                    self._accept(1)
            case ["reset"]:
                self._reset()
            case _ if self._line.command(words, now_ms=now_ms):
                pass
            case _:
                raise unknown_line(words, self.verbs, device="a coin acceptor")
        return 0

    def status(self) -> dict[str, object]:
        """Return what really happened: coins kept by position, coins given back, the event counter, resets."""
        return {
            "coins_inserted": sum(self._inserted.values()),
            "coins_by_position": {str(position): count for position, count in sorted(self._inserted.items())},
            "coins_given_back": self._given_back,
            "event_counter": self._memory.counter,
            "resets": self._resets,
        }

    def _coin(self, position: int, now_ms: int) -> None:
        memory = self._memory
        memory.insertions += 1
        polled_at_ms = memory.polled_at_ms
        polled = polled_at_ms is not None and now_ms - polled_at_ms <= POLL_LIMIT_MS
        if not polled and self._needs_polling:
            self._given_back += 1
        elif not memory.master_enabled:
            self._given_back += 1
            memory.note(CoinEvent(0, INHIBITED))
        elif position not in memory.inhibits:
            self._given_back += 1
            memory.note(CoinEvent(0, COIN_INHIBITED + position))
        else:
            self._accept(position)

    def _accept(self, position: int) -> None:
        self._memory.accepted += 1
        self._memory.note(CoinEvent(position, self._memory.sorter_paths[position]))
        self._inserted[position] = self._inserted.get(position, 0) + 1

    def _reset(self) -> None:
        self._memory = _Memory()
        self._resets += 1

    def _answer(self, frame: Frame, now_ms: int) -> None:
        if frame.destination not in {self._address, BROADCAST}:
            return
        if frame.header == Header.ADDRESS_POLL and not frame.data:
            self._line.say(bytes([self._address]), now_ms=now_ms, takes_ms=ADDRESS_ANSWER_MS * self._address)
            return
        data = self._reply_data(frame, now_ms)
        source = None if self._checksum == "crc" else self._address
        reply = Frame(HOST, source, NAK if data is None else ACK, data or b"")
        self._line.say(encode(reply, checksum=self._checksum), now_ms=now_ms)

    def _reply_data(self, frame: Frame, now_ms: int) -> bytes | None:
        """Return the data of an ACK, or None for a NAK: an unknown header or a wrong number of bytes."""
        question = self._questions().get(frame.header)
        if question is not None and not frame.data:
            if frame.header == Header.BUFFERED_CREDIT:
                self._memory.polled_at_ms = now_ms
            return question()
        memory = self._memory
        match frame.header, len(frame.data):
            case Header.RESET, 0:
                self._reset()
            case Header.MODIFY_INHIBITS, 2:
                memory.inhibits = parse_inhibits(frame.data)
            case Header.MODIFY_MASTER_INHIBIT, 1:
                memory.master_enabled = bool(frame.data[0] & 1)
            case Header.MODIFY_SORTER_PATHS, 2 if 1 <= frame.data[0] <= POSITIONS:
                memory.sorter_paths[frame.data[0]] = frame.data[1]
            case Header.REQUEST_SORTER_PATHS, 1 if 1 <= frame.data[0] <= POSITIONS:
                return bytes([memory.sorter_paths[frame.data[0]]])
            case Header.COIN_ID, 1 if 1 <= frame.data[0] <= POSITIONS:
                return self._coins[frame.data[0] - 1].encode() if frame.data[0] <= len(self._coins) else b"......"
            case _:
                return None
        return b""

    def _questions(self) -> dict[int, Callable[[], bytes]]:
        """Return the headers without data and what answers them."""
        memory = self._memory
        live: dict[int, Callable[[], bytes]] = {
            Header.SERIAL_NUMBER: lambda: pack_number(self._serial),
            Header.ACCEPT_COUNTER: lambda: pack_number(memory.accepted),
            Header.INSERTION_COUNTER: lambda: pack_number(memory.insertions),
            Header.REQUEST_INHIBITS: lambda: pack_inhibits(memory.inhibits),
            Header.REQUEST_MASTER_INHIBIT: lambda: bytes([memory.master_enabled]),
            Header.BUFFERED_CREDIT: lambda: pack_buffered_credit(BufferedCredit(memory.counter, tuple(memory.events))),
        }
        return live | {header: _constant(text) for header, text in _IDENTITY.items()}


def _constant(data: bytes) -> Callable[[], bytes]:
    return lambda: data
