"""The driver of a coin line: gives credits to a machine as pulses, like the switch of a coin mechanism would.

A pulse is fire and forget: no machine confirms it. So what was interrupted is said to be unknown and never resumed.
The one thing a machine can say is its coin lockout, here the optional input `ready`.
"""

import asyncio
import time
from typing import Final

from device_profiles.schema import Pulse
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox
from firmware_bridge.drivers.telling import offer
from firmware_bridge.transports.interface import LinePipe, TransportClosedError
from payment_core.commands import Command, PulseCredit, command_body
from payment_core.errors import MalformedMessageError

MAX_CREDITS: Final = 100
"""More in one command is a mistake: it would hold the line for ten seconds and more."""
NOT_READY: Final = "machine_not_ready"
FIRST_LEVEL_S: Final = 2.0
"""Lines tell the level of their inputs when they are opened; one that has not by then is not wired."""


class _Train:
    """The pulses of one command. `ends_ns`: when each credit's last pulse was over."""

    def __init__(self) -> None:
        self.begun = False
        self.ends_ns: list[int] = []

    def credits_before(self, at_ns: int | None) -> int:
        """Return how many credits were given before `at_ns` (None: all)."""
        return sum(1 for end_ns in self.ends_ns if at_ns is None or end_ns < at_ns)


class CoinLine:
    """A `Driver` over a LinePipe with the output `coin` and, where the site wired them, `meter` and the input `ready`.

    The meter, a mechanical counter, gets every pulse that the machine gets, no other, and at the same time.
    """

    def __init__(self, pipe: LinePipe, pulse: Pulse, *, has_ready: bool, has_meter: bool = False) -> None:
        self._outputs: Final = ("coin", "meter") if has_meter else ("coin",)
        self._pipe: Final = pipe
        self._pulse: Final = pulse
        self._ready = not has_ready
        self._stopped_ns: int | None = None
        self._known = asyncio.Event()
        if not has_ready:
            self._known.set()

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Serve commands until the lines are gone (TransportClosedError in an ExceptionGroup) or cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch(outbox), name="coin line inputs")
                await self._first_level()
                await outbox.put(self._condition())
                while True:
                    await self._serve(await inbox.get(), outbox)
        finally:
            self._pipe.close()

    async def _first_level(self) -> None:
        try:
            async with asyncio.timeout(FIRST_LEVEL_S):
                await self._known.wait()
        except TimeoutError as error:
            message = "the input ready has no level. Is it wired? If this machine has no lockout, leave pins.ready out."
            raise DriverError(message) from error

    async def _watch(self, outbox: Outbox) -> None:
        """Follow the machine's lockout."""
        while True:
            edge = await self._pipe.edge()
            if edge.line != "ready" or (edge.active == self._ready and self._known.is_set()):
                continue
            self._ready = edge.active
            if not edge.active and self._stopped_ns is None:
                self._stopped_ns = edge.at_ns
            if self._known.is_set():
                await outbox.put(self._condition())
            self._known.set()

    def _condition(self) -> Condition:
        return Condition("online") if self._ready else Condition("fault", reason=NOT_READY)

    async def _serve(self, command: Command, outbox: Outbox) -> None:
        train = _Train()
        try:
            answer = await self._answer(command, train)
        except (TransportClosedError, asyncio.CancelledError) as error:
            # The outbox may be full while the bridge is ending; it then says `unknown` for every open command itself.
            lost = isinstance(error, TransportClosedError)
            offer(outbox, self._interrupted(command, train, reason="line_closed" if lost else "stopped"))
            raise
        await outbox.put(answer)

    async def _answer(self, command: Command, train: _Train) -> Answer:
        """Carry out one command."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if not isinstance(body, PulseCredit):
            return Answer(command.id, "refused", reason="not_supported")
        if not 1 <= body.credits <= MAX_CREDITS:
            return Answer(command.id, "refused", reason="bad_amount")
        if not self._ready:
            return Answer(command.id, "failed", reason=NOT_READY)
        return await self._give(command, body.credits, train)

    async def _give(self, command: Command, credits_: int, train: _Train) -> Answer:
        self._stopped_ns = None
        await self._set(active=False)  # tells a line that is gone before anything can have been given
        train.begun = True
        for number in range(1, credits_ * self._pulse.pulses_per_credit + 1):
            end_ns = await self._one_pulse()
            if number % self._pulse.pulses_per_credit == 0:
                train.ends_ns.append(end_ns)
            await asyncio.sleep(self._pulse.gap_ms / 1_000)
            if self._was_stopped():
                return self._interrupted(command, train, reason=NOT_READY)
        return Answer(command.id, "done", amount=credits_)

    def _was_stopped(self) -> bool:
        return self._stopped_ns is not None

    async def _one_pulse(self) -> int:
        """Give one pulse; returns when it ended, in ns of CLOCK_MONOTONIC."""
        await self._set(active=True)
        await asyncio.sleep(self._pulse.width_ms / 1_000)
        end_ns = time.monotonic_ns()
        await self._set(active=False)
        return end_ns

    async def _set(self, *, active: bool) -> None:
        for line in self._outputs:
            await self._pipe.set(line, active=active)

    def _interrupted(self, command: Command, train: _Train, *, reason: str) -> Answer:
        if not train.begun:
            return Answer(command.id, "failed", reason=reason)
        return Answer(command.id, "unknown", amount=train.credits_before(self._stopped_ns), reason=reason)
