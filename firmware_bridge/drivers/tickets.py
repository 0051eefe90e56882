"""The driver of devices that run while a line says so and tell each piece by a notch: tickets, and parallel hoppers.

A notch is a piece that left, also one that comes while the motor coasts. Nothing in the device remembers them: what was
interrupted is said to be unknown with the notches that were seen, and is never resumed.
"""

import asyncio
import contextlib
from typing import Final

from device_profiles.schema import Tickets
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox
from firmware_bridge.drivers.line_edges import first_levels
from firmware_bridge.drivers.telling import Teller
from firmware_bridge.transports.interface import Edge, LinePipe, TransportClosedError
from firmware_bridge.wire.pulses import PulseFilter
from payment_core.commands import Accept, Command, Dispense, command_body
from payment_core.errors import MalformedMessageError

MAX_PIECES: Final = 100
"""More in one command is a mistake: it would hold the device for ten seconds and more."""
EMPTY_OR_JAM: Final = "empty_or_jam"
ERROR_MS: Final = 5
"""The bursts of the error line are pulses of 10 ms (NRI parallel hopper)."""


class _Run:
    """One command being carried out. `begun`: the motor may have been told to run."""

    def __init__(self) -> None:
        self.begun = False
        self.pieces = 0


class TicketDispenser:
    """A `Driver` over a LinePipe with the output `run`, the input `notch` and, where it is wired, the input `error`."""

    def __init__(self, pipe: LinePipe, tickets: Tickets, *, has_error: bool) -> None:
        self._pipe: Final = pipe
        self._tickets: Final = tickets
        self._notch: Final = PulseFilter(shortest_ms=tickets.shortest_ms)
        self._inputs: Final = ("notch", "error") if has_error else ("notch",)
        self._error: Final = PulseFilter(shortest_ms=ERROR_MS)
        self._fault = ""
        self._bursts = 0
        self._run: _Run | None = None
        self._news = asyncio.Event()
        self._lost = False

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
                while True:
                    await self._serve(await inbox.get(), outbox)
                    await teller.tell(self._condition(), outbox)
        finally:
            self._pipe.close()

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
                self._bursts += 1
                self._fault = f"error_{self._bursts}"
                self._news.set()
            return
        if self._notch.level(active=edge.active, at_ns=edge.at_ns):
            self._piece()
        elif edge.active:
            # The motor must stop while the notch is at the sensor: what stands there long enough is not waited out.
            later_s = self._tickets.shortest_ms / 1_000
            asyncio.get_running_loop().call_later(later_s, self._stood, edge.at_ns)

    def _stood(self, since_ns: int) -> None:
        if self._notch.stands(since_ns):
            self._piece()

    def _piece(self) -> None:
        """A piece has left: of the command that runs, or moved by the hand of somebody who mended it."""
        if self._run is not None:
            self._run.pieces += 1
            self._news.set()
        elif self._fault == EMPTY_OR_JAM:
            self._fault = ""

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
            with contextlib.suppress(asyncio.QueueFull):
                outbox.put_nowait(self._interrupted(command, run))
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
            self._fault, self._bursts = "" if body.on else self._fault, 0
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
        run.begun, self._run = True, run
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
