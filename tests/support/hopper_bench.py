"""A hopper's driver that is killed and started again, and a disk that keeps what the bridge would have kept."""

import asyncio
import contextlib
import random
from collections.abc import Callable

import msgspec

from device_profiles.schema import Hopper
from firmware_bridge.drivers.cctalk_hopper import CctalkHopper
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition, Counted, Inbox, Observation, ValueFact
from firmware_bridge.simulators.cctalk_hopper import CctalkHopperSimulator, Works
from payment_core.commands import Command, Dispense, make_command
from payment_core.events import EventsLost
from tests.support.in_memory import Mangle, in_memory, unharmed

DEADLINE_S = 20
QUICK = Works(coin_ms=8, timeout_ms=60)
SERIAL = Hopper(variant="serial", poll_ms=10)
PLAIN = Hopper(variant="plain", poll_ms=10)


def dispense(count: int, number: int = 1) -> Command:
    """Return a command to pay so many coins."""
    text = f"00000000-0000-7000-8000-{number:012d}"
    return make_command(Dispense(count), command_id=text, seq=number, boot_id="b", ttl_ms=9_000)


class Venue:
    """One hopper over several lives of its bridge. What is in the four lists and `counter` is on the disk."""

    def __init__(
        self, simulator: CctalkHopperSimulator, *, hopper: Hopper = SERIAL, driver: type[CctalkHopper] = CctalkHopper
    ) -> None:
        self.simulator = simulator
        self.counter: int | None = None
        self.answers: dict[str, Answer] = {}
        self.lost = 0
        self.conditions: list[Condition] = []
        self.inbox: Inbox = asyncio.Queue()
        self._hopper = hopper
        self._driver = driver
        self._changed = asyncio.Event()

    async def life(
        self,
        *commands: Command,
        kill_after_s: float | None = None,
        write_s: float = 0.0,
        mangle: Mangle = unharmed,
        until: Callable[[], bool] | None = None,
    ) -> None:
        """Live until all `commands` are answered, `until` says so, or the kill; an unwritten word dies with it."""
        open_ = [command for command in commands if command.id not in self.answers]
        unfinished = tuple(command for command in open_ if command.boot_id == "former")
        self.inbox, outbox = asyncio.Queue(64), asyncio.Queue(256)
        async with in_memory(self.simulator, mangle=mangle) as pipe:
            driver = self._driver(pipe, self._hopper, last_counter=self.counter, unfinished=unfinished)
            tasks = [
                asyncio.create_task(driver.run(self.inbox, outbox)),
                asyncio.create_task(self._write(outbox, write_s)),
            ]
            for command in open_:
                if command not in unfinished:
                    self.inbox.put_nowait(command)
            done = until or (lambda: all(command.id in self.answers for command in open_))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEADLINE_S if kill_after_s is None else kill_after_s):
                    while not done() and not tasks[0].done():
                        self._changed.clear()
                        waiting = asyncio.create_task(self._changed.wait())
                        await asyncio.wait((waiting, tasks[0]), return_when=asyncio.FIRST_COMPLETED)
                        waiting.cancel()
            for task in tasks:
                task.cancel()
            for found in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(found, asyncio.CancelledError | DriverError | type(None)), repr(found)
            assert kill_after_s is not None or done() or tasks[0].done(), "nothing came in time"

    async def _write(self, outbox: asyncio.Queue[Observation], write_s: float) -> None:
        while True:
            said = await outbox.get()
            await asyncio.sleep(write_s * random.random())
            match said:
                case Counted(counter=counter):
                    self.counter = counter
                case Answer() as answer:
                    assert answer.command_id not in self.answers, "answered twice"
                    self.answers[answer.command_id] = answer
                case ValueFact(body=EventsLost(count=count)):
                    self.lost += count
                case Condition() as condition:
                    self.conditions.append(condition)
            if isinstance(said, Counted | ValueFact) and said.written is not None:
                said.written.set()
            self._changed.set()

    @property
    def dispensed(self) -> int:
        """Return what really fell out."""
        return int(str(self.simulator.status()["coins_dispensed"]))

    @property
    def answered(self) -> int:
        """Return what the bridge said of it."""
        return sum(answer.amount for answer in self.answers.values())

    @property
    def in_doubt(self) -> bool:
        """Say whether the bridge raised its hand anywhere."""
        return self.lost > 0 or any(answer.outcome == "unknown" for answer in self.answers.values())


def former(command: Command) -> Command:
    """Return the command as the next life gets it, to be read back."""
    return msgspec.structs.replace(command, boot_id="former")
