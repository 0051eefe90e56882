"""Every verdict of both judgements."""

import msgspec
import pytest

from cloud_sync.protocol.envelope import NO_BATCH, Header
from cloud_sync.protocol.messages import Receipt
from cloud_sync.protocol.receipts import Watermark, advance, judge_batch, judge_receipt, start_of
from payment_core.journal import CHAIN_START, TimeQuality

MARK = Watermark(epoch=2, batch_seq=5, batch_hash=b"5" * 32, last_record=50, tail_hash=b"t" * 32)
NEXT = Header(
    hub_id=bytes(16),
    epoch=2,
    batch_seq=6,
    first_record=51,
    record_count=4,
    created_ms=1,
    time_quality=TimeQuality.SYNCED,
    recipient_key=bytes(8),
    signer_key=bytes(8),
    previous_batch_hash=b"5" * 32,
    journal_tail_hash=b"u" * 32,
)
NEW_EPOCH = {"epoch": 3, "batch_seq": 1, "first_record": 1, "previous_batch_hash": NO_BATCH}


@pytest.mark.parametrize(
    ("changes", "known_hash", "verdict"),
    [
        ({}, None, "next"),
        ({"batch_seq": 5}, b"d" * 32, "known"),
        ({"batch_seq": 5}, b"x" * 32, "fork"),
        ({"batch_seq": 5}, None, "fork"),
        ({"batch_seq": 7}, None, "gap"),
        ({"previous_batch_hash": b"x" * 32}, None, "fork"),
        ({"first_record": 52}, None, "fork"),
        ({"epoch": 1}, None, "old_epoch"),
        ({"epoch": 4}, None, "unknown_epoch"),
        (NEW_EPOCH, None, "next"),
        ({**NEW_EPOCH, "batch_seq": 2}, None, "gap"),
        ({**NEW_EPOCH, "first_record": 51}, None, "fork"),
    ],
)
def test_judge_batch(changes, known_hash, verdict):
    header = msgspec.structs.replace(NEXT, **changes)
    assert judge_batch(MARK, header, digest=b"d" * 32, known_hash=known_hash, allowed_epoch=3) == verdict


def test_the_watermark_moves_to_the_batch():
    moved = Watermark(epoch=2, batch_seq=6, batch_hash=b"d" * 32, last_record=54, tail_hash=b"u" * 32)
    assert advance(NEXT, digest=b"d" * 32) == moved
    assert start_of(MARK, 2) == MARK
    assert start_of(MARK, 3) == Watermark(
        epoch=3, batch_seq=0, batch_hash=NO_BATCH, last_record=0, tail_hash=CHAIN_START
    )


@pytest.mark.parametrize(
    ("changes", "own_hash", "verdict"),
    [
        ({}, b"h" * 32, "progress"),
        ({}, b"x" * 32, "fork"),
        ({"through_seq": 4}, None, "nothing_new"),
        ({"through_seq": 3}, None, "nothing_new"),
        ({"through_seq": 9}, None, "rolled_back"),
        ({"epoch": 3}, None, "rolled_back"),
        ({"epoch": 1}, None, "other_epoch"),
        ({"nonce": b"m" * 16}, b"h" * 32, "wrong_nonce"),
        ({"nonce": b"m" * 16, "frozen": "fork"}, b"h" * 32, "wrong_nonce"),
        ({"frozen": "fork"}, b"h" * 32, "frozen"),
    ],
)
def test_judge_receipt(changes, own_hash, verdict):
    receipt = msgspec.structs.replace(Receipt(2, 6, b"h" * 32, 1, b"n" * 16), **changes)
    found = judge_receipt(receipt, epoch=2, nonce=b"n" * 16, acked_seq=4, last_seq=8, own_hash=own_hash)
    assert found == verdict
