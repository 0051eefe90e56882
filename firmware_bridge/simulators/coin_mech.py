"""A simulated coin mechanism on lines: one pulse line, or a line per coin; it returns coins while its gate is shut."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from device_profiles.matching import COIN, coin_inputs
from device_profiles.schema import Acceptor
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.line_device import NS_PER_MS, Volts, Waves, volts_of
from firmware_bridge.simulators.line_faults import unknown_line
from firmware_bridge.simulators.script import milliseconds, whole_number
from firmware_bridge.wire.line_frames import LevelFrame

MOST_PULSES: Final = 16
BETWEEN_COINS: Final = 8
"""Widths of a pulse between two coins: more than the three periods that end a row of pulses."""
BOUNCE_MS: Final = 2


class CoinMech:
    """One mechanism; `accept`, where its profile has it, is its inhibit line."""

    verbs: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "coin N": "a coin of N pulses is inserted; with a line per coin the coin of position N",
            "glitch TIME": "the first line is active for so long, e.g. `glitch 15ms`",
            "bounce COUNT": "the next COUNT pulses chatter at both ends, as a worn switch does",
            "stick TIME": "a coin jams: the first line is active for so long",
        }
    )

    def __init__(self, acceptor: Acceptor, *, has_gate: bool = True) -> None:
        assert acceptor.pulses is not None
        self._pulses: Final = acceptor.pulses
        self._lines: Final = coin_inputs(acceptor)
        self._waves: Final = Waves(dict.fromkeys(self._lines, self._pulses.active_level))
        self._has_gate: Final = has_gate
        shut = volts_of(self._pulses.accept_level, active=False)
        self.idle: Mapping[str, Volts] = {"accept": shut} if has_gate else {}
        self._open = not has_gate
        self._free_ns = 0
        self._bounces = 0
        self._inserted: dict[int, int] = {}
        self._returned = self._sent = 0

    def levels(self) -> dict[str, Volts]:
        """Return the coin lines."""
        return self._waves.levels()

    def level(self, line: str, level: Volts, *, at_ns: int) -> None:  # noqa: ARG002 - the gate moves at once
        """Move the gate."""
        if line == "accept" and self._has_gate:
            self._open = level != self.idle["accept"]

    def tick(self, *, now_ns: int) -> list[LevelFrame]:
        """Return what changed."""
        return self._waves.tick(now_ns)

    def due_ns(self) -> int | None:
        """Return when a line moves next."""
        return self._waves.due_ns()

    def command(self, words: list[str], *, now_ns: int) -> None:
        """Carry out one of `verbs`."""
        at_ns = max(now_ns, self._free_ns)
        match words:
            case ["coin", number]:
                self._coin(whole_number(number, lowest=1, highest=MOST_PULSES), at_ns)
            case ["glitch" | "stick", duration]:
                width_ms = milliseconds(duration)
                self._free_ns = self._waves.pulse(self._lines[0], at_ns=at_ns, width_ms=width_ms) + self._gap_ns()
            case ["bounce", count]:
                self._bounces = whole_number(count, lowest=0, highest=MOST_PULSES)
            case _:
                raise unknown_line(words, self.verbs, device="a coin mechanism")

    def status(self) -> dict[str, object]:
        """Return what really fell into the box."""
        return {
            "coins_inserted": sum(self._inserted.values()),
            "coins": {str(position): count for position, count in sorted(self._inserted.items())},
            "coins_returned": self._returned,
            "pulses": self._sent,
            "accepting": self._open,
        }

    def _gap_ns(self) -> int:
        return self._pulses.width_ms * NS_PER_MS

    def _coin(self, number: int, at_ns: int) -> None:
        line, count = COIN, number
        if self._pulses.counting == "lines":
            line, count = f"{COIN}{number}", 1
        if line not in self._lines:
            message = f"this mechanism knows no coin {number}: it has {', '.join(self._lines)}"
            raise ScriptError(message)
        if not self._open:
            self._returned += 1
            return
        self._inserted[number] = self._inserted.get(number, 0) + 1
        for _ in range(count):
            at_ns = self._pulse(line, at_ns) + self._gap_ns()
            self._sent += 1
        self._free_ns = at_ns + (BETWEEN_COINS * self._gap_ns() if self._pulses.counting == "trains" else 0)

    def _pulse(self, line: str, at_ns: int) -> int:
        """Let a pulse begin then; return its end."""
        if not self._bounces:
            return self._waves.pulse(line, at_ns=at_ns, width_ms=self._pulses.width_ms)
        self._bounces -= 1
        first_ns = self._waves.pulse(line, at_ns=at_ns, width_ms=BOUNCE_MS) + BOUNCE_MS * NS_PER_MS
        end_ns = self._waves.pulse(line, at_ns=first_ns, width_ms=self._pulses.width_ms) + BOUNCE_MS * NS_PER_MS
        return self._waves.pulse(line, at_ns=end_ns, width_ms=BOUNCE_MS)
