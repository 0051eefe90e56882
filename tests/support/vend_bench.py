"""A vending machine behind its board over several lives of a bridge, and the log that the bridge would have kept."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from device_profiles.schema import Vend
from firmware_bridge.drivers import mdb_cashless
from firmware_bridge.drivers.interface import Answer, ValueFact, Wish
from firmware_bridge.drivers.mdb_cashless import MdbCashless
from firmware_bridge.simulators import mdb_machine
from firmware_bridge.simulators.mdb_machine import MdbMachineSimulator
from firmware_bridge.simulators.mdb_vmc import Shelf
from payment_core.commands import ApproveVend, Command, make_command
from payment_core.events import EventsLost, VendRequested
from tests.support.driving import Driving, driving
from tests.support.in_memory import Mangle, in_memory, now_ms, unharmed

ALWAYS_IDLE = Vend(unit="CNY", always_idle=True)
SESSIONS = Vend(unit="CNY")
LEVEL_1 = Vend(unit="CNY", complete_is_success=True)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a minute be a second and less."""
    for name, seconds in (("LOOK_S", 0.002), ("UPKEEP_S", 0.05), ("AWAY_S", 0.2), ("LATE_S", 0.15), ("START_S", 0.3)):
        monkeypatch.setattr(mdb_cashless, name, seconds)
    monkeypatch.setattr(mdb_machine, "BUS_TURN_MS", 1)
    monkeypatch.setattr(mdb_machine, "OFF_BUS_MS", 60)


class Machine:
    """The machine in the hall: it outlives every bridge."""

    def __init__(self, vend: Vend = ALWAYS_IDLE, **shelf) -> None:
        self.vend = vend
        self.simulator = MdbMachineSimulator(shelf=Shelf(**{"vend_ms": 20, **shelf}))

    def say(self, *lines: str) -> None:
        for line in lines:
            self.simulator.command(line.split(), now_ms=now_ms())

    def __getitem__(self, name: str) -> int:
        return self.simulator.status()[name]

    @asynccontextmanager
    async def served(
        self,
        *,
        driver: type[MdbCashless] = MdbCashless,
        unfinished: tuple[Command, ...] = (),
        mangle: Mangle = unharmed,
    ) -> AsyncIterator[Driving]:
        """Let a bridge serve it, which is online when this begins."""
        async with (
            in_memory(self.simulator, mangle=mangle) as pipe,
            driving(driver(pipe, self.vend, unfinished=unfinished)) as running,
        ):
            await running.condition("online")
            yield running


class Ledger:
    """What a hub knows of the machine's sales: it approves each request once, under an id of its own."""

    def __init__(self) -> None:
        self.commands: dict[str, Command] = {}
        self.outcomes: dict[str, list[str]] = {}
        self.flagged = 0

    def approve(self, request: VendRequested) -> Command:
        """Debit, write down, and return the command."""
        command_id = f"v{len(self.commands)}"
        body = ApproveVend(request.amount, request.item)
        self.commands[command_id] = make_command(body, command_id=command_id, seq=1, boot_id="b", ttl_ms=9_000)
        self.outcomes[command_id] = []
        return self.commands[command_id]

    def note(self, said: object) -> None:
        """Book what a driver says."""
        if isinstance(said, Answer) and said.command_id in self.outcomes:
            self.outcomes[said.command_id].append(said.outcome)
        if isinstance(said, ValueFact) and isinstance(said.body, EventsLost):
            self.flagged += said.body.count

    def bridge_died(self) -> None:
        """What it had not answered is unknown."""
        for outcomes in self.outcomes.values():
            if not outcomes:
                outcomes.append("unknown")

    def unfinished(self) -> tuple[Command, ...]:
        """Return the commands whose end nobody knows."""
        return tuple(
            self.commands[one] for one, outcomes in self.outcomes.items() if outcomes[-1:] in ([], ["unknown"])
        )

    def ends(self, outcome: str) -> int:
        """Return how many ended so."""
        return sum(outcomes[-1:] == [outcome] for outcomes in self.outcomes.values())


async def killed_somewhere(dice: random.Random, driver: type[MdbCashless] = MdbCashless) -> tuple[Machine, Ledger]:
    """Guests choose, the hub says yes, and then somebody dies or errs: the bridge, the board, the machine, the line."""
    machine, ledger = Machine(vend_ms=dice.choice((5, 20, 40))), Ledger()
    for _ in range(dice.randint(1, 3)):
        machine.say(f"jam {dice.choice(('on', 'off', 'off', 'off'))}")
        async with machine.served(driver=driver, unfinished=ledger.unfinished()) as bridge:
            await _one_sale(dice, machine, ledger, bridge)
            for said in (*bridge.seen, *_left(bridge)):
                ledger.note(said)
        ledger.bridge_died()
    return machine, ledger


async def _one_sale(dice: random.Random, machine: Machine, ledger: Ledger, bridge: Driving) -> None:
    presses = asyncio.create_task(_press(machine, dice.randint(1, 3)))
    wish = await bridge.until(lambda item: isinstance(item, Wish) and isinstance(item.body, VendRequested))
    presses.cancel()
    bridge.inbox.put_nowait(ledger.approve(wish.body))
    await asyncio.sleep(dice.uniform(0, 0.03))
    trouble = dice.choice(("", "power 5ms", "reset", "board 20ms", "silence 30ms", "cancel", "cut 2", "miss 3"))
    if trouble:
        machine.say(trouble)
    await asyncio.sleep(dice.choice((0.0, 0.01, 0.05)))


async def _press(machine: Machine, item: int) -> None:
    """Press until the machine asks: one that has just started hears nobody."""
    while True:
        machine.say(f"choose {item}")
        await asyncio.sleep(0.01)


def _left(bridge: Driving) -> list[object]:
    return [bridge.outbox.get_nowait() for _ in range(bridge.outbox.qsize())]
