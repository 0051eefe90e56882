"""A simulated ccTalk hopper: it pays, counts, jams and loses power as a real one, so any ccTalk host can use it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Final, Literal

import msgspec

from firmware_bridge.simulators.line_faults import FAULT_VERBS, LineFaults, unknown_line
from firmware_bridge.simulators.script import milliseconds, whole_number
from firmware_bridge.wire.cctalk import ACK, BROADCAST, BYTE_GAP_MS, HOST, NAK, Checksum, Decoder, Frame, Header, encode
from firmware_bridge.wire.cctalk_coins import pack_number
from firmware_bridge.wire.cctalk_hopper import (
    ENABLE_CODE,
    HopperHeader,
    PayoutStatus,
    event_after,
    pack_levels,
    pack_status,
    pack_test,
)

HOPPER: Final = 3
ADDRESS_ANSWER_MS: Final = 4
POWER_UP_MS: Final = 630
"""Suzo-Happ Flow manual: how long it is deaf after power-up."""
MOST_COINS: Final = 10_000
PLAIN_BYTES: Final = 8
SERIAL_BYTES: Final = 3

_IDENTITY: Final = {
    Header.MANUFACTURER: b"VHB",
    Header.EQUIPMENT_CATEGORY: b"Payout",
    Header.PRODUCT_CODE: b"SIMHOP",
    Header.BUILD_CODE: b"STD",
    Header.SOFTWARE_REVISION: b"1.0",
    Header.COMMS_REVISION: bytes([1, 4, 7]),
    Header.SIMPLE_POLL: b"",
}


class Works(msgspec.Struct, frozen=True):
    """What is built into a hopper. `coins`: in it at the start; below `low_below` the level sensor says so.

    A coin takes `coin_ms`, no coin for `timeout_ms` ends a payout. `has_levels`, `has_count`: headers 217 and 168.
    """

    coins: int = 200
    low_below: int = 20
    coin_ms: int = 150
    timeout_ms: int = 2_000
    has_levels: bool = True
    has_count: bool = True


class CctalkHopperSimulator:
    """A `Simulator`. What survives a loss of power: coins, the count of all coins ever, the last payout's numbers."""

    verbs: ClassVar[Mapping[str, str]] = {
        "fill COUNT": "somebody puts so many coins into it",
        "jam COUNT": "it jams when so many more coins have come out",
        "hang": "it gives up no payout, whatever it is told, until it loses power",
        "clear": "somebody clears the jam or the blocked exit",
        "block": "the exit sensor is blocked",
        "power TIME": "it has no power for so long, e.g. `power 500ms`; the coins stay",
        **FAULT_VERBS,
        "refuse": "it refuses the next command to pay, and counts that as an event",
    }

    def __init__(
        self,
        *,
        variant: Literal["serial", "plain"] = "serial",
        checksum: Checksum = "simple",
        echo: bool = False,
        address: int = HOPPER,
        serial: int = 710_623,
        works: Works = Works(),  # noqa: B008 - a frozen struct
    ) -> None:
        self._variant = variant
        self._checksum: Final[Checksum] = checksum
        self._line: Final = LineFaults(echo=echo)
        self._address = address
        self._serial = serial
        self._works: Final = works
        self._coins = works.coins
        self._decoder = Decoder(checksum)
        self._enabled = False
        self._status = PayoutStatus(0, 0, 0, 0)
        self._faults: set[str] = set()
        self._coin_at_ms = self._heard_at_ms = 0
        self._jam_in: int | None = None
        self._whims: set[str] = set()
        self._dispensed = self._payouts = self._resets = 0

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return the echo, where there is one, and the replies."""
        self._pay(now_ms)
        if self._decoder.pending and now_ms - self._heard_at_ms > BYTE_GAP_MS:
            self._decoder = Decoder(self._checksum)
        self._heard_at_ms = now_ms
        self._line.heard(data, now_ms=now_ms)
        for found in self._decoder.feed(data):
            if isinstance(found, Frame) and not self._line.is_silent(now_ms=now_ms):
                self._answer(found, now_ms)
        return self._line.due(now_ms=now_ms)

    def tick(self, *, now_ms: int) -> bytes:
        """Let coins fall, and answer an address poll when it is this device's turn."""
        self._pay(now_ms)
        return self._line.due(now_ms=now_ms)

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line; it never waits."""
        self._pay(now_ms)
        match words:
            case ["fill", count]:
                self._coins += whole_number(count, lowest=1, highest=MOST_COINS)
            case ["jam", count]:
                self._jam_in = whole_number(count, lowest=0, highest=MOST_COINS)
            case ["clear"]:
                self._jam_in = None
                self._faults -= {"exit_blocked"}
            case ["block"]:
                self._faults.add("exit_blocked")
            case ["power", time]:
                self._reset()
                self._line.silence(until_ms=now_ms + milliseconds(time) + POWER_UP_MS)
            case ["refuse" | "hang" as whim]:
                self._whims.add(whim)
            case _ if self._line.command(words, now_ms=now_ms):
                pass
            case _:
                raise unknown_line(words, self.verbs, device="a hopper")
        return 0

    def status(self) -> dict[str, object]:
        """Return what really happened: coins that fell, coins left, payouts begun, resets."""
        return {
            "coins_dispensed": self._dispensed,
            "coins_left": self._coins,
            "payouts": self._payouts,
            "resets": self._resets,
        }

    def _pay(self, now_ms: int) -> None:
        """Let the coins fall that are due; end a payout in which none came for too long."""
        while self._status.remaining and now_ms >= self._coin_at_ms + self._works.coin_ms:
            if not self._coins or self._jam_in == 0:
                if now_ms >= self._coin_at_ms + self._works.timeout_ms:
                    self._stop("payout_timeout")
                return
            self._coin_at_ms += self._works.coin_ms
            self._coins -= 1
            self._dispensed += 1
            self._jam_in = None if self._jam_in is None else self._jam_in - 1
            event, remaining, paid = self._status.event, self._status.remaining - 1, self._status.paid + 1
            self._status = PayoutStatus(event, remaining, paid, 0)

    def _stop(self, fault: str = "") -> int:
        """End the payout here; return what was not paid."""
        status = self._status
        if "hang" in self._whims and status.remaining:
            return status.remaining
        self._status = PayoutStatus(status.event, 0, status.paid, status.unpaid + status.remaining)
        if fault:
            self._faults.add(fault)
        return self._status.unpaid

    def _reset(self) -> None:
        self._whims.discard("hang")
        self._stop()
        self._status = PayoutStatus(0, 0, self._status.paid, self._status.unpaid)
        self._enabled = False
        self._faults -= {"payout_timeout", "over_current"}
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
        """Return the data of an ACK, or None for a NAK."""
        question = self._questions().get(frame.header)
        if question is not None and not frame.data:
            return question()
        match frame.header, len(frame.data):
            case Header.RESET, 0:
                self._reset()
            case HopperHeader.ENABLE, 1:
                self._enabled = frame.data == ENABLE_CODE
            case HopperHeader.DISPENSE, _:
                return self._dispense(frame.data, now_ms)
            case _:
                return None
        return b""

    def _questions(self) -> dict[int, Callable[[], bytes]]:
        """Return the headers without data and what answers them."""
        live: dict[int, Callable[[], bytes]] = {
            Header.SERIAL_NUMBER: lambda: pack_number(self._serial),
            HopperHeader.TEST: lambda: pack_test(*self._faults, disabled=not self._enabled),
            HopperHeader.PAYOUT_STATUS: lambda: pack_status(self._status),
            HopperHeader.EMERGENCY_STOP: lambda: bytes([self._stop()]),
        }
        if self._works.has_count:
            live[HopperHeader.DISPENSE_COUNT] = lambda: pack_number(self._dispensed)
        if self._works.has_levels:
            live[HopperHeader.LEVELS] = lambda: pack_levels(low=self._coins < self._works.low_below, fitted=True)
        return live | {header: partial(bytes, text) for header, text in _IDENTITY.items()}

    def _dispense(self, data: bytes, now_ms: int) -> bytes | None:
        """Begin a payout, or refuse it: disabled, busy, another's serial number, or told to."""
        by_serial = self._variant == "serial"
        lock, count = data[:-1], data[-1] if data else 0
        fits = lock == pack_number(self._serial) if by_serial else len(lock) == PLAIN_BYTES
        refused = "refuse" in self._whims
        self._whims.discard("refuse")
        if not (fits and count and self._enabled) or self._status.remaining or self._faults or refused:
            if refused:
                self._status = PayoutStatus(event_after(self._status.event), 0, self._status.paid, self._status.unpaid)
            return None
        self._status = PayoutStatus(event_after(self._status.event), count, 0, 0)
        self._coin_at_ms = now_ms
        self._payouts += 1
        return bytes([self._status.event]) if by_serial else b""
