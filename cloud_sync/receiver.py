"""The office's half of the journal's way: bytes on a topic become verified batches, applied once, and signed receipts.

A synchronous state machine over one port, `Office`. The order for a batch is security.md's: length, header syntax, hub
equal to the topic's (the broker's access list ties that to the TLS identity), pinned key, signature, place in the
journal, decryption, chain, and then one call that applies it in ONE database transaction. What cannot be applied says
why: a gap is buffered and asked for, a known batch is receipted again, a fork freezes the hub and both are evidence.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from cloud_sync import receive_carried, sealing
from cloud_sync.letters import Publish, read_message
from cloud_sync.protocol import envelope, receipts, topics
from cloud_sync.protocol.batcher import Refused, read_entries, verify_records
from cloud_sync.protocol.envelope import Envelope, Header, batch_hash
from cloud_sync.protocol.messages import (
    TAKES_CARRIED,
    TAKES_COMPRESSED,
    TAKES_TELEMETRY,
    Hello,
    LeaseRequest,
    ListRequest,
    Message,
    Rejected,
    ResendRequest,
)
from cloud_sync.protocol.receipts import Watermark
from cloud_sync.receipt_post import ReceiptPost
from cloud_sync.receive_telemetry import TelemetryReceiver
from cloud_sync.received import AcceptedBatch, Applied, Asked, Effect, HubRecord, Office, Outcome, Refusal
from cloud_sync.sealing import Opener
from cloud_sync.signing import Signer
from cloud_sync.waiting_batches import WaitingBatches

__all__ = ["AcceptedBatch", "Applied", "Asked", "Effect", "HubRecord", "Office", "Outcome", "Receiver", "Refusal"]

OFFICE_TAKES: Final = TAKES_COMPRESSED | TAKES_CARRIED
"""What this office takes beyond plain batches of the ledger: its receipts say so, and hubs send nothing else."""


TOGETHER_ENTRIES: Final = 4_000
"""So many entries are a transaction: what waits behind it waits for half a second at most."""
_Next = tuple[str, HubRecord, AcceptedBatch]
"""The topic of a message, its hub, and the batch that it is: the next one of its journal."""


class Receiver:
    """See the module. `opener` holds the batch receive keys, `signer` the key that signs receipts.

    Without `telemetry` nothing of the second stream is taken. `holds`: whether a hub's books are this worker's: another
    one gets what is carried for it.
    """

    def __init__(
        self, office: Office, *, tenant_id: bytes, opener: Opener, signer: Signer,
        telemetry: TelemetryReceiver | None = None, holds: Callable[[bytes], bool] = lambda _hub_id: True,
    ) -> None:  # fmt: skip
        self._office = office
        self._tenant_id = tenant_id
        self._opener = opener
        self._telemetry = telemetry
        self._holds = holds
        takes = OFFICE_TAKES | (TAKES_TELEMETRY if telemetry is not None else 0)
        self._post = ReceiptPost(tenant_id=tenant_id, signer=signer, takes=takes)
        self._waiting = WaitingBatches()
        self._asked: dict[bytes, tuple[int, int]] = {}
        self._righted: dict[bytes, int] = {}
        self._mark: Watermark | None = None  # of the hub whose message is being taken, once it was asked for

    def on_message(self, now_ms: int, topic: str, payload: bytes) -> list[Effect]:
        """Take whatever came on an uplink topic. `now_ms`: UTC ms. Never raises on bytes."""
        address = topics.parse_hub_topic(topic)
        if address is None or address.direction != "up":
            return [Refusal(topic, "topic")]
        self._mark = None
        hub = self._office.hub(address.hub_id)
        if hub is None:
            return [Refusal(topic, "unknown_hub")]
        match address.leaf:
            case "batch":
                return self._on_batch(now_ms, topic, hub, payload)
            case receive_carried.CARRIED:
                return self._on_carried(now_ms, topic, hub, payload)
            case "hello" | "request":
                return self._on_letter(now_ms, topic, hub, payload)
            case _:
                return [Refusal(topic, "topic")]

    def on_messages(self, now_ms: int, messages: Sequence[tuple[str, bytes]]) -> list[Effect]:
        """Take several: batches that are next in their journals go into the books together. Never raises on bytes.

        A hub's messages are taken in their order; those of different hubs may pass each other.
        """
        effects: list[Effect] = []
        group: list[_Next] = []
        for topic, payload in messages:
            address = topics.parse_hub_topic(topic) if len(messages) > 1 else None
            about = () if address is None else (address.hub_id, receive_carried.written_for(address, payload))
            ahead = [one for one in group if one[2].hub_id in about]
            joins = None if address is None else self._joins(address, topic, payload, ahead)
            if joins is not None:
                group.append(joins)
            full = sum(len(batch.records) for _, _, batch in group) >= TOGETHER_ENTRIES
            if joins is not None and not full:
                continue
            if ahead or full:
                effects += self._apply_group(now_ms, group)
                group = []
            if joins is None:
                effects += self.on_message(now_ms, topic, payload)
        return effects + self._apply_group(now_ms, group)

    def _joins(self, at: topics.UplinkAddress, topic: str, data: bytes, ahead: Sequence[_Next]) -> _Next | None:
        """Return the batch that a message is, where nothing is to be said of it but that it is next."""
        looks = envelope.parse_envelope(data) if (at.direction, at.leaf) == ("up", "batch") else None
        if not isinstance(looks, Envelope):
            return None
        hub = ahead[-1][1] if ahead else self._office.hub(at.hub_id)
        if hub is None or hub.frozen:
            return None
        self._mark = ahead[-1][2].after if ahead else None
        mark, digest = self._watermark(hub.hub_id), batch_hash(data)
        allowed = hub.allowed_epoch
        verdict = receipts.judge_batch(mark, looks.header, digest=digest, known_hash=digest, allowed_epoch=allowed)
        if verdict != "next" or looks.header.stream != envelope.STREAM_LEDGER:
            return None
        parsed = sealing.authenticate(data, hub_id=hub.hub_id, signer_public=hub.sign_public)
        batch = self._prove(hub, parsed, data, digest) if isinstance(parsed, Envelope) else parsed
        return (topic, hub, batch) if isinstance(batch, AcceptedBatch) else None

    def _apply_group(self, now_ms: int, group: Sequence[_Next]) -> list[Effect]:
        """Apply what joined; each hub gets one receipt, for the last of its batches."""
        if not group:
            return []
        effects: list[Effect] = []
        outcomes = self._office.apply_together([batch for _, _, batch in group])
        done = [(*one, outcome) for one, outcome in zip(group, outcomes, strict=True)]
        last = {batch.hub_id: batch for _, _, batch, outcome in done if outcome == "applied"}
        for topic, hub, batch, outcome in done:
            self._mark = batch.after if outcome == "applied" else None
            match outcome:
                case "applied":
                    effects.append(Applied(batch))
                    if batch is last[hub.hub_id]:
                        effects += self._next_waiting(now_ms, topic, hub, batch.header)
                case "known":
                    effects.append(self._receipt(now_ms, hub, batch.header.epoch))
                case "frozen":
                    effects += self._on_batch(now_ms, topic, self._office.hub(hub.hub_id) or hub, batch.data)
                case _:
                    effects.append(Refusal(topic, outcome))
        return effects

    def forget(self, is_gone: Callable[[bytes], bool]) -> None:
        """Let go of what is noted here about hubs that another worker looks after."""
        self._waiting.forget(is_gone)
        for of_hub in (self._asked, self._righted):
            for hub_id in [hub_id for hub_id in of_hub if is_gone(hub_id)]:
                of_hub.pop(hub_id)

    # ---- batches ----

    def _on_batch(self, now_ms: int, topic: str, hub: HubRecord, data: bytes) -> list[Effect]:
        parsed = sealing.authenticate(data, hub_id=hub.hub_id, signer_public=hub.sign_public)
        if isinstance(parsed, envelope.Rejected):
            return [Refusal(topic, parsed.reason)]
        if parsed.header.stream == envelope.STREAM_LEDGER:
            return self._place(now_ms, topic, hub, parsed, data)
        mark = self._telemetry.take(hub.hub_id, parsed, data) if self._telemetry is not None else "stream"
        if isinstance(mark, str):
            return [Refusal(topic, mark)]
        return [self._post.receipt(now_ms, hub, mark, stream=parsed.header.stream)]

    def _on_carried(self, now_ms: int, topic: str, carrier: HubRecord, data: bytes) -> list[Effect]:
        found = receive_carried.owner_of(self._office, carrier, data)
        if isinstance(found, str):
            refused = receive_carried.word_of_refusal(data, found)
            told = [] if refused is None else [self._post.to_hub(carrier, refused, "command", 0)]
            return [Refusal(topic, found), *told]
        owner, header = found
        effects: list[Effect] = []
        if self._holds(owner.hub_id):
            effects = self._on_batch(now_ms, topic, owner, data)
        else:
            effects = receive_carried.elsewhere(self._office, topic, owner, header, data)
            if any(isinstance(effect, Publish) for effect in effects):
                return effects
        word = receive_carried.word_about(self._office, owner, header, data, effects)
        return [*effects, self._post.to_hub(carrier, word, "command", 0)]

    def _place(self, now_ms: int, topic: str, hub: HubRecord, parsed: Envelope, data: bytes) -> list[Effect]:
        header = parsed.header
        watermark = self._watermark(hub.hub_id)
        digest, known = batch_hash(data), None
        if header.epoch == watermark.epoch and header.batch_seq <= watermark.batch_seq:
            known = self._office.known_hash(hub.hub_id, header.epoch, header.batch_seq)
        if hub.frozen:
            if known != digest:  # what happened offline is kept for whoever settles it; the cursor stays
                self._office.park(hub.hub_id, f"the hub is frozen: {hub.frozen}", data)
            return [self._receipt(now_ms, hub, header.epoch)]
        verdict = receipts.judge_batch(
            watermark, header, digest=digest, known_hash=known, allowed_epoch=hub.allowed_epoch
        )
        match verdict:
            case "next":
                return self._apply(now_ms, topic, hub, parsed, data, digest)
            case "known":
                return [self._receipt(now_ms, hub, header.epoch)]
            case "gap":
                return self._buffer(hub, header, receipts.start_of(watermark, header.epoch), data)
            case "fork":
                return self._freeze(now_ms, hub, header.epoch, "fork", data)
            case "old_epoch" | "unknown_epoch":
                return [Refusal(topic, verdict)]

    def _apply(
        self, now_ms: int, topic: str, hub: HubRecord, parsed: Envelope, data: bytes, digest: bytes
    ) -> list[Effect]:
        batch = self._prove(hub, parsed, data, digest)
        if isinstance(batch, str):
            return [Refusal(topic, batch)]
        return self._apply_group(now_ms, [(topic, hub, batch)])

    def _prove(self, hub: HubRecord, parsed: Envelope, data: bytes, digest: bytes) -> AcceptedBatch | str:
        opened = sealing.decrypt(parsed, opener=self._opener)
        if isinstance(opened, envelope.Rejected):
            return opened.reason
        header = opened.header
        before = receipts.start_of(self._watermark(hub.hub_id), header.epoch)
        first_record = before.last_record + 1
        records = verify_records(opened.body, header, previous_tail=before.tail_hash, first_record=first_record)
        if isinstance(records, Refused):
            return records.reason
        entries = read_entries(records, first_record=first_record, epoch=header.epoch)
        if isinstance(entries, str):
            self._office.park(hub.hub_id, entries, data)
            return "parked"
        return AcceptedBatch(
            hub_id=hub.hub_id,
            header=header,
            digest=digest,
            data=data,
            records=records,
            entries=entries,
            before=before,
            after=receipts.advance(header, digest=digest),
        )

    def _next_waiting(self, now_ms: int, topic: str, hub: HubRecord, done: Header) -> list[Effect]:
        data = self._waiting.take_next(hub.hub_id, done.epoch, done.batch_seq)
        effects = [] if data is None else self._on_batch(now_ms, topic, hub, data)
        if any(isinstance(effect, Publish) for effect in effects):
            return effects
        return [*effects, self._receipt(now_ms, hub, done.epoch)]  # what waited was refused: `done` is booked

    def _buffer(self, hub: HubRecord, header: Header, watermark: Watermark, data: bytes) -> list[Effect]:
        if header.batch_seq <= watermark.batch_seq + receipts.GAP_BATCHES:
            self._waiting.keep(hub.hub_id, header.epoch, header.batch_seq, data)
        return self._ask_again(hub, header.epoch, watermark.batch_seq + 1)

    def _ask_again(self, hub: HubRecord, epoch: int, from_seq: int) -> list[Effect]:
        """Ask once per gap: everything behind it would else be sent again for each batch of it."""
        if self._asked.get(hub.hub_id) == (epoch, from_seq):
            return []
        self._asked[hub.hub_id] = (epoch, from_seq)
        return [self._post.to_hub(hub, ResendRequest(epoch, from_seq), "command", 0)]

    def _freeze(self, now_ms: int, hub: HubRecord, epoch: int, reason: str, evidence: bytes) -> list[Effect]:
        self._office.freeze(hub.hub_id, reason, (evidence,))
        return [self._receipt(now_ms, msgspec.structs.replace(hub, frozen=reason), epoch)]

    # ---- letters ----

    def _on_letter(self, now_ms: int, topic: str, hub: HubRecord, payload: bytes) -> list[Effect]:
        def signers(message: Message) -> tuple[bytes, ...]:
            return (hub.sign_public,) if message.sender == hub.hub_id else ()

        message = read_message(payload, signers_for=signers, to=frozenset({self._tenant_id}), opener=self._opener)
        if isinstance(message, Rejected):
            return [Refusal(topic, message.reason)]
        match message.body:
            case Hello() as hello:
                return self._on_hello(now_ms, hub, hello, message.number, payload)
            case LeaseRequest() | ListRequest() as request:
                return [Asked(hub.hub_id, message.number, request)]
            case _:
                return [Refusal(topic, "kind")]

    def _on_hello(self, now_ms: int, hub: HubRecord, hello: Hello, number: int, payload: bytes) -> list[Effect]:
        self._asked.pop(hub.hub_id, None)
        self._waiting.begin(hub.hub_id, min(hello.epoch, hub.allowed_epoch))
        fresh = number > hub.hello_number
        if fresh or self._is_righted(now_ms, hub, hello, number):
            self._office.greeted(hub.hub_id, hello, number=number, now_ms=now_ms)
            if not fresh:  # noted behind the commit: where that fails, the same hello is taken once more
                self._righted[hub.hub_id] = number
        # An old hello, or one a later batch has overtaken, is answered but proves nothing: a hub finds out by itself.
        answered = msgspec.structs.replace(hub, nonce=hello.nonce)
        tells = fresh and not hub.frozen and number > self._office.sealed_ms(hub.hub_id)
        reason = receipts.judge_hello(self._watermark(hub.hub_id), hello) if tells else ""
        if reason:
            return self._freeze(now_ms, answered, hello.epoch, reason, payload)
        return [self._receipt(now_ms, answered, hello.epoch)]

    def _is_righted(self, now_ms: int, hub: HubRecord, hello: Hello, number: int) -> bool:
        """Say whether an older number is that of a hub whose clock was far ahead once, and no longer is.

        Else no receipt would carry this hub's nonce for years. A replay, or one that waited at the broker, gains
        nothing: what contradicts the books is not taken, the number stays the highest, it counts as said when its own
        number says, and a foreign nonce makes the hub deaf only until its next hello.
        """
        today = number <= now_ms + receipts.AHEAD_MS < hub.hello_number
        if not today or number <= self._righted.get(hub.hub_id, 0):
            return False
        return hello.nonce != hub.nonce and not receipts.judge_hello(self._watermark(hub.hub_id), hello)

    def _watermark(self, hub_id: bytes) -> Watermark:
        if self._mark is None:
            self._mark = self._office.watermark(hub_id)
        return self._mark

    def _receipt(self, now_ms: int, hub: HubRecord, epoch: int) -> Publish:
        watermark = self._watermark(hub.hub_id)
        if watermark.epoch < epoch <= hub.allowed_epoch:
            watermark = Watermark(epoch=epoch)
        heard = () if hub.frozen else self._office.heard_of(hub.hub_id)
        return self._post.receipt(now_ms, hub, watermark, heard=heard)
