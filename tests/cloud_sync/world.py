"""A hub and an office in memory: the durable part of each apart from the running part, and a network between."""

import random
from collections.abc import Callable, Sequence

import msgspec

from cloud_sync import upload_effects as fx
from cloud_sync.downlink import Accepted, Downlink
from cloud_sync.identity import HubIdentity, OfficeKeys
from cloud_sync.letters import Publish
from cloud_sync.protocol.messages import Hello, HelloRequest, Receipt, ResendRequest
from cloud_sync.protocol.receipts import Watermark
from cloud_sync.receiver import AcceptedBatch, Asked, HubRecord, Outcome, Receiver
from cloud_sync.sealing import receive_public
from cloud_sync.signing import public_of
from cloud_sync.upload_sealing import SEAL_AGE_MS
from cloud_sync.upload_window import WINDOW_BATCHES
from cloud_sync.uploader import Uploader
from payment_core.journal import (
    Actor,
    Commanded,
    Entry,
    EpochOpened,
    Header,
    Tender,
    TimeQuality,
    encode_entry,
)

HUB = bytes.fromhex("019399a0000070008000000000000001")
OTHER_HUB = bytes.fromhex("019399a0000070008000000000000002")
TENANT = bytes.fromhex("019399a0000070008000000000000003")
VENUE = bytes.fromhex("019399a0000070008000000000000004")
WALL_MS = 1_790_000_000_000

OFFICE = OfficeKeys(
    tenant_id=TENANT,
    trust_seed=bytes([1]) * 32,
    sign_seed=bytes([2]) * 32,
    receive_privates=(bytes([3]) * 32,),
    pepper=bytes([4]) * 32,
)


def hub_identity(hub_id: bytes = HUB, *, seed: int = 5) -> HubIdentity:
    return HubIdentity(
        hub_id=hub_id,
        tenant_id=TENANT,
        venue_id=VENUE,
        epoch=1,
        broker_host="127.0.0.1",
        broker_port=1883,
        office_trust=OFFICE.trust_public,
        office_sign=(OFFICE.sign_public,),
        office_receive=OFFICE.receive_public,
        sign_seed=bytes([seed]) * 32,
        receive_private=bytes([seed + 1]) * 32,
        pepper=OFFICE.pepper,
    )


def hub_record(identity: HubIdentity) -> HubRecord:
    return HubRecord(
        hub_id=identity.hub_id,
        sign_public=public_of(identity.sign_seed),
        receive_public=receive_public(identity.receive_private),
        allowed_epoch=identity.epoch,
    )


def entry_header(seq: int) -> Header:
    return Header(seq, WALL_MS + seq, bytes(16), seq * 10, TimeQuality.SYNCED, 20261122, Actor.HUB, Tender.NONE)


def record(seq: int, *, epoch: int = 1, note: str = "racer-1") -> bytes:
    entry: Entry = EpochOpened(1, entry_header(1), epoch)
    if seq > 1:
        entry = Commanded(1, entry_header(seq), note, seq, 4)
    return encode_entry(entry)


def moment(mono_ms: int) -> fx.Moment:
    return fx.Moment(mono_ms=mono_ms, wall_ms=WALL_MS + mono_ms, quality=TimeQuality.SYNCED)


LONG_AGO = moment(-SEAL_AGE_MS)
"""When rows came that the next tick seals however few they are."""


