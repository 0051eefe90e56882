"""A hub's way to the office: the real uploader and downlink, pumped as the agent pumps them, over a broker."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from cloud_sync.downlink import Accepted, Downlink, ListMismatch, OfficeBody
from cloud_sync.letters import Publish
from cloud_sync.protocol.carried import CarriedTaken
from cloud_sync.protocol.messages import (
    CloseOrder,
    CredentialList,
    Document,
    DocumentVersion,
    Elsewhere,
    HelloRequest,
    Lease,
    LeaseRequest,
    Recall,
    Receipt,
    ResendRequest,
    Trust,
)
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.upload_effects import Effect as UploadEffect
from cloud_sync.upload_effects import (
    Freeze,
    Lift,
    MoveCursor,
    OfficeSilent,
    ReadKept,
    ReadOutbox,
    Reconnect,
    SealedBatch,
    StoreSealed,
    TooBig,
    UploadState,
)
from cloud_sync.upload_effects import Moment as UploadMoment
from cloud_sync.uploader import Uploader
from edge_agent import messages
from edge_agent.ledger import outbox
from edge_agent.ledger.entries import read_tail
from venuehub.simulator.disk import DiskReader
from venuehub.simulator.lines import Line

if TYPE_CHECKING:
    from venuehub.simulator.hub import Hub
    from venuehub.simulator.office import Office

TICK_MS: Final = 3_000
"""How often rows are gathered into a batch: rarer than in the agent, for guests are quicker here."""
ASK_AGAIN_MS: Final = 1_000


class Uplink:
    """One hub's connection and what the broker keeps for it. The hub's process begins and ends it."""

    def __init__(self, hub: "Hub", office: "Office") -> None:
        self.hub = hub
        self.line = Line(hub.world, f"{hub.name} uplink", delay_ms=8)
        self.connected = False
        self.connected_ms = 0
        self.granted_ms: dict[bytes, int] = {}
        """When the office last answered for an account, be it with nothing."""
        self.coming_ms: dict[bytes, int] = {}
        """When the office last said, to an ask that stands, that another hub returns an account's money."""
        self.frozen = ""
        self._office = office
        self._world = hub.world
        self._retained: dict[str, Publish] = {}
        self._asked_ms: dict[bytes, int] = {}
        identity = hub.identity
        self._own = hub_topic(identity.hub_id, "down", "")
        office.uplinks[identity.hub_id] = self

    # ---- life ----

    def start(self, reader: DiskReader) -> None:
        """Begin with the hub's process."""
        identity, randbytes = self.hub.identity, self._world.randbytes
        self.reader = reader
        self.uploader = Uploader(identity, _upload_state(reader), boot_id=randbytes(16), draw=randbytes)
        self._downlink = Downlink(
            hub_id=identity.hub_id, tenant_id=identity.tenant_id, opener=identity.opener, trust=identity.trust,
            versions=reader.versions(),
        )  # fmt: skip
        self._asked_ms.clear()
        self.coming_ms.clear()
        self.hub.later(TICK_MS, self._tick)
        self.hub.later(20, self.connect)

    def connect(self) -> None:
        """Connect and greet; while the line is cut, try again later."""
        if self.connected:
            return
        if self.line.is_cut:
            self._world.happened[self.line.cut or self.line.wall] += 1
            self.hub.later(self._world.dice.randrange(300, 2_000), self.connect)
            return
        self.connected, self.connected_ms = True, self._world.now_ms
        versions = [DocumentVersion(name, version) for name, version in self.reader.versions().items()]
        self._do(self.uploader.on_connected(self._now(), versions=versions))
        for letter in self._retained.values():
            self._give(letter)

    def lose_link(self) -> None:
        """The connection is gone: note it, and come back."""
        if self.hub.alive and self.connected:
            self.connected = False
            self.uploader.on_disconnected()
            self.hub.offer(messages.OfficeLink(up=False))
            self.hub.later(self._world.dice.randrange(200, 1_500), self.connect)

    # ---- the broker's side ----

    def wants(self, topic: str) -> bool:
        """Say whether this hub reads a topic."""
        return topic.startswith(self._own)

    def down(self, letter: Publish) -> None:
        """Carry a letter of the office to the hub; what it does not hear is lost unless retained."""
        if letter.retain:
            self._retained[letter.topic] = letter
        self._give(letter)

    def _give(self, letter: Publish) -> None:
        def arrive() -> None:
            if self.connected and self.hub.alive:
                self._hear(letter.topic, letter.payload)

        self.line.carry(arrive, up=False)

    # ---- the hub's side ----

    def on_effect(self, effect: messages.Effect) -> None:
        """Take what the till asks of the office."""
        match effect:
            case messages.JournalGrew(seq=seq):
                self._do(self.uploader.on_journal(self._now(), seq))
            case messages.BatchStored(batch_seq=batch_seq):
                self._do(self.uploader.on_stored(self._now(), batch_seq))
            case messages.AskLease(account_id=account_id):
                self._ask_lease(account_id)
            case messages.AskFullList(version=version):
                self._downlink.only_has("list", version)
                self._do(self.uploader.on_list_mismatch(self._now(), version))
            case _:
                pass

    def _hear(self, topic: str, payload: bytes) -> None:
        for event in self._downlink.on_message(topic, payload):
            match event:
                case Accepted(body=body):
                    self._take(body)
                case ListMismatch(have_version=version):
                    self._do(self.uploader.on_list_mismatch(self._now(), version))
                case rejected:
                    self._world.note(f"{self.hub.name}: rejected a {topic.rsplit('/', 1)[1]}: {rejected.reason}")

    def _take(self, body: OfficeBody) -> None:  # noqa: C901, PLR0912 - one case per message
        hub = self.hub
        match body:
            case Receipt():
                hub.offer(messages.OfficeLink(up=True))
                self._do(self.uploader.on_receipt(self._now(), body))
            case Lease(grants=grants):
                for grant in grants:
                    self.granted_ms[grant.account_id] = self._world.now_ms
                    self._asked_ms.pop(grant.account_id, None)  # answered: the next tap may ask anew
                    hub.offer(
                        messages.LeaseArrived(
                            grant.account_id, grant.unit, grant.lease_epoch, grant.granted_total, grant.lot
                        )
                    )
            case Elsewhere(account_id=account_id, coming=coming):
                self._asked_ms.pop(account_id, None)
                if coming:
                    self.coming_ms[account_id] = self._world.now_ms
                hub.offer(messages.FoundElsewhere(account_id, coming))
            case CredentialList():
                hub.offer(messages.ListArrived(body.version, body.full, body.base_version, body.rows))
                self._downlink.in_effect("list", body.version)
                self.uploader.on_list_taken()
            case Document():
                hub.offer(messages.DocumentArrived(body.name, body.version, body.content, body.effective_at_ms))
                self._downlink.in_effect(body.name, body.version)
            case ResendRequest():
                self._do(self.uploader.on_resend_request(epoch=body.epoch, from_seq=body.from_seq))
            case HelloRequest():
                self._do(self.uploader.on_hello_request(self._now()))
            case Trust():
                # The uploader keeps the sealer it began with: no key is ever changed here.
                hub.offer(messages.DocumentArrived("trust", body.version, msgspec.json.encode(body)))
            case Recall(account_id=account_id):
                hub.offer(messages.Recalled(account_id))
            case CarriedTaken():  # nobody carries here
                pass
            case CloseOrder(epoch=epoch, why=why, staff=staff):
                hub.offer(messages.CloseOrdered(epoch, why, staff))

    def _tick(self) -> None:
        self._do(self.uploader.on_tick(self._now()))
        self.hub.later(TICK_MS, self._tick)

    def _ask_lease(self, account_id: bytes) -> None:
        now_ms = self._world.now_ms
        self.coming_ms.pop(account_id, None)
        if self.connected and now_ms - self._asked_ms.get(account_id, -ASK_AGAIN_MS) >= ASK_AGAIN_MS:
            self._asked_ms[account_id] = now_ms
            self._do([self.uploader.request(self._now(), LeaseRequest(account_id))])

    def _do(self, effects: Sequence[UploadEffect]) -> None:  # noqa: C901 - one case per effect
        for effect in effects:
            match effect:
                case Publish():
                    self._publish(effect)
                case ReadOutbox(after_record=after, most=most):
                    self._do(self.uploader.on_records(self._now(), self.reader.records(after, most)))
                case ReadKept(after_seq=after, most=most):
                    kept = self.reader.kept(after, most)
                    self._do(self.uploader.on_kept(self._now(), [_sealed(batch) for batch in kept]))
                case StoreSealed(batch=batch):
                    self._store(batch)
                case MoveCursor(through_seq=batch_seq, through_record=seq, server_ms=office_ms, heard=heard):
                    self._world.note(f"{self.hub.name}: receipt through batch {batch_seq}, entry {seq}")
                    self.hub.receipts.append((read_tail(self.hub.store).seq, seq))
                    self.hub.heard.append((self._world.now_ms, seq))
                    self.hub.offer(messages.ReceiptTaken(batch_seq, seq, heard, office_ms))
                case Reconnect():
                    self.lose_link()
                case OfficeSilent():  # nobody tells the uploader of PUBACKs here
                    pass
                case Freeze(reason=reason):
                    self.frozen = reason
                    self._world.note(f"{self.hub.name}: frozen, {reason}")
                    self.hub.offer(messages.Frozen(reason))
                case Lift(epoch=epoch, reason=reason):
                    self.frozen = ""
                    self._world.note(f"{self.hub.name}: its freeze is lifted, {reason}")
                    self.hub.offer(messages.Reopened(epoch, reason))
                case TooBig(record=record):
                    self._world.note(f"{self.hub.name}: record {record} is too big for a batch")

    def _publish(self, letter: Publish) -> None:
        if self.connected:
            self.line.carry(lambda: self._office.take(letter.topic, letter.payload), up=True)

    def _store(self, batch: SealedBatch) -> None:
        """Have the till keep a sealed batch."""
        self.hub.store_batch(
            messages.BatchSealed(batch.batch_seq, batch.first_record, batch.record_count, batch.digest, batch.data)
        )

    def _now(self) -> UploadMoment:
        now = self.hub.now()
        return UploadMoment(mono_ms=now.boottime_ms, wall_ms=now.wall_ms, quality=now.quality)


def _upload_state(reader: DiskReader) -> UploadState:
    facts = reader.upload_facts()
    waiting = tuple(map(_sealed, facts.waiting))
    return UploadState(
        epoch=facts.epoch, acked_seq=facts.acked_batch, last_seq=facts.last_batch, last_hash=facts.last_hash,
        last_record=facts.last_seq, tail_hash=facts.tail_hash, waiting=waiting,
    )  # fmt: skip


def _sealed(kept: outbox.SealedBatch) -> SealedBatch:
    return SealedBatch(
        batch_seq=kept.batch_seq, first_record=kept.first_rec, record_count=kept.rec_count, digest=kept.hash,
        data=kept.sealed,
    )  # fmt: skip
