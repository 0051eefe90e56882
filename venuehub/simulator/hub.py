"""The simulated hub: the real till, uploader and downlink, pumped by the simulator as the agent pumps them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from cloud_sync.downlink import Accepted, Downlink, ListMismatch
from cloud_sync.identity import HubIdentity
from cloud_sync.letters import Publish
from cloud_sync.protocol.messages import (
    CredentialList,
    Document,
    DocumentVersion,
    HelloRequest,
    Lease,
    LeaseRequest,
    ListRequest,
    Receipt,
    ResendRequest,
    Trust,
)
from cloud_sync.upload_effects import Effect as UploadEffect
from cloud_sync.upload_effects import Freeze, MoveCursor, ReadOutbox, Reconnect, SealedBatch, StoreSealed, UploadState
from cloud_sync.upload_effects import Moment as UploadMoment
from cloud_sync.uploader import Uploader
from edge_agent import messages
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.migrations import migrate
from edge_agent.ledger.store import CommitUnknownError
from edge_agent.messages import Effect, Input
from edge_agent.till import Till
from payment_core.journal import TimeQuality
from payment_core.pricing import LocalTime
from venuehub.simulator.disk import Disk, DiskReader, DiskStore, PowerCutError
from venuehub.simulator.seeded_sealing import Pen, SeededSealer
from venuehub.simulator.world import World

if TYPE_CHECKING:
    from venuehub.simulator.bridge import Bridge
    from venuehub.simulator.uplink import Uplink

STEP_MS: Final = 50
TICK_MS: Final = 500
ASK_AGAIN_MS: Final = 1_000
BUSINESS_DATE: Final = 20_261_107
_DIES: Final = 0.004


class Hub:
    """One hub's machine: a disk that stays, and a process that comes and goes."""

    def __init__(self, world: World, identity: HubIdentity) -> None:
        self.world = world
        self.identity = identity
        self.disk = Disk()
        self.alive = False
        self.connected = False
        self.bridge: Bridge
        self.uplink: Uplink
        self.frozen = ""
        self._life = 0
        self._woken = False
        self._queue: list[Input] = []
        self._asked_ms: dict[bytes, int] = {}
        self._boot_ms = 0
        self._boot_id = world.dice.randbytes(16)
        self._pen = Pen(
            identity.hub_id, identity.tenant_id, identity.signer,
            SeededSealer(identity.office_receive, draw=world.dice.randbytes),
        )  # fmt: skip
        world.faults = False
        migrate(DiskStore(self.disk, world), "simulated ledger")
        world.faults = True

    # ---- life and death ----

    def start(self) -> None:
        """Open the ledger and begin, as the agent does after every start."""
        world = self.world
        self.store = self._open_store()
        self.reader = DiskReader(self.store)
        self.till = Till(
            self.store, hub_id=self.identity.hub_id, venue_id=self.identity.venue_id, pepper=self.identity.pepper,
            dice=world.dice.randbytes,
        )  # fmt: skip
        self.uploader = Uploader(
            self._pen, _upload_state(self.reader), boot_id=world.dice.randbytes(16), draw=world.dice.randbytes
        )
        self._downlink = Downlink(
            hub_id=self.identity.hub_id, tenant_id=self.identity.tenant_id, opener=self.identity.opener,
            trust=self.identity.trust, versions=self.reader.versions(),
        )  # fmt: skip
        self._life += 1
        self.alive = True
        self._queue.clear()
        self._woken = False
        world.note(f"hub: starts, journal ends at {read_tail(self.store).seq}")
        self._wake()
        self._later(STEP_MS, self._step_timer)
        self._later(TICK_MS, self._tick)
        self._later(20, self.connect)
        self.bridge.introduce()

    def _open_store(self) -> DiskStore:
        return DiskStore(self.disk, self.world)

    def die(self, *, power_cut: bool) -> None:
        """End the process at once; a power cut ends the machine's boot too."""
        if not self.alive:
            return
        self.alive = self.connected = False
        self.disk.drop_open_transaction()
        if power_cut:
            self._boot_id, self._boot_ms = self.world.dice.randbytes(16), self.world.now_ms
        delay_ms = self.world.dice.randrange(100, 2_500)
        self.world.note(f"hub: dies, power cut {power_cut}, back in {delay_ms} ms")
        self.world.after(delay_ms, self.start)

    def _later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something later in this life only."""
        life = self._life

        def act() -> None:
            if self.alive and self._life == life:
                action()

        self.world.after(delay_ms, act)

    # ---- the till's thread ----

    def offer(self, fact: Input) -> None:
        """Queue a fact for the next step; a dead hub hears nothing."""
        if self.alive:
            self._queue.append(fact)
            self._wake()

    def boottime_ms(self) -> int:
        """Return milliseconds since this boot."""
        return self.world.now_ms - self._boot_ms

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._later(self.world.dice.randrange(4), self._step)

    def _step_timer(self) -> None:
        if self.till.outstanding:
            self._wake()
        self._later(STEP_MS, self._step_timer)

    def _step(self) -> None:
        self._woken = False
        facts, self._queue = self._queue, []
        now = messages.Moment(
            self.world.wall_ms, self._boot_id, self.boottime_ms(), TimeQuality.SYNCED, BUSINESS_DATE, LocalTime(6, 600)
        )
        try:
            effects = self.till.step(now, facts)
        except (CommitUnknownError, PowerCutError) as fault:
            self.die(power_cut=isinstance(fault, PowerCutError))
            return
        for effect in effects:
            if self.world.chance(_DIES):
                self.die(power_cut=self.world.chance(0.5))
                return
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case messages.Send(device=device, command=command):
                self.world.note(f"hub: command {command.id[-8:]} to {device}, seq {command.seq}, ttl {command.ttl_ms}")
                self.world.deliver(lambda: self.bridge.take_command(device, command))
            case messages.SayBooked(device=device, booked=booked):
                self.world.deliver(lambda: self.bridge.take_booked(device, booked))
            case messages.JournalGrew(seq=seq):
                self.uploader.on_journal(seq)
            case messages.BatchStored(batch_seq=batch_seq):
                self._do(self.uploader.on_stored(self._now(), batch_seq))
            case messages.AskLease(account_id=account_id):
                self._ask_lease(account_id)
            case messages.AskFullList(version=version):
                self._do([self.uploader.request(self._now(), ListRequest(version))])
            case messages.Log(name=name):
                self.world.note(f"hub: {name}")
            case messages.Show():
                pass

    # ---- the uplink ----

    def connect(self) -> None:
        """Connect and greet; while the line is cut, try again later."""
        if self.uplink.cut:
            self._later(self.world.dice.randrange(300, 2_000), self.connect)
            return
        self.connected = True
        versions = [DocumentVersion(name, version) for name, version in self.reader.versions().items()]
        self._do(self.uploader.on_connected(self._now(), versions=versions))
        self.uplink.give_retained()

    def lose_link(self) -> None:
        """The connection is gone: note it, and come back."""
        if self.alive and self.connected:
            self.connected = False
            self.uploader.on_disconnected()
            self.offer(messages.OfficeLink(up=False))
            self._later(self.world.dice.randrange(200, 1_500), self.connect)

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a message of the office."""
        for event in self._downlink.on_message(topic, payload):
            match event:
                case Accepted(body=body):
                    self._take(body)
                case ListMismatch(have_version=version):
                    self._do([self.uploader.request(self._now(), ListRequest(version))])
                case rejected:
                    self.world.note(f"hub: rejected a message on {topic.rsplit('/', 1)[1]}: {rejected.reason}")

    def _take(self, body: Receipt | Lease | CredentialList | Document | Trust | ResendRequest | HelloRequest) -> None:
        match body:
            case Receipt():
                self.offer(messages.OfficeLink(up=True))
                self._do(self.uploader.on_receipt(self._now(), body))
            case Lease(grants=grants):
                for grant in grants:
                    self.offer(
                        messages.LeaseArrived(grant.account_id, grant.unit, grant.lease_epoch, grant.granted_total)
                    )
            case CredentialList():
                self.offer(messages.ListArrived(body.version, body.full, body.base_version, body.rows))
                self._downlink.in_effect("list", body.version)
            case Document():
                self.offer(messages.DocumentArrived(body.name, body.version, body.content))
                self._downlink.in_effect(body.name, body.version)
            case ResendRequest():
                self._do(self.uploader.on_resend_request(epoch=body.epoch, from_seq=body.from_seq))
            case HelloRequest():
                self._do(self.uploader.on_hello_request(self._now()))
            case Trust():
                pass

    def _tick(self) -> None:
        self._do(self.uploader.on_tick(self._now()))
        self._later(TICK_MS, self._tick)

    def _ask_lease(self, account_id: bytes) -> None:
        if self.world.now_ms - self._asked_ms.get(account_id, -ASK_AGAIN_MS) >= ASK_AGAIN_MS:
            self._asked_ms[account_id] = self.world.now_ms
            self._do([self.uploader.request(self._now(), LeaseRequest(account_id))])

    def _do(self, effects: Sequence[UploadEffect]) -> None:
        for effect in effects:
            match effect:
                case Publish():
                    if self.connected:
                        self.uplink.up(effect.topic, effect.payload)
                case ReadOutbox(after_record=after, most=most):
                    self._do(self.uploader.on_records(self._now(), self.reader.records(after, most)))
                case StoreSealed(batch=batch):
                    self._store(batch)
                case MoveCursor(through_seq=batch_seq, through_record=seq):
                    self.world.note(f"hub: receipt through batch {batch_seq}, entry {seq}")
                    self.offer(messages.ReceiptTaken(batch_seq, seq))
                case Reconnect():
                    self.lose_link()
                case Freeze(reason=reason):
                    self.frozen = reason
                    self.world.note(f"hub: frozen, {reason}")
                    self.offer(messages.Frozen(reason))

    def _store(self, batch: SealedBatch) -> None:
        """Have the till keep a sealed batch."""
        self.offer(
            messages.BatchSealed(batch.batch_seq, batch.first_record, batch.record_count, batch.digest, batch.data)
        )

    def _now(self) -> UploadMoment:
        return UploadMoment(mono_ms=self.boottime_ms(), wall_ms=self.world.wall_ms, quality=TimeQuality.SYNCED)


def _upload_state(reader: DiskReader) -> UploadState:
    facts = reader.upload_facts()
    waiting = tuple(
        SealedBatch(
            batch_seq=kept.batch_seq, first_record=kept.first_rec, record_count=kept.rec_count, digest=kept.hash,
            data=kept.sealed,
        )
        for kept in facts.waiting
    )  # fmt: skip
    return UploadState(
        epoch=facts.epoch, acked_seq=facts.acked_batch, last_seq=facts.last_batch, last_hash=facts.last_hash,
        last_record=facts.last_seq, tail_hash=facts.tail_hash, waiting=waiting,
    )  # fmt: skip