class MemoryOffice:
    """The office's port over plain dictionaries. `crash_at`: raises before or after the commit of the nth apply."""

    def __init__(self, *records: HubRecord) -> None:
        self.hubs = {record.hub_id: record for record in records}
        self.marks: dict[bytes, Watermark] = {}
        self.sealed: dict[bytes, int] = {}
        self.hashes: dict[tuple[bytes, int, int], bytes] = {}
        self.booked: dict[bytes, list[bytes]] = {}
        self.evidence: list[tuple[bytes, str, bytes]] = []
        self.parked: list[str] = []
        self.crash: Callable[[], str] = str

    def hub(self, hub_id: bytes) -> HubRecord | None:
        return self.hubs.get(hub_id)

    def watermark(self, hub_id: bytes) -> Watermark:
        return self.marks.get(hub_id, Watermark(epoch=0))

    def sealed_ms(self, hub_id: bytes) -> int:
        return self.sealed.get(hub_id, -1)

    def known_hash(self, hub_id: bytes, epoch: int, batch_seq: int) -> bytes | None:
        return self.hashes.get((hub_id, epoch, batch_seq))

    def heard_of(self, hub_id: bytes) -> tuple[()]:
        assert hub_id in self.hubs
        return ()

    def apply_together(self, batches: Sequence[AcceptedBatch]) -> list[Outcome]:
        return [self.apply(batch) for batch in batches]

    def apply(self, batch: AcceptedBatch) -> Outcome:
        crash = self.crash()
        if crash == "before":
            raise OfficeKilledError
        key = (batch.hub_id, batch.header.epoch, batch.header.batch_seq)
        assert key not in self.hashes
        self.hashes[key] = batch.digest
        self.marks[batch.hub_id] = batch.after
        self.sealed[batch.hub_id] = batch.header.created_ms
        self.booked.setdefault(batch.hub_id, []).extend(batch.records)
        if crash == "after":
            raise OfficeKilledError
        return "applied"

    def greeted(self, hub_id: bytes, hello: Hello, *, number: int, now_ms: int) -> None:
        old = self.hubs[hub_id]
        newest = max(number, old.hello_number)
        self.hubs[hub_id] = msgspec.structs.replace(old, hello_number=newest, nonce=hello.nonce)
        assert now_ms > 0

    def freeze(self, hub_id: bytes, reason: str, evidence: Sequence[bytes]) -> None:
        old = self.hubs[hub_id]
        self.hubs[hub_id] = msgspec.structs.replace(old, frozen=reason, reopened="")
        self.evidence += [(hub_id, reason, data) for data in evidence]

    def park(self, hub_id: bytes, why: str, data: bytes) -> None:
        assert hub_id in self.hubs
        assert data
        self.parked.append(why)


class OfficeKilledError(Exception):
    """The office's process died in the middle of a batch."""


