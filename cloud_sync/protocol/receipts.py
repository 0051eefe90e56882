"""Both judgements about batches: the office's on a batch that came, and the hub's on a receipt that came. Pure."""

from typing import Final, Literal

import msgspec

from cloud_sync.protocol.envelope import NO_BATCH, Header
from cloud_sync.protocol.messages import Hello, Receipt
from payment_core.journal import CHAIN_START

GAP_BATCHES: Final = 64
"""How far ahead of the watermark a batch may be to be worth keeping until the gap closes."""
AHEAD_MS: Final = 60_000
"""A hub's number that is further ahead of a right clock was made by a clock that was wrong."""


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """How far a hub's journal is in the books, without a gap: the office keeps one row per hub, in the posting commit.

    `batch_hash`, `tail_hash`: of the last batch and the last record in it; the start values where there is none.
    """

    epoch: int
    batch_seq: int = 0
    batch_hash: bytes = NO_BATCH
    last_record: int = 0
    tail_hash: bytes = CHAIN_START


Verdict = Literal["next", "known", "gap", "fork", "old_epoch", "unknown_epoch"]


def judge_batch(
    watermark: Watermark, header: Header, *, digest: bytes, known_hash: bytes | None, allowed_epoch: int
) -> Verdict:
    """Say what an authenticated batch is to the books.

    digest: its EHB1 hash; known_hash: the hash under which this (epoch, seq) was applied, or None; allowed_epoch: the
    newest epoch that an operator has opened for the hub.
    """
    if header.epoch > allowed_epoch:
        return "unknown_epoch"
    if header.epoch < watermark.epoch:
        return "old_epoch"
    watermark = start_of(watermark, header.epoch)
    if header.batch_seq <= watermark.batch_seq:
        return "known" if known_hash == digest else "fork"
    if header.batch_seq > watermark.batch_seq + 1:
        return "gap"
    follows = header.previous_batch_hash == watermark.batch_hash and header.first_record == watermark.last_record + 1
    return "next" if follows else "fork"


def advance(header: Header, *, digest: bytes) -> Watermark:
    """Return the watermark after the batch was applied."""
    return Watermark(
        epoch=header.epoch,
        batch_seq=header.batch_seq,
        batch_hash=digest,
        last_record=header.first_record + header.record_count - 1,
        tail_hash=header.journal_tail_hash,
    )


def start_of(watermark: Watermark, epoch: int) -> Watermark:
    """Return the watermark a batch of `epoch` has to follow: the present one, or the start of a newer epoch."""
    return watermark if epoch == watermark.epoch else Watermark(epoch=epoch)


def judge_hello(watermark: Watermark, hello: Hello) -> Literal["", "rolled_back", "fork"]:
    """Say what a hub's own word about its newest batch contradicts in the books; nothing: it does not."""
    if hello.epoch != watermark.epoch:
        return "rolled_back" if hello.epoch < watermark.epoch else ""
    if hello.last_seq < watermark.batch_seq:
        return "rolled_back"
    same = hello.last_seq == watermark.batch_seq and hello.last_hash != watermark.batch_hash
    return "fork" if same else ""


OWN_JOURNAL: Final = frozenset({"fork", "rolled_back"})
"""Freezes that mean: this journal is not the one in the books. In its epoch nobody can lift them."""

ReceiptVerdict = Literal["progress", "nothing_new", "wrong_nonce", "other_epoch", "fork", "rolled_back", "frozen"]


def judge_receipt(
    receipt: Receipt, *, epoch: int, nonce: bytes, acked_seq: int, last_seq: int, own_hash: bytes | None
) -> ReceiptVerdict:
    """Say what an authentic receipt means to the hub. `own_hash`: the hash of the hub's own batch `through_seq`.

    wrong_nonce: a receipt of an earlier connection, or a replay. rolled_back: the office has batches that this hub
    never sealed. fork: the office has another batch under our number. Only `progress` moves the cursor.
    """
    if receipt.nonce != nonce:
        return "wrong_nonce"
    if receipt.frozen:
        return "frozen"
    if receipt.epoch != epoch:
        return "rolled_back" if receipt.epoch > epoch else "other_epoch"
    if receipt.through_seq > last_seq:
        return "rolled_back"
    if receipt.through_seq <= acked_seq:
        return "nothing_new"
    return "progress" if own_hash == receipt.batch_hash else "fork"
