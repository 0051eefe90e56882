"""What the story of scale plays on: two cells with a PostgreSQL each, one NATS cluster, workers, and many hubs."""

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from back_office.fleet.founding import found_office
from back_office.ledger.cells import name_cells
from back_office.ledger.desk import Desk
from back_office.settings import broker_settings, database_url, keep_database_url
from back_office.store import places
from back_office.store.engine import Store, Transaction, open_store
from back_office.store.places import Tenant
from cloud_sync.identity import OfficeKeys, save_office
from cloud_sync.mqtt_link import MqttLink, MqttLinkError
from cloud_sync.protocol.topics import PARTITIONS, office_filter, partition
from payment_core.identifiers import uuid7
from provisioning.identity import make_office
from venuehub.demo.processes import Child, python_module
from venuehub.errors import CliError, ExitCode
from venuehub.load.enrolment import enroll_many, seats_of
from venuehub.load.hub import Seat
from venuehub.office.tls import make_office_tls
from venuehub.scale import nats, postgres
from venuehub.scale.caught import named

OPERATOR: Final = "Star Arcades"
TIMEZONE: Final = "Asia/Shanghai"
READY_S: Final = 60.0
LOOK_S: Final = 0.05
NORTH, SOUTH = "north", "south"


class WorkerPlan(msgspec.Struct, frozen=True):
    """A worker: its cell, its partitions, and whether somebody starts it again when it dies."""

    name: str
    cell: str
    partitions: str
    restart: bool


WORKERS: Final = (
    WorkerPlan("north-a", NORTH, "0-15", restart=True),
    WorkerPlan("north-b", NORTH, "16-31", restart=True),
    WorkerPlan("south-a", SOUTH, "32-63", restart=False),
    WorkerPlan("south-b", SOUTH, "32-63", restart=False),
)
"""Two halves of the north, which a supervisor starts again; in the south one works and one waits for its leases."""
_LAST_OF_NORTH: Final = PARTITIONS // 2 - 1


class Cell:
    """One cell: its office's folder, its database, its books."""

    def __init__(self, name: str, folder: Path, server: postgres.Server) -> None:
        self.name = name
        self.folder = folder
        self.server = server
        self.store: Store

    def desk(self, tenant_id: bytes, tx: Transaction) -> Desk:
        """Return the desk of its first venue."""
        return Desk(tx, tenant_id, places.venues(tx, tenant_id)[0], now_ms=now_ms())


class Stage(msgspec.Struct):
    """Everything that runs. `workers` by name."""

    root: Path
    keys: OfficeKeys
    cells: dict[str, Cell]
    cluster: nats.Cluster
    seats: tuple[Seat, ...]
    workers: dict[str, Child] = {}

    def cell_of(self, hub_id: bytes) -> Cell:
        """Return the cell that takes a hub's messages."""
        return self.cells[NORTH if partition(hub_id) <= _LAST_OF_NORTH else SOUTH]

    def workers_of(self, cell: Cell) -> dict[str, Child]:
        """Return a cell's workers by name, without those that nobody starts again."""
        mine = {plan.name: self.workers[plan.name] for plan in WORKERS if plan.cell == cell.name}
        return {name: worker for name, worker in mine.items() if worker.running}

    def broker_of(self, worker: WorkerPlan) -> str:
        """Return the node that a worker goes to: they are spread over all."""
        node = WORKERS.index(worker) % nats.NODES
        return f"mqtts://{nats.LOOPBACK}:{self.cluster.ports[node].mqtt}"


@asynccontextmanager
async def staged(root: Path, *, hubs: int) -> AsyncIterator[Stage]:
    """Start everything in `root` and end it; CliError says what did not come up.

    Databases and nodes end with the thread that started them: this is called from the program's first.
    """
    with _cells(root) as (keys, cells):
        stage = _enrolled(root, keys, cells, hubs)
        try:
            for node in range(nats.NODES):
                await _answers(stage, node)
            first, waits = WORKERS[:-1], WORKERS[-1]
            await asyncio.gather(*(_start_worker(stage, plan) for plan in first))
            await _start_worker(stage, waits)
            yield stage
        finally:
            await asyncio.gather(*(worker.stop() for worker in stage.workers.values()))
            stage.cluster.stop()
            for cell in cells.values():
                cell.store.close()


