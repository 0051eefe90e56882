"""An office with books on disk, and hubs that write real entries and seal real batches."""

import functools
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import sqlalchemy as sa

from back_office.fleet.founding import HUB_LEASE_CAP, found_office, pin_hub
from back_office.ledger.desk import Desk, TopUp
from back_office.ledger.verify import Proof, prove_books
from back_office.store import books, grants, lots, papers, people, places
from back_office.store.engine import Store, open_store, sqlite_url
from back_office.store.people import GuestAccount
from back_office.store.places import Tenant
from back_office.worker import Worker
from cloud_sync.identity import HubIdentity, OfficeKeys
from cloud_sync.letters import Publish, post_message
from cloud_sync.protocol.batcher import build_body
from cloud_sync.protocol.envelope import NO_BATCH, Header, batch_hash
from cloud_sync.protocol.messages import Body, Hello, Message, Plain, encode_message, encode_wire, signed_bytes
from cloud_sync.protocol.peers import Voucher
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.sealing import seal_batch
from payment_core.accounts import Kind
from payment_core.journal import (
    CHAIN_START,
    Actor,
    Cause,
    Entry,
    EpochOpened,
    Held,
    LeasePassed,
    LeaseReturned,
    LotKind,
    Part,
    Tender,
    TimeQuality,
    VoucherTaken,
    chain_hash,
    encode_entry,
)
from payment_core.journal import Captured as CapturedEntry
from payment_core.journal import Header as EntryHeader
from provisioning.identity import enroll_hub, pinned

TENANT = bytes.fromhex("019399a0000070008000000000000001")
VENUE = bytes.fromhex("019399a0000070008000000000000002")
HUB = bytes.fromhex("019399a0000070008000000000000003")
OTHER_HUB = bytes.fromhex("019399a0000070008000000000000004")
GUEST = bytes.fromhex("019399a0000070008000000000000005")
OTHER_GUEST = bytes.fromhex("019399a0000070008000000000000006")
WALL_MS = 1_795_320_000_000
DAY = 20261122

KEYS = OfficeKeys(
    tenant_id=TENANT,
    trust_seed=bytes([1]) * 32,
    sign_seed=bytes([2]) * 32,
    receive_privates=(bytes([3]) * 32,),
    pepper=bytes([4]) * 32,
)


