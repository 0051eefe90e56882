"""The hub's way to the office: pumps uploader and downlink over one MQTT link, and never stands before a tap."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from cloud_sync.downlink import TRUST, Accepted, Downlink, ListMismatch, MessageRejected, OfficeBody
from cloud_sync.ending import pause
from cloud_sync.identity import HubIdentity
from cloud_sync.letters import Publish
from cloud_sync.mqtt_link import Inbound, MqttLink, MqttLinkError, MqttSettings
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
from cloud_sync.protocol.topics import hub_filters, hub_topic
from cloud_sync.upload_effects import Effect as UploadEffect
from cloud_sync.upload_effects import (
    Freeze,
    Lift,
    Moment,
    MoveCursor,
    OfficeSilent,
    ReadKept,
    ReadOutbox,
    Reconnect,
    StoreSealed,
    TooBig,
)
from cloud_sync.uploader import Uploader
from edge_agent.links.hub_journal import HubJournal
from edge_agent.links.lease_asks import LeaseAsks
from edge_agent.links.pumps import pump_together
from edge_agent.links.redial import Redial
from edge_agent.links.upload_start import kept_trust, sealed_of, trust_state, upload_state
from edge_agent.log_lines import log
from edge_agent.messages import (
    AskFullList,
    AskLease,
    BatchSealed,
    BatchStored,
    CloseOrdered,
    DocumentArrived,
    Effect,
    FoundElsewhere,
    Frozen,
    Input,
    JournalGrew,
    LeaseArrived,
    ListArrived,
    OfficeLink,
    Recalled,
    ReceiptTaken,
    Reopened,
)
from edge_agent.messages import Moment as VenueMoment

TICK_MS: Final = 500
"""How often it is looked at what is overdue; rows that are old enough for a batch are not kept waiting for it."""
GREET_AGAIN_MS: Final = 1_000
"""How long after new caps or keys the office hears in a hello that they are on the disk: till then others count."""
ALONE_TICK_S: Final = 1.0
OUTBOUND_LIMIT: Final = 1_024
"""Letters that wait for a slow broker; beyond it they are dropped, and said again when no receipt comes."""
ONLINE: Final = b'{"state":"online"}'
_OFFLINE: Final = b'{"state":"offline"}'


class UplinkLostError(Exception):
    """The uploader gave the connection up."""


class Uplink:
    """Pumps until cancelled. `offer` hands facts to the till, `on_effect` takes its effects, in the loop's thread.

    `state`: what the office reads of this hub while it is connected. `offer` returns False where the till has no room.
    """

    def __init__(
        self,
        settings: MqttSettings,
        identity: HubIdentity,
        reader: HubJournal,
        *,
        offer: Callable[[Input], bool],
        offer_together: Callable[[Sequence[Input]], None],
        clock: Callable[[], VenueMoment],
        state: bytes = ONLINE,
        on_trust: Callable[[Trust], None] = lambda _trust: None,
    ) -> None:
        self._state_topic = hub_topic(identity.hub_id, "up", "state")
        self._settings = msgspec.structs.replace(settings, will_topic=self._state_topic, will_payload=_OFFLINE)
        self._identity = identity
        self._reader = reader
        self._offer = offer
        self._offer_together = offer_together
        self._clock = clock
        self._state = state
        self._on_trust = on_trust
        self.on_receipt: Callable[[Receipt | None], None] = lambda _receipt: None
        """Hears every receipt, of whatever stream; None: the connection is gone, or the office is silent."""
        self.on_answer: Callable[[Receipt], None] = lambda _receipt: None
        """Hears the receipts that answer this connection's hello: only they prove that the office is there."""
        self.on_carried: Callable[[CarriedTaken], None] = lambda _taken: None
        """Hears what the office says about neighbours' batches that were brought to it."""
        self.may_seal_alone: Callable[[], bool] = lambda: False
        """Whether a neighbour keeps what is sealed while the office is away."""
        self.dial: Callable[[MqttSettings], MqttLink] = MqttLink
        self._uploader = Uploader(identity, upload_state(reader), boot_id=os.urandom(16), draw=os.urandom)
        kept = kept_trust(reader)
        if kept is not None:
            self._uploader.on_trust(kept)
        self._downlink = Downlink(
            hub_id=identity.hub_id,
            tenant_id=identity.tenant_id,
            opener=identity.opener,
            trust=trust_state(identity, kept),
            versions=reader.versions(),
        )
        self._link: MqttLink | None = None
        self._asks = LeaseAsks()
        self._greet_ms: int | None = None
        self._lost = False
        self._again = asyncio.Event()
        """That a tick is worth it: what is owed goes up without waiting for the next one."""
        self._redial = Redial()
        self._outbound: asyncio.Queue[Publish] = asyncio.Queue(OUTBOUND_LIMIT)

    def on_effect(self, effect: Effect) -> None:
        """Take what the till asks of the office."""
        match effect:
            case JournalGrew(seq=seq):
                self._do(self._uploader.on_journal(self._now(), seq))
            case BatchStored(batch_seq=batch_seq):
                self._do(self._uploader.on_stored(self._now(), batch_seq))
                self._again.set()
            case AskLease(account_id=account_id):
                self._ask_lease(account_id)
            case AskFullList(version=version):
                self._downlink.only_has("list", version)
                self._do(self._uploader.on_list_mismatch(self._now(), version))
            case _:
                pass

    def has_room(self) -> bool:
        """Say whether the ledger leaves room on the line: nothing waits for it, and one batch at most is under way."""
        return self._link is not None and self._outbound.empty() and len(self._uploader.state.waiting) <= 1

    def post(self, letter: Publish) -> None:
        """Publish a letter of another stream; lost where the link is."""
        self._publish(letter)

    async def run(self) -> None:
        """Connect, greet, pump; again after every loss with full jitter. Seal meanwhile, where a neighbour keeps it."""
        await pump_together(self._stay_connected(), self._seal_alone())

    async def _seal_alone(self) -> None:
        while True:
            await asyncio.sleep(ALONE_TICK_S)
            if self.may_seal_alone():
                self._do(self._uploader.on_alone(self._now()))

    async def _stay_connected(self) -> None:
        while True:
            self._redial.begin()
            try:
                async with self.dial(self._settings) as link:
                    await link.subscribe(*hub_filters(self._identity.hub_id, self._identity.tenant_id))
                    log("uplink.up", where=f"{self._settings.host}:{self._settings.port}")
                    await self._pump(link)
            except (MqttLinkError, UplinkLostError) as error:
                self._redial.failed(error)
            finally:
                self._link = None
                while not self._outbound.empty():  # what was not sent is sent again after the next hello
                    self._outbound.get_nowait()
                self._uploader.on_disconnected()
                self._lose_office()
            await pause(self._redial.wait_s())

    def _lose_office(self) -> None:
        self.on_receipt(None)
        self._offer(OfficeLink(up=False))

    async def _pump(self, link: MqttLink) -> None:
        self._link = link
        self._lost = False
        await link.publish_soon(self._state_topic, self._state, retain=True)
        age_ms = self._reader.outbox_age_ms()
        self._do(self._uploader.on_connected(self._now(), versions=self._versions(), outbox_age_ms=age_ms))
        await pump_together(self._tick(link), self._listen(link), self._send(link))

    async def _tick(self, link: MqttLink) -> None:
        acknowledged = 0
        while not self._lost:
            if link.acknowledged != acknowledged:
                acknowledged = link.acknowledged
                self._uploader.on_acknowledged(self._now())
            self._tell_of_caps()
            self._again.clear()
            self._do(self._uploader.on_tick(self._now()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._uploader.wait_ms(self._now(), TICK_MS) / 1_000):
                    await self._again.wait()
        message = "no receipt after two resends"
        raise UplinkLostError(message)

    def _tell_of_caps(self) -> None:
        now = self._now()
        if self._greet_ms is not None and now.mono_ms >= self._greet_ms:
            self._greet_ms = None
            self._do(self._uploader.on_hello_request(now, versions=self._versions()))

    async def _listen(self, link: MqttLink) -> None:
        async for message in link.messages():
            self._hear(message)

    def _hear(self, message: Inbound) -> None:
        for event in self._downlink.on_message(message.topic, message.payload):
            match event:
                case Accepted(body=body):
                    self._take(body)
                case ListMismatch(have_version=version):
                    self._do(self._uploader.on_list_mismatch(self._now(), version))
                case MessageRejected(topic=topic, reason=reason):
                    log("uplink.rejected", topic=topic, reason=reason)

    def _take(self, body: OfficeBody) -> None:  # noqa: C901, PLR0912 - one case per message
        match body:
            case Receipt():
                self.on_receipt(body)
                if self._uploader.is_answered_by(body):
                    self.on_answer(body)
                    self._redial.answered()
                    self._offer(OfficeLink(up=True))
                self._do(self._uploader.on_receipt(self._now(), body))
                self._again.set()
            case Lease(grants=grants):
                for grant in grants:
                    self._asks.answered(grant.account_id)
                self._offer_together(
                    [
                        LeaseArrived(grant.account_id, grant.unit, grant.lease_epoch, grant.granted_total, grant.lot)
                        for grant in grants
                    ]
                )
            case Elsewhere(account_id=account_id, coming=coming):
                self._asks.answered(account_id)
                self._offer(FoundElsewhere(account_id, coming))
            case CredentialList() if self._offer(ListArrived(body.version, body.full, body.base_version, body.rows)):
                self._downlink.in_effect("list", body.version)
                self._uploader.on_list_taken()
            case CredentialList():  # the till's queue was full: it may hold a block, so it is asked for again
                have = 0 if body.full else body.base_version
                self._do(self._uploader.on_list_mismatch(self._now(), have))
            case Document():
                self._offer(DocumentArrived(body.name, body.version, body.content, body.effective_at_ms))
                self._downlink.in_effect(body.name, body.version)
                if body.name == "risk":
                    self._greet_ms = self._now().mono_ms + GREET_AGAIN_MS
            case ResendRequest():
                self._do(self._uploader.on_resend_request(epoch=body.epoch, from_seq=body.from_seq))
            case HelloRequest():
                self._do(self._uploader.on_hello_request(self._now(), versions=self._versions()))
            case Trust():
                self._uploader.on_trust(body)
                self._on_trust(body)
                self._greet_ms = self._now().mono_ms + GREET_AGAIN_MS
                self._offer(DocumentArrived(TRUST, body.version, msgspec.json.encode(body)))
                log("trust.taken", version=body.version)
            case Recall(account_id=account_id):
                self._offer(Recalled(account_id))
            case CarriedTaken():
                self.on_carried(body)
            case CloseOrder(epoch=epoch, why=why, staff=staff):
                self._offer(CloseOrdered(epoch, why, staff))

    def _ask_lease(self, account_id: bytes) -> None:
        now = self._now()
        if self._link is not None and self._asks.is_due(account_id, now.mono_ms):
            self._do([self._uploader.request(now, LeaseRequest(account_id))])

    def _do(self, effects: Sequence[UploadEffect]) -> None:  # noqa: C901 - one case per effect
        for effect in effects:
            match effect:
                case Publish():
                    self._publish(effect)
                case ReadOutbox(after_record=after, most=most):
                    self._do(self._uploader.on_records(self._now(), self._reader.records(after, most)))
                case ReadKept(after_seq=after, most=most):
                    kept = self._reader.kept(after, most)
                    self._do(self._uploader.on_kept(self._now(), [sealed_of(batch) for batch in kept]))
                case StoreSealed(batch=batch):
                    self._offer(
                        BatchSealed(batch.batch_seq, batch.first_record, batch.record_count, batch.digest, batch.data)
                    )
                case MoveCursor(through_seq=batch_seq, through_record=seq, server_ms=office_ms, heard=heard):
                    self._offer(ReceiptTaken(batch_seq, seq, heard, office_ms))
                case Reconnect():
                    self._lost = True
                    self._again.set()
                case OfficeSilent():
                    log("uplink.office_silent")
                    self._lose_office()
                    self._do(self._uploader.on_hello_request(self._now(), versions=self._versions()))
                case Freeze(reason=reason):
                    log("uplink.frozen", reason=reason)
                    self._offer(Frozen(reason))
                case Lift(epoch=epoch, reason=reason):
                    log("uplink.lifted", reason=reason)
                    self._offer(Reopened(epoch, reason))
                case TooBig(record=record, size=size):
                    log("uplink.record_too_big", seq=record, bytes=size, alarm=1)

    def _versions(self) -> list[DocumentVersion]:
        return [DocumentVersion(name, version) for name, version in self._reader.versions().items()]

    def _now(self) -> Moment:
        now = self._clock()
        return Moment(mono_ms=now.boottime_ms, wall_ms=now.wall_ms, quality=now.quality)

    def _publish(self, letter: Publish) -> None:
        if self._link is None:
            return
        if self._outbound.full():
            log("uplink.dropped", topic=letter.topic)
            return
        self._outbound.put_nowait(letter)

    async def _send(self, link: MqttLink) -> None:
        while True:
            letter = await self._outbound.get()
            await link.publish_soon(letter.topic, letter.payload, retain=letter.retain)