class MemoryHub:
    """The durable side of a hub (journal, sealed batches, cursor), and a running uploader and downlink over it."""

    def __init__(self, identity: HubIdentity, dice: random.Random) -> None:
        self.identity = identity
        self.dice = dice
        self.journal: list[bytes] = [record(1)]
        self.batches: dict[int, fx.SealedBatch] = {}
        self.acked_seq = 0
        self.acked_record = 0
        self.frozen: list[str] = []
        self.lifted: list[tuple[int, str]] = []
        self.reconnects = 0
        self.silences = 0
        self.kill_chance = 0.0
        """How likely the hub dies just before, and just after, it stores a sealed batch."""
        self.outgoing: list[Publish] = []
        self.start()

    def start(self) -> None:
        """Begin anew from what is durable, as after a kill."""
        waiting = tuple(batch for seq, batch in sorted(self.batches.items()) if seq > self.acked_seq)[:WINDOW_BATCHES]
        last = self.batches[max(self.batches)] if self.batches else None
        state = fx.UploadState(epoch=1, acked_seq=self.acked_seq, waiting=waiting)
        if last is not None:
            state = fx.UploadState(
                epoch=1,
                acked_seq=self.acked_seq,
                last_seq=last.batch_seq,
                last_hash=last.digest,
                last_record=last.last_record,
                tail_hash=last.data[108:140],
                waiting=waiting,
            )
        self.uploader = Uploader(self.identity, state, boot_id=self.dice.randbytes(16), draw=self.dice.randbytes)
        self.uploader.on_journal(LONG_AGO, len(self.journal))
        self.downlink = Downlink(
            hub_id=self.identity.hub_id,
            tenant_id=TENANT,
            opener=self.identity.opener,
            trust=self.identity.trust,
            versions={},
        )

    def commit(self, count: int) -> None:
        for _ in range(count):
            self.journal.append(record(len(self.journal) + 1, note=f"m{self.dice.randrange(9)}"))
        self.run(0, self.uploader.on_journal(LONG_AGO, len(self.journal)))

    def run(self, now_ms: int, effects: list[fx.Effect]) -> None:  # noqa: C901 - one case per effect
        """Carry effects out, as the till and the link would."""
        for effect in effects:
            match effect:
                case Publish():
                    self.outgoing.append(effect)
                case fx.ReadOutbox():
                    rows = self.journal[effect.after_record : effect.after_record + effect.most]
                    self.run(now_ms, self.uploader.on_records(moment(now_ms), rows))
                case fx.ReadKept():
                    kept = [batch for seq, batch in sorted(self.batches.items()) if seq > effect.after_seq]
                    self.run(now_ms, self.uploader.on_kept(moment(now_ms), kept[: effect.most]))
                case fx.StoreSealed():
                    if self.dice.random() < self.kill_chance:
                        self.restart(now_ms)
                        return
                    self.batches.setdefault(effect.batch.batch_seq, effect.batch)
                    if self.dice.random() < self.kill_chance:
                        self.restart(now_ms)
                        return
                    self.run(now_ms, self.uploader.on_stored(moment(now_ms), effect.batch.batch_seq))
                case fx.MoveCursor():
                    assert effect.through_seq > self.acked_seq
                    self.acked_seq, self.acked_record = effect.through_seq, effect.through_record
                case fx.Reconnect():
                    self.reconnects += 1
                    self.connect(now_ms)
                case fx.OfficeSilent():
                    self.silences += 1
                    self.run(now_ms, self.uploader.on_hello_request(moment(now_ms)))
                case fx.Freeze():
                    self.frozen.append(effect.reason)
                case fx.Lift():
                    self.lifted.append((effect.epoch, effect.reason))

    def restart(self, now_ms: int) -> None:
        """Die with everything that was not yet handed to the network, come back and connect."""
        self.outgoing.clear()
        self.start()
        self.connect(now_ms)

    def connect(self, now_ms: int) -> None:
        self.run(now_ms, self.uploader.on_connected(moment(now_ms)))

    def tick(self, now_ms: int) -> None:
        self.run(now_ms, self.uploader.on_tick(moment(now_ms)))

    def hear(self, now_ms: int, topic: str, payload: bytes) -> None:
        for event in self.downlink.on_message(topic, payload):
            if not isinstance(event, Accepted):
                continue
            match event.body:
                case Receipt() as receipt:
                    self.run(now_ms, self.uploader.on_receipt(moment(now_ms), receipt))
                case ResendRequest(epoch, from_seq):
                    self.run(now_ms, self.uploader.on_resend_request(epoch=epoch, from_seq=from_seq))
                case HelloRequest():
                    self.run(now_ms, self.uploader.on_hello_request(moment(now_ms)))


def make_receiver(office: MemoryOffice) -> Receiver:
    return Receiver(office, tenant_id=TENANT, opener=OFFICE.opener, signer=OFFICE.signer)


def exchange(hub: MemoryHub, receiver: Receiver, now_ms: int) -> list[Asked]:
    """Carry everything both ways over a perfect network until nobody has anything to say."""
    asked: list[Asked] = []
    while hub.outgoing:
        letter = hub.outgoing.pop(0)
        for effect in receiver.on_message(WALL_MS + now_ms, letter.topic, letter.payload):
            if isinstance(effect, Publish):
                hub.hear(now_ms, effect.topic, effect.payload)
            elif isinstance(effect, Asked):
                asked.append(effect)
    return asked