class HubPen:
    """A hub's journal and batches, kept in memory. Every entry gets the next seq; every batch continues the last."""

    def __init__(self, identity: HubIdentity, *, epoch: int = 1) -> None:
        self.identity = identity
        self.epoch = epoch
        self.seq = 0
        self.batch_seq = 0
        self.batch_hash = NO_BATCH
        self.tail = CHAIN_START
        self.hellos = 0
        self.clock_ms = WALL_MS
        self.records: list[tuple[bytes, bytes]] = []
        self.lots: dict[tuple[bytes | None, str], bytes] = {}
        self.write(lambda header: EpochOpened(1, header, epoch))

    def header(self, *, authorization: int = 0, tender: Tender = Tender.PURSE) -> EntryHeader:
        return EntryHeader(
            seq=self.seq + 1,
            wall_ms=WALL_MS + self.seq,
            boot_id=bytes(16),
            boottime_ms=self.seq * 10,
            quality=TimeQuality.SYNCED,
            business_date=DAY,
            actor=Actor.GUEST,
            tender=tender,
            venue=VENUE,
            machine="racer-2",
            lane="racer-2",
            authorization_id=authorization.to_bytes(16, "big") if authorization else None,
        )

    def write(self, make, *, authorization: int = 0) -> Entry:
        entry = self._with_lots(make(self.header(authorization=authorization)))
        record = encode_entry(entry)
        head = chain_hash(self.records[-1][1] if self.records else CHAIN_START, record)
        self.records.append((record, head))
        self.seq += 1
        return entry

    def _with_lots(self, entry: Entry) -> Entry:
        """Name the account's first lot in parts of leases that name none, as a hub does."""
        account_id = getattr(entry, "account_id", None)

        def named(part: Part) -> Part:
            lot = self.lots.get((account_id, part.unit), b"") if part.lease_epoch and not part.lot else part.lot
            return msgspec.structs.replace(part, lot=lot)

        fields = [name for name in ("parts", "released") if isinstance(getattr(entry, name, None), tuple)]
        return msgspec.structs.replace(entry, **{name: tuple(map(named, getattr(entry, name))) for name in fields})

    def held(self, amount: int, *, account: bytes = GUEST, unit: str = "CNY", authorization: int = 1, epoch=1) -> Entry:
        parts = (Part(unit, amount, epoch),)
        return self.write(
            lambda header: Held(1, header, parts, account, bytes(16), "C", "reader-1", 1, self.seq, 0),
            authorization=authorization,
        )

    def captured(self, amount: int, *, account: bytes = GUEST, unit: str = "CNY", authorization: int = 1) -> Entry:
        parts = (Part(unit, amount, 1),)
        return self.write(
            lambda header: CapturedEntry(1, header, parts, account, Cause.DEVICE), authorization=authorization
        )

    def passed(self, to: "HubPen", amount: int, *, account: bytes = GUEST, unit: str = "CNY") -> tuple[Entry, bytes]:
        """Pass leased money on; return the entry, and what this hub signs for it."""
        lot = self.lots.get((account, unit), b"")
        parts = (Part(unit, amount, self.epoch, lot),)
        entry = self.write(lambda header: LeasePassed(1, header, account, parts, to.identity.hub_id))
        return entry, self.voucher(to, entry.header.seq, parts, account=account)

    def voucher(self, to: "HubPen", seq: int, parts: tuple[Part, ...], *, account: bytes = GUEST) -> bytes:
        body = Voucher(account, self.epoch, seq, 1, parts)
        message = Message(sender=self.identity.hub_id, to=to.identity.hub_id, number=seq, body=body)
        data = encode_message(message)
        signature = self.identity.signer.sign(signed_bytes("voucher", data))
        return encode_wire(Plain(data, signature))

    def taken(self, giver: "HubPen", seq: int, amount: int, voucher: bytes, *, account: bytes = GUEST, unit="CNY"):
        """Take a voucher in."""
        parts = (Part(unit, amount, self.epoch, self.lots.get((account, unit), b"")),)
        hub_id, epoch = giver.identity.hub_id, giver.epoch
        return self.write(lambda header: VoucherTaken(1, header, account, parts, hub_id, epoch, seq, (), voucher))

    def returned(self, amount: int, *, account: bytes = GUEST, unit: str = "CNY", why: str = "idle") -> Entry:
        parts = (Part(unit, amount, self.epoch),)
        return self.write(lambda header: LeaseReturned(1, header, account, parts, why))

    def seal(self, *, raw: Sequence[bytes] | None = None) -> bytes:
        """Return everything written since the last batch as the next batch; `raw` replaces the records."""
        first = len(self.records) if raw is not None else self.sealed_records
        fresh = raw if raw is not None else [record for record, _ in self.records[first:]]
        tail = self.tail
        for record in fresh:
            tail = chain_hash(tail, record)
        sealer, signer = self.identity.office_sealer, self.identity.signer
        header = Header(
            hub_id=self.identity.hub_id,
            epoch=self.epoch,
            batch_seq=self.batch_seq + 1,
            first_record=self.sealed_records + 1,
            record_count=len(fresh),
            created_ms=self.clock_ms,
            time_quality=TimeQuality.SYNCED,
            recipient_key=sealer.key_id,
            signer_key=signer.key_id,
            previous_batch_hash=self.batch_hash,
            journal_tail_hash=tail,
        )
        return seal_batch(header, build_body(fresh), sealer=sealer, signer=signer)

    @property
    def sealed_records(self) -> int:
        return self._sealed

    _sealed = 0

    def sent(self, data: bytes) -> bytes:
        """Move on behind a batch that `seal` returned."""
        self.batch_seq += 1
        self.batch_hash = batch_hash(data)
        self._sealed = len(self.records)
        self.tail = self.records[-1][1]
        return data

    def batch(self) -> bytes:
        return self.sent(self.seal())

    def letter(self, body: Body, leaf: str) -> tuple[str, bytes]:
        """Return topic and bytes of a message to the office."""
        self.hellos += 1
        identity = self.identity
        message = Message(sender=identity.hub_id, to=identity.tenant_id, number=self.clock_ms + self.hellos, body=body)
        payload = post_message(message, signer=identity.signer, sealer=identity.office_sealer)
        return hub_topic(identity.hub_id, "up", leaf), payload

    def hello(self, **changes) -> tuple[str, bytes]:
        body = Hello(self.epoch, self.batch_seq, self.batch_hash, 0, bytes(16), self.hellos.to_bytes(16, "big"))
        return self.letter(msgspec.structs.replace(body, **changes), "hello")

    @property
    def batch_topic(self) -> str:
        return hub_topic(self.identity.hub_id, "up", "batch")


def found(store: Store) -> None:
    """Give empty books a tenant, a venue and two guests: every test begins with them."""
    founder = Tenant(TENANT, "Star Arcade", WALL_MS)
    found_office(store, founder, venue_id=VENUE, venue="Hall", timezone="Asia/Shanghai")
    with store.writing() as tx:
        for account_id in (GUEST, OTHER_GUEST):
            people.add_account(tx, TENANT, GuestAccount(account_id=account_id, created_ms=WALL_MS))


