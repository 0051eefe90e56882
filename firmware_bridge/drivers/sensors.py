"""The driver of inputs: buttons, prize sensors, the payout and coin meters of a machine, door switches.

A button is told when it is pressed, everything else when its pulse is over. Nothing remembers a pulse while nobody
listens; what a sensor saw meanwhile is gone.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from device_profiles.schema import Sensed
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, ValueFact, Wish
from firmware_bridge.drivers.line_edges import first_levels, next_edge
from firmware_bridge.drivers.telling import Teller, offer
from firmware_bridge.transports.interface import Edge, LinePipe
from firmware_bridge.wire.pulses import PulseFilter
from payment_core.events import ButtonPressed, CashSale, PrizeOut, TicketsWon

GATHER_S: Final = 1.0
"""Tickets of a payout are told together, at most so much later than the first of them."""
DOOR_OPEN: Final = "door_open"
STUCK: Final = "stuck"


class _Input:
    """One input. `since`: when it became active (a door: was opened) by the loop's clock, `since_ns`: by its own."""

    def __init__(self, sensed: Sensed) -> None:
        self.sensed: Final = sensed
        self.filter: Final = PulseFilter(shortest_ms=sensed.shortest_ms)
        self.since: float | None = None
        self.since_ns = 0

    def stuck_at(self) -> float | None:
        """Return when it is stuck, if it stays as it is."""
        if self.since is None or not self.sensed.stuck_ms or self.sensed.means == "door":
            return None
        return self.since + self.sensed.stuck_ms / 1_000

    def settles_at(self) -> float | None:
        """Return when a button that is being pressed counts, or a door is open."""
        if self.since is None or self.sensed.means not in {"button", "door"}:
            return None
        return self.since + self.sensed.shortest_ms / 1_000


class Sensors:
    """A `Driver` over a LinePipe with these inputs."""

    def __init__(self, pipe: LinePipe, inputs: Mapping[str, Sensed]) -> None:
        self._pipe: Final = pipe
        self._inputs: Final = {name: _Input(sensed) for name, sensed in inputs.items()}
        self._faults: set[str] = set()
        self._tickets = 0
        self._tell_at: float | None = None

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Tell what is sensed until the lines are gone (TransportClosedError in an ExceptionGroup) or cancelled."""
        teller = Teller()
        try:
            for edge in await first_levels(self._pipe, self._inputs):
                await self._take(edge, outbox)
            await teller.tell(self._condition(), outbox)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(teller, outbox), name="sensors")
                while True:
                    command = await inbox.get()
                    await outbox.put(Answer(command.id, "refused", reason="not_supported"))
        finally:
            if self._tickets:
                offer(outbox, self._won())
            self._pipe.close()

    async def _listen(self, teller: Teller, outbox: Outbox) -> None:
        while True:
            edge = await next_edge(self._pipe, self._next_due())
            if edge is not None:
                await self._take(edge, outbox)
            await self._look(outbox)
            await teller.tell(self._condition(), outbox)

    async def _take(self, edge: Edge, outbox: Outbox) -> None:
        line = self._inputs.get(edge.line)
        if line is None:
            return
        certain = line.filter.level(active=edge.active, at_ns=edge.at_ns)
        is_door = line.sensed.means == "door"
        if edge.active == is_door:
            line.since = None
            self._faults -= {DOOR_OPEN if is_door else f"{STUCK}_{edge.line}"}
        elif line.since is None:
            line.since, line.since_ns = asyncio.get_running_loop().time(), edge.at_ns
        if certain:
            await self._pulse(edge.line, line.sensed, outbox)

    async def _pulse(self, name: str, sensed: Sensed, outbox: Outbox) -> None:
        match sensed.means:
            case "button":
                await outbox.put(Wish(ButtonPressed(name), time.monotonic()))
            case "prize":
                await outbox.put(ValueFact(PrizeOut(1), time.monotonic()))
            case "cash":
                await outbox.put(ValueFact(CashSale(sensed.worth), time.monotonic()))
            case "tickets":
                self._tickets += sensed.worth
                self._tell_at = self._tell_at or asyncio.get_running_loop().time() + GATHER_S
            case "door":
                pass

    async def _look(self, outbox: Outbox) -> None:
        """Do what its time has come for."""
        now = asyncio.get_running_loop().time()
        for name, line in self._inputs.items():
            stuck_at, settles_at = line.stuck_at(), line.settles_at()
            if stuck_at is not None and stuck_at <= now:
                self._faults.add(f"{STUCK}_{name}")
            if settles_at is None or settles_at > now:
                continue
            if line.sensed.means == "door":
                self._faults.add(DOOR_OPEN)
            elif line.filter.stands(line.since_ns):
                await self._pulse(name, line.sensed, outbox)
        if self._tell_at is not None and self._tell_at <= now:
            await outbox.put(self._won())
            self._tickets, self._tell_at = 0, None

    def _next_due(self) -> float | None:
        now = asyncio.get_running_loop().time()
        times = [at for line in self._inputs.values() for at in (line.stuck_at(), line.settles_at())]
        dues = [at for at in (*times, self._tell_at) if at is not None and at > now]
        return min(dues, default=None)

    def _won(self) -> ValueFact:
        return ValueFact(TicketsWon(self._tickets), time.monotonic())

    def _condition(self) -> Condition:
        noise = sum(line.filter.glitches for line in self._inputs.values())
        if self._faults:
            return Condition("fault", reason=min(self._faults), noise=noise)
        return Condition("online", noise=noise)
