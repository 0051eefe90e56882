"""A load run from beginning to end: office, hubs, guests, an outage, a storm, and what the books say at the end."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from back_office.settings import broker_settings
from back_office.store.engine import Store
from cloud_sync.identity import OfficeKeys
from cloud_sync.mqtt_link import MqttSettings
from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode
from venuehub.load.books import asked, booked, proof_of
from venuehub.load.enrolment import enroll_many, seats_of
from venuehub.load.fleet import DRAIN_S, Fleet, FleetSettings
from venuehub.load.hub import Seat
from venuehub.load.report import FleetReport
from venuehub.load.room import make_room
from venuehub.load.stage import LOOPBACK, OwnOffice
from venuehub.office.tools import office_faults, open_office

UP_S: Final = 180.0
"""How long all hubs may take to be there, and to come back; a goal is the report's business."""
REACH_S: Final = 10.0
FIRST_S: Final = 60.0
"""How long not one hub of a whole fleet may be answered before it is said that nobody is there to answer."""
NOTICE_S: Final = 30.0
CUT_S: Final = 0.5
Say = Callable[[str], None]


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is run. `office` and `broker` None: its own. `outage`: how many seconds the broker is away; 0: never."""

    hubs: int
    seconds: float
    plays_per_second: float
    broker: str | None
    office: Path | None
    outage: float
    storm: bool
    seed: int
    keep: Path | None


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """One run. back_s: from the end of the outage, or of the storm's cut, until every hub was answered again.

    files: the limit of open files, before and now. refusals: what the hubs logged as thrown away or frozen. proof: the
    books recomputed from their entries; faults: the first sentences of what is wrong there. wrong: what does not hold,
    in words; empty is what everybody wants.
    """

    hubs: int
    seconds: float
    seed: int
    up_s: float | None
    outage_back_s: float | None
    storm_back_s: float | None
    fleet: FleetReport
    refusals: dict[str, int]
    proof: bool
    faults: list[str]
    files: tuple[int, int]
    wrong: tuple[str, ...]


class _Log:
    """Takes the uplinks' log lines: into a file, counted by event."""

    def __init__(self, file: Path) -> None:
        self.counts: dict[str, int] = {}
        self.why = ""
        """The last reason that an uplink gave for having no link."""
        self._file = file.open("a", encoding="utf-8")

    def write(self, text: str) -> int:
        """Write one line, and count what it tells."""
        with contextlib.suppress(msgspec.MsgspecError):
            line = msgspec.json.decode(text, type=dict[str, object])
            event = str(line.get("event"))
            self.counts[event] = self.counts.get(event, 0) + 1
            self.why = str(line.get("why") or self.why)
        return self._file.write(text)

    def flush(self) -> None:
        """Leave it to the file's own buffer."""

    def close(self) -> None:
        """Write the rest."""
        self._file.close()


REFUSALS: Final = frozenset({"uplink.rejected", "uplink.dropped", "uplink.frozen", "uplink.record_too_big"})


def thrown_away(refusals: Mapping[str, int]) -> list[str]:
    """Return in words what the hubs refused; frozen ones are in the fleet's own report."""
    words = {
        "uplink.rejected": ("message was refused by its hub", "messages were refused by their hubs"),
        "uplink.dropped": ("letter was dropped by its hub", "letters were dropped by their hubs"),
        "uplink.record_too_big": ("entry fits into no batch", "entries fit into no batch"),
    }
    return [counted(refusals[event], *said) for event, said in words.items() if refusals.get(event)]


async def run_load(options: LoadOptions, *, say: Say) -> LoadReport:
    """Run the fleet and report."""
    files = make_room(options.hubs)
    if files[0] != files[1]:
        say(f"raised the limit of open files from {files[0]} to {files[1]}")
    root = options.keep or Path(tempfile.mkdtemp(prefix="venuehub-load-"))
    log = _Log(root / "fleet.log")
    try:
        with contextlib.redirect_stderr(log):
            async with _place(options, root) as place:
                return await _Run(options, place, log, say).run(files)
    finally:
        log.close()
        if options.keep is None:
            shutil.rmtree(root, ignore_errors=True)


class _Place(msgspec.Struct, frozen=True):
    """Where a fleet plays: its seats, the books to ask, and the broker that may be stopped, if it is ours."""

    seats: tuple[Seat, ...]
    store: Store
    keys: OfficeKeys
    own: OwnOffice | None


@contextlib.asynccontextmanager
async def _place(options: LoadOptions, root: Path) -> AsyncIterator[_Place]:
    """Enroll the fleet with the office that is named, or one of its own."""
    if options.office is not None:
        if options.broker is None:
            raise CliError("usage", "an office needs its broker", where="--broker", hint="write --broker mqtts://HOST:PORT",
                           exit_code=ExitCode.USAGE)  # fmt: skip
        with office_faults(options.office):
            at = broker_settings(options.broker, options.office)
        await _reach(at)
        async with _enrolled(options, options.office, options.office / "load", at) as (seats, store, keys):
            yield _Place(seats, store, keys, None)
        return
    async with OwnOffice(root) as own:
        at = broker_settings(f"mqtts://{LOOPBACK}:{own.port}", own.folder)
        async with _enrolled(options, own.folder, root / "hubs", at) as (seats, store, keys):
            await own.start_office()
            yield _Place(seats, store, keys, own)


