"""`venuehub bench ingest`: what the office takes in per second, beside bare writes of the very rows that it wrote.

Ours: from sealed bytes to a committed transaction and a signed receipt: signature, decryption, chain, every rule of the
books, postings, balances, days and takings. Bare: the rows of batches, entries and postings that ours wrote, put into
the same tables of another database with the same keys, checks and triggers, in the same transactions.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from back_office.fleet.founding import found_office, pin_hub
from back_office.ledger.desk import Desk, TopUp, venue_of
from back_office.store import people, places
from back_office.store.engine import sqlite_url
from back_office.store.people import GuestAccount
from back_office.store.places import Tenant
from back_office.store.tables import METADATA
from back_office.worker import Worker
from benchmarks.bare import Bared
from benchmarks.grown import beside, settle
from benchmarks.report import PAIRS, Report, Row, finished, judge
from cloud_sync.identity import HubIdentity
from cloud_sync.letters import post_message
from cloud_sync.protocol.batcher import chain_tail
from cloud_sync.protocol.envelope import Envelope, parse_envelope
from cloud_sync.protocol.messages import Hello, Message
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.upload_effects import Moment, UploadState
from cloud_sync.upload_sealing import seal_next
from payment_core.journal import Actor, Entry, EpochOpened, Header, Part, Tender, TimeQuality, encode_entry
from provisioning.identity import enroll_hub, make_office, pinned
from venuehub.errors import CliError, ExitCode
from venuehub.load.plays import card_play, coin_play
from venuehub.scale import postgres

HUBS: Final = 4
GUESTS: Final = 64
BATCH: Final = 1_000
TOGETHER: Final = 4
"""Batches that wait when the office looks: they are one transaction, in both arms."""
GROWN: Final = 2_000_000
A_HUB_FOR: Final = 2_000
"""Entries for each hub of an office that has grown, with `GUESTS` guests of its own: a thousand, and 64,000."""
IN_A_VENUE: Final = 8
FREE_BYTES: Final = 6 * 1024**3
"""What two databases of so many entries need, and their logs."""
LEAST: Final = {"sqlite": 0.2, "postgresql": 0.3}
WALL_MS: Final = 1_795_320_000_000
DAY: Final = 20261122
LANES: Final = 20
ENTRY_MS: Final = 250
"""Between two entries of a hub: twenty lanes with a play a minute or so each, for the day and the night."""
MONEY: Final = 30_000
TENANT, VENUE = bytes(range(16)), bytes(range(16, 32))
BARE: Final = ("batches", "entries", "postings")
_SERVER: Final = {
    "shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min", "io_method": "sync",
}  # fmt: skip
POINTED_AT: Final = ("accounts", "chains")
"""What those rows point at: the bare database has it, and nobody counts that."""


def run(*, db: str = "sqlite", grown: bool = False, entries: int = GROWN, pairs: int = PAIRS) -> Report:
    """Measure all rows on one kind of database. `entries`: how many there are when it has `grown`."""
    with tempfile.TemporaryDirectory(prefix="venuehub-bench-") as name, _databases(db, Path(name)) as databases:
        make = databases.make
        if grown and shutil.disk_usage(name).free < FREE_BYTES * entries / GROWN:
            message = f"{FREE_BYTES * entries // GROWN} bytes are needed; name another place by TMPDIR"
            raise CliError("no_room", message, where=name, exit_code=ExitCode.UNAVAILABLE)
        arena = Arena(make("ours"), make("bare"))
        arena.warm_up()
        rows = [judge("taken_in", "/s", [arena.pair() for _ in range(pairs)], at_least=LEAST[db])]
        rows += arena.replays(pairs)
        if grown:
            young = Arena(make("young"), make("young_bare"))
            young.warm_up()
            arena.grow(entries)
            databases.settle()
            found = beside(lambda: young.take(TOGETHER), lambda: arena.take(TOGETHER), pairs)
            rows.append(judge("when_grown", "/s", found, at_least=0.8))
            young.close()
        arena.close()
        return finished(rows)


class _Databases(msgspec.Struct, frozen=True):
    """make: an empty database by its name, returned as its URL. settle: no work is left in the background of any."""

    make: Callable[[str], str]
    settle: Callable[[], None] = lambda: None


@contextlib.contextmanager
def _databases(db: str, folder: Path) -> Iterator[_Databases]:
    """Yield what makes databases of that kind."""
    if db == "sqlite":
        yield _Databases(lambda name: sqlite_url(folder / f"{name}.sqlite"))
        return
    with postgres.passing(settings=_SERVER) as server:
        urls: list[str] = []

        def made(name: str) -> str:
            engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(sa.text(f"CREATE DATABASE {name}"))
            engine.dispose()
            urls.append(server.database(name))
            return urls[-1]

        yield _Databases(made, lambda: settle(server.url, urls))


class Pen:
    """A hub that plays, the day through: two taps by guests with leases, and a coin that is played."""

    def __init__(self, identity: HubIdentity, guests: Sequence[tuple[bytes, bytes]]) -> None:
        """Begin its journal. `guests`: account and lot."""
        self.identity = identity
        self._state = UploadState(epoch=1)
        self._guests = guests
        self._turn = 0
        self._seq = 0
        self._waiting = [encode_entry(EpochOpened(1, self._header(None, None, Actor.HUB, Tender.NONE), 1))]

    @property
    def now_ms(self) -> int:
        """What its clock shows, which is also the office's."""
        return WALL_MS + self._seq * ENTRY_MS

    def batch(self) -> bytes:
        """Play and seal."""
        while len(self._waiting) < BATCH:
            self._waiting += [encode_entry(entry) for entry in self._play()]
        records, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        moment = Moment(mono_ms=0, wall_ms=self.now_ms, quality=TimeQuality.SYNCED)
        sealer = self.identity.office_sealer
        sealed = seal_next(self.identity, self._state, sealer, moment, records, compress=True)
        self._state = msgspec.structs.replace(
            self._state, last_seq=sealed.batch_seq, last_hash=sealed.digest, last_record=sealed.last_record,
            tail_hash=chain_tail(self._state.tail_hash, records),
        )  # fmt: skip
        return sealed.data

    def hello(self) -> tuple[str, bytes]:
        """Return the letter that lets the office answer."""
        identity, body = self.identity, Hello(1, 0, bytes(32), 0, bytes(16), bytes(range(16)))
        message = Message(sender=identity.hub_id, to=identity.tenant_id, number=WALL_MS, body=body)
        payload = post_message(message, signer=identity.signer, sealer=identity.office_sealer)
        return hub_topic(identity.hub_id, "up", "hello"), payload

    def _play(self) -> Iterator[Entry]:
        self._turn += 1
        turn, lane = self._turn, f"lane-{self._turn % LANES}"
        play = self.identity.hub_id[:8] + turn.to_bytes(8, "big")
        if turn % 3 == 0:
            return coin_play(self._header, lane, play, Part("CNY", 100), epoch=1, event=turn, until_ms=0)
        account, lot = self._guests[turn % len(self._guests)]
        return card_play(self._header, lane, play, Part("CNY", 1, 1, lot), account, epoch=1, event=turn)

    def _header(self, lane: str | None, play: bytes | None, actor: Actor, tender: Tender) -> Header:
        self._seq += 1
        return Header(
            self._seq, self.now_ms, bytes(16), self._seq * ENTRY_MS, TimeQuality.SYNCED, DAY, actor, tender, VENUE,
            None, lane and f"machine-{lane}", lane, play,
        )  # fmt: skip