@contextmanager
def _cells(root: Path) -> Iterator[tuple[OfficeKeys, dict[str, Cell]]]:
    """Two cells of one operator: the same keys, and each its own database."""
    root.chmod(0o711)  # as root, PostgreSQL is another user, who has to walk through
    keys = make_office(_new_id())
    cells: dict[str, Cell] = {}
    try:
        for name in (NORTH, SOUTH):
            cells[name] = Cell(name, root / name, postgres.start(root / f"pg-{name}"))
        first = cells[NORTH].folder
        save_office(keys, first)
        make_office_tls(first, tenant_id=keys.tenant_id, tenant=OPERATOR, broker_hosts=("localhost", nats.LOOPBACK))
        shutil.copytree(first, cells[SOUTH].folder)
        for cell in cells.values():
            cell.folder.chmod(0o700)
            _found(keys, cell, other=SOUTH if cell.name == NORTH else NORTH)
        yield keys, cells
    finally:
        for cell in cells.values():
            cell.server.stop()


def _found(keys: OfficeKeys, cell: Cell, *, other: str) -> None:
    keep_database_url(cell.folder, cell.server.url)
    cell.store = open_store(database_url(cell.folder), create=True)
    founder = Tenant(keys.tenant_id, OPERATOR, now_ms())
    found_office(cell.store, founder, venue_id=_new_id(), venue=f"Hall of the {cell.name}", timezone=TIMEZONE)
    with cell.store.writing() as tx:
        refused = name_cells(cell.desk(keys.tenant_id, tx), cell.name, [other])
    assert refused is None


def _enrolled(root: Path, keys: OfficeKeys, cells: dict[str, Cell], hubs: int) -> Stage:
    """Enroll every hub with both cells: which of them takes its messages, its partition says."""
    north, south = cells[NORTH], cells[SOUTH]
    place = {"folder": root / "hubs", "count": hubs, "host": nats.LOOPBACK, "port": 1}
    identities = enroll_many(north.store, keys, office=north.folder, **place)  # type: ignore[arg-type]
    with north.store.reading() as tx:
        venues = places.venues(tx, keys.tenant_id)
    with south.store.writing() as tx:
        known = {venue.venue_id for venue in places.venues(tx, keys.tenant_id)}
        for venue in venues:
            if venue.venue_id not in known:
                places.add_venue(tx, venue)
    enroll_many(south.store, keys, office=south.folder, **place)  # type: ignore[arg-type]
    cluster = nats.start_cluster(
        root / "nats", certificates=north.folder, tenant_id=keys.tenant_id, hubs=[hub.hub_id for hub in identities]
    )
    seats = seats_of(identities, root / "hubs", host=nats.LOOPBACK, port=1)
    spread = tuple(
        msgspec.structs.replace(
            seat, brokers=tuple(msgspec.structs.replace(seat.brokers[0], port=at.mqtt) for at in cluster.ports)
        )
        for seat in seats
    )
    return Stage(root, keys, cells, cluster, spread)


async def _answers(stage: Stage, node: int) -> None:
    """Wait until a node takes an MQTT client: with its first one, the cluster makes what it keeps sessions in."""
    folder = stage.cells[NORTH].folder
    at = broker_settings(f"mqtts://{nats.LOOPBACK}:{stage.cluster.ports[node].mqtt}", folder)
    until = time.monotonic() + READY_S
    while True:
        try:
            async with MqttLink(at) as link:
                await link.subscribe(office_filter())
        except MqttLinkError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(LOOK_S)
        else:
            return


async def _start_worker(stage: Stage, plan: WorkerPlan) -> None:
    log = stage.root / f"{plan.name}.log"
    words = ["office", "ingest", "--dir", str(stage.cells[plan.cell].folder), "--partitions", plan.partitions]
    command = python_module("venuehub", *words, "--worker", plan.name, "--broker", stage.broker_of(plan), "--json")
    child = stage.workers[plan.name] = Child(plan.name, named(plan.name, command), log=log, restart=plan.restart)
    await child.start()
    until = time.monotonic() + READY_S
    while b'"ready"' not in log.read_bytes():
        if time.monotonic() > until or not child.running:
            message = f"worker {plan.name} does not come up: {child.last_words()}"
            raise CliError("no_worker", message, where=str(log), hint="look at its log", exit_code=ExitCode.UNAVAILABLE)
        await asyncio.sleep(LOOK_S)


def now_ms() -> int:
    """Return UTC ms."""
    return time.time_ns() // 1_000_000


def _new_id() -> bytes:
    return uuid7(unix_ms=now_ms(), dice=secrets.token_bytes(10))