async def _reach(at: MqttSettings) -> None:
    """Meet the broker's port before a hub is enrolled, and as nobody: the office's name would end its own session."""
    try:
        async with asyncio.timeout(REACH_S):
            _reader, writer = await asyncio.open_connection(at.host, at.port)
    except OSError as error:  # a timeout, too
        why = os.strerror(error.errno) if error.errno else str(error) or f"no answer within {REACH_S:g} s"
        message = f"the broker cannot be reached ({why})"
        raise CliError(
            "broker_unreachable", message, where=f"{at.host}:{at.port}",
            hint="is it running, and is this its port? --broker names another", exit_code=ExitCode.UNAVAILABLE,
        ) from error  # fmt: skip
    writer.transport.abort()


@contextlib.asynccontextmanager
async def _enrolled(
    options: LoadOptions, office: Path, hubs: Path, at: MqttSettings
) -> AsyncIterator[tuple[tuple[Seat, ...], Store, OfficeKeys]]:
    with open_office(office) as (store, keys):
        enroll = partial(
            enroll_many, store, keys, office=office, folder=hubs, count=options.hubs, host=at.host, port=at.port
        )
        identities = await asked(enroll)
        yield seats_of(identities, hubs, host=at.host, port=at.port, tls=bool(at.ca_file)), store, keys


class _Run:
    """What happens to a fleet that is there."""

    def __init__(self, options: LoadOptions, place: _Place, log: _Log, say: Say) -> None:
        self._options = options
        self._place = place
        self._log = log
        self._say = say
        self._up_s: float | None = None
        self._outage_back_s: float | None = None
        self._storm_back_s: float | None = None
        self._not_back: list[str] = []

    async def run(self, files: tuple[int, int]) -> LoadReport:
        """Let everything happen, then ask the books."""
        options, place = self._options, self._place
        settings = FleetSettings(seats=place.seats, plays_per_second=options.plays_per_second, seed=options.seed)
        async with Fleet(settings) as fleet:
            began = time.monotonic()
            if not await fleet.any_up(seconds=FIRST_S):
                raise self._silent()
            self._up_s = await self._back(fleet, "the start", began)
            playing = asyncio.create_task(fleet.play(options.seconds))
            try:
                await self._happen(fleet)
                await playing
            finally:
                playing.cancel()
            await fleet.all_quiet(seconds=DRAIN_S)
            await fleet.all_up(seconds=UP_S)
            report = fleet.report(await asked(partial(booked, place.store, place.keys.tenant_id, place.seats)))
        proof = await asked(partial(proof_of, place.store, place.keys.tenant_id))
        refusals = {event: count for event, count in self._log.counts.items() if event in REFUSALS}
        wrong = [*report.wrong, *self._not_back, *thrown_away(refusals)]
        if away := report.hubs - report.up:
            wrong.append(f"{counted(away, 'hub')} had no answer at the end")
        if not proof.ok:
            wrong.append("the books cannot be proven from their entries")
        return LoadReport(
            hubs=options.hubs, seconds=options.seconds, seed=options.seed, up_s=self._up_s,
            outage_back_s=self._outage_back_s, storm_back_s=self._storm_back_s, fleet=report, refusals=refusals,
            proof=proof.ok, faults=proof.faults, files=files, wrong=tuple(wrong),
        )  # fmt: skip

    async def _happen(self, fleet: Fleet) -> None:
        """After a quiet quarter of the time the outage, and then the storm."""
        await asyncio.sleep(self._options.seconds / 4)
        if self._options.outage:
            self._outage_back_s = await self._outage(fleet)
        if self._options.storm:
            self._say("storm: every hub is switched off and on again in the same moment")
            await fleet.switch_off()
            await asyncio.sleep(CUT_S)
            fleet.switch_on()
            self._storm_back_s = await self._back(fleet, "the storm", time.monotonic())

    async def _outage(self, fleet: Fleet) -> float | None:
        """Stop the broker and start it again; where it is not ours, the hubs' own links are off as long."""
        own, seconds = self._place.own, self._options.outage
        if own is None:
            self._say(f"outage: the hubs' links are off for {seconds:g} s")
            await fleet.switch_off()
            await asyncio.sleep(seconds)
            fleet.switch_on()
        else:
            self._say(f"outage: the broker is gone for {seconds:g} s")
            own.broker.kill()
            await fleet.all_down(seconds=NOTICE_S)
            await own.broker.stop()
            await asyncio.sleep(seconds)
            await own.start_broker()
        return await self._back(fleet, "the outage", time.monotonic())

    def _silent(self) -> CliError:
        options, at = self._options, self._place.seats[0].brokers[0]
        why = self._log.why and f"; the last that a hub said: {self._log.why}"
        hint = "run again with --keep DIR: its logs"
        if options.office is not None:
            hint = f"does its office run, and at this broker? venuehub office run --dir {options.office}"
        return CliError(
            "office_silent", f"none of {counted(options.hubs, 'hub')} was answered within {FIRST_S:g} s{why}",
            where=f"{at.host}:{at.port}", hint=hint, exit_code=ExitCode.UNAVAILABLE,
        )  # fmt: skip

    async def _back(self, fleet: Fleet, after: str, began: float) -> float | None:
        if not await fleet.all_up(seconds=UP_S):
            self._not_back.append(f"{counted(fleet.away, 'hub')} had no answer {UP_S:g} s after {after}")
            self._say(self._not_back[-1])
            return None
        took = round(time.monotonic() - began, 1)
        self._say(f"all hubs are there {took} s after {after}")
        return took
