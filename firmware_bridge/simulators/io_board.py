"""A simulated board of single lines: switches that somebody presses, and lamps, locks and relays that are watched."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import msgspec

from device_profiles.schema import Io
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.line_device import NS_PER_MS, Volts, Waves, volts_of
from firmware_bridge.simulators.line_faults import unknown_line
from firmware_bridge.simulators.script import milliseconds, whole_number
from firmware_bridge.wire.line_frames import LevelFrame

MOST_PULSES: Final = 1_000
PRESS_MS: Final = 100
PULSE_MS: Final = 50


class _Watched(msgspec.Struct):
    """What an output did. Times are ns, `since_ns` None while it is idle."""

    times: int = 0
    longest_ns: int = 0
    since_ns: int | None = None


class IoBoard:
    """One board, wired as its profile says."""

    verbs: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "press LINE [TIME]": "an input is active for so long, 100ms where no time is given",
            "pulses LINE COUNT": "an input shows so many pulses of 50 ms, 50 ms apart",
            "hold LINE": "an input is active from now on; a door is shut",
            "release LINE": "and no longer; a door is opened",
        }
    )

    def __init__(self, io: Io) -> None:
        self.idle: Mapping[str, Volts] = {
            line: volts_of(switched.active_level, active=False) for line, switched in io.outputs.items()
        }
        self._waves: Final = Waves({line: sensed.active_level for line, sensed in io.inputs.items()})
        self._waves.active |= {line: True for line, sensed in io.inputs.items() if sensed.means == "door"}  # it is shut
        self._free_ns = dict.fromkeys(io.inputs, 0)
        self._pulses = dict.fromkeys(io.inputs, 0)
        self._outputs: Final = {line: _Watched() for line in io.outputs}

    def levels(self) -> dict[str, Volts]:
        """Return the inputs of the host."""
        return self._waves.levels()

    def level(self, line: str, level: Volts, *, at_ns: int) -> None:
        """Watch an output."""
        watched, active = self._outputs[line], level != self.idle[line]
        if active and watched.since_ns is None:
            watched.times, watched.since_ns = watched.times + 1, at_ns
        elif not active and watched.since_ns is not None:
            watched.longest_ns = max(watched.longest_ns, at_ns - watched.since_ns)
            watched.since_ns = None

    def tick(self, *, now_ns: int) -> list[LevelFrame]:
        """Return what changed."""
        return self._waves.tick(now_ns)

    def due_ns(self) -> int | None:
        """Return when a line moves next."""
        return self._waves.due_ns()

    def command(self, words: list[str], *, now_ns: int) -> None:
        """Carry out one of `verbs`."""
        match words:
            case ["press", line]:
                self._press(line, PRESS_MS, 1, now_ns)
            case ["press", line, duration]:
                self._press(line, milliseconds(duration), 1, now_ns)
            case ["pulses", line, count]:
                self._press(line, PULSE_MS, whole_number(count, lowest=1, highest=MOST_PULSES), now_ns)
            case ["hold" | "release" as verb, line]:
                at_ns = self._free(line, now_ns)
                self._pulses[line] += verb == "hold"
                self._waves.add(line, active=verb == "hold", at_ns=at_ns)
            case _:
                raise unknown_line(words, self.verbs, device="a board of lines")

    def status(self) -> dict[str, object]:
        """Return what was pressed, and how often and how long the outputs were active."""
        outputs = {
            line: {"on": seen.since_ns is not None, "times": seen.times, "longest_ms": seen.longest_ns // NS_PER_MS}
            for line, seen in self._outputs.items()
        }
        return {"inputs": dict(self._pulses), "outputs": outputs}

    def _free(self, line: str, now_ns: int) -> int:
        if line not in self._free_ns:
            message = f"{line!r} is no input of this board: it has {', '.join(self._free_ns) or 'none'}"
            raise ScriptError(message)
        return max(now_ns, self._free_ns[line])

    def _press(self, line: str, width_ms: int, count: int, now_ns: int) -> None:
        at_ns = self._free(line, now_ns)
        for _ in range(count):
            at_ns = self._waves.pulse(line, at_ns=at_ns, width_ms=width_ms) + PULSE_MS * NS_PER_MS
            self._pulses[line] += 1
        self._free_ns[line] = at_ns
