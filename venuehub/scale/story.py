"""The story of scale: many hubs play while a node, workers, a backend and a relay are killed; and nothing is wrong.

What `./test --scale` asserts and `./demo --scale` shows is the same run of the same story.
"""

import asyncio
import contextlib
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from back_office.ledger.cells import SendOut, clearing_sum, send_out
from back_office.ledger.counter import Done
from back_office.ledger.desk import TopUp
from back_office.store import books, people
from back_office.store.faults import StoreUnavailableError
from back_office.store.people import GuestAccount
from back_office.store.transaction import Transaction
from payment_core.identifiers import uuid7
from venuehub.demo.processes import python_module
from venuehub.load.books import booked, proof_of
from venuehub.load.fleet import Fleet, FleetSettings
from venuehub.load.report import Booked
from venuehub.scale import nats
from venuehub.scale.caught import BETWEEN, MID_BATCH, Caught, caught
from venuehub.scale.stage import NORTH, SOUTH, Cell, Stage, now_ms, staged

HUBS: Final = 16
SECONDS: Final = 30.0
PLAYS_PER_SECOND: Final = 40.0
UP_S: Final = 120.0
DRAIN_S: Final = 240.0
"""What the last hub may take: a cut link is noticed, waits its turn, and finds an elected leader."""
UNIT: Final = "CNY"
PURSE: Final = 1_000_000
SENDS: Final = 40
RELAY_KILLS: Final = 3
RELAY_S: Final = 60.0
AWAY_S: Final = 30.0
"""How long a database may take to recover when the story itself wants to ask it."""
Say = Callable[[str], None]


class ScaleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. wrong: what does not hold, in words; empty is what everybody wants.

    sums: what all balances of a cell add up to, by unit; clearing: what stands between the cells; both without nothing.
    """

    hubs: int
    plays: int
    entries: int
    receipts: int
    lost: int
    doubled: int
    p50_ms: int | None
    p99_ms: int | None
    longest_ms: int
    connects: int
    killed: tuple[str, ...]
    moved: int
    sums: dict[str, dict[str, int]]
    clearing: dict[str, int]
    seconds: float
    wrong: tuple[str, ...]


async def run_story(*, say: Say, hubs: int = HUBS, seconds: float = SECONDS, seed: int = 1) -> ScaleReport:
    """Play the whole story in a folder of its own, which stays where something is wrong."""
    root = Path(tempfile.mkdtemp(prefix="vh-scale-"))
    began = time.monotonic()
    say(f"two PostgreSQL, three NATS nodes, four workers, {hubs} hubs")
    with (root / "hubs.log").open("w") as log, contextlib.redirect_stderr(log):  # the uplinks log what they meet
        async with staged(root, hubs=hubs) as stage:
            report = await _Story(stage, say, random.Random(seed)).play(seconds, began)  # noqa: S311 - who is killed
    if report.wrong:
        say(f"what they said is kept in {root}")
    else:
        shutil.rmtree(root, ignore_errors=True)
    return report


class _Story:
    def __init__(self, stage: Stage, say: Say, dice: random.Random) -> None:
        self._stage = stage
        self._say = say
        self._dice = dice
        self._killed: list[str] = []
        self._sent = 0
        self._guest = uuid7(unix_ms=now_ms(), dice=dice.randbytes(10))

    async def play(self, seconds: float, began: float) -> ScaleReport:
        """Let guests play, kill what the story kills meanwhile, wait until all is quiet, and ask the books."""
        settings = FleetSettings(seats=self._stage.seats, plays_per_second=PLAYS_PER_SECOND)
        async with Fleet(settings) as fleet:
            if not await fleet.all_up(seconds=UP_S):
                self._say("not every hub has come up; the story goes on without them")
            await self._pay_in()
            self._say("every hub is up; guests play")
            killed = asyncio.create_task(self._kill(seconds))
            await asyncio.gather(_play(fleet, seconds, killed), killed, self._send_and_relay(seconds))
            self._say("guests have gone; waiting for the last receipts")
            await fleet.all_quiet(seconds=DRAIN_S)
            await self._relay(SOUTH, NORTH)
            await self._relay(NORTH, SOUTH)
            return await self._told(fleet, began)

    # ---- what dies ----

    async def _kill(self, seconds: float) -> None:
        part = seconds / 8
        await asyncio.gather(self._kill_node(part), self._kill_programs(part))

    async def _kill_node(self, part: float) -> None:
        await asyncio.sleep(part)
        led = self._stage.cluster.leader("$MQTT_msgs") or 0
        self._stage.cluster.kill(led)
        self._note(f"NATS node n{led}, which led the messages")
        await asyncio.sleep(3 * part)
        self._stage.cluster.start(led)
        self._say(f"node n{led} is back")

    async def _kill_programs(self, part: float) -> None:
        north, south = (self._stage.cells[name] for name in (NORTH, SOUTH))
        await asyncio.sleep(2 * part)
        await self._kill_worker(north, "which a supervisor starts again")
        await asyncio.sleep(part)
        await self._kill_backend(north)
        await asyncio.sleep(part)
        await self._kill_worker(south, "whose partitions another takes when its leases run out")
        await asyncio.sleep(part)
        await self._kill_backend(south)

    async def _kill_worker(self, cell: Cell, what: str) -> None:
        workers = self._stage.workers_of(cell)
        async with caught(cell.server, workers) as held:
            name = next(iter(workers)) if held is None else held.worker
            workers[name].kill()
        self._note(f"worker {name} {_when(held)}, {what}")

    async def _kill_backend(self, cell: Cell) -> None:
        """Kill a connection's backend while it works; PostgreSQL then ends every other one of that database too."""
        async with caught(cell.server, self._stage.workers_of(cell)) as held:
            pid = self._dice.choice(list(cell.server.backends())) if held is None else held.backend
            cell.server.kill_backend(pid)
        self._note(f"a backend of the {cell.name}'s database {_when(held)}")

    def _note(self, what: str) -> None:
        self._killed.append(what)
        self._say(f"kill -9: {what}")

    # ---- money between the cells ----

    async def _pay_in(self) -> None:
        def pay(cell: Cell, tx: Transaction) -> None:
            guest = GuestAccount(account_id=self._guest, masked_name="W.", created_ms=now_ms())
            people.add_account(tx, self._tenant_id, guest)
            wish = TopUp(account_id=self._guest, unit=UNIT, amount=PURSE, channel="counter", payment_id="p1")
            cell.desk(self._tenant_id, tx).top_up(wish)

        north = self._stage.cells[NORTH]
        await asyncio.to_thread(north.store.write, partial(pay, north))

    async def _send_and_relay(self, seconds: float) -> None:
        """Send money both ways while everything else dies, and kill the relay too."""
        for number in range(SENDS):
            source, target = (NORTH, SOUTH) if number % 3 else (SOUTH, NORTH)
            await self._send(source, target, number)
            if number % (SENDS // RELAY_KILLS) == 1:
                await self._relay(NORTH, SOUTH, kill_after=self._dice.uniform(0.3, 3.0))
            await asyncio.sleep(seconds / SENDS / 2)

    async def _send(self, source: str, target: str, number: int) -> None:
        cell, amount = self._stage.cells[source], self._dice.randrange(1, 500)
        wish = SendOut(
            send_id=number.to_bytes(16, "big"), account_id=self._guest, unit=UNIT, to_cell=target, by="story",
            amount=amount,
        )  # fmt: skip

        def send(tx: Transaction) -> bool:
            return isinstance(send_out(cell.desk(self._tenant_id, tx), wish), Done)

        until = time.monotonic() + AWAY_S
        while time.monotonic() < until:  # the same wish again, whatever came of it
            try:
                self._sent += await asyncio.to_thread(cell.store.write, send)
            except StoreUnavailableError:
                await asyncio.sleep(0.1)
            else:
                return

    async def _relay(self, source: str, target: str, *, kill_after: float | None = None) -> None:
        """Run the relay until it has ended well, or kill it."""
        folders = [str(self._stage.cells[name].folder) for name in (source, target)]
        command = python_module("venuehub", "office", "cell", "relay", "--dir", folders[0], "--to-dir", folders[1])
        until = time.monotonic() + RELAY_S
        with (self._stage.root / "relay.log").open("ab") as log:
            while time.monotonic() < until:
                process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
                if kill_after is not None:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(process.wait(), kill_after)
                    if process.returncode is None:
                        process.kill()
                        self._note("the relay between the cells")
                    await process.wait()
                    return
                if await process.wait() == 0:
                    return
                await asyncio.sleep(0.2)

    # ---- what came of it ----

    @property
    def _tenant_id(self) -> bytes:
        return self._stage.keys.tenant_id

    def _booked(self) -> dict[bytes, Booked]:
        found: dict[bytes, Booked] = {}
        for cell in self._stage.cells.values():
            seats = [seat for seat in self._stage.seats if self._stage.cell_of(seat.identity.hub_id) is cell]
            found |= booked(cell.store, self._tenant_id, seats)
        return found

    async def _told(self, fleet: Fleet, began: float) -> ScaleReport:
        """Return what came of it; connections that a killed backend took with it are found out one by one."""
        until = time.monotonic() + AWAY_S
        while True:
            try:
                return await asyncio.to_thread(self._report, fleet, began)
            except StoreUnavailableError:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(0.2)

    def _report(self, fleet: Fleet, began: float) -> ScaleReport:
        stage = self._stage
        said = fleet.report(self._booked())
        stores = [cell.store for cell in stage.cells.values()]
        sums = {cell.name: _sums(cell, self._tenant_id) for cell in stage.cells.values()}
        clearing = clearing_sum(stores, self._tenant_id)
        report = ScaleReport(
            hubs=said.hubs, plays=said.plays, entries=said.entries, receipts=said.receipts, lost=said.lost or 0,
            doubled=said.doubled or 0, p50_ms=said.p50_ms, p99_ms=said.p99_ms, longest_ms=said.longest_ms,
            connects=said.connects, killed=tuple(self._killed), moved=self._sent, sums=sums, clearing=clearing,
            seconds=round(time.monotonic() - began, 1), wrong=(),
        )  # fmt: skip
        wrong = [
            f"{name} is {got}, not {wanted}"
            for name, got, wanted in (
                ("lost", said.lost, 0), ("doubled", said.doubled, 0), ("books that end otherwise", said.other_books, 0),
                ("entries with a receipt", said.with_receipt, said.entries), ("frozen hubs", said.frozen, 0),
                ("clearing", clearing, {}), ("sums", sums, {name: {} for name in stage.cells}),
                ("the guest's money", self._purses(), PURSE),
                ("nodes that run", stage.cluster.running, tuple(range(nats.NODES))),
            )
            if got != wanted
        ]  # fmt: skip
        for cell in stage.cells.values():
            wrong += [f"{cell.name}: {fault}" for fault in proof_of(cell.store, self._tenant_id).faults]
        return msgspec.structs.replace(report, wrong=tuple(wrong))

    def _purses(self) -> int:
        total = 0
        for cell in self._stage.cells.values():
            with cell.store.reading() as tx:
                total -= books.guest_balances(tx, self._tenant_id, [self._guest]).purses.get((self._guest, UNIT), 0)
        return total


async def _play(fleet: Fleet, seconds: float, killed: asyncio.Task[None]) -> None:
    """Let guests play, and until the last is killed: only so has a worker a batch to be caught in."""
    await fleet.play(seconds)
    while not killed.done():
        await fleet.play(1.0)


def _when(held: Caught | None) -> str:
    return BETWEEN if held is None else MID_BATCH


def _sums(cell: Cell, tenant_id: bytes) -> dict[str, int]:
    """Return what all balances of a cell add up to, by unit, without what is nothing."""
    sums: dict[str, int] = {}
    with cell.store.reading() as tx:
        for _kind, unit, amount in books.balances_by_kind(tx, tenant_id):
            sums[unit] = sums.get(unit, 0) + amount
    return {unit: amount for unit, amount in sums.items() if amount}
