"""A simulated MDB adapter board as master, with a coin changer and a note reader on its bus, for any host."""

from collections import deque
from collections.abc import Mapping
from typing import ClassVar, Final

from firmware_bridge.simulators.line_faults import FAULT_VERBS, LineFaults, unknown_line
from firmware_bridge.simulators.script import milliseconds, whole_number
from firmware_bridge.wire import mdb_cash, qibixx
from firmware_bridge.wire.mdb_cash import Cash

FIRMWARE: Final = b"v,4.0.2.1,4d44423035363738\r\n"
NOTES_FROM: Final = 9
COIN_SCALE: Final = 10
NOTE_SCALE: Final = 100
TUBE_COINS: Final = 40
POLLED_MS: Final = 2_000
"""A device that was not polled for so long takes no money."""
ESCROW_MS: Final = 10_000
STACK_MS: Final = 20
EVENTS_LIMIT: Final = 8
ENABLE_BYTES: Final = 5
"""The command, the types that are taken, and those that are paid out or held in escrow."""
NACK: Final = b"p,NACK\r\n"


class _Device:
    """What changer and note reader have in common. `told`: events that the next POLL takes along."""

    def __init__(self, values: dict[int, int], reset: int) -> None:
        self.values: Final = values
        self.reset: Final = reset
        self.taken: dict[int, int] = {}
        self.given_back = 0
        self.enabled = 0
        self.away_until_ms = 0
        self.told: deque[bytes] = deque([bytes([reset])], maxlen=EVENTS_LIMIT)
        self.polled_ms = -POLLED_MS

    def lose_power(self, until_ms: int) -> None:
        """Its settings are gone, and what was not told; what it took it keeps."""
        self.enabled, self.away_until_ms = 0, until_ms
        self.told.clear()
        self.told.append(bytes([self.reset]))

    def takes(self, type_: int, now_ms: int) -> bool:
        return bool(self.enabled >> type_ & 1) and now_ms - self.polled_ms < POLLED_MS and now_ms >= self.away_until_ms

    def keep(self, type_: int) -> None:
        self.taken[type_] = self.taken.get(type_, 0) + 1

    def polled(self, now_ms: int) -> bytes:
        """Return what happened; the board acknowledges it, so it is not told again."""
        self.polled_ms = now_ms
        said = b"".join(self.told)
        self.told.clear()
        return said


