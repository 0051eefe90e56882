"""A companion board on a pseudo-terminal: the board's own program, with pins and a disk that a script can look at."""

import io
from collections.abc import Mapping
from typing import ClassVar, Final

from firmware_bridge.companion.channels import Coins, Output, Reader
from firmware_bridge.companion.memory import RECORD, SLOTS, Log
from firmware_bridge.companion.uart import VERSIONS, Uart
from firmware_bridge.simulators.line_faults import FAULT_VERBS, LineFaults, unknown_line

SERIAL: Final = "c0ffee0000000001"
COIN_MS: Final = 50
EPOCH: Final = 77


class _RamLog(Log):
    """A log in memory: it outlives a loss of power, as a disk does."""

    def sync(self) -> None:
        """It is there at once."""


class CompanionSimulator:
    """A `Simulator`: a coin line (channel 2), a coin mechanism (3) and a reader (4)."""

    verbs: ClassVar[Mapping[str, str]] = {
        "coin": "a coin goes through the mechanism",
        "card TEXT": "the reader says a card's number, e.g. `card 0012345678`",
        "power": "it loses its power for a moment, in the middle of whatever it does",
        **FAULT_VERBS,
    }

    def __init__(self, *, width_ms: int = 50, gap_ms: int = 50, versions: tuple[int, int] = VERSIONS) -> None:
        self._shape: Final = (width_ms, gap_ms)
        self._versions: Final = versions
        self._disks: Final = [io.BytesIO(bytes(SLOTS * RECORD)) for _ in range(2)]
        self._faults: Final = LineFaults()
        self._boots = 0
        self._coin_ends_ms = -1
        self._counts = {"pulses": 0, "coins": 0, "cards": 0}
        self._active = self._is_open = False
        self._start()

    def _start(self) -> None:
        self._boots += 1
        boot = f"{self._boots:032x}"
        logs = [_RamLog(disk, boot) for disk in self._disks]
        self._output = Output(logs[0], self._pin, width_ms=self._shape[0], gap_ms=self._shape[1])
        self._coins = Coins(logs[1], self._gate)
        self._coins.level(0, active=False)
        self._reader = Reader(EPOCH + self._boots)
        channels = [self._output, self._coins, self._reader]
        self._uart = Uart(channels, boot=boot, serial=SERIAL, versions=self._versions)

    def _pin(self, active: bool) -> None:  # noqa: FBT001 - a board's pin is called with its level
        self._counts["pulses"] += active and not self._active
        self._active = active

    def _gate(self, is_open: bool) -> None:  # noqa: FBT001 - same
        self._is_open = is_open

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return what is due."""
        self._faults.heard(data, now_ms=now_ms)
        answer = self._uart.feed(data, now_ms)
        if answer:
            self._faults.say(answer, now_ms=now_ms)
        return self.tick(now_ms=now_ms)

    def tick(self, *, now_ms: int) -> bytes:
        """Move the pins; return what is due."""
        self._output.tick(now_ms)
        if self._coin_ends_ms >= 0 and now_ms >= self._coin_ends_ms:
            self._coin_ends_ms = -1
        self._coins.level(now_ms, active=self._coin_ends_ms >= 0)
        return self._faults.due(now_ms=now_ms)

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line; returns how long the script waits."""
        match words:
            case ["coin"]:
                self._counts["coins"] += self._is_open
                if self._is_open:
                    self._coins.level(now_ms, active=True)
                    self._coin_ends_ms = now_ms + COIN_MS
                return 2 * COIN_MS
            case ["card", text]:
                self._counts["cards"] += 1
                self._reader.feed(text.encode() + b"\r\n", now_ms)
            case ["power"]:
                self._faults.hush()
                self._coin_ends_ms = -1
                self._start()
            case _ if self._faults.command(words, now_ms=now_ms):
                pass
            case _:
                raise unknown_line(words, self.verbs, device="a companion board")
        return 0

    def status(self) -> dict[str, object]:
        """Tell what really left and came in."""
        return {**self._counts, "boots": self._boots, "open": self._is_open}
