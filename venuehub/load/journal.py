"""A hub's journal in memory: what its guests do becomes real entries, and the shipped uplink reads them from here."""

import random
from functools import partial
from typing import Final

from cloud_sync.protocol.envelope import NO_BATCH
from edge_agent.ledger.outbox import SealedBatch
from edge_agent.ledger.reader import UploadFacts
from edge_agent.ledger.store import Row
from edge_agent.messages import BatchSealed, Moment
from payment_core.journal import (
    CHAIN_START,
    Actor,
    Entry,
    EpochOpened,
    Header,
    Part,
    Tender,
    chain_hash,
    decode_own,
    encode_entry,
)
from venuehub.load.plays import coin_play

UNIT: Final = "CNY"
COIN: Final = 100
"""What a play costs: one coin of 1.00."""
LANES: Final = 4
HOLD_MS: Final = 2_000
ID_BYTES: Final = 16


class MemoryJournal:
    """One hub's entries and sealed batches, all of them: they live as long as the run. Begins with its epoch's record.

    It is what a power cut leaves of a hub: an uplink that is made anew goes on where this one stands.
    """

    def __init__(self, *, epoch: int, venue_id: bytes, now: Moment, dice: random.Random) -> None:
        self.epoch = epoch
        self.acked_seq = 0
        self.plays = 0
        self._venue_id = venue_id
        self._dice = dice
        self._records: list[bytes] = []
        self._tail = CHAIN_START
        self._batches: list[SealedBatch] = []
        self._acked_batch = 0
        self._versions = {"list": 0}
        self._write(EpochOpened(1, self._header(now, None, None, Actor.GUEST, Tender.NONE), epoch))

    @property
    def last_seq(self) -> int:
        """The newest entry's."""
        return len(self._records)

    @property
    def tail_hash(self) -> bytes:
        """The chain's hash behind the newest entry: what the office's books must end with."""
        return self._tail

    # ---- written ----

    def play(self, now: Moment) -> int:
        """Let a guest insert a coin and play it; return the seq of the play's last entry."""
        self.plays += 1
        lane = f"lane-{self._dice.randrange(LANES) + 1}"
        play = self._dice.randbytes(ID_BYTES)
        head, part, until_ms = partial(self._header, now), Part(UNIT, COIN), now.wall_ms + HOLD_MS
        for entry in coin_play(head, lane, play, part, epoch=self.epoch, event=self.plays, until_ms=until_ms):
            self._write(entry)
        return self.last_seq

    def store(self, batch: BatchSealed) -> None:
        """Keep a sealed batch."""
        self._batches.append(SealedBatch(batch.batch_seq, batch.first_rec, batch.rec_count, batch.hash, batch.sealed))

    def acknowledge(self, batch_seq: int, seq: int) -> None:
        """Move the cursor: the office has everything up to this batch and entry."""
        self._acked_batch, self.acked_seq = batch_seq, seq

    def keep_version(self, name: str, version: int) -> None:
        """Note which version of a document, or of the list, is had."""
        self._versions[name] = version

    # ---- read by the uplink ----

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return no row: documents are not kept here, only their versions."""
        del sql, values
        return []

    def records(self, after_seq: int, most: int) -> list[bytes]:
        """Return up to `most` records behind `after_seq`."""
        return self._records[after_seq : after_seq + most]

    def versions(self) -> dict[str, int]:
        """Return the newest version had of each document, and of the list."""
        return dict(self._versions)

    def outbox_age_ms(self) -> int:
        """Return the age of the oldest entry without a receipt by the newest entry's clock, 0 where there is none."""
        if self.acked_seq == self.last_seq:
            return 0
        oldest, newest = decode_own(self._records[self.acked_seq]), decode_own(self._records[-1])
        return max(newest.header.wall_ms - oldest.header.wall_ms, 0)

    def upload_facts(self) -> UploadFacts:
        """Return where the upload stands."""
        newest = self._batches[-1] if self._batches else None
        last_seq = newest.first_rec + newest.rec_count - 1 if newest else 0
        return UploadFacts(
            epoch=self.epoch,
            acked_batch=self._acked_batch,
            last_batch=newest.batch_seq if newest else 0,
            last_hash=newest.hash if newest else NO_BATCH,
            last_seq=last_seq,
            tail_hash=self._tail_at(last_seq),
            waiting=tuple(self._batches[self._acked_batch :]),
        )

    def kept(self, after_seq: int, most: int) -> list[SealedBatch]:
        """Return up to `most` sealed batches behind `after_seq`, those with a receipt too."""
        return self._batches[after_seq : after_seq + most]

    # ---- inside ----

    def _tail_at(self, seq: int) -> bytes:
        tail = CHAIN_START
        for record in self._records[:seq]:
            tail = chain_hash(tail, record)
        return tail

    def _header(self, now: Moment, lane: str | None, play: bytes | None, actor: Actor, tender: Tender) -> Header:
        return Header(
            seq=self.last_seq + 1,
            wall_ms=now.wall_ms,
            boot_id=now.boot_id,
            boottime_ms=now.boottime_ms,
            quality=now.quality,
            business_date=now.business_date,
            actor=actor,
            tender=tender,
            venue=self._venue_id,
            machine=lane and f"machine-{lane}",
            lane=lane,
            authorization_id=play,
        )

    def _write(self, entry: Entry) -> None:
        record = encode_entry(entry)
        self._records.append(record)
        self._tail = chain_hash(self._tail, record)
