"""The hub's half of the journal's way: rows become batches, sealed once and sent until a receipt covers them.

A synchronous state machine: inputs are method calls that carry the time, outputs are lists of effects. Whoever pumps it
carries the effects out; the ones that touch the ledger are the till's, and their answers come back as inputs.

    ReadOutbox  -> on_records      StoreSealed -> on_stored      MoveCursor, Freeze: the till's, no answer
    ReadKept -> on_kept            Lift: the till's too           Publish: to the link
    Reconnect: drop the link, wait (retry.reconnect_delay_ms), connect, on_connected

Nothing is published before its bytes are durable, and never other bytes under the same number. A hello opens each
connection and nothing else is sent until a receipt has answered it, for only then is it known what the office has.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from cloud_sync.letters import Publish, post_message
from cloud_sync.protocol import batcher
from cloud_sync.protocol.envelope import tail_hash_of
from cloud_sync.protocol.messages import (
    NONCE_BYTES,
    DocumentVersion,
    Hello,
    ListRequest,
    Message,
    Receipt,
    Request,
    Trust,
)
from cloud_sync.protocol.receipts import AHEAD_MS, OWN_JOURNAL, judge_receipt
from cloud_sync.protocol.retry import resend_delay_ms
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.sealing import HpkeSealer, Sealer
from cloud_sync.upload_effects import (
    Effect,
    Freeze,
    HubPen,
    Lift,
    Moment,
    MoveCursor,
    ReadKept,
    ReadOutbox,
    Reconnect,
    SealedBatch,
    StoreSealed,
    TooBig,
    UploadState,
)
from cloud_sync.upload_sealing import seal_next
from payment_core.journal import TimeQuality

WINDOW_BATCHES: Final = 8
"""How many sealed batches may be without a receipt; beyond it rows wait in the ledger, which is their place."""
BATCH_RECORDS: Final = 1_000
RESENDS: Final = 2
"""Resends without progress before the connection is dropped."""
LIST_AGAIN_MS: Final = 30_000
"""How long a question for the list may stay without an answer before it is put again."""


class Uploader:
    """See the module. `draw(n)` returns n random bytes; `boot_id` is this start's."""

    def __init__(self, pen: HubPen, state: UploadState, *, boot_id: bytes, draw: Callable[[int], bytes]) -> None:
        self.frozen = ""
        """Why nothing is sent any more, or empty."""
        self._pen = pen
        self._sealer: Sealer = pen.office_sealer
        self._boot_id = boot_id
        self._draw = draw
        self._state = state
        self._waiting = {batch.batch_seq: batch for batch in state.waiting}
        self._journal_end = state.last_record
        self._acked_record = state.waiting[0].first_record - 1 if state.waiting else state.last_record
        self._outbox_age_ms = 0
        self._storing: SealedBatch | None = None
        self._busy = False
        self._stuck = False
        self._connected = False
        self._greeted = False
        self._nonce = b""
        self._unanswered = False
        self._brought_seq: int | None = None
        self._number = 0
        self._versions: tuple[DocumentVersion, ...] = ()
        self._resends = 0
        self._due_ms = 0
        self._list_wish: int | None = None
        self._list_due_ms = 0

    @property
    def state(self) -> UploadState:
        """What a restart would load, given that every effect was carried out."""
        return msgspec.structs.replace(self._state, waiting=tuple(self._waiting.values()))

    # ---- inputs ----

    def on_connected(
        self, now: Moment, *, versions: Sequence[DocumentVersion] = (), outbox_age_ms: int = 0
    ) -> list[Effect]:
        """Take a fresh connection and greet. `versions`: the documents in effect; age: of the oldest row unsent."""
        self._connected = True
        self._greeted = False
        self._resends = 0
        self._list_wish = None
        self._versions = tuple(versions)
        self._outbox_age_ms = outbox_age_ms
        return [self._hello(now)]

    def on_disconnected(self) -> None:
        """Stop sending; what is sealed stays, and goes out again after the next hello."""
        self._connected = False

    def on_journal(self, last_record: int) -> None:
        """Note the seq of the journal's newest record, so that an idle hub need not ask its ledger."""
        self._journal_end = max(self._journal_end, last_record)

    def on_tick(self, now: Moment) -> list[Effect]:
        """Resend what is due and ask for rows where the window has room."""
        if not self._connected or self.frozen:
            return []
        effects: list[Effect] = []
        if self._was_ahead(now):
            effects.append(self._hello(now))
        if (self._waiting or not self._greeted) and now.mono_ms >= self._due_ms:
            effects += self._overdue(now)
        if self._list_wish is not None and now.mono_ms >= self._list_due_ms:
            effects.append(self._list_request(now, self._list_wish))
        if self._may_seal():
            self._busy = True
            effects.append(ReadOutbox(self._state.last_record, BATCH_RECORDS))
        return effects

    def on_records(self, now: Moment, records: Sequence[bytes]) -> list[Effect]:
        """Seal the rows that ReadOutbox asked for into one batch."""
        self._busy = False
        if not records or self.frozen:
            return []
        count = batcher.how_many_fit(records)
        if count == 0:
            self._stuck = True
            return [TooBig(self._state.last_record + 1, len(records[0]))]
        self._busy = True
        self._storing = seal_next(self._pen, self._state, self._sealer, now, records[:count])
        return [StoreSealed(self._storing)]

    def on_stored(self, now: Moment, batch_seq: int) -> list[Effect]:
        """Send a batch for the first time: its bytes are durable now."""
        batch = self._storing
        if batch is None or batch.batch_seq != batch_seq:
            return []
        self._busy = False
        self._storing = None
        self._state = msgspec.structs.replace(
            self._state,
            last_seq=batch.batch_seq,
            last_hash=batch.digest,
            last_record=batch.last_record,
            tail_hash=tail_hash_of(batch.data),
        )
        if not self._waiting:
            self._rearm(now)
        self._waiting[batch.batch_seq] = batch
        return [self._batch(batch)] if self._connected and self._greeted else []

    def on_receipt(self, now: Moment, receipt: Receipt) -> list[Effect]:
        """Judge an authentic receipt (downlink.py has checked who signed it and for whom)."""
        state = self._state
        if not self._nonce:
            return []
        own = self._waiting.get(receipt.through_seq)
        verdict = judge_receipt(
            receipt,
            epoch=state.epoch,
            nonce=self._nonce,
            acked_seq=state.acked_seq,
            last_seq=state.last_seq,
            own_hash=own.digest if own else None,
        )
        match verdict:
            case "wrong_nonce":
                return []
            case "frozen" | "fork" | "rolled_back":
                return self._freeze(receipt.frozen or verdict)
            case "progress":
                lifted = self._lift(receipt)
                return lifted + self._progress(now, receipt) + self._greet_done(now)
            case "nothing_new":
                return self._lift(receipt) + self._greet_done(now) + self._bring_back(receipt)
            case "other_epoch":
                return self._greet_done(now)

    def on_resend_request(self, *, epoch: int, from_seq: int) -> list[Effect]:
        """Send again what the office misses, byte for byte."""
        if not self._greeted or epoch != self._state.epoch:
            return []
        if from_seq <= self._state.acked_seq:
            return [ReadKept(from_seq - 1, WINDOW_BATCHES)]
        return [self._batch(batch) for seq, batch in self._waiting.items() if seq >= from_seq]

    def on_kept(self, batches: Sequence[SealedBatch]) -> list[Effect]:
        """Send again what ReadKept asked for."""
        if not batches or not self._connected or self.frozen:
            return []
        self._brought_seq = batches[-1].batch_seq
        return [self._batch(batch) for batch in batches]

    def on_hello_request(self, now: Moment, *, versions: Sequence[DocumentVersion] | None = None) -> list[Effect]:
        """Greet again: the office has forgotten our nonce. `versions`: in effect by now; None: as at the connect."""
        if versions is not None:
            self._versions = tuple(versions)
        return [self._hello(now)] if self._connected else []

    def on_list_mismatch(self, now: Moment, have_version: int) -> list[Effect]:
        """Ask for the list from `have_version` on; while one question is open, every other misfit is answered by it."""
        if not self._connected or self._list_wish is not None:
            return []
        return [self._list_request(now, have_version)]

    def on_list_taken(self) -> None:
        """Note that a list fitted: the next misfit is a new one."""
        self._list_wish = None

    def on_trust(self, trust: Trust) -> None:
        """Seal to the key of a newer trust document from now on; what is sealed already stays as it is."""
        self._sealer = HpkeSealer(trust.receive_key, suite=trust.receive_suite)

    def request(self, now: Moment, body: Request) -> Publish:
        """Return a request to the office, sealed: the caller publishes it, now or never."""
        return self._post(now, "request", body)

    # ---- inside ----

    def _list_request(self, now: Moment, have_version: int) -> Publish:
        self._list_wish = have_version
        self._list_due_ms = now.mono_ms + LIST_AGAIN_MS
        return self.request(now, ListRequest(have_version))

    def _may_seal(self) -> bool:
        room = len(self._waiting) < WINDOW_BATCHES
        free = not (self._busy or self._stuck)
        return self._greeted and free and room and self._journal_end > self._state.last_record

    def _progress(self, now: Moment, receipt: Receipt) -> list[Effect]:
        newest = self._waiting[receipt.through_seq]
        for seq in [seq for seq in self._waiting if seq <= receipt.through_seq]:
            del self._waiting[seq]
        self._state = msgspec.structs.replace(self._state, acked_seq=receipt.through_seq)
        self._acked_record = newest.last_record
        self._resends = 0
        self._rearm(now)
        return [MoveCursor(receipt.epoch, receipt.through_seq, newest.last_record, receipt.server_ms, receipt.heard)]

    def _bring_back(self, receipt: Receipt) -> list[Effect]:
        """Send what an office has forgotten that was restored from a backup: its cursor is behind its own receipts.

        An old receipt that comes late says the same: only the one that answers a hello is taken for it, and those that
        say the office has caught up with what it was sent then. The hub's own cursor never goes back.
        """
        unanswered, self._unanswered = self._unanswered, False
        if receipt.through_seq >= self._state.acked_seq:
            self._brought_seq = None
            return []
        if not unanswered and (self._brought_seq is None or receipt.through_seq < self._brought_seq):
            return []
        return [ReadKept(receipt.through_seq, WINDOW_BATCHES)]

    def _lift(self, receipt: Receipt) -> list[Effect]:
        """Hand an operator's word on: a process that started after the freeze does not know it, but the ledger does."""
        known = self.frozen == receipt.reopened or not (self.frozen or self._greeted)
        if not receipt.reopened or not known or receipt.reopened in OWN_JOURNAL:
            return []
        self.frozen = ""
        return [Lift(receipt.epoch, receipt.reopened)]

    def _greet_done(self, now: Moment) -> list[Effect]:
        if self._greeted or self.frozen or not self._connected:
            return []
        self._greeted = True
        self._resends = 0
        self._rearm(now)
        return self._all_waiting()

    def _overdue(self, now: Moment) -> list[Effect]:
        if self._resends == RESENDS:
            self._connected = False
            return [Reconnect("no receipt after two resends")]
        self._resends += 1
        if not self._greeted:
            return [self._hello(now)]
        self._rearm(now)
        return self._all_waiting()

    def _all_waiting(self) -> list[Effect]:
        return [self._batch(batch) for batch in self._waiting.values()]

    def _rearm(self, now: Moment) -> None:
        dice = int.from_bytes(self._draw(2), "big") / 65_536
        self._due_ms = now.mono_ms + resend_delay_ms(self._resends, dice=dice)

    def _freeze(self, reason: str) -> list[Effect]:
        """Send nothing more. What lifts it must answer a later hello: a receipt from before it, replayed, does not."""
        self.frozen = reason
        self._nonce = b""
        self._greeted = False
        return [Freeze(reason)]

    def _batch(self, batch: SealedBatch) -> Publish:
        return Publish(hub_topic(self._pen.hub_id, "up", "batch"), batch.data)

    def _hello(self, now: Moment) -> Publish:
        self._rearm(now)
        self._nonce = self._draw(NONCE_BYTES)
        self._unanswered = True
        state = self._state
        hello = Hello(
            epoch=state.epoch,
            last_seq=state.last_seq,
            last_hash=state.last_hash,
            acked_seq=state.acked_seq,
            boot_id=self._boot_id,
            nonce=self._nonce,
            versions=self._versions,
            frozen=self.frozen,
            outbox_entries=max(0, self._journal_end - self._acked_record),
            outbox_age_ms=self._outbox_age_ms,
        )
        return self._post(now, "hello", hello)

    def _was_ahead(self, now: Moment) -> bool:
        """Say whether the newest number is of a clock that was far ahead and is right now: the office goes by today's.

        Where it has one of a clock that was further ahead, it takes any but today's for an old letter.
        """
        return now.quality is TimeQuality.SYNCED and self._number > now.wall_ms + AHEAD_MS

    def _post(self, now: Moment, leaf: str, body: Hello | Request) -> Publish:
        self._number = now.wall_ms if self._was_ahead(now) else max(self._number + 1, now.wall_ms)
        pen = self._pen
        message = Message(sender=pen.hub_id, to=pen.tenant_id, number=self._number, body=body)
        payload = post_message(message, signer=pen.signer, sealer=self._sealer)
        return Publish(hub_topic(pen.hub_id, "up", leaf), payload)
