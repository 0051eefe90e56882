"""The driver of devices that run while a line says so and tell each piece by a notch: tickets, and parallel hoppers.

A notch is a piece that left, also one that comes while the motor coasts. Nothing in the device remembers them: what was
interrupted is said to be unknown with the notches that were seen, and is never resumed. What left without being wanted
is told as lost: it is no guest's, and somebody should know.
"""

import asyncio
import contextlib
import time
from collections import deque
from typing import Final

from device_profiles.schema import Tickets
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, ValueFact
from firmware_bridge.drivers.line_edges import first_levels
from firmware_bridge.drivers.telling import Teller, offer
from firmware_bridge.transports.interface import Edge, LinePipe, TransportClosedError
from firmware_bridge.wire.pulses import Bursts, PulseFilter
from payment_core.commands import Accept, Command, Dispense, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import EventsLost

MAX_PIECES: Final = 100
"""More in one command is a mistake: it would hold the device for ten seconds and more."""
EMPTY_OR_JAM: Final = "empty_or_jam"
RUNS_ON: Final = "runs_on"
STRAYS: Final = 3
STRAYS_NS: Final = 10_000_000_000
"""So many pieces by themselves within that time: the motor runs although nobody told it to (a relay that sticks)."""
ERROR: Final = "error_"
ERROR_MS: Final = 5
"""A fault is 1 to 8 pulses of 10 ms, 10 ms apart; 100 ms later they come again (NRI Currenza H2 manual, p. 17)."""
ERROR_GAP_MS: Final = 50
ERROR_AGAIN_MS: Final = 500
MOST_ERROR: Final = 8
ERROR_QUIET_S: Final = 5.0
"""A fault of the error line that was not told again for so long is over: the motor is off by then."""


class _Run:
    """One command being carried out. `begun`: the motor may have been told to run. `pieces`: of those wanted."""

    def __init__(self) -> None:
        self.begun = False
        self.wanted = 0
        self.pieces = 0


def _lost_pieces(count: int) -> ValueFact:
    return ValueFact(EventsLost(count), time.monotonic())