class MdbCashSimulator:
    """A `Simulator`. positions: minor units per position; what was taken stays counted when the board loses power."""

    verbs: ClassVar[Mapping[str, str]] = {
        "coin TYPE": "a coin of type 0..15 is put in; it comes back where it is not wanted or nobody polls",
        "note TYPE": "a note of type 0..15 is put in and waits in escrow",
        "jam coins|notes": "something is stuck",
        "away coins|notes TIME": "the device has no power for so long; a note that was being stacked is in the box",
        "emptied": "somebody takes the notes out of the stacker",
        "board TIME": "the board has no power for so long",
        **FAULT_VERBS,
    }

    def __init__(self, positions: dict[int, int]) -> None:
        coins = {number - 1: value for number, value in positions.items() if number < NOTES_FROM}
        notes = {number - NOTES_FROM: value for number, value in positions.items() if number >= NOTES_FROM}
        self._coins: Final = _Device(coins, mdb_cash.COINS_RESET)
        self._notes: Final = _Device(notes, mdb_cash.NOTES_RESET)
        self._lines = qibixx.Lines()
        self._faults: Final = LineFaults()
        self._master = False
        self._dead_until_ms = 0
        self._escrow: tuple[int, int] | None = None
        self._stacking: tuple[int, int] | None = None
        self._stacker = 0

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return what is due."""
        self._faults.heard(data, now_ms=now_ms)
        self._move(now_ms)
        for text in self._lines.feed(data):
            if now_ms >= self._dead_until_ms:
                self._faults.say(self._obey(text.split(","), now_ms), now_ms=now_ms)
        return self._faults.due(now_ms=now_ms)

    def tick(self, *, now_ms: int) -> bytes:
        """Move the note; a master's board never speaks by itself."""
        self._move(now_ms)
        return self._faults.due(now_ms=now_ms)

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line; it never waits."""
        match words:
            case ["coin", number]:
                self._coin(whole_number(number, lowest=0, highest=mdb_cash.TYPES - 1), now_ms)
            case ["note", number]:
                self._note(whole_number(number, lowest=0, highest=mdb_cash.TYPES - 1), now_ms)
            case ["jam", "coins"]:
                self._coins.told.append(b"\x0c")
            case ["jam", "notes"]:
                self._notes.told.append(b"\x05")
            case ["away", "coins" | "notes" as which, time]:
                self._away(which, now_ms + milliseconds(time))
            case ["emptied"]:
                self._stacker = 0
            case ["board", time]:
                self._dead_until_ms = now_ms + milliseconds(time)
                self._master = False
                self._faults.hush()
            case _:
                if not self._faults.command(words, now_ms=now_ms):
                    raise unknown_line(words, self.verbs, device="a coin changer and note reader")
        return 0

    def status(self) -> dict[str, object]:
        """Return what really came in, by type, and what came out again."""
        return {
            "coins_in": sum(self._coins.taken.values()),
            "coins_given_back": self._coins.given_back,
            "notes_in": sum(self._notes.taken.values()),
            "notes_given_back": self._notes.given_back,
            "coins": {str(number): count for number, count in self._coins.taken.items()},
            "notes": {str(number): count for number, count in self._notes.taken.items()},
            "stacker": self._stacker,
        }

    def _coin(self, type_: int, now_ms: int) -> None:
        device = self._coins
        if not device.takes(type_, now_ms):
            device.given_back += 1
            return
        device.keep(type_)
        in_tube = min(device.taken[type_], TUBE_COINS)
        device.told.append(mdb_cash.coin_event(type_, to_tube=device.taken[type_] <= TUBE_COINS, in_tube=in_tube))

    def _note(self, type_: int, now_ms: int) -> None:
        device = self._notes
        busy = self._escrow is not None or self._stacking is not None
        if busy or not device.takes(type_, now_ms):
            device.given_back += 1
            return
        self._escrow = type_, now_ms + ESCROW_MS
        device.told.append(mdb_cash.note_event(Cash.ESCROW, type_))

    def _away(self, which: str, until_ms: int) -> None:
        """Lose power: a note in escrow comes out; one on its way ends in the box, and nobody is told."""
        device = self._coins if which == "coins" else self._notes
        if which == "notes":
            self._give_back(tell=False)
            self._stack(tell=False)
        device.lose_power(until_ms)

    def _move(self, now_ms: int) -> None:
        if self._escrow is not None and now_ms >= self._escrow[1]:
            self._give_back(tell=True)
        if self._stacking is not None and now_ms >= self._stacking[1]:
            self._stack(tell=True)

    def _give_back(self, *, tell: bool) -> None:
        if self._escrow is None:
            return
        type_, self._escrow = self._escrow[0], None
        self._notes.given_back += 1
        if tell:
            self._notes.told.append(mdb_cash.note_event(Cash.RETURNED, type_))

    def _stack(self, *, tell: bool) -> None:
        if self._stacking is None:
            return
        type_, self._stacking = self._stacking[0], None
        self._notes.keep(type_)
        self._stacker += 1
        if tell:
            self._notes.told.append(mdb_cash.note_event(Cash.TAKEN, type_))

    def _obey(self, words: list[str], now_ms: int) -> bytes:
        match words:
            case ["V"]:
                return FIRMWARE
            case ["M", "1" | "0" as switch]:
                self._master = switch == "1"
                return b"m,ACK\r\n"
            case ["R", *parts] if self._master:
                return self._exchange("".join(parts), now_ms)
            case _:
                return NACK

    def _exchange(self, digits: str, now_ms: int) -> bytes:
        """Say a block on the bus; a device that is not there says nothing."""
        try:
            block = bytes.fromhex(digits)
        except ValueError:
            block = b""
        device = {0x08: self._coins, 0x30: self._notes}.get(block[0] & ~0x07 if block else 0)
        if device is None or not device.values or now_ms < device.away_until_ms:
            return NACK
        answer = self._answer(device, block, now_ms)
        return NACK if answer is None else qibixx.from_bus(answer)

    def _answer(self, device: _Device, block: bytes, now_ms: int) -> bytes | None:
        """Return what the device answers, empty for ACK; None where it does not know the command."""
        if block in (mdb_cash.POLL_COINS, mdb_cash.POLL_NOTES):
            return device.polled(now_ms)
        if block == mdb_cash.SETUP_COINS:
            return mdb_cash.pack_coin_setup(device.values, scale=COIN_SCALE)
        if block == mdb_cash.SETUP_NOTES:
            return mdb_cash.pack_note_setup(device.values, scale=NOTE_SCALE)
        if block == mdb_cash.STACKER:
            return self._stacker.to_bytes(2, "big")
        if block[:1] in (b"\x0c", b"\x34") and len(block) == ENABLE_BYTES:
            device.enabled = int.from_bytes(block[1:3], "big")
            return b""
        return self._decided(block, now_ms)

    def _decided(self, block: bytes, now_ms: int) -> bytes | None:
        if block == mdb_cash.GIVE_BACK:
            self._give_back(tell=True)
            return b""
        if block == mdb_cash.STACK:
            if self._escrow is not None:
                self._stacking, self._escrow = (self._escrow[0], now_ms + STACK_MS), None
            return b""
        return None