class Arena:
    """Our office on one database, and beside it another that takes the rows only."""

    def __init__(self, ours: str, bare: str) -> None:
        """Found both, enrol the hubs, lease their guests' money to them, and greet."""
        self._keys = make_office(TENANT)
        self._ours, self._theirs = Bared(ours), Bared(bare)
        self._store, self._bare = self._ours.store, self._theirs.store
        self._hubs = [self._enrol(number) for number in range(HUBS)]
        for store in (self._store, self._bare):
            tenant = Tenant(TENANT, "Bench", WALL_MS)
            found_office(store, tenant, venue_id=VENUE, venue="Hall", timezone="Asia/Shanghai")
            for number, hub in enumerate(self._hubs):
                pin_hub(store, TENANT, pinned(hub), venue_id=VENUE, name=f"hub-{number}", now_ms=WALL_MS)
        self._pens = [Pen(hub, self._guests_of(hub.hub_id)) for hub in self._hubs]
        self._worker = Worker(self._store, self._keys, lambda: self._pens[0].now_ms)
        for pen in self._pens:
            self._worker.on_message(*pen.hello())
        self.entries = 0
        self._turn = 0
        self._last: list[tuple[str, bytes]] = []

    def take(self, batches: int) -> float:
        """Let the office take batches that wait; return entries per second."""
        self._last = []
        for _ in range(batches):
            pen = self._pens[self._turn % HUBS]
            self._turn += 1
            self._last.append((hub_topic(pen.identity.hub_id, "up", "batch"), pen.batch()))
        begin = time.perf_counter()
        handled = self._worker.on_messages(self._last)
        took = time.perf_counter() - begin
        assert not handled.refusals, handled.refusals
        self.entries += batches * BATCH
        return batches * BATCH / took

    def warm_up(self) -> None:
        """Prepare what is prepared once; the office lets a server count its rows, and nobody else does so for bare."""
        for _ in range(2):
            self.pair()
            self._bare.look_at_tables()

    def pair(self) -> tuple[float, float]:
        """Return entries per second of bare writes and of ours, of the same rows."""
        ours = self.take(TOGETHER)
        rows = {name: self._written(name) for name in BARE}
        self._copy_pointed_at()
        return self._write_bare(rows), ours

    def replays(self, pairs: int) -> list[Row]:
        """Return what the same batches cost again, beside the first time, and what they write."""
        found, written = [], 0
        for _ in range(pairs):
            first = self.take(TOGETHER)
            before = self._writes()
            begin = time.perf_counter()
            self._worker.on_messages(self._last)
            found.append((first, TOGETHER * BATCH / (time.perf_counter() - begin)))
            written += self._writes() - before
        return [
            judge("replayed", "/s", found, at_least=2),
            judge("rows_replayed", "rows", [(1, 1 + written)], at_most=1),
        ]

    def grow(self, entries: int) -> None:
        """Enrol more hubs with guests of their own, then take until there are so many entries."""
        for number in range(HUBS, entries // A_HUB_FOR):
            hub = self._enrol(number, self._venue_of(number))
            pin_hub(self._store, TENANT, pinned(hub), venue_id=hub.venue_id, name=f"hub-{number}", now_ms=WALL_MS)
            self._guests_of(hub.hub_id)
        while self.entries < entries:
            self.take(TOGETHER)

    def close(self) -> None:
        """Close both."""
        self._store.close()
        self._bare.close()

    # ---- inside ----

    def _enrol(self, number: int, venue_id: bytes = VENUE) -> HubIdentity:
        hub_id = (number + 1).to_bytes(8, "big") * 2
        return enroll_hub(self._keys, hub_id=hub_id, venue_id=venue_id, epoch=1, broker_host="h", broker_port=1)

    def _venue_of(self, number: int) -> bytes:
        venue_id = VENUE if number < IN_A_VENUE else (number // IN_A_VENUE).to_bytes(8, "big") * 2
        if number % IN_A_VENUE == 0:
            with self._store.writing() as tx:
                first = places.venues(tx, TENANT)[0]
                places.add_venue(tx, msgspec.structs.replace(first, venue_id=venue_id, name=f"Hall {number}"))
        return venue_id

    def _guests_of(self, hub_id: bytes) -> list[tuple[bytes, bytes]]:
        found = []
        with self._store.writing() as tx:
            hub = places.hub(tx, TENANT, hub_id)
            assert hub is not None
            desk = Desk(tx, TENANT, venue_of(tx, TENANT, hub.venue_id), now_ms=WALL_MS)
            for number in range(GUESTS):
                account_id = hub_id[:8] + number.to_bytes(8, "big")
                people.add_account(tx, TENANT, GuestAccount(account_id=account_id, created_ms=WALL_MS))
                wish = TopUp(
                    account_id=account_id, unit="CNY", amount=MONEY, channel="bench", payment_id=account_id.hex()
                )
                desk.top_up(wish)
                (place,) = desk.lease(hub, account_id)
                found.append((account_id, place.lot))
        return found

    def _written(self, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the rows of the batches that were taken last."""
        table = METADATA.tables[name]
        names = [column.name for column in table.columns]
        rows: list[tuple[Any, ...]] = []
        with self._store.reading() as tx:
            for topic, data in self._last:
                parsed = parse_envelope(data)
                assert isinstance(parsed, Envelope), topic
                header = parsed.header
                query = sa.select(table).where(table.c.tenant_id == TENANT, table.c.hub_id == header.hub_id)
                if name == "batches":
                    query = query.where(table.c.batch_seq == header.batch_seq)
                else:
                    last = header.first_record + header.record_count - 1
                    query = query.where(table.c.stream == 0, table.c.seq.between(header.first_record, last))
                rows += tx.execute(query)
        return names, rows

    def _copy_pointed_at(self) -> None:
        """Give the bare database what the rows point at."""
        for name in POINTED_AT:
            table = METADATA.tables[name]
            query = sa.select(table)
            with self._store.reading() as tx:
                rows = tx.execute(query).mappings()
            with self._bare.writing() as tx:
                keys = [column.name for column in table.primary_key.columns]
                known = {tuple(row[key] for key in keys) for row in tx.execute(query).mappings()}
                fresh = [row for row in rows if tuple(row[key] for key in keys) not in known]
                if fresh:
                    tx.execute(sa.insert(table), fresh)

    def _write_bare(self, rows: dict[str, tuple[list[str], list[tuple[Any, ...]]]]) -> float:
        """Write the rows as barely as the database's driver can, in one transaction; return entries per second."""
        begin = time.perf_counter()
        with self._theirs.writing() as driver:
            for name, (names, values) in rows.items():
                columns = ", ".join(names)
                if self._theirs.is_sqlite:
                    places_of = ", ".join("?" * len(names))
                    driver.executemany(f"INSERT INTO {name} ({columns}) VALUES ({places_of})", values)  # noqa: S608
                    continue
                with driver.cursor().copy(f"COPY {name} ({columns}) FROM STDIN") as copy:
                    for row in values:
                        copy.write_row(row)
        return TOGETHER * BATCH / (time.perf_counter() - begin)

    def _writes(self) -> int:
        """Return how many rows were ever written by the office's connection, or into its database on a server."""
        return self._ours.rows_written()