class TicketDispenser:
    """A `Driver` over a LinePipe with the output `run`, the input `notch` and, where it is wired, the input `error`."""

    def __init__(self, pipe: LinePipe, tickets: Tickets, *, has_error: bool) -> None:
        self._pipe: Final = pipe
        self._tickets: Final = tickets
        self._notch: Final = PulseFilter(shortest_ms=tickets.shortest_ms)
        self._inputs: Final = ("notch", "error") if has_error else ("notch",)
        self._error: Final = PulseFilter(shortest_ms=ERROR_MS)
        self._bursts: Final = Bursts(gap_ms=ERROR_GAP_MS, again_ms=ERROR_AGAIN_MS, most=MOST_ERROR)
        self._burst_ends: asyncio.TimerHandle | None = None
        self._error_ends: asyncio.TimerHandle | None = None
        self._fault = ""
        self._run: _Run | None = None
        self._news = asyncio.Event()
        self._lost = False
        self._strays = 0
        self._untold = asyncio.Event()
        self._strays_at_ns: Final = deque[int](maxlen=STRAYS)

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Serve commands until the lines are gone (TransportClosedError in an ExceptionGroup) or cancelled."""
        teller = Teller()
        try:
            for edge in await first_levels(self._pipe, self._inputs):
                self._take(edge)
            await self._pipe.set("run", active=False)
            await teller.tell(self._condition(), outbox)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch(teller, outbox), name="notches")
                group.create_task(self._tell(teller, outbox), name="by itself")
                while True:
                    await self._serve(await inbox.get(), outbox)
                    await teller.tell(self._condition(), outbox)
        finally:
            self._pipe.close()
            if self._strays:
                offer(outbox, _lost_pieces(self._strays))

    async def _tell(self, teller: Teller, outbox: Outbox) -> None:
        """Tell what no command and no edge tells: lost pieces, and a fault that time brings or ends."""
        while True:
            await self._untold.wait()
            self._untold.clear()
            count, self._strays = self._strays, 0
            try:
                if count:
                    await outbox.put(_lost_pieces(count))
            except asyncio.CancelledError:
                self._strays += count
                raise
            await teller.tell(self._condition(), outbox)

    async def _watch(self, teller: Teller, outbox: Outbox) -> None:
        while True:
            try:
                self._take(await self._pipe.edge())
            except TransportClosedError:
                self._lost = True
                raise
            await teller.tell(self._condition(), outbox)

    def _take(self, edge: Edge) -> None:
        if edge.line == "error":
            if self._error.level(active=edge.active, at_ns=edge.at_ns):
                self._error_pulse(edge.at_ns)
            return
        if self._notch.level(active=edge.active, at_ns=edge.at_ns):
            self._piece(self._notch.began_ns)
        elif edge.active:
            # The motor must stop while the notch is at the sensor: what stands there long enough is not waited out.
            later_s = self._tickets.shortest_ms / 1_000
            asyncio.get_running_loop().call_later(later_s, self._stood, edge.at_ns)

    def _error_pulse(self, ended_ns: int) -> None:
        self._error_is(self._bursts.pulse(began_ns=self._error.began_ns, ended_ns=ended_ns))
        if self._burst_ends is not None:
            self._burst_ends.cancel()
        later = asyncio.get_running_loop().call_later
        self._burst_ends = later(ERROR_GAP_MS / 1_000, lambda: self._error_is(self._bursts.close()))

    def _error_is(self, number: int) -> None:
        """Take a fault that is certain, 0 is none; a motor that runs on is the worse one."""
        if not number or self._fault == RUNS_ON:
            return
        self._fault = f"{ERROR}{number}"
        self._news.set()
        self._untold.set()
        if self._error_ends is not None:
            self._error_ends.cancel()
        self._error_ends = asyncio.get_running_loop().call_later(ERROR_QUIET_S, self._error_lapses)

    def _error_lapses(self) -> None:
        """End a fault that is not told any more; the device tells it anew when its motor finds it again."""
        if self._fault.startswith(ERROR):
            self._fault = ""
            self._untold.set()

    def _stood(self, since_ns: int) -> None:
        if self._notch.stands(since_ns):
            self._piece(since_ns)

    def _piece(self, at_ns: int) -> None:
        """A piece has left: of the command that runs, by the hand of somebody who mended it, or by itself."""
        run = self._run
        if run is not None and run.pieces < run.wanted:
            run.pieces += 1
            self._news.set()
        elif run is None and self._fault == EMPTY_OR_JAM:
            self._fault = ""
        else:
            self._strays += 1
            self._untold.set()
            if run is None:
                self._look_for_a_run(at_ns)

    def _look_for_a_run(self, at_ns: int) -> None:
        """Find a motor that runs on: nothing ends that but a person, so no piece clears the fault."""
        at = self._strays_at_ns
        at.append(at_ns)
        if len(at) == STRAYS and at[-1] - at[0] < STRAYS_NS:
            self._fault = RUNS_ON

    def _condition(self) -> Condition:
        noise = self._notch.glitches + self._error.glitches
        return Condition("fault", reason=self._fault, noise=noise) if self._fault else Condition("online", noise=noise)

    async def _serve(self, command: Command, outbox: Outbox) -> None:
        run = _Run()
        try:
            answer = await self._answer(command, run)
        except (TransportClosedError, asyncio.CancelledError) as error:
            # The outbox may be full while the bridge is ending; it then says `unknown` for every open command itself.
            self._lost = self._lost or isinstance(error, TransportClosedError)
            offer(outbox, self._interrupted(command, run))
            raise
        await outbox.put(answer)

    def _interrupted(self, command: Command, run: _Run) -> Answer:
        reason = "line_closed" if self._lost else "stopped"
        return Answer(command.id, "unknown" if run.begun else "failed", amount=run.pieces, reason=reason)

    async def _answer(self, command: Command, run: _Run) -> Answer:
        """Carry out one command."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if isinstance(body, Accept):
            if body.on:
                self._fault = ""
                self._strays_at_ns.clear()
            return Answer(command.id, "done")
        if not isinstance(body, Dispense):
            return Answer(command.id, "refused", reason="not_supported")
        if not 1 <= body.count <= MAX_PIECES:
            return Answer(command.id, "refused", reason="bad_amount")
        if self._fault:
            return Answer(command.id, "failed", reason=self._fault)
        return await self._give(command, body.count, run)

    async def _give(self, command: Command, count: int, run: _Run) -> Answer:
        """Run until enough pieces have left, then count what still comes.

        A part of them is done with its amount: so much is the guest's, and the rest goes back. None of them failed.
        """
        await self._pipe.set("run", active=False)  # tells a line that is gone before anything can have been given
        run.begun, run.wanted, self._run = True, count, run
        try:
            await self._pipe.set("run", active=True)
            await self._count(run, count)
            await self._pipe.set("run", active=False)
            await asyncio.sleep(self._tickets.coast_ms / 1_000)
        finally:
            self._run = None
        if run.pieces >= count:
            return Answer(command.id, "done", amount=run.pieces)
        self._fault = self._fault or EMPTY_OR_JAM
        return Answer(command.id, "done" if run.pieces else "failed", amount=run.pieces, reason=self._fault)

    async def _count(self, run: _Run, count: int) -> None:
        """Wait until so many have left, or nothing has for too long, or the device tells a fault."""
        with contextlib.suppress(TimeoutError):
            while run.pieces < count and not self._fault:
                self._news.clear()
                async with asyncio.timeout(self._tickets.jam_ms / 1_000):
                    await self._news.wait()
