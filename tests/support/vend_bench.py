"""A vending machine behind its board over several lives of a bridge, and the log that the bridge would have kept."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from device_profiles.schema import Vend
from firmware_bridge.actuation_log import ActuationLog
from firmware_bridge.desk import Desk, Effect, HandOver, Publish, Reply
from firmware_bridge.drivers import mdb_cashless
from firmware_bridge.drivers.interface import Answer, ValueFact, Wish
from firmware_bridge.drivers.mdb_cashless import MdbCashless
from firmware_bridge.simulators import mdb_machine
from firmware_bridge.simulators.mdb_machine import MdbMachineSimulator
from firmware_bridge.simulators.mdb_vmc import Shelf
from firmware_bridge.value_log import ValueLog
from payment_core.commands import ApproveVend, Command, make_command
from payment_core.events import CreditDelivered, EventsLost, VendRequested
from tests.support.driving import Driving, driving
from tests.support.in_memory import Mangle, in_memory, now_ms, unharmed

MACHINE = "drinks"
ALWAYS_IDLE = Vend(unit="CNY", always_idle=True)
SESSIONS = Vend(unit="CNY")
LEVEL_1 = Vend(unit="CNY", complete_is_success=True)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a minute be a second and less."""
    for name, seconds in (("LOOK_S", 0.002), ("UPKEEP_S", 0.05), ("AWAY_S", 20.0), ("START_S", 1.0)):
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
    """What a hub knows of the machine's sales, over the real logs of a bridge that is killed again and again.

    It approves each request once, under an id of its own, and asks about what is open whenever a bridge starts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lives = self._heard = 0
        self.commands: dict[str, Command] = {}
        self.outcomes: dict[str, list[str]] = {}
        self.flagged = 0

    def start(self) -> tuple[Command, ...]:
        """Let a bridge start; return what its driver is told of."""
        self._lives, self._heard = self._lives + 1, 0
        self._boot_id = f"boot-{self._lives}"
        self._values = ValueLog(self._folder / "values.log", fresh_epoch=7)
        self._actuations = ActuationLog(self._folder / "actuation.log", boot_id=self._boot_id)
        self._desk = Desk(values=self._values, actuations=self._actuations, devices=[MACHINE])
        self._desk.attach(MACHINE)
        for command_id, command in self.commands.items():
            if self.outcomes[command_id][-1:] in ([], ["unknown"]):
                question = msgspec.structs.replace(command, ttl_ms=0)
                self._take(self._desk.command(MACHINE, question, arrived_ms=0, now_ms=0))
        return self._desk.unfinished(MACHINE)

    def die(self) -> None:
        """Kill the bridge: what it had written is all that is left."""
        self._desk.sync()
        self._values.close()
        self._actuations.close()

    def approve(self, request: VendRequested, bridge: Driving) -> None:
        """Debit, write down, and tell the machine."""
        command_id = f"v{len(self.commands)}"
        body = ApproveVend(request.amount, request.item, request.number)
        command = make_command(
            body, command_id=command_id, seq=len(self.commands) + 1, boot_id=self._boot_id, ttl_ms=9_000
        )
        self.commands[command_id], self.outcomes[command_id] = command, []
        for handed in self._take(self._desk.command(MACHINE, command, arrived_ms=0, now_ms=0)):
            bridge.inbox.put_nowait(handed)

    def hear(self, bridge: Driving) -> None:
        """Book what a driver said since this was asked last."""
        bridge.wishes()  # takes what lies in the outbox
        for said in bridge.seen[self._heard :]:
            if isinstance(said, Answer):
                self._take(self._desk.answer(MACHINE, said, utc_ms=0, now_ms=0))
            elif isinstance(said, ValueFact) and isinstance(said.body, EventsLost):
                self.flagged += said.body.count
        self._heard = len(bridge.seen)

    def _take(self, effects: list[Effect]) -> list[Command]:
        """Note what the bridge tells the hub, once it is on the disk; return what its driver is handed."""
        self._desk.sync()
        handed = []
        for effect in effects:
            match effect:
                case Reply(result=result):
                    self.outcomes[result.id].append(result.outcome)
                case Publish(kept=kept):
                    delivered = msgspec.json.decode(kept.body, type=CreditDelivered)
                    self.outcomes[delivered.id].append("done")
                case HandOver(command=command):
                    handed.append(command)
        return handed

    def ends(self, outcome: str) -> int:
        """Return how many ended so."""
        return sum(outcomes[-1:] == [outcome] for outcomes in self.outcomes.values())


async def killed_somewhere(
    dice: random.Random, folder: Path, driver: type[MdbCashless] = MdbCashless
) -> tuple[Machine, Ledger]:
    """Guests choose, the hub says yes, and then somebody dies or errs: the bridge, the board, the machine, the line."""
    vend = msgspec.structs.replace(ALWAYS_IDLE, result_s=0.2)  # below what a profile may say
    machine, ledger = Machine(vend, vend_ms=dice.choice((5, 20, 40))), Ledger(folder)
    for _ in range(dice.randint(1, 3)):
        machine.say(f"jam {dice.choice(('on', 'off', 'off', 'off'))}")
        async with machine.served(driver=driver, unfinished=ledger.start()) as bridge:
            await _one_sale(dice, machine, ledger, bridge)
            ledger.hear(bridge)
        ledger.die()
    ledger.start()  # the hub asks once more
    ledger.die()
    return machine, ledger


async def _one_sale(dice: random.Random, machine: Machine, ledger: Ledger, bridge: Driving) -> None:
    presses = asyncio.create_task(_press(machine, dice.randint(1, 3)))
    wish = await bridge.until(lambda item: isinstance(item, Wish) and isinstance(item.body, VendRequested))
    presses.cancel()
    ledger.hear(bridge)
    ledger.approve(wish.body, bridge)
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
