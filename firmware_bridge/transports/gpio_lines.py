"""The only door to gpiozero: digital lines on the pins of a Raspberry Pi, with debounce of our own.

gpiozero's mock ignores `bounce_time`, and the kernel's debounce differs between chips, so inputs are debounced here:
a level counts once it has stood for `DEBOUNCE_MS`, with the time of its first edge. Whether it has is told from the
kernel's times: a pulse that came and went while this program was held up is no glitch.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import gpiozero
import msgspec

from firmware_bridge.transports.interface import Edge, TransportClosedError, TransportError

DEBOUNCE_MS: Final = 5
EDGES_KEPT: Final = 256
"""Settled edges nobody has read; at the bound the oldest goes: only the last level of a line matters."""
MOST_LOOKS: Final = 3
"""So often is waited for an edge that must be on its way; then it was lost, and what the pin says counts."""
LATEST_NS: Final = 1_000_000_000
"""No change reaches us later than this."""
Level = Literal["low", "high"]


class _Waiting(msgspec.Struct, frozen=True):
    """A level that may be bounce: since its first edge, its last one, when it will have stood, how often we looked."""

    active: bool
    first_ns: int
    last_ns: int
    timer: asyncio.TimerHandle
    looks: int = 0


class Pin(msgspec.Struct, frozen=True):
    """A line: its BCM number and the level at which it is active."""

    bcm: int
    active_level: Level


class GpioLines:
    """A `LinePipe` on real pins. The first edges are the inputs' levels at the moment of opening."""

    def __init__(self, *, outputs: Mapping[str, Pin], inputs: Mapping[str, Pin], pin_factory: Any = None) -> None:  # noqa: ANN401 - gpiozero has no types
        """Take the pins, outputs idle; TransportError names the pin and the remedy. Needs a running event loop.

        `pin_factory` None: gpiozero's own choice, which is lgpio on a Raspberry Pi.
        """
        self._loop = asyncio.get_running_loop()
        self._settled: asyncio.Queue[Edge | None] = asyncio.Queue(EDGES_KEPT)
        self._waiting: dict[str, _Waiting] = {}
        self._known: dict[str, bool] = {}
        self._callbacks: list[Callable[[float, Any], None]] = []
        self._outputs: dict[str, Any] = {}
        self._inputs: dict[str, Any] = {}
        self._closed = False
        try:
            for line, pin in outputs.items():
                self._outputs[line] = gpiozero.DigitalOutputDevice(
                    pin.bcm, active_high=pin.active_level == "high", initial_value=False, pin_factory=pin_factory
                )
            for line, pin in inputs.items():
                self._inputs[line] = self._open_input(line, pin, pin_factory)
        except (gpiozero.GPIOZeroError, OSError, ImportError) as error:
            self.close()
            message = f"pins cannot be used: {error}. Is this a Raspberry Pi with lgpio, and this user in group gpio?"
            raise TransportError(message) from error

    async def set(self, line: str, *, active: bool) -> None:
        """Drive an output; TransportClosedError after `close`."""
        if self._closed:
            raise self._gone()
        self._outputs[line].value = 1 if active else 0

    async def edge(self) -> Edge:
        """Return the next settled change of an input; TransportClosedError after `close`."""
        found = None if self._closed else await self._settled.get()
        if found is None:
            raise self._gone()
        return found

    def close(self) -> None:
        """Put outputs to their idle level and give all pins back; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for waiting in self._waiting.values():
            waiting.timer.cancel()
        for device in self._outputs.values():
            device.off()
            device.close()
        for device in self._inputs.values():
            device.close()
        self._put(None)

    def _open_input(self, line: str, pin: Pin, pin_factory: Any) -> Any:  # noqa: ANN401 - gpiozero has no types
        """Pull the line to its idle level, so that a cable that is not there reads as inactive."""
        device = gpiozero.DigitalInputDevice(pin.bcm, pull_up=pin.active_level == "low", pin_factory=pin_factory)

        def changed(ticks: float, state: Any) -> None:  # noqa: ANN401 - gpiozero has no types
            # gpiozero calls from a thread of its own, later than it was; `ticks` is when the kernel saw it.
            active = bool(state) == (pin.active_level == "high")
            self._loop.call_soon_threadsafe(self._changed, line, active, _time_of(ticks))

        self._callbacks.append(changed)  # gpiozero keeps only a weak reference
        device.pin.when_changed = changed
        self._known[line] = bool(device.is_active)
        self._put(Edge(line, self._known[line], time.monotonic_ns()))
        return device

    def _changed(self, line: str, active: bool, at_ns: int) -> None:  # noqa: FBT001 - call_soon_threadsafe
        """Start the debounce anew; the time of the first edge is kept. What stood long enough until now counts."""
        if self._closed:
            return
        first_ns, waiting = at_ns, self._waiting.pop(line, None)
        if waiting is not None:
            waiting.timer.cancel()
            if at_ns - waiting.last_ns >= DEBOUNCE_MS * 1_000_000:
                self._tell(line, waiting.active, waiting.first_ns)
            else:
                first_ns = waiting.first_ns
        timer = self._loop.call_later(DEBOUNCE_MS / 1_000, self._settle, line)
        self._waiting[line] = _Waiting(active, first_ns, at_ns, timer)

    def _settle(self, line: str) -> None:
        """The line has been quiet for long enough: tell its level.

        Where the pin is otherwise by now, the edge that tells when it changed is on its way: wait for it, not for ever.
        """
        waiting, active = self._waiting.pop(line), bool(self._inputs[line].is_active)
        if active == waiting.active or waiting.looks >= MOST_LOOKS:
            self._tell(line, active, waiting.first_ns)
            return
        timer = self._loop.call_later(DEBOUNCE_MS / 1_000, self._settle, line)
        self._waiting[line] = msgspec.structs.replace(waiting, timer=timer, looks=waiting.looks + 1)

    def _tell(self, line: str, active: bool, at_ns: int) -> None:  # noqa: FBT001 - as above
        """Tell a level where it is another than before."""
        if active != self._known[line]:
            self._known[line] = active
            self._put(Edge(line, active, at_ns))

    def _put(self, edge: Edge | None) -> None:
        if self._settled.full():
            self._settled.get_nowait()
        self._settled.put_nowait(edge)

    def _gone(self) -> TransportClosedError:
        return TransportClosedError("the pins were given back")


def _time_of(ticks: float) -> int:
    """Return ns of CLOCK_MONOTONIC from the kernel's seconds; our own time where its clock is another (old kernels)."""
    at_ns, now_ns = round(ticks * 1_000_000_000), time.monotonic_ns()
    return at_ns if 0 <= now_ns - at_ns <= LATEST_NS else now_ns
