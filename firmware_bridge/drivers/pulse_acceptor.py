"""The driver of coin mechanisms that tell a coin by pulses: one line with a pulse, or several, per coin; or six lines.

Such a mechanism keeps no count: what it says while nobody listens is gone. So its gate (the output `accept`) is open
only while this driver listens, and shut while an input is stuck.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Final

from device_profiles.matching import COIN, coin_inputs
from device_profiles.schema import SHORTEST_PULSE_MS, Acceptor, CoinPulses
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, ValueFact
from firmware_bridge.drivers.line_edges import first_levels, next_edge
from firmware_bridge.drivers.telling import Teller, offer
from firmware_bridge.transports.interface import Edge, LinePipe, TransportClosedError
from firmware_bridge.wire.pulses import PulseFilter, Train
from payment_core.commands import Accept, Command, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CoinInserted, EventsLost

STUCK_MS: Final = 1_000
"""Twice the widest pulse of a profile. No mechanism holds its line for longer: a coin that jams there, a wire in the
slot, a cable that was cut."""
TRAIN_PERIODS: Final = 3
"""A pause of more than so many periods ends one coin."""
LATE_MS: Final = 100
"""A change may reach us so much later than it was: a row of pulses is closed only then."""
LAST_COIN_S: Final = 5.0
"""So long a driver that is to end hears a coin out: the longest pause that ends a row, and pulses before it."""
NO_COUNTER: Final = 0
STUCK: Final = "stuck"


def shortest_ms(pulses: CoinPulses) -> int:
    """Return what is too short for a pulse: half of what the mechanism is set to, and never below 20 ms."""
    return max(SHORTEST_PULSE_MS, pulses.width_ms // 2)


class PulseAcceptor:
    """A `Driver` over a LinePipe with those inputs of `coin_inputs` and the output `accept` that the site `wired`."""

    def __init__(self, pipe: LinePipe, acceptor: Acceptor, *, wired: frozenset[str]) -> None:
        assert acceptor.pulses is not None  # a rule of checking.py
        self._pipe: Final = pipe
        self._pulses: Final = acceptor.pulses
        self._has_gate: Final = "accept" in wired
        self._filters: Final[Mapping[str, PulseFilter]] = {
            line: PulseFilter(shortest_ms=shortest_ms(self._pulses), longest_ms=STUCK_MS)
            for line in coin_inputs(acceptor)
            if line in wired
        }
        self._train: Final = Train(gap_ms=TRAIN_PERIODS * 2 * self._pulses.width_ms)
        self._train_closes: float | None = None
        self._stuck_at: dict[str, float] = {}
        self._blocked: set[str] = set()
        self._stuck: set[str] = set()
        self._wanted = True
        self._gate_is: bool | None = None

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Count coins until the lines are gone (TransportClosedError in an ExceptionGroup) or cancelled."""
        teller = Teller()
        try:
            for edge in await first_levels(self._pipe, self._filters):
                await self._take(edge, outbox)
            while not inbox.empty():  # the gate may have been shut before this driver was made
                await outbox.put(await self._answer(inbox.get_nowait()))
            await self._move_gate()
            await teller.tell(self._condition(), outbox)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(teller, outbox), name="coin inputs")
                while True:
                    await outbox.put(await self._answer(await inbox.get()))
        except asyncio.CancelledError:
            with contextlib.suppress(TransportClosedError, TimeoutError):
                async with asyncio.timeout(LAST_COIN_S):
                    await self._hear_out(outbox)
            raise
        finally:
            self._pipe.close()
            if self._train.open:  # a coin fell, and which one nobody will know
                offer(outbox, ValueFact(EventsLost(1), time.monotonic()))

    async def _hear_out(self, outbox: Outbox) -> None:
        """Let no more coins in and wait for the end of the one that is being told."""
        self._wanted = False
        await self._move_gate()
        while self._train.open or any(
            line.active for name, line in self._filters.items() if name not in self._stuck | self._blocked
        ):
            edge = await next_edge(self._pipe, self._next_due())
            if edge is not None:
                await self._take(edge, outbox)
            await self._look(outbox)

    async def _listen(self, teller: Teller, outbox: Outbox) -> None:
        while True:
            edge = await next_edge(self._pipe, self._next_due())
            if edge is not None:
                await self._take(edge, outbox)
            await self._look(outbox)
            await self._move_gate()
            await teller.tell(self._condition(), outbox)

    async def _take(self, edge: Edge, outbox: Outbox) -> None:
        """Take one change of an input."""
        line = self._filters.get(edge.line)
        if line is None:
            return
        was_known = line.known
        if line.level(active=edge.active, at_ns=edge.at_ns):
            await self._pulse(edge, line, outbox)
        now = asyncio.get_running_loop().time()
        if not edge.active:
            self._stuck_at.pop(edge.line, None)
            self._blocked.discard(edge.line)
            self._stuck.discard(edge.line)
        elif edge.line not in self._stuck_at:
            self._stuck_at[edge.line] = now + STUCK_MS / 1_000
            if not was_known:
                self._blocked.add(edge.line)

    async def _pulse(self, edge: Edge, line: PulseFilter, outbox: Outbox) -> None:
        """A pulse is certain."""
        match self._pulses.counting:
            case "pulses":
                await self._coin(1, outbox)
            case "lines":
                await self._coin(int(edge.line.removeprefix(COIN)), outbox)
            case "trains":
                ended = self._train.pulse(began_ns=line.began_ns, ended_ns=edge.at_ns)
                gap_ms = TRAIN_PERIODS * 2 * self._pulses.width_ms + LATE_MS
                self._train_closes = asyncio.get_running_loop().time() + gap_ms / 1_000
                if ended:
                    await self._coin(ended, outbox)

    async def _coin(self, position: int, outbox: Outbox) -> None:
        """Say it; a row of pulses that is no position's is said as well: the hub books it as tampering, no money."""
        await outbox.put(ValueFact(CoinInserted(position, NO_COUNTER), time.monotonic()))

    async def _look(self, outbox: Outbox) -> None:
        """Do what its time has come for."""
        now = asyncio.get_running_loop().time()
        self._stuck |= {line for line, at in self._stuck_at.items() if at <= now}
        if self._train_closes is not None and self._train_closes <= now and not self._filters[COIN].active:
            self._train_closes = None
            await self._coin(self._train.close(), outbox)

    def _next_due(self) -> float | None:
        dues = [at for line, at in self._stuck_at.items() if line not in self._stuck]
        if self._train_closes is not None and not self._filters[COIN].active:
            dues.append(self._train_closes)
        return min(dues, default=None)

    async def _move_gate(self) -> None:
        is_open = self._wanted and not self._stuck and not self._blocked
        if self._has_gate and is_open != self._gate_is:
            self._gate_is = is_open
            await self._pipe.set("accept", active=is_open)

    def _condition(self) -> Condition:
        noise = sum(line.glitches for line in self._filters.values())
        if self._stuck:
            return Condition("fault", reason=f"{STUCK}_{min(self._stuck)}", noise=noise)
        return Condition("online", noise=noise)

    async def _answer(self, command: Command) -> Answer:
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if not isinstance(body, Accept):
            return Answer(command.id, "refused", reason="not_supported")
        if not self._has_gate:
            return Answer(command.id, "refused", reason="no_gate")
        self._wanted = body.on
        await self._move_gate()
        return Answer(command.id, "done")
