"""The hub's half of the journal's way: rows become batches, sealed once and sent until a receipt covers them.

A synchronous state machine: inputs are method calls that carry the time, outputs are lists of effects. Whoever pumps it
carries the effects out; the ones that touch the ledger are the till's, and their answers come back as inputs.

    ReadOutbox  -> on_records      StoreSealed -> on_stored      MoveCursor, Freeze: the till's, no answer
    ReadKept -> on_kept            Lift: the till's too           Publish: to the link
    Reconnect: drop the link, wait (retry.reconnect_delay_ms), connect, on_connected
    OfficeSilent -> on_hello_request: the office is away and the line is not, so the hub waits where it is

Nothing is published before its bytes are durable, and never other bytes under the same number. A hello opens each
connection and nothing else is sent until a receipt has answered it, for only then is it known what the office has.
"""

from collections.abc import Callable, Sequence

import msgspec

from cloud_sync.letters import Publish
from cloud_sync.protocol import batcher
from cloud_sync.protocol.envelope import STREAM_LEDGER, tail_hash_of
from cloud_sync.protocol.messages import NONCE_BYTES, TAKES_COMPRESSED, DocumentVersion, Hello, Receipt, Request, Trust
from cloud_sync.protocol.receipts import OWN_JOURNAL, judge_receipt
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.upload_effects import (
    Effect,
    Freeze,
    HubPen,
    Lift,
    Moment,
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
from cloud_sync.upload_letters import LetterBook, ListQuestion
from cloud_sync.upload_sealing import BATCH_RECORDS, Rows, seal_next
from cloud_sync.upload_waiting import Patience
from cloud_sync.upload_window import WINDOW_BATCHES, Forgotten, Window


class Uploader:
    """See the module. `draw(n)` returns n random bytes; `boot_id` is this start's."""

    def __init__(self, pen: HubPen, state: UploadState, *, boot_id: bytes, draw: Callable[[int], bytes]) -> None:
        self.frozen = ""
        """Why nothing is sent any more, or empty."""
        self._pen = pen
        self._letters = LetterBook(pen)
        self._boot_id = boot_id
        self._draw = draw
        self._state = state
        self._window = Window(state.waiting, acked_seq=state.acked_seq)
        self._rows = Rows(sealed=state.last_record)
        self._acked_record = state.waiting[0].first_record - 1 if state.waiting else state.last_record
        self._outbox_age_ms = 0
        self._storing: SealedBatch | None = None
        self._busy = False
        self._stuck = False
        self._connected = False
        self._greeted = False
        self._nonce = b""
        self._forgotten = Forgotten()
        self._unproven: Receipt | None = None
        self._takes = 0
        self._versions: tuple[DocumentVersion, ...] = ()
        self._patience = Patience(draw)
        self._question = ListQuestion()

    @property
    def state(self) -> UploadState:
        """What a restart would load, given that every effect was carried out."""
        return msgspec.structs.replace(self._state, waiting=tuple(self._window))

    # ---- inputs ----

    def on_connected(
        self, now: Moment, *, versions: Sequence[DocumentVersion] = (), outbox_age_ms: int = 0
    ) -> list[Effect]:
        """Take a fresh connection and greet. `versions`: the documents in effect; age: of the oldest row unsent."""
        self._connected = True
        self._busy = self._storing is not None  # a fault that ended the connection may have left a question open
        self._greeted = False
        self._unproven = None
        self._takes = 0
        self._patience.renew()
        self._question.close()
        self._versions = tuple(versions)
        self._outbox_age_ms = outbox_age_ms
        return [self._hello(now)]

    def on_disconnected(self) -> None:
        """Stop sending; what is sealed stays, and goes out again after the next hello."""
        self._connected = False

    def on_journal(self, now: Moment, last_record: int) -> list[Effect]:
        """Note the seq of the journal's newest record, so that an idle hub need not ask its ledger; seal many rows."""
        self._rows.note(now.mono_ms, last_record)
        return self._seal_due(now)

    def wait_ms(self, now: Moment, most: int) -> int:
        """Return how long the next tick may be away, at most `most` ms: until rows that wait are to be sealed.

        Shorter after on_stored and on_receipt: they make room.
        """
        return min(most, self._rows.wait_ms(now.mono_ms)) if self._may_seal() else most

    def on_acknowledged(self, now: Moment) -> None:
        """Note that the broker has acknowledged something since the last tick: the line is not half open."""
        self._patience.acknowledged(now.mono_ms)

    def on_tick(self, now: Moment) -> list[Effect]:
        """Resend what is due and ask for rows where the window has room."""
        if not self._connected or self.frozen:
            return []
        effects: list[Effect] = []
        if self._letters.was_ahead(now):
            effects.append(self._hello(now))
        if (self._window or not self._greeted) and self._patience.is_over(now.mono_ms):
            effects += self._overdue(now)
        if question := self._question.again(now.mono_ms):
            effects.append(self.request(now, question))
        return effects + self._fill() + self._seal_due(now)

    def on_alone(self, now: Moment) -> list[Effect]:
        """Seal without an office, because a neighbour keeps what is sealed: rows that are many, or old."""
        return self._seal_due(now, alone=not (self._connected and self._greeted))

    def on_records(self, now: Moment, records: Sequence[bytes]) -> list[Effect]:
        """Seal the rows that ReadOutbox asked for into one batch."""
        self._busy = False
        if not records or self.frozen:
            self._rows.not_readable(now.mono_ms)
            return []
        count = batcher.how_many_fit(records)
        if count == 0:
            self._stuck = True
            return [TooBig(self._state.last_record + 1, len(records[0]))]
        self._busy = True
        compress = bool(self._takes & TAKES_COMPRESSED)
        sealer = self._letters.sealer
        self._storing = seal_next(self._pen, self._state, sealer, now, records[:count], compress=compress)
        return [StoreSealed(self._storing)]

    def on_stored(self, now: Moment, batch_seq: int) -> list[Effect]:
        """Send a batch for the first time: its bytes are durable now."""
        batch = self._storing
        if batch is None or batch.batch_seq != batch_seq:
            return []
        self._busy = False
        self._storing = None
        self._rows.sealed(now.mono_ms, batch.last_record)
        self._state = msgspec.structs.replace(
            self._state,
            last_seq=batch.batch_seq,
            last_hash=batch.digest,
            last_record=batch.last_record,
            tail_hash=tail_hash_of(batch.data),
        )
        if not self._window:
            self._patience.begin(now.mono_ms)
        sent = self._window.hold(batch) and self._connected and self._greeted
        return [self._batch(batch)] if sent else []

    def on_receipt(self, now: Moment, receipt: Receipt) -> list[Effect]:
        """Judge an authentic receipt (downlink.py has checked who signed it and for whom)."""
        if not self._nonce or receipt.stream != STREAM_LEDGER:
            return []
        return self._judge(now, receipt, self._window.get(receipt.through_seq))

    def is_answered_by(self, receipt: Receipt) -> bool:
        """Say whether an authentic receipt answers the newest hello; else it is an old one, or is played again."""
        return bool(self._nonce) and receipt.nonce == self._nonce

    def _judge(self, now: Moment, receipt: Receipt, own: SealedBatch | None) -> list[Effect]:
        state = self._state
        verdict = judge_receipt(
            receipt,
            epoch=state.epoch,
            nonce=self._nonce,
            acked_seq=state.acked_seq,
            last_seq=state.last_seq,
            own_hash=own.digest if own else None,
        )
        if verdict != "wrong_nonce":
            self._takes = receipt.takes
        match verdict:
            case "wrong_nonce":
                return []
            case "fork" if own is None:  # it is sealed and behind the window: what it was, the ledger says
                self._unproven = receipt
                return [ReadKept(receipt.through_seq - 1, 1)]
            case "frozen" | "fork" | "rolled_back":
                return self._freeze(receipt.frozen or verdict)
            case "progress":
                assert own is not None
                return self._lift(receipt) + self._progress(now, receipt, own) + self._greet_done(now)
            case "nothing_new":
                behind = self._forgotten.is_behind(receipt.through_seq, acked_seq=state.acked_seq)
                again: list[Effect] = [ReadKept(receipt.through_seq, WINDOW_BATCHES)] if behind else []
                return self._lift(receipt) + self._greet_done(now) + again
            case "other_epoch":
                return self._greet_done(now)

    def on_resend_request(self, *, epoch: int, from_seq: int) -> list[Effect]:
        """Send again what the office misses, byte for byte."""
        if not self._greeted or epoch != self._state.epoch:
            return []
        if from_seq <= self._state.acked_seq:
            return [ReadKept(from_seq - 1, WINDOW_BATCHES)]
        return [self._batch(batch) for batch in self._window if batch.batch_seq >= from_seq]

    def on_kept(self, now: Moment, batches: Sequence[SealedBatch]) -> list[Effect]:
        """Take what ReadKept asked for: the batch of a receipt, what the office has forgotten, or what is next."""
        if not batches or not self._connected or self.frozen:
            return []
        unproven, self._unproven = self._unproven, None
        if unproven is not None and batches[0].batch_seq == unproven.through_seq:
            return self._judge(now, unproven, batches[0])
        if batches[0].batch_seq <= self._state.acked_seq:
            self._forgotten.sent(batches[-1].batch_seq)
        if not self._window:
            self._patience.begin(now.mono_ms)
        for batch in batches:
            self._window.hold(batch)
        return [self._batch(batch) for batch in batches]

    def on_hello_request(self, now: Moment, *, versions: Sequence[DocumentVersion] | None = None) -> list[Effect]:
        """Greet again: the office has forgotten our nonce. `versions`: in effect by now; None: as at the connect."""
        if versions is not None:
            self._versions = tuple(versions)
        return [self._hello(now)] if self._connected else []

    def on_list_mismatch(self, now: Moment, have_version: int) -> list[Effect]:
        """Ask for the list from `have_version` on; while one question is open, every other misfit is answered by it."""
        question = self._question.ask(now.mono_ms, have_version) if self._connected else None
        return [self.request(now, question)] if question else []

    def on_list_taken(self) -> None:
        """Note that a list fitted: the next misfit is a new one."""
        self._question.close()

    def on_trust(self, trust: Trust) -> None:
        """Seal to the key of a newer trust document from now on; what is sealed already stays as it is."""
        self._letters.on_trust(trust)

    def request(self, now: Moment, body: Request) -> Publish:
        """Return a request to the office, sealed: the caller publishes it, now or never."""
        return self._letters.post(now, body)

    # ---- inside ----

    def _seal_due(self, now: Moment, *, alone: bool = False) -> list[Effect]:
        if self._rows.wait_ms(now.mono_ms, alone=alone) or not self._may_seal(alone=alone):
            return []
        self._busy = True
        return [ReadOutbox(self._state.last_record, BATCH_RECORDS)]

    def _may_seal(self, *, alone: bool = False) -> bool:
        free = not (self._busy or self._stuck or self.frozen)
        room = self._window.room > 0 and self._window.through_seq == self._state.last_seq
        return free and (alone or (self._connected and self._greeted and room))

    def _fill(self) -> list[Effect]:
        """Ask for the next batches that were sealed and did not fit into the window."""
        window = self._window
        more = self._greeted and window.room > 0 and window.through_seq < self._state.last_seq
        return [ReadKept(window.through_seq, window.room)] if more else []

    def _progress(self, now: Moment, receipt: Receipt, newest: SealedBatch) -> list[Effect]:
        self._window.let_go(receipt.through_seq)
        self._state = msgspec.structs.replace(self._state, acked_seq=receipt.through_seq)
        self._acked_record = newest.last_record
        self._patience.renew()
        self._patience.begin(now.mono_ms)
        moved = MoveCursor(receipt.epoch, receipt.through_seq, newest.last_record, receipt.server_ms, receipt.heard)
        return [moved, *self._fill()]

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
        self._patience.renew()
        self._patience.begin(now.mono_ms)
        return self._all_waiting() + self._fill()

    def _overdue(self, now: Moment) -> list[Effect]:
        if not self._patience.try_again(now.mono_ms):
            self._connected = False
            return [Reconnect("no receipt after two resends")]
        if self._patience.is_long and self._greeted:
            self._greeted = False  # as behind a connect: a silent office gets hellos and no batch
            self._patience.begin(now.mono_ms)
            return [OfficeSilent()]
        if not self._greeted:  # under the same nonce: a slow office's answer to the first one counts
            return [self._hello(now, nonce=self._nonce)]
        self._patience.begin(now.mono_ms)
        return self._all_waiting()

    def _all_waiting(self) -> list[Effect]:
        return [self._batch(batch) for batch in self._window]

    def _freeze(self, reason: str) -> list[Effect]:
        """Send nothing more. What lifts it must answer a later hello: a receipt from before it, replayed, does not."""
        self.frozen = reason
        self._nonce = b""
        self._greeted = False
        return [Freeze(reason)]

    def _batch(self, batch: SealedBatch) -> Publish:
        return Publish(hub_topic(self._pen.hub_id, "up", "batch"), batch.data)

    def _hello(self, now: Moment, *, nonce: bytes = b"") -> Publish:
        self._patience.begin(now.mono_ms)
        self._nonce = nonce or self._draw(NONCE_BYTES)
        self._forgotten.asked()
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
            outbox_entries=max(0, self._rows.end - self._acked_record),
            outbox_age_ms=self._outbox_age_ms,
        )
        return self._letters.post(now, hello)
