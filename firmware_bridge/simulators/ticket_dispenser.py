"""A simulated ticket dispenser, or a parallel hopper: a motor that moves while it is told to, and a notch per piece."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import msgspec

from device_profiles.schema import Tickets
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.line_device import NS_PER_MS, Volts, Waves, volts_of
from firmware_bridge.simulators.line_faults import unknown_line
from firmware_bridge.simulators.script import milliseconds, whole_number
from firmware_bridge.wire.line_frames import LevelFrame

MOST_LOADED: Final = 100_000
MOST_ERROR: Final = 8
ERROR_MS: Final = 10
ERROR_EVERY_MS: Final = 20
ERROR_REST_MS: Final = 100
ERROR_TIMES: Final = 5
"""The error line's pulses, and how often they are told (NRI Currenza H2 manual, p. 17)."""


class Motion(msgspec.Struct, frozen=True):
    """How it moves: a piece every `piece_ms`, the last `notch_ms` of which its notch is at the sensor.

    coast_ms: the motor goes on for so long after it was told to stop.
    """

    piece_ms: int = 100
    notch_ms: int = 30
    coast_ms: int = 10


MOTION: Final = Motion()
COINS_OUT: Final = Motion(piece_ms=200, coast_ms=0)


class TicketDispenserSimulator:
    """One device; it stands on a notch at the start, as a dispenser does that was stopped by one."""

    verbs: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "load N": "N pieces are in it from now on",
            "jam": "nothing moves any more, whatever the motor does",
            "stick": "the motor's relay sticks: it runs whatever the line says",
            "clear": "the jam or the relay is mended",
            "feed": "somebody draws one piece through by hand",
            "coast TIME": "from now on the motor runs on for so long after its stop, e.g. `coast 150ms`",
            "glitch TIME": "the notch line shows the other level for so long",
            "error N": "the error line tells fault N: bursts of N pulses, for a while",
            "spike TIME": "the error line shows one pulse of so long",
        }
    )

    def __init__(self, tickets: Tickets, motion: Motion = MOTION, *, loaded: int = 1_000) -> None:
        self._tickets: Final = tickets
        self._motion = motion
        self._left = loaded
        self._out = 0
        self._jammed = self._stuck = self._told = False
        self._running = False
        self._moves_until_ns: int | None = 0
        self._at_ns = 0
        self._phase_ns = (motion.piece_ms - motion.notch_ms // 2) * NS_PER_MS
        self._glitches = Waves({"notch": "high", "error": tickets.error_level})
        self.idle: Mapping[str, Volts] = {"run": volts_of(tickets.run_level, active=False)}
        self._shown = self._notch_level()
        self._frames: list[LevelFrame] = []

    def levels(self) -> dict[str, Volts]:
        """Return notch and error."""
        return {"notch": self._shown, "error": self._glitches.levels()["error"]}

    def level(self, line: str, level: Volts, *, at_ns: int) -> None:
        """Start or stop the motor."""
        self._told = line == "run" and level != self.idle["run"]
        self._turn(at_ns)

    def _turn(self, at_ns: int) -> None:
        """Run where the line or the relay makes it."""
        running = self._told or self._stuck
        if running == self._running:
            return
        self._go_on(at_ns)
        self._running = running
        self._moves_until_ns = None if running else max(at_ns, self._at_ns) + self._motion.coast_ms * NS_PER_MS

    def tick(self, *, now_ns: int) -> list[LevelFrame]:
        """Return what changed."""
        self._go_on(now_ns)
        while (due_ns := self._glitches.due_ns()) is not None and due_ns <= now_ns:
            for frame in self._glitches.tick(due_ns):
                if frame.line == "notch":
                    self._show(frame.at_ns)
                else:
                    self._frames.append(frame)
        frames, self._frames = sorted(self._frames, key=lambda frame: frame.at_ns), []
        return frames

    def due_ns(self) -> int | None:
        """Return when a line moves next."""
        dues = [at for at in (self._next_edge_ns(), self._glitches.due_ns()) if at is not None]
        return min(dues, default=None)

    def command(self, words: list[str], *, now_ns: int) -> None:
        """Carry out one of `verbs`."""
        self._go_on(now_ns)
        match words:
            case ["load", count]:
                self._left = whole_number(count, lowest=0, highest=MOST_LOADED)
            case ["jam" | "clear" as verb]:
                self._jammed, self._stuck = verb == "jam", False
                self._turn(now_ns)
            case ["stick"]:
                self._stuck = True
                self._turn(now_ns)
            case ["feed"]:
                if self._running:
                    message = "feed: the motor runs: nobody draws a piece by hand now"
                    raise ScriptError(message)
                self._moves_until_ns = now_ns + self._motion.piece_ms * NS_PER_MS
            case ["coast", duration]:
                self._motion = msgspec.structs.replace(self._motion, coast_ms=milliseconds(duration))
            case ["glitch", duration]:
                self._glitches.pulse("notch", at_ns=now_ns, width_ms=milliseconds(duration))
            case ["error", count]:
                self._tell_error(whole_number(count, lowest=1, highest=MOST_ERROR), now_ns)
            case ["spike", duration]:
                self._glitches.pulse("error", at_ns=now_ns, width_ms=milliseconds(duration))
            case _:
                raise unknown_line(words, self.verbs, device="a ticket dispenser")

    def status(self) -> dict[str, object]:
        """Return what really came out."""
        return {
            "tickets_out": self._out,
            "tickets_left": self._left,
            "running": self._running,
            "jammed": self._jammed,
        }

    def _tell_error(self, number: int, now_ns: int) -> None:
        burst_ms = (number - 1) * ERROR_EVERY_MS + ERROR_MS + ERROR_REST_MS
        for pulse in range(ERROR_TIMES * number):
            at_ms = pulse // number * burst_ms + pulse % number * ERROR_EVERY_MS
            self._glitches.pulse("error", at_ns=now_ns + at_ms * NS_PER_MS, width_ms=ERROR_MS)

    def _on_notch(self) -> bool:
        return self._phase_ns >= (self._motion.piece_ms - self._motion.notch_ms) * NS_PER_MS

    def _notch_level(self) -> Volts:
        """Return the level that the sensor shows; a glitch shows the other one."""
        active = self._on_notch() != self._glitches.active["notch"]
        return volts_of(self._tickets.notch_level, active=active)

    def _show(self, at_ns: int) -> None:
        """Let the host see the notch, where that is a change."""
        level = self._notch_level()
        if level != self._shown:
            self._shown = level
            self._frames.append(LevelFrame("notch", level, at_ns))

    def _next_edge_ns(self) -> int | None:
        """Return when the notch comes or goes, None while nothing moves so far."""
        if self._jammed or (self._moves_until_ns is not None and self._at_ns >= self._moves_until_ns):
            return None
        begin_ns = (self._motion.piece_ms - self._motion.notch_ms) * NS_PER_MS
        if self._phase_ns < begin_ns and not self._left:
            return None
        aim_ns = self._motion.piece_ms * NS_PER_MS if self._on_notch() else begin_ns
        edge_ns = self._at_ns + aim_ns - self._phase_ns
        return None if self._moves_until_ns is not None and edge_ns > self._moves_until_ns else edge_ns

    def _go_on(self, now_ns: int) -> None:
        """Move up to now."""
        while (edge_ns := self._next_edge_ns()) is not None and edge_ns <= now_ns:
            if self._on_notch():
                self._phase_ns = 0
            else:
                self._phase_ns = (self._motion.piece_ms - self._motion.notch_ms) * NS_PER_MS
                self._out += 1
                self._left -= 1
            self._at_ns = edge_ns
            self._show(edge_ns)
        self._drift(now_ns)

    def _drift(self, now_ns: int) -> None:
        """Move on to now between two edges."""
        until_ns = now_ns if self._moves_until_ns is None else min(now_ns, self._moves_until_ns)
        moves = not self._jammed and (self._on_notch() or self._left)
        if moves and until_ns > self._at_ns:
            self._phase_ns += until_ns - self._at_ns
        self._at_ns = max(self._at_ns, now_ns)
