"""A note validator's driver that is killed and started again, and a disk that keeps what the bridge would have kept."""

import asyncio
import random
from collections.abc import Callable
from functools import partial

from device_profiles.schema import Acceptor
from firmware_bridge.drivers.interface import Answer, Condition, Counted, Observation, ValueFact
from firmware_bridge.drivers.ssp_validator import SspValidator
from firmware_bridge.scripted import until
from firmware_bridge.simulators.ssp_validator import Making, SspValidatorSimulator
from payment_core.commands import Command
from payment_core.events import CoinInserted, EventsLost
from tests.support.in_memory import Mangle, in_memory, now_ms, unharmed

DEADLINE_S = 20
NOTES = Acceptor(unit="CNY", positions={1: 100, 2: 500, 3: 1_000, 4: 2_000}, poll_ms=10)
SEALED = Acceptor(unit="CNY", positions={1: 100, 3: 1_000}, poll_ms=10, encrypted=True)
QUICK = Making(read_ms=5, stack_ms=15)
NO_ACK = Making(read_ms=5, stack_ms=15, acknowledges=False)
MUST_SEAL = Making(read_ms=5, stack_ms=15, must_seal=True)


class Till:
    """One validator over several lives of its bridge. What is in the lists and `counter` is on the disk."""

    def __init__(
        self, making: Making = QUICK, *, acceptor: Acceptor = NOTES, driver: type[SspValidator] = SspValidator
    ) -> None:
        self.simulator = SspValidatorSimulator(making=making)
        self.counter: int | None = None
        self.credits: list[CoinInserted] = []
        self.lost = 0
        self.answers: list[Answer] = []
        self.said: list[Observation] = []
        self.conditions: list[Condition] = []
        self.outbox: asyncio.Queue[Observation] = asyncio.Queue()
        self._acceptor = acceptor
        self._driver = driver
        self._changed = asyncio.Event()

    def say(self, *lines: str) -> None:
        """Do something at the device, now."""
        for line in lines:
            self.simulator.command(line.split(), now_ms=now_ms())

    async def life(
        self,
        is_over: Callable[[], bool],
        *lines: str,
        commands: tuple[Command, ...] = (),
        kill_after_s: float | None = None,
        write_s: float = 0.0,
        mangle: Mangle = unharmed,
        outbox_limit: int = 256,
    ) -> None:
        """Live until it is over or the kill. The lines are done when the device is online; unwritten words die."""
        inbox: asyncio.Queue[Command] = asyncio.Queue(64)
        self.outbox = asyncio.Queue(outbox_limit)
        async with in_memory(self.simulator, mangle=mangle) as pipe:
            driver = self._driver(pipe, self._acceptor, last_counter=self.counter)
            tasks = [
                asyncio.create_task(driver.run(inbox, self.outbox)),
                asyncio.create_task(self._write(write_s)),
                asyncio.create_task(self._act(lines, commands, inbox)),
            ]
            try:
                async with asyncio.timeout(DEADLINE_S if kill_after_s is None else kill_after_s):
                    while not is_over():
                        for task in tasks[:2]:
                            if task.done():
                                task.result()
                        await asyncio.sleep(0.002)
            except TimeoutError:
                assert kill_after_s is not None, (self.conditions[-1:], self.credits, self.simulator.status())
            finally:
                if kill_after_s is not None:
                    pipe.close()  # a killed bridge says no goodbye
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _act(self, lines: tuple[str, ...], commands: tuple[Command, ...], inbox: asyncio.Queue[Command]) -> None:
        seen = len(self.conditions)
        await until(lambda: any(condition.state == "online" for condition in self.conditions[seen:]))
        for command in commands:
            inbox.put_nowait(command)
        await until(lambda: len(self.answers) >= len(commands))
        for line in lines:
            await until(partial(self._has_room, line))
            self.say(line)

    def _has_room(self, line: str) -> bool:
        return self.simulator._notes._place == "none" or not line.startswith("note")

    async def _write(self, write_s: float) -> None:
        while True:
            said = await self.outbox.get()
            self.said.append(said)
            await asyncio.sleep(write_s * random.random())
            match said:
                case ValueFact(body=CoinInserted() as credit, counter=counter):
                    self.credits.append(credit)
                    self.counter = counter
                case ValueFact(body=EventsLost(count=count), counter=counter):
                    self.lost += count
                    self.counter = counter
                case Counted(counter=counter):
                    self.counter = counter
                case Answer() as answer:
                    self.answers.append(answer)
                case Condition() as condition:
                    self.conditions.append(condition)
            if isinstance(said, Counted | ValueFact) and said.written is not None:
                said.written.set()

    @property
    def in_box(self) -> int:
        """Return how many notes really are in the box, or certainly will be."""
        notes = self.simulator._notes
        if notes._place == "stacking":
            notes.move(notes._until_ms)
        return int(str(self.simulator.status()["notes_in_box"]))

    @property
    def given_back(self) -> int:
        """Return how many notes came out again."""
        return int(str(self.simulator.status()["notes_given_back"]))
