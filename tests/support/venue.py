"""A small venue of real processes: the demo's, with four machines, played and broken by a test."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec

from edge_agent.ledger.reader import LedgerReader
from tests.support.venue_audit import Ledger, broken_promises, read_ledger
from venuehub.demo.audit import OutsideFigures, read_devices
from venuehub.demo.places import Member, Place
from venuehub.demo.plan import ArcadePlan, Folder, make_hall, make_plan
from venuehub.demo.processes import Child
from venuehub.demo.stage import Stage

HALL = "hall"
STAGE = "stage"
MACHINES = 4
ANSWER_MS = 4_000
DEADLINE_S = 60.0
PATIENCE_S = 6.0
TRIES = 6
PAUSE_S = 0.05
KINDS = ("reader-*.json", "acceptor-*.json")
OPEN_ONES = "SELECT count(*) FROM authorizations WHERE state IN (2, 3)"


def small_plan(seed: int) -> ArcadePlan:
    """The demo's arcade of a seed with its first machines only, all members rich enough to go on playing."""
    plan = make_plan(seed)
    first = sorted(plan.places, key=lambda place: place.number)[:MACHINES]
    members = tuple(msgspec.structs.replace(member, balance=50_000) for member in plan.members[:20])
    risk = msgspec.structs.replace(plan.risk, answer_ms=ANSWER_MS)
    return msgspec.structs.replace(plan, halls=(make_hall(HALL, first),), members=members, risk=risk)


def two_halls(seed: int) -> ArcadePlan:
    """The same with half of the machines in a second hall, whose hub is the first one's neighbour."""
    plan = small_plan(seed)
    places = plan.halls[0].places
    half = len(places) // 2
    return msgspec.structs.replace(plan, halls=(make_hall(HALL, places[:half]), make_hall(STAGE, places[half:])))


