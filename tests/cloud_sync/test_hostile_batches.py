"""Whatever comes as a batch, or lies behind a good seal: a reason and no exception, in bounded memory (BAT-8)."""

import json
import random
import resource
import struct
from pathlib import Path

import msgspec
import pytest

from cloud_sync.compression import pack, unpack
from cloud_sync.protocol.batcher import BODY_BYTES, Refused, build_body, read_entries, verify_records
from cloud_sync.protocol.envelope import Envelope, Rejected, parse_envelope
from tests.support.sizes import count

VECTOR = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "ehb1" / "compressed.json").read_text())
BATCH = bytes.fromhex(VECTOR["batches"][0]["batch"])
RECORDS = tuple(bytes.fromhex(record) for record in VECTOR["batches"][0]["records"])
BODY = build_body(RECORDS)
FRAME = pack(BODY)
HEADER = parse_envelope(BATCH).header
MOST_MIB = 50


def spoilt(dice, data):
    """Bytes with a bit flipped, a piece cut out or said twice, or something else in their place."""
    at, end = sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)))
    match dice.randrange(5):
        case 0:
            flipped = bytearray(data)
            flipped[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            return bytes(flipped)
        case 1:
            return data[:at]
        case 2:
            return data[:at] + data[end:]
        case 3:
            return data[:end] + data[at:]
        case _:
            return data[:at] + dice.randbytes(dice.randrange(12)) + data[min(at + 8, len(data)) :]


def records_of(body):
    return verify_records(body, HEADER, previous_tail=bytes(32), first_record=1)


def taken(dice):
    """Let one spoilt thing through the door where it is read; return whether an answer of the right kind came."""
    match dice.randrange(4):
        case 0:
            return isinstance(parse_envelope(spoilt(dice, BATCH)), Envelope | Rejected)
        case 1:
            body = unpack(spoilt(dice, FRAME), most=BODY_BYTES)
            return body is None or (len(body) <= BODY_BYTES and isinstance(records_of(body), tuple | Refused))
        case 2:
            return isinstance(records_of(spoilt(dice, BODY)), tuple | Refused)
        case _:
            number = dice.randrange(len(RECORDS))
            rows = (*RECORDS[:number], spoilt(dice, RECORDS[number]), *RECORDS[number + 1 :])
            return isinstance(read_entries(rows, first_record=1, epoch=1), tuple | str)


@pytest.mark.long
def test_a_million_spoilt_batches_raise_nothing_and_cost_no_memory():
    dice, before = random.Random(8), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert all(taken(dice) for _ in range(count(1_000_000)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MIB * 1_024


@pytest.mark.parametrize(
    "body",
    [
        struct.pack(">I", 2**32 - 1),
        struct.pack(">I", 0) * 60_000,
        struct.pack(">IB", 1, 0) * 50_000,
        struct.pack(">I", BODY_BYTES) + bytes(100),
    ],
    ids=["endless", "empty-records", "fifty-thousand", "longer-than-there-is"],
)
def test_counts_and_lengths_that_lie_are_refused(body):
    assert isinstance(records_of(body), Refused)


@pytest.mark.parametrize(
    "record",
    [
        b"\x91" * 200_000,
        b"\x81\xa1a" * 60_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x93\x01\x01\xcf" + b"\xff" * 8,
        b"\x82\xa1a\x01\xa1a\x02",
    ],
    ids=["nested-arrays", "nested-maps", "huge-array", "huge-map", "huge-bytes", "huge-integer", "a-key-twice"],
)
def test_a_record_that_lies_about_itself_is_parked(record):
    """Behind a good seal: its hub has signed it."""
    assert isinstance(read_entries([record], first_record=1, epoch=1), str)


def test_what_was_not_spoilt_is_read():
    assert records_of(unpack(FRAME, most=BODY_BYTES)) == RECORDS
    assert len(read_entries(RECORDS, first_record=1, epoch=1)) == len(RECORDS)
    assert msgspec.structs.replace(HEADER, record_count=12) == HEADER