@functools.cache
def founded() -> bytes:
    """Return a SQLite file with founded books: made once."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "office.sqlite"
        store = open_store(sqlite_url(file), create=True)
        found(store)
        store.close()  # the last connection brings the log back into the file
        return file.read_bytes()


class Office:
    """Books in a folder, one venue, one hub (more by `enroll`), and a worker over them.

    url: of founded books on a server; without it they are a file in the folder.
    """

    def __init__(self, folder: Path, url: str = "") -> None:
        self.file = folder / "office.sqlite"
        self.url = url or sqlite_url(self.file)
        self.now_ms = WALL_MS
        if not url:
            self.file.write_bytes(founded())
        self.lots: dict[tuple[bytes | None, str], bytes] = {}
        self.store: Store = open_store(self.url)
        self.hub = self.enroll(HUB, "hall")
        self.start()

    def start(self) -> None:
        """Start a worker anew: what it knew in memory is gone."""
        self.worker = Worker(self.store, KEYS, lambda: self.now_ms)

    def enroll(self, hub_id: bytes, name: str) -> HubPen:
        identity = enroll_hub(KEYS, hub_id=hub_id, venue_id=VENUE, epoch=1, broker_host="127.0.0.1", broker_port=1883)
        pin_hub(self.store, TENANT, pinned(identity), venue_id=VENUE, name=name, now_ms=WALL_MS)
        pen = HubPen(identity)
        pen.lots = self.lots
        return pen

    def desk(self, tx) -> Desk:
        return Desk(tx, TENANT, places.venues(tx, TENANT)[0], now_ms=self.now_ms)

    def top_up(self, amount: int, *, account: bytes = GUEST, unit: str = "CNY", payment: str = "p1"):
        wish = TopUp(account_id=account, unit=unit, amount=amount, channel="counter", payment_id=payment)
        with self.store.writing() as tx:
            outcome = self.desk(tx).top_up(wish)
            for key in lots.lots_of_payment(tx, TENANT, channel="counter", payment_id=payment):
                self.lots.setdefault((key.account_id, key.unit), key.lot)
            return outcome

    def lease(self, *, account: bytes = GUEST, hub_id: bytes = HUB) -> int:
        """Lease all of an account's money to a hub; return the sum of its granted totals there."""
        with self.store.writing() as tx:
            hub = places.hub(tx, TENANT, hub_id)
            assert hub is not None
            return sum(row.granted for row in self.desk(tx).lease(hub, account).values())

    def take(self, data: bytes, hub: HubPen | None = None):
        return self.worker.on_message((hub or self.hub).batch_topic, data)

    def prove(self) -> Proof:
        with self.store.reading() as tx:
            return prove_books(tx, TENANT)

    def frozen(self, hub_id: bytes = HUB) -> str:
        with self.store.reading() as tx:
            hub = places.hub(tx, TENANT, hub_id)
            assert hub is not None
            return hub.frozen

    def lot(self, payment: str) -> bytes:
        """Return the lot that a payment of the counter opened."""
        with self.store.reading() as tx:
            found = lots.lots_of_payment(tx, TENANT, channel="counter", payment_id=payment)
        return next(key.lot for key, row in found.items() if row.kind == LotKind.PAID)

    def purse(self, *, account: bytes = GUEST, unit: str = "CNY") -> int:
        with self.store.reading() as tx:
            return -books.guest_balances(tx, TENANT, [account]).purses.get((account, unit), 0)

    def left(self, hub_id: bytes = HUB, *, account: bytes = GUEST, unit: str = "CNY") -> int:
        """Return what an account has left at a hub, as far as the office has heard."""
        with self.store.reading() as tx:
            rows = grants.leases_of_accounts(tx, TENANT, [account])
        return sum(row.left for key, row in rows.items() if (key.hub_id, key.unit) == (hub_id, unit))

    def balance(self, kind: Kind, unit: str = "CNY") -> int:
        with self.store.reading() as tx:
            return sum(row.amount for row in books.balances(tx, TENANT) if (row.account.kind, row.unit) == (kind, unit))

    def alarms(self) -> list[tuple[str, bytes]]:
        with self.store.reading() as tx:
            return [(alarm.kind, alarm.subject_id) for alarm in papers.alarms(tx, TENANT)]

    def cap(self) -> int:
        return HUB_LEASE_CAP


def leaves(letters: Iterable[Publish]) -> list[str]:
    """Return the last words of the topics."""
    return [letter.topic.split("/down/")[1] for letter in letters]


_BARED = """
DO $$ DECLARE r record; BEGIN
FOR r IN SELECT conrelid::regclass AS of, conname AS called FROM pg_constraint
    WHERE contype = 'c' AND connamespace = 'public'::regnamespace
LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', r.of, r.called); END LOOP;
FOR r IN SELECT tgrelid::regclass AS of, tgname AS called FROM pg_trigger WHERE NOT tgisinternal
LOOP EXECUTE format('DROP TRIGGER %I ON %s', r.called, r.of); END LOOP;
END $$"""


def tamper(office: Office, *statements: str) -> None:
    """Change the database as somebody with its file could: without triggers and checks. SQLite's words do for both."""
    engine = sa.create_engine(office.url)
    with closing(engine.raw_connection()) as connection:
        raw = connection.driver_connection
        assert raw is not None
        if office.url.startswith("sqlite"):
            raw.execute("PRAGMA ignore_check_constraints = ON")
            for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                raw.execute(f"DROP TRIGGER {name}")
        else:
            raw.execute(_BARED)
            statements = tuple(_on_a_server(statement) for statement in statements)
        for statement in statements:
            assert raw.execute(statement).rowcount > 0
        raw.commit()
    engine.dispose()


def _on_a_server(statement: str) -> str:
    return re.sub(r"x'([0-9a-f]*)'", r"'\\x\1'::bytea", statement).replace(" AS BLOB", " AS BYTEA")