class Venue:
    """A running stage, and what a test waits for."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @property
    def ledger(self) -> Path:
        return self.stage.folder.hall(HALL).ledger

    @property
    def hub(self) -> Child:
        return self.stage.hubs[HALL]

    @property
    def bridge(self) -> Child:
        return self.stage.bridges[HALL]

    @property
    def hub_id(self) -> bytes:
        return self.stage.arcade.hall(HALL).hub_id

    def child(self, name: str) -> Child:
        """A process of the stage by its name: `office`, `venue-broker`, `readers`, ..."""
        return next(child for child in reversed(self.stage._children) if child.name == name)

    def said(self, program: str, event: str) -> int:
        """How often a program's log has an event."""
        lines = (self.stage.folder.logs / f"{program}.log").read_text(errors="replace").splitlines()
        return sum(line.startswith("{") and json.loads(line).get("event") == event for line in lines)

    async def until(self, holds: Callable[[], bool | Awaitable[bool]], what: str) -> None:
        """Wait for something in another process; say what was waited for in vain."""
        end = time.monotonic() + DEADLINE_S
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            assert time.monotonic() < end, f"waited {DEADLINE_S} s in vain until {what}"
            await asyncio.sleep(PAUSE_S)

    async def killed_and_back(self, child: Child, up: str) -> None:
        """Kill -9 and wait until its supervisor's next one says `up`."""
        before = self.said(child.name, up)
        child.kill()
        await self.back(child, up, before=before)

    async def back(self, child: Child, up: str, *, before: int) -> None:
        """Wait until a killed program's next one says `up` for the first time, and its devices are online again."""
        if child is self.bridge:
            self.stage.observer.online.clear()  # what the killed one said last; the next takes a while to start
        await self.until(lambda: self.said(child.name, up) > before, f"{child.name} is back")
        await self.devices_online()

    async def away(self, child: Child) -> None:
        """Kill -9 what nobody starts again."""
        child.kill()
        await self.until(lambda: not child.running, f"{child.name} is gone")

    async def end_hub(self) -> None:
        """End the hub; nobody starts it again."""
        await self.hub.stop()

    async def start_hub(self) -> None:
        """Start the hub that was ended, and wait until it serves its devices."""
        before = self.said("hub", "bus.up")
        old = self.hub
        self.stage.hubs[HALL] = Child(old.name, old.command, log=self.stage.folder.logs / "hub.log", restart=True)
        await self.stage._add(self.hub)
        await self.until(lambda: self.said("hub", "bus.up") > before, "the hub is back")

    async def tap(self, place: Place, member: Member) -> None:
        """Let a member tap until the hub answers; on a busy machine a tap may come too late to count, as it must."""
        before = self.read().answers
        for _ in range(TRIES):
            self.stage.guests.tap(place, member)
            for _ in range(int(PATIENCE_S / PAUSE_S)):
                if self.read().answers > before:
                    return
                await asyncio.sleep(PAUSE_S)
        message = f"the hub did not answer {TRIES} taps at {place.lane.id}"
        raise AssertionError(message)

    async def devices_online(self) -> None:
        """Wait until every device is online again."""
        lanes = [place.lane for place in self.stage.plan.places]
        wanted = {device for lane in lanes for device in (lane.reader, lane.acceptor, lane.output)}
        await self.until(lambda: wanted <= self.stage.observer.online, "every device is online")

    async def devices(self) -> OutsideFigures:
        """What machines and acceptors counted by themselves."""
        return await read_devices(self.stage.plan, self.stage.folder)

    async def credits_seen(self) -> dict[str, int]:
        """What each machine counted by itself, by its coin line's name."""
        seen = {}
        for place in self.stage.plan.places:
            one = msgspec.structs.replace(self.stage.plan, halls=(make_hall(HALL, [place]),))
            seen[place.lane.output] = (await read_devices(one, self.stage.folder)).credits_seen
        return seen

    def read(self) -> Ledger:
        """The whole journal, folded."""
        return read_ledger(self.ledger)

    def one(self, sql: str) -> int:
        """One number from the hub's ledger, 0 while there is none."""
        reader = LedgerReader(self.ledger)
        try:
            rows = reader.rows(sql)
            return int(rows[0][0] or 0) if rows else 0
        finally:
            reader.close()

    def unsynced(self) -> int:
        """How many journal entries the office has not confirmed."""
        return self.one("SELECT (SELECT max(seq) FROM entries) - (SELECT value FROM meta WHERE key = 'acked_seq')")

    async def coins_booked(self) -> None:
        """Wait until every coin in the boxes is in the journal."""

        async def same() -> bool:
            ledger = self.read()
            return (await self.devices()).coins_inserted == ledger.coins + ledger.lost

        await self.until(same, "every coin is booked")

    async def guests_done(self) -> None:
        """Wait until the devices have carried out what the guests were told; only where no device was unplugged."""
        guests, dev = self.stage.guests, self.stage.folder.dev

        def same() -> bool:
            readers, acceptors = ([json.loads(file.read_bytes()) for file in dev.glob(kind)] for kind in KINDS)
            coins = sum(status["coins_inserted"] + status["coins_given_back"] for status in acceptors)
            return (sum(status["taps"] for status in readers), coins) == (guests.taps, guests.coins)

        await self.until(same, "every tap and coin has been made")

    async def settled(self) -> None:
        """Wait until no device owes an answer, every coin is booked and the office has everything."""
        await self.guests_done()
        await self.coins_booked()
        await self.until(lambda: self.one(OPEN_ONES) == 0, "no device owes an answer")
        await self.until(lambda: self.unsynced() == 0, "the office has everything")


async def broken_promises_of(venue: Venue) -> list[str]:
    """Return what the venue did not keep, at a moment when nothing moves: a last tap may still be on its way."""
    while True:
        await venue.settled()
        ledger = venue.read()
        seen, outside = await venue.credits_seen(), await venue.devices()
        if venue.read().entries == ledger.entries:
            return broken_promises(ledger, credits_seen=seen, coins_inserted=outside.coins_inserted)


@contextlib.asynccontextmanager
async def open_venue(
    folder: Path,
    seed: int,
    *,
    replace: dict[str, list[str]] | None = None,
    before_programs: Callable[[Stage], None] = lambda _stage: None,
    plan: Callable[[int], ArcadePlan] = small_plan,
) -> AsyncIterator[Venue]:
    """Open a venue and end every process of it. `replace`: other commands for programs, by module.

    `before_programs` may change what lies in the stage's folders before office, hub and bridge start.
    """
    stage = Stage(plan(seed), Folder(folder / "venue"))
    start_programs = stage._start_programs

    async def start_on(*where: object) -> None:
        before_programs(stage)
        await start_programs(*where)

    stage._start_programs = start_on
    start_child = stage._child

    def child(name: str, command: list[str], *, restart: bool = False) -> Child:
        other = (replace or {}).get(name)
        if other is not None:
            command = [*other, *command[3:]]  # what stands behind `python -m MODULE`
        return start_child(name, command, restart=restart)

    stage._child = child
    try:
        await stage.start(demo_control="unix:/nowhere")
        yield Venue(stage)
    finally:
        await stage.stop()
